"""Kernels for a step's samples on a CUDA device: read and describe, mixture, intervals, learn.

Twins of `torch_engine.Batch.look`, `components`, `intervals` and `learn`, which are the place to read what is computed;
here one program does for one plane's wave what is a chain of tensors there.  All integers are int64, floats hold
integers below 2^53; nothing is rounded.  `device_step` launches them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.entropy.logistic import LOGIT_STEPS, MEAN_BITS, MEAN_LIMIT, SCALE_MAX, SCALE_STEPS, WEIGHT_BITS
from lhic.models.lhic_ax import arithmetic, context, experts, network, repeats
from lhic.models.lhic_ax.layout import PLANE_LAG, ROW_MARGIN, WAVE_MARGIN
from lhic.models.lhic_ax.state import FIRST_RATIO, N_LEVELS, N_RUN_LEVELS, UNIT
from lhic.models.lhic_ax.symbols import PRECISION, SCALE_OFFSET, TOTAL
from lhic.models.lhic_ax.triton_kernels import _cumulative

LAG = tl.constexpr(PLANE_LAG)
WAVES_BEFORE, ROWS_BEFORE = tl.constexpr(WAVE_MARGIN), tl.constexpr(ROW_MARGIN)
LOG_STEPS, LOG_BITS = tl.constexpr(arithmetic.LOG_STEPS), tl.constexpr(arithmetic.MANTISSA_BITS)
FIRST_LOG = tl.constexpr(1 << arithmetic.MANTISSA_BITS)
TO_FRACTION = tl.constexpr(2.0 ** (experts.FRACTION_BITS - experts.COEFFICIENT_BITS))
MAX_ERROR = tl.constexpr(context.MAX_ERROR)
MIN_MAGNITUDE, MIN_SCALE = tl.constexpr(context.MIN_MAGNITUDE), tl.constexpr(context.MIN_SCALE)
MIN_RAW_SCALE, LIMIT = tl.constexpr(context.MIN_RAW_SCALE), tl.constexpr(context.LIMIT)
MAX_ACTIVITY = tl.constexpr(context.MAX_ACTIVITY * UNIT)
ACTIVITY_RATE = tl.constexpr(context.ACTIVITY_RATE)
RATIO, LEVELS = tl.constexpr(FIRST_RATIO), tl.constexpr(N_LEVELS)
MAX_RATIO = tl.constexpr(FIRST_RATIO * context.MAX_RATIO)
WEIGHT_STEPS, FIRST_ACTIVITY = tl.constexpr(experts.WEIGHT_STEPS), tl.constexpr(UNIT)
MEAN_SHIFT, SCALE_SHIFT = tl.constexpr(network.MEAN_SHIFT), tl.constexpr(network.SCALE_SHIFT)
LOGIT_SHIFT, OFFSET = tl.constexpr(network.LOGIT_SHIFT), tl.constexpr(SCALE_OFFSET)
GREATEST_MEAN, GREATEST_SCALE = tl.constexpr(MEAN_LIMIT), tl.constexpr(SCALE_MAX)
SCALES, LOGITS = tl.constexpr(SCALE_STEPS), tl.constexpr(LOGIT_STEPS)
ALL_WEIGHT, WEIGHT = tl.constexpr(1 << WEIGHT_BITS), tl.constexpr(WEIGHT_BITS)
ALL, BITS = tl.constexpr(TOTAL), tl.constexpr(PRECISION)
TO_MEAN = tl.constexpr(MEAN_BITS)
LONGEST_RUN, RUN_BITS = tl.constexpr(repeats.LONGEST_RUN), tl.constexpr(repeats.RUN_BITS)
RUN_LEVELS, CERTAIN = tl.constexpr(N_RUN_LEVELS), tl.constexpr(repeats.CERTAIN)
LEAST_WEIGHT, GREATEST_WEIGHT = tl.constexpr(repeats.LEAST_WEIGHT), tl.constexpr(repeats.GREATEST_WEIGHT)
# Where the reads of `Batch._make_reads` begin: of samples and residuals around, of earlier planes, of activity, errors;
# that of runs follows the 11 of each expert's errors.
RESIDUALS, EARLIER, BACK_1, BACK_2, FAR, ACTIVITY, ERRORS = (tl.constexpr(k) for k in (6, 12, 17, 26, 35, 39, 40))


@triton.jit
def _log(value, table):
    """`arithmetic.log2_16`: a float64 shows the exponent of an integer below 2^53."""
    exponent = (value.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1023
    mantissa = (value << LOG_BITS) >> exponent
    return exponent * LOG_STEPS + tl.load(table + mantissa - FIRST_LOG)


@triton.jit
def _floor_divide(a, b):
    """Rounds down; b > 0."""
    return tl.where(a < 0, -((tl.maximum(-a, 0) + b - 1) // b), tl.maximum(a, 0) // b)


@triton.jit
def _clip(value, low, high):
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def _read(at, offsets, number, there):
    return tl.load(at + tl.load(offsets + number), mask=there, other=0).to(tl.int64)


@triton.jit
def _causal(at, offsets, first, there):
    total = 2 * tl.abs(_read(at, offsets, first, there)) + 2 * tl.abs(_read(at, offsets, first + 1, there))
    for k in tl.static_range(2, 6):
        total += tl.abs(_read(at, offsets, first + k, there))
    return total


@triton.jit
def _keep(features, number, n_all, value, there, inside):
    """Store a feature; 0 where there is no sample."""
    clipped = tl.where(there, _clip(value, -LIMIT, LIMIT), 0)
    tl.store(features + tl.cast(number, tl.int64) * n_all, clipped.to(tl.float64), mask=inside)


@triton.jit
def _place(z, wave, n_rows, n_columns, q):
    """Rows and columns of a wave's samples, and which exist."""
    i = tl.maximum((wave - n_columns + 2) >> 1, 0) + q
    j = wave - 2 * i
    there = (i <= tl.minimum(wave >> 1, n_rows - 1)) & (i >= 0) & (j >= 0) & (j < n_columns)
    return i, j, there


