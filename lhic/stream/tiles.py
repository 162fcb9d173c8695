"""How a cube is cut into tiles, and their sections in a stream, with checksums.

A tile is a spatial rectangle that holds all the bands and is coded independently.  Row by row, as ``docs/format.md``
section 1.2 numbers them.  Tiles at the right and lower edges are smaller; nothing here pads.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np

from lhic.errors import CorruptStreamError, TruncatedStreamError


class Stream(Protocol):
    """Bytes, or what is read only where it is sliced: a file, say."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> bytes | memoryview: ...


@dataclass(frozen=True)
class Tile:
    """One spatial rectangle of a cube: rows ``row .. row+n_rows-1``, columns ``column .. column+n_columns-1``."""

    index: int
    row: int
    column: int
    n_rows: int
    n_columns: int

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Index of the tile's samples in the cube."""
        return (
            slice(None),
            slice(self.row, self.row + self.n_rows),
            slice(self.column, self.column + self.n_columns),
        )


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a cube of `n_rows` x `n_columns`, numbered row by row."""

    n_rows: int
    n_columns: int
    tile_rows: int
    tile_columns: int

    @property
    def n_across(self) -> int:
        return -(-self.n_columns // self.tile_columns)

    @property
    def n_down(self) -> int:
        return -(-self.n_rows // self.tile_rows)

    def __len__(self) -> int:
        return self.n_down * self.n_across

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = index // self.n_across * self.tile_rows
        column = index % self.n_across * self.tile_columns
        return Tile(
            index,
            row,
            column,
            min(self.tile_rows, self.n_rows - row),
            min(self.tile_columns, self.n_columns - column),
        )

    def __iter__(self):
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True)
class TileEntry:
    """One tile in the index: where its sections are, and the two checksums."""

    offset: int
    section_bytes: tuple[int, ...]
    samples_crc: int
    sections_crc: int

    @property
    def n_bytes(self) -> int:
        return sum(self.section_bytes)


class Section:
    """One section where it lies in a stream, read as far as it is sliced; `n_read` counts those bytes."""

    def __init__(self, stream: Stream, begin: int, n_bytes: int):
        self._stream, self._begin, self._n_bytes = stream, begin, n_bytes
        self.n_read = 0

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._n_bytes)
        self.n_read += max(end - begin, 0)
        return bytes(self._stream[self._begin + begin : self._begin + max(begin, end)])

    def __bytes__(self) -> bytes:
        return self[:]


def samples_crc(tile: np.ndarray, crc: int = 0) -> int:
    """CRC-32 of a tile's samples, little-endian, in the order band, row, column; `crc` is that of those before them."""
    little_endian = tile.astype(tile.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(np.ascontiguousarray(little_endian).data.cast("B"), crc)


def sections_crc(sections: Sequence[bytes]) -> int:
    crc = 0
    for section in sections:
        crc = zlib.crc32(section, crc)
    return crc


def lazy_sections(stream: Stream, entry: TileEntry, tile: int) -> tuple[Section, ...]:
    """The sections of one tile, not read or checked yet; `TruncatedStreamError` unless they are there."""
    check_reaches(stream, entry, tile)
    begins = accumulate(entry.section_bytes, initial=entry.offset)
    return tuple(Section(stream, begin, n_bytes) for begin, n_bytes in zip(begins, entry.section_bytes, strict=False))


def tile_sections(stream: Stream, entry: TileEntry, tile: int) -> tuple[bytes, ...]:
    """The sections of one tile, checked against their checksum.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
    """
    sections = tuple(bytes(section) for section in lazy_sections(stream, entry, tile))
    check_sections_crc(sections_crc(sections), entry, tile)
    return sections


def check_reaches(stream: Stream, entry: TileEntry, tile: int) -> None:
    """`TruncatedStreamError` unless the tile's sections are there."""
    if len(stream) < entry.offset + entry.n_bytes:
        raise TruncatedStreamError(
            f"tile {tile}: expected {entry.n_bytes} bytes from {entry.offset} on, found a stream of {len(stream)}"
        )


def check_sections_crc(crc: int, entry: TileEntry, tile: int) -> None:
    """`CorruptStreamError` unless the checksum is that of the index."""
    if crc != entry.sections_crc:
        raise CorruptStreamError(f"tile {tile}: checksum of its sections does not match: the stream is damaged")


def check_samples_crc(crc: int, entry: TileEntry, tile: int) -> None:
    """`CorruptStreamError` unless the checksum is that of the index."""
    if crc != entry.samples_crc:
        raise CorruptStreamError(f"tile {tile}: checksum of the decoded samples does not match")
