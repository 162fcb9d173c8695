"""The kernels for a GPU, run by Triton's interpreter: the integers of the compiled walk."""

import importlib.metadata
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from lhic.errors import LhicError, TruncatedStreamError
from lhic.families.ax import model as ax_model
from lhic.families.ax.config import AxConfig
from lhic.families.ax.gpu import device_coder, device_step, torch_engine
from lhic.families.family import Work
from lhic.stream.varint import Reader, write_varint
from tests.common import REPOSITORY, coded
from tests.families.ax.common import extreme_tiles, random_model, settings_of, solved
from tests.families.ax.test_bounds import systems
from tests.families.ax.test_torch_engine import one_thread

pytest.importorskip("triton", reason="triton is not installed, so its interpreter cannot run the kernels")

__all__ = ["one_thread"]  # a fixture of all tests here


def version(package: str) -> tuple[int, ...]:
    return tuple(map(int, importlib.metadata.version(package).split(".")[:2]))


@pytest.fixture
def all_kernels(monkeypatch):
    """A torch engine on the CPU that launches the kernels."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are compiled here, not interpreted")
    if version("triton") < (3, 7) and version("numpy") >= (2, 4):
        pytest.skip("the interpreter of triton before 3.7 does not work with numpy from 2.4 on")
    monkeypatch.setattr(device_coder, "uses_triton", lambda device: True)


@pytest.fixture
def kernels(all_kernels, monkeypatch):
    """The same without those of a step's samples, which take the interpreter longest."""
    monkeypatch.setattr(device_step, "of", lambda batch: None)


def engine_model(*arguments, **keywords):
    return random_model(*arguments, device="cpu:0", **keywords)  # not the compiled walk


