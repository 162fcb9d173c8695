"""Figures of the study, drawn from result rows and nothing else, in one style (``lhic.mplstyle``).

Colours are those of Okabe and Ito, which people with any colour vision can tell apart; the marker says the
family as well, so print in grey loses nothing.  Figures are drawn at the size they are printed at.  Every figure is
written as PDF and SVG (vectors, text kept as text) and as PNG for a quick look, each with its caption inside.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import figure as mpl_figure
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from benchmarks.exhibits.statistics import differences, paired_table
from benchmarks.exhibits.tables import complete_means, cubes, good, label, marked

STYLE = Path(__file__).with_name("lhic.mplstyle")
COLUMN = 3.5  # inches; one column of a journal page
WIDTH = 7.2  # inches; both columns
SCREEN_DPI = 150  # of the pictures in notebooks: half of print's, see lhic.mplstyle
KEY_COLUMNS = 4  # of codecs below a figure
SHOWN_DPI = 120  # pixels of a browser that an inch of print takes: small print is then read with ease

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of Okabe and Ito

# Family: beginnings of codec names, colour, marker. First match wins.
FAMILIES = {
    "learned (lhic)": (("lhic",), "#D55E00", "*"),
    "LineRWKV": (("linerwkv",), "#E69F00", "P"),
    "RLS": (("rls",), "#CC79A7", "D"),
    "CCSDS-123": (("ccsds123",), "#0072B2", "s"),
    "image codecs": (("jpeg", "htj2k", "png"), "#009E73", "o"),
    "numeric, archive": (("",), "0.45", "^"),
}


def family(codec: str) -> str:
    """Family of a codec by its name.

    >>> family("jpeg-ls-bands"), family("aec-bands")
    ('image codecs', 'numeric, archive')
    """
    codec = codec.removeprefix("best-of-")
    return next(name for name, (starts, _, _) in FAMILIES.items() if codec.startswith(starts))


def look_of(codec: str) -> dict:
    """Colour and marker of a codec."""
    _, colour, marker = FAMILIES[family(codec)]
    size = {"markersize": 7} if marker == "*" else {}  # a star of the size of a square looks smaller
    return {"color": colour, "marker": marker, "linestyle": ""} | size


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the study inside this block."""
    with mpl.rc_context(fname=STYLE):
        yield


class Figure(mpl_figure.Figure):
    """A figure that shows itself in notebooks, whoever runs them: it needs no pyplot and no backend."""

    def to_png(self) -> bytes:
        """The figure as a PNG of `SCREEN_DPI`."""
        drawn = io.BytesIO()
        with style():
            self.savefig(drawn, format="png", dpi=SCREEN_DPI)
        return _screen_png(Image.open(drawn))

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        titles = [axes.get_title(loc) for axes in self.axes for loc in ("left", "center", "right")]
        return _bundle(self.to_png(), " ".join("; ".join(filter(None, titles)).split()) or "figure")


class StoredFigure:
    """A PNG that `save_figure` wrote, shown in notebooks as the figure itself would be."""

    def __init__(self, path: Path):
        self.path = path

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        with Image.open(self.path) as image:
            halved = image.convert("RGB").reduce(2)
        return _bundle(_screen_png(halved), self.path.stem)


def _bundle(png: bytes, words: str) -> tuple[dict, dict]:
    """What IPython asks of an object to be shown: its forms by MIME type, and how to show them."""
    with Image.open(io.BytesIO(png)) as image:
        width = round(image.width * SHOWN_DPI / SCREEN_DPI)
    return {"image/png": png, "text/plain": words}, {"image/png": {"width": width, "alt": words}}


def _screen_png(image: Image.Image) -> bytes:
    """A small PNG: with a palette of 256 colours, a third of the bytes, where the eye cannot tell.

    Of diagrams no pixel changes by more than 12 of 255; photographs change by twice that and keep their colours.
    """
    image = image.convert("RGB")
    palette = image.quantize(256, Image.Quantize.MAXCOVERAGE)
    change = np.abs(np.asarray(palette.convert("RGB"), np.int16) - np.asarray(image, np.int16))
    content = io.BytesIO()
    (palette if change.max() <= 16 else image).save(content, format="png", optimize=True)
    return content.getvalue()


