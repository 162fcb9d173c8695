"""Sums of products in float64, the bulk of the CPU path's work, kept in registers while they are added up.

LLVM turns loops over arrays into vector code, but writes every partial sum back to memory.  So the innermost block,
a few outputs times a few positions, is made of LLVM's own vectors here, which fit the registers of AVX2, AVX-512 and
NEON.  Sums run over their terms in order, each multiplication fused with the addition (rounded once), so the results
are the same bits on every processor, and the same whatever a block holds beside them.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lhic.kernels.jit import njit

_LANES = 4  # doubles of a vector: one register of AVX2, two of NEON
_VECTORS = 3
_OUTPUTS = 4  # 4 x 3 sums, 3 vectors of inputs and one weight: the 16 registers of AVX2
WIDTH = _LANES * _VECTORS
"""Positions of a block."""


def _block(n_outputs: int):
    """Intrinsic: ``y[o, p] = bias[o] + sum_k weight[o, k] * x[offsets[k] + p]`` for `n_outputs` o and WIDTH p.

    All arrays are flat; `row`, `position` and `place` are where the block begins in `weight` and `bias`, in `x`, and
    in `y`, whose rows are `stride` apart.
    """

    @intrinsic
    def block(typing_context, weight, bias, row, x, offsets, position, y, place, stride):
        def codegen(context, builder, signature, arguments):
            vector, index = ir.VectorType(ir.DoubleType(), _LANES), ir.IntType(64)
            lanes = ir.VectorType(ir.IntType(32), _LANES)
            nothing = ir.Constant(vector, ir.Undefined)
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{_LANES}f64"
            )

            def data(n):
                return context.make_array(signature.args[n])(context, builder, arguments[n]).data

            def element(pointer, n):
                return builder.gep(pointer, [n])

            def constant(n):
                return ir.Constant(index, n)

            def vector_at(pointer, n):
                return builder.bitcast(element(pointer, constant(n * _LANES)), vector.as_pointer())

            def everywhere(value):
                first = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
                return builder.shuffle_vector(first, nothing, ir.Constant(lanes, [0] * _LANES))

            n_terms = context.make_array(signature.args[4])(context, builder, arguments[4]).shape
            n_terms = builder.extract_value(n_terms, 0)
            first_row = arguments[2]
            rows = [builder.add(first_row, constant(o)) for o in range(n_outputs)]
            weights = [element(data(0), builder.mul(row, n_terms)) for row in rows]
            sums = [[cgutils.alloca_once(builder, vector) for _ in range(_VECTORS)] for _ in range(n_outputs)]
            for o in range(n_outputs):
                start = everywhere(builder.load(element(data(1), rows[o])))
                for total in sums[o]:
                    builder.store(start, total)
            begin = element(data(3), arguments[5])
            with cgutils.for_range(builder, n_terms) as loop:
                source = element(begin, builder.load(element(data(4), loop.index)))
                inputs = [builder.load(vector_at(source, v)) for v in range(_VECTORS)]
                for one in inputs:
                    one.align = 8
                for o in range(n_outputs):
                    factor = everywhere(builder.load(element(weights[o], loop.index)))
                    for total, one in zip(sums[o], inputs):
                        builder.store(builder.call(fma, [factor, one, builder.load(total)]), total)
            for o in range(n_outputs):
                target = element(data(6), builder.add(arguments[7], builder.mul(arguments[8], constant(o))))
                for v, total in enumerate(sums[o]):
                    builder.store(builder.load(total), vector_at(target, v)).align = 8
            return context.get_dummy_value()

        whole, flat = types.int64, types.Array(types.float64, 1, "C")
        indices = types.Array(types.int64, 1, "C")
        return types.void(flat, flat, whole, flat, indices, whole, flat, whole, whole), codegen

    return block


_four, _one = _block(_OUTPUTS), _block(1)


@njit(nogil=True, error_model="numpy")
def sums_of_products(weight, bias, x, offsets, y, stride, n):
    """``y[o * stride + p] = bias[o] + sum_k weight[o, k] * x[offsets[k] + p]`` for p in 0 .. n - 1.

    weight : (O, K), contiguous; bias : (O,); x, y : flat; offsets : int64 (K,); n : a multiple of WIDTH
    """
    n_outputs = bias.size
    flat = weight.reshape(-1)
    for p in range(0, n, WIDTH):
        o = 0
        while o + _OUTPUTS <= n_outputs:
            _four(flat, bias, o, x, offsets, p, y, o * stride + p, stride)
            o += _OUTPUTS
        while o < n_outputs:
            _one(flat, bias, o, x, offsets, p, y, o * stride + p, stride)
            o += 1


@njit(nogil=True, error_model="numpy")
def affine(weight, bias, x, y, n):
    """``y[:, :n] = weight @ x[:, :n] + bias[:, None]``: a 1x1 convolution.

    weight : (O, I), contiguous; bias : (O,); x : (I, >= n); y : (O, >= n), contiguous
    """
    n_outputs, n_inputs = weight.shape
    flat, stride = y.reshape(-1), y.shape[1]
    offsets = np.arange(n_inputs) * WIDTH
    # Rows of a power of two of bytes would share a few lines of the first-level cache; copies side by side do not.
    block = np.zeros(n_inputs * WIDTH)
    whole = n // WIDTH * WIDTH
    for begin in range(0, whole, WIDTH):
        for i in range(n_inputs):
            for p in range(WIDTH):
                block[i * WIDTH + p] = x[i, begin + p]
        sums_of_products(weight, bias, block, offsets, flat[begin:], stride, WIDTH)
    if whole < n:
        for i in range(n_inputs):
            for p in range(n - whole):
                block[i * WIDTH + p] = x[i, whole + p]
        last = np.empty((n_outputs, WIDTH))
        sums_of_products(weight, bias, block, offsets, last.reshape(-1), WIDTH, WIDTH)
        for o in range(n_outputs):
            for p in range(n - whole):
                y[o, whole + p] = last[o, p]
