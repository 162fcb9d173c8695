"""Auxiliary sections: arrays that belong to a cube, and bytes of the file that it came in, behind the tiles.

Each is typed, named and lossless by itself; a reader takes the ones it wants.  Format v1: docs/format.md, section 1.4.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lhic.cube import n_bytes_of
from lhic.errors import CorruptStreamError, InvalidCubeError, TruncatedStreamError
from lhic.stream.packed import read_code, write_code
from lhic.stream.tiles import Stream
from lhic.stream.varint import CRC, MAX_VARINT, Reader, write_bytes, write_varint

# Format v1: changing any of these changes streams with auxiliary sections.
FLAG = 0x01
MAX_SECTIONS = 65_535
MAX_NAME_BYTES = 4096
MAX_AXES = 32
TYPES = (
    "|b1",
    "|i1",
    "|u1",
    *(f"{order}{kind}" for kind in "i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16".split() for order in "<>"),
)
HEADER_MARK = "@"
"""First character of the names of bytes that stood in the source's own header."""
ENTRY_BYTES = 1 + 1 + 1 + 3 + 1 + 1 + CRC.size
"""At least so long is the description of a section."""


@dataclass(frozen=True)
class AuxiliaryEntry:
    """What a stream says of one auxiliary section; `offset` is where it begins."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    n_bytes: int
    crc: int
    offset: int = 0


@dataclass(frozen=True)
class Packed:
    """A section to be written."""

    entry: AuxiliaryEntry
    data: bytes


def pack(name: str, array: np.ndarray | bytes) -> Packed:
    """An array of any shape, or bytes, as a section.

    Raises
    ------
    InvalidCubeError
        It has no type of those that a stream knows, or no name.
    """
    values = np.frombuffer(array, np.uint8) if isinstance(array, bytes) else np.asarray(array)
    if values.dtype.str not in TYPES:
        raise InvalidCubeError(f"auxiliary {name}: expected numbers or booleans, found {values.dtype}")
    text = name.encode("utf-8", "replace")
    if not 0 < len(text) <= MAX_NAME_BYTES or text.decode() != name or values.ndim > MAX_AXES:
        expected = f"a name in Unicode of 1..{MAX_NAME_BYTES} bytes, and at most {MAX_AXES} axes"
        raise InvalidCubeError(f"auxiliary {name!r:.40}: expected {expected}, found {values.ndim} axes")
    flat = np.ascontiguousarray(values).reshape(-1)
    planes = (
        flat.view(np.uint8).reshape(-1, values.dtype.itemsize).T
    )  # first bytes first: neighbours differ in the last
    plain = np.ascontiguousarray(planes).tobytes()
    data = write_code(plain, [values.shape[-1] if values.ndim > 1 else 0]) or plain
    return Packed(AuxiliaryEntry(name, values.dtype, values.shape, len(data), zlib.crc32(data)), data)


def pack_all(arrays: Mapping[str, np.ndarray], headers: Mapping[str, bytes]) -> list[Packed]:
    """Arrays, and what stood in the source's own header, in this order."""
    named: dict[str, np.ndarray | bytes] = {**arrays, **{HEADER_MARK + name: text for name, text in headers.items()}}
    if len(named) > MAX_SECTIONS:
        raise InvalidCubeError(f"auxiliary: expected at most {MAX_SECTIONS} arrays, found {len(named)}")
    return [pack(name, value) for name, value in named.items()]


def write_entries(sections: Sequence[Packed]) -> bytes:
    """The part of the header that lists them; empty if there are none."""
    if not sections:
        return b""
    fields = [write_varint(len(sections))]
    for section in sections:
        entry = section.entry
        fields += [write_bytes(entry.name.encode()), write_bytes(entry.dtype.str.encode())]
        fields += [write_varint(len(entry.shape)), *map(write_varint, entry.shape)]
        fields += [write_varint(entry.n_bytes), CRC.pack(entry.crc)]
    return b"".join(fields)


def read_entries(reader: Reader, offset: int) -> tuple[AuxiliaryEntry, ...]:
    """Inverse of `write_entries`; the sections lie one after the other from `offset` on."""
    n_sections = reader.varint("auxiliary sections", 1, MAX_SECTIONS)
    if n_sections * ENTRY_BYTES > reader.n_left:
        raise CorruptStreamError(f"header: expected {n_sections} auxiliary sections, {reader.n_left} bytes left")
    entries = []
    for number in range(n_sections):
        what = f"auxiliary section {number}"
        try:
            name = reader.bytes(f"{what}: name", MAX_NAME_BYTES).decode()
        except UnicodeDecodeError:
            raise CorruptStreamError(f"header: {what}: expected a name in UTF-8, found otherwise") from None
        kind = reader.bytes(f"{what}: type", 4).decode("ascii", "replace")
        if not name or kind not in TYPES:
            raise CorruptStreamError(f"header: {what}: expected a name and a known type, found {name!r} and {kind!r}")
        n_axes = reader.varint(f"{what}: axes", 0, MAX_AXES)
        shape = tuple(reader.varint(f"{what}: length of an axis") for _ in range(n_axes))
        if n_bytes_of(shape, np.dtype(kind)) > MAX_VARINT:
            raise CorruptStreamError(f"header: {what}: expected fewer than 2^63 bytes, found shape {shape}")
        n_bytes = reader.varint(f"{what}: size")
        entries.append(AuxiliaryEntry(name, np.dtype(kind), shape, n_bytes, reader.crc(what), offset))
        offset += n_bytes
    if len({entry.name for entry in entries}) < n_sections:
        raise CorruptStreamError("header: auxiliary sections: expected names that differ, found one twice")
    return tuple(entries)


def unpack(stream: Stream, entry: AuxiliaryEntry) -> np.ndarray:
    """The array of a section; it takes twice its bytes of memory, and those of the section.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
    """
    n_bytes, what = n_bytes_of(entry.shape, entry.dtype), f"auxiliary {entry.name}"
    data = bytes(stream[entry.offset : entry.offset + entry.n_bytes])
    if len(data) < entry.n_bytes:
        raise TruncatedStreamError(f"{what}: expected {entry.n_bytes} bytes, found {len(data)}")
    if zlib.crc32(data) != entry.crc:
        raise CorruptStreamError(f"{what}: checksum does not match: the stream is damaged")
    planes = data if entry.n_bytes == n_bytes else read_code(data, what, n_bytes)
    if len(planes) != n_bytes:
        raise CorruptStreamError(f"{what}: expected {n_bytes} bytes, found {len(planes)}")
    by_byte = np.frombuffer(planes, np.uint8).reshape(entry.dtype.itemsize, -1)
    return np.ascontiguousarray(by_byte.T).reshape(-1).view(entry.dtype).reshape(entry.shape)