def save_figure(figure: mpl_figure.Figure, folder: Path, name: str, caption: str = "") -> list[Path]:
    """Write ``name.pdf``, ``name.svg`` and ``name.png`` into a folder, without dates: same figure, same files.

    Parameters
    ----------
    caption : what is shown and how many cubes are behind it; stored in the files, where `read_caption` finds it
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        ".pdf": {"CreationDate": None, "Subject": caption or None},
        ".svg": {"Date": None, "Description": caption or None},
        ".png": {"Description": caption} if caption else {},
    }
    paths = []
    with style():
        for suffix, about in metadata.items():
            paths.append(folder / f"{name}{suffix}")
            figure.savefig(paths[-1], metadata=about)
    return paths


def read_caption(path: Path) -> str:
    """Caption inside a PNG that `save_figure` wrote; ``""`` if it was given none."""
    with Image.open(path) as image:
        return str(image.info.get("Description", ""))


def rate_figure(rows: pd.DataFrame) -> Figure:
    """Mean bits per sample of every codec that coded all cubes, a panel for each form; small dots are the cubes.

    The means stand beside the panel as numbers.
    """
    forms = sorted(rows["form"].unique())
    means = [complete_means(rows[rows["form"] == form]) for form in forms]
    with style():
        figure = Figure(figsize=(WIDTH, 0.95 + 0.145 * max(map(len, means))))
        panels = figure.subplots(1, len(forms), squeeze=False)[0]
        for axes, form, mean in zip(panels, forms, means):
            of_form = rows[rows["form"] == form]
            mark = marked(of_form)
            found = good(of_form)
            found = found.assign(label=label(found))
            for y, codec in enumerate(mean.index):
                look = look_of(codec)
                each = found.loc[found["label"] == codec, "bps"]
                _plot_cubes(axes, each, y)
                axes.plot(mean[codec], y, **look)
                axes.text(
                    1.02, y, f"{mean[codec]:.2f}", transform=axes.get_yaxis_transform(), va="center", fontsize=6.5
                )
            axes.set_yticks(range(len(mean)), [mark(name) for name in mean.index])
            axes.set_ylim(len(mean) - 0.4, -0.6)
            axes.margins(x=0.05)
            axes.set_xlabel("bits per sample")
            axes.set_title(f"{form}, {cubes(of_form)}", loc="left")
        _family_legend(figure, rows)
    return figure


def _plot_cubes(axes: Axes, values: pd.Series, y: int) -> None:
    """A dark dot for each cube, if they are several.

    Hundreds are fainter, below everything else, and pixels: as circles they would make files of megabytes.
    """
    many = len(values) > 100
    look = {"alpha": 0.15, "zorder": 1} if many else {"alpha": 0.8, "zorder": 3}
    if len(values) > 1:
        axes.plot(values, [y] * len(values), ".k", markeredgewidth=0, markersize=2.5, rasterized=many, **look)


def rate_speed_figure(rows: pd.DataFrame) -> Figure:
    """Mean rate against speed (log axis), encoding beside decoding; filled: one thread, hollow: all cores.

    Codecs are numbered from the smallest mean rate on, and named below.  The line joins those that no other beats
    in both; their names are bold.  Numbers are what fits twenty and more points in a panel.
    """
    mark = marked(rows)
    rows = good(rows)
    rows = rows.assign(label=label(rows))
    mean = complete_means(rows)
    rows = rows[rows["label"].isin(mean.index)]
    names = [mark(codec) for codec in mean.index]
    key_height = 0.14 * -(-len(names) // KEY_COLUMNS)
    with style():
        figure = Figure(figsize=(WIDTH, 3.4 + key_height))
        found = figure.subplot_mosaic(
            [["encode", "decode"], ["key", "key"]], height_ratios=(2.8, key_height + 0.05), sharey=False
        )
        panels, key = [found["encode"], found["decode"]], found["key"]
        panels[1].sharey(panels[0])
        on_front: set[str] = set()
        for axes, work in zip(panels, ("encode", "decode")):
            one, many = speeds(rows, f"{work}_s"), speeds(rows, f"{work}_all_s")
            best = one.combine(many, np.fmax)
            front = _front(best, mean)
            on_front |= set(front)
            axes.plot(best[front], mean[front], color="0.75", linestyle="-", linewidth=2.5, zorder=0)
            for codec in mean.index:
                look = look_of(codec)
                points = [one.get(codec, np.nan), many.get(codec, np.nan)]
                axes.plot(points, [mean[codec]] * 2, color=look["color"], linestyle="-", linewidth=0.7)
                axes.plot(points[0], mean[codec], **look)
                axes.plot(points[1], mean[codec], **look, markerfacecolor="white")
            axes.set_xscale("log")
            axes.set_xlabel(f"{work} speed, 10⁶ samples per second")
            axes.set_ylabel("bits per sample")
            axes.margins(0.08)
            low, high = axes.get_xlim()
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        panels[0].set_title(f"{', '.join(sorted(rows['form'].unique()))}, mean of {cubes(rows)}", loc="left")
        write_key(key, names, [codec in on_front for codec in mean.index])
        _family_legend(figure, rows)
        figure.draw_without_rendering()  # places the axes, which the numbers need to know
        for axes, work in zip(panels, ("encode", "decode")):
            best = speeds(rows, f"{work}_s").combine(speeds(rows, f"{work}_all_s"), np.fmax)
            number_points(axes, best.reindex(mean.index).to_numpy(float), mean.to_numpy())
    return figure


def _front(speed: pd.Series, mean: pd.Series) -> list[str]:
    """Codecs that no other beats in both rate and speed, smallest rate first."""
    front: list[str] = []
    for codec in mean.index:
        if speed.get(codec, -np.inf) > max((speed[name] for name in front), default=-np.inf):
            front.append(codec)
    return front


def write_key(axes: Axes, names: Sequence[str], bold: Sequence[bool]) -> None:
    """Numbers and names in columns, in empty axes."""
    axes.set_axis_off()
    lines = -(-len(names) // KEY_COLUMNS)
    for i, name in enumerate(names):
        column, line = divmod(i, lines)
        place = {"transform": axes.transAxes, "fontsize": 6.5, "va": "center"}
        place |= {"fontweight": "bold"} if bold[i] else {}
        height = 1 - (line + 0.5) / lines
        left = 0.03 + column / KEY_COLUMNS
        axes.text(left, height, str(i + 1), ha="right", **place)
        axes.text(left + 0.015, height, name, ha="left", **place)


def number_points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Write 1, 2, ... beside points so that no number lies on another or on a marker, with a line where it is far."""
    scale = axes.figure.dpi / 72  # pixels per point
    shown = np.flatnonzero(np.isfinite(x))
    if not len(shown):
        return
    centres = axes.transData.transform(np.column_stack([x, y])[shown]) / scale  # points
    drawn = [line.get_xydata() for line in axes.lines if line.get_marker() not in ("None", None, "")]
    markers = axes.transData.transform(np.concatenate(drawn)) / scale
    markers = markers[np.isfinite(markers).all(axis=1)]
    taken: list[np.ndarray] = []
    for i, centre in zip(shown, centres):
        text = str(i + 1)
        half = np.array([1.9 * len(text) + 0.6, 3.0])  # of a number of 6 points
        offset = _free_place(centre, half, markers, taken)
        taken.append(np.concatenate([centre + offset, half]))
        far = np.hypot(*offset) > 12
        number = axes.annotate(
            text,
            (x[i], y[i]),
            tuple(offset),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "0.4", "shrinkA": 3, "shrinkB": 2}
            if far
            else None,
        )
        number.set_in_layout(False)  # else the axes would move away from under their numbers


