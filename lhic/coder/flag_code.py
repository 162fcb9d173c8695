"""Flags that come in runs or at regular distances, to few bytes and back: levels that a plane has or lacks.

The chance of each is mixed from what followed the same last flags, the same run, and the same flags a period before;
all three learn from it.  One kernel for both ways.  Format v1: docs/format_bytes.md, section 7, whose names these are.
"""

from __future__ import annotations

import numpy as np

from lhic.coder.byte_kernels import give_byte
from lhic.coder.byte_model import HALF, MAX_SQUASH, tables
from lhic.kernels.jit import njit

# Format v1: changing any of these changes every stream with a list of levels (docs/format_bytes.md).
HISTORY = 12  # flags before one that are a context
MAX_RUN = 63
LAST_OF_PLACE = 4  # flags before one that are a context together with those a period before
COUNT_LIMIT = 30  # how often a slot was seen, as far as that counts
FIRST_WEIGHT = 24000  # of 2^16
WEIGHT_SHIFT = 13
RUNS_AT = 1 << HISTORY  # slots: of the last flags, of runs, of places
PLACES_AT = RUNS_AT + 2 * (MAX_RUN + 1) ** 2
N_SLOTS = PLACES_AT + (8 << LAST_OF_PLACE)

MAX_PERIOD = 512
MOST_LOOKED_AT = 1 << 14
"""An encoder's choice: rare flags that say which period is the likeliest."""


def encode_flags(flags: np.ndarray, period: int) -> bytes:
    """The coded flags.

    flags : bool (n,)
    period : after how many flags they are often the same, 2 .. n - 1, or 0

    >>> flags = np.arange(1000) % 7 > 0
    >>> coded = encode_flags(flags, 7)
    >>> len(coded) < 20 and bool((decode_flags(coded, 1000, 7) == flags).all())
    True
    """
    coded = np.empty(3 * len(flags) // 2 + 8, np.uint8)  # no flag takes more than 12 bits
    return coded[: int(_run(False, flags, coded, period, *_state()))].tobytes()


def decode_flags(coded: bytes, n: int, period: int) -> np.ndarray | None:
    """Inverse of `encode_flags`: bool (n,); None if no n flags give these bytes."""
    flags = np.empty(n, bool)
    return None if _run(True, flags, np.frombuffer(bytearray(coded), np.uint8), period, *_state()) < 0 else flags


def likeliest_period(flags: np.ndarray) -> int:
    """The distance at which the rarer flags have another most often; 0 if not even half of those looked at have."""
    n_set = int(np.count_nonzero(flags))
    places = np.flatnonzero(flags if 2 * n_set <= len(flags) else ~flags)[:MOST_LOOKED_AT]
    found = _distances(places)
    best = int(found.argmax())
    return best if best > 1 and 2 * found[best] > len(places) else 0


def _state() -> tuple[np.ndarray, ...]:
    squash, stretch, rate, _ = tables()
    return squash, stretch, rate, np.full(N_SLOTS, HALF, np.int32)


@njit(nogil=True)
def _distances(places):
    """How many pairs of places lie 0 .. MAX_PERIOD - 1 apart."""
    found = np.zeros(MAX_PERIOD, np.int64)
    for i in range(len(places)):
        for k in range(i + 1, len(places)):
            distance = places[k] - places[i]
            if distance >= MAX_PERIOD:
                break
            found[distance] += 1
    return found


@njit(nogil=True)
def _run(decoding, flags, coded, period, squash, stretch, rate, slots):
    """Code `flags` into `coded`, or the other way; how many bytes `coded` has, or -1: damaged, or no room."""
    n_coded = len(coded)
    low, width, code, at = 0, 1 << 48, 0, 0
    if decoding:
        for at in range(6):
            code = code << 8 | (np.int64(coded[at]) if at < n_coded else 0)
        at = 6
    weight_0 = weight_1 = weight_2 = FIRST_WEIGHT
    recent = value = run = 0
    runs_0 = runs_1 = 0  # the last finished runs of each value
    for t in range(len(flags)):
        around = 0
        if period > 0 and t > period:
            around = flags[t - period - 1] << 2 | flags[t - period] << 1 | flags[t - period + 1]
        elif period > 0 and t == period:
            around = flags[0] << 1 | flags[1]
        elif period > 0 and t == period - 1:
            around = np.int64(flags[0])
        place_0 = recent
        place_1 = RUNS_AT + (value * (MAX_RUN + 1) + run) * (MAX_RUN + 1) + (runs_1 if value else runs_0)
        place_2 = PLACES_AT + (around << LAST_OF_PLACE) + (recent & (1 << LAST_OF_PLACE) - 1)
        slot_0, slot_1, slot_2 = np.int64(slots[place_0]), np.int64(slots[place_1]), np.int64(slots[place_2])
        input_0, input_1, input_2 = stretch[slot_0 >> 18], stretch[slot_1 >> 18], stretch[slot_2 >> 18]
        total = weight_0 * input_0 + weight_1 * input_1 + weight_2 * input_2 >> 16
        mixed = squash[min(max(total, -MAX_SQUASH), MAX_SQUASH) + MAX_SQUASH]
        part = (width >> 16) * mixed
        y = np.int64(code < part) if decoding else np.int64(flags[t])
        if y:
            width = part
        else:
            low += part
            code -= part
            width -= part
        while width < 1 << 40:
            if decoding:
                if at >= n_coded + 5:
                    return -1
                code = code << 8 | (np.int64(coded[at]) if at < n_coded else 0)
            else:
                if at >= n_coded:
                    return -1
                give_byte(coded, at, low)
                low = (low & (1 << 40) - 1) << 8
            at += 1
            width <<= 8

        error = (y << 16) - mixed
        half = 1 << WEIGHT_SHIFT - 1
        weight_0 += input_0 * error + half >> WEIGHT_SHIFT
        weight_1 += input_1 * error + half >> WEIGHT_SHIFT
        weight_2 += input_2 * error + half >> WEIGHT_SHIFT
        slots[place_0] = _learned(slot_0, y, rate)
        slots[place_1] = _learned(slot_1, y, rate)
        slots[place_2] = _learned(slot_2, y, rate)
        recent = (recent << 1 | y) & (1 << HISTORY) - 1
        if y == value:
            run = min(run + 1, MAX_RUN)
        else:
            if value:
                runs_1 = run
            else:
                runs_0 = run
            value, run = y, 1
        if decoding:
            flags[t] = y
    if decoding:
        return n_coded if at == n_coded + 5 and code < 1 << 40 else -1
    if at >= n_coded:
        return -1
    give_byte(coded, at, low + (1 << 40) - 1)
    return at + 1


@njit(nogil=True)
def _learned(slot, y, rate):
    chance, count = slot >> 8, slot & 255
    return (chance + (((y << 22) - chance) * rate[count] >> 16)) << 8 | min(count + 1, COUNT_LIMIT)