@triton.jit
def _magnitude(magnitude, plane, n_epochs, epoch, is_there):
    return tl.maximum(tl.load(magnitude + plane * n_epochs + epoch, mask=is_there, other=0), MIN_MAGNITUDE)


@triton.jit
def look_wave(
    step, window, buffer, offsets, regressors, sizes, about_mean, coefficients, coded, exists, low, high,
    magnitude, error, ratio, ratio_count, own_count, hits, tries, log_table, power_table, run_levels,
    features, inputs, base_of, scale_of, mean_of, predictions, near_of, raw_of, level_of, activity_of, mag_of, is_coded,
    candidate_of, run_level_of, repeat_weight_of,
    buffer_size, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, n_epochs, n_all,
    EPOCH: tl.constexpr, E: tl.constexpr, R: tl.constexpr, Q: tl.constexpr,
    BLEND: tl.constexpr, REPEATS: tl.constexpr, INSIDE: tl.constexpr,
):  # fmt: skip
    """Predict and describe one plane's wave: `Batch.place`, `gather`, `predict`, `find_repeats` and `describe`."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z = tl.load(window) + slot
    wave = tl.load(step) - LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    inside = q < n_most
    i, j, there = _place(z, wave, n_rows, n_columns, q)
    there = there & inside & (tl.load(exists + plane) != 0)
    epoch = _clip(wave // EPOCH, 0, n_epochs - 1)
    row = (tile * n_active + slot) * n_most + q
    is_known = tl.load(coded + tile * n_rows * n_columns + i * n_columns + j, mask=there, other=0)
    tl.store(is_coded + row, is_known.to(tl.int8), mask=inside)
    cell = z * plane_apart + (2 * i + j + WAVES_BEFORE) * wave_apart + i + ROWS_BEFORE
    at = buffer + tile * buffer_size + cell
    lowest, highest = 64 * tl.load(low + plane), 64 * tl.load(high + plane)
    features += row

    mean = _read(at, offsets, 0, there) + _read(at, offsets, 1, there)
    mean = (mean + _read(at, offsets, 2, there) + _read(at, offsets, 3, there) + 2) >> 2
    tl.store(mean_of + row, mean, mask=inside)
    own = _magnitude(magnitude, plane, n_epochs, epoch, z >= 0)
    before = tl.where(z > 0, _magnitude(magnitude, plane - 1, n_epochs, epoch, z > 0), own)
    first_prediction = mean
    least = mean
    for e in tl.static_range(E):
        total = mean.to(tl.float64) * 0.0
        for r in range(0, tl.load(sizes + e)):
            about = regressors + (e * R + r) * 6
            known = there & (z >= tl.load(about + 1))
            value = tl.load(at + tl.load(about), mask=known, other=0).to(tl.int64)
            value = value - tl.load(about + 2) * mean + tl.load(about + 3)
            if INSIDE:
                down = i + tl.load(about + 4)
                right = j + tl.load(about + 5)
                within = (down >= 0) & (down < n_rows) & (right >= 0) & (right < n_columns)
                value = tl.where(within, value, 0)
            number = ((tile * n_active + slot) * E + e) * R + r
            tl.store(inputs + number * n_most + q, tl.where(there, value, 0).to(tl.float64), mask=inside)
            total += value.to(tl.float64) * tl.load(coefficients + (plane * E + e) * R + r)
        found = tl.floor(total * TO_FRACTION).to(tl.int64) + 64 * mean * tl.load(about_mean + e)
        found = _clip(found, lowest, highest)
        tl.store(predictions + e * n_all + row, found, mask=inside)
        around = 4 * _read(at, offsets, ERRORS + 6 * E + 5 * e, there & (z > 0))
        for k in tl.static_range(1, 5):
            around += _read(at, offsets, ERRORS + 6 * E + 5 * e + k, there & (z > 0))
        around = tl.minimum(around * own // before, 1 << 24)
        near = _log(_causal(at, offsets, ERRORS + 6 * e, there) + around + 8, log_table)
        tl.store(near_of + e * n_all + row, near, mask=inside)
        cost = 2 * near + BLEND * _log(tl.load(error + (plane * n_epochs + epoch) * E + e) + 16, log_table)
        if e == 0:
            first_prediction = found
            least = cost
        else:
            least = tl.minimum(least, cost)
    tl.debug_barrier()

    moment = mean * 0
    weights = mean * 0
    for e in tl.static_range(E):
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        cost = 2 * near + BLEND * _log(tl.load(error + (plane * n_epochs + epoch) * E + e) + 16, log_table)
        below = tl.minimum(cost - least, 240)
        below = tl.where(inside, below, 0)
        weight = (tl.load(power_table + (below & 15)) << 1) >> (below >> 4)
        found = tl.load(predictions + e * n_all + row, mask=inside, other=0)
        moment += weight * (found - first_prediction)
        weights += weight
    base = first_prediction + _floor_divide(moment, weights)
    tl.store(base_of + row, base, mask=inside)

    if REPEATS > 0:
        packed = _read(at, offsets, ERRORS + 11 * E, there & (z > 0))
        longest = packed & LONGEST_RUN
        candidate = _read(at, offsets, 0, there)
        for c in tl.static_range(1, REPEATS):
            run = (packed >> (RUN_BITS * c)) & LONGEST_RUN
            candidate = tl.where(run > longest, _read(at, offsets, c, there), candidate)
            longest = tl.maximum(longest, run)
        run_level = tl.load(run_levels + longest)
        run_table = (plane * n_epochs + epoch) * RUN_LEVELS + run_level
        likely = _clip(16 * tl.load(hits + run_table) // tl.load(tries + run_table), LEAST_WEIGHT, GREATEST_WEIGHT)
        tl.store(candidate_of + row, candidate, mask=inside)
        tl.store(run_level_of + row, run_level, mask=inside)
        tl.store(repeat_weight_of + row, likely, mask=inside)

    around = _causal(at, offsets, RESIDUALS, there)
    activity = tl.where(z > 0, _read(at, offsets, ACTIVITY, there & (z > 0)), FIRST_ACTIVITY)
    tl.store(activity_of + row, activity, mask=inside)
    expected = (activity * own) >> 10
    raw = tl.maximum((10 * around + 11 * expected) >> 4, MIN_RAW_SCALE)
    tl.store(raw_of + row, raw, mask=inside)
    log_raw = _log(raw, log_table)
    level = tl.minimum(log_raw >> 3, LEVELS - 1)
    tl.store(level_of + row, level, mask=inside)
    table = (plane * n_epochs + epoch) * LEVELS + level
    count = tl.load(ratio_count + table) * RATIO
    scale = tl.maximum(raw * tl.load(ratio + table) // count, MIN_SCALE)
    tl.store(scale_of + row, scale, mask=inside)
    tl.store(mag_of + row, own + raw * 0, mask=inside)
    log_scale = _log(scale, log_table)
    log_own, log_before = _log(own, log_table), _log(before, log_table)
    inverse = (1 << 24) // scale

    for e in tl.static_range(E):
        found = tl.load(predictions + e * n_all + row, mask=inside, other=0)
        _keep(features, e, n_all, (found - base) * inverse >> 16, there, inside)
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        _keep(features, E + e, n_all, near - log_scale, there, inside)
        of_error = _log(tl.load(error + (plane * n_epochs + epoch) * E + e) + 16, log_table) - log_own
        _keep(features, 2 * E + e, n_all, of_error + mean * 0, there, inside)
    for k in tl.static_range(6):
        sample = _read(at, offsets, k, there)
        _keep(features, 3 * E + k, n_all, (64 * sample - base) * inverse >> 17, there, inside)
        residual = _read(at, offsets, RESIDUALS + k, there)
        _keep(features, 3 * E + 6 + k, n_all, residual * inverse >> 16, there, inside)
    for back in tl.static_range(1, 7):
        of_plane = tl.where(z >= back, _magnitude(magnitude, plane - back, n_epochs, epoch, z >= back), own)
        gain = tl.minimum(((own << 10) // of_plane) * inverse >> 10, 1 << 40)
        if back < 3:
            for k in tl.static_range(9):
                residual = _read(at, offsets, BACK_1 + 9 * (back - 1) + k, there & (z >= back))
                _keep(features, 3 * E + 12 + 9 * (back - 1) + k, n_all, residual * gain >> 16, there, inside)
        else:
            residual = _read(at, offsets, FAR + back - 3, there & (z >= back))
            _keep(features, 3 * E + 30 + back - 3, n_all, residual * gain >> 16, there, inside)
    _keep(features, 3 * E + 34, n_all, _log(2 * around + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + 35, n_all, _log(expected + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + 36, n_all, log_own - log_scale, there, inside)
    _keep(features, 3 * E + 37, n_all, (log_scale >> 1) - 60, there, inside)
    _keep(features, 3 * E + 38, n_all, log_before - log_own + mean * 0, there, inside)
    _keep(features, 3 * E + 39, n_all, (base - lowest) * inverse >> 18, there, inside)
    _keep(features, 3 * E + 40, n_all, (highest - base) * inverse >> 18, there, inside)
    seen = (_log(tl.load(own_count + plane) + 1, log_table) >> 1) - 60
    _keep(features, 3 * E + 41, n_all, seen + mean * 0, there, inside)
    _keep(features, 3 * E + 42, n_all, 8 * tl.minimum(z, 8) + mean * 0, there, inside)
    _keep(features, 3 * E + 43, n_all, tl.where(i == 0, 64, 0), there, inside)
    _keep(features, 3 * E + 44, n_all, tl.where((j == 0) | (j == n_columns - 1), 64, 0), there, inside)
    _keep(features, 3 * E + 45, n_all, log_raw - log_scale, there, inside)
    here = _read(at, offsets, EARLIER, there & (z > 0))
    apart = mean * 0
    bent = mean * 0
    for k in tl.static_range(1, 5):
        difference = _read(at, offsets, EARLIER + k, there & (z > 0)) - here
        apart += tl.abs(difference)
        bent += difference
    rough = tl.where(z > 0, (_log(256 * apart + 16, log_table) - log_scale) >> 1, 0)
    _keep(features, 3 * E + 46, n_all, rough, there, inside)
    _keep(features, 3 * E + 47, n_all, bent * 16 * inverse >> 18, there, inside)


@triton.jit
def mix(
    sums, base_of, scale_of, candidate_of, repeat_weight_of, components, log_table, exp2_table, n_all,
    K: tl.constexpr, REPEATS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Components of samples from the network's sums (3 K, samples): `Batch.components`; one more with REPEATS."""
    ALL_K: tl.constexpr = K + 1 if REPEATS else K
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n_all
    base = tl.load(base_of + row, mask=inside, other=0)
    scale = tl.load(scale_of + row, mask=inside, other=MIN_SCALE)
    octaves = 2 * _log(scale, log_table) + OFFSET
    components += row * (4 * ALL_K)
    greatest = tl.load(sums + 2 * K * n_all + row, mask=inside, other=0).to(tl.int64) >> LOGIT_SHIFT
    for k in tl.static_range(1, K):
        logit = tl.load(sums + (2 * K + k) * n_all + row, mask=inside, other=0).to(tl.int64) >> LOGIT_SHIFT
        greatest = tl.maximum(greatest, logit)
    total = row * 0
    for k in tl.static_range(K):
        logit = tl.load(sums + (2 * K + k) * n_all + row, mask=inside, other=0).to(tl.int64) >> LOGIT_SHIFT
        below = greatest - logit
        total += tl.load(exp2_table + below % LOGITS) >> tl.minimum(below // LOGITS, 63)
    left_over = row * 0 + ALL_WEIGHT
    for k in tl.static_range(K):
        logit = tl.load(sums + (2 * K + k) * n_all + row, mask=inside, other=0).to(tl.int64) >> LOGIT_SHIFT
        below = greatest - logit
        left_over -= ((tl.load(exp2_table + below % LOGITS) >> tl.minimum(below // LOGITS, 63)) << WEIGHT) // total
    keeps = row * 0 + ALL_WEIGHT
    if REPEATS:
        keeps -= tl.load(repeat_weight_of + row, mask=inside, other=0)
    rest = row * 0 + ALL_WEIGHT
    for k in tl.static_range(K):
        logit = tl.load(sums + (2 * K + k) * n_all + row, mask=inside, other=0).to(tl.int64) >> LOGIT_SHIFT
        below = greatest - logit
        weight = ((tl.load(exp2_table + below % LOGITS) >> tl.minimum(below // LOGITS, 63)) << WEIGHT) // total
        weight += tl.where(below == 0, left_over, 0)  # of the first one alone
        left_over = tl.where(below == 0, 0, left_over)
        if REPEATS:
            weight = (weight * keeps) >> WEIGHT
            rest -= weight
        shift = tl.load(sums + k * n_all + row, mask=inside, other=0).to(tl.int64) >> MEAN_SHIFT
        mean = _clip(4 * base + (shift * scale >> 10), -GREATEST_MEAN, GREATEST_MEAN)
        width = tl.load(sums + (K + k) * n_all + row, mask=inside, other=0).to(tl.int64) >> SCALE_SHIFT
        width = _clip(octaves + width, 0, GREATEST_SCALE)
        tl.store(components + k, mean.to(tl.int32), mask=inside)
        tl.store(components + ALL_K + k, tl.load(exp2_table + width % SCALES).to(tl.int32), mask=inside)
        tl.store(components + 2 * ALL_K + k, (width // SCALES).to(tl.int32), mask=inside)
        tl.store(components + 3 * ALL_K + k, weight.to(tl.int32), mask=inside)
    if REPEATS:  # the candidate, with the scale's index 0
        candidate = tl.load(candidate_of + row, mask=inside, other=0)
        tl.store(components + K, (candidate << TO_MEAN).to(tl.int32), mask=inside)
        tl.store(components + ALL_K + K, tl.load(exp2_table + row * 0).to(tl.int32), mask=inside)
        tl.store(components + 2 * ALL_K + K, (row * 0).to(tl.int32), mask=inside)
        tl.store(components + 3 * ALL_K + K, rest.to(tl.int32), mask=inside)


@triton.jit
def find_intervals(
    step, window, values, levels, components, is_coded, n_levels, first_level, table_starts, table, sigmoid,
    given, widths, intervals,
    n_planes, n_active, n_most, n_rows, n_columns,
    K: tl.constexpr, Q: tl.constexpr, LOWER_BITS: tl.constexpr,
):  # fmt: skip
    """Intervals of one plane's wave, by place, and its known values: `Batch.intervals`."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z = tl.load(window) + slot
    wave = tl.load(step) - LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    row = (tile * n_active + slot) * n_most + q
    i, j, _there = _place(z, wave, n_rows, n_columns, q)
    used = (q < n_most) & (tl.load(is_coded + row, mask=q < n_most, other=0) != 0)
    n = tl.load(n_levels + plane)
    first, table_start = tl.load(first_level + plane), tl.load(table_starts + plane)
    place = (plane * n_rows + i) * n_columns + j
    tl.store(given + row, tl.load(values + place, mask=used, other=0).to(tl.int64), mask=used)
    level = tl.load(levels + place, mask=used, other=0)
    cell = level >> LOWER_BITS << LOWER_BITS
    after = tl.minimum(cell + (1 << LOWER_BITS), n.to(tl.int32))
    which = tl.arange(0, 4)[None, :]
    wanted = tl.where(which == 0, cell[:, None], tl.where(which == 1, after[:, None], level[:, None] + which - 2))
    found = _cumulative(wanted, n, first, table_start, table, components, row, used, sigmoid, K).to(tl.int64)
    lowest = tl.sum(tl.where(which == 0, found, 0), 1)
    width = tl.maximum(tl.sum(tl.where(which == 1, found, 0), 1) - lowest, 1)
    start = ((tl.sum(tl.where(which == 2, found, 0), 1) - lowest) << BITS) // width
    stop = ((tl.sum(tl.where(which == 3, found, 0), 1) - lowest) << BITS) // width
    tl.store(widths + row, tl.maximum((width * (stop - start)) >> BITS, 1), mask=used)
    # A tile's room has one place more than it has samples.
    out = intervals + (place + tile) * 4
    tl.store(out, lowest.to(tl.int32), mask=used)
    tl.store(out + 1, tl.where(n > (1 << LOWER_BITS), width, 0).to(tl.int32), mask=used)
    tl.store(out + 2, start.to(tl.int32), mask=used)
    tl.store(out + 3, (stop - start).to(tl.int32), mask=used)


@triton.jit
def _spread(at, value, there, left, right, upper, lower, wave_apart):
    """Write a sample, and where it is repeated beyond the edge: `torch_engine.REPEATS`."""
    stored = value.to(tl.int32)
    tl.store(at, stored, mask=there)
    tl.store(at + wave_apart + 1, stored, mask=there & left)
    tl.store(at + 1, stored, mask=there & left)
    tl.store(at + wave_apart, stored, mask=there & right)
    tl.store(at - 1, stored, mask=there & upper)
    tl.store(at - 2 * wave_apart - 2, stored, mask=there & upper)
    tl.store(at + 2 * wave_apart + 1, stored, mask=there & lower)
    tl.store(at + 3 * wave_apart + 1, stored, mask=there & lower & right)


@triton.jit
def learn_wave(
    step, window, buffer, offsets, given, widths, is_coded, exists, about_mean, low, high,
    base_of, scale_of, mean_of, predictions, raw_of, level_of, activity_of, mag_of,
    candidate_of, run_level_of, repeat_weight_of,
    own_magnitude, own_count, own_error, own_ratio, own_ratio_count, own_hits, own_tries, weights, targets,
    buffer_size, picture_apart, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, n_all,
    E: tl.constexpr, Q: tl.constexpr, REPEATS: tl.constexpr,
):  # fmt: skip
    """Take note of one plane's wave: `Batch.learn`; leaves weights and targets for the normal equations."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z = tl.load(window) + slot
    wave = tl.load(step) - LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    inside = q < n_most
    row = (tile * n_active + slot) * n_most + q
    i, j, there = _place(z, wave, n_rows, n_columns, q)
    there = there & inside & (tl.load(exists + plane) != 0)
    known = tl.load(is_coded + row, mask=there, other=0) != 0
    coded = known.to(tl.int64)
    base = tl.load(base_of + row, mask=inside, other=0)
    mean = tl.load(mean_of + row, mask=inside, other=0)
    raw = tl.load(raw_of + row, mask=inside, other=1)
    scale = tl.load(scale_of + row, mask=inside, other=1)
    mag = tl.load(mag_of + row, mask=inside, other=1)
    filled = _clip((base + 32) >> 6, tl.load(low + plane), tl.load(high + plane))
    value = tl.where(known, tl.load(given + row, mask=there, other=0), filled)
    residual = _clip(64 * value - base, -MAX_ERROR, MAX_ERROR)
    size = tl.abs(residual)
    at = buffer + tile * buffer_size + z * plane_apart
    at += (2 * i + j + WAVES_BEFORE) * wave_apart + i + ROWS_BEFORE
    picture = tl.cast(picture_apart, tl.int64)
    if REPEATS > 0:
        before = _read(at, offsets, ERRORS + 11 * E, there & (z > 0))
        runs = before * 0
        for c in tl.static_range(REPEATS):
            run = tl.minimum(((before >> (RUN_BITS * c)) & LONGEST_RUN) + 1, LONGEST_RUN)
            runs += tl.where(value == _read(at, offsets, c, there), run << (RUN_BITS * c), 0)
        tl.store(at + (4 + E) * picture, runs.to(tl.int32), mask=there)
        run_level = plane * RUN_LEVELS + tl.load(run_level_of + row, mask=inside, other=0)
        share = tl.load(repeat_weight_of + row, mask=inside, other=0) << 20
        share = tl.minimum(share // tl.load(widths + row, mask=inside, other=1), CERTAIN)
        repeated = known & (value == tl.load(candidate_of + row, mask=inside, other=0))
        tl.atomic_add(own_hits + run_level, share, mask=repeated)
        tl.atomic_add(own_tries + run_level, coded, mask=known)
    left, right, upper, lower = j == 0, j == n_columns - 1, i == 0, i == n_rows - 1
    _spread(at, value, there, left, right, upper, lower, wave_apart)
    _spread(at + picture, value - mean, there, left, right, upper, lower, wave_apart)
    _spread(at + 2 * picture, residual, there, left, right, upper, lower, wave_apart)
    activity = tl.load(activity_of + row, mask=inside, other=0)
    relative = tl.minimum((size << 14) // mag, MAX_ACTIVITY)
    activity += ((relative - activity) * ACTIVITY_RATE >> 6) * coded
    tl.store(at + 3 * picture, activity.to(tl.int32), mask=there)
    weight = (1 + WEIGHT_STEPS * mag * mag // (mag * mag + scale * scale)) * coded
    tl.store(weights + row, weight.to(tl.float64), mask=inside)
    for e in tl.static_range(E):
        error = tl.minimum(tl.abs(64 * value - tl.load(predictions + e * n_all + row, mask=inside, other=0)), MAX_ERROR)
        _spread(at + (4 + e) * picture, error, there, left, right, upper, lower, wave_apart)
        total = tl.load(own_error + plane * E + e) + tl.sum(error * coded, 0)
        tl.store(own_error + plane * E + e, total)
        target = tl.where(there, value - mean * tl.load(about_mean + e), 0)
        number = (tile * n_active + slot) * E + e
        tl.store(targets + number * n_most + q, target.to(tl.float64), mask=inside)
    tl.store(own_magnitude + plane, tl.load(own_magnitude + plane) + tl.sum(size * coded, 0))
    tl.store(own_count + plane, tl.load(own_count + plane) + tl.sum(coded, 0))
    level = plane * LEVELS + tl.load(level_of + row, mask=inside, other=0)
    ratio = tl.minimum(size * (16 * RATIO) // raw, MAX_RATIO)
    tl.atomic_add(own_ratio + level, ratio, mask=known)
    tl.atomic_add(own_ratio_count + level, coded, mask=known)
