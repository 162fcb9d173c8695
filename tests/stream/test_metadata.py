"""Metadata: one rule for what may be written and what is read, and a bound on both."""

import datetime
import json

import numpy as np
import pytest

from lhic.errors import CorruptStreamError, InvalidCubeError
from lhic.stream.metadata import MAX_BYTES, MAX_DEPTH, nodata_of, plain, write_metadata
from lhic.stream.metadata import read_metadata as read_field
from lhic.stream.packed import write_packed
from lhic.stream.varint import Reader, write_varint


def section(text: bytes | str) -> bytes:
    return write_packed(text.encode() if isinstance(text, str) else text)


def read_metadata(field: bytes, n_bands: int) -> dict:
    return read_field(Reader(field, "header"), n_bands)


def nested(n: int) -> list:
    value = []
    for _ in range(n):
        value = [value]
    return value


def test_numbers_arrays_and_tuples_are_taken_for_what_they_hold():
    given = {
        "wavelengths": np.array([450, 550.5, 650], "float32"),
        "fwhm": (np.float64(5), np.int16(6), 7),
        "nodata": np.int16(-9),
        "transform": (1, 0, 0, 0, -1, 0),
        "band_names": np.array(["a", "b", "µ"]),
        "extra": {"flag": np.bool_(True), "nothing": None, "list": [np.uint8(3)]},
    }
    assert read_metadata(write_metadata(given, 3), 3) == {
        "wavelengths": [450.0, 550.5, 650.0],
        "fwhm": [5.0, 6, 7],
        "nodata": -9,
        "transform": [1, 0, 0, 0, -1, 0],
        "band_names": ["a", "b", "µ"],
        "extra": {"flag": True, "nothing": None, "list": [3]},
    }


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_metadata_take_no_bytes_but_their_length(nothing):
    assert write_metadata(nothing, 3) == b"\0" and read_metadata(b"\0", 3) == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"wavelengths": [1, 2]},
        {"fwhm": "wide"},
        {"transform": [1, 2, 3]},
        {"nodata": "none"},
        {"nodata": True},
        {"extra": 3},
        {"band_names": [1, 2, 3]},
    ],
)
def test_known_keys_have_their_kind_both_ways(metadata):
    with pytest.raises(InvalidCubeError, match=r"^metadata: "):
        write_metadata(metadata, 3)
    with pytest.raises(CorruptStreamError, match=r"^header: metadata: "):
        read_metadata(section(json.dumps(metadata)), 3)


@pytest.mark.parametrize(
    "metadata,words",
    [
        ([1], "expected an object, found a list of"),
        ([["nodata", 1]], "expected an object, found a list of"),
        ([], "expected an object, found a list of"),
        (5, "found 5"),
        ("x", "found str"),
        ({1: 2}, "expected keys of text, found 1"),
        ({"extra": {("a", "b"): 2}}, "extra: expected keys of text, found tuple"),
        ({"free": float("nan")}, "free: .* found nan"),
        ({"wavelengths": [1.0, float("inf"), 2.0]}, r"wavelengths\[1\]: .* found inf"),
        ({"wavelengths": [1, 10**400, 2]}, r"wavelengths\[1\]: .* found int"),
        ({"free": object()}, "free: .* found object"),
        ({"free": 1j}, "free: .* found complex"),
        ({"free": b"bytes"}, "free: .* found bytes"),
        ({"extra": {"name": "\udc80"}}, "extra.name: .* half a surrogate pair"),
        ({"\ud800": 1}, "half a surrogate pair"),
        ({"deep": nested(MAX_DEPTH)}, f"at most {MAX_DEPTH} levels, found more in deep"),
        ({"deep": nested(100_000)}, f"at most {MAX_DEPTH} levels, found more in deep"),
        ({"long": "a" * MAX_BYTES}, f"at most {MAX_BYTES} bytes"),
    ],
)
def test_what_json_does_not_have_is_refused_on_one_line(metadata, words):
    with pytest.raises(InvalidCubeError, match=words) as caught:
        write_metadata(metadata, 3)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "5",
        '"x"',
        "{",
        " ",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"a": 1' + "0" * 400 + "}",
        '{"a": 1' + "0" * 5000 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": 1}'.encode("utf-16"),
        '{"a": "µ"}'.encode("latin-1"),
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_json_does_not_have_is_not_read(text):
    with pytest.raises(CorruptStreamError, match=r"^header: metadata: "):
        read_metadata(section(text), 3)


