"""Measurements by the thousand: every cube with every codec, on Dask workers, one row each.

Decides what is checked before any work, which measurements are still to be made, and what becomes of an item that
fails or takes its worker with it: a row with the error.  Each measurement runs in a fresh process below the worker,
as in the study (`measurement`), because only then its peak memory is its own and a codec that crashes leaves the
worker alive; a process costs a third of a second.  Workers only read cubes and return rows.  This process alone
writes them, so workers need not share a disk with it beyond the dataset.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from distributed import Client
from tqdm import tqdm

from benchmarks.codecs import registry
from benchmarks.measure import cluster, provenance, remote, rows
from benchmarks.measure.files import write_file
from benchmarks.measure.measurement import Options, check_codec, check_form, choose, describe_machine
from benchmarks.measure.progress import Progress, Rest
from lhic.data import Item, check_converted, open_dataset
from lhic.errors import BackendError, UsageError, one_line

SEED = 0  # of the order in which --limit takes cubes
CUBES_A_WRITE = 500  # descriptions of cubes between two writings of their file


@dataclasses.dataclass(frozen=True)
class Request:
    """What is measured.

    Attributes
    ----------
    dataset, root, split : as for `lhic.data.open_dataset`
    codecs : names in the registry, or ``module:callable``
    form : ``as-measured`` or ``clipped``
    limit : the first so many cubes of a fixed random order, so that a larger limit adds to a smaller one
    """

    dataset: str
    root: str | None
    split: str | None
    codecs: Sequence[str]
    form: str = "as-measured"
    limit: int | None = None

    def all_items(self) -> list[Item]:
        """The cubes of the dataset, without the limit."""
        return open_dataset(self.dataset, self.root, self.split)

    def items(self) -> list[Item]:
        """The cubes that are measured.

        Raises
        ------
        UsageError, DatasetError
            Unknown form, dataset or split; something is missing, or the dataset is converted in part.
        """
        check_form(self.form)
        if not all(self.codecs) or not self.codecs or len(set(self.codecs)) < len(self.codecs):
            raise UsageError(f"codecs: expected names, each once, found {','.join(self.codecs) or 'none'}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit: expected at least 1, found {self.limit}")
        items = self.all_items()
        check_converted(items)
        return choose(items, self.limit, SEED)


def bench(
    request: Request,
    options: Options,
    out: Path,
    scheduler: str | None = None,
    n_workers: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure what the folder does not hold yet; returns the rows of this request, old and new.

    Parameters
    ----------
    out : results folder that gets the rows, ``environment.json`` and ``cubes.json``
    scheduler : address of a Dask scheduler; None starts workers here
    n_workers : worker processes started here; default: one for each core

    Raises
    ------
    UsageError, DatasetError, BackendError
        Anything that is wrong with the request, a codec, the options, the folder or the scheduler; before any work.
    KeyboardInterrupt
        Says how many items are measured; the rows of these are kept.
    """
    if n_workers is not None and (scheduler is not None or n_workers < 1):
        found = n_workers if scheduler is None else "a scheduler, too"
        raise UsageError(f"workers: expected at least 1, and no scheduler, found {found}")
    items = request.items()
    can_use_gpu = any("cuda" in registry.make(name).devices for name in request.codecs)
    n_workers = n_workers or provenance.n_cores()
    n_gpus = _n_gpus(options.device) if scheduler is None and can_use_gpu else 0
    _check_options(out, options)
    with cluster.connect(scheduler, n_workers, min(n_gpus, n_workers)) as client, rows.RowParts(out) as parts:
        device = _device(client, options.device, scheduler) if can_use_gpu else "cpu"
        codec_rows = [_describe_codec(name, device) for name in request.codecs]
        if scheduler is not None:
            _check_workers(client, next((item for item in items if item.path.exists()), items[0]), codec_rows)
        _write_environment(out, request, options)
        cube_rows = _describe_cubes(client, request, items, out / "cubes.json", progress)
        split = {"split": request.split or ""}
        split["dataset_sha256"] = provenance.dataset_sha256(row.get("cube_sha256", "") for row in cube_rows)
        tasks = _outstanding(zip(items, cube_rows, strict=True), codec_rows, rows.finished(out))
        parts.drop({rows.key_of(cube_row | codec_row) for _, cube_row, codec_row in tasks})
        _measure_all(client, tasks, split, options, parts, progress)
    rows.export_csv(out)
    found = rows.read_rows(out)
    asked = (found["dataset"] == request.dataset) & (found["form"] == request.form)
    return found[asked & found["codec"].isin(request.codecs) & found["cube"].isin([item.name for item in items])]


def _check_options(out: Path, options: Options) -> None:
    """Rows of one folder are measured with the same options."""
    path = out / "environment.json"
    if not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8"))["options"]
    for name, value in _of_the_rows(options).items():
        if value != before.get(name):
            found = f"{value!r}, where the rows there have {before.get(name)!r}"
            raise UsageError(f"{out}: expected the same {name} as before, found {found}; choose another folder")


def _write_environment(out: Path, request: Request, options: Options) -> None:
    content = {**provenance.environment(), "request": dataclasses.asdict(request), "options": _of_the_rows(options)}
    write_file(out / "environment.json", json.dumps(content, indent=1) + "\n")


def _of_the_rows(options: Options) -> dict:
    """Options that a row depends on, as JSON gives them back."""
    found = json.loads(json.dumps(dataclasses.asdict(options)))
    return {name: value for name, value in found.items() if name != "timeout_s"}


