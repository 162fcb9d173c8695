"""The explorer without a browser: what widgets do to what is drawn."""

import io
import threading

import numpy as np
import pytest

import lhic
from lhic.data import Item
from lhic.errors import UsageError
from lhic.explore import coding, cubes, views
from lhic.explore.views import Window
from lhic.explore.worker import Worker
from tests.benchmarks.broken_codecs import Raw, Refuses

app = pytest.importorskip("lhic.explore.app")

WAVELENGTHS = [450.0, 550.0, 650.0, 860.0, 1650.0, 2200.0]


class Counted(Raw):
    """Counts the whole cubes that it codes, and waits where a test wants it to."""

    def __init__(self):
        self.name, self.coded, self.go = "counted", [], threading.Event()
        self.go.set()

    def encode(self, cube):
        assert self.go.wait(60)
        if min(cube.shape[1:]) > coding.BLOCK:
            self.coded.append(cube.shape)
        return super().encode(cube)


@pytest.fixture
def cube():
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(6) * 100, np.add.outer(np.arange(30) * 3, np.arange(40)))
    return (ramp + rng.integers(-9, 10, ramp.shape)).astype(np.int16)


def sources(*named):
    found = []
    for name, samples, wavelengths in named:
        metadata = {"wavelengths": wavelengths} if wavelengths else {}
        found.append(cubes.of_item(Item(name, None, "unknown", lambda s=samples: s, lambda m=metadata: m)))
    return found


def made(named, codecs, first=None, second=app.NOBODY, **options):
    explorer = app.Explorer(sources(*named), codecs, first or next(iter(codecs)), second, **options)
    assert explorer.wait(400)
    return explorer


@pytest.fixture
def explorer(cube):
    codecs = {"raw": Raw, **{name: coding.own_codecs()[name] for name in ("lhic-ax-fast", "ccsds123-p3")}}
    return made([("a", cube, WAVELENGTHS), ("b", cube[:2] + 100, None)], codecs, "lhic-ax-fast", "ccsds123-p3")


def shown(picture):
    return picture.source.data["image"][0]


def test_everything_is_drawn_from_the_start(explorer, cube):
    band = 2  # nearest to 640 nm
    assert np.array_equal(shown(explorer.samples), cube[band])
    assert np.array_equal(shown(explorer.residuals), views.residuals(cube, band, "previous band, fitted"))
    first, second = (explorer._results.get(coding.digest(cube), name) for name in ("lhic-ax-fast", "ccsds123-p3"))
    assert np.array_equal(shown(explorer.bits[0]), first.bits.costs[band])
    assert np.array_equal(shown(explorer.bits[1]), second.bits.costs[band])
    assert np.allclose(shown(explorer.difference), second.bits.costs[band] - first.bits.costs[band])
    assert explorer.bits[0].mapper.high == explorer.bits[1].mapper.high, "one scale"
    assert explorer.composite.plot.title.text == "colours of bands 2, 1, 0"
    assert f"<td>{len(first.stream):,}</td>" in explorer.sections.object
    assert f"<td>{len(second.stream):,}</td>" in explorer.sections.object
    assert explorer.status.object == "<span class='ready'>ready</span>" and not explorer.spinner.value
    assert len({id(picture.plot.x_range) for picture in explorer._pictures}) == 1, "they move together"
    assert "650.0 nm" in explorer.band.label
    assert list(explorer.first.options) == sorted(explorer.first.options)


def test_a_band_moves_samples_residuals_bits_and_histogram(explorer, cube):
    explorer.band.value = 4
    assert np.array_equal(shown(explorer.samples), cube[4])
    assert "band 4" in explorer.bits[0].plot.title.text and explorer.spectrum.band.location == 1650
    counts = explorer.bars.source.data["n"]
    explorer.counted.value = "residuals"
    assert not np.array_equal(counts, explorer.bars.source.data["n"])
    explorer.predictor.value = "spatial neighbours"
    assert np.array_equal(shown(explorer.residuals), views.residuals(cube, 4, "spatial neighbours"))
    for which in app.HISTOGRAMS:
        explorer.counted.value = which
        assert which in explorer.bars.plot.title.text and explorer.bars.source.data["n"].sum() > 1000


def test_a_click_shows_the_pixels_spectrum_and_its_bits(explorer, cube):
    explorer.click(7, 11)
    assert list(explorer.spectrum.sources["pixel"].data["y"][:4]) == list(cube[:4, 7, 11])
    assert explorer.samples.mark.data == {"x": [11.5], "y": [7.5]}
    costs = explorer._results.get(coding.digest(cube), "ccsds123-p3").bits.costs
    found = explorer.bits_by_band.sources["1 pixel"].data
    assert np.array_equal(found["y"][~np.isnan(found["y"])], costs[:, 7, 11])
    explorer.click(30, 0)
    assert explorer.samples.mark.data == {"x": [11.5], "y": [7.5]}, "outside"


