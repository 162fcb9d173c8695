"""Weights are found by name, then by hash; other files in their folders, and loaded models, do no harm."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

import lhic
from lhic.errors import CheckpointError, ModelMismatchError, UsageError
from lhic.families.registry import list_models
from lhic.families.weights import load_weights, save_weights

CUBE = np.arange(3 * 4 * 5, dtype="int16").reshape(3, 4, 5)


@pytest.fixture
def stream(stored_models):
    return lhic.encode(CUBE, "stored", fallback=False)


@pytest.fixture
def foreign_files(stored_models):
    """Of another project, of nobody, and one of ours that is damaged."""
    (stored_models / "another.safetensors").write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    (stored_models / "empty.safetensors").write_bytes(b"")
    whole = (stored_models / "stored.safetensors").read_bytes()
    (stored_models / "a-damaged.safetensors").write_bytes(whole[: len(whole) // 2])
    return ["a-damaged", "another", "empty"]


def test_foreign_files_in_a_weights_folder_stop_nobody(stream, stored_models, foreign_files):
    assert np.array_equal(lhic.decode(stream), CUBE)
    (stored_models / "stored.safetensors").rename(stored_models / "zzz.safetensors")
    assert np.array_equal(lhic.decode(stream), CUBE), "found by hash, beside them"
    names = {entry.name for entry in list_models()}
    assert {"zzz", "stored-too"} <= names and not names & set(foreign_files)
    with pytest.raises(UsageError, match="stored-too"):
        lhic.encode(CUBE, "no-such-model")
    with pytest.raises(CheckpointError, match=r"another\.safetensors"):
        lhic.encode(CUBE, "another")


def test_weights_of_another_release_under_the_name_are_told(stream, stored_models):
    (stored_models / "stored.safetensors").unlink()
    other = load_weights(stored_models / "stored-too.safetensors")
    save_weights(stored_models / "stored.safetensors", replace(other, name="stored"))
    with pytest.raises(ModelMismatchError, match=f"stored of lhic {lhic.__version__} has {other.sha256.hex()[:16]}"):
        lhic.decode(stream)


def test_foreign_files_are_named_when_nothing_fits(stream, stored_models, foreign_files):
    (stored_models / "stored.safetensors").unlink()
    with pytest.raises(ModelMismatchError, match="found no such file") as caught:
        lhic.decode(stream)
    assert all(f"{name}.safetensors" in str(caught.value) for name in foreign_files)


def test_a_damaged_file_under_the_stream_s_name_hides_no_other(stream, stored_models):
    whole = (stored_models / "stored.safetensors").read_bytes()
    (stored_models / "copy.safetensors").write_bytes(whole)
    (stored_models / "stored.safetensors").write_bytes(whole[:20])
    assert np.array_equal(lhic.decode(stream), CUBE)


def test_a_loaded_model_is_compared_with_the_stream_s(stream):
    """As one given by name is; else the stream looks damaged."""
    for other in ("stored-too", lhic.load_model("stored-too"), "lhic-ax-fast", lhic.load_model("lhic-ax-fast")):
        for read in (
            lhic.decode,
            lhic.preview,
            lhic.verify,
            lambda stream, **model: lhic.decode_tile(stream, 0, **model),
        ):
            with pytest.raises(ModelMismatchError, match="expected stored weights with SHA-256"):
                read(stream, model=other)
    assert np.array_equal(lhic.decode(stream, model=lhic.load_model("stored")), CUBE)


def test_the_default_model_s_stream_is_not_read_with_another_of_its_family():
    stream = lhic.encode(CUBE, fallback=False)
    with pytest.raises(ModelMismatchError, match="lhic-ax-fast"):
        lhic.decode(stream, model=lhic.load_model("lhic-ax-fast"))


def test_a_device_is_not_ignored_beside_a_loaded_model(stream, monkeypatch):
    model = lhic.load_model("stored")
    monkeypatch.setattr(model, "device", "cuda")
    for call in (lambda: lhic.encode(CUBE, model, "cpu"), lambda: lhic.decode(stream, "cpu", model=model)):
        with pytest.raises(UsageError, match="which is on cuda"):
            call()
    monkeypatch.setattr(model, "device", "cpu")
    assert np.array_equal(lhic.decode(lhic.encode(CUBE, model, "cpu"), "cpu", model=model), CUBE)


@pytest.mark.parametrize("model", [None, 5, b"stored", ["stored"]])
def test_what_is_no_model_is_told(model, stored_models):
    with pytest.raises(
        UsageError, match=f"model: expected a name, a path or a loaded model, found {type(model).__name__}"
    ):
        lhic.encode(CUBE, model)


def test_a_model_says_what_it_is(stored_models):
    assert repr(lhic.load_model("lhic-ax-fast", "cpu")).startswith("<lhic-ax-fast: model of lhic-ax, weights ")
    assert repr(lhic.families.raw.RawModel()) == "<-: model of raw, no weights, on cpu>"
