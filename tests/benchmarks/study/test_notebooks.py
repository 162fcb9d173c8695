"""The notebooks: paired, without outputs, parameters checked, and executed on a tiny cube."""

import json
import os
import shutil
import subprocess
import sys

import jupytext
import nbformat
import pytest
from jupytext.config import load_jupytext_config

from benchmarks.codecs import registry
from benchmarks.measure import provenance
from benchmarks.measure.plan import plan_from
from benchmarks.study import notebooks, parameters, study
from lhic.errors import ConfigError, LhicError, UsageError
from tests.common import REPOSITORY

NOTEBOOKS = parameters.notebooks_of()
ALL_NOTEBOOKS = parameters.notebooks_of("*")


def test_there_are_notebooks():
    numbers = [int(path.stem[:2]) for path in NOTEBOOKS]
    assert numbers == sorted(set(numbers)) and {0, 1, 2, 3, 4, 5, 6} <= set(numbers)
    assert {path.stem for path in ALL_NOTEBOOKS} - {path.stem for path in NOTEBOOKS} == {"explore"}


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_notebooks_have_no_outputs(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_stored_notebooks_are_those_of_their_scripts():
    assert notebooks.sync(check=True) == []


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: path.stem)
def test_saving_in_jupyterlab_leaves_the_script_as_it_is_and_the_pair_in_step(path, tmp_path, monkeypatch):
    """Jupytext writes the script then; by itself it would add its version and the kernel's name."""
    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook.metadata["language_info"] = {"name": "python", "version": "3.12.1", "file_extension": ".py"}
    for cell in notebook.cells:
        cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("stream", text="seen")]
    script = path.with_suffix(".py")
    settings = load_jupytext_config(str(script))  # as JupyterLab finds it
    assert jupytext.writes(notebook, fmt="py:percent", config=settings) == script.read_text(encoding="utf-8")

    shutil.copy2(script, tmp_path)
    nbformat.write(notebook, tmp_path / path.name)
    monkeypatch.setattr(parameters, "FOLDER", tmp_path)
    assert notebooks.sync(check=True) == [], "a notebook that was saved unedited is taken for another"
    assert notebooks.sync() == [tmp_path / path.name], "the outputs stay"
    assert (tmp_path / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")
    notebook.cells[1].source += "\nx = 1"
    nbformat.write(notebook, tmp_path / path.name)
    with pytest.raises(ConfigError, match=f"found others in {path.name}"):
        notebooks.sync(check=True)


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: path.stem)
def test_first_and_last_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first, last = "".join(cells[0]["source"]), "".join(cells[-1]["source"])
    for word in ("**Question.**", "**Inputs.**", "**Outputs.**", "**Run time.**"):
        assert word in first
    assert last.startswith("print(provenance.footer(seed")
    for word in ("commit: ", "weights: no learned codec", "seed: 3", "device: cpu on "):
        assert word in provenance.footer(3)


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_checked_first(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    call = f'from benchmarks.study import parameters\n\nparameters.check_cell("{path.stem}", globals())'
    assert code[1].startswith(call), "the cell after the parameters begins with the check of their values"


def written(folder, monkeypatch, text):
    """A notebook of that script."""
    (folder / "01_x.py").write_text(text)
    monkeypatch.setattr(parameters, "FOLDER", folder)
    (path,) = notebooks.sync()
    return path


def test_sync_writes_and_checks(tmp_path, monkeypatch):
    path = written(tmp_path, monkeypatch, "# %% [markdown]\n# # Hello\n\n# %%\n1 + 1\n")
    assert path.name == "01_x.ipynb" and notebooks.sync() == notebooks.sync(check=True) == []
    path.with_suffix(".py").write_text("# %%\n1 + 2\n")
    with pytest.raises(ConfigError, match=r"found others in 01_x\.ipynb"):
        notebooks.sync(check=True)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ('# %% tags=["parameters"]\na = 1\nb = a + 1\n', "01_x: parameter 'b': expected a literal"),
        ('# %% tags=["parameters"]\nimport os\n', "01_x: expected a cell tagged parameters"),
        ("# %%\na = 1\n", "01_x: expected a cell tagged parameters"),
    ],
)
def test_parameters_cells_hold_literals(tmp_path, monkeypatch, cell, message):
    path = written(tmp_path, monkeypatch, cell)
    with pytest.raises(ConfigError, match=message):
        parameters.default_parameters(path)


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
        ({"repeat": 3}, "parameter 'repeat': expected one of"),
        ({"repeats": "many"}, "02_bitrate: parameter repeats: expected a valid integer, found 'many'"),
        ({"codecs": "lerc"}, "parameter codecs: expected a valid array, found 'lerc'"),
        ({"codecs": ["lerc", "lercc"]}, r"02_bitrate: parameter codecs\.1: .*found 'lercc'"),
        ({"codecs": ["no_such_module:Codec"]}, "no_such_module"),
        ({"forms": ["measured"]}, r"forms\.0: expected 'as-measured' or 'clipped', found 'measured'"),
        ({"forms": []}, "forms: .*at least 1 item"),
        ({"repeats": 0}, "repeats: expected greater than or equal to 1, found 0"),
        ({"repeats": True}, "repeats: expected a valid integer, found True"),
        ({"device": "tpu"}, "device: expected 'auto', 'cpu' or 'cuda', found 'tpu'"),
        ({"dataset": "cifar"}, "dataset: expected one of bundled, hyspecnet-11k, corpus, found 'cifar'"),
        ({"model": "lhic-none"}, "model: expected a weights file or one of .*lhic-bp-xs.*, found 'lhic-none'"),
        ({"depths": [8, 17]}, r"depths\.1: expected less than or equal to 16, found 17"),
        ({"crop": -1}, "crop: expected greater than or equal to 0"),
        ({"spectral_pairs": [["lerc"]]}, r"spectral_pairs\.0\.1: missing key"),
        ({"timeout_s": 0.0}, "timeout_s: expected greater than or equal to 0.1"),
        ({"device": None}, "device: expected 'auto', 'cpu' or 'cuda', found None"),
        ({"repeats": "[1"}, "parameter 'repeats': expected YAML, found"),
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


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: path.stem)
def test_defaults_pass_their_own_check(path):
    assert parameters.check_parameters(path, {}) == parameters.default_parameters(path)


