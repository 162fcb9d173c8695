"""The experiment with LineRWKV: weights that stay where they are, crops by name, rows of a study."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from benchmarks.experiments import linerwkv
from benchmarks.measure import rows
from lhic.errors import DatasetError
from tests.families.linerwkv.common import random_state, tiny_weights
from tests.golden.make import cubes


@pytest.fixture
def settings(tmp_path):
    """Two small cubes and published weights of a tiny network."""
    names = {"enmap_a": "water_int16_nodata", "samson": "land_uint16"}
    for name, source in names.items():
        np.save(tmp_path / f"{name}.npy", np.ascontiguousarray(cubes()[source][0]))
    save_file({key: value.numpy() for key, value in random_state().items()}, tmp_path / "linerwkv-xs.safetensors")
    cubes_of_part = {"enmap_a": "EnMAP", "samson": "SAMSON"}
    found = {"weights": str(tmp_path), "root": str(tmp_path), "forms": ["as-measured", "clipped"], "peers": ["rls-k20"]}
    return found | {"parts": [{"crop": [20, 6], "cubes": cubes_of_part, "sizes": ["xs"]}]}


def test_cubes_are_whole_or_their_first_rows_and_columns(settings):
    (part,), root = settings["parts"], Path(settings["root"])
    water, land = linerwkv.items_of(root, part["cubes"], part["crop"])
    assert (water.name, water.sensor) == ("enmap_a, first 20 x 6", "EnMAP")
    assert np.array_equal(land.load(), cubes()["land_uint16"][0][:, :20, :6])
    assert linerwkv.differs(water, "clipped") and not linerwkv.differs(land, "clipped")
    with pytest.raises(DatasetError, match=r"gone\.npy: expected a cube"):
        linerwkv.items_of(root, {"gone": "EnMAP"}, None)
    whole, _ = linerwkv.items_of(root, part["cubes"], None)
    assert whole.name == "enmap_a" and np.array_equal(whole.load(), cubes()["water_int16_nodata"][0])


def test_weights_that_are_not_there_are_told(tmp_path):
    with pytest.raises(DatasetError, match="linerwkv-xs"), linerwkv.converted(tmp_path / "empty", ["linerwkv-xs"]):
        pass


@pytest.mark.slow
def test_rows_name_the_weights_and_both_coders(settings, tmp_path):
    config, before = tmp_path / "linerwkv.yml", os.environ.get("LHIC_CKPT")
    settings["parts"][0]["cubes"] = {"enmap_a": "EnMAP"}
    config.write_text(yaml.safe_dump(settings))
    linerwkv.measure_linerwkv(config, tmp_path / "out")
    found = rows.read_rows(tmp_path / "out")
    assert (found["error"] == "").all(), found["error"].unique()
    counts = found.groupby("codec")["cube"].count().to_dict()
    assert counts == {"linerwkv-xs": 2, "linerwkv-xs-ccsds": 2, "rls-k20": 2}  # as measured and clipped
    learned = found[found["codec"].str.startswith("linerwkv")]
    assert set(learned["weights_hash"]) == {tiny_weights().sha256.hex()}
    assert os.environ.get("LHIC_CKPT") == before
    table = (tmp_path / "out" / "tables" / "learned_peers.md").read_text()
    assert "linerwkv-xs-ccsds" in table and (tmp_path / "out" / "figures" / "learned_cost.svg").exists()
