"""From float64 mixture parameters to the integers both sides share, whatever computed the floats.

Encoder and decoder may run on different machines, so a parameter's grid coordinate differs in its last bits, and now
and then such a difference straddles a rounding boundary.  The encoder therefore lists every coordinate that it finds
within `MARGIN` of a boundary, together with the parity of its rounded value; the decoder, whose coordinate is off by
less than `MARGIN`, takes the one of its two nearest integers that has this parity.  A coordinate that is not listed is
further than `MARGIN` from any boundary and rounds alike on both sides.

The list costs about 22 bits for one in 2^19 parameters.  Coordinates reach 2^16, where float64 resolves 2^-36; the
torch and the compiled path, which sum in different orders, differ by 2^-34 at most over 202 bands of real data and
trained weights, so the margin leaves a factor of 16,000 for other libraries and devices.

Format v1: docs/format_lhic_bp.md, sections 4 and 5.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext

import numpy as np

from lhic.coder.mixture import LOGIT_LIMIT, LOGIT_STEPS, MEAN_BITS, MEAN_LIMIT, SCALE_MAX, SCALE_MIN_LOG2, SCALE_STEPS
from lhic.kernels.jit import njit

MARGIN = 2.0**-20
"""Grid steps between the encoder's and a decoder's coordinate that are still decoded exactly."""


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


@njit(nogil=True, error_model="numpy")
def round_and_list(coordinates, first_index, integers, listed, parities):
    """Encoder: round half up, and list what lies near a boundary.

    coordinates : float64 (n,); integers : int32 (n,), filled
    first_index : index of coordinates[0] in the plane's sequence
    listed, parities : int64 and uint8 (n,), filled from the front

    Returns how many were listed, or -1 if a coordinate is not a number.
    """
    n_listed = 0
    for i in range(coordinates.size):
        above = coordinates[i] + 0.5
        whole = math.floor(above)
        if not -4e9 < whole < 4e9:
            return -1
        integers[i] = np.int32(whole)
        fraction = above - whole
        if fraction < MARGIN or fraction > 1.0 - MARGIN:
            listed[n_listed] = first_index + i
            parities[n_listed] = np.int64(whole) & 1
            n_listed += 1
    return n_listed


@njit(nogil=True, error_model="numpy")
def round_as_listed(coordinates, first_index, integers, listed, parities, cursor):
    """Decoder: round half up, except where the list says which neighbour it is.

    listed, parities : the plane's whole list, rising; cursor : int64 (1,), entries used so far
    """
    for i in range(coordinates.size):
        above = coordinates[i] + 0.5
        whole = math.floor(above)
        if not -4e9 < whole < 4e9:
            whole = 0.0
            above = 0.0
        integer = np.int64(whole)
        if cursor[0] < listed.size and listed[cursor[0]] == first_index + i:
            if (integer & 1) != parities[cursor[0]]:
                # Listed coordinates lie within MARGIN of a boundary there, hence within 2 MARGIN here.  A damaged list
                # cannot push an integer off its grid: the limits are integers, far from any boundary.
                if above - whole < 2 * MARGIN:
                    integer -= 1
                elif above - whole > 1.0 - 2 * MARGIN:
                    integer += 1
            cursor[0] += 1
        integers[i] = np.int32(integer)
