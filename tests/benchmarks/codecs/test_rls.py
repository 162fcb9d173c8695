"""The RLS codec: round trips, what it reaches, damage, and arithmetic that is the same everywhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numba import njit

from benchmarks.codecs import registry, rls
from benchmarks.codecs.base import DTYPES
from benchmarks.codecs.rls import kernel, stream
from lhic.errors import CorruptStreamError, InvalidCubeError, LhicError, UnsupportedVersionError, UsageError
from tests.common import REPOSITORY, check_round_trip, cubes_by_intent, shared_path


def textured(shape, seed=0, dtype="int16") -> np.ndarray:
    """Bands that resemble each other, with noise: something to predict."""
    rng = np.random.default_rng(seed)
    n_bands, n_rows, n_columns = shape
    scene = rng.normal(0, 40, (3, n_rows, n_columns)).cumsum(1).cumsum(2) / 10
    spectra = rng.normal(1, 0.3, (n_bands, 3)).cumsum(0) / 3
    return np.rint(np.einsum("sk,khw->shw", spectra, scene) + rng.normal(0, 2, shape)).astype(dtype)


CUBES = st.sampled_from(sorted(DTYPES.values())).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(
            st.integers(max(np.iinfo(dtype).min, -(1 << 15)), min(np.iinfo(dtype).max, (1 << 15) - 1)),
            st.integers(0, 5).map(lambda value: value + max(np.iinfo(dtype).min, -(1 << 15))),
            st.integers(0, 100),
        ),
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CUBES, st.sampled_from([0, 1, 2, 5, 40]), st.booleans())
def test_round_trip_of_any_cube(cube, n_previous, variable_forgetting):
    check_round_trip(cube, lambda x: rls.encode(x, n_previous, variable_forgetting), rls.decode)


@pytest.mark.parametrize("name", list(cubes_by_intent()))
def test_round_trip_by_intent(name):
    cube = cubes_by_intent()[name]
    cube = np.ascontiguousarray(cube, cube.dtype.newbyteorder("="))
    codec = registry.make("rls-k20")
    if codec.refuses(cube):
        assert "levels" in codec.refuses(cube) and name.startswith("extremes")
        with pytest.raises(InvalidCubeError, match="levels"):
            codec.encode(cube)
    else:
        check_round_trip(cube, codec.encode, codec.decode)


@pytest.mark.parametrize("shape", [(1, 30, 40), (45, 9, 11), (3, 1, 200), (3, 200, 1)])
def test_round_trip_of_something_to_predict(shape):
    check_round_trip(textured(shape), lambda x: rls.encode(x, 40), rls.decode)


def test_constant_bands_cost_a_bit_and_a_value():
    cube = textured((6, 12, 10), dtype="int32")
    with_constants = np.insert(cube, [1, 4], int(cube.max()), axis=0)
    assert len(rls.encode(with_constants)) <= len(rls.encode(cube)) + 2 * 3
    assert len(rls.encode(np.full((500, 100, 100), -7, "int16"))) < 500 // 8 + 500 + 40


def test_long_flat_stretches_do_not_break_the_recursion():
    # Nothing to learn from for 40,000 samples, then a step and noise: variances must have stayed in bounds.
    cube = np.zeros((2, 250, 200), np.int16)
    cube[1, 0, 0] = 1
    cube[:, 200:] = textured((2, 50, 200), 3) + 3000
    data = check_round_trip(cube, lambda x: rls.encode(x, 1), rls.decode)
    noisy = rls.encode(np.ascontiguousarray(cube[:, 200:]), 1)
    assert len(data) < 1.1 * len(noisy) + 200


def test_variable_forgetting_follows_a_scene_that_changes():
    # The second half of the rows has spectra of its own: large errors there make the recursion forget the first half.
    cube = np.concatenate([textured((30, 40, 40), 1), textured((30, 40, 40), 2)], axis=1)
    fixed, variable = (check_round_trip(cube, lambda x, v=v: rls.encode(x, 20, v), rls.decode) for v in (False, True))
    assert variable[4] == 2 and len(variable) < len(fixed)


def test_extreme_jumps_round_trip():
    rng = np.random.default_rng(5)
    cube = rng.choice(np.array([-32768, 32767], np.int16), (4, 40, 40))
    data = check_round_trip(cube, lambda x: rls.encode(x, 3), rls.decode)
    assert len(data) < cube.size * 2  # 16 bits a sample are the most that raw storage takes


def land_202_bands() -> np.ndarray:
    """EnMAP land as in HySpecNet-11k: 202 of the 224 bands, clipped; the last two pieces give the band choice."""
    cube = np.load(shared_path("data", "cubes", "enmap_potsdam_C_full224.npy"))
    dropped = [*range(126, 141), *range(160, 167)]
    return np.clip(np.delete(cube, dropped, axis=0), 0, 10_000)


@pytest.mark.shared
@pytest.mark.slow
def test_enmap_land_is_well_below_the_known_figure():
    # RLS with 20 previous bands and one logistic needs 5.31 on such data as an ideal length, CCSDS-123 5.86.
    cube = land_202_bands()
    data = rls.encode(cube, 20)
    assert 8 * len(data) / cube.size < 5.31
    assert np.array_equal(rls.decode(data), cube)


@pytest.mark.shared
def test_more_previous_bands_help_on_land():
    cube = np.load(shared_path("data", "cubes", "enmap_potsdam_C.npy"))[60:90, :48, :48]
    sizes = [len(rls.encode(np.ascontiguousarray(cube), n_previous)) for n_previous in (0, 1, 12)]
    assert sizes[0] > 1.2 * sizes[1] and sizes[1] > 1.02 * sizes[2]


@pytest.fixture(scope="module")
def coded():
    cube = textured((5, 14, 13))
    cube[2] = 100
    return cube, rls.encode(cube, 3)


def test_every_prefix_is_corrupt(coded):
    _, data = coded
    for size in range(len(data)):
        with pytest.raises(CorruptStreamError):
            rls.decode(data[:size])


def test_every_flipped_bit_is_noticed(coded):
    _, data = coded
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LhicError):
            rls.decode(bytes(damaged))


def resealed(data: bytes) -> bytes:
    """The same bytes with a checksum that fits: damage made on purpose."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def test_damage_behind_a_right_checksum_is_noticed(coded):
    _, data = coded
    for bit in range(0, 8 * (len(data) - 4), 3):  # 3 and 8 share no factor
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LhicError):
            rls.decode(resealed(bytes(damaged)))
    for size in range(6, len(data) - 8, 5):
        with pytest.raises(LhicError):
            rls.decode(resealed(data[:size] + data[-8:]))


