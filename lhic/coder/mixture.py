"""The integer mixture of discretised logistics: grids, tables, and the readable reference.

Decides the cumulative frequencies of a symbol given the mixture's parameters as integers.  From those
integers on nothing is a float, so the same integers give the same intervals on every machine.  Does not
know where the parameters come from.  `mixture_kernels` computes the same, faster.

Of a mixture with weights pi, means mu and scales s (in symbols), symbol x has probability
``sum_k pi_k * (sigmoid((x + 1/2 - mu_k) / s_k) - sigmoid((x - 1/2 - mu_k) / s_k))``, the first and the last
symbol taking the tails (Salimans et al., "PixelCNN++", arXiv:1701.05517, section 2.1).

All is in powers of two.  With t = s * ln 2 the sigmoid is ``1 / (1 + 2^-(d / t))``, so scales and
weights both step in fractions of an octave, and every table below is a root of a power of two, which
`math.isqrt` gives exactly: no table depends on a mathematical library.
"""

from __future__ import annotations

from math import isqrt, log, log2
from typing import NamedTuple

import numpy as np

from lhic.coder.rans import MAX_PRECISION
from lhic.errors import UsageError

# Format v1: changing any of these changes every stream (docs/format_rans.md, section 4).

# Grids of the three parameters. The steps cost together less than 0.01 % of the ideal length, even of very
# peaked mixtures (scales of 0.01 to 0.2 symbols, 0.38 bit per symbol). There 1/64 symbol and 16 steps per
# octave cost 0.04 %, 1/16 symbol 1 %. Coarser grids would save nothing: the indices are never stored.
MEAN_BITS = 8  # the mean in 1/256 of a symbol, which is the smallest scale t
SCALE_STEPS = 32  # per octave of t
SCALE_MIN_LOG2 = -8  # scale index 0 is t = 2^-8 symbols
LOGIT_STEPS = 32  # per octave of a weight
MEAN_LIMIT = 1 << 25  # |mean index|: 2^17 symbols, beyond both ends of the largest alphabet
SCALE_MAX = 25 * SCALE_STEPS  # scale index of t = 2^17 symbols
LOGIT_LIMIT = 1 << 15  # |logit index|: 2^10 octaves, further than any two weights can be apart and both count

WEIGHT_BITS = 14  # the weights of a mixture add up to 2^14
SIGMOID_BITS = 24  # the sigmoid runs from 0 to 2^24
ARGUMENT_BITS = 20  # fraction of the sigmoid's argument, in octaves
TABLE_BITS = 6  # the sigmoid is tabulated 64 times per octave, with lines between
SIGMOID_OCTAVES = 24  # 1 - sigmoid(24 octaves) = 2^-24: one step of the sigmoid
MANTISSA_BITS = 16

MAX_COMPONENTS = 256
MAX_ALPHABET = 1 << 16


class Mixture(NamedTuple):
    """Parameters of n mixtures of K components, each an int32 array (n, K).

    mean : in 1/256 symbol, -MEAN_LIMIT .. MEAN_LIMIT
    scale : 32 log2(t) + 256, 0 .. SCALE_MAX
    logit : 32 log2(weight) up to a constant, -LOGIT_LIMIT .. LOGIT_LIMIT
    """

    mean: np.ndarray
    scale: np.ndarray
    logit: np.ndarray


def grid_coordinates(mean, log_scale, logit, alphabet_size: int):
    """Where a network's parameters lie on the integer grids, before rounding.

    Parameters
    ----------
    mean : float64 array or tensor; symbol x is at ``2 x / (alphabet_size - 1) - 1``, so the alphabet is [-1, 1].
    log_scale : float64; natural logarithm of the logistic's scale in the same unit.
    logit : float64; natural logarithm of the weight up to a constant per mixture.

    Returns
    -------
    Three float64 arrays or tensors (mean, scale, logit) within the limits of `Mixture`: round to the nearest
    integer, by whatever rule encoder and decoder share, and they are its fields.  NaN stays NaN.
    """
    symbols_per_unit = max(alphabet_size - 1, 1) / 2
    scale_offset = log2(symbols_per_unit * log(2)) - SCALE_MIN_LOG2
    return (
        ((mean + 1) * (symbols_per_unit * (1 << MEAN_BITS))).clip(-MEAN_LIMIT, MEAN_LIMIT),
        (log_scale * (SCALE_STEPS / log(2)) + SCALE_STEPS * scale_offset).clip(0, SCALE_MAX),
        (logit * (LOGIT_STEPS / log(2))).clip(-LOGIT_LIMIT, LOGIT_LIMIT),
    )


