"""The compiled path against torch: single kernels, whole networks, and the rounding both share."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from torch.nn import functional as F

from lhic.coder import grid_coordinates
from lhic.families.bp import kernels
from lhic.families.bp.engines import CompiledEngine, PlanePass, TorchEngine
from lhic.families.bp.order import coding_order, n_diagonals
from lhic.families.bp.partition import plane_to_unit, split
from lhic.families.bp.products import affine
from lhic.families.bp.quantise import grid_transform
from lhic.families.bp.wavefront import WavefrontPscam
from lhic.families.near_ties import MARGIN, round_and_list, round_as_listed
from tests.families.bp.common import random_nets, random_samples


@njit
def _exp(x):
    out = np.empty(x.size)
    for i in range(x.size):
        out[i] = kernels.exp(x[i])
    return out


def test_exp_is_exact_to_a_unit_in_the_last_place():
    x = np.concatenate([np.linspace(-708, 708, 200_001), np.linspace(-1, 1, 20_001), [0.0]])
    assert np.abs(_exp(x) / np.exp(x) - 1).max() < 4e-16
    assert _exp(np.array([0.0]))[0] == 1.0
    assert _exp(np.array([-1e300, 1e300])).tolist() == _exp(np.array([-708.0, 708.0])).tolist()


def test_multiplications_and_additions_are_fused_only_where_told():
    """A fused multiply-add rounds once: a compiler that chose where would choose differently on every processor."""
    kernel = njit(error_model="numpy")(kernels.depthwise7x7.py_func)
    kernel(np.ones((3, 7, 7)), np.ones(3), np.ones((3, 9, 9)))
    (assembly,) = kernel.inspect_asm().values()
    assert "mul" in assembly
    assert not any(fused in assembly for fused in ("fmadd", "fmsub", "fmla", "fmls"))


@pytest.mark.parametrize(("n_outputs", "n_inputs", "n"), [(1, 1, 1), (3, 5, 11), (4, 7, 12), (9, 16, 40)])
def test_products_are_added_in_order_and_rounded_once(n_outputs, n_inputs, n):
    """Against exact fractions: these bits, on every processor."""
    rng = np.random.default_rng(n)
    weight, bias = rng.normal(size=(n_outputs, n_inputs)), rng.normal(size=n_outputs)
    x, y = rng.normal(size=(n_inputs, n + 2)), np.full((n_outputs, n + 1), 7.0)
    affine(weight, bias, x, y, n)
    for o, p in np.ndindex(n_outputs, n):
        total = bias[o]
        for i in range(n_inputs):
            total = float(Fraction(total) + Fraction(weight[o, i]) * Fraction(x[i, p]))
        assert y[o, p] == total
    assert np.all(y[:, n] == 7.0)


@pytest.mark.parametrize("n_features", [2, 5, 24])
def test_kernels_equal_torch(n_features):
    rng = np.random.default_rng(n_features)
    x = rng.normal(size=(n_features, 32, 32))
    bias = rng.normal(size=n_features)

    def same(found, expected):
        assert np.abs(found - expected.numpy().reshape(found.shape)).max() < 1e-12

    image, tensor_bias = torch.from_numpy(x)[None], torch.from_numpy(bias)
    weight = rng.normal(size=(n_features, n_features, 3, 3))
    same(kernels.conv3x3(weight, bias, x), F.conv2d(image, torch.from_numpy(weight), tensor_bias, padding=1))
    weight = rng.normal(size=(n_features, 7, 7))
    expected = F.conv2d(image, torch.from_numpy(weight)[:, None], tensor_bias, padding=3, groups=n_features)
    same(kernels.depthwise7x7(weight, bias, x), expected)
    groups = max(n_features // 2, 1)
    if n_features % groups == 0:
        expected = F.silu(F.group_norm(image, groups, tensor_bias, tensor_bias))
        same(kernels.group_norm(bias, bias, x, groups, True), expected)
    flat = x.reshape(n_features, -1)
    out = np.empty_like(flat)
    kernels.layer_norm(bias, bias, flat, out, flat.shape[1])
    same(out, F.layer_norm(image[0].flatten(1).T, (n_features,), tensor_bias, tensor_bias).T)


@pytest.mark.parametrize("size", [1.0, 60.0])
def test_attention_equals_torch(size):
    """The larger scores need the shift by their maximum; without it they would overflow."""
    rng = np.random.default_rng(3)
    query, key, value = rng.normal(size=(3, 6, 300)) * np.array([size, size, 1.0])[:, None, None]
    q, k, v = (torch.from_numpy(a.T.copy())[None] for a in (query, key, value))
    expected = F.scaled_dot_product_attention(q, k, v, scale=1.0)[0].T.numpy()
    assert (np.abs(query.T @ key).max() > 1000) == (size > 1)
    # The scores themselves carry an absolute error of their size times 2^-52.
    assert np.abs(kernels.attention(query, key, value) - expected).max() < 1e-13 * size**2


def test_wavefront_pscam_equals_masked_convolutions():
    band = torch.rand(3, 1, 9, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for net in random_nets():
        expected = net.spatial_net(band).flatten(2)
        wavefront = WavefrontPscam(net.spatial_net, (3, 9, 13))
        for _ in range(2):  # the second band finds what the first one left in the caches
            for diagonal in range(n_diagonals(9, 13)):
                at = wavefront.positions(diagonal)
                found = wavefront.features(diagonal).transpose(1, 2)
                assert (found - expected[:, :, at]).abs().max() < 1e-10
                wavefront.put(diagonal, band.flatten(2)[:, 0, at])


def _coordinates(engine, net, samples, sizes):
    """Grid coordinates (T, S, H * W, 3 K) of a plane of full tiles, as an encoder gets them."""
    msp, lsp = split(samples, 8)
    is_lsp = hasattr(net, "plane_net")
    plane = plane_to_unit(msp.astype(np.float64), 8, 10000) if is_lsp else None
    symbols, alphabet_size = (lsp, 256) if is_lsp else (msp, 40)
    heights, widths = np.array(sizes).T.copy()
    work = PlanePass(net, symbols.astype(np.int32), heights, widths, alphabet_size, 20, plane)
    bands = []
    engine.run(work, lambda band, coordinates: bands.append(coordinates.copy()))
    return np.stack(bands, 1)


def test_engines_agree_far_within_the_margin():
    """Both engines, alone and in groups, give the training form's coordinates to 2^-29 of a grid step."""
    samples = random_samples((3, 3, 32, 32))
    nets = random_nets()
    rows, columns = coding_order(32, 32)
    engines = [CompiledEngine(*nets), TorchEngine(torch.device("cpu"))]
    for net, alphabet_size in zip(nets, (40, 256)):
        mixture = [part.numpy() for part in net(torch.from_numpy(samples))]
        expected = np.concatenate(grid_coordinates(*mixture, alphabet_size), axis=-1)[:, :, rows, columns]
        for engine in engines:
            together = _coordinates(engine, net, samples, [(32, 32)] * 3)
            assert np.abs(together - expected).max() < 2.0**-29
            alone = _coordinates(engine, net, samples[1:2], [(32, 32)])
            assert np.abs(alone - expected[1:2]).max() < 2.0**-29
        # The compiled path: not close but equal, whatever the group.
        assert np.array_equal(
            _coordinates(engines[0], net, samples, [(32, 32)] * 3)[1:2],
            _coordinates(engines[0], net, samples[1:2], [(32, 32)]),
        )


