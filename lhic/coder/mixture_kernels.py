"""The integer mixture of `mixture`, compiled: intervals for the encoder, symbols for the decoder.

Encoder and decoder call the same `cdf_at`; the decoder searches on it.  Formulas, grids and the bounds
of every sum are stated in `mixture`.

`cdf_at`, `search_symbol` and `sigmoid_at` are also for kernels that make their mixtures themselves, one
sample at a time.  They take the components as an int64 array `active` (K, 4): mean, mantissa and shift of
the inverse scale, weight > 0; the weights add up to 2^14.  Nothing is checked there.
"""

from __future__ import annotations

import numpy as np

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    EXP2_TABLE,
    LOGIT_STEPS,
    MANTISSA_BITS,
    MEAN_BITS,
    SCALE_MIN_LOG2,
    SCALE_STEPS,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    SIGMOID_TABLE,
    TABLE_BITS,
    WEIGHT_BITS,
    Mixture,
    check_mixture,
    check_symbols,
)
from lhic.coder.rans_kernels import N_SYMBOLS, RansDecoder, advance, peek
from lhic.kernels.jit import lean, njit

_ARGUMENT_SHIFT = ARGUMENT_BITS - MEAN_BITS - SCALE_MIN_LOG2 - MANTISSA_BITS
_ARGUMENT_MAX = SIGMOID_OCTAVES << ARGUMENT_BITS
_FRACTION_BITS = ARGUMENT_BITS - TABLE_BITS
_FRACTION_MASK = (1 << _FRACTION_BITS) - 1
# Numba divides signed integers with a branch for the sign; masks and shifts do the same for a power of two.
_SCALE_STEPS_LOG2 = SCALE_STEPS.bit_length() - 1
_LOGIT_STEPS_LOG2 = LOGIT_STEPS.bit_length() - 1


@lean
def prepare(mean, scale, logit, active):
    """Fill `active` (K, 4) with mean, mantissa, shift and weight of the components whose weight is not zero.

    Returns how many there are, and which of them weighs most.  A component of weight zero adds nothing to
    C(x), so it is left out.
    """
    n_components = mean.size
    greatest = 0
    for k in range(1, n_components):
        if logit[k] > logit[greatest]:
            greatest = k
    total = np.int64(0)
    for k in range(n_components):
        below = np.int64(logit[greatest]) - np.int64(logit[k])
        raw = EXP2_TABLE[below & (LOGIT_STEPS - 1)] >> min(below >> _LOGIT_STEPS_LOG2, np.int64(63))
        active[k, 3] = raw
        total += raw
    left_over = np.int64(1) << WEIGHT_BITS
    for k in range(n_components):
        active[k, 3] = (active[k, 3] << WEIGHT_BITS) // total
        left_over -= active[k, 3]
    active[greatest, 3] += left_over
    n_active = heaviest = 0
    for k in range(n_components):
        if active[k, 3] > 0:
            if k == greatest:
                heaviest = n_active
            active[n_active, 0] = mean[k]
            active[n_active, 1] = EXP2_TABLE[scale[k] & (SCALE_STEPS - 1)]
            active[n_active, 2] = scale[k] >> _SCALE_STEPS_LOG2
            active[n_active, 3] = active[k, 3]
            n_active += 1
    return n_active, heaviest


@lean
def sigmoid_at(distance, mantissa, shift):
    """Sigmoid, 0 .. 2^24, of a distance in 1/256 symbol (`mixture.reference_sigmoid`).

    The scale is given by ``1 / t = mantissa * 2^-16 * 2^(8 - shift)``, mantissa 2^15 .. 2^16, shift 0 .. 63.
    """
    argument = ((abs(distance) * mantissa) << _ARGUMENT_SHIFT) >> shift
    argument = min(argument, np.int64(_ARGUMENT_MAX))
    cell = argument >> _FRACTION_BITS
    left = SIGMOID_TABLE[cell]
    value = left + (((SIGMOID_TABLE[cell + 1] - left) * (argument & _FRACTION_MASK)) >> _FRACTION_BITS)
    if distance < 0:
        value = (np.int64(1) << SIGMOID_BITS) - value
    return value


@lean
def cdf_at(x, active, n_active, alphabet_size, precision):
    """F(x) of one mixture, 0 <= x <= alphabet_size (`mixture.reference_cdf`)."""
    if x == 0:
        return np.int64(0)
    if x == alphabet_size:
        return np.int64(1) << precision
    edge = (np.int64(x) << MEAN_BITS) - (1 << (MEAN_BITS - 1))
    cumulative = np.int64(0)
    for k in range(n_active):
        cumulative += active[k, 3] * sigmoid_at(edge - active[k, 0], active[k, 1], active[k, 2])
    return ((cumulative * ((np.int64(1) << precision) - alphabet_size)) >> (WEIGHT_BITS + SIGMOID_BITS)) + x


