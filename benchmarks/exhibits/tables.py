"""Tables of the study, computed from result rows and nothing else, as Markdown, LaTeX and CSV.

A mean is only given for codecs that coded every cube of the table: a mean over fewer cubes would compare
different things.  Codecs whose settings were searched on each cube (``best of``) have a column of their own, and
those whose weights have seen some of the cubes in training are marked (`seen`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.exhibits import seen
from benchmarks.measure.files import write_file
from benchmarks.measure.rows import write_csv
from lhic.errors import DatasetError

MISSING = "–"
SPEED_COLUMNS = {
    "encode MS/s": "encode_s",
    "decode MS/s": "decode_s",
    "encode MS/s, all cores": "encode_all_s",
    "decode MS/s, all cores": "decode_all_s",
}


def label(rows: pd.DataFrame) -> pd.Series:
    """Name of each row's codec in tables: with its device when that is not the CPU."""
    return rows["codec"].where(rows["device"] != "cuda", rows["codec"] + " (CUDA)")


def marked(rows: pd.DataFrame) -> Callable[[str], str]:
    """From a codec's name in tables to that name with its mark (`seen.MARKS`), where it has one in these rows."""
    marks = seen.marks(rows, label(rows))
    return lambda name: f"{name} {marks.get(name, '')}".strip()


def good(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a result."""
    return rows[rows["error"] == ""]


def select(rows: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows whose columns have the wanted values; raises `DatasetError` if there is none."""
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        raise DatasetError(f"rows: expected some with {wanted}, found none")
    return rows


def complete_means(rows: pd.DataFrame) -> pd.Series:
    """Mean bps of each codec that coded all cubes of `rows`, smallest first; cubes weigh the same."""
    n_cubes = rows["cube"].nunique()
    found = good(rows).groupby(label(good(rows)))["bps"].agg(["mean", "count"])
    return found.loc[found["count"] == n_cubes, "mean"].sort_values(kind="stable")


def rate_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a codec: mean rate, speeds and peak memory; the smallest rate first.

    Returns
    -------
    DataFrame with the columns codec (marked as in `seen.MARKS`); bps and bps, best of: means of the cubes' rates
    (one of each per form when there are several); with several cubes, worst cube and total: all bits by all
    samples, so that large cubes weigh more; the four of `SPEED_COLUMNS` (10^6 samples per second, all samples by
    all seconds); peak MiB; cubes coded.  Not a number where there is no result; columns without any are left out.
    """
    rows = rows.assign(label=label(rows))
    mark = marked(rows)
    forms = sorted(rows["form"].unique(), reverse=True)
    lines = []
    for name, of_codec in rows.groupby("label", sort=False):
        line: dict = {"codec": mark(name)}
        for form in forms:
            of_form = rows[rows["form"] == form]
            found = good(of_codec[of_codec["form"] == form])
            is_complete = len(found) == of_form["cube"].nunique()
            mean = found["bps"].mean() if is_complete else np.nan
            searched = bool(found["best_of"].eq(1).any())
            suffix = f" {form}" if len(forms) > 1 else ""
            line[f"bps{suffix}"] = np.nan if searched else mean
            line[f"bps{suffix}, best of"] = mean if searched else np.nan
            if rows["cube"].nunique() > 1:
                line[f"worst cube{suffix}"] = found["bps"].max() if is_complete else np.nan
                total = 8 * found["bytes"].sum() / max(1, found["n_samples"].sum())
                line[f"total{suffix}"] = total if is_complete else np.nan
        found = good(of_codec)
        for title, column in SPEED_COLUMNS.items():
            timed = found.dropna(subset=[column])
            total_s = timed[column].sum()
            line[title] = timed["n_samples"].sum() / total_s / 1e6 if total_s else np.nan
        line["peak MiB"] = found["peak_rss_bytes"].max() / 2**20
        line["coded"] = f"{len(found)} of {len(of_codec)}"
        lines.append(line)
    table = pd.DataFrame(lines)
    rate = table[[name for name in table.columns if name.startswith("bps")]]
    order = rate.bfill(axis=1).iloc[:, 0].sort_values(kind="stable").index
    return table.loc[order].dropna(axis=1, how="all").reset_index(drop=True)


def group_table(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean bps of each codec (lines) in each group of cubes (columns), such as ``sensor`` or ``cube``.

    Columns are named after the group and its number of cubes, codecs marked as in `seen.MARKS`.
    """
    totals = rows.groupby(column)["cube"].nunique()
    parts = {f"{group} ({totals[group]})": complete_means(rows[rows[column] == group]) for group in totals.index}
    table = pd.DataFrame(parts)
    table = table.loc[table.mean(axis=1).sort_values(kind="stable").index]
    return table.rename(index=marked(rows)).rename_axis("codec").reset_index()


def gain_table(rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], groups: pd.Series) -> pd.DataFrame:
    """What one codec saves over another, cube by cube: 100 * (1 - second / first) percent.

    Parameters
    ----------
    pairs : (first, second) codec names
    groups : group of each cube, indexed by cube name; becomes a column

    Returns
    -------
    DataFrame with the columns pair, group, cube, first bps, second bps, saved %.
    """
    rates = good(rows).pivot_table(index="cube", columns="codec", values="bps", aggfunc="last")
    lines = []
    for first, second in pairs:
        if not {first, second} <= set(rates.columns):
            continue
        for cube, rate in rates[[first, second]].dropna().iterrows():
            saved = 100 * (1 - rate[second] / rate[first])
            pair = f"{first} → {second}"
            lines.append((pair, groups[cube], cube, rate[first], rate[second], saved))
    return pd.DataFrame(lines, columns=["pair", "group", "cube", "first bps", "second bps", "saved %"])


