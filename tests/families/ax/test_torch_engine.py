"""The torch engine codes the same integers: here on the CPU, where there is a GPU on that."""

import dataclasses
import warnings

import numba
import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import lhic
from lhic.errors import LhicError
from lhic.families.ax import changes, reference
from lhic.families.ax import model as ax_model
from lhic.families.ax.cpu.arithmetic import log2_16
from lhic.families.ax.gpu import device_coder, torch_engine
from lhic.families.ax.planes.tile import split_tile
from lhic.families.family import Work
from tests.common import coded
from tests.families.ax.common import (
    CONFIGS,
    SMALL,
    extreme_tiles,
    intervals,
    random_model,
    settings_of,
    solved,
)
from tests.families.ax.test_bounds import systems

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    """Matrices this small only wait for a second thread; numba's first use would bring one."""
    numba.get_num_threads()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_intervals(model, tile, settings, device=CPU):
    job = ax_model._EncodeJob(model, tile, settings, 1)
    torch_engine.run_jobs(model, [job], settings, device)
    found = []
    for one in job.codings:
        n = int(one.n_symbols[0])
        found.append(np.stack([one.starts[:n], one.freqs[:n]], 1).astype(np.int64))
    return found


def check_intervals(model, tile, settings):
    expected, found = intervals(model, tile, settings), torch_intervals(model, tile, settings)
    assert len(expected) == len(found)
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(torch.from_numpy(a), torch.from_numpy(b))


@pytest.mark.parametrize("name", extreme_tiles())
def test_intervals_equal_those_of_the_compiled_walk(name):
    check_intervals(random_model(), extreme_tiles()[name], settings_of())


@pytest.mark.parametrize("name", list(CONFIGS)[1:])
def test_other_configurations(name):
    check_intervals(random_model(CONFIGS[name], share=0.1), extreme_tiles()["smooth noise"], settings_of(2, 5))


def test_features_base_and_scale_equal_the_reference():
    tile = extreme_tiles()["a masked corner"][:3]
    planes = split_tile(tile)[0]
    model, settings = random_model(), settings_of()
    tensors = {name: getattr(model.net, name).astype(np.int64) for name in model.net._fields}
    _, samples = reference.encode(planes, SMALL, tensors, settings.group_planes, settings.lower_bits)
    expected = {(s.z, s.i, s.j): s for s in samples}
    job = ax_model._EncodeJob(model, tile, settings, 1)
    batch = torch_engine.Batch(model, [job], CPU)
    n_seen = 0
    for t in range(batch.n_steps):
        batch.begin(t)
        batch.place()
        read = batch.gather()
        batch.predict(read)
        batch.find_repeats(read)
        features = batch.describe(read)
        sums = batch.run_network(features)
        width = torch.ones_like(batch.base)
        known = torch.from_numpy(job.values.astype(np.int64))[batch.z[:, None], batch.i, batch.j][None]
        for slot, q in batch.is_coded[0].nonzero().tolist():
            sample = expected[int(batch.z[slot]), int(batch.i[slot, q]), int(batch.j[slot, q])]
            assert torch.equal(features[:, 0, slot, q], torch.tensor(sample.features))
            assert torch.equal(batch.predictions[:, 0, slot, q], torch.tensor(sample.predictions))
            assert (int(batch.base[0, slot, q]), int(batch.scale[0, slot, q])) == (sample.base, sample.scale)
            assert torch.equal(sums[0, slot, q], torch.from_numpy(sample.sums))
            found = (batch.candidate, batch.run_level, batch.repeat_weight)
            expected_repeat = [sample.candidate, sample.run_level, sample.repeat_weight]
            assert [int(a[0, slot, q]) for a in found] == expected_repeat
            width[0, slot, q] = sample.width
            n_seen += 1
        batch.learn(torch.where(batch.is_coded, known, batch.filled()), width)
        if batch.ends_at[t]:
            batch.end_epochs()
    assert n_seen == len(samples) > 200


def some_tiles():
    """Of two shapes and with different numbers of planes, several groups in each."""
    rng = np.random.default_rng(5)
    tiles = [rng.normal(0, 30, (7, h, w)).cumsum(0).astype("int16") for h, w in ((9, 12), (12, 9), (5, 16), (9, 12))]
    tiles[0][4] = 3
    tiles[3][:, 2:4, 3:9] = -999
    return tiles


