"""From decoded samples to the network's inputs: experts' predictions, their blend, the expected error, the features.

Everything is an integer; a feature is 16 times a quantity in units of the expected error, clipped to -127 .. 127
(docs/format_lhic_ax.md, section 5).  The same functions serve encoder, decoder and training.
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax.cpu.arithmetic import LOG_STEPS, POWER_TABLE, log2_16
from lhic.families.ax.cpu.experts import WEIGHT_STEPS, accumulate, forget, gather, padded, predict, solve
from lhic.families.ax.cpu.register_tiles import QUAD
from lhic.families.ax.cpu.repeats import find_repeats, first_table, learn_repeats, next_table
from lhic.families.ax.cpu.skew import (
    AROUND_DISTANCES,
    CAUSAL_DISTANCES,
    PLANE_LAG,
    ROW_MARGIN,
    WAVE_MARGIN,
    distances,
    store,
    wave_rows,
)
from lhic.families.ax.cpu.state import FIRST_COUNT, FIRST_MAGNITUDE, FIRST_RATIO, N_LEVELS, UNIT
from lhic.kernels.jit import njit

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

OWN_DISTANCES = np.concatenate([CAUSAL_DISTANCES, distances([(0, -2), (-2, 0)])])
# weight of an expert by 32 log2 of its error over the least: 2^15 over its square root's square, rounded down
WEIGHT_TABLE = (POWER_TABLE[np.arange(241) % LOG_STEPS] << 1 >> np.arange(241) // LOG_STEPS).astype(np.float64)


def n_features(n_experts: int) -> int:
    """Length of the network's input."""
    return 3 * n_experts + 6 + 6 + 18 + FAR_PLANES + 14


# All below are integers, and |every sum or product| < 2^53: exact in float64, with or without fused multiply-add.
# A quotient is rounded correctly, and numerator + divisor < 2^52: its floor is that of the true quotient.
_EXACT = {"contract", "nsz", "nnan"}


@njit(inline="always")
def _clip(value):
    return np.float32(min(max(value, -float(LIMIT)), float(LIMIT)))


@njit(fastmath=_EXACT)
def _causal_sums(plane, u, row, n, sums):
    """2 W + 2 N + NW + NE + WW + NN of a plane of magnitudes, or of numbers whose magnitudes are taken."""
    one, two = plane[u - 1, row - 1 : row + n], plane[u - 2, row - 1 : row + n]
    three, four = plane[u - 3, row - 1 : row + n], plane[u - 4, row - 2 : row + n]
    for q in range(n):
        sums[q] = (
            2.0 * (abs(np.float64(one[q + 1])) + abs(np.float64(two[q])))
            + abs(np.float64(three[q]))
            + abs(np.float64(one[q]))
            + abs(np.float64(two[q + 1]))
            + abs(np.float64(four[q]))
        )


@njit(fastmath=_EXACT)
def _add_earlier_sums(plane, u, row, n, magnitude, earlier, sums):
    """Add 4 times the earlier plane's error here, and those right, below, left and above, in this plane's unit."""
    here, left = plane[u, row : row + n], plane[u - 1, row : row + n]
    right, below, above = (
        plane[u + 1, row : row + n],
        plane[u + 2, row + 1 : row + 1 + n],
        plane[u - 2, row - 1 : row + n],
    )
    for q in range(n):
        around = 4.0 * here[q] + right[q] + below[q] + left[q] + above[q]
        sums[q] += min(np.floor(around * magnitude / earlier), 2.0**24)


@njit
def _log2_16(values, n, added, logs):
    for q in range(n):
        logs[q] = log2_16(values[q] + added)


@njit(fastmath=_EXACT)
def _scaled(source, inverse, n, feature):
    """A residual row in units of the expected error: clip((source inverse) >> 16)."""
    for q in range(n):
        feature[q] = _clip(np.floor(source[q] * inverse[q] * 2.0**-16))


