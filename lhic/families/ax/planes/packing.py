"""A part of the side section: its length, and its bytes as they are or compressed, whichever is shorter.

Format v1 (docs/format_lhic_ax_side.md, section 1): raw LZMA1 with an end marker, lc = 4, lp = pb = 0, a dictionary of
1 MiB.  On bitmaps of used levels it came within 3 % of a coder with contexts made for them, 15 % below DEFLATE.
"""

from __future__ import annotations

import lzma

from lhic.errors import CorruptStreamError
from lhic.stream.varint import Reader, write_varint

FILTERS = [{"id": lzma.FILTER_LZMA1, "preset": 6, "dict_size": 1 << 20, "lc": 4, "lp": 0, "pb": 0}]
MIN_BYTES = 16
"""Shorter than this, nothing gets smaller."""


def pack(plain: bytes) -> bytes:
    """varint of ``2 * length + compressed``, then that many bytes."""
    if len(plain) >= MIN_BYTES:
        compressed = lzma.compress(plain, lzma.FORMAT_RAW, filters=FILTERS)
        if len(compressed) < len(plain):
            return write_varint(2 * len(compressed) + 1) + compressed
    return write_varint(2 * len(plain)) + plain


def unpack(reader: Reader, name: str, max_bytes: int) -> bytes:
    """Inverse of `pack`.

    max_bytes : of the plain part; no more is ever produced

    Raises
    ------
    CorruptStreamError
        Cut, damaged, or longer than `max_bytes`.
    """
    size = reader.varint(f"{name}: length")
    part = reader.take(size >> 1, name)
    if size & 1:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
        try:
            part = decompressor.decompress(part, max_length=max_bytes + 1)
        except lzma.LZMAError as error:
            raise CorruptStreamError(f"{reader.what}: {name}: expected LZMA data, found damage ({error})") from error
        if not decompressor.eof or decompressor.unused_data:
            raise CorruptStreamError(
                f"{reader.what}: {name}: expected one whole LZMA stream of at most {max_bytes} bytes, found another"
            )
    if len(part) > max_bytes:
        raise CorruptStreamError(f"{reader.what}: {name}: expected at most {max_bytes} bytes, found {len(part)}")
    return part
