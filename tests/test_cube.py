"""What is a cube."""

import numpy as np
import pytest

from lhic.cube import check_cube, likely_band_axis, n_bytes_of
from lhic.errors import InvalidCubeError
from lhic.formats import open_cube
from tests.common import cubes_by_intent, shared_path


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_cubes_pass(name, cube):
    assert check_cube(cube) is cube


@pytest.mark.parametrize(
    "bad,words",
    [
        (np.zeros((2, 3, 4), complex), "complex128 .real and imaginary parts are two cubes"),
        (np.zeros((2, 3, 4), "float32").astype("longdouble"), "longdouble|float128|float96"),
        (np.zeros((2, 3, 4), "datetime64[s]"), "datetime64"),
        (np.zeros((3, 4), "int16"), "2 in shape"),
        (np.zeros((1, 2, 3, 4), "int16"), "4 in shape"),
        (np.array(3, "int16"), "0 in shape"),
        (np.zeros((2, 0, 4), "int16"), "empty axis"),
        ([[[1]]], "list"),
    ],
)
def test_others_are_refused(bad, words):
    with pytest.raises(InvalidCubeError, match=words):
        check_cube(bad)


def test_bytes_of_any_shape():
    assert n_bytes_of((2**31 - 1,) * 3, np.dtype("int32")) == 4 * (2**31 - 1) ** 3


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_small_cubes_are_not_suspected(name, cube):
    assert likely_band_axis(cube) == 0


def test_axes_in_another_order_are_noticed_in_most_cubes_and_the_right_order_in_all():
    """Of real cubes, in files; the order (rows, columns, bands) and the right one, and that with rows and columns
    exchanged."""
    noticed = []
    paths = sorted(shared_path("data", "cubes").glob("*.npy"))
    for path in paths:
        cube = np.load(path, mmap_mode="r")
        with open_cube(path) as reader:
            assert likely_band_axis(reader) == 0, path.name
        assert likely_band_axis(cube.transpose(0, 2, 1)) == 0, path.name
        noticed += [likely_band_axis(cube.transpose(1, 2, 0)) == 2, likely_band_axis(cube.transpose(1, 0, 2)) == 1]
    assert len(paths) == 20 and sum(noticed) >= 30


@pytest.mark.parametrize("axis", [1, 2])
def test_lines_without_data_are_no_bands(axis):
    band, row, column = np.ogrid[0:20, 0:40, 0:30]
    cube = 500 + 10 * band + (row * 7 + column * 3) % 13
    assert likely_band_axis(cube) == 0
    cube.swapaxes(0, axis)[25:] = -9999
    assert likely_band_axis(cube) == 0
    assert likely_band_axis(np.full((20, 40, 30), 7)) == 0
