"""Paired differences and their intervals, checked by hand and by how often they hold."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.exhibits import statistics
from lhic.errors import DatasetError

PATCH = "ENMAP01-____L2A-{tile}-Y000_X{number:03d}"


def rows(rates: dict[str, dict[str, float]], **more) -> pd.DataFrame:
    """Rows of {codec: {cube: bps}}."""
    filled = {"dataset": "corpus", "form": "as-measured", "sensor": "EnMAP", "device": "cpu", "error": ""} | more
    return pd.DataFrame(
        [filled | {"codec": codec, "cube": cube, "bps": bps} for codec, of in rates.items() for cube, bps in of.items()]
    )


def test_paired_table_by_hand():
    cubes = [f"c{i}" for i in range(6)]
    reference = dict.fromkeys(cubes, 4.0)
    better = dict(zip(cubes, (3.0, 3.0, 3.0, 3.0, 4.0, 5.0)))
    table = statistics.paired_table(rows({"old": reference, "new": better}), "old")
    line = table.iloc[0]
    assert (len(table), line["codec"], line["cubes"], line["clusters"]) == (1, "new", 6, 6)
    assert line["difference bps"] == pytest.approx(-0.5) and line["change %"] == pytest.approx(-12.5)
    assert line["low bps"] < -0.5 < line["high bps"] and line["low bps"] >= -1 and line["high bps"] <= 1
    assert line["low %"] == pytest.approx(25 * line["low bps"]), "all references are 4 bps"
    assert line["smaller on %"] == pytest.approx(100 * 4.5 / 6), "a tie counts half"


def test_only_cubes_that_both_coded_are_compared():
    found = statistics.differences(rows({"old": {"a": 4.0, "b": 5.0}, "new": {"b": 4.0, "c": 1.0}}), "old")
    assert found["cube"].tolist() == ["b"] and found["difference bps"].tolist() == [-1.0]
    failed = rows({"old": {"a": 4.0}, "new": {"a": 3.0}})
    failed.loc[failed["codec"] == "new", "error"] = "broken"
    assert statistics.differences(failed, "old").empty
    with pytest.raises(DatasetError, match="'none': expected rows of it, found those of new, old"):
        statistics.paired_table(rows({"old": {"a": 4.0}, "new": {"a": 3.0}}), "none")


def test_forms_are_not_mixed():
    both = [rows({"old": {"a": 4.0}, "new": {"a": 3.0}}), rows({"old": {"a": 2.0}, "new": {"a": 2.2}}, form="clipped")]
    table = statistics.paired_table(pd.concat(both), "old")
    assert table[["form", "cubes"]].to_numpy().tolist() == [["as-measured", 1], ["clipped", 1]]
    assert table["change %"].tolist() == pytest.approx([-25.0, 10.0])


def test_few_cubes_have_no_interval():
    assert all(map(math.isnan, statistics.interval(np.arange(4.0), np.arange(4))))
    assert not any(map(math.isnan, statistics.interval(np.arange(5.0), np.arange(5))))
    assert all(map(math.isnan, statistics.interval(np.array([]), np.array([]))))


def test_patches_of_one_tile_count_together():
    """A hundred patches of four tiles are four scenes, however many they are; of ten tiles, ten."""
    cubes = [PATCH.format(tile=f"DT{i % 4}", number=i) for i in range(100)]
    few = rows({"old": dict.fromkeys(cubes, 4.0), "new": dict.fromkeys(cubes, 3.0)})
    line = statistics.paired_table(few, "old").iloc[0]
    assert (line["cubes"], line["clusters"]) == (100, 4) and math.isnan(line["low bps"])

    rng = np.random.default_rng(3)
    effects = rng.normal(size=10)
    values, tiles = np.repeat(effects, 20) + 0.01 * rng.normal(size=200), np.repeat(np.arange(10), 20)
    low, high = statistics.interval(values, tiles)
    naive_low, naive_high = statistics.interval(values, np.arange(200))
    assert high - low > 3 * (naive_high - naive_low), "patches of a tile do not make a mean more certain"
    by_tile_low, by_tile_high = statistics.interval(effects, np.arange(10))
    assert (low, high) == pytest.approx((by_tile_low, by_tile_high), abs=0.02)


def test_large_tiles_weigh_more():
    values, tiles = np.array([0.0] * 30 + [1.0, 2.0, 3.0, 4.0]), [0] * 30 + [1, 2, 3, 4]
    low, high = statistics.interval(values, tiles)
    assert low < values.mean() < 1.0 and high < 4.0


def test_the_interval_repeats_and_holds_as_often_as_it_says(monkeypatch):
    values = np.random.default_rng(5).normal(size=7)
    assert statistics.interval(values, np.arange(7)) == statistics.interval(values, np.arange(7))
    monkeypatch.setattr(statistics, "N_RESAMPLES", 1000)
    rng = np.random.default_rng(1)
    for n in (5, 8, 25):
        found = [statistics.interval(rng.normal(size=n), np.arange(n)) for _ in range(400)]
        assert 0.92 <= np.mean([low <= 0 <= high for low, high in found]) <= 0.98, n


def test_breakdown_by_sensor_and_tile():
    mixed = rows({"old": {"a": 4.0, "b": 4.0}, "new": {"a": 3.0, "b": 5.0}})
    mixed.loc[mixed["cube"] == "b", "sensor"] = "AVIRIS"
    table = statistics.paired_table(mixed, "old", by="sensor").set_index("sensor")
    assert table["change %"].to_dict() == {"AVIRIS": 25.0, "EnMAP": -25.0} and set(table["cubes"]) == {1}
    name = PATCH.format(tile="DT7", number=1)
    by_tile = statistics.paired_table(rows({"old": {name: 4.0}, "new": {name: 3.0}}), "old", by="tile")
    assert by_tile["tile"].tolist() == ["ENMAP01-____L2A-DT7"]


def test_win_table():
    table = statistics.win_table(rows({"x": {"a": 1.0, "b": 5.0, "c": 3.0}, "y": {"a": 2.0, "b": 3.0, "c": 3.0}}))
    assert table["codec"].tolist() == ["y", "x"]
    assert table.loc[0, "x"] == 50.0 and table.loc[1, "y"] == 50.0 and math.isnan(table.loc[0, "y"])
