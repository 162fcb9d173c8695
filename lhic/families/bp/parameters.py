"""What a stream of this family says about itself, readable without torch and without weights.

Format v1: docs/format_lhic_bp.md, section 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from lhic.errors import CorruptStreamError
from lhic.stream.varint import Reader, unzigzag, write_varint, zigzag

FAMILY = "lhic-bp"
SECTION_NAMES = ("msp", "lsp", "corrections", "escapes")
SPLIT_BITS = (1, 16)
"""Least and greatest number of bits in the least significant part."""


@dataclass(frozen=True)
class StreamParameters:
    """split_bits : bits of the lsp; offset : sample value that the networks see as 0."""

    split_bits: int
    offset: int

    def to_bytes(self) -> bytes:
        """Two varints, the offset in zigzag."""
        return write_varint(self.split_bits) + write_varint(zigzag(self.offset))

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamParameters:
        """Inverse of `to_bytes`; raises `CorruptStreamError`."""
        reader = Reader(data, "lhic-bp parameters")
        split_bits = reader.varint("split bits", *SPLIT_BITS)
        offset = reader.varint("offset", 0, (1 << 34) - 1)
        if reader.n_left:
            raise CorruptStreamError(f"lhic-bp parameters: expected 2 numbers, found {reader.n_left} bytes more")
        return cls(split_bits, unzigzag(offset))


def describe_parameters(parameters: bytes) -> dict:
    """Stream parameters by name, for ``lhic info``."""
    found = StreamParameters.from_bytes(parameters)
    return {"param_d": found.split_bits, "offset": found.offset}
