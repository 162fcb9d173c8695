"""What is known before a wave: predictions of the experts, their blend, the expected error, repeats, the features."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu import pixel
from lhic.families.ax.gpu.arithmetic import clip, log2_16
from lhic.families.ax.gpu.constants import (
    COEFFICIENT_BITS,
    FAR_PLANES,
    LONGEST_RUN,
    MIN_MAGNITUDE,
    N_LEVELS,
    N_RUN_LEVELS,
    NEAR_PLANES,
    OF_AROUND,
    OF_COUNT,
    OF_CURVATURE,
    OF_EARLIER_MAGNITUDE,
    OF_EXPECTED,
    OF_FAR_PLANES,
    OF_FIRST_ROW,
    OF_HIGH,
    OF_LOW,
    OF_MAGNITUDE,
    OF_NEAR_PLANES,
    OF_PLANE,
    OF_RAW_SCALE,
    OF_RESIDUALS,
    OF_SAMPLES,
    OF_SCALE,
    OF_SIDES,
    OF_SLOPES,
    PLANE_LAG,
    PREDICTION_BITS,
    ROW_MARGIN,
    RUN_BITS,
    UNIT,
    WAVE_MARGIN,
)
from lhic.families.ax.gpu.pictures import (
    EARLIER_ACTIVITY,
    EARLIER_SAMPLES,
    ERRORS,
    FAR_RESIDUALS,
    N_ABOUT,
    N_CROSS,
    N_OWN,
    NEAR_RESIDUALS,
    OWN_RESIDUALS,
    OWN_SAMPLES,
    causal_sum,
    first_plane,
    place_of,
    read,
)

TO_PREDICTION = tl.constexpr(2.0 ** (PREDICTION_BITS.value - COEFFICIENT_BITS.value))


@triton.jit
def _magnitude(magnitude, table, is_there, otherwise):
    found = tl.maximum(tl.load(magnitude + table, mask=is_there, other=0), MIN_MAGNITUDE)
    return tl.where(is_there, found, otherwise)


@triton.jit
def _is_inside(about, i, j, n_rows, n_columns):
    """Whether a regressor that looks inside alone may look there."""
    down, right = i.to(tl.int32) + tl.load(about + 4).to(tl.int32), j.to(tl.int32) + tl.load(about + 5).to(tl.int32)
    return (down >= 0) & (down < n_rows) & (right >= 0) & (right < n_columns)


@triton.jit
def _products(
    at, about, coefficients, n, z, i, j, there, mean, n_rows, n_columns, AT_ONCE: tl.constexpr, INSIDE: tl.constexpr,
    EARLIER: tl.constexpr,
):  # fmt: skip
    """Sum of an expert's products, float64; AT_ONCE regressors are loaded together."""
    total = mean.to(tl.float64) * 0.0
    for begin in range(0, n, AT_ONCE):
        for k in tl.static_range(AT_ONCE):
            known = (begin + k < n) & (z >= tl.load(about + 1))
            value = tl.load(at + tl.load(about), mask=known & there, other=0)
            value -= tl.load(about + 2).to(tl.int32) * mean.to(tl.int32)
            value += tl.load(about + 3).to(tl.int32)
            if EARLIER:
                also = known & there & (tl.load(about + 6) != 0)
                value -= tl.load(at + tl.load(about + 6), mask=also, other=0)
                value += tl.load(at + tl.load(about + 7), mask=also, other=0)
            if INSIDE:
                value = tl.where(_is_inside(about, i, j, n_rows, n_columns), value, 0)
            total += value.to(tl.float64) * tl.load(coefficients + begin + k, mask=begin + k < n, other=0.0)
            about += N_ABOUT
    return total


@triton.jit
def _keep(features, number, n_all, value, there, inside):
    """Store a feature; 0 where there is no sample."""
    kept = tl.where(there, pixel.limited(value), 0).to(tl.int8)
    tl.store(features + tl.cast(number, tl.int64) * n_all, kept, mask=inside)


