"""Kernels for a step's samples on a CUDA device: read and describe, mixture, intervals, learn, fit.

Twins of `torch_engine.Batch.look`, `components`, `intervals`, `learn` and `_end_epochs`, which are the place to read
what is computed; here one program does for one plane's wave what is a chain of tensors there.  Integers are int64, or
floats that hold integers (below 2^53 as float64, below 2^24 as float32, see `network`), so nothing is rounded.  What a
program reads it reads before it writes: a load may not pass a store.  `device_step` launches the kernels.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.coder.mixture import LOGIT_STEPS, MEAN_BITS, MEAN_LIMIT, SCALE_MAX, SCALE_STEPS, WEIGHT_BITS
from lhic.families.ax.cpu import arithmetic, context, experts, network, repeats
from lhic.families.ax.cpu.skew import PLANE_LAG, ROW_MARGIN, WAVE_MARGIN
from lhic.families.ax.cpu.state import FIRST_COUNT, FIRST_MAGNITUDE, FIRST_RATIO, N_LEVELS, N_RUN_LEVELS, UNIT
from lhic.families.ax.cpu.symbols import PRECISION, SCALE_OFFSET, TOTAL
from lhic.families.ax.gpu.triton_kernels import cumulative, first_plane, load_mixtures, quotient

LAG = tl.constexpr(PLANE_LAG)
WAVES_BEFORE, ROWS_BEFORE = tl.constexpr(WAVE_MARGIN), tl.constexpr(ROW_MARGIN)
LOG_STEPS, LOG_BITS = tl.constexpr(arithmetic.LOG_STEPS), tl.constexpr(arithmetic.MANTISSA_BITS)
FIRST_LOG = tl.constexpr(1 << arithmetic.MANTISSA_BITS)
TO_FRACTION = tl.constexpr(2.0 ** (experts.FRACTION_BITS - experts.COEFFICIENT_BITS))
TO_FORGOTTEN = tl.constexpr(2.0**-experts.FORGET_SHIFT)
MAX_ERROR = tl.constexpr(context.MAX_ERROR)
MIN_MAGNITUDE, MIN_SCALE = tl.constexpr(context.MIN_MAGNITUDE), tl.constexpr(context.MIN_SCALE)
MIN_RAW_SCALE, LIMIT = tl.constexpr(context.MIN_RAW_SCALE), tl.constexpr(context.LIMIT)
MAX_ACTIVITY = tl.constexpr(context.MAX_ACTIVITY * UNIT)
ACTIVITY_RATE = tl.constexpr(context.ACTIVITY_RATE)
PRIOR, KEEP_RATIO = tl.constexpr(context.PRIOR_COUNT), tl.constexpr(context.KEEP_RATIO)
RATIO, LEVELS = tl.constexpr(FIRST_RATIO), tl.constexpr(N_LEVELS)
RATIO_COUNT, MAGNITUDE = tl.constexpr(FIRST_COUNT), tl.constexpr(FIRST_MAGNITUDE)
MAX_RATIO = tl.constexpr(FIRST_RATIO * context.MAX_RATIO)
WEIGHT_STEPS, FIRST_ACTIVITY = tl.constexpr(experts.WEIGHT_STEPS), tl.constexpr(UNIT)
MEAN_SHIFT, SCALE_SHIFT = tl.constexpr(network.MEAN_SHIFT), tl.constexpr(network.SCALE_SHIFT)
LOGIT_SHIFT, OFFSET = tl.constexpr(network.LOGIT_SHIFT), tl.constexpr(SCALE_OFFSET)
ACTIVATION_LIMIT = tl.constexpr(float(network.ACTIVATION_LIMIT))
FROM_FIRST = tl.constexpr(2.0 ** (network.ACTIVATION_BITS - network.FEATURE_BITS - network.WEIGHT_BITS))
FROM_MIDDLE = tl.constexpr(2.0**-network.WEIGHT_BITS)
GREATEST_MEAN, GREATEST_SCALE = tl.constexpr(MEAN_LIMIT), tl.constexpr(SCALE_MAX)
SCALES, LOGITS = tl.constexpr(SCALE_STEPS), tl.constexpr(LOGIT_STEPS)
ALL_WEIGHT, WEIGHT = tl.constexpr(1 << WEIGHT_BITS), tl.constexpr(WEIGHT_BITS)
ALL, BITS = tl.constexpr(TOTAL), tl.constexpr(PRECISION)
TO_MEAN = tl.constexpr(MEAN_BITS)
LONGEST_RUN, RUN_BITS = tl.constexpr(repeats.LONGEST_RUN), tl.constexpr(repeats.RUN_BITS)
RUN_LEVELS, CERTAIN = tl.constexpr(N_RUN_LEVELS), tl.constexpr(repeats.CERTAIN)
KEEP_TRIES, FIRST_TRIES = tl.constexpr(repeats.KEEP), tl.constexpr(repeats.FIRST_TRIES)
LEAST_WEIGHT, MOST_WEIGHT = tl.constexpr(repeats.LEAST_WEIGHT), tl.constexpr(repeats.GREATEST_WEIGHT)
# Where the reads of `Batch._make_reads` begin: of samples and residuals around (6 each), of the earlier sample (5), of
# earlier residuals (9, 9 and one of each of 4 planes), of activity, errors (6 of each expert, then 5 of each); that of
# runs follows.
RESIDUALS, EARLIER, BACK, ACTIVITY, ERRORS = (tl.constexpr(k) for k in (6, 12, 17, 39, 40))
MANY = tl.constexpr(1 << 30)


@triton.jit
def _log(value, table):
    """`arithmetic.log2_16`: a float64 shows the exponent of an integer below 2^53."""
    exponent = (value.to(tl.float64).to(tl.int64, bitcast=True) >> 52) - 1023
    mantissa = (value << LOG_BITS) >> exponent
    return exponent * LOG_STEPS + tl.load(table + mantissa - FIRST_LOG)


@triton.jit
def _floor_quotient(a, b):
    """a // b, rounded down; b > 0, |a| + b < 2^52."""
    return tl.floor(a.to(tl.float64) / b.to(tl.float64)).to(tl.int64)


