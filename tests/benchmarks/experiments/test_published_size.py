"""LHIC-BP at its published size: what is measured is the whole network, and comes back."""

import numpy as np

from benchmarks.experiments import published_size
from tests.common import REPOSITORY
from tests.families.bp.common import random_model


def test_nothing_of_the_network_is_left_out():
    model = published_size.random_model(REPOSITORY / "configs" / "lhic-bp.yml")
    assert sum(p.numel() for net in model.nets for p in net.parameters()) > 6_700_000
    assert all(bool(p.any()) for net in model.nets for p in net.parameters())


def test_both_directions_are_measured_and_told_for_the_whole(tmp_path):
    cube = np.arange(3 * 9 * 40, dtype="uint16").reshape(3, 9, 40)
    rows = published_size.measured(random_model(), cube, 10 * cube.size, tmp_path)
    assert [row["direction"] for row in rows] == ["encode", "decode"] and all(row["seconds"] > 0 for row in rows)
    table = (tmp_path / "table.md").read_text()
    assert "3 x 9 x 40" in table and f"{rows[1]['seconds'] * 10 / 60:.1f}" in table
