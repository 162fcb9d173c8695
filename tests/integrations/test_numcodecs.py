"""The codec of numcodecs, alone and in Zarr's format 2, with zarr-python 2 and 3."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CorruptStreamError, LhicError, UsageError, VerificationError
from tests.integrations.chunks import AXES, FAST, arrays, same_bits, scene

numcodecs = pytest.importorskip("numcodecs")
from lhic.integrations.numcodecs import Lhic  # noqa: E402

zarr = pytest.importorskip("zarr")
ZARR_2 = int(zarr.__version__.partition(".")[0]) == 2


@settings(max_examples=40, deadline=None)
@given(arrays("<>"), st.booleans())
def test_every_array_comes_back(given_array, fortran):
    data, axes, _ = given_array
    data = np.asfortranarray(data) if fortran else data
    codec = Lhic(FAST, axes)
    stream = codec.encode(data)
    again = codec.decode(stream)
    if axes is None:
        again = again.reshape(data.shape)
    assert again.dtype == data.dtype and same_bits(data, again)
    out = np.empty_like(data)
    assert codec.decode(stream, out=out) is out and same_bits(data, out)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4"])
@pytest.mark.parametrize("axes", [None, ("rows", "columns", "bands")])
def test_zarr_format_2(order, dtype, axes, tmp_path):
    data = scene(7, 9, 8, dtype=dtype)
    layout = {"shape": data.shape, "chunks": (4, 5, 8), "dtype": dtype, "order": order, "zarr_format": 2}
    if ZARR_2:
        layout["zarr_version"] = layout.pop("zarr_format")
    array = zarr.create(store=str(tmp_path / "a.zarr"), compressor=Lhic(FAST, axes), fill_value=0, **layout)
    array[...] = data
    stated = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())["compressor"]
    assert stated["id"] == "lhic" and numcodecs.get_codec(stated) == Lhic(FAST, axes)
    again = zarr.open(str(tmp_path / "a.zarr"), mode="r")[...]
    np.testing.assert_array_equal(again, data)


def test_configuration_round_trip():
    codec = Lhic(FAST, AXES, max_error=2, nodata=-1)
    config = codec.get_config()
    assert json.loads(json.dumps(config)) == config
    assert numcodecs.get_codec(config) == codec == pickle.loads(pickle.dumps(codec))
    assert codec != Lhic(FAST) and "max_error=2" in repr(codec)
    with pytest.raises(UsageError, match="'level'"):
        numcodecs.get_codec({"id": "lhic", "level": 3})


def test_a_chunk_is_a_stream():
    data = scene(4, 6, 6)
    assert Lhic(FAST).encode(data) == lhic.encode(data, FAST)


@pytest.mark.parametrize("wrong", [b"bytes alone", np.arange(5), np.ones((2, 2), complex), np.array([["a"]])])
def test_what_cannot_be_coded_is_refused(wrong):
    with pytest.raises(LhicError, match="expected"):
        Lhic(FAST).encode(wrong)


def test_out_of_another_size_is_refused():
    stream = Lhic(FAST).encode(scene(4, 6, 6))
    with pytest.raises(VerificationError, match="out: expected 288 bytes, found 144"):
        Lhic(FAST).decode(stream, out=np.empty((4, 6, 3), "int16"))


def test_streams_of_other_axes_are_refused():
    stream = Lhic(FAST).encode(scene(2, 4, 6, 6))
    with pytest.raises(VerificationError, match="found 2 stack"):
        Lhic(FAST, AXES[1:]).decode(stream)
    other = lhic.encode(scene(4, 6, 5), FAST)
    with pytest.raises(VerificationError, match="as the first one"):
        Lhic(FAST).decode(stream + other)


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: b"", lambda s: s + b"x", lambda s: b"x" + s])
def test_damage_is_told(damage):
    with pytest.raises(CorruptStreamError):
        Lhic(FAST).decode(damage(Lhic(FAST).encode(scene(4, 6, 6))))
