"""The mixture: pinned tables, guarantees of F, agreement of both forms, coded length against the float formula."""

from __future__ import annotations

import hashlib
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder import Mixture, RansDecoder, RansEncoder, decode_symbols, grid_coordinates, interval, quantise
from lhic.coder.mixture import (
    EXP2_TABLE,
    LOGIT_LIMIT,
    MEAN_LIMIT,
    SCALE_MAX,
    SIGMOID_TABLE,
    reference_cdf,
    reference_interval,
    reference_sigmoid,
    reference_weights,
)
from lhic.errors import CorruptStreamError, TruncatedStreamError, UsageError
from tests.common import REPOSITORY


def test_tables_are_the_format():
    # Format v1: a different hash here means that no older stream can be decoded.
    def digest(table):
        return hashlib.sha256(table.astype("<i8").tobytes()).hexdigest()

    assert digest(EXP2_TABLE) == "ed3bfe835121ebe539215c3b449df183fd101456405a659e5a5e5d123c936237"
    assert digest(SIGMOID_TABLE) == "049e92d940da215bac416b8952d960cd6e49a0031d509f42185c5ec7405a2895"


def test_tables_equal_their_formulas_in_decimal_arithmetic():
    with localcontext() as context:
        context.prec = 60
        two = Decimal(2)
        exp2 = [round(two**16 * two ** (-Decimal(f) / 32)) for f in range(32)]
        sigmoid = [round(two**24 / (1 + two ** (-Decimal(j) / 64))) for j in range(24 * 64 + 1)]
    assert EXP2_TABLE.tolist() == exp2
    assert SIGMOID_TABLE.tolist() == [*sigmoid, sigmoid[-1]]


def test_sigmoid_never_falls_and_mirrors():
    distance = np.arange(-(1 << 17), (1 << 17) + 1)
    for scale in (0, 1, 31, 32, 200, 333, 544, SCALE_MAX):
        value = reference_sigmoid(distance, np.int64(scale))
        assert (np.diff(value) >= 0).all()
        assert (value + value[::-1] == 1 << 24).all()
        assert value.min() >= 0 and value.max() <= 1 << 24
        t = 2.0 ** (scale / 32 - 8)
        with np.errstate(over="ignore"):
            exact = 2**24 / (1 + 2.0 ** (-distance / 256 / t))
        assert np.abs(value - exact).max() < 100  # 6e-6 of the whole: mantissas of 16 bits


def test_weights_worked_by_hand():
    # one octave apart: 2/3 and 1/3 of 2^14, floored, and what is left to the greater
    assert reference_weights(np.array([[32, 0]])).tolist() == [[10923, 5461]]
    assert reference_weights(np.array([[0, 0, 0]])).tolist() == [[5462, 5461, 5461]]
    assert reference_weights(np.array([[LOGIT_LIMIT, -LOGIT_LIMIT]])).tolist() == [[1 << 14, 0]]


@st.composite
def mixtures(draw):
    precision = draw(st.sampled_from([0, 1, 8, 16, 20, 24]))
    alphabet_size = draw(st.sampled_from([a for a in (1, 2, 3, 40, 256, 1000, 1 << 16) if a <= 1 << precision]))
    n, n_components = draw(st.integers(1, 30)), draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (n, n_components)
    low, high = draw(st.sampled_from([(-MEAN_LIMIT, MEAN_LIMIT), (0, alphabet_size << 8), (-5000, -4000)]))
    mixture = Mixture(
        rng.integers(low, high + 1, shape),
        rng.integers(*draw(st.sampled_from([(0, SCALE_MAX + 1), (0, 64), (400, 600)])), shape),
        rng.integers(*draw(st.sampled_from([(-LOGIT_LIMIT, LOGIT_LIMIT + 1), (-100, 100), (0, 1)])), shape),
    )
    return mixture, rng.integers(0, alphabet_size, n), alphabet_size, precision


