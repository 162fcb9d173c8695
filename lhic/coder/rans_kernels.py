"""The coder of `rans`, compiled: same bytes, tens of millions of symbols per second.

Also the primitives `peek` and `advance` for kernels that find symbols themselves (a mixture, an
adaptive model): such a kernel takes ``decoder.states``, ``decoder.words`` and ``decoder.cursor``
and returns the status of the first `advance` that failed.

States are int64 here.  A state at rest is below 2^63, so nothing is lost, and numba would turn a
mix of uint64 and int64 into float64.
"""

from __future__ import annotations

import numpy as np

from lhic.coder.rans import (
    LOWER_BOUND,
    LOWER_BOUND_LOG2,
    WORD_BITS,
    check_coder,
    check_finished,
    check_intervals,
    split_section,
    words_ran_out,
)
from lhic.errors import UsageError
from lhic.kernels.jit import njit

# Index into `cursor`, the int64 array of a decoder's two counters.
N_SYMBOLS = 0  # symbols decoded so far; the next one belongs to lane n_symbols % n_lanes
N_WORDS = 1  # words read so far


@njit(inline="always")
def peek(states, lane, precision):
    """Slot of the lane's next symbol, in [0, 2^precision)."""
    return states[lane] & ((np.int64(1) << precision) - 1)


@njit(inline="always")
def advance(states, lane, words, cursor, start, freq, precision):
    """Step the lane over an interval that holds its slot; False if the words ran out.

    The new state is below 2^63: freq * (state >> P) + slot - start < freq * 2^(63 - P) <= 2^63.
    """
    state = states[lane]
    state = freq * (state >> precision) + (state & ((np.int64(1) << precision) - 1)) - start
    if state < LOWER_BOUND:
        if cursor[N_WORDS] >= words.size:
            return False
        state = (state << WORD_BITS) | np.int64(words[cursor[N_WORDS]])
        cursor[N_WORDS] += 1
    states[lane] = state
    cursor[N_SYMBOLS] += 1
    return True


@njit
def _encode_backwards(starts, freqs, states, precision, words):
    """Code one part of the message from its end; `words` fills from its end; returns the words left unused.

    The part must begin at a multiple of n_lanes; `words` needs room for one word per symbol.
    """
    n_lanes = states.size
    n_free = words.size
    shift = LOWER_BOUND_LOG2 + WORD_BITS - precision
    lane = (starts.size - 1) % n_lanes
    for i in range(starts.size - 1, -1, -1):
        state = np.uint64(states[lane])
        freq = np.uint64(freqs[i])
        if (state >> np.uint64(shift)) >= freq:  # state >= freq * 2^shift, which itself may be 2^63
            n_free -= 1
            words[n_free] = np.uint32(state & np.uint64(0xFFFFFFFF))
            state >>= np.uint64(WORD_BITS)
        quotient = state // freq
        states[lane] = np.int64((quotient << np.uint64(precision)) + (state - quotient * freq) + np.uint64(starts[i]))
        lane = lane - 1 if lane else n_lanes - 1
    return n_free


@njit
def _peek_many(states, first_symbol, n, precision):
    slots = np.empty(n, np.int64)
    for i in range(n):
        slots[i] = peek(states, (first_symbol + i) % states.size, precision)
    return slots


@njit
def _advance_many(states, words, cursor, starts, freqs, precision):
    """Symbols stepped over, and why no more: 0 all done, 1 the slot is outside the interval, 2 words ran out."""
    lane = cursor[N_SYMBOLS] % states.size
    for i in range(starts.size):
        start, freq = np.int64(starts[i]), np.int64(freqs[i])
        offset = peek(states, lane, precision) - start
        if offset < 0 or offset >= freq:
            return i, 1
        if not advance(states, lane, words, cursor, start, freq, precision):
            return i, 2
        lane = lane + 1 if lane + 1 < states.size else 0
    return starts.size, 0


@njit
def _decode_table(states, words, cursor, cdf, symbol_of_bucket, bucket_bits, precision, symbols):
    """Decode symbols of one fixed distribution; False if the words ran out.

    `symbol_of_bucket` gives the symbol at the first slot of each bucket of 2^bucket_bits slots; from there
    the search walks upwards.
    """
    lane = cursor[N_SYMBOLS] % states.size
    for i in range(symbols.size):
        slot = peek(states, lane, precision)
        symbol = symbol_of_bucket[slot >> bucket_bits]
        while np.int64(cdf[symbol + 1]) <= slot:
            symbol += 1
        start = np.int64(cdf[symbol])
        if not advance(states, lane, words, cursor, start, np.int64(cdf[symbol + 1]) - start, precision):
            return False
        symbols[i] = symbol
        lane = lane + 1 if lane + 1 < states.size else 0
    return True


