"""Float64 kernels of the CPU path, one tile at a time: images are (F, H, W), features first.

Each kernel does its sums in one fixed order, with fused multiply-adds where `products` says so and separate
multiplications and additions elsewhere, and an exponential made of nothing else; so its results are the same bits on
every IEEE-754 processor (numba contracts nothing unless told to).  The stream does not rely on that - `quantise`
absorbs last-bit differences - but CPU and CPU then never differ at all.  torch was the alternative: its float64
convolutions and attention are slower on a CPU, and its order of summation changes with threads, batch and version.

Other loops run over positions innermost, several inputs per pass, which is what LLVM turns into vector code.
All kernels release the GIL: threads work on different tiles.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lhic.families.bp.products import WIDTH, sums_of_products
from lhic.kernels.jit import njit

_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, kept in the low bits
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # 32 bits, so that k * _LN2_HIGH is exact
_LN2_LOW = 1.9082149292705877e-10
_EXP_MAX = 708.0
_C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12 = (1.0 / math.factorial(n) for n in range(3, 13))
_QUERIES = 4 * WIDTH  # per block of `attention`; their scores stay in the second-level cache
_SAFE_SCORE = 300.0  # below it, exp and a sum of exps neither overflow nor vanish

jit = njit(nogil=True, error_model="numpy")


@intrinsic
def _bits(typing_context, x):
    """The 64 bits of a float as an integer."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def _float(typing_context, bits):
    """The float with these 64 bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@njit(error_model="numpy")
def exp(x):
    """e^x to about one unit in the last place; arguments beyond +-708 count as +-708."""
    x = x if x < _EXP_MAX else _EXP_MAX
    x = x if x > -_EXP_MAX else -_EXP_MAX
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW  # |r| <= ln(2) / 2; the first term left out is 0.35^13 / 13! = 2e-16
    # 1 + r + r^2 (1/2! + r/3! + ...), in groups of four terms: shorter chains than Horner's, so the lanes stay busy.
    s = r * r
    q = s * s
    low = (0.5 + r * _C3) + s * (_C4 + r * _C5)
    middle = (_C6 + r * _C7) + s * (_C8 + r * _C9)
    high = (_C10 + r * _C11) + s * _C12
    p = 1.0 + (r + s * (low + q * (middle + q * high)))
    return p * _float((_bits(shifted) + 1023) << 52)


@njit(error_model="numpy")
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@jit
def pad(x, margin):
    """Zeros around each image: (F, H, W) -> (F, (H + 2 m) * (W + 2 m) + 2 m), flat, with room for taps past the end.

    And for a whole block of `sums_of_products`.
    """
    n_features, height, width = x.shape
    wide = width + 2 * margin
    padded = np.zeros((n_features, (height + 2 * margin) * wide + 2 * margin + WIDTH))
    for f in range(n_features):
        for row in range(height):
            begin = (row + margin) * wide + margin
            padded[f, begin : begin + width] = x[f, row]
    return padded


@jit
def _crop(wide_rows, wide, out):
    """Drop the columns a flat pass computed on padding."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = wide_rows[row * wide + column]


@jit
def conv3x3(weight, bias, x):
    """3x3 convolution with zero padding.

    weight : (Fo, Fi, 3, 3); bias : (Fo,); x : (Fi, H, W)
    Works on padded rows laid end to end: taps are then plain offsets, at the price of two idle columns per row.
    """
    n_out, n_in = weight.shape[:2]
    height, width = x.shape[1:]
    wide = width + 2
    padded = pad(x, 1)
    offsets = np.empty(n_in * 9, np.int64)
    for i in range(n_in):
        for tap in range(9):
            offsets[i * 9 + tap] = i * padded.shape[1] + tap // 3 * wide + tap % 3
    n = -(-height * wide // WIDTH) * WIDTH
    rows = np.empty((n_out, n))
    sums_of_products(weight.reshape(n_out, n_in * 9), bias, padded.reshape(-1), offsets, rows.reshape(-1), n, n)
    out = np.empty((n_out, height, width))
    for o in range(n_out):
        _crop(rows[o], wide, out[o])
    return out


@jit
def depthwise7x7(weight, bias, x):
    """Depthwise 7x7 convolution with zero padding.

    weight : (F, 7, 7); bias : (F,); x : (F, H, W)
    """
    n_features, height, width = x.shape
    wide = width + 6
    padded = pad(x, 3)
    n = height * wide
    out = np.empty(x.shape)
    total = np.empty(n)
    for f in range(n_features):
        total[:] = bias[f]
        for r in range(7):
            row = padded[f, r * wide :]
            w = weight[f, r]
            w0, w1, w2, w3, w4, w5, w6 = w[0], w[1], w[2], w[3], w[4], w[5], w[6]
            for p in range(n):
                total[p] += (
                    (w0 * row[p] + w1 * row[p + 1] + w2 * row[p + 2])
                    + (w3 * row[p + 3] + w4 * row[p + 4])
                    + (w5 * row[p + 5] + w6 * row[p + 6])
                )
        _crop(total, wide, out[f])
    return out


@jit
def group_norm(weight, bias, x, n_groups, silu):
    """GroupNorm with eps 1e-5, then SiLU if asked for.

    weight, bias : (F,); x : (F, H, W)
    """
    n_features = x.shape[0]
    size = n_features // n_groups
    flat = x.reshape(n_features, -1)
    n = flat.shape[1]
    out = np.empty(flat.shape)
    sums = np.empty(n)
    for group in range(n_groups):
        begin, end = group * size, (group + 1) * size
        sums[:] = 0.0
        for f in range(begin, end):
            row = flat[f]
            for p in range(n):
                sums[p] += row[p]
        mean = _sum(sums) / (size * n)
        sums[:] = 0.0
        for f in range(begin, end):
            row = flat[f]
            for p in range(n):
                difference = row[p] - mean
                sums[p] += difference * difference
        inverse = 1.0 / math.sqrt(_sum(sums) / (size * n) + 1e-5)
        for f in range(begin, end):
            row, target = flat[f], out[f]
            gain = inverse * weight[f]
            shift = bias[f]
            for p in range(n):
                target[p] = (row[p] - mean) * gain + shift
            if silu:
                for p in range(n):
                    target[p] = target[p] * sigmoid(target[p])
    return out.reshape(x.shape)


@jit
def _sum(values):
    """Sum in eight interleaved parts; overwrites nothing."""
    parts = np.zeros(8)
    whole = values.size // 8 * 8
    for begin in range(0, whole, 8):
        for lane in range(8):
            parts[lane] += values[begin + lane]
    total = ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]))
    for p in range(whole, values.size):
        total += values[p]
    return total


