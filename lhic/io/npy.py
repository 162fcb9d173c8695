"""A cube in a ``.npy`` file, read and written by windows: no more of it in memory than a window holds.

Files are read and written, not mapped: pages of a mapping count as memory of the process, and one that was cut off, or
a disk that is full, would end the process instead of raising an error.  Nothing here knows about tiles or streams.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from lhic.cube import Window, check_layout, n_bytes_of
from lhic.errors import InvalidCubeError
from lhic.io.atomic import atomic_write
from lhic.io.memory import check_memory
from lhic.io.source import open_source

HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,  # differs in names of fields, which no cube has
}
MAX_HEADER_BYTES = 1 << 14  # numpy reads up to 10,000 characters
MAX_CUBE_BYTES = 2**63 - 1


class CubeReader:
    """Gives windows of a cube in a file, ``cube[bands, rows, columns]``, each as a new array in the file's dtype.

    Any number of threads may take windows at a time.  Bytes behind the samples do not matter.

    Parameters
    ----------
    path : of a file or a pipe; ``-`` is standard input

    Raises
    ------
    UsageError
        The file does not exist or is a folder.
    InvalidCubeError
        It is not a complete ``.npy`` file, or not a cube.
    """

    def __init__(self, path: str | os.PathLike):
        self._source = open_source(path, "a .npy file")
        self.path = self._source.name
        try:
            shape, self._is_fortran, self.dtype, self._begin = self._read_header()
            self.shape = self._checked(shape)
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> tuple[tuple[int, ...], bool, np.dtype, int]:
        """Shape, whether in Fortran order, dtype, and where the samples begin."""
        file = io.BytesIO(self._source[:MAX_HEADER_BYTES])
        try:
            shape, is_fortran, dtype = HEADER_READERS[npy_format.read_magic(file)](file)
        except Exception as error:  # numpy lets through whatever Python's parser raises
            raise InvalidCubeError(f"{self.path}: expected a .npy file, found another or damaged header") from error
        if not all(type(n) is int and n >= 0 for n in shape) or n_bytes_of(shape, dtype) > MAX_CUBE_BYTES:
            raise InvalidCubeError(f"{self.path}: expected a .npy file, found a header with shape {shape}")
        return shape, is_fortran, dtype, file.tell()

    def _checked(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The shape of a cube of which all samples are there."""
        n_bytes = n_bytes_of(shape, self.dtype)
        begin, end = self._begin, self._begin + n_bytes
        checked = check_layout(shape, self.dtype, self.path)
        if not self._source[end - 1 : end]:
            found = max(len(self._source) - begin, 0)
            raise InvalidCubeError(f"{self.path}: expected {n_bytes} bytes of samples, found {found}: incomplete file")
        return checked

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
        view = samples.reshape(-1).data.cast("B") if samples.size else memoryview(b"")
        position = 0
        for first, n_samples in _runs(shape, bounds):
            run = view[position : position + n_samples * self.dtype.itemsize]
            if self._source.read_into(run, self._begin + first * self.dtype.itemsize) < len(run):
                raise InvalidCubeError(f"{self.path}: expected {self.nbytes} bytes of samples, found it cut off")
            position += len(run)
        return samples.T if self._is_fortran else samples

    def fileno(self) -> int:
        return self._source.fileno()

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> CubeReader:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class CubeWriter:
    """Takes windows of a cube, ``cube[bands, rows, columns] = samples``; the file is then what ``np.save`` writes.

    file : just opened for writing

    Raises
    ------
    OSError
        Less space is left where the file lies than the cube needs.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int], dtype: np.dtype):
        self._file, self.shape, self.dtype = file, shape, dtype
        described = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
        npy_format.write_array_header_1_0(file, described)
        self._begin = file.tell()
        n_bytes, left = n_bytes_of(shape, dtype), shutil.disk_usage(file.name).free
        if n_bytes > left:
            raise OSError(errno.ENOSPC, f"expected room for {n_bytes:,} bytes, found {left:,}")
        file.truncate(self._begin + n_bytes)

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        bounds = [axis.indices(n)[:2] for axis, n in zip(window, self.shape, strict=True)]
        samples = np.ascontiguousarray(samples, self.dtype)
        assert samples.shape == tuple(end - begin for begin, end in bounds)
        view, position = samples.reshape(-1).data.cast("B"), 0
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


def load_cube(path: str | os.PathLike) -> np.ndarray:
    """Read a cube from a ``.npy`` file; ``-`` is standard input.

    Raises
    ------
    UsageError
        The file does not exist or is a folder.
    InvalidCubeError
        It is not a complete ``.npy`` file, or not a cube.
    MemoryBudgetError
        It is too large; judged from its header alone.
    """
    with CubeReader(path) as cube:
        check_memory(cube.nbytes, cube.path, f"shape {cube.shape} of {cube.dtype}")
        return cube[:, :, :]


def save_cube(path: str | os.PathLike, cube: np.ndarray, overwrite: bool = False) -> None:
    """Write a cube as ``.npy``, as `lhic.io.atomic.atomic_write` does."""
    with atomic_write(path, overwrite) as file:
        np.save(file, cube, allow_pickle=False)
