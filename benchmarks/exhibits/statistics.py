"""How sure a difference between two codecs is: paired by cube, with intervals that respect tiles.

Both codecs code the same cubes, so only their differences cube by cube are looked at; the spread of the cubes
themselves drops out.  Patches of one HySpecNet-11k tile show the same scene and are not independent: whole tiles are
drawn, with their patches (cluster bootstrap).  Cubes whose tile is not known count as independent.  Crops of one scene
under unrelated names are therefore taken for more than they are.

The interval is the expanded percentile one of T. Hesterberg, "What teachers should know about the bootstrap",
The American Statistician 69 (2015).  For five normal values it covers their mean in 94 % of all cases, where the
plain percentile interval and the bias-corrected and accelerated one cover it in 84 %; for five very skewed ones
(log-normal) in 81 % and 75 %.  It knows nothing of multiple comparisons: of twenty intervals, one is expected to miss.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.exhibits.tables import good, label
from lhic.data.hyspecnet import tile_of
from lhic.errors import DatasetError

MIN_CLUSTERS = 5  # fewer say next to nothing about the spread of their mean
N_RESAMPLES = 10_000
SEED = 0
CONFIDENCE = 0.95


def tile(cube: str) -> str:
    """HySpecNet-11k tile that a cube was cut from: data take and number; ``""`` when the name is not that of a patch.

    >>> tile("ENMAP01-____L2A-DT0000004950_20221103T162438Z_001_V010110_20221118T145147Z-Y01460273_X04390566")
    'DT4950/001'
    >>> tile("samson")
    ''
    """
    try:
        name = tile_of(cube)
    except DatasetError:
        return ""
    found = re.search(r"DT0*(\d+)_\d+T\d+Z_(\d+)_", name)
    return f"DT{found[1]}/{found[2]}" if found else name


def short_name(cube: str, sensor: str) -> str:
    """A cube's sensor and what tells it apart from the sensor's others.

    >>> patch = "ENMAP01-____L2A-DT0000004950_20221103T162438Z_001_V010110_20221118T145147Z-Y01460273_X04390566"
    >>> short_name(patch, "EnMAP")
    'EnMAP DT4950/001 Y146 X439'
    >>> short_name("aviris_jasper224", "AVIRIS"), short_name("samson", "SAMSON")
    ('AVIRIS jasper224', 'SAMSON')
    """
    place = re.search(r"-Y0*(\d+?)\d{4}_X0*(\d+?)\d{4}$", cube)  # first and last row, first and last column
    if tile(cube) and place:
        return f"{sensor} {tile(cube)} Y{place[1]} X{place[2]}"
    return f"{sensor} {re.sub(f'^{re.escape(sensor)}_?', '', cube, flags=re.IGNORECASE)}".strip()


def interval(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of values that come in clusters.

    Parameters
    ----------
    values : float array (n,)
    clusters : array (n,), which values belong together

    Returns
    -------
    (low, high), in the unit of the values; (nan, nan) for fewer than `MIN_CLUSTERS` clusters.
    """
    _, index = np.unique(clusters, return_inverse=True)
    n_clusters = int(index.max(initial=-1)) + 1
    if n_clusters < MIN_CLUSTERS:
        return math.nan, math.nan
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, n_clusters - 1)
    tail = stats.norm.cdf(-math.sqrt(n_clusters / (n_clusters - 1)) * quantile)
    return ratio_interval(np.bincount(index, values), np.bincount(index), 1 - 2 * tail)


