"""The engine for a GPU writes and reads the streams of the compiled walk: in Triton's interpreter, and on a GPU."""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import warnings

import numba
import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import lhic
from lhic.errors import BackendError, LhicError, TruncatedStreamError
from lhic.families.ax import changes, gpu
from lhic.families.ax import model as ax_model
from lhic.families.ax.config import AxConfig
from lhic.families.family import Work
from lhic.stream.varint import Reader, write_varint
from tests.common import REPOSITORY, coded
from tests.families.ax.common import extreme_tiles, random_model, settings_of, solved
from tests.families.ax.test_bounds import systems

pytest.importorskip("triton", reason="triton is not installed, so its interpreter cannot run the kernels")

CPU = torch.device("cpu")


def version(package: str) -> tuple[int, ...]:
    return tuple(map(int, importlib.metadata.version(package).split(".")[:2]))


@pytest.fixture
def interpreter():
    """Skips, saying so, where kernels are not interpreted; one thread, as vectors are small."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("kernels are compiled here, not interpreted")
    if version("triton") < (3, 7) and version("numpy") >= (2, 4):
        pytest.skip("the interpreter of triton before 3.7 does not work with numpy from 2.4 on")
    numba.get_num_threads()  # whose first use would bring more
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def interpreted(*arguments, **keywords):
    return random_model(*arguments, device="cpu:0", **keywords)  # not the compiled walk


def check_both_ways(compiled, engine, tiles, settings):
    """Streams of the compiled walk and of the engine are equal, and the engine decodes them."""
    parameters = settings.to_bytes()
    expected = coded(compiled, tiles, parameters)
    assert coded(engine, tiles, parameters) == expected
    shapes = [tile.shape for tile in tiles]
    found = engine.decode_tiles(shapes, tiles[0].dtype, expected, parameters, Work())
    assert all(np.array_equal(a, b) for a, b in zip(found, tiles, strict=True))


ONE_EXPERT = AxConfig(0, 0, 1, 0, epoch=2, width=8, depth=1, components=1, far_neighbours=0, repeats=2, blend=0,
                      adaptation=0)  # fmt: skip
TWO_EXPERTS = AxConfig(0, 0, 1, 2, 2, 8, depth=2, components=2, far_neighbours=1, repeats=2, blend=16, adaptation=0)
JOINT = AxConfig(
    0,
    0,
    0,
    0,
    2,
    8,
    depth=1,
    components=1,
    far_neighbours=0,
    repeats=0,
    blend=0,
    joint_planes=1,
    joint_far=1,
    adaptation=0,
)
NEAR_ALONE = AxConfig(2, 0, 0, 3, 4, 8, depth=1, components=3, far_neighbours=0, repeats=0, blend=0, adaptation=0)


def small_tiles() -> dict[str, list[np.ndarray]]:
    """The interpreter takes about a tenth of a millisecond for each operation on a vector."""
    rng = np.random.default_rng(3)
    wide = rng.integers(-900, 900, (3, 2, 3)).astype("int16")
    few = rng.integers(0, 9, (1, 2, 3)).astype("int16")
    masked = np.concatenate([wide[:1], few, wide[1:2]])
    masked[:, 1, 1] = -32768
    repeated = rng.integers(-300, 300, (3, 1, 3)).repeat(2, axis=1).astype("int16")
    repeated[2, 1, 2] += 1
    return {
        "pixels that repeat others": [repeated],
        "a tile of fewer planes": [wide[:2], few],
        "a mask, planes of many and of few levels": [masked],
        "values with gaps": [extreme_tiles()["values with gaps"][:1, :4, :5]],
        "extremes, taller than wide": [extreme_tiles()["noise of all of uint16"][:, :4, :2]],
    }


@pytest.mark.parametrize("name, n_lanes", list(zip(small_tiles(), (8, 3, 1, 8, 8), strict=True)))
def test_streams_are_those_of_the_compiled_walk(name, n_lanes, interpreter):
    models = random_model(ONE_EXPERT, share=0.02), interpreted(ONE_EXPERT, share=0.02)
    check_both_ways(*models, small_tiles()[name], settings_of(2, n_lanes))


@pytest.mark.parametrize("config", [TWO_EXPERTS, JOINT, NEAR_ALONE], ids=["all parts", "joint", "near alone"])
def test_other_configurations(config, interpreter):
    """Several experts, one of which forgets, two hidden layers, planes of which two are at work in a step."""
    tile = np.random.default_rng(9).integers(-500, 500, (2, 2, 4)).astype("int16")
    tile[:, 1] = tile[:, 0]
    tile[:, 1, 1] = -32768
    check_both_ways(random_model(config, share=0.02), interpreted(config, share=0.02), [tile], settings_of(2, 2))


ADAPTS = dataclasses.replace(ONE_EXPERT, adaptation=2)


@pytest.mark.parametrize(
    "name", ["pixels that repeat others", "a mask, planes of many and of few levels", "values with gaps"]
)
def test_a_network_that_learns(name, interpreter):
    """Two groups of which the second begins before the first ends, or tiles side by side."""
    tile = small_tiles()[name][0]
    models = random_model(ADAPTS, share=0.02), interpreted(ADAPTS, share=0.02)
    tiles = [tile, np.roll(tile, 1, 2)] if len(tile) < 3 else [tile]
    assert coded(models[0], tiles, settings_of(2).to_bytes()) != coded(
        random_model(ONE_EXPERT, share=0.02), tiles, settings_of(2).to_bytes()
    )
    check_both_ways(*models, tiles, settings_of(2))


@pytest.mark.slow
def test_a_tile_with_all_neighbours(interpreter):
    """Far neighbours are partly inside; epochs end; a pixel has no data; the network learns."""
    config = AxConfig(1, 0, 1, 2, 4, 8, depth=1, components=2, far_neighbours=2, repeats=4, blend=8)
    tile = np.random.default_rng(4).integers(0, 3, (2, 6, 7)).astype("int16")
    tile[:, 4, 4] = -32768
    check_both_ways(random_model(config, share=0.02), interpreted(config, share=0.02), [tile], settings_of())


def test_changed_weights_are_used(interpreter):
    tile, model = small_tiles()["pixels that repeat others"][0], random_model(ONE_EXPERT, share=0.02)
    steps = {name: np.sign(array).astype(int) for name, array in model.net.tensors().items()}
    settings = dataclasses.replace(settings_of(), changes=changes.write_changes(steps))
    plain = coded(model, [tile], settings_of().to_bytes())
    assert coded(model, [tile], settings.to_bytes()) != plain
    check_both_ways(model, interpreted(ONE_EXPERT, share=0.02), [tile], settings)


@pytest.mark.parametrize("n_samples", [1, 1000])
def test_what_the_host_does_beside_a_batch_changes_nothing(n_samples, interpreter):
    """On a device the host prepares the next tiles and finishes those before in threads."""
    rng = np.random.default_rng(5)
    tiles = [rng.normal(0, 30, shape).round().astype("int16") for shape in ((2, 1, 3), (2, 3, 1), (2, 2, 2))]
    settings, ticks = settings_of(1, 2), []
    compiled, engine = random_model(ONE_EXPERT, share=0.02), interpreted(ONE_EXPERT, share=0.02)
    engine.samples_on_device = n_samples
    check_both_ways(compiled, engine, tiles, settings)
    expected = coded(compiled, tiles, settings.to_bytes())
    shapes = [tile.shape for tile in tiles]
    work = Work(ticks.append)
    some = engine.decode_first_bands(shapes[:1], tiles[0].dtype, expected[:1], settings.to_bytes(), 1, work)
    assert np.array_equal(some[0], tiles[0][:1]) and sum(ticks) == 3
    side, groups, samples = expected[-1]
    with pytest.raises(LhicError):
        damaged = [*expected[:-1], (side, groups, samples[:-4])]
        engine.decode_tiles(shapes, tiles[0].dtype, damaged, settings.to_bytes(), Work())


def test_damage_is_told_with_the_same_error(interpreter):
    tile, settings = small_tiles()["pixels that repeat others"][0][:, :, :2], settings_of(2, 8)
    compiled, engine = random_model(ONE_EXPERT, share=0.02), interpreted(ONE_EXPERT, share=0.02)
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


@pytest.mark.parametrize("log_width", [1, 2])
def test_the_width_of_a_search_changes_nothing(log_width, interpreter, monkeypatch):
    from lhic.families.ax.gpu import streams

    monkeypatch.setattr(streams, "LOG_WIDTH_FEW", log_width)
    tiles = [small_tiles()["a tile of fewer planes"][0][:1, :, :2]]
    check_both_ways(random_model(ONE_EXPERT), interpreted(ONE_EXPERT), tiles, settings_of(2, 4))


@pytest.mark.parametrize("system", list(systems()))
def test_solve_equals_the_compiled_one(system, interpreter):
    from lhic.families.ax.gpu import step

    gram, moment = (torch.from_numpy(a).double() for a in system)
    n = min(len(moment), 10)  # the interpreter takes its time
    gram, moment = gram[:n, :n].contiguous(), moment[:n].contiguous()
    expected = solved(gram.numpy(), moment.numpy())
    # One of three, smaller than the room it has.
    grams, moments, found = (torch.full((3, *size), -1.0).double() for size in ((n + 1, n + 1), (n + 1,), (n + 1,)))
    grams[1, :n, :n], moments[1, :n] = gram, moment
    work = step.solver_memory(2, n + 1, grams.device)
    step.solve(grams, moments, found, torch.tensor([-1, 1]), torch.tensor([n]), work)
    assert torch.equal(found[1, :n], torch.from_numpy(expected))
    assert (found[1, n:] == -1).all() and (found[[0, 2]] == -1).all()


@pytest.mark.parametrize(
    "n_planes, forgets, begin, n_columns",
    [(1, True, 4, 5), (28, False, 4, 5), (1, True, 64, 65), (1, True, 64, 2731)],
    ids=["one matrix", "matrices of two parts", "every wave of a small tile", "every other wave"],
)
def test_normal_equations_are_sums_of_products(n_planes, forgets, begin, n_columns, interpreter):
    """Of the epoch from some wave on, of a plane that has all earlier ones, from pictures of random numbers."""
    from lhic.families.ax.gpu.batch import Batch
    from lhic.families.ax.gpu.step import Step

    sizes = {"short_planes": 1} if forgets else {"sample_planes": 28}
    is_small = 3 * n_columns < 8192
    epoch = 8 if is_small else 4  # four waves
    config = AxConfig(**{"detail_planes": 0, "sample_planes": 0, "short_planes": 0, "epoch": epoch, **sizes},
                      spatial_neighbours=0, far_neighbours=0, width=8)  # fmt: skip
    rng = np.random.default_rng(4)
    tile = rng.integers(0, 9, (n_planes + 1, 3, n_columns)).astype("int16")
    job = ax_model._EncodeJob(interpreted(config, share=0.02), tile, settings_of(), 1)
    batch = Batch(job.model, [job], CPU)
    step, z = Step(batch), n_planes
    batch.buffer[:] = torch.from_numpy(rng.integers(-99, 99, batch.buffer.shape))
    step.weights[:] = torch.from_numpy(rng.integers(1, 33, step.weights.shape))
    side = batch.n_regressors
    before = torch.from_numpy(rng.integers(0, 99, (side, side))).double()
    batch.gram[0, z, 0], batch.moment[0, z, 0] = before, before[0]
    batch.t.fill_(4 * z + begin + 3)  # its waves up to begin + 3 are done
    step.end_epochs()

    pictures = batch.buffer.numpy()[0].reshape(-1, batch.n_planes, batch.plane_apart).astype(int)
    kept = before - torch.floor(before / 16) if forgets else before
    gram, moment = kept.numpy().copy(), kept[0].numpy().copy()
    for wave in range(begin, begin + 4):
        if not is_small and wave >= 64 and wave % 2 == 0:
            continue
        rows = [i for i in range(3) if 0 <= wave - 2 * i < n_columns]
        for i in rows:
            at = (wave + 18) * batch.wave_apart + 8 + i
            inputs = [
                256 if kind == 3 else pictures[0, z - back, at + waves * batch.wave_apart + down]
                for kind, back, waves, down in batch.experts[0].regressors.tolist()
            ]
            weight = int(step.weights[0, z, wave % 4, i - rows[0]])
            gram += weight * np.outer(inputs, inputs)
            moment += weight * np.array(inputs) * pictures[0, z, at]
    lower = np.tril_indices(side)
    assert np.array_equal(batch.gram[0, z, 0].numpy()[lower], gram[lower])
    assert np.array_equal(batch.moment[0, z, 0].numpy(), moment)
    assert torch.equal(batch.coefficients[0, z, 0], torch.from_numpy(solved(gram, moment)))


def peak_bytes(work) -> int:
    """Most memory of tensors that the work adds to what was there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


