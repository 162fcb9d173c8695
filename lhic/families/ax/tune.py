"""The encoder fits a model's network to the cube at hand: the weights that a stream sends as changes (`changes`).

Decides nothing that a decoder relies on: what is found here is rounded, checked and sent.  By Adam, on what the walk
observes of the cube; the loss of training (`lhic.train.ax`) with its gradient written out, so that coding needs no
library for training.

And yet the same on every machine.  Weights, activations and gradients are rounded to grids so coarse, and bounded so
well, that float64 holds every sum of their products: added in whatever order and on however many threads, the result is
the same.  All else is single operations, which IEEE 754 defines.

Source: D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax.elementary import LOG2, exp2, log2
from lhic.families.ax.integer_net import EXACT, FRACTION_BITS
from lhic.families.ax.observe import Observations, draw
from lhic.families.ax.spec import ACTIVATION_BITS, ACTIVATION_LIMIT, FEATURE_BITS, LIMIT, WEIGHT_BITS
from lhic.io.threads import side_by_side
from lhic.kernels.jit import njit

BATCH = 3072
MOST_THREADS = 2  # that share a batch
LEARNING_RATE = 0.006
WARM_UP = 0.2  # of all steps, with a rising learning rate
MOMENTS = 0.9, 0.99
MARGIN = 0.97  # of the bound of exact sums, the rest being left for rounding
# What the loss is made of, in training as well (`lhic.train.ax.network`).
SCALE_LIMITS = -9.0, 8.0  # octaves around the expected error
FAR = 1e4  # times the expected error: as good as infinite
FLOOR = 2.0**-22  # of a sample's probability, as the coder's interval of at least 1 gives
SHARE = 1 - 2.0**-12  # of the probability that the mixture distributes

# Grids.  A row's weights times its greatest inputs stay below 2^12 in the first layer, 2^9 in others (`_project`), so
# outside the first layer |weight| <= 2^4, as activations reach 2^5.
WEIGHT_GRID = 2.0**-20  # forward: |sum| < 2^12, in 2^-24 (features) or 2^-34 (activations): 46 bits
ACTIVATION_GRID = 2.0**-14
GRADIENT_GRID = 2.0**-14  # backward: 2^7 rows * 2^7 * 2^4 in 2^-34: 52 bits
GRADIENT_LIMIT = 2.0**7  # gradients of weights: 2^12 samples * 2^7 * 2^5 in 2^-28: 52 bits
GREATEST_ACTIVATION = ACTIVATION_LIMIT * 2.0**-ACTIVATION_BITS


def tune(tensors: dict[str, np.ndarray], seen: Observations, n_steps: int, n_threads: int = 1) -> dict[str, np.ndarray]:
    """Weights better suited to what was observed.

    tensors : int32, of `integer_net.shapes`
    Returns float64 arrays in the units of the tensors, to be rounded; their sums keep clear of the exact bound.
    """
    layers, known = _layers(tensors), _known(seen)
    n_threads = min(n_threads, MOST_THREADS)
    first, second = ([np.zeros_like(a) for a in layers] for _ in range(2))
    left = [1.0, 1.0]  # of the first zeros in both moments
    for step in range(1, n_steps + 1):
        chosen = draw(step, BATCH, len(seen.error))
        left = [share * moment for share, moment in zip(left, MOMENTS, strict=True)]
        rate = _learning_rate(step / n_steps) / (1 - left[0])
        for k, gradient in enumerate(_gradients(layers, seen.features[chosen], known[chosen], n_threads)):
            first[k] += (1 - MOMENTS[0]) * (gradient - first[k])
            second[k] += (1 - MOMENTS[1]) * (gradient * gradient - second[k])
            layers[k] -= rate * first[k] / (np.sqrt(second[k] / (1 - left[1])) + 1e-8)
        _project(layers)
    return _tensors(layers)


def bits_per_sample(tensors: dict[str, np.ndarray], seen: Observations) -> np.ndarray:
    """Ideal bits of each observed sample under integer weights, computed in float; float64 (n,)."""
    layers, known = _layers(tensors), _known(seen)
    bits = np.empty(len(seen.error))
    for begin in range(0, len(bits), BATCH):
        part = slice(begin, begin + BATCH)
        outputs = _forward(layers, seen.features[part])[-1]
        _loss(outputs, known[part], bits[part], np.empty_like(outputs))
    return bits


def _layers(tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Weights and bias of each layer in turn, float64."""
    weights = [tensors["first"], *tensors["middle"], tensors["last"]]
    found = []
    for k, weight in enumerate(weights):
        bias = tensors["biases"][k] if k + 1 < len(weights) else tensors["last_bias"]
        name = "first_bias" if k == 0 else "bias"
        found += [weight * 2.0**-WEIGHT_BITS, bias * 2.0 ** -FRACTION_BITS[name]]
    return found


