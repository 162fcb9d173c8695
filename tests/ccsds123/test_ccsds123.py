"""CCSDS 123.0-B-2: reference streams, the compiled code against the readable one, error bounds."""

import ast
import doctest
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.codecs import registry
from lhic.ccsds123 import (
    USUAL_SEARCH,
    ParameterError,
    Parameters,
    SampleError,
    best_of,
    bit_costs,
    block_adaptive,
    decode,
    default_parameters,
    encode,
    predictor_kernels,
    read_header,
    stream,
)
from lhic.ccsds123.conformance import check_vector, run
from lhic.errors import CorruptStreamError, InvalidCubeError, TruncatedStreamError
from tests.ccsds123 import readable, reference, reference_coders
from tests.ccsds123.cases import cases
from tests.common import check_round_trip, cubes_by_intent, shared_path

OWN_VECTORS = Path(__file__).parents[1] / "golden" / "ccsds123"
RELAXED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


# Reference streams


def test_all_reference_streams_are_equal():
    rows = list(run(shared_path("golden", "ccsds123")))
    assert len(rows) >= 19
    assert [str(row) for row in rows if not row.conforms or row.note] == []


def test_own_streams_are_equal():
    rows = list(run(OWN_VECTORS))
    assert len(rows) == 8
    assert [str(row) for row in rows if not row.conforms or row.note] == []


def test_the_readable_code_reproduces_streams():
    folder = shared_path("golden", "ccsds123")
    for name in ("c02", "c07", "c17", "c29"):
        data = (folder / f"{name}.c123").read_bytes()
        p, _ = read_header(data)
        assert readable.encode(np.load(folder / f"{name}.npy"), p) == data
        stored = folder / f"{name}.rec.npy"
        expected = np.load(stored if stored.exists() else folder / f"{name}.npy")
        assert np.array_equal(readable.decode(data), expected)


def test_a_changed_stream_is_found(tmp_path):
    data = bytearray((OWN_VECTORS / "hybrid_bil.c123").read_bytes())
    data[-12] ^= 16
    (tmp_path / "x.c123").write_bytes(data)
    for suffix in (".npy", ".json"):
        (tmp_path / f"x{suffix}").write_bytes((OWN_VECTORS / f"hybrid_bil{suffix}").read_bytes())
    row = check_vector(tmp_path / "x.c123")
    assert not row.conforms and "encoding, body" in row.reason