@triton.jit
def _keep_reads(
    features, number, n_all, at, offsets, first, less, inverse, known, there, inside,
    N: tl.constexpr, FACTOR: tl.constexpr, SHIFT: tl.constexpr,
):  # fmt: skip
    """Store N = 1, 6 or 9 features (FACTOR times a read, less `less`) in units; reads begin at `first`."""
    a = read(at, offsets, first, known)
    if N >= 6:
        b, c = read(at, offsets, first + 1, known), read(at, offsets, first + 2, known)
        d, e = read(at, offsets, first + 3, known), read(at, offsets, first + 4, known)
        f = read(at, offsets, first + 5, known)
    if N == 9:
        g, h = read(at, offsets, first + 6, known), read(at, offsets, first + 7, known)
        i = read(at, offsets, first + 8, known)
    _keep(features, number, n_all, pixel.in_units(FACTOR * a - less, inverse, SHIFT), there, inside)
    if N >= 6:
        _keep(features, number + 1, n_all, pixel.in_units(FACTOR * b - less, inverse, SHIFT), there, inside)
        _keep(features, number + 2, n_all, pixel.in_units(FACTOR * c - less, inverse, SHIFT), there, inside)
        _keep(features, number + 3, n_all, pixel.in_units(FACTOR * d - less, inverse, SHIFT), there, inside)
        _keep(features, number + 4, n_all, pixel.in_units(FACTOR * e - less, inverse, SHIFT), there, inside)
        _keep(features, number + 5, n_all, pixel.in_units(FACTOR * f - less, inverse, SHIFT), there, inside)
    if N == 9:
        _keep(features, number + 6, n_all, pixel.in_units(FACTOR * g - less, inverse, SHIFT), there, inside)
        _keep(features, number + 7, n_all, pixel.in_units(FACTOR * h - less, inverse, SHIFT), there, inside)
        _keep(features, number + 8, n_all, pixel.in_units(FACTOR * i - less, inverse, SHIFT), there, inside)


