"""How long the explorer takes to answer in a real browser: from an event to the frame after what is shown has changed.

Nothing measured here needs coding: the cube was coded before.  The clock is the browser's, so that the way to the
server and back, drawing and the browser itself are counted.  Needs playwright and a Chromium.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import provenance
from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY
from lhic.errors import BackendError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOLDER = "results/explorer"
# Resolves to milliseconds from the next event to the frame after an expression about the page has changed.
TIMED = """shown => {
    const of = name => Bokeh.documents[0].get_model_by_name(name)
    const value = new Function("of", "return " + shown)
    const before = value(of)
    window.answered = new Promise((resolve, reject) => {
        let start = null
        setTimeout(() => reject(new Error("no answer to what changes " + shown)), 20_000)
        for (const event of ["pointerdown", "keydown", "input"])
            window.addEventListener(event, () => { start ??= performance.now() }, {capture: true, once: true})
        const look = () => start !== null && value(of) !== before
            ? requestAnimationFrame(() => resolve(performance.now() - start)) : requestAnimationFrame(look)
        look()
    })
}"""
READY = "span.ready"


def click_in(page: Any, number: int, x: float, y: float) -> None:
    """In a picture, by its number from the upper left; x and y in parts of its frame."""
    left, top, width, height = frame_of(page, number)
    page.mouse.click(left + x * width, top + y * height)


def frame_of(page: Any, number: int) -> tuple[float, float, float, float]:
    """Left, top, width and height of a picture's frame on the screen."""
    name = ("colours", "samples", "residuals", "bits 0", "bits 1", "difference")[number]
    found = page.evaluate(
        """name => {
            const find = views => { for (const view of views) {
                if (view.model.name === name) return view
                const inner = find(view.child_views ?? [])
                if (inner) return inner
            } }
            const view = find(Object.values(Bokeh.index.roots ?? Bokeh.index))
            const {left, top} = view.canvas_view.el.getBoundingClientRect()
            const {x, y, width, height} = view.frame.bbox
            return [left + x, top + y, width, height]
        }""",
        name,
    )
    return tuple(found)


def choose(page: Any, label: str, option: str) -> None:
    """In a menu."""
    page.get_by_label(label, exact=True).select_option(label=option)


def actions(page: Any, codecs: tuple[str, str]) -> dict[str, tuple[Callable[[int], None], str]]:
    """What is done, given how often before, and what of the page changes then."""
    slider = page.locator(".noUi-handle")
    residuals = ("spatial neighbours", "previous band, fitted")
    colours = ("short-wave infrared", "natural colour")
    which = ("residuals", "samples")
    return {
        "next band": (lambda n: slider.nth(0).press("ArrowRight"), "of('samples').title.text"),
        "another pixel": (
            lambda n: click_in(page, 1, 0.2 + 0.05 * (n % 10), 0.3),
            "of('samples').renderers[1].data_source.data.x[0]",
        ),
        "other residuals": (lambda n: choose(page, "residuals after", residuals[n % 2]), "of('residuals').title.text"),
        "other colours": (lambda n: choose(page, "colours", colours[n % 2]), "of('colours').title.text"),
        "stretch": (lambda n: slider.nth(1).press("ArrowRight"), "of('colours').renderers[0].data_source.data"),
        "histogram": (lambda n: choose(page, "histogram of", which[n % 2]), "of('histogram').title.text"),
        "a codec that has coded the cube": (
            lambda n: choose(page, "second codec", codecs[n % 2]),
            "of('bits 1').title.text",
        ),
    }


def measured(page: Any, codecs: tuple[str, str], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each action.

    page : shows the explorer, all codecs have coded
    codecs : that the second can be, of which it is not the first now
    """
    found: dict[str, list[float]] = {}
    for name, (act, shown) in actions(page, codecs).items():
        for n in range(repeats):
            page.evaluate(TIMED, shown)
            act(n)
            found.setdefault(name, []).append(page.evaluate("() => window.answered"))
            page.wait_for_selector(READY)
    return found


@contextmanager
def explored(*arguments: str) -> Iterator[str]:
    """Address of a page of ``lhic explore`` with these arguments, which runs meanwhile."""
    command = [sys.executable, "-m", "lhic", "explore", "--no-browser", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("http"):
            raise BackendError(f"{' '.join(command)}: expected an address, found {line!r}")
        yield line.split()[0]
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def bench_explorer(repeats: int) -> pd.DataFrame:
    """Measure on the bundled patch; the rows go to results/explorer/.

    Raises
    ------
    BackendError
        No browser, or no playwright.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise BackendError(f"explorer: expected a browser, one of {', '.join(BROWSERS)}, found none")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise BackendError(
            f"explorer: expected playwright, found {error}; pip install 'lhic[test]' brings it"
        ) from None
    with explored() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector(READY)
        codecs = ("lhic-ax-fast", "ccsds123-p3")
        choose(page, "second codec", codecs[0])
        page.wait_for_selector("span.busy")
        page.wait_for_selector(READY)
        choose(page, "second codec", codecs[1])
        page.wait_for_timeout(1000)
        times, browser_version = measured(page, codecs, repeats), browser.version
        browser.close()
    table = rows(times, browser_version)
    write_file(REPOSITORY / FOLDER / "rows.csv", table.to_csv(index=False, float_format="%.1f"))
    return table


def rows(times: dict[str, list[float]], browser: str) -> pd.DataFrame:
    """Medians and 80 % quantiles by action, ms, and what they were measured on.

    times : milliseconds by action, as `measured` gives them;  browser : its version
    """
    table = pd.DataFrame(
        [
            {"action": action, "n": len(ms), "median_ms": np.median(ms), "p80_ms": np.percentile(ms, 80)}
            for action, ms in times.items()
        ]
    )
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("panel", "bokeh"))
    where = {"machine": provenance.machine(), "cores": provenance.n_cores(), "browser": f"Chromium {browser}"}
    return table.assign(**where, libraries=libraries, date=provenance.now(), commit=provenance.commit())
