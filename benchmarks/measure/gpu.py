"""lhic-ax on a CUDA device: how fast it codes batches of a patch, what it holds in memory, where the time goes.

Decides what is measured: batches of one tile, coded by the model in one call after a first one that compiles and
records; streams must be those of the CPU and cubes must come back before anything is timed.  Beside each time stands
the speed of the compiled walk on all cores of the same machine's CPU, one tile at a time.  Rows are added to
results/gpu/rows.parquet batch by batch, the largest kernels of each batch go to kernels.parquet beside it; both are
exported as CSV.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import lhic
from benchmarks.measure import provenance
from benchmarks.measure.rows import write_table
from benchmarks.measure.throughput import Batch, median_s
from benchmarks.measure.worker import timed
from lhic.data import open_dataset
from lhic.errors import BackendError, VerificationError

BATCHES = (1, 4, 16, 64)
FOLDER = Path("results/gpu")
TOP_KERNELS = 15


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
    if not provenance.has_cuda():
        raise NoGpuError("bench-gpu: expected a CUDA device that torch can use, found none")
    (item,) = open_dataset("bundled")
    return measure(model, item.load(), batches, passes, "cuda", folder)


def measure(
    model: str, cube: np.ndarray, batches: Sequence[int], passes: int, device: str, folder: Path
) -> pd.DataFrame:
    """Measure batches of a cube that is one tile of the model; adds rows and kernels to the files in `folder`."""
    cube = np.ascontiguousarray(cube, cube.dtype.newbyteorder("="))
    engine, one = lhic.load_model(model, device), Batch(lhic.load_model(model, "cpu"), cube, 1)
    expected = one.checked()
    speeds = [cube.size / seconds / 1e6 for seconds in median_s(one.encode, lambda: one.decode(expected), passes)]
    baseline = {"CPU encode MS/s": speeds[0], "CPU decode MS/s": speeds[1]}
    machine = describe(device) | {"CPU cores": provenance.n_cores()} | baseline
    dates = {name: machine[name] for name in ("date", "commit", "gpu")}
    lines = []
    for n_tiles in batches:
        batch = Batch(engine, cube, n_tiles)
        sections = batch.checked()
        if sections != expected * n_tiles:
            raise VerificationError(f"{model}: streams of a batch of {n_tiles} on {device} differ from the CPU's")
        line = {"model": model, "tiles": n_tiles, "bands": len(cube), "rows": cube.shape[1], "columns": cube.shape[2]}
        line |= {"samples": batch.n_samples, "bytes": sum(len(part) for tile in sections for part in tile)}
        kernels = []
        for name, work in (("encode", batch.encode), ("decode", lambda: batch.decode(sections))):  # noqa: B023
            seconds, peak = time_passes(work, passes, device)
            line |= {f"{name}_s": float(np.median(seconds)), f"{name}_peak_bytes": peak}
            line[f"{name} MS/s"] = line["samples"] / line[f"{name}_s"] / 1e6
            line[f"{name} to CPU"] = line[f"{name} MS/s"] / baseline[f"CPU {name} MS/s"]
            about = {"model": model, "tiles": n_tiles, "work": name}
            kernels += [about | kernel | dates for kernel in top_kernels(work, device)]
        _add(folder, "kernels", kernels)
        lines.append(machine | line | {"passes": passes})
        _add(folder, "rows", lines[-1:])
    return pd.DataFrame(lines)


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


def committed(folder: Path = provenance.REPOSITORY / FOLDER) -> pd.DataFrame:
    """The last row of each GPU, model and number of tiles, for a table; no rows where none was measured."""
    rows = _read(folder, "rows")
    if rows.empty:
        return rows
    rows = rows.sort_values("date", kind="stable")
    last = rows.groupby(["gpu", "model", "tiles"]).tail(1).sort_values(["gpu", "model", "tiles"])
    shown = ["gpu", "model", "tiles", "encode MS/s", "decode MS/s", "encode_s", "decode_s", "encode to CPU"]
    shown += ["decode to CPU", "passes", "CPU cores", "machine", "commit"]
    return last[shown].astype({"tiles": str, "passes": str, "CPU cores": str}).reset_index(drop=True)


def _read(folder: Path, name: str) -> pd.DataFrame:
    path = folder / f"{name}.parquet"
    return pd.read_parquet(path) if path.exists() else pd.DataFrame()


def _add(folder: Path, name: str, lines: list[dict]) -> None:
    if not lines:  # the compiled walk runs no kernel that torch knows
        return
    write_table(pd.concat([_read(folder, name), pd.DataFrame(lines)]), folder, name)
