"""The coder: exact words, equal bytes from both forms, round trips, coded length, damage."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.coder import cdf_from_weights, intervals_of, rans, rans_kernels
from lhic.errors import CorruptStreamError, TruncatedStreamError, UsageError

FORMS = pytest.mark.parametrize("form", [rans, rans_kernels], ids=["reference", "numba"])


def encode(form, starts, freqs, n_lanes, precision):
    encoder = form.RansEncoder(n_lanes, precision)
    encoder.push(starts, freqs)
    return encoder.finish()


def decode(form, data, cdf, n, n_lanes, precision):
    """Symbols of one fixed distribution, by the incremental interface: slots, search, advance."""
    decoder = form.RansDecoder(data, n_lanes, precision)
    symbols = np.empty(n, np.int64)
    for begin in range(0, n, n_lanes):
        here = slice(begin, min(begin + n_lanes, n))
        slots = decoder.slots(here.stop - begin)
        symbols[here] = np.searchsorted(cdf, slots, side="right") - 1
        decoder.advance(*intervals_of(cdf, symbols[here]))
    decoder.finish()
    return symbols


@FORMS
def test_two_symbols_worked_by_hand(form):
    # Backwards from 2^31: symbol 1 (start 7, width 1 of 2^24) gives 2^31 * 2^24 + 7 = 2^55 + 7. Before symbol 0 the
    # state is not below 2^39, so its low word, 7, is given away: 2^23. Then 2^23 * 2^24 + 5.
    data = encode(form, [5, 7], [1, 1], n_lanes=1, precision=24)
    assert data == struct.pack("<QI", 2**47 + 5, 7)


@FORMS
def test_three_symbols_on_two_lanes_worked_by_hand(form):
    # Lane 0 holds symbols 2 and 0, lane 1 symbol 1. Widths of 2^2: (0, 4) costs nothing; 2^31 = 3 * 715827882 + 2.
    data = encode(form, [1, 0, 3], [3, 4, 1], n_lanes=2, precision=2)
    after_symbol_2 = 4 * 2**31 + 3
    after_symbol_0 = 4 * (after_symbol_2 // 3) + after_symbol_2 % 3 + 1
    assert data == struct.pack("<QQ", after_symbol_0, 2**31)
    decoder = form.RansDecoder(data, 2, 2)
    assert decoder.slots(2).tolist() == [after_symbol_0 % 4, 0]


@FORMS
def test_no_symbols_cost_the_states_only(form):
    data = form.RansEncoder(3, 16).finish()
    assert data == struct.pack("<QQQ", 2**31, 2**31, 2**31)
    form.RansDecoder(data, 3, 16).finish()


@FORMS
def test_certain_symbols_cost_nothing(form):
    # alphabet of one: the interval is everything
    data = encode(form, np.zeros(1000, int), np.full(1000, 1 << 24), n_lanes=4, precision=24)
    assert len(data) == 4 * 8
    assert (decode(form, data, np.array([0, 1 << 24]), 1000, 4, 24) == 0).all()


@st.composite
def messages(draw):
    """A distribution of any skew with symbols drawn from it or against it."""
    precision = draw(st.sampled_from([0, 1, 4, 12, 16, 20, 24]))
    alphabet_size = draw(st.integers(1, min(1 << precision, 1 << draw(st.sampled_from([1, 3, 8, 16])))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    skew = draw(st.sampled_from([0.0, 1.0, 8.0]))
    weights = (rng.random(alphabet_size) ** (1 + 4 * skew) * 1000).astype(np.int64)
    weights[rng.integers(alphabet_size)] += 1
    n = draw(st.integers(0, 200))
    if draw(st.booleans()):
        symbols = rng.integers(0, alphabet_size, n)  # many symbols of width 1
    else:
        symbols = rng.choice(alphabet_size, n, p=weights / weights.sum())
    return cdf_from_weights(weights, precision), symbols, draw(st.integers(1, 40)), precision


@settings(deadline=None, max_examples=150)
@given(messages())
def test_round_trip_and_equal_bytes(message):
    cdf, symbols, n_lanes, precision = message
    starts, freqs = intervals_of(cdf, symbols)
    data = encode(rans, starts, freqs, n_lanes, precision)
    assert encode(rans_kernels, starts, freqs, n_lanes, precision) == data
    for form in (rans, rans_kernels):
        assert (decode(form, data, cdf, symbols.size, n_lanes, precision) == symbols).all()
    decoder = rans_kernels.RansDecoder(data, n_lanes, precision)
    assert (decoder.decode_table(cdf, symbols.size) == symbols).all()
    decoder.finish()


def test_pushes_of_any_size_give_the_same_bytes():
    rng = np.random.default_rng(4)
    cdf = cdf_from_weights(rng.integers(0, 100, 50), 12)
    starts, freqs = intervals_of(cdf, rng.integers(0, 50, 1000))
    whole = encode(rans_kernels, starts, freqs, 7, 12)
    for form in (rans, rans_kernels):
        encoder = form.RansEncoder(7, 12)
        for begin in range(0, 1000, 13):
            encoder.push(starts[begin : begin + 13], freqs[begin : begin + 13])
        assert encoder.finish() == whole


@pytest.mark.parametrize("alphabet_size, precision", [(2, 12), (256, 16), (1 << 16, 24)])
def test_coded_length_is_ideal(alphabet_size, precision):
    rng = np.random.default_rng(alphabet_size)
    distance = np.abs(np.arange(alphabet_size) - alphabet_size // 3)
    cdf = cdf_from_weights((4e6 * np.exp2(-distance / (1 + alphabet_size / 16))).astype(np.int64) + 1, precision)
    probability = np.diff(cdf.astype(np.int64)) / 2**precision
    symbols = rng.choice(alphabet_size, 1_000_000, p=probability)
    ideal_bytes = -np.log2(probability[symbols]).sum() / 8
    n_lanes = 16
    data = encode(rans_kernels, *intervals_of(cdf, symbols), n_lanes, precision)
    # The states hold 31 bits each that say nothing, besides what they hold of the message.
    assert ideal_bytes * 0.9999 < len(data) < ideal_bytes * 1.0005 + 8 * n_lanes
    assert len(data) < ideal_bytes * 1.001
    decoder = rans_kernels.RansDecoder(data, n_lanes, precision)
    assert (decoder.decode_table(cdf, symbols.size) == symbols).all()
    decoder.finish()


@pytest.fixture(scope="module")
def section():
    rng = np.random.default_rng(9)
    cdf = cdf_from_weights(rng.integers(1, 1000, 64), 16)
    symbols = rng.integers(0, 64, 150)
    return encode(rans_kernels, *intervals_of(cdf, symbols), 3, 16), cdf, symbols


@FORMS
def test_every_prefix_is_truncated_or_corrupt(form, section):
    data, cdf, symbols = section
    for size in range(len(data)):
        whole_words = size >= 24 and (size - 24) % 4 == 0
        with pytest.raises(TruncatedStreamError if whole_words or size < 24 else CorruptStreamError):
            decode(form, data[:size], cdf, symbols.size, 3, 16)


@FORMS
def test_every_flipped_bit_gives_other_symbols_or_an_error(form, section):
    data, cdf, symbols = section
    n_errors = 0
    bits = range(0, 8 * len(data), 5)  # 5 and 8 share no factor: each byte, and each place in a byte, has its turn
    for bit in bits:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert (decode(form, bytes(damaged), cdf, symbols.size, 3, 16) != symbols).any()
        except CorruptStreamError:
            n_errors += 1
    assert n_errors > len(bits) / 2  # the final states give most of it away


@FORMS
def test_bytes_left_over_are_corrupt(form, section):
    data, cdf, symbols = section
    for extra in (b"\0", b"\0\0\0\0", bytes(8)):
        with pytest.raises(CorruptStreamError):
            decode(form, data + extra, cdf, symbols.size, 3, 16)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(1, 5), st.sampled_from([1, 8, 24]))
def test_any_bytes_decode_or_fail_alike(data, n_lanes, precision):
    cdf = cdf_from_weights(np.arange(1, 3), precision)
    outcomes = []
    for form in (rans, rans_kernels):
        try:
            outcomes.append(decode(form, data, cdf, 40, n_lanes, precision).tolist())
        except CorruptStreamError as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]


@FORMS
@pytest.mark.parametrize(
    "starts, freqs",
    [([0], [0]), ([-1], [2]), ([15], [2]), ([16], [1]), ([0], [17]), ([2**40], [1]), ([0, 1], [1]), ([0.0], [1.0])],
)
def test_impossible_intervals_are_refused(form, starts, freqs):
    with pytest.raises(UsageError):
        form.RansEncoder(1, 4).push(np.array(starts), np.array(freqs))


@FORMS
def test_an_interval_beside_the_slot_is_refused(form):
    data = encode(form, [1], [1], n_lanes=1, precision=4)
    decoder = form.RansDecoder(data, 1, 4)
    with pytest.raises(UsageError, match="slot"):
        decoder.advance(np.array([2]), np.array([3]))


@FORMS
@pytest.mark.parametrize("n_lanes, precision", [(0, 16), (2**16 + 1, 16), (1, 25), (1, -1)])
def test_parameters_out_of_range_are_refused(form, n_lanes, precision):
    with pytest.raises(UsageError):
        form.RansEncoder(n_lanes, precision)
    with pytest.raises(UsageError):
        form.RansDecoder(b"", n_lanes, precision)


def test_torchac_codes_the_same_distribution_as_long():
    torchac = pytest.importorskip("torchac", reason="torchac, the optional cross-check, is not installed")
    import torch

    rng = np.random.default_rng(2)
    cdf = cdf_from_weights(rng.integers(1, 1000, 100), 15)
    symbols = rng.choice(100, 20_000, p=np.diff(cdf.astype(np.int64)) / 2**15)
    ours = encode(rans_kernels, *intervals_of(cdf, symbols), 4, 15)
    table = torch.tensor(cdf.astype(np.int64) * 2).clamp(max=65535).to(torch.int32).to(torch.int16)
    theirs = torchac.encode_int16_normalized_cdf(
        table.expand(symbols.size, -1).contiguous(), torch.tensor(symbols, dtype=torch.int16)
    )
    assert abs(len(ours) / len(theirs) - 1) < 0.01
