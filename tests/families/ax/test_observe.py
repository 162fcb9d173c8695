"""Observations of a cube: some samples are those of all."""

import numpy as np

from lhic.families.ax.observe import observe
from tests.families.ax.common import SMALL


def test_some_samples_are_those_of_all():
    rng = np.random.default_rng(4)
    cube = rng.normal(0, 20, (5, 14, 12)).cumsum(0).round().astype("int16")
    whole = observe(cube, SMALL, cube.size, np.random.default_rng(0))
    assert len(whole.error) == cube.size
    for rng in (np.random.default_rng(1), None):
        seen = observe(cube, SMALL, 200, rng)
        assert 150 <= len(seen.error) <= 200
        every = [(*features.tolist(), error) for features, error in zip(whole.features, whole.error)]
        some = [(*features.tolist(), error) for features, error in zip(seen.features, seen.error)]
        assert set(some) <= set(every)
