"""Whether an output that is there is the one that would be made now: of many files, such are not done again.

Nothing is written, and little is decoded: a stream has checksums over its samples, so that reading the samples of the
other file once tells whether they are the same.  Those of a stream with a bound are not its source's, and so some of
them are decoded.  Times and sizes of files tell nothing of that and are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.api import ModelLike, index_of, inspect
from lhic.comparison import Comparison
from lhic.cube import Cube, Window
from lhic.errors import LhicError, VerificationError, named
from lhic.families.raw import moved, pieces
from lhic.formats.base import CubeFile
from lhic.formats.registry import open_original
from lhic.io.source import open_source
from lhic.opened import StreamCube
from lhic.opened import open_cube as open_stream
from lhic.stream.auxiliary import HEADER_MARK, unpack
from lhic.stream.header import StreamIndex
from lhic.stream.metadata import plain
from lhic.stream.tiles import Stream, samples_crc
from lhic.stream.whole import check_whole

PIECE_SAMPLES = 1 << 22
"""Read at once: tiles of 128 x 128 pixels as a whole, in long pieces also where the bands of a pixel are together."""


@contextmanager
def mended_by_force() -> Iterator[None]:
    """What is wrong with an output that is there is told with what does it again."""
    try:
        yield
    except LhicError as error:
        raise type(error)(f"{error}: it was done before; --force does it again") from error


def check_encoded(
    path: str,
    cube: CubeFile,
    metadata: Mapping[str, Any],
    model: ModelLike | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> None:
    """Check that a stream is whole, and that of a cube.

    Metadata are compared but for their `source`, which says how the cube's file is laid out; its own header and the
    arrays beside the cube are.

    Parameters
    ----------
    path : of the stream
    cube : opened as it would be to encode it
    metadata : added to what the cube's file says
    model, device, threads : for a stream with a bound, as `lhic.decode` takes them

    Raises
    ------
    VerificationError
        It is that of another cube, or of this one as it was before.
    LhicError
        It is damaged, or no stream.
    """
    with open_source(path, "an lhic stream") as data, named(path):
        index = index_of(data)
        check_whole(data, index)
        header, found = index.header, inspect(data)
        if (header.shape, header.dtype) != (tuple(cube.shape), cube.dtype):
            raise _other(cube, f"{header.dtype} {header.shape}, not {cube.dtype} {tuple(cube.shape)}")
        said, now = header.metadata, plain({**cube.metadata, **metadata}, cube.shape[0])
        keys = sorted(key for key in said.keys() | now.keys() if key != "source" and said.get(key) != now.get(key))
        if keys:
            raise _other(cube, f"other metadata ({', '.join(keys)})")
        _check_beside(data, index, cube)
        if found["max_error"]:
            with open_stream(path, device, model=model, threads=threads) as stream:
                _check_within(index, cube, found["max_error"], stream)
        elif not _are_samples(cube, index):
            raise _other(cube, "other samples")


def check_decoded(path: str, stream: str) -> None:
    """Check that a file has the samples of a stream.

    Raises
    ------
    VerificationError
        It has other samples.
    LhicError
        The stream is damaged, or the file is, or of no known format.
    """
    with open_source(stream, "an lhic stream") as data:
        with named(stream):
            index = index_of(data)
            check_whole(data, index)
        shape, dtype = index.header.shape, index.header.dtype.newbyteorder("=")
        with mended_by_force(), open_original(path, index.header.metadata) as cube:
            if tuple(cube.shape) != shape or cube.dtype.newbyteorder("=") != dtype:
                found = f"{cube.dtype} {tuple(cube.shape)}"
                raise VerificationError(f"{path}: expected {dtype} {shape} as in {stream}, found {found}")
            if not _are_samples(cube, index):
                raise VerificationError(f"{path}: expected the samples of {stream}, found others")


def _other(cube: CubeFile, found: str) -> VerificationError:
    return VerificationError(f"expected the stream of {cube.path}, found one of {found}")


def _check_beside(data: Stream, index: StreamIndex, cube: CubeFile) -> None:
    """The arrays beside the cube, and its file's own header."""
    now = {name: np.asarray(values) for name, values in cube.auxiliary().items()}
    now |= {HEADER_MARK + name: np.frombuffer(text, np.uint8) for name, text in cube.sources.items()}
    entries = {entry.name: entry for entry in index.auxiliary}
    for name in sorted(now.keys() | entries.keys()):
        values, entry = now.get(name), entries.get(name)
        if (
            values is None
            or entry is None
            or (values.dtype, values.shape) != (entry.dtype, entry.shape)
            or values.tobytes() != unpack(data, entry).tobytes()
        ):
            what = "another header of the file" if name.startswith(HEADER_MARK) else f"another array {name}"
            raise _other(cube, what)


def _are_samples(cube: Cube, index: StreamIndex) -> bool:
    """Whether a cube of this shape has the samples that a stream decodes to, by their checksums."""
    header = index.header
    for tile, entry in zip(header.grid, index.tiles, strict=True):
        crc = 0
        for bands, rows, columns in pieces((header.shape[0], tile.n_rows, tile.n_columns), PIECE_SAMPLES):
            crc = samples_crc(cube[bands, moved(rows, tile.row), moved(columns, tile.column)], crc)
        if crc != entry.samples_crc:
            return False
    return True


def _check_within(index: StreamIndex, cube: CubeFile, max_error: float, stream: StreamCube) -> None:
    """Samples of a stream with a bound, where the cube has something to tell it from others."""
    window = _telling_window(cube, index)
    comparison = Comparison(cube, cube.path, max_error)
    comparison[window] = stream[window]
    try:
        comparison.verdict()
    except VerificationError:
        raise _other(cube, f"samples that differ by more than {max_error}") from None


def _telling_window(cube: Cube, index: StreamIndex) -> Window:
    """The first band with different samples in a tile, from the middle one on; of a constant cube, its first tile.

    Few bands have to be decoded for it; and there may be bands without a signal, or tiles without data.
    """
    tiles = list(index.header.grid)
    middle = len(tiles) // 2
    for tile in tiles[middle:] + tiles[:middle]:
        _, rows, columns = tile.window
        for band in range(cube.shape[0]):
            window = slice(band, band + 1), rows, columns
            if np.unique(cube[window]).size > 1:
                return window
    return slice(0, cube.shape[0]), *tiles[0].window[1:]
