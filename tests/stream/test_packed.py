"""Packed bytes: whichever form is shorter, and nothing large is made of little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder.byte_code import MAX_RATIO
from lhic.errors import CorruptStreamError
from lhic.stream.packed import MIN_BYTES, TRIAL_BYTES, read_code, read_packed, write_code, write_packed
from lhic.stream.varint import Reader, write_varint
from tests.document_decoder import DecodeError, decode_code
from tests.document_decoder import Reader as DocumentReader

NOISE = np.random.default_rng(3).integers(0, 256, 4 * TRIAL_BYTES + 1).astype("u1").tobytes()


@given(st.one_of(st.binary(max_size=80), st.binary(max_size=9).map(lambda part: part * 15)), st.integers(0, 200))
@settings(deadline=None, max_examples=40)
def test_any_bytes_come_back_and_take_little_more(plain, stride):
    packed = write_packed(plain, [0, stride])
    assert len(packed) <= len(write_varint(2 * len(plain))) + len(plain)
    reader = Reader(packed + b"behind", "test")
    assert read_packed(reader, "part", len(plain)) == plain and reader.n_left == 6


def test_the_example_of_the_format():
    """docs/format_bytes.md, section 9."""
    packed = write_packed(b"abcd" * 8)
    assert packed.hex(" ") == "0f 20 00 9e 84 a1 87 61"
    assert DocumentReader(packed).packed(32) == b"abcd" * 8


def test_the_best_stride_is_taken():
    rows = np.random.default_rng(1).integers(0, 2, 31).astype("u1").tobytes() * 20
    assert len(write_code(rows, [31])) <= len(write_code(rows, [0, 31, 7])) <= len(write_code(rows, [7]))
    assert write_code(rows, [len(rows)]) == write_code(rows, [0]), "no row is as long as all"


def test_noise_stays_as_it_is_and_a_long_one_is_not_even_tried(monkeypatch):
    assert write_packed(NOISE[:500]) == write_varint(1000) + NOISE[:500]
    assert write_code(bytes(MIN_BYTES - 1)) is None and write_code(bytes(MIN_BYTES)) is not None
    tried = []
    monkeypatch.setattr("lhic.stream.packed.encode_bytes", lambda plain, *_, **__: tried.append(len(plain)))
    assert write_packed(NOISE) == write_varint(2 * len(NOISE)) + NOISE
    assert len(tried) == 1 and tried[0] <= TRIAL_BYTES


def test_what_is_announced_is_checked_before_it_is_allocated():
    coded = write_code(bytes(4000))
    for n_bytes, words in ((2**62, "at most"), (4001, "at most"), (len(coded), "expected the code of")):
        code = write_varint(n_bytes) + coded[2:]
        with pytest.raises(CorruptStreamError, match=f"^test: .*{words}"):
            read_code(code, "test", 4000)
    tiny = write_varint(2**60) + b"\0a"
    limits = f"{len(tiny) + 1}..{MAX_RATIO * len(tiny)}"
    with pytest.raises(CorruptStreamError, match=f"expected the code of {limits} bytes"):
        read_code(tiny, "test", 2**62)
    with pytest.raises(CorruptStreamError, match="part: expected at most 3 bytes"):
        read_packed(Reader(b"\x08abcd", "test"), "part", 3)


def test_package_and_document_reject_the_same():
    code = write_code(b"wavelength = 400, 410, 420, 430, 440, 450" * 3)
    assert read_code(code, "test", 200) == decode_code(code, 200)
    damaged = [code[:n] for n in range(len(code))] + [code + b"\0", code + b"\x7f", b"\xff" + code, code[:1] + b"\x7b"]
    damaged += [bytes([*code[:n], code[n] ^ 16, *code[n + 1 :]]) for n in range(len(code))]
    for bad in damaged:
        try:
            found = decode_code(bad, 200)
        except DecodeError:
            with pytest.raises(CorruptStreamError, match=r"^test: "):
                read_code(bad, "test", 200)
        else:
            assert read_code(bad, "test", 200) == found
