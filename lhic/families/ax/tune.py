"""The encoder fits a model's network to the cube at hand: the weights that a stream sends as changes (`changes`).

Decides nothing that a decoder relies on: what is found here is rounded, checked and sent.  Plain float32, by Adam, on
what the walk observes of the cube; the loss of training (`lhic.train.ax`) with its gradient written out, so that coding
needs no library for training.

Source: D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
"""

from __future__ import annotations

from math import cos, exp, log, log2, pi

import numpy as np

from lhic.families.ax.integer_net import EXACT, FRACTION_BITS
from lhic.families.ax.observe import Observations
from lhic.families.ax.spec import ACTIVATION_BITS, ACTIVATION_LIMIT, FEATURE_BITS, LIMIT, WEIGHT_BITS
from lhic.kernels.jit import njit

BATCH = 4096
LEARNING_RATE = 0.006
WARM_UP = 0.2  # of all steps, with a rising learning rate
MOMENTS = 0.9, 0.99
MARGIN = 0.97  # of the bound of exact sums, the rest being left for rounding
# What the loss is made of, in training as well (`lhic.train.ax.network`).
SCALE_LIMITS = -9.0, 8.0  # octaves around the expected error
FAR = 1e4  # times the expected error: as good as infinite
FLOOR = 2.0**-22  # of a sample's probability, as the coder's interval of at least 1 gives
SHARE = 1 - 2.0**-12  # of the probability that the mixture distributes


def tune(
    tensors: dict[str, np.ndarray], seen: Observations, n_steps: int, seed: int = 0, n_last: int | None = None
) -> dict[str, np.ndarray]:
    """Weights better suited to what was observed.

    tensors : int32, of `network.shapes`
    n_last : of so many layers, counted from the last one; of all without it
    Returns float64 arrays in the units of the tensors, to be rounded; their sums keep clear of the exact bound.
    """
    layers, known = _layers(tensors), _known(seen)
    still = 0 if n_last is None else max(len(layers) - 2 * n_last, 0)  # arrays that do not move
    rng = np.random.default_rng(seed)
    first, second = ([np.zeros_like(a) for a in layers] for _ in range(2))
    for step in range(1, n_steps + 1):
        chosen = rng.integers(len(seen.error), size=BATCH)
        gradients = _gradients(layers, seen.features[chosen], known[chosen])
        rate = _learning_rate(step, n_steps)
        for k, gradient in list(enumerate(gradients))[still:]:
            first[k] += np.float32(1 - MOMENTS[0]) * (gradient - first[k])
            second[k] += np.float32(1 - MOMENTS[1]) * (gradient * gradient - second[k])
            size = np.sqrt(second[k] / np.float32(1 - MOMENTS[1] ** step)) + np.float32(1e-8)
            layers[k] -= np.float32(rate / (1 - MOMENTS[0] ** step)) * first[k] / size
        _project(layers, still)
    return _tensors(layers)


def bits_per_sample(tensors: dict[str, np.ndarray], seen: Observations) -> float:
    """Ideal bits of each observed sample under integer weights, computed in float."""
    layers, known = _layers(tensors), _known(seen)
    total = 0.0
    for begin in range(0, len(seen.error), BATCH):
        outputs = _forward(layers, seen.features[begin : begin + BATCH])[-1]
        total += _loss(outputs, known[begin : begin + BATCH], np.empty_like(outputs))
    return total / len(seen.error)


