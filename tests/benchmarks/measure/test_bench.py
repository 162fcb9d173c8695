"""The runner for many cubes: nothing lost and nothing twice, whoever dies; what is wrong is told before any work."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from benchmarks.measure import provenance, rows
from benchmarks.measure.bench import Request, bench
from benchmarks.measure.measurement import Options
from benchmarks.study.study import run_study
from lhic.data import hyspecnet, open_dataset
from lhic.errors import BackendError, DatasetError, UsageError
from tests.common import REPOSITORY

RECORDED = "tests.benchmarks.recorded_codecs"
BROKEN = "tests.benchmarks.broken_codecs"
QUICK = Options(repeats=1, long_s=0, thread_modes=("one",), timeout_s=600)
N_CUBES = 3


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A corpus of tiny cubes, told apart by their first sample, and a file where codecs record what they do."""
    monkeypatch.setenv("LHIC_TEST_RECORD", str(tmp_path / "record"))
    (tmp_path / "cubes").mkdir()
    for number in range(N_CUBES):
        cube = np.arange(3 * 4 * 5, dtype="int16").reshape(3, 4, 5)
        cube[0, 0, 0] = 100 + number
        np.save(tmp_path / "cubes" / f"aviris_{number}.npy", cube)
    return tmp_path


def request(folder, *codecs, **more):
    return Request("corpus", str(folder / "cubes"), None, codecs, **more)


def run(folder, *codecs, options=QUICK, n_workers=2, **more):
    bench(request(folder, *codecs, **more), options, folder / "out", n_workers=n_workers, progress=False)
    table = pd.read_parquet(folder / "out" / "rows")
    assert not table.duplicated(["cube", "codec"]).any(), "a row counts twice"
    assert len(rows.read_rows(folder / "out")) == len(table)
    return table


def recorded(folder):
    return Counter((folder / "record").read_text().splitlines())


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_no_row(folder):
    always = f"{RECORDED}:KillsAlways"
    codecs = [f"{RECORDED}:KillsOnce", always]
    table = run(folder, *codecs).set_index(["codec", "cube"]).sort_index()
    assert len(table) == len(codecs) * N_CUBES
    assert "workers died of it" in table.loc[(always, "aviris_0"), "error"]
    assert set(table.drop(index=(always, "aviris_0"))["error"]) == {""}, "a bystander was taken for the killer"
    times = sorted(n for line, n in recorded(folder).items() if line.startswith("kills-once"))
    assert times[-1] > 1, "the killed item was not measured again"


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(folder):
    codecs = [f"{RECORDED}:Slow", "aec-bands"]
    words = ["bench", "--dataset", "corpus", "--root", str(folder / "cubes"), "--codecs", ",".join(codecs)]
    words += ["--workers", "2", "--device", "cpu", "--timeout-s", "600", "--out", str(folder / "out")]
    command = subprocess.Popen([sys.executable, "-m", "invoke", *words], cwd=REPOSITORY, start_new_session=True)
    before = _wait_for_rows(folder / "out" / "rows", 2, command)
    command.send_signal(signal.SIGKILL)
    command.wait()
    os.killpg(command.pid, signal.SIGKILL)
    assert 2 <= len(before) < 2 * N_CUBES, "the run was over before it was killed"

    (folder / "out" / "rows" / ".part-00000.parquet").write_bytes(b"PAR1")  # killed while it wrote a part
    table = run(folder, *codecs)
    assert len(table) == 2 * N_CUBES and set(table["error"]) == {""}
    finished = before.loc[before["codec"] == codecs[0], "cube"]
    assert {recorded(folder)[f"slow {100 + int(cube[-1])}"] for cube in finished} <= {1}
    kept = table.merge(before, on=["cube", "codec"])
    assert (kept["date_x"] == kept["date_y"]).all(), "a finished row was measured again"


def _wait_for_rows(path, n_rows, command, timeout_s=300):
    for _ in range(5 * timeout_s):
        if any(path.glob("*.parquet")) and len(table := pd.read_parquet(path)) >= n_rows:
            return table
        assert command.poll() is None, "the run ended by itself"
        time.sleep(0.2)
    raise AssertionError("no rows came")


