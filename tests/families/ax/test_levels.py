"""Tiles to planes and back: any cube, cheap side information, damage told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from lhic.cube import DTYPES
from lhic.errors import CorruptStreamError
from lhic.families.ax.levels import levels_of
from lhic.families.ax.planes.bands import Kind
from lhic.families.ax.planes.tile import Layout, Planes, join_tile, read_side, split_tile
from lhic.stream.packed import write_packed
from tests.common import cubes_by_intent


def check(tile: np.ndarray, max_error: int = 0) -> tuple[Planes, bytes]:
    """Back within the bound, the decoder's layout equal to the encoder's, every promise about planes kept."""
    original = tile.copy()
    planes, side = split_tile(tile, max_error)
    layout = read_side(side, tile.shape, tile.dtype, max_error)
    for name in ("first", "n_levels", "table_start", "table", "mask", "band"):
        ours, theirs = getattr(planes, name), getattr(layout, name)
        assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype == (bool if name == "mask" else np.int32)
    assert np.array_equal(tile, original)

    rng = np.random.default_rng(0)
    values = np.where(planes.mask, rng.integers(-(2**15), 2**15, planes.mask.shape), planes.values).astype(np.int32)
    again = join_tile(layout, values)
    assert again.dtype == tile.dtype and again.shape == tile.shape
    error = np.abs(again.astype(np.int64) - tile)
    assert error.max() <= max_error and not error[:, planes.mask].any()
    check_values(planes)
    return planes, side


def check_values(planes: Planes) -> None:
    n_planes = len(planes.band)
    assert planes.values.shape == (n_planes, *planes.shape[1:]) and planes.values.dtype == np.int32
    assert np.array_equal(planes.values.astype(np.int16), planes.values)
    assert ((planes.n_levels >= 2) & (planes.n_levels <= 65_536)).all()
    starts = np.append(planes.table_start[planes.table_start >= 0], len(planes.table))
    assert starts[0] == 0 and np.array_equal(np.diff(starts), planes.n_levels[planes.table_start >= 0])
    for values, first, n, start in zip(planes.values, planes.first, planes.n_levels, planes.table_start, strict=True):
        data = values[~planes.mask]
        levels = first + np.arange(n) if start < 0 else planes.table[start : start + n]
        assert (np.diff(levels) > 0).all() and levels[0] == first and levels[0] >= -(2**15) and levels[-1] < 2**15
        assert np.isin(data, levels).all()


@pytest.mark.parametrize("max_error", [0, 1, 7, 300])
@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_cubes_by_intent(name, cube, max_error):
    check(np.ascontiguousarray(cube, cube.dtype.newbyteorder("=")), max_error)


@st.composite
def tiles(draw):
    """Few or many values, in clusters anywhere in the dtype's range and at its ends; some pixels overwritten."""
    dtype = draw(st.sampled_from(DTYPES))
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    value = st.integers(least, greatest)
    near = st.sampled_from([least, greatest, 0, draw(value)])
    value = st.one_of(value, near.flatmap(lambda v: st.integers(max(v - 20, least), min(v + 20, greatest))))
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))
    tile = draw(st_numpy.arrays(dtype, shape, elements=value, fill=value))
    if draw(st.booleans()):
        tile[:, draw(st_numpy.arrays(bool, shape[1:]))] = draw(value)
    if draw(st.booleans()):
        tile[:, :, 0] = tile[:1, :1, :1]
    return tile


@given(tiles(), st.sampled_from([0, 0, 1, 2, 10, 65_535]))
@settings(deadline=None, max_examples=300)
def test_any_tile_comes_back_within_the_bound(tile, max_error):
    check(tile, max_error)


def test_planes_are_what_one_would_write_by_hand():
    """A constant band, a plain one, one with nodata in some pixels."""
    tile = np.array([[[4, 4, 4, 4]], [[10, 12, 11, 11]], [[-9999, 50, 51, 53]]], "int16")
    planes, _ = check(tile)
    assert planes.band.tolist() == [1, 2] and planes.n_levels.tolist() == [3, 5]
    assert (planes.values - planes.first[:, None, None]).tolist() == [[[0, 2, 1, 1]], [[0, 1, 2, 4]]]
    assert planes.table.size == 0 and not planes.mask.any()


def land(rng, n_bands, n_rows, n_columns, dtype="int16"):
    """Bands that share a texture, about 600 levels each."""
    texture = rng.normal(0, 100, (n_rows, n_columns))
    gains = np.linspace(1, 2, n_bands)[:, None, None]
    return (900 + gains * texture + rng.normal(0, 5, (n_bands, n_rows, n_columns))).astype(dtype)


