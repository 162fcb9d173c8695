"""Small products of matrices with their sums in vector registers: network, predictions, normal equations and solution.

Decides nothing: the sums are of integers that the floating-point type holds exactly, so neither their order nor a fused
multiply-add changes a bit.  Only the solution of the normal equations rounds, and keeps the format's order.  Written as
LLVM vectors (`lhic.kernels.vectors`) since the loop vectoriser keeps such sums in memory (docs/lhic_ax_speed.md).
"""

from __future__ import annotations

from llvmlite import ir

from lhic.kernels.jit import lean
from lhic.kernels.vectors import (
    DOUBLE,
    FLOAT,
    INDEX,
    INT32,
    Vector,
    address,
    broadcast,
    constant,
    element,
    kernel,
    lanes,
    load,
    load_all,
    loop,
    register_bytes,
    store,
    vector_at,
)

COLUMNS = 16  # samples in a tile of `layer_tile`, and of `predict_tile` but the last
QUAD = 4  # samples in a step, and columns, of `gram_tile`
GRAM_ROWS = 3  # rows of `gram_tile`

_CONTRACT = ("contract",)
_QUAD = ir.VectorType(DOUBLE, QUAD)
DOUBLES = register_bytes() // 8  # in a vector: of a size that a register has, which changes no result


def _plus_product(builder, total, a, b):
    return builder.fadd(total, builder.fmul(a, b, flags=_CONTRACT), flags=_CONTRACT)


