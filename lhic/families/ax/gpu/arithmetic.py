"""Integers in kernels: quotients by way of float64, limits, the logarithm."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu.constants import LOG_BITS, LOG_STEPS

MANY = tl.constexpr(1 << 30)


@triton.jit
def quotient(a, b):
    """a // b of int64, a >= 0, b > 0, a + b < 2^52: a correctly rounded float64 quotient has the true one's floor."""
    return (a.to(tl.float64) / b.to(tl.float64)).to(tl.int64)


@triton.jit
def floor_quotient(a, b):
    """a // b, rounded down; b > 0, |a| + b < 2^52."""
    return tl.floor(a.to(tl.float64) / b.to(tl.float64)).to(tl.int64)


@triton.jit
def clip(value, low, high):
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def log2_16(value, table):
    """`arithmetic.log2_16`: a float64 shows the exponent of an integer below 2^53."""
    exponent = (value.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1023
    mantissa = (value << LOG_BITS) >> exponent
    return exponent * LOG_STEPS + tl.load(table + mantissa - (1 << LOG_BITS))
