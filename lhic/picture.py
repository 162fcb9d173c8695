"""Which three bands make a picture, and how their values become grey levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RGB_NM = (640.0, 550.0, 460.0)
SPREAD = (1 / 2, 1 / 3, 1 / 6)
"""Parts of the spectrum, for want of wavelengths: long before short, and half of the bands never needed."""
PERCENTILES = (2, 98)


@dataclass(frozen=True)
class Preview:
    """image : uint8 (H, W, 3); bands : of red, green and blue; the rest says what it took."""

    image: np.ndarray
    bands: tuple[int, int, int]
    bytes_read: int
    stream_bytes: int
    samples_computed: int
    n_samples: int


def choose_bands(n_bands: int, wavelengths: Sequence[float] | None = None) -> tuple[int, int, int]:
    """Bands nearest to 640, 550 and 460 nm; without wavelengths those at 1/2, 1/3 and 1/6 of the spectrum."""
    if wavelengths is None:
        red, green, blue = (int(n_bands * part) for part in SPREAD)
    else:
        centres = np.asarray(wavelengths, np.float64)
        red, green, blue = (int(np.abs(centres - wanted).argmin()) for wanted in RGB_NM)
    return red, green, blue


def stretch(band: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """Grey levels: the 2nd percentile of the data and what is below becomes 0, the 98th and above 255.

    band : numbers (h, w)
    nodata : value that becomes 0 and does not count, nor do NaN and infinities
    Returns uint8 (h, w); a band of one value is 0.
    """
    valid = np.isfinite(band)
    if nodata is not None:
        valid &= band != nodata
    if not valid.any():
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(band[valid], PERCENTILES)
    span = high - low or 1
    scaled = (np.where(valid, band, low).astype(np.float64) - low) * (255 / span)
    return np.where(valid, scaled.clip(0, 255), 0).round().astype(np.uint8)
