"""The report: numbered exhibits that name their rows, code and cubes, on one page for screen, phone and paper."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmarks.exhibits import catalogue, cost, figures, seen, tables
from benchmarks.measure import rows
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.study import report
from benchmarks.study.report import answers, page, sections
from lhic.errors import DatasetError
from tests.benchmarks.exhibits.test_tables import row, stored

TILES = [f"ENMAP01-____L2A-DT{i}-Y0_X{i}" for i in range(5)]
WEIGHTS = "ab" * 32
SETTINGS = {
    "02_bitrate": {"forms": ["as-measured"]},
    "03_baselines": {"forms": ["as-measured"], "reference": "old", "spectral_pairs": [["old", "lhic-ax"]]}
    | {"water_cubes": ["DT0"]},
}
A4_WIDTH = round((210 - 2 * 14) / 25.4 * 96)  # pixels between the margins of a printed page


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Results of three codecs on five patches of five tiles and one airborne cube, a part of them training data."""
    found = []
    for i, cube in enumerate([*TILES, "abu"]):
        about = {"cube_sha256": str(i), "sensor": "AVIRIS" if cube == "abu" else "EnMAP", "libraries": "{}"}
        about |= {"commit": "c0ffee", "date": f"2026-01-0{i + 1}"}
        found += [row("old", cube, 4.0 + i, **about), row("lhic-ax", cube, 3.0 + i, weights_hash=WEIGHTS, **about)]
        found.append(row("ccsds123-best", cube, 4.0 + 1.2 * i, **about))
    stored(tmp_path, [*found, row("broken", "abu", None, error="Error: <b> | no", cube_sha256="5")])
    (tmp_path / "rows.csv").touch()
    (tmp_path / "environment.json").write_text(json.dumps({"parameters": SETTINGS, "commit": "decaf"}))
    monkeypatch.setattr(seen, "training_cubes", lambda: {WEIGHTS: frozenset("5")})
    return tmp_path


def text_of(html: str) -> str:
    """What is read on a page, between tags, in one line."""
    body = re.sub(r"<(script|style).*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.mark.slow
def test_report_has_what_the_study_promises(folder, monkeypatch):
    monkeypatch.setattr(cost, "MIN_CUBES", len(TILES))
    # What notebooks left: one figure with a caption, which is collected, and one without, which is not.
    with figures.style():
        drawn = Figure(figsize=(2, 1))
        other = Figure(figsize=(2, 2))
    figures.save_figure(drawn, folder / "figures", "planes", "Two planes of 1 cube.")
    figures.save_figure(drawn, folder / "figures", "bits_map")
    figures.save_figure(other, folder / "figures", "param_d", "Depths of 1 cube.")  # also a word of 01_quickstart
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "05_param_d.ipynb").write_text("{}")
    collected = report.collect(folder)
    html = report.write(collected).read_text()
    text = text_of(html)

    for kind in ("Table", "Figure"):
        found = [int(number) for number in re.findall(rf"<b>{kind} (\d+)\.</b>", html)]
        assert found == list(range(1, len(found) + 1)) and len(found) >= 5
    titles = "Rate and speed|Unseen cubes|Differences between|By sensor and tile|Spectral|Cost|What did not work"
    for title in titles.split("|"):
        assert re.search(rf"<h2>\d+\. .*{title}", html), title
    assert "Two planes of 1 cube." in html and "bits_map" not in html
    shown = {one.name: one for section in collected.sections for one in section.shown if not one.is_table}
    assert ("05_param_d.ipynb", "../notebooks/05_param_d.ipynb") in [
        (one.text, one.href) for one in shown["param_d"].links
    ]
    assert "commit decaf" in text and "commit c0ffee" in text

    assert "† 1 of 6 cubes were training data of lhic-ax." in text
    assert "none of the cubes was" not in text, "what holds of all that is not marked is said once"
    for table, cells in ((1, ["lhic-ax †", "5.500"]), (2, ["lhic-ax", "5.000"])):
        of_table = text_of(html.split(f"<b>Table {table}.</b>")[1].split("</table>")[0])
        assert " ".join(cells) in of_table
    assert text.count("Machine: ") == 1

    assert not re.search(r"(src|href)=.?https?:", html), "one file, nothing to fetch"
    assert "<b> | no" not in html and "&lt;b&gt;" in html
    links = {link.href for section in collected.sections for one in section.shown for link in one.links if link.href}
    assert links and all((folder / "report" / name).resolve().is_file() for name in links)

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    report.write(report.collect(folder))
    assert {path: path.read_bytes() for path in before} == before, "the same rows give the same files"


