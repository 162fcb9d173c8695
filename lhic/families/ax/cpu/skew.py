"""The skewed layout: samples of one wave lie side by side in memory.

Decides where sample (row i, column j) of a plane is kept and which places around the image repeat its edge.  With the
wave number u = 2 i + j all samples of one wave depend only on earlier waves of their plane (their neighbours W, N, NW
and NE have smaller u), and of earlier planes on waves up to u + 3.  So sample (z, i, j) can be computed at step
t = u + 4 z, all samples of a step side by side (docs/format_lhic_ax.md, section 2).

An array of planes has shape (P, 2 H + W + 36, H + 10); sample (i, j) is at
``[z, 2 i + j + WAVE_MARGIN, i + ROW_MARGIN]``.
A neighbour at (i + di, j + dj) is then at a distance of (2 di + dj, di).
"""

from __future__ import annotations

from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import njit


@njit(inline="always")
def wave_rows(wave, n_rows, n_columns):
    """First row of a wave, and how many samples it has (one per row, consecutive)."""
    first = max(0, (wave - n_columns + 2) // 2)
    last = min(n_rows - 1, wave // 2)
    return first, last - first + 1


@njit(inline="always")
def store(plane, i, j, n_rows, n_columns, value):
    """Write a sample of a plane, and the places beyond the edge that repeat it.

    Left of the image stands the sample of the row above (so that W is never unknown), right of it the last of the
    row, below it the last of the column, above it the sample two columns before.
    """
    u = 2 * i + j + WAVE_MARGIN
    row = i + ROW_MARGIN
    plane[u, row] = value
    if j == 0:
        plane[u + 1, row + 1] = value  # (i + 1, -1)
        plane[u, row + 1] = value  # (i + 1, -2)
    if j == n_columns - 1:
        plane[u + 1, row] = value  # (i, W)
    if i == 0:
        plane[u, row - 1] = value  # (-1, j + 2)
        plane[u - 2, row - 2] = value  # (-2, j + 2)
    if i == n_rows - 1:
        plane[u + 2, row + 1] = value  # (H, j)
        if j == n_columns - 1:
            plane[u + 3, row + 1] = value  # (H, W)
