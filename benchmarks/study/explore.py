"""Looking into one cube and one codec by hand: residuals, bits by place, the parts of a stream; and the widgets for it.

The numbers are pure functions of cube and codec; `Explorer` puts them behind widgets of ipywidgets and knows nothing
of what they mean.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ipywidgets
import numpy as np
import pandas as pd

import lhic
from benchmarks.codecs import registry
from benchmarks.codecs.base import Codec
from benchmarks.exhibits.figures import SHOWN_DPI, WIDTH, Figure, style
from lhic.data import Item
from lhic.errors import ForeignStreamError, LhicError, UsageError


def from_previous_band(cube: np.ndarray, band: int) -> np.ndarray:
    """The band before; for the first band, 0."""
    return cube[band - 1].astype(np.int64) if band else np.zeros(cube.shape[1:], np.int64)


def from_fitted_band(cube: np.ndarray, band: int) -> np.ndarray:
    """The band before with the gain and offset that fit this band best (least squares); for the first, its mean."""
    target = cube[band].astype(float)
    if not band or np.ptp(cube[band - 1]) == 0:
        return np.full(target.shape, np.rint(target.mean()), np.int64)
    source = cube[band - 1].astype(float)
    centred = source - source.mean()
    gain = (centred * (target - target.mean())).sum() / (centred**2).sum()
    return np.rint(target.mean() + gain * centred).astype(np.int64)


def from_neighbours(cube: np.ndarray, band: int) -> np.ndarray:
    """Median of left, upper and left + upper - upper left neighbour, as in JPEG-LS; outside the image is 0."""
    padded = np.pad(cube[band].astype(np.int64), ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    return np.median(np.stack([left, above, left + above - corner]), axis=0).astype(np.int64)


PREDICTORS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "previous band": from_previous_band,
    "previous band, fitted": from_fitted_band,
    "spatial neighbours": from_neighbours,
}


def residuals(cube: np.ndarray, band: int, predictor: str) -> np.ndarray:
    """Samples of a band minus a simple prediction of them, int64 (H, W); for display, no codec predicts so.

    Raises
    ------
    UsageError
        Unknown predictor, or a band the cube does not have.
    """
    if predictor not in PREDICTORS:
        raise UsageError(f"predictor: expected one of {', '.join(PREDICTORS)}, found {predictor!r}")
    if not 0 <= band < len(cube):
        raise UsageError(f"band: expected 0..{len(cube) - 1}, found {band}")
    return cube[band].astype(np.int64) - PREDICTORS[predictor](cube, band)


def bits_map(codec: Codec, cube: np.ndarray, band: int | None, block: int) -> tuple[np.ndarray, str]:
    """Bits per sample by place, and in words what they are.

    A model of lhic that says what each sample costs (`bit_costs`) is asked; any other codec codes each block of pixels
    by itself, all bands together, and its bytes, headers included, are shared among the block's samples.

    Parameters
    ----------
    band : one band where the codec can tell, or None for the mean over all bands
    block : rows and columns of a block

    Returns
    -------
    float array (H, W) of bits per sample; text
    """
    model = _model_with_costs(codec)
    if model is None:
        what = f"blocks of {block} x {block} pixels, all bands, each coded alone with its headers"
        return block_costs(codec, cube, block), what
    costs = model.bit_costs(cube).sum(axis=0)  # (S, H, W): both planes
    if band is None:
        return costs.mean(axis=0), f"cost of each sample in the model, mean of {len(cube)} bands"
    return costs[band], f"cost of each sample in the model, band {band}"


def _model_with_costs(codec: Codec):
    name = codec.settings.get("model")
    if name is None:
        return None
    model = lhic.load_model(name, codec.device)
    return model if hasattr(model, "bit_costs") else None


def block_costs(codec: Codec, cube: np.ndarray, block: int) -> np.ndarray:
    """Bits per sample of each block when it is coded as a cube of its own, float (H, W)."""
    found = np.empty(cube.shape[1:])
    for row in range(0, cube.shape[1], block):
        for column in range(0, cube.shape[2], block):
            window = np.s_[row : row + block, column : column + block]
            part = np.ascontiguousarray(cube[:, *window])
            codec.check(part)
            found[window] = 8 * len(codec.encode(part)) / part.size
    return found


def stream_sections(stream: bytes, n_samples: int) -> pd.DataFrame:
    """Bytes and bits per sample of the parts of a stream; a stream that is not lhic's is one part.

    Returns
    -------
    DataFrame with the columns bytes, bits per sample; the last line is the whole stream
    """
    try:
        about = lhic.inspect(stream)
        parts = pd.DataFrame(about["tiles"], columns=about["section_names"]).sum().to_dict()
        parts["header and trailer"] = len(stream) - sum(parts.values())
    except ForeignStreamError:
        parts = {"stream, its parts known to the codec only": len(stream)}
    parts["all"] = len(stream)
    table = pd.DataFrame({"bytes": parts}, dtype=np.int64)
    return table.assign(**{"bits per sample": 8 * table["bytes"] / n_samples})


def view_figure(samples: np.ndarray, left: np.ndarray, costs: np.ndarray, titles: Sequence[str]) -> Figure:
    """A band, its residuals and the bits by place, side by side."""
    with style():
        figure = Figure(figsize=(WIDTH, 2.6))
        panels = figure.subplots(1, 3)
        limit = float(np.percentile(np.abs(left), 99)) or 1.0
        low, high = np.percentile(samples, (1, 99))
        drawn = (
            (samples, {"cmap": "gray", "vmin": low, "vmax": high}),
            (left, {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}),
            (costs, {"cmap": "viridis"}),
        )
        for axes, (image, options), title in zip(panels, drawn, titles):
            shown = axes.imshow(image, interpolation="nearest", **options)
            figure.colorbar(shown, ax=axes, shrink=0.7)
            axes.set_title(title, fontsize=7, wrap=True)
            axes.grid(False)
            axes.set_axis_off()
    return figure


class Explorer:
    """Widgets to pick a cube, a band, a codec and a predictor, and a place where the views appear.

    A notebook shows it as its widgets, and where there are none, as the picture drawn last.

    Attributes
    ----------
    panel : all widgets in one
    figure, sections : what was drawn last, None before
    """

    def __init__(self, items: Sequence[Item], codecs: Sequence[str], crop: int = 64, block: int = 16):
        self._items = {item.name: item for item in items}
        self._crop, self._block = crop, block
        self.figure: Figure | None = None
        self.sections: pd.DataFrame | None = None
        self.cube = ipywidgets.Dropdown(options=list(self._items), description="cube")
        self.band = ipywidgets.IntSlider(description="band", continuous_update=False)
        self.every_band = ipywidgets.Checkbox(value=False, description="bits: mean of all bands")
        self.codec = ipywidgets.Dropdown(options=list(codecs), description="codec")
        self.predictor = ipywidgets.Dropdown(options=list(PREDICTORS), description="predictor")
        # An image and a text, not an Output widget: that one depends on who executes the notebook.
        self.picture, self.text = ipywidgets.Image(format="png", width=round(WIDTH * SHOWN_DPI)), ipywidgets.HTML()
        controls = ipywidgets.VBox([self.cube, self.band, self.codec, self.every_band, self.predictor])
        self.panel = ipywidgets.VBox([controls, self.picture, self.text])
        self._load()
        self.cube.observe(self._on_cube, names="value")
        for widget in (self.band, self.every_band, self.codec, self.predictor):
            widget.observe(self._on_choice, names="value")

    def show(self) -> None:
        """Compute and draw what is chosen; an error of lhic is shown as its line."""
        try:
            self._draw()
        except LhicError as error:
            self.text.value = html.escape(f"error: {error}")

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        widgets = self.panel._repr_mimebundle_()
        picture, look = ({}, {}) if self.figure is None else self.figure._repr_mimebundle_()
        return widgets | picture, look

    def _draw(self) -> None:
        codec = registry.make(self.codec.value)
        codec.check(self._samples)
        band = self.band.value
        costs, what = bits_map(codec, self._samples, None if self.every_band.value else band, self._block)
        left = residuals(self._samples, band, self.predictor.value)
        titles = (f"band {band}", f"minus {self.predictor.value}", f"bits per sample: {what}")
        self.figure = view_figure(self._samples[band], left, costs, titles)
        self.sections = stream_sections(codec.encode(self._samples), self._samples.size)
        self.picture.value = self.figure.to_png()
        self.text.value = self.sections.round(4).to_html()

    def _load(self) -> None:
        whole = self._items[self.cube.value].load()
        cropped = whole[:, : self._crop or None, : self._crop or None]
        self._samples = np.ascontiguousarray(cropped, dtype=whole.dtype.newbyteorder("="))
        self.band.max = len(whole) - 1

    def _on_cube(self, change: dict) -> None:
        self._load()
        self.show()

    def _on_choice(self, change: dict) -> None:
        self.show()
