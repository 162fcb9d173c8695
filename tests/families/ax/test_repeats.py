"""Pixels that repeat a neighbour's spectrum."""

import dataclasses

import numpy as np
import pytest

import lhic
from lhic.families.ax import spec
from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import observe
from tests.families.ax.common import random_model

CONFIG = AxConfig(
    detail_planes=4, sample_planes=4, short_planes=0, spatial_neighbours=6, far_neighbours=0, width=8, components=2
)  # fmt: skip


def noise(shape, seed=3):
    return np.random.default_rng(seed).integers(0, 4000, shape)


def repeated(distance, share=0.5):
    """Noise in which a share of the pixels has the spectrum of the pixel at some distance."""
    cube, rng = noise((24, 32, 40)), np.random.default_rng(0)
    di, dj = distance
    for i in range(1, 32):
        for j in range(1, 39):
            if rng.random() < share:
                cube[:, i, j] = cube[:, i + di, j + dj]
    return cube.astype("uint16")


def bits(cube, n_repeats):
    model = random_model(dataclasses.replace(CONFIG, repeats=n_repeats), share=0.001)
    stream = lhic.encode(cube, model, fallback=False)
    assert np.array_equal(lhic.decode(stream, model=model), cube)
    return 8 * len(stream) / cube.size


@pytest.mark.parametrize("distance", spec.CAUSAL)
def test_repeated_spectra_cost_next_to_nothing(distance):
    cube = repeated(distance)
    n = spec.CAUSAL.index(distance) + 1
    assert bits(cube, n) < 0.65 * bits(cube, 0)
    if n > 1:
        assert bits(cube, n - 1) > 0.9 * bits(cube, 0)


def test_noise_costs_no_more_with_repeats():
    cube = noise((24, 32, 40)).astype("uint16")
    assert bits(cube, 4) < 1.002 * bits(cube, 0)


def test_an_expected_repeat_that_fails_costs_at_most_its_odds():
    cube = repeated((0, -1), 1.0)
    broken = cube.copy()
    broken[12, ::3, ::3] += 1
    extra = (bits(broken, 4) - bits(cube, 4)) * cube.size / np.count_nonzero(broken != cube)
    # the sample itself, and the one to its right, which no longer repeats it, of 9 bits and what the sample would cost
    assert extra < 2 * (9 + 14)


def test_training_sees_the_weight_of_a_candidate():
    cube = repeated((0, -1))
    seen = observe(cube, dataclasses.replace(CONFIG, repeats=4), cube.size, np.random.default_rng(0))
    sure = seen.repeat[np.abs(seen.repeat) > 0.9]
    assert 0.3 < len(sure) / cube.size < 0.5
    assert (sure > 0).mean() > 0.98
    without = observe(cube, dataclasses.replace(CONFIG, repeats=0), cube.size, np.random.default_rng(0))
    assert not without.repeat.any()
    assert np.array_equal(seen.features, without.features)


def test_levels_cover_every_run():
    assert spec.RUN_LEVEL[0] == 0 and spec.RUN_LEVEL[-1] == len(spec.RUN_STARTS) - 1
    assert np.array_equal(np.flatnonzero(np.diff(spec.RUN_LEVEL)) + 1, spec.RUN_STARTS[1:])
