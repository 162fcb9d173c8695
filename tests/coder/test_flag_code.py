"""Coded flags: they come back, by the kernel and by the document alike, and damage is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder.flag_code import MAX_PERIOD, decode_flags, encode_flags, likeliest_period
from lhic.stream.packed import write_packed
from tests import document_decoder

RANDOM = np.random.default_rng(0)
SPREAD = np.zeros(60_000, bool)  # as a scale of 2.4414 spreads levels
SPREAD[np.round(np.arange(24_000) * 2.4414).astype(int)] = True
SAMPLES = {
    "spread": SPREAD,
    "lacking": ~SPREAD,
    "some noise": SPREAD ^ (RANDOM.random(60_000) < 0.02),
    "half": RANDOM.random(3000) < 0.5,
    "rare": RANDOM.random(9000) < 0.01,
    "set": np.ones(50_000, bool),
    "none": np.zeros(50_000, bool),
}


@given(st.lists(st.booleans(), max_size=300), st.integers(2, 400))
@settings(deadline=None, max_examples=60)
def test_any_flags_come_back(flags, period):
    flags = np.array(flags, bool)
    period = period if period < len(flags) else 0
    coded = encode_flags(flags, period)
    assert (decode_flags(coded, len(flags), period) == flags).all()
    assert document_decoder.read_flags(coded, len(flags), period) == flags.tolist()


@pytest.mark.parametrize("name", SAMPLES)
def test_kernel_and_document_agree(name):
    flags = SAMPLES[name][:6000]
    for period in (0, 2, 83):
        coded = encode_flags(flags, period)
        assert document_decoder.read_flags(coded, len(flags), period) == flags.tolist()


@pytest.mark.parametrize("name", SAMPLES)
def test_nearly_as_small_as_packed_bytes_or_smaller(name):
    flags = SAMPLES[name]
    coded = encode_flags(flags, likeliest_period(flags))
    assert len(coded) < 1.02 * len(write_packed(np.packbits(flags).tobytes())) + 16
    assert (decode_flags(coded, len(flags), likeliest_period(flags)) == flags).all()


def test_the_surest_flags_that_turn_out_otherwise_have_room():
    flags = np.ones(40_000, bool)
    flags[20_000:] = RANDOM.random(20_000) < 0.5
    flags[30_000::100] = False
    assert (decode_flags(encode_flags(flags, 0), len(flags), 0) == flags).all()


def test_the_period_is_found():
    assert likeliest_period(SPREAD) % 83 == 0
    assert (
        likeliest_period(np.arange(4000) % 29 == 3) % 29 == 0 and likeliest_period(np.arange(4000) % 29 != 3) % 29 == 0
    )
    assert likeliest_period(SAMPLES["rare"]) == likeliest_period(SAMPLES["set"]) == 0
    assert likeliest_period(np.zeros(0, bool)) == likeliest_period(np.ones(1, bool)) == 0
    assert likeliest_period(np.arange(9000) % MAX_PERIOD == 0) == 0, "none that is too long"


def test_damage_is_told_or_gives_other_flags():
    flags = SAMPLES["some noise"]
    coded = encode_flags(flags, 83)
    for cut in (coded[:-1], coded[:-5], coded[:1], b"", coded + b"\0", coded + b"x"):
        assert decode_flags(cut, len(flags), 83) is None
    told = 0
    for position in range(0, len(coded), 7):
        damaged = bytearray(coded)
        damaged[position] ^= 1 << position % 8
        found = decode_flags(bytes(damaged), len(flags), 83)
        assert found is None or (found != flags).any()
        told += found is None
    assert told > len(coded) / 7 / 2


def test_reading_past_the_end_stops_at_once():
    assert decode_flags(RANDOM.bytes(9), 30_000_000, 0) is None


def test_the_example_of_the_format():
    """docs/format_bytes.md, section 9."""
    flags = np.arange(40) % 5 > 0
    assert encode_flags(flags, 5).hex(" ") == "81 ee"
    assert document_decoder.read_flags(bytes.fromhex("81ee"), 40, 5) == flags.tolist()
