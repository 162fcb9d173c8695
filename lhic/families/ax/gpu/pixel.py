"""`lhic.families.ax.pixel`'s formulas in Triton's kernels, on vectors of int64."""

from __future__ import annotations

from inspect import getmembers, isfunction
from types import FunctionType
from typing import Any

import triton
import triton.language as tl

from lhic.families.ax import pixel
from lhic.families.ax.gpu.arithmetic import quotient


@triton.jit
def _min(a, b):
    return tl.minimum(a, b)


@triton.jit
def _max(a, b):
    return tl.maximum(a, b)


@triton.jit
def _abs(a):
    return tl.abs(a)


def _compiled() -> dict[str, Any]:
    """The functions of `pixel`, copied so that `min`, `quotient`, the constants and each other mean Triton's."""
    scope: dict[str, Any] = {name: tl.constexpr(value) for name, value in vars(pixel).items() if name.isupper()}
    scope |= {"min": _min, "max": _max, "abs": _abs, "tl": tl, "__name__": __name__}
    for name, formula in getmembers(pixel, isfunction):
        scope[name] = triton.jit(FunctionType(formula.__code__, scope, name))
    scope["quotient"] = quotient
    return scope


_formulas = _compiled()


def __getattr__(name: str) -> Any:
    try:
        return _formulas[name]
    except KeyError:
        raise AttributeError(name) from None
