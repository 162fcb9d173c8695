"""The wavefront: in which order a plane's samples are coded, and the memory in which those coded together lie together.

With the wave number u = 2 i + j all samples of one wave depend only on earlier waves of their plane (their neighbours
W, N, NW and NE have smaller u), and of earlier planes on waves up to u + 3.  So sample (z, i, j) can be computed at
step t = u + 4 z, all samples of a step side by side (docs/format_lhic_ax.md, section 2).

A picture is an array of planes (P, 2 H + W + 36, H + 10), skewed: sample (i, j) is at
``[z, 2 i + j + WAVE_MARGIN, i + ROW_MARGIN]``, a neighbour at (i + di, j + dj) at a distance of (2 di + dj, di).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

WAVE_MARGIN = 18  # what is read farthest up and left is 8 rows up, 2 columns left
ROW_MARGIN = 8


def skewed(neighbour: tuple[int, int]) -> tuple[int, int]:
    """Distance (waves, rows) of a neighbour (rows down, columns right)."""
    di, dj = neighbour
    return 2 * di + dj, di


def distances(neighbours: Iterable[tuple[int, int]]) -> np.ndarray:
    """`skewed` of each, int64 (n, 2)."""
    return np.array([skewed(neighbour) for neighbour in neighbours], np.int64)


def n_waves(n_rows: int, n_columns: int) -> int:
    """Waves of a plane."""
    return 2 * (n_rows - 1) + n_columns


def most_samples(n_rows: int, n_columns: int) -> int:
    """Of a wave."""
    return min(n_rows, (n_columns + 1) // 2)


def picture_shape(n_planes: int, n_rows: int, n_columns: int) -> tuple[int, int, int]:
    """Shape of a picture, with its margins."""
    return n_planes, 2 * n_rows + n_columns + 2 * WAVE_MARGIN, n_rows + 2 + ROW_MARGIN
