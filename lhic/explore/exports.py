"""What can be taken away from the explorer: tables as CSV, the maps as a PNG."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lhic.explore.coding import Result

MAP_INCHES = 3.2


class Map(NamedTuple):
    """One picture of several.

    image : (H, W), or uint8 (H, W, 4) in colours of its own;  title : above it
    low, high, palette : of the colours, palette as Matplotlib names it
    """

    image: np.ndarray
    title: str
    low: float = 0.0
    high: float = 1.0
    palette: str = "gray"


def spectra_csv(
    spectrum: np.ndarray,
    cube: np.ndarray,
    pixel: tuple[int, int] | None,
    wavelengths: np.ndarray | None,
    results: Sequence[Result],
) -> str:
    """Band by band: the sample at a pixel, the mean, and for codecs that can tell, the bits there and on average.

    spectrum : samples at the pixel, (S,)
    cube : (S, H, W), what was coded
    pixel : row and column in it, or None if it lies outside, where no bits are known
    """
    columns: dict[str, list] = {
        "band": list(range(len(cube))),
        "wavelength_nm": [""] * len(cube) if wavelengths is None else wavelengths.tolist(),
        "sample": spectrum.tolist(),
        "mean_sample": cube.mean(axis=(1, 2)).round(3).tolist(),
    }
    for result in results:
        costs = None if result.bits is None else result.bits.costs
        if costs is not None:
            at = [""] * len(cube) if pixel is None else costs[:, *pixel].astype(float).round(4).tolist()
            columns |= {f"bits_{result.codec}": at, f"mean_bits_{result.codec}": mean_costs(costs).round(4).tolist()}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([columns, *zip(*columns.values(), strict=True)])
    return file.getvalue()


def mean_costs(costs: np.ndarray) -> np.ndarray:
    """Mean of each band, float64 (S,)."""
    return costs.mean(axis=(1, 2), dtype=np.float64)


def maps_png(maps: Sequence[Map], heading: str) -> bytes:
    """Pictures side by side, three in a row, with their scales."""
    from matplotlib.figure import Figure

    n_rows = -(-len(maps) // 3)
    figure = Figure(figsize=(3 * MAP_INCHES, n_rows * MAP_INCHES + 0.4), layout="constrained", dpi=150)
    figure.suptitle(heading, fontsize=9)
    for axes, each in zip(figure.subplots(n_rows, 3, squeeze=False).flat, maps):
        if each.image.ndim == 3:
            axes.imshow(each.image, interpolation="nearest")
        else:
            drawn = axes.imshow(each.image, cmap=each.palette, vmin=each.low, vmax=each.high, interpolation="nearest")
            figure.colorbar(drawn, ax=axes, shrink=0.8, extend="both")
        axes.set_title(each.title, fontsize=8, wrap=True)
    for axes in figure.axes:
        if not axes.images and not axes.collections:
            axes.set_visible(False)
        elif axes.images:
            axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
