"""What a codec costs on a whole dataset, extrapolated from the rows of a part of it.

Decides how seconds and bytes of measured cubes become hours and gigabytes of all; a plain proportion by samples,
with the uncertainty that so few cubes leave.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.exhibits.statistics import MIN_CLUSTERS, ratio_interval, tile
from benchmarks.exhibits.tables import MISSING, good, label
from lhic.data import hyspecnet

MIN_CUBES = 20  # fewer say next to nothing about a dataset
SAMPLES_OF_A_PATCH = len(hyspecnet.KEPT_BANDS) * hyspecnet.PATCH_SIZE**2


def n_patches(split: str | None) -> int:
    """Patches of a HySpecNet-11k split as published; None is the whole dataset.

    The parts of the hard split are counted in tiles, so theirs is the mean number of patches of a tile times tiles:
    within a few percent, where the length of the split file is exact.

    >>> n_patches("easy/test"), n_patches("hard/test"), n_patches(None)
    (1149, 1148, 11483)
    """
    if split is None:
        return hyspecnet.N_PATCHES
    difficulty, _, part = split.partition("/")
    exact = hyspecnet.SPLIT_SIZES[difficulty][part]
    return exact or round(hyspecnet.SPLIT_TILES[difficulty][part] * hyspecnet.N_PATCHES / hyspecnet.N_TILES)


def why_not(rows: pd.DataFrame, n_cubes: int) -> str:
    """Why rows say nothing of a dataset of so many cubes; ``""`` when they do."""
    measured = good(rows)["cube"].nunique()
    if measured >= n_cubes:
        return f"all {n_cubes} cubes are measured" if n_cubes > 1 else "the only cube is measured"
    if measured < MIN_CUBES:
        return f"expected at least {MIN_CUBES} cubes to speak for {n_cubes}, found {measured} measured"
    return ""


def cost_table(rows: pd.DataFrame, n_samples: int) -> pd.DataFrame:
    """Cost of coding `n_samples` samples with each codec, at the speed and rate of its rows.

    Parameters
    ----------
    rows : result rows; those with an error are left out
    n_samples : of the whole dataset, such as ``n_patches("hard/test") * SAMPLES_OF_A_PATCH``

    Returns
    -------
    DataFrame with a line per codec, cheapest first: codec; cubes (measured); threads (one, or the number of
    cores); encode h, decode h; h ± % (half the 95 % bootstrap interval of their sum); measure h (worker hours of
    repeating such rows for every cube, empty where rows do not say); streams GB (10^9 bytes); GB ± %; workers (largest
    number of measurements that ran beside each other).  Intervals are over cubes, patches of one HySpecNet-11k tile
    drawn together; empty for fewer than `statistics.MIN_CLUSTERS` cubes or tiles.
    """
    lines = [_line(name, of_codec, n_samples) for name, of_codec in good(rows).groupby(label(good(rows)), sort=False)]
    table = pd.DataFrame(lines)
    order = (table["encode h"] + table["decode h"]).sort_values(kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _line(name: str, rows: pd.DataFrame, n_samples: int) -> dict:
    one_thread = rows["encode_s"].notna().all()
    suffix = "_s" if one_thread else "_all_s"
    scale = n_samples / rows["n_samples"].sum()
    encode_s, decode_s = rows[f"encode{suffix}"], rows[f"decode{suffix}"]
    return {
        "codec": name,
        "cubes": str(rows["cube"].nunique()),
        "threads": "one" if one_thread else f"{rows['cores'].max():.0f}",
        "encode h": encode_s.sum() * scale / 3600,
        "decode h": decode_s.sum() * scale / 3600,
        "h ± %": _half_interval(encode_s + decode_s, rows),
        "measure h": rows["item_s"].sum(skipna=False) * scale / 3600,
        "streams GB": rows["bytes"].sum() * scale / 1e9,
        "GB ± %": _half_interval(rows["bytes"], rows),
        "workers": MISSING if rows["workers"].isna().any() else f"{rows['workers'].max():.0f}",
    }


def _half_interval(values: pd.Series, rows: pd.DataFrame) -> float:
    """Half the 95 % bootstrap interval of values per sample, in percent of them; tiles are drawn as a whole."""
    clusters = rows["cube"].map(lambda cube: tile(cube) or cube)
    sums = pd.DataFrame({"values": values, "samples": rows["n_samples"]}).groupby(clusters).sum()
    if len(sums) < MIN_CLUSTERS:
        return np.nan
    low, high = ratio_interval(sums["values"].to_numpy(float), sums["samples"].to_numpy(float))
    return 100 * (high - low) / 2 / (sums["values"].sum() / sums["samples"].sum())


def caption(rows: pd.DataFrame, what: str, n_cubes: int) -> str:
    """Sentence that says what was extrapolated, and from how many cubes."""
    plural = "" if n_cubes == 1 else "s"
    return (
        f"Hours of one worker and bytes for {n_cubes} cube{plural} ({what}), extrapolated by samples from "
        f"{good(rows)['cube'].nunique()} measured."
    )
