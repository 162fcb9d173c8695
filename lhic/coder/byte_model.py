"""Bytes of any kind, smaller: texts, masks, tables, arrays of bytes.

Each bit is coded with a probability mixed from what followed the same contexts before; both adapt with every bit.  The
plan is that of Mahoney's lpaq (contexts, a match, a mixer, a refinement), in few integers and with a range coder.
`run` is the one function for both ways, in plain Python; `byte_kernels` compiles the same text.  Format v1:
docs/format_bytes.md, whose names these are.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lhic.coder.mixture import SIGMOID_TABLE

# Format v1: changing any of these changes every stream with packed bytes (docs/format_bytes.md).
N_CONTEXTS = 9
MAX_SLOT_BITS = 20  # log2 of the slots of a context: 36 MiB for all of them
COUNT_LIMIT = 127  # how often a slot was seen, as far as that counts
CONFIDENCE = (1, 2, 3, 4, 6, 9, 16, 32, 64)  # counts at which another weight is used
N_SETS = 5  # of weights, by the length of the match
FIRST_WEIGHT = 14000  # of 2^16
LEAST = 16  # probabilities lie in LEAST .. 2^16 - LEAST
MAX_STRETCH = 768  # 1/64 octaves
MAX_SQUASH = 1023
HALF = 1 << 29  # a slot: 22 bits of probability, 8 of the count
KNOTS = 33  # of a refinement
MATCH_BITS = 16
MIN_MATCH = 5
MAX_MATCH = 511


@cache
def tables() -> tuple[np.ndarray, ...]:
    """`squash` (of d + 1023), `stretch` (of 12 bits), `rate` and `confidence` (of a count), all int64."""
    upper = np.minimum(SIGMOID_TABLE[: MAX_SQUASH + 1] >> 8, (1 << 16) - LEAST)
    squash = np.concatenate([(1 << 16) - upper[:0:-1], upper])
    stretch = np.searchsorted(squash, 16 * np.arange(4096) + 8, side="right") - (MAX_SQUASH + 1)
    counts = np.arange(COUNT_LIMIT + 1)
    rate = (1 << 17) // (2 * counts + 3)
    confidence = np.searchsorted(CONFIDENCE, counts, side="right")
    return squash, stretch.clip(-MAX_STRETCH, MAX_STRETCH), rate, confidence


def slot_bits(n_bytes: int) -> int:
    """log2 of the slots of each context."""
    return min(n_bytes.bit_length() + 5, MAX_SLOT_BITS)


def run(
    decoding, plain, coded, stride, squash, stretch, rate, confidence, slots, weights, knots, matches, seen, *scratch
):
    """Code `plain` into `coded`, or the other way; how many bytes `coded` has, or -1.

    decoding : which way; -1 then means that `coded` is damaged, else that it has not enough room
    plain, coded : bytes to read, or to fill
    stride : bytes from one row to the next; 0 for a text with fields between commas
    squash, stretch, rate, confidence : `tables`
    slots, weights, knots, matches, seen, scratch : as `state` makes them
    """
    n_bytes, n_coded = len(plain), len(coded)
    row_bits = 0
    while N_CONTEXTS << (row_bits + 4) < len(slots):
        row_bits += 1
    hashes, places, inputs, used = scratch
    low, width, code, at = 0, 1 << 48, 0, 0
    if decoding:
        for k in range(6):
            code = code << 8 | (0 + coded[k] if k < n_coded else 0)
        at = 6
    match, length = 0, 0
    field, field_before = 0, 0
    c1 = c2 = c3 = c4 = c5 = c6 = 0
    for position in range(n_bytes):
        # Contexts: bytes before, and those above in an array or in the field before.
        above = above_left = above_right = 0
        up = position - stride
        if stride == 0:
            if c1 == 44 or c1 == 10 or c1 == 91:  # , newline [
                if not (c2 == 44 or c2 == 10 or c2 == 91):
                    field_before = field
                field = position
            up = field_before + position - field
            if up >= field:
                up = -1
        if up >= 0:
            above = 0 + plain[up]
            above_left = 0 + plain[up - 1] if up > 0 else 0
            above_right = 0 + plain[up + 1] if up + 1 < position else 0
        h = 0
        hashes[0] = h if stride == 0 else (position % stride + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        h = (h + c1 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[1] = h
        h = (h + c2 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[2] = h
        h = (h + c3 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[3] = h
        h = (h + c4 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[4] = h
        h = (h + c5 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        recent = h >> (32 - MATCH_BITS)
        hashes[5] = (h + c6 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        h = (above + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[6] = ((h + c1 + 1) * 0x2F0B4C47 + above_left + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[7] = (h + above_right + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        hashes[8] = (h + (c1 + above - above_left & 255) + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        if stride == 0:
            hashes[8] = (c2 + 1) * 0x2F0B4C47 & 0xFFFFFFFF
        # The match: where these bytes stood before.
        if match > 0:
            length = min(length + 1, MAX_MATCH) if plain[match] == c1 else 0
            match += 1
        if length == 0:
            candidate = matches[recent]
            while length < 32 and length < candidate and plain[candidate - 1 - length] == plain[position - 1 - length]:
                length += 1
            if length < MIN_MATCH:
                length = 0
            else:
                match = candidate
        matches[recent] = position
        has_match, expected = match > 0, 0
        if has_match:
            expected = 256 | plain[match]
        length_class = length if length < 16 else 16 + (length >> 5)
        shift = 12 + (position >= 512) + (position >= 8192) + (position >= 65536)

        partial, node = 1, 1
        for bit in range(8):
            if bit == 0 or bit == 4:
                for i in range(N_CONTEXTS):
                    h = (hashes[i] + partial) * 0x2F0B4C47 & 0xFFFFFFFF
                    places[i] = (i << row_bits | h >> (32 - row_bits)) << 4
                node = 1
            if has_match and expected >> (8 - bit) != partial:
                has_match = False
            which = 0
            if has_match:
                which = (length > 0) + (length > 15) + (length > 31) + (length > 399)
            total = 0
            for i in range(N_CONTEXTS):
                slot = slots[places[i] + node]
                inputs[i] = stretch[slot >> 18]
                used[i] = (which * (N_CONTEXTS + 1) + i) * 10 + confidence[slot & 255]
                total += weights[used[i]] * inputs[i]
            seen_at = 0
            if has_match:
                seen_at = 2 * length_class + (expected >> (7 - bit) & 1)
                slot = seen[seen_at]
                inputs[N_CONTEXTS] = stretch[slot >> 18]
                used[N_CONTEXTS] = (which * (N_CONTEXTS + 1) + N_CONTEXTS) * 10 + confidence[slot & 255]
                total += weights[used[N_CONTEXTS]] * inputs[N_CONTEXTS]
            total = min(max(total >> 16, -MAX_SQUASH), MAX_SQUASH)
            mixed = squash[total + MAX_SQUASH]
            knot = (which << 8 | partial) * KNOTS + (total + 1024 >> 6)
            fraction = total + 1024 & 63
            refined = knots[knot] * (64 - fraction) + knots[knot + 1] * fraction >> 6
            probability = min(max(mixed + refined >> 1, LEAST), (1 << 16) - LEAST)

            # The coder: the lower part of the interval is that of a 1.
            part = (width >> 16) * probability
            if decoding:
                y = 1 if code < part else 0
            else:
                y = plain[position] >> (7 - bit) & 1
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
                    code = code << 8 | (0 + coded[at] if at < n_coded else 0)
                else:
                    if at >= n_coded:
                        return -1
                    give_byte(coded, at, low)
                    low = (low & (1 << 40) - 1) << 8
                at += 1
                width <<= 8

            # Everything that was asked learns.
            error = (y << 16) - mixed
            for i in range(N_CONTEXTS + has_match):
                weights[used[i]] += inputs[i] * error + (1 << (shift - 1)) >> shift
            for i in range(N_CONTEXTS):
                slot = slots[places[i] + node]
                chance, count = slot >> 8, slot & 255
                chance += ((y << 22) - chance) * rate[count] >> 16
                slots[places[i] + node] = chance << 8 | min(count + 1, COUNT_LIMIT)
            if has_match:
                chance, count = seen[seen_at] >> 8, seen[seen_at] & 255
                chance += ((y << 22) - chance) * rate[count] >> 16
                seen[seen_at] = chance << 8 | min(count + 1, COUNT_LIMIT)
            knot += fraction >> 5
            knots[knot] += (y << 16) - knots[knot] >> 6
            partial, node = partial << 1 | y, node << 1 | y
        byte = partial & 255
        if decoding:
            plain[position] = byte
        c6, c5, c4, c3, c2, c1 = c5, c4, c3, c2, c1, byte

    if decoding:
        return n_coded if at == n_coded + 5 and code < 1 << 40 else -1
    if at >= n_coded:
        return -1
    give_byte(coded, at, low + (1 << 40) - 1)
    return at + 1


def give_byte(coded, at, low):
    """Write the top byte of `low`, which has 48 bits, and one more that is added to the bytes before."""
    if low >= 1 << 48:
        k = at - 1
        while coded[k] == 255:
            coded[k] = 0
            k -= 1
        coded[k] += 1
    coded[at] = low >> 40 & 255


def state(n_bytes: int) -> tuple[np.ndarray, ...]:
    """`slots`, `weights`, `knots`, `matches` and `seen` before the first bit, and room for what is at hand."""
    squash = tables()[0]
    knots = squash[np.clip(64 * np.arange(KNOTS) - 1024, -MAX_SQUASH, MAX_SQUASH) + MAX_SQUASH]
    return (
        np.full(N_CONTEXTS << slot_bits(n_bytes), HALF, np.int32),
        np.full(N_SETS * (N_CONTEXTS + 1) * (len(CONFIDENCE) + 1), FIRST_WEIGHT, np.int64),
        np.tile(knots, N_SETS << 8),
        np.zeros(1 << MATCH_BITS, np.int64),
        np.full(2 * 32, HALF, np.int32),
        *np.zeros((4, N_CONTEXTS + 1), np.int64),
    )