@njit(fastmath=_EXACT)
def _scaled_difference(source, base, inverse, n, feature):
    """A row of samples less the base: clip(((64 source - base) inverse) >> 17)."""
    for q in range(n):
        feature[q] = _clip(np.floor((64.0 * source[q] - base[q]) * inverse[q] * 2.0**-17))


@njit(fastmath=_EXACT)
def _difference(logs, log_scale, n, feature):
    for q in range(n):
        feature[q] = _clip(logs[q] - log_scale[q])


@njit
def begin_plane(z, state):
    """Tables of the first epoch, from the earlier plane's first epoch, and margins of zeros."""
    slot = z % state.residuals.shape[0]
    if z != slot:  # left from another plane
        state.residuals[slot] = 0
        state.errors[slot] = 0
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
    first_table(z, state)


@njit
def learn_epoch(z, epoch, n_rows, n_columns, table, state, scratch):
    """Add the samples of an epoch to the normal equations, as many waves at a time as `scratch.inputs` has room for.

    The sums are needed at the epoch's end alone: until then the weights are kept, and inputs are still in the pictures.
    """
    columns = scratch.inputs.shape[1] - 2 * QUAD
    begin, end = epoch * state.weights.shape[1], (epoch + 1) * state.weights.shape[1]
    at = np.int64(0)
    for wave in range(begin, end):
        at += _recall_wave(z, wave, at, n_rows, n_columns, state, scratch)
    offset = side = 0
    for e in range(table.about_mean.size):
        regressors = table.regressors[table.starts[e] : table.starts[e + 1]]
        size = padded(regressors.shape[0])
        gram = state.grams[z, offset : offset + size * size].reshape(size, size)
        moment = state.moments[z, side : side + size]
        offset += size * size
        side += size
        targets = scratch.recalled[1 if table.about_mean[e] else 0]
        wave, at = begin, 0
        while wave < end:
            n = np.int64(0)
            while wave < end:
                first, n_here = wave_rows(wave, n_rows, n_columns)
                if n + padded(n_here) > columns:
                    break
                gather(
                    regressors, state.samples, state.details, scratch.recalled[2, at + n :], z, wave + WAVE_MARGIN,
                    first + ROW_MARGIN, n_here, n_columns, n, scratch.inputs,
                )  # fmt: skip
                n += padded(n_here)
                wave += 1
            own, weights = targets[at : at + n], scratch.recalled[3, at : at + n]
            accumulate(scratch.inputs, own, weights, regressors.shape[0], n, gram, moment, scratch.weighted)
            at += n


@njit
def _recall_wave(z, wave, at, n_rows, n_columns, state, scratch):
    """Samples, details, means and weights of a wave, from column `at` on; returns how many columns they take."""
    first, n = wave_rows(wave, n_rows, n_columns)
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    weights = state.weights[z % state.residuals.shape[0], wave % state.weights.shape[1]]
    samples, details = state.samples[z, u, row : row + n], state.details[z, u, row : row + n]
    recalled = scratch.recalled[:, at : at + padded(n)]
    recalled[:, n:] = 0.0
    for q in range(n):
        recalled[0, q] = samples[q]
        recalled[1, q] = details[q]
        recalled[2, q] = samples[q] - details[q]
        recalled[3, q] = weights[q]
    return padded(n)


@njit
def end_epoch(z, epoch, n_rows, n_columns, table, state, scratch):
    """Fit the experts of plane z to all waves so far and write the tables of the next epoch."""
    learn_epoch(z, epoch, n_rows, n_columns, table, state, scratch)
    fit_experts(z, table, state, scratch)
    _next_tables(z, epoch, table, state)


@njit
def fit_experts(z, table, state, scratch):
    """Coefficients of plane z from its normal equations."""
    offset = side = 0
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        size = padded(end - start)
        gram = state.grams[z, offset : offset + size * size].reshape(size, size)
        moment = state.moments[z, side : side + size]
        offset += size * size
        side += size
        solve(gram, moment, scratch.factor, state.coefficients[z, start:end])
        if table.forgets[e]:
            forget(gram, moment)


