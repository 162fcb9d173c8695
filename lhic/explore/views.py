"""What the explorer shows, as functions of arrays: predictions, grey levels, limits of colours, comparisons.

Knows no codec and no widget.  A cube is an integer array (S bands, H rows, W columns).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lhic.errors import UsageError
from lhic.picture import SPREAD

MAX_SHOWN = 512  # rows and columns of an image that a browser gets; larger ones are thinned out
LARGE, LESS = 256, 128  # a scene with more pixels on an axis opens with a window of that many
ROBUST = (1.0, 99.0)  # percentiles between which colours run, so that a few outliers do not flatten a map
N_BINS = 80
JUMP = 8  # times the usual distance of bands
COMPOSITES = {
    "natural colour": (640.0, 550.0, 460.0),
    "infrared (vegetation is red)": (860.0, 650.0, 550.0),
    "short-wave infrared": (2200.0, 1650.0, 860.0),
}
"""Wavelengths of red, green and blue, nm."""


class Window(NamedTuple):
    """Rows and columns of a scene, the ends not included."""

    row: int
    end_row: int
    column: int
    end_column: int

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Of a cube, all its bands."""
        return slice(None), slice(self.row, self.end_row), slice(self.column, self.end_column)

    def contains(self, row: int, column: int) -> bool:
        return self.row <= row < self.end_row and self.column <= column < self.end_column

    def __str__(self) -> str:
        rows, columns = f"{self.row} to {self.end_row - 1}", f"{self.column} to {self.end_column - 1}"
        return f"rows {rows}, columns {columns}"


