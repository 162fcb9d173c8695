"""Bytes of any kind to fewer and back, by `byte_model`: in plain Python for a header, which so compiles nothing."""

from __future__ import annotations

import sys

import numpy as np

from lhic.coder import byte_model

MAX_RATIO = 4096
"""A code of n bytes has more than n / MAX_RATIO: no bit costs less than 2^-12 * log2(e)."""
SHORT_BYTES = 2048
"""Up to here plain Python takes less time than importing what compiles and loads the kernel."""


def _run(decoding: bool, plain: bytearray, coded: bytearray, stride: int) -> int:
    """`byte_model.run`, compiled where that pays."""
    arrays = (*byte_model.tables(), *byte_model.state(len(plain)))
    if len(plain) <= SHORT_BYTES and "numba" not in sys.modules:
        return byte_model.run(decoding, plain, coded, stride, *(array.tolist() for array in arrays))
    from lhic.coder import byte_kernels

    buffers = (np.frombuffer(buffer, np.uint8) for buffer in (plain, coded))
    return int(byte_kernels.run(decoding, *buffers, stride, *arrays))


def encode_bytes(plain: bytes, stride: int = 0, room: int | None = None) -> bytes | None:
    """The coded bytes; None if they take more than `room`, or at least as many as the plain ones.

    stride : bytes from one row of an array to the next; 0: a text, or who knows

    >>> text = b"wavelength = {400, 410, 420, 430, 440, 450, 460, 470}"
    >>> decode_bytes(encode_bytes(text), len(text)) == text
    True
    """
    n_most = len(plain) - 1 if room is None else min(room, len(plain) - 1)
    if n_most < 1:
        return None
    coded = bytearray(n_most)
    size = _run(False, bytearray(plain), coded, stride)
    return None if size < 0 else bytes(coded[:size])


def decode_bytes(coded: bytes, n_bytes: int, stride: int = 0) -> bytes | None:
    """Inverse of `encode_bytes`; None if no `n_bytes` bytes give these.

    It takes `n_bytes` of memory, and 37 MiB at most: a caller compares `n_bytes` with what it may be, and with
    ``MAX_RATIO * len(coded)``, before.
    """
    plain = bytearray(n_bytes)
    return None if _run(True, plain, bytearray(coded), stride) < 0 else bytes(plain)