def test_rows_say_where_they_come_from(folder):
    table = run(folder, f"{BROKEN}:Raises", "ccsds123-p0", n_workers=1, limit=2)
    assert set(table.columns) == set(rows.COLUMNS)
    row = table[table["codec"] == "ccsds123-p0"].iloc[0]
    assert row["bytes"] > 0 and row["bps"] == 8 * row["bytes"] / 60 and row["workers"] == 1
    assert row["item_s"] >= row["encode_s"] + row["decode_s"] and 0 < row["baseline_rss_bytes"] <= row["peak_rss_bytes"]
    assert row["dataset_sha256"] == provenance.dataset_sha256(table["cube_sha256"])
    assert json.loads(row["settings"]) and json.loads(row["libraries"])["numpy"] == np.__version__
    assert set(table.loc[table["codec"] == f"{BROKEN}:Raises", "error"]) == {"RuntimeError: first line second line"}
    environment = json.loads((folder / "out" / "environment.json").read_text())
    assert environment["request"]["limit"] == 2 and environment["commit"]
    assert len(json.loads((folder / "out" / "cubes.json").read_text())) == 2, "cubes would be read again"

    more = run(folder, "ccsds123-p0", n_workers=1, limit=3)
    assert set(table["cube"]) < set(more["cube"]), "a larger limit adds to a smaller one"
    again = more.merge(table[table["error"] == ""], on=["cube", "codec"])
    assert len(again) == 2 and (again["item_s_x"] == again["item_s_y"]).all(), "a finished row was measured again"
    with pytest.raises(UsageError, match="expected the same repeats as before, found 2, where the rows there have 1"):
        bench(request(folder, "ccsds123-p0"), Options(2, 0, thread_modes=("one",)), folder / "out")


def test_an_unreadable_cube_is_a_row_too(folder):
    """A damaged file, and a link to nothing, which once ended the whole run."""
    (folder / "cubes" / "aviris_0.npy").write_bytes(b"no array")
    (folder / "cubes" / "aviris_a.npy").symlink_to("gone")
    table = run(folder, "aec-bands", n_workers=1).set_index("cube")
    assert "InvalidCubeError" in table.loc["aviris_0", "error"] and "aviris_a.npy" in table.loc["aviris_a", "error"]
    assert (table["error"] == "").sum() == N_CUBES - 1


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [0, 2])
def test_an_interrupted_command_ends_with_one_line(folder, n_rows):
    """A terminal sends Ctrl-C to the workers, too, each of which once printed a traceback."""
    words = ["bench", "--dataset", "corpus", "--root", str(folder / "cubes"), "--codecs", f"{RECORDED}:Slow,aec-bands"]
    command = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words, "--workers", "2", "--out", str(folder / "out")],
        **{"cwd": REPOSITORY, "start_new_session": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )
    if n_rows:
        _wait_for_rows(folder / "out" / "rows", n_rows, command)
    else:
        time.sleep(2)  # workers are starting
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=60)
    shown = [line.split("\r")[-1] for line in err.decode().split("\n")]  # what a terminal keeps of each line
    said = [line for line in shown if line.strip() and not line.startswith("read: ")]
    assert (command.returncode, out, len(said)) == (130, b"", 1), err.decode()
    assert said[0].startswith("stopped")
    if n_rows:
        assert said[0].endswith("of 6 items are measured; the same command goes on from there")


