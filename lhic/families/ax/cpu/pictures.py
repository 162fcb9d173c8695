"""Pictures in the skewed layout of `wavefront`: waves, neighbours, and the places beyond the edge."""

from __future__ import annotations

from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import lean

PIXEL_BYTES = 4


@lean(inline="always")
def wave_rows(wave, n_rows, n_columns):
    """First row of a wave, and how many samples it has (one per row, consecutive)."""
    first = max(0, (wave - n_columns + 2) // 2)
    last = min(n_rows - 1, wave // 2)
    return first, last - first + 1


@lean(inline="always")
def neighbours(plane, u, row, n, distance):
    """Neighbours at a distance (waves, rows) of the n samples of a wave that begins at [u, row]."""
    return plane[u + distance[0], row + distance[1] : row + distance[1] + n]


@lean(inline="always")
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
