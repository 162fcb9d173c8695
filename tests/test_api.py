"""The facade with a family that needs no network: routing, checksums, errors."""

import numpy as np
import pytest

import lhic
from lhic.errors import CorruptStreamError, InvalidCubeError, MemoryBudgetError, ModelMismatchError, UsageError
from lhic.stream.header import Header
from lhic.stream.whole import write_stream
from tests.common import check_round_trip, cubes_by_intent


def store(cube: np.ndarray, model: str = "stored", **options) -> bytes:
    """A stream of the family, however long."""
    return lhic.encode(cube, model, fallback=False, **options)


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_round_trip(stored_models, name, cube):
    check_round_trip(cube, store, lhic.decode)


def test_inspect_and_metadata(stored_models):
    cube = np.arange(3 * 9 * 10, dtype=">i2").reshape(3, 9, 10)
    metadata = {"wavelengths": [400.0, 500.5, 600.0], "crs": "EPSG:32633", "extra": {"scene": "Größe"}}
    stream = store(cube, metadata=metadata, param_d=3)
    info = lhic.inspect(stream)
    assert info["shape"] == [3, 9, 10] and info["dtype"] == "int16" and info["byte_order"] == "big"
    assert info["metadata"] == metadata and info["parameters"] == {"param_d": 3}
    assert info["n_tiles"] == 4 and info["stream_bytes"] == len(stream)
    assert info["bits_per_sample"] == 8 * len(stream) / cube.size
    assert sum(map(sum, info["tiles"])) + info["header_bytes"] + 4 == len(stream)
    assert lhic.inspect(stream[: info["header_bytes"]])["complete"] is False


def test_one_tile_alone_from_a_damaged_stream(stored_models):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream = bytearray(store(cube))
    stream[lhic.inspect(bytes(stream))["header_bytes"]] ^= 1  # in tile 0
    with pytest.raises(CorruptStreamError):
        lhic.decode(bytes(stream))
    with pytest.raises(CorruptStreamError, match="tile 0"):
        lhic.decode_tile(bytes(stream), 0)
    assert np.array_equal(lhic.decode_tile(bytes(stream), 3), cube[:, 8:, 8:])
    with pytest.raises(UsageError, match=r"0\.\.3"):
        lhic.decode_tile(bytes(stream), 4)


def test_wrong_samples_are_never_returned(stored_models, monkeypatch):
    """If a family decodes something else, the checksum over the samples says so."""
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream = store(cube)
    model = lhic.load_model("stored")
    right = model.decode_tiles
    monkeypatch.setattr(model, "decode_tiles", lambda *a: [t + (t == 5).astype(t.dtype) for t in right(*a)])
    with pytest.raises(CorruptStreamError, match="decoded samples"):
        lhic.decode(stream, model=model)


def test_weights_must_match(stored_models):
    stream = store(np.zeros((1, 1, 1), "int8"))
    with pytest.raises(ModelMismatchError, match="stored-too"):
        lhic.decode(stream, model="stored-too")
    (stored_models / "stored.safetensors").rename(stored_models / "renamed.safetensors")
    assert lhic.decode(stream).shape == (1, 1, 1), "found by hash under another name"
    (stored_models / "renamed.safetensors").unlink()
    with pytest.raises(ModelMismatchError, match="stored"):
        lhic.decode(stream)


def test_unknown_family(stored_models):
    header = Header(np.dtype("int8"), (1, 1, 1), 1, 1, "x", "future", b"", b"", {})
    with pytest.raises(ModelMismatchError, match="future"):
        lhic.decode(write_stream(header, [(b"a",)], [0]))


def test_usage(stored_models):
    cube = np.zeros((2, 3, 4), "int16")
    with pytest.raises(UsageError, match=r"stored, stored-too"):
        store(cube, "no-such-model")
    with pytest.raises(UsageError, match="depth"):
        store(cube, depth=3)
    with pytest.raises(UsageError, match="tpu"):
        store(cube, device="tpu")
    with pytest.raises(InvalidCubeError, match="wavelengths"):
        store(cube, metadata={"wavelengths": [1]})
    with pytest.raises(InvalidCubeError, match="float32"):
        store(cube.astype("float32"))
    with pytest.raises(MemoryBudgetError):
        store(cube, memory_budget=100)
    with pytest.raises(MemoryBudgetError):
        lhic.decode(store(cube), memory_budget=100)


def test_near_lossless(stored_models):
    """Checksums are those of what decoding gives; the stream says the bound."""
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream = store(cube, max_error=4)
    again = lhic.decode(stream)
    assert np.array_equal(again, cube // 5 * 5) and lhic.inspect(stream)["max_error"] == 4
    assert np.array_equal(lhic.decode_tile(stream, 3), again[:, 8:, 8:])
    assert lhic.inspect(store(cube))["max_error"] == 0
