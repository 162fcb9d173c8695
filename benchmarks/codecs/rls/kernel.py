"""The sample loop of the RLS codec: predict, mix, code, learn.  Encoder and decoder run the same function.

Decides the interval of each sample from the samples before it (bands in order, each in raster order).  Knows
nothing of headers.  Described in docs/rls.md.

Sources: recursive least squares over previous bands, J. Song, Z. Zhang, X. Chen, "Lossless compression of
hyperspectral imagery via RLS filter", Electronics Letters 49(16), 2013, with the samples less their local mean as
inputs; blending by local squared errors as in lossless image coders of the TMW family; the rest is our own.  Variable
forgetting: T. R. Fortescue, L. S. Kershenbaum, B. E. Ydstie, "Implementation of self-tuning regulators with variable
forgetting factors", Automatica 17(6), 1981; proposed for such images, with another rule, by C. Li, F. Zhu, "Novel
lossless compression method for hyperspectral images based on variable forgetting factor recursive least squares",
Journal of Information Processing Systems, 2024, doi:10.3745/JIPS.02.0219.

Exactness.  Every stream depends on float64 results down to the last bit.  They are the same on every machine because
only `+ - * /`, `sqrt`, comparisons and conversions are used, which IEEE 754 rounds correctly, in the order written
here: no fast-math, no fused multiply-add (LLVM fuses only where the front end allows it, and numba does not; a test
looks for such instructions in the compiled code), no library function such as exp or log (`frexp` only takes a number
apart).  Loops that vectorise do so over independent sums.  From the mixture's components on all is integers.
"""

from __future__ import annotations

from math import frexp, sqrt
from typing import NamedTuple

import numpy as np

from lhic.coder.mixture import MEAN_BITS, SCALE_MIN_LOG2, SIGMOID_BITS, WEIGHT_BITS
from lhic.coder.mixture_kernels import cdf_at, search_symbol, sigmoid_at
from lhic.coder.rans_kernels import advance, peek
from lhic.kernels.jit import lean

PRECISION = 24  # alphabets reach 2^16, and each symbol has at least 2^-24

# Neighbours in the band, nearest first: rows up, columns to the left.
# fmt: off
NEIGHBOURS = np.array([
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1),
    (0, -3), (-3, 0), (-1, 3), (-1, -3), (-2, 2), (-2, -2), (-3, 1), (-3, -1),
], np.int64)
# fmt: on
MARGIN = 4  # columns and rows around the maps of errors, so that no neighbour needs a test

# The experts, at most three: previous bands (0 .. K), neighbours, and forgetting factor.
MAX_EXPERTS = 3
BIAS_INPUT = 16.0  # the constant input, about as large as the others
PRIOR_VARIANCE = 0.1  # of each coefficient; also the most that forgetting may restore on average
MOST_FORGOTTEN = 1.0 / 64  # by a step of variable forgetting, however large the error
RESET_PREDICTION = 2.0**20  # an expert further out than this has diverged, and starts again