def quantise(mean, log_scale, logit, alphabet_size: int) -> Mixture:
    """Round numpy parameters (see `grid_coordinates`) to the nearest grid points, ties to even.

    Raises UsageError for NaN.
    """
    mean, log_scale, logit = (np.asarray(a, np.float64) for a in (mean, log_scale, logit))
    coordinates = grid_coordinates(mean, log_scale, logit, alphabet_size)
    if any(np.isnan(c).any() for c in coordinates):
        raise UsageError("mixture parameters: expected numbers, found NaN")
    return Mixture(*(np.rint(c).astype(np.int32) for c in coordinates))


def _root_of_power_of_two(exponent: int, log2_root: int) -> int:
    """``floor(2^(exponent / 2^log2_root))``; nested integer square roots floor no earlier than the end."""
    value = 1 << exponent
    for _ in range(log2_root):
        value = isqrt(value)
    return value


def _exp2_table() -> np.ndarray:
    """``round(2^16 * 2^(-f / 32))`` for f = 0 .. 31, int64."""
    twice = [_root_of_power_of_two((MANTISSA_BITS + 1) * SCALE_STEPS - f, 5) for f in range(SCALE_STEPS)]
    return np.array([(value + 1) >> 1 for value in twice], np.int64)


def _sigmoid_table() -> np.ndarray:
    """``round(2^24 / (1 + 2^(-j / 64)))`` for j = 0 .. 24 * 64, and the last entry again, int64."""
    guard = 64
    table = []
    for j in range((SIGMOID_OCTAVES << TABLE_BITS) + 1):
        odds = _root_of_power_of_two((guard << TABLE_BITS) + j, TABLE_BITS)  # 2^(64 + j / 64)
        table.append(((odds << (SIGMOID_BITS + 1)) // (odds + (1 << guard)) + 1) >> 1)
    return np.array([*table, table[-1]], np.int64)


EXP2_TABLE = _exp2_table()
SIGMOID_TABLE = _sigmoid_table()


def check_mixture(mixture: Mixture, alphabet_size: int, precision: int) -> Mixture:
    """Return the mixture as contiguous int32 arrays, or raise UsageError naming what is out of range."""
    if not 1 <= alphabet_size <= MAX_ALPHABET:
        raise UsageError(f"alphabet_size: expected 1 .. {MAX_ALPHABET}, found {alphabet_size}")
    if not 0 <= precision <= MAX_PRECISION or alphabet_size > 1 << precision:
        raise UsageError(
            f"precision: expected 0 .. {MAX_PRECISION} and an alphabet of at most 2^precision, "
            f"found {precision} and {alphabet_size}"
        )
    fields = Mixture(*(np.asarray(field) for field in mixture))
    shape = fields.mean.shape
    if len(shape) != 2 or not 1 <= shape[1] <= MAX_COMPONENTS or any(field.shape != shape for field in fields):
        raise UsageError(
            f"mixture: expected three arrays (n, K), K = 1 .. {MAX_COMPONENTS}, found {[f.shape for f in fields]}"
        )
    limits = ((-MEAN_LIMIT, MEAN_LIMIT), (0, SCALE_MAX), (-LOGIT_LIMIT, LOGIT_LIMIT))
    for name, field, (low, high) in zip(Mixture._fields, fields, limits, strict=True):
        if field.dtype.kind not in "iu":
            raise UsageError(f"mixture {name}: expected integers, found {field.dtype}")
        if field.size and (field.min() < low or field.max() > high):
            raise UsageError(f"mixture {name}: expected {low} .. {high}, found {field.min()} .. {field.max()}")
    return Mixture(*(np.ascontiguousarray(field, np.int32) for field in fields))


def check_symbols(symbols, n: int, alphabet_size: int) -> np.ndarray:
    """Return the symbols as a contiguous int32 array (n,), or raise UsageError."""
    symbols = np.asarray(symbols)
    if symbols.shape != (n,) or symbols.dtype.kind not in "iu":
        raise UsageError(f"symbols: expected {n} integers, found {symbols.dtype} of shape {symbols.shape}")
    if n and not 0 <= symbols.min() <= symbols.max() < alphabet_size:
        raise UsageError(f"symbols: expected 0 .. {alphabet_size - 1}, found {symbols.min()} .. {symbols.max()}")
    return np.ascontiguousarray(symbols, np.int32)


def reference_weights(logit: np.ndarray) -> np.ndarray:
    """Integer weights (n, K), >= 0, each row adding up to 2^14.

    Each is ``2^(logit / 32)`` relative to the greatest, scaled by an integer division; what the divisions
    leave over goes to the first of the greatest.
    """
    below = np.max(logit, axis=1, keepdims=True).astype(np.int64) - logit  # 1/32 octaves below the greatest
    raw = EXP2_TABLE[below % LOGIT_STEPS] >> np.minimum(below // LOGIT_STEPS, 63)
    # sum(raw) <= 256 * 2^16 = 2^24; raw << 14 <= 2^30
    weights = (raw << WEIGHT_BITS) // raw.sum(axis=1, keepdims=True)
    greatest = np.argmin(below, axis=1)
    weights[np.arange(len(weights)), greatest] += (1 << WEIGHT_BITS) - weights.sum(axis=1)
    return weights


def reference_sigmoid(distance: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """``2^24 * sigmoid`` (int64) of a distance in 1/256 symbol and a scale index; never falls as the distance grows."""
    # Argument in 2^-20 octaves: |d| 2^-8 / t * 2^20 = |d| * 2^(20 - index / 32), the mantissa giving 2^(16 - fraction).
    # |distance| <= 2^24 + 2^7 + 2^25 < 2^26, so the product is below 2^26 * 2^16 * 2^4 = 2^46.
    shift = ARGUMENT_BITS - MEAN_BITS - SCALE_MIN_LOG2 - MANTISSA_BITS
    argument = np.abs(distance) * EXP2_TABLE[scale % SCALE_STEPS] << shift >> scale // SCALE_STEPS
    argument = np.minimum(argument, SIGMOID_OCTAVES << ARGUMENT_BITS)
    fraction_bits = ARGUMENT_BITS - TABLE_BITS
    cell, fraction = argument >> fraction_bits, argument & ((1 << fraction_bits) - 1)
    left, right = SIGMOID_TABLE[cell], SIGMOID_TABLE[cell + 1]
    value = left + ((right - left) * fraction >> fraction_bits)
    return np.where(distance < 0, (1 << SIGMOID_BITS) - value, value)


def reference_cdf(mixture: Mixture, x, alphabet_size: int, precision: int) -> np.ndarray:
    """``F(x)``, int64 (n,): where symbol x (int array (n,), 0 .. alphabet_size) of each mixture begins.

    ``F(x) = floor(C(x) * (2^precision - alphabet_size) / 2^38) + x`` with ``C`` the weighted sum of sigmoids at
    ``x - 1/2``; F(0) = 0, F(alphabet_size) = 2^precision.  C never falls, so F rises by at least 1.
    """
    x = np.asarray(x, np.int64)
    mixture = Mixture(*(field.astype(np.int64) for field in mixture))
    distance = (x[:, None] << MEAN_BITS) - (1 << (MEAN_BITS - 1)) - mixture.mean
    # C <= 2^14 * 2^24 = 2^38; C * 2^24 <= 2^62
    cumulative = (reference_weights(mixture.logit) * reference_sigmoid(distance, mixture.scale)).sum(axis=1)
    inner = (cumulative * ((1 << precision) - alphabet_size) >> (WEIGHT_BITS + SIGMOID_BITS)) + x
    return np.where(x == 0, 0, np.where(x == alphabet_size, 1 << precision, inner))


def reference_interval(mixture: Mixture, symbols, alphabet_size: int, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and freqs (uint32, (n,)) of the symbols: `mixture_kernels.interval` in plain numpy."""
    mixture = check_mixture(mixture, alphabet_size, precision)
    symbols = check_symbols(symbols, len(mixture.mean), alphabet_size).astype(np.int64)
    start = reference_cdf(mixture, symbols, alphabet_size, precision)
    end = reference_cdf(mixture, symbols + 1, alphabet_size, precision)
    return start.astype(np.uint32), (end - start).astype(np.uint32)
