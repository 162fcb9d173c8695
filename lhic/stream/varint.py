"""Whole numbers and byte strings as a stream holds them: varints, zigzag, length-prefixed fields.

Format v1: docs/format.md, before section 1.  Numbers one by one here, many at once as arrays below.
"""

from __future__ import annotations

import re
import struct

import numpy as np

from lhic.errors import CorruptStreamError

MAX_VARINT = 2**63 - 1
MAX_VARINT_BYTES = 9
"""Nine groups of seven bits hold every value up to `MAX_VARINT`."""
CRC = struct.Struct("<I")
NAME_PATTERN = re.compile(r"[a-z0-9._-]{1,64}")
"""Of a model or a family."""


def zigzag(value):
    """0, -1, 1, -2, 2, ... to 0, 1, 2, 3, 4, ...; an int, or int64 array, of size below 2^62.

    >>> [zigzag(value) for value in (0, -1, 1, -2)]
    [0, 1, 2, 3]
    """
    return (value << 1) ^ (value >> 63)


def unzigzag(value):
    """Inverse of `zigzag`."""
    return (value >> 1) ^ -(value & 1)


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

    def __init__(self, data: bytes, what: str, position: int = 0):
        self.data = data
        self.what = what
        self.position = position

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


# ---------------------------------------------------------------- many at once


def pack_varints(values: np.ndarray) -> bytes:
    """int64 values >= 0 as varints, one after the other."""
    values = np.ascontiguousarray(values, np.int64)
    assert not values.size or values.min() >= 0
    shifts = 7 * np.arange(MAX_VARINT_BYTES)
    groups = values[:, None] >> shifts
    wanted = groups > 0
    wanted[:, 0] = True
    more = np.zeros_like(wanted)
    more[:, :-1] = wanted[:, 1:]
    return (groups & 0x7F | more << 7).astype(np.uint8)[wanted].tobytes()


def unpack_varints(data: bytes, what: str) -> np.ndarray:
    """All varints of a section, int64.

    Raises
    ------
    CorruptStreamError
        One is cut, too long, or not the shortest.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    begins = np.concatenate([[0], ends + 1])
    lengths = ends + 1 - begins[:-1]
    odd = (lengths > MAX_VARINT_BYTES) | (raw[ends] == 0) & (lengths > 1)
    if odd.any() or begins[-1] < raw.size:
        at = begins[int(odd.argmax()) if odd.any() else -1]
        raise CorruptStreamError(f"{what}: expected a varint at byte {at}, found none")
    values = np.zeros(len(ends), np.int64)
    for group in range(int(lengths.max(initial=0))):
        has = lengths > group
        values[has] |= (raw[begins[:-1][has] + group].astype(np.int64) & 0x7F) << 7 * group
    return values
