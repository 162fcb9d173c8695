"""The network that goes on learning while it codes: gradients, bounds, and that nobody's order decides."""

import dataclasses
import math

import numpy as np
import pytest

from lhic.coder.mixture import WEIGHT_BITS
from lhic.errors import ConfigError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import adapt, mixture
from lhic.families.ax.cpu.gradient import gradient_tile
from lhic.families.ax.cpu.state import new_scratch
from lhic.families.ax.integer_net import EXACT, check_bounds, from_tensors
from lhic.families.ax.model import load
from lhic.families.ax.spec import ACTIVATION_LIMIT, OUTPUT_BITS
from lhic.families.family import Work
from lhic.kernels.jit import njit
from lhic.kernels.vectors import address
from lhic.stream.varint import Reader
from tests import document_decoder
from tests.common import coded
from tests.families.ax.common import SMALL, extreme_tiles, random_model, random_tensors, settings_of

ADAPTING = dataclasses.replace(SMALL, adaptation=4)


@njit
def _gradients(level, levels, parts, weights, found, n_outputs):
    table = address(levels) if levels.size and levels[0] != -(1 << 40) else 0
    for q in range(0, level.size, 4):
        gradient_tile(
            address(level), levels[0] if table else -5, levels.size if table else 300, table, address(parts),
            address(weights), address(found) + 8 * q, q, weights.shape[0], n_outputs, weights.shape[1], found.shape[1],
        )  # fmt: skip


@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
def test_gradients_are_those_of_the_documents(is_dense, repeats):
    rng = np.random.default_rng(8)
    n, k = 400, 3
    values = np.arange(-5, 295) if is_dense else np.unique(rng.integers(-900, 900, 300))
    level = rng.integers(0, len(values), n).astype(np.int32)
    level[:8], level[8:16] = 0, len(values) - 1
    near = values[level] * 256
    mean = np.stack([near + rng.normal(0, 10.0 ** rng.integers(0, 5, n)).round() for _ in range(k + repeats)])
    scale = rng.integers(0, 801, (k + repeats, n))
    mean[:, 16:24], scale[:, 16:24] = near[16:24] + 25600, 362  # far from what is expected
    weight = rng.integers(0, 1 << WEIGHT_BITS, (k - 1 + repeats, n)) // (k + repeats)
    weight = np.concatenate([(1 << WEIGHT_BITS) - weight.sum(0, keepdims=True), weight])
    if repeats:
        scale[k] = 0
    parts = np.stack([mean, mixture._FACTORS[scale]], 1)
    found = np.zeros((3 * k, n))
    table = np.array([-(1 << 40)]) if is_dense else values
    _gradients(level, table, parts, weight, found, k)
    for q in range(n):
        components = [(int(mean[c, q]), int(scale[c, q]), int(weight[c, q])) for c in range(k + repeats)]
        expected = document_decoder.gradients(components, k, values.tolist(), int(level[q]))
        assert found[:, q].tolist() == expected
    assert np.abs(found).max() == 127 and np.all(np.abs(found).max(1) > 20)


def test_a_gradient_is_how_the_ideal_code_length_changes():
    """Against differences of the code length, where levels are narrow and the candidate is another sample."""

    def bits(m, log_scale, logit, repeat):
        weight = np.exp2(logit) / np.exp2(logit).sum()
        edges = (np.array([-0.5, 0.5]) - m[:, None]) / np.exp2(log_scale)[:, None]
        return -math.log2((1 - repeat) * weight @ np.diff(1 / (1 + np.exp2(-edges)))[:, 0])

    m, log_scale, logit, repeat = np.array([3.0, -2.0]), np.array([1.5, 3.0]), np.array([0.5, 0.0]), 0.25
    weight = (1 - repeat) * np.exp2(logit) / np.exp2(logit).sum()
    components = [(round(256 * m[k]), round(32 * (log_scale[k] + 8)), round(2**14 * weight[k])) for k in range(2)]
    components.append((256 * 40, 0, 2**14 - sum(w for _, _, w in components)))
    found = document_decoder.gradients(components, 2, list(range(-200, 200)), 200)
    for k in range(2):
        step = 1e-4 * np.eye(2)[k]
        of_mean, of_scale, of_logit = (
            (bits(*more) - bits(*less)) / 2e-4
            for more, less in (
                ((m + step, log_scale, logit, repeat), (m - step, log_scale, logit, repeat)),
                ((m, log_scale + step, logit, repeat), (m, log_scale - step, logit, repeat)),
                ((m, log_scale, logit + step, repeat), (m, log_scale, logit - step, repeat)),
            )
        )
        assert abs(found[k] - 64 * of_mean * 2 ** log_scale[k]) < 1.5  # in the component's own width
        assert abs(found[2 + k] - 32 * of_scale / math.log(2)) < 1.5
        assert abs(found[4 + k] - 64 * of_logit) < 1.5


