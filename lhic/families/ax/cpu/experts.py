"""Experts: linear predictors fitted to what is decoded, by encoder and decoder alike, to the same bit.

Decides the experts' predictions of one wave, and how they learn from it.  The normal equations are sums of integers
below 2^53, so float64 holds them exactly in whatever order they are added; predictions are such sums as well, because
coefficients are rounded to multiples of 2^-20.  Only the solution between the two depends on rounding: it uses
``+ - * / sqrt`` alone, which IEEE 754 rounds correctly, in the order written here, without fused multiply-add
(docs/format_lhic_ax.md, section 4).

Source: least squares over previous bands, J. Mielikainen, P. Toivanen, "Clustered DPCM for the lossless compression of
hyperspectral images", IEEE TGRS 41(12), 2003; weights by the expected error: weighted least squares.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from lhic.families.ax.cpu.register_tiles import (
    COLUMNS,
    GRAM_ROWS,
    QUAD,
    gather_tile,
    gram_tile,
    pivot_tile,
    predict_tile,
    solve_tile_4,
    solve_tile_8,
)
from lhic.families.ax.experts import CONSTANT, DETAIL, INSIDE, NEIGHBOUR
from lhic.families.ax.spec import (
    COEFFICIENT_BITS,
    COEFFICIENT_LIMIT,
    CONSTANT_INPUT,
    DEGENERATE,
    DEGENERATE_ROOT,
    FORGET_SHIFT,
    PREDICTION_BITS,
    RELATIVE_RIDGE,
    RIDGE,
)
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import njit
from lhic.kernels.vectors import address


@njit(inline="always")
def padded(size):
    """Side of the normal equations of an expert with so many regressors: whole tiles."""
    return (size + QUAD - 1) // QUAD * QUAD


@njit(inline="always")
def _source(regressor, samples, details, z, u, row):
    """Address of a regressor's int32 for the sample at (u, row) in skewed coordinates; the next samples' follow."""
    kind, back, du, di = regressor
    picture = address(details) if kind == DETAIL else address(samples)
    return picture + 4 * (((z - back) * samples.shape[1] + u + du) * samples.shape[2] + row + di)


@njit(inline="always")
def _inside(u, row, n, du, di, n_columns):
    """First of the samples 0 .. n - 1 from (u, row) on whose neighbour is inside the image, and the first after."""
    # The neighbour's column is `column` less twice the sample's row.
    first, column = row - ROW_MARGIN, u - WAVE_MARGIN + du - 2 * di
    begin = min(max(-di - first, (column - n_columns) // 2 + 1 - first, 0), n)
    return begin, max(min(column // 2 - first + 1, n), begin)


@njit
def predict(regressors, coefficients, samples, details, means, z, u, row, n, n_columns, sources, used, predictions):
    """Sums of products in 1/64, rounded down, of the n samples of a wave that begin at `row` (skewed coordinates).

    Exact in any order: every partial sum is an integer below 2^53, that of the means with all neighbours' coefficients
    included.  sources : int64 (MAX_REGRESSORS,);  used : float64 (MAX_REGRESSORS + 2,), working memory
    """
    count, constant, of_mean = 0, 0.0, 0.0
    for r in range(coefficients.size):
        kind, back, du, di = regressors[r, 0], regressors[r, 1], regressors[r, 2], regressors[r, 3]
        if kind == CONSTANT:
            constant += float(CONSTANT_INPUT) * coefficients[r]
        elif z >= back:
            sources[count] = _source((kind, back, du, di), samples, details, z, u, row)
            used[count] = coefficients[r]
            count += 1
            if kind == NEIGHBOUR or kind == INSIDE:
                of_mean -= coefficients[r]
    used[count], used[count + 1] = constant, of_mean
    for q in range(0, n, COLUMNS):
        predict_tile(address(sources), address(used), count, address(means), address(predictions), q)
    for r in range(coefficients.size):
        if regressors[r, 0] == INSIDE:
            du, di = regressors[r, 2], regressors[r, 3]
            begin, end = _inside(u, row, n, du, di, n_columns)
            for q in range(begin):
                predictions[q] -= coefficients[r] * (samples[z, u + du, row + di + q] - means[q])
            for q in range(end, n):
                predictions[q] -= coefficients[r] * (samples[z, u + du, row + di + q] - means[q])
    for q in range(n):
        predictions[q] = np.floor(predictions[q] * 2.0 ** (PREDICTION_BITS - COEFFICIENT_BITS))


@njit
def gather(regressors, samples, details, means, z, u, row, n, n_columns, at, inputs):
    """Inputs of an expert for the n samples of a wave that begin at `row`, as they were: ``inputs[:, at : at + n]``.

    Of the places that a regressor may see only (-2, j + 2) from (0, j) was not known: it counts as 0.
    """
    for r in range(regressors.shape[0]):
        kind, back, du, di = regressors[r, 0], regressors[r, 1], regressors[r, 2], regressors[r, 3]
        if kind == CONSTANT:
            inputs[r, at : at + n] = float(CONSTANT_INPUT)
        elif z < back:
            inputs[r, at : at + n] = 0.0
        else:
            source = _source((kind, back, du, di), samples, details, z, u, row)
            gather_tile(source, address(inputs) + 8 * (r * inputs.shape[1] + at), n)
            if back == 0 and du == -2 and di == -2 and row == ROW_MARGIN:
                inputs[r, at] = 0.0
            if kind == NEIGHBOUR or kind == INSIDE:
                for q in range(n):
                    inputs[r, at + q] -= means[q]
            if kind == INSIDE:
                begin, end = _inside(u, row, n, du, di, n_columns)
                inputs[r, at : at + begin] = 0.0
                inputs[r, at + end : at + n] = 0.0


@njit
def accumulate(inputs, targets, weights, n_regressors, n, gram, moment, weighted):
    """Add n samples to the normal equations (lower triangle).  Exact in any order, as `predict`.

    gram (r, r) and moment (r,), r a multiple of QUAD: beyond n_regressors and above the diagonal is nothing of use.
    weights : zero from n up to the next multiple of QUAD;  weighted : float64 (4, n), working memory
    Three rows at a time from the last, which is the moment's; where rows are missing sums go to working memory.
    """
    samples = (n + QUAD - 1) // QUAD * QUAD
    stride, side = inputs.shape[1], gram.shape[0]
    left, right, grams, moments = address(weighted), address(inputs), address(gram), address(moment)
    nowhere = left + 8 * GRAM_ROWS * weighted.shape[1]
    for end in range(n_regressors + 1, 0, -GRAM_ROWS):
        begin = max(end - GRAM_ROWS, 0)
        for r in range(begin, min(end, n_regressors)):
            _weigh(inputs[r], weights, samples, weighted[r - begin])
        if end > n_regressors:
            _weigh(targets, weights, samples, weighted[n_regressors - begin])
        last = moments if end > n_regressors else grams + 8 * side * (end - 1)
        one = grams + 8 * side * begin if end - begin > 1 else last
        two = grams + 8 * side * (begin + 1) if end - begin > 2 else last if end - begin > 1 else nowhere
        three = last if end - begin > 2 else nowhere
        for b in range(0, 8 * min(end, n_regressors), 8 * QUAD):
            gram_tile(left, right + b * stride, one + b, two + b, three + b, samples, stride)


@njit
def _weigh(values, weights, n, weighted):
    for q in range(n):
        weighted[q] = values[q] * weights[q]


@njit
def forget(gram, moment):
    """Keep 15/16 of the sums, rounded down, so that they stay integers."""
    for a in range(moment.size):
        moment[a] -= np.floor(moment[a] * 2.0**-FORGET_SHIFT)
        for b in range(a + 1):
            gram[a, b] -= np.floor(gram[a, b] * 2.0**-FORGET_SHIFT)


@njit
def solve(gram, moment, factor, coefficients):
    """Coefficients times 2^20, rounded, of the ridge regression; Cholesky in the order of the format.

    gram (r, r) and moment (r,), r a multiple of QUAD;  factor : at least (r, r + QUAD), working memory: the transpose.
    No fast-math here: each sum's order is part of the format.  Four columns at a time are finished for all rows below,
    which leaves every sum's order as it is; `moment` is one more row, whose factor is the forward substitution.
    """
    n, size, stride = coefficients.size, moment.size, factor.shape[1]
    assert gram.shape == (size, size) and size % QUAD == 0 and factor.shape[0] >= size and stride >= size + QUAD
    grams, factors = address(gram), address(factor)
    for j0 in range(0, size, QUAD):
        _solve_pivots(gram, factor, j0)
        for i0 in range(j0 + QUAD, size - QUAD, 2 * QUAD):
            solve_tile_8(grams + 8 * (i0 * size + j0), factors, j0, i0, size, stride)
        if (size - j0) % (2 * QUAD) == 0:
            i0 = size - QUAD
            solve_tile_4(grams + 8 * (i0 * size + j0), factors, j0, i0, size, stride)
        solve_tile_4(address(moment) + 8 * j0, factors, j0, size, 0, stride)
    for i in range(n - 1, -1, -1):
        total = factor[i, size]
        for k in range(i + 1, n):
            total -= factor[i, k] * coefficients[k]
        coefficients[i] = total / factor[i, i]
    for i in range(n):
        rounded = np.rint(coefficients[i] * 2.0**COEFFICIENT_BITS)
        coefficients[i] = min(max(rounded, -COEFFICIENT_LIMIT), COEFFICIENT_LIMIT)


@njit
def _solve_pivots(gram, factor, j0):
    """Columns j0 .. j0 + 3 of the factor in their own rows."""
    for j in range(j0, j0 + QUAD):
        for i in range(j, j0 + QUAD):
            factor[j, i] = gram[i, j]
        factor[j, j] += RIDGE + factor[j, j] * RELATIVE_RIDGE
    pivot_tile(address(factor), j0, factor.shape[1])
    for j in range(j0, j0 + QUAD):
        for k in range(j0, j):
            for i in range(j, j0 + QUAD):
                factor[j, i] -= factor[k, i] * factor[k, j]
        pivot = factor[j, j]
        if pivot > gram[j, j] * DEGENERATE:
            factor[j, j] = sqrt(pivot)
        else:  # as good as a combination of earlier regressors: its coefficient becomes 0
            for k in range(j):
                factor[k, j] = 0.0
            for i in range(j, j0 + QUAD):
                factor[j, i] = gram[i, j]
            factor[j, j] = DEGENERATE_ROOT
        for i in range(j + 1, j0 + QUAD):
            factor[j, i] /= factor[j, j]
