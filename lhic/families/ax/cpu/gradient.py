"""How a sample's ideal code length changes with its mixture, for four samples at once (docs/format_lhic_ax.md, 6.1).

Everything is an integer that float64 holds; a quotient is rounded correctly, so its floor is that of the true one.
"""

from __future__ import annotations

from lhic.coder.mixture import ARGUMENT_BITS, SIGMOID_BITS, WEIGHT_BITS
from lhic.families.ax.cpu.cdf import Plane, sigmoid
from lhic.families.ax.cpu.mixture import LANES
from lhic.families.ax.spec import GRADIENT_BITS, GRADIENT_LIMIT, LEAST_MIXED, SHARE_BITS
from lhic.kernels.vectors import DOUBLE, INDEX, INT32, Vector, constant, kernel, load, loop, same, store, vector, where

_INTEGERS, _LONGS, _DOUBLES = vector(INT32, LANES), vector(INDEX, LANES), vector(DOUBLE, LANES)
_WHOLE = float(1 << SIGMOID_BITS)


@kernel
def gradient_tile(
    builder, level, first, n_levels, table, parts, weights, found, q, n_components, n_outputs, row, stride
):
    """Changes with means, scales and logits of `n_outputs` components each: float64 (3 n_outputs, stride), 4 columns.

    Arguments: addresses of level, int32, and those of `Plane`, of all of which the columns q .. q + 3 count; of found,
    which is filled from its first column on.
    """
    plane = Plane(first, n_levels, table, parts, weights, n_components, row, q)
    here = load(builder, level, q, _INTEGERS)
    low, high = plane.edges(builder, here)
    is_first, is_last = here < 1, here >= plane.levels(builder) - 1

    def place(part, k):
        return builder.mul(builder.add(builder.mul(constant(part), n_outputs), k), stride)

    def at_edge(edge, mean, factor, at_end, end):
        """Sigmoid, and its slope times its argument, at one edge."""
        value, argument = sigmoid(builder, edge - mean, factor)
        value = where(at_end, same_double(end), value.to(INT32).to(DOUBLE))
        argument = argument.to(DOUBLE)
        argument = where(edge < mean, argument * -1.0, argument)
        slope = (value * (same_double(_WHOLE) - value) * 2.0**-SIGMOID_BITS).floor()
        return value, (slope * argument * 2.0**-ARGUMENT_BITS).floor()

    def same_double(value):
        return Vector(builder, same(_DOUBLES, value))

    def explain(k):
        """Weight times probability, 1 less both sigmoids, weight times the change with the scale."""
        before = builder.mul(k, row)
        line = builder.add(before, q)
        mean = load(builder, parts, builder.add(line, before), _DOUBLES)
        factor = load(builder, parts, builder.add(builder.add(line, before), row), _DOUBLES)
        weight = load(builder, weights, line, _LONGS).to(INT32).to(DOUBLE)
        below, slope_below = at_edge(low, mean, factor, is_first, 0.0)
        above, slope_above = at_edge(high, mean, factor, is_last, _WHOLE)
        return weight * (above - below), same_double(_WHOLE) - below - above, weight * (slope_above - slope_below)

    def component(k, values):
        likely, balance, widening = explain(k)
        store(builder, balance, found, place(0, k))
        store(builder, widening, found, place(1, k))
        store(builder, likely, found, place(2, k))
        return [(Vector(builder, values[0]) + likely).value]

    def candidate(k, values):
        return [(Vector(builder, values[0]) + explain(builder.add(n_outputs, k))[0]).value]

    total = loop(builder, n_outputs, 1, [same(_DOUBLES, float(LEAST_MIXED))], component)
    total = loop(builder, builder.sub(n_components, n_outputs), 1, total, candidate)
    total = Vector(builder, total[0])

    def divide(k, values):
        shares, mixed = (Vector(builder, value) for value in values)
        share = (load(builder, found, place(2, k), _DOUBLES) * 2.0**SHARE_BITS / total).floor()
        weight = load(builder, weights, builder.add(builder.mul(k, row), q), _LONGS).to(INT32).to(DOUBLE)
        store(builder, share, found, place(2, k))
        return [(shares + share).value, (mixed + weight).value]

    shares, mixed = (Vector(builder, v) for v in loop(builder, n_outputs, 1, [same(_DOUBLES, 0.0)] * 2, divide))
    part = (shares * 2.0**WEIGHT_BITS / mixed).floor()  # of the shares, for a weight of 1

    def finish(k, nothing):
        share = load(builder, found, place(2, k), _DOUBLES)
        balance, widening = (load(builder, found, place(which, k), _DOUBLES) for which in (0, 1))
        weight = load(builder, weights, builder.add(builder.mul(k, row), q), _LONGS).to(INT32).to(DOUBLE)
        half, bits = 0.5, GRADIENT_BITS - SHARE_BITS
        of_mean = (share * balance * 2.0 ** (bits - SIGMOID_BITS) + half).floor()
        of_scale = ((widening * 2.0**GRADIENT_BITS + total) / (total * 2.0)).floor()
        of_scale = of_scale.minimum(float(GRADIENT_LIMIT)).maximum(-float(GRADIENT_LIMIT))
        of_logit = (((weight * part * 2.0**-WEIGHT_BITS).floor() - share) * 2.0**bits + half).floor()
        for which, value in enumerate((of_mean, of_scale, of_logit)):
            store(builder, value, found, place(which, k))
        return nothing

    loop(builder, n_outputs, 1, [], finish)
