"""The codecs with other versions of zarr than the one of this environment, each in an environment of its own."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.common import REPOSITORY

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
NEWER = [f"python3.{minor}" for minor in (14, 13, 12)]
PYENV = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
LEGS = {
    "zarr-python 2": (["zarr<3", "numcodecs<0.16"], False, ["test_numcodecs.py"]),
    "the newest zarr": (["zarr>=3.2"], True, ["test_zarr.py", "test_numcodecs.py"]),
}


def newer_python() -> str:
    """One that the newest zarr runs on, which asks for 3.12; skips, saying so, where there is none."""
    if sys.version_info >= (3, 12):
        return sys.executable
    known = (path for name in NEWER for path in sorted(glob.glob(f"{PYENV}/versions/{name[6:]}*/bin/python")))
    for path in (*filter(None, map(shutil.which, NEWER)), *known):
        if subprocess.run([path, "--version"], capture_output=True).returncode == 0:  # no stand-in of pyenv
            return path
    pytest.skip(f"needs one of {', '.join(NEWER)}")


@pytest.mark.parametrize("leg", LEGS)
def test_codecs_with(leg, tmp_path):
    libraries, is_newer, files = LEGS[leg]
    python = tmp_path / "environment" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    base = newer_python() if is_newer else sys.executable
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "environment"], check=True)
    floats = PROJECT["optional-dependencies"]["floats"]
    wanted = [*PROJECT["dependencies"], *floats, *libraries, "pytest", "hypothesis", "jsonschema"]
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--only-binary", ":all:", *wanted]
    if subprocess.run(pip).returncode:
        pytest.skip("needs a package index")
    tests = [Path("tests") / "integrations" / name for name in files]
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "LHIC_CACHE": str(tmp_path / "kernels")}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