def test_all_model_values_that_there_are():
    ends = np.array([[[0, 1, 65_534, 65_535]]], "uint16")
    assert check(ends)[0].values.ravel().tolist() == [-(2**15), 1 - 2**15, 2**15 - 2, 2**15 - 1]


def test_a_mask_without_a_pixel_is_refused():
    tile = np.array([[[7, 9, 8]]], "uint8")
    _, side = split_tile(tile)
    assert side[:1] == b"\0"
    with pytest.raises(CorruptStreamError, match="expected a pixel without data"):
        read_side(write_packed(b"\0") + side[1:], tile.shape, tile.dtype)


def test_side_section_is_small():
    rng = np.random.default_rng(3)
    assert len(check(rng.integers(0, 200, (1, 8, 8), dtype="uint8"))[1]) <= 8
    assert len(check(np.zeros((4096, 2, 2), "int32"))[1]) <= 60
    assert len(check(land(rng, 202, 128, 128))[1]) <= 600


def test_nodata_pixels_and_bands_cost_almost_nothing():
    rng = np.random.default_rng(4)
    tile = land(rng, 60, 64, 64)
    _, plain = check(tile)
    tile[:, np.add.outer(np.arange(64), 2 * np.arange(64)) < 60] = -32768
    tile[20:30] = -32768
    planes, side = check(tile)
    assert planes.mask.sum() == (tile[0] == -32768).sum() > 500 and len(planes.band) == 50
    assert len(side) <= len(plain) + 60, "a slanted border and ten bands"
    assert not planes.values[:, planes.mask].any() and np.abs(planes.values).max() < 2000, "no trace of nodata"

    single = np.full((1, 40, 40), 700, "uint16") + rng.integers(0, 50, (1, 40, 40), dtype="uint16")
    single[:, 10:30, 5:20] = 65535
    planes, side = check(single)
    assert planes.mask.sum() == 300 and planes.n_levels[0] == 50 and len(side) <= 40


def test_nodata_in_some_bands_of_a_pixel_stays_beside_the_data():
    rng = np.random.default_rng(5)
    tile = land(rng, 5, 30, 30)
    tile[1, 3, 4] = tile[3, 9, 9:15] = -32768
    tile[2, 0, 0] = 32767
    planes, _ = check(tile)
    assert planes.n_levels.max() < 2_000 and np.abs(planes.values).max() < 2_000
    check(tile, max_error=20)
    again = join_tile(planes_of(tile, 20), split_tile(tile, 20)[0].values)
    assert (again[tile == -32768] == -32768).all() and again[2, 0, 0] == 32767, "isolated values are exact"


def planes_of(tile: np.ndarray, max_error: int) -> Layout:
    return read_side(split_tile(tile, max_error)[1], tile.shape, tile.dtype, max_error)


