"""Floats, 64-bit integers and booleans through the product: every bit comes back, or is within the bound."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CorruptStreamError, InvalidCubeError, UsageError
from lhic.families.raw import RawModel
from lhic.values.find import find_plan, within
from lhic.values.maps import Kind, Map, from_keys, keys
from lhic.values.plan import Plan
from tests.common import shared_path

FLOATS = ("float16", "float32", "float64")
DTYPES = (*FLOATS, "int64", "uint64", "bool")
NANS = {  # quiet and signalling ones, with payloads, of both signs
    "float16": (0x7E00, 0xFE01, 0x7C01, 0x7FFF),
    "float32": (0x7FC00000, 0xFFC00001, 0x7F800001, 0x7FFFFFFF),
    "float64": (0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF),
}


def bits(cube: np.ndarray) -> bytes:
    return np.ascontiguousarray(cube).tobytes()


def check_every_bit(cube: np.ndarray, model="lhic-ax-fast", **options) -> dict:
    """What `inspect` says of a stream that gives the cube back, bit by bit."""
    stream = lhic.encode(cube, model, **options)
    again = lhic.decode(stream)
    assert again.dtype == cube.dtype and again.shape == cube.shape
    assert bits(again) == bits(cube)
    assert lhic.verify(stream, cube) == 0
    return lhic.inspect(stream)


def plan_round_trip(cube: np.ndarray, **options) -> tuple[Plan, np.ndarray]:
    """The plan of a cube, read from its bytes, and what the cube becomes by it."""
    native = cube.astype(cube.dtype.newbyteorder("="))
    found = find_plan(cube, **options)
    plan = Plan.from_bytes(found.to_bytes(native.dtype), len(cube), native.dtype)
    assert plan.to_bytes(native.dtype) == found.to_bytes(native.dtype)
    coded, rest = plan.split(native)
    assert coded.dtype == plan.coded
    return plan, plan.join(coded, rest, native.dtype)


def scene(seed: int = 0) -> np.ndarray:
    """int64 (5, 16, 14), like a sensor's numbers."""
    rng = np.random.default_rng(seed)
    band, row, column = np.ogrid[0:5, 0:16, 0:14]
    return 300 * band + 90 * row + 31 * column + rng.integers(-40, 40, (5, 16, 14))


# --- maps ---


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.sampled_from(DTYPES[:-1]))
def test_keys_are_in_the_order_of_the_samples(patterns, name):
    dtype = np.dtype(name)
    samples = np.array(patterns, np.uint64).astype(f"u{dtype.itemsize}").view(dtype)
    assert bits(from_keys(keys(samples), dtype)) == bits(samples)
    if dtype.kind == "f":
        finite = np.sort(samples[np.isfinite(samples)])
        assert (np.diff(keys(finite).astype(object)) >= -1).all()  # -0.0 and 0.0 sort either way
        assert (keys(samples) < 2 ** (8 * dtype.itemsize)).all() or dtype.itemsize == 8


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(0, 1e30),
)
def test_a_bound_is_kept_in_real_numbers(a, b, bound):
    from fractions import Fraction

    assert within(np.array([a]), np.array([b]), bound)[0] == (abs(Fraction(a) - Fraction(b)) <= Fraction(bound))


# --- what is found ---


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("step", [1e-4, 0.01, 0.001, 2.5e-5, 1 / 3, 0.0123456, 1 / 65535, 1000.0])
@pytest.mark.parametrize("how", ["times", "over", "native"])
def test_steps_are_found(name, step, how):
    dtype = np.dtype(name)
    numbers = scene()
    if how == "times":
        cube = (numbers * step).astype(dtype)
    elif how == "over":
        cube = (numbers / (1 / step)).astype(dtype)
    else:
        cube = numbers.astype(dtype) * dtype.type(step)
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube)
    assert plan.coded.itemsize == 2 and not plan.has_rest and not len(plan.special_bits)


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize(
    ("step", "offset"), [(0.01, 273.15), (1e-4, -0.1), (0.5, 0.25), (0.02, 10.0), (0.00341802, 149.0)]
)
@pytest.mark.parametrize("is_native", [False, True])
def test_steps_with_an_offset_are_found(name, step, offset, is_native):
    dtype = np.dtype(name)
    cube = scene().astype(dtype) * dtype.type(step) + dtype.type(offset) if is_native else scene() * step + offset
    plan, again = plan_round_trip(cube.astype(dtype))
    assert bits(again) == bits(cube.astype(dtype))
    assert plan.coded.itemsize == 2 and not plan.has_rest


