import numpy as np
import pytest

import lhic
from lhic.families.ax.planes.tile import split_tile
from lhic.families.family import Work
from tests.common import coded


@pytest.mark.parametrize("shape", [(18, 9, 13), (18, 13, 9)])
def test_costs_add_up_to_the_sections_and_lie_where_the_surprise_is(shape):
    rng = np.random.default_rng(1)
    cube = np.cumsum(rng.integers(-3, 4, shape), axis=2).astype("int16") + 100
    cube[1] = 7
    cube[3, 5:] += rng.integers(-60, 61, cube[3, 5:].shape).astype("int16")
    cube[[0, *range(2, len(cube))], 2:4, :5] = -32768
    model = lhic.load_model("lhic-ax")
    costs = model.bit_costs(cube)
    assert costs.shape == (1, *cube.shape) and (costs >= 0).all()
    mask = split_tile(cube)[0].mask
    assert mask.sum() == 10
    assert not costs[:, 1].any() and not costs[:, :, mask].any()
    assert costs[:, 3, 5:].sum(axis=0).mean() > 1.3 * costs[:, 5, 5:].sum(axis=0).mean()
    sections = coded(model, [cube], model.plan(cube, Work()))[0]
    states = 8 * -(-(shape[0] - 1) // 64)
    assert costs.sum() / 8 == pytest.approx(len(sections[2]) - states, abs=8 + 0.01 * len(sections[2]))
