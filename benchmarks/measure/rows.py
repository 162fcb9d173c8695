"""Result rows: the columns, and a CSV file that only ever grows by whole rows.

A row is one cube coded by one codec.  Everything the tables and figures say is computed from rows.  Many rows
are kept as Parquet instead (`row_parts`), with the columns of this file.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pandas as pd

from lhic.errors import DatasetError
from lhic.io.atomic import atomic_write

# Result rows, format 2: order and names of the columns.
TEXT_COLUMNS = {
    "dataset": "kind of dataset",
    "split": "part of the dataset; empty: all of it",
    "dataset_sha256": "SHA-256 over the cubes measured together (`provenance.dataset_sha256`)",
    "form": "`clipped` to [0, 10000], or `as-measured`",
    "cube": "name of the cube",
    "cube_sha256": "SHA-256 of its samples",
    "sensor": "sensor, as far as known",
    "dtype": "of the samples given to the codec",
    "codec": "name in the registry",
    "codec_version": "library that did the work",
    "settings": "JSON",
    "signed": "how negative samples are coded",
    "weights_hash": "SHA-256 of the weights; empty without",
    "threads": "how the codec is told its number of threads; empty: it only ever uses one",
    "device": "cpu or cuda",
    "device_name": "model of the device; cpu: see machine",
    "machine": "processor",
    "libraries": "JSON",
    "commit": "of this repository",
    "date": "UTC",
    "error": "empty, or why there is no result",
}
INTEGER_COLUMNS = {
    "bands": "S",
    "rows": "H",
    "columns": "W",
    "n_samples": "S*H*W",
    "value_min": "smallest sample",
    "value_max": "largest sample",
    "best_of": "1 when settings were searched on this cube",
    "bytes": "all bytes the decoder reads",
    "repeats": "timings behind the medians on one thread",
    "warm_up": "1 when a first pass over the whole cube was dropped",
    "repeats_all": "timings behind the medians on all cores",
    "warm_up_all": "1 when a first pass over the whole cube was dropped",
    "cores": "what all cores means",
    "workers": "measurements that could run on the machine at the same time, this one included",
    "peak_rss_bytes": "largest resident size of the process up to the first decoded cube",
    "baseline_rss_bytes": "resident size before: interpreter, libraries and the cube",
}
REAL_COLUMNS = {
    "bps": "8 * bytes / n_samples",
    "encode_s": "median seconds on one thread",
    "encode_s_p20": "",
    "encode_s_p80": "",
    "decode_s": "median seconds on one thread",
    "decode_s_p20": "",
    "decode_s_p80": "",
    "encode_all_s": "median seconds on all cores; empty for a codec that only ever uses one thread",
    "encode_all_s_p20": "",
    "encode_all_s_p80": "",
    "decode_all_s": "median seconds on all cores",
    "decode_all_s_p20": "",
    "decode_all_s_p80": "",
    "item_s": "seconds this row took: starting processes, warming up, all passes, the check",
}
NUMBER_COLUMNS = INTEGER_COLUMNS | REAL_COLUMNS
COLUMNS = (
    *(
        "dataset",
        "split",
        "dataset_sha256",
        "form",
        "cube",
        "cube_sha256",
        "sensor",
        "bands",
        "rows",
        "columns",
        "dtype",
    ),
    *("n_samples", "value_min", "value_max"),
    *("codec", "codec_version", "settings", "signed", "best_of", "weights_hash"),
    *("bytes", "bps"),
    *("encode_s", "encode_s_p20", "encode_s_p80", "decode_s", "decode_s_p20", "decode_s_p80", "repeats", "warm_up"),
    *("encode_all_s", "encode_all_s_p20", "encode_all_s_p80"),
    *("decode_all_s", "decode_all_s_p20", "decode_all_s_p80", "repeats_all", "warm_up_all"),
    *("threads", "cores", "workers", "item_s", "peak_rss_bytes", "baseline_rss_bytes"),
    *("device", "device_name", "machine", "libraries", "commit", "date", "error"),
)
assert set(COLUMNS) == set(TEXT_COLUMNS) | set(NUMBER_COLUMNS)

# Files of format 1 lack these; they are read with them empty.
COLUMNS_1 = tuple(name for name in COLUMNS if name not in ("split", "dataset_sha256", "workers", "item_s"))

# What makes two rows the same measurement: the later one replaces the earlier.
KEY = ("dataset", "form", "cube", "codec", "device")

# A measurement is not repeated while all of this is the same.
IDENTITY = (*KEY, "cube_sha256", "codec_version", "settings", "weights_hash")


def identity(row: dict) -> tuple:
    """What says that a row need not be measured again."""
    return tuple(row.get(name, "") for name in IDENTITY)


def finished(rows: pd.DataFrame) -> set[tuple]:
    """Identities of the rows that hold a result."""
    return set(rows.loc[rows["error"] == "", list(IDENTITY)].itertuples(index=False, name=None))


def append_row(path: Path, row: dict) -> None:
    """Add one row at the end of a CSV file, which is created with its header line if needed.

    A file of format 1 is rewritten with the columns of today first, empty where it says nothing.

    The row is one write to a file opened for appending, so readers and other writers see all of it or
    nothing; half a line left by a machine that stopped is cut off first.

    Raises
    ------
    DatasetError
        The file has other columns.
    """
    assert set(row) <= set(COLUMNS), set(row) - set(COLUMNS)
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_half_line(path)
    new = not path.exists() or path.stat().st_size == 0
    if not new and _check_header(path) == COLUMNS_1:
        upgrade(path)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    if new:
        writer.writeheader()
    writer.writerow(row)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, text.getvalue().encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drop_half_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "rb+") as file:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, n_bytes - 1))
        if file.read() not in (b"", b"\n"):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _check_header(path: Path) -> tuple[str, ...]:
    with open(path, newline="") as file:
        found = tuple(next(csv.reader(file), []))
    if found not in (COLUMNS, COLUMNS_1):
        raise DatasetError(f"{path}: expected the columns of result rows format 2 or 1, found {','.join(found)[:80]}")
    return found


def upgrade(path: Path) -> None:
    """Rewrite a CSV file of format 1 in format 2; what it does not say stays empty."""
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def read_rows(path: str | Path) -> pd.DataFrame:
    """Rows of a CSV file or of a folder of Parquet parts, numbers as numbers and missing text as ``""``.

    A cube that was coded again by the same codec has several rows; the last one counts.

    Raises
    ------
    DatasetError
        No such file, or other columns.
    """
    path = Path(path)
    if path.is_dir():
        table = _read_parts(path)
    elif path.is_file():
        _check_header(path)
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXT_COLUMNS, str),
            keep_default_na=False,
            na_values={name: ["", "nan"] for name in NUMBER_COLUMNS},
        )
    else:
        raise DatasetError(f"{path}: expected a file of result rows, found nothing there")
    missing = {name: "" if name in TEXT_COLUMNS else float("nan") for name in COLUMNS if name not in table}
    table = table.assign(**missing)[list(COLUMNS)]
    return table.drop_duplicates(list(KEY), keep="last").reset_index(drop=True)


def _read_parts(folder: Path) -> pd.DataFrame:
    if not any(folder.glob("*.parquet")):
        raise DatasetError(f"{folder}: expected Parquet files of result rows, found none")
    table = pd.read_parquet(folder)
    if set(table.columns) != set(COLUMNS):
        found = ",".join(table.columns)[:80]
        raise DatasetError(f"{folder}: expected the columns of result rows format 2, found {found}")
    return table
