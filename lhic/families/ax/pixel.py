"""The formulas of docs/format_lhic_ax.md for one sample, once for both engines.

Everything is an integer, whatever holds it: Python's here, float64 or int64 in numba's kernels (`cpu.compiled`), int64
vectors in Triton's (`gpu.pixel`).  As float64 no sum or product reaches 2^53, so all are exact; a quotient is rounded
correctly, and numerator + divisor < 2^52: its floor is that of the true one.  Each engine has the first three of
its own; where `>>` and `//` stand, numbers are integers in both, and `//` is never of negative ones.
"""

from __future__ import annotations

from lhic.families.ax.spec import (
    ACTIVITY_RATE,
    CERTAIN,
    FIRST_RATIO,
    GREATEST_REPEAT,
    KEEP_RATIO,
    KEEP_TRIES,
    LEAST_REPEAT,
    LIMIT,
    LONGEST_RUN,
    MAX_ACTIVITY,
    MAX_BELOW,
    MAX_INVERSE,
    MAX_NEAR,
    MAX_RATIO,
    MIN_RAW_SCALE,
    MIN_SCALE,
    PRIOR_COUNT,
    SMALL_PIXELS,
    TEACHING_WAVES,
    THINNED_FROM,
    WEIGHT_STEPS,
)


def shifted(value, bits):
    """floor(value / 2^bits)"""
    return value >> bits


def quotient(value, divisor):
    """floor(value / divisor)"""
    return value // divisor


def long_quotient(value, divisor):
    """The same of integers that may need all of int64's bits, or floats as above."""
    return value // divisor


# --- 4. Experts -------------------------------------------------------------------------------------------------------


def causal_mean(west, north, northwest, northeast):
    return shifted(west + north + northwest + northeast + 2, 2)


def limited_prediction(prediction, share, mean, low, high):
    """share : 64 of an expert that predicts the sample less the mean, else 0"""
    return min(max(prediction + share * mean, 64 * low), 64 * high)


def teaches_experts(wave, n_pixels):
    """Whether its samples add to the normal equations."""
    return (n_pixels < SMALL_PIXELS) | (wave < THINNED_FROM) | (wave % 2 == 1)


def teaches_network(wave, n_pixels):
    """Whether its samples add to the gradients."""
    return (n_pixels < SMALL_PIXELS) | (wave % TEACHING_WAVES == TEACHING_WAVES - 1)


def sample_weight(magnitude, scale):
    square = magnitude * magnitude
    return 1 + long_quotient(WEIGHT_STEPS * square, square + scale * scale)


# --- 5.1 Tables -------------------------------------------------------------------------------------------------------


def mean_error(total, count, before):
    return (16 * total + PRIOR_COUNT * before) // (count + PRIOR_COUNT)


def kept_ratio(before):
    return before * KEEP_RATIO >> 8


def relative_size(size, raw_scale):
    return min(quotient(size * (16 * FIRST_RATIO), raw_scale), MAX_RATIO)


# --- 5.2 Blend --------------------------------------------------------------------------------------------------------


def causal_sum(west, north, northwest, northeast, far_west, far_north):
    return 2 * (abs(west) + abs(north)) + abs(northwest) + abs(northeast) + abs(far_west) + abs(far_north)


def cross_sum(here, west, north, east, south):
    return 4 * here + west + north + east + south


def near_error(own, earlier, magnitude, earlier_magnitude):
    return own + min(quotient(earlier * magnitude, earlier_magnitude), MAX_NEAR)


def blend_cost(log_near, log_error, blend):
    return 2 * log_near + blend * log_error


def blend_place(cost, least):
    """In `spec.POWER_TABLE`."""
    return min(cost - least, MAX_BELOW)


def blended(first, moment, weights):
    return first + quotient(moment, weights)


# --- 5.3 Expected error -----------------------------------------------------------------------------------------------


def expected_error(activity, magnitude):
    return shifted(activity * magnitude, 10)


def raw_scale(around, expected):
    return max(shifted(10 * around + 11 * expected, 4), MIN_RAW_SCALE)


def scale_level(log_raw):
    return log_raw >> 3


def corrected_scale(raw, ratio, count):
    return max(raw * ratio // (count * FIRST_RATIO), MIN_SCALE)


def residual_of(value, base):
    return 64 * value - base


def error_of(value, prediction):
    return abs(64 * value - prediction)


def next_activity(activity, size, magnitude):
    relative = min(quotient(size * (1 << 14), magnitude), MAX_ACTIVITY)
    return activity + shifted((relative - activity) * ACTIVITY_RATE, 6)


# --- 5.4 Features -----------------------------------------------------------------------------------------------------


def limited(feature):
    return min(max(feature, -LIMIT), LIMIT)


def inverse_scale(scale):
    return quotient(1 << 24, scale)


def gain_of(magnitude, earlier_magnitude):
    return quotient(magnitude << 10, earlier_magnitude)


def inverse_back(inverse, gain):
    return min(shifted(inverse * gain, 10), MAX_INVERSE)


def in_units(value, inverse, bits):
    return limited(shifted(value * inverse, bits))


def scale_feature(log_scale):
    return limited(shifted(log_scale, 1) - 60)


def count_feature(log_count):
    return (log_count >> 1) - 60


def slope_sum(here, west, north, east, south):
    return abs(west - here) + abs(north - here) + abs(east - here) + abs(south - here)


def slope_feature(log_slope, log_scale):
    return limited(shifted(log_slope - log_scale, 1))


# --- 5.5 Pixels of the mask -------------------------------------------------------------------------------------------


def filled_value(base):
    return (base + 32) >> 6


# --- 8. Repeats -------------------------------------------------------------------------------------------------------


def kept_tries(before):
    return before * KEEP_TRIES >> 8


def repeat_weight(hits, tries):
    return min(max(quotient(16 * hits, tries), LEAST_REPEAT), GREATEST_REPEAT)


def repeat_share(weight, width):
    return min((weight << 20) // width, CERTAIN)


def next_run(run):
    return min(run + 1, LONGEST_RUN)