def test_key_numbers_are_those_of_the_rows(folder):
    found = seen.noted(rows.read_rows(folder))
    numbers = {number.name: number for number in answers.key_numbers(found, folder, folder)}
    rate = np.arange(6) + 3.0
    fewer = 100 * (1 - rate / (4 + 1.2 * np.arange(6)))
    assert numbers["bits per sample"].value == f"{rate.mean():.3f}†"
    saved = next(number for name, number in numbers.items() if name.startswith("fewer bits than ccsds123-best"))
    assert saved.value == f"{fewer.mean():.1f} %†"
    low, high = map(float, re.fullmatch(r"95 % interval (-?[\d.]+) to (-?[\d.]+) %", saved.about).groups())
    assert fewer.min() - 15 < low < fewer.mean() < high < fewer.max() + 15
    assert numbers["cubes"].value == "6" and "2 sensors, 3 codecs, 19 rows" in numbers["cubes"].about
    assert numbers["machine"].value == "chip, 2 cores"


@pytest.mark.parametrize("profile", ["small", "medium"])
def test_key_numbers_of_committed_reports_are_those_of_their_rows(profile):
    folder = REPOSITORY / "results" / profile
    found = pd.read_csv(folder / "rows.csv")
    text = text_of((folder / "report" / "report.html").read_text())
    model = "lhic-ax-unseen" if "lhic-ax-unseen" in set(found["codec"]) else "lhic-ax"
    rates = found.pivot_table(index=["form", "cube"], columns="codec", values="bps")[[model, "ccsds123-best"]]
    mark = "†" if model == "lhic-ax" else ""
    means = " / ".join(f"{mean:.3f}" for mean in rates[model].groupby("form").mean())
    fewer = 100 * (1 - rates[model] / rates["ccsds123-best"])
    saved = " / ".join(f"{mean:.1f}" for mean in fewer.groupby("form").mean())
    assert f"{means}{mark} bits per sample" in text and f"{saved} %{mark} fewer bits than ccsds123-best" in text
    timed = pd.read_csv(folder / "tables" / "throughput_threads.csv").query("codec == @model").set_index("threads")
    measured = seen.noted(rows.read_rows(folder)).query("form == 'as-measured'")
    of_rows = tables.rate_table(measured).set_index("codec").loc[f"{model} {mark}".strip()]
    for threads, all_cores, words in ((1, "", "one thread"), (2, ", all cores", "2 cores")):
        speeds = of_rows.reindex([f"encode MS/s{all_cores}", f"decode MS/s{all_cores}"])
        if speeds.isna().any():
            speeds = timed.loc[threads, ["encode MS/s", "decode MS/s"]]
        assert f"{' / '.join(f'{speed:.2f}' for speed in speeds)} MS/s on {words}" in text
    assert f" {found['cube'].nunique()} cube" in text
    (machine,) = found["machine"].unique()
    assert f"{machine}, 2 cores machine" in text


def test_every_section_of_committed_reports_has_an_answer():
    for profile in ("small", "medium"):
        html = (REPOSITORY / "results" / profile / "report" / "report.html").read_text()
        n_sections = len(re.findall(r"<h2>\d+\. ", html))
        assert html.count('<p class="answer">') == n_sections >= 8, profile


