"""The notebooks: paired, without outputs, parameters checked, and executed on a tiny cube."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from jupytext.config import load_jupytext_config

from benchmarks.codecs import registry
from benchmarks.measure.plan import plan_from
from benchmarks.study import notebooks, parameters, study
from lhic.errors import ConfigError, LhicError, UsageError
from tests.common import REPOSITORY

SCRIPTS = notebooks.scripts()
ALL_SCRIPTS = notebooks.all_scripts()


def test_there_are_notebooks():
    numbers = [int(script.stem[:2]) for script in SCRIPTS]
    assert numbers == sorted(set(numbers)) and {0, 1, 2, 3, 4, 5, 6} <= set(numbers)
    assert {script.stem for script in ALL_SCRIPTS} - {script.stem for script in SCRIPTS} == {"explore"}


@pytest.mark.parametrize("script", ALL_SCRIPTS, ids=lambda script: script.stem)
def test_stored_notebook_is_that_of_its_script_without_outputs(script):
    stored = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert stored == notebooks.paired_text(script), "run `invoke notebooks`"
    for cell in json.loads(stored)["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("script", ALL_SCRIPTS, ids=lambda script: script.stem)
def test_saving_in_jupyterlab_leaves_the_script_as_it_is(script):
    """Jupytext writes it then; by itself it would add its version and the kernel's name, and rows would be -dirty."""
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    for cell in notebook.cells:
        cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    settings = load_jupytext_config(str(script))
    assert jupytext.writes(notebook, fmt="py:percent", config=settings) == script.read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ALL_SCRIPTS, ids=lambda script: script.stem)
def test_first_and_last_cells(script):
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    first, last = "".join(cells[0]["source"]), "".join(cells[-1]["source"])
    for word in ("**Question.**", "**Inputs.**", "**Outputs.**", "**Run time.**"):
        assert word in first
    for word in ("commit:", "weights:", "seed:", "device:"):
        assert word in last


@pytest.mark.parametrize("script", ALL_SCRIPTS, ids=lambda script: script.stem)
def test_parameters_are_checked_first(script):
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    call = f'from benchmarks.study import parameters\n\nparameters.check_cell("{script.stem}", globals())'
    assert code[1].startswith(call), "the cell after the parameters begins with the check of their values"


def test_sync_writes_and_checks(tmp_path, monkeypatch):
    script = tmp_path / "01_x.py"
    script.write_text("# %% [markdown]\n# # Hello\n\n# %%\n1 + 1\n")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    with pytest.raises(ConfigError, match=r"01_x\.ipynb"):
        notebooks.sync(check=True)
    assert notebooks.sync() == [tmp_path / "01_x.ipynb"]
    assert notebooks.sync() == [] and notebooks.sync(check=True) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a = 1\nb = a + 1", "literal"),
        ("import os", "assignments"),
        ("a = b = 1", "assignments"),
    ],
)
def test_parameters_cells_hold_literals_only(tmp_path, cell, message):
    script = tmp_path / "01_x.py"
    script.write_text(f'# %% tags=["parameters"]\n{cell}\n')
    with pytest.raises(ConfigError, match=message):
        parameters.default_parameters(script)


def test_a_notebook_without_parameters_cell_is_an_error(tmp_path):
    script = tmp_path / "01_x.py"
    script.write_text("# %%\na = 1\n")
    with pytest.raises(ConfigError, match="found 0"):
        parameters.default_parameters(script)


@pytest.mark.parametrize("profile", study.PROFILES)
def test_profiles_name_known_parameters_and_codecs(profile):
    resolved = study.resolve_parameters(study.load_profile(profile), {"out": f"results/{profile}"})
    for name in ("02_bitrate", "03_baselines"):
        plan = plan_from(resolved[name])
        for form in plan.forms:
            for codec in plan.codecs_for(form):
                registry.find(codec)  # raises for an unknown name
    pairs = resolved["03_baselines"]["spectral_pairs"]
    assert {codec for pair in pairs for codec in pair} <= set(resolved["03_baselines"]["codecs"])
    assert resolved["03_baselines"]["reference"] in resolved["03_baselines"]["codecs"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"repeat": 3}, "expected one of"),
        ({"repeats": "many"}, "expected int"),
        ({"codecs": "lerc"}, "expected list"),
        ({"codecs": ["lerc", "lercc"]}, "02_bitrate: parameter 'codecs': .*found 'lercc'"),
        ({"codecs": ["no_such_module:Codec"]}, "no_such_module"),
        ({"forms": ["measured"]}, "as-measured, clipped"),
        ({"forms": []}, "a list of 1"),
        ({"repeats": 0}, "at least 1"),
        ({"repeats": True}, "expected int"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"dataset": "cifar"}, "bundled, hyspecnet-11k, corpus, found 'cifar'"),
        ({"model": "lhic-none"}, "lhic-bp-xs"),
        ({"depths": [8, 17]}, r"1\.\.16, found \[8, 17\]"),
        ({"crop": -1}, "at least 0"),
        ({"spectral_pairs": [["lerc"]]}, "a list of 2 to 2"),
        ({"timeout_s": 0.0}, "at least 0.1"),
        ({"device": None}, "auto, cpu, cuda"),
        (
            {"codecs": ["lerc"], "slow_codecs": []},
            "'reference': expected one of the codecs, lerc, found 'ccsds123-best'",
        ),
    ],
)
def test_wrong_parameters_are_errors_before_any_work(tmp_path, overrides, message):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=message):
        study.run_study("small", overrides={"out": str(out), **overrides})
    assert not out.exists()


