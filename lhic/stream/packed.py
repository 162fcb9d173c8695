"""Bytes in a stream as they are or coded, whichever is shorter.

Decides how long they may become before anything is allocated.  Format v1: docs/format_bytes.md, section 1.
"""

from __future__ import annotations

from collections.abc import Iterable

from lhic.coder.byte_code import MAX_RATIO, decode_bytes, encode_bytes
from lhic.errors import CorruptStreamError
from lhic.stream.varint import Reader, write_varint

MIN_BYTES = 16
"""Shorter than this, nothing gets smaller."""
TRIAL_BYTES = 1 << 16
"""What is a few times longer is tried in parts of this length together before all of it is coded."""
TRIAL_GAIN = 0.98


def write_code(plain: bytes, strides: Iterable[int] = (0,)) -> bytes | None:
    """The code of some bytes, None if it would not be shorter.

    strides : guesses of how many bytes a row of an array takes; the best is taken.  0: a text, or who knows
    """
    best = None
    if _is_hopeless(plain):
        return None
    for stride in dict.fromkeys(stride if stride < len(plain) else 0 for stride in strides):
        head = write_varint(len(plain)) + write_varint(stride)
        coded = encode_bytes(plain, stride, len(plain if best is None else best) - len(head) - 1)
        if coded is not None:
            best = head + coded
    return best


def read_code(code: bytes, what: str, max_bytes: int) -> bytes:
    """Inverse of `write_code`.

    max_bytes : that the plain bytes may be

    Raises
    ------
    CorruptStreamError
        Damaged, or of more bytes.
    """
    reader = Reader(code, what)
    n_bytes = reader.varint("plain bytes")
    if n_bytes > max_bytes:
        raise CorruptStreamError(f"{what}: expected at most {max_bytes} bytes, found {n_bytes}")
    if not len(code) < n_bytes <= MAX_RATIO * len(code):
        limits = f"{len(code) + 1}..{MAX_RATIO * len(code)}"
        raise CorruptStreamError(f"{what}: expected the code of {limits} bytes, found that of {n_bytes}")
    stride = reader.varint("bytes of a row", 0, n_bytes - 1)
    plain = decode_bytes(reader.take(reader.n_left, "code"), n_bytes, stride)
    if plain is None:
        raise CorruptStreamError(f"{what}: expected the code of {n_bytes} bytes, found damage")
    return plain


def write_packed(plain: bytes, strides: Iterable[int] = (0,)) -> bytes:
    """varint of ``2 * size + is_coded``, then `size` bytes: the plain ones or their code; see `write_code`."""
    code = write_code(plain, strides)
    return write_varint(2 * len(plain)) + plain if code is None else write_varint(2 * len(code) + 1) + code


def read_packed(reader: Reader, name: str, max_bytes: int) -> bytes:
    """Inverse of `write_packed`; see `read_code`."""
    size = reader.varint(f"{name}: length")
    part = reader.take(size >> 1, name)
    if size & 1:
        return read_code(part, f"{reader.what}: {name}", max_bytes)
    if len(part) > max_bytes:
        raise CorruptStreamError(f"{reader.what}: {name}: expected at most {max_bytes} bytes, found {len(part)}")
    return part


def _is_hopeless(plain: bytes) -> bool:
    """Whether nothing is worth coding, as far as a third each of its begin, middle and end tells."""
    if len(plain) <= 4 * TRIAL_BYTES:
        return len(plain) < MIN_BYTES
    third = TRIAL_BYTES // 3
    parts = (plain[at : at + third] for at in (0, len(plain) // 2, len(plain) - third))
    return encode_bytes(b"".join(parts), room=int(TRIAL_GAIN * TRIAL_BYTES)) is None
