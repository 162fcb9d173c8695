"""Coded bytes: they come back, in plain Python, compiled and by the document alike, and damage is told at once."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder import byte_kernels
from lhic.coder.byte_code import MAX_RATIO, decode_bytes, encode_bytes
from lhic.coder.byte_model import run, slot_bits, state, tables
from lhic.coder.mixture import SIGMOID_TABLE
from tests import document_decoder

ENVI = b"".join(
    [b"ENVI\nsamples = 43\nlines = 31\nbands = 60\ndata type = 12\ninterleave = bil\nwavelength = {\n"]
    + [b"%.3f,\n" % (366.551 + 1.1052 * n + 0.00003 * n * n) for n in range(60)]
    + [b"}\nfwhm = {\n"]
    + [b"%.2f,\n" % (2.5 + 0.01 * n) for n in range(60)]
    + [b"}\n"]
)
ROW, COLUMN = np.ogrid[0:64, 0:96]
MASK = ((ROW - 30) ** 2 + (COLUMN - 40) ** 2 < 700).astype("u1").tobytes()
RAMP = (ROW * 3 + COLUMN * 5 & 255).astype("u1").tobytes()
NOISE = np.random.default_rng(0).integers(0, 256, 3000).astype("u1").tobytes()
SAMPLES = [(ENVI, 0), (MASK, 96), (RAMP, 96), (RAMP, 0), (bytes(5000), 7), (bytes(5000), 0), (b"ab" * 900, 1)]

texts = st.lists(st.sampled_from([b"wavelength", b"=", b",", b"[", b"\n", b"4", b"50", b"\xff\x00"]), max_size=200)


def in_python(decoding: bool, plain: bytearray, coded: bytearray, stride: int) -> int:
    return run(decoding, plain, coded, stride, *(a.tolist() for a in (*tables(), *state(len(plain)))))


@given(st.one_of(st.binary(max_size=300), texts.map(b"".join)), st.integers(0, 40))
@settings(deadline=None, max_examples=40)
def test_any_bytes_come_back_or_are_not_coded(plain, stride):
    coded = encode_bytes(plain, stride)
    if coded is not None:
        assert len(coded) < len(plain) <= MAX_RATIO * len(coded)
        assert decode_bytes(coded, len(plain), stride) == plain


@pytest.mark.parametrize("plain,stride", SAMPLES)
def test_python_kernel_and_document_agree(plain, stride):
    plain = plain[:1200]
    coded = encode_bytes(plain, stride)
    own, again = bytearray(len(plain) - 1), bytearray(len(plain))
    assert bytes(own[: in_python(False, bytearray(plain), own, stride)]) == coded
    assert in_python(True, again, bytearray(coded), stride) == len(coded) and bytes(again) == plain
    bits = document_decoder.BitReader(coded)
    assert document_decoder.ByteModel(len(plain), stride).read(bits) == plain
    bits.end()


def test_kernel_and_document_agree_on_what_is_long():
    """Beyond what the rates of learning and the slots grow with."""
    plain = (ENVI + RAMP + NOISE + ENVI)[-9500:]
    coded = encode_bytes(plain)
    bits = document_decoder.BitReader(coded)
    assert document_decoder.ByteModel(len(plain), 0).read(bits) == plain


@pytest.mark.parametrize("plain,stride", SAMPLES)
def test_smaller_than_deflate(plain, stride):
    assert len(encode_bytes(plain, stride)) < len(zlib.compress(plain, 9))


def test_noise_is_not_coded_and_room_is_kept():
    assert encode_bytes(NOISE) is None and encode_bytes(b"") is None and encode_bytes(b"a") is None
    coded = encode_bytes(ENVI)
    assert encode_bytes(ENVI, room=len(coded)) == coded and encode_bytes(ENVI, room=len(coded) - 1) is None


def test_carries_run_through_bytes_of_255():
    """Each sum passes a carry on sooner or later; long ones were met here."""
    rng = np.random.default_rng(5)
    for share in (0.5, 0.02, 0.001):
        plain = (rng.random(20_000) < share).astype("u1").tobytes()
        assert decode_bytes(encode_bytes(plain), len(plain)) == plain


@pytest.mark.parametrize("plain,stride", SAMPLES[:3])
def test_damage_is_told_or_gives_other_bytes(plain, stride):
    coded = encode_bytes(plain, stride)
    for cut in (coded[:-1], coded[:-5], coded[:1], b"", coded + b"\0", coded + b"x"):
        assert decode_bytes(cut, len(plain), stride) is None
    told = 0
    for position in range(0, len(coded), 7):
        damaged = bytearray(coded)
        damaged[position] ^= 1 << position % 8
        found = decode_bytes(bytes(damaged), len(plain), stride)
        assert found != plain
        told += found is None
    assert told > len(coded) / 7 / 2
    assert decode_bytes(coded, len(plain) // 2, stride) is None


def test_reading_past_the_end_stops_at_once():
    """A billion bytes announced in nine, of which the first thousands would do without: damage costs no time."""
    assert decode_bytes(NOISE[:9], 30_000_000) is None


def test_the_tables_are_those_of_the_document():
    squash, stretch, rate, confidence = document_decoder.byte_tables()
    found = [table.tolist() for table in tables()]
    assert found == [[squash[d] for d in range(-1023, 1024)], stretch, rate, confidence]
    assert squash[0] == 32768 == SIGMOID_TABLE[0] >> 8 and squash[1023] == 65520 and stretch[2048] in (0, 1)
    assert (slot_bits(1), slot_bits(100), slot_bits(10**9)) == (6, 12, 20)


def test_a_header_compiles_nothing():
    """Plain Python takes a fraction of a second, which is less than importing what compiles."""
    text = (
        "import sys; from lhic.stream.packed import read_packed, write_packed; from lhic.stream.varint import Reader\n"
        "text = b'wavelength = 400, 410, 420, 430, 440, 450, 460, 470' * 9; packed = write_packed(text)\n"
        "assert len(packed) < 90 and read_packed(Reader(packed, 'x'), 'x', 10**6) == text\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


def test_the_kernel_is_compiled_for_one_type_only():
    encode_bytes(ENVI), decode_bytes(encode_bytes(MASK, 96), len(MASK), 96)
    assert len(byte_kernels.run.signatures) <= 1
