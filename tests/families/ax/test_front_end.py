"""From cube to stream and back through a model of the family that is not trained: any cube, any bound, previews."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import lhic
from lhic import preview
from lhic.cube import DTYPES
from lhic.families.ax.config import AxConfig
from lhic.families.ax.integer_net import shapes
from lhic.families.ax.model import load
from lhic.picture import stretch
from tests.common import check_round_trip, cubes_by_intent


@pytest.fixture(scope="module")
def model():
    config = AxConfig(4, 4, 0, 6, width=8, depth=1, components=2)
    rng = np.random.default_rng(0)
    tensors = {name: rng.integers(-20, 21, shape).astype(np.int32) for name, shape in shapes(config).items()}
    return load("random", config.to_dict(), tensors, bytes(32))


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_round_trip(model, name, cube):
    check_round_trip(
        cube, lambda cube: lhic.encode(cube, model, fallback=False), lambda stream: lhic.decode(stream, model=model)
    )
    assert len(lhic.encode(cube, model)) <= cube.nbytes + 64


@pytest.mark.parametrize("max_error", [1, 3, 40, 5000])
@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_near_lossless(model, name, cube, max_error):
    stream = lhic.encode(cube, model, fallback=False, max_error=max_error)
    assert lhic.inspect(stream)["max_error"] == max_error
    again = lhic.decode(stream, model=model)
    assert again.dtype == cube.dtype and np.abs(again.astype(np.int64) - cube).max() <= max_error


any_cube = st.sampled_from([dtype.newbyteorder(order) for dtype in DTYPES for order in "<>"]).flatmap(
    lambda dtype: st_numpy.arrays(dtype, st.tuples(*[st.integers(1, 7)] * 3))
)


@given(cube=any_cube, max_error=st.sampled_from([0, 0, 1, 65_535]))
@settings(deadline=None, max_examples=60)
def test_any_cube(model, cube, max_error):
    stream = lhic.encode(cube, model, fallback=False, max_error=max_error)
    assert np.abs(lhic.decode(stream, model=model).astype(np.int64) - cube).max() <= max_error
    assert len(lhic.encode(cube, model, max_error=max_error)) <= cube.nbytes + 64


@pytest.fixture(scope="module")
def scene():
    """Forty bands, four of them and a corner without data."""
    row, column = np.ogrid[:32, :34]
    band = np.arange(40)[:, None, None]
    noise = np.random.default_rng(1).normal(0, 5, (40, 32, 34))
    cube = (1000 + 20 * band + 9 * row + 5 * column + noise).astype("int16")
    cube[30:34] = cube[:, row + column < 12] = -32768
    return cube


def test_nodata_is_exact_whatever_the_bound(model, scene):
    again = lhic.decode(lhic.encode(scene, model, max_error=9), model=model)
    assert np.array_equal(again == -32768, scene == -32768)


def test_a_preview_decodes_the_first_groups_alone(model, scene):
    stream = lhic.encode(scene, model)
    found = preview(stream, (9, 5, 0), model=model)
    for channel, band in enumerate(found.bands):
        assert np.array_equal(found.image[..., channel], stretch(scene[band], -32768))
    assert found.samples_computed == scene[:16].size, "one group of 16 planes"
    assert found.bytes_read < 0.6 * len(stream)
    n_lost = len(stream) // 3
    damaged = stream[:-n_lost] + bytes(n_lost)
    assert np.array_equal(preview(damaged, (9, 5, 0), model=model).image, found.image)


def test_a_preview_of_empty_bands(model, scene):
    found = preview(lhic.encode(scene, model), (30, 31, 33), model=model)
    assert not found.image.any() and found.samples_computed >= scene[:30].size
