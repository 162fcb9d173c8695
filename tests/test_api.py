"""The facade with a family that needs no network: routing, checksums, errors."""

from fractions import Fraction

import numpy as np
import pytest

import lhic
from lhic.errors import (
    CorruptStreamError,
    InvalidCubeError,
    MemoryBudgetError,
    ModelMismatchError,
    UsageError,
    VerificationError,
)
from lhic.families.family import Work
from lhic.families.raw import RawModel
from lhic.io.source import open_source
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
    with pytest.raises(ModelMismatchError, match=f"lhic {lhic.__version__} reads .*'future': the release that wrote"):
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
    with pytest.raises(InvalidCubeError, match="complex64"):
        store(cube.astype("complex64"))
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


@pytest.mark.parametrize("bound", [4.0, np.float32(4)])
def test_a_bound_of_integers_may_be_a_whole_number_in_the_form_of_a_float(stored_models, bound):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    assert store(cube, max_error=bound) == store(cube, max_error=4)
    for wrong in (1.5, np.inf, np.nan, -1.0):
        with pytest.raises(UsageError, match="max_error: expected a whole number"):
            store(cube.astype("int64"), max_error=wrong)


@pytest.mark.parametrize("dtype", ["int16", "uint32", "int64", "float32", "float64"])
@pytest.mark.parametrize(
    ("bound", "scale"), [(0.3, 0.1), (0.001, 1e-4), (0.02, [1e-3, -2e-3, 0, 5e-4, 1e-3]), (7, 2), (1e-6, 1e-4)]
)
def test_a_bound_in_the_unit_of_the_scale_holds_for_every_sample(dtype, bound, scale):
    """And as many whole steps are used as it allows, in the band of the greatest scale."""
    rng = np.random.default_rng(4)
    cube = rng.integers(0, 2000, (5, 14, 12)).astype(dtype)
    cube += (rng.random(cube.shape) < 0.5).astype(dtype)
    cube[:, 3:5] = 0
    metadata = {"scale": scale, "offset": 5, "nodata": 0}
    stream = lhic.encode(cube, "lhic-ax-turbo", metadata=metadata, max_error_physical=bound)
    again = lhic.decode(stream)
    greatest = Fraction(0)
    for samples, others, one in zip(cube, again, scale if isinstance(scale, list) else [scale] * 5, strict=True):
        pairs = zip(samples.ravel().tolist(), others.ravel().tolist(), strict=True)
        greatest = max(greatest, max(abs(Fraction(a) - Fraction(b)) for a, b in pairs) * abs(Fraction(str(one))))
    exact = Fraction(str(bound))
    step = max(abs(Fraction(str(one))) for one in (scale if isinstance(scale, list) else [scale]))
    assert greatest <= exact and (greatest > 0 or step > exact) and np.array_equal(again == 0, cube == 0)
    if np.dtype(dtype).kind != "f":
        assert lhic.inspect(stream)["max_error"] == exact // step


def test_a_bound_in_a_unit_that_nobody_stated_is_refused():
    cube = np.arange(60, dtype="int16").reshape(3, 4, 5)
    for more, words in (
        ({}, "max_error_physical: expected a scale in the metadata, found none"),
        ({"metadata": {"scale": 0}}, "expected a scale"),
        ({"metadata": {"scale": 2}, "max_error": 1}, "expected no max_error beside it"),
        ({"metadata": {"scale": 2}, "max_error_physical": -1}, "max_error_physical: expected a finite number"),
        ({"metadata": {"scale": 2}, "max_error_physical": "1"}, "max_error_physical: expected a number, found '1'"),
    ):
        with pytest.raises(UsageError, match=words):
            lhic.encode(cube, "lhic-ax-turbo", **{"max_error_physical": 0.5, **more})


# --- what streams from elsewhere may announce -------------------------------------------------------------------------


