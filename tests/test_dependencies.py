"""pyproject.toml, environment.yml, constraints.txt and bootstrap.py must tell the same story."""

import importlib.metadata
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.common import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
EVERYTHING = ("study", "gpu", "test")  # what bootstrap.py and environment.yml install
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright"}
COMES_WITH_TORCH = {"triton"}  # of conda's pytorch, where there is a triton at all
OPTIONAL = ("torch", "triton", "yaml", "matplotlib", "pandas", "panel", "bokeh")
OPTIONAL += ("tifffile", "imagecodecs", "rasterio", "h5py", "netCDF4", "scipy", "zarr")


def required(entries: list[str]) -> dict[str, SpecifierSet]:
    """Name -> bounds, with extras that name other extras of this project resolved."""
    found = {}
    for requirement in map(Requirement, entries):
        if requirement.name == PROJECT["name"]:
            for extra in requirement.extras:
                found |= required(EXTRAS[extra])
        else:
            found[canonicalize_name(requirement.name)] = requirement.specifier
    return found


def everything() -> dict[str, SpecifierSet]:
    return required(PROJECT["dependencies"] + [entry for extra in EVERYTHING for entry in EXTRAS[extra]])


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in found.items()}


def test_coding_needs_five_libraries():
    assert set(required(PROJECT["dependencies"])) == {"numpy", "numba", "safetensors", "psutil", "tqdm"}


def test_environment_yml_states_the_same_dependencies():
    stated = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    conda = required([entry for entry in stated if isinstance(entry, str) and entry != "pip"])
    conda = {CONDA_NAMES.get(name, name): bounds for name, bounds in conda.items()}
    assert conda.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert conda == {name: bounds for name, bounds in everything().items() if name not in COMES_WITH_TORCH}


def test_bootstrap_installs_everything():
    assert f"[{','.join(EVERYTHING)}]" in (REPOSITORY / "bootstrap.py").read_text()


def test_every_dependency_is_pinned():
    for name, bounds in everything().items():
        assert bounds.contains(pins()[name]), name
    assert pins()["torch"] == "2.13.0"


def test_torchac_is_only_an_extra():
    assert EXTRAS["torchac"] == ["torchac"]
    assert "torchac" not in everything()


def without(*libraries: str) -> str:
    """Python that makes libraries fail to import."""
    return f"import sys; sys.modules.update(dict.fromkeys({libraries!r}));"


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True)


def test_import_needs_neither_torch_nor_triton_nor_numba():
    """`import lhic` and reading a header must work, and quickly, on a machine without any of them."""
    code = "import lhic, lhic.cli; lhic.list_models(); lhic.cli.build_parser().format_help()"
    done = python(without(*OPTIONAL, "numba") + code)
    assert done.returncode == 0, done.stderr


def test_coding_needs_no_library_of_the_extras():
    code = (
        "import lhic, numpy, tests.golden.make as golden;"
        "stream = (golden.FOLDER / 'lhic_ax' / 'land_uint16.lhic').read_bytes();"
        "cube, options = golden.cubes()['land_uint16'];"
        "assert numpy.array_equal(lhic.decode(stream), cube);"
        "assert lhic.encode(cube, device='auto', **options) == stream"
    )
    done = python(without(*OPTIONAL) + code)
    assert done.returncode == 0, done.stderr


CALLS = {
    "bp": ["encode", "cube.npy", "--model", "lhic-bp-xs", "out"],
    "gpu": ["encode", "cube.npy", "--device", "cuda", "out"],
    "formats": ["preview", "stream.lhic", "out.png"],
    "train": ["train", "configs/lhic-ax.yml", "--out", "out"],
    "study": ["explore", "cube.npy", "--no-browser"],
}


@pytest.mark.parametrize("extra", CALLS)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(extra, tmp_path):
    np.save(tmp_path / "cube.npy", np.arange(60, dtype="int16").reshape(3, 4, 5))
    shutil.copy(REPOSITORY / "tests" / "golden" / "raw" / "land_uint16.lhic", tmp_path / "stream.lhic")
    known = {"cube.npy", "stream.lhic", "out", "out.png"}
    arguments = [str(tmp_path / part) if part in known else part for part in CALLS[extra]]
    done = python(without(*OPTIONAL) + "from lhic.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)
    assert done.returncode == 1 and not (tmp_path / "out").exists() and not (tmp_path / "out.png").exists()
    assert done.stderr.count("\n") == 1 and f"pip install 'lhic[{extra}]'" in done.stderr, done.stderr


def test_every_installed_pin_runs_on_the_oldest_python_we_support():
    """Some packages ask for a patch level, and such a pin breaks the installation on 3.11.0 .. 3.11.4."""
    oldest = PROJECT["requires-python"].removeprefix(">=")
    for name in pins():
        try:
            needed = importlib.metadata.metadata(name).get("Requires-Python")
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python version
        assert needed is None or SpecifierSet(needed).contains(f"{oldest}.2"), f"{name} needs Python {needed}"
