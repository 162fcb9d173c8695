"""The integer network: features to the parameters of the mixture, exactly, on any device.

A perceptron with clipped rectifiers.  Weights, biases and activations are integers kept in float32; no partial sum of
a layer reaches 2^24, which `check_bounds` proves from the weights, so float32 products and sums are exact in any
order: a loop, a BLAS or a GPU give the same numbers.  Shifts are ``floor(x * 2^-k)`` (docs/format_lhic_ax.md,
section 6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.errors import CheckpointError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu.context import LIMIT, n_features
from lhic.families.ax.cpu.register_tiles import COLUMNS, layer_tile_1, layer_tile_2, layer_tile_3, layer_tile_4
from lhic.kernels.jit import njit
from lhic.kernels.vectors import address

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 6).
FEATURE_BITS = 4  # features in 1/16
WEIGHT_BITS = 8  # weights in 1/256
ACTIVATION_BITS = 7  # activations in 1/128
ACTIVATION_LIMIT = 4095
OUTPUT_BITS = 15  # sums of the last layer in 2^-15
# Bits behind the binary point of each kind of number.
FRACTION_BITS = {"weight": WEIGHT_BITS, "first_bias": FEATURE_BITS + WEIGHT_BITS, "bias": OUTPUT_BITS}
assert OUTPUT_BITS == ACTIVATION_BITS + WEIGHT_BITS
MEAN_SHIFT = 7  # to 1/256 of the expected error
SCALE_SHIFT = 10  # to 1/32 octave
LOGIT_SHIFT = 10  # to 1/32 octave
EXACT = 1 << 24  # float32 holds every integer up to here


class IntegerNet(NamedTuple):
    """Layers of one model.

    first : float32 (width, n_features);  middle : float32 (depth - 1, width, width);  last : float32 (3 K, width)
    biases : float32 (depth, width);  last_bias : float32 (3 K,)
    """

    first: np.ndarray
    middle: np.ndarray
    last: np.ndarray
    biases: np.ndarray
    last_bias: np.ndarray

    def tensors(self) -> dict[str, np.ndarray]:
        """As in a weights file, int32."""
        return {name: array.astype(np.int32) for name, array in self._asdict().items()}


def shapes(config: AxConfig) -> dict[str, tuple[int, ...]]:
    """Tensors of a weights file, int32, by name."""
    outputs = 3 * config.components
    return {
        "first": (config.width, n_features(len(config.experts()))),
        "middle": (config.depth - 1, config.width, config.width),
        "last": (outputs, config.width),
        "biases": (config.depth, config.width),
        "last_bias": (outputs,),
    }


def from_tensors(config: AxConfig, tensors: dict[str, np.ndarray], what: str) -> IntegerNet:
    """Check names, shapes, types and bounds of the tensors of a weights file.

    Raises
    ------
    CheckpointError
    """
    expected = shapes(config)
    if set(tensors) != set(expected):
        odd = sorted(set(tensors) ^ set(expected))[0]
        raise CheckpointError(f"{what}: expected tensors {', '.join(sorted(expected))}, found {odd!r} amiss")
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape or tensor.dtype != np.int32:
            raise CheckpointError(f"{what}: {name}: expected int32 {shape}, found {tensor.dtype} {tensor.shape}")
    check_bounds(tensors, what)
    return IntegerNet(*(np.ascontiguousarray(tensors[name], np.float32) for name in IntegerNet._fields))


def check_bounds(tensors: dict[str, np.ndarray], what: str) -> dict[str, int]:
    """Greatest partial sum that each layer can reach, once it is known to be below 2^24.

    Raises
    ------
    CheckpointError
        A layer could leave the integers that float32 holds.
    """
    inputs = [("first", LIMIT, tensors["first"], tensors["biases"][0])]
    for k, weights in enumerate(tensors["middle"]):
        inputs.append((f"middle {k}", ACTIVATION_LIMIT, weights, tensors["biases"][k + 1]))
    inputs.append(("last", ACTIVATION_LIMIT, tensors["last"], tensors["last_bias"]))
    bounds = {}
    for name, limit, weights, bias in inputs:
        bounds[name] = int((np.abs(weights.astype(np.int64)).sum(1) * limit + np.abs(bias.astype(np.int64))).max())
        if bounds[name] >= EXACT:
            raise CheckpointError(f"{what}: layer {name}: expected sums below {EXACT}, found up to {bounds[name]}")
    return bounds


@njit
def _layer(inputs, weights, bias, n, outputs):
    """outputs (o, n) = weights (o, i) @ inputs (i, n) + bias, in tiles of COLUMNS samples: a little beyond n."""
    n_outputs, n_inputs = weights.shape
    stride = inputs.shape[1]
    for q in range(0, n, COLUMNS):
        x = address(inputs) + 4 * q
        for o in range(0, n_outputs, 4):
            w, b = address(weights) + 4 * o * n_inputs, address(bias) + 4 * o
            out = address(outputs) + 4 * (o * stride + q)
            left = n_outputs - o
            if left >= 4:
                layer_tile_4(w, b, x, out, n_inputs, stride)
            elif left == 3:
                layer_tile_3(w, b, x, out, n_inputs, stride)
            elif left == 2:
                layer_tile_2(w, b, x, out, n_inputs, stride)
            else:
                layer_tile_1(w, b, x, out, n_inputs, stride)


@njit(fastmath={"contract", "nsz"})
def _activate(values, n, factor):
    """Shift and clip in place: 0 .. ACTIVATION_LIMIT."""
    for o in range(values.shape[0]):
        row = values[o]
        for q in range(n):
            row[q] = min(max(np.floor(row[q] * factor), np.float32(0)), np.float32(ACTIVATION_LIMIT))


FIRST_FACTOR = np.float32(2.0 ** -(FEATURE_BITS + WEIGHT_BITS - ACTIVATION_BITS))
MIDDLE_FACTOR = np.float32(2.0**-WEIGHT_BITS)


@njit
def run_network(net, scratch, n):
    """Fill ``scratch.outputs`` (3 K, n) with the sums of the last layer for the features of n samples."""
    hidden = scratch.hidden[0]
    _layer(scratch.features, net.first, net.biases[0], n, hidden)
    _activate(hidden, n, FIRST_FACTOR)
    for k in range(net.middle.shape[0]):
        after = scratch.hidden[(k + 1) & 1]
        _layer(hidden, net.middle[k], net.biases[k + 1], n, after)
        _activate(after, n, MIDDLE_FACTOR)
        hidden = after
    _layer(hidden, net.last, net.last_bias, n, scratch.outputs)
