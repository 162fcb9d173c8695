"""From a mixture to coded symbols: the upper part of a level, then the lower part, from one integer CDF.

Level l of a plane has the interval [F(l), F(l + 1)) of 2^24.  With d bits in the lower part, the upper part l >> d has
the interval from its cell's first level to the next cell's, and the lower part is coded inside it, stretched to 2^24
again (docs/format_lhic_ax.md, section 7).  Encoder and decoder call the same `edge_at` and `cdf_at_edge`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from lhic.entropy.logistic import (
    MEAN_BITS,
    MEAN_LIMIT,
    SCALE_MAX,
    SIGMOID_BITS,
    WEIGHT_BITS,
)
from lhic.entropy.logistic_numba import sigmoid_at
from lhic.entropy.rans_numba import advance, peek
from lhic.models.lhic_ax.arithmetic import log2_16
from lhic.models.lhic_ax.network import LOGIT_SHIFT, MEAN_SHIFT, SCALE_SHIFT

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 7).
PRECISION = 24
TOTAL = 1 << PRECISION
SCALE_OFFSET = -81  # 256 - 320 - 17: the grid's offset, 1/1024 of a level in half steps, and 32 log2(ln 2)


class Levels(NamedTuple):
    """Model values of the planes' levels, as `levels.Layout` has them: int64 copies for the kernels.

    first, n_levels, table_start : int64 (P,);  table : int64
    """

    first: np.ndarray
    n_levels: np.ndarray
    table_start: np.ndarray
    table: np.ndarray


@njit(cache=True)
def mixtures_of(outputs, n, base, scale, parts):
    """Means, widths and logits, int64 (3, K, n), of a wave's mixtures from the network's sums."""
    n_components = outputs.shape[0] // 3
    for k in range(n_components):
        for q in range(n):
            shift = np.int64(outputs[k, q]) >> MEAN_SHIFT
            mean = (np.int64(base[q]) << 2) + ((shift * np.int64(scale[q])) >> 10)
            parts[0, k, q] = min(max(mean, np.int64(-MEAN_LIMIT)), np.int64(MEAN_LIMIT))
            octaves = 2 * log2_16(scale[q]) + SCALE_OFFSET + (np.int64(outputs[n_components + k, q]) >> SCALE_SHIFT)
            parts[1, k, q] = min(max(octaves, np.int64(0)), np.int64(SCALE_MAX))
            parts[2, k, q] = np.int64(outputs[2 * n_components + k, q]) >> LOGIT_SHIFT


@njit(cache=True, inline="always")
def edge_at(level, z, levels):
    """Boundary between a level and the one before it, in 1/256 of a model value."""
    start = levels.table_start[z]
    if start < 0:
        return ((levels.first[z] + level) << MEAN_BITS) - (1 << (MEAN_BITS - 1))
    return (levels.table[start + level - 1] + levels.table[start + level]) << (MEAN_BITS - 1)


@njit(cache=True)
def cdf_at(level, z, levels, active, n_active):
    """F of a level, 0 <= level <= n_levels; rises by at least 1 from each level to the next."""
    n = levels.n_levels[z]
    if level <= 0:
        return np.int64(0)
    if level >= n:
        return np.int64(TOTAL)
    edge = edge_at(level, z, levels)
    cumulative = np.int64(0)
    for k in range(n_active):
        cumulative += active[k, 3] * sigmoid_at(edge - active[k, 0], active[k, 1], active[k, 2])
    return ((cumulative * (np.int64(TOTAL) - n)) >> (WEIGHT_BITS + SIGMOID_BITS)) + level


@njit(cache=True, inline="always")
def model_value(level, z, levels):
    start = levels.table_start[z]
    return levels.first[z] + level if start < 0 else levels.table[start + level]


@njit(cache=True)
def level_near(value, z, levels):
    """A level whose model value is near `value`; decides where a search begins, never what it finds."""
    n = levels.n_levels[z]
    start = levels.table_start[z]
    if start < 0:
        return min(max(value - levels.first[z], np.int64(0)), n - 1)
    low, high = np.int64(0), n - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if levels.table[start + middle] <= value:
            low = middle
        else:
            high = middle - 1
    return low


@njit(cache=True)
def _search(
    slot,
    first,
    step,
    low,
    high,
    low_value,
    high_value,
    stride,
    z,
    levels,
    active,
    n_active,
):
    """Cell of `stride` levels between levels low and high whose interval holds the slot; gallops from `first`.

    Returns its first level, the one after its last, and their cumulative frequencies.  Kept throughout:
    F(low) = low_value <= slot < high_value = F(high), low a multiple of the stride.
    """
    middle = first
    upwards = downwards = True
    while high - low > stride:
        middle = min(max(middle, low + stride), low + (high - low - 1) // stride * stride)
        value = cdf_at(middle, z, levels, active, n_active)
        if value <= slot:
            low, low_value, downwards = middle, value, False
        else:
            high, high_value, upwards = middle, value, False
        if upwards:
            middle = low + step
            step *= 2
        elif downwards:
            middle = high - step
            step *= 2
        else:
            middle = low + (high - low) // (2 * stride) * stride
    return low, high, low_value, high_value


@njit(cache=True)
def encode_level(level, z, lower_bits, levels, active, n_active, starts, freqs, cursor):
    """Append the intervals of a level's upper and lower part; returns the new length."""
    n = levels.n_levels[z]
    cell = level >> lower_bits << lower_bits
    after = min(cell + (np.int64(1) << lower_bits), n)
    low = cdf_at(cell, z, levels, active, n_active)
    high = cdf_at(after, z, levels, active, n_active)
    if n > np.int64(1) << lower_bits:
        starts[cursor] = low
        freqs[cursor] = high - low
        cursor += 1
    width = high - low
    below = low if level == cell else cdf_at(level, z, levels, active, n_active)
    above = high if level + 1 == after else cdf_at(level + 1, z, levels, active, n_active)
    start = ((below - low) << PRECISION) // width
    end = ((above - low) << PRECISION) // width
    starts[cursor] = start
    freqs[cursor] = end - start
    return cursor + 1


