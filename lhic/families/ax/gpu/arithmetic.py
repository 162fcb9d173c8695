"""Integers in kernels: quotients by way of float64, limits, the logarithm."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu.constants import LOG_BITS, LOG_STEPS

MANY = tl.constexpr(1 << 30)
MANTISSA_SHIFT, MANTISSA_MASK = tl.constexpr(52 - LOG_BITS.value), tl.constexpr((1 << LOG_BITS.value) - 1)


@triton.jit
def quotient(a, b):
    """a // b of int64, rounded down; b > 0, |a| + b < 2^52: a correctly rounded quotient has the true one's floor."""
    return tl.floor(tl.cast(a, tl.float64) / b.to(tl.float64)).to(tl.int64)


@triton.jit
def clip(value, low, high):
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def log2_16(value, table):
    """Of int64, 1 <= value < 2^53: a float64 holds its exponent and its leading bits side by side."""
    bits = value.to(tl.float64).to(tl.int64, bitcast=True)
    return ((bits >> 52) - 1023) * LOG_STEPS + tl.load(table + ((bits >> MANTISSA_SHIFT) & MANTISSA_MASK))