def test_as_deep_and_as_long_as_allowed():
    for metadata in ({"deep": nested(MAX_DEPTH - 1)}, {"long": "a" * (MAX_BYTES - 11)}):
        assert read_metadata(write_metadata(metadata, 3), 3) == metadata


def test_a_bomb_is_refused_before_it_is_unpacked():
    long = write_varint(1 << 40) + b"\0" + bytes(50)
    for bomb in (
        section(b" " * (MAX_BYTES + 1)),
        write_varint(2 * len(long) + 1) + long,
        write_varint(2 * (MAX_BYTES + 1)) + bytes(MAX_BYTES + 1),
    ):
        with pytest.raises(CorruptStreamError, match="metadata: expected at most"):
            read_metadata(bomb, 3)


def test_damaged_codes_are_refused():
    whole = section('{"description":"' + "ab, " * 40 + '"}')
    code = whole[1:]
    assert whole[0] == 2 * len(code) + 1 and read_metadata(whole, 3)
    n, stride = Reader(code, "").varint("n"), 1 + len(write_varint(len(code)))
    for damaged in (
        code[:-1],
        code + b"x",
        write_varint(n) + write_varint(n) + code[stride:],  # a row longer than all
        write_varint(len(code)) + code[len(write_varint(n)) :],  # not shorter than what it codes
        write_varint(n // 2) + code[len(write_varint(n)) :],
        b"",
        b"\x20",
    ):
        with pytest.raises(CorruptStreamError, match="metadata"):
            read_metadata(write_varint(2 * len(damaged) + 1) + damaged, 3)


def test_times_and_what_numpy_holds_are_taken():
    found = plain(
        {
            "times": [datetime.datetime(2022, 7, 24, 10, 45, 26), np.datetime64("2022-07-24T10:45:26.123456789")],
            "bad_bands": np.array([True, False]),
            "extra": {"day": datetime.date(2022, 7, 24), "days": np.array(["2022-07-24"], "M8[D]"), "n": np.uint8(3)},
            "description": np.str_("text"),
        },
        2,
    )
    assert found["times"] == ["2022-07-24T10:45:26", "2022-07-24T10:45:26.123456789"]
    assert found["bad_bands"] == [True, False] and found["description"] == "text"
    assert found["extra"] == {"day": "2022-07-24", "days": ["2022-07-24"], "n": 3}


@pytest.mark.parametrize(
    "metadata",
    [
        {"wavelength_unit": 3},
        {"bad_bands": [0, 1]},
        {"default_bands": [2]},
        {"default_bands": []},
        {"default_bands": [True]},
        {"nodata": "none"},
        {"nodata": [1]},
        {"nodata": [1, "x"]},
        {"nodata": True},
        {"scale": [1]},
        {"offset": "1"},
        {"gcps": [[1, 2, 3]]},
        {"rpcs": []},
        {"times": "2022"},
        {"source": {}},
        {"source": {"format": 3}},
    ],
    ids=str,
)
def test_known_keys_of_another_kind_are_refused(metadata):
    with pytest.raises(InvalidCubeError, match=f"metadata: {next(iter(metadata))}: expected"):
        plain(metadata, 2)


def test_nodata_of_several_bands_is_none_for_all():
    assert nodata_of({"nodata": [1, None]}, np.dtype("int16")) is None
    assert nodata_of({"nodata": "NaN"}, np.dtype("int16")) is None
    assert nodata_of({"nodata": -3.0}, np.dtype("int16")) == -3
