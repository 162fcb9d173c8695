"""From float64 to the integers both sides share, whatever computed the floats.

Encoder and decoder may run on different machines, so a coordinate differs in its last bits, and now and then such a
difference straddles a rounding boundary.  The encoder therefore lists every coordinate that it finds within `MARGIN`
of a boundary, together with the parity of its rounded value; the decoder, whose coordinate is off by less than
`MARGIN`, takes the one of its two nearest integers that has this parity.  A coordinate that is not listed is further
than `MARGIN` from any boundary and rounds alike on both sides.

The list costs about 22 bits for one in 2^19 coordinates.  Those of lhic-bp reach 2^16, where float64 resolves 2^-36;
the torch and the compiled path, which sum in different orders, differ by 2^-34 at most over 202 bands of real data
and trained weights, so the margin leaves a factor of 16,000 for other libraries and devices.  Those of linerwkv reach
2^18, and differ by 2^-36 between many lines at once and one at a time.

Format v1: docs/format_lhic_bp.md, sections 4 and 5.
"""

from __future__ import annotations

import math

import numpy as np

from lhic.errors import CorruptStreamError
from lhic.kernels.jit import njit
from lhic.stream.varint import pack_varints, unpack_varints

MARGIN = 2.0**-20
"""Grid steps between the encoder's and a decoder's coordinate that are still decoded exactly."""


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


def write_corrections(lists: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Section of a tile from its planes' lists.

    lists : per plane, rising parameter indices (int64) and the parities of the rounded coordinates
    Empty if there is nothing to list.
    """
    if not any(len(indices) for indices, _ in lists):
        return b""
    values = []
    for indices, parities in lists:
        gaps = np.diff(indices, prepend=-1) - 1
        values += [np.array([len(indices)]), gaps << 1 | parities.astype(np.int64)]
    return pack_varints(np.concatenate(values))


def read_corrections(data: bytes, n_planes: int, n_parameters: int, what: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inverse of `write_corrections`; n_parameters : number of parameters of one plane of the tile."""
    if not data:
        return [(np.zeros(0, np.int64), np.zeros(0, np.uint8))] * n_planes
    values, lists, at = unpack_varints(data, what), [], 0
    for plane in range(n_planes):
        if at == values.size or values[at] > values.size - at - 1:
            raise CorruptStreamError(
                f"{what}: plane {plane}: expected a count and as many entries, found {values.size - at} numbers left"
            )
        entries = values[at + 1 : at + 1 + values[at]]
        at += 1 + entries.size
        # Gaps are below 2^62; checking each before the sum keeps the sum of n entries in range.
        gaps = entries >> 1
        if entries.size and (gaps.max() >= n_parameters or (gaps + 1).sum(dtype=object) > n_parameters):
            raise CorruptStreamError(f"{what}: plane {plane}: expected indices below {n_parameters}, found others")
        lists.append((np.cumsum(gaps + 1) - 1, (entries & 1).astype(np.uint8)))
    if at != values.size:
        raise CorruptStreamError(f"{what}: expected {at} numbers, found {values.size}")
    return lists
