"""Small products of matrices with their sums in vector registers: network, predictions, normal equations.

Decides nothing: the sums are of integers that the floating-point type holds exactly, so neither their order nor a fused
multiply-add changes a bit.  Written as LLVM vectors, which every target has, since the loop vectoriser keeps such sums
in memory (docs/lhic_ax_speed.md).  Rows are taken by their addresses (``array.ctypes.data``); nothing is checked here.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

COLUMNS = 16  # samples in a tile of `layer_tile` and `predict_tile`
QUAD = 4  # samples in a step, and columns, of `gram_tile`

_INDEX = ir.IntType(64)
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
_CONTRACT = ("contract",)


def _constant(value):
    return ir.Constant(_INDEX, value)


def _element(builder, base, offset, scalar):
    """Pointer to an element of an array at address `base`."""
    return builder.gep(builder.inttoptr(base, scalar.as_pointer()), [offset])


def _vector(builder, base, offset, vector):
    """Pointer to `vector.count` elements from there on."""
    return builder.bitcast(_element(builder, base, offset, vector.element), vector.as_pointer())


def _broadcast(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _mask([0] * vector.count))


def _mask(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


def _plus_product(builder, total, a, b):
    return builder.fadd(total, builder.fmul(a, b, flags=_CONTRACT), flags=_CONTRACT)


def _loop(builder, n, step, start, body):
    """Vectors after ``body(i, vectors) -> vectors`` for i = 0, step .. n - 1; at least once."""
    before = builder.basic_block
    loop, after = builder.append_basic_block("tile"), builder.append_basic_block("tile_done")
    builder.branch(loop)
    builder.position_at_end(loop)
    i = builder.phi(_INDEX)
    sums = [builder.phi(value.type) for value in start]
    found = body(i, sums)
    following = builder.add(i, _constant(step))
    for phi, first, then in zip([i, *sums], [_constant(0), *start], [following, *found], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed("<", following, n), loop, after)
    builder.position_at_end(after)
    return found


def _product_tile(scalar, n_rows, with_bias):
    """An intrinsic: ``outputs[:n_rows, :COLUMNS] = weights[:n_rows] @ inputs[:, :COLUMNS] + bias[:n_rows]``.

    Arguments: addresses of weights, bias, inputs and outputs; n_inputs >= 1, which is also the weights' row length;
    elements from one row of inputs or outputs to the next.
    """
    vector = ir.VectorType(scalar, 8 if scalar is _FLOAT else 4)
    parts = range(COLUMNS // vector.count)
    rows = range(n_rows)

    def generate(context, builder, signature, arguments):
        weights, bias, inputs, outputs, n_inputs, stride = arguments
        start = [ir.Constant(vector, None)] * (n_rows * len(parts))
        if with_bias:
            values = [builder.load(_element(builder, bias, _constant(row), scalar)) for row in rows]
            start = [_broadcast(builder, value, vector) for value in values for _ in parts]

        def body(i, sums):
            line = builder.mul(i, stride)
            offsets = [builder.add(line, _constant(part * vector.count)) for part in parts]
            values = [builder.load(_vector(builder, inputs, offset, vector), align=4) for offset in offsets]
            found = []
            for row in rows:
                at = builder.add(builder.mul(n_inputs, _constant(row)), i)
                weight = _broadcast(builder, builder.load(_element(builder, weights, at, scalar)), vector)
                found += [_plus_product(builder, sums[row * len(parts) + part], weight, values[part]) for part in parts]
            return found

        found = _loop(builder, n_inputs, 1, start, body)
        for row in rows:
            for part in parts:
                at = builder.add(builder.mul(stride, _constant(row)), _constant(part * vector.count))
                builder.store(found[row * len(parts) + part], _vector(builder, outputs, at, vector), align=4)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing_context, weights, bias, inputs, outputs, n_inputs, stride):
        return types.void(*[types.int64] * 6), generate

    return tile


def _gram_tile(n_rows):
    """An intrinsic: ``sums[:n_rows, :QUAD] += left[:n_rows, :n] @ right[:QUAD, :n].T`` in float64.

    Arguments: addresses of left, right and sums; n, a multiple of QUAD; elements from one row of left or right to the
    next, and of sums.
    """
    vector = ir.VectorType(_DOUBLE, QUAD)

    def generate(context, builder, signature, arguments):
        left, right, sums, n, stride, sums_stride = arguments

        def lines(base, count, i):
            places = [builder.add(builder.mul(stride, _constant(row)), i) for row in range(count)]
            return [builder.load(_vector(builder, base, place, vector), align=8) for place in places]

        def body(i, totals):
            a, b = lines(left, n_rows, i), lines(right, QUAD, i)
            return [
                _plus_product(builder, totals[r * QUAD + c], a[r], b[c]) for r in range(n_rows) for c in range(QUAD)
            ]

        def pairs(one, two, even, odd):
            return builder.fadd(
                builder.shuffle_vector(one, two, _mask(even)), builder.shuffle_vector(one, two, _mask(odd))
            )

        found = _loop(builder, n, QUAD, [ir.Constant(vector, None)] * (n_rows * QUAD), body)
        for row in range(n_rows):
            four = found[row * QUAD : (row + 1) * QUAD]
            halves = [pairs(*four[k : k + 2], [0, 4, 2, 6], [1, 5, 3, 7]) for k in (0, 2)]
            total = pairs(*halves, [0, 1, 4, 5], [2, 3, 6, 7])
            pointer = _vector(builder, sums, builder.mul(sums_stride, _constant(row)), vector)
            builder.store(builder.fadd(builder.load(pointer, align=8), total), pointer, align=8)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing_context, left, right, sums, n, stride, sums_stride):
        return types.void(*[types.int64] * 6), generate

    return tile


layer_tile_4, layer_tile_3, layer_tile_2, layer_tile_1 = (_product_tile(_FLOAT, n, True) for n in (4, 3, 2, 1))
predict_tile = _product_tile(_DOUBLE, 1, False)
gram_tile_2, gram_tile_1 = _gram_tile(2), _gram_tile(1)
