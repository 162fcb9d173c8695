"""Model values of the planes' levels, as both engines' kernels take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from lhic.families.ax.planes.tile import Layout


class Levels(NamedTuple):
    """See `planes.tile.Layout`, whose numbers these are, as int64.

    first, n_levels, table_start : int64 (P,);  table : int64
    """

    first: np.ndarray
    n_levels: np.ndarray
    table_start: np.ndarray
    table: np.ndarray

    def of_first(self, n_planes: int) -> Levels:
        """Those of the first planes."""
        return Levels(self.first[:n_planes], self.n_levels[:n_planes], self.table_start[:n_planes], self.table)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest model value of each plane."""
        last = self.first + self.n_levels - 1
        sparse = self.table_start >= 0
        last[sparse] = self.table[(self.table_start + self.n_levels - 1)[sparse]]
        return self.first, last


def levels_of(layout: Layout) -> Levels:
    return Levels(*(np.asarray(a, np.int64) for a in (layout.first, layout.n_levels, layout.table_start, layout.table)))


def joined(levels: Iterable[Levels], n_planes: int) -> Levels:
    """Levels of the planes of several tiles, tile after tile; a tile of fewer planes has idle ones, of two levels."""
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
