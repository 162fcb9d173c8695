"""What the network sees: the base prediction, the expected error, and the features in units of it.

A feature is 16 times a quantity in units of the expected error, clipped to -127 .. 127 (docs/format_lhic_ax.md,
section 5).  The same functions serve encoder, decoder and training.
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel, spec
from lhic.families.ax.cpu import alone
from lhic.families.ax.cpu.alone import MAGNITUDE
from lhic.families.ax.cpu.arithmetic import EXACT, log2_16, log2_16_row
from lhic.families.ax.cpu.blend import blend_wave, causal_sums
from lhic.families.ax.cpu.pictures import PIXEL_BYTES, neighbours
from lhic.families.ax.cpu.tiles import COLUMNS
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, distances, skewed
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address

_AROUND, _OWN = distances(spec.AROUND), distances(spec.OWN)
_W, _N, _E, _S = (skewed(place) for place in spec.CROSS)


@lean(inline="always")
def whole(n):
    """Samples of a wave in whole vectors, as loops without a rest are faster; what is beyond the wave goes nowhere."""
    return (n + COLUMNS - 1) // COLUMNS * COLUMNS


@lean(fastmath=EXACT)
def _raw_scales(around, activity, magnitude, n, expected, raw_scale):
    for q in range(n):
        expected[q] = pixel.expected_error(np.float64(activity[q]), magnitude)
        raw_scale[q] = pixel.raw_scale(around[q], expected[q])


@lean(fastmath=EXACT)
def _scales(raw_scale, log_raw, rates, n, level, scale):
    """Expected error, corrected by what errors of its level turned out to be: `corrected_scale`, see `alone`."""
    for q in range(n):
        level[q] = min(pixel.scale_level(np.int64(log_raw[q])), spec.N_LEVELS - 1)  # beyond the wave may be anything
        found = np.floor(raw_scale[q] * rates[0, level[q]] / rates[1, level[q]])
        scale[q] = max(found, float(spec.MIN_SCALE))


@lean(fastmath=EXACT)
def _inverses(scale, gain, n, inverse):
    """Inverse of the expected error, in the unit of each plane back."""
    for q in range(n):
        inverse[0, q] = pixel.inverse_scale(scale[q])
    for back in range(1, inverse.shape[0]):
        own, of_plane = inverse[0], inverse[back]
        for q in range(n):
            of_plane[q] = pixel.inverse_back(own[q], gain[back])


@lean(fastmath=EXACT)
def _scaled(source, inverse, n, feature):
    """A row of residuals."""
    for q in range(n):
        feature[q] = pixel.in_units(np.float64(source[q]), inverse[q], 16)


@lean(fastmath=EXACT)
def _scaled_differences(source, factor, base, inverse, bits, n, feature):
    """A row of samples (factor 64) or predictions (1), less the base."""
    for q in range(n):
        feature[q] = pixel.in_units(factor * source[q] - base[q], inverse[q], bits)


@lean(fastmath=EXACT)
def _less(logs, log_scale, n, feature):
    for q in range(n):
        feature[q] = pixel.limited(logs[q] - log_scale[q])


@lean(fastmath=EXACT)
def _ends(base, low, high, log_scale, log_magnitude, inverse, n, features, f):
    for q in range(n):
        features[f + spec.OF_MAGNITUDE, q] = pixel.limited(log_magnitude - log_scale[q])
        features[f + spec.OF_SCALE, q] = pixel.scale_feature(log_scale[q])
        features[f + spec.OF_LOW, q] = pixel.in_units(base[q] - low, inverse[q], 18)
        features[f + spec.OF_HIGH, q] = pixel.in_units(high - base[q], inverse[q], 18)


@lean(fastmath=EXACT)
def _slopes(plane, u, row, n, slope, curvature):
    """Differences to the four neighbours in the earlier plane, times 256, and their sum."""
    here, west, north = plane[u, row : row + n], neighbours(plane, u, row, n, _W), neighbours(plane, u, row, n, _N)
    east, south = neighbours(plane, u, row, n, _E), neighbours(plane, u, row, n, _S)
    for q in range(n):
        at, w, n_, e, s = np.float64(here[q]), np.float64(west[q]), np.float64(north[q]), east[q], np.float64(south[q])
        slope[q] = 256.0 * pixel.slope_sum(at, w, n_, np.float64(e), s)
        curvature[q] = w + n_ + e + s - 4.0 * at


@lean(fastmath=EXACT)
def _slope_features(logs, curvature, log_scale, inverse, n, features, f):
    for q in range(n):
        features[f + spec.OF_SLOPES, q] = pixel.slope_feature(logs[q], log_scale[q])
        features[f + spec.OF_CURVATURE, q] = pixel.in_units(curvature[q], inverse[q], 14)


@lean
def describe_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Base prediction, expected error, features and repeats of a wave whose experts have predicted."""
    m = whole(n)
    n_experts = table.about_mean.size
    n_slots = state.residuals.shape[0]
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    earlier_slot = (z - 1) % n_slots if z > 0 else z
    own_samples = state.samples[z % state.samples.shape[0]]
    if table.repeats:
        stride = state.samples.shape[2]
        at = PIXEL_BYTES * (u * stride + row)
        alone.candidates_tile(
            address(own_samples) + at, address(state.runs[earlier_slot]) + at, stride,
            address(state.run_weights[z]), address(scratch.candidates), address(scratch.run_levels),
            address(scratch.repeat_weights), n,
        )  # fmt: skip
    features, work, base, scale, raw_scale = (
        scratch.features, scratch.work, scratch.base, scratch.scale, scratch.raw_scale,
    )  # fmt: skip
    magnitude = max(state.magnitude[z, epoch], np.int64(spec.MIN_MAGNITUDE))
    scratch.numbers[MAGNITUDE] = magnitude
    log_magnitude = log2_16(magnitude)
    gain, log_error = scratch.gain, scratch.log_error
    for back in range(1, gain.size):
        earlier = max(state.magnitude[z - back, epoch], np.int64(spec.MIN_MAGNITUDE)) if z >= back else magnitude
        gain[back] = pixel.gain_of(magnitude, earlier)
    earlier = max(state.magnitude[z - 1, epoch], np.int64(spec.MIN_MAGNITUDE)) if z > 0 else magnitude

    blend_wave(z, u, row, m, epoch, magnitude, earlier, table, state, scratch)

    log_scale, log_raw, logs, expected = scratch.logs[0], scratch.logs[1], scratch.logs[2], scratch.logs[3]
    around = work[3]
    causal_sums(state.residuals[z % n_slots], u, row, m, around)
    activity = state.activity[earlier_slot, u, row:]
    if z == 0:
        activity[:n] = spec.UNIT
    _raw_scales(around, activity, float(magnitude), m, expected, raw_scale)
    log2_16_row(raw_scale, m, 0.0, log_raw)
    _scales(raw_scale, log_raw, state.rates[z], m, scratch.level, scale)
    log2_16_row(scale, m, 0.0, log_scale)
    _inverses(scale, gain, m, scratch.inverse)

    inverse = scratch.inverse[0]
    for e in range(n_experts):
        _scaled_differences(scratch.predictions[e], 1.0, base, inverse, 16, m, features[e])
        _less(scratch.near[e], log_scale, m, features[n_experts + e])
        features[2 * n_experts + e, :n] = pixel.limited(log_error[e] - log_magnitude)
    f = 3 * n_experts
    for k in range(_OWN.shape[0]):
        at, shifted = u + _OWN[k, 0], row + _OWN[k, 1]
        samples = own_samples[at, shifted:]
        _scaled_differences(samples, 64.0, base, inverse, 17, m, features[f + spec.OF_SAMPLES + k])
        _scaled(state.residuals[z % n_slots, at, shifted:], inverse, m, features[f + spec.OF_RESIDUALS + k])
    for back in range(1, 1 + spec.NEAR_PLANES + spec.FAR_PLANES):
        own = f + spec.OF_NEAR_PLANES + (back - 1) * (1 + _AROUND.shape[0])
        if back > spec.NEAR_PLANES:
            own = f + spec.OF_FAR_PLANES + back - 1 - spec.NEAR_PLANES
        n_around = _AROUND.shape[0] if back <= spec.NEAR_PLANES else 0
        if z >= back:
            plane = state.residuals[(z - back) % n_slots]
            _scaled(plane[u, row:], scratch.inverse[back], m, features[own])
            for k in range(n_around):
                at, shifted = u + _AROUND[k, 0], row + _AROUND[k, 1]
                _scaled(plane[at, shifted:], scratch.inverse[back], m, features[own + 1 + k])
        else:
            features[own : own + 1 + n_around, :n] = 0
    for q in range(m):
        around[q] *= 2.0
    log2_16_row(around, m, 16.0, logs)
    _less(logs, log_scale, m, features[f + spec.OF_AROUND])
    log2_16_row(expected, m, 16.0, logs)
    _less(logs, log_scale, m, features[f + spec.OF_EXPECTED])
    _less(log_raw, log_scale, m, features[f + spec.OF_RAW_SCALE])
    _ends(base, 64.0 * state.low[z], 64.0 * state.high[z], log_scale, log_magnitude, inverse, m, features, f)
    features[f + spec.OF_EARLIER_MAGNITUDE, :n] = pixel.limited(log2_16(earlier) - log_magnitude)
    features[f + spec.OF_COUNT, :n] = pixel.count_feature(log2_16(state.own_count[z] + 1))
    features[f + spec.OF_PLANE, :n] = 8 * min(z, 8)
    features[f + spec.OF_FIRST_ROW, :n] = 0
    features[f + spec.OF_SIDES, :n] = 0
    if first == 0:
        features[f + spec.OF_FIRST_ROW, 0] = 64
    left_most, right_most = wave - 2 * (first + n - 1), wave - 2 * first
    if left_most == 0:
        features[f + spec.OF_SIDES, n - 1] = 64
    if right_most == n_columns - 1:
        features[f + spec.OF_SIDES, 0] = 64
    if z > 0:
        slope, curvature = work[0], work[1]
        _slopes(state.samples[(z - 1) % state.samples.shape[0]], u, row, m, slope, curvature)
        log2_16_row(slope, m, 16.0, logs)
        _slope_features(logs, curvature, log_scale, inverse, m, features, f)
    else:
        features[f + spec.OF_SLOPES, :n] = 0
        features[f + spec.OF_CURVATURE, :n] = 0
