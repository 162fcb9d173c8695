"""Histograms with gaps: which levels of a plane are worth listing, so that the coder spends nothing on the others.

Scaled or resampled data use some levels often and their neighbours never; any noisy band uses the levels in its tails
here and there.  Only in the first case does a list pay, and often only in part of the range: elsewhere every level is
listed, which costs nothing.
"""

from __future__ import annotations

import numpy as np

from lhic.stream.packed import write_packed

REACH = 8
"""Levels on each side that say how densely levels are used around one."""
BLOCK = 128
"""Levels that are listed exactly, or all."""
MARGIN = 1.1
BLOCK_MARGIN_BITS = 4
PLANE_MARGIN_BITS = 32
"""What a list must save: the estimated cost times `MARGIN`, and some bits more."""
HOPELESS = 0.4
"""Part of the estimated cost that even regular gaps save, each level between them being there for a sample at least."""


def max_listed(n_pixels: int) -> int:
    """Greatest number of levels of a sparse plane; bounds what a damaged stream makes a decoder allocate."""
    return 4 * n_pixels + 1024


def levels_worth_listing(places: np.ndarray, weights: np.ndarray, n_pixels: int) -> np.ndarray | None:
    """The levels a coder should know, or None if all is best.

    places : int64 (n,), levels that occur, rising from 0
    weights : int64 (n,), samples of each
    Returns bool (places[-1] + 1,), True at least where a sample is.
    """
    n_levels = int(places[-1]) + 1
    if len(places) == n_levels:
        return None
    used = np.zeros(n_levels, bool)
    used[places] = True
    saved = _saved_bits(used, places, weights)
    if saved.sum() < PLANE_MARGIN_BITS:
        return None
    cost = _list_bits(used)
    in_block = np.arange(0, n_levels, BLOCK)
    pays = np.add.reduceat(saved, in_block) > MARGIN * np.add.reduceat(cost, in_block) + BLOCK_MARGIN_BITS
    in_part = np.repeat(pays, BLOCK)[:n_levels]

    candidates = [(used, saved, float(cost.sum()))]
    if pays.any() and not pays.all():
        filled = used | ~in_part
        candidates.append((filled, _saved_bits(filled, places, weights), float(cost[in_part].sum())))
    best, best_net = None, float(PLANE_MARGIN_BITS)
    for listed, bits, estimate in candidates:
        total = float(bits.sum())
        if total > max(best_net, HOPELESS * estimate) and np.count_nonzero(listed) <= max_listed(n_pixels):
            net = total - MARGIN * estimate
            if net <= best_net:  # packed, a list takes less than densities say where its gaps are regular
                net = total - MARGIN * min(estimate, 8 * len(write_packed(np.packbits(listed).tobytes())))
            if net > best_net:
                best, best_net = listed, net
    return best


def _saved_bits(listed: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float64, bits that the samples of each level save a coder that else takes all levels within `REACH` for equal."""
    n_near, width = _near(listed)
    saved = np.zeros(len(listed))
    saved[places] = -np.log2(n_near[places] / width[places]) * weights
    return saved


def _list_bits(listed: np.ndarray) -> np.ndarray:
    """float64, bits to say whether each level is listed, given how many others around it are."""
    n_near, width = _near(listed)
    share = (n_near - listed + 0.5) / width  # of the others, 0 < share < 1
    return -np.log2(np.where(listed, share, 1 - share))


def _near(listed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Listed levels within `REACH` of each, itself included, and all levels there."""
    running = np.concatenate([[0], np.cumsum(listed)])
    at = np.arange(len(listed))
    begin, end = np.maximum(at - REACH, 0), np.minimum(at + REACH + 1, len(listed))
    return running[end] - running[begin], end - begin
