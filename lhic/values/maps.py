"""Between samples and whole numbers, one sample at a time: bit patterns in order, and multiples of a step.

A number is an int64.  Everything here is defined to the last bit (docs/format_values.md, 2): bits, whole numbers modulo
2^64, and single operations of IEEE 754 in a stated order, which no machine computes differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """How a number becomes a sample."""

    ORDER = 0  # key = base + cell * number: bits of an integer, of a float in the order of its values
    MULTIPLY = 1  # number * step + offset
    DIVIDE = 2  # number / step + offset
    MULTIPLY_NATIVE = 3  # the same, each result rounded to the samples' type at once
    DIVIDE_NATIVE = 4


@dataclass(frozen=True)
class Map:
    """How the numbers of a band become samples.

    base : ORDER: 0 .. 2^64 - 1
    step, offset : finite binary64, step > 0; the others
    cell : 1 .. 2^62; numbers are multiples of it, and only their quotients are coded
    shift : 0 .. 63; low bits of a quotient that are kept apart
    """

    kind: Kind
    base: int = 0
    step: float = 1.0
    offset: float = 0.0
    cell: int = 1
    shift: int = 0

    def numbers(self, samples: np.ndarray) -> np.ndarray:
        """int64, same shape: the nearest quotient of each sample.  Nonsense where there is none.

        samples : native byte order
        """
        with np.errstate(all="ignore"):
            if self.kind == Kind.ORDER:
                found = keys(samples) - np.uint64(self.base)
            elif self.kind in (Kind.MULTIPLY, Kind.MULTIPLY_NATIVE):
                found = np.rint((samples.astype(np.float64) - self.offset) / self.step)
            else:
                found = np.rint((samples.astype(np.float64) - self.offset) * self.step)
            if found.dtype == np.float64:
                found[~(np.abs(found) < 2.0**62)] = 0
            found = found.astype(np.int64)
            return found if self.cell == 1 else (found + self.cell // 2) // self.cell

    def samples(self, numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Samples in native byte order, same shape.

        numbers : int64 quotients
        """
        with np.errstate(all="ignore"):
            found = numbers if self.cell == 1 else numbers * self.cell
            if self.kind == Kind.ORDER:
                return from_keys(found.astype(np.uint64) + np.uint64(self.base), dtype)
            native = self.kind in (Kind.MULTIPLY_NATIVE, Kind.DIVIDE_NATIVE)
            work = np.dtype(dtype if native else np.float64)
            step, offset = work.type(self.step), work.type(self.offset)
            real = found.astype(work)
            real = real * step if self.kind in (Kind.MULTIPLY, Kind.MULTIPLY_NATIVE) else real / step
            if self.offset:
                real = real + offset
            return real.astype(dtype)


def bits_of(samples: np.ndarray) -> np.ndarray:
    """The bits of each sample, as an unsigned integer of the same size."""
    return np.ascontiguousarray(samples).view(f"u{samples.dtype.itemsize}")


def keys(samples: np.ndarray) -> np.ndarray:
    """uint64: of an integer its value modulo 2^64, of a float its bits such that greater samples have greater keys."""
    if samples.dtype.kind != "f":
        return samples.astype(np.uint64)
    bits = bits_of(samples)
    sign = bits.dtype.type(1 << 8 * samples.dtype.itemsize - 1)
    return np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)


def from_keys(found: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Inverse of `keys`; bits beyond those of the dtype do not count."""
    if dtype.kind != "f":
        return found != 0 if dtype.kind == "b" else found.astype(dtype)
    integer = np.dtype(f"u{dtype.itemsize}")
    sign = integer.type(1 << 8 * dtype.itemsize - 1)
    ordered = found.astype(integer)
    return np.where(ordered & sign, ordered ^ sign, ~ordered).astype(integer, copy=False).view(dtype)
