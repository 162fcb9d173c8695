"""The pictures of a batch, all in one buffer, and the places of them from which a sample is predicted and described.

A picture is one of `wavefront`, of all planes of a tile.  Those of errors follow, one for each expert, then that of
runs, if there are any.
"""

from __future__ import annotations

from itertools import accumulate

import triton
import triton.language as tl

from lhic.families.ax.gpu import pixel
from lhic.families.ax.gpu.constants import PLANE_LAG
from lhic.families.ax.spec import AROUND, CROSS, FAR_PLANES, HERE, NEAR_PLANES, OWN
from lhic.families.ax.wavefront import skewed

SAMPLE, DETAIL, RESIDUAL, ACTIVITY, ERROR = range(5)

# (picture, planes back, neighbours): what is read of those that are there whatever the experts.
_READS = (
    (SAMPLE, 0, OWN),
    (RESIDUAL, 0, OWN),
    (SAMPLE, 1, (HERE, *CROSS)),
    *((RESIDUAL, back, (HERE, *AROUND)) for back in range(1, 1 + NEAR_PLANES)),
    *((RESIDUAL, back, (HERE,)) for back in range(1 + NEAR_PLANES, 1 + NEAR_PLANES + FAR_PLANES)),
    (ACTIVITY, 1, (HERE,)),
)
_STARTS = [0, *accumulate(len(places) for _, _, places in _READS)]
# Number of the first read of each kind; then come OWN of each expert's errors, (HERE, *CROSS) of each in the plane
# before, and the runs there.
OWN_SAMPLES, OWN_RESIDUALS, EARLIER_SAMPLES, NEAR_RESIDUALS = (tl.constexpr(_STARTS[k]) for k in range(4))
FAR_RESIDUALS, EARLIER_ACTIVITY = (tl.constexpr(_STARTS[k]) for k in (3 + NEAR_PLANES, len(_READS) - 1))
ERRORS, N_OWN, N_CROSS = tl.constexpr(_STARTS[-1]), tl.constexpr(len(OWN)), tl.constexpr(1 + len(CROSS))
DETAIL_PICTURE, RESIDUAL_PICTURE, ACTIVITY_PICTURE, ERROR_PICTURE = (
    tl.constexpr(k) for k in (DETAIL, RESIDUAL, ACTIVITY, ERROR)
)
N_ABOUT = tl.constexpr(8)  # numbers about a regressor (`batch`)
LOG2_LAG = tl.constexpr(PLANE_LAG.value.bit_length() - 1)
assert 1 << LOG2_LAG.value == PLANE_LAG.value


def n_pictures(n_experts: int, repeats: int) -> int:
    return ERROR + n_experts + (repeats > 0)


def reads(n_experts: int) -> list[tuple[int, int, int, int]]:
    """Picture, planes back, distance in waves and in rows of each number that is read."""
    errors = range(ERROR, ERROR + n_experts)
    every = (
        *_READS,
        *((picture, 0, OWN) for picture in errors),
        *((picture, 1, (HERE, *CROSS)) for picture in errors),
        (ERROR + n_experts, 1, (HERE,)),
    )
    return [(picture, back, *skewed(place)) for picture, back, places in every for place in places]


@triton.jit
def first_plane(t, waves, n_planes, n_active):
    """First of the n_active planes that a step looks at, whether all of them have samples or not."""
    return tl.minimum(tl.maximum(-((waves - 1 - t) >> LOG2_LAG), 0), n_planes - n_active)


@triton.jit
def place_of(z, wave, n_rows, n_columns, q):
    """Rows and columns of a wave's samples, and which exist."""
    i = tl.maximum((wave - n_columns + 2) >> 1, 0) + q
    j = wave - 2 * i
    there = (i <= tl.minimum(wave >> 1, n_rows - 1)) & (i >= 0) & (j >= 0) & (j < n_columns)
    return i, j, there


@triton.jit
def read(at, offsets, number, there):
    return tl.load(at + tl.load(offsets + number), mask=there, other=0).to(tl.int64)


@triton.jit
def causal_sum(at, offsets, first, there):
    """`pixel.causal_sum` of the reads from `first` on, in the order of `OWN`."""
    return pixel.causal_sum(
        read(at, offsets, first, there), read(at, offsets, first + 1, there), read(at, offsets, first + 2, there),
        read(at, offsets, first + 3, there), read(at, offsets, first + 4, there), read(at, offsets, first + 5, there),
    )  # fmt: skip


@triton.jit
def spread(at, value, there, left, right, upper, lower, wave_apart):
    """Write a sample, and where it is repeated beyond the edge (section 2)."""
    stored = value.to(tl.int32)
    tl.store(at, stored, mask=there)
    tl.store(at + wave_apart + 1, stored, mask=there & left)
    tl.store(at + 1, stored, mask=there & left)
    tl.store(at + wave_apart, stored, mask=there & right)
    tl.store(at - 1, stored, mask=there & upper)
    tl.store(at - 2 * wave_apart - 2, stored, mask=there & upper)
    tl.store(at + 2 * wave_apart + 1, stored, mask=there & lower)
    tl.store(at + 3 * wave_apart + 1, stored, mask=there & lower & right)
