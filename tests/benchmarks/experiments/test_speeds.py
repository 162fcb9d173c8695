"""Speed on cubes of a folder: a row for each codec with both numbers of threads, missing cubes told."""

import numpy as np
import pytest
import yaml

from benchmarks.experiments import speeds
from benchmarks.measure import rows
from lhic.errors import DatasetError
from tests.golden.make import cubes


def settings_of(folder, **change):
    np.save(folder / "aviris_a.npy", np.ascontiguousarray(cubes()["land_uint16"][0]))
    found = {"root": str(folder), "cubes": ["aviris_a"], "codecs": ["rls-k20", "lhic-ax-turbo"], "repeats": 2}
    path = folder / "speeds.yml"
    path.write_text(yaml.safe_dump(found | {"long_s": 30} | change))
    return path


def test_rows_and_table(tmp_path):
    found = speeds.measure_speeds(settings_of(tmp_path), tmp_path / "out")
    assert {row["codec"] for row in found} == {"rls-k20", "lhic-ax-turbo"} and not any(row["error"] for row in found)
    assert len(rows.read_rows(tmp_path / "out")) == 2
    turbo = next(row for row in found if row["codec"] == "lhic-ax-turbo")
    assert all(turbo[key] > 0 for key in speeds.TIMES) and turbo["repeats"] == 2
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()[2:]
    assert len(lines) == 2 and all(line.startswith("| aviris_a |") for line in lines)
    speed = turbo["n_samples"] / 1e6 / turbo["encode_s"]
    assert f"| {speed:.3g} |" in next(line for line in lines if "turbo" in line)


def test_a_cube_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"expected gone\.npy"):
        speeds.measure_speeds(settings_of(tmp_path, cubes=["aviris_a", "gone"]), tmp_path / "out")