def test_few_cubes_are_not_extrapolated_to_a_dataset(folder, monkeypatch):
    def titles():
        return [section.title for section in sections.from_rows(seen.noted(rows.read_rows(folder)), SETTINGS)]

    assert "Cost of HySpecNet-11k" not in titles()
    monkeypatch.setattr(cost, "MIN_CUBES", len(TILES))
    assert "Cost of HySpecNet-11k" in titles()
    monkeypatch.setattr(cost, "MIN_CUBES", len(TILES) + 1)
    assert "Cost of HySpecNet-11k" not in titles(), "the airborne cube says nothing of EnMAP's"


def test_every_exhibit_says_how_many_cubes_it_has(folder):
    found = seen.noted(rows.read_rows(folder))
    for section in sections.from_rows(found, SETTINGS):
        assert section.answer, section.title
        for exhibit in section.exhibits:
            assert re.search(r"\d+ (cubes?|measured)\b", exhibit.caption), exhibit.name
            assert len(exhibit.caption) < 160, exhibit.caption
            module, function = exhibit.code.rsplit(".", 1)
            assert hasattr(__import__(module.split(", ")[-1], fromlist=["x"]), function), exhibit.code


def test_captions_travel_with_the_files(folder):
    found = rows.read_rows(folder)
    paths = catalogue.rate_figure(found).write(folder)
    assert figures.read_caption(paths[2]) == catalogue.rate_figure(found).full_caption
    written, caption = tables.read_table(catalogue.rate_table(found).write(folder)[0])
    assert caption == catalogue.rate_table(found).full_caption
    assert written.equals(tables.cells(catalogue.rate_table(found).body).astype(str))


def test_rows_without_settings_are_compared_with_the_best(folder):
    found = sections.from_rows(rows.read_rows(folder), {})
    section = next(section for section in found if section.title == "Differences between codecs")
    assert "Differences to lhic-ax" in section.exhibits[0].caption


def test_the_report_says_where_its_rows_come_from(folder):
    entries = sections.provenance(rows.read_rows(folder), folder)
    assert "rows (19), SHA-256" in entries["rows"] and entries["measured with commit"] == "c0ffee"
    assert "not found here" in entries["weights"]


def test_no_rows_no_report(tmp_path):
    with pytest.raises(DatasetError, match="expected Parquet files of result rows, found none"):
        report.collect(tmp_path)
    stored(tmp_path, [row("x", "a", None, error="broken")])
    with pytest.raises(DatasetError, match="expected a codec that coded every cube, found none"):
        report.collect(tmp_path)
    assert not (tmp_path / "report").exists()


def test_a_notebook_shows_what_the_page_shows(folder):
    collected = report.collect(folder)
    parts = list(report.displayed(collected))
    n_shown = sum(len(section.shown) for section in collected.sections)
    assert sum(not hasattr(part, "data") or isinstance(part, pd.DataFrame) for part in parts) == n_shown
    assert all(part.path.is_file() for part in parts if isinstance(part, figures.StoredFigure))


def test_a_report_may_be_of_the_rows_of_another_folder(folder, tmp_path):
    collected = report.collect(tmp_path / "mine", folder)
    assert "6.500" in report.write(collected).read_text() and (tmp_path / "mine" / "tables" / "bitrate.md").is_file()
    assert not (folder / "tables").exists()
    assert {"../../rows.csv"} == {one.links[0].href for section in collected.sections for one in section.shown}


def test_notebooks_read_their_own_rows_or_the_committed_ones(folder, tmp_path):
    assert report.source_of(folder) == folder
    assert report.source_of(tmp_path / "none") == REPOSITORY / "results" / "small"