@pytest.mark.parametrize(("step", "offset"), [(0.0123456, -0.4567891), (3.3e-5, 0.0012345678), (0.7071, 1234.56789)])
def test_any_step_and_offset_are_found_where_sums_were_rounded_once(step, offset):
    cube = (scene() * step + offset).astype("float32")
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube)
    assert plan.coded.itemsize == 2 and not plan.has_rest and len(plan.special_bits) < 5


def test_each_band_has_its_step():
    cube = scene() * np.array([1e-4, 0.01, 1.0, 0.0371, 2.5e-5])[:, None, None]
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube) and plan.coded.itemsize == 2
    assert len(set(plan.maps)) == 5


def test_fill_values_and_what_is_no_number_are_special():
    cube = (scene() * 1e-4).astype("float32")
    cube[:, :3] = -9999
    cube[1, 5, 5:9] = np.array(NANS["float32"], "uint32").view("float32")
    cube[2, 6, 6], cube[3, 7, 7], cube[4, 8, 8] = np.inf, -np.inf, -0.0
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube)
    assert len(plan.special_bits) == 8 and not plan.has_rest
    assert all(found.kind == Kind.DIVIDE and found.step == 10_000 for found in plan.maps)


def test_a_value_off_the_step_is_special_wherever_it_is():
    cube = (np.arange(2 * 400 * 90).reshape(2, 400, 90) % 2000 * 0.01).astype("float32")
    cube[1, 333, 44] += np.float32(1e-5)  # in a row that the first look does not see
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube) and len(plan.special_bits) == 1


def test_a_finer_step_that_the_first_look_misses_is_found():
    numbers = np.arange(2 * 900 * 50).reshape(2, 900, 50) % 3000 * 10
    numbers[1, 501:] += 3
    cube = numbers / 1000
    plan, again = plan_round_trip(cube)
    assert bits(again) == bits(cube) and not plan.has_rest and not len(plan.special_bits)


def test_integers_that_fit_are_coded_as_they_are():
    for dtype in ("int64", "uint64", ">i8"):
        plan, again = plan_round_trip(scene().clip(0).astype(dtype))
        assert plan.coded.itemsize == 2 and set(plan.maps) == {Map(Kind.ORDER)}
        assert (again == scene().clip(0)).all()


def test_what_divides_wide_integers_is_found():
    cube = scene() * 1_000_000 + 2**55
    plan, again = plan_round_trip(cube)
    assert (again == cube).all() and plan.coded.itemsize == 2


def test_more_special_values_than_are_kept_need_no_step():
    rng = np.random.default_rng(3)
    cube = (rng.integers(0, 900, (40, 30, 30)) * 0.01).astype("float32")
    cube[:, ::7, ::7] *= np.float32(1.00001)
    assert bits(plan_round_trip(cube)[1]) == bits(cube)
    payloads = (0x7FC00000 + np.arange(2 * 30 * 30).reshape(2, 30, 30)).astype("uint32").view("float32")
    assert bits(plan_round_trip(payloads)[1]) == bits(payloads)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_samples_come_back(data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES))).newbyteorder(data.draw(st.sampled_from("<>")))
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)))
    n = math.prod(shape)
    if dtype.kind == "f":
        width = 8 * dtype.itemsize
        patterns = st.sampled_from(
            [*NANS[dtype.newbyteorder("=").name], 0, 1, 2, 1 << (width - 1), (1 << (width - 1)) + 1]
        )
        anything = st.one_of(patterns, st.integers(0, 2**width - 1))
        unsigned = np.array(data.draw(st.lists(anything, min_size=n, max_size=n)), np.uint64).astype(
            f"u{dtype.itemsize}"
        )
        samples = unsigned.view(dtype.newbyteorder("=")).astype(dtype)
        if data.draw(st.booleans()):  # mostly on a step, with what is drawn above here and there
            step, offset = data.draw(st.sampled_from([(1e-4, 0.0), (0.01, 0.0), (0.01, 100.0), (0.5, 0.25)]))
            numbers = np.array(data.draw(st.lists(st.integers(-500, 20_000), min_size=n, max_size=n)))
            with np.errstate(over="ignore"):
                samples = np.where(unsigned % 3 > 0, (numbers * step + offset).astype(dtype), samples)
    elif dtype.kind == "b":
        samples = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        ends = data.draw(st.sampled_from([(low, high), (max(low, -5), 300), (high - 9, high), (low, low + 70_000)]))
        samples = np.array(data.draw(st.lists(st.integers(*ends), min_size=n, max_size=n)), dtype)
    cube = samples.reshape(shape).astype(dtype)
    with np.errstate(invalid="ignore"):
        native = cube.byteswap().view(dtype.newbyteorder("=")) if not cube.dtype.isnative else cube
    assert bits(plan_round_trip(cube)[1]) == bits(native)


