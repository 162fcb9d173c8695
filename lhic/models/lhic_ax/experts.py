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
from typing import NamedTuple

import numpy as np
from numba import njit

from lhic.models.lhic_ax.config import CONSTANT, CONSTANT_INPUT, DETAIL, NEIGHBOUR, Expert

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 4).
COEFFICIENT_BITS = 20
COEFFICIENT_LIMIT = 2.0**26  # |coefficient| <= 64
FRACTION_BITS = 6  # predictions in 1/64
RIDGE = 1024.0
RELATIVE_RIDGE = 2.0**-23
DEGENERATE = 2.0**-36  # a pivot this small against its diagonal says nothing
FORGET_SHIFT = 4  # an expert that forgets keeps 15/16 per epoch
WEIGHT_STEPS = 31  # weights 1 .. 32

MAX_REGRESSORS = 64


class ExpertTable(NamedTuple):
    """All experts of a model as arrays; expert e has the regressors ``starts[e] .. starts[e + 1] - 1``.

    regressors : int64 (n, 4);  starts : int64 (E + 1,);  about_mean, forgets : bool (E,)
    first_coefficients : float64 (2, n), multiples of 2^-20 times 2^20: with earlier planes, and without
    """

    regressors: np.ndarray
    starts: np.ndarray
    about_mean: np.ndarray
    forgets: np.ndarray
    first_coefficients: np.ndarray


def expert_table(experts: list[Expert]) -> ExpertTable:
    sizes = [len(expert.regressors) for expert in experts]
    assert max(sizes) <= MAX_REGRESSORS
    first = [np.concatenate([expert.start for expert in experts]), np.concatenate([e.start_first for e in experts])]
    return ExpertTable(
        np.concatenate([expert.regressors for expert in experts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([expert.about_mean for expert in experts]),
        np.array([expert.forgets for expert in experts]),
        np.array(first) * 2.0**COEFFICIENT_BITS,
    )


@njit(cache=True)
def gather(regressors, samples, details, means, z, u, row, n, inputs):
    """Inputs (n_regressors, n) of an expert for the n samples of a wave that begin at `row` (skewed coordinates)."""
    for r in range(regressors.shape[0]):
        kind, back, du, di = regressors[r, 0], regressors[r, 1], regressors[r, 2], regressors[r, 3]
        values = inputs[r]
        if kind == CONSTANT:
            values[:n] = CONSTANT_INPUT
        elif z < back:
            values[:n] = 0.0
        elif kind == DETAIL:
            source = details[z - back, u + du]
            for q in range(n):
                values[q] = source[row + di + q]
        elif kind == NEIGHBOUR:
            source = samples[z, u + du]
            for q in range(n):
                values[q] = source[row + di + q] - means[q]
        else:
            source = samples[z - back, u + du]
            for q in range(n):
                values[q] = source[row + di + q]


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def predict(coefficients, inputs, n, predictions):
    """Sum of products in 1/64, rounded down.  Exact in any order: every partial sum is an integer below 2^53."""
    for q in range(n):
        predictions[q] = 0.0
    for r in range(coefficients.size):
        coefficient = coefficients[r]
        values = inputs[r]
        for q in range(n):
            predictions[q] += coefficient * values[q]
    for q in range(n):
        predictions[q] = np.floor(predictions[q] * 2.0 ** (FRACTION_BITS - COEFFICIENT_BITS))


@njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def accumulate(inputs, targets, weights, n_regressors, n, gram, moment, weighted):
    """Add n samples to the normal equations (lower triangle).  Exact in any order, as `predict`."""
    for a in range(n_regressors):
        for q in range(n):
            weighted[q] = inputs[a, q] * weights[q]
        for b in range(a + 1):
            total = 0.0
            for q in range(n):
                total += weighted[q] * inputs[b, q]
            gram[a, b] += total
        total = 0.0
        for q in range(n):
            total += weighted[q] * targets[q]
        moment[a] += total


@njit(cache=True)
def forget(gram, moment):
    """Keep 15/16 of the sums, rounded down, so that they stay integers."""
    n = moment.size
    for a in range(n):
        moment[a] -= np.floor(moment[a] * 2.0**-FORGET_SHIFT)
        for b in range(a + 1):
            gram[a, b] -= np.floor(gram[a, b] * 2.0**-FORGET_SHIFT)


@njit(cache=True)
def solve(gram, moment, factor, coefficients):
    """Coefficients times 2^20, rounded, of the ridge regression; Cholesky in the order of the format.

    No fast-math here: the order of these operations is part of the format.
    """
    n = moment.size
    for i in range(n):
        diagonal = gram[i, i]
        for j in range(i):
            total = gram[i, j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            factor[i, j] = total / factor[j, j]
        pivot = diagonal + (RIDGE + diagonal * RELATIVE_RIDGE)
        for k in range(i):
            pivot -= factor[i, k] * factor[i, k]
        if pivot > diagonal * DEGENERATE:
            factor[i, i] = sqrt(pivot)
        else:  # as good as a combination of earlier regressors: its coefficient becomes 0
            for j in range(i):
                factor[i, j] = 0.0
            factor[i, i] = 2.0**40
    for i in range(n):
        total = moment[i]
        for k in range(i):
            total -= factor[i, k] * coefficients[k]
        coefficients[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = coefficients[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * coefficients[k]
        coefficients[i] = total / factor[i, i]
    for i in range(n):
        rounded = np.rint(coefficients[i] * 2.0**COEFFICIENT_BITS)
        coefficients[i] = min(max(rounded, -COEFFICIENT_LIMIT), COEFFICIENT_LIMIT)
