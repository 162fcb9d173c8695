"""From mixtures to coded symbols and back: one symbol a sample, from one integer CDF.

Level l of a plane has the interval [F(l), F(l + 1)) of 2^24 (docs/format_lhic_ax.md, section 7).
"""

from __future__ import annotations

import numpy as np

from lhic.coder.mixture import MEAN_BITS
from lhic.coder.rans_kernels import advance, peek
from lhic.families.ax.cpu.cdf import SEARCHED, guess_tile, interval_tile, search_tile
from lhic.families.ax.cpu.mixture import LANES
from lhic.families.ax.spec import PRECISION
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address


@lean(inline="always")
def table_address(z, levels):
    """Where the plane's model values are; 0 for a dense plane."""
    start = levels.table_start[z]
    return address(levels.table) + 8 * start if start >= 0 else 0


@lean(inline="always")
def near_address(z, levels):
    """Where the levels of the plane's model values are, `levels.Levels.near`."""
    return address(levels.near) + 2 * levels.near_start[z]


@lean
def encode_wave(z, levels, mixtures, coded, n, starts, freqs, cursor):
    """Append the intervals of ``mixtures.levels``, where `coded`; returns the new length."""
    n_components, row = mixtures.weights.shape
    for q in range(0, n, LANES):
        interval_tile(
            address(mixtures.levels), address(mixtures.starts), address(mixtures.freqs),
            levels.first[z], levels.n_levels[z], table_address(z, levels), address(mixtures.parts),
            address(mixtures.weights), q, n_components, row,
        )  # fmt: skip
    for q in range(n):
        if coded[q]:
            starts[cursor] = mixtures.starts[q]
            freqs[cursor] = mixtures.freqs[q]
            cursor += 1
    return cursor


SLOT, VALUE, LEVEL, REPEATED, START, FREQ = range(6)  # rows of `Mixtures.search`
N_SEARCH = 6


@lean
def decode_wave(z, levels, mixtures, repeats, coded, n, states, words, cursor):
    """Decode `mixtures`' levels and freqs where `coded`: mirrors `encode_wave`.  False if the words ran out.

    Symbols follow one another over the lanes of the coder, so as many samples as have lanes of their own are searched
    at once; only the words are read in turn.

    repeats : whether the last component is a candidate
    """
    n_lanes = states.size
    at_once = min(SEARCHED, n_lanes)
    n_components, row = mixtures.weights.shape
    first, n_levels = levels.first[z], levels.n_levels[z]
    table = table_address(z, levels)
    search, candidates = mixtures.search, mixtures.parts[n_components - 1, 0]
    at = address(search)
    line = 4 * SEARCHED
    lane = cursor[0] % n_lanes
    for q in range(0, n, at_once):
        n_here = min(at_once, n - q)
        ahead = lane
        for s in range(SEARCHED):
            search[SLOT, s] = -1
            if s < n_here and coded[q + s]:
                search[SLOT, s] = peek(states, ahead, PRECISION)
                ahead = ahead + 1 if ahead + 1 < n_lanes else 0
        guess_tile(at + SLOT * line, address(mixtures.near), address(mixtures.spread), at + VALUE * line, q)
        for s in range(SEARCHED):
            value = np.int64(search[VALUE, s])
            repeated = np.int64(candidates[q + s]) >> MEAN_BITS
            if table:
                search[LEVEL, s] = level_near(value, z, levels)
                search[REPEATED, s] = level_near(repeated, z, levels) if repeats else 0
            else:
                search[LEVEL, s] = min(max(value - first, np.int64(0)), n_levels - 1)
                search[REPEATED, s] = min(max(repeated - first, np.int64(0)), n_levels - 1)
        search_tile(
            at + SLOT * line, at + LEVEL * line, at + START * line, at + FREQ * line, at + REPEATED * line, first,
            n_levels, table, address(mixtures.parts), address(mixtures.weights), q, n_components, row,
            np.int64(repeats),
        )  # fmt: skip
        for s in range(n_here):
            if not coded[q + s]:
                continue
            freq = np.int64(search[FREQ, s])
            if not advance(states, lane, words, cursor, np.int64(search[START, s]), freq, PRECISION):
                return False
            lane = lane + 1 if lane + 1 < n_lanes else 0
            mixtures.levels[q + s], mixtures.freqs[q + s] = search[LEVEL, s], freq
    return True


@lean(inline="always")
def model_value(level, z, levels):
    start = levels.table_start[z]
    return levels.first[z] + level if start < 0 else levels.table[start + level]


@lean(inline="always")
def level_near(value, z, levels):
    """Level of a sparse plane whose model value is nearest to `value`: where a search begins."""
    start = levels.table_start[z]
    first, last = levels.table[start], levels.table[start + levels.n_levels[z] - 1]
    return np.int64(levels.near[levels.near_start[z] + min(max(value, first), last) - first])
