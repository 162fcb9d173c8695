"""What every reader is: a cube in a file, given by windows, with all that the file says besides.

A reader never converts a sample.  What it found lies in three places: `metadata` in the words of docs/format.md,
section 2; `sources`, the file's own header as it stands there; and `auxiliary`, arrays that belong to the scene.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import numpy as np

from lhic.cube import Window, n_bytes_of
from lhic.errors import InvalidCubeError, LhicError, one_line
from lhic.formats import axes as axis_order

MAX_CACHE_BYTES = 256 << 20
"""Of libraries that keep blocks of a file, so that the next window finds them."""


@dataclass(frozen=True)
class Wish:
    """How a file is to be read where it does not say it itself.

    variable : which of several arrays
    axes : names of its axes in order, such as ``rows,columns,bands``, or ``bsq``, ``bil``, ``bip``
    """

    variable: str | None = None
    axes: str | None = None


NO_WISH = Wish()
SUFFIX = re.compile(r"(\.[A-Za-z0-9_-]{1,20}){0,3}")


class CubeFile:
    """A cube in a file: ``cube[bands, rows, columns]`` is a new array in the file's dtype.

    Any number of threads may take windows at a time.

    Attributes
    ----------
    format : what was recognised, as messages name it
    path : of the file, or what stands for it
    shape, dtype : of the cube (bands, rows, columns), byte order included
    metadata : docs/format.md, section 2
    sources : name -> the file's own header, verbatim
    notes : what the caller should be told
    inputs : paths or descriptors of the files that are read
    axes_stated : the file, or the caller, said which axis is which
    order : of each axis of the file, which axis of the cube it is
    """

    format = "cube"
    lock: RLock | None = None
    axes_stated = True
    order: tuple[int, ...] = (0, 1, 2)
    shape: tuple[int, int, int]
    dtype: np.dtype

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self.metadata: dict[str, Any] = {}
        self.sources: dict[str, bytes] = {}
        self.notes: list[str] = []
        self.inputs: list[str | int] = [self.path]

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def nbytes(self) -> int:
        return n_bytes_of(self.shape, self.dtype)

    def __getitem__(self, window: Window) -> np.ndarray:
        raise NotImplementedError

    def auxiliary(self) -> dict[str, np.ndarray]:
        """Name -> array that belongs to the scene; read when it is asked for."""
        return {}

    def close(self) -> None:
        pass

    def __enter__(self) -> CubeFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refuse(self, expected: str, found: object) -> InvalidCubeError:
        """The error that names the file, the format recognised, what was expected and what was found."""
        return InvalidCubeError(f"{self.path}: {self.format}: expected {expected}, found {found}")


class ArrayFile(CubeFile):
    """A cube in an array that a library gives by basic slices.

    A subclass calls `take`.  Libraries here are asked by one thread at a time.
    """

    def take(self, array: Any, order: tuple[int, ...], stated: bool) -> None:
        """`array` is the cube.

        order : of each axis of the array, which axis of the cube it is; -1 for one of length 1 that is none
        """
        self._array, self._order, self.axes_stated = array, order, stated
        self.order = order
        self._lock = self.lock or RLock()
        n_bands, n_rows, n_columns = (array.shape[order.index(axis)] for axis in range(3))
        self.shape = int(n_bands), int(n_rows), int(n_columns)
        self.dtype = np.dtype(array.dtype)
        chunks = getattr(array, "chunks", None)
        self._chunk_columns = chunks[order.index(2)] if chunks else 1
        self._strip: tuple[tuple, np.ndarray] | None = None

    def __getitem__(self, window: Window) -> np.ndarray:
        bounds = [axis.indices(n)[:2] for axis, n in zip(window, self.shape, strict=True)]
        bands, rows, columns = (slice(*axis) for axis in bounds)
        with self._lock:
            # Tiles come row by row, and a chunk that is wider would be unpacked again for each of them.
            strip_bytes = n_bytes_of((bands.stop - bands.start, rows.stop - rows.start, self.shape[2]), self.dtype)
            if self._chunk_columns <= columns.stop - columns.start or strip_bytes > MAX_CACHE_BYTES:
                return self._read((bands, rows, columns))
            key = tuple(bounds[:2])
            if self._strip is None or self._strip[0] != key:
                self._strip = None  # before the next one takes its memory
                self._strip = key, self._read((bands, rows, slice(0, self.shape[2])))
            return self._strip[1][:, :, columns].copy()

    def _read(self, window: Window) -> np.ndarray:
        index = tuple(0 if axis < 0 else window[axis] for axis in self._order)
        with reported(self):
            samples = np.asarray(self._array[index])
        samples = samples.astype(self.dtype, copy=False)
        kept = [axis for axis in self._order if axis >= 0]
        return samples.transpose([kept.index(axis) for axis in range(3)])


def ordered(
    cube: CubeFile, shape: tuple[int, ...], names: tuple[str, ...] | None, wish: Wish, default: tuple[int, ...] | None
) -> tuple[tuple[int, ...], bool]:
    """Which axis of the cube each axis of an array is, and whether that was said.

    names : of the axes, where the file has any
    default : the order that files of this format usually have; None: it has to be said
    """
    if wish.axes is not None:
        return axis_order.parse(wish.axes, shape, cube.path), True
    found = axis_order.by_names(names, shape) if names else None
    if found:
        return found, True
    real = [number for number, n in enumerate(shape) if n > 1] if len(shape) > 3 else list(range(len(shape)))
    if len(real) != 3:
        described = f"{len(shape)} in shape {shape}" if len(shape) < 10 else str(len(shape))
        raise cube.refuse("an array with 3 axes (bands, rows, columns)", described)
    if default is None:
        described = ", ".join(f"{name} ({n})" for name, n in zip(names or ("?",) * len(shape), shape))
        raise cube.refuse("axes of bands, rows and columns", f"{described}: say which is which with {axis_order.AXES}")
    order = [-1] * len(shape)
    for number, axis in zip(real, default, strict=True):
        order[number] = axis
    return tuple(order), False


@contextmanager
def reported(cube: CubeFile) -> Iterator[None]:
    """Whatever a library raises is told in one line, with the file and its format."""
    try:
        yield
    except (LhicError, MemoryError):
        raise
    except Exception as error:  # libraries and their decompressors have no common error class
        raise InvalidCubeError(
            f"{cube.path}: expected {cube.format} that is whole and readable, found {_reason(error, cube.path)}"
        ) from error


def _reason(error: Exception, path: str) -> str:
    """What a library says, without the path before it; of "see previous exception" that one."""
    return one_line(error.__cause__ or error).replace(f" {path}: ", " ")


@dataclass(frozen=True)
class Scene:
    """What a writer is given besides the samples.

    metadata : docs/format.md, section 2; may have a `source`, which says what format the cube came in, and how
    sources : that file's own header
    auxiliary : name -> array
    notes : of the writer, on what has no place in the file; filled by it
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    metadata: dict[str, Any] = field(default_factory=dict)
    sources: Mapping[str, bytes] = field(default_factory=dict)
    auxiliary: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def source(self, format_name: str) -> dict[str, Any]:
        """What the source said of its layout, if it was of this format; else nothing."""
        source = self.metadata.get("source", {})
        return source if isinstance(source, dict) and source.get("format") == format_name else {}

    def per_band(self, key: str, default: Any) -> list[Any]:
        """A value for each band, of a key that has one for all, or one for each."""
        value = self.metadata.get(key, default)
        return value if isinstance(value, list) else [value] * self.shape[0]


def suffix_of(source: Mapping[str, Any], key: str, default: str) -> str:
    """A suffix that a stream says; the default if it is none: a stream from elsewhere must not name other folders."""
    value = source.get(key, default)
    return value if isinstance(value, str) and SUFFIX.fullmatch(value) else default


def number(value: Any) -> Any:
    """A number of a library as JSON has it: whole ones as int; text for what is not finite."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            return "Infinity" if value > 0 else "-Infinity"
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value


def one_or_all(values: list[Any]) -> Any:
    """The one value that all bands have, else the list."""
    return values[0] if values and all(value == values[0] for value in values) else values


def tell_left_out(scene: Scene, format_name: str, kept: Iterable[str] = ()) -> None:
    """Note the arrays beside a cube that a format has no place for."""
    left_out = [name for name in scene.auxiliary if name not in kept]
    if left_out:
        listed = ", ".join(left_out[:6]) + " ..." * (len(left_out) > 6)
        scene.notes.append(f"{format_name} holds the cube alone: left out: {listed}")