def check_both_ways(compiled, engine, tiles, settings):
    """Streams of the compiled walk and of the engine are equal, and the engine decodes them."""
    parameters = settings.to_bytes()
    expected = coded(compiled, tiles, parameters)
    assert coded(engine, tiles, parameters) == expected
    shapes = [tile.shape for tile in tiles]
    found = engine.decode_tiles(shapes, tiles[0].dtype, expected, parameters, Work())
    assert all(torch.equal(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(found, tiles, strict=True))


TWO = AxConfig(0, 0, 1, 0, epoch=2, width=4, depth=1, components=1, far_neighbours=0, repeats=2, blend=0)


MASKED = "a mask, planes with and without upper parts"


def small_tiles() -> dict[str, list[np.ndarray]]:
    """The interpreter takes about a millisecond for each operation on a vector."""
    rng = np.random.default_rng(3)
    wide = rng.integers(-900, 900, (3, 2, 3)).astype("int16")
    few = rng.integers(0, 9, (1, 2, 3)).astype("int16")
    masked = np.concatenate([wide[:1], few, wide[1:2]])
    masked[:, 1, 1] = -32768
    repeated = rng.integers(-300, 300, (3, 1, 3)).repeat(2, axis=1).astype("int16")
    repeated[2, 1, 2] += 1
    return {
        "pixels that repeat others": [repeated],
        "upper parts, and a tile of fewer planes": [wide[:2], few],
        MASKED: [masked],
        "values with gaps": [extreme_tiles()["values with gaps"][:1, :4, :5]],
        "extremes, taller than wide": [extreme_tiles()["noise of all of uint16"][:, :4, :2]],
    }


CASES = list(zip(small_tiles(), (8, 3, 1, 8, 8), strict=True))  # lanes


@pytest.mark.parametrize("name, n_lanes", CASES)
def test_streams_are_those_of_the_compiled_walk(name, n_lanes, kernels):
    models = random_model(TWO, share=0.02), engine_model(TWO, share=0.02)
    check_both_ways(*models, small_tiles()[name], settings_of(2, 8, n_lanes))


@pytest.mark.slow
def test_steps_by_kernels_are_those_of_the_compiled_walk(all_kernels):
    """Two experts, of which one forgets, and all parts; a mask; planes of which two are at work in a step."""
    config = AxConfig(0, 0, 1, 2, 2, 4, depth=1, components=2, far_neighbours=1, repeats=2, blend=32)
    tile = np.random.default_rng(9).integers(-500, 500, (2, 2, 3)).astype("int16")
    tile[:, 1] = tile[:, 0]
    tile[:, 1, 1] = -32768
    check_both_ways(random_model(config, share=0.02), engine_model(config, share=0.02), [tile], settings_of(2, 8, 2))


@pytest.mark.parametrize(
    "config",
    [
        AxConfig(2, 0, 1, 0, 2, 4, depth=2, components=3, far_neighbours=0, repeats=0, blend=0),
        AxConfig(1, 0, 0, 3, 4, 4, depth=1, components=2, far_neighbours=2, repeats=3, blend=9),
        AxConfig(32, 0, 0, 0, 4, 4, depth=3, components=1, far_neighbours=0, repeats=1, blend=1),
    ],
    ids=["parts of version 1", "parts of version 2", "matrices of two parts"],
)
def test_a_step_from_random_tables_is_that_of_plain_torch(config, all_kernels):
    """One step of larger tiles, one of fewer planes; far neighbours are partly inside; all that is kept is random."""
    rng = np.random.default_rng(4)
    tile = rng.integers(0, 3, (3, 7, 9)).astype("int16")
    tile[:, 4, 4:6] = -32768
    model = engine_model(config, share=0.02)
    jobs = [ax_model._EncodeJob(model, some, settings_of(), 1) for some in (tile, tile[1:])]
    both = [torch_engine.Batch(model, jobs, torch.device("cpu")) for _ in range(2)]
    for name, low, high in (
        ("buffer", 0, 1 << 20), ("error", 20, 5000), ("magnitude", 20, 5000), ("ratio", 256, 9999), ("hits", 0, 8192),
        ("tries", 4, 20), ("coefficients", -(1 << 19), 1 << 19),
    ):  # fmt: skip
        for batch in both:
            table = getattr(batch, name)
            table.copy_(torch.from_numpy(np.random.default_rng(len(name)).integers(low, high, table.shape)))
    for batch in both:
        batch.buffer[:, : 2 * batch.picture_apart] %= 3
        batch.buffer[:, batch.runs_picture * batch.picture_apart : -1] &= 0x03030303
        batch.begin(15)
    plain, launched = both
    n_used = [len(expert.regressors) for expert in plain.experts]
    root = torch.from_numpy(rng.integers(-99, 99, plain.gram.shape)).double()
    for e, n in enumerate(n_used):
        root[:, :, e, n:] = 0
    first_gram = root @ root.mT
    for batch in both:
        batch.gram.copy_(first_gram)
    sums = plain.look()
    kernels = device_step.of(launched)
    found, expected = kernels.look(), plain.components(sums)
    assert torch.equal(found[plain.is_coded], expected[plain.is_coded]) and plain.is_coded.sum() > 9
    value = torch.from_numpy(rng.integers(0, 3, plain.base.shape))
    width = torch.from_numpy(rng.integers(1, 1 << 24, plain.base.shape))
    kernels.given.copy_(value)
    kernels.widths.copy_(width)
    plain.learn(torch.where(plain.is_coded, value, plain.filled()), width)
    kernels.learn()
    for name in ("buffer", "own_hits", "own_tries", "own_error", "own_ratio"):
        one, other = (getattr(batch, name) for batch in both)
        if name == "buffer":  # but for idle planes, and the cell of what need not be kept
            shape = plain.n_tiles, -1, plain.n_planes, plain.plane_apart
            one, other = (a[:, :-1].view(shape).movedim(2, 1)[plain.exists] for a in (one, other))
        assert torch.equal(one, other), name
    assert plain.own_hits.any() == (config.repeats > 0)

    # All planes end an epoch; what the earlier waves of it were is not known, so they have no weight.
    kernels.end_epochs()
    lower = torch.tril(torch.ones(plain.gram.shape[-2:])) > 0
    expected = torch.where(lower, plain.gram, 0)
    for e in plain.forgets:  # the kernel forgets what was there before it adds the epoch, plain torch afterwards
        expected[:, :, e] -= torch.where(lower, torch.floor(first_gram[:, :, e] / 16), 0)
    for e, n in enumerate(n_used):
        found = torch.where(lower, launched.gram, 0)[:, :, e, :n, :n]
        assert torch.equal(found[plain.exists], expected[:, :, e, :n, :n][plain.exists])
    plain.gram.copy_(launched.gram)
    plain.moment.copy_(launched.moment)
    plain.end_epochs()
    for e, n in enumerate(n_used):
        one, other = (batch.coefficients[plain.exists][:, e, :n] for batch in both)
        assert torch.equal(one, other) and other.any()
    for name in ("magnitude", "error", "ratio", "ratio_count", "hits", "tries"):
        one, other = (getattr(batch, name)[plain.exists] for batch in both)
        assert torch.equal(one, other), name


@pytest.mark.parametrize("system", list(systems()))
def test_solve_equals_the_compiled_one(system, kernels):
    gram, moment = (torch.from_numpy(a).double() for a in system)
    n = min(len(moment), 10)  # the interpreter takes its time
    gram, moment = gram[:n, :n].contiguous(), moment[:n].contiguous()
    expected = solved(gram.numpy(), moment.numpy())
    # One of three, smaller than the room it has.
    grams, moments, found = (torch.full((3, *size), -1.0).double() for size in ((n + 1, n + 1), (n + 1,), (n + 1,)))
    grams[1, :n, :n], moments[1, :n] = gram, moment
    work = device_step.solver_memory(2, n + 1, grams.device)
    device_step.solve(grams, moments, found, torch.tensor([-1, 1]), torch.tensor([n]), work)
    assert torch.equal(found[1, :n], torch.from_numpy(expected))
    assert (found[1, n:] == -1).all() and (found[[0, 2]] == -1).all()


@pytest.mark.parametrize("log_width", [1, 2])
def test_the_width_of_a_search_changes_nothing(log_width, kernels, monkeypatch):
    monkeypatch.setattr(device_coder, "LOG_WIDTH_FEW", log_width)
    tiles = [small_tiles()["upper parts, and a tile of fewer planes"][0][:1, :, :2]]
    check_both_ways(random_model(), engine_model(), tiles, settings_of(2, 7, 4))


@pytest.mark.parametrize("with_kernels", [True, False])
def test_damage_is_told_with_the_same_error(with_kernels, request, monkeypatch):
    if with_kernels:
        request.getfixturevalue("kernels")
    else:
        monkeypatch.setattr(device_coder, "uses_triton", lambda device: False)
    tile, settings = small_tiles()["pixels that repeat others"][0][:, :, :2], settings_of(2, 8, 8)
    compiled, engine = random_model(TWO, share=0.02), engine_model(TWO, share=0.02)
    ((side, groups, samples),) = coded(compiled, [tile], settings.to_bytes())

    def error_of(model, samples, groups=groups):
        # With more threads it is chance which of several groups fails first.
        with pytest.raises(LhicError) as caught:
            sections = [(side, groups, samples)]
            model.decode_tiles([tile.shape], tile.dtype, sections, settings.to_bytes(), Work(threads=1))
        return type(caught.value), str(caught.value)

    for at in (3, len(samples) - 2):
        damaged = samples[:at] + bytes([samples[at] ^ 0x55]) + samples[at + 1 :]
        assert error_of(engine, damaged) == error_of(compiled, damaged)
    # Words that run out: without the last words of the last group.
    reader = Reader(groups, "groups")
    lengths = [reader.varint("length", 0, len(samples)) for _ in range(2)]
    short = write_varint(lengths[0]) + write_varint(lengths[1] - 8)
    expected = error_of(compiled, samples[:-8], short)
    assert expected[0] is TruncatedStreamError and error_of(engine, samples[:-8], short) == expected


COMPILE = """
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lhic.families.ax import triton_kernels, triton_step

for name, pointers, constants, warps in json.load(sys.stdin):
    kernel = getattr(triton_kernels, name, None) or getattr(triton_step, name)
    types = {argument: pointers.get(argument, "i32") for argument in kernel.arg_names}
    types |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert compiled.asm["cubin"]
    print(name, *sorted(set(re.findall(r"(?:fma|div|sqrt)[a-z.]*[.]f64", compiled.asm["ptx"]))))
"""


def pointers(**of_type):
    kinds = {"long": "*i64", "int": "*i32", "real": "*fp64", "single": "*fp32", "flag": "*i1", "byte": "*i8"}
    return {name: kinds[kind] for kind, names in of_type.items() for name in names.split()}


OF_STEP = "step base_of scale_of mean_of predictions raw_of level_of activity_of mag_of candidate_of run_level_of "
OF_STEP += "repeat_weight_of low high offsets"
TABLES = "magnitude error ratio ratio_count hits tries"
OWN_TABLES = "own_magnitude own_count own_error own_ratio own_ratio_count own_hits own_tries"
POINTERS = {
    "decode_step": pointers(
        long="step decoded widths n_levels first_level table_starts table stream_ends states word_starts cursors "
        "failed",
        int="components counts places sigmoid words",
    ),
    "encode_stream": pointers(
        int="intervals counts places words", long="n_levels stream_ends n_symbols states word_starts n_free"
    ),
    "look_wave": pointers(
        long=f"{OF_STEP} {TABLES} near_of regressors sizes about_mean own_count log_table power_table run_levels",
        int="buffer",
        real="coefficients",
        flag="coded exists",
        byte="is_coded features",
    ),
    "mix": pointers(
        long="base_of scale_of candidate_of repeat_weight_of log_table exp2_table",
        int="components",
        single="first middle last biases last_bias sums",
        byte="features",
    ),
    "find_intervals": pointers(
        long="step n_levels first_level table_starts table given widths",
        int="values levels components sigmoid intervals",
        byte="is_coded",
    ),
    "learn_wave": pointers(
        long=f"{OF_STEP} {OWN_TABLES} given widths", int="buffer weights", flag="exists", byte="is_coded"
    ),
    "fit": pointers(long="step regressors systems", int="buffer weights", real="gram moment", flag="exists"),
    "solve_system": pointers(real="gram moment work coefficients", long="systems sizes"),
    "next_tables": pointers(long=f"step {TABLES} {OWN_TABLES} first_hits"),
}
SOLVE = {"E": 4, "R": 36, "SIZE": 64, "AT_ONCE": 8, "RIDGE": 1024.0, "RELATIVE_RIDGE": 2.0**-23}
SOLVE |= {"DEGENERATE": 2.0**-36, "ONE_COEFFICIENT": 2.0**20, "LIMIT": 2.0**26}


def decode_constants(lanes, log_width):
    rounds = {"UPPER_ROUNDS": -(-8 // log_width), "LOWER_ROUNDS": -(-8 // log_width)}
    widths = {"LANES": lanes, "WIDTH": 1 << log_width, "LOG_WIDTH": log_width, "K": 5, "MIXTURES": 8}
    return widths | {"LOWER_BITS": 8} | rounds


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_and_fuse_nothing(tmp_path):
    """What the interpreter forgives a compiler may not; and `solve_system` must round after each operation."""
    epochs = {"EPOCH": 8, "E": 4}
    ending = epochs | {"PERIOD": 2}
    fit = {"ABOUT_MEAN": True, "FORGETS": True, "EXPERT": 0, "R": 36, "SIZE": 64, "REST": 0, "Q": 32}
    fit |= {"HAS_MEAN": True, "HAS_CONSTANT": True, "INSIDE": True}
    look = {"R": 36, "Q": 64, "AT_ONCE": 8, "BLEND": 8, "REPEATS": 4, "INSIDE": True}
    mix = {"DEPTH": 2, "FEATURES": 64, "WIDTH": 32, "OUTPUTS": 16, "K": 4, "MIXTURES": 4, "REPEATS": True, "BLOCK": 64}
    kernels = [
        ("decode_step", decode_constants(8, 4), 4),
        ("decode_step", decode_constants(2, 2) | {"n_lanes": 1}, 1),
        ("encode_stream", {"LANES": 8, "LOWER_BITS": 8}, 1),
        ("look_wave", epochs | look, 2),
        ("mix", mix, 4),
        ("find_intervals", {"K": 5, "MIXTURES": 8, "Q": 64, "LOWER_BITS": 8}, 4),
        ("learn_wave", epochs | {"Q": 64, "REPEATS": 4}, 2),
        ("fit", ending | fit, 8),
        ("fit", ending | fit | {"SIZE": 32, "REST": 16}, 4),
        ("next_tables", ending | {"EXPERTS": 4, "REPEATS": 4}, 1),
        ("solve_system", SOLVE, 1),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        input=json.dumps([(name, POINTERS[name], *rest) for name, *rest in kernels]),
        capture_output=True,
        text=True,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split(maxsplit=1) if " " in line else (line, "") for line in done.stdout.splitlines())
    assert list(found) == [*list(POINTERS)[:-2], "next_tables", "solve_system"]
    assert found["solve_system"] == "div.rn.f64 sqrt.rn.f64"
