"""What more threads are worth to lhic-ax: one tile, and a scene of 64 tiles, on 1, 2, 4, .. threads.

The tile is the bundled patch; the scene is made of its mirror images, in tiles a quarter as large.  Counts that the
machine has no cores for are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.large_scene import mirrored
from benchmarks.experiments.runs import origin, written
from benchmarks.measure import provenance
from benchmarks.measure.throughput import median_s
from lhic.data import open_dataset
from lhic.errors import VerificationError
from lhic.settings import read_yaml

HEAD = ("samples", "model", "threads", "encode, MS/s", "decode, MS/s", "times one thread: encode", "decode")


def measure_threads(config_path: Path, out: Path) -> list[dict]:
    """Encode and decode on each number of threads; rows go to `out`.

    Raises
    ------
    VerificationError
        What comes back is not what was encoded.
    """
    settings = read_yaml(config_path)
    patch = open_dataset("bundled")[0].load()
    n_tiles, side = settings["tiles"], settings["tile"]
    rows, columns = (mirrored(np.arange(n_tiles * side), n) for n in patch.shape[1:])
    scene = np.ascontiguousarray(patch[:, rows[:, np.newaxis], columns])
    height, width = patch.shape[1:]
    found: list[dict] = []
    for samples, cube, tile, repeats in (
        (f"one tile of {height} x {width}", patch, (height, width), settings["repeats"]),
        (f"{n_tiles} x {n_tiles} tiles of {side} x {side}", scene, (side, side), 1),
    ):
        for model in tqdm(settings["models"], desc=samples, unit="model"):
            lhic.decode(lhic.encode(cube[:3, :16, :16], model, "cpu"), "cpu")  # compiles
            for count in settings["threads"]:
                if count <= provenance.n_cores():
                    row = {"samples": samples, "n_samples": cube.size, "model": model, "threads": count}
                    found.append(row | measured(cube, model, tile, count, repeats) | origin())
                    written(out, found, threads_table(found))
    return found


def measured(cube: np.ndarray, model: str, tile: tuple[int, int], count: int, repeats: int) -> dict:
    """Seconds and bytes of a cube on so many threads."""

    def encode() -> bytes:
        return lhic.encode(cube, model, "cpu", threads=count, tile_shape=tile)

    def decode() -> np.ndarray:
        return lhic.decode(stream, "cpu", threads=count)

    stream = encode()
    if not np.array_equal(decode(), cube):
        raise VerificationError(f"{model}, {count} threads: expected the samples again, found others")
    seconds = dict(zip(("encode_s", "decode_s"), median_s(encode, decode, repeats)))
    return seconds | {"bytes": len(stream), "repeats": repeats, "cores": provenance.n_cores()}


def threads_table(rows: list[dict]) -> str:
    """Markdown: a line for each row."""
    lines = []
    for row in rows:
        one = next(r for r in rows if (r["samples"], r["model"]) == (row["samples"], row["model"]))
        speeds = [f"{row['n_samples'] / 1e6 / row[key]:.2f}" for key in ("encode_s", "decode_s")]
        gains = [f"{one[key] / row[key]:.2f}" for key in ("encode_s", "decode_s")]
        lines.append([row["samples"], row["model"], str(row["threads"]), *speeds, *gains])
    return markdown(HEAD, lines, right=(2, 3, 4, 5, 6))