def test_wins_are_of_the_best_codecs():
    many = pd.DataFrame([row(f"c{i}", cube, i + 1.0) for i in range(12) for cube in "ab"])
    table = catalogue.win_table(many).body
    assert len(table) == 10 and table["codec"].tolist()[0] == "c0" and table.loc[0, "c1 %"] == 100.0
    assert np.isnan(table.loc[0, "c0 %"]) and tables.number(table.loc[0, "c1 %"], "c1 %") == "100.0"


def test_cubes_that_short_names_would_not_tell_apart_keep_their_own():
    alike = pd.DataFrame({"cube": ["enmap_a", "a"], "sensor": "EnMAP"})
    assert page.short_names(alike) == {"enmap_a": "enmap_a", "a": "a"}
    assert page.short_names(alike[:1]) == {"enmap_a": "EnMAP a"}


COMMITTED = sorted((REPOSITORY / "results").glob("*/report/report.html"))


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parts[-3])
class TestPage:
    """The committed reports, in a browser without a network."""

    @pytest.fixture
    def opened(self, browser_page, path):
        problems = []
        browser_page.on("pageerror", lambda error: problems.append(str(error)))
        browser_page.set_viewport_size({"width": 1280, "height": 900})
        browser_page.emulate_media(media="screen")
        browser_page.goto(path.as_uri())
        browser_page.wait_for_selector("body.ready")
        yield browser_page
        assert not problems

    def test_is_one_small_file(self, path):
        assert path.stat().st_size < 5e6

    def test_draws_its_figures_and_makes_its_tables_sortable(self, opened, path):
        html = path.read_text()
        sizes = opened.eval_on_selector_all("img", "all => all.map(each => [each.naturalWidth, each.clientWidth])")
        assert len(sizes) == len(re.findall(r"<b>Figure \d+\.</b>", html)) >= 3
        assert all(natural > 0 and 400 < shown <= 1037 for natural, shown in sizes), sizes
        assert opened.locator("table.dataTable").count() == html.count("<table ")

    @pytest.mark.parametrize(("width", "media"), [(1280, "screen"), (390, "screen"), (A4_WIDTH, "print")])
    def test_fits_the_desktop_the_phone_and_the_paper(self, opened, width, media):
        opened.emulate_media(media=media)
        opened.set_viewport_size({"width": width, "height": 900})
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        if media == "print":  # what is too wide there cannot be scrolled to
            wide = "all => all.filter(each => each.getBoundingClientRect().right > innerWidth + 1).length"
            assert opened.eval_on_selector_all("table, img, p, li", wide) == 0

    def test_has_letters_that_can_be_read_on_a_phone(self, opened):
        opened.set_viewport_size({"width": 390, "height": 844})
        sizes = (
            "all => all.filter(e => e.offsetParent && e.innerText).map(e => parseFloat(getComputedStyle(e).fontSize))"
        )
        assert min(opened.eval_on_selector_all("p, li, td, th, figcaption, small, dd, dt, a", sizes)) >= 12

    def test_sorts_and_searches_its_main_table(self, opened):
        table = opened.locator("figure.table table").first
        names = [name.split()[0] for name in table.locator("tbody td:first-child").all_inner_texts()]
        table.locator("thead th").nth(1).click()
        opened.wait_for_timeout(50)
        column = table.locator("tbody td:nth-child(2)").all_inner_texts()
        numbers = [float(cell) for cell in column if cell != "-"]
        assert numbers == sorted(numbers) and len(column) == len(names)
        table.locator("thead th").nth(1).click()
        opened.wait_for_timeout(50)
        column = [cell for cell in table.locator("tbody td:nth-child(2)").all_inner_texts() if cell != "-"]
        assert [float(cell) for cell in column] == sorted(numbers, reverse=True)
        opened.locator("figure.table").first.locator("input").fill("ccsds123")
        opened.wait_for_timeout(50)
        found = table.locator("tbody td:first-child").all_inner_texts()
        assert sorted(found) == sorted(name for name in names if "ccsds123" in name) and 0 < len(found) < len(names)