def test_the_command_names_what_failed_and_exits_with_1(folder):
    (folder / "cubes" / "aviris_1.npy").write_bytes(b"no array")
    words = ["--dataset", "corpus", "--root", str(folder / "cubes"), "--codecs", f"aec-bands,{BROKEN}:Raises"]
    command = [sys.executable, "-m", "invoke", "bench", *words, "--workers", "1", "--out", str(folder / "out")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed: ")]
    assert done.returncode == 1 and len(failed) == 4
    assert f"failed: {BROKEN}:Raises on aviris_0 (as-measured): RuntimeError: first line second line" in failed
    assert "error: bench: expected all 6 items to be measured, found 4 that failed" in done.stderr.splitlines()[-1]
    head = "| codec | bps | worst cube | total | encode MS/s | decode MS/s | peak MiB | coded |"
    assert head in done.stdout, "rate and speed, in spite of an unreadable cube"
    assert "| 2 of 2 |" in done.stdout and "mean of 2 cubes" in done.stdout
    assert "Not extrapolated: expected at least 20 cubes to speak for 3, found 2 measured." in done.stdout
    assert (folder / "out" / "tables" / "bitrate.md").is_file() and (folder / "out" / "rows.csv").is_file()


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"dataset": "none-such"}, UsageError, "dataset: expected one of"),
        ({"root": "no-such-folder"}, DatasetError, "expected a folder of .npy cubes"),
        ({"split": "hard/test"}, UsageError, "expected no split"),
        ({"dataset": "hyspecnet-11k", "split": "hard/tset"}, DatasetError, "expected a folder `patches`"),
        ({"codecs": ["no-such-codec"]}, UsageError, "codec: expected the name of a codec"),
        ({"codecs": [f"{BROKEN}:missing"]}, BackendError, "libnone is not available"),
        ({"codecs": []}, UsageError, "codecs: expected names"),
        ({"form": "stretched"}, UsageError, "form: expected one of"),
        ({"limit": -1}, UsageError, "limit: expected at least 1"),
    ],
)
def test_a_bad_request_is_told_before_any_work(folder, changes, error, message):
    values = {"dataset": "corpus", "root": str(folder / "cubes"), "split": None, "codecs": ["aec-bands"]} | changes
    with pytest.raises(error, match=message) as caught:
        bench(Request(**values), QUICK, folder / "out")
    assert "\n" not in str(caught.value) and not (folder / "out").exists()


def test_a_dead_scheduler_is_told_within_seconds(folder):
    start = time.perf_counter()
    with pytest.raises(BackendError, match=r"scheduler tcp://127\.0\.0\.1:9: expected an answer within 5 s"):
        bench(request(folder, "aec-bands"), QUICK, folder / "out", scheduler="tcp://127.0.0.1:9")
    assert time.perf_counter() - start < 15
    with pytest.raises(UsageError, match="expected an address such as tcp://host:8786, found 'nonsense'"):
        bench(request(folder, "aec-bands"), QUICK, folder / "out", scheduler="nonsense")
    with pytest.raises(UsageError, match="workers: expected at least 1"):
        bench(request(folder, "aec-bands"), QUICK, folder / "out", n_workers=0)
    assert not (folder / "record").exists()


def test_a_codec_that_is_not_installed_is_told(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(BackendError, match=r"codec 'lerc': expected its library to be installed, found .*imagecodecs"):
        bench(request(folder, "lerc"), QUICK, folder / "out")
    assert not (folder / "out" / "rows").exists()


def test_half_converted_patches_are_told(tmp_path):
    bundled = open_dataset("bundled")[0]
    patches = []
    for number in range(2):
        name = f"{bundled.path.parent.parent.name}-Y0000000{number}_X00000000"
        patches.append(tmp_path / "patches" / bundled.path.parent.parent.name / name / f"{name}-SPECTRAL_IMAGE.TIF")
        patches[-1].parent.mkdir(parents=True)
        patches[-1].symlink_to(bundled.path)
    whole = Request("hyspecnet-11k", str(tmp_path), None, ["aec-bands"])
    assert len(whole.items()) == 2
    array = patches[0].with_name(patches[0].name.replace(hyspecnet.TIF_SUFFIX, hyspecnet.INT16_SUFFIX))
    np.save(array, np.zeros((202, 128, 128), "int16"))
    with pytest.raises(DatasetError, match="1 of 2 cubes are converted, the first that is not"):
        whole.items()
    hyspecnet.convert_root(tmp_path, clip=False, progress=False)
    assert len(whole.items()) == 2
    array.write_bytes(array.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="expected a whole array"):
        whole.items()
    study = {"dataset": "hyspecnet-11k", "root": str(tmp_path), "split": "null", "out": str(tmp_path / "out")}
    with pytest.raises(DatasetError, match="expected a whole array"):
        run_study("full", overrides=study)
    assert not (tmp_path / "out").exists()
