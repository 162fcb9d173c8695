import numpy as np
import pytest

from lhic.errors import UsageError
from lhic.families.ax.observe import observe
from lhic.train.ax import load_net, view
from tests.train.ax.test_ax_training import cube  # noqa: F401 - a fixture

MODEL = "lhic-ax-fast"


def test_tall_cubes_are_seen_in_the_order_of_their_bands(cube):  # noqa: F811
    tall = np.ascontiguousarray(cube.swapaxes(1, 2))
    assert np.allclose(view(tall, MODEL).bits, view(cube, MODEL).bits)


def test_the_blend_of_the_experts_is_the_base_prediction(cube):  # noqa: F811
    config = load_net(MODEL).config
    seen, blend = observe(cube, config, 2 * cube.size, np.random.default_rng(0)), view(cube, MODEL).blend
    from_base = seen.features[:, : len(config.experts())].astype(float)  # rounded down, and so is the base
    unclipped = (np.abs(from_base) < 127).all(1)
    assert unclipped.mean() > 0.3 and np.allclose(blend.sum(1), 1)
    assert (np.abs((blend * from_base).sum(1)) < 2)[unclipped].all() and np.abs(from_base[unclipped]).mean() > 2


def test_weights_of_another_family_and_large_cubes_are_refused():
    with pytest.raises(UsageError, match="family lhic-ax, found lhic-bp"):
        load_net("lhic-bp-xs")
    with pytest.raises(UsageError, match="at most 32768 pixels"):
        view(np.zeros((1, 200, 200), np.int16), MODEL)