def _layers(tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Weights and bias of each layer in turn, float32."""
    weights = [tensors["first"], *tensors["middle"], tensors["last"]]
    found = []
    for k, weight in enumerate(weights):
        bias = tensors["biases"][k] if k + 1 < len(weights) else tensors["last_bias"]
        name = "first_bias" if k == 0 else "bias"
        found += [weight * 2.0**-WEIGHT_BITS, bias * 2.0 ** -FRACTION_BITS[name]]
    return [a.astype(np.float32) for a in found]


def _tensors(layers: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `_layers`, float64."""
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
    """What the loss needs of each sample besides the mixture, float32 (n, 4)."""
    parts = [seen.error, np.minimum(seen.below, FAR), np.minimum(seen.above, FAR), seen.repeat]
    return np.stack(parts, 1).astype(np.float32)


def _learning_rate(step: int, n_steps: int) -> float:
    """Rises from a 25th to the full rate, falls to nothing; both along a cosine."""
    rising = WARM_UP * n_steps
    if step <= rising:
        return LEARNING_RATE * (1 - (1 - 1 / 25) * (1 + cos(pi * step / rising)) / 2)
    return LEARNING_RATE * (1 + cos(pi * (step - rising) / (n_steps - rising))) / 2


def _forward(layers: list[np.ndarray], features: np.ndarray) -> list[np.ndarray]:
    """Inputs of each layer, and the last one's sums, float32 (n, ...)."""
    values = [features.astype(np.float32) * np.float32(2.0**-FEATURE_BITS)]
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        sums = values[-1] @ weight.T + bias
        values.append(np.clip(sums, 0, np.float32(ACTIVATION_LIMIT * 2.0**-ACTIVATION_BITS)))
    return [*values, values[-1] @ layers[-2].T + layers[-1]]


def _gradients(layers: list[np.ndarray], features: np.ndarray, known: np.ndarray) -> list[np.ndarray]:
    """Of the mean loss of some samples, for each array of `_layers`."""
    *values, outputs = _forward(layers, features)
    back = np.empty_like(outputs)
    _loss(outputs, known, back)
    back /= np.float32(len(known))
    found = []
    for weight, inputs in zip(layers[-2::-2], values[::-1], strict=True):
        found += [back.sum(0), back.T @ inputs]
        limit = np.float32(ACTIVATION_LIMIT * 2.0**-ACTIVATION_BITS)
        back = (back @ weight) * ((inputs > 0) & (inputs < limit))
    return found[::-1]


@njit(inline="always")
def _sigmoid(value):
    return 1 / (1 + exp(-min(max(value, -60.0), 60.0)))


@njit(fastmath=True)
def _loss(outputs, known, gradient):
    """Sum of the samples' ideal bits; fills their gradients.  outputs, gradient : float32 (n, 3 K)."""
    n, n_components = outputs.shape[0], outputs.shape[1] // 3
    parts = np.empty((n_components, 4))  # weight, probability, their changes with mean and scale
    total, octave = 0.0, log(2.0)
    for q in range(n):
        error, below, above, repeat = known[q]
        greatest = outputs[q, 2 * n_components]
        for k in range(1, n_components):
            greatest = max(greatest, outputs[q, 2 * n_components + k])
        sum_of_weights = 0.0
        for k in range(n_components):
            raw = min(max(outputs[q, n_components + k], SCALE_LIMITS[0]), SCALE_LIMITS[1])
            inverse = exp(-octave * raw)
            distance = error - outputs[q, k]
            upper, lower = (distance + above) * inverse, (distance - below) * inverse
            at_upper, at_lower = _sigmoid(upper), _sigmoid(lower)
            slope_upper, slope_lower = at_upper * (1 - at_upper), at_lower * (1 - at_lower)
            parts[k, 0] = exp(octave * (outputs[q, 2 * n_components + k] - greatest))
            parts[k, 1] = at_upper - at_lower
            parts[k, 2] = (slope_lower - slope_upper) * inverse
            parts[k, 3] = octave * (slope_lower * lower - slope_upper * upper)
            if raw != outputs[q, n_components + k]:
                parts[k, 3] = 0.0
            sum_of_weights += parts[k, 0]
        mixed = 0.0
        for k in range(n_components):
            parts[k, 0] /= sum_of_weights
            mixed += parts[k, 0] * parts[k, 1]
        share = (1 - abs(repeat)) * SHARE
        probability = share * mixed + max(repeat, 0.0) * SHARE + FLOOR
        total -= log2(probability)
        factor = -share / (probability * octave)
        for k in range(n_components):
            weight = factor * parts[k, 0]
            gradient[q, k] = weight * parts[k, 2]
            gradient[q, n_components + k] = weight * parts[k, 3]
            gradient[q, 2 * n_components + k] = weight * octave * (parts[k, 1] - mixed)
    return total


def _project(layers: list[np.ndarray], still: int = 0) -> None:
    """Keep the sums of every row within the bound that makes the integer network exact, but for the first arrays."""
    bits = FRACTION_BITS["first_bias"]
    limit = LIMIT * 2.0**-FEATURE_BITS
    for k, (weight, bias) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        reach = np.abs(weight).sum(1) * limit + np.abs(bias)
        factor = np.minimum(MARGIN * EXACT * 2.0**-bits / np.maximum(reach, 1e-9), 1).astype(np.float32)
        if 2 * k >= still:
            weight *= factor[:, None]
            bias *= factor
        bits, limit = FRACTION_BITS["bias"], ACTIVATION_LIMIT * 2.0**-ACTIVATION_BITS
