"""Range asymmetric numeral system with interleaved lanes: the readable reference.

Decides the bytes of a coded section, given the interval of each symbol.  Knows nothing of models,
symbols or distributions.  `rans_kernels` writes and reads the same bytes, faster.

Source: J. Duda, "Asymmetric numeral systems", arXiv:1311.2540 (the recurrence); F. Giesen,
"Interleaved entropy coders", arXiv:1402.3392 (the lanes).  Byte layout: docs/format_rans.md.
"""

from __future__ import annotations

import numpy as np

from lhic.errors import CorruptStreamError, TruncatedStreamError, UsageError

# Format v1: changing any of these changes every stream (docs/format_rans.md).
STATE_BYTES = 8
WORD_BYTES = 4
WORD_BITS = 32
LOWER_BOUND_LOG2 = 31
LOWER_BOUND = 1 << LOWER_BOUND_LOG2  # a state at rest lies in [2^31, 2^63)
UPPER_BOUND = LOWER_BOUND << WORD_BITS

# One word refills any state: the smallest one after a symbol is 2^(31 - 24), and 2^(7 + 32) >= 2^31.
MAX_PRECISION = 24
MAX_LANES = 1 << 16


def check_coder(n_lanes: int, precision: int) -> None:
    """Raise UsageError unless the coder's two parameters are in range."""
    if not 1 <= n_lanes <= MAX_LANES:
        raise UsageError(f"n_lanes: expected 1 .. {MAX_LANES}, found {n_lanes}")
    if not 0 <= precision <= MAX_PRECISION:
        raise UsageError(f"precision: expected 0 .. {MAX_PRECISION}, found {precision}")


