"""What counts as a cube, and how one gets in from and out to a ``.npy`` file.

A cube is an integer array ``(S bands, H rows, W columns)``, none of them empty.  Nothing here knows about
models or streams; nothing here ever changes a value.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil

from lhic.errors import InvalidCubeError, MemoryBudgetError, UsageError

DTYPES = tuple(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"))

DEFAULT_MEMORY_SHARE = 0.8


def memory_budget() -> int:
    """Bytes one call may use for samples: ``LHIC_MEMORY_BUDGET`` if set, else 80 % of the machine's memory."""
    setting = os.environ.get("LHIC_MEMORY_BUDGET")
    if setting is None:
        return int(psutil.virtual_memory().total * DEFAULT_MEMORY_SHARE)
    try:
        budget = int(setting)
    except ValueError:
        budget = 0
    if budget <= 0:
        raise UsageError(f"LHIC_MEMORY_BUDGET: expected a positive number of bytes, found {setting!r}")
    return budget


def check_memory(n_bytes: int, what: str, holds: str, budget: int | None = None) -> None:
    """Refuse what would not fit, before anything of its size is allocated.

    Parameters
    ----------
    n_bytes : that will be in memory at a time
    what, holds : of the message: name of the input, and what it holds

    Raises
    ------
    MemoryBudgetError
        More than the budget, in bytes.
    """
    budget = memory_budget() if budget is None else budget
    if n_bytes > budget:
        raise MemoryBudgetError(
            f"{what}: expected {holds} to need at most {budget:,} bytes of memory (LHIC_MEMORY_BUDGET), "
            f"found {n_bytes:,}"
        )


def n_bytes_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Of an array, however large."""
    return math.prod(int(n) for n in shape) * dtype.itemsize


def check_cube(cube: object, what: str = "cube") -> np.ndarray:
    """The same array, once it is known to be a cube.

    Parameters
    ----------
    cube : array (S, H, W) of an integer dtype of 8, 16 or 32 bits, either byte order
    what : name of the input for messages

    Raises
    ------
    InvalidCubeError
        Wrong type, dtype or rank, or an empty axis.
    """
    if not isinstance(cube, np.ndarray):
        raise InvalidCubeError(f"{what}: expected a numpy array, found {type(cube).__name__}")
    if cube.dtype.newbyteorder("=") not in DTYPES:
        raise InvalidCubeError(f"{what}: expected {_dtype_names()}, found {_describe_dtype(cube)}")
    if cube.ndim != 3:
        raise InvalidCubeError(
            f"{what}: expected 3 axes (bands, rows, columns), found {cube.ndim} in shape {cube.shape}"
        )
    if 0 in cube.shape:
        raise InvalidCubeError(f"{what}: expected no empty axis, found shape {cube.shape}")
    return cube


def _dtype_names() -> str:
    return "an integer dtype (" + ", ".join(str(dtype) for dtype in DTYPES) + ")"


def _describe_dtype(cube: np.ndarray) -> str:
    if cube.dtype.kind in "fc" and cube.size <= 1 << 28 and not np.isfinite(cube).all():
        n_bad = int(cube.size - np.isfinite(cube).sum())
        return f"{cube.dtype} with {n_bad} values that are NaN or infinite"
    if cube.dtype.kind in "iu":
        return f"{cube.dtype} (if its values fit, convert it: cube.astype('int32'))"
    return str(cube.dtype)


def load_cube(path: str | os.PathLike) -> np.ndarray:
    """Read a cube from a ``.npy`` file.

    Raises
    ------
    UsageError
        The file does not exist or is a folder.
    InvalidCubeError
        It is not a complete ``.npy`` file, or not a cube.
    MemoryBudgetError
        It is too large; judged from its header alone.
    """
    path = Path(path)
    file, shape, _, dtype = open_npy(path)
    with file:
        if dtype.newbyteorder("=") in DTYPES and len(shape) == 3:
            n_bytes = n_bytes_of(shape, dtype)
            check_memory(n_bytes, str(path), f"shape {shape} of {dtype}")
            found = path.stat().st_size - file.tell()
            if found < n_bytes:
                raise InvalidCubeError(f"{path}: expected {n_bytes} bytes of samples, found {found}: incomplete file")
        return check_cube(read_npy(path), str(path))


def read_npy(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    """What ``np.load`` gives, or `InvalidCubeError`."""
    try:
        return np.load(path, mmap_mode, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise InvalidCubeError(f"{path}: expected a .npy array, found one that cannot be read ({error})") from error


def open_npy(path: Path) -> tuple[BinaryIO, tuple[int, ...], bool, np.dtype]:
    """The file, at its first sample, unbuffered; shape, whether in Fortran order, and dtype.

    Raises
    ------
    UsageError
        The file does not exist or is a folder.
    InvalidCubeError
        It does not begin like a ``.npy`` file.
    """
    if not path.is_file():
        raise UsageError(f"{path}: expected a .npy file, found {'a folder' if path.is_dir() else 'nothing there'}")
    file = open(path, "rb", buffering=0)
    try:
        return file, *_read_npy_header(file, path)
    except BaseException:
        file.close()
        raise


def _read_npy_header(file, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        return readers[version](file)
    except (ValueError, KeyError, EOFError) as error:
        raise InvalidCubeError(f"{path}: expected a .npy file, found another or damaged header") from error


def save_cube(path: str | os.PathLike, cube: np.ndarray) -> None:
    """Write a cube as ``.npy``, completely or not at all."""
    with atomic_write(path) as file:
        np.save(file, cube, allow_pickle=False)


@contextmanager
def atomic_write(path: str | os.PathLike):
    """Open a temporary file beside `path`; rename it onto `path` when the block ends well, remove it otherwise.

    Raises
    ------
    UsageError
        The folder does not exist, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        found = "a folder of that name" if path.is_dir() else f"no folder {path.parent}"
        raise UsageError(f"{path}: expected a place to write a file, found {found}")
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
