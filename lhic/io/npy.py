"""A cube in a ``.npy`` file, read and written by windows: no more of it in memory than a window holds.

Files are read and written, not mapped: pages of a mapping count as memory of the process, and one that was cut off, or
a disk that is full, would end the process instead of raising an error.  Nothing here knows about tiles or streams.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lhic.errors import InvalidCubeError
from lhic.io.cube import DTYPES, check_cube, n_bytes_of, open_npy, read_npy

Window = tuple[slice, slice, slice]
"""Bands, rows and columns, each a slice with step 1."""


class CubeReader:
    """Gives windows of a cube in a file, ``cube[bands, rows, columns]``, each as a new array in the file's dtype.

    Raises
    ------
    UsageError
        The file does not exist or is a folder.
    InvalidCubeError
        It is not a complete ``.npy`` file, or not a cube.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._file, self.shape, self._is_fortran, self.dtype = open_npy(self.path)
        try:
            self._begin = self._file.tell()
            self._check()
        except BaseException:
            self._file.close()
            raise

    def _check(self) -> None:
        if self.dtype.newbyteorder("=") not in DTYPES or len(self.shape) != 3 or 0 in self.shape:
            check_cube(read_npy(self.path, "r"), str(self.path))
        found = self.path.stat().st_size - self._begin
        if found < self.nbytes:
            raise InvalidCubeError(
                f"{self.path}: expected {self.nbytes} bytes of samples, found {found}: incomplete file"
            )

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def nbytes(self) -> int:
        return n_bytes_of(self.shape, self.dtype)

    def __getitem__(self, window: Window) -> np.ndarray:
        bounds = [axis.indices(n)[:2] for axis, n in zip(window, self.shape, strict=True)]
        shape = self.shape
        if self._is_fortran:
            bounds, shape = bounds[::-1], shape[::-1]
        samples = np.empty([end - begin for begin, end in bounds], self.dtype)
        view = memoryview(samples.reshape(-1)).cast("B") if samples.size else memoryview(b"")
        position = 0
        for first, n_samples in _runs(shape, bounds):
            self._file.seek(self._begin + first * self.dtype.itemsize)
            end = position + n_samples * self.dtype.itemsize
            while position < end:
                n_bytes = self._file.readinto(view[position:end])
                if not n_bytes:
                    raise InvalidCubeError(f"{self.path}: expected {self.nbytes} bytes of samples, found it cut off")
                position += n_bytes
        return samples.T if self._is_fortran else samples

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> CubeReader:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class CubeWriter:
    """Takes windows of a cube, ``cube[bands, rows, columns] = samples``; the file is then what ``np.save`` writes.

    file : just opened for writing
    folder : where it lies

    Raises
    ------
    OSError
        Less space is left in the folder than the cube needs.
    """

    def __init__(self, file, folder: Path, shape: tuple[int, int, int], dtype: np.dtype):
        self._file, self.shape, self.dtype = file, shape, dtype
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, described)
        self._begin = file.tell()
        n_bytes = n_bytes_of(shape, dtype)
        left = shutil.disk_usage(folder).free
        if n_bytes > left:
            raise OSError(errno.ENOSPC, f"expected room for {n_bytes:,} bytes, found {left:,}", str(folder))
        file.truncate(self._begin + n_bytes)

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        bounds = [axis.indices(n)[:2] for axis, n in zip(window, self.shape, strict=True)]
        samples = np.ascontiguousarray(samples, self.dtype)
        assert samples.shape == tuple(end - begin for begin, end in bounds)
        view, position = memoryview(samples.reshape(-1)).cast("B"), 0
        for first, n_samples in _runs(self.shape, bounds):
            self._file.seek(self._begin + first * self.dtype.itemsize)
            end = position + n_samples * self.dtype.itemsize
            self._file.write(view[position:end])
            position = end


def _runs(shape: tuple[int, ...], bounds: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First sample and number of samples of each piece of a window that lies in one piece, in order.

    >>> list(_runs((2, 4, 5), [(0, 2), (1, 3), (2, 4)]))
    [(7, 2), (12, 2), (27, 2), (32, 2)]
    >>> list(_runs((2, 4, 5), [(0, 2), (1, 3), (0, 5)]))
    [(5, 10), (25, 10)]
    >>> list(_runs((2, 4, 5), [(1, 2), (0, 4), (0, 5)]))
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
