"""A scene as large as EnMAP's, 1000 x 1000 pixels of 224 bands: there and back in bounded memory, and reads of parts.

The scene is put together block by block from the bundled patch and its mirror images, so that neighbours meet; tiles
of a stream know nothing of each other, and gain nothing by it.  Commands run in processes of their own, whose greatest
resident memory the system tells; the reads are those of `benchmarks.experiments.windows`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.exhibits.tables import markdown
from benchmarks.experiments import windows
from benchmarks.experiments.runs import origin, written
from benchmarks.measure.provenance import REPOSITORY
from lhic.data import hyspecnet
from lhic.errors import VerificationError

N_ROWS = N_COLUMNS = 1000
STREAMS = (
    ("lhic-ax-unseen", 64),
    ("lhic-ax-turbo-unseen", 64),
)
"""Models, and rows and columns of their tiles."""
BUDGET = 256 << 20
"""Bytes: LHIC_MEMORY_BUDGET of the commands, which Python and the kernels come on top of."""
STRIP = 128  # rows of a block that is written or compared
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process between: the system counts the memory of the one that starts a command as the command's own."""
HEAD = ("command", "bits per sample", "seconds", "MS/s", "peak of resident memory, MiB")


def measure_large_scene(config_path: Path, out: Path) -> list[dict]:
    """Code the scene there and back, and read parts of it; rows go to `out`, those of the reads to ``out/windows``.

    config_path : not needed: there is nothing to set

    Raises
    ------
    VerificationError
        The GeoTIFF that comes back, or a part that is read, is not what was written; or a command failed.
    """
    patch = hyspecnet.read_tif(hyspecnet.find_patches(hyspecnet.bundled_root())[0].tif)
    with tempfile.TemporaryDirectory() as folder:
        return measured(patch, Path(folder), out)


def measured(patch: np.ndarray, folder: Path, out: Path) -> list[dict]:
    """Rows of the scene that is made of a patch (S, H, W); its files go to `folder`."""
    scene = write_scene(patch, folder)
    rows: list[dict] = []
    streams: list[windows.NamedFile] = []
    for model, side in tqdm(STREAMS, desc="large scene", unit="stream"):
        compile_kernels(patch, model, folder)
        stream, again = folder / f"{model}-{side}.lhic", folder / "again.tif"
        encode = ["encode", "scene.tif", stream.name, "--model", model, "--tile", f"{side}x{side}", "--device", "cpu"]
        decode = ["decode", stream.name, again.name, "--device", "cpu"]
        for command in (encode, decode):
            seconds, peak_bytes = run(command, folder)
            row = {"command": f"lhic {' '.join(command)}", "shape": str(scene.shape), "budget_bytes": BUDGET}
            row |= {"file_bytes": stream.stat().st_size, "bps": 8 * stream.stat().st_size / scene.size}
            row |= {"seconds": seconds, "ms_per_s": scene.size / seconds / 1e6, "peak_bytes": peak_bytes}
            rows.append(row | origin())
            written(out, rows, large_scene_table(rows))
        check_same(folder / "scene.tif", again)
        again.unlink()
        streams.append(windows.of_stream(model, side, stream))
    windows.measured(scene, [*streams, *windows.others(scene, folder)], out / "windows")
    return rows


def compile_kernels(patch: np.ndarray, model: str, folder: Path) -> None:
    """Have what a model needs compiled before it is measured."""
    np.save(folder / "corner.npy", patch[:, :16, :16])
    run(["encode", "corner.npy", "corner.lhic", "--force", "--model", model, "--device", "cpu"], folder)
    run(["decode", "corner.lhic", "--force", "--device", "cpu"], folder)


def write_scene(patch: np.ndarray, folder: Path) -> np.ndarray:
    """Writes ``scene.tif``, and gives the samples (S, rows, columns), which lie in a file, too."""
    import rasterio

    n_bands, height, width = patch.shape
    shape = n_bands, N_ROWS, N_COLUMNS
    scene = np.lib.format.open_memmap(folder / "scene.npy", "w+", patch.dtype, shape)
    profile = {"driver": "GTiff", "count": n_bands, "height": N_ROWS, "width": N_COLUMNS, "dtype": patch.dtype.name}
    profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "interleave": "band"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 300_000, 0, -30, 5_000_000), "nodata": -32768}
    columns = mirrored(np.arange(N_COLUMNS), width)
    for first in range(0, N_ROWS, STRIP):
        rows = mirrored(np.arange(first, min(first + STRIP, N_ROWS)), height)
        scene[:, first : first + STRIP] = patch[:, rows[:, np.newaxis], columns]
    with rasterio.open(folder / "scene.tif", "w", **profile, **place) as target:
        target.descriptions = [f"band {band + 1}" for band in range(n_bands)]
        for band in range(n_bands):  # blocks of a band by band are compressed once
            target.write(scene[band], band + 1)
    return scene


def mirrored(places: np.ndarray, n: int) -> np.ndarray:
    """Where on an axis of n each place is, if the axis is followed by its mirror image, and so on.

    >>> mirrored(np.arange(8), 3).tolist()
    [0, 1, 2, 2, 1, 0, 0, 1]
    """
    inside = places % (2 * n)
    return np.where(inside < n, inside, 2 * n - 1 - inside)


def run(command: list[str], folder: Path) -> tuple[float, int]:
    """Seconds of a command of lhic, and bytes of memory that were resident at most."""
    environment = {**os.environ, "LHIC_MEMORY_BUDGET": str(BUDGET)}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    started = time.perf_counter()
    with open(folder / "said", "w+") as said:
        arguments = [sys.executable, "-m", "lhic", *command, "--quiet"]
        launcher = [sys.executable, "-c", LAUNCHER, *arguments]
        done = subprocess.run(launcher, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
        seconds = time.perf_counter() - started
        said.seek(0)
        if done.returncode:
            raise VerificationError(f"lhic {command[0]}: expected exit code 0, found {done.returncode}: {said.read()}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return seconds, int(done.stdout) * unit


def check_same(first: Path, second: Path) -> None:
    """Two GeoTIFFs say the same, and have the same samples."""
    import rasterio

    with rasterio.open(first) as one, rasterio.open(second) as other:
        for what in ("profile", "descriptions", "scales", "offsets"):
            expected, found = getattr(one, what), getattr(other, what)
            if expected != found:
                raise VerificationError(f"{second.name}: {what}: expected {expected}, found {found}")
        for band in one.indexes:
            if not np.array_equal(one.read(band), other.read(band)):
                raise VerificationError(f"{second.name}: expected the samples of {first.name}, found others")


def large_scene_table(rows: list[dict]) -> str:
    """Markdown: a line for each command."""
    lines = [
        [
            f"`{row['command']}`",
            f"{row['bps']:.3f}",
            f"{row['seconds']:.0f}",
            f"{row['ms_per_s']:.2f}",
            f"{row['peak_bytes'] / 2**20:.0f}",
        ]
        for row in rows
    ]
    return markdown(HEAD, lines, right=(1, 2, 3, 4))