# --- through the product ---


@pytest.mark.parametrize("name", [*DTYPES, ">f4", ">f8", ">i8"])
def test_every_dtype_through_a_stream(name):
    cube = (scene() % 2 if name == "bool" else scene() / 4 if "f" in name else scene()).astype(name)
    found = check_every_bit(cube)
    assert found["dtype"] == str(cube.dtype.newbyteorder("="))
    assert found["byte_order"] == ("big" if name.startswith(">") else "little")


@pytest.mark.parametrize("name", FLOATS)
def test_floats_of_any_bits_through_a_stream(name):
    rng = np.random.default_rng(1)
    dtype = np.dtype(name)
    anything = rng.integers(0, 2 ** (8 * dtype.itemsize) - 1, (3, 9, 8), np.uint64, endpoint=True)
    check_every_bit(anything.astype(f"u{dtype.itemsize}").view(dtype))
    noise = rng.normal(0, 1, (4, 12, 11)).astype(dtype)
    noise[0, 0, :4] = np.array(NANS[name], f"u{dtype.itemsize}").view(dtype)
    noise[1, 1, 1:4] = 0.0, -0.0, np.inf
    found = check_every_bit(noise, fallback=False)
    assert found["family"] == "lhic-ax"


def test_integers_in_disguise_take_the_integers_bits():
    integers = scene().astype("int16")
    expected = lhic.inspect(lhic.encode(integers, "lhic-ax-fast"))["stream_bytes"]
    for cube in (integers.astype("float32"), integers / np.float32(10_000), integers * 1e-4, integers.astype("int64")):
        assert check_every_bit(cube)["stream_bytes"] < expected + 50


@pytest.mark.shared
def test_a_tile_of_enmap_in_float32_takes_the_integers_bits():
    tifffile = pytest.importorskip("tifffile")
    tile = tifffile.imread(shared_path("formats", "real", "enmap_potsdam_tile_128_0.tif"))
    tile = np.ascontiguousarray(tile if len(tile) == 224 else np.moveaxis(tile, -1, 0))[60:90]
    assert tile.dtype == np.float32
    as_integers = lhic.inspect(lhic.encode(tile.astype("int16")))["bits_per_sample"]
    found = check_every_bit(tile, "lhic-ax", nodata=-32768)
    assert found["bits_per_sample"] < as_integers * 1.001 + 0.02


@pytest.mark.shared
@pytest.mark.parametrize("name", ["f32_integers", "f32_div10000", "f32_emit_fill", "f32_nan", "i64", "i64_wide"])
def test_shared_cubes(name):
    cube = np.load(shared_path("formats", f"{name}.npy"))
    found = check_every_bit(cube)
    assert found["bits_per_sample"] < 8 and found["values"]["bits kept apart"] == 0


def test_never_larger_than_zstandard_of_the_shuffled_samples():
    zstandard = pytest.importorskip("zstandard")
    rng = np.random.default_rng(5)
    for cube in (
        rng.normal(0, 1, (3, 30, 40)).astype("float32"),
        np.repeat(rng.normal(0, 1, (3, 3, 40)), 9, axis=1),
        rng.integers(-(2**62), 2**62, (2, 20, 20)),
        np.tile(rng.normal(0, 1, (1, 8, 8)), (6, 4, 4)),
    ):
        shuffled = cube.reshape(-1).view(np.uint8).reshape(-1, cube.dtype.itemsize).T.tobytes()
        limit = len(zstandard.ZstdCompressor(level=9).compress(shuffled))
        assert check_every_bit(cube)["stream_bytes"] <= limit + 80  # what the stream says of itself


