"""Samples in one piece, in any order of the axes: what ``.npy``, ENVI and headerless files have in common.

Files are read and written, not mapped: pages of a mapping count as memory of the process, and one that was cut off, or
a disk that is full, would end the process instead of raising an error.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from lhic.cube import Window, n_bytes_of
from lhic.formats.base import CubeFile
from lhic.io.source import Source

Order = tuple[int, ...]
"""Of each axis of the file, slowest first, which axis of the cube it is."""


class FlatFile(CubeFile):
    """A cube whose samples lie in one piece.  A subclass calls `take`."""

    def take(self, source: Source, begin: int, shape: tuple[int, ...], dtype: np.dtype, order: Order) -> None:
        """Samples of `dtype` from byte `begin` on, as an array of `shape` whose axes have this order.

        Raises
        ------
        InvalidCubeError
            The file ends before they do.
        """
        self._source, self._begin, self._file_shape, self._order = source, begin, shape, order
        self.dtype = dtype
        n_bands, n_rows, n_columns = (shape[order.index(axis)] for axis in range(3))
        self.shape = n_bands, n_rows, n_columns
        self.inputs = [source.fileno()]
        n_bytes = n_bytes_of(shape, dtype)
        if n_bytes and not source[begin + n_bytes - 1 : begin + n_bytes]:
            found = max(len(source) - begin, 0)
            raise self.refuse(f"{n_bytes} bytes of samples", f"{found}: incomplete file")

    def __getitem__(self, window: Window) -> np.ndarray:
        bounds = _bounds(window, self.shape, self._order)
        samples = np.empty([end - begin for begin, end in bounds], self.dtype)
        view = samples.reshape(-1).data.cast("B") if samples.size else memoryview(b"")
        position, n = 0, self.dtype.itemsize
        for first, n_samples in runs(self._file_shape, bounds):
            run = view[position : position + n_samples * n]
            if self._source.read_into(run, self._begin + first * n) < len(run):
                raise self.refuse(f"{self.nbytes} bytes of samples", "it cut off")
            position += len(run)
        return samples.transpose([self._order.index(axis) for axis in range(3)])

    def fileno(self) -> int:
        return self._source.fileno()

    def close(self) -> None:
        self._source.close()


class FlatSink:
    """Takes windows of a cube into a file that is open for writing, from where it stands on.

    Raises
    ------
    OSError
        Less space is left where the file lies than the cube needs.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int], dtype: np.dtype, order: Order):
        self._file, self.shape, self.dtype, self._order = file, shape, dtype, order
        self._file_shape = tuple(shape[axis] for axis in order)
        self._begin = file.tell()
        n_bytes, left = n_bytes_of(shape, dtype), shutil.disk_usage(file.name).free
        if n_bytes > left:
            raise OSError(errno.ENOSPC, f"expected room for {n_bytes:,} bytes, found {left:,}")
        file.truncate(self._begin + n_bytes)

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        bounds = _bounds(window, self.shape, self._order)
        samples = np.ascontiguousarray(samples.transpose(self._order), self.dtype)
        assert samples.shape == tuple(end - begin for begin, end in bounds)
        view, position = samples.reshape(-1).data.cast("B"), 0
        for first, n_samples in runs(self._file_shape, bounds):
            self._file.seek(self._begin + first * self.dtype.itemsize)
            end = position + n_samples * self.dtype.itemsize
            self._file.write(view[position:end])
            position = end


def _bounds(window: Window, shape: tuple[int, ...], order: Order) -> list[tuple[int, int]]:
    """First sample and end of a window along each axis of the file."""
    bounds = [axis.indices(n)[:2] for axis, n in zip(window, shape, strict=True)]
    return [bounds[axis] for axis in order]


def runs(shape: tuple[int, ...], bounds: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First sample and number of samples of each piece of a window that lies in one piece, in order.

    >>> list(runs((2, 4, 5), [(0, 2), (1, 3), (2, 4)]))
    [(7, 2), (12, 2), (27, 2), (32, 2)]
    >>> list(runs((2, 4, 5), [(0, 2), (1, 3), (0, 5)]))
    [(5, 10), (25, 10)]
    >>> list(runs((2, 4, 5), [(1, 2), (0, 4), (0, 5)]))
    [(20, 20)]
    """
    (a, a_end), (b, b_end), (c, c_end) = bounds
    _, n_b, n_c = shape
    if c_end - c < n_c:
        for i in range(a, a_end):
            for j in range(b, b_end):
                yield (i * n_b + j) * n_c + c, c_end - c
    elif b_end - b < n_b:
        for i in range(a, a_end):
            yield (i * n_b + b) * n_c, (b_end - b) * n_c
    else:
        yield a * n_b * n_c, (a_end - a) * n_b * n_c
