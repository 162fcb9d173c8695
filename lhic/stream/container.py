"""The stream as bytes: preamble, header, index, tiles, trailer.  Knows the format (docs/format.md), no model.

Reading checks everything the header says against the bytes at hand before anything is allocated from it.
Writing and reading stand next to each other in mirrored order.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from lhic.errors import (
    CorruptStreamError,
    ForeignStreamError,
    InvalidCubeError,
    TruncatedStreamError,
    UnsupportedVersionError,
)
from lhic.stream.grid import TileGrid

# Format v1: changing any of these changes every stream (docs/format.md, sections 1 and 2).
MAGIC = b"\x89LHIC\r\n\x1a"
VERSION = 1
PREAMBLE = struct.Struct("<8sBBIQ")
CRC = struct.Struct("<I")
DTYPE_CODES = {"uint8": 1, "int8": 2, "uint16": 3, "int16": 4, "uint32": 5, "int32": 6}
BIG_ENDIAN_BIT = 0x80
NAME_PATTERN = re.compile(r"[a-z0-9._-]{1,64}")

# Limits
MAX_AXIS = 2**31 - 1
MAX_VARINT = 2**63 - 1
MAX_PARAMETERS_BYTES = 65_535
MAX_METADATA_BYTES = 16 << 20
MAX_SECTIONS = 255
COPY_BYTES = 1 << 20  # read or checked at once

_DTYPES = {code: np.dtype(name) for name, code in DTYPE_CODES.items()}


@dataclass(frozen=True)
class Header:
    """What a stream says about itself before its first coded byte.

    dtype : of the cube, with its byte order
    shape : (S, H, W)
    tile_rows, tile_columns : size of a full tile
    parameters : opaque to everyone but the family
    metadata : JSON object, see docs/format.md section 2
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

    @property
    def grid(self) -> TileGrid:
        return TileGrid(self.shape[1], self.shape[2], self.tile_rows, self.tile_columns)

    @property
    def n_samples(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


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


@dataclass(frozen=True)
class StreamIndex:
    """A parsed preamble and header."""

    header: Header
    header_bytes: int
    stream_bytes: int
    tiles: tuple[TileEntry, ...]


# ---------------------------------------------------------------- varint, bytes


def write_varint(value: int) -> bytes:
    """Unsigned LEB128 of ``0 <= value < 2**63``."""
    assert 0 <= value <= MAX_VARINT, value
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def write_bytes(data: bytes) -> bytes:
    """A varint length and the data."""
    return write_varint(len(data)) + data


class Reader:
    """Takes fields off a byte string; every shortfall is a `CorruptStreamError` that names the field."""

    def __init__(self, data: bytes, what: str):
        self.data = data
        self.what = what
        self.position = 0

    @property
    def n_left(self) -> int:
        return len(self.data) - self.position

    def take(self, n_bytes: int, name: str) -> bytes:
        if n_bytes > self.n_left:
            raise CorruptStreamError(f"{self.what}: {name}: {n_bytes} bytes announced, {self.n_left} left")
        self.position += n_bytes
        return bytes(self.data[self.position - n_bytes : self.position])

    def varint(self, name: str, low: int = 0, high: int = MAX_VARINT) -> int:
        value = 0
        for shift in range(0, 70, 7):
            (byte,) = self.take(1, name)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise CorruptStreamError(f"{self.what}: {name}: expected a varint of at most 10 bytes")
        if byte == 0 and shift > 0:
            raise CorruptStreamError(f"{self.what}: {name}: expected the shortest varint, found a longer one")
        if not low <= value <= high:
            raise CorruptStreamError(f"{self.what}: {name}: expected {low}..{high}, found {value}")
        return value

    def bytes(self, name: str, limit: int) -> bytes:
        return self.take(self.varint(f"{name} length", 0, limit), name)

    def crc(self, name: str) -> int:
        return CRC.unpack(self.take(CRC.size, name))[0]

    def name(self, name: str) -> str:
        text = self.bytes(name, 64).decode("ascii", "replace")
        if not NAME_PATTERN.fullmatch(text):
            raise CorruptStreamError(f"{self.what}: {name}: expected 1..64 of a-z 0-9 . _ -, found {text!r}")
        return text


# ---------------------------------------------------------------- metadata


def write_metadata(metadata: dict, n_bands: int) -> bytes:
    """Metadata section: empty for an empty dict, else deflated JSON.

    Raises
    ------
    InvalidCubeError
        Not a JSON object, too large, or a per-band list of another length than `n_bands`.
    """
    if not metadata:
        return b""
    problem = metadata_problem(metadata, n_bands)
    if problem:
        raise InvalidCubeError(f"metadata: {problem}")
    try:
        text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidCubeError(f"metadata: expected what JSON can hold, found otherwise ({error})") from error
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise InvalidCubeError(f"metadata: expected at most {MAX_METADATA_BYTES} bytes, found {len(text.encode())}")
    return zlib.compress(text.encode(), 9)


def read_metadata(section: bytes, n_bands: int) -> dict:
    """Inverse of `write_metadata`; `CorruptStreamError` on anything else."""
    if not section:
        return {}
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(section, MAX_METADATA_BYTES)
        if not inflater.eof or inflater.unused_data:
            raise ValueError("not exactly one zlib stream of at most 16 MiB")
        metadata = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise CorruptStreamError(f"header: metadata: expected deflated JSON, found otherwise ({error})") from error
    problem = metadata_problem(metadata, n_bands)
    if problem:
        raise CorruptStreamError(f"header: metadata: {problem}")
    return metadata


def metadata_problem(metadata: object, n_bands: int) -> str | None:
    """What is wrong with the known keys, in words, or None."""
    if not isinstance(metadata, dict):
        return f"expected a JSON object, found {type(metadata).__name__}"
    numbers, texts = (int, float), (str,)
    lists = {
        "wavelengths": (n_bands, numbers),
        "fwhm": (n_bands, numbers),
        "band_names": (n_bands, texts),
        "transform": (6, numbers),
    }
    for key, (length, kinds) in lists.items():
        value = metadata.get(key)
        if key in metadata and not (
            isinstance(value, list) and len(value) == length and all(type(item) in kinds for item in value)
        ):
            return f"{key}: expected a list of {length} {'numbers' if kinds is numbers else 'texts'}"
    for key, kinds in {"nodata": numbers, "crs": texts, "extra": (dict,)}.items():
        if key in metadata and type(metadata[key]) not in kinds:
            return f"{key}: expected {' or '.join(k.__name__ for k in kinds)}, found {type(metadata[key]).__name__}"
    return None


# ---------------------------------------------------------------- whole stream


def samples_crc(tile: np.ndarray, crc: int = 0) -> int:
    """CRC-32 of a tile's samples, little-endian, in the order band, row, column; `crc` is that of those before them."""
    little_endian = tile.astype(tile.dtype.newbyteorder("<"), copy=False)
    return zlib.crc32(np.ascontiguousarray(little_endian).data.cast("B"), crc)


def _sections_crc(sections: Sequence[bytes]) -> int:
    crc = 0
    for section in sections:
        crc = zlib.crc32(section, crc)
    return crc


def _dtype_code(dtype: np.dtype) -> int:
    big_endian = dtype.itemsize > 1 and dtype.newbyteorder("=") != dtype.newbyteorder("<") and dtype.isnative
    big_endian = big_endian or dtype.byteorder == ">"
    return DTYPE_CODES[str(dtype.newbyteorder("="))] | (BIG_ENDIAN_BIT if big_endian else 0)


def _dtype_of(code: int) -> np.dtype:
    dtype = _DTYPES.get(code & ~BIG_ENDIAN_BIT)
    if dtype is None or (code & BIG_ENDIAN_BIT and dtype.itemsize == 1):
        raise CorruptStreamError(f"header: dtype: expected a code in {sorted(_DTYPES)}, found {code}")
    return dtype.newbyteorder(">" if code & BIG_ENDIAN_BIT else "<")


class StreamWriter:
    """Puts a stream together whose sections come one after the other, and before the header that lists them.

    spool : binary file, open for reading and writing, empty; holds the sections meanwhile
    """

    def __init__(self, header: Header, spool: BinaryIO):
        assert NAME_PATTERN.fullmatch(header.model_name) and NAME_PATTERN.fullmatch(header.family)
        assert len(header.weights_hash) in (0, 32) and len(header.parameters) <= MAX_PARAMETERS_BYTES
        self.header, self.spool = header, spool
        self.tiles: list[TileEntry] = []
        self._section_bytes: list[int] = []
        self._open_bytes = self._tile_crc = 0

    @property
    def n_bytes(self) -> int:
        """Of the stream, once all tiles have been added."""
        return stream_bytes(self.header, self.tiles)

    def add_tile(self, sections: Sequence[bytes], samples_crc: int) -> None:
        """The next tile, in grid order; each has the same number of sections."""
        for section in sections:
            self.write(section)
            self.end_section()
        self.end_tile(samples_crc)

    def write(self, part: bytes) -> None:
        """More of the section that is being written."""
        self.spool.write(part)
        self._open_bytes += len(part)
        self._tile_crc = zlib.crc32(part, self._tile_crc)

    def end_section(self) -> None:
        self._section_bytes.append(self._open_bytes)
        self._open_bytes = 0

    def end_tile(self, samples_crc: int) -> None:
        self.tiles.append(TileEntry(0, tuple(self._section_bytes), samples_crc, self._tile_crc))
        self._section_bytes, self._tile_crc = [], 0

    def finish(self, file: BinaryIO) -> None:
        """Write the stream."""
        assert len(self.tiles) == len(self.header.grid) and not self._open_bytes and not self._section_bytes
        part = _write_head(self.header, self.tiles)
        self.spool.seek(0)
        crc = 0
        while part:
            file.write(part)
            crc = zlib.crc32(part, crc)
            part = self.spool.read(COPY_BYTES)
        file.write(CRC.pack(crc))


def stream_bytes(header: Header, tiles: Sequence[TileEntry]) -> int:
    """Size of a stream with these tiles."""
    return len(_write_head(header, tiles)) + sum(tile.n_bytes for tile in tiles) + CRC.size


def _write_head(header: Header, tiles: Sequence[TileEntry]) -> bytes:
    """Preamble and header."""
    n_sections = len(tiles[0].section_bytes)
    assert 1 <= n_sections <= MAX_SECTIONS and all(len(tile.section_bytes) == n_sections for tile in tiles)
    fields = [bytes([_dtype_code(header.dtype)])]
    fields += [write_varint(n) for n in (*header.shape, header.tile_rows, header.tile_columns)]
    fields += [write_bytes(header.model_name.encode()), write_bytes(header.family.encode())]
    fields += [write_bytes(header.weights_hash), write_bytes(header.parameters)]
    fields += [write_bytes(write_metadata(header.metadata, header.shape[0])), write_varint(n_sections)]
    for tile in tiles:
        fields += [write_varint(n_bytes) for n_bytes in tile.section_bytes]
        fields += [CRC.pack(tile.samples_crc), CRC.pack(tile.sections_crc)]
    body = b"".join(fields)

    header_bytes = len(body) + CRC.size
    n_bytes = PREAMBLE.size + header_bytes + sum(tile.n_bytes for tile in tiles) + CRC.size
    head = PREAMBLE.pack(MAGIC, VERSION, 0, header_bytes, n_bytes) + body
    return head + CRC.pack(zlib.crc32(head))


def write_stream(header: Header, tiles: Sequence[Sequence[bytes]], samples_crcs: Sequence[int]) -> bytes:
    """A stream of sections that are at hand.

    tiles : sections of each tile, in grid order, the same number in each
    samples_crcs : `samples_crc` of each tile
    """
    writer, file = StreamWriter(header, io.BytesIO()), io.BytesIO()
    for sections, crc in zip(tiles, samples_crcs, strict=True):
        writer.add_tile(sections, crc)
    writer.finish(file)
    return file.getvalue()


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


Stream = bytes | memoryview | StreamFile


def read_index(stream: Stream) -> StreamIndex:
    """Parse and check preamble and header; needs the stream's first bytes only.

    `stream` may end anywhere behind the header; `check_whole` says whether all of it is there.

    Raises
    ------
    ForeignStreamError, UnsupportedVersionError, TruncatedStreamError, CorruptStreamError
    """
    header_bytes, stream_bytes = _read_preamble(stream)
    head = bytes(stream[: PREAMBLE.size + header_bytes])
    if zlib.crc32(head[: -CRC.size]) != CRC.unpack(head[-CRC.size :])[0]:
        raise CorruptStreamError("header: checksum does not match: the header is damaged")

    reader = Reader(head[PREAMBLE.size : -CRC.size], "header")
    dtype = _dtype_of(reader.take(1, "dtype")[0])
    axes = "bands", "rows", "columns", "tile rows", "tile columns"
    *shape, tile_rows, tile_columns = (reader.varint(axis, 1, MAX_AXIS) for axis in axes)
    if shape[0] * shape[1] * shape[2] * dtype.itemsize > MAX_VARINT:
        raise CorruptStreamError(f"header: shape: expected fewer than 2^63 bytes of samples, found {tuple(shape)}")
    model_name, family = reader.name("model name"), reader.name("family")
    weights_hash = reader.bytes("weights hash", 32)
    if len(weights_hash) not in (0, 32):
        raise CorruptStreamError(f"header: weights hash: expected 0 or 32 bytes, found {len(weights_hash)}")
    parameters = reader.bytes("parameters", MAX_PARAMETERS_BYTES)
    metadata = read_metadata(reader.bytes("metadata", len(head)), shape[0])
    header = Header(
        dtype, tuple(shape), tile_rows, tile_columns, model_name, family, weights_hash, parameters, metadata
    )
    tiles = _read_tile_entries(reader, header, PREAMBLE.size + header_bytes)
    found = PREAMBLE.size + header_bytes + sum(tile.n_bytes for tile in tiles) + CRC.size
    if found != stream_bytes:
        raise CorruptStreamError(f"index: expected sections that add up to {stream_bytes} bytes, found {found}")
    return StreamIndex(header, header_bytes, stream_bytes, tiles)


def _read_preamble(stream: Stream) -> tuple[int, int]:
    """header_bytes and stream_bytes."""
    start = bytes(stream[: len(MAGIC)])
    if start != MAGIC[: len(start)]:
        raise ForeignStreamError(f"preamble: expected an lhic stream, found data that begins with {start.hex(' ')}")
    if len(stream) > len(MAGIC) and stream[len(MAGIC)] > VERSION:
        raise UnsupportedVersionError(
            f"preamble: expected format version {VERSION}, found {stream[len(MAGIC)]}: a newer lhic wrote this stream"
        )
    if len(stream) < PREAMBLE.size:
        raise TruncatedStreamError(f"preamble: expected {PREAMBLE.size} bytes, found {len(stream)}")
    _, version, flags, header_bytes, stream_bytes = PREAMBLE.unpack(bytes(stream[: PREAMBLE.size]))
    if version != VERSION or flags != 0:
        raise CorruptStreamError(f"preamble: expected version {VERSION} and flags 0, found {version} and {flags}")
    if not CRC.size < header_bytes <= stream_bytes - PREAMBLE.size - CRC.size:
        raise CorruptStreamError(
            f"preamble: expected a header within the {stream_bytes} bytes of the stream, found {header_bytes} bytes"
        )
    if len(stream) < PREAMBLE.size + header_bytes:
        raise TruncatedStreamError(f"header: expected {header_bytes} bytes, found {len(stream) - PREAMBLE.size}")
    return header_bytes, stream_bytes


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
    if reader.n_left:
        raise CorruptStreamError(f"header: expected the index to end it, found {reader.n_left} bytes more")
    return tuple(tiles)


def check_whole(stream: Stream, index: StreamIndex) -> None:
    """Check that the stream is complete, and its trailer.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
    """
    if len(stream) < index.stream_bytes:
        raise TruncatedStreamError(f"stream: expected {index.stream_bytes} bytes, found {len(stream)}")
    if len(stream) > index.stream_bytes:
        raise CorruptStreamError(f"stream: expected {index.stream_bytes} bytes, found {len(stream)}: too many")
    crc, end = 0, len(stream) - CRC.size
    for begin in range(0, end, COPY_BYTES):
        crc = zlib.crc32(stream[begin : min(begin + COPY_BYTES, end)], crc)
    if crc != CRC.unpack(bytes(stream[end:]))[0]:
        raise CorruptStreamError("stream: checksum does not match: the stream is damaged")


def tile_sections(stream: Stream, index: StreamIndex, tile: int) -> tuple[bytes, ...]:
    """The sections of one tile, checked against their checksum.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
    """
    entry = index.tiles[tile]
    check_reaches(stream, entry, tile)
    sections, position = [], entry.offset
    for n_bytes in entry.section_bytes:
        sections.append(bytes(stream[position : position + n_bytes]))
        position += n_bytes
    check_sections_crc(_sections_crc(sections), entry, tile)
    return tuple(sections)


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
