"""Histograms with gaps: which levels of a plane are worth listing, so that the coder spends nothing on the others.

Scaled or resampled data use some levels often and their neighbours never; any noisy band uses the levels in its tails
here and there.  Only in the first case does a list pay, and often only in part of the range: elsewhere every level is
listed, which costs nothing.  Bits are whole numbers of 2^-16 bits, so that every machine decides alike.
"""

from __future__ import annotations

import numpy as np

from lhic.kernels.jit import njit

REACH = 8
"""Levels on each side that say how densely levels are used around one."""
BLOCK = 128
"""Levels that are listed exactly, or all."""
ONE = 1 << 16
"""A bit."""
MARGIN = 11, 10
BLOCK_MARGIN_BITS = 4
PLANE_MARGIN_BITS = 32
"""What a list must save: the estimated cost times `MARGIN`, and some bits more."""
HOPELESS = 4, 10
"""Part of the estimated cost that even regular gaps save, each level between them being there for a sample at least."""
HISTORY = 12
"""Levels before one that say whether it is listed, where gaps are regular."""
FAR = 1 << HISTORY // 2
"""Levels back from which on distances are one."""
MOST_SEEN = 255
"""How often a history counts at most."""
LOG2 = np.round(ONE * np.log2(np.arange(2 * MOST_SEEN + 6).clip(1))).astype(np.int64)
"""Of 1, 2, .. as bits; of 0, which is not asked for, 0."""


@njit
def max_listed(n_pixels: int) -> int:
    """Greatest number of levels of a sparse plane; bounds what a damaged stream makes a decoder allocate."""
    return 4 * n_pixels + 1024


@njit(nogil=True)
def levels_worth_listing(places, weights, n_pixels):
    """The levels a coder should know, of all, or those that occur, or these and blocks where a list does not pay.

    places : int64 (n,), levels that occur, rising from 0
    weights : int64 (n,), samples of each
    Returns bool (places[-1] + 1,), True at least where a sample is; empty if all is best.
    """
    n_levels = places[-1] + 1
    best, best_net = np.zeros(0, np.bool_), PLANE_MARGIN_BITS * ONE
    if len(places) == n_levels:
        return best
    samples = np.zeros(n_levels, np.int64)
    samples[places] = weights
    used = samples > 0
    saved, cost = _weighed(used, samples)
    if saved.sum() < best_net:
        return best
    pays = MARGIN[1] * (saved - BLOCK_MARGIN_BITS * ONE) > MARGIN[0] * cost
    for only_where_it_pays in range(1 + (pays.any() and not pays.all())):
        listed, total, estimate = used, saved.sum(), cost.sum()
        if only_where_it_pays:
            listed = used.copy()
            for block in np.flatnonzero(~pays):
                listed[block * BLOCK : (block + 1) * BLOCK] = True
            total, estimate = _weighed(listed, samples)[0].sum(), cost[pays].sum()
        is_hopeless = HOPELESS[1] * total <= HOPELESS[0] * estimate
        if total > best_net and not is_hopeless and np.count_nonzero(listed) <= max_listed(n_pixels):
            net = total - MARGIN[0] * min(estimate, _regular_bits(listed)) // MARGIN[1]
            if net > best_net:
                best, best_net = listed, net
    return best


@njit(nogil=True)
def _weighed(listed, samples):
    """What a list saves and what it takes, of each block of levels: bits, int64.

    Saved is what the samples of a level cost a coder that takes all levels within `REACH` for equal; a list takes what
    says of each level whether it is listed, given how many others around it are.
    """
    n_levels = listed.size
    n_blocks = (n_levels + BLOCK - 1) // BLOCK
    saved, cost = np.zeros(n_blocks, np.int64), np.zeros(n_blocks, np.int64)
    near = end = 0
    for at in range(n_levels):
        while end < min(at + REACH + 1, n_levels):
            near += listed[end]
            end += 1
        begin = max(at - REACH, 0)
        if begin > 0:
            near -= listed[begin - 1]
        width = end - begin
        if samples[at] > 0:
            saved[at // BLOCK] += (LOG2[width] - LOG2[near]) * samples[at]
        others = 2 * (near - listed[at]) + 1  # of 2 * width
        cost[at // BLOCK] += LOG2[2 * width] - LOG2[others if listed[at] else 2 * width - others]
    return saved, cost


@njit(nogil=True)
def _regular_bits(listed):
    """Bits to say of each level whether it is listed, where gaps are regular.

    The better of two ways to know: by which of the `HISTORY` levels before it are, or by how far back the last one is,
    and how far before that one the last but one.
    """
    seen = np.zeros((2, 1 << HISTORY, 2), np.uint8)
    bits = np.zeros(2, np.int64)
    history = since = gap = 0
    for at in range(listed.size):
        own = np.int64(listed[at])
        for way, known in enumerate((history, gap * FAR + since)):
            n_own = np.int64(seen[way, known, own])
            n = n_own + seen[way, known, 1 - own]
            bits[way] += LOG2[2 * n + 2] - LOG2[2 * n_own + 1]
            if n < MOST_SEEN:
                seen[way, known, own] += 1
        history = (history << 1 | own) & ((1 << HISTORY) - 1)
        if own:
            since, gap = 0, since
        else:
            since = min(since + 1, FAR - 1)
    return min(bits[0], bits[1])
