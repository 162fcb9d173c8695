"""From decoded samples to the network's inputs: experts' predictions, their blend, the expected error, the features.

Everything is an integer; a feature is 16 times a quantity in units of the expected error, clipped to -127 .. 127
(docs/format_lhic_ax.md, section 5).  The same functions serve encoder, decoder and training.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lhic.models.lhic_ax.arithmetic import POWER_TABLE, log2_16
from lhic.models.lhic_ax.experts import WEIGHT_STEPS, accumulate, forget, gather, predict, solve
from lhic.models.lhic_ax.layout import AROUND_DISTANCES, PLANE_LAG, ROW_MARGIN, WAVE_MARGIN, store
from lhic.models.lhic_ax.state import FIRST_COUNT, FIRST_MAGNITUDE, FIRST_RATIO, N_LEVELS, UNIT

assert PLANE_LAG == 4

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 5).
MAX_ERROR = 1 << 22  # |residual| and errors are clipped to this, in 1/64
MIN_SCALE = 12
MIN_RAW_SCALE = 24
MIN_MAGNITUDE = 16
PRIOR_COUNT = 32  # samples that the earlier plane's mean counts for
MAX_RATIO = 32  # times the expected error
KEEP_RATIO = 160  # of 256, of the earlier plane's table
ACTIVITY_RATE = 13  # of 64
MAX_ACTIVITY = 16
FAR_PLANES = 4  # planes 3 .. 6 back, co-located residual alone
LIMIT = 127


def n_features(n_experts: int) -> int:
    """Length of the network's input."""
    return 3 * n_experts + 6 + 6 + 18 + FAR_PLANES + 14


@njit(cache=True, inline="always")
def _clip(value):
    return np.float32(min(max(value, np.int64(-LIMIT)), np.int64(LIMIT)))


@njit(cache=True, inline="always")
def _causal_sum(plane, u, c):
    """2 W + 2 N + NW + NE + WW + NN of a plane of magnitudes."""
    return (
        2 * (np.int64(abs(plane[u - 1, c])) + abs(plane[u - 2, c - 1]))
        + abs(plane[u - 3, c - 1])
        + abs(plane[u - 1, c - 1])
        + abs(plane[u - 2, c])
        + abs(plane[u - 4, c - 2])
    )


@njit(cache=True)
def begin_plane(z, state):
    """Tables of the first epoch, from the earlier plane's first epoch."""
    if z == 0:
        state.magnitude[0, 0] = FIRST_MAGNITUDE
        state.error[0, 0] = FIRST_MAGNITUDE
        state.ratio[0, 0] = FIRST_RATIO * FIRST_COUNT
        state.ratio_count[0, 0] = FIRST_COUNT
    else:
        state.magnitude[z, 0] = state.magnitude[z - 1, 0]
        state.error[z, 0] = state.error[z - 1, 0]
        state.ratio[z, 0] = state.ratio[z - 1, 0]
        state.ratio_count[z, 0] = state.ratio_count[z - 1, 0]


@njit(cache=True)
def end_epoch(z, epoch, table, state, scratch):
    """Fit the experts of plane z to all waves so far and write the tables of the next epoch."""
    offset = 0
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        n = end - start
        gram = state.grams[z, offset : offset + n * n].reshape(n, n)
        offset += n * n
        moment = state.moments[z, start:end]
        solve(gram, moment, scratch.factor, state.coefficients[z, start:end])
        if table.forgets[e]:
            forget(gram, moment)
    then = epoch + 1
    count = state.own_count[z]
    before = state.magnitude[z - 1, then] if z > 0 else np.int64(FIRST_MAGNITUDE)
    state.magnitude[z, then] = (state.own_magnitude[z] * 16 + before * PRIOR_COUNT) // (count + PRIOR_COUNT)
    for e in range(table.about_mean.size):
        before = state.error[z - 1, then, e] if z > 0 else np.int64(FIRST_MAGNITUDE)
        state.error[z, then, e] = (state.own_error[z, e] * 16 + before * PRIOR_COUNT) // (count + PRIOR_COUNT)
    for level in range(N_LEVELS):
        ratio, ratio_count = state.own_ratio[z, level], state.own_ratio_count[z, level]
        if z > 0:
            ratio += (state.ratio[z - 1, then, level] * KEEP_RATIO) >> 8
            ratio_count += (state.ratio_count[z - 1, then, level] * KEEP_RATIO) >> 8
        else:
            ratio += FIRST_RATIO * FIRST_COUNT
            ratio_count += FIRST_COUNT
        if ratio_count < 1:
            ratio, ratio_count = np.int64(FIRST_RATIO), np.int64(1)
        state.ratio[z, then, level] = ratio
        state.ratio_count[z, then, level] = ratio_count


