"""The wheel in environments of its own, without the extras: what a user of `pip install lhic` gets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.common import REPOSITORY

pytestmark = pytest.mark.slow

PINS = REPOSITORY / "constraints.txt"
CORE = {"lhic", "numpy", "numba", "llvmlite", "safetensors", "psutil", "tqdm"}
OTHERS_VARIABLES = ("PYTHON", "LHIC_", "NUMBA_", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty folder where its programs run."""

    folder: Path
    work: Path

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def install(self, *what: object) -> None:
        pip("--python", self.python, "install", "--only-binary", ":all:", *what)

    def run(self, *command: object, code: int = 0) -> str:
        """What a program of the environment prints on stdout; nothing of the checkout is on its path."""
        program, *arguments = map(str, command)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS_VARIABLES)}
        variables = {**inherited, "LHIC_CACHE": str(self.folder / "kernels")}
        command = [str(self.python.with_name(program)), *arguments]
        done = subprocess.run(command, cwd=self.work, env=variables, capture_output=True, text=True)
        assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def distributions(self) -> set[str]:
        return set(
            self.run(
                "python", "-c", "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"
            ).split()
        )

    def mebibytes(self) -> float:
        return sum(path.lstat().st_size for path in self.folder.rglob("*")) / 2**20


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"})


def new_environment(folder: Path) -> Environment:
    venv.create(folder / "environment", with_pip=False)
    (folder / "work").mkdir()
    return Environment(folder / "environment", folder / "work")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the checkout; skips, saying so, where there is no package index to install from."""
    folder = tmp_path_factory.mktemp("wheel")
    try:
        pip("download", "--no-deps", "--dest", folder / "index", "--constraint", PINS, "tqdm")
    except subprocess.CalledProcessError:
        pytest.skip("needs a package index")
    pip("wheel", "--no-deps", "--wheel-dir", folder, REPOSITORY)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Environment:
    """The wheel and what it requires, at the pinned versions."""
    environment = new_environment(tmp_path_factory.mktemp("clean"))
    environment.install("--constraint", PINS, wheel)
    return environment


def test_the_wheel_holds_the_package_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).parts[0] for name in names} == {"lhic", f"{'-'.join(wheel.stem.split('-')[:2])}.dist-info"}
    assert "lhic/py.typed" in names
    weights = {Path(name).name for name in names if name.endswith(".safetensors")}
    assert weights == {path.name for path in (REPOSITORY / "ckpt").glob("*.safetensors") if "-unseen" not in path.name}


def test_installing_brings_what_coding_needs_and_no_more(clean, capsys):
    assert clean.distributions() == CORE
    for library in ("torch", "triton", "yaml", "pandas"):
        assert "ModuleNotFoundError" in clean.run(
            "python", "-c", f"try: import {library}\nexcept ImportError as e: print(repr(e))"
        )
    with capsys.disabled():
        print(f"\ninstalled without extras: {clean.mebibytes():.0f} MiB")


@pytest.mark.parametrize("command", [("lhic",), ("python", "-m", "lhic")], ids=["lhic", "python -m lhic"])
def test_commands(clean, command):
    cube = np.arange(6 * 20 * 30, dtype="int16").reshape(6, 20, 30) // 7
    name = command[0]
    np.save(clean.work / f"{name}.npy", cube)
    assert "lossless" in clean.run(*command, "encode", f"{name}.npy", f"{name}.lhic", "--quiet")
    assert "int16 (6, 20, 30)" in clean.run(*command, "info", f"{name}.lhic")
    clean.run(*command, "decode", f"{name}.lhic", f"{name}-again.npy", "--quiet")
    assert np.array_equal(np.load(clean.work / f"{name}-again.npy"), cube)
    clean.run(*command, "verify", f"{name}.lhic", f"{name}.npy", "--quiet")
    (clean.work / f"{name}.lhic").write_bytes((clean.work / f"{name}.lhic").read_bytes()[:-9])
    clean.run(*command, "verify", f"{name}.lhic", "--quiet", code=1)
    assert "lhic-ax " in clean.run(*command, "models")


def test_codecs_of_the_study_are_left_out_of_what_can_be_explored(clean):
    """An entry point names them, for checkouts."""
    code = "from lhic.explore.coding import all_codecs; print(*all_codecs())"
    found = clean.run("python", "-c", code).split()
    assert {"lhic-ax", "ccsds123-p3"} <= set(found) and "lerc" not in found
    assert "lhic.explore" in clean.run("python", "-c", "import importlib.metadata as m; print(m.entry_points())")


def test_zarr_numcodecs_and_xarray_find_what_the_wheel_offers(wheel, tmp_path):
    """By its entry points: unpacked, it lies before the checkout on the path."""
    for library in ("zarr", "numcodecs", "xarray"):
        pytest.importorskip(library)
    zipfile.ZipFile(wheel).extractall(tmp_path / "wheel")
    code = (
        "import lhic, numcodecs, xarray, zarr.registry;"
        "print(lhic.__file__, zarr.registry.get_codec_class('lhic'), numcodecs.get_codec({'id': 'lhic'}).__class__,"
        "type(xarray.backends.list_engines()['lhic']), sep='\\n')"
    )
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "wheel")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, *found = done.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path)
    names = "zarr.LhicCodec", "numcodecs.Lhic", "xarray.LhicBackendEntrypoint"
    assert found == [f"<class 'lhic.integrations.{name}'>" for name in names]


def run_core_tests(environment: Environment, *selection: str) -> None:
    """Tests of the checkout on the installed package: they lie in a folder that holds no `lhic`."""
    shutil.copytree(REPOSITORY / "tests", environment.work / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", environment.work)
    environment.install("--constraint", PINS, "pytest", "hypothesis")
    where = environment.run("python", "-c", "import lhic; print(lhic.__file__)").strip()
    assert Path(where).is_relative_to(environment.folder)
    environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection)


def test_core_tests_pass_without_the_extras(clean):
    # max: searching for its tuned network takes a minute for each cube; bp, linerwkv: torch.
    run_core_tests(clean, "tests/golden", "tests/stream", "-k", "not bp and not max and not linerwkv")


def test_golden_streams_with_the_lowest_versions(wheel, tmp_path):
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = new_environment(tmp_path)
    environment.install(wheel, *(entry.replace(">=", "==") for entry in project["dependencies"]))
    run_core_tests(environment, "tests/golden", "-k", "lhic_ax- or raw-")
