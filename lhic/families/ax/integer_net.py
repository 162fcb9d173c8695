"""The integer network's weights: which tensors there are, and why every sum of them is exact.

A perceptron with clipped rectifiers.  Weights, biases and activations are integers kept in float32; no partial sum of
a layer reaches 2^24, which `check_bounds` proves from the weights, so float32 products and sums are exact in any
order: a loop, a BLAS or a GPU give the same numbers (docs/format_lhic_ax.md, section 6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.errors import CheckpointError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.spec import ACTIVATION_LIMIT, FEATURE_BITS, LIMIT, ONE, OUTPUT_BITS, WEIGHT_BITS, n_features

EXACT = 1 << 24  # float32 holds every integer up to here
# Bits behind the binary point of each kind of number.
FRACTION_BITS = {"weight": WEIGHT_BITS, "first_bias": FEATURE_BITS + WEIGHT_BITS, "bias": OUTPUT_BITS}


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


def step_limits(net: IntegerNet) -> np.ndarray:
    """How far each row of the last layer may change, float64 (3 K,): weights by so much, the bias by 128 times as much.

    No further than its sums are exact: ``reach + limit (4095 width + 128) < 2^24``.
    """
    reach = np.abs(net.last.astype(np.int64)).sum(1) * ACTIVATION_LIMIT + np.abs(net.last_bias.astype(np.int64))
    return ((EXACT - 1 - reach) // (ACTIVATION_LIMIT * net.last.shape[1] + ONE)).astype(np.float64)