def ratio_interval(above: np.ndarray, below: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Bootstrap percentile interval of ``above.sum() / below.sum()`` over pairs (n,) that are drawn together."""
    found = stats.bootstrap(
        (above, below),
        lambda above, below, axis: above.sum(axis) / below.sum(axis),
        paired=True,
        n_resamples=N_RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return tuple(map(float, found.confidence_interval))


def differences(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Rates of every codec beside those of a reference codec, on the cubes that both coded.

    Returns
    -------
    DataFrame with the columns form, codec, cube, sensor, tile, bps, reference bps, difference bps (negative: the
    codec is smaller) and change % (100 * (bps / reference bps - 1)).

    Raises
    ------
    DatasetError
        The reference has no result.
    """
    rows = good(rows)
    rows = rows.assign(codec=label(rows), tile=rows["cube"].map(tile))
    base = rows[rows["codec"] == reference].set_index(["dataset", "form", "cube"])["bps"].rename("reference bps")
    if base.empty:
        raise DatasetError(
            f"reference {reference!r}: expected rows of it, found those of {', '.join(sorted(set(rows['codec'])))}"
        )
    pairs = rows[rows["codec"] != reference].join(base, on=["dataset", "form", "cube"], how="inner")
    pairs = pairs.assign(
        **{
            "difference bps": pairs["bps"] - pairs["reference bps"],
            "change %": 100 * (pairs["bps"] / pairs["reference bps"] - 1),
        }
    )
    columns = ["form", "codec", "cube", "sensor", "tile", "bps", "reference bps", "difference bps", "change %"]
    return pairs[columns].reset_index(drop=True)


def paired_table(rows: pd.DataFrame, reference: str, by: str | None = None) -> pd.DataFrame:
    """Mean paired differences to a reference codec with their 95 % intervals, and how often a codec is smaller.

    Parameters
    ----------
    reference : name of the codec that others are compared with
    by : ``sensor`` or ``tile``: one line for each of its values instead of one for all cubes

    Returns
    -------
    DataFrame with the columns form; the one named by `by`; codec; cubes; clusters (tiles, and cubes of unknown
    tile); difference bps, low bps, high bps; change %, low %, high % (mean of the relative differences); smaller
    on % (of the cubes; ties count half).  Bounds are not a number for fewer than `MIN_CLUSTERS` clusters.
    Smallest change first.
    """
    pairs = differences(rows, reference)
    keys = ["form", *([by] if by else []), "codec"]
    lines = [dict(zip(keys, group)) | _summary(found) for group, found in pairs.groupby(keys, sort=True)]
    table = pd.DataFrame(lines, columns=[*keys, *SUMMARY_COLUMNS])
    return table.sort_values([*keys[:-1], "change %"], kind="stable").reset_index(drop=True)


SUMMARY_COLUMNS = (
    *("cubes", "clusters", "difference bps", "low bps", "high bps", "change %", "low %", "high %", "smaller on %"),
)


def _summary(pairs: pd.DataFrame) -> dict:
    clusters = pairs["tile"].where(pairs["tile"] != "", pairs["cube"]).to_numpy(str)
    line: dict = {"cubes": len(pairs), "clusters": len(set(clusters))}
    for column, unit in (("difference bps", "bps"), ("change %", "%")):
        values = pairs[column].to_numpy(float)
        low, high = interval(values, clusters)
        line |= {column: values.mean(), f"low {unit}": low, f"high {unit}": high}
    smaller, equal = pairs["difference bps"] < 0, pairs["difference bps"] == 0
    return line | {"smaller on %": 100 * (smaller.mean() + equal.mean() / 2)}


def win_table(rows: pd.DataFrame) -> pd.DataFrame:
    """On how many percent of the cubes the codec of a line is smaller than that of a column; ties count half.

    `rows` are of one form.  Only codecs that coded every cube; the one with the smallest mean rate first.
    """
    rows = good(rows)
    rates = rows.assign(codec=label(rows)).pivot_table(index="cube", columns="codec", values="bps", aggfunc="last")
    rates = rates.dropna(axis=1)
    rates = rates[rates.mean().sort_values(kind="stable").index]
    smaller = {name: (rates.lt(rates[name], axis=0) + rates.eq(rates[name], axis=0) / 2).mean() for name in rates}
    table = 100 * pd.DataFrame(smaller, index=rates.columns)
    for name in table:
        table.loc[name, name] = np.nan
    return table.rename_axis("codec").reset_index()
