"""Bit tricks shared by the compiled coders: counting zeros, a window into a bit string, appending to one.

A bit string is held in unsigned 64-bit words, first bit most significant.  Readers may look `PADDING_WORDS`
beyond its end; whoever reads checks the position before each window.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from lhic.kernels.jit import njit

PADDING_WORDS = 3


@intrinsic
def leading_zeros(typing_context, value):
    """Number of leading zeros of a 64-bit integer, 64 for zero, as int64."""

    def generate(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    if isinstance(value, types.Integer) and value.bitwidth == 64:
        return types.int64(value), generate
    return None


@intrinsic
def trailing_zeros(typing_context, value):
    """Number of trailing zeros of a 64-bit integer, 64 for zero, as int64."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    if isinstance(value, types.Integer) and value.bitwidth == 64:
        return types.int64(value), generate
    return None


def to_words(data: bytes) -> np.ndarray:
    """`data` as uint64 words, zeros at the end."""
    padded = bytes(data) + bytes(-len(data) % 8 + 8 * PADDING_WORDS)
    return np.frombuffer(padded, ">u8").astype(np.uint64)


def words_to_bytes(words: np.ndarray, n_bits: int) -> bytes:
    """The first `n_bits` of `words`; what follows in the last byte is what the words hold."""
    n_words = (n_bits + 63) // 64
    return words[:n_words].byteswap().tobytes()[: (n_bits + 7) // 8]


@njit(inline="always")
def window(words, position):
    """The 64 bits from bit `position` on, uint64."""
    i = position >> 6
    shift = np.uint64(position & 63)
    # The second word is shifted in two steps because a shift by 64 is undefined.
    return (words[i] << shift) | ((words[i + 1] >> np.uint64(1)) >> (np.uint64(63) - shift))


@njit(inline="always")
def append(words, at, buffer, free, value, n_bits):
    """Append the `n_bits` low bits of `value` (1..64 bits, the rest zero).

    `buffer` holds the word number `at` being filled, `free` >= 1 its unused low bits; returns the three again.
    """
    value = np.uint64(value)
    if n_bits < free:
        free -= n_bits
        return at, buffer | (value << np.uint64(free)), free
    over = n_bits - free
    words[at] = buffer | (value >> np.uint64(over))
    return at + 1, (value << np.uint64(63 - over)) << np.uint64(1), 64 - over
