"""The codec of Zarr 3: what is written is read, whatever chunks, shards, axes and threads."""

from __future__ import annotations

import asyncio
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CorruptStreamError, ForeignStreamError, InvalidCubeError, UsageError, VerificationError
from lhic.integrations import chunks as coding
from tests.common import REPOSITORY
from tests.integrations.chunks import AXES, FAST, arrays, same_bits, scene

zarr = pytest.importorskip("zarr", "3.1")
from zarr.core.array_spec import ArrayConfig, ArraySpec  # noqa: E402

from lhic.integrations.zarr import LhicCodec  # noqa: E402

SCHEMA = REPOSITORY / "docs" / "codecs" / "lhic" / "schema.json"


def made(store, data: np.ndarray, chunks: tuple[int, ...], shards=None, fill=0, **codec):
    """The array in a store, written with the codec."""
    layout = {"shape": data.shape, "chunks": chunks, "shards": shards, "dtype": data.dtype, "fill_value": fill}
    serializer = LhicCodec(**{"model": FAST, **codec})
    array = zarr.create_array(store, **layout, serializer=serializer, compressors=None)
    array[...] = data
    return array


def reopened(store) -> np.ndarray:
    return zarr.open_array(store, mode="r")[...]


@settings(max_examples=40, deadline=None)
@given(arrays())
def test_every_array_comes_back(given_array):
    data, axes, chunks = given_array
    store = {}
    made(store, data, chunks, axes=axes)
    assert same_bits(data, reopened(store))


@settings(max_examples=15, deadline=None)
@given(arrays(), st.integers(1, 3))
def test_shards_come_back(given_array, n_chunks):
    data, axes, chunks = given_array
    store = {}
    made(store, data, chunks, shards=tuple(n_chunks * n for n in chunks), axes=axes)
    assert same_bits(data, reopened(store))
    array = zarr.open_array(store)
    array[:1, :1] = data[-1:, -1:]
    expected = data.copy()
    expected[:1, :1] = data[-1:, -1:]
    assert same_bits(expected, reopened(store))


def test_edge_chunks_and_fill_values():
    data, store = scene(7, 10, 11), {}
    data[:, 5:, 6:] = -9
    made(store, data, (4, 5, 6), fill=-9)
    n_keys = len([key for key in store if key.startswith("c/")])
    assert n_keys == 6, "the chunks of fill values alone are not stored"
    np.testing.assert_array_equal(reopened(store), data)


def test_a_chunk_is_a_stream_and_a_stack_one_for_each_cube():
    data, store = scene(2, 6, 8, 8), {}
    made(store, data, (2, 6, 8, 8))
    chunk = store["c/0/0/0/0"].to_bytes()
    first, second = coding.streams(chunk)
    np.testing.assert_array_equal(lhic.decode(first[1]), data[0])
    np.testing.assert_array_equal(lhic.decode(second[1]), data[1])
    made(store := {}, data[0], (6, 8, 8))
    assert np.array_equal(lhic.decode(store["c/0/0/0"].to_bytes()), data[0])


def test_axes_are_those_of_a_cube():
    data, store = scene(6, 8, 9), {}
    made(store, np.moveaxis(data, 0, 2), (8, 9, 6), axes=("rows", "columns", "bands"))
    assert np.array_equal(lhic.decode(store["c/0/0/0"].to_bytes()), data)


def test_metadata_say_the_axes_and_follow_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    for n_axes, options in ((2, {}), (3, {}), (4, {}), (3, {"axes": AXES[1:], "max_error": 2, "nodata": -1})):
        store = {}
        made(store, scene(*[5] * n_axes), (5,) * n_axes, **options)
        (stated,) = json.loads(store["zarr.json"].to_bytes())["codecs"]
        jsonschema.validate(stated, schema)
        assert stated["configuration"]["axes"] == list(AXES[-n_axes:])
        assert LhicCodec.from_dict(stated).to_dict() == stated
    for wrong in ({"model": 3}, {"axes": ["rows", "rows"]}, {"axes": ["rows"]}, {"max_error": -1}, {"level": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"name": "lhic", "configuration": wrong}, schema)
        with pytest.raises(UsageError):
            LhicCodec.from_dict({"name": "lhic", "configuration": wrong})


def test_the_example_of_the_specification_is_valid():
    jsonschema = pytest.importorskip("jsonschema")
    text = (SCHEMA.parent / "README.md").read_text()
    (block,) = [json.loads(part.split("```")[0]) for part in text.split("```json")[1:]]
    (codec,) = block["codecs"]
    jsonschema.validate(codec, json.loads(SCHEMA.read_text()))
    assert LhicCodec.from_dict(codec).to_dict() == codec


def test_near_lossless_keeps_bound_and_nodata():
    data, store = scene(6, 9, 9), {}
    data[:, :2] = -1
    made(store, data, (6, 9, 9), max_error=3, nodata=-1)
    again = reopened(store).astype(int)
    assert 0 < np.abs(again - data).max() <= 3
    assert np.array_equal(again == -1, data == -1)