@triton.jit
def look_wave(
    step, buffer, offsets, regressors, sizes, about_mean, coefficients, coded, exists, low, high,
    magnitude, error, ratio, ratio_count, own_count, hits, tries, log_table, power_table, run_levels,
    features, base_of, scale_of, mean_of, predictions, near_of, raw_of, level_of, activity_of, mag_of, is_coded,
    candidate_of, run_level_of, repeat_weight_of,
    buffer_size, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n_epochs, n_all,
    EPOCH: tl.constexpr, E: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, AT_ONCE: tl.constexpr,
    BLEND: tl.constexpr, REPEATS: tl.constexpr, INSIDE: tl.constexpr, EARLIER: tl.constexpr,
):  # fmt: skip
    """Predict and describe one plane's wave (sections 4.2, 5.2 to 5.4, 8).

    The tables of regressors have room for AT_ONCE more behind the last one of all experts.  All that is read comes
    before what is written, for a load may not pass a store; a thread reads its own sample's predictions again.
    """
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - PLANE_LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    inside = q < n_most
    i, j, there = place_of(z, wave, n_rows, n_columns, q)
    there = there & inside & (tl.load(exists + plane) != 0)
    epoch = clip(wave // EPOCH, 0, n_epochs - 1)
    row = (tile * n_active + slot) * n_most + q
    is_known = tl.load(coded + tile * n_rows * n_columns + i * n_columns + j, mask=there, other=0)
    at = buffer + tile * buffer_size + z * plane_apart + (wave + WAVE_MARGIN) * wave_apart + ROW_MARGIN + i
    lowest, highest = tl.load(low + plane), tl.load(high + plane)
    table = plane * n_epochs + epoch
    has_before = there & (z > 0)
    own = _magnitude(magnitude, table, z >= 0, MIN_MAGNITUDE)
    before = _magnitude(magnitude, table - n_epochs, z > 0, own)

    # The experts: predictions, their errors around, the least cost.
    mean = pixel.causal_mean(
        read(at, offsets, OWN_SAMPLES, there), read(at, offsets, OWN_SAMPLES + 1, there),
        read(at, offsets, OWN_SAMPLES + 2, there), read(at, offsets, OWN_SAMPLES + 3, there),
    )  # fmt: skip
    first_prediction = mean
    least = mean
    for e in tl.static_range(E):
        cross = ERRORS + N_OWN * E + N_CROSS * e
        around = pixel.cross_sum(
            read(at, offsets, cross, has_before), read(at, offsets, cross + 1, has_before),
            read(at, offsets, cross + 2, has_before), read(at, offsets, cross + 3, has_before),
            read(at, offsets, cross + 4, has_before),
        )  # fmt: skip
        near = causal_sum(at, offsets, ERRORS + N_OWN * e, there)
        log_error = log2_16(tl.load(error + table * E + e) + 16, log_table)
        total = _products(
            at, regressors + e * R * N_ABOUT, coefficients + (plane * E + e) * R, tl.load(sizes + e), z, i, j, there,
            mean, n_rows, n_columns, AT_ONCE, INSIDE, EARLIER,
        )  # fmt: skip
        share = 64 * tl.load(about_mean + e)
        found = tl.floor(total * TO_PREDICTION).to(tl.int64)
        found = pixel.limited_prediction(found, share, mean, lowest, highest)
        near = log2_16(pixel.near_error(near, around, own, before) + 8, log_table)
        tl.store(predictions + e * n_all + row, found, mask=inside)
        tl.store(near_of + e * n_all + row, near, mask=inside)
        cost = pixel.blend_cost(near, log_error, BLEND)
        if e == 0:
            first_prediction = found
            least = cost
        else:
            least = tl.minimum(least, cost)

    # The blend and the expected error.
    moment = mean * 0
    weights = mean * 0
    for e in tl.static_range(E):
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        cost = pixel.blend_cost(near, log2_16(tl.load(error + table * E + e) + 16, log_table), BLEND)
        weight = tl.load(power_table + tl.maximum(pixel.blend_place(cost, least), 0))
        moment += weight * (tl.load(predictions + e * n_all + row, mask=inside, other=0) - first_prediction)
        weights += weight
    base = pixel.blended(first_prediction, moment, weights)
    around = causal_sum(at, offsets, OWN_RESIDUALS, there)
    activity = tl.where(z > 0, read(at, offsets, EARLIER_ACTIVITY, has_before), UNIT)
    expected = pixel.expected_error(activity, own)
    raw = pixel.raw_scale(around, expected)
    log_raw = log2_16(raw, log_table)
    level = pixel.scale_level(log_raw)
    at_level = table * N_LEVELS + level
    scale = pixel.corrected_scale(raw, tl.load(ratio + at_level), tl.load(ratio_count + at_level))
    log_scale = log2_16(scale, log_table)
    log_own, log_before = log2_16(own, log_table), log2_16(before, log_table)
    inverse = pixel.inverse_scale(scale)
    here, west = read(at, offsets, EARLIER_SAMPLES, has_before), read(at, offsets, EARLIER_SAMPLES + 1, has_before)
    north, east = read(at, offsets, EARLIER_SAMPLES + 2, has_before), read(at, offsets, EARLIER_SAMPLES + 3, has_before)
    south = read(at, offsets, EARLIER_SAMPLES + 4, has_before)
    log_slope = log2_16(256 * pixel.slope_sum(here, west, north, east, south) + 16, log_table)
    curvature = west + north + east + south - 4 * here
    log_count = log2_16(tl.load(own_count + plane) + 1, log_table)

    if REPEATS > 0:
        packed = read(at, offsets, ERRORS + (N_OWN + N_CROSS) * E, has_before)
        longest = packed & LONGEST_RUN
        candidate = read(at, offsets, OWN_SAMPLES, there)
        for c in tl.static_range(1, REPEATS):
            run = (packed >> (RUN_BITS * c)) & LONGEST_RUN
            candidate = tl.where(run > longest, read(at, offsets, OWN_SAMPLES + c, there), candidate)
            longest = tl.maximum(longest, run)
        run_level = tl.load(run_levels + longest)
        run_table = table * N_RUN_LEVELS + run_level
        likely = pixel.repeat_weight(tl.load(hits + run_table), tl.load(tries + run_table))
        tl.store(candidate_of + row, candidate, mask=inside)
        tl.store(run_level_of + row, run_level, mask=inside)
        tl.store(repeat_weight_of + row, likely, mask=inside)
    tl.store(is_coded + row, is_known.to(tl.int32), mask=inside)
    tl.store(mean_of + row, mean, mask=inside)
    tl.store(base_of + row, base, mask=inside)
    tl.store(activity_of + row, activity, mask=inside)
    tl.store(raw_of + row, raw, mask=inside)
    tl.store(level_of + row, level, mask=inside)
    tl.store(scale_of + row, scale, mask=inside)
    tl.store(mag_of + row, own + raw * 0, mask=inside)

    # The features, in the order of `spec`.
    features += row
    for e in tl.static_range(E):
        found = tl.load(predictions + e * n_all + row, mask=inside, other=0)
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        of_error = log2_16(tl.load(error + table * E + e) + 16, log_table) - log_own
        _keep(features, e, n_all, pixel.in_units(found - base, inverse, 16), there, inside)
        _keep(features, E + e, n_all, near - log_scale, there, inside)
        _keep(features, 2 * E + e, n_all, of_error + mean * 0, there, inside)
    number = 3 * E + OF_SAMPLES
    _keep_reads(features, number, n_all, at, offsets, OWN_SAMPLES, base, inverse, there, there, inside, 6, 64, 17)
    number = 3 * E + OF_RESIDUALS
    _keep_reads(features, number, n_all, at, offsets, OWN_RESIDUALS, 0, inverse, there, there, inside, 6, 1, 16)
    for back in tl.static_range(1, 1 + NEAR_PLANES + FAR_PLANES):
        of_plane = _magnitude(magnitude, table - back * n_epochs, z >= back, own)
        inverse_back = pixel.inverse_back(inverse, pixel.gain_of(own, of_plane))
        known = there & (z >= back)
        if back <= NEAR_PLANES:
            number = 3 * E + OF_NEAR_PLANES + 9 * (back - 1)
            first = NEAR_RESIDUALS + 9 * (back - 1)
            _keep_reads(features, number, n_all, at, offsets, first, 0, inverse_back, known, there, inside, 9, 1, 16)
        else:
            number = 3 * E + OF_FAR_PLANES + back - 1 - NEAR_PLANES
            first = FAR_RESIDUALS + back - 1 - NEAR_PLANES
            _keep_reads(features, number, n_all, at, offsets, first, 0, inverse_back, known, there, inside, 1, 1, 16)
    _keep(features, 3 * E + OF_AROUND, n_all, log2_16(2 * around + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + OF_EXPECTED, n_all, log2_16(expected + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + OF_MAGNITUDE, n_all, log_own - log_scale, there, inside)
    _keep(features, 3 * E + OF_SCALE, n_all, pixel.scale_feature(log_scale), there, inside)
    _keep(features, 3 * E + OF_EARLIER_MAGNITUDE, n_all, log_before - log_own + mean * 0, there, inside)
    _keep(features, 3 * E + OF_LOW, n_all, pixel.in_units(base - 64 * lowest, inverse, 18), there, inside)
    _keep(features, 3 * E + OF_HIGH, n_all, pixel.in_units(64 * highest - base, inverse, 18), there, inside)
    _keep(features, 3 * E + OF_COUNT, n_all, pixel.count_feature(log_count) + mean * 0, there, inside)
    _keep(features, 3 * E + OF_PLANE, n_all, 8 * tl.minimum(z, 8) + mean * 0, there, inside)
    _keep(features, 3 * E + OF_FIRST_ROW, n_all, tl.where(i == 0, 64, 0), there, inside)
    _keep(features, 3 * E + OF_SIDES, n_all, tl.where((j == 0) | (j == n_columns - 1), 64, 0), there, inside)
    _keep(features, 3 * E + OF_RAW_SCALE, n_all, log_raw - log_scale, there, inside)
    slope = tl.where(z > 0, pixel.slope_feature(log_slope, log_scale), 0)
    _keep(features, 3 * E + OF_SLOPES, n_all, slope, there, inside)
    _keep(features, 3 * E + OF_CURVATURE, n_all, pixel.in_units(curvature, inverse, 14), there, inside)
