"""What the report says in words: its key numbers, and an answer under each question, computed from rows and tables."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import learned, seen, statistics, tables
from benchmarks.measure.provenance import REPOSITORY

MODELS = ("lhic-ax-unseen", "lhic-ax")  # the report is about the first of them that coded every cube
RIVAL = "ccsds123-best"  # and compares it with this
FORMS = {"as-measured": "as measured", "clipped": "clipped to [0, 10000]"}


@dataclass(frozen=True)
class Link:
    """A text, and the file it leads to, relative to the page; without one it is a text."""

    text: str
    href: str = ""


@dataclass(frozen=True)
class KeyNumber:
    """``21.1 % fewer bits``: value, name, what it is about in small print, and where it comes from."""

    value: str
    name: str
    about: str
    links: tuple[Link, ...]


def key_numbers(rows: pd.DataFrame, folder: Path, source: Path) -> list[KeyNumber]:
    """The numbers that the page begins with.

    Speeds are those of the rows, and by as many threads as were not measured there those of one cube (notebook 06).
    """
    model = model_of(rows)
    links = (
        Link("rows.csv", _href(source / "rows.csv", folder)),
        Link("02_bitrate.ipynb", _href(folder / "notebooks" / "02_bitrate.ipynb", folder)),
        Link(commits(rows)),
    )
    mark = tables.marked(rows)(model).removeprefix(model).strip()
    forms = _by_form(rows)
    rates = " / ".join(f"{tables.complete_means(of_form)[model]:.3f}" for of_form in forms.values())
    words = " / ".join(FORMS.get(form, form) for form in forms)
    found = [KeyNumber(f"{rates}{mark}", "bits per sample", f"{model}, {words}; mean of {tables.cubes(rows)}", links)]
    savings = {form: saving(of_form, model) for form, of_form in forms.items()}
    if all(savings.values()):
        values = " / ".join(f"{change:.1f}" for change, _, _ in savings.values())
        about = "; ".join(_interval(*found) for found in savings.values() if not math.isnan(found[1]))
        n_cubes = rows["cube"].nunique()
        about = about or f"no interval from {n_cubes} cube{'s' if n_cubes > 1 else ''}"
        name = f"fewer bits than {RIVAL}, the smallest of six CCSDS-123 streams"
        found.append(KeyNumber(f"{values} %{mark}", name, about, links))
        if mark:
            found += _cross_validation(folder)
    found += _speeds(rows, model, folder, links)
    counts = f"{rows['sensor'].nunique()} sensor{'s' if rows['sensor'].nunique() > 1 else ''}"
    counts += f", {tables.good(rows)['codec'].nunique()} codecs, {len(rows)} rows"
    found.append(KeyNumber(str(rows["cube"].nunique()), tables.cubes(rows).split()[1], counts, links))
    machine = tables.machine_note(rows).removeprefix("Machine: ").removesuffix(".")
    found.append(KeyNumber(machine, "machine", "for every speed of the rows", links))
    return found


def _cross_validation(folder: Path) -> list[KeyNumber]:
    """The saving on cubes that no weights have seen, from the experiment that trains without them."""
    path = REPOSITORY / "results" / "cross_validation" / "rows.csv"
    if not path.is_file():
        return []
    rows = pd.read_csv(path)
    scenes = rows.loc[rows["kind"] == "scenes", "ratio"]
    links = (Link("cross_validation/rows.csv", _href(path, folder)),)
    about = f"the same, trained without the scene that it codes; mean of {len(scenes)} cubes"
    return [KeyNumber(f"{100 * (1 - scenes.mean()):.1f} %", "fewer bits on scenes not seen in training", about, links)]


def _speeds(rows: pd.DataFrame, model: str, folder: Path, links: tuple[Link, ...]) -> list[KeyNumber]:
    """On one thread and on all cores: of the rows as measured, else of notebook 06."""
    ways = ("encode MS/s", "decode MS/s")
    form = "as-measured" if "as-measured" in set(rows["form"]) else rows["form"].iloc[0]
    of_form = rows[rows["form"] == form]
    line = tables.rate_table(of_form).set_index("codec").rename(index=lambda name: name.split()[0]).loc[model]
    about = f"encoding / decoding of {tables.cubes(of_form)}, {FORMS.get(form, form)}"
    found = {1: ([line.get(way, math.nan) for way in ways], about, links)}
    found[int(rows["cores"].max())] = ([line.get(f"{way}, all cores", math.nan) for way in ways], about, links)
    path = folder / "tables" / "throughput_threads.csv"
    timed = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["codec"])
    notebook = folder / "notebooks" / "06_throughput.ipynb"
    of_cube = Link(path.name, f"../tables/{path.name}"), Link(notebook.name, _href(notebook, folder))
    for _, one in timed[timed["codec"] == model].iterrows():
        if any(map(math.isnan, found.get(one["threads"], ([math.nan],))[0])):
            about = f"encoding / decoding of 1 cube of {one['samples']:,} samples"
            found[one["threads"]] = ([one[way] for way in ways], about, of_cube)
    return [
        KeyNumber(
            " / ".join(f"{value:.2f}" for value in values),
            f"MS/s on {'one thread' if threads == 1 else f'{threads} cores'}",
            about,
            of_what,
        )
        for threads, (values, about, of_what) in sorted(found.items())
        if not any(map(math.isnan, values))
    ]


def commits(rows: pd.DataFrame) -> str:
    """``commit c0ffee``, of the rows."""
    found = sorted(set(rows["commit"]) - {""})
    return f"commit{'s' if len(found) > 1 else ''} {', '.join(found)}" if found else "commit not recorded"


def _href(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder / "report")).as_posix() if path.exists() else ""


def _by_form(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by form, as measured first, without those that no codec coded completely."""
    forms = sorted(rows["form"].unique())
    found = {form: rows[rows["form"] == form] for form in forms}
    return {form: of_form for form, of_form in found.items() if len(tables.complete_means(of_form))}