def first_window(n_rows: int, n_columns: int) -> Window:
    """The whole scene, or the middle of one that is large."""

    def middle(n: int) -> tuple[int, int]:
        return (0, n) if n <= LARGE else ((n - LESS) // 2, (n - LESS) // 2 + LESS)

    return Window(*middle(n_rows), *middle(n_columns))


def window_of(x: tuple[float, float], y: tuple[float, float], n_rows: int, n_columns: int) -> Window | None:
    """The pixels that a dragged rectangle touches, or None if that is outside or less than two rows or columns.

    x, y : its sides in columns and rows; pixel i reaches from i to i + 1
    """

    def ends(sides: tuple[float, float], n: int) -> tuple[int, int]:
        low, high = sorted(sides)
        return max(int(np.floor(low)), 0), min(int(np.ceil(high)), n)

    window = Window(*ends(y, n_rows), *ends(x, n_columns))
    return window if window.end_row - window.row > 1 and window.end_column - window.column > 1 else None


# --- predictions ------------------------------------------------------------------------------------------------------


def from_previous_band(cube: np.ndarray, band: int) -> np.ndarray:
    """The band before; for the first band, 0."""
    return cube[band - 1].astype(np.int64) if band else np.zeros(cube.shape[1:], np.int64)


def from_fitted_band(cube: np.ndarray, band: int) -> np.ndarray:
    """The band before with the gain and offset that fit this band best (least squares); for the first, its mean."""
    target = cube[band].astype(float)
    if not band or np.ptp(cube[band - 1]) == 0:
        return np.full(target.shape, np.rint(target.mean()), np.int64)
    source = cube[band - 1].astype(float)
    centred = source - source.mean()
    gain = (centred * (target - target.mean())).sum() / (centred**2).sum()
    return np.rint(target.mean() + gain * centred).astype(np.int64)


def from_neighbours(cube: np.ndarray, band: int) -> np.ndarray:
    """Median of left, upper and left + upper - upper left neighbour, as in JPEG-LS; outside the image is 0."""
    padded = np.pad(cube[band].astype(np.int64), ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    return np.median(np.stack([left, above, left + above - corner]), axis=0).astype(np.int64)


PREDICTORS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "previous band, fitted": from_fitted_band,
    "previous band": from_previous_band,
    "spatial neighbours": from_neighbours,
}


def residuals(cube: np.ndarray, band: int, predictor: str) -> np.ndarray:
    """Samples of a band minus a simple prediction of them, int64 (H, W); for display, no codec predicts so.

    Raises
    ------
    UsageError
        Unknown predictor, or a band the cube does not have.
    """
    if predictor not in PREDICTORS:
        raise UsageError(f"predictor: expected one of {', '.join(PREDICTORS)}, found {predictor!r}")
    if not 0 <= band < len(cube):
        raise UsageError(f"band: expected 0..{len(cube) - 1}, found {band}")
    return cube[band].astype(np.int64) - PREDICTORS[predictor](cube, band)


# --- bands and colours ------------------------------------------------------------------------------------------------


def band_at(place: float, n_bands: int, wavelengths: Sequence[float] | np.ndarray | None) -> int:
    """The band whose centre is nearest to a wavelength; without wavelengths, the place is the band's number."""
    if wavelengths is None:
        return int(np.clip(round(place), 0, n_bands - 1))
    return int(np.abs(np.asarray(wavelengths) - place).argmin())


def band_name(band: int, n_bands: int, wavelengths: Sequence[float] | np.ndarray | None) -> str:
    """
    >>> band_name(1, 2, [640.0, 650.123]), band_name(0, 2, None)
    ('band 1 of 0 to 1, 650.1 nm', 'band 0 of 0 to 1')
    """
    where = "" if wavelengths is None else f", {wavelengths[band]:.1f} nm"
    return f"band {band} of 0 to {n_bands - 1}{where}"


def spread_bands(n_bands: int) -> tuple[float, float, float]:
    """Places of red, green and blue for want of wavelengths."""
    red, green, blue = (float(int(n_bands * part)) for part in SPREAD)
    return red, green, blue


def composite(bands: np.ndarray, percentiles: tuple[float, float], nodata: float | None = None) -> np.ndarray:
    """Three bands as colours, each stretched between two percentiles of its data.

    bands : (3, H, W), red, green and blue; where none is finite, nothing is shown
    nodata : value that is transparent and does not count

    Returns
    -------
    uint8 (H, W, 4), red, green, blue and opacity
    """
    picture = np.full((*bands.shape[1:], 4), 255, np.uint8)
    for channel, band in enumerate(bands):
        low, high = limits(band, percentiles, nodata)
        picture[..., channel] = np.rint(np.nan_to_num((band - low) * (255 / (high - low))).clip(0, 255))
    empty = ~np.isfinite(bands) if nodata is None else ~np.isfinite(bands) | (bands == nodata)
    picture[empty.all(0), 3] = 0
    return picture


def limits(
    image: np.ndarray, percentiles: tuple[float, float] = ROBUST, nodata: float | None = None
) -> tuple[float, float]:
    """Two percentiles of what is finite and data, the second always above the first."""
    values = image[np.isfinite(image)] if nodata is None else image[np.isfinite(image) & (image != nodata)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, percentiles))
    return low, high if high > low else low + 1.0


def limits_about_zero(image: np.ndarray) -> tuple[float, float]:
    """Limits that lie about zero, so that it has the middle colour."""
    values = np.abs(image[np.isfinite(image)])
    limit = float(np.percentile(values, ROBUST[1])) if values.size else 0.0
    return -(limit or 1.0), limit or 1.0