@settings(deadline=None, max_examples=200)
@given(mixtures())
def test_both_forms_agree_and_decode(case):
    mixture, symbols, alphabet_size, precision = case
    starts, freqs = interval(mixture, symbols, alphabet_size, precision)
    expected = reference_interval(mixture, symbols, alphabet_size, precision)
    assert starts.tolist() == expected[0].tolist() and freqs.tolist() == expected[1].tolist()
    assert (freqs >= 1).all()
    encoder = RansEncoder(5, precision)
    encoder.push(starts, freqs)
    decoder = RansDecoder(encoder.finish(), 5, precision)
    half = len(symbols) // 2
    decoded = [decode_symbols(Mixture(*(f[:half] for f in mixture)), decoder, alphabet_size)]
    decoded += [decode_symbols(Mixture(*(f[half:] for f in mixture)), decoder, alphabet_size)]
    decoder.finish()
    assert np.concatenate(decoded).tolist() == symbols.tolist()


@settings(deadline=None, max_examples=60)
@given(mixtures())
def test_intervals_tile_the_range(case):
    mixture, _, alphabet_size, precision = case
    edges = np.unique(np.linspace(0, alphabet_size, 40).astype(np.int64))
    table = np.stack([reference_cdf(mixture, np.full(len(mixture.mean), x), alphabet_size, precision) for x in edges])
    assert (table[0] == 0).all() and (table[-1] == 1 << precision).all()
    assert (np.diff(table, axis=0) >= np.diff(edges)[:, None]).all()


def simulate(rng, n, alphabet_size, low, high):
    """Mixtures of ten as a network gives them, scales between low and high symbols, and symbols drawn from them."""
    base = np.exp(rng.uniform(np.log(low), np.log(high), (n, 1)))
    scale = base * np.exp(rng.normal(0, 0.5, (n, 10)))
    mean = rng.uniform(0, alphabet_size, (n, 1)) + rng.normal(0, 1, (n, 10)) * base
    logit = rng.normal(0, 2, (n, 10))
    weight = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    k = np.minimum((rng.random((n, 1)) > np.cumsum(weight, 1)).sum(1), 9)
    u, i = rng.uniform(1e-12, 1 - 1e-12, n), np.arange(n)
    symbols = np.rint(mean[i, k] + scale[i, k] * np.log(u / (1 - u)))
    return np.clip(symbols, 0, alphabet_size - 1).astype(np.int64), mean, scale, logit, weight


def published_probability(symbols, mean, scale, weight, alphabet_size):
    """The float formula: open edges, and at least 2^-16 for each symbol."""

    def sigmoid(x):
        return 0.5 * (1 + np.tanh(x / 2))

    x = symbols[:, None]
    below = np.where(x == 0, -np.inf, (x - 0.5 - mean) / scale)
    above = np.where(x == alphabet_size - 1, np.inf, (x + 0.5 - mean) / scale)
    # Mirrored on the upper side, where the difference of two numbers near 1 would lose its digits.
    p = np.where(below > 0, sigmoid(-below) - sigmoid(-above), sigmoid(above) - sigmoid(below))
    return (weight * p).sum(1) * (1 - alphabet_size * 2.0**-16) + 2.0**-16


@pytest.mark.parametrize(
    "alphabet_size, low, high",
    [(40, 0.02, 1.0), (256, 2.0, 60.0), (256, 0.01, 0.2)],
    ids=["most significant", "least significant", "peaked"],
)
def test_length_is_that_of_the_published_formula(alphabet_size, low, high):
    rng = np.random.default_rng(alphabet_size)
    symbols, mean, scale, logit, weight = simulate(rng, 200_000, alphabet_size, low, high)
    ideal = -np.log2(published_probability(symbols, mean, scale, weight, alphabet_size)).sum()
    half = (alphabet_size - 1) / 2
    mixture = quantise(mean / half - 1, np.log(scale / half), logit, alphabet_size)
    starts, freqs = interval(mixture, symbols, alphabet_size, 16)
    assert abs(-np.log2(freqs / 2.0**16).sum() / ideal - 1) < 0.0005
    encoder = RansEncoder(4, 16)
    encoder.push(starts, freqs)
    assert abs((8 * len(encoder.finish()) - 4 * 31) / ideal - 1) < 0.001  # less what the states hold at rest


