"""Integer frequencies: the formula, its guarantees, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhic.coder import cdf_from_weights, intervals_of
from lhic.errors import UsageError


def test_widths_worked_by_hand():
    # 2^4 = 16 = 3 * 1 + 13 to share: floor(13 * 1 / 4) = 3, so 0, 3 + 1, 3 + 2, 13 + 3
    cdf = cdf_from_weights(np.array([[1, 0, 3]]), precision=4)
    assert cdf.dtype == np.uint32
    assert cdf.tolist() == [[0, 4, 5, 16]]


@given(
    st.integers(0, 24).flatmap(
        lambda precision: st.tuples(
            st.just(precision), st.lists(st.integers(0, 2**30), min_size=1, max_size=min(1 << precision, 40))
        )
    )
)
def test_every_symbol_can_be_coded(case):
    precision, weights = case
    weights[0] += 1
    cdf = cdf_from_weights(np.array(weights), precision).astype(np.int64)
    assert cdf[0] == 0 and cdf[-1] == 1 << precision
    widths = np.diff(cdf)
    assert (widths >= 1).all()
    exact = [weight / sum(weights) * ((1 << precision) - len(weights)) + 1 for weight in weights]
    assert np.abs(widths - exact).max() < 1.0001


def test_largest_sums_do_not_wrap():
    limit = (1 << 62 >> 24) // 2
    cdf = cdf_from_weights(np.array([limit, limit]), 24)
    assert cdf.tolist() == [0, 1 << 23, 1 << 24]
    with pytest.raises(UsageError, match="weights"):
        cdf_from_weights(np.array([limit + 1, 0]), 24)


@pytest.mark.parametrize(
    "weights, precision",
    [
        (np.array([0.5, 0.5]), 8),
        (np.array([1, -1]), 8),
        (np.array([[0, 0]]), 8),
        (np.array([1, 1, 1]), 1),
        (np.array([], int), 8),
        (np.array([1, 1], np.uint64), 8),
        (np.array([1, 1]), 25),
        (np.ones((1, 1, 1), int), 8),
    ],
)
def test_refused(weights, precision):
    with pytest.raises(UsageError):
        cdf_from_weights(weights, precision)


def test_symbols_outside_the_alphabet_are_refused():
    with pytest.raises(UsageError, match="symbols"):
        intervals_of(np.array([0, 4, 16]), np.array([0, 2]))