@njit
def _next_tables(z, epoch, table, state):
    """What plane z expects in the next epoch."""
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
    next_table(z, then, state)


@njit(fastmath=_EXACT)
def _means(plane, u, row, n, means):
    """Mean of the causal neighbours, rounded."""
    one, two, three = plane[u - 1, row - 1 : row + n], plane[u - 2, row - 1 : row + n], plane[u - 3, row - 1 : row + n]
    for q in range(n):
        total = np.float64(one[q + 1]) + np.float64(two[q]) + np.float64(three[q]) + np.float64(one[q])
        means[q] = np.floor((total + 2.0) * 0.25)


@njit(fastmath=_EXACT)
def _limit(predictions, means, share, low, high, n):
    for q in range(n):
        predictions[q] = min(max(predictions[q] + share * means[q], low), high)


@njit
def predict_wave(z, wave, first, n, n_columns, table, state, scratch):
    """Experts' predictions for a wave of plane z, in 1/64."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    means = scratch.means
    _means(state.samples[z], u, row, n, means)
    low, high = 64.0 * state.low[z], 64.0 * state.high[z]
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        predictions = scratch.predictions[e]
        predict(
            table.regressors[start:end], state.coefficients[z, start:end], state.samples, state.details, means,
            z, u, row, n, n_columns, scratch.sources, scratch.used, predictions,
        )  # fmt: skip
        _limit(predictions, means, 64.0 if table.about_mean[e] else 0.0, low, high, n)


@njit(fastmath=_EXACT)
def _blend(predictions, near, share, n, work, base):
    """The experts' predictions, weighted by the inverse square of their errors around, and a power of the plane's."""
    nearest, moment, weights = work[0], work[1], work[2]
    first = predictions[0]
    for q in range(n):
        nearest[q] = 2.0 * near[0, q] + share[0]
    for e in range(1, near.shape[0]):
        other = near[e]
        for q in range(n):
            nearest[q] = min(nearest[q], 2.0 * other[q] + share[e])
    moment[:n] = 0.0
    weights[:n] = 0.0
    for e in range(near.shape[0]):
        own, prediction = near[e], predictions[e]
        for q in range(n):
            weight = WEIGHT_TABLE[np.int64(min(2.0 * own[q] + share[e] - nearest[q], 240.0))]
            weights[q] += weight
            moment[q] += weight * (prediction[q] - first[q])
    for q in range(n):
        base[q] = first[q] + np.floor(moment[q] / weights[q])


@njit(fastmath=_EXACT)
def _raw_scales(around, activity, magnitude, n, expected, raw_scale):
    for q in range(n):
        expected[q] = np.floor(activity[q] * magnitude * 2.0**-10)
        raw_scale[q] = max(np.floor((10.0 * around[q] + 11.0 * expected[q]) * 2.0**-4), float(MIN_RAW_SCALE))


@njit
def _scales(raw_scale, log_raw, ratio, ratio_count, n, level, scale):
    """Expected error, corrected by what errors of its level turned out to be."""
    for q in range(n):
        level[q] = min(np.int64(log_raw[q]) >> 3, N_LEVELS - 1)
        corrected = (np.int64(raw_scale[q]) * ratio[level[q]]) // (ratio_count[level[q]] * FIRST_RATIO)
        scale[q] = max(corrected, MIN_SCALE)


@njit(fastmath=_EXACT)
def _inverses(scale, gain, n, inverse):
    """2^24 / scale, and the same for the unit of each earlier plane, which is limited where any residual is clipped."""
    own = inverse[0]
    for q in range(n):
        own[q] = np.floor(2.0**24 / scale[q])
    for back in range(1, inverse.shape[0]):
        of_plane = inverse[back]
        for q in range(n):
            of_plane[q] = min(np.floor(own[q] * gain[back] * 2.0**-10), 2.0**23)


@njit(fastmath=_EXACT)
def _slopes(plane, u, row, n, slope, curvature):
    """Sum of differences to the four neighbours of the earlier plane, and their sum less 4 times the centre."""
    here, left = plane[u, row : row + n], plane[u - 1, row : row + n]
    right, below, above = (
        plane[u + 1, row : row + n],
        plane[u + 2, row + 1 : row + 1 + n],
        plane[u - 2, row - 1 : row + n],
    )
    for q in range(n):
        centre = np.float64(here[q])
        west, north, east, south = np.float64(left[q]), np.float64(above[q]), np.float64(right[q]), np.float64(below[q])
        slope[q] = 256.0 * (abs(centre - west) + abs(centre - north) + abs(centre - east) + abs(centre - south))
        curvature[q] = west + north + east + south - 4.0 * centre


@njit
def describe_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Base prediction, expected error, features and repeats of a wave whose experts have predicted."""
    if table.repeats:
        find_repeats(z, wave, first, n, epoch, table, state, scratch)
    n_experts = table.about_mean.size
    n_slots = state.residuals.shape[0]
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    features, predictions, near, work = scratch.features, scratch.predictions, scratch.near, scratch.work
    base, scale, raw_scale = scratch.base, scratch.scale, scratch.raw_scale
    magnitude = max(state.magnitude[z, epoch], np.int64(MIN_MAGNITUDE))
    log_magnitude = log2_16(magnitude)
    # this plane's magnitude in 1/1024 of each earlier plane's
    gain = np.empty(7)
    for back in range(1, 7):
        earlier = magnitude
        if z >= back:
            earlier = max(state.magnitude[z - back, epoch], np.int64(MIN_MAGNITUDE))
        gain[back] = (magnitude << 10) // earlier
    earlier = max(state.magnitude[z - 1, epoch], np.int64(MIN_MAGNITUDE)) if z > 0 else magnitude

    around = work[3]
    log_error, share = np.empty(n_experts), np.empty(n_experts)
    for e in range(n_experts):
        log_error[e] = log2_16(state.error[z, epoch, e] + 16)
        _causal_sums(state.errors[z % n_slots, e], u, row, n, around)
        if z > 0:
            plane = state.errors[(z - 1) % n_slots, e]
            _add_earlier_sums(plane, u, row, n, float(magnitude), float(earlier), around)
        _log2_16(around, n, 8.0, near[e])
        share[e] = table.blend * log_error[e]
    _blend(predictions, near, share, n, work, base)

    log_scale, log_raw, logs, expected = scratch.logs[0], scratch.logs[1], scratch.logs[2], scratch.logs[3]
    _causal_sums(state.residuals[z % n_slots], u, row, n, around)
    if z > 0:
        activity = state.activity[(z - 1) % n_slots, u, row : row + n]
        _raw_scales(around, activity, float(magnitude), n, expected, raw_scale)
    else:
        work[0, :n] = UNIT
        _raw_scales(around, work[0], float(magnitude), n, expected, raw_scale)
    _log2_16(raw_scale, n, 0.0, log_raw)
    _scales(raw_scale, log_raw, state.ratio[z, epoch], state.ratio_count[z, epoch], n, scratch.level, scale)
    _log2_16(scale, n, 0.0, log_scale)
    _inverses(scale, gain, n, scratch.inverse)

    inverse = scratch.inverse[0]
    for e in range(n_experts):
        difference = work[0]
        for q in range(n):
            difference[q] = predictions[e, q] - base[q]
        _scaled(difference, inverse, n, features[e])
        _difference(near[e], log_scale, n, features[n_experts + e])
        features[2 * n_experts + e, :n] = _clip(log_error[e] - log_magnitude)
    f = 3 * n_experts
    for k in range(OWN_DISTANCES.shape[0]):
        at, shifted = u + OWN_DISTANCES[k, 0], row + OWN_DISTANCES[k, 1]
        _scaled_difference(state.samples[z, at, shifted : shifted + n], base, inverse, n, features[f + k])
        _scaled(state.residuals[z % n_slots, at, shifted : shifted + n], inverse, n, features[f + 6 + k])
    f += 12
    for back in range(1, 3):
        if z >= back:
            plane = state.residuals[(z - back) % n_slots]
            _scaled(plane[u, row : row + n], scratch.inverse[back], n, features[f])
            for k in range(8):
                at, shifted = u + AROUND_DISTANCES[k, 0], row + AROUND_DISTANCES[k, 1]
                _scaled(plane[at, shifted : shifted + n], scratch.inverse[back], n, features[f + 1 + k])
        else:
            features[f : f + 9, :n] = 0
        f += 9
    for back in range(3, 3 + FAR_PLANES):
        if z >= back:
            residual = state.residuals[(z - back) % n_slots, u, row : row + n]
            _scaled(residual, scratch.inverse[back], n, features[f])
        else:
            features[f, :n] = 0
        f += 1
    for q in range(n):
        around[q] *= 2.0
    _log2_16(around, n, 16.0, logs)
    _difference(logs, log_scale, n, features[f])
    _log2_16(expected, n, 16.0, logs)
    _difference(logs, log_scale, n, features[f + 1])
    _difference(log_raw, log_scale, n, features[f + 11])
    low, high = 64.0 * state.low[z], 64.0 * state.high[z]
    for q in range(n):
        features[f + 2, q] = _clip(log_magnitude - log_scale[q])
        features[f + 3, q] = _clip(np.floor(log_scale[q] * 0.5) - 60.0)
        features[f + 5, q] = _clip(np.floor((base[q] - low) * inverse[q] * 2.0**-18))
        features[f + 6, q] = _clip(np.floor((high - base[q]) * inverse[q] * 2.0**-18))
    features[f + 4, :n] = _clip(log2_16(earlier) - log_magnitude)
    features[f + 7, :n] = _clip((log2_16(state.own_count[z] + 1) >> 1) - 60)
    features[f + 8, :n] = 8 * min(z, 8)
    features[f + 9, :n] = 0
    features[f + 10, :n] = 0
    if first == 0:
        features[f + 9, 0] = 64
    left_most, right_most = wave - 2 * (first + n - 1), wave - 2 * first
    if left_most == 0:
        features[f + 10, n - 1] = 64
    if right_most == n_columns - 1:
        features[f + 10, 0] = 64
    if z > 0:
        slope, curvature = work[0], work[1]
        _slopes(state.samples[z - 1], u, row, n, slope, curvature)
        _log2_16(slope, n, 16.0, logs)
        for q in range(n):
            features[f + 12, q] = _clip(np.floor((logs[q] - log_scale[q]) * 0.5))
            features[f + 13, q] = _clip(np.floor(curvature[q] * inverse[q] * 2.0**-14))
    else:
        features[f + 12, :n] = 0
        features[f + 13, :n] = 0


