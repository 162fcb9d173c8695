"""One row: a cube in one of its forms, coded by one codec.

Decides the two thread settings (one thread, all cores), what a row says of cube, codec and machine, and that a
failure is a row, too.  Which rows there are is the business of `run` (one after the other, for the study) and
`bench` (on many workers); how a measurement is timed is that of `worker`.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.codecs import registry
from benchmarks.measure import provenance
from benchmarks.measure.worker import describe, set_device
from lhic.data import Item
from lhic.data.hyspecnet import CLIP_RANGE
from lhic.errors import BackendError, LhicError, UsageError, one_line

FORMS = ("as-measured", "clipped")
DEVICES = ("auto", "cpu", "cuda")
THREAD_MODES = ("one", "all")
# Libraries read these when they are loaded; a codec's own argument does the rest.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Options:
    """How the measurements are made.

    Attributes
    ----------
    repeats : timings behind each median
    long_s : items whose first pass takes longer are timed by it alone
    timeout_s : a measurement is given up after this time
    thread_modes : ``one``, ``all`` or both
    all_cores_only : codecs too slow to be measured on one thread as well
    device : ``auto``, ``cpu`` or ``cuda``, for codecs that can choose
    """

    repeats: int = 5
    long_s: float = 20.0
    timeout_s: float = 3600.0
    thread_modes: Sequence[str] = THREAD_MODES
    all_cores_only: Sequence[str] = field(default=())
    device: str = "cpu"

    def __post_init__(self):
        if self.repeats < 1:
            raise UsageError(f"repeats: expected at least 1, found {self.repeats}")
        if not self.thread_modes or not set(self.thread_modes) <= set(THREAD_MODES):
            raise UsageError(f"thread_modes: expected some of {', '.join(THREAD_MODES)}, found {self.thread_modes}")
        if not self.long_s >= 0 or not self.timeout_s > 0:
            found = f"{self.long_s:g} and {self.timeout_s:g}"
            raise UsageError(f"long_s and timeout_s: expected at least 0 and more than 0 seconds, found {found}")
        if self.device not in DEVICES:
            raise UsageError(f"device: expected one of {', '.join(DEVICES)}, found {self.device!r}")


def told(codec: str, cube: str, form: str) -> str:
    """An item in a few words; of a long name of a cube the end, which tells it from others."""
    return f"{codec} on {cube[-24:]} ({form})"


def choose(items: Sequence[Item], n_cubes: int | None, seed: int) -> list[Item]:
    """A random choice of so many cubes, in their order; a larger number adds to a smaller one, None takes all."""
    order = random.Random(seed).sample(range(len(items)), len(items))
    return [items[i] for i in sorted(order[:n_cubes])]


def check_form(form: str) -> None:
    """Raise `UsageError` for a form that does not exist."""
    if form not in FORMS:
        raise UsageError(f"form: expected one of {', '.join(FORMS)}, found {form!r}")


def load_form(item: Item, form: str) -> np.ndarray:
    """Samples of a cube in one of `FORMS`, native byte order, (S, H, W).

    ``clipped`` is limited to [0, 10000] and stored as uint16, the smallest dtype that holds it: the literature's
    int32 would double what every codec without bit packing has to chew.
    """
    cube = item.load()
    if form == "clipped":
        cube = np.clip(cube, *CLIP_RANGE).astype(np.uint16)
    return np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("="))


def describe_cube(dataset: str, item: Item, form: str) -> dict:
    """The part of the row that is about the cube; its error, if it cannot be read."""
    row = {"dataset": dataset, "form": form, "cube": item.name, "sensor": item.sensor}
    try:
        return row | describe_samples(load_form(item, form))
    except LhicError as error:
        return row | {"error": one_line(error)}


def describe_samples(cube: np.ndarray) -> dict:
    """What the row says about the samples themselves."""
    n_bands, n_rows, n_columns = cube.shape
    return {
        "cube_sha256": provenance.cube_sha256(cube),
        "bands": n_bands,
        "rows": n_rows,
        "columns": n_columns,
        "dtype": cube.dtype.name,
        "n_samples": cube.size,
        "value_min": int(cube.min()),
        "value_max": int(cube.max()),
    }


def describe_codec(name: str, device: str) -> dict:
    """What can be said about a codec before it runs; its error, if it cannot even be made.

    Raises
    ------
    UsageError
        Unknown codec.
    """
    registry.find(name)
    try:
        codec = registry.make(name)
        set_device(codec, device)
    except LhicError as error:
        return {"codec": name, "device": "cpu", "error": one_line(error)}
    return {"codec": name, **describe(codec)}


def check_codec(name: str, device: str) -> dict:
    """`describe_codec` for those who start no work without it.

    Raises
    ------
    UsageError, BackendError
        Unknown codec; one that cannot be made here.
    """
    row = describe_codec(name, device)
    if "error" in row:
        raise BackendError(f"codec {name}: expected it to work here, found {row['error']}")
    return row


@functools.cache
def describe_machine() -> dict:
    """What the row says about where and with what it was measured."""
    return {
        "libraries": json.dumps(provenance.library_versions()),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "cores": provenance.n_cores(),
    }


def measure(name: str, cube_path: Path, options: Options, n_samples: int) -> dict:
    """The part of the row that is about the codec and what it did: one or two measurements."""
    start = time.perf_counter()
    modes = ["all"] if name in options.all_cores_only else list(options.thread_modes)
    result: dict = {}
    for mode in modes:
        if mode == "all" and result and not result.get("threads"):
            break  # it only ever uses one thread: the first measurement says it all
        n_threads = 1 if mode == "one" else provenance.n_cores()
        found = run_worker(name, cube_path, n_threads, options)
        result = _merge(result, found, mode)
        if "error" in result:
            break
    if "bytes" in result:
        result["bps"] = 8 * result["bytes"] / n_samples
    return result | {"item_s": time.perf_counter() - start}


def _merge(one: dict, found: dict, mode: str) -> dict:
    """Put timings on all cores in columns of their own; sizes must not depend on threads."""
    if mode == "one":
        return found
    timings = [name for name in found if name.startswith(("encode_s", "decode_s", "repeats", "warm_up"))]
    both = one | {name: value for name, value in found.items() if name not in timings}
    for name in timings:
        column = name.replace("encode_s", "encode_all_s").replace("decode_s", "decode_all_s")
        both[column if column != name else f"{name}_all"] = found[name]
    if "bytes" in one:
        both |= {name: one[name] for name in ("bytes", "peak_rss_bytes", "baseline_rss_bytes")}
        if found.get("bytes", one["bytes"]) != one["bytes"]:
            both["error"] = f"stream size depends on threads: {one['bytes']} bytes, then {found['bytes']}"
    return both


def run_worker(name: str, cube_path: Path, n_threads: int, options: Options) -> dict:
    """One measurement by `benchmarks.measure.worker` in a process of its own; an error is part of the result."""
    order = {"codec": name, "cube": str(cube_path), "n_threads": n_threads, "device": options.device}
    order |= {"repeats": options.repeats, "long_s": options.long_s}
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    # Dask sets it for its workers, and memory that is handed back at every chance makes codecs slower.
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.measure.worker"],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            timeout=options.timeout_s,
            env=environment,
            cwd=provenance.REPOSITORY,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"given up after {options.timeout_s:g} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"error": f"worker ended with code {done.returncode}: {last}"}
