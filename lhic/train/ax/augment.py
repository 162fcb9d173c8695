"""Changed copies of cubes: other statistics than those of the few scenes at hand.

A model trained on bright land from airborne sensors codes noise badly, and the other way round.  Copies are cropped,
turned, thinned out in bands or pixels, darkened, and given noise as real instruments have it: white, correlated by
resampling, striped straight or slanted.
"""

from __future__ import annotations

import numpy as np

CROP = (48, 100)  # rows and columns, at least and at most


def changed_copy(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of other statistics, int32 (S', h, w)."""
    c = _cropped(cube, rng).astype(np.float32)
    for axis in (1, 2):
        if rng.random() < 0.5:
            c = np.flip(c, axis)
    if rng.random() < 0.5:
        c = c.swapaxes(1, 2)
    if rng.random() < 0.3:
        c = c[::-1]
    c = c[:: rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])]
    if rng.random() < 0.15 and min(c.shape[1:]) >= 96:
        c = c[:, ::2, ::2]
    kind = rng.random()
    if kind < 0.25:
        c = c + _noise_level(c, rng) * _noise(c.shape, rng)
    elif kind < 0.45:
        c = _dominated_by_noise(c, rng)
    if rng.random() < 0.3:
        c = c * rng.uniform(0.1, 0.9)
    return np.round(np.clip(c, -32768, 65535 - 32768)).astype(np.int32)


def _cropped(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    window = [slice(None)]
    for n in cube.shape[1:]:
        size = min(int(rng.integers(CROP[0], CROP[1] + 1)), n)
        start = int(rng.integers(n - size + 1))
        window.append(slice(start, start + size))
    return cube[tuple(window)]


def _noise_level(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A few times the noise that is there, uneven over the bands, (S, 1, 1)."""
    detail = np.diff(c, axis=2)
    there = np.median(np.abs(np.diff(detail, axis=0))) + 0.5 if len(c) > 1 else 1.0
    return there * rng.uniform(0.3, 4) * np.exp(0.3 * rng.normal(size=(len(c), 1, 1)))


def _dominated_by_noise(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As over water: hardly any scene, noise that changes slowly from band to band, sometimes clipped at 0."""
    mean = c.mean((1, 2), keepdims=True)
    level = rng.uniform(3, 40) * np.exp(np.cumsum(0.1 * rng.normal(size=(len(c), 1, 1)), 0))
    c = mean * rng.uniform(0, 0.1) + rng.uniform(0.005, 0.2) * (c - mean) + level * _noise(c.shape, rng)
    return np.maximum(c, 0) if rng.random() < 0.3 else c


def _noise(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise of standard deviation about 1: white or bilinearly resampled, with or without stripes."""
    n_bands, n_rows, n_columns = shape
    noise = rng.normal(size=(n_bands, n_rows + 1, n_columns + 1)).astype(np.float32)
    resampled, striped = rng.random(2) < 0.5
    if resampled:
        a, b = rng.uniform(0, 0.5, 2)
        rows = (1 - b) * noise[:, 1:] + b * noise[:, :-1]
        noise = (1 - a) * rows[:, :, 1:] + a * rows[:, :, :-1]
        noise /= noise.std()
    else:
        noise = noise[:, 1:, 1:]
    if striped:
        stripes = rng.normal(size=(n_bands, n_columns)).astype(np.float32) * rng.uniform(0.2, 1.0)
        slant = rng.uniform(-0.3, 0.3) if resampled else 0.0
        columns = (np.arange(n_columns) + np.round(slant * np.arange(n_rows))[:, None].astype(int)) % n_columns
        noise = noise + stripes[:, columns]
    return noise