def test_unused_levels_are_left_out_where_that_pays():
    rng = np.random.default_rng(6)
    stretched = (rng.normal(60, 12, (3, 64, 64)).astype("int64") * 37 // 5).astype("uint16")
    planes, side = check(stretched)
    n_dense = stretched.max(axis=(1, 2)) - stretched.min(axis=(1, 2)) + 1
    assert [band.kind for band in planes.bands] == [Kind.SPARSE] * 3 and (planes.n_levels < n_dense / 2).all()
    assert len(side) < 200
    assert np.array_equal(np.diff(planes.values, axis=2), np.diff(stretched.astype(int), axis=2)), "the value's scale"
    assert {band.kind for band in check(stretched, max_error=1)[0].bands} == {Kind.SPARSE}, "cells have gaps, too"
    # Few samples leave gaps, too; listing them costs more than it saves.
    planes, _ = check(rng.integers(0, 3_000, (3, 32, 32), dtype="uint16"))
    assert [band.kind for band in planes.bands] == [Kind.DENSE] * 3


def test_wide_samples():
    rng = np.random.default_rng(7)
    low = rng.integers(0, 60_000, (2, 20, 20)) + 2**31
    planes, _ = check(low.astype("uint32"))
    assert [band.kind for band in planes.bands] == [Kind.DENSE] * 2
    few = rng.choice([-(2**31), -5, 100_000, 2**31 - 1], (1, 20, 20)).astype("int32")
    planes, _ = check(few)
    assert planes.n_levels.tolist() == [4] and planes.bands[0].kind == Kind.RANKED
    planes, _ = check(rng.integers(-(2**31), 2**31, (2, 20, 20)).astype("int32"))
    assert planes.band.tolist() == [0, 0, 1, 1] and planes.n_levels.tolist()[1::2] == [65_536] * 2
    planes, _ = check(rng.integers(-(2**31), 2**31, (1, 20, 20)).astype("int32"), max_error=65_535)
    assert planes.n_levels[0] < 2**15, "quantised before the range is looked at"


def test_real_histograms():
    """All levels of 16 bits, 60,000 of 32 bits by rank, more than can be ranked."""
    rng = np.random.default_rng(8)
    check(rng.permutation(65_536).reshape(1, 256, 256).astype("uint16"))
    ranks = np.sort(rng.choice(2**31, 60_000, replace=False))
    planes, _ = check(rng.choice(ranks, (1, 360, 360)).astype("int32"))
    assert planes.bands[0].kind == Kind.RANKED and planes.n_levels[0] > 50_000
    planes, _ = check(rng.integers(0, 2**31, (1, 300, 300)).astype("int32"))
    assert planes.bands[0].kind == Kind.SPLIT


def test_damage_is_told():
    """Every prefix and every flipped bit of a side section with all its parts: an error, or a layout that holds."""
    rng = np.random.default_rng(9)
    tile = np.concatenate([land(rng, 3, 16, 16, "int32"), rng.integers(0, 2**31, (2, 16, 16)).astype("int32")])
    tile[0] = tile[0] // 9 * 9
    tile[4] = rng.choice([-(2**31), -1, 5, 2**31 - 1], (16, 16))
    tile[2, 4, 4] = 2**31 - 1
    tile[:, :5, :9] = -7
    planes, side = split_tile(tile)
    assert {band.kind for band in planes.bands} >= {Kind.DENSE, Kind.RANKED, Kind.SPLIT} and planes.mask.any()
    for size in range(len(side)):
        with pytest.raises(CorruptStreamError):
            read_side(side[:size], tile.shape, tile.dtype)
    with pytest.raises(CorruptStreamError, match="more"):
        read_side(side + b"\0", tile.shape, tile.dtype)
    for position in range(8 * len(side)):
        damaged = bytearray(side)
        damaged[position // 8] ^= 1 << position % 8
        try:
            layout = read_side(bytes(damaged), tile.shape, tile.dtype)
        except CorruptStreamError:
            continue
        values = np.zeros((len(layout.band), 16, 16), np.int32) + layout.first[:, None, None]
        assert join_tile(layout, values).shape == tile.shape


@given(st.binary(max_size=60), st.sampled_from(["uint8", "int16", "int32"]), st.integers(0, 3))
@settings(deadline=None)
def test_noise_is_told(side, dtype, max_error):
    """Never anything else than an error or a layout."""
    try:
        layout = read_side(side, (3, 4, 5), np.dtype(dtype), max_error)
    except CorruptStreamError:
        return
    assert len(layout.bands) == 3


def test_nothing_large_is_made_of_little(monkeypatch):
    """A long run packs a thousandfold; what is unpacked is bounded by the tile's size."""
    with pytest.raises(CorruptStreamError, match="at most"):
        read_side(write_packed(bytes(10**6)), (1, 8, 8), np.dtype("uint8"))
    with pytest.raises(CorruptStreamError, match="at most"):
        read_side(write_packed(b"") + write_packed(bytes(10**6)), (1, 8, 8), np.dtype("uint8"))


def test_the_example_of_the_format():
    """docs/format_lhic_ax_side.md, section 7."""
    planes, side = split_tile(np.array([[[7, 9, 8]], [[5, 5, 5]]], "uint8"))
    assert side.hex(" ") == "00 0a 4b 00 0e 03 04" and planes.values.tolist() == [[[-1, 1, 0]]]


@given(tile=tiles())
@settings(deadline=None, max_examples=60)
def test_levels_of_values_and_those_near(tile):
    planes, _ = split_tile(tile)
    levels = levels_of(planes)
    found = levels.of_values(planes.values)
    data = ~planes.mask
    for z, (n, start) in enumerate(zip(levels.n_levels, levels.table_start, strict=True)):
        own = levels.first[z] + np.arange(n) if start < 0 else levels.table[start : start + n]
        assert np.array_equal(own[found[z][data]], planes.values[z][data])
        if start >= 0:
            values = np.arange(own[0], own[-1] + 1)
            near = levels.near[levels.near_start[z] : levels.near_start[z] + len(values)]
            assert np.array_equal(np.abs(values - own[near]), np.abs(values[:, None] - own).min(1))
