"""The explorer: widgets, the pictures and curves, and what happens when something is chosen.

What is shown are the functions of `views`; codecs work in a thread of their own, and their results are remembered, so
that only what needs coding takes time.
"""

from __future__ import annotations

import html
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import panel as pn
from bokeh.layouts import gridplot

from lhic.errors import LhicError, UsageError, one_line
from lhic.explore import coding, exports, plots, views
from lhic.explore.coding import Codec, Result, Results
from lhic.explore.cubes import CubeSource, Scene
from lhic.explore.views import Window
from lhic.explore.worker import Worker
from lhic.families.registry import DEFAULT_MODEL

NOBODY, OWN = "(none)", "by hand"
FIRST, SECOND = "#1f5fa8", "#d1701c"  # of the two codecs, also told apart by dashes
GREY = "#777777"
HISTOGRAMS = ("samples", "residuals", "bits, first codec", "bits, second codec")
IN_BAND, OVER_BANDS = "this band", "mean of bands"
HINT = (
    "<p class='hint'>Click a pixel for its spectrum and its bits, a curve for its band. Wheel and dragging move all "
    "pictures. With the dashed square among the tools, drag a rectangle: codecs then code it alone.</p>"
)
LOOK = """
:host { font-size: 13px; }
table.sections { border-collapse: collapse; font-size: 12px; }
table.sections td, table.sections th { padding: 1px 10px 1px 0; text-align: right; font-weight: normal; }
table.sections td:first-child, table.sections th:first-child { text-align: left; }
table.sections th { border-bottom: 1px solid #999; } table.sections tr.all td { border-top: 1px solid #999; }
p { margin: 2px 0; } .hint { color: #666; font-size: 12px; } .error { color: #b00020; }
"""


@dataclass
class View:
    """What is looked at.

    cube : the samples (S, H, W) of the window;  key : its digest
    pixel : row and column in the scene
    """

    scene: Scene
    window: Window
    cube: np.ndarray
    key: bytes
    pixel: tuple[int, int]

    @property
    def in_window(self) -> tuple[int, int] | None:
        """The pixel in the cube, or None if it lies outside."""
        row, column = self.pixel
        return (row - self.window.row, column - self.window.column) if self.window.contains(row, column) else None


