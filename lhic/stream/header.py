"""Preamble, header and index: what a stream says of itself before its first coded byte.

Knows the format (docs/format.md, section 1), no model.  Reading checks everything the header says against the bytes at
hand before anything is allocated from it.  Writing and reading stand next to each other in mirrored order.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lhic.cube import DTYPES, VALUE_DTYPES
from lhic.errors import CorruptStreamError, ForeignStreamError, TruncatedStreamError, UnsupportedVersionError
from lhic.stream import auxiliary
from lhic.stream.auxiliary import AuxiliaryEntry, Packed
from lhic.stream.metadata import read_metadata, write_metadata
from lhic.stream.tiles import Stream, TileEntry, TileGrid
from lhic.stream.varint import CRC, MAX_VARINT, NAME_PATTERN, Reader, write_bytes, write_varint

# Format v1: changing any of these changes every stream (docs/format.md, sections 1 and 2).
MAGIC = b"\x89LHIC\r\n\x1a"
VERSION = 1
PREAMBLE = struct.Struct("<8sBBIQ")
DTYPE_CODES = {str(dtype): code for code, dtype in enumerate(DTYPES, 1)}
VALUE_DTYPE_CODES = {str(dtype): code for code, dtype in enumerate(VALUE_DTYPES, len(DTYPES) + 1)}
BIG_ENDIAN_BIT = 0x80

# Limits
MAX_AXIS = 2**31 - 1
MAX_PARAMETERS_BYTES = 65_535
MAX_VALUES_BYTES = 1 << 24
MAX_SECTIONS = 255

_DTYPES = {code: np.dtype(name) for name, code in (DTYPE_CODES | VALUE_DTYPE_CODES).items()}


@dataclass(frozen=True)
class Header:
    """What a stream says about itself before its first coded byte.

    dtype : of the cube, with its byte order
    shape : (S, H, W)
    tile_rows, tile_columns : size of a full tile
    parameters : opaque to everyone but the family
    metadata : JSON object, see docs/format.md section 2
    values : how samples of `VALUE_DTYPES` became integers, opaque here: docs/format_values.md; empty: they did not
    """

    dtype: np.dtype
    shape: tuple[int, int, int]
    tile_rows: int
    tile_columns: int
    model_name: str
    family: str
    weights_hash: bytes
    parameters: bytes
    metadata: dict = field(default_factory=dict)
    values: bytes = b""

    @property
    def grid(self) -> TileGrid:
        return TileGrid(self.shape[1], self.shape[2], self.tile_rows, self.tile_columns)

    @property
    def n_samples(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class StreamIndex:
    """A parsed preamble and header."""

    header: Header
    header_bytes: int
    stream_bytes: int
    tiles: tuple[TileEntry, ...]
    auxiliary: tuple[AuxiliaryEntry, ...] = ()


def write_head(header: Header, tiles: Sequence[TileEntry], beside: Sequence[Packed] = ()) -> bytes:
    """Preamble and header, as they stand before these tiles and auxiliary sections."""
    n_sections = len(tiles[0].section_bytes)
    assert NAME_PATTERN.fullmatch(header.model_name) and NAME_PATTERN.fullmatch(header.family)
    assert len(header.weights_hash) in (0, 32) and len(header.parameters) <= MAX_PARAMETERS_BYTES
    assert 1 <= n_sections <= MAX_SECTIONS and all(len(tile.section_bytes) == n_sections for tile in tiles)
    fields = [bytes([_dtype_code(header.dtype)])]
    if _has_values(header.dtype):
        fields.append(write_bytes(header.values))
    fields += [write_varint(n) for n in (*header.shape, header.tile_rows, header.tile_columns)]
    fields += [write_bytes(header.model_name.encode()), write_bytes(header.family.encode())]
    fields += [write_bytes(header.weights_hash), write_bytes(header.parameters)]
    fields += [write_metadata(header.metadata, header.shape[0]), write_varint(n_sections)]
    for tile in tiles:
        fields += [write_varint(n_bytes) for n_bytes in tile.section_bytes]
        fields += [CRC.pack(tile.samples_crc), CRC.pack(tile.sections_crc)]
    body = b"".join(fields) + auxiliary.write_entries(beside)

    header_bytes = len(body) + CRC.size
    n_bytes = PREAMBLE.size + header_bytes + sum(tile.n_bytes for tile in tiles) + CRC.size
    n_bytes += sum(len(section.data) for section in beside)
    head = PREAMBLE.pack(MAGIC, VERSION, auxiliary.FLAG if beside else 0, header_bytes, n_bytes) + body
    return head + CRC.pack(zlib.crc32(head))


def stream_bytes(header: Header, tiles: Sequence[TileEntry]) -> int:
    """Size of a stream with these tiles."""
    return len(write_head(header, tiles)) + sum(tile.n_bytes for tile in tiles) + CRC.size


def read_index(stream: Stream) -> StreamIndex:
    """Parse and check preamble and header; needs the stream's first bytes only.

    `stream` may end anywhere behind the header; `check_whole` says whether all of it is there.

    Raises
    ------
    ForeignStreamError, UnsupportedVersionError, TruncatedStreamError, CorruptStreamError
    """
    flags, header_bytes, stream_bytes = _read_preamble(stream)
    head = bytes(stream[: PREAMBLE.size + header_bytes])
    if zlib.crc32(head[: -CRC.size]) != CRC.unpack(head[-CRC.size :])[0]:
        raise CorruptStreamError("header: checksum does not match: the header is damaged")

    reader = Reader(head[PREAMBLE.size : -CRC.size], "header")
    dtype = _dtype_of(reader.take(1, "dtype")[0])
    values = reader.bytes("values", MAX_VALUES_BYTES) if _has_values(dtype) else b""
    axes = "bands", "rows", "columns", "tile rows", "tile columns"
    n_bands, n_rows, n_columns, tile_rows, tile_columns = (reader.varint(axis, 1, MAX_AXIS) for axis in axes)
    shape = n_bands, n_rows, n_columns
    if n_bands * n_rows * n_columns * dtype.itemsize > MAX_VARINT:
        raise CorruptStreamError(f"header: shape: expected fewer than 2^63 bytes of samples, found {shape}")
    model_name, family = reader.name("model name"), reader.name("family")
    weights_hash = reader.bytes("weights hash", 32)
    if len(weights_hash) not in (0, 32):
        raise CorruptStreamError(f"header: weights hash: expected 0 or 32 bytes, found {len(weights_hash)}")
    parameters = reader.bytes("parameters", MAX_PARAMETERS_BYTES)
    metadata = read_metadata(reader, n_bands)
    of_model = model_name, family, weights_hash, parameters
    header = Header(dtype, shape, tile_rows, tile_columns, *of_model, metadata, values)
    tiles = _read_tile_entries(reader, header, PREAMBLE.size + header_bytes)
    end = PREAMBLE.size + header_bytes + sum(tile.n_bytes for tile in tiles)
    beside = auxiliary.read_entries(reader, end) if flags & auxiliary.FLAG else ()
    if reader.n_left:
        raise CorruptStreamError(f"header: expected the index to end it, found {reader.n_left} bytes more")
    found = end + sum(entry.n_bytes for entry in beside) + CRC.size
    if found != stream_bytes:
        raise CorruptStreamError(f"index: expected sections that add up to {stream_bytes} bytes, found {found}")
    return StreamIndex(header, header_bytes, stream_bytes, tiles, beside)


def _read_preamble(stream: Stream) -> tuple[int, int, int]:
    """flags, header_bytes and stream_bytes."""
    start = bytes(stream[: len(MAGIC)])
    if start != MAGIC[: len(start)]:
        raise ForeignStreamError(f"preamble: expected an lhic stream, found data that begins with {start.hex(' ')}")
    found = bytes(stream[len(MAGIC) : len(MAGIC) + 1])
    if found > bytes([VERSION]):
        raise UnsupportedVersionError(
            f"preamble: expected format version {VERSION}, found {found[0]}: a newer lhic wrote this stream"
        )
    if len(stream) < PREAMBLE.size:
        raise TruncatedStreamError(f"preamble: expected {PREAMBLE.size} bytes, found {len(stream)}")
    _, version, flags, header_bytes, stream_bytes = PREAMBLE.unpack(bytes(stream[: PREAMBLE.size]))
    if version != VERSION or flags & ~auxiliary.FLAG:
        raise CorruptStreamError(f"preamble: expected version {VERSION} and flags 0 or 1, found {version} and {flags}")
    if not CRC.size < header_bytes <= stream_bytes - PREAMBLE.size - CRC.size:
        raise CorruptStreamError(
            f"preamble: expected a header within the {stream_bytes} bytes of the stream, found {header_bytes} bytes"
        )
    if len(stream) < PREAMBLE.size + header_bytes:
        raise TruncatedStreamError(f"header: expected {header_bytes} bytes, found {len(stream) - PREAMBLE.size}")
    return flags, header_bytes, stream_bytes


def _read_tile_entries(reader: Reader, header: Header, offset: int) -> tuple[TileEntry, ...]:
    n_sections = reader.varint("sections per tile", 1, MAX_SECTIONS)
    n_tiles = len(header.grid)
    if n_tiles * (n_sections + 2 * CRC.size) > reader.n_left:  # a length is at least one byte
        raise CorruptStreamError(
            f"index: expected {n_tiles} tiles of {n_sections} sections, {reader.n_left} bytes left"
        )
    tiles = []
    for index in range(n_tiles):
        what = f"tile {index}"
        lengths = tuple(reader.varint(f"{what}: section {i} length") for i in range(n_sections))
        tiles.append(TileEntry(offset, lengths, reader.crc(what), reader.crc(what)))
        offset += sum(lengths)
    return tuple(tiles)


def _has_values(dtype: np.dtype) -> bool:
    """Whether a header says after the dtype how its samples became integers."""
    return dtype.newbyteorder("=") in VALUE_DTYPES


def _dtype_code(dtype: np.dtype) -> int:
    big_endian = dtype.itemsize > 1 and dtype.newbyteorder("=") != dtype.newbyteorder("<") and dtype.isnative
    big_endian = big_endian or dtype.byteorder == ">"
    codes = VALUE_DTYPE_CODES if _has_values(dtype) else DTYPE_CODES
    return codes[str(dtype.newbyteorder("="))] | (BIG_ENDIAN_BIT if big_endian else 0)


def _dtype_of(code: int) -> np.dtype:
    dtype = _DTYPES.get(code & ~BIG_ENDIAN_BIT)
    if dtype is None or (code & BIG_ENDIAN_BIT and dtype.itemsize == 1):
        raise CorruptStreamError(f"header: dtype: expected a code in {sorted(_DTYPES)}, found {code}")
    return dtype.newbyteorder(">" if code & BIG_ENDIAN_BIT else "<")