def test_windows_of_a_stream_of_floats():
    cube = np.random.default_rng(2).normal(0, 1, (6, 12, 9))
    stream = lhic.encode(cube, "lhic-ax-fast", fallback=False)
    assert lhic.inspect(stream)["section_names"][-1] == "rest"
    assert bits(lhic.decode_tile(stream, 0)) == bits(cube)
    assert lhic.preview(stream, (2, 1, 0)).image.shape == (12, 9, 3)


def test_floats_from_file_to_file_in_bounded_memory(tmp_path):
    cube = (np.arange(4 * 300 * 310).reshape(4, 300, 310) % 977 * 0.01).astype("float32")
    cube[:, :5] = np.nan
    lhic.save_cube(tmp_path / "cube.npy", cube)
    lhic.encode_file(tmp_path / "cube.npy", tmp_path / "cube.lhic", "lhic-ax-fast", memory_budget=12 << 20)
    assert (tmp_path / "cube.lhic").read_bytes() == lhic.encode(cube, "lhic-ax-fast")
    again = tmp_path / "again.npy"
    assert lhic.decode_file(tmp_path / "cube.lhic", again, verify=tmp_path / "cube.npy", memory_budget=12 << 20) == 0
    assert bits(np.load(again)) == bits(cube)


# --- bounds ---


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_bound_holds_for_every_sample(data):
    dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"])))
    bound = data.draw(st.sampled_from([1e-4, 0.01, 0.5, 1e-9, 3.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    step = data.draw(st.sampled_from([1e-4, 0.01, None]))
    cube = rng.normal(0, data.draw(st.sampled_from([1, 1000])), (2, 6, 7)) if step is None else scene()[:2, :6] * step
    cube = cube.astype(dtype)
    nodata = data.draw(st.sampled_from([None, -9999.0, 0.0]))
    if nodata is not None:
        cube[:, 1] = nodata
    cube[0, 2, 2] = np.nan
    plan, again = plan_round_trip(cube, max_error=bound, nodata=nodata)
    kept = np.isnan(cube) | (False if nodata is None else cube == nodata)
    assert bits(again[kept]) == bits(cube[kept])
    assert within(cube[~kept], again[~kept], bound).all()
    assert nodata is None or not (again[~kept] == nodata).any()
    assert plan.max_error == bound


def test_a_bound_saves_what_it_should():
    rng = np.random.default_rng(7)
    cube = (scene() * 1e-3 + rng.normal(0, 0.01, scene().shape)).astype("float32")
    lossless = lhic.encode(cube, "lhic-ax-fast")
    stream = lhic.encode(cube, "lhic-ax-fast", max_error=1e-3)
    found, again = lhic.inspect(stream), lhic.decode(stream)
    assert found["max_error"] == 1e-3 and found["parameters"]["max_error"] == 0
    assert np.abs(again.astype(float) - cube).max() <= 1e-3
    assert 0 < lhic.verify(stream, cube) <= 1e-3
    assert len(stream) < 0.6 * len(lossless)


def test_a_bound_of_wide_integers():
    cube = scene() * 1001 + 2**40
    stream = lhic.encode(cube, "lhic-ax-fast", max_error=5000, nodata=int(cube[0, 0, 0]))
    again = lhic.decode(stream)
    is_nodata = cube == cube[0, 0, 0]
    assert np.abs(again - cube).max() <= 5000 and ((again == cube[0, 0, 0]) == is_nodata).all()


@pytest.mark.parametrize(
    ("dtype", "bound"), [("float32", -1), ("float32", math.inf), ("float32", "1"), ("int64", 0.5), ("bool", 1)]
)
def test_bounds_that_are_none(dtype, bound):
    with pytest.raises(UsageError, match="max_error"):
        lhic.encode(np.ones((1, 2, 2), dtype), "lhic-ax-fast", max_error=bound)


# --- refusals ---


def test_complex_samples_are_refused():
    with pytest.raises(InvalidCubeError, match=r"expected integers, floats or booleans .*, found complex64"):
        lhic.encode(np.ones((1, 2, 2), "complex64"))


def test_masked_floats_become_nan():
    cube = np.ma.masked_less((scene() * 0.01).astype("float32"), 2)
    again = lhic.decode(lhic.encode(cube, "lhic-ax-fast"))
    assert (np.isnan(again) == np.ma.getmaskarray(cube)).all()
    assert (again[~np.isnan(again)] == cube.compressed()).all()


def test_verification_sees_the_sign_of_zero():
    cube = np.zeros((1, 2, 3), "float32")
    stream = lhic.encode(cube, "lhic-ax-fast")
    with pytest.raises(lhic.LhicError, match="1 that differ"):
        lhic.verify(stream, np.where(np.arange(6).reshape(1, 2, 3) == 4, -0.0, cube).astype("float32"))


def test_samples_as_they_are_have_no_values():
    stream = lhic.encode(np.full((1, 1, 1), 1.5, "float32"), RawModel())
    assert lhic.decode(stream).item() == 1.5
    plan = find_plan(np.ones((3, 2, 2), "float32"))
    whole = plan.to_bytes(np.dtype("float32"))
    for end in range(len(whole)):
        with pytest.raises(CorruptStreamError):
            Plan.from_bytes(whole[:end], 3, np.dtype("float32"))
    with pytest.raises(CorruptStreamError, match="1 more"):
        Plan.from_bytes(whole + b"\0", 3, np.dtype("float32"))


@pytest.mark.parametrize("step", [0.0, -1.0, math.inf, math.nan])
def test_steps_that_are_none_are_rejected(step):
    whole = find_plan(np.ones((1, 2, 2), "float32")).to_bytes(np.dtype("float32"))
    damaged = whole[:-16] + struct.pack("<d", step) + whole[-8:]
    with pytest.raises(CorruptStreamError, match="step"):
        Plan.from_bytes(damaged, 1, np.dtype("float32"))


# --- the command line ---


def test_encode_tells_what_a_bound_would_save(tmp_path, capsys):
    from lhic.cli import main

    rng = np.random.default_rng(4)
    cube = (scene() * 1e-3 + rng.normal(0, 0.01, scene().shape)).astype("float32")
    lhic.save_cube(tmp_path / "cube.npy", cube)
    fast = ["--model", "lhic-ax-fast"]
    assert main(["encode", str(tmp_path / "cube.npy"), str(tmp_path / "cube.lhic"), *fast]) == 0
    told = capsys.readouterr().err
    assert "cube.npy: " in told and "--max-error 0.001 would take" in told
    bounded = [str(tmp_path / "bounded.lhic"), "--max-error", "1e-3", *fast]
    assert main(["encode", str(tmp_path / "cube.npy"), *bounded]) == 0
    assert "|error| <= 0.001" in (found := capsys.readouterr()).out and not found.err
    assert main(["decode", bounded[0], str(tmp_path / "again.npy"), "--verify", str(tmp_path / "cube.npy")]) == 0
    assert "within 0.001" in capsys.readouterr().out
    assert main(["info", bounded[0]]) == 0
    assert "coded as" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["encode", str(tmp_path / "cube.npy"), str(tmp_path / "x.lhic"), "--max-error", "nan"])


def test_nodata_of_floats_is_a_number_or_nan():
    cube = (scene() * 0.01).astype("float32")
    cube[:, 0] = np.nan
    stream = lhic.encode(cube, "lhic-ax-fast", nodata=math.nan)
    assert lhic.inspect(stream)["metadata"] == {"nodata": "NaN"} and bits(lhic.decode(stream)) == bits(cube)
    for nodata in (math.inf, "x", True):
        with pytest.raises(UsageError, match="nodata: expected a finite number, or NaN"):
            lhic.encode(cube, nodata=nodata)


def test_more_bands_than_maps_are_kept_for_are_refused_both_ways():
    with pytest.raises(InvalidCubeError, match="expected at most 1048576 bands, found 1048577"):
        lhic.encode(np.zeros(((1 << 20) + 1, 1, 1), "float32"), "lhic-ax-fast")
    stream = lhic.encode(np.arange(60.0).reshape(3, 4, 5) / 8, "lhic-ax-fast")
    values = find_plan(np.arange(60.0).reshape(3, 4, 5) / 8).to_bytes(np.dtype("float64"))
    assert values in stream
    with pytest.raises(CorruptStreamError, match="expected at most 1048576 bands"):
        Plan.from_bytes(values, 1 << 30, np.dtype("float64"))
