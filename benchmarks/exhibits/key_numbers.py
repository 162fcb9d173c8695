"""The numbers that the README begins with, from committed rows: ``results/key_numbers.md``.

Each line compares on like terms: the same cubes, one thread beside one thread, all cores beside all cores.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.exhibits.tables import markdown
from benchmarks.measure.rows import read_rows

MODEL = "lhic-ax-unseen"
BEST = "ccsds123-best"
WAYS = "encode", "decode"
HEAD = ("", "lhic-ax", "beside it", "measured on")


def key_numbers(results: Path) -> str:
    """The table as Markdown.

    results : folder with the committed `cross_validation` and `small`
    """
    return markdown(HEAD, [_unseen(results), *_patch(results / "small"), *_speeds(results / "small")])


def _unseen(results: Path) -> tuple[str, ...]:
    rows = pd.read_csv(results / "cross_validation" / "rows.csv")
    scenes, sensors = (rows[rows["kind"] == kind]["ratio"] for kind in ("scenes", "sensors"))
    fewer = f"**{_saving(scenes.mean())}** and {_saving(sensors.mean())} fewer bits; {_every(rows['ratio'])}"
    cubes = f"scenes ({len(scenes)} cubes) and sensors ({len(sensors)} cubes) that were left out of the training"
    return "size, mean", fewer, "smallest of six CCSDS-123 streams of each cube", cubes


def _every(ratios: pd.Series) -> str:
    n_smaller = int((ratios < 1).sum())
    return "fewer on every cube" if n_smaller == len(ratios) else f"fewer on {n_smaller} of {len(ratios)}"


def _patch(folder: Path) -> list[tuple[str, ...]]:
    rows = read_rows(folder).set_index(["codec", "form"])
    changes, needs = [], []
    for form, words in (("as-measured", "as measured"), ("clipped", "clipped to [0, 10000]")):
        own, best = rows.loc[(MODEL, form)], rows.loc[(BEST, form)]
        changes.append(f"{_saving(own['bytes'] / best['bytes'])} fewer bits {words}")
    for codec in (MODEL, "ccsds123-p3"):
        row = rows.loc[(codec, "as-measured")]
        needs.append(f"{(row['peak_rss_bytes'] - row['baseline_rss_bytes']) / 2**20:.0f} MiB")
    shape = " x ".join(str(row[axis]) for axis in ("bands", "rows", "columns"))
    patch = f"the bundled EnMAP patch, {shape}: dark, noisy water"
    return [
        ("size", ", ".join(changes), "smallest of six CCSDS-123 streams", patch),
        ("memory for coding", needs[0], f"CCSDS-123, P = 3: {needs[1]}", "the same, as measured"),
    ]


def _speeds(folder: Path) -> list[tuple[str, ...]]:
    rows = read_rows(folder).set_index(["codec", "form"])

    def speed(codec: str, which: str = "") -> str:
        row = rows.loc[(codec, "as-measured")]
        return " / ".join(f"{row['n_samples'] / row[f'{way}{which}_s'] / 1e6:#.2g}".rstrip(".") for way in WAYS)

    own = rows.loc[(MODEL, "as-measured")]
    presets = ", ".join(f"{name} {speed(f'lhic-ax-{name}-unseen', '_all')}" for name in ("fast", "turbo"))
    one = f"CCSDS-123, P = 3: {speed('ccsds123-p3')}; RLS: {speed('rls-k20')}"
    beside = f"JPEG-LS: {speed('jpeg-ls-bands', '_all')}; JPEG XL, effort 7: {speed('jpeg-xl-e7-bands', '_all')}"
    return [
        ("encode / decode, one thread, MS/s", speed(MODEL), one, f"the same; {own['machine']}"),
        (f"encode / decode, {own['cores']} cores, MS/s", f"{speed(MODEL, '_all')}; {presets}", beside, "the same"),
    ]


def _saving(ratio: float) -> str:
    return f"{100 * (1 - ratio):.1f} %"
