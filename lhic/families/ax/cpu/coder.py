"""From mixtures to coded symbols and back: the upper part of a level, then the lower part, from one integer CDF.

Level l of a plane has the interval [F(l), F(l + 1)) of 2^24.  With d bits in the lower part, the upper part l >> d has
the interval from its cell's first level to the next cell's, and the lower part is coded inside it, stretched to 2^24
again (docs/format_lhic_ax.md, section 7).
"""

from __future__ import annotations

import numpy as np

from lhic.coder.mixture import MEAN_BITS
from lhic.coder.rans_kernels import advance, peek
from lhic.families.ax import pixel
from lhic.families.ax.cpu.cdf import interval_tile, search_tile
from lhic.families.ax.cpu.mixture import LANES
from lhic.families.ax.spec import PRECISION, TOTAL
from lhic.kernels.jit import njit
from lhic.kernels.vectors import address


@njit
def widths_of(two_parts, n, scratch):
    """Probabilities with which a wave's samples were coded, from the intervals of their parts."""
    freqs = scratch.mixtures.freqs
    for q in range(n):
        cell_width = np.int64(freqs[0, q]) if two_parts else np.int64(TOTAL)
        scratch.coded_widths[q] = pixel.coded_width(cell_width, np.int64(freqs[1, q]))


@njit(inline="always")
def table_address(z, levels):
    """Where the plane's model values are; 0 for a dense plane."""
    start = levels.table_start[z]
    return address(levels.table) + 8 * start if start >= 0 else 0


@njit
def encode_wave(z, lower_bits, levels, mixtures, coded, n, starts, freqs, cursor):
    """Append the intervals of ``mixtures.levels``, where `coded`; returns the new length."""
    n_components, row = mixtures.weights.shape
    n_levels = levels.n_levels[z]
    for q in range(0, n, LANES):
        interval_tile(
            address(mixtures.levels), lower_bits, address(mixtures.starts), address(mixtures.freqs),
            levels.first[z], n_levels, table_address(z, levels), address(mixtures.parts),
            address(mixtures.weights), q, n_components, row,
        )  # fmt: skip
    first_part = 0 if n_levels > np.int64(1) << lower_bits else 1
    for q in range(n):
        if coded[q]:
            for part in range(first_part, 2):
                starts[cursor] = mixtures.starts[part, q]
                freqs[cursor] = mixtures.freqs[part, q]
                cursor += 1
    return cursor


SLOT, BEGIN, STEP, LOW, HIGH, LOW_VALUE, HIGH_VALUE, CELL_START, CELL_END = range(9)


@njit
def decode_wave(z, lower_bits, levels, mixtures, coded, n, states, words, cursor):
    """Decode `mixtures`' levels and freqs where `coded`: mirrors `encode_wave`.  False if the words ran out.

    Symbols follow one another over the lanes of the coder, so as many samples as have lanes of their own are searched
    at once; only the words are read in turn.
    """
    n_levels, n_lanes = levels.n_levels[z], states.size
    two_parts = n_levels > np.int64(1) << lower_bits
    per_sample = 2 if two_parts else 1
    at_once = max(1, min(LANES, n_lanes // per_sample))
    search = mixtures.search
    for q in range(n):  # where a search begins decides nothing
        mixtures.levels[q] = level_near(np.int64(mixtures.near[q]) >> MEAN_BITS, z, levels)
    for q in range(0, n, at_once):
        n_here = min(at_once, n - q)
        lane = cursor[0] % n_lanes
        for s in range(LANES):
            here = s < n_here and coded[q + s]
            search[BEGIN, s] = mixtures.levels[q + s]
            search[LOW, s], search[HIGH, s] = 0, n_levels if here else 0
            search[LOW_VALUE, s], search[HIGH_VALUE, s] = 0, TOTAL
            search[SLOT, s] = 0
            search[STEP, s] = max(np.int64(mixtures.steps[q + s]), np.int64(1) << lower_bits)
        if two_parts:
            _peek_all(states, lane, per_sample, coded, q, n_here, search)
            _search(z, lower_bits, levels, mixtures, q)
            if at_once == 1 and coded[q]:
                low_value = np.int64(search[LOW_VALUE, 0])
                if not advance(states, lane, words, cursor, low_value, search[HIGH_VALUE, 0] - low_value, PRECISION):
                    return False
            lane = (lane + 1) % n_lanes
        _peek_all(states, lane, per_sample, coded, q, n_here, search)
        for s in range(n_here):
            start, end = np.int64(search[LOW_VALUE, s]), np.int64(search[HIGH_VALUE, s])
            search[CELL_START, s], search[CELL_END, s] = start, end
            search[SLOT, s] = start + pixel.slot_in_cell(np.int64(search[SLOT, s]), end - start)
            search[STEP, s] = mixtures.steps[q + s]
        _search(z, np.int64(0), levels, mixtures, q)
        lane = cursor[0] % n_lanes
        for s in range(n_here):
            if not coded[q + s]:
                continue
            cell_start, cell_end = np.int64(search[CELL_START, s]), np.int64(search[CELL_END, s])
            if two_parts and at_once > 1:
                if not advance(states, lane, words, cursor, cell_start, cell_end - cell_start, PRECISION):
                    return False
                lane = lane + 1 if lane + 1 < n_lanes else 0
            width = cell_end - cell_start
            start = pixel.stretched(np.int64(search[LOW_VALUE, s]), cell_start, width)
            end = pixel.stretched(np.int64(search[HIGH_VALUE, s]), cell_start, width)
            if not advance(states, lane, words, cursor, start, end - start, PRECISION):
                return False
            lane = lane + 1 if lane + 1 < n_lanes else 0
            mixtures.levels[q + s] = search[LOW, s]
            mixtures.freqs[0, q + s], mixtures.freqs[1, q + s] = width, end - start
    return True


@njit
def _peek_all(states, lane, per_sample, coded, q, n, search):
    """Slots of one part of the samples q .. q + n - 1, of which the first one's is in `lane`."""
    for s in range(n):
        if coded[q + s]:
            search[SLOT, s] = peek(states, lane, PRECISION)
            lane = (lane + per_sample) % states.size


@njit
def _search(z, bits, levels, mixtures, q):
    n_components, row = mixtures.weights.shape
    search = address(mixtures.search)
    line = 4 * LANES
    search_tile(
        search, search + BEGIN * line, search + STEP * line, bits, search + LOW * line, search + HIGH * line,
        search + LOW_VALUE * line, search + HIGH_VALUE * line, levels.first[z], levels.n_levels[z],
        table_address(z, levels), address(mixtures.parts), address(mixtures.weights), q, n_components, row,
    )  # fmt: skip


@njit(inline="always")
def model_value(level, z, levels):
    start = levels.table_start[z]
    return levels.first[z] + level if start < 0 else levels.table[start + level]


@njit
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
