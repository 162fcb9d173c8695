"""Wavefront order inside a tile: diagonals i + j = const, each from its top row down.

All positions of a diagonal are decodable at the same time under the mask of PSCAM.  Decides only the order of
positions; bands come one after the other.  Format v1: docs/format_lhic_bp.md, section 3.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def n_diagonals(n_rows: int, n_columns: int) -> int:
    """Wavefront steps of a tile."""
    return n_rows + n_columns - 1


def diagonal_rows(diagonal: int, n_rows: int, n_columns: int) -> tuple[int, int]:
    """First row and last row + 1 of the positions (row, diagonal - row) that lie inside the tile."""
    return max(0, diagonal - n_columns + 1), min(diagonal + 1, n_rows)


@lru_cache(maxsize=64)
def coding_order(n_rows: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all positions in coding order, two read-only int64 arrays (n_rows * n_columns,).

    >>> [array.tolist() for array in coding_order(2, 3)]
    [[0, 0, 1, 0, 1, 1], [0, 1, 0, 2, 1, 2]]
    """
    rows, columns = np.divmod(np.arange(n_rows * n_columns), n_columns)
    order = np.lexsort((rows, rows + columns))
    result = rows[order], columns[order]
    for array in result:
        array.flags.writeable = False
    return result
