import numpy as np
import pytest

import lhic
from lhic.data import Item, hyspecnet, open_dataset
from lhic.errors import InvalidCubeError, UsageError
from lhic.explore import cubes

CUBE = np.arange(3 * 4 * 5, dtype=">i2").reshape(3, 4, 5)


def test_files_are_told_apart_by_their_bytes(tmp_path):
    np.save(tmp_path / "cube.npy", CUBE)
    (tmp_path / "cube.npy").rename(tmp_path / "a.lhic")
    metadata = {"wavelengths": [500.0, 600.0, 700.0], "nodata": -1}
    (tmp_path / "b.npy").write_bytes(lhic.encode(CUBE, metadata=metadata))
    array = cubes.of_file(tmp_path / "a.lhic", metadata)
    stream = cubes.of_file(tmp_path / "b.npy")
    for source, name in ((array, "a.lhic"), (stream, "b.npy")):
        scene = source.open()
        cut = scene.cut((slice(None), slice(1, 3), slice(0, 2)))
        assert source.name == name and np.array_equal(cut, CUBE[:, 1:3, :2])
        assert cut.dtype == np.int16 and cut.dtype.isnative and cut.flags.c_contiguous
        assert list(scene.wavelengths) == metadata["wavelengths"] and scene.nodata == -1
    with pytest.raises(UsageError, match="expected no metadata for a stream"):
        cubes.of_file(tmp_path / "b.npy", metadata)


def test_bad_files_are_told_before_a_page_is_opened(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"not a cube")
    np.save(tmp_path / "flat.npy", CUBE[0])
    for name, error in (("x.npy", InvalidCubeError), ("flat.npy", InvalidCubeError), ("none.npy", UsageError)):
        with pytest.raises(error, match=name):
            cubes.of_file(tmp_path / name)


def test_cubes_of_datasets_know_where_the_bands_of_their_sensor_lie():
    item = open_dataset("bundled")[0]
    scene = cubes.of_item(item).open()
    assert len(scene.wavelengths) == scene.samples.shape[0] == 202 and scene.nodata == hyspecnet.NODATA
    assert "wavelengths" not in item.metadata(), "nominal ones are no metadata"
    other = Item("x", None, "EnMAP", lambda: CUBE, nominal_nm=item.nominal_nm)
    assert cubes.of_item(other).open().wavelengths is None, "of another number of bands"


def test_nominal_wavelengths_fit_the_spectrum_where_detectors_overlap():
    """Their offsets differ by 50 to 200 in the bundled patch: bands between 935 and 994 nm tell whose they are."""
    from lhic.data import enmap

    item = open_dataset("bundled")[0]
    mean = item.load().mean(axis=(1, 2))
    second = set(enmap.NOMINAL_NM[91:])
    overlap = [band for band, nm in enumerate(item.nominal_nm) if 935 < nm < 994 and band != 98]
    assert all((item.nominal_nm[band] in second) == (mean[band] > -20) for band in overlap if band < 90)
    assert np.all(np.diff(item.nominal_nm) > 0) and item.nominal_nm[43] == 641.1
