"""Powers and logarithms: good, and made of operations that are the same everywhere."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.families.ax.elementary import exp2, log2
from lhic.kernels.jit import njit


@njit
def both(value):
    return exp2(value), log2(abs(value) + 1e-300)


@settings(deadline=None)  # the first call compiles
@given(st.floats(-999, 999))
def test_powers_and_logarithms(value):
    power, logarithm = both(value)
    assert power == pytest.approx(2.0**value, rel=2e-13, abs=0)
    assert logarithm == pytest.approx(math.log2(abs(value) + 1e-300), rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("exponent", [-1000, -30, 0, 1, 52, 1000])
def test_whole_powers_are_exact(exponent):
    assert both(float(exponent))[0] == math.ldexp(1.0, exponent) and log2(math.ldexp(1.0, exponent)) == exponent
    assert both(5e3)[0] == math.ldexp(1.0, 1000)


def test_compiled_and_by_python_alike():
    """Every operation is rounded on its own in both."""
    for value in np.random.default_rng(0).normal(0, 20, 1000).tolist():
        assert both(value) == (exp2.py_func(value), log2.py_func(abs(value) + 1e-300))