@pytest.mark.parametrize(
    "shape, dtype, options, error",
    [
        ((8,), "int16", {}, UsageError),
        ((2, 2, 2, 2, 2), "int16", {}, UsageError),
        ((4, 4), "complex64", {}, InvalidCubeError),
        ((4, 4), "int16", {"axes": ("bands", "rows", "columns")}, UsageError),
        ((4, 4), "int16", {"max_error": 0.5}, UsageError),
        ((4, 4), "int16", {"axes": ("x", "y")}, UsageError),
        ((4, 4), "int16", {"axes": "bsq"}, UsageError),
        ((4, 4), "int16", {"model": None}, UsageError),
        ((4, 4), "int16", {"max_error": float("nan")}, UsageError),
    ],
)
def test_what_cannot_be_coded_is_refused_when_the_array_is_made(shape, dtype, options, error):
    with pytest.raises(error) as found:
        zarr.create_array({}, shape=shape, chunks=shape, dtype=dtype, serializer=LhicCodec(**options), compressors=None)
    assert "\n" not in str(found.value) and "expected" in str(found.value)


def swapped(shape, dtype, chunk: bytes, **options):
    """Read an array whose one chunk is replaced by these bytes."""
    store = {}
    array = made(store, np.ones(shape, dtype), shape, **options)
    (key,) = (key for key in store if key.startswith("c/"))
    store[key] = type(store[key]).from_bytes(chunk)
    return array[...]


@pytest.mark.parametrize(
    "chunk, error, words",
    [
        (lambda: lhic.encode(scene(4, 6, 7), FAST), VerificationError, "(4, 6, 6) of int16, found (4, 6, 7) of int16"),
        (lambda: lhic.encode(scene(4, 6, 6, dtype="uint16"), FAST), VerificationError, "found (4, 6, 6) of uint16"),
        (lambda: lhic.encode(scene(4, 6, 6), FAST, max_error=2), VerificationError, "within 0 (max_error)"),
        (lambda: b"nothing of the kind, but long enough for a header", ForeignStreamError, "lhic"),
        (lambda: lhic.encode(scene(4, 6, 6), FAST)[:-3], CorruptStreamError, ""),
        (lambda: 2 * lhic.encode(scene(4, 6, 6), FAST), CorruptStreamError, "expected 1 streams, found more"),
        (lambda: b"", CorruptStreamError, ""),
    ],
)
def test_bytes_of_another_chunk_are_refused_before_they_are_decoded(chunk, error, words, monkeypatch):
    data = chunk()
    if error is VerificationError:
        monkeypatch.setattr(coding, "decoded", lambda *_: pytest.fail("decoded"))
    with pytest.raises(error) as found:
        swapped((4, 6, 6), "int16", data)
    assert words in str(found.value) and "\n" not in str(found.value)


def test_too_few_cubes_of_a_stack_are_told():
    with pytest.raises(CorruptStreamError, match="expected 3 streams, found 2"):
        swapped((3, 4, 6, 6), "int16", 2 * lhic.encode(scene(4, 6, 6), FAST))


def test_the_synchronous_methods_do_what_the_others_do():
    data = scene(5, 8, 8)
    array = made({}, data, data.shape)
    codec = array.metadata.codecs[0]
    prototype = zarr.core.buffer.default_buffer_prototype()
    spec = ArraySpec(data.shape, array.metadata.data_type, 0, ArrayConfig.from_dict({}), prototype)
    chunk = spec.prototype.nd_buffer.from_numpy_array(data)
    stream = codec._encode_sync(chunk, spec)
    (again,) = asyncio.run(codec.encode([(chunk, spec)]))
    assert stream.to_bytes() == again.to_bytes()
    (decoded,) = asyncio.run(codec.decode([(again, spec)]))
    assert np.array_equal(decoded.as_numpy_array(), codec._decode_sync(stream, spec).as_numpy_array())
    assert asyncio.run(codec.decode([(None, spec)])) == [None]


def test_many_threads_load_the_model_once(monkeypatch):
    from lhic.families import registry

    registry._load_cached.cache_clear()
    loaded, load = [], registry.load_weights
    monkeypatch.setattr(registry, "load_weights", lambda path: loaded.append(path) or load(path))
    data = scene(16, 12, 12)
    array = made({}, data, (4, 6, 6))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda band: array[band], range(16)))
    assert np.array_equal(np.stack(parts), data) and len(loaded) == 1


def test_dask_reads_and_writes_with_two_threads(tmp_path):
    dask_array = pytest.importorskip("dask.array")
    data = scene(6, 20, 20)
    target = zarr.create_array(
        tmp_path / "a.zarr", shape=data.shape, chunks=(6, 10, 10), dtype="int16", serializer=LhicCodec(model=FAST)
    )
    lazy = dask_array.from_array(data, chunks=(6, 10, 10))
    dask_array.store(lazy, target, lock=False, scheduler="threads", num_workers=2)
    again = dask_array.from_zarr(tmp_path / "a.zarr").compute(scheduler="threads", num_workers=2)
    np.testing.assert_array_equal(again, data)


def test_dask_workers_are_processes_of_their_own(tmp_path):
    distributed = pytest.importorskip("distributed")
    dask_array = pytest.importorskip("dask.array")
    data = scene(6, 20, 20)
    made(tmp_path / "a.zarr", data, (6, 10, 10))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        lazy = dask_array.from_zarr(tmp_path / "a.zarr")
        assert int(lazy.sum().compute()) == int(data.sum())


def test_codecs_are_pickled():
    codec = LhicCodec(model=FAST, axes=AXES, max_error=1)
    assert pickle.loads(pickle.dumps(codec)) == codec
