"""The experts' predictions of a wave: sums of products, straight from the pictures.

Every partial sum is an integer below 2^53, because coefficients are rounded to multiples of 2^-20: exact in any order.
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel
from lhic.families.ax.cpu.arithmetic import EXACT
from lhic.families.ax.cpu.pictures import neighbours
from lhic.families.ax.cpu.tiles import predict_samples
from lhic.families.ax.experts import CONSTANT, DETAIL, EARLIER, INSIDE, NEIGHBOUR, SAMPLE
from lhic.families.ax.spec import CAUSAL, COEFFICIENT_BITS, CONSTANT_INPUT, PREDICTION_BITS
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, skewed
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address

_W, _N, _NW, _NE = (skewed(place) for place in CAUSAL)


@lean(inline="always")
def source_of(regressor, samples, details, slot, u, row):
    """Address of a regressor's int32 for the sample at (u, row) in skewed coordinates; the next samples' follow.

    slot : of the plane, in which the sample is, among those that are kept
    """
    kind, back, du, di = regressor
    picture = address(details) if kind == DETAIL else address(samples)
    earlier = slot - back if slot >= back else slot - back + samples.shape[0]
    return picture + 4 * ((earlier * samples.shape[1] + u + du) * samples.shape[2] + row + di)


@lean(inline="always")
def inside(u, row, n, du, di, n_columns):
    """First of the samples 0 .. n - 1 from (u, row) on whose neighbour is inside the image, and the first after."""
    # The neighbour's column is `column` less twice the sample's row.
    first, column = row - ROW_MARGIN, u - WAVE_MARGIN + du - 2 * di
    begin = min(max(-di - first, (column - n_columns) // 2 + 1 - first, 0), n)
    return begin, max(min(column // 2 - first + 1, n), begin)


@lean
def predict(
    regressors, coefficients, samples, details, means, z, u, row, n, n_columns, sources, used, predictions, rounds=True
):  # fmt: skip
    """Sums of products of the n samples of a wave that begin at `row` (skewed coordinates), in 1/64, rounded down.

    Exact in any order: every partial sum is an integer below 2^53, that of the means with all neighbours' coefficients
    included.  sources : int64 (MAX_REGRESSORS + 2,);  used : float64 (MAX_REGRESSORS + 4,), working memory
    rounds : without it in 2^-20 as they are
    """
    count, constant, of_mean, of_earlier_mean = 0, 0.0, 0.0, 0.0
    slot = z % samples.shape[0]
    for r in range(coefficients.size):
        kind, back, du, di = regressors[r, 0], regressors[r, 1], regressors[r, 2], regressors[r, 3]
        if kind == CONSTANT:
            constant += float(CONSTANT_INPUT) * coefficients[r]
        elif z >= back:
            sources[count] = source_of((kind, back, du, di), samples, details, slot, u, row)
            used[count] = coefficients[r]
            count += 1
            if kind == NEIGHBOUR or kind == INSIDE:
                of_mean -= coefficients[r]
            elif kind == EARLIER:
                of_earlier_mean += coefficients[r]
    if of_earlier_mean:  # that mean is the sample there less its detail
        for kind, share in ((DETAIL, of_earlier_mean), (SAMPLE, -of_earlier_mean)):
            sources[count] = source_of((kind, 1, 0, 0), samples, details, slot, u, row)
            used[count] = share
            count += 1
    used[count], used[count + 1] = constant, of_mean
    predict_samples(sources, used, count, means, n, predictions)
    for r in range(coefficients.size):
        if regressors[r, 0] == INSIDE:
            du, di = regressors[r, 2], regressors[r, 3]
            begin, end = inside(u, row, n, du, di, n_columns)
            for q in range(begin):
                predictions[q] -= coefficients[r] * (samples[slot, u + du, row + di + q] - means[q])
            for q in range(end, n):
                predictions[q] -= coefficients[r] * (samples[slot, u + du, row + di + q] - means[q])
    if not rounds:
        return
    for q in range(n):
        predictions[q] = np.floor(predictions[q] * 2.0 ** (PREDICTION_BITS - COEFFICIENT_BITS))


@lean(fastmath=EXACT)
def _means(plane, u, row, n, means):
    west, north = neighbours(plane, u, row, n, _W), neighbours(plane, u, row, n, _N)
    northwest, northeast = neighbours(plane, u, row, n, _NW), neighbours(plane, u, row, n, _NE)
    for q in range(n):
        means[q] = pixel.causal_mean(
            np.float64(west[q]), np.float64(north[q]), np.float64(northwest[q]), np.float64(northeast[q])
        )


@lean(fastmath=EXACT)
def _limit(predictions, means, share, low, high, n):
    for q in range(n):
        predictions[q] = pixel.limited_prediction(predictions[q], share, means[q], low, high)


@lean
def predict_wave(z, wave, first, n, n_columns, table, state, scratch):
    """Experts' predictions for a wave of plane z, in 1/64."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    means = scratch.means
    _means(state.samples[z % state.samples.shape[0]], u, row, n, means)
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        predictions = scratch.predictions[e]
        predict(
            table.regressors[start:end], state.coefficients[z, start:end], state.samples, state.details, means,
            z, u, row, n, n_columns, scratch.sources, scratch.used, predictions,
        )  # fmt: skip
        share = 64.0 if table.about_mean[e] else 0.0
        _limit(predictions, means, share, float(state.low[z]), float(state.high[z]), n)
