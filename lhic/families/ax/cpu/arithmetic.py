"""Integer logarithm and power of two, from tables that are exact by construction.

The context of lhic-ax compares magnitudes on a logarithmic scale and normalises by it.  Both tables come from integer
roots and powers alone, so that no mathematical library decides a bit (docs/format_lhic_ax.md, section 3).
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax.spec import LOG_BITS, LOG_STEPS, LOG_TABLE
from lhic.kernels.jit import njit


@njit(inline="always")
def log2_16(value):
    """``round(16 log2(value))`` for an integer 1 <= value < 2^53, to within the mantissa's 6 bits."""
    bits = np.float64(value).view(np.int64)  # exponent and leading bits stand side by side
    mantissa = (bits >> (52 - LOG_BITS)) & ((1 << LOG_BITS) - 1)
    return ((bits >> 52) - 1023) * LOG_STEPS + LOG_TABLE[mantissa]