@njit
def _store_wave(plane, values, wave, first, n, n_rows, n_columns):
    """Write a wave, and around its two ends the places beyond the image's edge; between them there are none."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    places = plane[u, row : row + n]
    for q in range(n):
        places[q] = np.int32(values[q])
    store(plane, first, wave - 2 * first, n_rows, n_columns, np.int32(values[0]))
    last = first + n - 1
    store(plane, last, wave - 2 * last, n_rows, n_columns, np.int32(values[n - 1]))


@njit(fastmath=_EXACT)
def _residuals(targets, base, n, residuals, sizes):
    for q in range(n):
        residuals[q] = min(max(64.0 * targets[q] - base[q], -float(MAX_ERROR)), float(MAX_ERROR))
        sizes[q] = abs(residuals[q])


@njit(fastmath=_EXACT)
def _errors(targets, predictions, n, errors):
    for q in range(n):
        errors[q] = min(abs(64.0 * targets[q] - predictions[q]), float(MAX_ERROR))


@njit(fastmath=_EXACT | {"reassoc"})
def _sum_coded(values, coded, n):
    total = 0.0
    for q in range(n):
        total += values[q] if coded[q] else 0.0
    return total


@njit(fastmath=_EXACT)
def _activities(sizes, magnitude, before, coded, n, activity):
    for q in range(n):
        known = np.float64(before[q])
        relative = min(np.floor(sizes[q] * 2.0**14 / magnitude), float(MAX_ACTIVITY * UNIT))
        moved = known + np.floor((relative - known) * ACTIVITY_RATE * 2.0**-6)
        activity[q] = np.int32(moved if coded[q] else known)


@njit(fastmath=_EXACT)
def _relative_sizes(sizes, raw_scale, n, relative):
    for q in range(n):
        relative[q] = min(np.floor(sizes[q] * (16.0 * FIRST_RATIO) / raw_scale[q]), float(FIRST_RATIO * MAX_RATIO))


@njit(fastmath=_EXACT)
def _weights(scale, magnitude, coded, n, weights):
    """1 + (31 magnitude^2) // (magnitude^2 + scale^2); 0 where nothing is coded."""
    square = magnitude * magnitude
    if magnitude < 2.0**20:
        for q in range(n):
            limited = min(scale[q], 2.0**23)  # from there on the quotient is 0
            weight = 1.0 + np.floor(WEIGHT_STEPS * square / (square + limited * limited))
            weights[q] = weight if coded[q] else 0.0
    else:
        whole = np.int64(square)
        for q in range(n):
            side = np.int64(scale[q])
            weights[q] = 1 + (WEIGHT_STEPS * whole) // (whole + side * side) if coded[q] else 0.0


