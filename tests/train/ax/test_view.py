import numpy as np
import pytest

from lhic.errors import UsageError
from lhic.families.ax import reference
from lhic.families.ax.planes.tile import split_tile
from lhic.train.ax import load_net, view
from tests.train.ax.test_ax_training import cube  # noqa: F401 - a fixture

MODEL = "lhic-ax-fast"


def test_tall_cubes_are_seen_in_the_order_of_their_bands(cube):  # noqa: F811
    tall = np.ascontiguousarray(cube.swapaxes(1, 2))
    assert np.allclose(view(tall, MODEL).bits, view(cube, MODEL).bits)


def test_blend_is_that_of_the_reference(cube):  # noqa: F811
    tile, net = np.ascontiguousarray(cube[:3, :5, :6]), load_net(MODEL)
    _, samples = reference.encode(split_tile(tile)[0], net.config, net.tensors(), 16, 8)
    samples.sort(key=lambda sample: (sample.z, sample.i, sample.j))
    wanted = [[reference.power(min(2 * (near - min(s.near)), 240)) for near in s.near] for s in samples]
    assert np.array_equal(view(tile, MODEL).blend, np.array(wanted) / np.sum(wanted, axis=1, keepdims=True))


def test_weights_of_another_family_and_large_cubes_are_refused():
    with pytest.raises(UsageError, match="family lhic-ax, found lhic-bp"):
        load_net("lhic-bp-xs")
    with pytest.raises(UsageError, match="at most 32768 pixels"):
        view(np.zeros((1, 200, 200), np.int16), MODEL)
