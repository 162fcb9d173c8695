"""What counts as a cube, and how one gets in from and out to a ``.npy`` file.

A cube is an integer array ``(S bands, H rows, W columns)``, none of them empty.  Nothing here knows about
models or streams; nothing here ever changes a value.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from lhic.errors import InvalidCubeError, MemoryBudgetError, UsageError

DTYPES = tuple(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"))

# Input, tiles and output of a coding run are all alive at its peak.
COPIES_AT_PEAK = 3
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


def check_memory(shape: tuple[int, ...], dtype: np.dtype, what: str, budget: int | None = None) -> None:
    """Refuse a cube that would not fit, before anything of its size is allocated.

    Raises
    ------
    MemoryBudgetError
        When `COPIES_AT_PEAK` copies of the samples exceed the budget in bytes.
    """
    budget = memory_budget() if budget is None else budget
    needed = COPIES_AT_PEAK * int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if needed > budget:
        raise MemoryBudgetError(
            f"{what}: expected a cube that needs at most {budget:,} bytes of memory (LHIC_MEMORY_BUDGET), "
            f"found shape {tuple(shape)} of {dtype} which needs {needed:,}"
        )


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
    if not path.is_file():
        raise UsageError(f"{path}: expected a .npy file, found {'a folder' if path.is_dir() else 'nothing there'}")
    with open(path, "rb") as file:
        shape, dtype = _read_npy_header(file, path)
        if dtype.newbyteorder("=") in DTYPES and len(shape) == 3:
            check_memory(shape, dtype, str(path))
            n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
            found = path.stat().st_size - file.tell()
            if found < n_bytes:
                raise InvalidCubeError(f"{path}: expected {n_bytes} bytes of samples, found {found}: incomplete file")
        file.seek(0)
        try:
            cube = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError, MemoryError) as error:
            raise InvalidCubeError(f"{path}: expected a .npy array, found one that cannot be read ({error})") from error
    return check_cube(cube, str(path))


def _read_npy_header(file, path: Path) -> tuple[tuple[int, ...], np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = readers[version](file)
    except (ValueError, KeyError, EOFError) as error:
        raise InvalidCubeError(f"{path}: expected a .npy file, found another or damaged header") from error
    return shape, dtype


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