def _n_gpus(device: str) -> int:
    if provenance.device_of(device) == "cpu":
        return 0
    import torch

    return torch.cuda.device_count()


def _device(client: Client, wanted: str, scheduler: str | None) -> str:
    if wanted == "cpu" or cluster.offers_gpu(client):
        return "cpu" if wanted == "cpu" else "cuda"
    if wanted == "cuda":
        raise BackendError(f"scheduler {scheduler}: expected a worker with the resource GPU, found none")
    return "cpu"


def _describe_codec(name: str, device: str) -> dict:
    """As `check_codec`, with the device that the workers will use: this machine need not have it."""
    row = check_codec(name, "cpu")
    return row | {"device": device if device in registry.make(name).devices else "cpu"}


def _check_workers(client: Client, item: Item, codec_rows: Sequence[dict]) -> None:
    """Raise unless every worker sees the dataset and has the same codecs as this process."""
    expected = {"dataset": True} | {row["codec"]: remote.version(row) for row in codec_rows}
    try:
        answers = client.run(remote.what_is_here, item.path, [row["codec"] for row in codec_rows])
    except Exception as error:  # whatever a worker without this package raises
        raise BackendError(f"workers: expected lhic and benchmarks to be installed, found {one_line(error)}") from error
    for address, answer in answers.items():
        for name, value in expected.items():
            if answer[name] != value:
                shown = "to see " + str(item.path) if name == "dataset" else f"{name} to be {value}"
                raise BackendError(f"worker {address}: expected {shown}, found {answer[name]}")


def _describe_cubes(client: Client, request: Request, items: Sequence[Item], cache: Path, progress: bool) -> list[dict]:
    """The part of the row that is about the cube, for all cubes; read once, and again only when the file changed."""
    known = json.loads(cache.read_text(encoding="utf-8")) if cache.is_file() else {}
    stamps = [_stamp(item, request.form) for item in items]
    new = [(item, request.form, stamp) for item, stamp in zip(items, stamps) if stamp not in known]
    results = cluster.results(client, remote.describe, new, needs_gpu=lambda task: False)
    with tqdm(total=len(new), unit="cube", desc="read", disable=not progress or not new) as bar:
        for n_read, ((*_, stamp), found) in enumerate(results, 1):
            known[stamp] = found if isinstance(found, dict) else {"error": one_line(found)}
            bar.update()
            if n_read % CUBES_A_WRITE == 0 or n_read == len(new):
                readable = {stamp: row for stamp, row in known.items() if "error" not in row}
                write_file(cache, json.dumps(readable))
    heads = [{"dataset": request.dataset, "form": request.form, "cube": i.name, "sensor": i.sensor} for i in items]
    return [head | known[stamp] for head, stamp in zip(heads, stamps)]


def _stamp(item: Item, form: str) -> str:
    """Which file a cube is in, and in which state; a file that is not there is an error of its cube alone."""
    path = item.converted if item.converted is not None and item.converted.exists() else item.path
    state = path.stat() if path.exists() else None
    return f"{item.name}|{item.path}|{form}|{state and state.st_size}|{state and state.st_mtime_ns}"


def _outstanding(cubes: Iterable, codec_rows: Sequence[dict], finished: set[tuple]) -> list[tuple]:
    """(item, cube row, codec row) of what has no row yet, or one with an error; all codecs of a cube in sequence."""
    return [
        (item, cube_row, codec_row)
        for item, cube_row in cubes
        for codec_row in codec_rows
        if rows.identity(cube_row | codec_row) not in finished
    ]


def _measure_all(
    client: Client, tasks: Sequence[tuple], common: dict, options: Options, parts: rows.RowParts, progress: bool
) -> None:
    """Measure on the workers and append each row as it comes."""
    items = (
        (codec_row["codec"], codec_row["device"], cube_row.get("n_samples", 0)) for _, cube_row, codec_row in tasks
    )
    before = rows.read_rows(parts.folder.parent) if rows.has_rows(parts.folder.parent) else None
    arguments = ((*task, options) for task in tasks)
    results = cluster.results(
        client, remote.measure_item, arguments, needs_gpu=lambda task: task[2]["device"] == "cuda"
    )
    machine = describe_machine()
    rest = Rest(items, cluster.parallel(client), before, rows.committed())
    with Progress(len(tasks), rest, progress and len(tasks) > 0) as bar:
        client.subscribe_topic(remote.STARTED, lambda event: bar.started(event[1]))
        try:
            for (_, cube_row, codec_row, _), found in results:
                row = {**machine, **common, **cube_row, **codec_row}
                if isinstance(found, dict):
                    found = dict(found)
                    row["workers"] = cluster.threads_by_host(client)[cluster.host_of(found.pop("worker"))] or 1
                    row |= found
                else:
                    row["error"] = one_line(found)
                parts.append({**row, "date": provenance.now()})
                n_samples, failed = cube_row.get("n_samples", 0), bool(row.get("error"))
                bar.finished(row["codec"], row["device"], n_samples, row.get("item_s"), failed)
        except KeyboardInterrupt:
            done = f"{bar.n_done} of {len(tasks)} items are measured"
            raise KeyboardInterrupt(f"{done}; the same command goes on from there") from None
        finally:
            client.unsubscribe_topic(remote.STARTED)
