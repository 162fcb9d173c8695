"""Shipped weights: which they are, and how they come into ckpt/ with their tables."""

import hashlib

import numpy as np
import pytest
import yaml

from benchmarks.exhibits.documents import filled
from benchmarks.experiments.presets import preset_configs, train_presets
from lhic.errors import ConfigError
from lhic.families.weights import load_weights
from tests.benchmarks.experiments.test_ablations import CONFIG, scene
from tests.common import REPOSITORY

PRESETS = [f"lhic-ax{preset}{twin}" for preset in ("", "-turbo", "-fast", "-max") for twin in ("", "-unseen")]


def test_all_that_is_shipped_can_be_trained():
    configs = preset_configs(REPOSITORY / "configs")
    assert sorted(configs) == sorted(PRESETS)
    assert {path.stem for path in (REPOSITORY / "ckpt").glob("lhic-ax*.safetensors")} >= set(configs)
    neon = [source for config in configs.values() for source in config.train if "neon_sjer" in source.exclude]
    assert not neon, "a sensor that no shipped weights leave out"


def test_weights_curves_and_tables_are_written_at_the_end(tmp_path):
    (tmp_path / "cubes").mkdir()
    np.save(tmp_path / "cubes" / "one.npy", scene(1))
    (tmp_path / "configs").mkdir()
    for name in ("lhic-ax-a", "lhic-ax-b"):
        content = {"name": name, "family": "lhic-ax", "model": CONFIG.to_dict(), "steps": 5, "batch": 128}
        content["train"] = [{"kind": "corpus", "root": str(tmp_path / "cubes")}]
        content["observations"] = {"samples": 1000, "copies": 1, "imitations": [], "samples_of_copy": 200}
        (tmp_path / "configs" / f"{name}.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="lhic-ax-c: expected one of lhic-ax-a, lhic-ax-b"):
        train_presets(["lhic-ax-a", "lhic-ax-c"], tmp_path)
    assert not (tmp_path / "ckpt").exists()
    paths = train_presets(None, tmp_path)
    assert [path.name for path in paths] == ["lhic-ax-a.safetensors", "lhic-ax-b.safetensors"]
    assert (tmp_path / "ckpt" / "training" / "lhic-ax-b.csv").read_text().startswith("step,")
    page = filled("<!-- weights: ckpt/*.safetensors -->\n<!-- end of weights -->", tmp_path)
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in page and load_weights(path).sha256.hex() in page
    assert "| 1 | 1 | 5 x 128 |" in page and f"| {path.stat().st_size:,} |" in page
