"""Every general codec: the same cube back, or a reason why not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import lhic
from benchmarks.codecs import registry
from benchmarks.codecs.base import DTYPES, Frame
from lhic.errors import CorruptStreamError, InvalidCubeError, LhicError, UsageError
from tests.common import check_round_trip, cubes_by_intent

# The codecs of other packages (lhic, rls, ccsds123) have tests of their own.
GENERAL = [name for name in registry.factories() if not name.startswith(("lhic", "rls", "ccsds123"))]
FAST = [name for name in GENERAL if "e9" not in name and "l22" not in name]

CUBES = st.sampled_from(sorted(DTYPES.values())).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
        # Narrow ranges in odd places of the dtype, and all of it.
        elements=st.one_of(
            hnp.from_dtype(np.dtype(dtype)),
            st.integers(0, 5).map(lambda value: value + int(np.iinfo(dtype).min)),
            st.integers(0, 100),
        ),
    )
)


def code_or_refuse(name: str, cube: np.ndarray) -> None:
    codec = registry.make(name)
    reason = codec.refuses(cube)
    if reason is None:
        check_round_trip(cube, codec.encode, codec.decode)
        return
    assert "expected" in reason and "found" in reason
    with pytest.raises(InvalidCubeError):
        codec.encode(cube)


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cube=CUBES)
def test_round_trip_of_any_cube(name, cube):
    code_or_refuse(name, cube)


@pytest.mark.parametrize("name", GENERAL)
def test_round_trip_by_intent(name):
    for cube in cubes_by_intent().values():
        # The runner hands over native byte order in C order; adapters rely on it.
        code_or_refuse(name, np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("=")))


@pytest.mark.parametrize("name", registry.factories())
def test_a_patch_without_data_comes_back(name):
    """Every codec of the study, cubes of a single value: the least of their dtype, nodata, 0, the largest."""
    values = [("int16", value) for value in (-32768, 0, 32767)] + [("int32", value) for value in (-(2**31), -32768)]
    values += [("uint16", 0), ("uint16", 65535), ("int8", -128), ("uint8", 255), ("uint32", 2**32 - 1)]
    for dtype, value in values:
        code_or_refuse(name, np.full((3, 5, 4), value, dtype))


@pytest.mark.parametrize("name", [name for name in FAST if registry.make(name).threads])
def test_threads_do_not_change_the_cube(name):
    rng = np.random.default_rng(0)
    cube = rng.integers(0, 3000, (7, 40, 33), dtype=np.uint16)
    codec = registry.make(name)
    one = codec.encode(cube)
    codec.n_threads = 2
    assert len(codec.encode(cube)) == len(one)
    np.testing.assert_array_equal(codec.decode(one), cube)


def test_sixteen_bit_codecs_refuse_more_and_take_shifted_ranges():
    codec = registry.make("jpeg-ls-bands")
    wide = np.array([0, 70_000], np.int32).reshape(1, 1, 2)
    assert "65536" in codec.refuses(wide)
    far = np.array([-2_000_000_000, -1_999_999_000], np.int32).reshape(1, 1, 2)
    check_round_trip(far, codec.encode, codec.decode)


def test_actual_depth_beats_declared_sixteen_bits():
    """The reason for pyjpegls: a small 11-bit cube is several percent smaller with its depth declared."""
    rng = np.random.default_rng(0)
    ramp = np.cumsum(rng.integers(-9, 10, (4, 32, 32)), axis=2) + 1000
    sizes = [
        len(registry.make(name).encode(ramp.astype(np.uint16))) for name in ("jpeg-ls-bands", "jpeg-ls-bands-16bit")
    ]
    assert sizes[0] < 0.97 * sizes[1]


def test_best_of_takes_the_smallest():
    ramp = np.add.outer(np.arange(6) * 100, np.add.outer(np.arange(16) * 3, np.arange(16) * 5)).astype(np.uint16)
    best = registry.make("best-of-jpeg-xl-e7")
    sizes = [len(codec.encode(ramp)) for codec in best.candidates]
    assert len(best.encode(ramp)) == 1 + min(sizes)
    check_round_trip(ramp, best.encode, best.decode)


@pytest.mark.parametrize("name", [name for name in FAST if not name.startswith("best-of")])
def test_cut_streams_are_errors(name):
    """Whatever the library raises, a cut stream is never a cube."""
    rng = np.random.default_rng(0)
    cube = rng.integers(0, 3000, (3, 17, 19), dtype=np.uint16)
    codec = registry.make(name)
    stream = codec.encode(cube)
    for size in (0, 1, len(stream) // 3):
        try:
            decoded = codec.decode(stream[:size])
        except Exception:
            continue
        # JPEG XL and JPEG 2000 are progressive: half a stream is a poor picture by design.
        assert name.startswith(("jpeg", "htj2k", "lerc", "png")) and not np.array_equal(decoded, cube)


def test_frame_round_trip_and_damage():
    frame = Frame("int16", (202, 128, 128), -32768)
    data = frame.to_bytes()
    assert len(data) == 10
    assert Frame.read(data + b"rest") == (frame, len(data))
    for size in range(len(data)):
        with pytest.raises(CorruptStreamError):
            Frame.read(data[:size])
    with pytest.raises(CorruptStreamError, match="dtype code"):
        Frame.read(b"\x09" + data[1:])
    huge = Frame("int32", (1 << 20, 1 << 20, 1 << 20)).to_bytes()
    with pytest.raises(CorruptStreamError, match="bytes of samples"):
        Frame.read(huge)


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(UsageError, match="jpeg-ls-bands"):
        registry.make("jpeg-lossy")
    with pytest.raises(UsageError, match="module:callable"):
        registry.make("tests.benchmarks.no_such_module:codec")


def test_missing_weights_are_an_error_of_lhic():
    from benchmarks.codecs.lhic_codec import LhicModel

    with pytest.raises(LhicError):
        LhicModel("no-such-model")


def test_names_and_descriptions():
    for name, make in registry.factories().items():
        if name in GENERAL:
            codec = make()
            assert codec.name == name == name.lower()
            assert codec.version and codec.settings and codec.signed
            assert codec.best_of == name.startswith("best-of")


def test_lhic_adapter_says_which_weights_and_restores_the_cube():
    codec = registry.make(lhic.DEFAULT_MODEL)
    cube = np.arange(3 * 5 * 6, dtype=np.int16).reshape(3, 5, 6) - 40
    stream = check_round_trip(cube, codec.encode, codec.decode)
    assert codec.weights_hash == lhic.inspect(stream)["weights_sha256"]