def test_a_huge_cube_is_refused_before_it_is_allocated(coded):
    _, data = coded
    header = data[:6] + stream.varint(20) + stream.varint(1 << 13) * 2
    claims = header + bytes([3, 0]) + stream.varint(1000) + bytes(3) + data[-200:]
    with pytest.raises(CorruptStreamError, match="section"):
        rls.decode(resealed(claims))
    for axis in (1 << 40, 0):
        with pytest.raises(CorruptStreamError, match="shape"):
            rls.decode(resealed(data[:6] + stream.varint(axis) * 3 + data[-200:]))


def test_a_newer_version_is_told_as_such(coded):
    _, data = coded
    with pytest.raises(UnsupportedVersionError, match="version"):
        rls.decode(resealed(data[:4] + b"\3" + data[5:]))


@pytest.mark.parametrize("n_previous", [-1, 41])
def test_previous_bands_out_of_range(n_previous):
    with pytest.raises(UsageError, match="previous"):
        rls.encode(np.zeros((1, 1, 1), np.int16), n_previous)


@pytest.mark.parametrize(
    "cube", [np.zeros((2, 2, 2)), np.zeros((2, 2), "int16"), np.zeros((2, 0, 2), "int16"), np.zeros((1, 1, 1), "int64")]
)
def test_no_cube(cube):
    with pytest.raises(InvalidCubeError):
        rls.encode(cube)


def test_the_most_probable_symbol_still_costs_what_the_size_check_relies_on():
    cube = np.zeros((2, 100, 100), np.int32)
    cube[0, 0, 0] = 1
    starts, freqs = np.empty(cube.size, np.uint32), np.empty(cube.size, np.uint32)
    nothing = np.empty(0, np.int64)
    assert kernel.code_cube(
        cube, 2, 1, *kernel.experts_of(1), False, False, starts, freqs, nothing, nothing.astype(np.uint32), nothing
    )
    most = freqs.max() / 2**24
    assert 1 - 2.0**-15 < most < 1
    assert -8 / np.log2(most) < stream.MAX_SAMPLES_PER_BYTE


@pytest.mark.slow
def test_compiled_code_holds_no_fused_multiply_add_and_no_library_function(coded):
    # The machine code decides, not the source. x86: vfmadd132sd ...; ARM: fmadd, fmla; POWER: xsmaddadp.
    for function in (kernel.code_samples, kernel.learn):
        fresh = njit(function.py_func)  # numba cannot show code that comes from its cache
        for signature in function.signatures:
            fresh.compile(signature)
        assert fresh.signatures, "not compiled: this test would look at nothing"
        for assembly in fresh.inspect_asm().values():
            mnemonics = set(re.findall(r"^\s+([a-z][a-z0-9.]+)", assembly, re.MULTILINE))
            assert {mnemonic[:3] for mnemonic in mnemonics} & {"ret", "blr"}, "not an assembly listing"
            assert not [m for m in mnemonics if re.match(r"v?f(n?m(add|sub|la|ls))|xsn?m(add|sub)", m)]
            assert not re.findall(r"\b(exp2?|log2?|log10|pow|sin|cos|tanh|fma)f?\b", assembly)


@pytest.mark.slow
def test_another_processor_model_gives_the_same_bytes():
    # Compiled anew for a plain x86-64 or ARMv8: no AVX, other vector widths, other instructions; equal bytes.
    script = (
        "import json, hashlib, numpy as np\n"
        "from benchmarks.codecs import rls\n"
        "from tests.benchmarks.codecs.test_rls import textured\n"
        "streams = [rls.encode(textured((24, 24, 21), seed), 20) for seed in (1, 2)]\n"
        "print(json.dumps([hashlib.sha256(stream).hexdigest() for stream in streams]))\n"
    )
    results = []
    for variables in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}):
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout))
    assert results[0] == results[1]


DIGESTS = ["52a2faf5aaeaf7ef", "d8398a30683e949a", "e319cefc10055cbc"]


def test_bytes_are_those_of_every_machine():
    # Written once; a machine or library that computes otherwise in the last bit fails here.
    streams = [rls.encode(textured_by_integers(), n_previous) for n_previous in (0, 1, 20)]
    digests = [hashlib.sha256(data).hexdigest()[:16] for data in streams]
    assert digests == DIGESTS


def textured_by_integers() -> np.ndarray:
    """A cube made without floats, so that it is the same everywhere itself."""
    state, values = 1, []
    for _ in range(25 * 20 * 18):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((state >> 60) - 8)
    noise = np.array(values, np.int64).reshape(25, 20, 18)
    s, i, j = np.indices(noise.shape)
    return ((i * i * (s + 5) - 7 * j * (s - 3) + i * j * 9) // 5 + noise.cumsum(0)).astype(np.int16)