@lean
def search_symbol(slot, active, n_active, heaviest, alphabet_size, precision):
    """Symbol whose interval holds the slot, and that interval's start and end.

    The search gallops from the mean of the heaviest component in steps that begin at its scale, then
    bisects.  F rises, so only the time depends on where it begins, never the result.
    """
    # F(low) = start <= slot < end = F(high), kept until high = low + 1
    low, high = np.int64(0), np.int64(alphabet_size)
    start, end = np.int64(0), np.int64(1) << precision
    step = np.int64(1) << max(active[heaviest, 2] + SCALE_MIN_LOG2, np.int64(0))
    middle = min(max(active[heaviest, 0] >> MEAN_BITS, np.int64(1)), high - 1)
    upwards = downwards = True
    while high - low > 1:
        value = cdf_at(middle, active, n_active, alphabet_size, precision)
        if value <= slot:
            low, start, downwards = middle, value, False
        else:
            high, end, upwards = middle, value, False
        if upwards and low + step < high:
            middle = low + step
            step *= 2
        elif downwards and high - step > low:
            middle = high - step
            step *= 2
        else:
            middle = (low + high) >> 1
    return low, start, end


@njit
def _intervals(mean, scale, logit, symbols, alphabet_size, precision, starts, freqs):
    active = np.empty((mean.shape[1], 4), np.int64)
    for i in range(symbols.size):
        n_active, _ = prepare(mean[i], scale[i], logit[i], active)
        start = cdf_at(np.int64(symbols[i]), active, n_active, alphabet_size, precision)
        end = cdf_at(np.int64(symbols[i]) + 1, active, n_active, alphabet_size, precision)
        starts[i] = np.uint32(start)
        freqs[i] = np.uint32(end - start)


@njit
def decode_into(mean, scale, logit, alphabet_size, precision, states, words, cursor, symbols):
    """Search for each symbol in turn; False if the words ran out."""
    active = np.empty((mean.shape[1], 4), np.int64)
    lane = cursor[N_SYMBOLS] % states.size
    for i in range(symbols.size):
        n_active, heaviest = prepare(mean[i], scale[i], logit[i], active)
        slot = peek(states, lane, precision)
        symbol, start, end = search_symbol(slot, active, n_active, heaviest, alphabet_size, precision)
        if not advance(states, lane, words, cursor, start, end - start, precision):
            return False
        symbols[i] = symbol
        lane = lane + 1 if lane + 1 < states.size else 0
    return True


def interval(mixture: Mixture, symbols, alphabet_size: int, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of symbols under their mixtures, for `RansEncoder.push`.

    Parameters
    ----------
    mixture : Mixture of integer arrays (n, K), within its limits.
    symbols : integer array (n,), 0 .. alphabet_size - 1.
    alphabet_size : 1 .. 2^16.
    precision : log2 of the total, at most 24, with ``alphabet_size <= 2^precision``.

    Returns
    -------
    starts, freqs : uint32 arrays (n,); ``freqs >= 1``.

    Raises
    ------
    UsageError
        If a parameter or symbol is out of range, or an array has another shape or kind.
    """
    mixture = check_mixture(mixture, alphabet_size, precision)
    symbols = check_symbols(symbols, len(mixture.mean), alphabet_size)
    starts, freqs = np.empty(symbols.size, np.uint32), np.empty(symbols.size, np.uint32)
    _intervals(*mixture, symbols, alphabet_size, precision, starts, freqs)
    return starts, freqs


def decode_symbols(mixture: Mixture, decoder: RansDecoder, alphabet_size: int) -> np.ndarray:
    """Decode one symbol per mixture, the decoder's next ones.

    Returns an int32 array (n,), 0 .. alphabet_size - 1.

    Raises
    ------
    UsageError
        As `interval`.
    TruncatedStreamError
        If the section's words run out.
    """
    mixture = check_mixture(mixture, alphabet_size, decoder.precision)
    symbols = np.empty(len(mixture.mean), np.int32)
    if not decode_into(
        *mixture, alphabet_size, decoder.precision, decoder.states, decoder.words, decoder.cursor, symbols
    ):
        raise decoder.words_ran_out()
    return symbols