def test_colours_are_chosen_by_wavelength_or_by_hand(explorer):
    explorer.preset.value = "short-wave infrared"
    assert explorer.composite.plot.title.text == "colours of bands 5, 4, 3"
    assert [place.value for place in explorer.places] == [2200, 1650, 860]
    assert explorer.preset.value == "short-wave infrared"
    explorer.places[1].value = 500
    assert explorer.preset.value == app.OWN
    assert explorer.composite.plot.title.text in ("colours of bands 5, 0, 3", "colours of bands 5, 1, 3")
    before = shown(explorer.composite)
    explorer.stretch.value = (20, 80)
    assert not np.array_equal(before, shown(explorer.composite))


def test_a_cube_without_wavelengths_is_shown_by_band_numbers(explorer, cube):
    explorer.band.value = 5
    explorer.cube.value = 1
    assert explorer.wait(60)
    assert explorer.band.end == 1 and explorer.spectrum.plot.xaxis.axis_label == "band"
    assert explorer.preset.options == [app.OWN] and explorer.places[0].label == "red, band"
    assert np.array_equal(shown(explorer.samples), (cube[:2] + 100)[explorer.band.value])
    explorer.cube.value = 0
    assert explorer.wait(60) and explorer.places[0].label == "red, nm" and len(explorer.preset.options) > 1


def test_each_cube_is_coded_once_by_each_codec(cube):
    codec = Counted()
    explorer = made([("a", cube, WAVELENGTHS)], {"counted": lambda: codec, "raw": Raw}, "counted", "raw")
    assert codec.coded == [cube.shape]
    explorer.band.value = 3
    explorer.second.value = "counted"
    explorer.first.value = "raw"
    explorer.crop_to(Window(2, 22, 5, 25))
    assert explorer.wait(60) and codec.coded == [cube.shape, (6, 20, 20)]
    explorer.crop_to(None)
    explorer.first.value = "counted"
    assert explorer.wait(60) and codec.coded == [cube.shape, (6, 20, 20)]


def test_a_crop_is_what_codecs_get_and_pictures_look_at(explorer, cube):
    explorer._dragged((4.4, 20.2), (25.0, 3.5))
    assert explorer.wait(60)
    part = np.ascontiguousarray(cube[:, 3:25, 4:21])
    assert np.array_equal(shown(explorer.samples), part[2])
    assert f"<td>{len(lhic.encode(part, 'lhic-ax-fast')):,}</td>" in explorer.sections.object
    assert (explorer.axes.x.start, explorer.axes.x.end) == (1.5, 23.5), "square pixels, the crop in the middle"
    assert shown(explorer.composite).shape == cube.shape[1:], "the whole stays in view around it"
    explorer.click(29, 39)
    assert explorer.spectrum.sources["pixel"].data["y"][0] == cube[0, 29, 39]
    assert not explorer.bits_by_band.lines["0 pixel"].visible, "nothing was coded there"
    explorer.whole.clicks += 1
    assert explorer.wait(60) and shown(explorer.samples).shape == cube.shape[1:]


def test_crop_and_large_scenes_begin_in_the_middle(cube):
    explorer = made([("a", cube, None)], {"raw": Raw}, crop=16)
    assert shown(explorer.samples).shape == (16, 16) and "rows 7 to 22, columns 12 to 27" in explorer.sections.object


def test_work_is_seen_and_does_not_stop_the_rest(cube):
    codec = Counted()
    codec.go.clear()
    explorer = app.Explorer(sources(("a", cube, WAVELENGTHS)), {"counted": lambda: codec}, "counted", app.NOBODY)
    while "coding with counted" not in explorer.status.object:
        threading.Event().wait(0.01)
    assert explorer.spinner.value and not explorer.wait(0)
    explorer.band.value = 1
    assert np.array_equal(shown(explorer.samples), cube[1]) and not codec.coded
    codec.go.set()
    assert explorer.wait(60) and "ready" in explorer.status.object and codec.coded


def test_what_is_no_longer_wanted_is_not_coded(cube):
    slow, other = Counted(), Counted()
    slow.go.clear()
    codecs = {"counted": lambda: slow, "other": lambda: other, "raw": Raw}
    explorer = app.Explorer(sources(("a", cube, None)), codecs, "counted", app.NOBODY)
    while "coding with counted" not in explorer.status.object:
        threading.Event().wait(0.01)
    explorer.second.value = "other"
    explorer.second.value = "raw"
    slow.go.set()
    assert explorer.wait(60) and not other.coded and "raw" in explorer.bits[1].plot.title.text


