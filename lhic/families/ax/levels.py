"""Model values of the planes' levels, as both engines' kernels take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lhic.families.ax.planes.tile import Layout
from lhic.kernels.jit import njit

_NO_PLACES = np.zeros(0, np.int64)
_NO_LEVELS = np.zeros(0, np.uint16)


class Levels(NamedTuple):
    """See `planes.tile.Layout`, whose numbers these are, as int64.

    first, n_levels, table_start : int64 (P,);  table : int64
    near_start : int64 (P,), where the levels of a sparse plane's model values begin in `near`
    near : uint16, for each model value of a sparse plane from `first` on, listed or not, the level nearest to it
    """

    first: np.ndarray
    n_levels: np.ndarray
    table_start: np.ndarray
    table: np.ndarray
    near_start: np.ndarray = _NO_PLACES
    near: np.ndarray = _NO_LEVELS

    def of_first(self, n_planes: int) -> Levels:
        """Those of the first planes."""
        first, n_levels, table_start, table, near_start, near = self
        return Levels(first[:n_planes], n_levels[:n_planes], table_start[:n_planes], table, near_start, near)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest model value of each plane."""
        last = self.first + self.n_levels - 1
        sparse = self.table_start >= 0
        last[sparse] = self.table[(self.table_start + self.n_levels - 1)[sparse]]
        return self.first, last

    def of_values(self, values: np.ndarray) -> np.ndarray:
        """Level of each value, int32 (P, h, w); any of a value that has none.

        values : int32 (P, h, w), model values
        """
        found = values - self.first.astype(np.int32)[:, None, None]
        spans = self.ends()[1] - self.first + 1
        for z in np.flatnonzero(self.table_start >= 0):
            near = self.near[self.near_start[z] : self.near_start[z] + spans[z]]
            found[z] = near.take(found[z], mode="clip")
        return found


def levels_of(layout: Layout) -> Levels:
    """Of a tile, `near` included."""
    numbers = (np.asarray(a, np.int64) for a in (layout.first, layout.n_levels, layout.table_start, layout.table))
    levels = Levels(*numbers)
    first, last = levels.ends()
    spans = np.where(levels.table_start >= 0, last - first + 1, 0)
    starts = np.cumsum(spans) - spans
    near = np.empty(int(spans.sum()), np.uint16)
    _fill_near(levels.n_levels, levels.table_start, levels.table, starts, near)
    return levels._replace(near_start=starts, near=near)


@njit(nogil=True)
def _fill_near(n_levels, table_start, table, starts, near):
    """A level is near from the middle between it and the one before on."""
    for z in range(len(n_levels)):
        if table_start[z] < 0:
            continue
        values = table[table_start[z] : table_start[z] + n_levels[z]]
        at = starts[z]
        for level in range(1, n_levels[z]):
            end = starts[z] + ((values[level - 1] + values[level] + 1) >> 1) - values[0]
            near[at:end] = level - 1
            at = end
        near[at : starts[z] + values[-1] - values[0] + 1] = n_levels[z] - 1


def joined(levels: Iterable[Levels], n_planes: int) -> Levels:
    """Levels of the planes of several tiles, tile after tile, without `near`.

    A tile of fewer planes has idle ones, of two levels.
    """
    first, n_levels, starts, tables = [], [], [], []
    n_listed = 0
    for some in levels:
        idle = np.zeros(n_planes - len(some.first), np.int64)
        first += [some.first, idle]
        n_levels += [some.n_levels, idle + 2]
        starts += [np.where(some.table_start < 0, -1, some.table_start + n_listed), idle - 1]
        tables.append(some.table)
        n_listed += len(some.table)
    return Levels(*(np.concatenate(parts) for parts in (first, n_levels, starts, tables)))
