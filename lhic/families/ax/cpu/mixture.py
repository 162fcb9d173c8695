"""From the network's sums to mixtures of logistics, four samples at once, and the candidate as one more component.

Computes what docs/format_lhic_ax.md, sections 6 and 8.3, and docs/format_rans.md, section 4, define, on vectors with a
sample in each lane: float64 that is exact, or integers.

Arrays have a column for each sample of a wave: ``parts`` float64 (K, 2, n), means and factors, the factor of scale
index c being ``E[c mod 32] 2^4 2^-(c / 32)``; ``weights`` int64 (K, n).  A kernel works on the columns q .. q + 3,
which must all be memory with finite numbers.
"""

from __future__ import annotations

import numpy as np

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    EXP2_TABLE,
    LOGIT_STEPS,
    MANTISSA_BITS,
    MEAN_BITS,
    MEAN_LIMIT,
    SCALE_MAX,
    SCALE_MIN_LOG2,
    SCALE_STEPS,
    WEIGHT_BITS,
)
from lhic.families.ax.cpu.tiles import QUAD
from lhic.families.ax.spec import LOGIT_SHIFT, MEAN_SHIFT, SCALE_OFFSET, SCALE_SHIFT
from lhic.kernels.jit import lean
from lhic.kernels.vectors import (
    DOUBLE,
    FLOAT,
    INDEX,
    INT32,
    Vector,
    address,
    constant,
    element,
    kernel,
    load,
    loop,
    same,
    store,
    table_entries,
    vector,
    where,
)

LANES = QUAD  # samples of a tile
_INTEGERS, _LONGS, _DOUBLES = vector(INT32, LANES), vector(INDEX, LANES), vector(DOUBLE, LANES)

_SCALES = np.arange(SCALE_MAX + 1)
# Factor of |distance| for each scale index.
FACTORS = EXP2_TABLE[_SCALES % SCALE_STEPS] * 2.0 ** (
    ARGUMENT_BITS - MEAN_BITS - SCALE_MIN_LOG2 - MANTISSA_BITS - _SCALES // SCALE_STEPS
)
_NARROWEST = FACTORS[0]
# Relative weight of each distance below the greatest logit, up to the first 0.
_BELOW = np.arange((MANTISSA_BITS + 1) * LOGIT_STEPS + 1)
_RAW_WEIGHTS = EXP2_TABLE[_BELOW % LOGIT_STEPS] >> _BELOW // LOGIT_STEPS
assert _RAW_WEIGHTS[-1] == 0


