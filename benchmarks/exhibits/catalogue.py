"""Tables and figures with their captions: what notebooks show and the report collects.

Decides the caption of each, which always says how many cubes are behind it, and its file name.  How it is computed is
known to `tables`, `statistics` and `figures`; every function here is one of theirs with a caption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import cost, figures, learned, seen, statistics, tables

INTERVALS = (
    f"Bounds: 95 % bootstrap interval over cubes, patches of one HySpecNet-11k tile drawn together; none for fewer "
    f"than {statistics.MIN_CLUSTERS} cubes or tiles."
)
TEST_SPLIT = "hard/test"
RATES = "Bits per sample, all bytes counted; mean of"


@dataclass(frozen=True)
class Exhibit:
    """One table or figure.

    name : of its files, without suffix
    body : what is shown
    caption : what it shows, of how many cubes
    code : function that computed it from rows
    notes : what readers must know and other exhibits say as well: machine, intervals, marks
    """

    name: str
    body: pd.DataFrame | figures.Figure
    caption: str
    code: str
    notes: tuple[str, ...] = ()

    @property
    def is_table(self) -> bool:
        return isinstance(self.body, pd.DataFrame)

    @property
    def full_caption(self) -> str:
        """Caption and notes, for where the exhibit stands alone."""
        return " ".join((self.caption, *self.notes))

    def write(self, folder: Path) -> list[Path]:
        """Write the files of the exhibit below a results folder."""
        if self.is_table:
            return tables.write_table(self.body, folder / "tables", self.name, self.full_caption)
        return figures.save_figure(self.body, folder / "figures", self.name, self.full_caption)


def _exhibit(name: str, function: Callable, *arguments, caption: str, notes: Sequence[str] = ()) -> Exhibit:
    code = f"{function.__module__}.{function.__name__}"
    return Exhibit(name, function(*arguments), caption, code, tuple(filter(None, notes)))


def _many(rows: pd.DataFrame) -> bool:
    return rows["cube"].nunique() > 1


def _intervals(rows: pd.DataFrame) -> str:
    """What bounds are; ``""`` where there are too few cubes for any."""
    return INTERVALS if rows["cube"].nunique() >= statistics.MIN_CLUSTERS else ""


def rate_table(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate, speed and memory of every codec."""
    notes = tables.machine_note(rows), tables.training_notes(rows)
    return _exhibit(name, tables.rate_table, rows, caption=tables.caption(rows, RATES), notes=notes)


def unseen_table(rows: pd.DataFrame, name: str = "bitrate_unseen") -> Exhibit:
    """The same on those cubes alone that no codec has seen in training."""
    kept = seen.unseen_only(rows)
    text = tables.caption(kept, "Only cubes that no codec of the table has seen in training:")
    return _exhibit(name, tables.rate_table, kept, caption=text, notes=[tables.machine_note(kept)])


def error_table(rows: pd.DataFrame, name: str = "errors") -> Exhibit:
    """Measurements without a result."""
    n_failed = (rows["error"] != "").sum()
    text = f"{n_failed} of {len(rows)} measurements of {tables.cubes(rows)} have no result."
    return _exhibit(name, tables.error_table, rows, caption=text)


def rate_figure(rows: pd.DataFrame, name: str = "bitrate") -> Exhibit:
    """Rate of every codec."""
    what = "Bits per sample of every codec: mean (small dots: the cubes) of" if _many(rows) else RATES
    notes = [tables.training_notes(rows)]
    return _exhibit(name, figures.rate_figure, rows, caption=tables.caption(rows, what), notes=notes)


def rate_speed_figure(rows: pd.DataFrame, name: str = "rate_speed") -> Exhibit:
    """Rate against speed.  Rows of one form."""
    what = "Rate against speed; filled: one thread, hollow: all cores; line: codecs that no other beats in both;"
    notes = tables.machine_note(rows), tables.training_notes(rows)
    return _exhibit(name, figures.rate_speed_figure, rows, caption=tables.caption(rows, what), notes=notes)


def group_table(rows: pd.DataFrame, column: str) -> Exhibit:
    """Rate by sensor, cube or tile."""
    text = tables.caption(rows, f"Mean bits per sample by {column}, number of cubes in brackets;")
    notes = [tables.training_notes(rows)]
    return _exhibit(f"by_{column}", tables.group_table, rows, column, caption=text, notes=notes)


def group_figure(rows: pd.DataFrame, column: str, reference: str) -> Exhibit:
    """Change of rate against a reference by sensor, cube or tile."""
    text = tables.caption(rows, f"Mean change of rate against {reference} by {column}, number of cubes in brackets;")
    notes = [tables.training_notes(rows)]
    return _exhibit(f"by_{column}", figures.group_figure, rows, column, reference, caption=text, notes=notes)


def paired_table(rows: pd.DataFrame, reference: str, by: str | None = None, name: str = "paired") -> Exhibit:
    """Paired differences to a reference with intervals, over all cubes or by sensor or tile (added to the name)."""
    breakdown = f", by {by}" if by else ""
    text = tables.caption(rows, f"Differences to {reference} cube by cube{breakdown}; of ties, half count as smaller;")
    name = f"{name}_by_{by}" if by else name
    notes = _intervals(rows), tables.training_notes(rows)
    found = _exhibit(name, statistics.paired_table, rows, reference, by, caption=text, notes=notes)
    marked = found.body["codec"].map(tables.marked(rows))
    return replace(found, body=found.body.assign(codec=marked).astype({"cubes": str, "clusters": str}))


