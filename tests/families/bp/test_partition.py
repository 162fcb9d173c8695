"""Bit partition: nothing is lost, and the networks' scales are the published ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lhic.families.bp.partition import alphabet_sizes, join, plane_to_unit, split, to_unit


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20), st.integers(1, 16))
def test_split_and_join_are_inverse(values, split_bits):
    for samples in (np.array(values), torch.tensor(values)):
        msp, lsp = split(samples, split_bits)
        assert (join(msp, lsp, split_bits) == samples).all()
        assert int(lsp.min()) >= 0 and int(lsp.max()) < 1 << split_bits


def test_published_alphabets():
    assert alphabet_sizes(10000, 8) == (40, 256)
    assert alphabet_sizes(200, 8) == (1, 256)


@pytest.mark.parametrize("max_symbol", [1, 39, 255])
def test_units_span_minus_one_to_one(max_symbol):
    unit = to_unit(np.arange(max_symbol + 1.0), max_symbol)
    assert unit[0] == -1 and unit[-1] == 1
    assert np.allclose(np.diff(unit), 2 / max_symbol)


def test_single_symbol_has_no_scale_but_a_value():
    assert to_unit(np.zeros(3), 0).tolist() == [-1, -1, -1]


def test_plane_is_the_msp_put_back():
    # 39 << 8 = 9984 of 10000: the plane of the largest msp does not reach 1.
    assert np.allclose(plane_to_unit(np.array([0.0, 39.0]), 8, 10000), [-1, 9984 / 5000 - 1])