@kernel
def mixture_tile(
    builder, outputs, base, scale, log_scale, parts, weights, near, spread, q, n_components, stride, row
):  # fmt: skip
    """Means, factors and weights from the network's sums; the logistic from which a search guesses.

    Arguments: addresses of outputs, float32 (3 K, stride), of base, scale and log_scale, float64, of parts and weights
    with a row length of `row`, of near and spread, float64: mean of the components, and the 1/256 of a model value in
    which the odds double where the density is as theirs would be around one mean.
    """
    scale, base = load(builder, scale, q, _DOUBLES), load(builder, base, q, _DOUBLES)
    octaves = load(builder, log_scale, q, _DOUBLES).to(INT32) * 2 + SCALE_OFFSET

    def output(part, k):
        line = builder.mul(builder.add(builder.mul(constant(part), n_components), k), stride)
        return load(builder, outputs, builder.add(line, q), vector(FLOAT, LANES)).to(INT32)

    def place(k):
        return builder.add(builder.mul(k, row), q)

    def greatest_logit(k, values):
        return [(output(2, k) >> LOGIT_SHIFT).maximum(Vector(builder, values[0])).value]

    (greatest,) = loop(builder, n_components, 1, [same(_INTEGERS, -(1 << 30))], greatest_logit)

    def component(k, values):
        total, first = (Vector(builder, value) for value in values)
        mean = (((output(0, k) >> MEAN_SHIFT).to(DOUBLE) * scale) * 2.0**-10).floor() + base * 4.0
        mean = mean.minimum(float(MEAN_LIMIT)).maximum(-float(MEAN_LIMIT))
        index = (octaves + (output(1, k) >> SCALE_SHIFT)).minimum(SCALE_MAX).maximum(0)
        below = Vector(builder, greatest) - (output(2, k) >> LOGIT_SHIFT)
        raw = table_entries(builder, _RAW_WEIGHTS, below.minimum(len(_RAW_WEIGHTS) - 1))
        mean_place = builder.add(place(k), builder.mul(k, row))
        store(builder, mean, parts, mean_place)
        store(builder, table_entries(builder, FACTORS, index), parts, builder.add(mean_place, row))
        store(builder, raw, weights, place(k))
        number = Vector(builder, builder.trunc(k, INT32)).spread(LANES)
        return [(total + raw).value, where(below.equals(0).both(first < 0), number, first).value]

    start = [same(_LONGS, 0), same(_INTEGERS, -1)]
    total, first = (Vector(builder, value) for value in loop(builder, n_components, 1, start, component))
    total = total.to(INT32).to(DOUBLE)

    def weigh(k, values):
        # raw 2^14 + total < 2^37: the floor of the quotient, rounded as it is, is that of the true one.
        raw = load(builder, weights, place(k), _LONGS).to(INT32).to(DOUBLE)
        left_over, mean, density = (Vector(builder, value) for value in values)
        weight = ((raw * 2.0**WEIGHT_BITS) / total).to(INT32)
        store(builder, weight.to(INDEX), weights, place(k))
        mean_place = builder.add(place(k), builder.mul(k, row))
        share = weight.to(DOUBLE)
        mean = mean + share * load(builder, parts, mean_place, _DOUBLES)
        density = density + share * load(builder, parts, builder.add(mean_place, row), _DOUBLES)
        return [(left_over - weight.to(INDEX)).value, mean.value, density.value]

    start = [same(_LONGS, 1 << WEIGHT_BITS), same(_DOUBLES, 0.0), same(_DOUBLES, 0.0)]
    left_over, mean, density = loop(builder, n_components, 1, start, weigh)
    for lane in range(LANES):
        at = builder.add(place(builder.sext(first.lane(lane), INDEX)), constant(lane))
        pointer = element(builder, weights, at, INDEX)
        builder.store(builder.add(builder.load(pointer), Vector(builder, left_over).lane(lane)), pointer)
    store(builder, Vector(builder, mean) * 2.0**-WEIGHT_BITS, near, q)
    density = Vector(builder, density)
    store(builder, density.like(2.0 ** (ARGUMENT_BITS + WEIGHT_BITS)) / density, spread, q)


@lean
def mixtures_of(outputs, n, base, scale, log_scale, mixtures):
    """Mixtures of a wave from the network's sums, and `arithmetic.log2_16` of the scale."""
    n_components, row = outputs.shape[0] // 3, mixtures.weights.shape[1]
    for q in range(0, n, LANES):
        mixture_tile(
            address(outputs), address(base), address(scale), address(log_scale),
            address(mixtures.parts), address(mixtures.weights), address(mixtures.near),
            address(mixtures.spread), q, n_components, outputs.shape[1], row,
        )  # fmt: skip


@lean
def add_repeats(n, scratch):
    """Make the candidates one more component of a wave's mixtures, the last."""
    mixtures = scratch.mixtures
    parts, weights = mixtures.parts, mixtures.weights
    last = weights.shape[0] - 1
    parts[last, 1, :n] = _NARROWEST
    for q in range(n):
        parts[last, 0, q] = scratch.candidates[q] << MEAN_BITS
        weights[last, q] = 1 << WEIGHT_BITS
    for k in range(last):
        for q in range(n):
            weight = (weights[k, q] * ((1 << WEIGHT_BITS) - scratch.repeat_weights[q])) >> WEIGHT_BITS
            weights[k, q] = weight
            weights[last, q] -= weight
    for q in range(n):
        if scratch.repeat_weights[q] > 1 << (WEIGHT_BITS - 1):  # where a search begins decides nothing
            mixtures.near[q] = parts[last, 0, q]
            mixtures.spread[q] = 0.0
