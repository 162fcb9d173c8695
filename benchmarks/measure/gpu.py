"""lhic-ax on a CUDA device: how fast it codes batches of a patch, what it holds in memory, where the time goes.

Decides what is measured: batches of one tile, coded by the model in one call after a first one that compiles and
records; streams must be those of the CPU and cubes must come back before anything is timed.  Beside each time stand
the floor of this device, what its memory and its float64 units would need for the same work alone, and the speed of
the compiled walk on all cores of the same machine's CPU, one tile at a time.  Rows are added to results/gpu/rows.csv
batch by batch, the largest kernels of each batch go to kernels.csv beside it.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import lhic
from benchmarks.measure import provenance
from benchmarks.measure.worker import timed
from lhic.data import open_dataset
from lhic.errors import BackendError, VerificationError
from lhic.families.family import Work

BATCHES = (1, 4, 16, 64)
FOLDER = Path("results/gpu")
TOP_KERNELS = 15
PICTURES = 8  # written for each sample: value, detail, residual, activity, errors of four experts
PROBE_BYTES, PROBE_SIZE = 1 << 30, 4096  # of the copy and the product that find the floor


class NoGpuError(BackendError):
    """There is nothing to measure."""

    exit_code = 2


def bench_gpu(
    model: str = "lhic-ax", batches: Sequence[int] = BATCHES, passes: int = 5, folder: Path = FOLDER
) -> pd.DataFrame:
    """Measure batches of the bundled patch on the CUDA device; adds rows to `folder`.

    Raises
    ------
    NoGpuError
        torch finds no CUDA device.
    VerificationError
        A stream differs from the CPU's, or a cube from the one that was coded.
    """
    import torch

    if not torch.cuda.is_available():
        raise NoGpuError("bench-gpu: expected a CUDA device that torch can use, found none")
    (item,) = open_dataset("bundled")
    return measure(model, item.load(), batches, passes, "cuda", folder)


def measure(
    model: str, cube: np.ndarray, batches: Sequence[int], passes: int, device: str, folder: Path
) -> pd.DataFrame:
    """Measure batches of a cube that is one tile of the model; adds rows and kernels to the files in `folder`."""
    cube = np.ascontiguousarray(cube, cube.dtype.newbyteorder("="))
    engine, reference = lhic.load_model(model, device), lhic.load_model(model, "cpu")
    parameters = engine.plan(cube, Work())
    expected, baseline = on_cpu(reference, cube, parameters, passes)
    machine = describe(device) | floor(engine, cube, device) | baseline
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["model", "tiles", "work", "kernel", "calls", "total_ms", "share"]
    dates = {name: machine[name] for name in ("date", "commit", "gpu")}
    lines = []
    for n_tiles in batches:
        tiles = [cube] * n_tiles
        shapes = [cube.shape] * n_tiles

        def encode(tiles=tiles):
            return [encoded.sections for encoded in engine.encode_tiles(tiles, parameters, Work())]

        def decode(sections, shapes=shapes):
            return engine.decode_tiles(shapes, cube.dtype, sections, parameters, Work())

        sections = expected * n_tiles
        if encode() != sections:
            raise VerificationError(f"{model}: streams of a batch of {n_tiles} on {device} differ from the CPU's")
        if not all(np.array_equal(cube, tile) for tile in decode(sections)):
            raise VerificationError(f"{model}: a tile of a batch of {n_tiles} differs after decoding on {device}")
        line = {"model": model, "tiles": n_tiles, "bands": len(cube), "rows": cube.shape[1], "columns": cube.shape[2]}
        line |= {"samples": n_tiles * cube.size, "bytes": sum(len(part) for tile in sections for part in tile)}
        kernels = []
        for name, work in (("encode", encode), ("decode", lambda: decode(sections))):  # noqa: B023
            seconds, peak = time_passes(work, passes, device)
            line |= {f"{name}_s": float(np.median(seconds)), f"{name}_peak_bytes": peak}
            line[f"{name} MS/s"] = line["samples"] / line[f"{name}_s"] / 1e6
            line[f"{name} to CPU"] = line[f"{name} MS/s"] / baseline[f"CPU {name} MS/s"]
            kernels += [line | {"work": name, **kernel} for kernel in top_kernels(work, device)]
        _add(folder / "kernels.csv", pd.DataFrame(kernels, columns=columns).assign(**dates))
        lines.append(_add(folder / "rows.csv", pd.DataFrame([machine | line | {"passes": passes}])))
    return pd.concat(lines)


def on_cpu(model, cube: np.ndarray, parameters: bytes, passes: int) -> tuple[list[tuple[bytes, ...]], dict]:
    """Sections of one tile, and how fast the compiled walk of this machine's CPU codes it, in `passes` after a first.

    Raises
    ------
    VerificationError
        The tile that comes back differs.
    """

    def decode():
        return model.decode_tiles([cube.shape], cube.dtype, sections, parameters, Work())

    sections = [encoded.sections for encoded in model.encode_tiles([cube], parameters, Work())]
    if not np.array_equal(cube, decode()[0]):
        raise VerificationError(f"{model.name}: the tile differs after decoding on the CPU")
    encode_s = np.median([timed(lambda: model.encode_tiles([cube], parameters, Work()))[1] for _ in range(passes)])
    decode_s = np.median([timed(decode)[1] for _ in range(passes)])
    speeds = {"CPU encode MS/s": cube.size / encode_s / 1e6, "CPU decode MS/s": cube.size / decode_s / 1e6}
    return sections, {"CPU cores": provenance.n_cores()} | speeds


def time_passes(work: Callable, passes: int, device: str) -> tuple[list[float], int]:
    """Seconds of each pass, results on the host included, and the most bytes that torch held on the device."""
    if device != "cuda":
        return [timed(work)[1] for _ in range(passes)], 0
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(passes):
        torch.cuda.synchronize()
        seconds.append(timed(lambda: (work(), torch.cuda.synchronize()))[1])
    return seconds, torch.cuda.max_memory_reserved()


def top_kernels(work: Callable, device: str) -> list[dict]:
    """What a pass spends its time on, by kernel: those that take most, with their share of all kernels' time."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        work()
    times = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = [(getattr(event, times), event) for event in found.key_averages()]
    total = sum(time for time, _ in events) or 1
    events = sorted(events, key=lambda pair: -pair[0])[:TOP_KERNELS]
    return [
        {"kernel": event.key[:100], "calls": event.count, "total_ms": time / 1000, "share": time / total}
        for time, event in events
    ]


