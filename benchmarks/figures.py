"""Figures of the study, drawn from result rows and nothing else, in one style.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; the marker says the
family as well.  Every figure is written as PDF and SVG (vectors, text kept as text) and as PNG for a quick look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.tables import complete_means, good, label
from lhic.errors import UsageError

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "lhic",  # the same figure gives the same file
}
WIDTH = 7.2  # inches; two columns of a journal page

# Family: beginnings of codec names, colour, marker. First match wins.
FAMILIES = {
    "learned (lhic)": (("lhic",), "#D55E00", "*"),
    "RLS": (("rls",), "#CC79A7", "D"),
    "CCSDS-123": (("ccsds123",), "#0072B2", "s"),
    "image codecs": (("jpeg", "htj2k", "png"), "#009E73", "o"),
    "numeric and archive codecs": (("",), "0.45", "^"),
}


def family(codec: str) -> str:
    """Family of a codec by its name.

    >>> family("jpeg-ls-bands"), family("aec-bands")
    ('image codecs', 'numeric and archive codecs')
    """
    codec = codec.removeprefix("best-of-")
    return next(name for name, (starts, _, _) in FAMILIES.items() if codec.startswith(starts))


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the study inside this block."""
    with mpl.rc_context(STYLE):
        yield


def save_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.pdf``, ``name.svg`` and ``name.png`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}
    paths = []
    with style():
        for suffix, metadata in undated.items():
            paths.append(folder / f"{name}{suffix}")
            figure.savefig(paths[-1], metadata=metadata)
    return paths


def rate_figure(rows: pd.DataFrame) -> Figure:
    """Mean bits per sample of every codec that coded all cubes, one panel per form; small dots are the cubes."""
    forms = sorted(rows["form"].unique())
    means = [complete_means(rows[rows["form"] == form]) for form in forms]
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.17 * max(map(len, means), default=1)))
        panels = figure.subplots(1, len(forms), squeeze=False)[0]
        for axes, form, mean in zip(panels, forms, means):
            of_form = rows[rows["form"] == form]
            found = good(of_form)
            found = found.assign(label=label(found))
            for y, codec in enumerate(mean.index):
                _, colour, marker = FAMILIES[family(codec)]
                each = found.loc[found["label"] == codec, "bps"]
                if len(each) > 1:
                    axes.plot(each, [y] * len(each), ".", color=colour, alpha=0.3, markeredgewidth=0, markersize=4)
                axes.plot(mean[codec], y, marker, color=colour)
                axes.annotate(
                    f"{mean[codec]:.2f}", (mean[codec], y), (6, 0), textcoords="offset points", va="center", fontsize=6
                )
            axes.set_yticks(range(len(mean)), mean.index)
            axes.set_ylim(len(mean) - 0.4, -0.6)
            axes.margins(x=0.16)
            axes.set_xlabel("bits per sample")
            axes.set_title(f"{form}, {_cubes(of_form)}")
        _family_legend(figure, rows)
    return figure


def rate_speed_figure(rows: pd.DataFrame) -> Figure:
    """Mean rate against speed (log axis), encoding and decoding; filled: one thread, hollow: all cores."""
    rows = good(rows)
    rows = rows.assign(label=label(rows))
    mean = complete_means(rows)
    rows = rows[rows["label"].isin(mean.index)]
    with style():
        figure = Figure(figsize=(WIDTH, 3.9))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, work in zip(panels, ("encode", "decode")):
            one, many = speeds(rows, f"{work}_s"), speeds(rows, f"{work}_all_s")
            best = one.combine(many, np.fmax)
            for codec in mean.index:
                _, colour, marker = FAMILIES[family(codec)]
                points = [one.get(codec, np.nan), many.get(codec, np.nan)]
                axes.plot(points, [mean[codec]] * 2, "-", color=colour, linewidth=0.7)
                axes.plot(points[0], mean[codec], marker, color=colour)
                axes.plot(points[1], mean[codec], marker, color=colour, markerfacecolor="white")
            _label_front(axes, best, mean)
            axes.set_xscale("log")
            axes.set_xlabel(f"{work} speed, 10⁶ samples per second")
            axes.margins(0.12)
            low, high = axes.get_xlim()
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("bits per sample")
        panels[0].set_title(f"mean of {_cubes(rows)}; named: no other is both faster and smaller", loc="left")
        _family_legend(figure, rows)
    return figure


def speeds(rows: pd.DataFrame, column: str) -> pd.Series:
    """10^6 samples per second of each codec: all samples by all seconds, where there are timings."""
    timed = rows.dropna(subset=[column])
    sums = timed.groupby("label")[["n_samples", column]].sum()
    return sums["n_samples"] / sums[column] / 1e6


def _label_front(axes: Axes, speed: pd.Series, mean: pd.Series) -> None:
    """Names beside the codecs that no other beats in both rate and speed."""
    fastest, lowest_free = -np.inf, -np.inf
    line_height = 0.045 * (mean.max() - mean.min() or 1.0)
    for codec in mean.index:  # smallest rate first, so a name can only collide with the one below it
        if speed.get(codec, -np.inf) > fastest:
            fastest = speed[codec]
            height = max(mean[codec], lowest_free)
            lowest_free = height + line_height
            axes.annotate(
                codec,
                (fastest, height),
                (6, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
                annotation_clip=False,
            )


def group_figure(rows: pd.DataFrame, column: str, reference: str) -> Figure:
    """Rate of each codec relative to a reference codec, in percent, by groups of cubes such as ``sensor``."""
    rows = good(rows)
    rows = rows.assign(label=label(rows))
    base = rows[rows["label"] == reference].set_index("cube")["bps"]
    rows = rows[rows["cube"].isin(base.index)]
    change = 100 * (rows["bps"] / rows["cube"].map(base) - 1)
    table = change.groupby([rows["label"], rows[column]]).mean().unstack()
    table = table.loc[table.mean(axis=1).sort_values().index]
    counts = rows.groupby(column)["cube"].nunique()
    with style():
        figure = Figure(figsize=(min(WIDTH, 2.6 + 0.8 * table.shape[1]), 1.2 + 0.18 * len(table)))
        axes = figure.subplots()
        limit = float(np.nanmax(np.abs(table.to_numpy()))) or 1.0
        axes.imshow(table, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        for (y, x), value in np.ndenumerate(table.to_numpy()):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.6 * limit else "black"
                axes.text(x, y, f"{value:+.1f}", ha="center", va="center", fontsize=6, color=colour)
        axes.set_xticks(range(table.shape[1]), [f"{name}\n({counts[name]})" for name in table.columns])
        axes.set_yticks(range(len(table)), table.index)
        axes.grid(False)
        axes.set_title(f"bits per sample against {reference}, %; {_cubes(rows)}", loc="right")
    return figure


def gain_figure(gains: pd.DataFrame) -> Figure:
    """What a codec saves over another, one dot a cube, one line a pair and group (`tables.gain_table`)."""
    pairs = list(gains["pair"].unique())
    groups = sorted(gains["group"].unique())
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    with style():
        figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * max(1, len(pairs))))
        axes = figure.subplots()
        for i, group in enumerate(groups):
            offset = (i - (len(groups) - 1) / 2) * 0.28
            for y, pair in enumerate(pairs):
                found = gains[(gains["pair"] == pair) & (gains["group"] == group)]["saved %"]
                colour = colours[i % len(colours)]
                axes.plot(found, [y + offset] * len(found), "o", color=colour, alpha=0.55, markeredgewidth=0)
                if len(found):
                    axes.plot(found.mean(), y + offset, "|", color=colour, markersize=13, markeredgewidth=2)
            n_cubes = gains.loc[gains["group"] == group, "cube"].nunique()
            axes.plot([], [], "o", color=colours[i % len(colours)], label=f"{group} ({n_cubes})")
        axes.axvline(0, color="0.3", linewidth=0.8)
        axes.set_yticks(range(len(pairs)), pairs)
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.set_title(f"one dot a cube ({gains['cube'].nunique()} in all), bar: mean", loc="left")
        axes.set_xlabel("bits saved by the second codec, %")
        axes.legend(loc="best")
    return figure


def band_figure(bits: pd.DataFrame, n_samples_band: int, title: str) -> Figure:
    """Bits per sample along the bands, stacked: where a stream's bits go.

    Parameters
    ----------
    bits : one column a part of the stream, one line a band, in bits
    n_samples_band : samples of one band
    """
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    with style():
        figure = Figure(figsize=(WIDTH, 2.4))
        axes = figure.subplots()
        bands = np.arange(len(bits))
        axes.stackplot(bands, *(bits[name] / n_samples_band for name in bits), labels=list(bits), colors=colours)
        axes.set_xlim(0, max(1, len(bits) - 1))
        axes.set_xlabel("band")
        axes.set_ylabel("bits per sample")
        axes.set_title(title, loc="left")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(bits.columns))
    return figure


def planes_figure(cube: np.ndarray, bands: Sequence[int], split_bits: int) -> Figure:
    """Some bands as pictures: the samples, their most significant part and their least significant part."""
    if not bands or not all(0 <= band < cube.shape[0] for band in bands):
        raise UsageError(f"bands: expected some of 0..{cube.shape[0] - 1}, found {list(bands)}")
    # Arithmetic shift and mask of two's complement: x == (msp << split_bits) + lsp for negatives, too.
    views = {"samples": cube, "msp": cube >> split_bits, "lsp": cube & ((1 << split_bits) - 1)}
    with style():
        figure = Figure(figsize=(WIDTH, 1.75 * len(bands)))
        panels = figure.subplots(len(bands), 3, squeeze=False)
        for line, band in zip(panels, bands):
            for axes, (name, view) in zip(line, views.items()):
                low, high = np.percentile(view[band], (1, 99)) if name == "samples" else (None, None)
                axes.imshow(view[band], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
                axes.set_title(f"band {band}: {name}, {view[band].min()} to {view[band].max()}")
                axes.set_axis_off()
    return figure


def map_figure(values: np.ndarray, title: str) -> Figure:
    """A map of one number per pixel, (H, W), with its scale."""
    with style():
        figure = Figure(figsize=(WIDTH / 2, WIDTH / 2 * values.shape[0] / values.shape[1] * 0.9))
        axes = figure.subplots()
        image = axes.imshow(values, cmap="viridis", interpolation="nearest")
        figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set_xlabel("column")
        axes.set_ylabel("row")
        axes.grid(False)
        axes.set_title(title)
    return figure


def _family_legend(figure: Figure, rows: pd.DataFrame) -> None:
    present = {family(codec) for codec in good(rows)["codec"]}
    handles = [
        mpl.lines.Line2D([], [], color=colour, marker=marker, linestyle="", label=name)
        for name, (_, colour, marker) in FAMILIES.items()
        if name in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _cubes(rows: pd.DataFrame) -> str:
    n_cubes = rows["cube"].nunique()
    return f"{n_cubes} cube{'s' if n_cubes != 1 else ''}"
