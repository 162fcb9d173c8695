"""`pixel`'s formulas in numba's kernels, on float64 that holds integers or on int64, and the logarithm."""

from __future__ import annotations

from inspect import getmembers, isfunction

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from lhic.families.ax import pixel
from lhic.families.ax.spec import LOG_BITS, LOG_STEPS, LOG_TABLE
from lhic.kernels.jit import lean

EXACT = {"contract", "nsz", "nnan"}
"""What compiling may do to float64 that holds integers: fused multiply-adds change nothing, there is no -0, no NaN."""
_POWERS = 2.0 ** -np.arange(32.0)


@overload(pixel.shifted, jit_options={"fastmath": EXACT})
def _shifted(value, bits):
    if isinstance(value, types.Float):
        return lambda value, bits: np.floor(value * _POWERS[bits])
    return lambda value, bits: value >> bits


@overload(pixel.long_quotient, jit_options={"fastmath": EXACT})
@overload(pixel.quotient, jit_options={"fastmath": EXACT})
def _quotient(value, divisor):
    if isinstance(divisor, types.Float):
        return lambda value, divisor: np.floor(value / divisor)
    return lambda value, divisor: value // divisor


for _name, _formula in getmembers(pixel, isfunction):
    if _name not in ("shifted", "quotient", "long_quotient"):
        register_jitable(fastmath=EXACT)(_formula)


@lean(inline="always")
def log2_16(value):
    """Of an integer 1 <= value < 2^53: a float64 holds its exponent and its leading bits side by side."""
    bits = np.float64(value).view(np.int64)
    mantissa = (bits >> (52 - LOG_BITS)) & ((1 << LOG_BITS) - 1)
    return ((bits >> 52) - 1023) * LOG_STEPS + LOG_TABLE[mantissa]


@lean
def log2_16_row(values, n, added, logs):
    for q in range(n):
        logs[q] = log2_16(values[q] + added)
