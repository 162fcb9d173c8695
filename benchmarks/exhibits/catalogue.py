"""Tables and figures with their captions: what notebooks show and the report collects.

Decides the caption of each, which always says how many cubes are behind it, and its file name.  How it is computed is
known to `tables`, `statistics` and `figures`; every function here is one of theirs with a caption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import cost, figures, seen, statistics, tables

INTERVALS = (
    f"Bounds: 95 % bootstrap interval over cubes, patches of one HySpecNet-11k tile drawn together; none for fewer "
    f"than {statistics.MIN_CLUSTERS} cubes or tiles."
)
TEST_SPLIT = "hard/test"


@dataclass(frozen=True)
class Exhibit:
    """One table or figure.

    name : of its files, without suffix
    body : what is shown
    caption : what it shows, of how many cubes
    code : function that computed it from rows
    """

    name: str
    body: pd.DataFrame | figures.Figure
    caption: str
    code: str

    @property
    def is_table(self) -> bool:
        return isinstance(self.body, pd.DataFrame)

    def write(self, folder: Path) -> list[Path]:
        """Write the files of the exhibit below a results folder."""
        if self.is_table:
            return tables.write_table(self.body, folder / "tables", self.name, self.caption)
        return figures.save_figure(self.body, folder / "figures", self.name, self.caption)


def _exhibit(name: str, function: Callable, *arguments, caption: str) -> Exhibit:
    return Exhibit(name, function(*arguments), caption, f"{function.__module__}.{function.__name__}")


def rate_table(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate, speed and memory of every codec."""
    what = "Bits per sample, all bytes counted: mean over" if rows["cube"].nunique() > 1 else "Mean over"
    return _exhibit(name, tables.rate_table, rows, caption=tables.caption(rows, what))


def unseen_table(rows: pd.DataFrame, name: str = "bitrate_unseen") -> Exhibit:
    """The same on those cubes alone that no codec has seen in training."""
    kept = seen.unseen_only(rows)
    what = "Only cubes that no codec of the table has seen in training; mean over"
    return _exhibit(name, tables.rate_table, kept, caption=tables.caption(kept, what))


def error_table(rows: pd.DataFrame, name: str = "errors") -> Exhibit:
    """Measurements without a result."""
    n_failed = (rows["error"] != "").sum()
    text = f"{n_failed} of {len(rows)} measurements of {tables.cubes(rows)} have no result."
    return _exhibit(name, tables.error_table, rows, caption=text)


def rate_figure(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate of every codec."""
    what = "Mean bits per sample of every codec that coded all cubes (small dots: the cubes);"
    return _exhibit(name, figures.rate_figure, rows, caption=tables.caption(rows, what))


def rate_speed_figure(rows: pd.DataFrame, name: str = "rate_speed") -> Exhibit:
    """Rate against speed.  Rows of one form."""
    what = (
        "Rate against speed; filled: one thread, hollow: all cores. The line joins codecs that no other beats in both "
        "(bold in the key). Mean over"
    )
    return _exhibit(name, figures.rate_speed_figure, rows, caption=tables.caption(rows, what))


def group_table(rows: pd.DataFrame, column: str) -> Exhibit:
    """Rate by sensor, cube or tile."""
    what = f"Mean bits per sample by {column}, number of cubes in brackets;"
    return _exhibit(f"by_{column}", tables.group_table, rows, column, caption=tables.caption(rows, what))


def group_figure(rows: pd.DataFrame, column: str, reference: str) -> Exhibit:
    """Change of rate against a reference by sensor, cube or tile."""
    text = tables.caption(rows, f"Mean change of rate against {reference} by {column}, number of cubes in brackets;")
    return _exhibit(f"by_{column}", figures.group_figure, rows, column, reference, caption=text)


def paired_table(rows: pd.DataFrame, reference: str, by: str | None = None, name: str = "paired") -> Exhibit:
    """Paired differences to a reference with intervals, over all cubes or by sensor or tile (added to the name)."""
    breakdown = f", by {by}" if by else ""
    what = f"Differences to {reference} cube by cube{breakdown}; of ties, half count as smaller. {INTERVALS} Over"
    name = f"{name}_by_{by}" if by else name
    found = _exhibit(name, statistics.paired_table, rows, reference, by, caption=tables.caption(rows, what))
    marked = found.body["codec"].map(tables.marked(rows))
    return replace(found, body=found.body.assign(codec=marked).astype({"cubes": str, "clusters": str}))


def paired_figure(rows: pd.DataFrame, reference: str, name: str = "paired") -> Exhibit:
    """Paired change of rate with intervals.  Rows of one form."""
    what = f"Change of rate against {reference}, mean of the cubes (dark dots). {INTERVALS} Over"
    return _exhibit(name, figures.paired_figure, rows, reference, caption=tables.caption(rows, what))


def win_table(rows: pd.DataFrame, name: str = "wins", n_codecs: int = 10) -> Exhibit:
    """Which codec is smaller on how many cubes, of the best few.  Rows of one form."""
    best = tables.complete_means(rows).index[:n_codecs]
    what = f"Percentage of cubes on which the codec of the line beats that of the column, the {len(best)} best; over"
    chosen = rows[tables.label(rows).isin(best)]
    found = _exhibit(name, statistics.win_table, chosen, caption=tables.caption(rows, what))
    return replace(found, body=found.body.rename(columns={codec: f"{codec} %" for codec in best}))


def gain_table(
    rows: pd.DataFrame, pairs: Sequence[Sequence[str]], water_cubes: Sequence[str], name: str = "spectral_gain"
) -> Exhibit:
    """What the previous bands are worth, pair by pair of codecs without and with them.

    Parameters
    ----------
    pairs : (without, with) codec names
    water_cubes : parts of the names of cubes that show mostly water; the others are called land
    """
    cubes = rows["cube"].unique()
    ground = pd.Series({cube: "water" if any(part in cube for part in water_cubes) else "land" for cube in cubes})
    compared = rows[rows["codec"].isin({codec for pair in pairs for codec in pair})]
    text = tables.caption(compared, "What spectral prediction saves, cube by cube;")
    return _exhibit(name, tables.gain_table, rows, [tuple(pair) for pair in pairs], ground, caption=text)


def gain_figure(gains: Exhibit) -> Exhibit:
    """The same as a figure."""
    return _exhibit(gains.name, figures.gain_figure, gains.body, caption=gains.caption)


def cost_table(rows: pd.DataFrame, split: str = TEST_SPLIT, name: str = "cost") -> Exhibit:
    """Hours and gigabytes of a HySpecNet-11k split, from EnMAP cubes where there are any.  Rows of one form."""
    measured = rows[rows["sensor"] == "EnMAP"] if rows["sensor"].eq("EnMAP").any() else rows
    n_cubes = cost.n_patches(split)
    text = cost.caption(measured, f"HySpecNet-11k {split}", n_cubes)
    found = _exhibit(name, cost.cost_table, measured, n_cubes * cost.SAMPLES_OF_A_PATCH, caption=text)
    return replace(found, body=found.body.dropna(axis=1, how="all"))