def error_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What did not work: form, cube, codec and reason."""
    return rows.loc[rows["error"] != "", ["form", "cube", "codec", "error"]].reset_index(drop=True)


def caption(rows: pd.DataFrame, what: str) -> str:
    """Sentence that says what the numbers stand for, of how many cubes, and of which."""
    forms = ", ".join(sorted(rows["form"].unique()))
    datasets = ", ".join(sorted(rows["dataset"].unique()))
    return f"{what} {cubes(rows)} ({datasets}; {forms})."


def training_notes(rows: pd.DataFrame) -> str:
    """What the marks behind codecs mean (`seen.notes`)."""
    return seen.notes(rows, label(rows))


def machine_note(rows: pd.DataFrame) -> str:
    """Sentence that says where the speeds were measured."""
    found = rows[["machine", "cores"]].drop_duplicates().itertuples(index=False, name=None)
    return "Machine: " + "; ".join(f"{machine}, {int(cores)} cores" for machine, cores in found) + "."


def cubes(rows: pd.DataFrame) -> str:
    """How many cubes are behind the rows: ``1 cube``, ``5 cubes``."""
    n_cubes = rows["cube"].nunique()
    return f"{n_cubes} cube{'s' if n_cubes != 1 else ''}"


def number(value: object, column: str = "") -> str:
    """A cell: speeds with three figures, memory without decimals, rates and the rest with three decimals.

    >>> number(0.01234, "encode MS/s"), number(71.6, "peak MiB"), number(5.53759, "bps"), number(-0.04, "change %")
    ('0.0123', '72', '5.538', '0.0')
    """
    if isinstance(value, str):
        return value
    if value is None or np.isnan(value):
        return MISSING
    if "MS/s" in column:
        return np.format_float_positional(value, precision=3, fractional=False, unique=False, trim="-")
    if "MiB" in column:
        return f"{value:.0f}"
    n_digits = 1 if "%" in column else 3
    return f"{round(value, n_digits) + 0.0:.{n_digits}f}"  # never -0.0


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as texts (`number`)."""
    return pd.DataFrame({name: [number(value, name) for value in table[name]] for name in table.columns}, dtype=object)


def _is_right(table: pd.DataFrame) -> list[bool]:
    return [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]], right: Collection[int] = ()) -> str:
    """GitHub table of texts; columns whose numbers are in `right` are set flush right."""
    dashes = "|".join("---:" if i in right else "---" for i in range(len(head)))
    found = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "\n".join([f"| {' | '.join(head)} |", f"|{dashes}|", *(f"| {line} |" for line in found)]) + "\n"


def to_markdown(table: pd.DataFrame, text: str = "") -> str:
    """GitHub table with the caption below it."""
    right = [i for i, is_right in enumerate(_is_right(table)) if is_right]
    return markdown(table.columns, cells(table).to_numpy(), right) + (f"\n{text}\n" if text else "")


def to_latex(table: pd.DataFrame, text: str = "", tag: str = "") -> str:
    """A ``table`` environment; needs the package booktabs."""
    escaped = cells(table).map(escape_latex).rename(columns=escape_latex)
    return escaped.style.hide(axis="index").to_latex(
        hrules=True,
        position_float="centering",
        column_format="".join("r" if is_right else "l" for is_right in _is_right(table)),
        caption=escape_latex(text) or None,
        label=f"tab:{tag}" if tag else None,
    )


_LATEX = {"†": r"$\dagger$", "‡": r"$\ddagger$", "Δ": r"$\Delta$", "→": r"$\to$", "–": "--"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {character: "\\" + character for character in "&%$#_{}"}


def escape_latex(text: str) -> str:
    """The text with every character that LaTeX would take for an instruction, or may not know, replaced."""
    return text.translate(str.maketrans(_LATEX))


def write_table(table: pd.DataFrame, folder: Path, name: str, text: str = "") -> list[Path]:
    """Write ``name.md``, ``name.tex`` and ``name.csv`` (full precision) into a folder."""
    paths = [folder / f"{name}{suffix}" for suffix in (".md", ".tex", ".csv")]
    write_file(paths[0], to_markdown(table, text))
    write_file(paths[1], to_latex(table, text, name))
    write_csv(table, paths[2])
    return paths


def read_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Table of texts, and caption, of a Markdown file that `write_table` wrote."""
    table, _, caption = path.read_text(encoding="utf-8").strip().partition("\n\n")
    head, _, *lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.split("\n")]
    texts = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
    return pd.DataFrame(texts, columns=[name.strip() for name in head], dtype=str), caption