def common_limits(images: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that suit several maps, each of which counts alike: one scale, so that colours can be compared."""
    found = [limits(image) for image in images]
    return min((low for low, _ in found), default=0.0), max((high for _, high in found), default=1.0)


def thinned(image: np.ndarray) -> np.ndarray:
    """Every k-th row and column of an image (H, W, ...) that a browser would be slow with."""
    k_rows, k_columns = (-(-n // MAX_SHOWN) for n in image.shape[:2])
    return image[::k_rows, ::k_columns]


def histogram(values: np.ndarray, nodata: float | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """Counts of values between robust limits, the edges of the bins, and how many values lie outside.

    Returns
    -------
    int (n,), float (n + 1,), int.  Whole numbers get bins of whole numbers.
    """
    values = values[np.isfinite(values)] if nodata is None else values[np.isfinite(values) & (values != nodata)]
    if not values.size:
        return np.zeros(1, int), np.array([0.0, 1.0]), 0
    low, high = (float(value) for value in np.percentile(values, (0.1, 99.9)))
    if values.dtype.kind in "iu":
        low, high = np.floor(low), np.ceil(high) + 1
        width = max(-(-(high - low) // N_BINS), 1.0)
        edges = low + width * np.arange(np.ceil((high - low) / width) + 1)
    else:
        edges = np.linspace(low, high if high > low else low + 1, N_BINS + 1)
    counts, _ = np.histogram(values, edges)
    return counts, edges, int(values.size - counts.sum())


def with_gaps(x: np.ndarray, *lines: np.ndarray) -> list[np.ndarray]:
    """Points of curves, with a gap where x falls, as where detectors overlap, or jumps, as where bands are left out.

    >>> with_gaps(np.array([1.0, 2.0, 3.0, 30.0, 31.0]), np.array([5, 5, 5, 6, 6]))[1]
    array([ 5.,  5.,  5., nan,  6.,  6.])
    """
    steps = np.diff(x)
    usual = np.median(np.abs(steps)) if steps.size else 0.0
    at = np.flatnonzero((steps < 0) | (steps > JUMP * usual)) + 1
    return [np.insert(np.asarray(line, float), at, np.nan) for line in (x, *lines)]


# --- bits -------------------------------------------------------------------------------------------------------------


class Bits(NamedTuple):
    """Bits per sample by place.

    costs : float32 (S, H, W), what each sample costs, if the codec can tell
    blocks : else float (H, W), bits per sample of each block of pixels coded alone with all its bands
    block : rows and columns of a block
    """

    costs: np.ndarray | None
    blocks: np.ndarray | None = None
    block: int = 0

    def of(self, band: int | None) -> np.ndarray:
        """Bits per sample (H, W) in a band, or the mean over all, which is all that blocks can tell."""
        if self.costs is None:
            assert self.blocks is not None
            return self.blocks
        return self.costs.mean(axis=0) if band is None else self.costs[band]


def block_means(image: np.ndarray, block: int) -> np.ndarray:
    """Each pixel (H, W) replaced by the mean of its block."""
    n_rows, n_columns = image.shape
    rows, columns = np.arange(0, n_rows, block), np.arange(0, n_columns, block)
    sums = np.add.reduceat(np.add.reduceat(image.astype(float), rows, axis=0), columns, axis=1)
    heights, widths = np.diff(np.append(rows, n_rows)), np.diff(np.append(columns, n_columns))
    means = sums / np.outer(heights, widths)
    return means.repeat(heights, axis=0).repeat(widths, axis=1)


class Comparison(NamedTuple):
    """Maps (H, W) of two codecs, bits per sample, as far as they are known.

    difference : what the second spends more
    in_band : whether they are of one band; else means over all
    """

    first: np.ndarray | None
    second: np.ndarray | None
    difference: np.ndarray | None
    in_band: bool


def side_by_side(first: Bits | None, second: Bits | None, band: int | None) -> Comparison:
    """Maps of two codecs that can be compared, of a band or of all (None).

    Maps of blocks are means over all bands, and so is then the other one; the difference is that of blocks.
    """
    known = [bits for bits in (first, second) if bits is not None]
    in_band = band is not None and all(bits.costs is not None for bits in known)
    wanted = band if in_band else None
    one = None if first is None else first.of(wanted)
    other = None if second is None else second.of(wanted)
    if one is None or other is None:
        return Comparison(one, other, None, in_band)
    block = max(bits.block if bits.costs is None else 0 for bits in known)
    difference = block_means(other, block) - block_means(one, block) if block else other - one
    return Comparison(one, other, difference, in_band)
