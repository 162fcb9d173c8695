"""Intervals of a step's samples, the decoder of a step, the encoder of whole streams.

One program of the decoder and of the encoder works on one stream (a group of a tile): its lanes lie side by side in a
vector and keep their states in registers.  No search runs longer than its fixed number of rounds, whatever the stream
holds.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu.constants import LOWER_BOUND, LOWER_BOUND_LOG2, PLANE_LAG, PRECISION, TOTAL, WORD_BITS
from lhic.families.ax.gpu.mixture import cumulative, load_mixtures
from lhic.families.ax.gpu.pictures import first_plane, place_of

EMIT_SHIFT = tl.constexpr(LOWER_BOUND_LOG2.value + WORD_BITS.value - PRECISION.value)
WORD_MASK = tl.constexpr((1 << WORD_BITS.value) - 1)
NEVER = tl.constexpr(1 << 62)  # the symbol at which a stream's words ran out, while they have not


@triton.jit
def find_intervals(
    step, values, levels, components, is_coded, n_levels, first_level, table_starts, table, sigmoid,
    given, widths, intervals,
    n_planes, n_active, n_most, n_rows, n_columns, waves,
    K: tl.constexpr, MIXTURES: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """Intervals of one plane's wave, by place, and its known values (section 7)."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - PLANE_LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    row = (tile * n_active + slot) * n_most + q
    i, j, _there = place_of(z, wave, n_rows, n_columns, q)
    used = (q < n_most) & (tl.load(is_coded + row, mask=q < n_most, other=0) != 0)
    n = tl.load(n_levels + plane)
    first, table_start = tl.load(first_level + plane), tl.load(table_starts + plane)
    place = (plane * n_rows + i) * n_columns + j
    tl.store(given + row, tl.load(values + place, mask=used, other=0).to(tl.int64), mask=used)
    level = tl.load(levels + place, mask=used, other=0)
    which = tl.arange(0, 2)[None, :]
    mean, mantissa, shift, weight = load_mixtures(components, row, used, K, MIXTURES)
    found = cumulative(
        level[:, None] + which, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid
    )  # fmt: skip
    start = tl.sum(tl.where(which == 0, found, 0), 1)
    width = tl.sum(tl.where(which == 1, found, 0), 1) - start
    tl.store(widths + row, width.to(tl.int64), mask=used)
    # A tile's room has one place more than it has samples.
    out = intervals + (place + tile) * 2
    tl.store(out, start, mask=used)
    tl.store(out + 1, width, mask=used)


@triton.jit
def _fetch(i, begin, end, row, own_places, components, K: tl.constexpr, MIXTURES: tl.constexpr):
    """Samples of the symbols i (lanes,) of a wave that has those from `begin` to `end`, and their mixtures."""
    active = (i >= begin) & (i < end)
    sample = row + tl.load(own_places + tl.maximum(i - begin, 0), mask=active, other=0)
    mean, mantissa, shift, weight = load_mixtures(components, sample, active, K, MIXTURES)
    return sample, mean, mantissa, shift, weight