def paired_figure(rows: pd.DataFrame, reference: str, name: str = "paired") -> Exhibit:
    """Paired change of rate with intervals.  Rows of one form."""
    dots = " (dark dots: the cubes)" if _many(rows) else ""
    text = tables.caption(rows, f"Mean change of rate against {reference}{dots};")
    notes = _intervals(rows), tables.training_notes(rows)
    return _exhibit(name, figures.paired_figure, rows, reference, caption=text, notes=notes)


def win_table(rows: pd.DataFrame, name: str = "wins", n_codecs: int = 10) -> Exhibit:
    """Which codec is smaller on how many cubes, of the best few.  Rows of one form."""
    best = tables.complete_means(rows).index[:n_codecs]
    what = f"Percentage of cubes on which the codec of the line beats that of the column, the {len(best)} best; over"
    chosen = rows[tables.label(rows).isin(best)]
    notes = [tables.training_notes(chosen)]
    found = _exhibit(name, statistics.win_table, chosen, caption=tables.caption(rows, what), notes=notes)
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
    chosen, notes = [tuple(pair) for pair in pairs], [tables.training_notes(compared)]
    return _exhibit(name, tables.gain_table, rows, chosen, ground, caption=text, notes=notes)


def gain_figure(gains: Exhibit) -> Exhibit:
    """The same as a figure."""
    return _exhibit(gains.name, figures.gain_figure, gains.body, caption=gains.caption, notes=gains.notes)


def cost_table(rows: pd.DataFrame, split: str = TEST_SPLIT, name: str = "cost") -> Exhibit | None:
    """Hours and gigabytes of a HySpecNet-11k split, from EnMAP cubes; None where these are too few (`cost.why_not`).

    Rows of one form.
    """
    measured = rows[rows["sensor"] == "EnMAP"]
    n_cubes = cost.n_patches(split)
    if cost.why_not(measured, n_cubes):
        return None
    text = cost.caption(measured, f"HySpecNet-11k {split}", n_cubes)
    notes = [tables.machine_note(measured)]
    found = _exhibit(name, cost.cost_table, measured, n_cubes * cost.SAMPLES_OF_A_PATCH, caption=text, notes=notes)
    return replace(found, body=found.body.dropna(axis=1, how="all"))


def learned_table(rows: pd.DataFrame, reference: str, name: str) -> Exhibit:
    """Gain over a reference, parameters, work and speed of learned codecs and their peers (`learned.rows_of`)."""
    text = tables.caption(rows, f"Learned codecs and their peers against {reference}, cube by cube;")
    text += " MACs: multiply-accumulates a sample; of lhic-ax those of the network alone."
    if rows["cube"].str.match(learned.CROP).any():
        text += " Cubes named 'first R x C' are crops of R rows and C columns."
    notes = _intervals(rows), tables.machine_note(rows), tables.training_notes(rows)
    return _exhibit(name, learned.learned_table, rows, reference, caption=text, notes=notes)


def transfer_figure(rows: pd.DataFrame, reference: str, name: str) -> Exhibit:
    """The gain by sensor."""
    shown = rows[rows["dataset"] == learned.largest(rows, reference)]
    text = tables.caption(shown, f"Change of rate against {reference} by sensor (small dots: the cubes);")
    notes = [tables.training_notes(shown)]
    return _exhibit(name, learned.transfer_figure, rows, reference, caption=text, notes=notes)


def learned_cost_figure(rows: pd.DataFrame, reference: str, name: str) -> Exhibit:
    """The gain against work and speed."""
    shown = rows[rows["dataset"] == learned.largest(rows, reference)]
    what = f"Mean change of rate against {reference} beside multiply-accumulates a sample, and beside decoding speed;"
    text = tables.caption(shown, what) + " In brackets: how many of the cubes a codec coded, if not all."
    notes = tables.machine_note(shown), tables.training_notes(shown)
    return _exhibit(name, learned.cost_figure, rows, reference, caption=text, notes=notes)


def ideas_table(folder: Path, name: str) -> Exhibit | None:
    """The tables of a folder's experiments, one below the other; None where there is none.

    Each begins with the variant, and has a rate and its change against the first line for two sensors, then the work.
    """
    paths = sorted(folder.glob("*/table.md"))
    if not paths:
        return None
    columns = ["variant", "AVIRIS, bits", "AVIRIS, change", "EnMAP, bits", "EnMAP, change", "MACs"]
    parts = []
    for path in paths:
        table = tables.read_table(path)[0].iloc[:, : len(columns)].set_axis(columns, axis=1)
        table.insert(0, "idea", path.parent.name.replace("_", " "))
        parts.append(table)
    caption = (
        "Ideas of other learned codecs, each an ablation: small networks trained alike; ideal code lengths in bits "
        f"a sample of what the idea codes (results/{folder.name}, docs/{folder.name}.md)."
    )
    return Exhibit(name, pd.concat(parts, ignore_index=True), caption, "benchmarks.experiments")
