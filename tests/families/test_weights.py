"""Weights files: identity by contents, damage, foreign files."""

import numpy as np
import pytest
import safetensors.numpy

from lhic.errors import CheckpointError, UsageError
from lhic.families.weights import Weights, load_weights, save_weights, weights_hash


def weights(**changes) -> Weights:
    tensors = {"b": np.arange(6, dtype="float32").reshape(2, 3), "a": np.array(3, "int64")}
    return Weights(**{**dict(name="w", family="f", config={"k": 1}, tensors=tensors), **changes})


def test_round_trip(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, weights(info={"data": "none"}))
    again = load_weights(path)
    assert again.sha256 == weights().sha256 and again.info == {"data": "none"} and again.config == {"k": 1}
    assert all(np.array_equal(again.tensors[key], value) for key, value in weights().tensors.items())


def test_identity_is_pinned():
    """Format v1, docs/format.md section 3: this hash must never change."""
    assert weights().sha256.hex() == "22e315cb8bd7c5bd9b46815ad84105ed9eb8b4034f9428f05effa717f1701aaa"


def test_identity_covers_everything_but_name_and_info():
    base = weights().sha256
    assert weights(name="other", info={"x": 1}).sha256 == base
    assert weights(family="g").sha256 != base
    assert weights(config={"k": 2}).sha256 != base
    changed = {**weights().tensors, "a": np.array(4, "int64")}
    assert weights_hash("f", {"k": 1}, changed) != base
    reshaped = {**weights().tensors, "b": weights().tensors["b"].reshape(3, 2)}
    assert weights_hash("f", {"k": 1}, reshaped) != base


def test_damage_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, weights())
    whole = path.read_bytes()
    for position in range(8, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            loaded = load_weights(path)
        except CheckpointError:
            continue
        # What may change unseen is what the identity leaves out: name and free notes.
        assert loaded.sha256 == weights().sha256
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"w\.safetensors"):
            load_weights(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(UsageError, match="nothing there"):
        load_weights(path)
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(CheckpointError, match="lhic weights"):
        load_weights(path)


def test_names_that_no_stream_can_carry(tmp_path):
    for name in ("", "Big Model", "x" * 65, "a/b"):
        with pytest.raises(UsageError, match="model name"):
            save_weights(tmp_path / "w.safetensors", weights(name=name))
    assert list(tmp_path.iterdir()) == []
