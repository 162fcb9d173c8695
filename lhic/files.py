"""From file to file, for cubes larger than memory: a batch of tiles at a time, and nothing half-written.

The same bytes as `lhic.encode` gives, and the same files as ``np.save`` writes.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lhic import api
from lhic.errors import LhicError, UsageError, VerificationError
from lhic.families.family import CubeSink, Model, Progress
from lhic.families.registry import DEFAULT_MODEL
from lhic.io.cube import atomic_write
from lhic.io.npy import CubeReader, CubeWriter, Window
from lhic.stream.header import Header, read_index
from lhic.stream.tiles import Stream
from lhic.stream.whole import check_whole


def encode_file(
    cube: str | os.PathLike,
    stream: str | os.PathLike,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    device: str = "auto",
    *,
    metadata: dict | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    fallback: bool = True,
    **options,
) -> dict:
    """Compress a ``.npy`` file, of which only a batch of tiles is in memory at a time.

    Parameters
    ----------
    cube : path of a ``.npy`` file with what `lhic.encode` takes
    stream : path to write; besides it, a temporary file in the same folder holds the coded tiles meanwhile
    model, device, metadata, threads, progress, fallback, options : as `lhic.encode` takes them
    memory_budget : bytes; default `lhic.io.cube.memory_budget`. As many tiles are coded together as fit

    Returns
    -------
    dict : what `lhic.inspect` says of the stream

    Raises
    ------
    UsageError, InvalidCubeError
        No such file, or not a complete one with a cube in it.
    MemoryBudgetError
        Not even one tile fits the budget.
    LhicError
        What else `lhic.encode` raises. The stream's file is then as it was before.

    Examples
    --------
    >>> import lhic, numpy as np, tempfile
    >>> cube = np.arange(2 * 3 * 4, dtype="int16").reshape(2, 3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lhic.save_cube(f"{folder}/cube.npy", cube)
    ...     found = lhic.encode_file(f"{folder}/cube.npy", f"{folder}/cube.lhic")
    ...     same = open(f"{folder}/cube.lhic", "rb").read() == lhic.encode(cube)
    >>> found["shape"], same
    ([2, 3, 4], True)
    """
    stream = Path(stream)
    work = api.work_of(progress, threads, memory_budget)
    with CubeReader(cube) as reader, atomic_write(stream) as file:
        with tempfile.TemporaryFile(dir=stream.parent) as spool, named(cube):
            api.write_stream(reader, file, spool, model, device, work, metadata, fallback, options)
    with open_stream(stream) as written:
        return api.inspect(written)


def decode_file(
    stream: str | os.PathLike,
    cube: str | os.PathLike,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    verify: str | os.PathLike | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> int | None:
    """Restore a ``.npy`` file, of which only a batch of tiles is in memory at a time.

    Parameters
    ----------
    stream : path of what `encode_file` or `lhic.encode` gave
    cube : path to write
    device, model, threads, progress : as `lhic.decode` takes them
    verify : path of the original, to compare with on the way
    memory_budget : bytes; default `lhic.io.cube.memory_budget`. As many tiles are decoded together as fit

    Returns
    -------
    int or None : greatest absolute difference from the original, which is 0 unless the stream is near-lossless; None
        without `verify`

    Raises
    ------
    VerificationError
        The original is another cube.
    MemoryBudgetError
        Not even one tile fits the budget.
    LhicError
        What else `lhic.decode` raises.
    OSError
        There is no room for the cube.
    In any case, the cube's file is then as it was before.
    """
    cube = Path(cube)
    with open_stream(stream) as data, _opened(verify) as original, named(stream):
        index = read_index(data)
        header = index.header
        if original is not None:
            check_comparable(original, header)
        check_whole(data, index)
        model = api.model_of(header, device, model)
        work = api.work_of(progress, threads, memory_budget)
        model.check_room(header, "stream", work.memory)
        with atomic_write(cube) as file:
            target = CubeWriter(file, cube.parent, header.shape, header.dtype)
            if original is not None:
                target = Comparison(original, max_error_of(data), target)
            model.decode_cube(data, index, target, work)
            return target.verdict() if original is not None else None


class StreamFile:
    """A stream in a file, for what else takes bytes: has a length, and slices, which are read when they are taken."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._n_bytes = file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, key: int | slice) -> int | bytes:
        if not isinstance(key, slice):
            return self[key : key + 1][0]
        begin, end, _ = key.indices(self._n_bytes)
        self._file.seek(begin)
        return self._file.read(max(end - begin, 0))


@contextmanager
def open_stream(path: str | os.PathLike) -> Iterator[StreamFile]:
    """A stream in a file, without reading it; `UsageError` if there is none."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: expected an lhic stream, found {'a folder' if path.is_dir() else 'nothing there'}")
    with open(path, "rb", buffering=0) as file:
        yield StreamFile(file)


def max_error_of(stream: Stream) -> int:
    return api.inspect(stream)["max_error"]


def check_comparable(original: CubeReader, header: Header) -> None:
    """`VerificationError` unless the original has the stream's shape and dtype."""
    if original.shape != header.shape:
        raise VerificationError(f"{original.path}: expected shape {header.shape}, found {original.shape}")
    if original.dtype != header.dtype:
        raise VerificationError(f"{original.path}: expected {header.dtype} as decoded, found {original.dtype}")


class Comparison:
    """Compares the windows of a cube with the original's, and passes them on.

    max_error : how far a sample may be off
    target : takes windows; None: nobody does
    """

    def __init__(self, original: CubeReader, max_error: int, target: CubeSink | None = None):
        self.original, self.max_error, self.target = original, max_error, target
        self.largest_error = self.n_wrong = 0
        self.first: tuple[int, int, int] | None = None
        self.pair = (0, 0)

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        if self.target is not None:
            self.target[window] = samples
        original = self.original[window]
        if np.array_equal(samples, original):
            return
        for band in range(len(samples)):  # the differences take eight bytes a sample
            errors = np.abs(samples[band].astype(np.int64) - original[band])
            self.largest_error = max(self.largest_error, int(errors.max()))
            wrong = errors > self.max_error
            if wrong.any():
                self.n_wrong += int(wrong.sum())
                inside = (band, *(int(axis[0]) for axis in np.nonzero(wrong)))
                found = tuple(axis.start + i if axis.start else i for axis, i in zip(window, inside, strict=True))
                if self.first is None or found < self.first:
                    self.first, self.pair = found, (samples[inside], original[inside])

    def verdict(self) -> int:
        """Greatest absolute error; `VerificationError` if that is too much."""
        if self.n_wrong:
            expected = f"samples within {self.max_error}" if self.max_error else "equal samples"
            band, row, column = self.first
            raise VerificationError(
                f"{self.original.path}: expected {expected}, found {self.n_wrong} that differ, the first at band "
                f"{band}, row {row}, column {column}: {self.pair[0]} decoded, {self.pair[1]} in the original"
            )
        return self.largest_error


@contextmanager
def _opened(path: str | os.PathLike | None) -> Iterator[CubeReader | None]:
    if path is None:
        yield None
        return
    with CubeReader(path) as reader:
        yield reader


@contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Put the file's name in front of an error's message; its class stays."""
    try:
        yield
    except LhicError as error:
        raise type(error)(f"{path}: {error}") from error