@njit(cache=True)
def decode_level(z, lower_bits, levels, active, n_active, heaviest, states, words, cursor):
    """Decode a level: mirrors `encode_level`.  -1 if the words ran out."""
    n = levels.n_levels[z]
    stride = np.int64(1) << lower_bits
    near = level_near(active[heaviest, 0] >> MEAN_BITS, z, levels)
    low, high = np.int64(0), n
    low_value, high_value = np.int64(0), np.int64(TOTAL)
    lane = cursor[0] % states.size
    if n > stride:
        slot = peek(states, lane, PRECISION)
        low, high, low_value, high_value = _search(
            slot,
            near >> lower_bits << lower_bits,
            stride,
            low,
            high,
            low_value,
            high_value,
            stride,
            z,
            levels,
            active,
            n_active,
        )
        if not advance(states, lane, words, cursor, low_value, high_value - low_value, PRECISION):
            return np.int64(-1)
        lane = lane + 1 if lane + 1 < states.size else 0
    width = high_value - low_value
    cell_value = low_value
    slot = peek(states, lane, PRECISION)
    # the greatest F whose stretched value is not above the slot: F <= cell_value + ((slot + 1) width - 1) >> 24
    target = cell_value + (((slot + 1) * width - 1) >> PRECISION)
    step = np.int64(1) << max(active[heaviest, 2] - 8, np.int64(0))
    low, high, low_value, high_value = _search(
        target,
        near,
        step,
        low,
        high,
        low_value,
        high_value,
        np.int64(1),
        z,
        levels,
        active,
        n_active,
    )
    start = ((low_value - cell_value) << PRECISION) // width
    end = ((high_value - cell_value) << PRECISION) // width
    if not advance(states, lane, words, cursor, start, end - start, PRECISION):
        return np.int64(-1)
    return low
