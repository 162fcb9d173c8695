"""What a Dask worker does for `bench`: read a cube, have it measured in a process of its own, hand the result back.

Decides where a worker keeps the cube it is at; knows nothing of rows on disk.  Imports little, because a worker that
died is replaced by one that begins with these imports.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

from distributed import get_worker

import lhic
from benchmarks.measure import provenance
from benchmarks.measure.measurement import (
    Options,
    describe_codec,
    describe_machine,
    describe_samples,
    load_form,
    measure,
    told,
)
from lhic.data import Item
from lhic.errors import DatasetError, LhicError, one_line

STARTED = "lhic-started"  # topic under which workers say what they begin to measure
_OF_THREAD = threading.local()  # a worker may have several, each with a cube of its own


def what_is_here(path: Path, codecs: Sequence[str]) -> dict:
    """Whether this worker sees a file of the dataset, and what it has of each codec."""
    return {"dataset": path.exists()} | {name: version(describe_codec(name, "cpu")) for name in codecs}


def version(codec_row: dict) -> tuple | str:
    """What has to be the same everywhere: library, settings and weights; or why the codec does not work."""
    return codec_row.get("error") or (codec_row["codec_version"], codec_row["settings"], codec_row["weights_hash"])


def describe(item: Item, form: str, stamp: str) -> dict:
    """What the row says about the samples of a cube; the stamp is for the one who asks."""
    return describe_samples(load_form(item, form))


def measure_item(item: Item, cube_row: dict, codec_row: dict, options: Options) -> dict:
    """One measurement: what it adds to the rows of cube and codec, and the address of this worker.

    Parameters
    ----------
    cube_row, codec_row : parts of the row that are known already; `codec_row` names the device
    options : as for `measurement.measure`, but for the device
    """
    get_worker().log_event(STARTED, told(codec_row["codec"], item.name, cube_row["form"]))
    row = {"worker": get_worker().address, **describe_machine()}
    if "error" in cube_row:
        return row
    try:
        path = _cube_file(item, cube_row)
    except LhicError as error:
        return row | {"error": one_line(error)}
    options = dataclasses.replace(options, device=codec_row["device"])
    return row | measure(codec_row["codec"], path, options, cube_row["n_samples"])


def _cube_file(item: Item, cube_row: dict) -> Path:
    """The cube as a file in the worker's folder, which Dask removes; kept for the next codec."""
    wanted = (str(item.path), cube_row["form"], cube_row["cube_sha256"])
    path = Path(get_worker().local_directory) / f"cube-{threading.get_ident()}.npy"
    if getattr(_OF_THREAD, "cube", None) != wanted:
        cube = load_form(item, cube_row["form"])
        found = provenance.cube_sha256(cube)
        if found != cube_row["cube_sha256"]:
            raise DatasetError(f"{item.name}: expected the cube {cube_row['cube_sha256'][:12]}, found {found[:12]}")
        lhic.save_cube(path, cube, overwrite=True)
        _OF_THREAD.cube = wanted
    return path
