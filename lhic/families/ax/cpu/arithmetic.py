"""Integer logarithm and power of two, from tables that are exact by construction.

The context of lhic-ax compares magnitudes on a logarithmic scale and normalises by it.  Both tables come from integer
roots and powers alone, so that no mathematical library decides a bit (docs/format_lhic_ax.md, section 3).
"""

from __future__ import annotations

import numpy as np

from lhic.kernels.jit import njit

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 3).
LOG_STEPS = 16  # per octave
MANTISSA_BITS = 6
POWER_BITS = 14


def _log_table() -> np.ndarray:
    """``round(16 log2((64 + k + 1/2) / 64))`` for k = 0 .. 63, int64: the number of m with 2^(m - 1/2) <= value^16."""
    table = []
    for k in range(1 << MANTISSA_BITS):
        value = (2 * (1 << MANTISSA_BITS) + 2 * k + 1) ** (2 * LOG_STEPS)  # (2 * 64 * mantissa)^32
        unit = (2 << MANTISSA_BITS) ** (2 * LOG_STEPS)
        table.append(sum(value >= unit << (2 * m - 1) for m in range(1, LOG_STEPS + 1)))
    return np.array(table, np.int64)


def _power_table() -> np.ndarray:
    """``round(2^14 * 2^(-k / 16))`` for k = 0 .. 15, int64."""
    table = []
    for k in range(LOG_STEPS):
        low, high = 0, 2 << POWER_BITS  # greatest value with (2 value - 1)^16 <= (2 * 2^14)^16 * 2^-k
        limit = (2 << POWER_BITS) ** LOG_STEPS >> k
        while low < high:
            middle = (low + high + 1) >> 1
            low, high = (middle, high) if (2 * middle - 1) ** LOG_STEPS <= limit else (low, middle - 1)
        table.append(low)
    return np.array(table, np.int64)


LOG_TABLE = _log_table()
POWER_TABLE = _power_table()


@njit(inline="always")
def log2_16(value):
    """``round(16 log2(value))`` for an integer 1 <= value < 2^53, to within the mantissa's 6 bits."""
    bits = np.float64(value).view(np.int64)  # exponent and leading bits stand side by side
    mantissa = (bits >> (52 - MANTISSA_BITS)) & ((1 << MANTISSA_BITS) - 1)
    return ((bits >> 52) - 1023) * LOG_STEPS + LOG_TABLE[mantissa]