def _layer_tile(n_rows, n_columns=COLUMNS):
    """An intrinsic: ``outputs[:n_rows, :n_columns] = weights[:n_rows] @ inputs[:, :n_columns] + bias[:n_rows]``.

    Arguments: addresses of weights, bias, inputs and outputs; n_inputs >= 1, which is also the weights' row length;
    elements from one row of inputs or outputs to the next.
    """
    vector = ir.VectorType(FLOAT, min(2 * DOUBLES, n_columns))
    parts = range(n_columns // vector.count)
    rows = range(n_rows)

    @kernel
    def tile(builder, *arguments):
        weights, bias, inputs, outputs, n_inputs, stride = arguments
        values = [builder.load(element(builder, bias, constant(row), FLOAT)) for row in rows]
        start = [broadcast(builder, value, vector) for value in values for _ in parts]

        def body(i, sums):
            line = builder.mul(i, stride)
            offsets = [builder.add(line, constant(part * vector.count)) for part in parts]
            values = [builder.load(vector_at(builder, inputs, offset, vector), align=4) for offset in offsets]
            found = []
            for row in rows:
                at = builder.add(builder.mul(n_inputs, constant(row)), i)
                weight = broadcast(builder, builder.load(element(builder, weights, at, FLOAT)), vector)
                found += [_plus_product(builder, sums[row * len(parts) + part], weight, values[part]) for part in parts]
            return found

        found = loop(builder, n_inputs, 1, start, body)
        for row in rows:
            for part in parts:
                at = builder.add(builder.mul(stride, constant(row)), constant(part * vector.count))
                builder.store(found[row * len(parts) + part], vector_at(builder, outputs, at, vector), align=4)

    return tile


def _predict_tile(n_columns):
    """An intrinsic: ``coefficients[:n] @ sources + coefficients[n] + coefficients[n + 1] * means``, columns from q on.

    Arguments: addresses of sources, int64, themselves addresses of n rows of int32; of coefficients, means and
    predictions, float64; n, and q.  Every partial sum is an integer below 2^53; those of rows of even and of odd number
    are kept apart, so that one does not wait for the other.
    """
    doubles, integers = ir.VectorType(DOUBLE, DOUBLES), ir.VectorType(INT32, DOUBLES)
    parts = range(0, n_columns, DOUBLES)

    @kernel
    def tile(builder, sources, coefficients, n, means, predictions, q):
        places = [builder.add(q, constant(part)) for part in parts]
        first, share = (load_all(builder, coefficients, builder.add(n, constant(k)), doubles).value for k in (0, 1))
        start = [_plus_product(builder, first, share, load(builder, means, at, doubles).value) for at in places]

        def add_row(k, sums):
            row = builder.load(element(builder, sources, k, INDEX))
            own = load_all(builder, coefficients, k, doubles).value
            values = [load(builder, row, at, integers).to(DOUBLE).value for at in places]
            return [_plus_product(builder, total, own, value) for total, value in zip(sums, values, strict=True)]

        def add_two(k, sums):
            middle = len(sums) // 2
            return add_row(k, sums[:middle]) + add_row(builder.add(k, constant(1)), sums[middle:])

        n_even = builder.and_(n, constant(-2))
        nothing = [ir.Constant(doubles, [0.0] * DOUBLES)] * len(places)
        sums = loop(builder, n_even, 2, start + nothing, add_two)
        sums = [builder.fadd(a, b) for a, b in zip(sums[: len(places)], sums[len(places) :], strict=True)]
        sums = loop(builder, builder.sub(n, n_even), 1, sums, lambda k, found: add_row(builder.add(k, n_even), found))
        for total, at in zip(sums, places, strict=True):
            store(builder, Vector(builder, total), predictions, at)

    return tile


predict_tile_16, predict_tile_8 = _predict_tile(COLUMNS), _predict_tile(COLUMNS // 2)


@lean
def predict_samples(sources, coefficients, size, means, n, predictions):
    """`_predict_tile` of n samples, and some beyond.  sources, coefficients : arrays, of which `size` are used"""
    at, used, about, out = address(sources), address(coefficients), address(means), address(predictions)
    whole = n - n % COLUMNS
    for q in range(0, whole, COLUMNS):
        predict_tile_16(at, used, size, about, out, q)
    if n - whole > COLUMNS // 2:
        predict_tile_16(at, used, size, about, out, whole)
    elif n > whole:
        predict_tile_8(at, used, size, about, out, whole)


@kernel
def gram_tile(builder, left, right, sums_0, sums_1, sums_2, n, stride):
    """``sums_r[:QUAD] += left[r, :n] @ right[:QUAD, :n].T`` for r = 0, 1, 2 in float64.

    Arguments: addresses of left, right and three rows of sums; n, a multiple of QUAD; elements from one row of left or
    right to the next.  Twelve sums hide the time that a multiply-add takes.
    """
    rows = range(GRAM_ROWS)

    def line(base, row, i):
        place = builder.add(builder.mul(stride, constant(row)), i)
        return builder.load(vector_at(builder, base, place, _QUAD), align=8)

    def body(i, totals):
        a = [line(left, r, i) for r in rows]
        found = list(totals)
        for c in range(QUAD):
            b = line(right, c, i)
            for r in rows:
                found[r * QUAD + c] = _plus_product(builder, totals[r * QUAD + c], a[r], b)
        return found

    def pairs(one, two, even, odd):
        return builder.fadd(builder.shuffle_vector(one, two, lanes(even)), builder.shuffle_vector(one, two, lanes(odd)))

    found = loop(builder, n, QUAD, [ir.Constant(_QUAD, None)] * (GRAM_ROWS * QUAD), body)
    for row, sums in enumerate((sums_0, sums_1, sums_2)):
        four = found[row * QUAD : (row + 1) * QUAD]
        halves = [pairs(*four[k : k + 2], [0, 4, 2, 6], [1, 5, 3, 7]) for k in (0, 2)]
        total = pairs(*halves, [0, 1, 4, 5], [2, 3, 6, 7])
        pointer = vector_at(builder, sums, constant(0), _QUAD)
        builder.store(builder.fadd(builder.load(pointer, align=8), total), pointer, align=8)


layer_tile_8, layer_tile_4, layer_tile_3, layer_tile_2, layer_tile_1 = (_layer_tile(n) for n in (8, 4, 3, 2, 1))
narrow_layer_tile = _layer_tile(8, COLUMNS // 2)


def _solve_tile(whole):
    """An intrinsic: 4 columns of the factor for 4 rows (8 with `whole`) below their diagonal, in the format's order.

    For the columns j = j0 .. j0 + 3, each operation rounded on its own:
    ``s = gram[i, j];  for k in 0 .. j - 1: s = s - f[i, k] * f[j, k];  f[i, j] = s / f[j, j]``, with f[i, k] at
    factor[k, i].  Arguments: addresses of gram[i0, j0] and factor; j0, i0; elements from one row of gram to the next (0
    for a single one in all lanes), and of factor.  The 4 columns' own rows must be finished.
    """
    groups = range(2 if whole else 1)

    @kernel
    def tile(builder, gram, factor, j0, i0, gram_stride, stride):
        sums = _less_products(builder, _columns(builder, gram, gram_stride, groups), factor, j0, i0, stride)
        for c in range(QUAD):
            for g in groups:
                total = sums[c][g]
                for k in range(c):
                    total = total - sums[k][g] * load_all(builder, factor, _at(builder, j0, k, stride, j0, c), _QUAD)
                total = total / load_all(builder, factor, _at(builder, j0, c, stride, j0, c), _QUAD)
                sums[c][g] = total
                store(builder, total, factor, _at(builder, j0, c, stride, i0, g * QUAD))

    return tile


def _at(builder, row, more_rows, stride, column, more_columns):
    """Offset of an element at (row + more_rows, column + more_columns)."""
    row, column = builder.add(row, constant(more_rows)), builder.add(column, constant(more_columns))
    return builder.add(builder.mul(row, stride), column)


def _columns(builder, gram, stride, groups):
    """4 columns of some groups of 4 rows, as vectors [column][group]."""
    found = []
    for g in groups:
        rows = [load(builder, gram, builder.mul(stride, constant(g * QUAD + r)), _QUAD).value for r in range(QUAD)]
        halves = [
            [builder.shuffle_vector(one, two, lanes(m)) for m in ([0, 4, 2, 6], [1, 5, 3, 7])]
            for one, two in (rows[:2], rows[2:])
        ]
        found.append(
            [
                Vector(builder, builder.shuffle_vector(halves[0][odd], halves[1][odd], lanes(m)))
                for m in ([0, 1, 4, 5], [2, 3, 6, 7])
                for odd in (0, 1)
            ]
        )
    return [list(column) for column in zip(*found, strict=True)]


def _less_products(builder, start, factor, j0, i0, stride):
    """``s = s - f[i, k] * f[j, k]`` for k = 0 .. j0 - 1 in turn, of 4 columns j and some groups of 4 rows i."""
    groups = range(len(start[0]))

    def body(k, values):
        line = builder.mul(k, stride)
        below = [load(builder, factor, builder.add(line, builder.add(i0, constant(g * QUAD))), _QUAD) for g in groups]
        found = []
        for c in range(QUAD):
            own = load_all(builder, factor, builder.add(line, builder.add(j0, constant(c))), _QUAD)
            found += [(Vector(builder, values[c * len(groups) + g]) - below[g] * own).value for g in groups]
        return found

    found = loop(builder, j0, 1, [value.value for column in start for value in column], body)
    return [[Vector(builder, found[c * len(groups) + g]) for g in groups] for c in range(QUAD)]


@kernel
def pivot_tile(builder, factor, j0, stride):
    """Subtract from 4 columns, in their own 4 rows, what columns 0 .. j0 - 1 take away, in the format's order.

    ``factor[j, i] = factor[j, i] - f[i, k] * f[j, k]`` for k = 0 .. j0 - 1 in turn.  Arguments as for `solve_tile`.
    """
    places = [_at(builder, j0, c, stride, j0, 0) for c in range(QUAD)]
    start = [[load(builder, factor, place, _QUAD)] for place in places]
    for (column,), place in zip(_less_products(builder, start, factor, j0, j0, stride), places, strict=True):
        store(builder, column, factor, place)


solve_tile_8, solve_tile_4 = _solve_tile(True), _solve_tile(False)