def floor(engine, cube: np.ndarray, device: str) -> dict:
    """What the device needs at least for a sample: the larger of moving and multiplying, at the rates it shows here.

    Counted are each regressor and neighbour read once as int32, each picture and interval written once, and the
    products of predictions, normal equations (float64) and network (taken as float64, too).
    """
    import torch

    sizes = [len(expert.regressors) for expert in engine.settings.experts()]
    network = engine.net
    layers = (network.first, *network.middle, network.last)
    macs = sum(layer.size for layer in layers) + sum(n + n * n for n in sizes)
    moved = 4 * (sum(sizes) + 84 + PICTURES + 4)
    kind = torch.device(device)
    n_bytes, size = (PROBE_BYTES, PROBE_SIZE) if device == "cuda" else (1 << 22, 128)
    source = torch.zeros(n_bytes, dtype=torch.uint8, device=kind)
    target, matrix = torch.empty_like(source), torch.zeros((size, size), dtype=torch.float64, device=kind)
    copy_s, product_s = (
        min(time_passes(work, 5, device)[0]) for work in (lambda: target.copy_(source), lambda: matrix @ matrix)
    )
    bandwidth, rate = 2 * n_bytes / copy_s, size**3 / product_s
    slowest = max(moved / bandwidth, macs / rate)
    return {
        "bandwidth GB/s": bandwidth / 1e9, "float64 GMAC/s": rate / 1e9, "bytes moved": moved, "macs": macs,
        "floor MS/s": 1e-6 / slowest,
    }  # fmt: skip


def describe(device: str) -> dict:
    """Where a row comes from."""
    import torch

    try:
        triton = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        triton = "absent"
    return {
        "date": provenance.now(), "commit": provenance.commit(), "gpu": provenance.device_name(device),
        "machine": provenance.machine(), "python": provenance.library_versions()["python"],
        "torch": torch.__version__, "cuda": torch.version.cuda or "absent", "triton": triton,
    }  # fmt: skip


def committed(path: Path = provenance.REPOSITORY / FOLDER / "rows.csv") -> pd.DataFrame:
    """The last row of each GPU, model and number of tiles, for a table; no rows where none was measured."""
    if not path.exists():
        return pd.DataFrame()
    rows = pd.read_csv(path).sort_values("date", kind="stable")
    last = rows.groupby(["gpu", "model", "tiles"]).tail(1).sort_values(["gpu", "model", "tiles"])
    shown = ["gpu", "model", "tiles", "encode MS/s", "decode MS/s", "encode_s", "decode_s", "encode to CPU"]
    shown += ["decode to CPU", "passes", "CPU cores", "machine", "commit"]
    return last[shown].astype({"tiles": str, "passes": str, "CPU cores": str}).reset_index(drop=True)


def _add(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Put rows behind those of the file, which is whole at every moment; returns the new ones."""
    every = pd.concat([pd.read_csv(path), rows]) if path.exists() else rows
    partial = path.with_suffix(".partial")
    every.to_csv(partial, index=False)
    os.replace(partial, path)
    return rows


def _silent(n_samples: int) -> None:
    pass
