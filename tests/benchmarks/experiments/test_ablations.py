"""Ablations on small cubes: every measure, and the table."""

import dataclasses

import numpy as np
import pytest
import yaml

from benchmarks.experiments.ablations import MEASURES, ablate, check_rows
from lhic.data.synthetic import smooth_field
from lhic.errors import ConfigError
from lhic.settings import read_yaml
from tests.common import REPOSITORY
from tests.families.ax.common import SMALL

CONFIG = dataclasses.replace(SMALL, width=8, depth=1, components=2)


def scene(seed: int, n_bands: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ground = 2000 + 300 * smooth_field(rng, (36, 30), 6)
    bands = [ground * (1 + 0.05 * band) + rng.normal(size=ground.shape) * 4 for band in range(n_bands)]
    return np.round(bands).astype("int16")


def test_every_measure_gives_a_row(tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        np.save(tmp_path / f"{name}.npy", scene(seed))
    model = CONFIG.to_dict()
    rows = [
        {"name": "default", "model": model},
        {"name": "float", "model": model, "rounded": False},
        {"name": "whole", "model": model, "measure": "tiles", "tile": 0},
        {"name": "tiles", "model": model, "measure": "tiles", "tile": 16, "against": "whole", "remark": "small"},
        {"name": "tuned", "model": model, "measure": "tuned", "tuning_steps": 5, "against": "whole"},
    ]
    assert {row.get("measure", "crops") for row in rows} == set(MEASURES)
    observations = {"samples": 2000, "copies": 1, "imitations": [], "samples_of_copy": 500}
    training = {"steps": 20, "batch": 256, "threads": 1, "observations": observations}
    settings = {"root": str(tmp_path), "crop": 32, "train": ["one"], "test": ["two"], "training": training}
    path = tmp_path / "ablations.yml"
    path.write_text(yaml.safe_dump(settings | {"rows": rows}))
    found = {row["name"]: row for row in ablate(path, tmp_path / "out")}
    assert list(found) == [row["name"] for row in rows]
    assert all(1 < row["two"] < 14 and row["mean"] == row["two"] for row in found.values())
    assert found["tiles"]["mean"] > found["whole"]["mean"]
    assert found["tiles"]["change_percent"] == pytest.approx(
        100 * (found["tiles"]["mean"] / found["whole"]["mean"] - 1)
    )
    assert found["default"]["walk_us"] == found["float"]["walk_us"] > 0
    assert not found["tuned"]["walk_us"] > 0 and not found["default"]["encode_us"] > 0  # not measured
    assert found["tuned"]["encode_us"] > 0 and found["whole"]["encode_us"] > 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("\n") == 2 + len(rows) and "against: whole; small" in table

    rows[0]["rounded"] = False  # rows that are there are kept
    path.write_text(yaml.safe_dump(settings | {"rows": rows[:1]}))
    assert float(ablate(path, tmp_path / "out", keep=True)[0]["mean"]) == pytest.approx(found["default"]["mean"], 1e-5)


def test_the_shipped_rows_can_be_made():
    settings = read_yaml(REPOSITORY / "configs" / "lhic-ax-ablations.yml")
    check_rows(settings)
    assert {row.get("measure", "crops") for row in settings["rows"]} == set(MEASURES)
    assert not set(settings["train"]) & set(settings["test"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "default"}, "each name once"),
        ({"measure": "speed"}, "measure: expected one of crops"),
        ({"against": "other"}, "against: expected an earlier row"),
        ({"model": {"wide": 1}}, "'wide' amiss"),
    ],
)
def test_impossible_rows_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        check_rows({"root": "cubes", "training": {}, "rows": [{"name": "default"}, {"name": "row", **change}]})
