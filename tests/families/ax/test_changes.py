"""A network fitted to a cube by the encoder, and its changes in the stream."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CheckpointError, CorruptStreamError, UsageError
from lhic.families.ax import changes, integer_net, tune
from lhic.families.ax import model as ax_model
from lhic.families.ax import observe as observe_module
from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.parameters import MAX_CHANGES_BYTES, StreamParameters
from lhic.families.ax.planes.near_lossless import MAX_ERROR
from lhic.families.family import Work
from lhic.stream.header import MAX_PARAMETERS_BYTES
from lhic.stream.varint import Reader
from lhic.train.ax.network import AxNet, code_length
from tests.common import REPOSITORY
from tests.families.ax.common import SMALL, extreme_tiles, random_model, random_tensors

CONFIG = dataclasses.replace(SMALL, width=8, depth=2, components=2)


def scene(seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 30, (8, 40, 50)).cumsum(1).cumsum(2) * 0.1 + rng.normal(0, 4, (8, 40, 50))).astype("int16")


def untrained(config: AxConfig = CONFIG) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    return AxNet(config).tensors()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 8), st.integers(0, 200), st.integers(0, 1000))
def test_changes_come_back(step_bits, limit, seed):
    rng = np.random.default_rng(seed)
    shapes = integer_net.shapes(CONFIG)
    sent = {name: rng.integers(-limit, limit + 1, shapes[name]) for name in changes.NAMES}
    sent["first"] = sent["first"] // 7  # another width
    found, bits = changes.read_changes(Reader(changes.write_changes(sent, step_bits), "changes"), CONFIG)
    assert bits == step_bits
    assert all(np.array_equal(found[name], sent[name]) for name in changes.NAMES)


def test_changes_cost_about_their_entropy():
    rng = np.random.default_rng(0)
    sent = {name: np.rint(rng.logistic(0, 2, s)).astype(int) for name, s in integer_net.shapes(AxConfig()).items()}
    n = sum(a.size for a in sent.values())
    _values, counts = np.unique(np.concatenate([a.reshape(-1) for a in sent.values()]), return_counts=True)
    entropy = -(counts * np.log2(counts / n)).sum() / 8
    assert len(changes.write_changes(sent)) < 1.02 * entropy + 40


def test_weights_that_would_not_be_exact_are_refused():
    tensors = random_tensors(CONFIG, share=0.01)
    steps = {name: np.zeros_like(tensors[name]) for name in changes.NAMES}
    assert all(np.array_equal(changes.applied(tensors, steps)[name], tensors[name]) for name in changes.NAMES)
    steps["last"] = steps["last"] + changes.MAX_CHANGE
    with pytest.raises(CheckpointError, match="layer last: expected sums below"):
        changes.applied(tensors, steps)
    with pytest.raises(CorruptStreamError, match="layer last"):
        changes.changed(tensors, changes.write_changes(steps), CONFIG)


def test_a_tuned_stream_is_shorter_and_decodes():
    model = lhic.families.ax.load("untrained", CONFIG.to_dict(), untrained(), bytes(32))
    cube = scene()
    plain, tuned = (lhic.encode(cube, model, tuning_steps=n) for n in (0, 60))
    assert len(tuned) < 0.97 * len(plain)
    assert np.array_equal(lhic.decode(tuned, model=model), cube)
    assert lhic.encode(cube, model, tuning_steps=60) == tuned
    assert lhic.inspect(tuned)["parameters"]["bytes of changed weights"] > 0
    assert lhic.inspect(plain)["parameters"]["bytes of changed weights"] == 0


def test_a_model_may_ask_for_tuning():
    config = dataclasses.replace(CONFIG, tuning_steps=60)
    model = lhic.families.ax.load("asks", config.to_dict(), untrained(), bytes(32))
    assert lhic.inspect(lhic.encode(scene(), model))["parameters"]["bytes of changed weights"] > 0


@pytest.mark.parametrize("name", extreme_tiles())
def test_tuning_copes_with_any_cube(name):
    tile = extreme_tiles()[name]
    model = random_model(CONFIG, share=0.02)
    assert np.array_equal(lhic.decode(lhic.encode(tile, model, tuning_steps=3), model=model), tile)


def test_near_lossless_streams_are_tuned_on_what_is_coded():
    model = lhic.families.ax.load("untrained", CONFIG.to_dict(), untrained(), bytes(32))
    cube = scene()
    found = lhic.decode(lhic.encode(cube, model, tuning_steps=60, max_error=3), model=model)
    assert np.abs(found.astype(int) - cube).max() <= 3


@pytest.mark.parametrize("steps", [-1, True, 1.5, 10**6])
def test_impossible_numbers_of_steps_are_told(steps):
    with pytest.raises(UsageError, match="tuning_steps: expected a whole number of 0"):
        lhic.encode(scene(), random_model(CONFIG), tuning_steps=steps)


def test_every_cut_of_the_changes_is_told():
    steps = {name: np.ones(shape, int) for name, shape in integer_net.shapes(CONFIG).items()}
    data = changes.write_changes(steps)
    tensors = random_tensors(CONFIG, share=0.01)
    for n in range(1, len(data)):
        with pytest.raises(CorruptStreamError):
            changes.changed(tensors, data[:n], CONFIG)
    with pytest.raises(CorruptStreamError):
        changes.changed(tensors, data + b"\0", CONFIG)
    parameters = StreamParameters(0, 16, 1, data)
    assert StreamParameters.from_bytes(parameters.to_bytes()) == parameters


def test_the_gradient_is_that_of_the_training_loss():
    torch.manual_seed(2)
    net = AxNet(CONFIG)
    net.quantised = False
    seen = observe(scene(), CONFIG, 500, np.random.default_rng(0))
    known = [torch.from_numpy(a) for a in seen[1:5]]
    tensors = net.tensors()
    net.set_tensors(tensors)
    loss = code_length(net(torch.from_numpy(seen.features)), *known).mean()
    loss.backward()
    layers = tune._layers(tensors)
    found = tune._gradients(layers, seen.features, tune._known(seen))
    expected = [p.grad.numpy() for layer in (*net.hidden, net.last) for p in (layer.weight, layer.bias)]
    for own, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=2e-3, atol=1e-4)
    assert tune.bits_per_sample(tensors, seen).mean() == pytest.approx(loss.item(), rel=1e-4)


def test_no_step_changes_nothing():
    tensors = untrained()
    seen = observe(scene(), CONFIG, 500, np.random.default_rng(0))
    found = changes.rounded(tensors, tune.tune(tensors, seen, 0))
    assert not any(steps.any() for steps in found.values())


def test_tuned_weights_keep_their_bounds():
    tensors = random_tensors(CONFIG)
    seen = observe(scene(), CONFIG, 500, np.random.default_rng(0))
    loud = Observations(seen.features, seen.error * 100, *seen[2:])
    changes.applied(tensors, changes.rounded(tensors, tune.tune(tensors, loud, 5)))


# --- the same bytes everywhere ----------------------------------------------------------------------------------------


def loud_observations(n: int = 5000) -> Observations:
    """Of every size that features and errors may have."""
    rng = np.random.default_rng(3)
    features = rng.integers(-127, 128, (n, integer_net.shapes(CONFIG)["first"][1]), dtype=np.int8)
    error, below = (rng.normal(0, 1, n) * 10.0 ** rng.integers(-3, 4, n) for _ in range(2))
    above, repeat = np.where(rng.random(n) < 0.1, np.inf, abs(below)), rng.uniform(-1, 1, n)
    return Observations(features, *(a.astype(np.float32) for a in (error, abs(below), above, repeat)), 1.0)


def test_the_order_in_which_products_are_added_up_changes_no_bit():
    """Weights at their bounds: were a sum not exact, another order of samples and neurons would round it otherwise."""
    seen, rng = loud_observations(tune.BATCH), np.random.default_rng(4)
    layers, known = tune._layers(random_tensors(CONFIG, share=0.99)), tune._known(seen)
    samples, neurons = rng.permutation(len(known)), rng.permutation(CONFIG.width)
    turned = [a.copy() for a in layers]
    for k in (0, 1, 2, 3):  # both hidden layers' neurons in another order
        turned[k] = turned[k][neurons]
    for k in (2, 4):
        turned[k] = turned[k][:, neurons]
    found = tune._gradients(layers, seen.features, known)
    again = tune._gradients(turned, seen.features[samples], known[samples])
    for k, (one, other) in enumerate(zip(found, again, strict=True)):
        one = one[neurons] if k < 4 else one
        one = one[:, neurons] if k in (2, 4) else one
        assert one.any() and np.array_equal(one, other)


TUNE = """
import hashlib, sys
from tests.families.ax import test_changes as own
found = own.tune.tune(own.random_tensors(own.CONFIG, share=0.3), own.loud_observations(), 20, int(sys.argv[1]))
print(hashlib.sha256(b"".join(found[name].tobytes() for name in sorted(found))).hexdigest())
"""


@pytest.mark.slow
def test_tuning_finds_the_same_on_any_processor_and_number_of_threads():
    """Compiled for another processor, sums are added in another order; so they are by two threads."""
    found = set()
    for processor, n_threads in [("generic", 1), ("", 1), ("", 2)]:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        environment |= {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""} if processor else {}
        command = [sys.executable, "-c", TUNE, str(n_threads)]
        run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
        found.add(run.stdout)
    assert len(found) == 1


def test_indices_are_drawn_alike_everywhere():
    assert observe_module.draw(1, 4, 1000).tolist() == [444, 747, 90, 913]
    many = observe_module.draw(7, 100_000, 10)
    assert np.abs(np.bincount(many, minlength=10) - 10_000).max() < 400


# --- where it cannot pay ----------------------------------------------------------------------------------------------


def test_tiny_cubes_are_not_searched(monkeypatch):
    monkeypatch.setattr(tune, "tune", lambda *_: pytest.fail("searched"))
    monkeypatch.setattr(ax_model, "observe", lambda *_, **__: pytest.fail("observed"))
    model = random_model(CONFIG, share=0.02)
    n_weights = sum(tensor.size for tensor in model.net.tensors().values())
    cube = np.zeros((1, 1, ax_model.SAMPLES_A_WEIGHT * n_weights - 1), "int16")
    assert lhic.encode(cube, model, tuning_steps=300, fallback=False) == lhic.encode(cube, model, fallback=False)


def test_changes_too_long_for_a_stream_are_given_up(monkeypatch):
    model = lhic.families.ax.load("untrained", CONFIG.to_dict(), untrained(), bytes(32))
    monkeypatch.setattr(ax_model, "MAX_CHANGES_BYTES", 50)
    plain, tuned = (lhic.encode(scene(), model, tuning_steps=n) for n in (0, 60))
    assert plain == tuned
    assert len(StreamParameters(MAX_ERROR, 4096, 1024, bytes(MAX_CHANGES_BYTES)).to_bytes()) <= MAX_PARAMETERS_BYTES


def test_a_saving_that_may_be_chance_is_none(monkeypatch):
    """Held-out samples that differ widely among each other say little."""
    model = lhic.families.ax.load("untrained", CONFIG.to_dict(), untrained(), bytes(32))
    bits = iter(
        [np.array([2.0, 2.0, 2.0, 2.0]), np.array([1.0, 1.0, 1.0, 1.0])] * 2
        + [np.array([9.0, -1.0, -1.0, -1.0]), np.zeros(4)]
    )
    monkeypatch.setattr(tune, "bits_per_sample", lambda *_: next(bits))
    work = Work()
    assert model._tuned(scene(), 2, 0, work) and model._tuned(scene(), 2, 0, work)
    assert not model._tuned(scene(), 2, 0, work)
