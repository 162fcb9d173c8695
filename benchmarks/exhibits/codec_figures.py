"""Figures of what a codec does with one cube: bits by place, planes, error bounds, depth of a split, speed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd

from benchmarks.exhibits.figures import COLOURS, COLUMN, WIDTH, Figure, style
from lhic.errors import UsageError

HATCHES = ("", "////", "....", "\\\\\\\\")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def bands_figure(table: pd.DataFrame, label: str, stacked: bool = False, title: str = "") -> Figure:
    """The columns of a table along the bands, its lines: each for itself, or stacked.

    Parameters
    ----------
    label : what the numbers are, with their unit
    """
    with style():
        figure = Figure(figsize=(WIDTH, 2.3))
        axes = figure.subplots()
        if stacked:
            areas = axes.stackplot(table.index, *(table[name] for name in table), labels=list(table), colors=COLOURS)
            for area, hatch in zip(areas, HATCHES, strict=False):
                area.set(hatch=hatch, linewidth=0, edgecolor="white")
            axes.set_xlim(table.index.min(), max(table.index.max(), 1))
        else:
            for (name, column), colour, dash in zip(table.items(), COLOURS, ("-", "--", ":", "-."), strict=False):
                axes.plot(table.index, column, dash, color=colour, label=name, linewidth=0.9, marker="")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("band")
        axes.set_ylabel(label)
        axes.set_title(title, loc="left")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(table.columns))
    return figure


def bound_figure(table: pd.DataFrame) -> Figure:
    """Rate against the error bound; see `near_lossless_table`."""
    with style():
        figure = Figure(figsize=(COLUMN, 2.2))
        axes = figure.subplots()
        names = [column for column in table if column.endswith(" bps")]
        for name, colour, line in zip(names, COLOURS, ("s-", "o--"), strict=False):
            axes.plot(table["max error"], table[name], line, color=colour, label=name.removesuffix(" bps"))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("greatest error allowed")
        axes.set_ylabel("bits per sample")
        axes.legend(loc="best")
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


def depth_figure(table: pd.DataFrame) -> Figure:
    """Bits per sample by part of the stream above, time below, against the depth; see `depth_table`."""
    parts = {"msp bps": "#0072B2", "lsp bps": "#E69F00", "other bps": "0.6"}
    with style():
        figure = Figure(figsize=(COLUMN, 3.4))
        rate, time = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        bottom = np.zeros(len(table))
        for (part, colour), hatch in zip(parts.items(), ("", "////", "....")):
            label = part.removesuffix(" bps")
            rate.bar(
                table["depth"], table[part], bottom=bottom, color=colour, hatch=hatch, label=label, edgecolor="white"
            )
            bottom += table[part].to_numpy()
        for depth, bps in zip(table["depth"], table["bps"]):
            rate.annotate(f"{bps:.2f}", (depth, bps), (0, 2), textcoords="offset points", ha="center", fontsize=6)
        rate.set_ylabel("bits per sample")
        rate.margins(y=0.1)
        rate.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        time.plot(table["depth"], table["encode_s"], "s-", color="#0072B2", label="encode")
        time.plot(table["depth"], table["decode_s"], "o--", color="#D55E00", label="decode")
        time.set_ylim(0, 1.4 * table[["encode_s", "decode_s"]].max(axis=None))  # room for the key
        time.set_xticks(table["depth"])
        time.set_xlabel("depth d, bits in the lsp")
        time.set_ylabel("seconds")
        time.legend(loc="upper right", ncols=2)
    return figure


def speed_figure(table: pd.DataFrame, column: str, axis: str, codecs: Sequence[str]) -> Figure:
    """Speed against a column of the table, encoding above decoding, one line a codec; hollow markers are the GPU.

    A codec looks the same in all figures that are given the same list of `codecs`; those the table lacks are left out.
    """
    with style():
        looks = dict(zip(codecs, itertools.cycle(mpl.rcParams["axes.prop_cycle"])))
        markers = dict(zip(codecs, itertools.cycle(MARKERS)))
        codecs = [codec for codec in codecs if codec in set(table["codec"])]
        figure = Figure(figsize=(COLUMN, 3.4 + 0.13 * len(codecs)))
        panels = figure.subplots(2, 1, sharex=True)
        for axes, work in zip(panels, ("encode", "decode")):
            for codec in codecs:
                look = {"marker": markers[codec], **looks[codec]}
                on_cpu = table[(table["codec"] == codec) & (table["device"] != "cuda")].sort_values(column)
                axes.plot(on_cpu[column], on_cpu[f"{work} MS/s"], label=codec, **look)
                on_gpu = table[(table["codec"] == codec) & (table["device"] == "cuda")]
                look |= {"linestyle": "", "markerfacecolor": "white"}
                axes.plot(on_gpu[column], on_gpu[f"{work} MS/s"], **look)
            axes.set_yscale("log")
            axes.set_ylabel(f"{work}, 10⁶ samples/s")
        ticks = sorted(table[column].unique())
        if ticks[-1] > 8 * ticks[0]:
            panels[1].set_xscale("log", base=2)
        panels[1].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[1].minorticks_off()
        panels[1].set_xlabel(axis)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
