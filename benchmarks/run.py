"""The runner: every cube with every codec, one row each.

Decides the order of the work, the two thread settings (one thread, all cores) and what a failure becomes:
a row with an error, and on to the next item.  How one measurement is made is `worker`'s business.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks import provenance, rows
from benchmarks.codecs import registry
from benchmarks.worker import describe, set_device
from lhic.cube import save_cube
from lhic.data import Item
from lhic.data.hyspecnet import CLIP_RANGE
from lhic.errors import LhicError, UsageError

FORMS = ("as-measured", "clipped")
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


def run(
    dataset: str,
    items: Sequence[Item],
    form: str,
    codecs: Sequence[str],
    rows_path: Path,
    options: Options,
    progress: bool = True,
) -> int:
    """Measure `codecs` on the cubes of a dataset and append a row each; returns the number of new rows.

    Measurements the file already holds (same cube, codec, weights and device, no error) are skipped, so a
    stopped run can be started again.

    Parameters
    ----------
    dataset : name for the rows
    items : cubes, read one at a time
    form : ``as-measured``, or ``clipped``: to [0, 10000] and stored as uint16, the smallest dtype that
        holds it (the literature's int32 would double what every codec without bit packing has to chew)
    codecs : names in the registry

    Raises
    ------
    UsageError
        Unknown codec or form; before any work.
    """
    if form not in FORMS:
        raise UsageError(f"form: expected one of {', '.join(FORMS)}, found {form!r}")
    heads = {name: _describe(name, options.device) for name in codecs}
    origin = {"libraries": json.dumps(provenance.library_versions()), "machine": provenance.machine()}
    origin |= {"commit": provenance.commit(), "cores": provenance.n_cores()}
    done = _finished(rows_path)
    n_new = 0
    with (
        tempfile.TemporaryDirectory(prefix="lhic-bench-") as folder,
        tqdm(total=len(items) * len(codecs), unit="item", disable=not progress) as bar,
    ):
        for item, cube_row, cube_path in _cubes(dataset, items, form, Path(folder)):
            for name in codecs:
                bar.set_description(f"{name} on {item.name[-24:]} ({form})")
                row = {"codec": name, **origin, **heads[name], **cube_row}
                if _identity(row) in done:
                    bar.update()
                    continue
                if "error" not in row:
                    row |= _measure(name, cube_path, options, cube_row["n_samples"])
                rows.append_row(rows_path, {**row, "date": provenance.now()})
                n_new += 1
                bar.update()
    return n_new


# A measurement is not repeated while all of this is the same.
IDENTITY = (*rows.KEY, "cube_sha256", "codec_version", "weights_hash")


def _identity(row: dict) -> tuple:
    return tuple(row.get(name, "") for name in IDENTITY)


def _finished(rows_path: Path) -> set[tuple]:
    if not rows_path.is_file():
        return set()
    table = rows.read_rows(rows_path)
    return set(table.loc[table["error"] == "", list(IDENTITY)].itertuples(index=False, name=None))


def _describe(name: str, device: str) -> dict:
    """What can be said about a codec before it runs; its error, if it cannot even be made."""
    make = registry.find(name)
    try:
        codec = make()
        set_device(codec, device)
    except LhicError as error:
        return {"device": "cpu", "error": f"{type(error).__name__}: {error}"}
    return describe(codec)


def _cubes(dataset: str, items: Iterable[Item], form: str, folder: Path) -> Iterator[tuple[Item, dict, Path]]:
    """Each cube as a file, with the part of the row that is about the cube."""
    path = folder / "cube.npy"
    for item in items:
        head = {"dataset": dataset, "form": form, "cube": item.name, "sensor": item.sensor}
        try:
            cube = item.load()
            if form == "clipped":
                cube = np.clip(cube, *CLIP_RANGE).astype(np.uint16)
        except LhicError as error:
            yield item, {**head, "error": f"{type(error).__name__}: {error}"}, path
            continue
        save_cube(path, np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("=")))
        n_bands, n_rows, n_columns = cube.shape
        yield (
            item,
            {
                **head,
                "cube_sha256": provenance.cube_sha256(cube),
                "bands": n_bands,
                "rows": n_rows,
                "columns": n_columns,
                "dtype": cube.dtype.name,
                "n_samples": cube.size,
                "value_min": int(cube.min()),
                "value_max": int(cube.max()),
            },
            path,
        )


def _measure(name: str, cube_path: Path, options: Options, n_samples: int) -> dict:
    """The part of the row that is about the codec: one or two measurements."""
    modes = ["all"] if name in options.all_cores_only else list(options.thread_modes)
    result: dict = {}
    for mode in modes:
        if mode == "all" and result and not result.get("threads"):
            break  # it only ever uses one thread: the first measurement says it all
        n_threads = 1 if mode == "one" else provenance.n_cores()
        found = _run_worker(name, cube_path, n_threads, options)
        result = _merge(result, found, mode)
        if "error" in result:
            break
    if "bytes" in result:
        result["bps"] = 8 * result["bytes"] / n_samples
        result["device_name"] = provenance.device_name(result["device"])
    return result


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


def _run_worker(name: str, cube_path: Path, n_threads: int, options: Options) -> dict:
    order = {"codec": name, "cube": str(cube_path), "n_threads": n_threads, "device": options.device}
    order |= {"repeats": options.repeats, "long_s": options.long_s}
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker"],
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
