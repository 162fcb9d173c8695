"""Many rows: a folder of Parquet files that is whole at every moment.

Decides when a row is on disk and how a machine that stops in the middle leaves no half row and no row twice.
``pandas.read_parquet`` reads the folder as it is; the columns are those of `rows`.

A finished row rewrites the last part, which holds at most `PART_ROWS` rows, under a name that readers pass over,
and renames it.  One file a row would need a merging pass, and between merging and removing every row would count
twice; one file alone would be rewritten half a million times.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pyarrow
import pyarrow.parquet
from filelock import FileLock, Timeout

from benchmarks.measure.rows import COLUMNS, INTEGER_COLUMNS, KEY, TEXT_COLUMNS
from lhic.errors import DatasetError, UsageError, message_of

PART_ROWS = 256  # rewriting a full part takes some 10 ms

TYPES = {name: pyarrow.int64() for name in INTEGER_COLUMNS} | {name: pyarrow.string() for name in TEXT_COLUMNS}
SCHEMA = pyarrow.schema([(name, TYPES.get(name, pyarrow.float64())) for name in COLUMNS])


class RowParts:
    """The only writer of a folder of rows; use it in a ``with`` block.

    Parameters
    ----------
    folder : created if needed; holds ``part-00000.parquet``, ``part-00001.parquet`` ...

    Raises
    ------
    UsageError
        Another process is writing there (when the block is entered).
    DatasetError
        A part is damaged or has other columns (when the block is entered).
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
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
            self._load()
        except DatasetError:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._lock.release()

    def _load(self) -> None:
        for path in self._paths():
            self._rows, self._number = _read(path), int(path.stem.partition("-")[2])
            self._keys |= {key_of(row) for row in self._rows}

    def append(self, row: dict) -> None:
        """Put one row on disk; it replaces a row with the same key."""
        assert set(row) <= set(COLUMNS), set(row) - set(COLUMNS)
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
        for path in self._paths() if self._keys.intersection(keys) else []:
            found = _read(path)
            kept = [row for row in found if key_of(row) not in keys]
            if len(kept) < len(found):
                _write(path, kept)
            if path == self._path(self._number):
                self._rows = kept
        self._keys -= set(keys)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.parquet"))

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


def key_of(row: dict) -> tuple:
    """The values of `rows.KEY`."""
    return tuple(row.get(name) or "" for name in KEY)


def _read(path: Path) -> list[dict]:
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: expected a Parquet file of rows, found {message_of(error)}") from error
    if table.schema.names != list(COLUMNS):
        raise DatasetError(f"{path}: expected the columns of result rows format 2, found {table.schema.names[:4]} ...")
    return table.to_pylist()


def _write(path: Path, rows: list[dict]) -> None:
    texts = dict.fromkeys(TEXT_COLUMNS, "")
    table = pyarrow.Table.from_pylist([texts | row for row in rows], SCHEMA)
    partial = path.with_name(f".{path.name}")  # readers of the folder pass over names that begin with a dot
    with open(partial, "wb") as file:
        pyarrow.parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
