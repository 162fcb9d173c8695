"""The grid that mixture parameters of LHIC-BP are rounded to; `near_ties` says how.

Format v1: docs/format_lhic_bp.md, section 4.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import numpy as np

from lhic.coder.mixture import LOGIT_LIMIT, LOGIT_STEPS, MEAN_BITS, MEAN_LIMIT, SCALE_MAX, SCALE_MIN_LOG2, SCALE_STEPS


def grid_transform(alphabet_size: int) -> np.ndarray:
    """Factor, offset, lowest and highest coordinate of means, log-scales and logits, float64 (3, 4).

    The coordinate is ``clip(value * factor + offset)``: `lhic.coder.mixture.grid_coordinates` in one
    multiplication and one addition, for compiled code.
    """
    # Decimal logarithms are correctly rounded; those of the machine's mathematical library are not everywhere.
    with localcontext(Context(prec=50)):
        ln2 = Decimal(2).ln()
        symbols_per_unit = Decimal(max(alphabet_size - 1, 1)) / 2
        mean = symbols_per_unit * (1 << MEAN_BITS)
        scale_offset = SCALE_STEPS * ((symbols_per_unit * ln2).ln() / ln2 - SCALE_MIN_LOG2)
        rows: list[list[Decimal | int]] = [
            [mean, mean, -MEAN_LIMIT, MEAN_LIMIT],
            [SCALE_STEPS / ln2, scale_offset, 0, SCALE_MAX],
            [LOGIT_STEPS / ln2, 0, -LOGIT_LIMIT, LOGIT_LIMIT],
        ]
    return np.array([[float(value) for value in row] for row in rows])
