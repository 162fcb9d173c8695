"""Samples coded around predictions: how far off a prediction may be, learned while coding, and the mixture of it.

From a rounded prediction on everything is an integer, so that any machine decodes.  Encoder and decoder share
`_mixture_of`, from context to mixture; `lhic.coder` makes intervals of it.  The expected error comes from errors
around the sample (in its band: left and in the line before; in the band before: around it), corrected by a table that
counts what such surroundings meant so far.  Format: docs/format_linerwkv.md, section 6.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.coder.mixture import EXP2_TABLE, MEAN_BITS, SCALE_MAX, SCALE_MIN_LOG2, SCALE_STEPS, WEIGHT_BITS
from lhic.coder.mixture_kernels import cdf_at, search_symbol
from lhic.coder.rans_kernels import advance, peek
from lhic.kernels.jit import njit

# Format: changing any of these changes every stream (docs/format_linerwkv.md).
GRID_BITS = 4  # a prediction counts in 1/16 of a sample
CLASS_STEPS = 4  # classes of expected errors per octave
N_CLASSES = 40 * CLASS_STEPS
PRIOR = 8  # samples that what a class means by itself counts for
COUNT_MAX = 512  # a table entry is halved here
BIAS_PRIOR = 16
BIAS_COUNT_MAX = 128
COMPONENTS = np.array([[-8, 6554], [8, 8192], [40, 1638]], np.int64)  # scale in 1/32 octaves, weight of 2^14
assert COMPONENTS[:, 1].sum() == 1 << WEIGHT_BITS


def _log2_table() -> np.ndarray:
    """``floor(32 log2(1 + i / 256))``, exactly, int64 (256,)"""
    found = []
    for i in range(256):
        power, steps = (256 + i) ** SCALE_STEPS, 0
        while power >= 256**SCALE_STEPS << steps + 1:
            steps += 1
        found.append(steps)
    return np.array(found, np.int64)


LOG2_TABLE = _log2_table()


@njit
def _log2(value):
    """``floor(32 log2(value))`` of an integer above 0, the mantissa cut to 8 bits behind its first."""
    length = 0
    rest = value
    while rest > 1:
        rest >>= 1
        length += 1
    mantissa = value >> (length - 8) if length >= 8 else value << (8 - length)
    return SCALE_STEPS * length + LOG2_TABLE[mantissa - 256]


@njit
def _around(here, above, before, j):
    """Twelve times the mean error around column j: left of it, in the line before, in the band before."""
    east, west = min(j + 1, here.size - 1), max(j - 1, 0)
    left = here[j - 1] if j else above[0]
    further = here[j - 2] if j > 1 else left
    total = 2 * left + further + 2 * above[j] + above[west] + above[east]
    return total + 3 * before[j] + before[west] + before[east]


@njit
def _mixture_of(prediction, around, means, mixture):
    """Class of the surroundings; fills `mixture` (K, 4): mean, mantissa and shift of the scale, weight.

    prediction : of the symbol, in 1/16
    means : int64 (2, N_CLASSES), sums of errors and their numbers
    """
    kind = _log2(around + 1) // (SCALE_STEPS // CLASS_STEPS)
    expected = ((means[0, kind] << 8) + (PRIOR * (around + 1) << 8) // 12) // (means[1, kind] + PRIOR)
    # A logistic has a mean error of twice its scale in base 2; `expected` is in 1/4096 of a symbol.
    scale = _log2(expected + 1) - SCALE_STEPS * (8 + GRID_BITS + 1 + SCALE_MIN_LOG2)
    for k in range(COMPONENTS.shape[0]):
        index = min(max(scale + COMPONENTS[k, 0], 0), SCALE_MAX)
        mixture[k, 0] = prediction << (MEAN_BITS - GRID_BITS)
        mixture[k, 1] = EXP2_TABLE[index % SCALE_STEPS]
        mixture[k, 2] = index // SCALE_STEPS
        mixture[k, 3] = COMPONENTS[k, 1]
    return kind


@njit
def _add(value, means, kind, most):
    """One more value to a mean that forgets."""
    means[0, kind] += value
    means[1, kind] += 1
    if means[1, kind] == most:
        means[0, kind] >>= 1
        means[1, kind] >>= 1


@njit
def code_band(symbols, predictions, chained, band, size, precision, memory, starts, freqs, states, words, cursor):
    """A line of a band, column by column; encodes if `states` is empty. False if the words ran out.

    symbols : int64 (W,), 0 .. size - 1; filled when decoding
    predictions : int64 (W,), of the symbols, in 1/16
    chained : each column but the first is predicted by the one on its left, whatever `predictions` says
    memory : `Memory`
    starts, freqs : uint32 (W,), filled when encoding
    """
    means, biases, above, errors = memory
    here, before = errors[band], errors[max(band - 1, 0)] if band else above[0]
    mixture = np.empty((COMPONENTS.shape[0], 4), np.int64)
    n_components = mixture.shape[0]
    for j in range(symbols.size):
        prediction = predictions[j]
        if chained and j:
            prediction = symbols[j - 1] << GRID_BITS
        prediction += biases[0, band] // (biases[1, band] + BIAS_PRIOR)
        prediction = min(max(prediction, 0), size - 1 << GRID_BITS)
        kind = _mixture_of(prediction, _around(here, above[band], before, j), means, mixture)
        if states.size == 0:
            start = cdf_at(symbols[j], mixture, n_components, size, precision)
            end = cdf_at(symbols[j] + 1, mixture, n_components, size, precision)
            starts[j], freqs[j] = start, end - start
        else:
            slot = peek(states, 0, precision)
            symbol, start, end = search_symbol(slot, mixture, n_components, 1, size, precision)
            if not advance(states, 0, words, cursor, start, end - start, precision):
                return False
            symbols[j] = symbol
        error = (symbols[j] << GRID_BITS) - prediction
        here[j] = abs(error)
        _add(abs(error), means, kind, COUNT_MAX)
        _add(error, biases, band, BIAS_COUNT_MAX)
    return True


class Memory(NamedTuple):
    """What was learned so far, of one tile.

    means : int64 (2, N_CLASSES), errors of each class of surroundings: sum and number
    biases : int64 (2, S), errors with their signs, of each band
    above, errors : int64 (S, W), sizes of errors of the line before and of this one
    """

    means: np.ndarray
    biases: np.ndarray
    above: np.ndarray
    errors: np.ndarray

    @classmethod
    def empty(cls, n_bands: int, n_columns: int) -> Memory:
        shapes = (2, N_CLASSES), (2, n_bands), (n_bands, n_columns), (n_bands, n_columns)
        return cls(*(np.zeros(shape, np.int64) for shape in shapes))

    def next_line(self, first: bool) -> None:
        """The line is done; after the first one, which the network did not predict, only its errors are kept."""
        self.above[:] = self.errors
        if first:
            self.means[:], self.biases[:] = 0, 0