@pytest.mark.parametrize("name", extreme_tiles())
@pytest.mark.parametrize("adaptation", [1, 4])
def test_extreme_tiles(name, adaptation):
    tile = extreme_tiles()[name]
    model = random_model(dataclasses.replace(SMALL, adaptation=adaptation), share=0.02)
    sections = coded(model, [tile], settings_of().to_bytes())
    (found,) = model.decode_tiles([tile.shape], tile.dtype, sections, settings_of().to_bytes(), Work())
    assert np.array_equal(found, tile)


def tiles_of_many_groups() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    tiles = [rng.normal(0, 40, (11, h, w)).cumsum(0).astype("int16") for h, w in ((33, 40), (24, 24), (40, 9))]
    tiles[1][:, 5:9, 3:20] = -32768
    return tiles


@pytest.mark.parametrize("group_planes", [1, 3])
def test_threads_and_neighbouring_tiles_change_nothing(group_planes):
    tiles, parameters = tiles_of_many_groups(), settings_of(group_planes, n_lanes=2).to_bytes()
    model = random_model(ADAPTING, share=0.02)
    alone = [coded(model, [tile], parameters, Work(threads=1))[0] for tile in tiles]
    assert alone != coded(random_model(share=0.02), tiles, parameters)
    for n in (1, 2, 4):
        assert coded(model, tiles, parameters, Work(threads=n)) == alone
        shapes = [tile.shape for tile in tiles]
        found = model.decode_tiles(shapes, tiles[0].dtype, alone, parameters, Work(threads=n))
        assert all(np.array_equal(a, b) for a, b in zip(found, tiles, strict=True))


def test_first_bands_need_no_later_group():
    tile, settings = tiles_of_many_groups()[0], settings_of()
    model = random_model(ADAPTING, share=0.02)
    (sections,) = coded(model, [tile], settings.to_bytes())
    first = sections[0], sections[1], sections[2][: len(sections[2]) // 2] + bytes(-(-len(sections[2]) // 2))
    (found,) = model.decode_first_bands([tile.shape], tile.dtype, [first], settings.to_bytes(), 3, Work(threads=1))
    assert np.array_equal(found, tile[:3])


def test_what_is_learned_saves_bits_in_the_groups_that_follow():
    """A network that takes every error for twice as large as it is."""
    tile = np.random.default_rng(4).normal(0, 30, (24, 24, 24)).round().astype("int16")
    tensors, sizes = random_tensors(SMALL, share=0.001), {}
    tensors["last_bias"][3:6] += 1 << OUTPUT_BITS
    for adaptation in (0, 4):
        config = SMALL.to_dict() | {"adaptation": adaptation}
        (sections,) = coded(load("wide", config, tensors, bytes(32)), [tile], settings_of(4).to_bytes())
        reader = Reader(sections[1], "groups")
        sizes[adaptation] = np.array([reader.varint("", 0, 1 << 20) for _ in range(6)])
    saved = 1 - sizes[4] / sizes[0]
    assert np.all(np.diff(saved) > 0) and saved[-1] > 0.02


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_sums_of_the_changed_layer_stay_exact(share):
    """Whatever the sums are, every row keeps the bound; where weights leave no room none changes."""
    tensors = random_tensors(ADAPTING, share=share)
    if share == 1:
        tensors["last"][:] = EXACT // ACTIVATION_LIMIT // ADAPTING.width - 1
        tensors["last_bias"][:] = 4095 * ADAPTING.width
    net = from_tensors(ADAPTING, tensors, "random")
    learner = adapt.new_learner(ADAPTING, net, 3, (9, 9), None, True)
    own, rng = adapt.learning_net(net, learner), np.random.default_rng(0)
    learner.own[0] = rng.choice([-(2.0**46), 2.0**46, 0.0], learner.own[0].shape)
    adapt.change_weights(1, own, learner, new_scratch(ADAPTING, 9, 9))
    changed = own.tensors()
    check_bounds(changed, "changed")
    assert np.array_equal(net.tensors()["last"], tensors["last"])
    assert np.array_equal(changed["last"], tensors["last"]) == (share == 1)


def test_weights_change_at_steps_that_all_groups_have():
    with pytest.raises(ConfigError, match="adaptation: expected 0, 1, 2 or 4, found 3"):
        AxConfig.from_dict(AxConfig().to_dict() | {"adaptation": 3})
