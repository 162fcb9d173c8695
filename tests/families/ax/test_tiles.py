"""Kernels on vectors give what the plain formulas give, on random and on extreme inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder import RansDecoder, RansEncoder
from lhic.coder.mixture import MEAN_LIMIT, SCALE_MAX, Mixture, reference_sigmoid, reference_weights
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import coder, fit, predict
from lhic.families.ax.cpu.arithmetic import log2_16
from lhic.families.ax.cpu.cdf import SEARCHED
from lhic.families.ax.cpu.mixture import FACTORS, mixtures_of
from lhic.families.ax.cpu.state import new_mixtures, new_scratch
from lhic.families.ax.experts import CONSTANT, DETAIL, INSIDE, NEIGHBOUR, SAMPLE
from lhic.families.ax.levels import Levels
from lhic.families.ax.spec import LOG_TABLE, POWER_TABLE, PRECISION, TOTAL
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN

N_OUTPUTS = 1 << 24


def network_sums(rng, kind: str, components: int, n: int):
    """Sums of the last layer (3 K, n), base and scale (n,): ordinary ones, and the ends of all ranges."""
    if kind == "ordinary":
        outputs = rng.normal(0, 1, (3 * components, n)) * 2.0**15
        base, scale = rng.normal(0, 2.0**9, n) * 64, 2.0 ** rng.uniform(4, 20, n)
    else:
        outputs = rng.choice([-N_OUTPUTS + 1, N_OUTPUTS - 1, -1, 0, 1, 1023, -1025], (3 * components, n))
        base = rng.choice([-(2**21), 2**21, 0, -1], n)
        scale = rng.choice([12, 13, 2**20 - 1, 2.8e9], n)
    outputs, base, scale = np.rint(outputs), np.rint(base), np.maximum(np.rint(scale), 12)
    return outputs.astype(np.float32), base, scale


def plain_mixture(outputs, base, scale) -> Mixture:
    """docs/format_lhic_ax.md, section 6, in integers: arrays (n, K)."""
    means, scales, logits = np.split(outputs.astype(np.int64).T, 3, axis=1)
    base, scale = base.astype(np.int64)[:, None], scale.astype(np.int64)[:, None]
    octaves = 2 * np.array([[log2_16(s)] for s in scale[:, 0]]) - 81
    return Mixture(
        np.clip(4 * base + ((means >> 7) * scale >> 10), -MEAN_LIMIT, MEAN_LIMIT),
        np.clip(octaves + (scales >> 10), 0, SCALE_MAX),
        logits >> 10,
    )


def plain_frequency(mixture: Mixture, level, z: int, levels: Levels, values: np.ndarray):
    """F of a level of each sample, section 7.1."""
    n = len(values)
    inside = np.clip(level, 1, n - 1)
    edge = (values[inside - 1] + values[inside]) << 7
    sigmoids = reference_sigmoid(edge[:, None] - mixture.mean, mixture.scale)
    inner = ((reference_weights(mixture.logit) * sigmoids).sum(1) * (TOTAL - n) >> 38) + level
    return np.where(level <= 0, 0, np.where(level >= n, TOTAL, inner))


def plane(rng, n_levels: int, sparse: bool):
    """A plane of so many levels as plane 1 of 2, and the model values of its levels."""
    values = np.arange(n_levels) - n_levels // 2
    if sparse:
        values = np.sort(rng.choice(2**16, n_levels, replace=False)) - 2**15
    table = np.concatenate([np.zeros(3, np.int64), values])
    starts = np.array([-1, 3 if sparse else -1])
    return Levels(np.array([0, values[0]]), np.array([2, n_levels]), starts, table.astype(np.int64)), values


def made_mixtures(outputs, base, scale):
    components, n = outputs.shape[0] // 3, outputs.shape[1]
    columns = -(-n // 16) * 16
    wide = np.zeros((3 * components, columns), np.float32)
    wide[:, :n] = outputs
    ends = [np.zeros(columns) for _ in range(3)]
    for end, values in zip(ends, (base, scale, np.array([log2_16(s) for s in scale])), strict=True):
        end[:n] = values
    mixtures = new_mixtures(components, columns)
    mixtures_of(wide, n, *ends, mixtures)
    return mixtures


cases = st.tuples(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["ordinary", "extreme"]),
    st.integers(1, 16),
    st.integers(1, 37),
    st.sampled_from([2, 3, 255, 256, 257, 700, 65_536]),
    st.booleans(),
)


@given(cases)
@settings(deadline=None)
def test_mixtures_and_intervals_are_those_of_the_format(case):
    seed, kind, components, n, n_levels, sparse = case
    rng = np.random.default_rng(seed)
    sums = network_sums(rng, kind, components, n)
    mixtures, plain = made_mixtures(*sums), plain_mixture(*sums)
    assert np.array_equal(mixtures.parts[:, 0, :n].T, plain.mean)
    assert np.array_equal(mixtures.weights[:, :n].T, reference_weights(plain.logit))
    levels, values = plane(rng, n_levels, sparse)
    level = rng.integers(0, n_levels, n)
    level[0], level[-1] = 0, n_levels - 1
    mixtures.levels[:n] = level
    coded = rng.random(n) < 0.8
    starts, freqs = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
    used = coder.encode_wave(1, levels, mixtures, coded, n, starts, freqs, 0)
    start, end = (plain_frequency(plain, x, 1, levels, values)[coded] for x in (level, level + 1))
    assert starts[:used].tolist() == start.tolist() and freqs[:used].tolist() == (end - start).tolist()


def with_candidates(mixtures, rng, values, n):
    """The same mixtures with a last component as of samples that may repeat others."""
    found = new_mixtures(len(mixtures.weights) + 1, mixtures.weights.shape[1] - SEARCHED)
    found.parts[:-1], found.near[:], found.spread[:] = mixtures.parts, mixtures.near, mixtures.spread
    found.parts[-1, 0], found.parts[-1, 1] = 0, FACTORS[0]
    weight = rng.choice([4, 200, 8000, 2**14 - 32], n)
    found.parts[-1, 0, :n] = rng.choice(values, n) << 8
    found.weights[:-1, :n] = mixtures.weights[:, :n] * (2**14 - weight) >> 14
    found.weights[-1, :n] = 2**14 - found.weights[:-1, :n].sum(0)
    return found


@given(cases, st.sampled_from([1, 2, 3, 4, 5, 8, 64]), st.booleans())
@settings(deadline=None)
def test_levels_come_back_whatever_the_lanes(case, n_lanes, repeats):
    seed, kind, components, n, n_levels, sparse = case
    rng = np.random.default_rng(seed)
    mixtures = made_mixtures(*network_sums(rng, kind, components, n))
    levels, values = plane(rng, n_levels, sparse)
    if repeats:
        mixtures = with_candidates(mixtures, rng, values, n)
    coded = rng.random(n) < 0.8
    encoder = RansEncoder(n_lanes, PRECISION)
    waves = [rng.integers(0, n_levels, n) for _ in range(2)]
    near = (mixtures.parts[-1, 0, :n].astype(int) >> 8) + rng.integers(-1, 2, n)
    waves.append(np.clip(np.searchsorted(values, near), 0, n_levels - 1))
    for level in waves:
        mixtures.levels[:n] = level
        starts, freqs = np.zeros(n, np.uint32), np.zeros(n, np.uint32)
        used = coder.encode_wave(1, levels, mixtures, coded, n, starts, freqs, 0)
        encoder.push(starts[:used], freqs[:used])
    decoder = RansDecoder(encoder.finish(), n_lanes, PRECISION)
    for level in waves:
        assert coder.decode_wave(1, levels, mixtures, repeats, coded, n, decoder.states, decoder.words, decoder.cursor)
        assert np.array_equal(mixtures.levels[:n][coded], level[coded])
    decoder.finish()


def test_words_that_run_out_are_told():
    rng = np.random.default_rng(8)
    mixtures = made_mixtures(*network_sums(rng, "ordinary", 3, 30))
    levels, _ = plane(rng, 40_000, sparse=False)
    for n_lanes in (1, 8):
        states, cursor = np.full(n_lanes, 2**31), np.zeros(2, np.int64)
        words = np.zeros(2, np.uint32)
        assert not coder.decode_wave(1, levels, mixtures, False, np.ones(30, bool), 30, states, words, cursor)


def test_the_logarithm_and_the_power_are_those_of_the_format():
    """docs/format_lhic_ax.md, section 3, for values around every power of two, and for all powers."""
    mantissas = np.log2((64 + np.arange(64) + 0.5) / 64)
    assert LOG_TABLE.tolist() == np.rint(16 * mantissas).astype(int).tolist()
    values = np.unique(np.concatenate([np.arange(1, 3000), *(2 ** np.arange(3, 45)[:, None] + np.arange(-3, 4))]))
    for value in values.tolist():
        e = value.bit_length() - 1
        assert log2_16(value) == 16 * e + LOG_TABLE[(value << 6 >> e) - 64]
    below = np.arange(241)
    assert POWER_TABLE.tolist() == (2 * np.rint(2.0 ** (14 - below % 16 / 16)).astype(int) >> below // 16).tolist()


REGRESSORS = [
    (CONSTANT, 0, 0, 0), (SAMPLE, 0, -1, 0), (NEIGHBOUR, 0, -2, -1), (NEIGHBOUR, 0, -2, -2), (DETAIL, 1, 0, 0),
    (SAMPLE, 2, 3, 1), (DETAIL, 3, 0, 0), (INSIDE, 0, -3, -1), (INSIDE, 0, -14, -8),
]  # fmt: skip


@pytest.mark.parametrize("z", [0, 2, 3])
@pytest.mark.parametrize("n", [1, 4, 17, 32])
def test_predictions_and_inputs_are_sums_over_the_pictures(z, n):
    rng = np.random.default_rng(n)
    samples, details = (rng.choice([-(2**15), 2**15, 77], (4, 60, 50)).astype(np.int32) for _ in range(2))
    weights = rng.integers(1, 33, 48).astype(float)
    wave, n_columns = 22, 20
    u, row = wave + WAVE_MARGIN, ROW_MARGIN
    samples[z, u - 2, row - 2] = 0  # what is not known yet
    regressors = np.array(REGRESSORS)
    means = (samples[z, u, row : row + 48] - details[z, u, row : row + 48]).astype(float)
    coefficients = rng.choice([-(2.0**26), 2.0**26, 12345.0], len(regressors))
    inputs = np.zeros((len(regressors), n), np.int64)
    for r, (kind, back, du, di) in enumerate(REGRESSORS):
        if kind == CONSTANT:
            inputs[r] = 256
        elif z >= back:
            picture = details if kind == DETAIL else samples
            inputs[r] = picture[z - back, u + du, row + di : row + di + n]
            inputs[r] -= (kind in (NEIGHBOUR, INSIDE)) * means[:n].astype(np.int64)
        if kind == INSIDE:
            i = np.arange(n) + di
            j = wave - 2 * np.arange(n) + du - 2 * di
            inputs[r] *= (i >= 0) & (j >= 0) & (j < n_columns)
    found = np.zeros(48)
    where = samples, details, means, z, u, row, n, n_columns
    predict.predict(regressors, coefficients, *where, np.zeros(64, np.int64), np.zeros(66), found)
    assert found[:n].tolist() == (coefficients.astype(np.int64) @ inputs >> 14).tolist()
    samples[z, u - 2, row - 2] = 99  # known by now, but it was not then
    scratch = new_scratch(AxConfig(), 70, 70)
    fit.gather(regressors, False, samples, details, weights, z, u, row, n, n_columns, 8, scratch)
    target = samples[z, u, row : row + n]
    assert np.array_equal(scratch.inputs[: len(regressors), 8 : 8 + n], inputs)
    assert np.array_equal(scratch.weighted[: len(regressors) + 1, 8 : 8 + n], np.vstack([inputs, target]) * weights[:n])
    assert not scratch.weighted[: len(regressors) + 1, 8 + n : 8 + (n + 7) // 8 * 8].any()


@pytest.mark.parametrize("n_regressors", [1, 2, 3, 4, 5, 14, 33, 48])
@pytest.mark.parametrize("n", [1, 4, 30])
def test_normal_equations_are_sums_of_products(n_regressors, n):
    rng = np.random.default_rng(n_regressors)
    side = int(fit.padded.py_func(n_regressors))
    inputs = rng.integers(-(2**16), 2**16, (64, 32)).astype(float)
    targets, weights = rng.integers(-(2**16), 2**16, 32).astype(float), rng.integers(1, 33, 32).astype(float)
    weights[n:] = 0
    gram, moment = np.ones((side, side)), np.ones(side)
    weighted = np.zeros((64, 32))
    weighted[:n_regressors] = (inputs * weights)[:n_regressors]
    weighted[n_regressors] = targets * weights
    fit.accumulate(inputs, weighted, n_regressors, (n + 3) // 4 * 4, gram, moment)
    own = inputs[:n_regressors]
    expected = 1 + (own * weights) @ own.T
    lower = np.tril_indices(n_regressors)
    assert np.array_equal(gram[:n_regressors, :n_regressors][lower], expected[lower])
    assert np.array_equal(moment[:n_regressors], 1 + (own * weights) @ targets)