def model_of(rows: pd.DataFrame) -> str:
    """The codec that the report is about: the first of `MODELS`, else the smallest, that coded all cubes and forms."""
    complete = [set(tables.complete_means(of_form).index) for of_form in _by_form(rows).values()]
    known = set.intersection(*complete)
    smallest = tables.complete_means(next(iter(_by_form(rows).values()))).index
    return next(name for name in (*MODELS, *smallest) if name in known)


def saving(rows: pd.DataFrame, codec: str, rival: str = RIVAL) -> tuple[float, float, float] | None:
    """Percent of bits that a codec saves, mean of the cubes, with its bounds; rows of one form.

    None without a rival to compare with; bounds are not numbers where there are too few cubes.
    """
    pair = rows[tables.label(rows).isin([codec, rival])]
    if codec == rival or pair["codec"].nunique() < 2 or len(tables.complete_means(pair)) < 2:
        return None
    line = statistics.paired_table(pair, rival).iloc[0]
    return -line["change %"], -line["high %"], -line["low %"]


def _interval(mean: float, low: float, high: float) -> str:
    return "" if math.isnan(low) else f"95 % interval {low:.1f} to {high:.1f} %"


def _bracketed(mean: float, low: float, high: float) -> str:
    interval = _interval(mean, low, high)
    return f" ({interval})" if interval else ""


def rate(rows: pd.DataFrame) -> str:
    """How many bits the model needs, how much fewer than CCSDS-123, and which codec needs the fewest."""
    if not _by_form(rows):
        return ""
    model, parts, smallest = model_of(rows), [], {}
    for form, of_form in _by_form(rows).items():
        means = tables.complete_means(of_form)
        found = saving(of_form, model)
        fewer = f", {found[0]:.1f} % fewer than {RIVAL}{_bracketed(*found)}" if found else ""
        parts.append(f"{means[model]:.3f} bits per sample {FORMS.get(form, form)}{fewer}")
        smallest[means.index[0]] = None
    n_codecs = tables.good(rows)["codec"].nunique()
    return f"{model} needs {'; '.join(parts)}; the smallest of {n_codecs} codecs is {' and '.join(smallest)}."


def differences(rows: pd.DataFrame, reference: str) -> str:
    """How many codecs are smaller than the reference, and which by most.  Rows of one form."""
    table = statistics.paired_table(rows, reference)
    if table.empty:
        return ""
    smaller, best = (table["change %"] < 0).sum(), table.iloc[0]
    interval = _bracketed(-best["change %"], -best["high %"], -best["low %"])
    verb = "needs" if smaller == 1 else "need"
    text = f"{smaller} of {len(table)} codecs {verb} fewer bits than {reference} on the same cubes"
    most = f", {best['codec']} the fewest: {-best['change %']:.1f} % fewer{interval}" if smaller else ""
    return f"{text}{most}."


def groups(rows: pd.DataFrame) -> str:
    """What the model saves on each sensor.  Rows of one form."""
    model, sensors = model_of(rows), []
    for sensor, of_sensor in rows.groupby("sensor"):
        found = saving(of_sensor, model)
        if found:
            sensors.append(f"{found[0]:.1f} % for {sensor} ({tables.cubes(of_sensor)})")
    return f"{model} needs fewer bits than {RIVAL} by {', '.join(sensors)}." if sensors else ""


def spectral(gains: pd.DataFrame) -> str:
    """What the previous bands bring the first pair of codecs (`tables.gain_table`)."""
    pair = gains["pair"].iloc[0]
    means = gains[gains["pair"] == pair].groupby("group")["saved %"].agg(["mean", "count"])
    found = []
    for group, (mean, count) in means.iterrows():
        change = f"{abs(mean):.1f} % {'fewer' if mean >= 0 else 'more'} bits"
        found.append(f"{change} on {group} ({count:.0f} cube{'s' if count > 1 else ''})")
    first, second = pair.split(" → ")
    return f"{second} needs {' and '.join(found)} than {first}."


