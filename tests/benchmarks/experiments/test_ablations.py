"""Ablations on small cubes: every measure, and the table."""

import dataclasses

import numpy as np
import pytest
import torch
import yaml
from benchmarks.experiments.ax_ablations import MEASURES, ablate, check_rows
from benchmarks.experiments.ax_recurrent import RecurrentNet, bits_of_columns, columns_of
from benchmarks.experiments.ax_sent import PLAIN_BITS, cost_of_differences, observe_sent

from lhic.data.synthetic import smooth_field
from lhic.errors import ConfigError
from lhic.families.ax.observe import observe
from lhic.settings import read_yaml
from lhic.train.ax.loop import bits_per_sample
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
        {"name": "tuned", "model": model, "measure": "tuned", "n_last": 1, "tuning_steps": 5, "against": "whole"},
        *({"name": p, "model": model, "measure": "sent", "price": p} for p in ("free", "plain", "cheap")),
        *({"name": f"{n} states", "model": model, "measure": "recurrent", "states": n} for n in (0, 2)),
    ]
    assert {row.get("measure", "crops") for row in rows} == set(MEASURES)
    observations = {"samples": 2000, "copies": 1, "samples_of_copy": 500}
    training = {"steps": 20, "batch": 256, "threads": 1, "observations": observations}
    settings = {"root": str(tmp_path), "crop": 32, "train": ["one"], "test": ["two"], "training": training}
    path = tmp_path / "ablations.yml"
    path.write_text(yaml.safe_dump(settings | {"rows": rows}))
    found = {row["name"]: row for row in ablate(path, tmp_path / "out")}
    assert list(found) == [row["name"] for row in rows]
    assert all(1 < row["two"] < 14 and row["mean"] == row["two"] for row in found.values())
    assert found["free"]["mean"] < found["cheap"]["mean"] and found["free"]["mean"] < found["plain"]["mean"]
    assert found["tiles"]["mean"] > found["whole"]["mean"]
    assert found["tiles"]["change_percent"] == pytest.approx(
        100 * (found["tiles"]["mean"] / found["whole"]["mean"] - 1)
    )
    assert found["2 states"]["macs"] - found["0 states"]["macs"] == 2 * CONFIG.width + 3 * 2 * (4 + 2)
    assert found["default"]["walk_us"] == found["float"]["walk_us"] > 0 and not found["tuned"]["walk_us"]
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
        check_rows({"rows": [{"name": "default"}, {"name": "row", **change}]})


def test_sent_coefficients_predict_from_the_first_sample_on():
    cube = scene(3)
    sent = observe_sent(cube, CONFIG, cube.size, np.random.default_rng(0))
    fitted = observe(cube, CONFIG, cube.size, np.random.default_rng(0))
    first = slice(0, 60)  # of the last plane
    last = slice(len(fitted.error) - 36 * 30, None)
    before, after = (np.abs(seen.error / seen.below.clip(1e-9))[last][first].mean() for seen in (fitted, sent.seen))
    assert after < before
    n_sent = sum(len(e.regressors) for e in CONFIG.experts() if not e.forgets)
    assert sent.plain_bits == PLAIN_BITS * 6 * n_sent
    assert 0 < sent.cheap_bits


def test_differences_cost_about_their_entropy():
    rng = np.random.default_rng(0)
    steps, sent = np.full((2001, 1), 0.25), np.ones((2001, 1), bool)
    values = 0.25 * np.rint(rng.logistic(0, 3, (2001, 1))).cumsum(0)
    counts = np.unique(np.rint(np.diff(values[:, 0]) / 0.25), return_counts=True)[1]
    entropy = -(counts * np.log2(counts / 2000)).sum()
    assert cost_of_differences(values, steps, sent) == pytest.approx(entropy + PLAIN_BITS, rel=0.02)
    assert cost_of_differences(values, steps, sent & False) == 0


def test_the_state_of_a_plane_knows_earlier_planes_alone():
    seen = observe(scene(4), CONFIG, 6 * 20, np.random.default_rng(0), spectra=True)
    columns = columns_of(seen, 6)
    torch.manual_seed(0)
    net = RecurrentNet(CONFIG, 3)
    other = columns._replace(known=columns.known.clone())
    other.known[0, 3] += 1.0  # of plane 3
    one, two = (net(c).reshape(6, -1) for c in (columns, other))
    assert torch.equal(one[:3], two[:3])
    assert not torch.equal(one[4], two[4])


def test_without_states_it_is_the_plain_network():
    seen = observe(scene(4), CONFIG, 6 * 20, np.random.default_rng(0), spectra=True)
    torch.manual_seed(0)
    net = RecurrentNet(CONFIG, 0)
    plain = bits_per_sample(net.net, seen, torch.device("cpu"))
    assert bits_of_columns(net, columns_of(seen, 6)) == pytest.approx(plain, rel=1e-6)
