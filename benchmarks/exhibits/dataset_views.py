"""What a dataset looks like, in numbers: colour, spectra, noise, stripes, values, nodata, correlation, splits.

Each function reduces one cube (bands, rows, columns) to a small table or array; `dataset_figures` draws them.  None
knows sensors, except for `COLOUR_BANDS`.  Noise by differences of neighbours in homogeneous blocks follows Gao (1993),
"An operational method for estimating signal to noise ratios from data acquired with imaging spectrometers", with
differences instead of residuals of a regression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lhic.data import hyspecnet
from lhic.errors import DatasetError, UsageError

COLOUR_NM = (640.0, 550.0, 470.0)
# Bands near these wavelengths where files carry none: the 202 bands of HySpecNet-11k, AVIRIS with 189 to 224 bands.
COLOUR_BANDS = {"EnMAP": (42, 27, 9), "AVIRIS": (28, 18, 10)}
BLOCK = 8  # pixels; small enough to be homogeneous somewhere, large enough for a standard deviation
QUIET_SHARE = 0.2  # of the blocks, those with the smallest differences, are taken as homogeneous
SMOOTH = 9  # columns; stripes are narrower than this
SLOPES = tuple(np.arange(-10, 11) / 20)  # columns by which rectification may have moved a stripe per row
STANDS_OUT = 1.5  # times the median over slopes; without stripes, all slopes are much alike
MAX_PIXELS = 4096  # for correlations: their standard error is then below 0.016


def colour_bands(n_bands: int, sensor: str, metadata: dict) -> tuple[int, int, int]:
    """Bands for red, green and blue: by wavelength where the file says it, by sensor, else spread over the cube."""
    if "wavelengths" in metadata:
        return tuple(int(np.abs(np.subtract(metadata["wavelengths"], nm)).argmin()) for nm in COLOUR_NM)
    if sensor in COLOUR_BANDS and n_bands > 100:
        return COLOUR_BANDS[sensor]
    return tuple(int(share * (n_bands - 1)) for share in (0.6, 0.4, 0.2))


def true_colour(cube: np.ndarray, bands: Sequence[int], nodata: int | None = None) -> np.ndarray:
    """Three bands as a picture, each stretched between its 2 % and 98 % quantile; nodata is black.

    Returns
    -------
    float array (H, W, 3), 0..1

    Raises
    ------
    UsageError
        A band the cube does not have.
    """
    if len(bands) != 3 or not all(0 <= band < len(cube) for band in bands):
        raise UsageError(f"colour_bands: expected three of 0..{len(cube) - 1}, found {list(bands)}")
    picture = np.zeros((*cube.shape[1:], 3))
    for channel, band in enumerate(bands):
        valid = is_valid(cube[band], nodata)
        if valid.any():
            low, high = np.percentile(cube[band][valid], (2, 98))
            stretched = (cube[band] - low) / max(high - low, 1.0)
            picture[..., channel] = np.where(valid, np.clip(stretched, 0, 1), 0)
    return picture


def is_valid(samples: np.ndarray, nodata: int | None) -> np.ndarray:
    """Where there are data: bool array of the same shape."""
    return np.ones(samples.shape, bool) if nodata is None else samples != nodata


def band_statistics(cube: np.ndarray, nodata: int | None = None) -> pd.DataFrame:
    """One line a band; NaN where a band holds no data.

    Returns
    -------
    DataFrame with the columns nodata (share of samples); p05, median, p95, mean and spread (standard deviation) of
    the valid samples; noise (`noise_of`); stripes (`stripes_of`, along `stripe_slope`)
    """
    lines, slope = [], stripe_slope(cube, nodata)
    for band in cube:
        valid = is_valid(band, nodata)
        line = {"nodata": 1 - valid.mean(), "noise": noise_of(band, valid), "stripes": stripes_of(band, valid, slope)}
        if valid.any():
            samples = band[valid].astype(float)
            line |= dict(zip(("p05", "median", "p95"), np.percentile(samples, (5, 50, 95))))
            line |= {"mean": samples.mean(), "spread": samples.std()}
        lines.append(line)
    columns = ["nodata", "p05", "median", "p95", "mean", "spread", "noise", "stripes"]
    return pd.DataFrame(lines, columns=columns).rename_axis("band")


def noise_of(band: np.ndarray, valid: np.ndarray) -> float:
    """Standard deviation of the noise of a band, in sample units.

    That of the differences of horizontal neighbours, by sqrt(2), in the most homogeneous blocks.  Texture makes it too
    large; noise that resampling has correlated makes it too small.
    """
    difference = np.diff(band.astype(float), axis=1)
    pairs = valid[:, 1:] & valid[:, :-1]
    deviations = []
    for row in range(0, difference.shape[0], BLOCK):
        for column in range(0, difference.shape[1], BLOCK):
            window = np.s_[row : row + BLOCK, column : column + BLOCK]
            if pairs[window].sum() >= BLOCK:  # fewer say nothing
                deviations.append(difference[window][pairs[window]].std())
    if not deviations:
        return np.nan
    n_quiet = max(1, round(QUIET_SHARE * len(deviations)))
    return float(np.mean(np.sort(deviations)[:n_quiet]) / np.sqrt(2))


def stripes_of(band: np.ndarray, valid: np.ndarray, slope: float = 0.0) -> float:
    """Standard deviation of the means along lines ``column + slope * row``, without their smooth part over lines.

    In sample units. NaN if there are too few lines; those with data in less than half of the rows are left out.
    """
    n_rows, n_columns = band.shape
    line = np.rint(np.arange(n_columns) + slope * np.arange(n_rows)[:, None]).astype(np.intp)  # (H, W)
    line -= line.min()
    counts = np.bincount(line[valid])
    sums = np.bincount(line[valid], band[valid].astype(float))
    full = counts >= n_rows / 2
    if full.sum() <= SMOOTH:
        return np.nan
    means = sums[full] / counts[full]
    smooth = np.convolve(means, np.full(SMOOTH, 1 / SMOOTH), "valid")
    return float((means[SMOOTH // 2 : SMOOTH // 2 + len(smooth)] - smooth).std())


def stripe_slope(cube: np.ndarray, nodata: int | None = None) -> float:
    """Slope of `SLOPES` along which a cube's stripes stand out, 0 if they do along none.

    Median over some bands of the stripes along a slope by those along the median slope: stripes of the detector have
    the same slope in all bands, edges of the scene do not come one beside the other.
    """
    bands = cube[:: max(1, len(cube) // 16)]
    found = np.array([[stripes_of(band, is_valid(band, nodata), slope) for slope in SLOPES] for band in bands])
    found = found[np.isfinite(found).all(axis=1) & (found > 0).any(axis=1)]
    if not len(found):
        return 0.0
    strength = np.median(found / np.maximum(np.median(found, axis=1, keepdims=True), 1e-9), axis=0)
    return float(SLOPES[strength.argmax()]) if strength.max() > STANDS_OUT else 0.0


def value_summary(cube: np.ndarray, nodata: int | None = None) -> dict[str, float]:
    """Shares of a cube's samples that matter to a codec.

    Returns
    -------
    dict: minimum, maximum (valid samples); nodata, negative, zero, zero after clipping, above 10000 (shares of all
    samples, clipping is to [0, 10000]); distinct values; levels used (distinct values by the length of the range)
    """
    valid = cube[is_valid(cube, nodata)]
    values, counts = np.unique(valid, return_counts=True)
    low, high = hyspecnet.CLIP_RANGE
    n_nodata = cube.size - valid.size
    share = {
        "nodata": n_nodata,
        "negative": counts[values < 0].sum(),
        "zero": counts[values == 0].sum(),
        # As a pipeline that clips sees it: nodata below the range become zeros, too.
        "zero after clipping": counts[values <= low].sum() + (n_nodata if nodata is not None and nodata <= low else 0),
        f"above {high}": counts[values > high].sum(),
    }
    extent = {"minimum": int(values[0]), "maximum": int(values[-1])} if len(values) else {}
    levels = {"distinct values": len(values)}
    if len(values):
        levels["levels used"] = len(values) / (int(values[-1]) - int(values[0]) + 1)
    return extent | {name: float(count) / cube.size for name, count in share.items()} | levels


def value_histogram(cube: np.ndarray, nodata: int | None = None, n_bins: int = 120) -> pd.DataFrame:
    """Counts of the valid samples before and after clipping to [0, 10000], in bins of one width.

    Bins begin at multiples of their width, which is an integer, so that no two have unequally many possible values.

    Returns
    -------
    DataFrame with the columns low (first value of the bin), as measured, clipped
    """
    valid = cube[is_valid(cube, nodata)].astype(np.int64)
    if not valid.size:
        return pd.DataFrame(columns=["low", "as measured", "clipped"])
    width = max(1, -(-(int(valid.max()) - int(valid.min()) + 1) // n_bins))
    clipped = np.clip(valid, *hyspecnet.CLIP_RANGE)
    first = min(int(valid.min()), int(clipped.min())) // width
    counts = [np.bincount(samples // width - first) for samples in (valid, clipped)]
    n_used = max(map(len, counts))
    before, after = (np.pad(count, (0, n_used - len(count))) for count in counts)
    return pd.DataFrame({"low": (first + np.arange(n_used)) * width, "as measured": before, "clipped": after})


def band_correlation(cube: np.ndarray, nodata: int | None = None, seed: int = 0) -> np.ndarray:
    """Correlation of each band with each other over (at most `MAX_PIXELS` random) pixels.

    Pixels with nodata in bands that have data elsewhere are left out.

    Returns
    -------
    float array (S, S), -1..1, NaN for constant and empty bands
    """
    valid = is_valid(cube, nodata)
    usable = valid[valid.any(axis=(1, 2))].all(axis=0).ravel()
    pixels = cube.reshape(len(cube), -1)[:, usable].astype(float)
    if pixels.shape[1] > MAX_PIXELS:
        pixels = pixels[:, np.random.default_rng(seed).choice(pixels.shape[1], MAX_PIXELS, replace=False)]
    if pixels.shape[1] < 2:
        return np.full((len(cube), len(cube)), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.atleast_2d(np.corrcoef(pixels))
    constant = np.ptp(pixels, axis=1) == 0
    found[constant], found[:, constant] = np.nan, np.nan
    return found


def neighbour_correlation(correlation: np.ndarray) -> np.ndarray:
    """Correlation of each band with the one before, (S - 1,)."""
    return np.diagonal(correlation, offset=1)


def split_checks(kind: str, root) -> pd.DataFrame:
    """What is known of HySpecNet-11k's splits, compared with a folder; nothing is raised.

    Returns
    -------
    DataFrame of text with the columns check, expected, found, verdict: holds, differs, or why it cannot be made
    """
    reason = {"hyspecnet-11k": "", "bundled": "only the bundled patch is here"}.get(
        kind, f"{kind} has no official split"
    )
    patches = _try(hyspecnet.find_patches, root) if not reason else reason
    parts = {
        f"{difficulty}/{part}": _try(hyspecnet.read_split, root, f"{difficulty}/{part}") if not reason else reason
        for difficulty, names in hyspecnet.SPLIT_SIZES.items()
        for part in names
    }
    lines = [
        _line("patches", hyspecnet.N_PATCHES, patches, len),
        _line("tiles", hyspecnet.N_TILES, patches, _n_tiles),
    ]
    for name, patches_of in parts.items():
        difficulty, _, part = name.partition("/")
        if difficulty in hyspecnet.SPLIT_TILES:
            lines.append(_line(f"{name}: tiles", hyspecnet.SPLIT_TILES[difficulty][part], patches_of, _n_tiles))
        else:
            lines.append(_line(f"{name}: patches", hyspecnet.SPLIT_SIZES[difficulty][part], patches_of, len))
    for difficulty, key in (("easy", lambda patch: patch.name), ("hard", lambda patch: patch.tile)):
        unit = "patches" if difficulty == "easy" else "tiles"
        three = [found for name, found in parts.items() if name.startswith(difficulty)]
        problem = next((found for found in three if isinstance(found, str)), None)
        shared = problem or [[key(patch) for patch in found] for found in three]
        lines.append(_line(f"{difficulty}: {unit} in more than one part", 0, shared, _n_shared))
    return pd.DataFrame(lines)


def _try(read: Callable, *arguments):
    try:
        return read(*arguments)
    except DatasetError as error:
        return str(error)


def _line(check: str, expected: int, found: list | str, count: Callable[[list], int]) -> dict:
    if isinstance(found, str):
        return {"check": check, "expected": str(expected), "found": "–", "verdict": f"cannot be made: {found}"}
    n_found = count(found)
    verdict = "holds" if n_found == expected else "differs"
    return {"check": check, "expected": str(expected), "found": str(n_found), "verdict": verdict}


def _n_tiles(patches: list[hyspecnet.Patch]) -> int:
    return len({patch.tile for patch in patches})


def _n_shared(parts: list[list[str]]) -> int:
    sets = [set(part) for part in parts]
    return sum(map(len, sets)) - len(set().union(*sets))