def test_grid_coordinates_take_tensors_and_clamp():
    values = [[-1.0, 0.0, 1.0, 1e30, -1e30]]
    arrays = grid_coordinates(*(np.array(values),) * 3, 256)
    tensors = grid_coordinates(*(torch.tensor(values, dtype=torch.float64),) * 3, 256)
    for array, tensor in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-15)
    assert arrays[0].tolist() == [[0, 127.5 * 256, 255 * 256, MEAN_LIMIT, -MEAN_LIMIT]]
    assert arrays[1][0, 3:].tolist() == [SCALE_MAX, 0]
    assert arrays[2][0, 3:].tolist() == [LOGIT_LIMIT, -LOGIT_LIMIT]


def test_words_that_run_out_are_told():
    rng = np.random.default_rng(0)
    n = 500
    mixture = Mixture(rng.integers(0, 256 << 8, (n, 3)), np.full((n, 3), 400), np.zeros((n, 3), np.int32))
    encoder = RansEncoder(2, 16)
    encoder.push(*interval(mixture, rng.integers(0, 256, n), 256, 16))
    data = encoder.finish()
    with pytest.raises(TruncatedStreamError):
        decode_symbols(mixture, RansDecoder(data[:-4], 2, 16), 256)
    damaged = bytearray(data)
    damaged[20] ^= 1
    decoder = RansDecoder(bytes(damaged), 2, 16)
    with pytest.raises(CorruptStreamError):
        decode_symbols(mixture, decoder, 256)
        decoder.finish()


def good():
    return Mixture(*(np.zeros((3, 2), np.int32) for _ in range(3)))


@pytest.mark.parametrize(
    "mixture, symbols, alphabet_size, precision",
    [
        (good()._replace(mean=np.zeros((3, 2))), [0, 0, 0], 4, 16),
        (good()._replace(scale=np.full((3, 2), SCALE_MAX + 1)), [0, 0, 0], 4, 16),
        (good()._replace(scale=np.full((3, 2), -1)), [0, 0, 0], 4, 16),
        (good()._replace(mean=np.full((3, 2), MEAN_LIMIT + 1)), [0, 0, 0], 4, 16),
        (good()._replace(logit=np.full((3, 2), 1 << 40)), [0, 0, 0], 4, 16),
        (good()._replace(logit=np.zeros((3, 3), int)), [0, 0, 0], 4, 16),
        (good(), [0, 0, 4], 4, 16),
        (good(), [0, 0, -1], 4, 16),
        (good(), [0, 0], 4, 16),
        (good(), [0, 0, 0.5], 4, 16),
        (good(), [0, 0, 0], 5, 2),
        (good(), [0, 0, 0], 0, 16),
        (good(), [0, 0, 0], (1 << 16) + 1, 24),
        (good(), [0, 0, 0], 4, 25),
    ],
)
def test_refused(mixture, symbols, alphabet_size, precision):
    for function in (interval, reference_interval):
        with pytest.raises(UsageError):
            function(mixture, symbols, alphabet_size, precision)


def test_nan_is_refused():
    with pytest.raises(UsageError, match="NaN"):
        quantise(np.array([[np.nan]]), np.zeros((1, 1)), np.zeros((1, 1)), 4)


def test_example_of_the_format_chapter():
    text = (REPOSITORY / "docs" / "format_rans.md").read_text(encoding="utf-8")
    mixture = Mixture(np.array([[512, 1024]]), np.array([[256, 320]]), np.array([[0, -32]]))
    edges = [int(reference_cdf(mixture, [x], 8, 16)[0]) for x in range(9)]
    assert f"`F` = {', '.join(map(str, edges))}." in text
    for table in (EXP2_TABLE, SIGMOID_TABLE):
        assert hashlib.sha256(table.astype("<i8").tobytes()).hexdigest() in text
