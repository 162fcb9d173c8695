"""Auxiliary sections: any array comes back, a stream without them has not a byte more, and damage is told."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import lhic
from lhic.errors import CorruptStreamError, InvalidCubeError, LhicError, MemoryBudgetError, UsageError
from lhic.families.raw import RawModel
from lhic.stream.auxiliary import TYPES, pack, pack_all, read_entries, unpack, write_entries
from lhic.stream.packed import write_code
from lhic.stream.varint import Reader

CUBE = np.arange(24, dtype="int16").reshape(2, 3, 4)


def encoded(**beside) -> bytes:
    return lhic.encode(CUBE, RawModel(), auxiliary=beside)


@given(st.sampled_from(TYPES).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, min_side=0))))
@settings(deadline=None)
def test_any_array_comes_back_bit_by_bit(array):
    packed = pack("a", array)
    (entry,) = read_entries(Reader(write_entries([packed]), "header"), 0)
    again = unpack(packed.data, entry)
    assert again.dtype.str == array.dtype.str and again.shape == array.shape and again.tobytes() == array.tobytes()


def test_arrays_are_listed_and_read_by_name():
    lat = np.linspace(50, 51, 12).reshape(3, 4)
    stream = encoded(lat=lat, n=np.int8(3))
    assert lhic.inspect(stream)["auxiliary"][0] | {"bytes": 0} == {
        "name": "lat",
        "dtype": "<f8",
        "shape": [3, 4],
        "bytes": 0,
    }
    assert np.array_equal(lhic.decode(stream), CUBE) and lhic.verify(stream, CUBE) == 0
    found = lhic.read_auxiliary(stream, ["n"])
    assert list(found) == ["n"] and found["n"].shape == () and found["n"] == 3
    assert np.array_equal(lhic.read_auxiliary(stream)["lat"], lat)
    with pytest.raises(UsageError, match="expected a name of lat, n, found 'lon'"):
        lhic.read_auxiliary(stream, ["lon"])
    with pytest.raises(MemoryBudgetError, match="auxiliary lat"):
        lhic.read_auxiliary(stream, memory_budget=100)


def test_a_stream_without_them_has_not_a_byte_more():
    assert encoded() == lhic.encode(CUBE, RawModel()) and encoded()[9] == 0 and encoded(a=CUBE)[9] == 1
    assert lhic.inspect(encoded())["auxiliary"] == [] and lhic.read_auxiliary(encoded()) == {}


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([object()]), np.array(["2020"], "M8[D]")])
def test_what_has_no_type_is_refused(value):
    with pytest.raises(InvalidCubeError, match="auxiliary a: expected numbers or booleans"):
        encoded(a=value)


@pytest.mark.parametrize("name", ["", "x" * 5000, "\ud800"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidCubeError, match="expected a name in Unicode"):
        pack_all({name: CUBE}, {})


def reseal(data: bytearray) -> bytes:
    """Make the checksums of header and stream right again."""
    end = 22 + struct.unpack_from("<I", data, 10)[0] - 4
    data[end : end + 4] = struct.pack("<I", zlib.crc32(data[:end]))
    data[-4:] = struct.pack("<I", zlib.crc32(data[:-4]))
    return bytes(data)


def test_every_flipped_byte_is_noticed():
    stream = encoded(lat=np.arange(40.0), mask=CUBE > 3)
    for position in range(len(stream)):
        damaged = bytearray(stream)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(LhicError):
            lhic.decode(bytes(damaged))
        resealed = reseal(damaged) if position >= 22 else bytes(damaged)
        try:
            found = lhic.read_auxiliary(resealed)
        except LhicError as error:
            assert "\n" not in str(error)
        else:
            assert all(array.dtype.str in TYPES for array in found.values())


def test_verify_looks_at_the_arrays_beside():
    stream, packed = encoded(lat=np.arange(40.0)), pack("lat", np.arange(40.0)).data
    assert lhic.verify(stream) is None
    for position in range(stream.index(packed), stream.index(packed) + len(packed)):
        damaged = bytearray(stream)
        damaged[position] ^= 1
        with pytest.raises(LhicError):
            lhic.verify(reseal(damaged))


def test_sections_that_do_not_hold_what_they_announce():
    packed = pack("a", np.arange(10))
    entry = packed.entry
    codes = [write_code(bytes(n)) for n in (79, 80, 81)]
    for data in (codes[0], codes[1][:-1], codes[1] + b"x", codes[2], b"nothing", bytes(81), b""):
        bad = type(entry)("a", entry.dtype, entry.shape, len(data), zlib.crc32(data))
        with pytest.raises(CorruptStreamError, match="auxiliary a: "):
            unpack(data, bad)
    with pytest.raises(CorruptStreamError, match="checksum"):
        unpack(packed.data[:-1] + b"x", entry)


def test_one_name_twice_is_corrupt():
    packed = pack("a", np.arange(10))
    with pytest.raises(CorruptStreamError, match="found one twice"):
        read_entries(Reader(write_entries([packed, packed]), "header"), 0)
