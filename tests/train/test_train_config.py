import copy

import pytest
import yaml

from lhic.errors import ConfigError
from lhic.train.config import load_config, parse_config
from tests.common import REPOSITORY


def test_shipped_configurations_are_valid():
    paths = sorted((REPOSITORY / "configs").glob("lhic-bp*.yml"))
    assert {p.stem for p in paths} == {"lhic-bp", "lhic-bp-xs", "lhic-bp-xs-more"}
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
    assert load_config(path) == parse_config(settings)


BAD = [
    (("stepz",), 1, "unknown key stepz"),
    (("batch", "tiles"), 1, "batch: unknown key tiles"),
    (("steps",), 0, "steps: expected at least 1, found 0"),
    (("steps",), "6", "steps: expected int, found '6'"),
    (("steps",), True, "steps: expected int, found True"),
    (("augment", "dark"), 1.5, "dark: expected a share"),
    (("augment", "gain"), [1.0, 0.1], "gain: expected 0 < low <= high"),
    (("augment", "gain"), [1.0], "gain: expected two numbers"),
    (("optimiser", "lr"), 0, "lr > 0"),
    (("optimiser", "schedule"), "linear", "schedule: expected one of constant, cosine, found 'linear'"),
    (("batch", "run_bands"), [], "run_bands"),
    (("batch", "run_bands"), 8, "run_bands: expected a list"),
    (("family",), "lhic-ax", "family: expected one of lhic-bp"),
    (("train",), [], "at least one source"),
    (("train",), [{"kind": "cubes"}], "kind: expected one of"),
    (("batch",), 3, "batch: expected keys and values, found int"),
]


@pytest.mark.parametrize("keys,value,message", BAD)
def test_bad_values_are_named(settings, keys, value, message):
    content = copy.deepcopy(settings)
    section = content
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    with pytest.raises(ConfigError) as caught:
        parse_config(content, "c.yml")
    text = str(caught.value)
    assert text.startswith("c.yml: ") and message in text and "\n" not in text


def test_missing_keys(settings):
    del settings["steps"], settings["model"]
    with pytest.raises(ConfigError, match="missing key model, steps"):
        parse_config(settings)


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