# The mixture: each expert and their blend, each with three scales.
SCALE_FACTORS = np.array([1.0, 0.4, 2.2])
LEARNING_RATE = 0.002  # share of the mixing weights that is spread evenly again after each sample
PROBABILITY_FLOOR = 2.0**-30
N_MIX_CONTEXTS = 8
N_LEVELS = 48  # contexts of the scale: half octaves of expected error
FIRST_LEVEL = 7
# Each level begins with its own lower edge as the error to expect; only powers of two and one square root.
LEVEL_START = np.array(
    [2.0 ** ((n - FIRST_LEVEL) // 2) * (1.0, sqrt(2.0))[(n - FIRST_LEVEL) % 2] for n in range(N_LEVELS)]
)
PRIOR_COUNT = 4.0
MIN_T, MAX_T = 1.0 / 32, 65536.0  # scale in symbols, times ln 2
ACTIVITY_SHARE = 0.7  # of the expected error that comes from earlier bands
ACTIVITY_RATE = 0.2


def experts_of(n_previous: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Previous bands, neighbours (int64) and forgetting factors (float64) of the experts for K = n_previous."""
    experts = [(n_previous, 4, 0.9997), (n_previous // 3, 10, 0.9995), (0, 18, 0.9995)]
    chosen = [expert for i, expert in enumerate(experts) if expert[0] > 0 or i == len(experts) - 1]
    bands, neighbours, forgetting = zip(*chosen, strict=True)
    return np.array(bands), np.array(neighbours), np.array(forgetting)


@lean
def local_mean(plane, i, j):
    """Mean of the samples W, N, NW and NE, as far as they exist; multiples of 1/4, so exact."""
    last = plane.shape[1] - 1
    if i == 0:
        return 1.0 * plane[0, j - 1] if j > 0 else 0.0
    north_east = plane[i - 1, min(j + 1, last)]
    if j == 0:
        return (plane[i - 1, j] + north_east) * 0.5
    return (plane[i, j - 1] + plane[i - 1, j] + plane[i - 1, j - 1] + north_east) * 0.25


@lean
def keep_band(plane, ring, slot):
    """Put a finished band, less its local means, into one place of the ring (H, W, K)."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            ring[i, j, slot] = plane[i, j] - local_mean(plane, i, j)


@lean
def clear(plane):
    """All 0."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            plane[i, j] = 0.0


@lean
def reset_expert(n, weights, variance):
    """Coefficients 0 with the prior variance."""
    for a in range(n):
        weights[a] = 0.0
        for b in range(n):
            variance[a, b] = 0.0
        variance[a, a] = PRIOR_VARIANCE


@lean
def learn(n, inputs, weights, variance, gain, error, noise, forgetting, is_variable):
    """One step of recursive least squares; False if the numbers say that the recursion has broken down.

    g = V u, d = r + u'g; w += g e / d; V = (V - g g' / d) / lambda.  The rank-one term is h h' with
    h = g / sqrt(d), which keeps V exactly symmetric.  V is not divided by lambda while its trace is that of the
    prior: without news the division would make it grow without bound.

    Variable forgetting keeps the information constant that the recursion holds: 1 - lambda is the fixed one's times
    e^2 / (r + u'g), the squared error by the one expected.
    """
    for a in range(n):
        gain[a] = 0.0
    for b in range(n):
        u = inputs[b]
        row = variance[b]
        for a in range(n):
            gain[a] += u * row[a]
    if is_variable:
        expected = noise
        for a in range(n):
            expected += inputs[a] * gain[a]
        forgetting = 1.0 - min((1.0 - forgetting) * (error * error / expected), MOST_FORGOTTEN)
    denominator = noise * forgetting
    trace = 0.0
    for a in range(n):
        denominator += inputs[a] * gain[a]
        trace += variance[a, a]
    if not (noise * forgetting * 0.5 < denominator < 1e30 and trace < 2 * n * PRIOR_VARIANCE):
        return False
    step = error / denominator
    shrink = 1.0 / sqrt(denominator)
    for a in range(n):
        weights[a] += gain[a] * step
        gain[a] *= shrink
    growth = 1.0 / forgetting if trace < n * PRIOR_VARIANCE else 1.0
    for b in range(n):
        h = gain[b]
        row = variance[b]
        for a in range(n):
            row[a] = (row[a] - h * gain[a]) * growth
    return True


@lean
def half_octave(value):
    """``floor(2 log2(value))`` for a positive value, exactly."""
    mantissa, exponent = frexp(value)
    return 2 * exponent - (1 if mantissa >= 0.7071067811865476 else 2)


@lean
def trust_in(errors, m, y, x):
    """Weight of a model in the blend: the inverse fourth power of its recent errors here."""
    west, north = 1.0 * errors[m, y, x - 1], 1.0 * errors[m, y - 1, x]
    north_west, north_east = 1.0 * errors[m, y - 1, x - 1], 1.0 * errors[m, y - 1, x + 1]
    west_west = 1.0 * errors[m, y, x - 2]
    squares = west * west + north * north
    squares += 0.5 * (north_west * north_west + north_east * north_east + west_west * west_west) + 0.1
    return 1.0 / (squares * squares)


@lean
def errors_around(errors, m, y, x):
    """Weighted mean of the errors of the decoded neighbours."""
    near = 2.0 * errors[m, y, x - 1] + 2.0 * errors[m, y - 1, x]
    return (near + errors[m, y - 1, x - 1] + errors[m, y - 1, x + 1] + errors[m, y, x - 2]) / 7.0


@lean
def activity_around(activity, m, y, x):
    """Weighted mean of the relative errors of earlier bands at this place and next to it."""
    beside = 1.0 * activity[m, y, x - 1] + activity[m, y, x + 1] + activity[m, y - 1, x] + activity[m, y + 1, x]
    return (2.0 * activity[m, y, x] + beside) / 6.0


@lean
def set_component(active, place, mean, t, weight):
    """One component for `mixture_kernels`: mean in symbols, t = scale * ln 2 in symbols, integer weight."""
    active[place, 0] = np.int64(mean * (1 << MEAN_BITS) + 0.5)
    mantissa, exponent = frexp(t)  # t = mantissa * 2^exponent, mantissa in [1/2, 1)
    active[place, 1] = np.int64(32768.0 / mantissa)
    active[place, 2] = exponent - SCALE_MIN_LOG2 - 1
    active[place, 3] = weight


def code_cube(
    cube,
    alphabet_size,
    n_previous,
    bands,
    neighbours,
    forgetting,
    is_variable,
    decoding,
    starts,
    freqs,
    states,
    words,
    cursor,
):
    """Give each sample of `cube` its interval (encoding), or find the samples (decoding).

    cube : int32 (S, H, W), symbols 0 .. alphabet_size - 1; read when encoding, written when decoding
    n_previous : K; bands, neighbours, forgetting : the experts (`experts_of`)
    is_variable : whether the errors change how much is forgotten (`learn`)
    starts, freqs : uint32 (S * H * W,), written when encoding
    states, words, cursor : of a decoder with one lane, used when decoding
    Returns False if the decoder's words ran out.
    """
    memory = _memory(cube.shape[1:], n_previous, bands.size)
    return code_samples(
        cube, alphabet_size, n_previous, bands, neighbours, forgetting, is_variable, decoding, starts, freqs, states,
        words, cursor, memory,
    )  # fmt: skip


class _Memory(NamedTuple):
    ring: np.ndarray  # of the last bands, less their local means: multiples of 1/4 below 2^18, exact
    errors: np.ndarray  # |sample - prediction| in this band
    activity: np.ndarray  # the same over earlier bands, relative to each band's mean
    mean_error: np.ndarray
    n_inputs: np.ndarray
    inputs: np.ndarray
    weights: np.ndarray
    variance: np.ndarray
    gain: np.ndarray
    level_sum: np.ndarray
    level_count: np.ndarray
    levels: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    mixing: np.ndarray
    probability: np.ndarray
    parts: np.ndarray  # all components
    active: np.ndarray  # those whose weight is not 0


def _memory(shape, n_previous, n_experts):
    """Working memory for bands of a shape (H, W)."""
    n_models = n_experts + 1
    n_components = n_models * SCALE_FACTORS.size
    size = n_previous + NEIGHBOURS.shape[0] + 1
    maps = n_models, shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    return _Memory(
        np.zeros((*shape, max(n_previous, 1)), np.float32),
        np.zeros(maps, np.float32),
        np.zeros(maps, np.float32),
        np.ones(n_models),
        np.zeros(n_experts, np.int64),
        np.zeros((n_experts, size)),
        np.zeros((n_experts, size)),
        np.zeros((n_experts, size, size)),
        np.zeros(size),
        np.zeros((n_models, N_LEVELS)),
        np.zeros((n_models, N_LEVELS)),
        np.zeros(n_models, np.int64),
        np.zeros(n_models),
        np.zeros(n_models),
        np.full((N_MIX_CONTEXTS, n_components), 1.0 / n_components),
        np.zeros(n_components),
        np.zeros((n_components, 4), np.int64),
        np.zeros((n_components, 4), np.int64),
    )


@lean
def code_samples(
    cube, alphabet_size, n_previous, bands, neighbours, forgetting, is_variable, decoding, starts, freqs, states, words,
    cursor, memory,
):  # fmt: skip
    """`code_cube`, with working memory."""
    (
        ring, errors, activity, mean_error, n_inputs, inputs, weights, variance, gain, level_sum, level_count, levels,
        means, scales, mixing, probability, parts, active,
    ) = memory  # fmt: skip
    n_bands, n_rows, n_columns = cube.shape
    n_experts = bands.size
    n_models = n_experts + 1  # the last is the blend
    n_scales = SCALE_FACTORS.size
    n_components = n_models * n_scales
    largest = float(alphabet_size - 1)
    number = 0
    for s in range(n_bands):
        for q in range(n_experts):
            k = min(bands[q], s)
            n_inputs[q] = neighbours[q] + k + 1
            reset_expert(n_inputs[q], weights[q], variance[q])
            if k > 0:
                weights[q, neighbours[q]] = 1.0  # the band changes as the one before it
        for m in range(n_models):
            for level in range(N_LEVELS):
                level_sum[m, level] = PRIOR_COUNT * LEVEL_START[level]
                level_count[m, level] = PRIOR_COUNT
        for m in range(n_models):
            clear(errors[m])
        plane = cube[s]
        seen = 0

        for i in range(n_rows):
            for j in range(n_columns):
                base = local_mean(plane, i, j)

                # Predictions of the experts, and their blend by recent squared errors.
                blend = 0.0
                total = 0.0
                for q in range(n_experts):
                    u = inputs[q]
                    n = neighbours[q]
                    for a in range(n):
                        y, x = i + NEIGHBOURS[a, 0], j + NEIGHBOURS[a, 1]
                        u[a] = plane[y, x] - base if y >= 0 and 0 <= x < n_columns else 0.0
                    for b in range(n_inputs[q] - n - 1):
                        u[n + b] = ring[i, j, (s - 1 - b) % n_previous]
                    u[n_inputs[q] - 1] = BIAS_INPUT
                    prediction = 0.0
                    for a in range(n_inputs[q]):
                        prediction += weights[q, a] * u[a]
                    if not (-RESET_PREDICTION < prediction < RESET_PREDICTION):
                        reset_expert(n_inputs[q], weights[q], variance[q])
                        prediction = 0.0
                    means[q] = base + prediction
                    trust = trust_in(errors, q, i + MARGIN, j + MARGIN)
                    blend += trust * min(max(means[q], 0.0), largest)
                    total += trust
                means[n_experts] = blend / total

                # Scales, from the errors around and those of earlier bands.
                for m in range(n_models):
                    here = errors_around(errors, m, i + MARGIN, j + MARGIN)
                    if s > 0:
                        before = activity_around(activity, m, i + MARGIN, j + MARGIN)
                        here = (1 - ACTIVITY_SHARE) * here + ACTIVITY_SHARE * mean_error[m] * before
                    levels[m] = min(max(half_octave(here + 0.1) + FIRST_LEVEL, 0), N_LEVELS - 1)
                    scales[m] = level_sum[m, levels[m]] / level_count[m, levels[m]]  # mean absolute error

                # The mixture as integers.
                mix = mixing[min(max(levels[n_experts] // 2 - 1, 0), N_MIX_CONTEXTS - 1)]
                left_over = np.int64(1) << WEIGHT_BITS
                heaviest = 0
                for c in range(n_components):
                    weight = np.int64(mix[c] * (1 << WEIGHT_BITS))
                    left_over -= weight
                    if mix[c] > mix[heaviest]:
                        heaviest = c
                    # the mean absolute value of a logistic is 2 t
                    t = min(max(0.5 * scales[c // n_scales] * SCALE_FACTORS[c % n_scales], MIN_T), MAX_T)
                    mean = min(max(means[c // n_scales], 0.0), largest)
                    set_component(parts, c, mean, t, weight)
                parts[heaviest, 3] += left_over
                n_active = 0
                first = 0
                for c in range(n_components):
                    if parts[c, 3] > 0:
                        if c == heaviest:
                            first = n_active
                        for field in range(4):
                            active[n_active, field] = parts[c, field]
                        n_active += 1

                if decoding:
                    slot = peek(states, 0, PRECISION)
                    symbol, start, end = search_symbol(slot, active, n_active, first, alphabet_size, PRECISION)
                    if not advance(states, 0, words, cursor, start, end - start, PRECISION):
                        return False
                    plane[i, j] = symbol
                else:
                    symbol = np.int64(plane[i, j])
                    start = cdf_at(symbol, active, n_active, alphabet_size, PRECISION)
                    end = cdf_at(symbol + 1, active, n_active, alphabet_size, PRECISION)
                    starts[number] = start
                    freqs[number] = end - start
                number += 1

                # Learn: mixing weights by Bayes' rule, scales, coefficients.
                edge = (symbol << MEAN_BITS) - (1 << (MEAN_BITS - 1))
                total = 0.0
                for c in range(n_components):
                    low = np.int64(0)
                    if symbol > 0:
                        low = sigmoid_at(edge - parts[c, 0], parts[c, 1], parts[c, 2])
                    high = np.int64(1) << SIGMOID_BITS
                    if symbol + 1 < alphabet_size:
                        high = sigmoid_at(edge + (1 << MEAN_BITS) - parts[c, 0], parts[c, 1], parts[c, 2])
                    probability[c] = mix[c] * ((high - low) * 2.0**-SIGMOID_BITS + PROBABILITY_FLOOR)
                    total += probability[c]
                for c in range(n_components):
                    mix[c] = (1 - LEARNING_RATE) * (probability[c] / total) + LEARNING_RATE / n_components

                seen += 1
                for m in range(n_models):
                    error = symbol - means[m]
                    size_of_error = min(abs(error), largest)
                    errors[m, i + MARGIN, j + MARGIN] = size_of_error
                    if m < n_experts:
                        # Noise: the variance expected here, and some of the band's, so that quiet places do not rule.
                        noise = 0.05 + 0.5 * (scales[m] * scales[m] + mean_error[m] * mean_error[m])
                        if not learn(
                            n_inputs[m],
                            inputs[m],
                            weights[m],
                            variance[m],
                            gain,
                            error,
                            noise,
                            forgetting[m],
                            is_variable,
                        ):
                            reset_expert(n_inputs[m], weights[m], variance[m])
                    mean_error[m] += (size_of_error - mean_error[m]) / min(seen + 16.0, 500.0)
                    level = levels[m]
                    level_sum[m, level] += size_of_error
                    level_count[m, level] += 1.0
                    if level_count[m, level] > 512.0:
                        level_sum[m, level] *= 0.5
                        level_count[m, level] *= 0.5

        if n_previous > 0:
            keep_band(plane, ring, s % n_previous)
        for m in range(n_models):
            total = 0.0
            for i in range(n_rows):
                for j in range(n_columns):
                    total += errors[m, i + MARGIN, j + MARGIN]
            mean_error[m] = total / (n_rows * n_columns) + 0.02
            rate = ACTIVITY_RATE if s > 0 else 1.0
            a = activity[m]
            for i in range(MARGIN, n_rows + MARGIN):
                for j in range(MARGIN, n_columns + MARGIN):
                    a[i, j] += rate * (errors[m, i, j] / mean_error[m] - a[i, j])
                a[i, MARGIN - 1] = a[i, MARGIN]
                a[i, n_columns + MARGIN] = a[i, n_columns + MARGIN - 1]
            for j in range(n_columns + 2 * MARGIN):
                a[MARGIN - 1, j] = a[MARGIN, j]
                a[n_rows + MARGIN, j] = a[n_rows + MARGIN - 1, j]
    return True