def test_grid_transform_is_the_coder_s():
    rng = np.random.default_rng(0)
    for alphabet_size in (2, 40, 256, 65536):
        values = rng.normal(size=(3, 1000)) * np.array([2.0, 6.0, 300.0])[:, None]
        expected = grid_coordinates(*values, alphabet_size)
        factor, offset, low, high = grid_transform(alphabet_size).T[:, :, None]
        assert np.allclose(np.clip(values * factor + offset, low, high), np.stack(expected), rtol=1e-14, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 1 - 2.0**-10]), st.integers(0, 5000))
def test_decoder_rounds_as_listed(seed, disturbance, first_index):
    """Coordinates crowded around rounding boundaries, off by up to the margin: the same integers."""
    rng = np.random.default_rng(seed)
    boundaries = rng.integers(-3000, 3000, 400) + 0.5
    coordinates = boundaries + rng.choice([0, 1e-9, 0.3, 0.9, 1.1, 3, 1e5], 400) * MARGIN * rng.choice([-1, 1], 400)
    integers, indices, parities = np.empty(400, np.int32), np.empty(400, np.int64), np.empty(400, np.uint8)
    n_listed = round_and_list(coordinates, first_index, integers, indices, parities)
    assert 0 < n_listed < 400
    other = coordinates + rng.uniform(-1, 1, 400) * disturbance * MARGIN
    again, cursor = np.empty(400, np.int32), np.zeros(1, np.int64)
    round_as_listed(other, first_index, again, indices[:n_listed], parities[:n_listed], cursor)
    assert np.array_equal(again, integers)
    assert cursor[0] == n_listed
    if disturbance > 0.4:  # the list was needed
        assert not np.array_equal(np.floor(other + 0.5), integers)


def test_a_false_list_cannot_leave_the_grid():
    coordinates = np.array([0.0, 800.0, 3.2])
    integers, cursor = np.empty(3, np.int32), np.zeros(1, np.int64)
    for parity in (0, 1):
        cursor[0] = 0
        round_as_listed(coordinates, 0, integers, np.arange(3), np.full(3, parity, np.uint8), cursor)
        assert integers.tolist() == [0, 800, 3]


def test_not_a_number_is_told():
    integers, indices, parities = np.empty(2, np.int32), np.empty(2, np.int64), np.empty(2, np.uint8)
    assert round_and_list(np.array([1.0, math.nan]), 0, integers, indices, parities) == -1
