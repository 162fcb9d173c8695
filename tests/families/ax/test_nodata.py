"""Nodata of the metadata comes back exactly whatever the bound, and no other sample becomes it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lhic
from lhic.errors import UsageError
from lhic.families.ax.planes.tile import check_nodata, join_tile, read_side, split_tile


def coded(tile: np.ndarray, max_error: int, nodata: int) -> np.ndarray:
    """The tile as a decoder gets it back, once its nodata is known to be kept."""
    planes, side = split_tile(tile, max_error, nodata)
    again = join_tile(read_side(side, tile.shape, tile.dtype, max_error), planes.values)
    check_nodata(tile, again, nodata, max_error)
    assert np.array_equal(again == nodata, tile == nodata)
    assert np.abs(again.astype(np.int64) - tile).max() <= max_error
    return again


def scene(low: int, high: int, shape=(4, 12, 13)) -> np.ndarray:
    return np.random.default_rng(1).integers(low, high, shape, dtype="int16")


@pytest.mark.parametrize("max_error", [1, 2, 7, 300])
@pytest.mark.parametrize("nodata,low,high", [(0, 1, 9), (0, -40, 0), (-9, -8, 500), (-32768, -32766, 9), (10, -9, 10)])
def test_nodata_at_an_end_of_the_values_however_near(nodata, low, high, max_error):
    tile = scene(low, high)
    tile[np.random.default_rng(2).random(tile.shape) < 0.2] = nodata  # in any band on its own
    coded(tile, max_error, nodata)


@pytest.mark.parametrize("max_error", [1, 7])
def test_nodata_between_the_values_in_pixels_that_have_it_in_every_band(max_error):
    tile = scene(100, 900)
    tile[:, :3, :5] = tile[:, 7, 7:9] = -9
    tile[:, 5:] -= 1000  # on both sides of it, none within a cell
    coded(tile, max_error, -9)
    one = np.arange(-20, 22, dtype="int16").reshape(1, 6, 7)
    coded(np.where(one % 2 == 0, one, 21), 0, 4)


def test_nodata_that_has_a_cell_of_its_own():
    tile = scene(100, 900)
    tile[:, 5:] -= 1000
    tile[1, 2, 3] = 0  # the middle of its cell, whatever the bound
    coded(tile, 7, 0)
    with pytest.raises(UsageError, match=r"expected nodata -9 outside .* among those of band 1 \(-8.. \.\. 8..\)"):
        tile[1, 2, 3] = -9
        coded(tile, 7, -9)


def test_without_a_bound_nothing_changes():
    tile = scene(-5, 5)
    assert split_tile(tile, 0, 0)[1] == split_tile(tile)[1]
    assert np.array_equal(coded(tile, 0, 0), tile)


@given(st.data())
def test_any_tile_is_kept_or_refused(data):
    values = st.integers(-12, 12)
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)))
    tile = np.array(data.draw(st.lists(values, min_size=80, max_size=80))[: np.prod(shape)], "int8").reshape(shape)
    nodata, max_error = data.draw(values), data.draw(st.integers(1, 9))
    try:
        coded(tile, max_error, nodata)
    except UsageError:
        inside = (tile.min(axis=(1, 2)) < nodata) & (tile.max(axis=(1, 2)) > nodata)
        assert inside.any(), "refused although it is at an end of every band"


def test_dark_samples_next_to_nodata_do_not_become_it():
    """Through the whole codec, nodata in the metadata or as an argument."""
    rng = np.random.default_rng(0)
    cube = rng.poisson(3, (6, 20, 30)).astype("uint16")
    cube[:, :4] = 0
    with_nodata = [lhic.encode(cube, max_error=2, **more) for more in ({"nodata": 0}, {"metadata": {"nodata": 0}})]
    assert with_nodata[0] == with_nodata[1] != lhic.encode(cube, max_error=2)
    again = lhic.decode(with_nodata[0])
    assert np.array_equal(again == 0, cube == 0) and (again.astype(int) - cube).max() <= 2
    assert lhic.inspect(with_nodata[0])["metadata"] == {"nodata": 0}
    for other in ({"nodata": -1}, {"nodata": 2.5}, {"nodata": 70_000}):  # no sample can have it
        assert np.abs(lhic.decode(lhic.encode(cube, max_error=2, metadata=other)).astype(int) - cube).max() <= 2


def test_nodata_among_the_values_is_refused_and_leaves_nothing(tmp_path):
    cube = np.arange(6 * 20 * 30, dtype="int16").reshape(6, 20, 30) % 143 - 70
    np.save(tmp_path / "cube.npy", cube)
    with pytest.raises(UsageError, match=r"cube\.npy: max_error 2: expected nodata -9 outside the values"):
        lhic.encode_file(tmp_path / "cube.npy", tmp_path / "cube.lhic", nodata=-9, max_error=2)
    assert [path.name for path in tmp_path.iterdir()] == ["cube.npy"]
    assert np.array_equal(lhic.decode(lhic.encode(cube, nodata=-9)), cube)