@pytest.mark.parametrize("n_lanes", [1, 3])
def test_several_tiles_at_once_and_back(n_lanes, monkeypatch):
    tiles, model, settings = some_tiles(), random_model(share=0.02), settings_of(3, 6, n_lanes)
    expected = coded(model, tiles, settings.to_bytes())
    shapes, ticks = [tile.shape for tile in tiles], []
    torch_model = random_model(share=0.02)
    torch_model.device = "cpu:0"  # not the compiled walk
    assert coded(torch_model, tiles, settings.to_bytes(), Work(ticks.append)) == expected
    assert sum(ticks) == sum(tile.size for tile in tiles)
    found = torch_model.decode_tiles(shapes, tiles[0].dtype, expected, settings.to_bytes(), Work())
    assert all(np.array_equal(a, b) for a, b in zip(found, tiles, strict=True))
    some = torch_model.decode_first_bands(shapes[:1], tiles[0].dtype, expected[:1], settings.to_bytes(), 2, Work())
    assert np.array_equal(some[0], tiles[0][:2])


@pytest.mark.parametrize("name", CONFIGS)
def test_repeated_pixels_come_back(name):
    tile, settings = extreme_tiles()["pixels that repeat others"], settings_of(2, 5, 2)
    model = random_model(CONFIGS[name], share=0.02)
    sections = coded(model, [tile], settings.to_bytes())
    model.device = "cpu:0"
    assert coded(model, [tile], settings.to_bytes()) == sections
    (found,) = model.decode_tiles([tile.shape], tile.dtype, sections, settings.to_bytes(), Work())
    assert torch.equal(torch.from_numpy(found), torch.from_numpy(tile))


@pytest.mark.parametrize("name", ["pixels that repeat others", "a masked corner"])
def test_changed_weights_are_used(name):
    tile, model = extreme_tiles()[name], random_model(share=0.02)
    steps = {name: np.sign(array).astype(int) for name, array in model.net.tensors().items()}
    parameters = dataclasses.replace(settings_of(), changes=changes.write_changes(steps)).to_bytes()
    sections = coded(model, [tile], parameters)
    assert sections != coded(model, [tile], settings_of().to_bytes())
    model.device = "cpu:0"
    assert coded(model, [tile], parameters) == sections
    (found,) = model.decode_tiles([tile.shape], tile.dtype, sections, parameters, Work())
    assert torch.equal(torch.from_numpy(found), torch.from_numpy(tile))


