"""The integer network on float32 rows of samples (docs/format_lhic_ax.md, section 6; `integer_net`)."""

from __future__ import annotations

import numpy as np

from lhic.families.ax.cpu.tiles import (
    COLUMNS,
    DOUBLES,
    layer_tile_1,
    layer_tile_2,
    layer_tile_3,
    layer_tile_4,
    layer_tile_8,
    narrow_layer_tile,
)
from lhic.families.ax.spec import ACTIVATION_LIMIT, FIRST_SHIFT, WEIGHT_BITS
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address

FIRST_FACTOR = np.float32(2.0**-FIRST_SHIFT)
MIDDLE_FACTOR = np.float32(2.0**-WEIGHT_BITS)


@lean
def _layer(inputs, weights, bias, n, outputs):
    """outputs (o, n) = weights (o, i) @ inputs (i, n) + bias, in tiles of COLUMNS samples: a little beyond n."""
    n_outputs, n_inputs = weights.shape
    stride = inputs.shape[1]
    for q in range(0, n, COLUMNS):
        x = address(inputs) + 4 * q
        o = 0
        while o < n_outputs:
            w, b = address(weights) + 4 * o * n_inputs, address(bias) + 4 * o
            out = address(outputs) + 4 * (o * stride + q)
            left = n_outputs - o
            if left >= 8 and n - q <= COLUMNS // 2:
                narrow_layer_tile(w, b, x, out, n_inputs, stride)
                o += 4
            elif left >= 8 and DOUBLES == 8:  # registers for twice as many sums
                layer_tile_8(w, b, x, out, n_inputs, stride)
                o += 4
            elif left >= 4:
                layer_tile_4(w, b, x, out, n_inputs, stride)
            elif left == 3:
                layer_tile_3(w, b, x, out, n_inputs, stride)
            elif left == 2:
                layer_tile_2(w, b, x, out, n_inputs, stride)
            else:
                layer_tile_1(w, b, x, out, n_inputs, stride)
            o += 4


@lean(fastmath={"contract", "nsz"})
def _activate(values, n, factor):
    """Shift and clip in place: 0 .. ACTIVATION_LIMIT."""
    for o in range(values.shape[0]):
        row = values[o]
        for q in range(n):
            row[q] = min(max(np.floor(row[q] * factor), np.float32(0)), np.float32(ACTIVATION_LIMIT))


@lean
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
