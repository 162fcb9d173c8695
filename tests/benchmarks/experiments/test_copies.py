"""Training with and without imitations, on two small cubes that stand for two sensors."""

import dataclasses

import numpy as np
import pytest
import yaml

from benchmarks.experiments.copies import changes_of, compare_copies
from lhic.errors import ConfigError
from lhic.settings import read_yaml
from lhic.train.ax import IMITATIONS
from tests.benchmarks.experiments.test_ablations import CONFIG, scene
from tests.common import REPOSITORY


def settings_of(tmp_path, rows):
    for name, seed in (("one", 1), ("two", 2)):
        np.save(tmp_path / f"{name}.npy", scene(seed))
    training = {"steps": 60, "batch": 256, "threads": 1}
    training |= {"observations": {"samples": 2000, "copies": 1, "imitations": [], "samples_of_copy": 500}}
    folds = {"A": ["one"], "B": ["two"]}
    path = tmp_path / "copies.yml"
    model = dataclasses.replace(CONFIG, adaptation=0).to_dict()
    rows = [row | {"model": model} for row in rows]
    path.write_text(
        yaml.safe_dump(
            {"root": str(tmp_path), "crop": 20, "corner": 12, "folds": folds, "training": training, "rows": rows}
        )
    )
    return path


def test_each_row_codes_what_was_left_out(tmp_path):
    path = settings_of(tmp_path, [{"name": "as before"}, {"name": "and gaps", "imitations": ["gaps"]}])
    before, gaps = compare_copies(path, tmp_path / "out")
    assert before["sensors_percent"] == before["imitations_percent"] == 0
    # Of few samples the coder's words may be as many.
    assert gaps["A, many_bands"] != before["A, many_bands"] and 1 < gaps["two"] < 14
    assert gaps["A_percent"] == pytest.approx(100 * (gaps["one"] / before["one"] - 1))
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("\n") == 4 and "eight bits" in table
    kept = compare_copies(path, tmp_path / "out", keep=True)
    assert [row["seconds"] for row in kept] == [before["seconds"], gaps["seconds"]]


def test_changes_are_means_over_sensors():
    folds = {"A": ["one", "two"], "B": ["three"]}
    first = dict.fromkeys(["one", "two", "three", *(f"{fold}, {name}" for fold in folds for name in IMITATIONS)], 2.0)
    found = changes_of(first | {"one": 1.0, "three": 3.0, "A, gaps": 1.0}, first, folds)
    assert (found["A_percent"], found["B_percent"], found["sensors_percent"]) == (-25, 50, 12.5)
    assert found["gaps_percent"] == -25 and found["imitations_percent"] == -25 / len(IMITATIONS)


def test_a_name_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="each name once"):
        compare_copies(settings_of(tmp_path, [{"name": "a"}, {"name": "b"}, {"name": "b"}]), tmp_path / "out")


def test_the_shipped_rows_know_every_imitation():
    settings = read_yaml(REPOSITORY / "configs" / "lhic-ax-copies.yml")
    named = [set(row.get("imitations", ())) for row in settings["rows"]]
    groups = [names for names in named if 0 < len(names) < len(IMITATIONS)]
    assert set(IMITATIONS) in named and set().union(*groups) == set(IMITATIONS)
