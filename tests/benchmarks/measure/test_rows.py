"""Rows on disk: a folder of parts never holds half a row or one twice, and its export has every digit."""

import csv
import hashlib
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from benchmarks.measure import rows
from benchmarks.measure.provenance import dataset_sha256
from benchmarks.measure.rows import RowParts
from lhic.errors import DatasetError
from tests.common import REPOSITORY


def row(cube, error="", **more):
    return {"dataset": "corpus", "form": "clipped", "cube": cube, "codec": "x", "device": "cpu", "error": error, **more}


def test_the_export_has_every_digit_and_integers_stay_integers(tmp_path):
    with RowParts(tmp_path) as parts:
        parts.append(row("a", bytes=10, encode_s=0.1234567890123456, settings='{"k": "a, b"}'))
        parts.append(row("b", workers=2))
    rows.export_csv(tmp_path)
    head, first, second = csv.reader((tmp_path / "rows.csv").read_text().splitlines())
    assert head == list(rows.COLUMNS)
    first, second = (dict(zip(head, line)) for line in (first, second))
    assert (first["bytes"], first["encode_s"], first["settings"]) == ("10", "0.1234567890123456", '{"k": "a, b"}')
    assert (second["bytes"], second["workers"], second["settings"], second["encode_s"]) == ("", "2", "", "")


def test_committed_exports_are_those_of_their_rows(tmp_path):
    for folder in sorted(path.parent for path in (REPOSITORY / "results").glob("*/rows")):
        shutil.copytree(folder / "rows", tmp_path / folder.name / "rows")
        rows.export_csv(tmp_path / folder.name)
        assert (tmp_path / folder.name / "rows.csv").read_bytes() == (folder / "rows.csv").read_bytes(), folder.name
    tables = sorted((REPOSITORY / "results").glob("*/*.parquet"))
    assert len(tables) >= 4
    for path in tables:
        rows.write_table(pd.read_parquet(path), tmp_path, path.stem)
        assert (tmp_path / f"{path.stem}.csv").read_bytes() == path.with_suffix(".csv").read_bytes(), path


def test_parts_hold_every_row_once(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "PART_ROWS", 3)
    with RowParts(tmp_path) as parts:
        for name in "abcdefgh":
            parts.append(row(name, error="broken" if name in "bh" else "", bytes=7))
    with RowParts(tmp_path) as parts:  # as when a run is started again
        parts.drop({rows.key_of(row("b")), rows.key_of(row("never seen"))})
        parts.append(row("h"))
        parts.append(row("i"))
    raw = pd.read_parquet(tmp_path / "rows")
    assert sorted(raw["cube"]) == list("acdefghi") and set(raw["error"]) == {""}
    assert list(raw.columns) == list(rows.COLUMNS) and raw["settings"].tolist() == [""] * 8
    table = rows.read_rows(tmp_path)
    assert len(table) == 8 and table["bytes"].sum() == 6 * 7
    assert rows.finished(tmp_path) == {rows.identity(row(name)) for name in "acdefghi"}


def test_a_part_that_was_being_written_is_passed_over(tmp_path):
    with RowParts(tmp_path) as parts:
        parts.append(row("a"))
    (tmp_path / "rows" / ".part-00001.parquet").write_bytes(b"PAR1 half")
    assert rows.read_rows(tmp_path)["cube"].tolist() == ["a"]
    with RowParts(tmp_path) as parts:
        parts.append(row("b"))
    assert pd.read_parquet(tmp_path / "rows")["cube"].tolist() == ["a", "b"]


def test_a_folder_has_one_writer(tmp_path):
    code = f"from benchmarks.measure.rows import RowParts\nwith RowParts({str(tmp_path)!r}): pass"
    with RowParts(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "found another run at work" in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_later_row_replaces_the_earlier(tmp_path):
    with RowParts(tmp_path) as parts:
        parts.append(row("a", error="broken"))
        parts.append(row("a", bps=3.0))
    assert rows.read_rows(tmp_path)["bps"].tolist() == [3.0]


def test_folders_that_hold_no_rows_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="expected Parquet files of result rows, found none"):
        rows.read_rows(tmp_path)
    part = tmp_path / "rows" / "part-00000.parquet"
    part.parent.mkdir()
    pd.DataFrame({"a": [1]}).to_parquet(part)
    for refuse in (lambda: rows.read_rows(tmp_path), RowParts(tmp_path).__enter__):
        with pytest.raises(DatasetError, match="expected the columns of result rows format 3, found"):
            refuse()
    part.write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="expected a Parquet file of rows"), RowParts(tmp_path):
        pass


def test_the_key_of_a_dataset_forgets_order_and_repetition():
    one, other = "a" * 64, "b" * 64
    assert dataset_sha256([one, other]) == hashlib.sha256(f"{one}\n{other}\n".encode()).hexdigest()
    assert dataset_sha256([other, one, "", one]) == dataset_sha256([one, other]) != dataset_sha256([one])
