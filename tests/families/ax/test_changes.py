"""A network fitted to a cube by the encoder, and its changes in the stream."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CheckpointError, CorruptStreamError, UsageError
from lhic.families.ax import changes, integer_net, tune
from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.parameters import StreamParameters
from lhic.stream.varint import Reader
from lhic.train.ax.network import AxNet, code_length
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
    with pytest.raises(UsageError, match="tuning_steps: expected 0"):
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
    parameters = StreamParameters(8, 0, 16, 1, data)
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
        np.testing.assert_allclose(own, wanted, rtol=2e-3, atol=2e-5)
    assert tune.bits_per_sample(tensors, seen) == pytest.approx(loss.item(), rel=1e-4)


def test_no_step_changes_nothing():
    tensors = untrained()
    seen = observe(scene(), CONFIG, 500, np.random.default_rng(0))
    found = changes.rounded(tensors, tune.tune(tensors, seen, 0))
    assert not any(steps.any() for steps in found.values())


def test_the_last_layer_can_move_alone():
    tensors = untrained()
    seen = observe(scene(), CONFIG, 3000, np.random.default_rng(0))
    found = changes.rounded(tensors, tune.tune(tensors, seen, 30, n_last=1))
    assert {name for name, steps in found.items() if steps.any()} == {"last", "last_bias"}
    assert tune.bits_per_sample(changes.applied(tensors, found), seen) < tune.bits_per_sample(tensors, seen)
    every = tune.tune(tensors, seen, 5, n_last=CONFIG.depth + 1)
    assert all(np.array_equal(a, every[name]) for name, a in tune.tune(tensors, seen, 5).items())


def test_tuned_weights_keep_their_bounds():
    tensors = random_tensors(CONFIG)
    seen = observe(scene(), CONFIG, 500, np.random.default_rng(0))
    loud = Observations(seen.features, seen.error * 100, *seen[2:])
    changes.applied(tensors, changes.rounded(tensors, tune.tune(tensors, loud, 5)))
