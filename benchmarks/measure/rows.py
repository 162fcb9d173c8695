"""Result rows: their columns, and where they are kept.

A row is one cube coded by one codec; everything that tables and figures say is computed from rows.  They lie in the
folder ``rows`` of a results folder, as Parquet files that are whole at every moment: ``pandas.read_parquet`` reads the
folder as it is, while rows still come.  ``rows.csv`` beside it is an export for people and is read by nothing here.

A finished row rewrites the last part, which holds at most `PART_ROWS` rows, under a name that readers pass over,
and renames it.  One file a row would need a merging pass, and between merging and removing every row would count
twice; one file alone would be rewritten half a million times.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
from filelock import FileLock, Timeout

from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY, shown
from lhic.errors import DatasetError, UsageError, message_of

PART_ROWS = 256  # rewriting a full part takes some 10 ms

# Result rows, format 3: names of the columns in their order, type and meaning.
COLUMNS: dict[str, tuple[type, str]] = {
    "dataset": (str, "kind of dataset"),
    "split": (str, "part of the dataset; empty: all of it"),
    "dataset_sha256": (str, "SHA-256 over the cubes measured together (`provenance.dataset_sha256`)"),
    "form": (str, "`clipped` to [0, 10000], or `as-measured`"),
    "cube": (str, "name of the cube"),
    "cube_sha256": (str, "SHA-256 of its samples"),
    "sensor": (str, "sensor, as far as known"),
    "bands": (int, "S"),
    "rows": (int, "H"),
    "columns": (int, "W"),
    "dtype": (str, "of the samples given to the codec"),
    "n_samples": (int, "S*H*W"),
    "value_min": (int, "smallest sample"),
    "value_max": (int, "largest sample"),
    "codec": (str, "name in the registry"),
    "codec_version": (str, "library that did the work"),
    "settings": (str, "JSON"),
    "signed": (str, "how negative samples are coded"),
    "best_of": (int, "1 when settings were searched on this cube"),
    "weights_hash": (str, "SHA-256 of the weights; empty without"),
    "bytes": (int, "all bytes the decoder reads"),
    "bps": (float, "8 * bytes / n_samples"),
    "provenance": (str, "where `bytes` holds: `anywhere`, with the `library versions as named`, or on `this machine`"),
    "encode_s": (float, "median seconds on one thread"),
    "encode_s_p20": (float, "20 % quantile"),
    "encode_s_p80": (float, "80 % quantile"),
    "decode_s": (float, "median seconds on one thread"),
    "decode_s_p20": (float, "20 % quantile"),
    "decode_s_p80": (float, "80 % quantile"),
    "repeats": (int, "timings behind the medians on one thread"),
    "warm_up": (int, "1 when a first pass over the whole cube was dropped"),
    "encode_all_s": (float, "median seconds on all cores; empty for a codec that only ever uses one thread"),
    "encode_all_s_p20": (float, "20 % quantile"),
    "encode_all_s_p80": (float, "80 % quantile"),
    "decode_all_s": (float, "median seconds on all cores"),
    "decode_all_s_p20": (float, "20 % quantile"),
    "decode_all_s_p80": (float, "80 % quantile"),
    "repeats_all": (int, "timings behind the medians on all cores"),
    "warm_up_all": (int, "1 when a first pass over the whole cube was dropped"),
    "threads": (str, "how the codec is told its number of threads; empty: it only ever uses one"),
    "cores": (int, "what all cores means"),
    "workers": (int, "measurements that could run on the machine at the same time, this one included"),
    "item_s": (float, "seconds this row took: starting processes, warming up, all passes, the check"),
    "peak_rss_bytes": (int, "largest resident size of the process up to the first decoded cube"),
    "baseline_rss_bytes": (int, "resident size before: interpreter, libraries and the cube"),
    "device": (str, "cpu or cuda"),
    "device_name": (str, "model of the device; cpu: see machine"),
    "machine": (str, "processor"),
    "libraries": (str, "JSON"),
    "commit": (str, "of this repository"),
    "date": (str, "UTC"),
    "error": (str, "empty, or why there is no result"),
}
TEXTS = dict.fromkeys((name for name, (kind, _) in COLUMNS.items() if kind is str), "")
TYPES = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
SCHEMA = pyarrow.schema([(name, TYPES[kind]) for name, (kind, _) in COLUMNS.items()])

# What makes two rows the same measurement: the later one replaces the earlier.
KEY = ("dataset", "form", "cube", "codec", "device")

# A measurement is not repeated while all of this is the same.
IDENTITY = (*KEY, "cube_sha256", "codec_version", "settings", "weights_hash")


def key_of(row: dict) -> tuple:
    """The values of `KEY`."""
    return tuple(row.get(name) or "" for name in KEY)


def identity(row: dict) -> tuple:
    """What says that a row need not be measured again."""
    return tuple(row.get(name, "") for name in IDENTITY)


def finished(folder: Path) -> set[tuple]:
    """Identities of the rows of a results folder that hold a result; none where nothing was measured."""
    if not has_rows(folder):
        return set()
    rows = read_rows(folder)
    return set(rows.loc[rows["error"] == "", list(IDENTITY)].itertuples(index=False, name=None))


def has_rows(folder: Path) -> bool:
    """Whether a results folder holds any rows."""
    return bool(_parts(folder / "rows"))


def read_rows(folder: str | os.PathLike) -> pd.DataFrame:
    """Rows of a results folder, numbers as numbers and missing text as ``""``.

    Raises
    ------
    DatasetError
        No rows there, or files with other columns.
    """
    return read_table(Path(folder)).to_pandas()


def read_table(folder: Path) -> pyarrow.Table:
    """The same, with whole numbers as such and missing ones as None."""
    if not has_rows(folder):
        place = shown(folder / "rows")
        raise DatasetError(f"{place}: expected Parquet files of result rows, found none; run the study first")
    return pyarrow.concat_tables([read_part(path) for path in _parts(folder / "rows")])


def committed() -> pd.DataFrame | None:
    """Rows of all committed results, or None where there are none."""
    found = [
        read_rows(path.parent) for path in sorted((REPOSITORY / "results").glob("*/rows")) if has_rows(path.parent)
    ]
    return pd.concat(found) if found else None


def export_csv(folder: Path) -> None:
    """Write the rows of a results folder as ``rows.csv``."""
    write_csv(read_table(folder).to_pandas(types_mapper=pd.ArrowDtype), folder / "rows.csv")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, numbers with all their digits."""
    write_file(path, table.to_csv(index=False, lineterminator="\n"))


