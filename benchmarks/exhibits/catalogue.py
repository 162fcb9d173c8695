"""Tables and figures with their captions: what notebooks show and the report collects.

Decides the caption of each, which always says how many cubes are behind it, and its file name.  How it is computed is
known to `tables`, `statistics` and `figures`; every function here is one of theirs with a caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def rate_table(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate, speed and memory of every codec."""
    what = "Bits per sample, all bytes counted: mean over" if rows["cube"].nunique() > 1 else "Mean over"
    return Exhibit(name, tables.rate_table(rows), tables.caption(rows, what), "benchmarks.exhibits.tables.rate_table")


def unseen_table(rows: pd.DataFrame, name: str = "bitrate_unseen") -> Exhibit:
    """The same on those cubes alone that no codec has seen in training."""
    kept = seen.unseen_only(rows)
    text = tables.caption(kept, "Only cubes that no codec of the table has seen in training; mean over")
    return Exhibit(
        name,
        tables.rate_table(kept),
        text,
        "benchmarks.exhibits.seen.unseen_only, benchmarks.exhibits.tables.rate_table",
    )


def error_table(rows: pd.DataFrame, name: str = "errors") -> Exhibit:
    """Measurements without a result."""
    failed = tables.error_table(rows)
    text = f"{len(failed)} of {len(rows)} measurements of {tables.cubes(rows)} have no result."
    return Exhibit(name, failed, text, "benchmarks.exhibits.tables.error_table")


def rate_figure(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate of every codec."""
    text = tables.caption(rows, "Mean bits per sample of every codec that coded all cubes (small dots: the cubes);")
    return Exhibit(name, figures.rate_figure(rows), text, "benchmarks.exhibits.figures.rate_figure")


def rate_speed_figure(rows: pd.DataFrame, name: str = "rate_speed") -> Exhibit:
    """Rate against speed.  Rows of one form."""
    what = (
        "Rate against speed; filled: one thread, hollow: all cores. The line joins codecs that no other beats in both "
        "(bold in the key). Mean over"
    )
    return Exhibit(
        name,
        figures.rate_speed_figure(rows),
        tables.caption(rows, what),
        "benchmarks.exhibits.figures.rate_speed_figure",
    )


def group_table(rows: pd.DataFrame, column: str) -> Exhibit:
    """Rate by sensor, cube or tile."""
    text = tables.caption(rows, f"Mean bits per sample by {column}, number of cubes in brackets;")
    return Exhibit(f"by_{column}", tables.group_table(rows, column), text, "benchmarks.exhibits.tables.group_table")


def group_figure(rows: pd.DataFrame, column: str, reference: str) -> Exhibit:
    """Change of rate against a reference by sensor, cube or tile."""
    what = f"Mean change of rate against {reference} by {column}, number of cubes in brackets;"
    figure = figures.group_figure(rows, column, reference)
    return Exhibit(f"by_{column}", figure, tables.caption(rows, what), "benchmarks.exhibits.figures.group_figure")


def paired_table(rows: pd.DataFrame, reference: str, by: str | None = None, name: str = "paired") -> Exhibit:
    """Paired differences to a reference with intervals, over all cubes or by sensor or tile (added to the name)."""
    table = statistics.paired_table(rows, reference, by)
    marks = seen.marks(rows, tables.label(rows))
    marked = table["codec"].map(lambda codec: f"{codec} {marks.get(codec, '')}".strip())
    table = table.assign(codec=marked, cubes=table["cubes"].astype(str), clusters=table["clusters"].astype(str))
    breakdown = f", by {by}" if by else ""
    text = tables.caption(
        rows, f"Differences to {reference} cube by cube{breakdown}; of ties, half count as smaller. {INTERVALS} Over"
    )
    return Exhibit(f"{name}_by_{by}" if by else name, table, text, "benchmarks.exhibits.statistics.paired_table")


def paired_figure(rows: pd.DataFrame, reference: str, name: str = "paired") -> Exhibit:
    """Paired change of rate with intervals.  Rows of one form."""
    what = f"Change of rate against {reference}, mean of the cubes (dark dots). {INTERVALS} Over"
    figure = figures.paired_figure(rows, reference)
    return Exhibit(name, figure, tables.caption(rows, what), "benchmarks.exhibits.figures.paired_figure")


def win_table(rows: pd.DataFrame, name: str = "wins", n_codecs: int = 10) -> Exhibit:
    """Which codec is smaller on how many cubes, of the best few.  Rows of one form."""
    best = tables.complete_means(rows).index[:n_codecs]
    table = statistics.win_table(rows[tables.label(rows).isin(best)])
    table.columns = [column if column == "codec" else f"{column} %" for column in table.columns]
    what = f"Percentage of cubes on which the codec of the line beats that of the column, the {len(table)} best; over"
    return Exhibit(name, table, tables.caption(rows, what), "benchmarks.exhibits.statistics.win_table")


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
    table = tables.gain_table(rows, [tuple(pair) for pair in pairs], ground)
    compared = rows[rows["codec"].isin({codec for pair in pairs for codec in pair})]
    text = tables.caption(compared, "What spectral prediction saves, cube by cube;")
    return Exhibit(name, table, text, "benchmarks.exhibits.tables.gain_table")


def gain_figure(gains: Exhibit) -> Exhibit:
    """The same as a figure."""
    figure = figures.gain_figure(gains.body)
    return Exhibit(gains.name, figure, gains.caption, "benchmarks.exhibits.figures.gain_figure")


def cost_table(rows: pd.DataFrame, split: str = TEST_SPLIT, name: str = "cost") -> Exhibit:
    """Hours and gigabytes of a HySpecNet-11k split, from EnMAP cubes where there are any.  Rows of one form."""
    measured = rows[rows["sensor"] == "EnMAP"] if rows["sensor"].eq("EnMAP").any() else rows
    n_cubes = cost.n_patches(split)
    table = cost.cost_table(measured, n_cubes * cost.SAMPLES_OF_A_PATCH).dropna(axis=1, how="all")
    text = cost.caption(measured, f"HySpecNet-11k {split}", n_cubes)
    return Exhibit(name, table, text, "benchmarks.exhibits.cost.cost_table")
