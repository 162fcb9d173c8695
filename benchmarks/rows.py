"""Result rows: the columns, and a CSV file that only ever grows by whole rows.

A row is one cube coded by one codec.  Everything the tables and figures say is computed from rows.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pandas as pd

from lhic.errors import DatasetError

# Result rows, format 1: order and names of the columns.
TEXT_COLUMNS = {
    "dataset": "kind of dataset",
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
NUMBER_COLUMNS = {
    "bands": "S",
    "rows": "H",
    "columns": "W",
    "n_samples": "S*H*W",
    "value_min": "smallest sample",
    "value_max": "largest sample",
    "best_of": "1 when settings were searched on this cube",
    "bytes": "all bytes the decoder reads",
    "bps": "8 * bytes / n_samples",
    "encode_s": "median seconds on one thread",
    "encode_s_p20": "",
    "encode_s_p80": "",
    "decode_s": "median seconds on one thread",
    "decode_s_p20": "",
    "decode_s_p80": "",
    "repeats": "timings behind the medians on one thread",
    "warm_up": "1 when a first pass over the whole cube was dropped",
    "encode_all_s": "median seconds on all cores; empty for a codec that only ever uses one thread",
    "encode_all_s_p20": "",
    "encode_all_s_p80": "",
    "decode_all_s": "median seconds on all cores",
    "decode_all_s_p20": "",
    "decode_all_s_p80": "",
    "repeats_all": "timings behind the medians on all cores",
    "warm_up_all": "1 when a first pass over the whole cube was dropped",
    "cores": "what all cores means",
    "peak_rss_bytes": "largest resident size of the process up to the first decoded cube",
    "baseline_rss_bytes": "resident size before: interpreter, libraries and the cube",
}
COLUMNS = (
    *("dataset", "form", "cube", "cube_sha256", "sensor", "bands", "rows", "columns", "dtype"),
    *("n_samples", "value_min", "value_max"),
    *("codec", "codec_version", "settings", "signed", "best_of", "weights_hash"),
    *("bytes", "bps"),
    *("encode_s", "encode_s_p20", "encode_s_p80", "decode_s", "decode_s_p20", "decode_s_p80", "repeats", "warm_up"),
    *("encode_all_s", "encode_all_s_p20", "encode_all_s_p80"),
    *("decode_all_s", "decode_all_s_p20", "decode_all_s_p80", "repeats_all", "warm_up_all"),
    *("threads", "cores", "peak_rss_bytes", "baseline_rss_bytes"),
    *("device", "device_name", "machine", "libraries", "commit", "date", "error"),
)
assert set(COLUMNS) == set(TEXT_COLUMNS) | set(NUMBER_COLUMNS)

# What makes two rows the same measurement: the later one replaces the earlier.
KEY = ("dataset", "form", "cube", "codec", "device")


def append_row(path: Path, row: dict) -> None:
    """Add one row at the end of a CSV file, which is created with its header line if needed.

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
    if not new:
        _check_header(path)
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


def _check_header(path: Path) -> None:
    with open(path, newline="") as file:
        found = next(csv.reader(file), [])
    if tuple(found) != COLUMNS:
        raise DatasetError(f"{path}: expected the columns of result rows format 1, found {','.join(found)[:80]}")


def read_rows(path: str | Path) -> pd.DataFrame:
    """Rows of a CSV file, numbers as numbers and missing text as ``""``.

    A cube that was coded again by the same codec has several rows; the last one counts.

    Raises
    ------
    DatasetError
        No such file, or other columns.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path}: expected a file of result rows, found nothing there")
    _check_header(path)
    rows = pd.read_csv(
        path,
        dtype=dict.fromkeys(TEXT_COLUMNS, str),
        keep_default_na=False,
        na_values={name: ["", "nan"] for name in NUMBER_COLUMNS},
    )
    return rows.drop_duplicates(list(KEY), keep="last").reset_index(drop=True)
