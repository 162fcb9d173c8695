"""The base prediction: the experts' predictions, weighted by their errors around a sample and in its plane."""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel
from lhic.families.ax.cpu.arithmetic import EXACT, log2_16, log2_16_row
from lhic.families.ax.cpu.pictures import neighbours
from lhic.families.ax.spec import HERE, NE, NN, NW, POWER_TABLE, WW, E, N, S, W
from lhic.families.ax.wavefront import skewed
from lhic.kernels.jit import lean

_W, _N, _NW, _NE, _WW, _NN = (skewed(place) for place in (W, N, NW, NE, WW, NN))
_HERE, _E, _S = (skewed(place) for place in (HERE, E, S))
_POWER_TABLE = POWER_TABLE.astype(np.float64)


@lean(fastmath=EXACT)
def causal_sums(plane, u, row, n, sums):
    """`pixel.causal_sum` of a picture of errors or residuals."""
    west, north = neighbours(plane, u, row, n, _W), neighbours(plane, u, row, n, _N)
    northwest, northeast = neighbours(plane, u, row, n, _NW), neighbours(plane, u, row, n, _NE)
    far_west, far_north = neighbours(plane, u, row, n, _WW), neighbours(plane, u, row, n, _NN)
    for q in range(n):
        sums[q] = pixel.causal_sum(
            np.float64(west[q]), np.float64(north[q]), np.float64(northwest[q]), np.float64(northeast[q]),
            np.float64(far_west[q]), np.float64(far_north[q]),
        )  # fmt: skip


@lean(fastmath=EXACT)
def _add_earlier_errors(plane, u, row, n, magnitude, earlier_magnitude, sums):
    """Add the earlier plane's errors here and around, in this plane's unit."""
    here, west, north = plane[u, row : row + n], neighbours(plane, u, row, n, _W), neighbours(plane, u, row, n, _N)
    east, south = neighbours(plane, u, row, n, _E), neighbours(plane, u, row, n, _S)
    for q in range(n):
        earlier = pixel.cross_sum(np.float64(here[q]), west[q], north[q], east[q], south[q])
        sums[q] = pixel.near_error(sums[q], earlier, magnitude, earlier_magnitude)


@lean(fastmath=EXACT)
def _blend(predictions, near, log_error, blend, n, work, base):
    least, moment, weights = work[0], work[1], work[2]
    first = predictions[0]
    least[:n] = np.inf
    moment[:n] = 0.0
    weights[:n] = 0.0
    for e in range(near.shape[0]):
        own = near[e]
        for q in range(n):
            least[q] = min(least[q], pixel.blend_cost(own[q], log_error[e], blend))
    for e in range(near.shape[0]):
        own, prediction = near[e], predictions[e]
        for q in range(n):
            cost = pixel.blend_cost(own[q], log_error[e], blend)
            weight = _POWER_TABLE[np.int64(pixel.blend_place(cost, least[q]))]
            weights[q] += weight
            moment[q] += weight * (prediction[q] - first[q])
    for q in range(n):
        base[q] = pixel.blended(first[q], moment[q], weights[q])


@lean
def blend_wave(z, u, row, n, epoch, magnitude, earlier_magnitude, table, state, scratch):
    """Fill `scratch.near` and `scratch.base` of a wave, and `scratch.log_error`."""
    log_error = scratch.log_error
    n_slots = state.residuals.shape[0]
    sums = scratch.work[3]
    for e in range(table.about_mean.size):
        log_error[e] = log2_16(state.error[z, epoch, e] + 16)
        causal_sums(state.errors[z % n_slots, e], u, row, n, sums)
        if z > 0:
            plane = state.errors[(z - 1) % n_slots, e]
            _add_earlier_errors(plane, u, row, n, float(magnitude), float(earlier_magnitude), sums)
        log2_16_row(sums, n, 8.0, scratch.near[e])
    _blend(scratch.predictions, scratch.near, log_error, float(table.blend), n, scratch.work, scratch.base)