def cost(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Hours and bytes of the model and of CCSDS-123 (`cost.cost_table`)."""
    lines = table.set_index("codec")
    found = [
        f"{codec} takes {line['encode h']:.2g} hours to encode, {line['decode h']:.2g} to decode and "
        f"{line['streams GB']:.2f} GB ({'one thread' if line['threads'] == 'one' else line['threads'] + ' cores'})"
        for codec, line in lines.loc[[name for name in (model_of(rows), RIVAL) if name in lines.index]].iterrows()
    ]
    return f"Extrapolated to the test part of the hard split, {'; '.join(found)}." if found else ""


def of_notebook(stem: str, folder: Path, rows: pd.DataFrame) -> str:
    """The answer to a notebook's question, from the tables that it wrote; ``""`` where there are none."""
    if stem == "01_quickstart":
        return f"All {len(tables.good(rows))} streams of this study decoded to the cube that went in."
    if stem not in _OF_TABLES:
        return ""
    names, answer = _OF_TABLES[stem]
    paths = [folder / "tables" / f"{name}.csv" for name in names]
    return answer(*map(pd.read_csv, paths)) if all(path.is_file() for path in paths) else ""


def _dataset(values: pd.DataFrame, splits: pd.DataFrame) -> str:
    negative, nodata = 100 * values["negative"], 100 * values["nodata"]
    span = f"{negative.min():.1f} to {negative.max():.1f} %" if len(values) > 1 else f"{negative.iloc[0]:.1f} %"
    holds = (splits["verdict"] == "holds").sum()
    differs = (splits["verdict"] == "differs").sum()
    checks = f"{holds} checks of the splits hold, {differs} differ" if holds + differs else "no split to check here"
    return f"{span} of the samples of a cube are negative, at most {nodata.max():.1f} % are nodata; {checks}."


def _ax(exact: pd.DataFrame, bounds: pd.DataFrame) -> str:
    one = bounds[bounds["max error"] == 1]
    rates = [column for column in bounds if column.endswith(" bps")]
    equal = (exact["equal"] == "yes").sum()
    text = f"{equal} of {len(exact)} comparisons across threads, devices and a plain reference agree"
    if len(one) and len(rates) == 2:
        own, other = (one[column].iloc[0] for column in rates)
        text += f"; with errors of at most 1 it needs {own:.3f} bits per sample, CCSDS-123 {other:.3f}"
    return f"{text}."


def _depths(table: pd.DataFrame) -> str:
    best, worst = table.loc[table["bps"].idxmin()], table.loc[table["bps"].idxmax()]
    more = 100 * (worst["bps"] / best["bps"] - 1)
    return (
        f"{best['depth']:.0f} bits: {best['bps']:.3f} bits per sample, {best['msp bps']:.3f} of them in the upper "
        f"plane; {worst['depth']:.0f} bits, the worst, need {more:.0f} % more."
    )


def _throughput(threads: pd.DataFrame, growth: pd.DataFrame) -> str:
    codec = next((name for name in MODELS if name in set(threads["codec"])), threads["codec"].iloc[0])
    lines = threads[threads["codec"] == codec].sort_values("threads")
    one, most = lines.iloc[0], lines.iloc[-1]
    text = f"{codec} encodes {one['encode MS/s']:.2f} million samples per second on {one['threads']} thread"
    text += f", {most['encode MS/s']:.2f} on {most['threads']}" if len(lines) > 1 else ""
    power = growth[(growth["codec"] == codec) & (growth["with"] == "bands")]["encode exponent"]
    return text + (f"; its time grows with the bands to the power {power.iloc[0]:.2f}." if len(power) else ".")


def _learned(table: pd.DataFrame) -> str:
    """Of each dataset; codecs known to have seen some of its cubes do not count."""
    texts = []
    for dataset, own in table.groupby("dataset", sort=False):
        lines = own[own["codec"].map(learned.is_learned)]
        lines = lines[~lines["codec"].str.contains(seen.MARKS["seen"])].sort_values("change %")
        if len(lines):
            fewer, best = (lines["change %"] < 0).sum(), lines.iloc[0]
            text = f"{dataset}, {fewer} of {len(lines)}; the best, {best['codec']}, changes the rate by"
            texts.append(f"{text} {best['change %']:+.1f} % ({best['cubes']} cubes).")
    if not texts:
        return ""
    return " ".join(
        ["Learned codecs not known to have seen the cubes that need fewer bits than the reference:", *texts]
    )


_OF_TABLES = {
    "00_dataset": (("dataset_values", "dataset_splits"), _dataset),
    "04_lhic_ax": (("ax_exactness", "ax_near_lossless"), _ax),
    "05_param_d": (("param_d",), _depths),
    "08_learned_peers": (("learned_peers",), _learned),
    "06_throughput": (("throughput_threads", "throughput_growth"), _throughput),
}
