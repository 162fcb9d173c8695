import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.measure import gpu
from lhic.errors import VerificationError
from tests.common import REPOSITORY


@pytest.fixture
def cube():
    return np.random.default_rng(0).integers(0, 500, (3, 6, 8), dtype=np.int16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_line():
    done = subprocess.run([sys.executable, "-m", "invoke", "bench-gpu"], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: bench-gpu: expected a CUDA device that torch can use, found none\n"


def test_rows_are_added(cube, tmp_path):
    for batches in ([1, 2], [3]):
        table = gpu.measure("lhic-ax-fast", cube, batches, 1, "cpu", tmp_path)
        assert table["tiles"].tolist() == batches
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert rows["samples"].tolist() == [n * cube.size for n in (1, 2, 3)]
    assert np.allclose(rows["decode MS/s"], rows["samples"] / rows["decode_s"] / 1e6)
    assert (rows["gpu"] == "cpu").all() and rows.notna().all(axis=None)
    gpu.measure("lhic-ax-fast", cube, [2], 1, "cpu", tmp_path)
    shown = gpu.committed(tmp_path)
    assert shown["tiles"].tolist() == ["1", "2", "3"] and len(pd.read_csv(tmp_path / "rows.csv")) == 4
    assert gpu.committed(tmp_path / "none").empty
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.parquet"]


def test_kernels_are_those_that_take_most():
    found = gpu.top_kernels(lambda: torch.ones(300, 300) @ torch.ones(300, 300), "cpu")
    assert any("mm" in line["kernel"] for line in found)
    assert [line["total_ms"] for line in found] == sorted((line["total_ms"] for line in found), reverse=True)
    assert sum(line["share"] for line in found) == pytest.approx(1)


def test_another_stream_than_the_cpus_is_not_timed(cube, tmp_path, monkeypatch):
    load = gpu.lhic.load_model

    def other(model, device):
        return load("lhic-ax" if device == "cpu" else model, "cpu")

    monkeypatch.setattr(gpu.lhic, "load_model", other)
    monkeypatch.setattr(gpu, "describe", lambda device: dict.fromkeys(("date", "commit", "gpu"), ""))
    with pytest.raises(VerificationError, match="streams of a batch of 1 on cuda differ from the CPU's"):
        gpu.measure("lhic-ax-fast", cube, [1], 1, "cuda", tmp_path)
