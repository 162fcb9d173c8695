"""The explorer as people have it: `lhic explore` with a file, in a browser."""

import io
import json
import re

import numpy as np
import pytest

import lhic

explorer = pytest.importorskip("benchmarks.study.explorer_speed")

pytestmark = pytest.mark.slow

N_BANDS, N_ROWS, N_COLUMNS = 12, 40, 60
SIZES = [(1440, 900), (900, 700)]
NAME = "a-cube-with-a-name-as-long-as-those-of-patches-of-ENMAP01-____L2A-DT0000004950_20221103T162438Z_001.npy"


DEEP_TEXT = """element => {
    const text = node => [node.shadowRoot, ...node.childNodes].filter(each => each && each.nodeName !== "STYLE")
        .map(each => each.nodeType === Node.TEXT_NODE ? each.textContent : text(each)).join(" ")
    return text(element)
}"""


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(N_BANDS) * 90, np.add.outer(np.arange(N_ROWS) * 4, np.arange(N_COLUMNS) * 2))
    return (ramp + rng.integers(-9, 10, ramp.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def page(browser_page, cube, tmp_path_factory):
    """The explorer with the two codecs that it begins with, both done; `page.problems` is what went wrong."""
    folder = tmp_path_factory.mktemp("explored")
    np.save(folder / NAME, cube)
    metadata = {"wavelengths": np.linspace(450, 2300, N_BANDS).tolist()}
    (folder / "bands.json").write_text(json.dumps(metadata))
    browser_page.problems = []
    browser_page.set_default_timeout(60_000)
    browser_page.on("pageerror", lambda error: browser_page.problems.append(str(error)))
    browser_page.on("requestfailed", lambda request: browser_page.problems.append(request.url))
    with explorer.explored(str(folder / NAME), "--metadata", str(folder / "bands.json")) as address:
        browser_page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        browser_page.goto(address)
        browser_page.wait_for_selector(explorer.READY, timeout=180_000)  # kernels may have to be compiled
        yield browser_page


def of(page, expression):
    """Of the page's models."""
    return page.evaluate(
        f"() => {{ const of = name => Bokeh.documents[0].get_model_by_name(name); return {expression} }}"
    )


def wait_for(page, expression):
    page.wait_for_function(
        f"() => {{ const of = name => Bokeh.documents[0].get_model_by_name(name); return {expression} }}"
    )


def done(page):
    page.wait_for_timeout(300)
    page.wait_for_selector(explorer.READY)


@pytest.mark.parametrize("size", SIZES)
def test_all_of_it_fits_the_window_and_nothing_is_cut_off(page, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_timeout(500)
    assert page.problems == [], "no error, and nothing asked of the network"
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    assert page.locator(".bk-Canvas").count() == 9
    for menu in page.locator("select").all():
        room, needed = menu.evaluate("""menu => {
            const style = getComputedStyle(menu), text = document.createElement("canvas").getContext("2d")
            text.font = style.font
            const widths = [...menu.options].map(option => text.measureText(option.text).width)
            return [menu.clientWidth - parseFloat(style.paddingLeft) - 16, Math.max(...widths)]
        }""")
        assert needed <= room, menu.evaluate("menu => [...menu.options].map(option => option.text)")
    assert page.locator(".noUi-target").first.bounding_box()["width"] > 0.9 * size[0]
    codecs = page.get_by_label("first codec").evaluate("menu => [...menu.options].map(option => option.text)")
    assert codecs == sorted(codecs) and {"lhic-ax", "ccsds123-p3"} <= set(codecs)


def test_pictures_have_the_colours_of_the_cube(page):
    """What stands on the screen, not what was sent."""
    image = pytest.importorskip("PIL.Image")
    page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
    page.mouse.move(5, 5)
    for number in range(6):
        left, top, width, height = explorer.frame_of(page, number)
        clip = {"x": left + 2, "y": top + height * 0.2, "width": width - 4, "height": height * 0.6}
        shot = io.BytesIO(page.screenshot(clip=clip))
        pixels = np.asarray(image.open(shot).convert("RGB")).reshape(-1, 3)
        assert len(np.unique(pixels, axis=0)) > 20, number


def test_it_answers_to_every_choice(page):
    """And in how long, which is not for a test to judge on a busy machine: see results/explorer."""
    for codec in ("lhic-ax-fast", "ccsds123-p3"):
        explorer.second(page, codec)
    times = explorer.measured(page, ("lhic-ax-fast", "ccsds123-p3"), 2)
    assert all(0 < ms < 5000 for action in times.values() for ms in action), times
    table = explorer.rows(times, "1")
    assert "| next band |" in explorer.summary(table)
    assert list(table["action"]) == list(times) and (table["n"] == 2).all() and (table["median_ms"] > 0).all()


def test_values_are_shown_under_the_pointer(page, cube):
    left, top, width, height = explorer.frame_of(page, 1)
    page.mouse.move(left + width * 0.5, top + height * 0.5)
    page.wait_for_selector("text=row, column")
    text = page.locator(".bk-Tooltip", has_text="row, column").evaluate(DEEP_TEXT)
    row, column = map(int, re.search(r"row, column:?\s*(\d+), (\d+)", text).groups())
    band = int(re.search(r"band (\d+)", of(page, "of('samples').title.text"))[1])
    assert int(re.search(r"sample:?\s*(-?[\d,]+)", text)[1].replace(",", "")) == cube[band, row, column]
    page.mouse.move(5, 5)


def test_all_pictures_zoom_together(page):
    before = of(page, "[of('difference').x_range.start, of('difference').x_range.end]")
    left, top, width, height = explorer.frame_of(page, 1)
    page.mouse.move(left + width / 2, top + height / 2)
    page.mouse.wheel(0, -400)
    wait_for(page, f"of('difference').x_range.end - of('difference').x_range.start < {(before[1] - before[0]) * 0.9}")
    ranges = of(page, "[of('samples'), of('colours'), of('bits 1')].map(e => [e.x_range.start, e.x_range.end])")
    assert ranges[0] == ranges[1] == ranges[2]
    page.locator("[title='Show all'], .bk-tool-icon-reset").first.click()
    wait_for(page, f"of('samples').x_range.start == {before[0]} && of('samples').x_range.end == {before[1]}")


def test_a_dragged_rectangle_is_what_codecs_code(page, cube, tmp_path):
    page.locator("[title^='Crop'], .bk-tool-icon-box-select").first.click()
    left, top, width, height = explorer.frame_of(page, 1)
    page.mouse.move(left + width * 0.3, top + height * 0.4)
    page.mouse.down()
    page.mouse.move(left + width * 0.5, top + height * 0.5)
    page.mouse.move(left + width * 0.7, top + height * 0.6)
    page.mouse.up()
    page.wait_for_selector("text=/rows [1-9]/")
    done(page)
    text = page.locator("p", has_text="rows ").first.inner_text()
    row, last_row, column, last_column = map(
        int, re.match(r"rows (\d+) to (\d+), columns (\d+) to (\d+)", text).groups()
    )
    part = cube[:, row : last_row + 1, column : last_column + 1]
    assert 3 < part.shape[1] < N_ROWS and 3 < part.shape[2] < N_COLUMNS
    with page.expect_download() as download:
        page.get_by_text("first stream").click()
    download.value.save_as(tmp_path / "part.lhic")
    assert download.value.suggested_filename == "lhic-ax.lhic"
    assert np.array_equal(lhic.decode(tmp_path / "part.lhic"), part)
    page.get_by_text("whole cube").click()
    page.wait_for_selector(f"text=rows 0 to {N_ROWS - 1}, columns 0 to {N_COLUMNS - 1}")
    assert of(page, "of('bits 0').renderers[0].data_source.data.image.length") == 1, "known from before"


def test_maps_and_tables_can_be_taken_away(page, tmp_path):
    for label, beginning in (("maps, PNG", b"\x89PNG"), ("bands, CSV", b"band,wavelength_nm,sample,mean_sample,bits_")):
        with page.expect_download() as download:
            page.get_by_text(label).click()
        download.value.save_as(tmp_path / "taken")
        assert (tmp_path / "taken").read_bytes().startswith(beginning)
    assert page.problems == []
