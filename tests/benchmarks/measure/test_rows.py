"""Rows on disk: files of format 1 stay readable, and a folder of parts never holds half a row or one twice."""

import hashlib
import subprocess
import sys

import pandas as pd
import pytest

from benchmarks.measure import row_parts, rows
from benchmarks.measure.provenance import dataset_sha256
from benchmarks.measure.row_parts import RowParts
from lhic.errors import DatasetError


def row(cube, error="", **more):
    return {"dataset": "corpus", "form": "clipped", "cube": cube, "codec": "x", "device": "cpu", "error": error, **more}


def test_a_file_of_format_1_is_read_and_then_continued_in_format_2(tmp_path):
    path = tmp_path / "rows.csv"
    old = row("a", bytes=10, encode_s=0.123456789012345678, settings='{"k": "a, b"}')
    lines = [",".join(rows.COLUMNS_1), ",".join(_csv(old.get(name, "")) for name in rows.COLUMNS_1)]
    path.write_text("\n".join(lines) + "\n")
    before = rows.read_rows(path)
    assert tuple(before.columns) == rows.COLUMNS
    assert before["dataset_sha256"].tolist() == [""] and before["workers"].isna().all()

    rows.append_row(path, row("b", dataset_sha256="ab", workers=2))
    after = rows.read_rows(path)
    assert after["dataset_sha256"].tolist() == ["", "ab"] and after["cube"].tolist() == ["a", "b"]
    assert (
        after.loc[0, ["bytes", "encode_s", "settings"]].tolist()
        == before.loc[0, ["bytes", "encode_s", "settings"]].tolist()
    )
    assert str(0.123456789012345678) in path.read_text(), "digits were lost"


def _csv(value):
    text = str(value).replace('"', '""')
    return f'"{text}"' if '"' in text else text


def test_parts_hold_every_row_once(tmp_path, monkeypatch):
    monkeypatch.setattr(row_parts, "PART_ROWS", 3)
    with RowParts(tmp_path) as parts:
        for name in "abcdefgh":
            parts.append(row(name, error="broken" if name in "bh" else "", bytes=7))
    with RowParts(tmp_path) as parts:  # as when a run is started again
        parts.drop({row_parts.key_of(row("b")), row_parts.key_of(row("never seen"))})
        parts.append(row("h"))
        parts.append(row("i"))
    raw = pd.read_parquet(tmp_path)
    assert sorted(raw["cube"]) == list("acdefghi") and set(raw["error"]) == {""}
    assert tuple(raw.columns) == rows.COLUMNS and raw["settings"].tolist() == [""] * 8
    table = rows.read_rows(tmp_path)
    assert len(table) == 8 and table["bytes"].sum() == 6 * 7
    assert rows.finished(table) == {rows.identity(row(name)) for name in "acdefghi"}


def test_a_part_that_was_being_written_is_passed_over(tmp_path):
    with RowParts(tmp_path) as parts:
        parts.append(row("a"))
    (tmp_path / ".part-00001.parquet").write_bytes(b"PAR1 half")
    assert rows.read_rows(tmp_path)["cube"].tolist() == ["a"]
    with RowParts(tmp_path) as parts:
        parts.append(row("b"))
    assert pd.read_parquet(tmp_path)["cube"].tolist() == ["a", "b"]


def test_a_folder_has_one_writer(tmp_path):
    code = f"from benchmarks.measure.row_parts import RowParts\nwith RowParts({str(tmp_path)!r}): pass"
    with RowParts(tmp_path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "found another run at work" in done.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_folders_that_hold_no_rows_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="expected Parquet files of result rows, found none"):
        rows.read_rows(tmp_path)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "part-00000.parquet")
    for refuse in (lambda: rows.read_rows(tmp_path), RowParts(tmp_path).__enter__):
        with pytest.raises(DatasetError, match="expected the columns of result rows format 2, found"):
            refuse()
    (tmp_path / "part-00000.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="expected a Parquet file of rows"), RowParts(tmp_path):
        pass


def test_the_key_of_a_dataset_forgets_order_and_repetition():
    one, other = "a" * 64, "b" * 64
    assert dataset_sha256([one, other]) == hashlib.sha256(f"{one}\n{other}\n".encode()).hexdigest()
    assert dataset_sha256([other, one, "", one]) == dataset_sha256([one, other]) != dataset_sha256([one])
