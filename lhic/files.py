"""From file to file, for cubes larger than memory: a batch of tiles at a time, and nothing half-written.

The same bytes as `lhic.encode` gives, and the same files as ``np.save`` writes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lhic import api
from lhic.errors import LhicError, VerificationError
from lhic.families.family import Model, Progress
from lhic.families.registry import DEFAULT_MODEL
from lhic.io.atomic import atomic_write
from lhic.io.npy import CubeReader, CubeWriter, Window
from lhic.io.source import Source, open_source
from lhic.stream import container


def encode_file(
    cube: str | os.PathLike,
    stream: str | os.PathLike,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    device: str = "auto",
    *,
    metadata: dict | None = None,
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
    model, device, metadata, progress, fallback, options : as `lhic.encode` takes them
    memory_budget : bytes; default `lhic.io.memory.memory_budget`. As many tiles are coded together as fit

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
    more = {"metadata": metadata, "memory_budget": memory_budget, "progress": progress, "fallback": fallback}
    with CubeReader(cube) as reader, atomic_write(stream) as file:
        with tempfile.TemporaryFile(dir=stream.parent) as spool, named(cube):
            api.write_stream(reader, file, spool, model, device, **more, **options)
    with open_stream(stream) as written:
        return api.inspect(written)


def decode_file(
    stream: str | os.PathLike,
    cube: str | os.PathLike,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    verify: str | os.PathLike | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> int | None:
    """Restore a ``.npy`` file, of which only a batch of tiles is in memory at a time.

    Parameters
    ----------
    stream : path of what `encode_file` or `lhic.encode` gave
    cube : path to write
    device, model, progress : as `lhic.decode` takes them
    verify : path of the original, to compare with on the way
    memory_budget : bytes; default `lhic.io.memory.memory_budget`. As many tiles are decoded together as fit

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
        index = container.read_index(data)
        header = index.header
        if original is not None:
            check_comparable(original, header)
        container.check_whole(data, index)
        model = api.model_of(header, device, model)
        limit = api.room_for(model, header, "stream", memory_budget)
        with atomic_write(cube) as file:
            target = CubeWriter(file, header.shape, header.dtype)
            if original is not None:
                target = Comparison(original, max_error_of(data), target)
            api.read_tiles(target, data, index, model, limit, progress or (lambda n_samples: None))
            return target.verdict() if original is not None else None


def open_stream(path: str | os.PathLike) -> Source:
    """A stream in a file, without reading it; `UsageError` if there is none."""
    return open_source(path, "an lhic stream")


def max_error_of(stream: container.Stream) -> int:
    return api.inspect(stream)["max_error"]


def check_comparable(original: CubeReader, header: container.Header) -> None:
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

    def __init__(self, original: CubeReader, max_error: int, target: CubeWriter | None = None):
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
