"""The runner end to end on a tiny cube, with codecs that work and codecs that fail in every way."""

import json
import sys

import numpy as np
import pytest

from benchmarks.measure import rows
from benchmarks.measure.measurement import Options, choose, describe_codec
from benchmarks.measure.run import run
from benchmarks.measure.worker import check_equal, measure
from lhic.data import open_dataset
from lhic.errors import UsageError, VerificationError
from tests.benchmarks.broken_codecs import Raw

HERE = "tests.benchmarks.broken_codecs"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "aviris_tiny.npy", rng.integers(-50, 12_000, (3, 9, 10), dtype=np.int16))
    return open_dataset("corpus", folder)


def run_all(corpus, path, codecs, form="as-measured", **options):
    n_new = run("corpus", corpus, form, codecs, path, Options(repeats=3, **options), progress=False)
    return n_new, rows.read_rows(path).set_index("codec")


def test_rows_of_working_codecs(corpus, tmp_path):
    codecs = ["aec-bands", "png-default", f"{HERE}:Threaded"]
    n_new, table = run_all(corpus, tmp_path / "out", codecs)
    assert n_new == 3 and list(table.index) == codecs and set(table["error"]) == {""}
    row = table.loc[f"{HERE}:Threaded"]
    assert row["bytes"] == 2 * 3 * 9 * 10 + 5  # samples and frame
    assert row["bps"] == pytest.approx(8 * row["bytes"] / 270)
    assert row["encode_s_p20"] <= row["encode_s"] <= row["encode_s_p80"]
    assert row["encode_all_s"] > 0 and row["repeats"] == 3 and row["warm_up"] == 1
    assert 0 < row["baseline_rss_bytes"] <= row["peak_rss_bytes"]
    assert json.loads(row["settings"]) == {"answer": 42}
    assert (row["sensor"], row["value_min"] < 0, row["dtype"]) == ("AVIRIS", True, "int16")
    assert len(row["cube_sha256"]) == 64 and row["commit"] and row["machine"] and row["date"]
    assert np.isnan(table.loc["aec-bands", "encode_all_s"]), "a codec of one thread is not timed twice"


def test_failures_become_rows_and_the_rest_goes_on(corpus, tmp_path):
    errors = {
        "Lossy": "1 samples differ, the first at (0, 0, 0)",
        "WrongDtype": "found int64",
        "Raises": "RuntimeError: first line second line",
        "Crashes": "worker ended with code 3",
        "Hangs": "given up after 8 s",
        "Refuses": "expected something else, found this",
        "missing": "libnone is not available",
        "SizeByThreads": "stream size depends on threads",
    }
    codecs = [f"{HERE}:{name}" for name in errors] + ["aec-bands"]
    n_new, table = run_all(corpus, tmp_path / "out", codecs, timeout_s=8)
    assert n_new == len(codecs)
    for name, message in errors.items():
        assert message in table.loc[f"{HERE}:{name}", "error"]
    assert np.isnan(table.loc[f"{HERE}:Lossy", "encode_s"]), "equality comes before timing"
    assert table.loc["aec-bands", "error"] == ""


def test_clipped_form_is_uint16_from_0_to_10000(corpus, tmp_path):
    _, table = run_all(corpus, tmp_path / "out", ["aec-bands"], form="clipped")
    row = table.loc["aec-bands"]
    assert (row["dtype"], row["value_min"], row["value_max"]) == ("uint16", 0, 10_000)


def test_a_stopped_run_goes_on(corpus, tmp_path):
    path = tmp_path / "out"
    assert run_all(corpus, path, ["aec-bands", f"{HERE}:Raises"])[0] == 2
    (path / "rows" / ".part-00000.parquet").write_bytes(b"PAR1 half")  # the machine stopped here
    n_new, table = run_all(corpus, path, ["aec-bands", f"{HERE}:Raises", "lerc"])
    assert n_new == 2, "the finished measurement is kept, the failed one tried again"
    assert len(table) == 3


def test_a_larger_choice_adds_to_a_smaller_one():
    items = list(range(9))
    chosen = choose(items, 3, 7)
    assert chosen == sorted(chosen) == choose(items, 3, 7) and len(chosen) == 3
    assert set(chosen) < set(choose(items, 4, 7))
    assert choose(items, None, 0) == choose(items, 99, 0) == items


def test_a_codec_that_is_not_installed_is_a_row_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert "expected its library to be installed" in describe_codec("lerc", "cpu")["error"]


def test_an_unreadable_cube_is_a_row_too(corpus, tmp_path):
    corpus[0].path.write_bytes(b"no array")
    n_new, table = run_all(corpus, tmp_path / "out", ["aec-bands"])
    assert n_new == 1 and "InvalidCubeError" in table.loc["aec-bands", "error"]


def test_usage_errors_come_before_any_work(corpus, tmp_path):
    for codecs, form in ((["no-such-codec"], "clipped"), (["aec-bands"], "stretched")):
        with pytest.raises(UsageError):
            run_all(corpus, tmp_path / "out", codecs, form)
    with pytest.raises(UsageError):
        Options(repeats=0)
    for seconds in ({"timeout_s": 0.0}, {"long_s": -1.0}, {"timeout_s": float("nan")}):
        with pytest.raises(UsageError, match="expected at least 0 and more than 0 seconds"):
            Options(**seconds)
    with pytest.raises(UsageError, match="device: expected one of auto, cpu, cuda, found 'tpu'"):
        Options(device="tpu")
    with pytest.raises(UsageError):
        Options(thread_modes=["two"])
    assert not (tmp_path / "out").exists()


def test_a_long_item_is_timed_by_its_first_pass():
    result = measure(Raw(), np.zeros((2, 3, 4), np.uint8), repeats=5, long_s=0.0)
    assert (result["repeats"], result["warm_up"]) == (1, 0)


def test_check_equal_names_the_first_difference():
    cube = np.zeros((2, 2, 2), np.int16)
    other = cube.copy()
    other[1, 0, 1] = 7
    check_equal(cube, cube.copy(), "raw")
    with pytest.raises(VerificationError, match=r"1 samples differ, the first at \(1, 0, 1\): expected 0, found 7"):
        check_equal(cube, other, "raw")
    with pytest.raises(VerificationError, match="expected int16"):
        check_equal(cube, cube.astype(np.uint16), "raw")


def test_the_search_over_ccsds123_warms_up_every_candidate(monkeypatch):
    """Found in a table: compiling the coder that won on the whole cube, but not on its corner, was timed."""
    from benchmarks.codecs import registry
    from lhic import ccsds123

    warmed = []
    decode = ccsds123.decode
    monkeypatch.setattr(
        ccsds123, "decode", lambda data: (warmed.append(ccsds123.read_header(data)[0]), decode(data))[1]
    )
    registry.make("ccsds123-best").warm_up(np.arange(60, dtype="int16").reshape(3, 4, 5))
    found = {(p.prediction_bands, p.entropy_coder) for p in warmed}
    assert found == {(p, coder) for p in (0, 3, 15) for coder in ("sample-adaptive", "hybrid")}
