"""Uniform quantisation before coding: each sample within `max_error` of what it was.

The quantiser is ``q = floor((x + E) / (2 E + 1))``, its inverse ``(2 E + 1) q`` clamped to the range the samples had;
``E = 0`` is the identity.  Knows nothing about bands or nodata: who calls decides which samples are quantised.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

MAX_ERROR = 2**16 - 1
"""Greatest bound; a step then spans two times what 16 bits hold."""

Integers = TypeVar("Integers", int, np.ndarray)


def cell_of(sample: Integers, max_error: int) -> Integers:
    """Cell of a sample, or of each in an array."""
    return (sample + max_error) // (2 * max_error + 1)


def quantise(samples: np.ndarray, max_error: int) -> np.ndarray:
    """`cell_of` for many.

    samples : integers of at most 32 bits, any shape
    Returns int64, same shape.
    """
    cells = samples.astype(np.int64)
    return cell_of(cells, max_error) if max_error else cells


def reconstruct(cells: np.ndarray, max_error: int, low: int, high: int) -> np.ndarray:
    """Middle of each cell, clamped to [low, high].

    cells : int64, from `quantise` of samples within [low, high]
    Returns int64, same shape, each at most `max_error` from its sample: the middle is, and clamping towards an interval
    that holds the sample brings it no farther.
    """
    return np.clip(cells * (2 * max_error + 1), low, high)
