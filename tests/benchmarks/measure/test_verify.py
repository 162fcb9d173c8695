"""Rows that do not hold are found, each kind of difference by a line of its own; the committed ones hold."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from benchmarks.codecs import registry
from benchmarks.codecs.base import ANYWHERE, THIS_MACHINE
from benchmarks.measure import rows
from benchmarks.measure.measurement import Options
from benchmarks.measure.run import run
from benchmarks.measure.verify import RESULTS, verify_results
from lhic.data import open_dataset
from lhic.errors import DatasetError, UsageError, VerificationError

RAW = "tests.benchmarks.broken_codecs:Raw"
COMMITTED = ("small", "medium", "every_codec")


@pytest.fixture
def results(tmp_path):
    """A results folder with two rows, and the folder of its cube."""
    (tmp_path / "cubes").mkdir()
    np.save(tmp_path / "cubes" / "aviris_tiny.npy", np.arange(60, dtype="int16").reshape(3, 4, 5))
    items = open_dataset("corpus", tmp_path / "cubes")
    options = Options(repeats=1, long_s=0, thread_modes=("one",))
    run("corpus", items, "as-measured", [RAW, "aec-bands"], tmp_path / "mine", options, progress=False)
    return tmp_path


def check(results, **more):
    return verify_results("mine", 10, 0, str(results / "cubes"), results=results, **more)


def change(results, column, value):
    """Falsify a column of the first row."""
    path = results / "mine" / "rows" / "part-00000.parquet"
    table = pd.read_parquet(path)
    table.loc[0, column] = value
    pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table, rows.SCHEMA, preserve_index=False), path)


def test_rows_that_hold(results, capsys):
    assert [verdict.differences for verdict in check(results)] == [(), ()]
    assert capsys.readouterr().out == "results/mine: 2 of 2 rows measured again, all hold\n"
    assert len(check(results, max_s=1e9)) == 2
    with pytest.raises(DatasetError, match="found none to draw from"):
        check(results, max_s=0.0)


@pytest.mark.parametrize(
    "column, value, line",
    [
        ("bytes", 124, "bytes: expected 124, found 125"),
        ("settings", "{}", 'settings: expected {}, found {"answer": 42}'),
        ("weights_hash", "ab" * 32, f"weights_hash: expected {'ab' * 32}, found none"),
        ("cube_sha256", "cd" * 32, f"cube_sha256: expected {'cd' * 32}, found "),
    ],
)
def test_a_false_row_is_found(results, capsys, column, value, line):
    change(results, column, value)
    with pytest.raises(VerificationError, match="1 of 2 rows measured again differ"):
        check(results)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 and printed[0].startswith(f"differs: {RAW} on aviris_tiny (as-measured): {line}")


def test_another_cube_of_the_same_name_is_found(results, capsys):
    np.save(results / "cubes" / "aviris_tiny.npy", np.zeros((3, 4, 5), "int16"))
    with pytest.raises(VerificationError, match="2 of 2 rows"):
        check(results)
    assert capsys.readouterr().out.count("differs: ") == 2


def falsified(results, **columns):
    for column, value in columns.items():
        change(results, column, value)
    return results


def test_a_row_of_another_library_version_is_left_out(results, capsys):
    falsified(results, codec_version="0", bytes=999)
    assert len(check(results)) == 2
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"left out: {RAW} on aviris_tiny (as-measured): holds for 0, found 1"
    assert out[1] == "results/mine: 1 of 2 rows measured again, all hold, 1 left out"
    with pytest.raises(DatasetError, match="expected rows that can be measured here, found holds for 0, found 1"):
        check(results, codecs=[RAW])


def test_a_row_that_holds_anywhere_is_measured_whatever_the_version(results):
    falsified(results, codec_version="0", bytes=999, provenance=ANYWHERE)
    with pytest.raises(VerificationError, match="1 of 2 rows"):
        check(results)


@pytest.mark.parametrize(
    "column, value, line",
    [
        ("machine", "abacus", "holds for the machine abacus, found "),
        ("libraries", '{"numpy": "0.1"}', f"holds for numpy 0.1, found {np.__version__}"),
    ],
)
def test_a_row_of_another_machine_is_left_out(results, capsys, column, value, line):
    falsified(results, bytes=999, provenance=THIS_MACHINE)
    with pytest.raises(VerificationError):
        check(results)
    capsys.readouterr()
    falsified(results, **{column: value})
    check(results)
    assert f"left out: {RAW} on aviris_tiny (as-measured): {line}" in capsys.readouterr().out


def test_rows_that_cannot_be_measured_are_left_out(results, capsys):
    change(results, "cube", "lost")
    check(results)
    assert "left out: " in (out := capsys.readouterr().out) and "no such cube in corpus" in out
    assert "1 of 2 rows measured again, all hold, 1 left out" in out
    (results / "cubes" / "aviris_tiny.npy").unlink()
    with pytest.raises(DatasetError, match="expected rows that can be measured here"):
        check(results)


def test_bad_input(results):
    with pytest.raises(UsageError, match=r"expected a folder of results \(cubes, mine\), found 'other'"):
        verify_results("other", results=results)
    with pytest.raises(UsageError, match="sample: expected at least 1, found 0"):
        verify_results("mine", 0, results=results)
    with pytest.raises(UsageError, match="codecs: expected names that results/mine has rows of, found 'png-default'"):
        verify_results("mine", codecs=[RAW, "png-default"], results=results)


@pytest.mark.parametrize("profile", COMMITTED)
def test_committed_rows_promise_what_their_codecs_promise(profile):
    table = rows.read_rows(RESULTS / profile)
    promised = {name: registry.make(name).provenance for name in table["codec"].unique()}
    assert (table["provenance"] == table["codec"].map(promised)).all()
    assert {promised[name] for name in promised if name.startswith(("lhic-ax", "ccsds123", "rls"))} == {ANYWHERE}


@pytest.mark.parametrize("profile, max_s", [("small", 1), ("every_codec", 1)])
def test_committed_rows_hold(profile, max_s):
    verdicts = verify_results(profile, sample=6, seed=5, max_s=max_s)
    assert len(verdicts) == 6 and not any(verdict.left_out.startswith("dataset absent") for verdict in verdicts)


def test_committed_rows_of_our_codecs_hold_on_any_machine():
    """lhic-ax in both forms of the bundled patch; some twenty seconds on two cores."""
    ours = ["lhic-ax-unseen", "ccsds123-p3"]
    verdicts = verify_results("small", sample=4, codecs=ours)
    assert len(verdicts) == 4 and not any(verdict.left_out for verdict in verdicts)
