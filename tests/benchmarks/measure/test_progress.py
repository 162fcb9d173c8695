"""The rest of a run, against figures worked out by hand."""

import pandas as pd
import pytest

from benchmarks.measure.progress import Progress, Rest

SMALL, LARGE = 1000, 100_000


def test_the_rest_is_what_codecs_cost_and_not_how_many_items_there_are():
    items = [("fast", "cpu", SMALL), ("slow", "cpu", SMALL), ("fast", "cpu", LARGE), ("slow", "cpu", LARGE)]
    rest = Rest(items, {"cpu": 2})
    assert rest.seconds() == (0.0, "at least") and str(rest) == "not known yet"
    rest.finished("fast", "cpu", SMALL, 0.01)
    assert rest.seconds() == (pytest.approx(0.01 * LARGE / SMALL / 2), "at least"), "the slow one is not known yet"
    assert str(rest) == "at least 00:00"
    rest.finished("slow", "cpu", SMALL, 36.0)
    # Half of the items are done; 100 times 36.01 seconds are left, and two run at a time.
    assert rest.seconds() == (pytest.approx(1800.5), "") and str(rest) == "30:00"
    rest.finished("slow", "cpu", LARGE, None)
    rest.finished("fast", "cpu", LARGE, 1.0)
    assert rest.seconds() == (0.0, "")


def test_rows_of_earlier_runs_say_what_codecs_cost():
    before = pd.DataFrame(
        [
            {"codec": "fast", "device": "cpu", "n_samples": SMALL, "item_s": 1.0, "error": ""},
            {"codec": "fast", "device": "cpu", "n_samples": LARGE, "item_s": None, "error": ""},
            {"codec": "fast", "device": "cpu", "n_samples": SMALL, "item_s": 0.0, "error": "broken"},
        ]
    )
    assert Rest([("fast", "cpu", LARGE)], {}, before).seconds() == (pytest.approx(100.0), "")
    assert Rest([("fast", "cuda", LARGE)], {}, before).seconds() == (0.0, "at least"), "another device, another speed"


def test_rows_of_other_runs_count_until_a_codec_is_measured():
    row = {"codec": "fast", "device": "cpu", "n_samples": SMALL, "item_s": 6.0, "error": ""}
    rest = Rest([("fast", "cpu", SMALL)] * 2, {}, None, pd.DataFrame([row]))
    assert str(rest) == "about 00:12"
    rest.finished("fast", "cpu", SMALL, 3.0)
    assert str(rest) == "00:03"


def test_devices_work_beside_each_other():
    rest = Rest([("a", "cpu", 2 * SMALL), ("a", "cuda", 2 * SMALL)], {"cpu": 4, "cuda": 1})
    rest.finished("a", "cpu", SMALL, 8.0)
    rest.finished("a", "cuda", SMALL, 3.0)
    assert rest.seconds() == (3.0, ""), "two seconds of four workers, and three of the GPU beside them"


def test_the_bar_says_what_is_measured_how_much_is_done_and_what_is_left(capsys):
    with Progress(3, Rest([("a", "cpu", SMALL), ("b", "cpu", SMALL)], {})) as bar:
        bar.kept()
        bar.started("a on lake (clipped)")
        bar.finished("a", "cpu", SMALL, 5.0, failed=True)
    last = capsys.readouterr().err.strip().splitlines()[-1].split("\r")[-1]
    assert last.startswith("a on lake (clipped): 2/3 ") and last.endswith(", rest not known yet, 1 failed")
    assert (bar.n_done, bar.n_failed) == (2, 1)
