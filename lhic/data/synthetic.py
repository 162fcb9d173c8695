"""Synthetic cubes: small ones for tests, and the noise and stripes that training adds to real ones.

Decides what a scene, a noise field and a stripe field look like; every function is a pure function of its
generator. None of it imitates a particular instrument: the point is to have each nuisance that real cubes
show (signed samples, no data, detector stripes slanted by rectification, noise correlated by resampling)
with its strength under control.
"""

from __future__ import annotations

import numpy as np

NODATA = -32768


def smooth_field(rng: np.random.Generator, shape: tuple[int, ...], width: int) -> np.ndarray:
    """Gaussian noise averaged over boxes of `width` along the last two axes, unit variance, float32."""
    n_rows, n_columns = shape[-2:]
    field = rng.standard_normal((*shape[:-2], n_rows + width - 1, n_columns + width - 1), dtype=np.float32)
    for axis in (-2, -1):
        field = np.lib.stride_tricks.sliding_window_view(field, width, axis=axis).mean(axis=-1)
    return field * width


def stripe_field(rng: np.random.Generator, shape: tuple[int, int, int], slope: float) -> np.ndarray:
    """Detector stripes, independent from band to band, unit variance, float32 (S, H, W).

    slope : columns by which a stripe moves per row; 0 gives upright stripes.
    """
    n_bands, n_rows, n_columns = shape
    shift = slope * np.arange(n_rows, dtype=np.float32)[:, None]
    position = np.arange(n_columns, dtype=np.float32)[None, :] + shift - shift.min()
    low = np.floor(position).astype(np.intp)
    fraction = (position - low).astype(np.float32)
    detectors = rng.standard_normal((n_bands, int(low.max()) + 2), dtype=np.float32)
    return detectors[:, low] * (1 - fraction) + detectors[:, low + 1] * fraction


def land_cube(
    rng: np.random.Generator, shape: tuple[int, int, int], level: float = 3000.0, noise: float = 8.0
) -> np.ndarray:
    """A scene of few materials with smooth spectra, int16 (S, H, W), >= 0: neighbouring bands are alike."""
    n_bands, n_rows, n_columns = shape
    n_materials = 4
    abundance = np.exp(np.stack([smooth_field(rng, (n_rows, n_columns), 7) for _ in range(n_materials)]))
    abundance /= abundance.sum(axis=0)
    spectra = np.cumsum(rng.standard_normal((n_materials, n_bands)) * 0.03, axis=1)
    spectra += rng.uniform(0.2, 1.0, (n_materials, 1))
    scene = level * np.einsum("mhw,ms->shw", abundance, np.abs(spectra))
    return np.clip(np.rint(scene + noise * rng.standard_normal(shape)), 0, 32767).astype(np.int16)


def water_cube(
    rng: np.random.Generator, shape: tuple[int, int, int], level: float = 20.0, noise: float = 30.0
) -> np.ndarray:
    """A dark scene of noise and slanted stripes, int16 (S, H, W), signed: bands are nearly independent."""
    slope = rng.uniform(-0.3, 0.3)
    field = level + noise * smooth_field(rng, shape, 2) + 0.6 * noise * stripe_field(rng, shape, slope)
    return np.rint(field).astype(np.int16)


def with_nodata(cube: np.ndarray, bands: slice = slice(0, 0), columns: slice = slice(0, 0)) -> np.ndarray:
    """Copy of a signed cube in which whole bands and a block of columns hold no data (-32768)."""
    cube = cube.copy()
    cube[bands] = NODATA
    cube[:, :, columns] = NODATA
    return cube
