"""Changed copies of cubes: other statistics than those of the few scenes at hand.

A model trained on bright land from airborne sensors codes noise badly, and the other way round.  Copies are cropped,
turned, thinned out in bands or pixels, darkened, and given noise as real instruments have it: white, correlated by
resampling, striped straight or slanted.  `IMITATIONS` make of a cube what other instruments and programs write.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CROP = (48, 100)  # rows and columns, at least and at most
CROP_OF_MANY_BANDS = (20, 48)


def changed_copy(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of other statistics, int32 (S', h, w)."""
    c = _turned(_cropped(cube, CROP, rng), rng)
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
    return _integers(c)


def imitation(name: str, cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy such as another instrument or program would have made, int32 (S', h, w); name : in `IMITATIONS`."""
    return _integers(IMITATIONS[name](cube, rng))


def _integers(c: np.ndarray) -> np.ndarray:
    return np.round(np.clip(c, -32768, 32767)).astype(np.int32)


def _cropped(cube: np.ndarray, sizes: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A window of it as float32; sizes : rows and columns, at least and at most."""
    window = [slice(None)]
    for n in cube.shape[1:]:
        size = min(int(rng.integers(sizes[0], sizes[1] + 1)), n)
        start = int(rng.integers(n - size + 1))
        window.append(slice(start, start + size))
    return cube[tuple(window)].astype(np.float32)


def _turned(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    for axis in (1, 2):
        if rng.random() < 0.5:
            c = np.flip(c, axis)
    return c.swapaxes(1, 2) if rng.random() < 0.5 else c


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


# --- imitations -------------------------------------------------------------------------------------------------------


def _few_lines(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a push-broom instrument begins: hardly a line to learn from."""
    c = _cropped(_turned(cube, rng), (10**6, 10**6), rng)
    n_lines = int(rng.integers(2, 9))
    first = int(rng.integers(max(c.shape[1] - n_lines, 0) + 1))
    return _raw(c[:, first : first + n_lines], rng)


def _columns(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raw counts: each detector element, one for a band and column, has a gain and a dark level of its own."""
    return _raw(_turned(_cropped(cube, CROP, rng), rng), rng)


def _raw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    c = c - min(float(c.min()), 0.0)
    counts = c * (rng.uniform(500, 12000) / max(float(np.quantile(c, 0.99)), 1.0))
    elements = rng.normal(size=(2, len(c), 1, c.shape[2]))
    gain = 1 + np.exp(rng.uniform(np.log(0.002), np.log(0.05))) * elements[0]
    dark = rng.uniform(0, 400) + np.exp(rng.uniform(np.log(0.5), np.log(30))) * elements[1]
    return gain * counts + dark + rng.uniform(0.3, 3) * rng.normal(size=c.shape)


def _saturated(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples beyond what the detector or the product can hold: flat where it is bright, 0 where it is dark."""
    c = _turned(_cropped(cube, CROP, rng), rng)
    whole = rng.random() < 0.5  # one limit for all bands, else one for each
    axes = None if whole else (1, 2)
    c = np.minimum(c, np.quantile(c, rng.uniform(0.75, 0.98), axes, keepdims=True))
    if rng.random() < 0.5:
        c = np.maximum(c - np.quantile(c, rng.uniform(0.02, 0.25), axes, keepdims=True), 0)
    return c


def _many_bands(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """400 bands and more, finer than the spectrum's own detail, each with noise of its own."""
    c = _resampled(_turned(_cropped(cube, CROP_OF_MANY_BANDS, rng), rng), int(rng.integers(400, 481)))
    return c + _noise_level(c, rng) * _noise(c.shape, rng)


def _laboratory(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scan in the laboratory: spectra without the lines of the air, bright and nearly free of noise."""
    c = _turned(_cropped(cube, CROP_OF_MANY_BANDS, rng), rng)
    width = rng.uniform(2, 10)
    reach = np.arange(-int(3 * width), int(3 * width) + 1)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    padded = np.pad(c, ((len(reach) // 2,) * 2, (0, 0), (0, 0)), mode="reflect" if len(c) > len(reach) else "edge")
    smooth = np.apply_along_axis(np.convolve, 0, padded, kernel / kernel.sum(), "valid")
    smooth = _resampled(smooth, int(rng.integers(200, 481)))
    smooth = smooth * (rng.uniform(2000, 16000) / max(float(np.quantile(np.abs(smooth), 0.99)), 1.0))
    uneven = np.exp(np.cumsum(0.05 * rng.normal(size=(len(smooth), 1, 1)), 0))
    return smooth + np.exp(rng.uniform(np.log(0.3), np.log(20))) * uneven * rng.normal(size=smooth.shape)


def _resampled(c: np.ndarray, n_bands: int) -> np.ndarray:
    """Bands interpolated along the spectrum, (n_bands, h, w)."""
    place = np.linspace(0, len(c) - 1, n_bands)
    below = np.minimum(place.astype(int), max(len(c) - 2, 0))
    part = (place - below)[:, None, None].astype(np.float32)
    return (1 - part) * c[below] + part * c[np.minimum(below + 1, len(c) - 1)]


def _noise_laws(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise that grows with the signal as photons' does, that a line's samples share, or that was rounded coarsely."""
    c = _turned(_cropped(cube, CROP, rng), rng)
    level = _noise_level(c, rng)
    law = rng.integers(3)
    if law == 0:
        bright = np.maximum(c, 0) / max(float(np.maximum(c, 0).mean()), 1.0)
        return c + level * np.sqrt(bright) * rng.normal(size=c.shape)
    if law == 1:
        noise = rng.normal(size=c.shape)
        share = rng.uniform(0.3, 0.9)
        for column in range(1, c.shape[2]):
            noise[:, :, column] = share * noise[:, :, column - 1] + np.sqrt(1 - share**2) * noise[:, :, column]
        return c + level * noise
    step = rng.integers(2, 17)
    return step * np.round((c + level * rng.normal(size=c.shape)) / step)


def _gaps(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A histogram that was stretched after it had been made of integers: levels that no sample has."""
    c = _turned(_cropped(cube, CROP, rng), rng)
    greatest = max(float(np.abs(c).max()), 1.0)
    coarse = np.round(c * min(rng.uniform(500, 4000) / greatest, 1.0))
    most = max(30000 / max(float(np.abs(coarse).max()), 1.0), 1.1)
    factor = np.exp(rng.uniform(np.log(1.1), np.log(min(most, 8.0)), (len(c), 1, 1)))
    return np.round(coarse * (factor if rng.random() < 0.5 else factor[:1]))


def _eight_bits(cube: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """0 to 255, over the whole cube or band by band."""
    c = _turned(_cropped(cube, CROP, rng), rng)
    axes = None if rng.random() < 0.5 else (1, 2)
    low, high = np.quantile(c, [0.001, 0.999], axes, keepdims=True)
    return np.clip(255 * (c - low) / np.maximum(high - low, 1), 0, 255)


IMITATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "few_lines": _few_lines,
    "columns": _columns,
    "saturated": _saturated,
    "many_bands": _many_bands,
    "laboratory": _laboratory,
    "noise_laws": _noise_laws,
    "gaps": _gaps,
    "eight_bits": _eight_bits,
}
