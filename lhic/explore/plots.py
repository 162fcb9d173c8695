"""The pictures and curves of the explorer, drawn once by Bokeh and then only given other numbers.

Knows no codec and no cube; what is drawn is decided in `app`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from bokeh.events import SelectionGeometry, Tap
from bokeh.models import (
    BasicTicker,
    BoxSelectTool,
    BoxZoomTool,
    ColorBar,
    ColumnDataSource,
    CustomJSHover,
    HoverTool,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.palettes import PuOr11, Viridis256, gray, interp_palette
from bokeh.plotting import figure

from lhic.explore.views import Window, thinned, with_gaps

FRAME = 208  # pixels of the screen on the longer side of an image
CURVE_WIDTH, CURVE_HEIGHT = 430, 200
MARK = "#e0007a"
SMALL, TINY = "11px", "9px"
PALETTES = {"gray": gray(256), "viridis": Viridis256, "PuOr": interp_palette(PuOr11, 255)}
"""Named as Matplotlib names them."""
PIXEL = "return Math.floor(value).toString()"  # pixel i reaches from i to i + 1


class Axes(NamedTuple):
    """Columns and rows of the scene that all pictures show, so that they move together."""

    x: Range1d
    y: Range1d

    @classmethod
    def new(cls) -> Axes:
        return cls(Range1d(0, 1), Range1d(1, 0))

    def look_at(self, window: Window) -> None:
        """With square pixels, the window in the middle."""
        size = max(window.end_row - window.row, window.end_column - window.column)
        x, y = (window.column + window.end_column - size) / 2, (window.row + window.end_row - size) / 2
        self.x.update(start=x, end=x + size, reset_start=x, reset_end=x + size)
        self.y.update(start=y + size, end=y, reset_start=y + size, reset_end=y)


class Picture:
    """An image of numbers with their scale.

    name : of the plot, for who looks for it in the page
    palette : of `PALETTES`
    value : what the numbers are, for the hover
    """

    def __init__(self, name: str, axes: Axes, palette: str, value: str):
        self.palette = palette
        self.mapper = LinearColorMapper(palette=PALETTES[palette], low=0, high=1, nan_color="#ffffff")
        self.plot = _picture_frame(name, axes)
        self.source = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        drawn = self.plot.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=self.source, color_mapper=self.mapper, level="image"
        )
        ticker = BasicTicker(desired_num_ticks=5)
        look = {"width": 9, "padding": 4, "major_label_text_font_size": TINY, "bar_line_color": None}
        bar = ColorBar(color_mapper=self.mapper, ticker=ticker, **look)
        self.plot.add_layout(bar, "right")
        self.mark = _finished(self.plot, drawn, [(value, "@image")])

    def show(self, image: np.ndarray | None, window: Window, title: str, low: float = 0, high: float = 1) -> None:
        """image : (H, W), of a window of the scene, or None for nothing;  low, high : of the colours"""
        self.plot.title.text = title
        self.mapper.update(low=low, high=high)
        shown = {} if image is None else {"image": thinned(image).astype(np.float32)}
        self.source.data = _placed(window, shown, self.source)


class Composite:
    """An image in colours of its own."""

    def __init__(self, name: str, axes: Axes):
        self.plot = _picture_frame(name, axes)
        values = ("red", "green", "blue")
        self.source = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh", *values)})
        drawn = self.plot.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=self.source, level="image")
        self.mark = _finished(self.plot, drawn, [(value, f"@{value}") for value in values])

    def show(self, image: np.ndarray, bands: np.ndarray, window: Window, title: str) -> None:
        """image : uint8 (H, W, 4);  bands : (3, H, W), the samples behind it, for the hover"""
        self.plot.title.text = title
        shown = {"image": np.ascontiguousarray(image).view(np.uint32)[..., 0]}
        shown |= dict(zip(("red", "green", "blue"), bands.astype(np.float32), strict=True))
        self.source.data = _placed(window, shown, self.source)


def _picture_frame(name: str, axes: Axes) -> figure:
    size = {"frame_width": FRAME, "frame_height": FRAME, "min_border": 2}
    plot = figure(name=name, x_range=axes.x, y_range=axes.y, tools=[], title=" ", **size)
    plot.title.update(text_font_size=SMALL, text_font_style="normal")
    plot.axis.major_label_text_font_size = TINY
    plot.grid.visible = False
    plot.background_fill_color = "#ececec"
    return plot


def _finished(plot: figure, drawn, values: list[tuple[str, str]]) -> ColumnDataSource:
    """Tools, and above all a mark for the chosen pixel, whose place is returned."""
    pixel = CustomJSHover(code=PIXEL)
    zoom = WheelZoomTool(description="Zoom with the wheel")
    plot.add_tools(
        PanTool(description="Move"),
        zoom,
        BoxZoomTool(match_aspect=True, description="Zoom into a rectangle"),
        BoxSelectTool(renderers=[], description="Crop to a rectangle, which codecs then code alone"),
        ResetTool(description="Show all"),
        HoverTool(
            renderers=[drawn],
            tooltips=[("row, column", "$y{custom}, $x{custom}"), *values],
            formatters={"$x": pixel, "$y": pixel},
            description="Values under the pointer",
        ),
    )
    plot.toolbar.active_scroll = zoom
    mark = ColumnDataSource({"x": [], "y": []})
    plot.scatter("x", "y", source=mark, marker="cross", size=15, line_width=2, line_color=MARK)
    return mark


def _placed(window: Window, images: dict[str, np.ndarray], source: ColumnDataSource) -> dict[str, list]:
    if not images:
        return {name: [] for name in source.data}
    place = {"x": window.column, "y": window.row}
    place |= {"dw": window.end_column - window.column, "dh": window.end_row - window.row}
    return {name: [value] for name, value in (place | images).items()}


def call_back(
    plot: figure,
    clicked: Callable[[float, float], None],
    dragged: Callable[[tuple[float, float], tuple[float, float]], None] | None = None,
) -> None:
    """clicked : gets x and y;  dragged : gets the sides of a rectangle, in x and in y"""

    def select(event: SelectionGeometry) -> None:
        sides = event.geometry
        if dragged and event.final and sides["type"] == "rect":
            dragged((sides["x0"], sides["x1"]), (sides["y0"], sides["y1"]))

    plot.on_event(Tap, lambda event: clicked(event.x, event.y))
    if dragged:
        plot.on_event(SelectionGeometry, select)


def _curve_frame(name: str) -> figure:
    tools = {"tools": "xpan,xwheel_zoom,box_zoom,reset,hover", "active_scroll": None, "active_drag": "box_zoom"}
    size = {"width": CURVE_WIDTH, "height": CURVE_HEIGHT, "toolbar_location": "right"}
    plot = figure(name=name, title=name, **tools, **size)
    plot.title.update(text_font_size=SMALL, text_font_style="normal")
    plot.axis.major_label_text_font_size = TINY
    plot.axis.axis_label_text_font_size = SMALL
    plot.axis.axis_label_text_font_style = "normal"
    plot.toolbar.autohide, plot.toolbar.logo = True, None
    return plot


class Curves:
    """Lines over the bands.

    looks : name of a line to its colour and dash
    """

    def __init__(self, name: str, looks: dict[str, tuple[str, str]]):
        self.plot = _curve_frame(name)
        self.sources, self.lines = {}, {}
        for name, (colour, dash) in looks.items():
            self.sources[name] = ColumnDataSource({"x": [0, 1], "y": [0, 1], "band": [0, 1]})
            look = {"line_color": colour, "line_dash": dash, "line_width": 1.5, "legend_label": name}
            self.lines[name] = self.plot.line("x", "y", source=self.sources[name], visible=False, **look)
        legend = self.plot.legend[0]
        legend.update(
            label_text_font_size=TINY, padding=0, margin=0, spacing=8, glyph_height=10, glyph_width=22, ncols=2,
            border_line_color=None, label_height=12, location="left",
        )  # fmt: skip
        self.plot.add_layout(legend, "above")
        self.plot.select_one(HoverTool).tooltips = [("band", "@band"), ("at", "$x"), ("value", "@y")]
        self.band = Span(dimension="height", line_color=MARK, line_width=1)
        self.plot.add_layout(self.band)

    def show(self, name: str, x: np.ndarray, y: np.ndarray | None, label: str) -> None:
        """label : in the legend;  y : None for no line"""
        data: dict[str, Any] = {"x": [], "y": [], "band": []}
        if y is not None:
            across, values, bands = with_gaps(x, y, np.arange(len(x)))
            data = {"x": across, "y": values, "band": bands}
        self.sources[name].data = data
        self.lines[name].visible = y is not None
        item = self.plot.legend[0].items[list(self.lines).index(name)]
        item.update(label={"value": label}, visible=y is not None)

    def place(self, label: str, x: float) -> None:
        """label : of the axis;  x : of the band that the pictures show"""
        self.plot.xaxis.axis_label = label
        self.band.location = x


class Bars:
    """A histogram, with two lines where colours end."""

    def __init__(self):
        self.plot = _curve_frame("histogram")
        self.plot.y_range.start = 0
        self.source = ColumnDataSource({"left": [0], "right": [1], "n": [0]})
        self.plot.quad(left="left", right="right", top="n", bottom=0, source=self.source, color="#8a8a8a")
        self.plot.select_one(HoverTool).tooltips = [("from", "@left"), ("to", "@right"), ("count", "@n")]
        self.ends = [Span(dimension="height", line_color=MARK, line_dash="dashed") for _ in range(2)]
        for end in self.ends:
            self.plot.add_layout(end)

    def show(self, counts: np.ndarray, edges: np.ndarray, ends: tuple[float, float], title: str) -> None:
        self.plot.title.text = title
        self.source.data = {"left": edges[:-1], "right": edges[1:], "n": counts}
        for span, value in zip(self.ends, ends, strict=True):
            span.location = value
