"""What counts as a cube: an array ``(S bands, H rows, W columns)`` of integers, floats or booleans, no axis empty.

Knows neither files nor streams nor models; never changes a value.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from lhic.errors import InvalidCubeError

DTYPES = tuple(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"))
"""Of samples that families of models code, in either byte order."""
VALUE_DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "int64", "uint64", "bool", "float16"))
"""Of samples that `lhic.values` turns into such integers first.  The format numbers both tuples through, from 1
(docs/format.md, 1.2)."""

Window = tuple[slice, slice, slice]
"""Bands, rows and columns, each a slice with step 1."""

LEAST_AXIS, PLACES = 8, 12  # of `likely_band_axis`: too few to say anything, and how many are looked at
HUGE = 1e30


class Cube(Protocol):
    """An array, or what gives windows of one that is larger than memory."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __getitem__(self, window: Window) -> np.ndarray: ...


class CubeSink(Protocol):
    """An array, or what takes windows of one that is larger than memory."""

    def __setitem__(self, window: Window, samples: np.ndarray) -> None: ...


def n_bytes_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Of an array, however large."""
    return math.prod(int(n) for n in shape) * dtype.itemsize


def check_cube(cube: object, what: str = "cube") -> np.ndarray:
    """The same array, once it is known to be a cube.

    Parameters
    ----------
    cube : array (S, H, W) of integers, floats or booleans, either byte order
    what : name of the input for messages

    Raises
    ------
    InvalidCubeError
        Wrong type, dtype or rank, or an empty axis.
    """
    if not isinstance(cube, np.ndarray):
        raise InvalidCubeError(f"{what}: expected a numpy array, found {type(cube).__name__}")
    check_layout(cube.shape, cube.dtype, what)
    return cube


def check_layout(shape: tuple[int, ...], dtype: np.dtype, what: str) -> tuple[int, int, int]:
    """The shape; `InvalidCubeError` unless an array of this shape and dtype would be a cube."""
    if dtype.newbyteorder("=") not in DTYPES + VALUE_DTYPES:
        advice = " (real and imaginary parts are two cubes)" if dtype.kind == "c" else ""
        names = ", ".join(map(str, DTYPES + VALUE_DTYPES))
        raise InvalidCubeError(f"{what}: expected integers, floats or booleans ({names}), found {dtype}{advice}")
    if len(shape) != 3:
        raise InvalidCubeError(f"{what}: expected 3 axes (bands, rows, columns), found {len(shape)} in shape {shape}")
    if 0 in shape:
        raise InvalidCubeError(f"{what}: expected no empty axis, found shape {shape}")
    n_bands, n_rows, n_columns = shape
    return n_bands, n_rows, n_columns


def likely_band_axis(cube: Cube) -> int:
    """The axis that looks like the bands: 0, where they are expected, unless another one clearly does."""
    return band_likeness(cube)[0]


def band_likeness(cube: Cube) -> tuple[int, tuple[float, float, float]]:
    """The axis that looks like the bands, and of each axis the share of the variance that is along it.

    Spectra have a shape, which most of a scene's variance is due to; images have none, or little.  Of 22 cubes of 9
    sensors, all axes in all orders, none in the right order was taken for another, and three in four of the others were
    noticed.
    """
    if min(cube.shape) < LEAST_AXIS:
        return 0, (0.0, 0.0, 0.0)
    places = [np.linspace(0, n - 1, min(n, PLACES)).astype(int) for n in cube.shape]
    samples = np.empty([len(axis) for axis in places])
    for band in range(len(places[0])):
        for row in range(len(places[1])):
            where = [slice(axis[i], axis[i] + 1) for axis, i in zip(places, (band, row))]
            first, last = int(places[2][0]), int(places[2][-1])
            samples[band, row] = cube[where[0], where[1], first : last + 1][0, 0, places[2] - first]
    samples[~(np.abs(samples) < HUGE)] = 0  # no data, mostly
    for axis in range(3):  # what is the same everywhere has none either
        across = tuple(other for other in range(3) if other != axis)
        varies = samples.min(axis=across) != samples.max(axis=across)
        samples = samples.compress(varies, axis=axis)
        if varies.sum() < LEAST_AXIS:
            return 0, (0.0, 0.0, 0.0)
    others = [(1, 2), (0, 2), (0, 1)]
    shares = [float(samples.mean(axis=axes).var() / (samples.var() or 1)) for axes in others]
    likely = int(np.argmax(shares))
    is_clear = shares[likely] >= 0.4 and shares[0] <= shares[likely] / 4
    return likely if is_clear else 0, (shares[0], shares[1], shares[2])
