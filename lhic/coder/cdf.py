"""Integer cumulative frequencies from integer weights.

Decides how a probability becomes an interval of the coder: every symbol keeps a width of at least one,
by construction.  Does not know where the weights come from.  Source: design note, section 3 (5).
"""

from __future__ import annotations

import numpy as np

from lhic.coder.rans import MAX_PRECISION
from lhic.errors import UsageError


def cdf_from_weights(weights, precision: int) -> np.ndarray:
    """Integer frequencies for the entropy coder.

    ``F(x) = floor(C(x) * (2^precision - alphabet_size) / C(alphabet_size)) + x``, C being the running sum.

    Parameters
    ----------
    weights : integer array (n_contexts, alphabet_size) or (alphabet_size,), >= 0. Floats are refused:
        two machines may round them differently.
    precision : log2 of the total, at most 24.

    Returns
    -------
    uint32 array (n_contexts, alphabet_size + 1) (or without the first axis) that starts at 0, ends at
    ``1 << precision`` and rises by at least 1, so that every symbol can be coded.

    Raises
    ------
    UsageError
        If the weights are not integers, one is negative, a row has no positive weight or too large a sum,
        or the alphabet does not fit the precision.

    Examples
    --------
    >>> cdf_from_weights(np.array([1, 0, 3]), precision=4)
    array([ 0,  4,  5, 16], dtype=uint32)
    """
    weights = np.asarray(weights)
    if weights.dtype.kind not in "iu" or weights.dtype == np.uint64:
        raise UsageError(f"weights: expected integers of at most 63 bits, found {weights.dtype}")
    if weights.ndim not in (1, 2) or weights.shape[-1] < 1:
        raise UsageError(f"weights: expected shape (contexts, alphabet) or (alphabet,), found {weights.shape}")
    if not 0 <= precision <= MAX_PRECISION:
        raise UsageError(f"precision: expected 0 .. {MAX_PRECISION}, found {precision}")
    alphabet_size = weights.shape[-1]
    free = (1 << precision) - alphabet_size  # what is left when each symbol has its width of one
    if free < 0:
        raise UsageError(f"alphabet: expected at most 2^{precision} symbols for this precision, found {alphabet_size}")
    weights = weights.astype(np.int64)
    # Bounding each weight first keeps the running sum itself from wrapping.
    limit = (1 << 62) >> precision
    if weights.size and (weights.min() < 0 or weights.max() > limit // alphabet_size):
        raise UsageError(f"weights: expected 0 .. {limit // alphabet_size}, found {weights.min()} .. {weights.max()}")
    cumulative = np.zeros((*weights.shape[:-1], alphabet_size + 1), np.int64)
    np.cumsum(weights, axis=-1, out=cumulative[..., 1:])
    total = cumulative[..., -1:]
    if (total == 0).any():
        raise UsageError("weights: expected a positive weight in each row, found a row of zeros")
    # |cumulative * free| <= 2^(62 - precision) * 2^precision = 2^62
    cdf = cumulative * free // total + np.arange(alphabet_size + 1)
    return cdf.astype(np.uint32)


def intervals_of(cdf, symbols) -> tuple[np.ndarray, np.ndarray]:
    """Starts and freqs (uint32) of symbols of one fixed distribution `cdf` (alphabet_size + 1,)."""
    cdf, symbols = np.asarray(cdf), np.asarray(symbols)
    alphabet_size = cdf.size - 1
    if symbols.size and not 0 <= symbols.min() <= symbols.max() < alphabet_size:
        raise UsageError(f"symbols: expected 0 .. {alphabet_size - 1}, found {symbols.min()} .. {symbols.max()}")
    starts = cdf[symbols]
    return starts, cdf[symbols + 1] - starts
