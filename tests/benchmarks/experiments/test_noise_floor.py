"""Floors of stored cubes beside measured rates."""

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks.experiments import noise_floor
from lhic.errors import DatasetError
from tests.benchmarks.experiments.test_ablations import scene


def test_each_cube_has_its_floor_beside_its_rates(tmp_path, monkeypatch):
    np.save(tmp_path / "one.npy", scene(1))
    line = {"cube": "one", "form": "as-measured", "error": "", "device": "cpu", "seen": ""}
    measured = pd.DataFrame([{**line, "codec": "a", "bps": 5.0}, {**line, "codec": "b", "bps": 6.5}])
    monkeypatch.setattr(noise_floor, "read_rows", lambda folder: measured)
    monkeypatch.setattr(noise_floor, "training_notes", lambda rows: "")
    path = tmp_path / "floor.yml"
    path.write_text(yaml.safe_dump({"root": str(tmp_path), "rows": "results/x", "codecs": ["b", "a"]}))
    (row,) = noise_floor.measure_floors(path, tmp_path / "out")
    assert 3 < row["floor"] < 5 and row["a"] == 5 - row["floor"] and row["b"] == 6.5 - row["floor"]
    assert row["noise"] == pytest.approx(4, rel=0.3)
    table = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert len(table) == 4 and table[0].index("b, above it") < table[0].index("a, above it")
    assert (tmp_path / "out" / "figures" / "above_floor.svg").is_file()
    (tmp_path / "one.npy").unlink()
    with pytest.raises(DatasetError, match="expected a cube one"):
        noise_floor.measure_floors(path, tmp_path / "out")