class RansEncoder:
    """Like `rans.RansEncoder`, byte for byte."""

    def __init__(self, n_lanes: int, precision: int):
        check_coder(n_lanes, precision)
        self.n_lanes = n_lanes
        self.precision = precision
        self._starts: list[np.ndarray] = []
        self._freqs: list[np.ndarray] = []

    def push(self, starts, freqs) -> None:
        """Append symbols in decoding order; see `rans.RansEncoder.push`."""
        starts, freqs = check_intervals(starts, freqs, self.precision)
        self._starts.append(starts)
        self._freqs.append(freqs)

    def finish(self) -> bytes:
        """Return the section (docs/format_rans.md)."""
        starts = np.concatenate([*self._starts, np.empty(0, np.uint32)])
        freqs = np.concatenate([*self._freqs, np.empty(0, np.uint32)])
        states = np.full(self.n_lanes, LOWER_BOUND, np.int64)
        words = np.empty(starts.size, np.uint32)  # a symbol gives away one word at most
        n_free = _encode_backwards(starts, freqs, states, self.precision, words)
        return states.astype("<u8").tobytes() + words[n_free:].astype("<u4").tobytes()


class RansDecoder:
    """Like `rans.RansDecoder`, and open to kernels through its arrays.

    Attributes
    ----------
    states : int64 array (n_lanes,), each in [2^31, 2^63)
    words : uint32 array (n_words,)
    cursor : int64 array (2,): symbols decoded, words read
    """

    def __init__(self, data: bytes, n_lanes: int, precision: int):
        check_coder(n_lanes, precision)
        self.n_lanes = n_lanes
        self.precision = precision
        self.states, self.words = split_section(data, n_lanes)
        self.cursor = np.zeros(2, np.int64)

    @property
    def n_symbols(self) -> int:
        """Symbols decoded so far."""
        return int(self.cursor[N_SYMBOLS])

    def slots(self, n: int) -> np.ndarray:
        """Return the slots of the next n symbols, ``n <= n_lanes``; see `rans.RansDecoder.slots`."""
        if not 0 <= n <= self.n_lanes:
            raise UsageError(f"slots: expected at most one symbol per lane ({self.n_lanes}), found {n}")
        return _peek_many(self.states, self.cursor[N_SYMBOLS], n, self.precision)

    def advance(self, starts, freqs) -> None:
        """Step over symbols with these intervals, which must hold the slots."""
        starts, freqs = check_intervals(starts, freqs, self.precision)
        done, status = _advance_many(self.states, self.words, self.cursor, starts, freqs, self.precision)
        if status == 1:
            raise UsageError(
                f"symbol {self.n_symbols}: expected an interval around its slot, "
                f"found start {starts[done]}, freq {freqs[done]}"
            )
        if status == 2:
            raise self.words_ran_out()

    def decode_table(self, cdf, n: int) -> np.ndarray:
        """Decode n symbols of one fixed distribution.

        cdf : uint32 array (alphabet_size + 1,) from 0 to 2^precision, rising (`cdf.cdf_from_weights`).
        Returns an int32 array (n,).
        """
        cdf = np.ascontiguousarray(cdf, np.uint32)
        total = 1 << self.precision
        if cdf.ndim != 1 or cdf.size < 2 or cdf[0] != 0 or cdf[-1] != total or (cdf[1:] <= cdf[:-1]).any():
            raise UsageError(f"cdf: expected a flat array rising from 0 to {total}, found another")
        bucket_bits = max(self.precision - 12, 0)
        first_slots = np.arange(1 << (self.precision - bucket_bits), dtype=np.uint32) << np.uint32(bucket_bits)
        symbol_of_bucket = (np.searchsorted(cdf, first_slots, side="right") - 1).astype(np.int64)
        symbols = np.empty(n, np.int32)
        if not _decode_table(
            self.states, self.words, self.cursor, cdf, symbol_of_bucket, bucket_bits, self.precision, symbols
        ):
            raise self.words_ran_out()
        return symbols

    def words_ran_out(self) -> Exception:
        """The error for a kernel that returned because `advance` did."""
        return words_ran_out(self.n_symbols)

    def finish(self) -> None:
        """Raise CorruptStreamError unless the section is used up and every lane is at its initial state."""
        check_finished(self.states, int(self.cursor[N_WORDS]), self.words.size)
