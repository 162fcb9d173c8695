"""Importing published checkpoints: names and values survive, anything off is told, nothing is written then."""

import pickle

import numpy as np
import pytest
import torch
import yaml

from lhic.errors import CheckpointError, ConfigError, UsageError
from lhic.families.bp.published import import_published
from lhic.families.registry import load_model
from lhic.families.weights import load_weights
from tests.families.bp.common import UNEVEN, random_nets


@pytest.fixture
def published(tmp_path):
    """A configuration and two state dictionaries as the authors publish them."""
    settings = {key: value for key, value in UNEVEN.to_dict().items() if key not in ("param_d", "max_value")}
    (tmp_path / "config.yml").write_text(yaml.safe_dump({**settings, "lr_init": 1e-4, "device": "cuda"}))
    for name, net in zip(("msp", "lsp"), random_nets()):
        torch.save(net.float().state_dict(), tmp_path / f"{name}_ckpt.pth")
    return tmp_path


def run(folder, **overrides):
    files = [folder / name for name in ("config.yml", "msp_ckpt.pth", "lsp_ckpt.pth")]
    return import_published(*files, folder / "out.safetensors", **overrides)


def test_names_and_values_survive(published):
    weights = run(published)
    stored = load_weights(published / "out.safetensors")
    assert (stored.name, stored.family, stored.config) == ("out", "lhic-bp", UNEVEN.to_dict())
    assert stored.sha256 == weights.sha256
    for name in ("msp", "lsp"):
        state = torch.load(published / f"{name}_ckpt.pth", weights_only=True)
        for key, value in state.items():
            assert np.array_equal(stored.tensors[f"{name}.{key}"], value.numpy())
    assert load_model(published / "out.safetensors", "cpu").settings == UNEVEN


def test_wrapped_state_dictionaries(published):
    expected = run(published).sha256
    for name in ("msp", "lsp"):
        path = published / f"{name}_ckpt.pth"
        state = torch.load(path, weights_only=True)
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, path)
    with pytest.raises(UsageError, match="--force"):
        run(published)
    assert run(published, overwrite=True).sha256 == expected
    with pytest.raises(UsageError, match="another file than those that are read"):
        import_published(published / "config.yml", path, path, path, overwrite=True)


def test_wrong_files_are_told_and_nothing_is_written(published):
    msp = published / "msp_ckpt.pth"
    whole = msp.read_bytes()

    def refused(error, match):
        with pytest.raises(error, match=match):
            run(published)
        assert not (published / "out.safetensors").exists()

    msp.write_bytes(whole[: len(whole) // 2])
    refused(CheckpointError, "expected a file of tensors")
    msp.write_bytes(b"")
    refused(CheckpointError, "expected a file of tensors")
    msp.write_bytes(pickle.dumps({"weight": np.zeros(3)}))  # would run code if unpickled
    refused(CheckpointError, "expected a file of tensors")
    torch.save({"epoch": 3}, msp)
    refused(CheckpointError, "'epoch': expected a tensor")
    msp.write_bytes((published / "lsp_ckpt.pth").read_bytes())
    refused(CheckpointError, "tensor context_generate.* the configuration asks for")
    msp.unlink()
    refused(UsageError, r"msp_ckpt\.pth: expected a checkpoint")


def test_wrong_configuration_is_told(published):
    path = published / "config.yml"
    settings = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**settings, "dim_params": 12}))
    with pytest.raises(CheckpointError, match=r"msp_ckpt\.pth: tensor param_l0"):
        run(published)
    del settings["dim_params"]
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match=r"config\.yml: .*dim_params"):
        run(published)