@triton.jit
def decode_step(
    step, components, decoded, widths, counts, places, n_levels, first_level, table_starts, table, sigmoid,
    stream_ends, states, words, word_starts, cursors, failed,
    n_planes, n_active, n_most, waves, n_lanes,
    LANES: tl.constexpr, WIDTH: tl.constexpr, LOG_WIDTH: tl.constexpr, K: tl.constexpr, MIXTURES: tl.constexpr,
    ROUNDS: tl.constexpr,
):  # fmt: skip
    """Decode one step of one stream.

    A round takes the symbols of all lanes.  A search compares WIDTH levels of each lane at once: F(level) <= slot <
    high, and WIDTH times fewer levels between after each of its ROUNDS.  What a round needs from memory is asked for a
    round earlier, for the rounds of a stream wait for each other; MIXTURES is K up to a power of two.
    """
    stream = tl.program_id(0)
    tile = tl.load(stream_ends + 3 * stream)
    first_of_stream = tl.load(stream_ends + 3 * stream + 1)
    end_plane = tl.load(stream_ends + 3 * stream + 2)
    t = tl.load(step)
    first_active = first_plane(t, waves, n_planes, n_active)
    failed_at = tl.load(failed + stream)
    first_of_stream = tl.maximum(first_of_stream, first_active)
    end_plane = tl.minimum(end_plane, first_active + n_active)
    end_plane = tl.where(failed_at < NEVER, first_of_stream, end_plane)
    lane = tl.arange(0, LANES)
    exists = lane < n_lanes
    # Symbols of lanes that are not there are behind all others.
    place_in_round = tl.where(exists, lane, 1 << 30).to(tl.int64)
    of_width = tl.arange(0, WIDTH)[None, :]
    state = tl.load(states + stream * n_lanes + lane, mask=exists, other=LOWER_BOUND)
    n_symbols = tl.load(cursors + 2 * stream)
    n_words = tl.load(cursors + 2 * stream + 1)
    own_words = words + tl.load(word_starts + stream)
    size = tl.load(word_starts + stream + 1) - tl.load(word_starts + stream)
    zero = lane * 0
    for z in range(first_of_stream, end_plane):
        wave = t - PLANE_LAG * z
        count = tl.load(counts + tile * waves + wave, mask=(wave >= 0) & (wave < waves), other=0).to(tl.int64)
        n = tl.load(n_levels + tile * n_planes + z)
        first = tl.load(first_level + tile * n_planes + z)
        table_start = tl.load(table_starts + tile * n_planes + z)
        begin = n_symbols
        end = begin + count
        row = (tile * n_active + z - first_active) * n_most
        own_places = places + (tile * waves + wave) * n_most
        first_base = begin // n_lanes * n_lanes
        sample, mean, mantissa, shift, weight = _fetch(
            first_base + place_in_round, begin, end, row, own_places, components, K, MIXTURES
        )
        for base in range(first_base, end, n_lanes):
            i = base + place_in_round
            active = (i >= begin) & (i < end)
            next_sample, next_mean, next_mantissa, next_shift, next_weight = _fetch(
                i + n_lanes, begin, end, row, own_places, components, K, MIXTURES
            )
            ahead = tl.load(own_words + n_words + lane, mask=exists & (n_words + lane < size), other=0)
            slot = (state & (TOTAL - 1)).to(tl.int32)

            level = zero
            low = zero
            high = zero + TOTAL
            for k in tl.static_range(ROUNDS):
                stride = 1 << (LOG_WIDTH * (ROUNDS - 1 - k))
                looked = level[:, None] + of_width * stride
                found = cumulative(looked, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid)
                below = found <= slot[:, None]
                level += (tl.sum(below.to(tl.int32), 1) - 1) * stride
                low = tl.max(tl.where(below, found, 0), 1)
                high = tl.minimum(high, tl.min(tl.where(below, TOTAL, found), 1))
            if table_start < 0:
                value = first + level
            else:
                value = tl.load(table + table_start + level, mask=active, other=0)
            tl.store(decoded + sample, value, mask=active)
            start = low.to(tl.int64)
            width = (high - low).to(tl.int64)
            tl.store(widths + sample, width, mask=active)

            stepped = width * (state >> PRECISION) + slot - start
            needs = active & (stepped < LOWER_BOUND)
            asked = needs.to(tl.int32)
            place = tl.cumsum(asked, 0) - asked
            word = tl.gather(ahead, place, 0).to(tl.int64) & WORD_MASK
            stepped = tl.where(needs, (stepped << WORD_BITS) | word, stepped)
            state = tl.where(active, stepped, state)
            failed_at = tl.minimum(failed_at, tl.min(tl.where(needs & (n_words + place >= size), i, NEVER), 0))
            n_words += tl.sum(asked, 0)
            sample, mean, mantissa, shift, weight = next_sample, next_mean, next_mantissa, next_shift, next_weight
        n_symbols = end
    tl.store(states + stream * n_lanes + lane, state, mask=exists)
    tl.store(cursors + 2 * stream, n_symbols)
    tl.store(cursors + 2 * stream + 1, tl.minimum(n_words, size))
    tl.store(failed + stream, failed_at)


@triton.jit
def encode_stream(
    intervals, counts, places, stream_ends, n_symbols, states, words, word_starts, n_free,
    n_planes, n_rows, n_columns, n_most, waves, n_lanes,
    LANES: tl.constexpr,
):  # fmt: skip
    """Code all symbols of one stream from its last (docs/format_rans.md, section 3).

    intervals : int32 (n, P * H * W + 1, 2), starts and freqs, by place
    words : filled from the end of each stream's room, of which `n_free` stay unused
    """
    stream = tl.program_id(0)
    tile = tl.load(stream_ends + 3 * stream)
    first_plane = tl.load(stream_ends + 3 * stream + 1)
    end_plane = tl.load(stream_ends + 3 * stream + 2)
    lane = tl.arange(0, LANES)
    exists = lane < n_lanes
    state = tl.full((LANES,), LOWER_BOUND, tl.int64)
    own_words = words + tl.load(word_starts + stream)
    free = tl.load(word_starts + stream + 1) - tl.load(word_starts + stream)
    end = tl.load(n_symbols + stream)
    own = intervals + tile * (n_planes * n_rows * n_columns + 1) * 2
    n_own = end_plane - first_plane
    n_steps = waves + PLANE_LAG * (n_own - 1)
    for back in range(0, n_steps * n_own):
        t = n_steps - 1 - back // n_own
        k = n_own - 1 - back % n_own
        z = first_plane + k
        wave = t - PLANE_LAG * k
        count = tl.load(counts + tile * waves + wave, mask=(wave >= 0) & (wave < waves), other=0).to(tl.int64)
        begin = end - count
        first_row = tl.maximum((wave - n_columns + 2) >> 1, 0)
        first_base = begin // n_lanes * n_lanes
        for down in range(0, (end - first_base + n_lanes - 1) // n_lanes):
            base = (end - 1) // n_lanes * n_lanes - down * n_lanes
            i = base + lane.to(tl.int64)
            active = exists & (i >= begin) & (i < end)
            place = (tile * waves + wave) * n_most + tl.maximum(i - begin, 0)
            row = first_row + tl.load(places + place, mask=active, other=0)
            pixel = (z * n_rows + row) * n_columns + wave - 2 * row
            at = own + pixel * 2
            start = tl.load(at, mask=active, other=0).to(tl.int64)
            freq = tl.load(at + 1, mask=active, other=1).to(tl.int64)
            emits = active & ((state >> EMIT_SHIFT) >= freq)
            given = emits.to(tl.int64)
            n_given = tl.sum(given, 0)
            where = free - n_given + tl.cumsum(given, 0) - given
            tl.store(own_words + where, (state & WORD_MASK).to(tl.int32), mask=emits)
            free -= n_given
            rest = tl.where(emits, state >> WORD_BITS, state)
            whole = rest // freq
            state = tl.where(active, (whole << PRECISION) + rest - whole * freq + start, state)
        end = begin
    tl.store(states + stream * n_lanes + lane, state, mask=exists)
    tl.store(n_free + stream, free)
