"""Varints and zigzag, one by one and as arrays: what is written is read, and damage is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhic.errors import CorruptStreamError
from lhic.stream.varint import Reader, pack_varints, unpack_varints, unzigzag, write_varint, zigzag


@given(st.integers(0, 2**63 - 1))
def test_varint_round_trip(value):
    reader = Reader(write_varint(value), "test")
    assert reader.varint("value") == value and reader.n_left == 0


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 10, b"\xff" * 9 + b"\x01"])
def test_bad_varints(data):
    with pytest.raises(CorruptStreamError):
        Reader(data, "test").varint("value")


@given(st.lists(st.integers(0, 2**63 - 1), max_size=30))
def test_many_at_once_are_as_one_by_one(values):
    data = pack_varints(np.array(values, np.int64))
    assert data == b"".join(write_varint(value) for value in values)
    assert unpack_varints(data, "test").tolist() == values
    reader = Reader(data, "test")
    assert [reader.varint("value") for _ in values] == values


@pytest.mark.parametrize(
    "data,at",
    [
        (b"\x80", 0),
        (b"\x80\x00", 0),
        (b"\x05\xff", 1),
        (b"\xff" * 9 + b"\x01", 0),
        (b"\xff" * 40, 0),
        (b"\1\x80\0\1", 1),
    ],
)
def test_damage_among_many(data, at):
    with pytest.raises(CorruptStreamError, match=f"expected a varint at byte {at}"):
        unpack_varints(data, "test")


@given(st.lists(st.integers(-(2**61), 2**61)))
def test_zigzag(values):
    expected = [2 * value if value >= 0 else -2 * value - 1 for value in values]
    assert [zigzag(value) for value in values] == zigzag(np.array(values, np.int64)).tolist() == expected
    assert [unzigzag(value) for value in expected] == unzigzag(np.array(expected, np.int64)).tolist() == values
