"""Side sections: what goes in comes out, and damage is told before anything large is allocated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.errors import CorruptStreamError
from lhic.families.bp.side import read_escapes, write_escapes
from lhic.families.near_ties import read_corrections, write_corrections
from lhic.stream.packed import write_code
from lhic.stream.varint import pack_varints


@given(st.lists(st.sets(st.integers(0, 999), max_size=20), min_size=2, max_size=2), st.integers(0, 1))
def test_corrections_round_trip(planes, parity):
    lists = [(np.array(sorted(indices), np.int64), np.full(len(indices), parity, np.uint8)) for indices in planes]
    data = write_corrections(lists)
    assert (data == b"") == (not any(planes))
    for (a, b), (c, d) in zip(lists, read_corrections(data, 2, 1000, "test"), strict=True):
        assert np.array_equal(a, c) and np.array_equal(b, d)


@pytest.mark.parametrize(
    "values", [[1], [5, 0, 0], [0], [0, 0, 7], [1, 1000 << 1, 0], [2, 999 << 1, 0, 0], [2**62, 1, 0]]
)
def test_damaged_corrections(values):
    with pytest.raises(CorruptStreamError, match="corrections"):
        read_corrections(pack_varints(np.array(values)), 2, 1000, "corrections")


sparse = st.lists(st.one_of(st.just(0), st.integers(-(2**32), 2**32)), min_size=1, max_size=60)


@given(sparse, st.integers(1, 5))
@settings(deadline=None)
def test_escapes_round_trip(values, repeats):
    differences = np.repeat(np.array(values), repeats).reshape(1, 1, -1)
    data = write_escapes(differences)
    found = read_escapes(data, differences.shape, "test")
    assert (data == b"") == (not differences.any()) == (found is None)
    assert found is None or np.array_equal(found, differences)


def test_empty_bands_cost_almost_nothing():
    differences = np.zeros((224, 32, 32), np.int64)
    differences[126:141] = differences[160:167] = -32768
    assert len(write_escapes(differences)) <= 1 + 2 * 9


@pytest.mark.parametrize(
    "values", [[0], [0, 12, 2], [12, 0, 2], [0, 5, 2, 0, 6, 2], [0, 0, 0], [0, 0, 1 << 35], [2**62] * 3]
)
def test_damaged_escapes(values):
    with pytest.raises(CorruptStreamError, match="escapes"):
        read_escapes(b"\x00" + pack_varints(np.array(values)), (1, 3, 4), "escapes")


def test_dense_escapes_are_coded():
    differences = np.random.default_rng(0).integers(1000, 1400, (4, 32, 32))
    data = write_escapes(differences)
    assert data[0] == 1 and 8 * len(data) < 16 * differences.size
    assert np.array_equal(read_escapes(data, differences.shape, "test"), differences)
    for damaged in (data[:-1], data[:-9], data + b"x", b"\x02" + data[1:], b"\x01", b"\x00"):
        with pytest.raises(CorruptStreamError, match="test"):
            read_escapes(damaged, differences.shape, "test")


def test_coded_escapes_are_bounded():
    bomb = b"\x01" + write_code(bytes(1_000_000))
    with pytest.raises(CorruptStreamError, match="at most 324 bytes"):
        read_escapes(bomb, (1, 3, 4), "test")
