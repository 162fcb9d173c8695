"""The study from end to end on a tiny corpus: what it writes, where, and that its notebooks show their figures."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from nbconvert import HTMLExporter

from benchmarks.measure import provenance
from benchmarks.study import notebooks, parameters, study
from lhic.errors import UsageError
from tests.common import REPOSITORY

NOTEBOOKS = parameters.notebooks_of()
COMMITTED = sorted((REPOSITORY / "results").glob("*/notebooks/*.ipynb"))
COPIED = ("lhic", "benchmarks", "ckpt", "configs", "data", "notebooks", "results", "tasks.py", ".gitignore")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


class Study(NamedTuple):
    """A study that was run by its command in a checkout of its own."""

    checkout: Path
    folder: Path
    printed: str
    opened: str


def git(checkout: Path, *words: str) -> str:
    settings = ("user.name=nobody", "user.email=nobody@example.org", "commit.gpgsign=false", "core.hooksPath=none")
    command = ["git", *(word for setting in settings for word in ("-c", setting)), *words]
    done = subprocess.run(command, cwd=checkout, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files of this checkout, committed to a repository of their own."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    copy = tmp_path_factory.mktemp("checkout")
    for name in COPIED:  # compiled kernels as well, which saves their compilation
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("local", "unfinished"))
        else:
            shutil.copy2(source, copy / name)
    git(copy, "init", "--quiet")
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "As it is")
    return copy


@pytest.fixture(scope="module")
def tiny(checkout, tmp_path_factory):
    """All notebooks, in kernels of their own, on two cubes of a few hundred samples."""
    folder = tmp_path_factory.mktemp("tiny")
    cubes, browser, opened = folder / "cubes", folder / "browser.py", folder / "opened"
    cubes.mkdir()
    ramp = np.add.outer(np.arange(5) * 40, np.add.outer(np.arange(11) * 3, np.arange(9) * 7))
    noise = np.random.default_rng(0).integers(-9, 10, ramp.shape)
    np.save(cubes / "enmap_land.npy", (ramp + noise).astype(np.int16))
    np.save(cubes / "aviris_lake.npy", (300 + noise).astype(np.int16))
    browser.write_text(f"import pathlib, sys\npathlib.Path({str(opened)!r}).write_text(sys.argv[1])\n")
    given = {
        **{"codecs": "[jpeg-ls-bands, jpeg-ls-differences, aec-bands]", "repeats": "1"},
        **{
            "slow_codecs": "[]",
            "spectral_pairs": "[[jpeg-ls-bands, jpeg-ls-differences]]",
            "bands": "[0, 4]",
            "crop": "0",
        },
        **{"water_cubes": "[lake]", "reference": "aec-bands", "depths": "[4, 8]", "growth_codecs": "[aec-bands]"},
    }
    words = [word for name, value in given.items() for word in ("--parameter", f"{name}={value}")]
    command = [sys.executable, "-m", "invoke", "study", "--dataset", "corpus", "--root", str(cubes), "--open", *words]
    environment = ENVIRONMENT | {"PYTHONPATH": str(checkout), "BROWSER": f"{sys.executable} {browser} %s"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Study(checkout, checkout / "results" / "local" / "small", done.stdout, opened.read_text())


@pytest.mark.slow
def test_study_end_to_end_on_a_tiny_corpus(tiny):
    assert "| jpeg-ls-bands |" in tiny.printed and "2 cubes" in tiny.printed
    out = tiny.folder
    assert {path.name for path in (out / "notebooks").iterdir()} == {path.name for path in NOTEBOOKS}
    assert not any("output_path" in path.read_text() for path in (out / "notebooks").iterdir())
    written = ["bitrate", "baselines", "by_sensor", "by_cube", "spectral_gain", "dataset_values", "dataset_splits"]
    for name in [*written, "param_d", "throughput_threads", "throughput_batch", "throughput_growth", "ax_exactness"]:
        assert {path.suffix for path in (out / "tables").glob(f"{name}.*")} == {".md", ".tex", ".csv"}
    for name in ("planes", "bits_by_band", "bits_map", "bitrate", "rate_speed", "by_sensor", "spectral_gain"):
        assert {path.suffix for path in (out / "figures").glob(f"{name}.*")} == {".pdf", ".svg", ".png"}
    gain = (out / "tables" / "spectral_gain.csv").read_text()
    assert ",water,aviris_lake," in gain and ",land,enmap_land," in gain
    environment = json.loads((out / "environment.json").read_text())
    assert environment["profile"] == "small" and environment["commit"] == git(tiny.checkout, "rev-parse", "HEAD")[:12]
    assert (out / "rows.csv").read_text().count("\n") == 1 + 2 * 2 * 3


@pytest.mark.slow
def test_a_study_leaves_what_is_committed_as_it_is(tiny):
    assert git(tiny.checkout, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_study_ends_by_naming_its_report_and_opens_it(tiny):
    assert tiny.printed.splitlines()[-1] == "Report: results/local/small/report/report.html"
    page = tiny.folder / "report" / "report.html"
    assert tiny.opened == page.as_uri() and "jpeg-ls-differences" in page.read_text()


@pytest.mark.slow
def test_the_report_is_of_the_study_that_was_run(tiny):
    page = (tiny.folder / "report" / "report.html").read_text()
    assert "results/local/small/rows (12)" in page and "2 cubes of corpus" in page
    assert "invoke report --profile local/small" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_write_below_results_local(path):
    assert Path(parameters.default_parameters(path)["out"]).parts[:2] == ("results", "local")


@pytest.mark.parametrize("folder", ["small", "..", "results", "results/small/tables", "/"])
def test_only_a_folder_of_results_is_committed_to(folder, monkeypatch):
    monkeypatch.setattr(study, "measure", None)
    with pytest.raises(UsageError, match="commit-to: expected a folder in results/"):
        study.run_study("small", commit_to=folder)


def test_a_study_replaces_committed_results_only_when_told_to(tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    def measure(plan):
        raise Stopped(plan.folder)

    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    monkeypatch.setattr(study, "measure", measure)
    for given, folder in (({}, "results/local/small"), ({"commit_to": "results/small"}, "results/small")):
        with pytest.raises(Stopped, match=str(tmp_path / folder)):
            study.run_study("small", **given)


def test_rows_are_marked_by_code_that_differs_and_by_nothing_else(checkout, monkeypatch):
    monkeypatch.setattr(provenance, "REPOSITORY", checkout)
    head = git(checkout, "rev-parse", "--short=12", "HEAD").strip()
    assert provenance.commit() == head
    documents = ("results/README.md", "ckpt/README.md", "notebooks/01_quickstart.ipynb", "results/small/rows.csv")
    code = ("lhic/api.py", "benchmarks/measure/rows.py", "notebooks/01_quickstart.py", "configs/lhic-ax.yml")
    code += ("notebooks/params/small.yml", "ckpt/lhic-ax.safetensors")
    for name in documents + code:
        path = checkout / name
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        try:
            assert provenance.commit() == head + ("-dirty" if name in code else ""), name
        finally:
            path.write_bytes(before)
    assert provenance.commit() == head


def figures_made(path: Path) -> int:
    """How many figures an executed notebook made: calls of functions by whose names figures are made.

    The report takes its figures from the other notebooks; those are counted by their captions.
    """
    if path.stem == "09_report":
        return (path.parents[1] / "report" / "report.html").read_text().count('<img src="data:image/svg+xml,')
    code = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    calls = [node.func for cell in code for node in ast.walk(ast.parse("".join(cell))) if isinstance(node, ast.Call)]
    names = [function.attr for function in calls if isinstance(function, ast.Attribute)]
    return sum(name.endswith("_figure") and name != "save_figure" for name in names)


def check_shows(path: Path, n_figures: int) -> None:
    text = path.read_text()
    cells = json.loads(text)["cells"]
    shown = [kind for cell in cells for output in cell.get("outputs", []) for kind in output.get("data", {})]
    assert shown.count("image/png") == n_figures, f"{path}: {shown.count('image/png')} of {n_figures} figures shown"
    assert "<Figure size" not in text
    assert len(text) < 2e6, f"{path}: {len(text):,} bytes"


@pytest.mark.slow
def test_executed_notebooks_show_every_figure_they_made(tiny):
    made = {path.stem: figures_made(tiny.folder / "notebooks" / path.name) for path in NOTEBOOKS}
    assert made["00_dataset"] == 5 and made["02_bitrate"] == 2 and made["05_param_d"] == 1 and made["09_report"] > 10
    for name, n_figures in made.items():
        check_shows(tiny.folder / "notebooks" / f"{name}.ipynb", n_figures)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_committed_notebooks_show_every_figure_they_made(path):
    check_shows(path, figures_made(path))


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    path = tmp_path_factory.mktemp("explored") / "explore.ipynb"
    given = {"crop": 8, "codecs": ["aec-bands", "lerc"]}
    notebooks.execute(notebooks.FOLDER / "explore.ipynb", path, given, progress=False)
    return path


@pytest.mark.slow
def test_a_browser_draws_the_executed_exploration_without_a_kernel(explored, browser_page, tmp_path):
    html = tmp_path / "explore.html"
    html.write_text(HTMLExporter().from_filename(str(explored))[0], encoding="utf-8")
    browser_page.goto(html.as_uri())
    browser_page.wait_for_selector(".bk-Canvas")
    (title,) = browser_page.evaluate("""() => Bokeh.documents.flatMap(each => {
        const plot = each.get_model_by_name("bits 0")
        return plot && plot.renderers[0].data_source.data.image.length ? [plot.title.text] : []
    })""")
    assert title.startswith("aec-bands: ") and title.endswith(" bits, all bands")
    assert browser_page.locator(".bk-Canvas").count() == 9


def check_drawn(page, path: Path, folder: Path) -> None:
    """Every figure of a notebook, as a page, is an image that the browser has decoded and gives room to."""
    html = folder / f"{path.stem}.html"
    html.write_text(HTMLExporter().from_filename(str(path))[0], encoding="utf-8")
    page.goto(html.as_uri())
    sizes = page.eval_on_selector_all("img", "images => images.map(each => [each.naturalWidth, each.clientWidth])")
    assert len(sizes) == figures_made(path)
    assert all(natural >= 300 and shown >= 200 for natural, shown in sizes), sizes


@pytest.mark.slow
def test_a_browser_draws_every_figure_of_an_executed_notebook(tiny, browser_page, tmp_path):
    for path in sorted((tiny.folder / "notebooks").iterdir()):
        check_drawn(browser_page, path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_browser_draws_every_figure_of_a_committed_notebook(path, browser_page, tmp_path):
    check_drawn(browser_page, path, tmp_path)