@njit(cache=True)
def predict_wave(z, wave, first, n, table, state, scratch):
    """Experts' predictions for a wave of plane z, in 1/64."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    plane = state.samples[z]
    means = scratch.means
    for q in range(n):
        c = row + q
        means[q] = (
            np.int64(plane[u - 1, c]) + plane[u - 2, c - 1] + plane[u - 3, c - 1] + plane[u - 1, c - 1] + 2
        ) >> 2
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        predictions = scratch.predictions[e]
        gather(table.regressors[start:end], state.samples, state.details, means, z, u, row, n, scratch.inputs[e])
        predict(state.coefficients[z, start:end], scratch.inputs[e], n, predictions)
        low, high = 64.0 * state.low[z], 64.0 * state.high[z]
        for q in range(n):
            value = predictions[q] + (64.0 * means[q] if table.about_mean[e] else 0.0)
            predictions[q] = min(max(value, low), high)


@njit(cache=True)
def describe_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Base prediction, expected error and features of a wave whose experts have predicted."""
    n_experts = table.about_mean.size
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    samples, residuals = state.samples, state.residuals
    features, predictions = scratch.features, scratch.predictions
    magnitude = max(state.magnitude[z, epoch], np.int64(MIN_MAGNITUDE))
    log_magnitude = log2_16(magnitude)
    # magnitude of each earlier plane, and this plane's in 1/1024 of it
    gain = np.empty(7, np.int64)
    for back in range(1, 7):
        earlier = magnitude
        if z >= back:
            earlier = max(state.magnitude[z - back, epoch], np.int64(MIN_MAGNITUDE))
        gain[back] = (magnitude << 10) // earlier
    earlier = max(state.magnitude[z - 1, epoch], np.int64(MIN_MAGNITUDE)) if z > 0 else magnitude
    log_earlier = log2_16(earlier) - log_magnitude
    log_count = _clip((log2_16(state.own_count[z] + 1) >> 1) - 60)
    log_error = np.empty(n_experts, np.float32)
    for e in range(n_experts):
        log_error[e] = _clip(log2_16(state.error[z, epoch, e] + 16) - log_magnitude)
    low, high = 64 * state.low[z], 64 * state.high[z]
    near = np.empty(n_experts, np.int64)
    for q in range(n):
        c = row + q
        i = first + q
        j = wave - 2 * i
        # base: the experts' predictions, weighted by the inverse square of their errors around
        nearest = np.int64(1) << 40
        for e in range(n_experts):
            total = _causal_sum(state.errors[z, e], u, c)
            if z > 0:
                plane = state.errors[z - 1, e]
                around = (4 * np.int64(plane[u, c]) + plane[u + 1, c] + plane[u + 2, c + 1] + plane[u - 1, c]) + plane[
                    u - 2, c - 1
                ]
                total += min((around * magnitude) // earlier, np.int64(1) << 24)
            near[e] = log2_16(total + 8)
            nearest = min(nearest, near[e])
        first_prediction = np.int64(predictions[0, q])
        weight_sum = np.int64(0)
        moment = np.int64(0)
        for e in range(n_experts):
            below = min(2 * (near[e] - nearest), np.int64(240))
            weight = (POWER_TABLE[below & 15] << 1) >> (below >> 4)
            weight_sum += weight
            moment += weight * (np.int64(predictions[e, q]) - first_prediction)
        base = first_prediction + moment // weight_sum
        # expected error
        around = _causal_sum(residuals[z], u, c)
        activity = np.int64(state.activity[z - 1, u, c]) if z > 0 else np.int64(UNIT)
        expected = (activity * magnitude) >> 10
        raw = max((10 * around + 11 * expected) >> 4, np.int64(MIN_RAW_SCALE))
        log_raw = log2_16(raw)
        level = min(log_raw >> 3, np.int64(N_LEVELS - 1))
        scale = (raw * state.ratio[z, epoch, level]) // (state.ratio_count[z, epoch, level] * FIRST_RATIO)
        scale = max(scale, np.int64(MIN_SCALE))
        log_scale = log2_16(scale)
        scratch.base[q], scratch.scale[q] = base, scale
        scratch.raw_scale[q], scratch.level[q] = raw, level
        # features
        inverse = (np.int64(1) << 24) // scale
        f = 0
        for e in range(n_experts):
            features[f, q] = _clip(((np.int64(predictions[e, q]) - base) * inverse) >> 16)
            features[f + n_experts, q] = _clip(near[e] - log_scale)
            features[f + 2 * n_experts, q] = log_error[e]
            f += 1
        f = 3 * n_experts
        plane = samples[z]
        for k in range(4):
            sample = np.int64(plane[u + AROUND_DISTANCES[k, 0], c + AROUND_DISTANCES[k, 1]])
            features[f + k, q] = _clip(((64 * sample - base) * inverse) >> 17)
        features[f + 4, q] = _clip(((64 * np.int64(plane[u - 2, c]) - base) * inverse) >> 17)
        features[f + 5, q] = _clip(((64 * np.int64(plane[u - 4, c - 2]) - base) * inverse) >> 17)
        f += 6
        plane = residuals[z]
        for k in range(4):
            residual = np.int64(plane[u + AROUND_DISTANCES[k, 0], c + AROUND_DISTANCES[k, 1]])
            features[f + k, q] = _clip((residual * inverse) >> 16)
        features[f + 4, q] = _clip((np.int64(plane[u - 2, c]) * inverse) >> 16)
        features[f + 5, q] = _clip((np.int64(plane[u - 4, c - 2]) * inverse) >> 16)
        f += 6
        for back in range(1, 3):
            if z >= back:
                plane = residuals[z - back]
                inverse_back = min((gain[back] * inverse) >> 10, np.int64(1) << 40)
                features[f, q] = _clip((np.int64(plane[u, c]) * inverse_back) >> 16)
                for k in range(8):
                    residual = np.int64(plane[u + AROUND_DISTANCES[k, 0], c + AROUND_DISTANCES[k, 1]])
                    features[f + 1 + k, q] = _clip((residual * inverse_back) >> 16)
            else:
                for k in range(9):
                    features[f + k, q] = 0
            f += 9
        for back in range(3, 3 + FAR_PLANES):
            features[f, q] = 0
            if z >= back:
                inverse_back = min((gain[back] * inverse) >> 10, np.int64(1) << 40)
                features[f, q] = _clip((np.int64(residuals[z - back, u, c]) * inverse_back) >> 16)
            f += 1
        features[f, q] = _clip(log2_16(2 * around + 16) - log_scale)
        features[f + 1, q] = _clip(log2_16(expected + 16) - log_scale)
        features[f + 2, q] = _clip(log_magnitude - log_scale)
        features[f + 3, q] = _clip((log_scale >> 1) - 60)
        features[f + 4, q] = _clip(log_earlier)
        features[f + 5, q] = _clip(((base - low) * inverse) >> 18)
        features[f + 6, q] = _clip(((high - base) * inverse) >> 18)
        features[f + 7, q] = log_count
        features[f + 8, q] = 8 * min(z, 8)
        features[f + 9, q] = 64 if i == 0 else 0
        features[f + 10, q] = 64 if j == 0 or j == n_columns - 1 else 0
        features[f + 11, q] = _clip(log_raw - log_scale)
        if z > 0:
            plane = samples[z - 1]
            centre = np.int64(plane[u, c])
            west, north = np.int64(plane[u - 1, c]), np.int64(plane[u - 2, c - 1])
            east, south = np.int64(plane[u + 1, c]), np.int64(plane[u + 2, c + 1])
            slope = abs(centre - west) + abs(centre - north) + abs(centre - east) + abs(centre - south)
            features[f + 12, q] = _clip((log2_16(256 * slope + 16) - log_scale) >> 1)
            features[f + 13, q] = _clip(((west + north + east + south - 4 * centre) * 16 * inverse) >> 18)
        else:
            features[f + 12, q] = 0
            features[f + 13, q] = 0


@njit(cache=True)
def learn_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Take note of the samples of a wave, which stand in ``scratch.targets``."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    n_experts = table.about_mean.size
    magnitude = max(state.magnitude[z, epoch], np.int64(MIN_MAGNITUDE))
    square = magnitude * magnitude
    for q in range(n):
        i = first + q
        j = wave - 2 * i
        c = row + q
        sample = np.int64(scratch.targets[q])
        residual = min(max(64 * sample - scratch.base[q], np.int64(-MAX_ERROR)), np.int64(MAX_ERROR))
        size = abs(residual)
        store(state.samples[z], i, j, n_rows, n_columns, sample)
        store(state.details[z], i, j, n_rows, n_columns, sample - scratch.means[q])
        store(state.residuals[z], i, j, n_rows, n_columns, residual)
        for e in range(n_experts):
            error = min(abs(64 * sample - np.int64(scratch.predictions[e, q])), np.int64(MAX_ERROR))
            store(state.errors[z, e], i, j, n_rows, n_columns, error)
            if state.coded[u, c]:
                state.own_error[z, e] += error
        before = np.int64(state.activity[z - 1, u, c]) if z > 0 else np.int64(UNIT)
        if not state.coded[u, c]:
            state.activity[z, u, c] = before
            scratch.weights[q] = 0.0
            continue
        relative = min((size << 14) // magnitude, np.int64(MAX_ACTIVITY * UNIT))
        state.activity[z, u, c] = before + (((relative - before) * ACTIVITY_RATE) >> 6)
        level = scratch.level[q]
        state.own_ratio[z, level] += min(size * (16 * FIRST_RATIO) // scratch.raw_scale[q], FIRST_RATIO * MAX_RATIO)
        state.own_ratio_count[z, level] += 1
        state.own_magnitude[z] += size
        state.own_count[z] += 1
        scale = scratch.scale[q]
        scratch.weights[q] = 1 + (WEIGHT_STEPS * square) // (square + scale * scale)
    offset = 0
    for e in range(n_experts):
        start, end = table.starts[e], table.starts[e + 1]
        size = end - start
        targets = scratch.targets
        if table.about_mean[e]:
            targets = scratch.weighted  # free until `accumulate`, which needs another
            for q in range(n):
                targets[q] = scratch.targets[q] - scratch.means[q]
        gram = state.grams[z, offset : offset + size * size].reshape(size, size)
        offset += size * size
        accumulate(
            scratch.inputs[e], targets, scratch.weights, size, n, gram, state.moments[z, start:end], scratch.spare
        )