class Explorer:
    """One page: a cube, its bands, and what two codecs make of it.

    Parameters
    ----------
    sources : cubes to choose from, the first is shown first
    codecs : name to a call that makes one; default: all there are
    first, second : names of the codecs that are shown first
    crop : rows and columns in the middle of the scene to begin with; 0: all, or a part of a large scene
    results, worker : perhaps shared with other pages

    Attributes
    ----------
    panel : all of it, for a notebook or a page

    Raises
    ------
    UsageError
        No cube, or a codec that is not there.
    """

    def __init__(
        self,
        sources: Sequence[CubeSource],
        codecs: Mapping[str, Callable[[], Codec]] | None = None,
        first: str = DEFAULT_MODEL,
        second: str = coding.StandardCodec.name,
        crop: int = 0,
        results: Results | None = None,
        worker: Worker | None = None,
    ):
        self._codecs = dict(sorted((coding.all_codecs() if codecs is None else codecs).items()))
        for name in (first, second):
            if name not in (*self._codecs, NOBODY):
                raise UsageError(f"codec: expected one of {', '.join(self._codecs)}, found {name!r}")
        if not sources:
            raise UsageError("explore: expected a cube, found none")
        self._sources, self._crop = list(sources), crop
        self._results, self._worker = results or Results(), worker or Worker()
        self._document = pn.state.curdoc  # of a page; None in a notebook
        self._lock = threading.RLock()
        self._idle = threading.Event()
        self._jobs: list[str] = []
        self._queued: set[tuple[bytes, str, str]] = set()
        self._errors: dict[tuple[bytes, str], str] = {}
        self._view: View | None = None
        self._bands: tuple[tuple[int, ...], np.ndarray] | None = None  # of the composite, and which
        self._is_preset = False  # while a choice of colours sets its three places
        self._make_widgets(first, second)
        self._make_plots()
        self._watch()
        self.panel = self._laid_out()
        if self._document is None:
            self._load()
        else:  # what changes while a page is being built could be lost
            pn.state.onload(self._load)

    # --- for others ---

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until nothing is being loaded or coded; False if that takes too long."""
        return self._idle.wait(timeout_s)

    def crop_to(self, window: Window | None) -> None:
        """Let the codecs work on a part of the scene, or on all of it."""
        if self._view is None:
            return
        scene = self._view.scene
        window = window or Window(0, scene.samples.shape[1], 0, scene.samples.shape[2])
        self._update(partial(self._set_window, scene, window), self._show_all, self._code)

    def click(self, row: int, column: int) -> None:
        """Choose a pixel of the scene, if it lies in it."""
        if (
            self._view
            and 0 <= row < self._view.scene.samples.shape[1]
            and 0 <= column < self._view.scene.samples.shape[2]
        ):
            self._view.pixel = row, column
            self._update(self._show_pixel)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.panel._repr_mimebundle_(include, exclude)

    # --- parts ---

    def _make_widgets(self, first: str, second: str) -> None:
        wide, narrow = {"sizing_mode": "stretch_width"}, {"width": 80}
        names = [*self._codecs]
        self.cube = pn.widgets.Select(
            label="cube", options={source.name: number for number, source in enumerate(self._sources)}, **wide
        )
        self.band = pn.widgets.IntSlider(label="band", start=0, end=1, **wide)
        self.first = pn.widgets.Select(label="first codec", options=names, value=first, width=220)
        self.second = pn.widgets.Select(label="second codec", options=[NOBODY, *names], value=second, width=220)
        self.over = pn.widgets.Select(label="bits", options=[IN_BAND, OVER_BANDS], width=145)
        self.predictor = pn.widgets.Select(label="residuals after", options=list(views.PREDICTORS), width=190)
        self.preset = pn.widgets.Select(label="colours", options=[*views.COMPOSITES, OWN], width=225)
        self.places = [pn.widgets.FloatInput(label=name, step=10, **narrow) for name in ("red", "green", "blue")]
        self.stretch = pn.widgets.RangeSlider(
            label="stretch, percentiles", start=0, end=100, step=0.5, value=(2, 98), width=180
        )
        self.counted = pn.widgets.Select(label="histogram of", options=list(HISTOGRAMS), width=165)
        self.whole = pn.widgets.Button(label="whole cube", width=105, align="end")
        self.spinner = pn.indicators.LoadingSpinner(value=False, size=18, align="center", margin=(0, 4))
        self.status = pn.pane.HTML("", stylesheets=[LOOK], align="center", min_width=300)
        self.notice = pn.pane.HTML("", stylesheets=[LOOK], max_width=880)
        self.sections = pn.pane.HTML("", stylesheets=[LOOK])
        look = {"width": 128, "align": "end", "embed": False, "auto": True}
        self.downloads = {
            "png": pn.widgets.FileDownload(callback=self._png, filename="maps.png", label="maps, PNG", **look),
            "csv": pn.widgets.FileDownload(callback=self._csv, filename="bands.csv", label="bands, CSV", **look),
            "first": pn.widgets.FileDownload(
                callback=partial(self._stream, 0), filename="first.lhic", label="first stream", **look
            ),
            "second": pn.widgets.FileDownload(
                callback=partial(self._stream, 1), filename="second.lhic", label="second stream", **look
            ),
        }

    def _make_plots(self) -> None:
        self.axes = plots.Axes.new()
        self.composite = plots.Composite("colours", self.axes)
        self.samples = plots.Picture("samples", self.axes, "gray", "sample")
        self.residuals = plots.Picture("residuals", self.axes, "PuOr", "residual")
        self.bits = [plots.Picture(f"bits {side}", self.axes, "viridis", "bits") for side in range(2)]
        self.difference = plots.Picture("difference", self.axes, "PuOr", "bits more")
        self._pictures: list[plots.Picture | plots.Composite] = [
            self.composite,
            self.samples,
            self.residuals,
            *self.bits,
            self.difference,
        ]
        for picture in self._pictures:
            picture.plot.yaxis.visible = picture in (self.composite, self.bits[0])
            plots.call_back(picture.plot, lambda x, y: self.click(int(np.floor(y)), int(np.floor(x))), self._dragged)
        spectrum = {"mean": (GREY, "solid"), "pixel": (plots.MARK, "solid")}
        self.spectrum = plots.Curves("spectrum", spectrum)
        looks = {"pixel": "solid", "mean": "dashed"}
        bits = {
            f"{side} {what}": (colour, dash)
            for side, colour in enumerate((FIRST, SECOND))
            for what, dash in looks.items()
        }
        self.bits_by_band = plots.Curves("bits by band", bits)
        self.bars = plots.Bars()
        for curves in (self.spectrum, self.bits_by_band):
            plots.call_back(curves.plot, lambda x, y: self._choose_band_at(x))

    def _laid_out(self) -> pn.Column:
        rows = self._pictures[:3], self._pictures[3:]
        grid = gridplot([[picture.plot for picture in row] for row in rows], toolbar_location="above", merge_tools=True)
        grid.toolbar.logo = None
        bar = {"flex_wrap": "wrap", "align_items": "flex-end", "sizing_mode": "stretch_width"}
        codecs = pn.FlexBox(self.first, self.second, self.over, self.predictor, **bar)
        colours = pn.FlexBox(self.preset, *self.places, self.stretch, self.whole, **bar)
        hint = pn.pane.HTML(HINT, stylesheets=[LOOK], max_width=880)
        away = pn.FlexBox(*self.downloads.values(), **bar)
        left = pn.Column(pn.pane.Bokeh(grid), hint, self.notice, self.sections, away, width=880)
        curves = [pn.pane.Bokeh(each.plot) for each in (self.spectrum, self.bits_by_band, self.bars)]
        right = pn.FlexBox(*curves[:2], pn.Column(self.counted, curves[2]), styles={"flex": "1 1 440px"})
        head = pn.Row(
            pn.pane.HTML("<b style='font-size:15px'>lhic explore</b>", stylesheets=[LOOK], align="center"),
            self.spinner, self.status, sizing_mode="stretch_width",
        )  # fmt: skip
        main = pn.FlexBox(left, right, flex_wrap="wrap", sizing_mode="stretch_width")
        return pn.Column(head, self.cube, self.band, codecs, colours, main, sizing_mode="stretch_width", min_width=600)

    def _watch(self) -> None:
        def on(widget, *steps: Callable[[], None]) -> None:
            def changed(event) -> None:
                if self._view:
                    self._update(*steps)

            widget.param.watch(changed, "value")

        self.cube.param.watch(lambda event: self._load(), "value")
        on(self.band, self._show_band, self._show_maps, self._show_histogram)
        for codec in (self.first, self.second):
            on(codec, self._code, self._show_coded)
        on(self.over, self._show_maps, self._show_histogram)
        on(self.predictor, self._show_band, self._show_histogram)
        on(self.counted, self._show_histogram)
        on(self.stretch, self._show_composite, self._show_band, self._show_histogram)
        self.preset.param.watch(self._on_preset, "value")
        for place in self.places:
            place.param.watch(self._on_place, "value")
        self.whole.on_click(lambda event: self.crop_to(None))

    # --- work that takes time ---

    def _update(self, *steps: Callable[[], None]) -> None:
        """Change what is shown, all at once."""
        with self._lock, pn.io.hold(self._document):
            for step in steps:
                step()
        if self._document is None:
            pn.io.push_notebook(self.panel)

    def _later(self, *steps: Callable[[], None]) -> None:
        """`_update` from the worker's thread."""
        if self._document is None:
            self._update(*steps)
        else:
            self._document.add_next_tick_callback(partial(self._update, *steps))

    def _work(self, what: str, job: Callable[[], Callable[[], None] | None]) -> None:
        """Have a job done.  what : shown meanwhile;  job : returns how to show its result, if that is still wanted."""

        def run() -> None:
            self._later(partial(self._show_status, what))
            try:
                steps = [job()]
            except LhicError as error:
                steps = [partial(self._complain, str(error))]
            except Exception as error:  # codecs of others may raise anything; the page goes on
                steps = [partial(self._complain, one_line(error))]
            self._later(*(step for step in steps if step), partial(self._done, what))

        self._jobs.append(what)
        self._idle.clear()
        self._worker.submit(run)

    def _done(self, what: str) -> None:
        self._jobs.remove(what)
        self._show_status(self._jobs[0] if self._jobs else "")
        if not self._jobs:
            self._idle.set()

    def _show_status(self, what: str) -> None:
        self.spinner.value = bool(what)
        more = f" ({len(self._jobs) - 1} more to do)" if len(self._jobs) > 1 else ""
        state, text = ("busy", f"{what} ...{more}") if what else ("ready", "ready")
        self.status.object = f"<span class='{state}'>{html.escape(text)}</span>"

    def _complain(self, message: str) -> None:
        self.notice.object = f"<p class='error'>{html.escape(message)}</p>"

    def _load(self) -> None:
        source = self._sources[self.cube.value]

        def job() -> Callable[[], None] | None:
            scene = source.open()
            return partial(self._set_scene, scene) if source is self._sources[self.cube.value] else None

        self._work(f"reading {source.name}", job)

    def _code(self) -> None:
        """Ask for what is not known yet about the two codecs: first the streams, then their bits."""
        assert self._view is not None
        key, cube = self._view.key, self._view.cube
        for stage in ("stream", "bits"):
            for name in self._names():
                result = self._results.get(key, name)
                there = result is not None and (stage == "stream" or result.bits is not None)
                if not there and (key, name, stage) not in self._queued and (key, name) not in self._errors:
                    self._queued.add((key, name, stage))
                    what = f"coding with {name}" if stage == "stream" else f"asking {name} for its bits by place"
                    self._work(what, partial(self._coding_job, key, name, stage, cube))

    def _coding_job(self, key: bytes, name: str, stage: str, cube: np.ndarray) -> Callable[[], None] | None:
        try:
            if self._view is None or key != self._view.key or name not in self._names() or (key, name) in self._errors:
                return None
            codec, result = self._codecs[name](), self._results.get(key, name)
            if result is None:
                result = replace(coding.coded(codec, cube), codec=name)
                self._results.put(key, result)
            if stage == "bits" and result.bits is None:
                self._results.put(key, replace(result, bits=coding.bits_of(codec, cube, result.stream)))
        except Exception as error:
            self._errors[key, name] = str(error) if isinstance(error, LhicError) else f"{name}: {one_line(error)}"
        finally:
            self._queued.discard((key, name, stage))
        return self._show_coded

    # --- what is shown ---

    def _names(self) -> list[str]:
        return [name for name in (self.first.value, self.second.value) if name != NOBODY]

    def _coded(self) -> list[Result | None]:
        """Results of the two codecs, as far as they are known."""
        assert self._view is not None
        return [self._results.get(self._view.key, codec.value) for codec in (self.first, self.second)]

    def _set_scene(self, scene: Scene) -> None:
        n_bands, n_rows, n_columns = scene.samples.shape
        window = views.first_window(n_rows, n_columns)
        if self._crop and self._crop < max(n_rows, n_columns):
            n, m = min(self._crop, n_rows), min(self._crop, n_columns)
            window = Window((n_rows - n) // 2, (n_rows - n) // 2 + n, (n_columns - m) // 2, (n_columns - m) // 2 + m)
        self._view, self._bands = None, None
        known = scene.wavelengths is not None
        self.preset.param.update(options=[*views.COMPOSITES, OWN] if known else [OWN])
        self.preset.value = next(iter(views.COMPOSITES)) if known else OWN
        places = views.COMPOSITES[self.preset.value] if known else views.spread_bands(n_bands)
        for widget, name, place in zip(self.places, ("red", "green", "blue"), places, strict=True):
            widget.param.update(label=f"{name}, {'nm' if known else 'band'}", step=10 if known else 1, value=place)
        self.band.param.update(end=max(n_bands - 1, 1), value=views.band_at(places[0], n_bands, scene.wavelengths))
        self.band.disabled = n_bands == 1
        self._set_window(scene, window)
        self._show_all()
        self._code()

    def _set_window(self, scene: Scene, window: Window) -> None:
        cube = scene.cut(window.slices)
        middle = (window.row + window.end_row) // 2, (window.column + window.end_column) // 2
        pixel = self._view.pixel if self._view and window.contains(*self._view.pixel) else middle
        self._view = View(scene, window, cube, coding.digest(cube), pixel)
        self.axes.look_at(window)

    def _dragged(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        if self._view:
            window = views.window_of(x, y, *self._view.scene.samples.shape[1:])
            if window:
                self.crop_to(window)

    def _choose_band_at(self, x: float) -> None:
        if self._view:
            self.band.value = views.band_at(x, len(self._view.cube), self._view.scene.wavelengths)

    def _on_preset(self, event) -> None:
        if self._view and event.new != OWN:
            self._is_preset = True
            for widget, place in zip(self.places, views.COMPOSITES[event.new], strict=True):
                widget.value = place
            self._is_preset = False
            self._update(self._show_composite)

    def _on_place(self, event) -> None:
        if self._view and not self._is_preset and event.new is not None:
            self.preset.value = OWN
            self._update(self._show_composite)

    def _show_all(self) -> None:
        for show in (self._show_composite, self._show_band, self._show_coded):
            show()

    def _composite(self) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """The whole scene in colours, the samples behind that, and which bands."""
        assert self._view is not None
        scene = self._view.scene
        n_bands = scene.samples.shape[0]
        wanted = [views.band_at(widget.value or 0, n_bands, scene.wavelengths) for widget in self.places]
        if self._bands is None or self._bands[0] != tuple(wanted):
            rows, columns = slice(0, scene.samples.shape[1]), slice(0, scene.samples.shape[2])
            read = [views.thinned(scene.cut((slice(band, band + 1), rows, columns))[0]) for band in wanted]
            self._bands = tuple(wanted), np.stack(read)
        bands = self._bands[1]
        return views.composite(bands, self.stretch.value, scene.nodata), bands, wanted

    def _show_composite(self) -> None:
        assert self._view is not None
        image, bands, wanted = self._composite()
        _, n_rows, n_columns = self._view.scene.samples.shape
        self.composite.show(
            image, bands, Window(0, n_rows, 0, n_columns), f"colours of bands {', '.join(map(str, wanted))}"
        )

    def _show_band(self) -> None:
        view, band = self._of_view()
        scene = view.scene
        self.band.label = views.band_name(band, len(view.cube), scene.wavelengths)
        samples = view.cube[band]
        limits = views.limits(samples, self.stretch.value, scene.nodata)
        self.samples.show(samples, view.window, f"samples, {self._short(band)}", *limits)
        left = views.residuals(view.cube, band, self.predictor.value)
        self.residuals.show(left, view.window, f"minus {self.predictor.value}", *views.limits_about_zero(left))
        label, across = self._across()
        for curves in (self.spectrum, self.bits_by_band):
            curves.place(label, float(across[band]))

    def _of_view(self) -> tuple[View, int]:
        assert self._view is not None
        return self._view, min(self.band.value, len(self._view.cube) - 1)

    def _short(self, band: int) -> str:
        assert self._view is not None
        wavelengths = self._view.scene.wavelengths
        return f"band {band}" if wavelengths is None else f"band {band}, {wavelengths[band]:.1f} nm"

    def _across(self) -> tuple[str, np.ndarray]:
        """Name and places of the axis of curves."""
        assert self._view is not None
        wavelengths = self._view.scene.wavelengths
        return ("band", np.arange(len(self._view.cube))) if wavelengths is None else ("wavelength, nm", wavelengths)

    def _show_coded(self) -> None:
        self._show_maps()
        self._show_pixel()
        self._show_histogram()
        self._show_sections()

    def _compared(self) -> views.Comparison:
        """Bits by place of the two codecs."""
        first, second = (None if result is None else result.bits for result in self._coded())
        return views.side_by_side(first, second, self._of_view()[1] if self.over.value == IN_BAND else None)

    def _show_maps(self) -> None:
        view, band = self._of_view()
        compared = self._compared()
        maps, difference = (compared.first, compared.second), compared.difference
        where = f"band {band}" if compared.in_band else "all bands"
        scale = views.common_limits([image for image in maps if image is not None])
        for picture, codec, image in zip(self.bits, (self.first, self.second), maps, strict=True):
            known = f": {np.nanmean(image):.3f} bits, {where}" if image is not None else " ..."
            if codec.value == NOBODY or (view.key, codec.value) in self._errors:
                known = ""
            picture.show(image, view.window, codec.value + known, *scale)
        title, ends = "second minus first", (0.0, 1.0)
        if difference is not None:
            title, ends = f"{title}: {np.nanmean(difference):+.3f} bits", views.limits_about_zero(difference)
        self.difference.show(difference, view.window, title, *ends)
        self._show_notice()

    def _show_notice(self) -> None:
        assert self._view is not None
        lines = []
        for codec, result in zip((self.first, self.second), self._coded(), strict=True):
            error = self._errors.get((self._view.key, codec.value))
            if error:
                lines.append(f"<p class='error'>{html.escape(error)}</p>")
            elif result and result.bits and result.bits.costs is None:
                n = result.bits.block
                lines.append(
                    f"<p><b>{html.escape(codec.value)}</b> does not say what a sample costs: its map is of blocks of "
                    f"{n} x {n} pixels, all bands, each coded alone with its headers. Both maps are then means over "
                    "the bands.</p>"
                )
        self.notice.object = "".join(dict.fromkeys(lines))

    def _show_pixel(self) -> None:
        view, _ = self._of_view()
        row, column = view.pixel
        for picture in self._pictures:
            picture.mark.data = {"x": [column + 0.5], "y": [row + 0.5]}
        _, across = self._across()
        place = view.in_window
        self.spectrum.show("pixel", across, self._spectrum(), f"row {row}, column {column}")
        self.spectrum.show("mean", across, view.cube.mean(axis=(1, 2)), "mean")
        for side, result in enumerate(self._coded()):
            bits = None if result is None else result.bits
            costs = None if bits is None else bits.costs
            name = "" if result is None else result.codec
            at = None if costs is None or place is None else costs[:, *place]
            self.bits_by_band.show(f"{side} pixel", across, at, f"{name}, pixel")
            self.bits_by_band.show(
                f"{side} mean", across, None if costs is None else exports.mean_costs(costs), f"{name}, mean"
            )
        without = [result.codec for result in self._coded() if result and result.bits and result.bits.costs is None]
        self.bits_by_band.plot.title.text = "bits by band" + (
            f" (not known of {', '.join(without)})" if without else ""
        )

    def _spectrum(self) -> np.ndarray:
        """Samples of all bands at the pixel."""
        assert self._view is not None
        row, column = self._view.pixel
        return self._view.scene.cut((slice(None), slice(row, row + 1), slice(column, column + 1)))[:, 0, 0]

    def _show_histogram(self) -> None:
        view, band = self._of_view()
        which, nodata = self.counted.value, None
        if which == HISTOGRAMS[0]:
            values, nodata, mapper = view.cube[band], view.scene.nodata, self.samples.mapper
        elif which == HISTOGRAMS[1]:
            values, mapper = views.residuals(view.cube, band, self.predictor.value), self.residuals.mapper
        else:
            side = HISTOGRAMS.index(which) - 2
            image = self._compared()[side]
            values, mapper = np.zeros(0) if image is None else image, self.bits[side].mapper
        counts, edges, outside = views.histogram(values, nodata)
        beyond = f"; {outside} further out" if outside else ""
        self.bars.show(counts, edges, (mapper.low, mapper.high), f"{which}: {values.size - outside} values{beyond}")

    def _show_sections(self) -> None:
        view, _ = self._of_view()
        rows, results = [], [result for result in self._coded() if result]
        for name in dict.fromkeys(name for result in results for name in result.sections):
            rows.append((name, [result.sections.get(name) for result in results]))
        rows.append(("all", [len(result.stream) for result in results]))
        head = "".join(f"<th>{html.escape(result.codec)}, bytes</th><th>bits per sample</th>" for result in results)
        body = ""
        for name, sizes in rows if results else []:
            cells = "".join(
                "<td></td><td></td>" if size is None else f"<td>{size:,}</td><td>{8 * size / view.cube.size:.4f}</td>"
                for size in sizes
            )
            body += f"<tr class='{'all' if name == 'all' else ''}'><td>{html.escape(name)}</td>{cells}</tr>"
        shape = " x ".join(map(str, view.cube.shape))
        what = f"<p>{html.escape(str(view.window))}: {shape} {view.cube.dtype}, {view.cube.nbytes:,} bytes"
        took = ", ".join(f"{html.escape(result.codec)} {result.seconds:.2f} s" for result in results)
        table = f"<table class='sections'><tr><th>section</th>{head}</tr>{body}</table>" if results else ""
        self.sections.object = f"{what}{'; encoded in: ' + took if took else ''}</p>{table}"
        self.downloads["csv"].filename = f"bands-row{view.pixel[0]}-column{view.pixel[1]}.csv"
        for side, result in zip(("first", "second"), self._coded(), strict=True):
            self.downloads[side].disabled = result is None
            if result:
                self.downloads[side].filename = result.codec + result.suffix

    # --- what can be taken away ---

    def _png(self) -> io.BytesIO:
        view, band = self._of_view()
        image, _, wanted = self._composite()
        window = view.window
        shown = [exports.Map(image, f"bands {', '.join(map(str, wanted))}, whole cube")]
        left = views.residuals(view.cube, band, self.predictor.value)
        images = [view.cube[band], left, *self._compared()[:3]]
        for picture, numbers in zip(self._pictures[1:], images, strict=True):
            assert isinstance(picture, plots.Picture)
            if numbers is not None:
                ends = picture.mapper.low, picture.mapper.high
                shown.append(exports.Map(numbers, picture.plot.title.text, *ends, picture.palette))
        name = self._sources[self.cube.value].name
        return io.BytesIO(exports.maps_png(shown, f"{name}\n{window}, {self._short(band)}"))

    def _csv(self) -> io.StringIO:
        view, _ = self._of_view()
        results = [result for result in self._coded() if result]
        return io.StringIO(
            exports.spectra_csv(self._spectrum(), view.cube, view.in_window, view.scene.wavelengths, results)
        )

    def _stream(self, side: int) -> io.BytesIO:
        result = self._coded()[side]
        return io.BytesIO(b"" if result is None else result.stream)