@njit
def learn_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Take note of the samples of a wave, which stand in ``scratch.targets``."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    n_experts = table.about_mean.size
    slot = z % state.residuals.shape[0]
    magnitude = float(max(state.magnitude[z, epoch], np.int64(MIN_MAGNITUDE)))
    coded = state.coded[u, row : row + n]
    targets, details, sizes = scratch.targets, scratch.details, scratch.sizes
    residuals, errors, relative = scratch.work[0], scratch.work[1], scratch.work[2]
    _residuals(targets, scratch.base, n, residuals, sizes)
    for q in range(n):
        details[q] = targets[q] - scratch.means[q]
    if table.repeats:
        learn_repeats(z, wave, first, n, coded, table, state, scratch)
    _store_wave(state.samples[z], targets, wave, first, n, n_rows, n_columns)
    _store_wave(state.details[z], details, wave, first, n, n_rows, n_columns)
    _store_wave(state.residuals[slot], residuals, wave, first, n, n_rows, n_columns)
    for e in range(n_experts):
        _errors(targets, scratch.predictions[e], n, errors)
        _store_wave(state.errors[slot, e], errors, wave, first, n, n_rows, n_columns)
        state.own_error[z, e] += np.int64(_sum_coded(errors, coded, n))
    activity = state.activity[slot, u, row : row + n]
    if z > 0:
        before = state.activity[(z - 1) % state.residuals.shape[0], u, row : row + n]
    else:
        before = activity
        before[:] = UNIT
    _activities(sizes, magnitude, before, coded, n, activity)
    _relative_sizes(sizes, scratch.raw_scale, n, relative)
    for q in range(n):
        if coded[q]:
            level = scratch.level[q]
            state.own_ratio[z, level] += np.int64(relative[q])
            state.own_ratio_count[z, level] += 1
            state.own_count[z] += 1
    state.own_magnitude[z] += np.int64(_sum_coded(sizes, coded, n))
    _weights(scratch.scale, magnitude, coded, n, state.weights[slot, wave % state.weights.shape[1]])
