"""Observations of a cube: which samples, and from which state."""

import numpy as np

from lhic.families.ax.observe import observe
from tests.families.ax.common import SMALL


def cube() -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.normal(0, 20, (5, 14, 12)).cumsum(0).round().astype("int16")


def test_spectra_are_samples_of_all_planes_at_some_pixels():
    seen = observe(cube(), SMALL, 5 * 30 + 4, np.random.default_rng(0), spectra=True)
    assert seen.error.shape == (5 * 30,)
    whole = observe(cube(), SMALL, cube().size, np.random.default_rng(0))
    every = whole.features.reshape(5, 14 * 12, -1)
    pixels = [
        np.flatnonzero((every == column).all((0, 2)))
        for column in seen.features.reshape(5, 30, -1).swapaxes(0, 1)[:, :, None]
    ]
    assert all(len(found) == 1 for found in pixels)
    at = np.concatenate(pixels)
    assert len(set(at)) == 30
    assert np.array_equal(whole.error.reshape(5, -1)[:, at], seen.error.reshape(5, 30))


def test_one_spectrum_at_least():
    assert len(observe(cube(), SMALL, 1, np.random.default_rng(0), spectra=True).error) == 5


def test_a_walk_may_begin_with_another_state():
    states = []
    plain = observe(cube(), SMALL, 500, np.random.default_rng(0), begin=lambda table, state: states.append(state))
    assert states[0].own_count.tolist() == [14 * 12] * 5

    def begin(table, state):
        state.coefficients[:] = states[0].coefficients

    changed = observe(cube(), SMALL, 500, np.random.default_rng(0), begin=begin)
    assert not np.array_equal(plain.error, changed.error)