@jit
def layer_norm(weight, bias, x, y, n):
    """LayerNorm over features with eps 1e-5 at each of n positions; x, y : (F, >= n), may be the same."""
    n_features = x.shape[0]
    mean, spread = np.zeros(n), np.zeros(n)
    for f in range(n_features):
        row = x[f]
        for p in range(n):
            mean[p] += row[p]
    for p in range(n):
        mean[p] /= n_features
    for f in range(n_features):
        row = x[f]
        for p in range(n):
            difference = row[p] - mean[p]
            spread[p] += difference * difference
    for p in range(n):
        spread[p] = 1.0 / math.sqrt(spread[p] / n_features + 1e-5)
    for f in range(n_features):
        row, target = x[f], y[f]
        gain, shift = weight[f], bias[f]
        for p in range(n):
            target[p] = (row[p] - mean[p]) * spread[p] * gain + shift


@jit
def wsilu(x, n):
    """``x * sigmoid(4 x)`` in place on x[:, :n]."""
    for f in range(x.shape[0]):
        row = x[f]
        for p in range(n):
            row[p] = row[p] * sigmoid(4.0 * row[p])


@jit
def silu(x, y, n):
    """``y = x * sigmoid(x)`` on [:, :n]."""
    for f in range(x.shape[0]):
        row, target = x[f], y[f]
        for p in range(n):
            target[p] = row[p] * sigmoid(row[p])


@jit
def attention(query, key, value):
    """Softmax attention of every position to every position.

    query (already scaled by C^-1/2), key, value : (C, P).  Returns (C, P).

    A block of queries at a time, vector lanes along the queries.  Scores are shifted by their maximum only if
    |q| |k| says that exp could overflow or vanish without; the softmax itself does not depend on the shift.
    """
    n_channels, n = query.shape
    out = np.empty((n_channels, n))
    norms = np.zeros(n)
    for c in range(n_channels):
        for p in range(n):
            norms[p] += key[c, p] * key[c, p]
    longest_key = math.sqrt(norms.max())
    keys = np.ascontiguousarray(key.T)  # (P, C)
    no_key_bias, no_value_bias = np.zeros(n), np.zeros(n_channels)
    channel_offsets, key_offsets = np.arange(n_channels) * _QUERIES, np.arange(n) * _QUERIES
    block, scores = np.zeros((n_channels, _QUERIES)), np.empty((n, _QUERIES))
    mixed = np.empty((n_channels, _QUERIES))
    for begin in range(0, n, _QUERIES):
        width = min(_QUERIES, n - begin)
        block[:, :width] = query[:, begin : begin + width]  # what the last block holds beyond is computed for nothing
        sums_of_products(keys, no_key_bias, block.reshape(-1), channel_offsets, scores.reshape(-1), _QUERIES, _QUERIES)
        shift, lengths = np.zeros(_QUERIES), np.zeros(_QUERIES)
        for c in range(n_channels):
            for p in range(_QUERIES):
                lengths[p] += block[c, p] * block[c, p]
        if not math.sqrt(lengths.max()) * longest_key < _SAFE_SCORE:
            shift[:] = -np.inf
            for j in range(n):
                for p in range(_QUERIES):
                    shift[p] = max(shift[p], scores[j, p])
        totals = np.zeros(_QUERIES)
        for j in range(n):
            row = scores[j]
            for p in range(_QUERIES):
                row[p] = exp(row[p] - shift[p])
            for p in range(_QUERIES):
                totals[p] += row[p]
        sums_of_products(value, no_value_bias, scores.reshape(-1), key_offsets, mixed.reshape(-1), _QUERIES, _QUERIES)
        for c in range(n_channels):
            for p in range(width):
                out[c, begin + p] = mixed[c, p] / totals[p]
    return out