def test_a_stream_is_refused_before_any_work_if_another_cube_was_expected(stored_models, tmp_path, monkeypatch):
    cube = np.arange(3 * 9 * 10, dtype=">i2").reshape(3, 9, 10)
    stream = store(cube)
    (tmp_path / "cube.lhic").write_bytes(stream)

    def check(error, words, **limits):
        with pytest.raises(error, match=words):
            lhic.decode(stream, **limits)
        with pytest.raises(error, match=rf"cube\.lhic: {words}"):
            lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "again.npy", **limits)
        assert not (tmp_path / "again.npy").exists()

    fitting = {"max_bytes": 540, "expected_shape": [3, 9, 10], "expected_dtype": ">i2"}
    assert np.array_equal(lhic.decode(stream, **fitting), cube)
    monkeypatch.setattr("lhic.families.registry.load_model", lambda *_: pytest.fail("weights were loaded"))
    check(MemoryBudgetError, r"stream: expected at most 539 bytes of samples \(max_bytes\), found 540", max_bytes=539)
    check(VerificationError, r"stream: expected \(3, 9\) samples", expected_shape=(3, 9))
    check(VerificationError, "stream: expected .* of int16, found .* of >i2", expected_dtype="int16")
    check(UsageError, "max_bytes: expected a whole number", max_bytes="1G")
    check(UsageError, "expected_shape, expected_dtype", expected_dtype="short-ish")
    check(UsageError, "expected_shape, expected_dtype", expected_shape=5)


def test_sections_are_as_many_as_the_family_has(stored_models):
    header = Header(np.dtype("int8"), (1, 1, 1), 8, 8, "stored", "stored", bytes(32), b"{}", {})
    for sections in [(b"a",), (b"a", b"b", b"c")]:
        for read in (lhic.decode, lhic.inspect, lhic.preview):
            with pytest.raises(CorruptStreamError, match="expected 2 sections a tile for stored"):
                read(write_stream(header, [sections], [0]))


# --- streams, wherever they are ---------------------------------------------------------------------------------------


def test_a_stream_may_be_bytes_of_any_kind_a_path_or_an_open_file(stored_models, tmp_path):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream = store(cube)
    path = tmp_path / "cube.lhic"
    path.write_bytes(stream)
    for one in (stream, bytearray(stream), memoryview(stream), np.frombuffer(stream, np.uint8), path, str(path)):
        assert np.array_equal(lhic.decode(one), cube) and np.array_equal(lhic.decode_tile(one, 3), cube[:, 8:, 8:])
        assert lhic.inspect(one) == lhic.inspect(stream) and lhic.verify(one, cube) == 0
        assert np.array_equal(lhic.preview(one).image, lhic.preview(stream).image)
    with open_source(path) as source:
        assert np.array_equal(lhic.decode(source), cube) and lhic.verify(source) is None
    path.write_bytes(stream[:-1])
    for read in (lhic.decode, lhic.verify):
        with pytest.raises(CorruptStreamError, match=r"^\S+cube\.lhic: stream: expected"):
            read(path)
    with pytest.raises(UsageError, match="gone: expected an lhic stream, found nothing there"):
        lhic.decode("gone")
    for odd in (None, 5, [1, 2], np.zeros(3)[::2]):
        with pytest.raises(UsageError, match="stream: expected bytes, or a path"):
            lhic.decode(odd)


@pytest.mark.parametrize("tile", ["0", 0.0, None, -1, 4, True])
def test_a_tile_has_a_number(stored_models, tile):
    stream = store(np.zeros((3, 9, 10), "int16"))
    with pytest.raises(UsageError, match=r"^tile: expected a whole number of 0\.\.3, found"):
        lhic.decode_tile(stream, tile)
    assert lhic.decode_tile(stream, np.int64(3)).shape == (3, 1, 2)


@pytest.mark.parametrize("call", [lhic.encode, lambda cube, **more: lhic.decode(lhic.encode(cube), **more)])
def test_a_memory_budget_or_number_of_threads_that_is_none_is_told(call):
    cube = np.zeros((2, 3, 4), "int16")
    for budget in ("1G", 0, -5, [1]):
        with pytest.raises(UsageError, match=r"^memory_budget: expected a positive number of bytes, found"):
            call(cube, memory_budget=budget)
    for threads in ("2", 0, 1.5):
        with pytest.raises(UsageError, match=r"^threads: expected a whole number of at least 1, found"):
            call(cube, threads=threads)


