"""Checks of what a caller passes: numbers of any library."""

from __future__ import annotations

import math
from numbers import Real
from operator import index
from typing import Any

from lhic.errors import UsageError


def whole_number(value: Any, name: str, low: int, high: int | None = None) -> int:
    """The int that a number is, numpy's included; a bool or a float is none.

    Raises
    ------
    UsageError
        Not a whole number, or not in low .. high.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number(np.int64(8), "param_d", 1, 16)
    8
    """
    try:
        number = None if isinstance(value, bool) else index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        expected = f"of at least {low}" if high is None else f"of {low}..{high}"
        raise UsageError(f"{name}: expected a whole number {expected}, found {value!r:.60}")
    return number


def finite_number(value: Any, name: str) -> float:
    """The float that a number of at least 0 is, numpy's included; a bool is none.

    Raises
    ------
    UsageError
        Not a number, below 0, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name}: expected a number, found {value!r:.60}")
    number = float(value)
    if not 0 <= number < math.inf:
        raise UsageError(f"{name}: expected a finite number of at least 0, found {value}")
    return number