def test_a_codec_without_costs_of_samples_says_so(cube):
    codecs = {"raw": Raw, "ccsds123-p3": coding.StandardCodec}
    explorer = made([("a", cube, WAVELENGTHS)], codecs, "ccsds123-p3", "raw")
    assert "<b>raw</b> does not say what a sample costs" in explorer.notice.object
    assert explorer.bits[1].plot.title.text.endswith("all bands") and "all bands" in explorer.bits[0].plot.title.text
    assert "not known of raw" in explorer.bits_by_band.plot.title.text
    explorer.second.value = app.NOBODY
    assert explorer.notice.object == "" and "band 2" in explorer.bits[0].plot.title.text


class Broken(Raw):
    def encode(self, cube):
        raise ZeroDivisionError("of <all> things")


@pytest.mark.parametrize(
    ("codec", "message"),
    [(Refuses, "raw: expected something else"), (Broken, "bad: ZeroDivisionError: of &lt;all&gt; things")],
)
def test_a_codec_that_fails_is_said_in_its_line_and_the_page_goes_on(cube, codec, message):
    explorer = made([("a", cube, None)], {"bad": codec, "raw": Raw}, "bad", "raw")
    assert f"<p class='error'>{message}" in explorer.notice.object
    assert explorer.bits[0].plot.title.text == "bad" and "bits" in explorer.bits[1].plot.title.text
    explorer.band.value = 1
    assert np.array_equal(shown(explorer.samples), cube[1])


def test_a_cube_that_cannot_be_read_is_said_and_others_can_be_chosen(cube):
    def broken():
        raise lhic.LhicError("a.npy: expected samples, found none")

    bad = cubes.CubeSource("bad", broken)
    explorer = app.Explorer([bad, *sources(("a", cube, None))], {"raw": Raw}, "raw", app.NOBODY)
    assert explorer.wait(60) and "a.npy: expected samples" in explorer.notice.object
    explorer.band.value = 1
    explorer.click(1, 1)
    explorer.cube.value = 1
    assert explorer.wait(60) and shown(explorer.samples).shape == cube.shape[1:]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 4), (3, 1, 9), (4, 300, 2)])
def test_cubes_of_odd_shapes_are_shown(shape):
    odd = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    explorer = made([("a", odd, None)], {"raw": Raw, "ccsds123-p3": coding.StandardCodec}, "raw", "ccsds123-p3")
    assert "ready" in explorer.status.object and shown(explorer.samples).size and "error" not in explorer.notice.object


def test_what_is_downloaded(explorer, cube):
    explorer.click(7, 11)
    assert explorer._png().read(4) == b"\x89PNG"
    lines = explorer._csv().read().splitlines()
    assert len(lines) == 7 and lines[1].startswith(f"0,450.0,{cube[0, 7, 11]},")
    assert np.array_equal(lhic.decode(explorer._stream(0).read()), cube)
    assert explorer.downloads["first"].filename == "lhic-ax-fast.lhic"
    assert explorer.downloads["second"].filename == "ccsds123-p3.bin" and not explorer.downloads["second"].disabled
    explorer.second.value = app.NOBODY
    assert explorer.downloads["second"].disabled and isinstance(explorer._stream(1), io.BytesIO)


def test_codecs_and_cubes_that_are_not_there_are_refused(cube):
    with pytest.raises(UsageError, match="expected one of raw, found 'none'"):
        app.Explorer(sources(("a", cube, None)), {"raw": Raw}, "none")
    with pytest.raises(UsageError, match="expected a cube"):
        app.Explorer([], {"raw": Raw}, "raw", app.NOBODY)


def test_the_worker_goes_on_after_a_job_that_fails():
    worker, done = Worker(), threading.Event()
    worker.submit(lambda: 1 // 0)
    worker.submit(done.set)
    assert done.wait(60)


def test_nothing_is_coded_for_a_page_that_was_closed(cube):
    codec = Counted()
    codec.go.clear()
    explorer = app.Explorer(sources(("a", cube, None)), {"counted": lambda: codec}, "counted", app.NOBODY)
    while "coding with counted" not in explorer.status.object:
        threading.Event().wait(0.01)
    explorer._close(None)
    codec.go.set()
    done = threading.Event()
    explorer._worker.submit(done.set)
    assert done.wait(60) and not explorer.bits[0].source.data["image"], "its map would have been next"
