"""Bit fields, most significant bit first: how a header is written, and the readable coders.

Meant for kilobytes; the compiled coders have writers of their own.
"""

from __future__ import annotations

from lhic.ccsds123.errors import StreamError, TruncatedError


class BitWriter:
    """Appends unsigned fields and gives bytes."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.n_bits = 0

    def put(self, value: int, n_bits: int) -> None:
        """Append `value`, 0 <= value < 2**n_bits."""
        assert 0 <= value < 1 << n_bits, (value, n_bits)
        if n_bits:
            self._parts.append(format(value, f"0{n_bits}b"))
            self.n_bits += n_bits

    def fill(self, word_bytes: int, bits_before: int = 0) -> None:
        """Append zeros until `bits_before` plus the bits written are a whole number of words."""
        missing = -(self.n_bits + bits_before) % (8 * word_bytes)
        self.put(0, missing)

    def to_bytes(self) -> bytes:
        """The bits written; a last incomplete byte is filled with zeros."""
        if not self.n_bits:
            return b""
        n_bytes = (self.n_bits + 7) // 8
        return (int("".join(self._parts), 2) << (8 * n_bytes - self.n_bits)).to_bytes(n_bytes, "big")


class BitReader:
    """Reads fields from `data`, starting at bit `position`; raises TruncatedError at the end."""

    def __init__(self, data: bytes, position: int = 0):
        self._data = data
        self.position = position
        self.n_bits = 8 * len(data)

    def get(self, n_bits: int, name: str = "body") -> int:
        """The next `n_bits` as an unsigned integer."""
        start, end = self.position, self.position + n_bits
        if end > self.n_bits:
            raise TruncatedError(f"{name}: expected {n_bits} bits at bit {start}, found {self.n_bits - start}")
        self.position = end
        window = int.from_bytes(self._data[start // 8 : (end + 7) // 8], "big")
        return (window >> (-end % 8)) & ((1 << n_bits) - 1)

    def get_signed(self, n_bits: int, name: str) -> int:
        """The next `n_bits` as a two's complement integer."""
        value = self.get(n_bits, name)
        return value - (value >> (n_bits - 1) << n_bits)

    def expect_zeros(self, n_bits: int, name: str) -> None:
        """Skip `n_bits` that the standard wants to be zero."""
        if self.get(n_bits, name):
            raise StreamError(f"{name}: expected zeros before bit {self.position}, found others")

    def align(self, name: str) -> None:
        """Skip the zeros up to the next byte."""
        self.expect_zeros(-self.position % 8, name)
