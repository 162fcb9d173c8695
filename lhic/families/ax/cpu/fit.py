"""How the experts are fitted to what is decoded, by encoder and decoder alike, to the same bit.

The normal equations are sums of integers below 2^53, so float64 holds them exactly in whatever order they are added.
Only their solution depends on rounding: it uses ``+ - * / sqrt`` alone, which IEEE 754 rounds correctly, in the order
written here, without fused multiply-add (docs/format_lhic_ax.md, section 4).

Source: least squares over previous bands, J. Mielikainen, P. Toivanen, "Clustered DPCM for the lossless compression of
hyperspectral images", IEEE TGRS 41(12), 2003; weights by the expected error: weighted least squares.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from lhic.families.ax import pixel, spec
from lhic.families.ax.cpu import alone
from lhic.families.ax.cpu.alone import LANES
from lhic.families.ax.cpu.pictures import PIXEL_BYTES, wave_rows
from lhic.families.ax.cpu.predict import inside, source_of
from lhic.families.ax.cpu.tiles import (
    GRAM_ROWS,
    QUAD,
    gram_tile,
    pivot_tile,
    solve_tile_4,
    solve_tile_8,
)
from lhic.families.ax.experts import CONSTANT, EARLIER, INSIDE, NEIGHBOUR, SAMPLE
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, skewed
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address

_UNKNOWN = skewed((-2, 2))  # the one place that a regressor may see before it is known: it counts as 0


@lean(inline="always")
def padded(size):
    """Side of the normal equations of an expert with so many regressors: whole tiles."""
    return (size + QUAD - 1) // QUAD * QUAD


@lean
def learn_epoch(z, epoch, n_rows, n_columns, table, state, scratch):
    """Add the samples of an epoch to the normal equations, as many waves at a time as `scratch.inputs` has room for.

    The sums are needed at the epoch's end alone: until then the weights are kept, and inputs are still in the pictures.
    """
    slot, offset, side = z % state.residuals.shape[0], np.int64(0), np.int64(0)
    columns = scratch.inputs.shape[1] - LANES
    for e in range(table.about_mean.size):
        regressors = table.regressors[table.starts[e] : table.starts[e + 1]]
        size = padded(regressors.shape[0])
        gram = state.grams[slot, offset : offset + size * size].reshape(size, size)
        moment = state.moments[slot, side : side + size]
        offset += size * size
        side += size
        at = np.int64(0)
        for wave in range(epoch * state.weights.shape[1], (epoch + 1) * state.weights.shape[1]):
            first, n = wave_rows(wave, n_rows, n_columns)
            if n <= 0 or not pixel.teaches_experts(wave, n_rows * n_columns):
                continue
            if at + n > columns:
                accumulate(scratch.inputs, scratch.weighted, regressors.shape[0], at, gram, moment)
                at = np.int64(0)
            weights = state.weights[slot, wave % state.weights.shape[1]]
            gather(
                regressors, table.about_mean[e], state.samples, state.details, weights, z, wave + WAVE_MARGIN,
                first + ROW_MARGIN, n, n_columns, at, scratch,
            )  # fmt: skip
            at += (n + LANES - 1) // LANES * LANES
        accumulate(scratch.inputs, scratch.weighted, regressors.shape[0], at, gram, moment)


@lean
def fit_experts(z, table, state, scratch):
    """Coefficients of plane z from its normal equations."""
    slot, offset, side = z % state.residuals.shape[0], np.int64(0), np.int64(0)
    for e in range(table.about_mean.size):
        start, end = table.starts[e], table.starts[e + 1]
        size = padded(end - start)
        gram = state.grams[slot, offset : offset + size * size].reshape(size, size)
        moment = state.moments[slot, side : side + size]
        offset += size * size
        side += size
        solve(gram, moment, scratch.factor, state.coefficients[z, start:end])
        if table.forgets[e]:
            forget(gram, moment)


@lean
def gather(regressors, about_mean, samples, details, weights, z, u, row, n, n_columns, at, scratch):
    """Inputs of an expert for the n samples of a wave that begin at `row`, as they were, from column `at` on.

    Fills ``scratch.inputs``, and ``scratch.weighted`` with the same times the weights, which has the target's row, too;
    up to whole vectors, the latter with zeros.
    """
    here, slot = PIXEL_BYTES * (u * samples.shape[2] + row), z % samples.shape[0]
    own_mean, earlier_mean, zero = (
        address(scratch.taken[0]), address(scratch.taken[1]), address(scratch.taken[2])
    )  # fmt: skip
    own_sample, own_detail = address(samples[slot]) + here, address(details[slot]) + here
    alone.differences_tile(own_sample, own_detail, own_mean, n)
    if z > 0:
        before = (z - 1) % samples.shape[0]
        alone.differences_tile(address(samples[before]) + here, address(details[before]) + here, earlier_mean, n)
    size = regressors.shape[0]
    sources, less = scratch.rows[0], scratch.rows[1]
    for r in range(size):
        kind, back, du, di = regressors[r, 0], regressors[r, 1], regressors[r, 2], regressors[r, 3]
        less[r] = own_mean if kind == NEIGHBOUR or kind == INSIDE else earlier_mean if kind == EARLIER else zero
        if kind == CONSTANT:
            sources[r] = address(scratch.given[1])
        elif z >= back:
            sources[r] = source_of((kind, back, du, di), samples, details, slot, u, row)
        else:
            sources[r], less[r] = address(scratch.given[0]), zero
    sources[size], less[size] = own_detail if about_mean else own_sample, zero
    alone.gather_tile(
        address(sources), address(less), address(weights), address(scratch.inputs) + 8 * at,
        address(scratch.weighted) + 8 * at, size + 1, 8 * scratch.inputs.shape[1], n,
    )  # fmt: skip
    for r in range(size):
        kind, du, di = regressors[r, 0], regressors[r, 2], regressors[r, 3]
        if regressors[r, 1] == 0 and du == _UNKNOWN[0] and di == _UNKNOWN[1] and row == ROW_MARGIN:
            _correct(r, at, 0.0 if kind == SAMPLE else -scratch.taken[0, 0], weights[0], scratch)
        if kind == INSIDE:
            begin, end = inside(u, row, n, du, di, n_columns)
            for q in range(begin):
                _correct(r, at + q, 0.0, 0.0, scratch)
            for q in range(end, n):
                _correct(r, at + q, 0.0, 0.0, scratch)


@lean
def _correct(r, column, value, weight, scratch):
    scratch.inputs[r, column], scratch.weighted[r, column] = value, weight * value


@lean
def accumulate(inputs, weighted, n_regressors, n, gram, moment):
    """Add n samples, a multiple of QUAD, to the normal equations (lower triangle).  Exact in any order, as `predict`.

    inputs, weighted : float64 (R, n'), n' >= n; weighted has the target behind the n_regressors, and at least
    GRAM_ROWS rows more, in which nothing of use stands afterwards
    gram (r, r) and moment (r,), r a multiple of QUAD: beyond n_regressors and above the diagonal is nothing of use.
    """
    line = 8 * weighted.shape[1]
    nowhere = address(weighted) + line * (weighted.shape[0] - 1)
    for end in range(n_regressors + 1, 0, -GRAM_ROWS):
        begin = max(end - GRAM_ROWS, 0)
        add_rows(address(weighted) + line * begin, begin, end, inputs, n_regressors, n, gram, moment, nowhere)


@lean
def add_rows(left, begin, end, inputs, n_regressors, samples, gram, moment, nowhere):
    """Add products of weighted rows begin .. end - 1, which begin at address `left`, and of inputs.

    Three rows at a time, of which the moment's is the last of all; where rows are missing sums go to `nowhere`.
    """
    stride, side = inputs.shape[1], gram.shape[0]
    right, grams, moments = address(inputs), address(gram), address(moment)
    last = moments if end > n_regressors else grams + 8 * side * (end - 1)
    one = grams + 8 * side * begin if end - begin > 1 else last
    two = grams + 8 * side * (begin + 1) if end - begin > 2 else last if end - begin > 1 else nowhere
    three = last if end - begin > 2 else nowhere
    for b in range(0, 8 * min(end, n_regressors), 8 * QUAD):
        gram_tile(left, right + b * stride, one + b, two + b, three + b, samples, stride)


@lean
def forget(gram, moment):
    """Keep 15/16 of the sums, rounded down, so that they stay integers."""
    for a in range(moment.size):
        moment[a] -= np.floor(moment[a] * 2.0**-spec.FORGET_SHIFT)
        for b in range(a + 1):
            gram[a, b] -= np.floor(gram[a, b] * 2.0**-spec.FORGET_SHIFT)


@lean
def solve(gram, moment, factor, coefficients):
    """Coefficients times 2^20, rounded, of the ridge regression; Cholesky in the order of the format.

    gram (r, r) and moment (r,), r a multiple of QUAD;  factor : at least (r, r + QUAD), working memory: the transpose.
    Every pivot is positive (docs/format_lhic_ax.md, 4.4).  No fast-math here: each sum's order is part of the format.
    Four columns at a time are finished for all rows below, which leaves every sum's order as it is; `moment` is one
    more row, whose factor is the forward substitution.
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
        rounded = np.rint(coefficients[i] * 2.0**spec.COEFFICIENT_BITS)
        coefficients[i] = min(max(rounded, -spec.COEFFICIENT_LIMIT), spec.COEFFICIENT_LIMIT)


@lean
def _solve_pivots(gram, factor, j0):
    """Columns j0 .. j0 + 3 of the factor in their own rows."""
    for j in range(j0, j0 + QUAD):
        for i in range(j, j0 + QUAD):
            factor[j, i] = gram[i, j]
        factor[j, j] += spec.RIDGE + factor[j, j] * spec.RELATIVE_RIDGE
    pivot_tile(address(factor), j0, factor.shape[1])
    for j in range(j0, j0 + QUAD):
        for k in range(j0, j):
            for i in range(j, j0 + QUAD):
                factor[j, i] -= factor[k, i] * factor[k, j]
        factor[j, j] = sqrt(factor[j, j])
        for i in range(j + 1, j0 + QUAD):
            factor[j, i] /= factor[j, j]
