"""How two cubes differ, each in a file of any format or in a stream: shape, samples, metadata, arrays beside them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lhic import api
from lhic.formats import open_cube
from lhic.formats.base import CubeFile
from lhic.io.source import open_source
from lhic.stream.header import MAGIC

ROWS_BYTES = 64 << 20
"""Of samples that are compared at a time."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    name: str
    cube: CubeFile
    metadata: dict[str, Any]
    arrays: dict[str, np.ndarray]


def difference(first: str, second: str, **options: Any) -> list[str]:
    """What differs, a line for each; empty if nothing does.

    How the files are laid out does not count, and so neither does the metadata's `source`.

    options : of `lhic.decode_file`, for streams
    """
    with _opened(first, options) as a, _opened(second, options) as b:
        lines = [*_of_samples(a, b), *_of_metadata(a, b), *_of_arrays(a, b)]
    return lines


@contextmanager
def _opened(path: str, options: dict[str, Any]) -> Iterator[Side]:
    is_stream = not os.path.isdir(path)
    if is_stream:
        with open_source(path, "a file with a cube, or an lhic stream") as source:
            is_stream = source[: len(MAGIC)] == MAGIC
    with ExitStack() as stack:
        if is_stream:
            place = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "cube.npy")
            metadata = api.inspect(path)["metadata"]
            api.decode_file(path, place, plain=True, **options)
            arrays = api.read_auxiliary(path)
            cube = stack.enter_context(open_cube(place))
        else:
            cube = stack.enter_context(open_cube(path))
            metadata, arrays = cube.metadata, cube.auxiliary()
        arrays = {name: values for name, values in arrays.items() if not name.startswith("@")}
        yield Side(path, cube, {key: value for key, value in metadata.items() if key != "source"}, arrays)


def _of_samples(a: Side, b: Side) -> Iterator[str]:
    if a.cube.shape != b.cube.shape:
        yield f"shape: {a.cube.shape} in {a.name}, {b.cube.shape} in {b.name}"
        return
    if a.cube.dtype.newbyteorder("=") != b.cube.dtype.newbyteorder("="):
        yield f"dtype: {a.cube.dtype} in {a.name}, {b.cube.dtype} in {b.name}"
    n_bands, n_rows, n_columns = a.cube.shape
    step = max(ROWS_BYTES // (n_bands * n_columns * 8), 1)
    n_wrong, largest, where = 0, 0.0, None
    for row in range(0, n_rows, step):
        window = slice(None), slice(row, min(row + step, n_rows)), slice(None)
        one, two = a.cube[window], b.cube[window]
        wrong = one != two
        if one.dtype.kind == "f" and two.dtype.kind == "f":
            wrong &= ~(np.isnan(one) & np.isnan(two))
        if wrong.any():
            n_wrong += int(wrong.sum())
            far = np.abs(one[wrong].astype(np.float64) - two[wrong].astype(np.float64))
            largest = max(largest, float(np.nanmax(far, initial=0)))
            if where is None:
                band, inside, column = (int(axis[0]) for axis in np.nonzero(wrong))
                where = band, row + inside, column, one[band, inside, column], two[band, inside, column]
    if where:
        band, row, column, one, two = where
        place = f"the first at band {band}, row {row}, column {column}: {one} and {two}"
        yield f"samples: {n_wrong} of {a.cube.size} differ, by up to {largest:g}, {place}"


def _of_metadata(a: Side, b: Side) -> Iterator[str]:
    for key in sorted(a.metadata.keys() | b.metadata.keys()):
        one, two = (f"{side.metadata[key]!r:.60}" if key in side.metadata else "nothing" for side in (a, b))
        if a.metadata.get(key) != b.metadata.get(key):
            yield f"metadata: {key}: {one} in {a.name}, {two} in {b.name}"


def _of_arrays(a: Side, b: Side) -> Iterator[str]:
    for name in sorted(a.arrays.keys() | b.arrays.keys()):
        one, two = (side.arrays.get(name) for side in (a, b))
        if one is None or two is None:
            yield f"auxiliary: {name}: only in {b.name if one is None else a.name}"
        elif one.dtype != two.dtype or one.shape != two.shape or one.tobytes() != two.tobytes():
            yield f"auxiliary: {name}: {one.dtype} {one.shape} and {two.dtype} {two.shape} differ"
