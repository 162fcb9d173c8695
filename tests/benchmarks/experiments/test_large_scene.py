"""A scene through files, on a small one: there and back by commands, whose memory is known, and read in parts."""

import numpy as np
import pytest

from benchmarks.experiments import large_scene, windows
from lhic.errors import VerificationError
from tests.benchmarks.experiments.test_windows import patch

pytest.importorskip("rasterio")
pytest.importorskip("h5py")


def test_the_scene_is_the_patch_and_its_mirror_images(tmp_path, monkeypatch):
    monkeypatch.setattr(large_scene, "N_ROWS", 50)
    monkeypatch.setattr(large_scene, "STRIP", 16)
    monkeypatch.setattr(large_scene, "N_COLUMNS", 40)
    scene = large_scene.write_scene(patch(), tmp_path)
    assert scene.shape == (6, 50, 40)
    assert np.array_equal(scene[:, :20, :18], patch()) and np.array_equal(scene[:, 20:40, :18], patch()[:, ::-1])
    assert np.array_equal(scene[:, 40:, 18:36], patch()[:, :10, ::-1])
    large_scene.check_same(tmp_path / "scene.tif", tmp_path / "scene.tif")


@pytest.mark.slow
def test_there_and_back(tmp_path, monkeypatch):
    monkeypatch.setattr(large_scene, "N_ROWS", 48)
    monkeypatch.setattr(large_scene, "N_COLUMNS", 40)
    monkeypatch.setattr(large_scene, "STREAMS", (("lhic-ax-fast", 16),))
    monkeypatch.setattr(windows, "REPEATS", 1)
    rows = large_scene.measured(patch(), tmp_path, tmp_path / "out")
    assert [row["command"].split()[:2] for row in rows] == [["lhic", "encode"], ["lhic", "decode"]]
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 2**25 for row in rows)
    assert (tmp_path / "out" / "table.md").read_text().count("\n") == 4
    of_reads = (tmp_path / "out" / "windows" / "table.md").read_text()
    assert of_reads.count("lhic-ax-fast") == 5 and of_reads.count("COG") == of_reads.count("NetCDF") == 5


def test_what_is_not_the_same_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(large_scene, "N_ROWS", 20)
    monkeypatch.setattr(large_scene, "N_COLUMNS", 18)
    (tmp_path / "other").mkdir()
    large_scene.write_scene(patch(), tmp_path)
    large_scene.write_scene(patch() + np.int16(1), tmp_path / "other")
    with pytest.raises(VerificationError, match="expected the samples"):
        large_scene.check_same(tmp_path / "scene.tif", tmp_path / "other" / "scene.tif")
    with pytest.raises(VerificationError, match="lhic info: expected exit code 0, found 2"):
        large_scene.run(["info", "gone.lhic"], tmp_path)
