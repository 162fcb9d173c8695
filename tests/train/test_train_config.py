import copy

import pytest
import yaml

from lhic.errors import ConfigError
from lhic.settings import read_yaml
from lhic.train.config import TrainConfig
from tests.common import REPOSITORY


def load_config(path):
    return TrainConfig.parse(read_yaml(path), str(path))


def test_shipped_configurations_are_valid():
    paths = sorted((REPOSITORY / "configs").glob("lhic-bp*.yml"))
    assert {p.stem for p in paths} == {"lhic-bp", "lhic-bp-s", "lhic-bp-xs", "lhic-bp-xs-more"}
    for path in paths:
        config = load_config(path)
        assert config.name == path.stem.removesuffix("-more")
        from lhic.train.loop import _model_config

        _model_config(config)


def test_the_bundled_patch_is_never_trained_on():
    configs = [load_config(path) for path in (REPOSITORY / "configs").glob("lhic-bp-xs*.yml")]
    assert len(configs) == 2
    for source in (s for config in configs for s in (*config.train, *config.validation)):
        assert source.kind == "corpus"
        assert source.only or "enmap_hyspecnet_dt4950_X04390566" in source.exclude
        assert not any("dt4950" in name for name in source.only)


def test_written_and_read_back(settings, tmp_path):
    path = tmp_path / "c.yml"
    path.write_text(yaml.safe_dump(settings))
    assert load_config(path) == TrainConfig.parse(settings)


BAD = [
    (("stepz",), 1, "stepz: unknown key"),
    (("batch", "tiles"), 1, "batch.tiles: unknown key"),
    (("steps",), 0, "steps: expected greater than or equal to 1, found 0"),
    (("steps",), "6", "steps: expected a valid integer, found '6'"),
    (("steps",), True, "steps: expected a valid integer, found True"),
    (("name",), 3, "name: expected a valid string, found 3"),
    (("augment", "dark"), 1.5, "augment.dark: expected less than or equal to 1, found 1.5"),
    (("augment", "gain"), [1.0, 0.1], "augment.gain: expected low <= high, found [1.0, 0.1]"),
    (("augment", "gain"), [1.0], "augment.gain.1: missing key"),
    (("augment", "noise"), [0, 1.0], "augment.noise.0: expected greater than 0"),
    (("augment", "flip"), "no", "augment.flip: expected a valid boolean, found 'no'"),
    (("optimiser", "lr"), 0, "optimiser.lr: expected greater than 0, found 0"),
    (("optimiser", "lr"), float("nan"), "optimiser.lr: expected a finite number"),
    (("optimiser", "schedule"), "linear", "schedule: expected 'constant' or 'cosine', found 'linear'"),
    (("batch", "run_bands"), [], "batch.run_bands: "),
    (("batch", "run_bands"), 8, "batch.run_bands: expected a valid array, found 8"),
    (("family",), "lhic-ax", "family: expected 'lhic-bp', found 'lhic-ax'"),
    (("train",), [], "train: "),
    (("train",), [{"kind": "cubes"}], "train.0.kind: expected one of bundled"),
    (("batch",), 3, "batch: "),
]


@pytest.mark.parametrize("keys,value,message", BAD)
def test_bad_values_are_named(settings, keys, value, message):
    content = copy.deepcopy(settings)
    section = content
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(ConfigError) as caught:
        TrainConfig.parse(content, "c.yml")
    text = str(caught.value)
    assert text.startswith("c.yml: ") and message in text and "\n" not in text


def test_missing_keys(settings):
    del settings["steps"], settings["model"]
    with pytest.raises(ConfigError, match="model: missing key; steps: missing key"):
        TrainConfig.parse(settings)


@pytest.mark.parametrize("text", ["steps: 1\nsteps: 2\n", "a: [", "- 1\n", "", "\x00"])
def test_files_that_are_no_configuration(tmp_path, text):
    path = tmp_path / "c.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yml") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "no.yml")
