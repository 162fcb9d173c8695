"""Figures of what a dataset looks like, from the reductions of `dataset_views`, in the study's style."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.exhibits.dataset_views import neighbour_correlation
from benchmarks.exhibits.figures import COLUMN, WIDTH, Figure, style

PER_LINE = 4  # quicklooks


def quicklook_figure(pictures: dict[str, np.ndarray]) -> Figure:
    """Pictures (H, W, 3) of 0..1 with their titles."""
    n_lines = -(-len(pictures) // PER_LINE)
    n_columns = min(PER_LINE, len(pictures))
    with style():
        figure = Figure(
            figsize=(max(COLUMN, WIDTH * n_columns / PER_LINE), 2.1 * n_lines + (0.7 if n_columns == 1 else 0))
        )
        panels = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
        for axes in panels:
            axes.set_axis_off()
        for axes, (title, picture) in zip(panels, pictures.items()):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(title, fontsize=7)
    return figure


def spectra_figure(statistics: dict[str, pd.DataFrame]) -> Figure:
    """Median spectrum of each cube with the range of the middle 90 %; see `dataset_views.band_statistics`."""
    with style():
        figure, panels = _panels(list(statistics))
        for axes, table in zip(panels, statistics.values()):
            axes.fill_between(table.index, table["p05"], table["p95"], color="#56B4E9", alpha=0.5, linewidth=0)
            axes.plot(table.index, table["median"], color="#0072B2", linestyle="-")
            axes.axhline(0, color="0.3", linewidth=0.5)
            axes.set_xlabel("band")
            axes.set_ylabel("sample")
    return figure


def noise_figure(statistics: dict[str, pd.DataFrame]) -> Figure:
    """Signal, noise and stripes of each band, log axis; one panel a cube."""
    drawn = {"spread": ("#0072B2", "-"), "noise": ("#D55E00", "--"), "stripes": ("#009E73", ":")}
    with style():
        figure, panels = _panels(list(statistics))
        for axes, table in zip(panels, statistics.values()):
            for column, (colour, line) in drawn.items():
                positive = table[column].where(table[column] > 0)  # constant bands have no place on a log axis
                axes.plot(table.index, positive, color=colour, linestyle=line, label=column)
            if (table[list(drawn)] > 0).to_numpy().any():
                axes.set_yscale("log")
            axes.set_xlabel("band")
            axes.set_ylabel("standard deviation")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(drawn))
    return figure


def histogram_figure(histograms: dict[str, pd.DataFrame]) -> Figure:
    """Values before and after clipping to [0, 10000], log counts; see `dataset_views.value_histogram`."""
    with style():
        figure, panels = _panels(list(histograms))
        for axes, table in zip(panels, histograms.values()):
            axes.step(table["low"], table["as measured"], where="post", color="#0072B2", label="as measured")
            axes.step(table["low"], table["clipped"], where="post", color="#D55E00", linestyle="--", label="clipped")
            if len(table):
                axes.set_yscale("log")
            axes.set_xlabel("sample")
            axes.set_ylabel("count")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _panels(titles: list[str]) -> tuple[Figure, list[Axes]]:
    """A panel for each title, two beside each other."""
    n_columns, n_lines = min(2, len(titles)), -(-len(titles) // 2)
    figure = Figure(figsize=(COLUMN * n_columns, 1.7 * n_lines + 0.5))
    panels = list(figure.subplots(n_lines, n_columns, squeeze=False).ravel())
    for axes, title in zip(panels, titles):
        axes.set_title(title, loc="left", fontsize=7)
    for axes in panels[len(titles) :]:
        axes.set_axis_off()
    return figure, panels[: len(titles)]


def correlation_figure(correlations: dict[str, np.ndarray]) -> Figure:
    """Correlation between all bands as a map, and that of neighbours as a line; one row of panels a cube."""
    with style():
        figure = Figure(figsize=(WIDTH, 2.6 * len(correlations)))
        panels = figure.subplots(len(correlations), 2, squeeze=False, width_ratios=(1, 1.4))
        for (left, right), (name, table) in zip(panels, correlations.items()):
            image = left.imshow(table, cmap="PuOr_r", vmin=-1, vmax=1, interpolation="nearest")
            figure.colorbar(image, ax=left, shrink=0.8)
            left.grid(False)
            left.set_title(name, loc="left", fontsize=7)
            left.set_xlabel("band")
            left.set_ylabel("band")
            neighbours = neighbour_correlation(table)
            right.plot(np.arange(1, len(table)), neighbours, color="#0072B2", linestyle="-")
            right.set_ylim(min(0.0, np.nanmin(neighbours, initial=0.0)) - 0.05, 1.05)
            right.set_xlabel("band")
            right.set_ylabel("correlation with the band before")
    return figure
