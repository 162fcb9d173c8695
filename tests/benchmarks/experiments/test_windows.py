"""Reads of parts of a scene, from every kind of file, on a small one."""

import numpy as np
import pytest

from benchmarks.experiments import windows


def patch() -> np.ndarray:
    band, row, column = np.ogrid[0:6, 0:20, 0:18]
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 28
    return (300 + 40 * band + 9 * row + 5 * column + noise).astype("int16")


def test_every_file_gives_every_part_back(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setattr(windows, "STREAMS", (("lhic-ax-fast", 8),))
    monkeypatch.setattr(windows, "REPEATS", 2)
    scene = np.tile(patch(), (1, 2, 2))
    rows = windows.measured(scene, windows.files(scene, tmp_path), tmp_path / "out")
    assert len(rows) == 3 * 5 and {row["read"] for row in rows} >= {"spectrum", "band 3"}
    of_stream = {row["read"]: row["bytes_read"] for row in rows if row["file"].startswith("lhic")}
    of_netcdf = {row["read"]: row["bytes_read"] for row in rows if row["file"].startswith("NetCDF")}
    assert of_stream["spectrum"] < of_netcdf["spectrum"]
    assert all(row["bytes_read"] > 0 and row["ms"] > 0 for row in rows)
    assert (tmp_path / "out" / "table.md").read_text().count("\n") == 2 + len(rows)


def test_indices_stay_inside():
    rng = np.random.default_rng(0)
    for keys in windows.keys_of((10, 64, 200), rng).values():
        for key in keys:
            assert np.empty((10, 64, 200))[key].size