def _free_place(centre: np.ndarray, half: np.ndarray, markers: np.ndarray, taken: list[np.ndarray]) -> np.ndarray:
    """Nearest offset, in points, at which a box of half size `half` covers no marker and no other box."""
    angles = np.arange(0, 360, 30)
    for radius in range(7, 60, 3):
        for angle in np.deg2rad(angles):
            offset = radius * np.array([np.cos(angle), np.sin(angle)])
            place = centre + offset
            on_marker = (np.abs(markers - place) < half + 2.4).all(axis=1).any()
            on_number = any((np.abs(box[:2] - place) < half + box[2:]).all() for box in taken)
            if not on_marker and not on_number:
                return offset
    return np.array([0.0, 7.0])


def speeds(rows: pd.DataFrame, column: str) -> pd.Series:
    """10^6 samples per second of each codec: all samples by all seconds, where there are timings."""
    timed = rows.dropna(subset=[column])
    sums = timed.groupby("label")[["n_samples", column]].sum()
    return sums["n_samples"] / sums[column] / 1e6


def group_figure(rows: pd.DataFrame, column: str, reference: str) -> Figure:
    """Rate of each codec relative to a reference codec, in percent, by groups of cubes such as ``sensor``.

    Colours end at 50 %: codecs far behind would hide the differences that matter.
    """
    mark = marked(rows)
    pairs = differences(rows, reference)
    table = pairs.groupby(["codec", column])["change %"].mean().unstack()
    table = table.loc[table.mean(axis=1).sort_values().index]
    counts = good(rows).groupby(column)["cube"].nunique()
    crowded = table.shape[1] > 10
    with style():
        figure = Figure(
            figsize=(min(WIDTH, max(COLUMN, 1.6 + 0.5 * table.shape[1])), (1.3 if crowded else 0.8) + 0.15 * len(table))
        )
        axes = figure.subplots()
        limit = min(50.0, float(np.nanmax(np.abs(table.to_numpy()))) or 1.0)
        axes.imshow(table, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        for (y, x), value in np.ndenumerate(table.to_numpy()):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.6 * limit else "black"
                text = f"{value:+.0f}" if crowded else f"{value:+.1f}"
                axes.text(x, y, text, ha="center", va="center", fontsize=6, color=colour)
        names = [f"{name} ({counts[name]})" if crowded else f"{name}\n({counts[name]})" for name in table.columns]
        axes.set_xticks(range(table.shape[1]), names, rotation=90 if crowded else 0)
        axes.set_yticks(range(len(table)), [mark(name) for name in table.index])
        axes.grid(False)
        axes.set_title(f"bps against {reference}, %; {cubes(rows)}", loc="right")
    return figure


def paired_figure(rows: pd.DataFrame, reference: str) -> Figure:
    """Change of rate against a reference codec with its 95 % interval; small dots are the cubes.  Rows of one form."""
    mark = marked(rows)
    table, pairs = paired_table(rows, reference), differences(rows, reference)
    with style():
        figure = Figure(figsize=(WIDTH, 0.85 + 0.15 * len(table)))
        axes = figure.subplots()
        for y, line in enumerate(table.to_dict("records")):
            look = look_of(line["codec"])
            each = pairs.loc[pairs["codec"] == line["codec"], "change %"]
            span = {"color": look["color"], "linestyle": "-", "linewidth": 3.5, "alpha": 0.5, "solid_capstyle": "butt"}
            axes.plot([line["low %"], line["high %"]], [y, y], **span)
            axes.plot(line["change %"], y, **look)
            _plot_cubes(axes, each, y)
        axes.axvline(0, color="0.3", linestyle="-", linewidth=0.8)
        if table["change %"].max() > 30:  # to see a few percent beside a hundred
            axes.set_xscale("symlog", linthresh=10)
            axes.margins(x=0.06)
            low, high = axes.get_xlim()
            ticks = (-100, -30, -10, -5, 0, 5, 10, 30, 100, 300)
            axes.set_xticks([tick for tick in ticks if low <= tick <= high], minor=False)
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_yticks(range(len(table)), [mark(name) for name in table["codec"]])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlabel(f"bits per sample against {reference}, %")
        axes.set_title(f"{', '.join(sorted(rows['form'].unique()))}, {cubes(rows)}", loc="left")
    return figure


def gain_figure(gains: pd.DataFrame) -> Figure:
    """What a codec saves over another, one dot a cube, one line a pair and group (`tables.gain_table`)."""
    pairs = list(gains["pair"].unique())
    groups = sorted(gains["group"].unique())
    looks = tuple(zip(COLOURS, "oDs^"))
    with style():
        figure = Figure(figsize=(WIDTH, 0.95 + 0.36 * max(1, len(pairs))))
        axes = figure.subplots()
        for i, group in enumerate(groups):
            offset = (i - (len(groups) - 1) / 2) * 0.3
            colour, marker = looks[i % len(looks)]
            for y, pair in enumerate(pairs):
                found = gains[(gains["pair"] == pair) & (gains["group"] == group)]["saved %"]
                axes.plot(found, [y + offset] * len(found), marker, color=colour, alpha=0.55, markeredgewidth=0)
                if len(found):
                    axes.plot(found.mean(), y + offset, "|", color=colour, markersize=10, markeredgewidth=1.6)
            n_cubes = gains.loc[gains["group"] == group, "cube"].nunique()
            axes.plot([], [], marker, color=colour, label=f"{group} ({n_cubes})")
        axes.axvline(0, color="0.3", linestyle="-", linewidth=0.8)
        axes.set_yticks(range(len(pairs)), [pair.replace(" → ", " →\n") for pair in pairs])
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.set_xlabel("bits saved by the second codec, %")
        axes.set_title(f"one mark a cube ({gains['cube'].nunique()}), bar: mean", loc="left")
        figure.legend(loc="outside lower center", ncols=len(groups))
    return figure


def _family_legend(figure: Figure, rows: pd.DataFrame) -> None:
    present = {family(codec) for codec in good(rows)["codec"]}
    handles = [
        mpl.lines.Line2D([], [], **look_of(starts[0]), label=name)
        for name, (starts, _, _) in FAMILIES.items()
        if name in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.0)