@pytest.mark.parametrize("shape", [(6, 20, 24), (40, 9, 64)])
def test_memory_of_a_tile_is_within_its_estimate(shape, monkeypatch, interpreter):
    """All that a batch holds from its beginning to its end; no step is made."""
    from lhic.families.ax.gpu import batch, engine, streams

    tile = np.random.default_rng(2).normal(0, 300, shape).cumsum(0).astype("int16")
    loaded = lhic.load_model("lhic-ax", "cpu")
    model = ax_model.AxModel(loaded.name, loaded.settings, loaded.net, loaded.weights_hash, "cpu:0")
    job = ax_model._EncodeJob(model, tile, settings_of(16), 1)
    monkeypatch.setattr(batch.Batch, "walk", lambda *arguments: None)
    kernel = dict.fromkeys([(len(range(0, shape[0], 16)),)], lambda *arguments, **keywords: None)
    monkeypatch.setattr(streams.coder, "encode_stream", kernel)
    monkeypatch.setattr(streams.torch, "empty", streams.torch.zeros)
    found = peak_bytes(lambda: engine.encode_jobs(model, [job], settings_of(16), CPU))
    estimate = batch.tile_bytes(model.settings, *shape)
    assert found < estimate < 1.5 * found


def test_a_batch_fits_the_memory_that_is_free(monkeypatch):
    from lhic.families.ax.gpu import batch, engine

    model, n_run = random_model(), []
    tiles = np.random.default_rng(5).integers(0, 99, (6, 7, 9, 12)).astype("int16")
    jobs = [ax_model._EncodeJob(model, tile, settings_of(), 1) for tile in tiles]
    each = batch.tile_bytes(model.settings, 7, 9, 12)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(engine, "encode_jobs", lambda model, some, *rest: n_run.append(len(some)))
    for free in (0, 2.6 * each, 1e12):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1e12))
        engine.run_jobs(model, jobs, settings_of(), "cuda")
    assert n_run == [1] * 6 + [2] * 3 + [6]


