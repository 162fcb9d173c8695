"""The noise floor of a cube: bits a sample that its noise takes, whoever predicts the rest.

A band's noise is what neighbours do not tell of a sample.  In small blocks each band is regressed on the bands next to
it and on the samples to the left and above, after R. E. Roger, J. F. Arnold, "Reliably estimating the noise in AVIRIS
hyperspectral images", Int. J. Remote Sensing 17 (1996), pp. 1951-1962 (spatial and spectral decorrelation, SSDC), who
take one band on each side.  With eight in all, several materials in a block are told apart, and the regressors' own
noise adds an eighth to the variance where the scene is far above it, 0.08 bits (at the spectrum's ends, where all
regressors are on one side, several times that).  The quieter blocks speak for the band: in others texture is left.

The floor is that of Gaussian noise of one variance for all of a band, rounded to integers.  Codecs can fall below it:
where noise grows with the signal, has levels that no sample has, or repeats with the samples in a resampled image.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from benchmarks.exhibits.figures import COLOURS, WIDTH, Figure, style

BLOCK = 12  # rows and columns
NEAREST = 8  # bands
QUIET = 0.25  # of the blocks' variances, this quantile
QUIET_SCORE = -0.6745  # of that quantile of the standard normal distribution
MARKERS = "osD^v"  # of codecs in the figure
PHASES = 32  # of a mean between two integers
ROUNDING = 1 / 12  # variance that rounding adds
TOO_FINE = 0.05  # of a step; a standard deviation below it is that of rounded signal, no noise


def noise_of_bands(cube: np.ndarray, nodata: int | None = None) -> np.ndarray:
    """Standard deviation of each band's noise, before it was rounded: float64 (S,), in sample units.

    cube : integers (S, H, W), at least 2 rows and 3 columns; NaN in bands of which no block is without nodata
    """
    n_bands = len(cube)
    samples = cube[:, 1:, 1:].astype(np.float64)
    left, above = cube[:, 1:, :-1].astype(np.float64), cube[:, :-1, 1:].astype(np.float64)
    if nodata is not None:
        lost = (samples == nodata) | (left == nodata) | (above == nodata)
    else:
        lost = np.zeros(samples.shape, bool)
    samples, left, above, lost = (_blocks(found) for found in (samples, left, above, lost))
    n_pixels = samples.shape[2]
    found = np.full(n_bands, np.nan)
    there = np.flatnonzero(~lost.all(axis=(1, 2))).tolist()
    for place, band in enumerate(there):
        first = min(max(place - NEAREST // 2, 0), max(len(there) - NEAREST - 1, 0))
        others = [number for number in there[first : first + NEAREST + 1] if number != band]
        whole = ~(lost[[band, *others]].any(axis=(0, 2)))
        regressors = np.stack([left[band], above[band], *samples[others]], axis=2)[whole]
        n_free = n_pixels - 1 - regressors.shape[2]
        if not len(regressors) or n_free < 1:
            continue
        variances = _left(samples[band][whole], regressors) / n_free
        quiet = np.quantile(variances, QUIET) / _chi_square_quantile(n_free)
        found[band] = math.sqrt(max(quiet - ROUNDING, 0.0))
    return found


def _blocks(samples: np.ndarray) -> np.ndarray:
    """(S, H, W) -> (S, blocks, pixels of one); what is left over at the lower and right margin is not used."""
    n_bands, n_rows, n_columns = samples.shape
    high, wide = min(BLOCK, n_rows), min(BLOCK, n_columns)
    down, across = n_rows // high, n_columns // wide
    cut = samples[:, : down * high, : across * wide].reshape(n_bands, down, high, across, wide)
    return cut.swapaxes(2, 3).reshape(n_bands, down * across, high * wide)


def _left(samples: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    """Sum of squares that a regression leaves of (B, n) on (B, n, K) and a constant: float64 (B,)."""
    y = samples - samples.mean(1, keepdims=True)
    x = regressors - regressors.mean(1, keepdims=True)
    products, target = np.swapaxes(x, 1, 2) @ x, np.einsum("bnk,bn->bk", x, y)
    ridge = 1e-9 * np.trace(products, axis1=1, axis2=2) + 1e-9  # constant regressors have no inverse
    products += ridge[:, None, None] * np.eye(x.shape[2])
    coefficients = np.linalg.solve(products, target[..., None])[..., 0]
    return ((y - np.einsum("bnk,bk->bn", x, coefficients)) ** 2).sum(1)


def _chi_square_quantile(n_free: int) -> float:
    """The `QUIET` quantile of a chi-square variable by its mean.  Wilson, Hilferty, PNAS 17 (1931)."""
    part = 2 / (9 * n_free)
    return (1 - part + QUIET_SCORE * math.sqrt(part)) ** 3


def entropy(deviation: float) -> float:
    """Bits of a Gaussian variable of that standard deviation, rounded to integers; mean over where its mean may lie.

    >>> round(entropy(10.0), 3), round(math.log2(10 * math.sqrt(2 * math.pi * math.e)), 3), entropy(0.0)
    (5.369, 5.369, 0.0)
    """
    if not deviation > TOO_FINE:
        return 0.0
    reach = math.ceil(8 * deviation) + 1
    edges = np.arange(-reach, reach + 2) - 0.5
    shifts = (np.arange(PHASES)[:, None] + 0.5) / PHASES
    below = _normal_cdf((edges - shifts) / deviation)
    share = np.maximum(np.diff(below, axis=1), 1e-300)
    return float(-(share * np.log2(share)).sum(1).mean())


_normal_cdf = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)), otypes=[float])


def floor_of(cube: np.ndarray, nodata: int | None = None) -> pd.DataFrame:
    """A line a band: ``noise``, its standard deviation, and ``floor``, its bits per sample (NaN: nothing is known)."""
    noise = noise_of_bands(cube, nodata)
    bits = [np.nan if np.isnan(one) else entropy(one) for one in noise]
    return pd.DataFrame({"noise": noise, "floor": bits}).rename_axis("band")


def above_floor(rates: pd.DataFrame, floors: pd.Series) -> pd.DataFrame:
    """A line a cube, the lowest floor first: ``floor``, and for each codec the bits above it.

    rates : bits per sample, a line a cube and a column a codec
    floors : mean floor of each cube's bands
    """
    found = rates.sub(floors, axis=0)
    found.insert(0, "floor", floors)
    return found.loc[floors.reindex(rates.index).sort_values().index]


def above_floor_figure(above: pd.DataFrame) -> Figure:
    """Each cube's floor as a bar, and beyond it the rates of the codecs; see `above_floor`."""
    codecs = [name for name in above.columns if name != "floor"]
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.17 * len(above)))
        axes = figure.subplots()
        places = np.arange(len(above))
        axes.barh(places, above["floor"], color="0.8", height=0.7, label="noise floor")
        for number, codec in enumerate(codecs):
            look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
            axes.plot(above["floor"] + above[codec], places, linestyle="", markersize=4, label=codec, **look)
        axes.set_yticks(places, above.index)
        axes.set_ylim(len(above) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel("bits per sample")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(codecs) + 1)
    return figure
