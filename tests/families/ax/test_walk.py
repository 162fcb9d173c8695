"""Memory for recent planes alone: streams are as with memory for all planes."""

import numpy as np
import pytest

from lhic.families.ax import schedule
from lhic.families.family import Work
from tests.common import coded
from tests.families.ax.common import random_model, settings_of


@pytest.mark.parametrize("n_threads", [1, 2])
def test_planes_that_take_the_place_of_others_change_nothing(n_threads, monkeypatch):
    group_planes, n_planes = 2, 40
    assert n_planes > 3 * schedule.recent_planes(group_planes, n_threads)
    rng = np.random.default_rng(5)
    tile = rng.normal(0, 40, (n_planes, 9, 14)).cumsum(0).round().astype("int16")
    model, parameters = random_model(share=0.02), settings_of(group_planes).to_bytes()
    work = Work(threads=n_threads)
    found = coded(model, [tile], parameters, work)
    again = model.decode_tiles([tile.shape], tile.dtype, found, parameters, work)
    monkeypatch.setattr(schedule, "recent_planes", lambda group_planes, n_threads: n_planes)
    assert coded(model, [tile], parameters, work) == found
    assert np.array_equal(again[0], tile)
