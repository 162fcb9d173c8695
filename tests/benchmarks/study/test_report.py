"""The report: numbered exhibits that name their rows, code and cubes, in one HTML file and one Markdown file."""

import json
import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.exhibits import catalogue, figures, seen, tables
from benchmarks.measure import rows
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.study import report
from lhic.errors import DatasetError
from tests.benchmarks.exhibits.test_tables import row, stored

TILES = [f"ENMAP01-____L2A-DT{i}-Y0_X{i}" for i in range(5)]
WEIGHTS = "ab" * 32
SETTINGS = {
    "02_bitrate": {"forms": ["as-measured"]},
    "03_baselines": {"forms": ["as-measured"], "reference": "old", "spectral_pairs": [["old", "lhic-x"]]}
    | {"water_cubes": ["DT0"]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of two codecs on five patches of five tiles and one airborne cube, a part of them training data."""
    found = []
    for i, cube in enumerate([*TILES, "abu"]):
        about = {"cube_sha256": str(i), "sensor": "AVIRIS" if cube == "abu" else "EnMAP", "libraries": "{}"}
        about |= {"commit": "c0ffee", "date": f"2026-01-0{i + 1}"}
        found += [row("old", cube, 4.0 + i, **about), row("lhic-x", cube, 3.0 + i, weights_hash=WEIGHTS, **about)]
    stored(tmp_path, [*found, row("broken", "abu", None, error="Error: <b> | no", cube_sha256="5")])
    (tmp_path / "environment.json").write_text(json.dumps({"parameters": SETTINGS}))
    monkeypatch.setattr(seen, "training_cubes", lambda: {WEIGHTS: frozenset("5")})
    return tmp_path


@pytest.mark.slow
def test_report_has_what_the_study_promises(folder):
    # What notebooks left: one figure with a caption, which is collected, and one without, which is not.
    with figures.style():
        drawn = Figure(figsize=(2, 1))
    figures.save_figure(drawn, folder / "figures", "planes", "Two planes of 1 cube.")
    figures.save_figure(drawn, folder / "figures", "bits_map")
    figures.save_figure(drawn, folder / "figures", "param_d", "Depths of 1 cube.")  # also a word of 01_quickstart
    markdown_path, html_path = report.build_from(folder)
    markdown, page = markdown_path.read_text(), html_path.read_text()

    numbers = re.findall(r"^\*\*(Table|Figure) (\d+)\.\*\* (.*)$", markdown, re.MULTILINE)
    for kind in ("Table", "Figure"):
        found = [int(number) for of_kind, number, _ in numbers if of_kind == kind]
        assert found == list(range(1, len(found) + 1)) and len(found) >= 5
    for _, _, caption in numbers:
        assert re.search(r"\d+ (cubes?|measured)\b", caption), f"no number of cubes: {caption}"
        assert "code: `" in caption
    for title in (
        "Rate and speed",
        "Unseen cubes",
        "Differences",
        "By sensor and tile",
        "Spectral",
        "Cost",
        "not work",
    ):
        assert re.search(rf"^## \d+\. .*{title}", markdown, re.MULTILINE), title
    assert "Two planes of 1 cube. [code: `notebooks/01_quickstart.py`" in markdown and "bits_map" not in markdown
    assert "Depths of 1 cube. [code: `notebooks/05_param_d.py`" in markdown

    table = markdown.split("\n**Table 1.**")[0]
    assert "| lhic-x † | 5.500 | 8.000 | 5.500 |" in table
    assert "† lhic-x: 1 of 6 cubes were its training data." in markdown
    unseen = markdown.split("## 2. Unseen cubes")[1].split("## 3.")[0]
    assert "| lhic-x | 5.000 |" in unseen and "lhic-x: none of the cubes was its training data." in unseen

    assert page.count('src="data:image/svg+xml;base64,') == sum(kind == "Figure" for kind, _, _ in numbers)
    assert "http" not in re.sub(r'base64,[^"]*', "", page), "one file, nothing to fetch"
    assert "<b> | no" not in page and "&lt;b&gt;" in page
    for name in re.findall(r"\]\((.*\.pdf)\)", markdown):
        assert (markdown_path.parent / name).is_file()

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report.build_from(folder)
    assert {path: path.read_bytes() for path in before} == before, "the same rows give the same files"


def test_every_exhibit_says_how_many_cubes_it_has(folder):
    found = seen.noted(rows.read_rows(folder))
    for _, _, shown in report.from_rows(found, SETTINGS):
        for exhibit in shown:
            assert re.search(r"\d+ (cubes?|measured)\b", exhibit.caption), exhibit.name
            module, function = exhibit.code.rsplit(".", 1)
            assert hasattr(__import__(module.split(", ")[-1], fromlist=["x"]), function), exhibit.code


def test_captions_travel_with_the_files(folder):
    found = rows.read_rows(folder)
    paths = catalogue.rate_figure(found).write(folder)
    assert figures.read_caption(paths[2]) == catalogue.rate_figure(found).caption
    markdown = catalogue.rate_table(found).write(folder)[0].read_text()
    assert markdown.strip().endswith(catalogue.rate_table(found).caption)


def test_rows_without_settings_are_compared_with_the_best(folder):
    (folder / "environment.json").unlink()
    sections = report.from_rows(rows.read_rows(folder), {})
    shown = next(shown for title, _, shown in sections if title == "Differences between codecs")
    assert "Differences to lhic-x" in shown[0].caption


def test_the_report_says_where_its_rows_come_from(folder):
    text = report.provenance_text(rows.read_rows(folder), folder / "rows")
    assert "`rows`, SHA-256" in text and "c0ffee" in text and "not found here" in text


def test_no_rows_no_report(tmp_path):
    with pytest.raises(DatasetError, match="expected Parquet files of result rows, found none"):
        report.build_from(tmp_path)
    stored(tmp_path, [row("x", "a", None, error="broken")])
    with pytest.raises(DatasetError, match="expected a codec that coded every cube, found none"):
        report.build_from(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_notebook_shows_text_and_figures_of_the_report_in_turn(tmp_path):
    (tmp_path / "report").mkdir()
    text = '---\ntitle: "x"\n---\n\nText\n\n![a](../figures/a.pdf)  \n**Figure 1.** b\n'
    (tmp_path / "report" / "report.md").write_text(text)
    before, figure, after = report.shown(tmp_path)
    assert before.data.strip() == "Text" and after.data == "**Figure 1.** b\n"
    assert figure.path == tmp_path / "figures" / "a.png"


def test_a_report_may_be_of_the_rows_of_another_folder(folder, tmp_path):
    markdown_path, _ = report.build_from(tmp_path / "mine", folder)
    assert "| old | 6.500 |" in markdown_path.read_text() and (tmp_path / "mine" / "tables" / "bitrate.md").is_file()
    assert not (folder / "tables").exists()


def test_notebooks_read_their_own_rows_or_the_committed_ones(folder, tmp_path):
    assert report.source_of(folder) == folder
    assert report.source_of(tmp_path / "none") == REPOSITORY / "results" / "small"


def test_wins_are_of_the_best_codecs():
    import pandas as pd

    many = pd.DataFrame([row(f"c{i}", cube, i + 1.0) for i in range(12) for cube in "ab"])
    table = catalogue.win_table(many).body
    assert len(table) == 10 and table["codec"].tolist()[0] == "c0" and table.loc[0, "c1 %"] == 100.0
    assert np.isnan(table.loc[0, "c0 %"]) and tables.number(table.loc[0, "c1 %"], "c1 %") == "100.0"


def test_columns_of_a_printed_table_are_as_wide_as_what_they_hold():
    table = "| codec | encode MS/s, all cores | of 2 |\n|---|---:|---|\n| jpeg-ls-bands | 1.5 | a\\|b |\n"
    found = report.with_widths(table).split("\n")
    assert found[1] == "|----------------|---------:|-------|" and found[::2] == table.split("\n")[::2]
    assert report.with_widths("no table\n") == "no table\n"