def write_table(table: pd.DataFrame, folder: Path, name: str) -> None:
    """Write a small table that is made as a whole: ``name.parquet``, and its export ``name.csv``."""
    write_file(folder / f"{name}.parquet", table.to_parquet(index=False))
    write_csv(table, folder / f"{name}.csv")


class RowParts:
    """The only writer of the rows of a results folder; use it in a ``with`` block.

    Parameters
    ----------
    folder : created if needed; its folder ``rows`` gets ``part-00000.parquet``, ``part-00001.parquet`` ...

    Raises
    ------
    UsageError
        Another process is writing there (when the block is entered).
    DatasetError
        A part is damaged or has other columns (when the block is entered).
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder) / "rows"
        self._lock = FileLock(self.folder / ".lock", timeout=0)
        self._rows: list[dict] = []  # of the last part
        self._number = 0  # of the last part
        self._keys: set[tuple] = set()

    def __enter__(self) -> RowParts:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise UsageError(f"{self.folder}: expected to be the only writer, found another run at work") from error
        try:
            for path in _parts(self.folder):
                self._rows, self._number = read_part(path).to_pylist(), int(path.stem.partition("-")[2])
                self._keys |= {key_of(row) for row in self._rows}
        except DatasetError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._lock.release()

    def append(self, row: dict) -> None:
        """Put one row on disk; it replaces a row with the same key."""
        assert row.keys() <= COLUMNS.keys(), row.keys() - COLUMNS.keys()
        key = key_of(row)
        if key in self._keys:
            self.drop({key})
        if len(self._rows) >= PART_ROWS:
            self._rows, self._number = [], self._number + 1
        self._rows.append(row)
        self._keys.add(key)
        _write(self._path(self._number), self._rows)

    def drop(self, keys: Collection[tuple]) -> None:
        """Remove rows that are about to be measured again."""
        for path in _parts(self.folder) if self._keys.intersection(keys) else []:
            found = read_part(path).to_pylist()
            kept = [row for row in found if key_of(row) not in keys]
            if len(kept) < len(found):
                _write(path, kept)
            if path == self._path(self._number):
                self._rows = kept
        self._keys -= set(keys)

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def as_table(rows: Iterable[dict]) -> pyarrow.Table:
    """Rows as a table with all columns; texts that a row lacks are empty, numbers None."""
    return pyarrow.Table.from_pylist([TEXTS | row for row in rows], SCHEMA)


def read_part(path: Path) -> pyarrow.Table:
    """Rows of one file.

    Raises
    ------
    DatasetError
        No Parquet file, or one with other columns.
    """
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: expected a Parquet file of rows, found {message_of(error)}") from error
    if table.schema.names != list(COLUMNS):
        raise DatasetError(f"{path}: expected the columns of result rows format 3, found {table.schema.names[:4]} ...")
    return table


def _write(path: Path, rows: list[dict]) -> None:
    table = as_table(rows)
    partial = path.with_name(f".{path.name}")  # readers of the folder pass over names that begin with a dot
    with open(partial, "wb") as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
