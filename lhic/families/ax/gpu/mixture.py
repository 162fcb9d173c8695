"""The network and the mixtures of a step's samples, and the cumulative frequencies under them."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu.arithmetic import MANY, clip, log2_16, quotient
from lhic.families.ax.gpu.constants import (
    ACTIVATION_LIMIT,
    ARGUMENT_BITS,
    FIRST_SHIFT,
    LOGIT_SHIFT,
    LOGIT_STEPS,
    MANTISSA_BITS,
    MEAN_BITS,
    MEAN_LIMIT,
    MEAN_SHIFT,
    MIN_SCALE,
    MIXTURE_BITS,
    SCALE_MAX,
    SCALE_MIN_LOG2,
    SCALE_OFFSET,
    SCALE_SHIFT,
    SCALE_STEPS,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    TABLE_BITS,
    TOTAL,
    WEIGHT_BITS,
)
from lhic.families.ax.gpu.pictures import first_plane

FROM_FIRST, FROM_MIDDLE = tl.constexpr(2.0**-FIRST_SHIFT.value), tl.constexpr(2.0**-WEIGHT_BITS.value)
ARGUMENT_SHIFT = tl.constexpr(ARGUMENT_BITS.value - MEAN_BITS.value - SCALE_MIN_LOG2.value - MANTISSA_BITS.value)
ARGUMENT_MAX = tl.constexpr(SIGMOID_OCTAVES.value << ARGUMENT_BITS.value)
FRACTION_BITS = tl.constexpr(ARGUMENT_BITS.value - TABLE_BITS.value)
FRACTION_MASK = tl.constexpr((1 << FRACTION_BITS.value) - 1)
SIGMOID_ONE, ALL_WEIGHT = tl.constexpr(1 << SIGMOID_BITS.value), tl.constexpr(1 << MIXTURE_BITS.value)
CDF_BITS = tl.constexpr(MIXTURE_BITS.value + SIGMOID_BITS.value)


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
    step, features, first, middle, last, biases, last_bias, sums, hidden, base_of, scale_of, candidate_of,
    repeat_weight_of, components, log_table, exp2_table, n_all, n_features, width,
    n_planes, n_active, n_most, waves, group_planes, n_groups,
    DEPTH: tl.constexpr, FEATURES: tl.constexpr, WIDTH: tl.constexpr, OUTPUTS: tl.constexpr,
    K: tl.constexpr, MIXTURES: tl.constexpr, REPEATS: tl.constexpr, BLOCK: tl.constexpr, ADAPTS: tl.constexpr,
):  # fmt: skip
    """The network and the mixtures of samples (section 6); one component more with REPEATS (8.3).

    With ADAPTS a program's samples are of one plane, `last` and `last_bias` are those of each group (6.1), and the last
    hidden layer is left in `hidden`; else samples are taken as they lie.

    sums : float32 (3 K, samples), working memory;  FEATURES, WIDTH, OUTPUTS, MIXTURES : of n_features, width, 3 K, K
    up to a power of two
    """
    ALL_K: tl.constexpr = K + 1 if REPEATS else K
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = sample < n_all
    if ADAPTS:
        n_parts = (n_most + BLOCK - 1) // BLOCK
        plane = tl.program_id(0).to(tl.int64) // n_parts
        q = tl.program_id(0) % n_parts * BLOCK + tl.arange(0, BLOCK)
        inside = q < n_most
        sample = plane * n_most + tl.where(inside, q, 0)
        z = first_plane(tl.load(step), waves, n_planes, n_active) + plane % n_active
        group = plane // n_active * n_groups + z // group_planes
        last += group * 3 * K * width
        last_bias += group * 3 * K
    base = tl.load(base_of + sample, mask=inside, other=0)
    scale = tl.load(scale_of + sample, mask=inside, other=MIN_SCALE)
    f = tl.arange(0, FEATURES)
    known = (f < n_features)[:, None] & inside[None, :]
    values = tl.load(features + f[:, None].to(tl.int64) * n_all + sample[None, :], mask=known, other=0).to(tl.float32)
    values = _layer(first, biases, width, n_features, values, WIDTH, FEATURES)
    values = clip(tl.floor(values * FROM_FIRST), 0.0, ACTIVATION_LIMIT)
    for d in tl.static_range(1, DEPTH):
        values = _layer(middle + (d - 1) * width * width, biases + d * width, width, width, values, WIDTH, WIDTH)
        values = clip(tl.floor(values * FROM_MIDDLE), 0.0, ACTIVATION_LIMIT)
    if ADAPTS:
        w = tl.arange(0, WIDTH)
        known = (w < width)[:, None] & inside[None, :]
        tl.store(hidden + w[:, None].to(tl.int64) * n_all + sample[None, :], values, mask=known)
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
    raw = tl.load(exp2_table + below % LOGIT_STEPS) >> tl.minimum(below // LOGIT_STEPS, 63)
    raw = tl.where(is_k, raw, 0)
    weight = quotient(raw << MIXTURE_BITS, tl.sum(raw, 0)[None, :])
    whole = sample * 0 + ALL_WEIGHT
    left_over = whole - tl.sum(weight, 0)
    heaviest = tl.min(tl.where(below == 0, k[:, None], MIXTURES), 0)  # the first of them
    weight += tl.where(k[:, None] == heaviest[None, :], left_over[None, :], 0)
    if REPEATS:
        likely = tl.load(repeat_weight_of + sample, mask=inside, other=0)
        weight = (weight * (whole - likely)[None, :]) >> MIXTURE_BITS
    mean = clip(4 * base[None, :] + (shift * scale[None, :] >> 10), -MEAN_LIMIT, MEAN_LIMIT)
    spread = clip(2 * log2_16(scale, log_table)[None, :] + SCALE_OFFSET + spread, 0, SCALE_MAX)
    components += sample * (4 * ALL_K)
    out = components[None, :] + k[:, None]
    tl.store(out, mean.to(tl.int32), mask=mask)
    tl.store(out + ALL_K, tl.load(exp2_table + spread % SCALE_STEPS).to(tl.int32), mask=mask)
    tl.store(out + 2 * ALL_K, (spread // SCALE_STEPS).to(tl.int32), mask=mask)
    tl.store(out + 3 * ALL_K, weight.to(tl.int32), mask=mask)
    if REPEATS:  # the candidate, with the scale's index 0
        candidate = tl.load(candidate_of + sample, mask=inside, other=0)
        tl.store(components + K, (candidate << MEAN_BITS).to(tl.int32), mask=inside)
        tl.store(components + ALL_K + K, tl.load(exp2_table + sample * 0).to(tl.int32), mask=inside)
        tl.store(components + 2 * ALL_K + K, (sample * 0).to(tl.int32), mask=inside)
        tl.store(components + 3 * ALL_K + K, (whole - tl.sum(weight, 0)).to(tl.int32), mask=inside)


@triton.jit
def load_mixtures(components, sample, used, K: tl.constexpr, MIXTURES: tl.constexpr):
    """Means, mantissas, shifts and weights (lanes, MIXTURES) of samples; further components than K weigh nothing.

    sample : (lanes,), rows of the components (4, K);  used : which lanes have one
    """
    k = tl.arange(0, MIXTURES)
    at = components + (sample * (4 * K))[:, None] + k[None, :]
    mask = used[:, None] & (k < K)[None, :]
    mean = tl.load(at, mask=mask, other=0)
    mantissa = tl.load(at + K, mask=mask, other=0)
    shift = tl.load(at + 2 * K, mask=mask, other=0)
    return mean, mantissa, shift, tl.load(at + 3 * K, mask=mask, other=0)


@triton.jit
def sigmoid_at(distance, mantissa, shift, sigmoid):
    """Sigmoid of distances below 2^26 under logistics of `load_mixtures`, and its |argument|, int32."""
    product = tl.abs(distance).to(tl.int64) * mantissa
    argument = (product << ARGUMENT_SHIFT) >> shift.to(tl.int64)
    argument = tl.minimum(argument, ARGUMENT_MAX).to(tl.int32)
    left = tl.load(sigmoid + (argument >> FRACTION_BITS))
    right = tl.load(sigmoid + (argument >> FRACTION_BITS) + 1)
    # The greatest step of the table is below 2^16, the fraction below 2^14.
    value = left + (((right - left) * (argument & FRACTION_MASK)) >> FRACTION_BITS)
    return tl.where(distance < 0, SIGMOID_ONE - value, value), argument


@triton.jit
def cumulative(level, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid):
    """F of levels (lanes, width), int32 (section 7.1), under mixtures of `load_mixtures`."""
    # Edges and means are below 2^26.
    if table_start < 0:
        edge = (2 * (first.to(tl.int32) + level) - 1) << (MEAN_BITS - 1)
    else:
        inside = (level > 0) & (level < n)
        at = table + table_start + level
        edge = tl.load(at - 1, mask=inside, other=0) + tl.load(at, mask=inside, other=0)
        edge = edge.to(tl.int32) << (MEAN_BITS - 1)
    distance = edge[:, :, None] - mean[:, None, :]
    value, _argument = sigmoid_at(distance, mantissa[:, None, :], shift[:, None, :], sigmoid)
    total = tl.sum(value.to(tl.int64) * weight[:, None, :], 2)
    found = ((total * (TOTAL - n)) >> CDF_BITS).to(tl.int32) + level
    return tl.where(level <= 0, 0, tl.where(level >= n, TOTAL, found))
