"""``lhic compile``: a cache that later calls find everything in."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lhic
from lhic.cli import main
from lhic.families.registry import DEFAULT_MODEL

KERNELS = "*/*.kernel"


@pytest.fixture
def cube(tmp_path):
    cube = (np.arange(4 * 30 * 31) * 7919 % 500).reshape(4, 30, 31).astype("uint16")
    lhic.save_cube(tmp_path / "cube.npy", cube)
    return cube


@pytest.mark.slow
def test_nothing_is_compiled_after_lhic_compile(tmp_path, cube):
    def run(*arguments):
        environment = {**os.environ, "LHIC_CACHE": "" if "--into" in arguments else str(tmp_path / "kept")}
        command = [sys.executable, "-m", "lhic", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)

    assert "all kernels" in run("compile", "--into", "kept").stdout
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob(KERNELS)}
    assert before
    for number, model in enumerate((DEFAULT_MODEL, "lhic-bp-xs", "lhic-ax-max", "lhic-ax-turbo")):
        assert "compiling" not in run("encode", "cube.npy", f"{number}.lhic", "--model", model).stderr
        assert "compiling" not in run("decode", f"{number}.lhic", f"{number}.npy").stderr
        assert np.array_equal(lhic.load_cube(tmp_path / f"{number}.npy"), cube)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob(KERNELS)} == before


def test_a_folder_that_cannot_be_is_told_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LHIC_CACHE", "")
    (tmp_path / "file").touch()
    assert main(["compile", "--into", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