@triton.jit
def _clip(value, low, high):
    return tl.minimum(tl.maximum(value, low), high)


@triton.jit
def _read(at, offsets, number, there):
    return tl.load(at + tl.load(offsets + number), mask=there, other=0).to(tl.int64)


@triton.jit
def _causal(at, offsets, first, there):
    """Weighted magnitudes of the reads `first` to `first` + 5: `torch_engine.causal_sum`."""
    total = 2 * tl.abs(_read(at, offsets, first, there)) + 2 * tl.abs(_read(at, offsets, first + 1, there))
    for k in tl.static_range(2, 6):
        total += tl.abs(_read(at, offsets, first + k, there))
    return total


@triton.jit
def _keep(features, number, n_all, value, there, inside):
    """Store a feature; 0 where there is no sample."""
    clipped = tl.where(there, _clip(value, -LIMIT, LIMIT), 0).to(tl.int8)
    tl.store(features + tl.cast(number, tl.int64) * n_all, clipped, mask=inside)


@triton.jit
def _keep_reads(
    features, number, n_all, at, offsets, first, less, gain, known, there, inside,
    N: tl.constexpr, FACTOR: tl.constexpr, SHIFT: tl.constexpr,
):  # fmt: skip
    """Store N = 1, 6 or 9 features (FACTOR times a read, less `less`) times gain >> SHIFT; reads begin at `first`."""
    a = _read(at, offsets, first, known)
    if N >= 6:
        b, c = _read(at, offsets, first + 1, known), _read(at, offsets, first + 2, known)
        d, e = _read(at, offsets, first + 3, known), _read(at, offsets, first + 4, known)
        f = _read(at, offsets, first + 5, known)
    if N == 9:
        g, h = _read(at, offsets, first + 6, known), _read(at, offsets, first + 7, known)
        i = _read(at, offsets, first + 8, known)
    _keep(features, number, n_all, (FACTOR * a - less) * gain >> SHIFT, there, inside)
    if N >= 6:
        _keep(features, number + 1, n_all, (FACTOR * b - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 2, n_all, (FACTOR * c - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 3, n_all, (FACTOR * d - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 4, n_all, (FACTOR * e - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 5, n_all, (FACTOR * f - less) * gain >> SHIFT, there, inside)
    if N == 9:
        _keep(features, number + 6, n_all, (FACTOR * g - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 7, n_all, (FACTOR * h - less) * gain >> SHIFT, there, inside)
        _keep(features, number + 8, n_all, (FACTOR * i - less) * gain >> SHIFT, there, inside)


@triton.jit
def _is_inside(about, i, j, n_rows, n_columns):
    """Whether a regressor that looks inside alone may look there."""
    down, right = i.to(tl.int32) + tl.load(about + 4).to(tl.int32), j.to(tl.int32) + tl.load(about + 5).to(tl.int32)
    return (down >= 0) & (down < n_rows) & (right >= 0) & (right < n_columns)


@triton.jit
def _magnitude(magnitude, table, is_there, otherwise):
    found = tl.maximum(tl.load(magnitude + table, mask=is_there, other=0), MIN_MAGNITUDE)
    return tl.where(is_there, found, otherwise)


@triton.jit
def _place(z, wave, n_rows, n_columns, q):
    """Rows and columns of a wave's samples, and which exist."""
    i = tl.maximum((wave - n_columns + 2) >> 1, 0) + q
    j = wave - 2 * i
    there = (i <= tl.minimum(wave >> 1, n_rows - 1)) & (i >= 0) & (j >= 0) & (j < n_columns)
    return i, j, there


@triton.jit
def look_wave(
    step, buffer, offsets, regressors, sizes, about_mean, coefficients, coded, exists, low, high,
    magnitude, error, ratio, ratio_count, own_count, hits, tries, log_table, power_table, run_levels,
    features, base_of, scale_of, mean_of, predictions, near_of, raw_of, level_of, activity_of, mag_of, is_coded,
    candidate_of, run_level_of, repeat_weight_of,
    buffer_size, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n_epochs, n_all,
    EPOCH: tl.constexpr, E: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, AT_ONCE: tl.constexpr,
    BLEND: tl.constexpr, REPEATS: tl.constexpr, INSIDE: tl.constexpr,
):  # fmt: skip
    """Predict and describe one plane's wave: `Batch.place`, `gather`, `predict`, `find_repeats` and `describe`.

    AT_ONCE regressors are loaded together; the tables behind the last one of all experts have room for as many more.
    """
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    inside = q < n_most
    i, j, there = _place(z, wave, n_rows, n_columns, q)
    there = there & inside & (tl.load(exists + plane) != 0)
    epoch = _clip(wave // EPOCH, 0, n_epochs - 1)
    row = (tile * n_active + slot) * n_most + q
    is_known = tl.load(coded + tile * n_rows * n_columns + i * n_columns + j, mask=there, other=0)
    at = buffer + tile * buffer_size + z * plane_apart + (wave + WAVES_BEFORE) * wave_apart + ROWS_BEFORE + i
    lowest, highest = 64 * tl.load(low + plane), 64 * tl.load(high + plane)
    table = plane * n_epochs + epoch
    has_before = there & (z > 0)

    mean = _read(at, offsets, 0, there) + _read(at, offsets, 1, there)
    mean = (mean + _read(at, offsets, 2, there) + _read(at, offsets, 3, there) + 2) >> 2
    own = _magnitude(magnitude, table, z >= 0, MIN_MAGNITUDE)
    before = _magnitude(magnitude, table - n_epochs, z > 0, own)
    first_prediction = mean
    least = mean
    for e in tl.static_range(E):
        around = 4 * _read(at, offsets, ERRORS + 6 * E + 5 * e, has_before)
        for k in tl.static_range(1, 5):
            around += _read(at, offsets, ERRORS + 6 * E + 5 * e + k, has_before)
        near = _causal(at, offsets, ERRORS + 6 * e, there) + 8
        log_error = _log(tl.load(error + table * E + e) + 16, log_table)
        total = mean.to(tl.float64) * 0.0
        about = regressors + e * R * 6
        own_coefficients = coefficients + (plane * E + e) * R
        n = tl.load(sizes + e)
        for begin in range(0, n, AT_ONCE):
            for k in tl.static_range(AT_ONCE):
                known = (begin + k < n) & (z >= tl.load(about + 1))
                value = tl.load(at + tl.load(about), mask=known & there, other=0)
                value -= tl.load(about + 2).to(tl.int32) * mean.to(tl.int32)
                value += tl.load(about + 3).to(tl.int32)
                if INSIDE:
                    value = tl.where(_is_inside(about, i, j, n_rows, n_columns), value, 0)
                coefficient = tl.load(own_coefficients + begin + k, mask=begin + k < n, other=0.0)
                total += value.to(tl.float64) * coefficient
                about += 6
        found = tl.floor(total * TO_FRACTION).to(tl.int64) + 64 * mean * tl.load(about_mean + e)
        found = _clip(found, lowest, highest)
        near = _log(near + tl.minimum(quotient(around * own, before), 1 << 24), log_table)
        tl.store(predictions + e * n_all + row, found, mask=inside)
        tl.store(near_of + e * n_all + row, near, mask=inside)
        cost = 2 * near + BLEND * log_error
        if e == 0:
            first_prediction = found
            least = cost
        else:
            least = tl.minimum(least, cost)

    # All that is read comes before what is written; a thread reads its own sample's predictions again.
    moment = mean * 0
    weights = mean * 0
    for e in tl.static_range(E):
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        cost = 2 * near + BLEND * _log(tl.load(error + table * E + e) + 16, log_table)
        below = _clip(cost - least, 0, 240)
        weight = (tl.load(power_table + (below & 15)) << 1) >> (below >> 4)
        moment += weight * (tl.load(predictions + e * n_all + row, mask=inside, other=0) - first_prediction)
        weights += weight
    base = first_prediction + _floor_quotient(moment, weights)
    around = _causal(at, offsets, RESIDUALS, there)
    activity = tl.where(z > 0, _read(at, offsets, ACTIVITY, has_before), FIRST_ACTIVITY)
    expected = (activity * own) >> 10
    raw = tl.maximum((10 * around + 11 * expected) >> 4, MIN_RAW_SCALE)
    log_raw = _log(raw, log_table)
    level = tl.minimum(log_raw >> 3, LEVELS - 1)
    count = tl.load(ratio_count + table * LEVELS + level) * RATIO
    scale = tl.maximum(raw * tl.load(ratio + table * LEVELS + level) // count, MIN_SCALE)
    log_scale = _log(scale, log_table)
    log_own, log_before = _log(own, log_table), _log(before, log_table)
    inverse = quotient(mean * 0 + (1 << 24), scale)
    here = _read(at, offsets, EARLIER, has_before)
    apart = mean * 0
    bent = mean * 0
    for k in tl.static_range(1, 5):
        difference = _read(at, offsets, EARLIER + k, has_before) - here
        apart += tl.abs(difference)
        bent += difference
    rough = tl.where(z > 0, (_log(256 * apart + 16, log_table) - log_scale) >> 1, 0)
    seen = (_log(tl.load(own_count + plane) + 1, log_table) >> 1) - 60
    if REPEATS > 0:
        packed = _read(at, offsets, ERRORS + 11 * E, has_before)
        longest = packed & LONGEST_RUN
        candidate = _read(at, offsets, 0, there)
        for c in tl.static_range(1, REPEATS):
            run = (packed >> (RUN_BITS * c)) & LONGEST_RUN
            candidate = tl.where(run > longest, _read(at, offsets, c, there), candidate)
            longest = tl.maximum(longest, run)
        run_level = tl.load(run_levels + longest)
        run_table = table * RUN_LEVELS + run_level
        likely = _clip(quotient(16 * tl.load(hits + run_table), tl.load(tries + run_table)), LEAST_WEIGHT, MOST_WEIGHT)
        tl.store(candidate_of + row, candidate, mask=inside)
        tl.store(run_level_of + row, run_level, mask=inside)
        tl.store(repeat_weight_of + row, likely, mask=inside)
    tl.store(is_coded + row, is_known.to(tl.int8), mask=inside)
    tl.store(mean_of + row, mean, mask=inside)
    tl.store(base_of + row, base, mask=inside)
    tl.store(activity_of + row, activity, mask=inside)
    tl.store(raw_of + row, raw, mask=inside)
    tl.store(level_of + row, level, mask=inside)
    tl.store(scale_of + row, scale, mask=inside)
    tl.store(mag_of + row, own + raw * 0, mask=inside)

    features += row
    for e in tl.static_range(E):
        found = tl.load(predictions + e * n_all + row, mask=inside, other=0)
        near = tl.load(near_of + e * n_all + row, mask=inside, other=0)
        of_error = _log(tl.load(error + table * E + e) + 16, log_table) - log_own
        _keep(features, e, n_all, (found - base) * inverse >> 16, there, inside)
        _keep(features, E + e, n_all, near - log_scale, there, inside)
        _keep(features, 2 * E + e, n_all, of_error + mean * 0, there, inside)
    _keep_reads(features, 3 * E, n_all, at, offsets, 0, base, inverse, there, there, inside, 6, 64, 17)
    _keep_reads(features, 3 * E + 6, n_all, at, offsets, RESIDUALS, 0, inverse, there, there, inside, 6, 1, 16)
    for back in tl.static_range(1, 7):
        of_plane = _magnitude(magnitude, table - back * n_epochs, z >= back, own)
        gain = tl.minimum(quotient(own << 10, of_plane) * inverse >> 10, 1 << 40)
        known = there & (z >= back)
        if back < 3:
            number = 3 * E + 12 + 9 * (back - 1)
            first = BACK + 9 * (back - 1)
            _keep_reads(features, number, n_all, at, offsets, first, 0, gain, known, there, inside, 9, 1, 16)
        else:
            number = 3 * E + 27 + back
            first = BACK + 15 + back
            _keep_reads(features, number, n_all, at, offsets, first, 0, gain, known, there, inside, 1, 1, 16)
    _keep(features, 3 * E + 34, n_all, _log(2 * around + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + 35, n_all, _log(expected + 16, log_table) - log_scale, there, inside)
    _keep(features, 3 * E + 36, n_all, log_own - log_scale, there, inside)
    _keep(features, 3 * E + 37, n_all, (log_scale >> 1) - 60, there, inside)
    _keep(features, 3 * E + 38, n_all, log_before - log_own + mean * 0, there, inside)
    _keep(features, 3 * E + 39, n_all, (base - lowest) * inverse >> 18, there, inside)
    _keep(features, 3 * E + 40, n_all, (highest - base) * inverse >> 18, there, inside)
    _keep(features, 3 * E + 41, n_all, seen + mean * 0, there, inside)
    _keep(features, 3 * E + 42, n_all, 8 * tl.minimum(z, 8) + mean * 0, there, inside)
    _keep(features, 3 * E + 43, n_all, tl.where(i == 0, 64, 0), there, inside)
    _keep(features, 3 * E + 44, n_all, tl.where((j == 0) | (j == n_columns - 1), 64, 0), there, inside)
    _keep(features, 3 * E + 45, n_all, log_raw - log_scale, there, inside)
    _keep(features, 3 * E + 46, n_all, rough, there, inside)
    _keep(features, 3 * E + 47, n_all, bent * 16 * inverse >> 18, there, inside)


@triton.jit
def _layer(weights, bias, n_outputs, n_inputs, values, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr):
    """Sums of a layer, float32 (OUTPUTS, samples), exact in any order; weights (n_outputs, n_inputs) lie in rows."""
    to = tl.arange(0, OUTPUTS)
    of = tl.arange(0, INPUTS)
    inside = (to < n_outputs)[:, None] & (of < n_inputs)[None, :]
    matrix = tl.load(weights + to[:, None] * n_inputs + of[None, :], mask=inside, other=0.0)
    start = tl.load(bias + to, mask=to < n_outputs, other=0.0)
    return tl.dot(matrix, values, input_precision="ieee") + start[:, None]


@triton.jit
def _sum_rows(sums, first, row, sample, n_all, mask, SHIFT: tl.constexpr):
    return (
        tl.load(sums + (first + row)[:, None].to(tl.int64) * n_all + sample[None, :], mask=mask, other=0.0).to(tl.int64)
        >> SHIFT
    )


@triton.jit
def mix(
    features, first, middle, last, biases, last_bias, sums, base_of, scale_of, candidate_of, repeat_weight_of,
    components, log_table, exp2_table, n_all, n_features, width,
    DEPTH: tl.constexpr, FEATURES: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr,
    K: tl.constexpr, MIXTURES: tl.constexpr, REPEATS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The network and the mixtures of samples: `Batch.run_network`, `components`; one component more with REPEATS.

    sums : float32 (3 K, samples), working memory;  FEATURES, WIDTH, OUTPUTS, MIXTURES : of n_features, width, 3 K, K
    up to a power of two
    """
    ALL_K: tl.constexpr = K + 1 if REPEATS else K
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = sample < n_all
    base = tl.load(base_of + sample, mask=inside, other=0)
    scale = tl.load(scale_of + sample, mask=inside, other=MIN_SCALE)
    f = tl.arange(0, FEATURES)
    known = (f < n_features)[:, None] & inside[None, :]
    values = tl.load(features + f[:, None].to(tl.int64) * n_all + sample[None, :], mask=known, other=0).to(tl.float32)
    values = _layer(first, biases, width, n_features, values, WIDTH, FEATURES)
    values = _clip(tl.floor(values * FROM_FIRST), 0.0, ACTIVATION_LIMIT)
    for d in tl.static_range(1, DEPTH):
        values = _layer(middle + (d - 1) * width * width, biases + d * width, width, width, values, WIDTH, WIDTH)
        values = _clip(tl.floor(values * FROM_MIDDLE), 0.0, ACTIVATION_LIMIT)
    values = _layer(last, last_bias, 3 * K, width, values, OUTPUTS, WIDTH)
    to = tl.arange(0, OUTPUTS)
    at = sums + to[:, None].to(tl.int64) * n_all + sample[None, :]
    tl.store(at, values, mask=(to < 3 * K)[:, None] & inside[None, :])
    tl.debug_barrier()

    k = tl.arange(0, MIXTURES)
    is_k = (k < K)[:, None]
    mask = is_k & inside[None, :]
    shift = _sum_rows(sums, 0, k, sample, n_all, mask, MEAN_SHIFT)
    spread = _sum_rows(sums, K, k, sample, n_all, mask, SCALE_SHIFT)
    logit = _sum_rows(sums, 2 * K, k, sample, n_all, mask, LOGIT_SHIFT)
    logit = tl.where(is_k, logit, -MANY)
    below = tl.max(logit, 0)[None, :] - logit
    raw = tl.load(exp2_table + below % LOGITS) >> tl.minimum(below // LOGITS, 63)
    raw = tl.where(is_k, raw, 0)
    weight = quotient(raw << WEIGHT, tl.sum(raw, 0)[None, :])
    whole = sample * 0 + ALL_WEIGHT
    left_over = whole - tl.sum(weight, 0)
    heaviest = tl.min(tl.where(below == 0, k[:, None], MIXTURES), 0)  # the first of them
    weight += tl.where(k[:, None] == heaviest[None, :], left_over[None, :], 0)
    if REPEATS:
        likely = tl.load(repeat_weight_of + sample, mask=inside, other=0)
        weight = (weight * (whole - likely)[None, :]) >> WEIGHT
    mean = _clip(4 * base[None, :] + (shift * scale[None, :] >> 10), -GREATEST_MEAN, GREATEST_MEAN)
    spread = _clip(2 * _log(scale, log_table)[None, :] + OFFSET + spread, 0, GREATEST_SCALE)
    components += sample * (4 * ALL_K)
    out = components[None, :] + k[:, None]
    tl.store(out, mean.to(tl.int32), mask=mask)
    tl.store(out + ALL_K, tl.load(exp2_table + spread % SCALES).to(tl.int32), mask=mask)
    tl.store(out + 2 * ALL_K, (spread // SCALES).to(tl.int32), mask=mask)
    tl.store(out + 3 * ALL_K, weight.to(tl.int32), mask=mask)
    if REPEATS:  # the candidate, with the scale's index 0
        candidate = tl.load(candidate_of + sample, mask=inside, other=0)
        tl.store(components + K, (candidate << TO_MEAN).to(tl.int32), mask=inside)
        tl.store(components + ALL_K + K, tl.load(exp2_table + sample * 0).to(tl.int32), mask=inside)
        tl.store(components + 2 * ALL_K + K, (sample * 0).to(tl.int32), mask=inside)
        tl.store(components + 3 * ALL_K + K, (whole - tl.sum(weight, 0)).to(tl.int32), mask=inside)


@triton.jit
def find_intervals(
    step, values, levels, components, is_coded, n_levels, first_level, table_starts, table, sigmoid,
    given, widths, intervals,
    n_planes, n_active, n_most, n_rows, n_columns, waves,
    K: tl.constexpr, MIXTURES: tl.constexpr, Q: tl.constexpr, LOWER_BITS: tl.constexpr,
):  # fmt: skip
    """Intervals of one plane's wave, by place, and its known values: `Batch.intervals`."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - LAG * z
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
    mean, mantissa, shift, weight = load_mixtures(components, row, used, K, MIXTURES)
    found = cumulative(wanted, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid).to(tl.int64)
    lowest = tl.sum(tl.where(which == 0, found, 0), 1)
    width = tl.maximum(tl.sum(tl.where(which == 1, found, 0), 1) - lowest, 1)
    start = quotient((tl.sum(tl.where(which == 2, found, 0), 1) - lowest) << BITS, width)
    stop = quotient((tl.sum(tl.where(which == 3, found, 0), 1) - lowest) << BITS, width)
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
    step, buffer, offsets, given, widths, is_coded, exists, low, high,
    base_of, scale_of, mean_of, predictions, raw_of, level_of, activity_of, mag_of,
    candidate_of, run_level_of, repeat_weight_of,
    own_magnitude, own_count, own_error, own_ratio, own_ratio_count, own_hits, own_tries, weights,
    buffer_size, picture_apart, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n_all,
    EPOCH: tl.constexpr, E: tl.constexpr, Q: tl.constexpr, REPEATS: tl.constexpr,
):  # fmt: skip
    """Take note of one plane's wave: `Batch.learn`; leaves the samples' weights for `fit`."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - LAG * z
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
    at_weight = (plane * EPOCH + wave % EPOCH) * n_most + q
    tl.store(weights + at_weight, weight.to(tl.int32), mask=inside & (wave >= 0) & (wave < waves))
    for e in tl.static_range(E):
        error = tl.minimum(tl.abs(64 * value - tl.load(predictions + e * n_all + row, mask=inside, other=0)), MAX_ERROR)
        _spread(at + (4 + e) * picture, error, there, left, right, upper, lower, wave_apart)
        total = tl.load(own_error + plane * E + e) + tl.sum(error * coded, 0)
        tl.store(own_error + plane * E + e, total)
    tl.store(own_magnitude + plane, tl.load(own_magnitude + plane) + tl.sum(size * coded, 0))
    tl.store(own_count + plane, tl.load(own_count + plane) + tl.sum(coded, 0))
    level = plane * LEVELS + tl.load(level_of + row, mask=inside, other=0)
    ratio = tl.minimum(size * (16 * RATIO) // raw, MAX_RATIO)
    tl.atomic_add(own_ratio + level, ratio, mask=known)
    tl.atomic_add(own_ratio_count + level, coded, mask=known)


@triton.jit
def _ending_plane(t, number, waves, n_planes, n_active, EPOCH: tl.constexpr, PERIOD: tl.constexpr):
    """The plane number `number` of those whose epoch ends with step t, and how many waves it has; -1, 0: there is none.

    Planes that end an epoch in one step are PERIOD <= 64 apart.
    """
    first = first_plane(t, waves, n_planes, n_active)
    k = tl.arange(0, 64)
    ends = (k < PERIOD) & ((t + 1 - LAG * (first + k)) % EPOCH == 0)
    z = first + tl.min(tl.where(ends, k, MANY), 0) + number * PERIOD
    n_done = t + 1 - LAG * z
    valid = (z < first + n_active) & (n_done > 0) & (n_done < waves)
    return tl.where(valid, z, -1), tl.where(valid, n_done, 0)


@triton.jit
def _inputs(
    about, r, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart,
    HAS_MEAN: tl.constexpr, HAS_CONSTANT: tl.constexpr, INSIDE: tl.constexpr,
):  # fmt: skip
    """Regressors r of n of an expert for a wave's samples as they were before it, float64 (len(r), q): `Batch.predict`.

    about : of the expert's regressors, six numbers each
    Of the places that a regressor sees, only two rows up from the first row is not known before the sample itself.
    """
    has = r < n
    about += r * 6
    offset = tl.load(about, mask=has, other=0)
    known = has & (z >= tl.load(about + 1, mask=has, other=0))
    itself = (offset == -2 * wave_apart - 2)[:, None] & (i == 0)[None, :]
    known = known[:, None] & there[None, :] & (itself == 0)
    value = tl.load(at[None, :] + offset[:, None], mask=known, other=0)
    if HAS_MEAN:
        value -= tl.load(about + 2, mask=has, other=0).to(tl.int32)[:, None] * mean[None, :]
    if HAS_CONSTANT:
        value += tl.load(about + 3, mask=has, other=0).to(tl.int32)[:, None]
    if INSIDE:
        down = i[None, :] + tl.load(about + 4, mask=has, other=0).to(tl.int32)[:, None]
        right = j[None, :] + tl.load(about + 5, mask=has, other=0).to(tl.int32)[:, None]
        value = tl.where((down >= 0) & (down < n_rows) & (right >= 0) & (right < n_columns), value, 0)
    return value.to(tl.float64)


@triton.jit
def _add(gram, first_row, first_column, n, products, ROWS: tl.constexpr, COLUMNS: tl.constexpr, R: tl.constexpr,
         FORGETS: tl.constexpr):  # fmt: skip
    """Add products (ROWS, COLUMNS) to a part of the normal equations."""
    row, column = first_row + tl.arange(0, ROWS), first_column + tl.arange(0, COLUMNS)
    at = gram + row[:, None] * R + column[None, :]
    inside = (row < n)[:, None] & (column < n)[None, :]
    before = tl.load(at, mask=inside, other=0.0)
    if FORGETS:
        before -= tl.floor(before * TO_FORGOTTEN)
    tl.store(at, before + products, mask=inside)


@triton.jit
def _add_moment(moment, r, n, sums, FORGETS: tl.constexpr):
    before = tl.load(moment + r, mask=r < n, other=0.0)
    if FORGETS:
        before -= tl.floor(before * TO_FORGOTTEN)
    tl.store(moment + r, before + sums, mask=r < n)


@triton.jit
def fit(
    step, buffer, regressors, weights, gram, moment, systems, exists,
    buffer_size, picture_apart, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n,
    ABOUT_MEAN: tl.constexpr, FORGETS: tl.constexpr, EXPERT: tl.constexpr,
    E: tl.constexpr, R: tl.constexpr, SIZE: tl.constexpr, REST: tl.constexpr, Q: tl.constexpr,
    EPOCH: tl.constexpr, PERIOD: tl.constexpr,
    HAS_MEAN: tl.constexpr, HAS_CONSTANT: tl.constexpr, INSIDE: tl.constexpr,
):  # fmt: skip
    """Add an epoch's samples to the normal equations of one expert, of n regressors, in one plane whose epoch ends.

    Matrices of SIZE rows, and REST more (0: none), are multiplied by tensor cores; of the triangles only the lower.
    An expert that forgets does so before it learns the next epoch, which is after `solve_system`.
    systems : int64 (tiles, ending planes, E), number of the system to solve, -1 for none
    """
    number = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z, n_done = _ending_plane(tl.load(step), number, waves, n_planes, n_active, EPOCH, PERIOD)
    plane = tile * n_planes + tl.maximum(z, 0)
    system = plane * E + EXPERT
    valid = (z >= 0) & (tl.load(exists + plane) != 0)
    tl.store(systems + (tile * tl.num_programs(0) + number) * E + EXPERT, tl.where(valid, system, -1))
    if valid:
        about = regressors + EXPERT * R * 6
        r = tl.arange(0, SIZE)
        products = tl.zeros((SIZE, SIZE), tl.float64)
        sums = tl.zeros((SIZE,), tl.float64)
        if REST > 0:
            r_rest = SIZE + tl.arange(0, REST)
            below = tl.zeros((REST, SIZE), tl.float64)
            corner = tl.zeros((REST, REST), tl.float64)
            sums_rest = tl.zeros((REST,), tl.float64)
        for k in range(0, EPOCH):
            wave = (n_done - EPOCH + k).to(tl.int32)
            first = tl.maximum((wave - n_columns + 2) >> 1, 0)
            end = tl.minimum(wave >> 1, n_rows - 1) + 1
            for begin in range(first, end, Q):
                i = begin + tl.arange(0, Q)
                j = wave - 2 * i
                there = i < end
                at = (
                    buffer + tile * buffer_size + z * plane_apart + (wave + WAVES_BEFORE) * wave_apart + ROWS_BEFORE + i
                )
                target = tl.load(at, mask=there, other=0)
                detail = tl.load(at + picture_apart, mask=there, other=0)
                mean = target - detail
                at_weight = weights + (plane * EPOCH + k) * n_most + i - first
                weight = tl.load(at_weight, mask=there, other=0).to(tl.float64)
                if ABOUT_MEAN:
                    target = detail
                x = _inputs(
                    about, r, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart, HAS_MEAN, HAS_CONSTANT, INSIDE
                )
                across = tl.trans(x)
                weighted = x * weight[None, :]
                products = tl.dot(weighted, across, products, out_dtype=tl.float64)
                sums += tl.sum(weighted * target.to(tl.float64)[None, :], 1)
                if REST > 0:
                    x = _inputs(
                        about, r_rest, n, z, at, i, j, mean, there, n_rows, n_columns, wave_apart,
                        HAS_MEAN, HAS_CONSTANT, INSIDE,
                    )  # fmt: skip
                    weighted = x * weight[None, :]
                    below = tl.dot(weighted, across, below, out_dtype=tl.float64)
                    corner = tl.dot(weighted, tl.trans(x), corner, out_dtype=tl.float64)
                    sums_rest += tl.sum(weighted * target.to(tl.float64)[None, :], 1)
        own_gram, own_moment = gram + system * R * R, moment + system * R
        _add(own_gram, 0, 0, n, products, SIZE, SIZE, R, FORGETS)
        _add_moment(own_moment, r, n, sums, FORGETS)
        if REST > 0:
            _add(own_gram, SIZE, 0, n, below, REST, SIZE, R, FORGETS)
            _add(own_gram, SIZE, SIZE, n, corner, REST, REST, R, FORGETS)
            _add_moment(own_moment, r_rest, n, sums_rest, FORGETS)


@triton.jit
def next_tables(
    step, magnitude, error, ratio, ratio_count, hits, tries,
    own_magnitude, own_count, own_error, own_ratio, own_ratio_count, own_hits, own_tries, first_hits,
    n_planes, n_active, waves, n_epochs,
    E: tl.constexpr, EXPERTS: tl.constexpr, EPOCH: tl.constexpr, PERIOD: tl.constexpr, REPEATS: tl.constexpr,
):  # fmt: skip
    """Open the tables of the next epoch of one plane whose epoch ends."""
    number = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z, n_done = _ending_plane(tl.load(step), number, waves, n_planes, n_active, EPOCH, PERIOD)
    plane = tile * n_planes + tl.maximum(z, 0)
    then = plane * n_epochs + n_done // EPOCH
    before = then - n_epochs
    has_before = z > 0
    if z >= 0:
        count = tl.load(own_count + plane) + PRIOR
        earlier = tl.load(magnitude + before, mask=has_before, other=MAGNITUDE)
        e = tl.arange(0, EXPERTS)
        earlier_error = tl.load(error + before * E + e, mask=has_before & (e < E), other=MAGNITUDE)
        total_error = 16 * tl.load(own_error + plane * E + e, mask=e < E, other=0) + PRIOR * earlier_error
        tl.store(magnitude + then, (16 * tl.load(own_magnitude + plane) + PRIOR * earlier) // count)
        tl.store(error + then * E + e, total_error // count, mask=e < E)
        k = tl.arange(0, 128)
        inside = k < LEVELS
        kept = tl.load(ratio + before * LEVELS + k, mask=inside & has_before, other=0) * KEEP_RATIO >> 8
        n_kept = tl.load(ratio_count + before * LEVELS + k, mask=inside & has_before, other=0) * KEEP_RATIO >> 8
        kept = tl.where(has_before, kept, RATIO * RATIO_COUNT)
        n_kept = tl.where(has_before, n_kept, RATIO_COUNT)
        kept += tl.load(own_ratio + plane * LEVELS + k, mask=inside, other=0)
        n_kept += tl.load(own_ratio_count + plane * LEVELS + k, mask=inside, other=0)
        tl.store(ratio + then * LEVELS + k, tl.where(n_kept < 1, RATIO, kept), mask=inside)
        tl.store(ratio_count + then * LEVELS + k, tl.maximum(n_kept, 1), mask=inside)
        if REPEATS > 0:
            k = tl.arange(0, RUN_LEVELS)
            n_hits = tl.load(hits + before * RUN_LEVELS + k, mask=has_before & (k >= 0), other=0) * KEEP_TRIES >> 8
            n_tries = tl.load(tries + before * RUN_LEVELS + k, mask=has_before & (k >= 0), other=0) * KEEP_TRIES >> 8
            n_hits += tl.load(own_hits + plane * RUN_LEVELS + k)
            n_tries += tl.load(own_tries + plane * RUN_LEVELS + k)
            begins = (z == 0) | (n_tries < 1)
            tl.store(hits + then * RUN_LEVELS + k, n_hits + tl.where(begins, tl.load(first_hits + k), 0))
            tl.store(tries + then * RUN_LEVELS + k, n_tries + tl.where(begins, FIRST_TRIES, 0))