@pytest.mark.skipif(torch.cuda.is_available(), reason="can record")
def test_what_cannot_be_recorded_runs_as_it_is():
    from lhic.families.ax.gpu import batch

    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        assert batch.record(lambda: None) is None


@pytest.mark.parametrize(
    "missing, message",
    [("torch", "no torch; pip install"), ("triton", "no triton; pip install"), ("gcc", "a C compiler, found none")],
)
def test_what_is_missing_for_a_gpu_is_said_in_one_line(missing, message, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: name != missing or None)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: name == "gcc" != missing or None)
    with pytest.raises(BackendError, match=message) as caught:
        random_model(device="cuda").encode_tiles(
            [np.arange(4, dtype="uint8").reshape(1, 2, 2)], settings_of().to_bytes(), Work()
        )
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("CC", "cc")
    if missing == "gcc":
        gpu.check_backend("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["smooth noise", "noise of all of uint16", "a masked corner", "one sample"])
def test_streams_cross_from_cpu_to_cuda_and_back(name, cuda):
    tile, settings = extreme_tiles()[name], settings_of()
    compiled, engine = random_model(share=0.02), random_model(share=0.02, device="cuda")
    expected = coded(compiled, [tile] * 3, settings.to_bytes())
    check_both_ways(compiled, engine, [tile] * 3, settings)
    found = compiled.decode_tiles([tile.shape] * 3, tile.dtype, expected, settings.to_bytes(), Work())
    assert all(np.array_equal(a, tile) for a in found)


@pytest.mark.gpu
def test_damage_is_told_on_a_gpu(cuda):
    tile = np.random.default_rng(5).normal(0, 30, (7, 9, 12)).cumsum(0).astype("int16")
    parameters = settings_of(3, 8).to_bytes()
    compiled, engine = random_model(share=0.02), random_model(share=0.02, device="cuda")
    ((side, groups, samples),) = coded(compiled, [tile], parameters)
    for at in range(0, len(samples), len(samples) // 9):
        damaged = samples[:at] + bytes([samples[at] ^ 0x40]) + samples[at + 1 :]
        errors = []
        for model in (compiled, engine):
            # With more threads it is chance which of several groups fails first.
            with pytest.raises(LhicError) as caught:
                sections = [(side, groups, damaged)]
                model.decode_tiles([tile.shape], tile.dtype, sections, parameters, Work(threads=1))
            errors.append((type(caught.value), str(caught.value)))
        assert errors[0] == errors[1]


@pytest.mark.gpu
def test_steps_are_recorded_on_a_gpu(cuda):
    """Or it would be exact, but slow."""
    model = random_model(share=0.02, device="cuda")
    tile = np.random.default_rng(5).normal(0, 30, (7, 9, 12)).cumsum(0).astype("int16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # `record` warns when a step is not recorded
        coded(model, [tile], settings_of().to_bytes())


@pytest.mark.gpu
def test_a_batch_of_patches_on_a_gpu(cuda):
    rng = np.random.default_rng(8)
    tiles = [rng.normal(0, 20, (40, 64, 64)).cumsum(0).astype("int16") for _ in range(4)]
    compiled, engine = random_model(share=0.02), random_model(share=0.02, device="cuda")
    parameters = compiled.plan(tiles[0], Work())
    expected = coded(compiled, tiles, parameters)
    assert coded(engine, tiles, parameters) == expected
    found = engine.decode_tiles([tile.shape for tile in tiles], tiles[0].dtype, expected, parameters, Work())
    assert all(np.array_equal(a, b) for a, b in zip(found, tiles, strict=True))


COMPILE = """
import json, re, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lhic.families.ax.gpu import adapt, coder, features, fit, learn, mixture

for name, pointers, constants, warps in json.load(sys.stdin):
    (kernel,) = (vars(file)[name] for file in (adapt, coder, features, fit, learn, mixture) if name in vars(file))
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
        int="intervals counts places words", long="stream_ends n_symbols states word_starts n_free"
    ),
    "look_wave": pointers(
        long=f"{OF_STEP} {TABLES} near_of regressors sizes about_mean own_count log_table power_table run_levels",
        int="buffer is_coded",
        real="coefficients",
        flag="coded exists",
        byte="features",
    ),
    "mix": pointers(
        long="step base_of scale_of candidate_of repeat_weight_of log_table exp2_table",
        int="components",
        single="first middle last biases last_bias sums hidden",
        byte="features",
    ),
    "find_intervals": pointers(
        long="step n_levels first_level table_starts table given widths",
        int="values levels components sigmoid intervals is_coded",
    ),
    "learn_wave": pointers(long=f"{OF_STEP} {OWN_TABLES} given widths", int="buffer weights is_coded", flag="exists"),
    "teach_wave": pointers(
        long="step given batch n_levels first_level table_starts table",
        int="components sigmoid is_coded",
        single="hidden",
    ),
    "change_weights": pointers(
        long="batch gradients squares", single="last last_bias first_last first_bias", real="limits"
    ),
    "add_epoch": pointers(long="step regressors systems", int="buffer weights", real="gram moment", flag="exists"),
    "solve_system": pointers(real="gram moment work coefficients", long="systems sizes"),
    "next_tables": pointers(long=f"step {TABLES} {OWN_TABLES} first_hits"),
}
SOLVE = {"E": 4, "R": 36, "SIZE": 64, "AT_ONCE": 8}


def decode_constants(lanes, log_width):
    widths = {"LANES": lanes, "WIDTH": 1 << log_width, "LOG_WIDTH": log_width, "K": 5, "MIXTURES": 8}
    return widths | {"ROUNDS": -(-16 // log_width)}


@pytest.mark.slow
def test_kernels_compile_for_a_gpu_and_fuse_nothing(tmp_path):
    """What the interpreter forgives a compiler may not; and `solve_system` must round after each operation."""
    epochs = {"EPOCH": 8, "E": 4}
    ending = epochs | {"PERIOD": 2}
    fit = {"ABOUT_MEAN": True, "FORGETS": True, "EXPERT": 0, "R": 36, "SIZE": 32, "REST": 0, "Q": 32}
    fit |= {"HAS_MEAN": True, "HAS_CONSTANT": True, "INSIDE": True}
    look = {"R": 36, "Q": 64, "AT_ONCE": 8, "BLEND": 8, "REPEATS": 4, "INSIDE": True}
    mix = {"DEPTH": 2, "FEATURES": 64, "WIDTH": 32, "OUTPUTS": 16, "K": 4, "MIXTURES": 4, "REPEATS": True, "BLOCK": 64}
    mix |= {"ADAPTS": True}
    kernels = [
        ("decode_step", decode_constants(8, 4), 4),
        ("decode_step", decode_constants(2, 2) | {"n_lanes": 1}, 1),
        ("encode_stream", {"LANES": 8}, 1),
        ("look_wave", epochs | look, 2),
        ("mix", mix, 4),
        ("find_intervals", {"K": 5, "MIXTURES": 8, "Q": 64}, 4),
        ("learn_wave", epochs | {"Q": 64, "REPEATS": 4}, 2),
        ("teach_wave", {"K": 4, "ALL_K": 5, "MIXTURES": 16, "WIDTH": 32, "Q": 64}, 4),
        ("change_weights", {"INPUTS": 64}, 1),
        ("add_epoch", ending | fit, 4),
        ("add_epoch", ending | fit | {"REST": 16}, 4),
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
    assert found["solve_system"] == found["change_weights"] == "div.rn.f64 sqrt.rn.f64"