def test_wrong_profile_dataset_and_notebook_names(tmp_path):
    with pytest.raises(UsageError, match="small, medium, full"):
        study.run_study("huge")
    with pytest.raises(ConfigError, match="04_none"):
        study.resolve_parameters({"04_none": {}}, {})
    with pytest.raises(ConfigError, match="no_such"):
        study.resolve_parameters({"common": {"no_such": 1}}, {})
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="dataset"):
        study.run_study("small", dataset="cifar", overrides={"out": str(out)})
    assert not out.exists()


@pytest.mark.parametrize(
    "codec, message",
    [
        ("jpeg-lossy", "codec: expected the name of a codec"),
        (
            "tests.benchmarks.broken_codecs:missing",
            "codec tests.benchmarks.broken_codecs:missing: expected it to work here",
        ),
    ],
)
def test_a_codec_that_is_not_there_is_told_before_any_work(tmp_path, codec, message):
    out = tmp_path / "out"
    with pytest.raises(LhicError, match=message):
        study.run_study("small", overrides={"out": str(out), "codecs": ["aec-bands", codec], "reference": "aec-bands"})
    assert not out.exists()


@pytest.mark.parametrize("script", ALL_SCRIPTS, ids=lambda script: script.stem)
def test_defaults_pass_their_own_check(script):
    defaults = parameters.default_parameters(script)
    assert parameters.check_parameters(script, {}) == defaults


def test_notebooks_run_by_papermill_alone_check_their_parameters():
    """Papermill adds a cell; names it sets that the notebook does not have are met there and nowhere else."""
    namespace = parameters.default_parameters(notebooks.FOLDER / "05_param_d.py")
    parameters.check_cell("05_param_d", namespace | {"In": ["", "# Parameters\ncrop = 8\n"], "crop": 8})
    with pytest.raises(ConfigError, match="05_param_d: parameter 'crops': expected one of"):
        parameters.check_cell("05_param_d", namespace | {"In": ["", "# Parameters\ncrops = 8\n"], "crops": 8})
    with pytest.raises(ConfigError, match="05_param_d: parameter 'depths'"):
        parameters.check_cell("05_param_d", namespace | {"depths": [0]})


@pytest.mark.slow
def test_a_failing_notebook_names_its_cell(tmp_path):
    script = next(script for script in SCRIPTS if script.stem == "01_quickstart")
    target = tmp_path / "01.ipynb"
    with pytest.raises(notebooks.NotebookError, match=r"01_quickstart: cell .*IndexError"):
        notebooks.execute(script, target, {"cube_index": 99, "out": str(tmp_path)}, progress=False)
    assert target.exists() and not list(Path(tmp_path).glob("*.input.ipynb"))


COPIED = ("lhic", "benchmarks", "ckpt", "data", "notebooks")
LOCATE = """
# %% tags=["parameters"]
out = "."
# %%
import benchmarks, lhic
from benchmarks.study import parameters
parameters.check_cell("01_where", globals())
print(benchmarks.__file__, lhic.__file__)
"""


@pytest.fixture
def second_checkout(tmp_path):
    """Another checkout of the repository, whose only notebook prints where its modules are from."""
    second = tmp_path / "second"
    for name in COPIED:
        ignore = shutil.ignore_patterns("__pycache__", "*.py" if name == "notebooks" else "*.pyc")
        shutil.copytree(REPOSITORY / name, second / name, ignore=ignore)
    (second / "notebooks" / "01_where.py").write_text(LOCATE)
    return second


@pytest.mark.slow
def test_notebooks_import_the_checkout_they_are_started_in(second_checkout, tmp_path):
    """Whichever one is installed."""
    code = (
        "import sys; from pathlib import Path; from benchmarks.study import notebooks;"
        "notebooks.execute(notebooks.FOLDER / '01_where.py', Path(sys.argv[1]), {}, progress=False)"
    )
    for given in ({}, {"PYTHONPATH": str(REPOSITORY)}):
        target = tmp_path / f"out{len(given)}.ipynb"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | given
        # -c puts the folder it is run in before PYTHONPATH.
        command = [sys.executable, "-c", code, target]
        done = subprocess.run(command, cwd=second_checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        cells = json.loads(target.read_text())["cells"]
        printed = "".join(line for output in cells[-1]["outputs"] for line in output["text"])
        assert str(second_checkout / "benchmarks") in printed and str(second_checkout / "lhic") in printed


def test_a_notebook_that_imports_another_checkout_is_refused(second_checkout, monkeypatch):
    monkeypatch.chdir(second_checkout / "notebooks")
    with pytest.raises(ConfigError, match=rf"01_where: expected the modules of {second_checkout}, found those of"):
        parameters.check_cell("01_where", {})


def test_a_stopped_study_keeps_its_rows_and_a_finished_one_begins_anew(tmp_path, monkeypatch):
    found = []

    def measure(plan):
        rows = plan.folder / "rows.csv"
        found.append(rows.exists())
        rows.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "measure", measure)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            study.run_study("small", overrides={"out": str(tmp_path)})
    (tmp_path / study.UNFINISHED).unlink()  # as at the end of a study
    with pytest.raises(KeyboardInterrupt):
        study.run_study("small", overrides={"out": str(tmp_path)})
    assert found == [False, True, False]