def _tensors(layers: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `_layers`."""
    weights = [layer * 2.0**WEIGHT_BITS for layer in layers[::2]]
    biases = [layer * 2.0 ** FRACTION_BITS["first_bias" if k == 0 else "bias"] for k, layer in enumerate(layers[1::2])]
    width = weights[0].shape[0]
    return {
        "first": weights[0],
        "middle": np.array(weights[1:-1]).reshape(-1, width, width),
        "last": weights[-1],
        "biases": np.array(biases[:-1]),
        "last_bias": biases[-1],
    }


def _known(seen: Observations) -> np.ndarray:
    """What the loss needs of each sample besides the mixture, float64 (n, 4)."""
    parts = [seen.error, np.minimum(seen.below, FAR), np.minimum(seen.above, FAR), seen.repeat]
    return np.stack(parts, 1).astype(np.float64)


def _learning_rate(share: float) -> float:
    """Rises from a 25th to the full rate, falls to nothing; both smoothly.  share : of all steps that are done"""
    if share <= WARM_UP:
        return LEARNING_RATE * (1 / 25 + (1 - 1 / 25) * _smooth(share / WARM_UP))
    return LEARNING_RATE * (1 - _smooth((share - WARM_UP) / (1 - WARM_UP)))


def _smooth(share: float) -> float:
    return share * share * (3 - 2 * share)


def _forward(layers: list[np.ndarray], features: np.ndarray) -> list[np.ndarray]:
    """Inputs of each layer, and the last one's sums, float64 (n, ...)."""
    values = [features * 2.0**-FEATURE_BITS]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        sums = _sums(values[-1], weight, bias)
        _round(sums, ACTIVATION_GRID, 0.0, GREATEST_ACTIVATION)
        values.append(sums)
    return [*values, _sums(values[-1], layers[-2], layers[-1])]


def _gradients(
    layers: list[np.ndarray], features: np.ndarray, known: np.ndarray, n_threads: int = 1
) -> list[np.ndarray]:
    """Of the mean loss of some samples, for each array of `_layers`."""
    n = len(known)
    parts = [slice(n * k // n_threads, n * (k + 1) // n_threads) for k in range(n_threads)]
    sums = side_by_side(lambda part: _sums_of_gradients(layers, features[part], known[part]), parts, n_threads)
    return [sum(of_parts[1:], of_parts[0]) / n for of_parts in zip(*sums, strict=True)]


def _sums_of_gradients(layers: list[np.ndarray], features: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    *values, outputs = _forward(layers, features)
    back = np.empty_like(outputs)
    _loss(outputs, known, np.empty(len(known)), back)
    found = []
    for weight, inputs in zip(layers[-2::-2], values[::-1], strict=True):
        _round(back, GRADIENT_GRID, -GRADIENT_LIMIT, GRADIENT_LIMIT)
        found += [back.sum(0), _products(back, inputs)]
        if inputs is not values[0]:
            back = _sums(back, np.ascontiguousarray(weight.T), np.zeros(weight.shape[1]))
            back *= (inputs > 0) & (inputs < GREATEST_ACTIVATION)
    return found[::-1]


# The products of matrices are small; threads of a library that multiplies larger ones wait for each other where another
# process has their core, and then take ten times as long.


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _sums(inputs, weights, bias):
    """``inputs @ weights.T + bias``, whose sums are exact."""
    n, n_inputs, n_outputs = inputs.shape[0], inputs.shape[1], weights.shape[0]
    turned = np.zeros((n_inputs + 3, n_outputs))
    turned[:n_inputs] = weights.T
    line = np.zeros(n_inputs + 3)
    out = np.empty((n, n_outputs))
    for q in range(n):
        own = out[q]
        own[:] = bias
        line[:n_inputs] = inputs[q]
        for i in range(0, n_inputs, 4):
            a, b, c, d = line[i], line[i + 1], line[i + 2], line[i + 3]
            for r in range(n_outputs):
                own[r] += (turned[i, r] * a + turned[i + 1, r] * b) + (turned[i + 2, r] * c + turned[i + 3, r] * d)
    return out


@njit(nogil=True, fastmath={"reassoc", "contract"})
def _products(left, right):
    """``left.T @ right``, whose sums are exact."""
    n, n_rows, n_columns = left.shape[0], left.shape[1], right.shape[1]
    out = np.zeros((n_rows, n_columns))
    for q in range(0, n - 3, 4):
        for r in range(n_rows):
            a, b, c, d = left[q, r], left[q + 1, r], left[q + 2, r], left[q + 3, r]
            for i in range(n_columns):
                out[r, i] += (right[q, i] * a + right[q + 1, i] * b) + (right[q + 2, i] * c + right[q + 3, i] * d)
    for q in range(n // 4 * 4, n):
        for r in range(n_rows):
            for i in range(n_columns):
                out[r, i] += right[q, i] * left[q, r]
    return out


@njit(nogil=True)
def _round(values, grid, low, high):
    """In place, to multiples of a power of two within [low, high]."""
    scale = 1 / grid
    flat = values.reshape(-1)
    for q in range(flat.size):
        flat[q] = min(max(np.rint(flat[q] * scale) * grid, low), high)


@njit(inline="always")
def _sigmoid(value):
    return 1 / (1 + exp2(-value / LOG2))


@njit(nogil=True)
def _loss(outputs, known, bits, gradient):
    """Ideal bits of each sample, float64 (n,), and the gradient of their sum.  outputs, gradient : float64 (n, 3 K)."""
    n, n_components = outputs.shape[0], outputs.shape[1] // 3
    parts = np.empty((n_components, 4))  # weight, probability, their changes with mean and scale
    for q in range(n):
        error, below, above, repeat = known[q]
        greatest = outputs[q, 2 * n_components]
        for k in range(1, n_components):
            greatest = max(greatest, outputs[q, 2 * n_components + k])
        sum_of_weights = 0.0
        for k in range(n_components):
            raw = min(max(outputs[q, n_components + k], SCALE_LIMITS[0]), SCALE_LIMITS[1])
            inverse = exp2(-raw)
            distance = error - outputs[q, k]
            upper, lower = (distance + above) * inverse, (distance - below) * inverse
            at_upper, at_lower = _sigmoid(upper), _sigmoid(lower)
            slope_upper, slope_lower = at_upper * (1 - at_upper), at_lower * (1 - at_lower)
            parts[k, 0] = exp2(outputs[q, 2 * n_components + k] - greatest)
            parts[k, 1] = at_upper - at_lower
            parts[k, 2] = (slope_lower - slope_upper) * inverse
            parts[k, 3] = LOG2 * (slope_lower * lower - slope_upper * upper)
            if raw != outputs[q, n_components + k]:
                parts[k, 3] = 0.0
            sum_of_weights += parts[k, 0]
        mixed = 0.0
        for k in range(n_components):
            parts[k, 0] /= sum_of_weights
            mixed += parts[k, 0] * parts[k, 1]
        share = (1 - abs(repeat)) * SHARE
        probability = share * mixed + max(repeat, 0.0) * SHARE + FLOOR
        bits[q] = -log2(probability)
        factor = -share / (probability * LOG2)
        for k in range(n_components):
            weight = factor * parts[k, 0]
            gradient[q, k] = weight * parts[k, 2]
            gradient[q, n_components + k] = weight * parts[k, 3]
            gradient[q, 2 * n_components + k] = weight * LOG2 * (parts[k, 1] - mixed)


def _project(layers: list[np.ndarray]) -> None:
    """Keep the sums of every row within the bound that makes the integer network exact, and weights on their grid."""
    bits, limit = FRACTION_BITS["first_bias"], LIMIT * 2.0**-FEATURE_BITS
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        for array in (weight, bias):
            array[:] = np.rint(array / WEIGHT_GRID) * WEIGHT_GRID
        reach = np.abs(weight).sum(1) * limit + np.abs(bias)
        factor = np.minimum(MARGIN * EXACT * 2.0**-bits / np.maximum(reach, 1e-9), 1)
        weight[:] = np.rint(weight * factor[:, None] / WEIGHT_GRID) * WEIGHT_GRID
        bias[:] = np.rint(bias * factor / WEIGHT_GRID) * WEIGHT_GRID
        bits, limit = FRACTION_BITS["bias"], GREATEST_ACTIVATION
