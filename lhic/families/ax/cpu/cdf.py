"""Cumulative frequencies of some samples at once, and the decoder's search on them (docs/format_lhic_ax.md, section 7).

Distances and the sigmoid's arguments are float64, exact because a distance times a mantissa is below 2^42, and a power
of two times that loses nothing; the rest are integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numpy.polynomial import Polynomial
from numpy.polynomial.chebyshev import Chebyshev

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    MEAN_BITS,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    SIGMOID_TABLE,
    TABLE_BITS,
    WEIGHT_BITS,
)
from lhic.families.ax.cpu.mixture import LANES
from lhic.families.ax.spec import PRECISION, TOTAL
from lhic.kernels.vectors import (
    DOUBLE,
    INDEX,
    INT32,
    Vector,
    constant,
    kernel,
    load,
    loop,
    repeat_while,
    same,
    store,
    table_entries,
    vector,
    where,
)

SEARCHED = 2 * LANES  # samples of a search: what one half waits for, the other does
_ARGUMENT_MAX = SIGMOID_OCTAVES << ARGUMENT_BITS
FRACTION_BITS = ARGUMENT_BITS - TABLE_BITS
# Value at the left of each cell, and in the upper half the difference to its right.
SIGMOID_LINES = SIGMOID_TABLE[:-1] | np.diff(SIGMOID_TABLE) << 32
assert np.diff(SIGMOID_TABLE).max() << FRACTION_BITS < 1 << 32
_LOW_HALF = (1 << 32) - 1
# What follows is for searches and decides nothing.
NEWTON_LOOKS = 6  # after which a search only halves what is left
_LOG2 = Chebyshev.interpolate(np.log2, 6, domain=[1, 2]).convert(kind=Polynomial).coef.tolist()
_LN_2 = float(np.log(2))
_LEAST_SHARE = 2.0**-25


class Plane(NamedTuple):
    """What F depends on besides the mixture: LLVM values.

    first, n_levels : of the plane;  table : address of its model values, or 0 for a dense plane
    parts, weights, n_components, row : of the mixtures, q the first column
    """

    first: ir.Value
    n_levels: ir.Value
    table: ir.Value
    parts: ir.Value
    weights: ir.Value
    n_components: ir.Value
    row: ir.Value
    q: ir.Value
    lanes: int = LANES

    def kind(self, scalar: ir.Type) -> ir.VectorType:
        return vector(scalar, self.lanes)

    def edges(self, builder, level: Vector) -> list[Vector]:
        """Boundaries of a level to the one before it and to the next, in 1/256 of a model value (float64).

        Beyond the plane's first and last level, whose outer boundaries are not asked for, stands any number.
        """

        def of_dense():
            first = Vector(builder, builder.trunc(self.first, INT32)).spread(self.lanes)
            before = ((first + level) << MEAN_BITS) - (1 << (MEAN_BITS - 1))
            return before, before + (1 << MEAN_BITS)

        def of_sparse():
            last = self.levels(builder) - 1
            before, own, after = (
                table_entries(builder, self.table, number.minimum(last).maximum(0), INDEX).to(INT32)
                for number in (level - 1, level, level + 1)
            )
            return (before + own) << (MEAN_BITS - 1), (own + after) << (MEAN_BITS - 1)

        with builder.if_else(builder.icmp_signed("==", self.table, constant(0))) as (dense, sparse):
            with dense:
                of_one = of_dense()
                after_one = builder.basic_block
            with sparse:
                of_other = of_sparse()
                after_other = builder.basic_block
        found = []
        for one, other in zip(of_one, of_other, strict=True):
            either = builder.phi(self.kind(INT32))
            either.add_incoming(one.value, after_one)
            either.add_incoming(other.value, after_other)
            found.append(either)
        return [Vector(builder, either).to(DOUBLE) for either in found]

    def levels(self, builder) -> Vector:
        return Vector(builder, builder.trunc(self.n_levels, INT32)).spread(self.lanes)

    def cumulative(self, builder, level: Vector, edges: list[Vector]) -> list[Vector]:
        """F of a level of each sample and of the next, int32.  edges : of the level"""

        def component(k, values):
            before = builder.mul(k, self.row)
            line = builder.add(before, self.q)
            mean = load(builder, self.parts, builder.add(line, before), self.kind(DOUBLE))
            factor = load(builder, self.parts, builder.add(builder.add(line, before), self.row), self.kind(DOUBLE))
            weight = load(builder, self.weights, line, self.kind(INDEX)) & _LOW_HALF
            return [
                (Vector(builder, value) + weight * sigmoid(builder, edge - mean, factor)[0]).value
                for value, edge in zip(values, edges, strict=True)
            ]

        sums = loop(builder, self.n_components, 1, [same(self.kind(INDEX), 0)] * len(edges), component)
        return [self._frequency(builder, Vector(builder, c), level + k) for k, c in enumerate(sums)]

    def _frequency(self, builder, sum_of_sigmoids: Vector, level: Vector) -> Vector:
        """``(C (2^24 - n) >> 38) + l`` by halves: C <= 2^38, and floor((a 2^14 + b) m / 2^38) as floors of floors."""
        n_levels = self.levels(builder)
        multiple = (n_levels.like(TOTAL) - n_levels).to(INDEX) & _LOW_HALF
        upper = sum_of_sigmoids >> WEIGHT_BITS & _LOW_HALF
        lower = sum_of_sigmoids & ((1 << WEIGHT_BITS) - 1)
        inner = upper * multiple + (lower * multiple >> WEIGHT_BITS) >> SIGMOID_BITS
        found = where(level >= n_levels, level.like(TOTAL), inner.to(INT32) + level)
        return where(level <= 0, level.like(0), found)


def sigmoid(builder, distance: Vector, factor: Vector) -> tuple[Vector, Vector]:
    """Sigmoid, 0 .. 2^24, int64, of distances in 1/256 level (`mixture.reference_sigmoid`); its |argument|, int32."""
    argument = (abs(distance) * factor).minimum(float(_ARGUMENT_MAX)).to(INT32)
    line = table_entries(builder, SIGMOID_LINES, argument.unsigned_shift(FRACTION_BITS))
    fraction = (argument & ((1 << FRACTION_BITS) - 1)).to(INDEX)
    value = (line & _LOW_HALF) + (line.unsigned_shift(32) * fraction).unsigned_shift(FRACTION_BITS)
    return where(distance < 0.0, value.like(1 << SIGMOID_BITS) - value, value), argument


@kernel
def interval_tile(builder, level, starts, freqs, first, n_levels, table, parts, weights, q, n_components, row):
    """Intervals of levels: starts and freqs, int32, of the columns q .. q + 3.

    Arguments: addresses of level, int32; those of `Plane`; levels must be within the plane's.
    """
    plane = Plane(first, n_levels, table, parts, weights, n_components, row, q)
    here = load(builder, level, q, plane.kind(INT32))
    start, end = plane.cumulative(builder, here, plane.edges(builder, here))
    store(builder, start, starts, q)
    store(builder, end - start, freqs, q)


@kernel
def guess_tile(builder, slots, near, spread, values, q):
    """Model value at which a logistic has the slot, int32, for SEARCHED columns from q on; decides nothing.

    Arguments: addresses of as many int32 each, slots and values; near, spread : float64, of the logistics.
    """
    integers, doubles = vector(INT32, SEARCHED), vector(DOUBLE, SEARCHED)
    share = load(builder, slots, constant(0), integers).to(DOUBLE) * 2.0**-PRECISION
    share = share.maximum(_LEAST_SHARE).minimum(1 - _LEAST_SHARE)
    octaves = log2(share / (share.like(1.0) - share))
    value = load(builder, near, q, doubles) + octaves * load(builder, spread, q, doubles)
    value = (value * 2.0**-MEAN_BITS + 0.5).floor().minimum(2.0**16).maximum(-(2.0**16))
    store(builder, value.to(INT32), values, constant(0))


@kernel
def search_tile(
    builder, slots, levels, starts, freqs, repeated, first, n_levels, table, parts, weights, q, n_components, row,
    has_candidates,
):  # fmt: skip
    """Levels whose intervals hold the slots, for SEARCHED columns from q on: where they begin and how long they are.

    Arguments: addresses of as many int32 each: slots, negative where nothing is searched; the levels where a search
    begins, which are replaced by those found; starts and freqs; the candidates' levels.  Whether there are candidates,
    then the last components.  The others as for `interval_tile`.

    A look takes both edges of a level.  Where the slot is beyond one of them, the next level is that where a logistic
    with the mixture's value and slope at this edge has the slot, the candidate's share taken off.  Kept throughout:
    F(low) <= slot < F(high); each look takes a level at least off what is between them.
    """
    plane = Plane(first, n_levels, table, parts, weights, n_components, row, q, SEARCHED)
    zero, integers = constant(0), plane.kind(INT32)
    slot, level, repeated_level = (load(builder, address, zero, integers) for address in (slots, levels, repeated))
    low, high = slot.like(0), where(slot < 0, slot.like(0), plane.levels(builder))
    last = builder.mul(builder.sub(n_components, constant(1)), row)
    line = builder.add(last, q)
    repeats = Vector(builder, builder.trunc(has_candidates, INT32)).spread(SEARCHED) > 0
    candidate = load(builder, parts, builder.add(line, last), plane.kind(DOUBLE))
    share = load(builder, weights, line, plane.kind(INDEX)).to(INT32).to(DOUBLE) * 2.0**-WEIGHT_BITS
    share = where(repeats, share, 0.0)
    growth = share.like(1.0) / (share.like(1.0) - share).maximum(_LEAST_SHARE)  # of the others without its share

    def is_open(values):
        return (Vector(builder, values[1]) > Vector(builder, values[0])).any()

    def look(values):
        low, high, start, end, level, n_looks = (Vector(builder, value) for value in values)
        is_left = high > low
        level = where(is_left, level.maximum(low).minimum(high - 1), level)
        edge_here, edge_after = edges = plane.edges(builder, level)
        here, after = plane.cumulative(builder, level, edges)
        start, end = where(is_left, here, start), where(is_left, after, end)
        is_below, is_above = is_left.both(slot < here), is_left.both(slot >= after)
        edge, value = where(is_below, edge_here, edge_after), where(is_below, here, after)
        taken = where(edge > candidate, share, 0.0)

        def part(value):
            found = ((value - level).to(DOUBLE) * 2.0**-PRECISION - taken) * growth
            return found.maximum(_LEAST_SHARE).minimum(1 - _LEAST_SHARE)

        at, goal = part(value), part(slot)
        between = where((edge_here < candidate).both(edge_after > candidate), share, 0.0)
        rise = (((after - here).to(DOUBLE) * 2.0**-PRECISION - between) * growth).maximum(_LEAST_SHARE)
        spread = at * (at.like(1.0) - at)
        steps = log2(goal * (goal.like(1.0) - at) / (at * (goal.like(1.0) - goal))) * _LN_2 * spread / rise
        steps = steps.floor().minimum(2.0**16).maximum(-(2.0**16)).to(INT32)
        found = where(is_below, level, level + 1) + steps
        # Beyond the candidate the slot is in its interval first.
        passed = where(
            is_below,
            (repeated_level < level).both(found < repeated_level),
            (repeated_level > level).both(found > repeated_level),
        )
        found = where(repeats.both(passed), repeated_level, found)
        low, high = where(is_above, level + 1, low), where(is_below, level, high)
        is_done = is_left.both(is_below.equals(0)).both(is_above.equals(0))
        low, high = where(is_done, level, low), where(is_done, level, high)
        n_looks = n_looks + 1
        found = where(n_looks > NEWTON_LOOKS, (low + high) >> 1, found)
        level = where(high > low, found, level)
        return [value.value for value in (low, high, start, end, level, n_looks)]

    nothing = slot.like(0)
    found = repeat_while(builder, [v.value for v in (low, high, nothing, nothing, level, nothing)], is_open, look)
    _, _, start, end, level, _ = (Vector(builder, value) for value in found)
    for value, address in ((level, levels), (start, starts), (end - start, freqs)):
        store(builder, value, address, zero)


def log2(value: Vector) -> Vector:
    """Of positive, normal numbers (float64), about: to 2e-6."""
    builder, kind = value.builder, vector(INDEX, value.kind.count)
    bits = Vector(builder, builder.bitcast(value.value, kind))
    exponent = ((bits >> 52) - 1023).to(INT32).to(DOUBLE)
    mantissa = (bits & ((1 << 52) - 1)) | (1023 << 52)
    mantissa = Vector(builder, builder.bitcast(mantissa.value, value.kind))
    found = mantissa.like(_LOG2[-1])
    for term in _LOG2[-2::-1]:
        found = found * mantissa + term
    return exponent + found
