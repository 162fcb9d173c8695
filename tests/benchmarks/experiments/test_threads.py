"""What more threads are worth, on a scene of four small tiles."""

import numpy as np
import pytest
import yaml

from benchmarks.experiments import threads
from lhic.data import Item
from tests.benchmarks.experiments.test_windows import patch


@pytest.mark.slow
def test_each_count_that_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "open_dataset", lambda name: [Item("patch", tmp_path, "", patch)])
    monkeypatch.setattr(threads.provenance, "n_cores", lambda: 2)
    config = tmp_path / "threads.yml"
    config.write_text(
        yaml.safe_dump({"models": ["lhic-ax-turbo"], "threads": [1, 2, 4], "tiles": 2, "tile": 16, "repeats": 1})
    )
    rows = threads.measure_threads(config, tmp_path / "out")
    assert [row["threads"] for row in rows] == [1, 2, 1, 2]
    assert len({row["bytes"] for row in rows[:2]}) == len({row["bytes"] for row in rows[2:]}) == 1
    assert rows[2]["n_samples"] == patch().shape[0] * 32 * 32
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()[2:]
    assert len(lines) == 4 and "| 1.00 | 1.00 |" in lines[0] and "2 x 2 tiles of 16 x 16" in lines[3]
    ratio = rows[0]["encode_s"] / rows[1]["encode_s"]
    assert lines[1].split(" | ")[-2] == f"{ratio:.2f}" and np.isfinite(ratio)
