"""How to store a band: what is isolated, which levels are listed, where the centre is.

All of it is an encoder's choice (docs/format_lhic_ax_side.md, section 6), in integers: the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from lhic.families.ax.planes.bands import CENTRES, MAX_LEVELS, NONE, Band, Kind, centre_fits, centre_position
from lhic.families.ax.planes.near_lossless import cell_of, reconstruct
from lhic.families.ax.planes.nodata import is_isolated
from lhic.families.ax.planes.sparse import levels_worth_listing
from lhic.kernels.jit import njit

for _function in (cell_of, centre_fits, centre_position, is_isolated):
    register_jitable(_function)
_FLAT, _DENSE, _SPARSE, _RANKED, _SPLIT = (
    int(kind) for kind in (Kind.FLAT, Kind.DENSE, Kind.SPARSE, Kind.RANKED, Kind.SPLIT)
)


def describe(samples: np.ndarray, max_error: int, exact: int | None = None) -> Band:
    """The band to store some samples as.

    samples : integers (n,), those with data, at least one
    exact : a sample to be isolated if it is an extreme one, so that it comes back exactly
    """
    numbers, used, cells = _described(samples.astype(np.int64), max_error, exact is not None, exact or 0)
    kind, lo, hi, has_below, below, has_above, above, centre = numbers
    if kind == _FLAT:
        lo = hi = int(reconstruct(cells, max_error, lo, hi)[0])
    return Band(
        Kind(kind),
        lo,
        hi,
        below if has_below else None,
        above if has_above else None,
        centre,
        used if kind == _SPARSE else NONE,
        cells if kind == _RANKED else NONE,
    )


@njit(nogil=True)
def _described(samples, max_error, has_exact, exact):
    """Kind, lo, hi, has_below, below, has_above, above and centre; which cells are used; cells."""
    levels, weights = _histogram(samples)
    n_levels = len(levels)
    begin, end = 0, n_levels
    if n_levels > 1:
        is_exact = has_exact and levels[0] == exact
        if is_exact or is_isolated(levels[1] - levels[0], levels[-1] - levels[1]):
            begin = 1
    if end - begin > 1:
        is_exact = has_exact and levels[-1] == exact
        if is_exact or is_isolated(levels[-1] - levels[-2], levels[-2] - levels[begin]):
            end = n_levels - 1
    below, above, lo, hi = levels[0], levels[-1], levels[begin], levels[end - 1]
    has_below, has_above = begin > 0, end < n_levels
    cells, weights = levels[begin:end], weights[begin:end]
    if max_error:
        cells, weights = _merged(cells, weights, max_error)
    nothing = np.zeros(0, np.bool_)
    n_ends = np.int64(has_below) + np.int64(has_above)
    if len(cells) == 1 and not n_ends:
        return (_FLAT, lo, hi, False, below, False, above, 0), nothing, cells
    kind, used = _DENSE, nothing
    n_positions = cells[-1] - cells[0] + 1 + n_ends
    if n_positions > MAX_LEVELS:
        if len(cells) > MAX_LEVELS - 2 or 2 * len(cells) > len(samples):
            return (_SPLIT, below, above, False, below, False, above, 0), nothing, cells
        kind, n_positions = _RANKED, len(cells) + n_ends
    else:
        found = levels_worth_listing(cells - cells[0], weights, len(samples))
        if len(found):
            kind, used = _SPARSE, found
    total, half = np.int64(0), weights.sum()
    median = -1
    while 2 * total < half:
        median += 1
        total += weights[median]
    if kind != _RANKED:
        median = cells[median] - cells[0]
    centre = _nearest_centre(n_positions, median + np.int64(has_below))
    return (kind, lo, hi, has_below, below, has_above, above, centre), used, cells


@njit
def _histogram(samples):
    """Levels that occur, rising, and how often."""
    low = high = samples[0]
    for sample in samples:
        low, high = min(low, sample), max(high, sample)
    if high - low < MAX_LEVELS:
        counts = np.zeros(high - low + 1, np.int64)
        for sample in samples:
            counts[sample - low] += 1
        levels = np.flatnonzero(counts)
        return levels + low, counts[levels]
    ordered = np.sort(samples)
    return _merged(ordered, np.ones(len(ordered), np.int64), 0)


@njit
def _merged(levels, weights, max_error):
    """Cells of rising levels, and what they weigh together: `near_lossless.quantise`."""
    cells, sums = np.empty(len(levels), np.int64), np.zeros(len(levels), np.int64)
    n = 0
    for k in range(len(levels)):
        cell = cell_of(levels[k], max_error)
        if n == 0 or cells[n - 1] != cell:
            cells[n] = cell
            n += 1
        sums[n - 1] += weights[k]
    return cells[:n], sums[:n]


@njit
def _nearest_centre(n_positions, median):
    """The centre nearest to a position, of those with which all model values are int16; the lower one of two."""
    best, least = 0, np.int64(MAX_LEVELS)
    for centre in range(CENTRES):
        distance = abs(centre_position(n_positions, centre) - median)
        if distance < least and centre_fits(n_positions, centre):
            best, least = centre, distance
    return best
