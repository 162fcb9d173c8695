"""Results of several machines: a results folder is packed into one file, and such files are joined.

Decides what a collection is, a Parquet file of result rows that says in its metadata which runs they are from, which
rows contradict each other, and which of several rows of one measurement stays.  Speeds belong to a machine, so each
machine keeps its rows; sizes must agree wherever the rows promise that they hold (``provenance``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from benchmarks.codecs.base import ANYWHERE, LIBRARIES
from benchmarks.measure import rows
from benchmarks.measure.measurement import told
from benchmarks.measure.provenance import shown
from lhic.errors import DatasetError, UsageError, VerificationError, message_of
from lhic.io.atomic import atomic_write, check_place

RUNS = b"lhic.runs"  # metadata: the environment.json of each run, as a JSON list
MACHINE = ("machine", "cores", "device_name")
SAMPLES = ("cube_sha256", "dtype", "bands", "rows", "columns")


def collect(folder: Path, target: Path, overwrite: bool = False) -> int:
    """Pack the rows of a results folder and its ``environment.json`` into one file; returns the number of rows.

    Raises
    ------
    DatasetError
        No rows there, or no ``environment.json``.
    UsageError
        The file is there already and may not be replaced.
    """
    check_place(target, overwrite)
    table = rows.read_table(folder)
    path = folder / "environment.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or message_of(error)
        raise DatasetError(f"{shown(path)}: expected what a run was made with, found {found}") from error
    write(table.to_pylist(), [run], target, overwrite)
    return table.num_rows


def merge(paths: Sequence[Path], target: Path, overwrite: bool = False) -> pd.DataFrame:
    """Join collections into one; returns its rows.

    Of several rows of one measurement (`rows.KEY`) on one machine that with a result stays, and the latest of these.

    Raises
    ------
    UsageError
        Fewer than two files, or the target is there already and may not be replaced.
    DatasetError
        A file is no collection.
    VerificationError
        Rows contradict each other; each contradiction is printed on a line.  Nothing is written.
    """
    if len(paths) < 2:
        raise UsageError(f"merge: expected at least two files, found {len(paths)}")
    check_place(target, overwrite)
    kept: dict[tuple, dict] = {}
    runs: list[dict] = []
    said: dict[tuple, tuple] = {}
    contradictions = []
    for path in paths:
        found, of_file = read(path)
        runs += [run for run in of_file if run not in runs]
        for row in found:
            for subject, value, unit in _statements(row):
                before, where = said.setdefault(subject, (value, path))
                if before != value:
                    name = told(row["codec"], row["cube"], row["form"])
                    contradictions.append(f"{name}: {unit} {before} in {where}, {value} in {path}")
            key = (*rows.key_of(row), *(row[name] for name in MACHINE))
            if key not in kept or _rank(row) >= _rank(kept[key]):
                kept[key] = row
    if contradictions:
        print("\n".join(f"contradiction: {line}" for line in dict.fromkeys(contradictions)))
        raise VerificationError(f"merge: expected rows that agree, found {len(set(contradictions))} contradictions")
    write(list(kept.values()), runs, target, overwrite)
    return rows.as_table(list(kept.values())).to_pandas()


def read(path: Path) -> tuple[list[dict], list[dict]]:
    """Rows of a collection, and the ``environment.json`` of each run that they are from.

    Raises
    ------
    DatasetError
        The file is no collection.
    """
    table = rows.read_part(path)
    try:
        runs = json.loads(table.schema.metadata[RUNS])
    except (TypeError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: expected a file that invoke collect has written, found no runs in it") from error
    return table.to_pylist(), runs


def write(found: Sequence[dict], runs: Sequence[dict], target: Path, overwrite: bool = False) -> None:
    """Write rows, and the ``environment.json`` of each run that they are from, as a collection."""
    table = rows.as_table(found)
    content = io.BytesIO()
    described = table.replace_schema_metadata({RUNS: json.dumps(runs).encode()})
    pyarrow.parquet.write_table(described, content, compression="zstd")
    with atomic_write(target, overwrite) as file:
        file.write(content.getbuffer())


def _statements(row: dict) -> list[tuple[tuple, object, str]]:
    """What a row says that others must not contradict: subject, value and what the value is."""
    found = []
    if row["cube_sha256"]:
        named = ("cube", row["dataset"], row["form"], row["cube"])
        found.append((named, row["cube_sha256"][:12], "samples"))
    if not row["error"] and row["bytes"] is not None:
        subject = ("size", *(row[name] for name in (*SAMPLES, "codec", "settings", "weights_hash", "provenance")))
        if row["provenance"] != ANYWHERE:
            subject += (row["codec_version"],)
            if row["provenance"] != LIBRARIES:
                subject += (row["machine"], row["libraries"])
        found.append((subject, row["bytes"], "bytes"))
    return found


def _rank(row: dict) -> tuple[bool, str]:
    return not row["error"], row["date"]
