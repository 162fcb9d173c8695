"""Cumulative frequencies of four samples at once, and the decoder's search on them (docs/format_lhic_ax.md, section 7).

Distances and the sigmoid's arguments are float64, exact because a distance times a mantissa is below 2^42, and a power
of two times that loses nothing; the rest are integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

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

_INTEGERS, _LONGS, _DOUBLES = vector(INT32, LANES), vector(INDEX, LANES), vector(DOUBLE, LANES)
_ARGUMENT_MAX = SIGMOID_OCTAVES << ARGUMENT_BITS
_FRACTION_BITS = ARGUMENT_BITS - TABLE_BITS
# Value at the left of each cell, and in the upper half the difference to its right.
_SIGMOID_LINES = SIGMOID_TABLE[:-1] | np.diff(SIGMOID_TABLE) << 32
assert np.diff(SIGMOID_TABLE).max() << _FRACTION_BITS < 1 << 32
_LOW_HALF = (1 << 32) - 1


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

    def edges(self, builder, level: Vector) -> Vector:
        """Boundary between a level and the one before it, in 1/256 of a model value (float64)."""
        is_dense = builder.icmp_signed("==", self.table, constant(0))
        with builder.if_else(is_dense) as (dense, sparse):
            with dense:
                first = Vector(builder, builder.trunc(self.first, INT32)).spread(LANES)
                one = ((first + level) << MEAN_BITS) - (1 << (MEAN_BITS - 1))
                after_one = builder.basic_block
            with sparse:
                inside = level.minimum(self.levels(builder) - 1).maximum(1)
                above = table_entries(builder, self.table, inside, INDEX)
                below = table_entries(builder, self.table, inside - 1, INDEX)
                other = (above + below).to(INT32) << (MEAN_BITS - 1)
                after_other = builder.basic_block
        found = builder.phi(_INTEGERS)
        found.add_incoming(one.value, after_one)
        found.add_incoming(other.value, after_other)
        return Vector(builder, found).to(DOUBLE)

    def levels(self, builder) -> Vector:
        return Vector(builder, builder.trunc(self.n_levels, INT32)).spread(LANES)

    def cumulative(self, builder, levels: list[Vector]) -> list[Vector]:
        """F of some levels of each sample, int32."""
        edges = [self.edges(builder, level) for level in levels]

        def component(k, values):
            before = builder.mul(k, self.row)
            line = builder.add(before, self.q)
            mean = load(builder, self.parts, builder.add(line, before), _DOUBLES)
            factor = load(builder, self.parts, builder.add(builder.add(line, before), self.row), _DOUBLES)
            weight = load(builder, self.weights, line, _LONGS) & _LOW_HALF
            return [
                (Vector(builder, value) + weight * sigmoid(builder, edge - mean, factor)[0]).value
                for value, edge in zip(values, edges, strict=True)
            ]

        sums = loop(builder, self.n_components, 1, [same(_LONGS, 0)] * len(edges), component)
        return [self._frequency(builder, Vector(builder, c), x) for c, x in zip(sums, levels, strict=True)]

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
    line = table_entries(builder, _SIGMOID_LINES, argument.unsigned_shift(_FRACTION_BITS))
    fraction = (argument & ((1 << _FRACTION_BITS) - 1)).to(INDEX)
    value = (line & _LOW_HALF) + (line.unsigned_shift(32) * fraction).unsigned_shift(_FRACTION_BITS)
    return where(distance < 0.0, value.like(1 << SIGMOID_BITS) - value, value), argument


@kernel
def interval_tile(
    builder, level, lower_bits, starts, freqs, first, n_levels, table, parts, weights, q, n_components, row
):
    """Intervals of levels' upper and lower parts: starts and freqs, int32 (2, row), of the columns q .. q + 3.

    Arguments: addresses of level, int32; those of `Plane`; levels must be within the plane's.
    """
    plane = Plane(first, n_levels, table, parts, weights, n_components, row, q)
    here = load(builder, level, q, _INTEGERS)
    bits = Vector(builder, builder.trunc(lower_bits, INT32)).spread(LANES)
    one = here.like(1)
    cell = here >> bits << bits
    after = (cell + (one << bits)).minimum(plane.levels(builder))
    low, high, below, above = plane.cumulative(builder, [cell, after, here, here + 1])
    start, end = (_stretched(value, low, high) for value in (below, above))
    lower_part = builder.add(row, q)
    store(builder, low, starts, q)
    store(builder, high - low, freqs, q)
    store(builder, start, starts, lower_part)
    store(builder, end - start, freqs, lower_part)


def _stretched(value: Vector, low: Vector, high: Vector) -> Vector:
    """``(value - low) 2^24 / (high - low)``.  The divisor is at most 2^24: the quotient is off by less than 2^-28."""
    return ((value - low).to(DOUBLE) * 2.0**PRECISION / (high - low).to(DOUBLE)).to(INT32)


@kernel
def search_tile(
    builder, slots, begin, steps, bits, low, high, low_value, high_value, first, n_levels, table, parts, weights, q,
    n_components, row,
):  # fmt: skip
    """Cell of 2^bits levels whose interval holds the slot, for the columns q .. q + 3; each gallops, then bisects.

    Arguments: addresses of 4 int32 each: slots, the level where the search begins, its first step in levels; low and
    high, a multiple of 2^bits and the first level beyond, and F of them, which are replaced by those of the cell found;
    the others as for `interval_tile`.  Kept throughout: F(low) <= slot < F(high), low a multiple of 2^bits.  A lane
    whose cell is found looks at `low` again, which changes nothing.
    """
    plane = Plane(first, n_levels, table, parts, weights, n_components, row, q)
    slot, middle, step = (load(builder, address, constant(0), _INTEGERS) for address in (slots, begin, steps))
    bits = Vector(builder, builder.trunc(bits, INT32)).spread(LANES)
    size = slot.like(1) << bits
    bounds = [load(builder, address, constant(0), _INTEGERS) for address in (low, high, low_value, high_value)]
    ones = slot.like(-1)

    def is_open(values):
        return (Vector(builder, values[1]) - Vector(builder, values[0]) > size).any()

    def look(values):
        low, high, low_value, high_value, middle, step, upwards, downwards = (Vector(builder, v) for v in values)
        middle = (middle >> bits << bits).maximum(low + size).minimum((high - 1) >> bits << bits)
        (value,) = plane.cumulative(builder, [middle])
        above = value <= slot
        low, low_value = where(above, middle, low), where(above, value, low_value)
        high, high_value = where(above, high, middle), where(above, high_value, value)
        upwards, downwards = where(above, upwards, 0), where(above, downwards.like(0), downwards)
        middle = where(upwards < 0, low + step, where(downwards < 0, high - step, (low + high) >> 1))
        found = (low, high, low_value, high_value, middle, step << 1, upwards, downwards)
        return [value.value for value in found]

    found = repeat_while(builder, [v.value for v in (*bounds, middle, step, ones, ones)], is_open, look)
    for value, address in zip(found, (low, high, low_value, high_value), strict=False):
        store(builder, Vector(builder, value), address, constant(0))