def test_a_description_that_contradicts_the_header_is_noted(tmp_path):
    for suffix in (".c123", ".npy", ".json"):
        (tmp_path / f"x{suffix}").write_bytes((OWN_VECTORS / f"hybrid_bil{suffix}").read_bytes())
    described = json.loads((tmp_path / "x.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps(described | {"Omega": 4}))
    row = check_vector(tmp_path / "x.c123")
    assert row.conforms and row.note.startswith("Omega: 4 stated")


# Compiled against readable


@RELAXED
@given(case=cases())
def test_compiled_code_equals_the_readable(case):
    p, cube = case
    data = encode(cube, p)
    assert data == readable.encode(cube, p)
    assert len(data) % p.output_word_bytes == 0
    decoded = decode(data)
    assert decoded.dtype == p.dtype
    assert np.array_equal(decoded, readable.decode(data))
    check_error(cube, decoded, p)


def check_error(cube: np.ndarray, decoded: np.ndarray, p: Parameters) -> None:
    """The error is within the limits of the standard: exact, a, r |predicted| / 2^D, or the smaller."""
    error = np.abs(cube.astype(np.int64) - decoded.astype(np.int64))
    limit = np.full(p.n_bands, (1 << p.dynamic_range) - 1)
    if p.fidelity == "lossless":
        limit[:] = 0
    if p.absolute_error_limit is not None:
        limit = np.minimum(limit, p.per_band(p.absolute_error_limit))
    if p.relative_error_limit is not None:
        # |predicted| is at most 2^D, so the error is at most r.
        limit = np.minimum(limit, p.per_band(p.relative_error_limit))
    assert (error.max(axis=(1, 2)) <= limit).all()
    assert (decoded[:, 0, 0] == cube[:, 0, 0]).all()


@pytest.mark.parametrize("coder", ["sample-adaptive", "hybrid"])
@pytest.mark.parametrize("order, depth", [("bsq", 0), ("bi", 3)])
def test_long_bands_halve_the_statistics_alike(coder, order, depth):
    # Larger than hypothesis draws: several halvings, all low-entropy codes, escapes.
    rng = np.random.default_rng(3)
    cube = np.zeros((5, 40, 33), np.uint16)
    cube[1:] = np.cumsum(rng.random((4, 40, 33)) < [[[0.001]], [[0.03]], [[0.3]], [[0.9]]], axis=2)
    cube[2, 20, 5] = 60000
    p = default_parameters(cube, entropy_coder=coder, order=order, interleaving_depth=depth, rescaling_counter_size=4)
    data = encode(cube, p)
    assert data == readable.encode(cube, p)
    assert np.array_equal(decode(data), cube) and np.array_equal(readable.decode(data), cube)


@pytest.mark.parametrize("depth, restricted", [(2, True), (4, True), (4, False), (8, False), (16, False), (32, False)])
@pytest.mark.parametrize("reference_interval", [1, 3, 100, 4096])
def test_libaec_writes_what_the_readable_decoder_reads(depth, restricted, reference_interval):
    # Zero runs of all kinds, to the end of a segment, of an interval, of the image; split, paired and plain blocks.
    rng = np.random.default_rng(depth)
    n_samples = 8 * 70 * 3
    for indices in (
        np.zeros(n_samples),
        rng.random(n_samples) < 0.01,
        np.minimum(rng.geometric(0.6, n_samples) - 1, 3),
        rng.integers(0, 1 << depth, n_samples),
        np.arange(n_samples) == 8 * 5 + 3,
    ):
        for cut in (0, 3):
            p = Parameters(
                1,
                1,
                n_samples - cut,
                dynamic_range=depth,
                entropy_coder="block-adaptive",
                block_size=8,
                restricted_codes=restricted,
                reference_interval=reference_interval,
            )
            part = np.asarray(indices)[None, : n_samples - cut].astype(predictor_kernels.index_dtype(p))
            body, _ = block_adaptive.encode_block_adaptive(part, p)
            assert np.array_equal(reference_coders.decode_block_adaptive(body, p), part)
            assert np.array_equal(block_adaptive.decode_block_adaptive(body, p), part)


def test_predictors_agree_on_a_real_cube():
    cube = np.load(shared_path("data", "cubes", "samson.npy"))[60:70, :40, :40]
    p = default_parameters(cube, prediction_bands=15, weight_update_interval=16, weight_update_final=9)
    indices = predictor_kernels.map_samples(cube, p)
    assert np.array_equal(indices, reference.map_samples(cube, p))


# Round trips and error bounds


@pytest.mark.parametrize("coder", ["sample-adaptive", "hybrid", "block-adaptive"])
def test_round_trip_by_intent(coder):
    for cube in cubes_by_intent().values():
        native = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("="))
        check_round_trip(native, lambda cube: encode(cube, entropy_coder=coder), decode)


@pytest.mark.parametrize("name", ["enmap_potsdam_C_full224", "abu_urban_4", "enmap_hyspecnet_dt4950_X04390566"])
@pytest.mark.parametrize("coder", ["sample-adaptive", "hybrid"])
def test_real_cubes_keep_the_error_limits(name, coder):
    cube = np.load(shared_path("data", "cubes", f"{name}.npy"))[:48, :64, :64]
    per_band = tuple(z % 12 for z in range(len(cube)))
    limits = [
        {"absolute_error_limit": 5, "absolute_error_limit_bits": 3},
        {"absolute_error_limit": per_band, "absolute_error_limit_bits": 4},
        {"relative_error_limit": 300, "relative_error_limit_bits": 9},
    ]
    representatives = {"representative_resolution": 3, "representative_damping": 3, "representative_offset": 2}
    sizes = [len(encode(cube, entropy_coder=coder))]
    for options in [*limits, limits[1] | limits[2]]:
        for more in ({}, representatives):
            p = default_parameters(cube, entropy_coder=coder, **options, **more)
            data = encode(cube, p)
            decoded = decode(data)
            check_error(cube, decoded, p)
            assert (decoded != cube).any()
            sizes.append(len(data))
    assert max(sizes[1:]) < sizes[0]


def test_relative_limit_follows_the_prediction():
    # Bright samples may be wrong by more than dark ones: the bound of 4.8.2 is met sample by sample.
    rng = np.random.default_rng(5)
    cube = np.repeat(np.array([200, 40000], np.uint16), 512).reshape(1, 32, 32) + rng.integers(0, 50, (1, 32, 32))
    p = Parameters(1, 32, 32, relative_error_limit=64, relative_error_limit_bits=7)
    error = np.abs(decode(encode(cube, p)).astype(int) - cube)[0]
    assert error[:16].max() == 0  # 64 * 250 / 2^16 is less than 1
    assert 0 < error[17:].max() <= 64 * 65535 // 2**16


# Choices


def test_best_of_is_the_smallest_and_says_what_it_is():
    cube = np.load(shared_path("data", "cubes", "aviris_salton_sea_roi.npy"))[:40]
    data, p = best_of(cube)
    assert np.array_equal(decode(data), cube)
    assert read_header(data)[0] == p
    sizes = {
        (bands, coder): len(encode(cube, prediction_bands=bands, entropy_coder=coder))
        for bands in USUAL_SEARCH["prediction_bands"]
        for coder in ("sample-adaptive", "hybrid")
    }
    assert len(data) == min(sizes.values()) == sizes[p.prediction_bands, p.entropy_coder]
    assert len(set(sizes.values())) > 2


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
def test_the_header_brings_the_dtype_back(dtype):
    """Of the least value alone, too: the range of a cube without data."""
    for value in (1, np.iinfo(dtype).min, np.iinfo(dtype).max):
        check_round_trip(np.full((2, 3, 4), value, dtype), encode, decode)


# Bad input


@pytest.mark.parametrize(
    "cube, found",
    [
        (np.zeros((2, 3, 4), np.float32), "float32"),
        (np.zeros((2, 3), np.uint16), "(2, 3)"),
        (np.zeros((2, 0, 4), np.uint16), "(2, 0, 4)"),
        (np.zeros((1, 1, 1), np.int64), "int64"),
    ],
)
def test_not_an_image(cube, found):
    with pytest.raises(SampleError) as caught:
        encode(cube)
    assert found in str(caught.value)


def test_a_sample_beyond_the_dynamic_range_is_named():
    cube = np.zeros((3, 4, 5), np.int16)
    cube[1, 2, 3] = -129
    with pytest.raises(SampleError, match=r"expected -128\.\.127 .* found -129 in band 1"):
        encode(cube, dynamic_range=8)


@pytest.mark.parametrize(
    "field, value",
    [
        ("n_bands", 0),
        ("n_columns", 65537),
        ("dynamic_range", 33),
        ("order", "bip"),
        ("interleaving_depth", 1),
        ("output_word_bytes", 9),
        ("entropy_coder", "rice"),
        ("prediction_bands", 16),
        ("prediction_mode", "half"),
        ("local_sum", "wide"),
        ("register_size", 31),
        ("weight_resolution", 20),
        ("weight_update_interval", 48),
        ("weight_update_initial", -7),
        ("weight_update_final", -2),
        ("weight_init_table", ((0,), (0,))),
        ("weight_exponent_offsets", ((0,),)),
        ("absolute_error_limit", 3),
        ("representative_resolution", 5),
        ("representative_damping", 1),
        ("unary_length_limit", 7),
        ("initial_count_exponent", 0),
        ("rescaling_counter_size", 12),
        ("accumulator_init", 15),
        ("initial_accumulator", 1 << 17),
        ("block_size", 12),
        ("reference_interval", 4097),
        ("restricted_codes", True),
    ],
)
def test_a_parameter_out_of_range_is_named(field, value):
    fields = {"n_bands": 2, "n_rows": 3, "n_columns": 4, field: value}
    with pytest.raises(ParameterError, match=rf"^{field}: expected .*, found "):
        Parameters(**fields)


def test_neighbors_need_two_columns():
    with pytest.raises(ParameterError, match="local_sum"):
        Parameters(2, 3, 1)
    with pytest.raises(ParameterError, match="prediction_mode"):
        Parameters(2, 3, 1, local_sum="wide column")


@pytest.mark.parametrize("order", ["band sequential", "by line", "by pixel"])
def test_bits_of_samples_add_up_to_the_image(order):
    for cube in cubes_by_intent().values():
        native = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("="))
        depth = {"band sequential": 0, "by line": 1, "by pixel": len(cube)}[order]
        data = encode(native, order="bi" if depth else "bsq", interleaving_depth=depth)
        p, n_header = read_header(data)
        costs = bit_costs(data)
        assert costs.shape == native.shape and costs.min() >= 1
        n_bits = int(costs.sum(dtype=np.int64))
        assert -(-n_bits // (8 * p.output_word_bytes)) * p.output_word_bytes == len(data) - n_header


def test_a_coder_that_codes_samples_together_does_not_say_what_one_costs():
    cube = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    assert bit_costs(encode(cube, entropy_coder="hybrid")) is None
    assert registry.make("ccsds123-p3-hybrid").bit_costs(cube, encode(cube, entropy_coder="hybrid")) is None
    with pytest.raises(CorruptStreamError):
        registry.make("ccsds123-p3").bit_costs(cube, encode(cube)[:-4])


# The package and its adapter


def test_the_package_stands_alone():
    allowed = {"numpy", "numba", "imagecodecs"} | sys.stdlib_module_names
    paths = list(Path(stream.__file__).parent.glob("*.py"))
    assert len(paths) > 10
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                inside = name.startswith("lhic.ccsds123") or name == "lhic.kernels.jit"
                assert inside or name.split(".")[0] in allowed, f"{path.name} imports {name}"


def test_examples_run():
    assert doctest.testmod(stream).attempted > 0
    assert doctest.testmod(stream).failed == 0


def test_adapter_raises_the_errors_of_the_project():
    codec = registry.make("ccsds123-p3")
    data = codec.encode(np.arange(60, dtype=np.uint16).reshape(3, 4, 5))
    with pytest.raises(TruncatedStreamError):
        codec.decode(data[:-4])
    with pytest.raises(CorruptStreamError):
        codec.decode(data + b"\x01")
    with pytest.raises(InvalidCubeError):
        codec.encode(np.zeros((1, 1, 70000), np.uint8))


@pytest.mark.parametrize("name", [name for name in registry.factories() if name.startswith("ccsds123")])
def test_adapter_round_trip(name):
    codec = registry.make(name)
    assert codec.best_of == any(word in name for word in ("best", "tuned"))
    for cube in cubes_by_intent().values():
        native = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("="))
        check_round_trip(native, codec.encode, codec.decode)
