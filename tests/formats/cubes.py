"""The two made-up cubes of the shared files, and files of every kind that the tests make."""

import numpy as np

BANDS, ROWS, COLUMNS = 24, 20, 17
WAVELENGTHS = [420 + 8.5 * band for band in range(BANDS)]


def scene(dtype="int16") -> np.ndarray:
    """Bands x rows x columns with spectra, so that the axes can be told apart; a block of nodata -32768 or none."""
    band, row, column = np.ogrid[0:BANDS, 0:ROWS, 0:COLUMNS]
    cube = 900 + 300 * np.sin(band / 4) * (1 + row / 40) + 3 * column + (band * 7 + row * 13 + column * 29) % 11
    cube = cube.astype(dtype)
    if cube.dtype.kind == "i" and cube.dtype.itemsize > 1:
        cube[:, 3:6, 4:9] = -32768
    return cube


def windows():
    """Some windows of such a cube: all, one sample, tiles at the edges."""
    every = slice(None)
    yield every, every, every
    yield slice(5, 6), slice(7, 8), slice(9, 10)
    yield every, slice(0, 16), slice(0, 16)
    yield every, slice(16, ROWS), slice(16, COLUMNS)
    yield slice(3, 9), slice(2, 19), slice(0, 17)


def check_windows(found, cube: np.ndarray) -> None:
    """A reader gives the cube, whole and by windows."""
    assert tuple(found.shape) == cube.shape and found.dtype == cube.dtype, (found.shape, found.dtype)
    for window in windows():
        part = found[window]
        assert part.dtype == cube.dtype and np.array_equal(part, cube[window]), window