def test_verify(stored_models, tmp_path):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream, near = store(cube), store(cube, max_error=4)
    np.save(tmp_path / "cube.npy", cube)
    assert lhic.verify(stream) is None and lhic.verify(stream, cube) == 0 and lhic.verify(near, cube) == 4
    assert lhic.verify(stream, tmp_path / "cube.npy") == 0
    with pytest.raises(
        VerificationError, match=r"^original: expected equal samples, found 1 .* band 2, row 0, column 1"
    ):
        lhic.verify(stream, np.where(cube == cube[2, 0, 1], np.int16(0), cube))
    with pytest.raises(VerificationError, match=r"^\S+cube\.npy: expected shape"):
        lhic.verify(store(cube[:2]), tmp_path / "cube.npy")
    with pytest.raises(InvalidCubeError, match=r"^original: "):
        lhic.verify(stream, cube.astype(complex))
    with pytest.raises(VerificationError, match=r"^original: expected int16 as decoded, found float64"):
        lhic.verify(stream, cube.astype(float))
    with pytest.raises(CorruptStreamError):
        lhic.verify(stream[:-1] + bytes([stream[-1] ^ 1]), cube)


# --- samples without data ---------------------------------------------------------------------------------------------


def test_masked_samples_become_nodata_or_are_refused():
    cube = np.arange(2 * 3 * 4, dtype=">i2").reshape(2, 3, 4)
    masked = np.ma.masked_less(cube, 5)
    with pytest.raises(InvalidCubeError, match=r"expected nodata=\.\.\., a value of >i2 for masked samples, found 5"):
        lhic.encode(masked)
    for more in ({"nodata": -9}, {"nodata": np.int16(-9)}, {"metadata": {"nodata": -9}}):
        stream = lhic.encode(masked, RawModel(), **more)
        again = lhic.decode(stream)
        assert again.dtype == cube.dtype and np.array_equal(again, masked.filled(-9))
        assert lhic.inspect(stream)["metadata"] == {"nodata": -9}
    assert np.array_equal(cube, np.ma.getdata(masked)), "the input was changed"
    with pytest.raises(InvalidCubeError, match="expected nodata=7 for masked samples alone"):
        lhic.encode(masked, nodata=7)
    for odd in ({"metadata": {"nodata": -9.5}}, {"metadata": {"nodata": 1e300}}):
        with pytest.raises(InvalidCubeError, match="for masked samples, found 5"):
            lhic.encode(masked, **odd)
    without = np.ma.masked_less(cube, -5)
    assert lhic.encode(without, RawModel()) == lhic.encode(cube, RawModel())


def test_nodata_is_a_value_of_the_cube_s_dtype():
    cube = np.zeros((1, 2, 3), "uint8")
    for odd in (-1, 256, 1.5, "0", True):
        with pytest.raises(UsageError, match=r"^nodata: expected a whole number of 0\.\.255"):
            lhic.encode(cube, nodata=odd)
    with pytest.raises(UsageError, match="nodata: expected the value of the metadata, 3, found 4"):
        lhic.encode(cube, nodata=4, metadata={"nodata": 3})
    assert lhic.inspect(lhic.encode(cube, nodata=3, metadata={"nodata": 3}))["metadata"] == {"nodata": 3}


# --- threads ----------------------------------------------------------------------------------------------------------


def test_threads_reach_the_model_from_every_function(stored_models, tmp_path, monkeypatch):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream, model, seen = store(cube), lhic.load_model("stored"), []
    np.save(tmp_path / "cube.npy", cube)

    def spy(right):
        def noting(*arguments, **options):
            seen.extend(argument.threads for argument in arguments if isinstance(argument, Work))
            return right(*arguments, **options)

        return noting

    for name in ("plan", "encode_tiles", "decode_tiles", "decode_first_bands"):
        monkeypatch.setattr(model, name, spy(getattr(model, name)))
    calls = [
        lambda **more: lhic.encode(cube, model, fallback=False, **more),
        lambda **more: lhic.encode_file(tmp_path / "cube.npy", tmp_path / "cube.lhic", model, overwrite=True, **more),
        lambda **more: lhic.decode(stream, model=model, **more),
        lambda **more: lhic.decode_file(stream, tmp_path / "again.npy", model=model, overwrite=True, **more),
        lambda **more: lhic.decode_tile(stream, 0, model=model, **more),
        lambda **more: lhic.verify(stream, model=model, **more),
        lambda **more: lhic.preview(stream, model=model, **more),
    ]
    for call in calls:
        for more, setting, expected in (({"threads": 3}, "5", 3), ({}, "5", 5)):
            monkeypatch.setenv("LHIC_THREADS", setting)
            seen.clear()
            call(**more)
            assert seen and set(seen) == {expected}