def test_damage_is_told():
    tiles, settings = some_tiles()[:1], settings_of(3)
    model = random_model(share=0.02)
    ((side, groups, samples),) = coded(model, tiles, settings.to_bytes())
    model.device = "cpu:0"
    for at in range(8, len(samples), len(samples) // 3):
        damaged = samples[:at] + bytes([samples[at] ^ 0x40]) + samples[at + 1 :]
        with pytest.raises(LhicError):
            model.decode_tiles([tiles[0].shape], tiles[0].dtype, [(side, groups, damaged)], settings.to_bytes(), Work())


@pytest.mark.parametrize("system", list(systems()))
def test_solve_equals_the_compiled_one(system):
    gram, moment = (torch.from_numpy(a).double() for a in system)
    n = len(moment)
    expected = solved(gram.numpy(), moment.numpy())
    # Beside another system, and with idle regressors behind, as in a batch of experts.
    many, moments = torch.zeros(2, n + 2, n + 2).double(), torch.zeros(2, n + 2).double()
    many[1, :n, :n], moments[1, :n] = gram, moment
    found = torch_engine.solve(many, moments)
    assert torch.equal(found[1, :n], torch.from_numpy(expected)) and not found[1, n:].any() and not found[0].any()


def test_logarithm_equals_the_compiled_one():
    values = np.unique(np.concatenate([np.arange(1, 3000), *(2 ** np.arange(3, 45)[:, None] + np.arange(-3, 4))]))
    found = torch_engine.Tables(CPU).log2_16(torch.from_numpy(values))
    assert found.tolist() == [log2_16(value) for value in values] == [reference.log2_16(int(v)) for v in values]


def peak_bytes(work) -> int:
    """Most memory of tensors that the work adds to what was there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


@pytest.mark.parametrize("shape", [(6, 20, 24)])
def test_memory_of_a_tile_is_within_its_estimate(shape):
    tile = np.random.default_rng(2).normal(0, 300, shape).cumsum(0).astype("int16")
    loaded = lhic.load_model("lhic-ax", "cpu")
    model = ax_model.AxModel(loaded.name, loaded.settings, loaded.net, loaded.weights_hash, "cpu:0")
    job = ax_model._EncodeJob(model, tile, settings_of(16), 1)
    found = peak_bytes(lambda: torch_engine.encode_jobs(model, [job], 8, 16, CPU))
    estimate = torch_engine.tile_bytes(model.settings, *shape)
    assert found < estimate < 4 * found


def test_a_batch_fits_the_memory_that_is_free(monkeypatch):
    model, n_run = random_model(), []
    jobs = [ax_model._EncodeJob(model, tile, settings_of(), 1) for tile in some_tiles()[::3] * 3]
    each = torch_engine.tile_bytes(model.settings, 7, 9, 12)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch_engine, "encode_jobs", lambda model, some, *rest: n_run.append(len(some)))
    for free in (0, 2.6 * each, 1e12):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1e12))
        torch_engine.run_jobs(model, jobs, settings_of(), torch.device("cuda"))
    assert n_run == [1] * 6 + [2] * 3 + [6]


@pytest.mark.skipif(torch.cuda.is_available(), reason="can record")
def test_what_cannot_be_recorded_runs_as_it_is():
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        assert torch_engine._record(lambda: None) is None


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["smooth noise", "noise of all of uint16", "a masked corner", "one sample"])
def test_streams_cross_from_cpu_to_cuda_and_back(name, cuda):
    tile, settings = extreme_tiles()[name], settings_of()
    compiled, gpu = random_model(share=0.02), random_model(share=0.02, device="cuda")
    expected = coded(compiled, [tile] * 3, settings.to_bytes())
    assert coded(gpu, [tile] * 3, settings.to_bytes()) == expected
    for sections, model in ((expected, gpu), (expected, compiled)):
        found = model.decode_tiles([tile.shape] * 3, tile.dtype, sections, settings.to_bytes(), Work())
        assert all(torch.equal(torch.from_numpy(a), torch.from_numpy(tile)) for a in found)


@pytest.mark.gpu
def test_damage_is_told_on_a_gpu(cuda):
    tile, parameters = some_tiles()[0], settings_of(3, 6, 8).to_bytes()
    compiled, gpu = random_model(share=0.02), random_model(share=0.02, device="cuda")
    ((side, groups, samples),) = coded(compiled, [tile], parameters)
    for at in range(0, len(samples), len(samples) // 9):
        damaged = samples[:at] + bytes([samples[at] ^ 0x40]) + samples[at + 1 :]
        errors = []
        for model in (compiled, gpu):
            # With more threads it is chance which of several groups fails first.
            with pytest.raises(LhicError) as caught:
                sections = [(side, groups, damaged)]
                model.decode_tiles([tile.shape], tile.dtype, sections, parameters, Work(threads=1))
            errors.append((type(caught.value), str(caught.value)))
        assert errors[0] == errors[1]


@pytest.mark.gpu
def test_nothing_is_left_to_plain_torch_on_a_gpu(cuda):
    """Or it would be exact, but slow."""
    assert device_coder.uses_triton(torch.device("cuda"))
    model, tile = random_model(share=0.02, device="cuda"), some_tiles()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # `_record` warns when a step is not recorded
        job = ax_model._EncodeJob(model, tile, settings_of(), 1)
        torch_engine.run_jobs(model, [job], settings_of(), torch.device("cuda"))
    assert job.parts and not job.codings


@pytest.mark.gpu
def test_a_batch_of_patches_on_a_gpu(cuda):
    rng = np.random.default_rng(8)
    tiles = [rng.normal(0, 20, (40, 64, 64)).cumsum(0).astype("int16") for _ in range(4)]
    compiled, gpu = random_model(share=0.02), random_model(share=0.02, device="cuda")
    parameters = compiled.plan(tiles[0], Work())
    expected = coded(compiled, tiles, parameters)
    assert coded(gpu, tiles, parameters) == expected
    found = gpu.decode_tiles([tile.shape for tile in tiles], tiles[0].dtype, expected, parameters, Work())
    assert all(torch.equal(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(found, tiles, strict=True))


def test_kernels_are_used_where_they_can_be_built(monkeypatch):
    found = {"triton": True, "gcc": True}
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(device_coder.importlib.util, "find_spec", lambda name: found[name] or None)
    monkeypatch.setattr(device_coder.shutil, "which", lambda name: found.get(name) or None)
    assert device_coder.uses_triton(torch.device("cuda")) and not device_coder.uses_triton(CPU)
    for missing in found:
        monkeypatch.setitem(found, missing, False)
        assert not device_coder.uses_triton(torch.device("cuda"))
        monkeypatch.setitem(found, missing, True)


@pytest.mark.parametrize("n_samples", [1, 1000])
def test_what_the_host_does_beside_a_batch_changes_nothing(n_samples):
    """On a device the host prepares the next tiles and finishes those before in threads."""
    tiles, settings = some_tiles(), settings_of(3, 6, 2).to_bytes()
    compiled, engine = random_model(share=0.02), random_model(share=0.02, device="cpu:0")
    engine.samples_at_once = n_samples
    expected = coded(compiled, tiles, settings)
    assert coded(engine, tiles, settings) == expected
    shapes = [tile.shape for tile in tiles]
    found = engine.decode_tiles(shapes, tiles[0].dtype, expected, settings, Work())
    assert all(torch.equal(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(found, tiles, strict=True))
    side, groups, samples = expected[-1]
    with pytest.raises(LhicError):
        damaged = [*expected[:-1], (side, groups, samples[:-4])]
        engine.decode_tiles(shapes, tiles[0].dtype, damaged, settings, Work())
