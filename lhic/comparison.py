"""A decoded cube beside its original, window by window."""

from __future__ import annotations

import numpy as np

from lhic.cube import Cube, CubeSink, Window
from lhic.errors import VerificationError


def check_comparable(original: Cube, shape: tuple[int, int, int], dtype: np.dtype, name: str) -> None:
    """`VerificationError` unless the original has the shape and dtype that decoding gives."""
    if tuple(original.shape) != shape:
        raise VerificationError(f"{name}: expected shape {shape}, found {tuple(original.shape)}")
    if original.dtype != dtype:
        raise VerificationError(f"{name}: expected {dtype} as decoded, found {original.dtype}")


def difference(samples: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Absolute differences, same shape: of floats as float64, of others as uint64, which holds them all."""
    if samples.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            return np.abs(samples.astype(np.float64) - others.astype(np.float64))
    return np.maximum(samples, others).astype(np.uint64) - np.minimum(samples, others).astype(np.uint64)


def _bits(samples: np.ndarray) -> np.ndarray:
    """What equality is about: NaNs equal themselves, and zero has a sign."""
    return np.ascontiguousarray(samples, samples.dtype.newbyteorder("=")).view(f"u{samples.dtype.itemsize}")


class Comparison:
    """Compares the windows of a cube with the original's, and passes them on.

    Parameters
    ----------
    original : None: nothing is compared
    name : of the original, for messages
    max_error : how far a sample may be off
    target : takes windows; None: nobody does
    """

    def __init__(self, original: Cube | None, name: str, max_error: float, target: CubeSink | None = None):
        self.original, self.name, self.max_error, self.target = original, name, max_error, target
        self.largest_error: float = 0
        self.n_wrong = 0
        self.first: tuple[int, int, int] | None = None
        self.pair: tuple = (0, 0)

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        if self.target is not None:
            self.target[window] = samples
        if self.original is None:
            return
        original = self.original[window]
        for band in range(len(samples)):  # the differences take eight bytes a sample
            if not np.array_equal(_bits(samples[band]), _bits(original[band])):
                self._differ(samples, original, band, window)

    def _differ(self, samples: np.ndarray, original: np.ndarray, band: int, window: Window) -> None:
        """Count a band of a window in which samples differ."""
        errors, same = difference(samples[band], original[band]), _bits(samples[band]) == _bits(original[band])
        wrong = ~(same | (errors <= self.max_error)) if self.max_error else ~same
        errors = errors[~same]
        self.largest_error = max(self.largest_error, errors.max().item() if not np.isnan(errors).any() else np.inf)
        if wrong.any():
            self.n_wrong += int(wrong.sum())
            row, column = (int(axis[0]) for axis in np.nonzero(wrong))
            inside = band, row, column
            bands, rows, columns = (axis.start or 0 for axis in window)
            found = bands + band, rows + row, columns + column
            if self.first is None or found < self.first:
                self.first, self.pair = found, (samples[inside], original[inside])

    def verdict(self) -> float | None:
        """Greatest absolute error, None without an original; `VerificationError` if that is too much."""
        if self.original is None:
            return None
        if self.first:
            expected = f"samples within {self.max_error}" if self.max_error else "equal samples"
            band, row, column = self.first
            raise VerificationError(
                f"{self.name}: expected {expected}, found {self.n_wrong} that differ, the first at band "
                f"{band}, row {row}, column {column}: {self.pair[0]} decoded, {self.pair[1]} in the original"
            )
        return self.largest_error
