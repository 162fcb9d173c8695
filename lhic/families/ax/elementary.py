"""Powers and logarithms to base 2 that are the same numbers on every machine.

Those of the system's mathematical library differ in the last bit from one library, and one processor, to the next.
Here are additions and multiplications in a fixed order alone, which IEEE 754 defines.  Of use where a result need only
be good, and yet the same everywhere; kernels that call these must not let the compiler reorder or fuse operations.
"""

from __future__ import annotations

from itertools import accumulate
from math import floor, frexp, ldexp

import numpy as np

from lhic.kernels.jit import lean

LOG2 = 0.6931471805599453  # ln 2
# 2^f = sum of (f ln 2)^k / k!, |f| <= 1/2, here to 1e-13; the highest power first
EXP2_TERMS = tuple(accumulate(range(1, 12), lambda term, k: term * LOG2 / k, initial=1.0))[::-1]
# log2 m = 2 / ln 2 * sum of s^(2 k + 1) / (2 k + 1) with s = (m - 1) / (m + 1), 2/3 <= m <= 4/3, here to 1e-14
LOG2_TERMS = tuple(2 / LOG2 / (2 * k + 1) for k in range(9))[::-1]
EXPONENT_LIMIT = 1000
POWERS = np.array([ldexp(1.0, k) for k in range(-EXPONENT_LIMIT, EXPONENT_LIMIT + 1)])


@lean(inline="always")
def exp2(value):
    """2^value to 1e-13 of it; beyond -1000 .. 1000 that of the nearer end."""
    value = min(max(value, float(-EXPONENT_LIMIT)), float(EXPONENT_LIMIT))
    whole = floor(value + 0.5)
    part, found = value - whole, 0.0
    for term in EXP2_TERMS:
        found = found * part + term
    return found * POWERS[int(whole) + EXPONENT_LIMIT]


@lean(inline="always")
def log2(value):
    """Of a positive, normal number, to 1e-14."""
    mantissa, exponent = frexp(value)
    if 3 * mantissa < 2:
        mantissa, exponent = 2 * mantissa, exponent - 1
    s = (mantissa - 1) / (mantissa + 1)
    square, found = s * s, 0.0
    for term in LOG2_TERMS:
        found = found * square + term
    return exponent + found * s