def check_intervals(starts, freqs, precision: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals as two flat uint32 arrays, or raise UsageError if one is not inside [0, 2^precision)."""
    starts, freqs = np.atleast_1d(starts), np.atleast_1d(freqs)
    for name, values in (("starts", starts), ("freqs", freqs)):
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise UsageError(f"{name}: expected a flat integer array, found {values.dtype} of shape {values.shape}")
    if starts.size != freqs.size:
        raise UsageError(f"expected as many starts as freqs, found {starts.size} and {freqs.size}")
    if starts.size:
        total = 1 << precision
        starts, freqs = starts.astype(np.int64, copy=False), freqs.astype(np.int64, copy=False)
        # Each is bounded by 2^24 on its own before the sum, so the sum cannot wrap.
        bad = (starts < 0) | (freqs < 1) | (starts >= total) | (freqs > total)
        bad |= ~bad & (starts + freqs > total)
        if bad.any():
            i = int(np.argmax(bad))
            raise UsageError(
                f"symbol {i}: expected 0 <= start < start + freq <= {total}, found start {starts[i]}, freq {freqs[i]}"
            )
    return starts.astype(np.uint32), freqs.astype(np.uint32)


def split_section(data: bytes, n_lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a section into its lane states (int64, n_lanes) and its words (uint32), both checked for size and range."""
    data = bytes(data)
    state_bytes = STATE_BYTES * n_lanes
    if len(data) < state_bytes:
        raise TruncatedStreamError(
            f"coded section: expected {state_bytes} bytes of states for {n_lanes} lanes, found {len(data)}"
        )
    if (len(data) - state_bytes) % WORD_BYTES:
        raise CorruptStreamError(
            f"coded section: expected whole {WORD_BYTES}-byte words after {state_bytes} bytes of states, "
            f"found {len(data) - state_bytes} bytes"
        )
    states = np.frombuffer(data, "<u8", n_lanes).astype(np.uint64)
    bad = (states < LOWER_BOUND) | (states >= UPPER_BOUND)
    if bad.any():
        lane = int(np.argmax(bad))
        raise CorruptStreamError(f"coded section, lane {lane}: expected a state in [2^31, 2^63), found {states[lane]}")
    return states.astype(np.int64), np.frombuffer(data, "<u4", offset=state_bytes).astype(np.uint32)


def check_finished(states, n_words_read: int, n_words: int) -> None:
    """Raise CorruptStreamError unless every word was read and every lane is back where the encoder began."""
    if n_words_read != n_words:
        raise CorruptStreamError(f"coded section: expected all {n_words} words to be used, found {n_words_read} used")
    for lane, state in enumerate(states):
        if int(state) != LOWER_BOUND:
            raise CorruptStreamError(f"coded section, lane {lane}: expected the final state 2^31, found {int(state)}")


def words_ran_out(symbol: int) -> TruncatedStreamError:
    """The error for a section whose words do not suffice for symbol number `symbol`."""
    return TruncatedStreamError(f"coded section: expected another word at symbol {symbol}, found the end")


class RansEncoder:
    """Collects intervals in decoding order; codes them backwards when finished.

    Symbol number i, counted over all calls of `push`, belongs to lane ``i % n_lanes``.

    >>> encoder = RansEncoder(n_lanes=1, precision=2)
    >>> encoder.push([1], [1])
    >>> encoder.finish().hex()
    '0100000002000000'
    """

    def __init__(self, n_lanes: int, precision: int):
        check_coder(n_lanes, precision)
        self.n_lanes = n_lanes
        self.precision = precision
        self._starts: list[np.ndarray] = []
        self._freqs: list[np.ndarray] = []

    def push(self, starts, freqs) -> None:
        """Append symbols given as integer arrays (n,): ``0 <= start < start + freq <= 2^precision``.

        Raises
        ------
        UsageError
            If an interval is empty or not inside the range, or the arrays are not flat, integer and of one length.
        """
        starts, freqs = check_intervals(starts, freqs, self.precision)
        self._starts.append(starts)
        self._freqs.append(freqs)

    def finish(self) -> bytes:
        """Return the section: the states of the lanes, then the words in the order a decoder reads them."""
        starts = [int(start) for part in self._starts for start in part]
        freqs = [int(freq) for part in self._freqs for freq in part]
        states = [LOWER_BOUND] * self.n_lanes
        words = []
        for i in reversed(range(len(starts))):
            lane = i % self.n_lanes
            state, start, freq = states[lane], starts[i], freqs[i]
            # Give a word away if the state would leave [2^31, 2^63) otherwise.
            if state >= freq << (LOWER_BOUND_LOG2 + WORD_BITS - self.precision):
                words.append(state & 0xFFFFFFFF)
                state >>= WORD_BITS
            states[lane] = (state // freq << self.precision) + state % freq + start
        return np.array(states, "<u8").tobytes() + np.array(words[::-1], "<u4").tobytes()


class RansDecoder:
    """Reads a section symbol by symbol: look at the slots, find the symbols, then advance.

    >>> decoder = RansDecoder(bytes.fromhex("0100000002000000"), n_lanes=1, precision=2)
    >>> decoder.slots(1)
    array([1])
    >>> decoder.advance([1], [1])
    >>> decoder.finish()

    Raises
    ------
    TruncatedStreamError
        If the section is shorter than its states (here), or its words run out (`advance`).
    CorruptStreamError
        If a state is out of range or the words are not whole.
    """

    def __init__(self, data: bytes, n_lanes: int, precision: int):
        check_coder(n_lanes, precision)
        self.n_lanes = n_lanes
        self.precision = precision
        self.n_symbols = 0
        self._n_words_read = 0
        states, words = split_section(data, n_lanes)
        self._states, self._words = states.tolist(), words.tolist()

    def slots(self, n: int) -> np.ndarray:
        """Return the slots (int64, (n,), in [0, 2^precision)) of the next n symbols, ``n <= n_lanes``.

        A symbol whose interval holds the slot is the next one.  More than n_lanes symbols cannot be
        looked at together, because the lanes of the later ones have to advance first.
        """
        if not 0 <= n <= self.n_lanes:
            raise UsageError(f"slots: expected at most one symbol per lane ({self.n_lanes}), found {n}")
        lanes = [(self.n_symbols + i) % self.n_lanes for i in range(n)]
        return np.array([self._states[lane] & ((1 << self.precision) - 1) for lane in lanes], np.int64)

    def advance(self, starts, freqs) -> None:
        """Step over symbols with these intervals, which must hold the slots."""
        starts, freqs = check_intervals(starts, freqs, self.precision)
        for start, freq in zip(starts.tolist(), freqs.tolist(), strict=True):
            lane = self.n_symbols % self.n_lanes
            state = self._states[lane]
            offset = (state & ((1 << self.precision) - 1)) - start
            if not 0 <= offset < freq:
                raise UsageError(
                    f"symbol {self.n_symbols}: expected an interval around slot {start + offset}, "
                    f"found start {start}, freq {freq}"
                )
            state = freq * (state >> self.precision) + offset
            if state < LOWER_BOUND:
                if self._n_words_read == len(self._words):
                    raise words_ran_out(self.n_symbols)
                state = state << WORD_BITS | self._words[self._n_words_read]
                self._n_words_read += 1
            self._states[lane] = state
            self.n_symbols += 1

    def finish(self) -> None:
        """Raise CorruptStreamError unless the section is used up and every lane is at its initial state."""
        check_finished(self._states, self._n_words_read, len(self._words))
