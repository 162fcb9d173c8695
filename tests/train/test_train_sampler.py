from itertools import islice

import numpy as np
import pytest

from lhic.data import open_dataset
from lhic.errors import DatasetError
from lhic.train.config import AugmentConfig, BatchConfig
from lhic.train.sampler import CubeCache, TileSampler, darken_copy, lift

PLAIN = AugmentConfig(flip=False)


def coordinates_cube(n_bands=9, n_rows=40, n_columns=50):
    """Every sample says where it is."""
    s, i, j = np.indices((n_bands, n_rows, n_columns))
    return (s * 2000 + i * 50 + j).astype(np.int32)


@pytest.fixture
def cubes(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"c{i}.npy", coordinates_cube(9 + i))
    return CubeCache(open_dataset("corpus", tmp_path), 32, 64)


def sampler(cubes, augment=PLAIN, batch=None, max_value=65535, seed=1):
    return TileSampler(
        cubes, batch or BatchConfig(tile_bands=16, run_bands=(4, 8), first_band=0.3), augment, 32, max_value, seed
    )


def test_plain_tiles_are_windows_of_the_cube(cubes):
    sample = sampler(cubes)
    for step in range(20):
        tiles, first_bands = sample(step)
        n, s, h, w = tiles.shape
        assert (h, w) == (32, 32) and n * s == 16 and first_bands.shape == (n,)
        for tile, first_band in zip(tiles, first_bands):
            corner = tile[0, 0, 0]
            assert corner // 2000 == first_band
            np.testing.assert_array_equal(tile - corner, coordinates_cube(s, 32, 50)[:, :, :32])


def test_runs_reach_the_first_and_the_last_band(cubes):
    sample = sampler(cubes)
    starts = np.concatenate([sample(step)[1] for step in range(200)])
    assert set(starts) == set(range(8))  # a run of 4 from 11 bands starts at 7 at most
    assert 0.3 < (starts == 0).mean() < 0.7  # 0.3 and what chance adds


def test_a_batch_is_a_function_of_seed_and_step(cubes):
    augment = AugmentConfig(dark=0.5, clipped=0.5)
    one, two, other = (sampler(cubes, augment, seed=seed) for seed in (1, 1, 2))
    for step in (0, 7):
        np.testing.assert_array_equal(one(step)[0], two(step)[0])
    assert any(not np.array_equal(one(s)[0], other(s)[0]) for s in range(3))


def test_stream_gives_the_steps_in_order(cubes):
    sample = sampler(cubes, AugmentConfig(dark=0.5))
    for step, (tiles, first_bands) in enumerate(islice(sample.stream(5, 2), 6), start=5):
        expected, expected_bands = sample(step)
        np.testing.assert_array_equal(tiles, expected)
        np.testing.assert_array_equal(first_bands, expected_bands)


def test_flips_keep_bands_and_neighbours(cubes):
    tiles = np.concatenate([sampler(cubes, AugmentConfig())(step)[0][:, :1, :, :] for step in range(40)])
    steps = {(int(t[0, 1, 0] - t[0, 0, 0]), int(t[0, 0, 1] - t[0, 0, 0])) for t in tiles}
    assert steps == {(a, b) for x in (50, -50) for y in (1, -1) for a, b in ((x, y), (y, x))}


def test_augmented_tiles_stay_in_range_and_are_sometimes_zero(cubes):
    sample = sampler(cubes, AugmentConfig(dark=1.0, clipped=0.5), max_value=10_000)
    shares = []
    for step in range(30):
        for tile in sample(step)[0]:
            assert tile.dtype == np.int32 and tile.min() >= 0 and tile.max() <= 10_000
            shares.append((tile == 0).mean())
    assert max(shares) > 0.2 and min(shares) < 0.001


def test_lift_moves_negatives_up_and_leaves_the_rest():
    tile = np.array([-3, 0, 5], np.int32)
    assert lift(tile, 100).tolist() == [0, 3, 8]
    assert lift(tile, 100, margin=4).tolist() == [4, 7, 12]
    assert lift(tile + 3, 7).tolist() == [0, 3, 7]
    # No data is far below everything else and must not lift the rest out of range.
    assert lift(np.array([-32768, -3, 5], np.int32), 100).tolist() == [0, 0, 8]


def test_darkened_cubes_are_noise_around_zero():
    cube = np.full((8, 40, 40), 3000, np.int16)
    dark = darken_copy(cube, AugmentConfig(gain=(0.01, 0.01), noise=(50.0, 50.0)), seed=3)
    np.testing.assert_array_equal(dark, darken_copy(cube, AugmentConfig(gain=(0.01, 0.01), noise=(50.0, 50.0)), 3))
    assert dark.min() < 0
    flat = dark.reshape(8, -1)
    assert abs(np.median(np.corrcoef(flat)[np.triu_indices(8, 1)])) < 0.2


def test_cubes_smaller_than_a_tile_are_refused(tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((3, 31, 40), np.int16))
    cubes = CubeCache(open_dataset("corpus", tmp_path), 32, 64)
    with pytest.raises(DatasetError, match=r"small\.npy: expected at least 32 rows and columns"):
        cubes[0]


def test_cache_forgets_the_oldest(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", np.zeros((16, 256, 128), np.int16))  # 1 MiB each
    cubes = CubeCache(open_dataset("corpus", tmp_path), 32, 2)
    for i in (0, 1, 0, 2):
        cubes[i]
    assert list(cubes._cubes) == [0, 2]