def test_notebooks_run_by_papermill_alone_check_their_parameters():
    """Papermill adds a cell; names it sets that the notebook does not have are met there and nowhere else."""
    namespace = {"crop": 8, "depths": [4], "In": ["", "crop = 16\ndepths = [4]\n", "# Parameters\ncrop = 8\n"]}
    parameters.check_cell("05_param_d", namespace)
    other = namespace | {"In": [*namespace["In"][:2], "# Parameters\ncrops = 8\n"]}
    with pytest.raises(ConfigError, match="05_param_d: parameter 'crops': expected one of crop, depths"):
        parameters.check_cell("05_param_d", other)
    with pytest.raises(ConfigError, match=r"05_param_d: parameter depths\.0: expected greater than or equal to 1"):
        parameters.check_cell("05_param_d", namespace | {"depths": [0]})


@pytest.mark.slow
def test_a_failing_notebook_names_its_cell(tmp_path):
    notebook = next(path for path in NOTEBOOKS if path.stem == "01_quickstart")
    target = tmp_path / "01.ipynb"
    with pytest.raises(notebooks.NotebookError, match=r"01_quickstart: cell 3: ConfigError: .*'cube_index'.*found 99$"):
        notebooks.execute(notebook, target, {"cube_index": 99, "out": str(tmp_path)}, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["01.ipynb"]
    outputs = [output for cell in json.loads(target.read_text())["cells"] for output in cell.get("outputs", [])]
    (told,) = (output["traceback"] for output in outputs if output["output_type"] == "error")
    assert len("".join(told).strip().split("\n")) <= 3, "the error, and how to see where it is from"


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
        "import sys; from pathlib import Path; from benchmarks.study import notebooks; notebooks.sync();"
        "notebooks.execute(notebooks.FOLDER / '01_where.ipynb', Path(sys.argv[1]), {}, progress=False)"
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
        part = plan.folder / "rows" / "part-00000.parquet"
        found.append(part.exists())
        part.parent.mkdir(exist_ok=True)
        part.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "measure", measure)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            study.run_study("small", overrides={"out": str(tmp_path)})
    (tmp_path / study.UNFINISHED).unlink()  # as at the end of a study
    with pytest.raises(KeyboardInterrupt):
        study.run_study("small", overrides={"out": str(tmp_path)})
    assert found == [False, True, False]


def test_executed_copies_do_not_say_where_they_were_executed(tmp_path):
    said = [
        "lhic: compiling kernels for this machine, about 10 s; kept in /home/me/cache\n" * 2,
        "lhic: warning: else\n",
    ]
    outputs = [nbformat.v4.new_output("stream", name="stderr", text=text) for text in said]
    outputs.append(nbformat.v4.new_output("stream", name="stdout", text=said[0]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=outputs)])
    notebook.metadata["papermill"] = {"input_path": "/home/me/a.ipynb", "version": "2"}
    nbformat.write(notebook, tmp_path / "a.ipynb")
    notebooks._forget_paths(tmp_path / "a.ipynb")
    found = nbformat.read(tmp_path / "a.ipynb", as_version=4)
    assert found.cells[0].outputs == outputs[1:] and found.metadata["papermill"] == {"version": "2"}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "results").glob("*/notebooks/*.ipynb")), ids=lambda p: p.stem)
def test_committed_executed_copies_name_no_folder_of_their_machine(path):
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if notebooks._tells_of_compiling(o)] and "/tmp/" not in json.dumps(outputs)
