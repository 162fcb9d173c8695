"""Checks of what a caller passes: numbers of any library that count as whole ones."""

from __future__ import annotations

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
