"""Kernels of the torch engine for a CUDA device: what one step does between reading and learning its samples.

Imported by `device_coder` and `torch_engine` only where triton is used.  Each kernel has a twin, named in its
docstring, and gives the same integers.  Of the coder, one program works on one stream (a group of a tile): its lanes
lie side by side in a vector and keep their states in registers through a step.  Nothing here leaves integers, and no
search runs longer than its fixed number of rounds, whatever the stream holds.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.entropy.logistic import (
    ARGUMENT_BITS,
    MANTISSA_BITS,
    MEAN_BITS,
    SCALE_MIN_LOG2,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    TABLE_BITS,
    WEIGHT_BITS,
)
from lhic.entropy.rans import LOWER_BOUND, LOWER_BOUND_LOG2, WORD_BITS
from lhic.models.lhic_ax.layout import PLANE_LAG
from lhic.models.lhic_ax.symbols import PRECISION, TOTAL

ARGUMENT_SHIFT = tl.constexpr(ARGUMENT_BITS - MEAN_BITS - SCALE_MIN_LOG2 - MANTISSA_BITS)
ARGUMENT_MAX = tl.constexpr(SIGMOID_OCTAVES << ARGUMENT_BITS)
FRACTION_BITS = tl.constexpr(ARGUMENT_BITS - TABLE_BITS)
FRACTION_MASK = tl.constexpr((1 << (ARGUMENT_BITS - TABLE_BITS)) - 1)
ONE = tl.constexpr(1 << SIGMOID_BITS)
CDF_BITS = tl.constexpr(WEIGHT_BITS + SIGMOID_BITS)
EDGE_BITS = tl.constexpr(MEAN_BITS - 1)
BITS = tl.constexpr(PRECISION)
ALL = tl.constexpr(TOTAL)
SLOT_MASK = tl.constexpr(TOTAL - 1)
LOWEST = tl.constexpr(LOWER_BOUND)
WORD = tl.constexpr(WORD_BITS)
WORD_MASK = tl.constexpr((1 << WORD_BITS) - 1)
EMIT_SHIFT = tl.constexpr(LOWER_BOUND_LOG2 + WORD_BITS - PRECISION)
LAG = tl.constexpr(PLANE_LAG)
NEVER = tl.constexpr(1 << 62)


@triton.jit
def _cumulative(level, n, first, table_start, table, components, sample, used, sigmoid, K: tl.constexpr):
    """F of levels (lanes, width): int32.  See `symbols.cdf_at`.

    sample : (lanes,), rows of the components (4, K);  used : which lanes have one
    """
    wide = level.to(tl.int64)
    if table_start < 0:
        edge = (2 * (first + wide) - 1) << EDGE_BITS
    else:
        inside = (level > 0) & (level < n)
        before = tl.load(table + table_start + wide - 1, mask=inside, other=0)
        edge = (before + tl.load(table + table_start + wide, mask=inside, other=0)) << EDGE_BITS
    total = tl.zeros_like(wide)
    for k in tl.static_range(K):
        at = components + sample * (4 * K) + k
        mean = tl.load(at, mask=used, other=0)
        mantissa = tl.load(at + K, mask=used, other=0)
        shift = tl.load(at + 2 * K, mask=used, other=0)
        weight = tl.load(at + 3 * K, mask=used, other=0)
        distance = edge - mean[:, None]
        argument = ((tl.abs(distance) * mantissa[:, None]) << ARGUMENT_SHIFT) >> shift[:, None].to(tl.int64)
        argument = tl.minimum(argument, ARGUMENT_MAX).to(tl.int32)
        left = tl.load(sigmoid + (argument >> FRACTION_BITS))
        right = tl.load(sigmoid + (argument >> FRACTION_BITS) + 1)
        # The greatest step of the table is below 2^16, the fraction below 2^14.
        value = left + (((right - left) * (argument & FRACTION_MASK)) >> FRACTION_BITS)
        value = tl.where(distance < 0, ONE - value, value)
        total += value.to(tl.int64) * weight[:, None]
    found = ((total * (ALL - n)) >> CDF_BITS).to(tl.int32) + level
    return tl.where(level <= 0, 0, tl.where(level >= n, ALL, found))


@triton.jit
def decode_step(
    step, window, components, decoded, widths, counts, places, n_levels, first_level, table_starts, table, sigmoid,
    stream_ends, states, words, word_starts, cursors, failed,
    n_planes, n_active, n_most, waves, n_lanes,
    LANES: tl.constexpr, WIDTH: tl.constexpr, LOG_WIDTH: tl.constexpr, K: tl.constexpr,
    LOWER_BITS: tl.constexpr, UPPER_ROUNDS: tl.constexpr, LOWER_ROUNDS: tl.constexpr,
):  # fmt: skip
    """Decode one step of one stream; `device_coder.decode_step` in plain torch.

    A round takes the symbols of all lanes.  Its upper parts are found first; a lower part has its cell from the lane
    before it, the first lane's from the round before.  A search compares WIDTH levels of each lane at once:
    F(low) <= slot < high_value, and WIDTH times fewer levels between after every pass.
    """
    stream = tl.program_id(0)
    tile = tl.load(stream_ends + 3 * stream)
    first_plane = tl.load(stream_ends + 3 * stream + 1)
    end_plane = tl.load(stream_ends + 3 * stream + 2)
    t = tl.load(step)
    first_active = tl.load(window)
    failed_at = tl.load(failed + stream)
    first_plane = tl.maximum(first_plane, first_active)
    end_plane = tl.minimum(end_plane, first_active + n_active)
    end_plane = tl.where(failed_at < NEVER, first_plane, end_plane)
    lane = tl.arange(0, LANES)
    exists = lane < n_lanes
    before = tl.maximum(lane - 1, 0)
    of_width = tl.arange(0, WIDTH)[None, :]
    state = tl.load(states + stream * n_lanes + lane, mask=exists, other=LOWEST)
    n_symbols = tl.load(cursors + 2 * stream)
    n_words = tl.load(cursors + 2 * stream + 1)
    own_words = words + tl.load(word_starts + stream)
    size = tl.load(word_starts + stream + 1) - tl.load(word_starts + stream)
    zero = lane * 0
    for z in range(first_plane, end_plane):
        wave = t - LAG * z
        count = tl.load(counts + tile * waves + wave, mask=(wave >= 0) & (wave < waves), other=0).to(tl.int64)
        n = tl.load(n_levels + tile * n_planes + z)
        first = tl.load(first_level + tile * n_planes + z)
        table_start = tl.load(table_starts + tile * n_planes + z)
        parts = 1 + (n > (1 << LOWER_BITS)).to(tl.int64)
        begin = n_symbols
        end = begin + count * parts
        row = (tile * n_active + z - first_active) * n_most
        last_cell = tl.sum(zero, 0)
        last_low = tl.sum(zero, 0)
        last_high = tl.sum(zero, 0)
        for base in range(begin // n_lanes * n_lanes, end, n_lanes):
            i = base + lane.to(tl.int64)
            active = exists & (i >= begin) & (i < end)
            number = tl.maximum(i - begin, 0)
            upper = active & (parts == 2) & (number % 2 == 0)
            place = (tile * waves + wave) * n_most + number // parts
            sample = row + tl.load(places + place, mask=active, other=0)
            slot = (state & SLOT_MASK).to(tl.int32)

            cell = zero
            cell_low = zero
            cell_high = zero + ALL
            upper_low = zero
            upper_high = zero + ALL
            if parts == 2:
                for k in tl.static_range(UPPER_ROUNDS):
                    stride = 1 << (LOWER_BITS + LOG_WIDTH * (UPPER_ROUNDS - 1 - k))
                    level = cell[:, None] + of_width * stride
                    found = _cumulative(level, n, first, table_start, table, components, sample, upper, sigmoid, K)
                    below = found <= slot[:, None]
                    cell += (tl.sum(below.to(tl.int32), 1) - 1) * stride
                    upper_low = tl.max(tl.where(below, found, 0), 1)
                    upper_high = tl.minimum(upper_high, tl.min(tl.where(below, ALL, found), 1))
                next_cell = tl.sum(tl.where(lane == n_lanes - 1, cell, 0), 0)
                next_low = tl.sum(tl.where(lane == n_lanes - 1, upper_low, 0), 0)
                next_high = tl.sum(tl.where(lane == n_lanes - 1, upper_high, 0), 0)
                cell = tl.where(lane == 0, last_cell, tl.gather(cell, before, 0))
                cell_low = tl.where(lane == 0, last_low, tl.gather(upper_low, before, 0))
                cell_high = tl.where(lane == 0, last_high, tl.gather(upper_high, before, 0))
                last_cell = next_cell
                last_low = next_low
                last_high = next_high

            lower = active & (upper == 0)
            cell = tl.where(lower, cell, 0)
            cell_low = tl.where(lower, cell_low, 0)
            cell_high = tl.where(lower, cell_high, ALL)
            width = (cell_high - cell_low).to(tl.int64)
            target = cell_low + (((slot + 1) * width - 1) >> BITS).to(tl.int32)
            low_value = cell_low
            high_value = cell_high
            for k in tl.static_range(LOWER_ROUNDS):
                stride = 1 << (LOG_WIDTH * (LOWER_ROUNDS - 1 - k))
                level = cell[:, None] + of_width * stride
                found = _cumulative(level, n, first, table_start, table, components, sample, lower, sigmoid, K)
                below = found <= target[:, None]
                cell += (tl.sum(below.to(tl.int32), 1) - 1) * stride
                low_value = tl.max(tl.where(below, found, 0), 1)
                high_value = tl.minimum(high_value, tl.min(tl.where(below, ALL, found), 1))
            start = ((low_value - cell_low).to(tl.int64) << BITS) // width
            stop = ((high_value - cell_low).to(tl.int64) << BITS) // width
            if table_start < 0:
                value = first + cell
            else:
                value = tl.load(table + table_start + cell, mask=lower, other=0)
            tl.store(decoded + sample, value, mask=lower)
            tl.store(widths + sample, tl.maximum((width * (stop - start)) >> BITS, 1), mask=lower)

            start = tl.where(upper, upper_low.to(tl.int64), start)
            stop = tl.where(upper, upper_high.to(tl.int64), stop)
            stepped = (stop - start) * (state >> BITS) + slot - start
            needs = active & (stepped < LOWEST)
            asked = needs.to(tl.int64)
            at = n_words + tl.cumsum(asked, 0) - asked
            has = needs & (at < size)
            word = tl.load(own_words + at, mask=has, other=0).to(tl.int64) & WORD_MASK
            stepped = tl.where(needs, (stepped << WORD) | word, stepped)
            state = tl.where(active, stepped, state)
            n_words += tl.sum(asked, 0)
            failed_at = tl.minimum(failed_at, tl.min(tl.where(needs & (at >= size), i, NEVER), 0))
        n_symbols = end
    tl.store(states + stream * n_lanes + lane, state, mask=exists)
    tl.store(cursors + 2 * stream, n_symbols)
    tl.store(cursors + 2 * stream + 1, tl.minimum(n_words, size))
    tl.store(failed + stream, failed_at)


@triton.jit
def encode_stream(
    intervals, counts, places, n_levels, stream_ends, n_symbols, states, words, word_starts, n_free,
    n_planes, n_rows, n_columns, n_most, waves, n_lanes,
    LANES: tl.constexpr, LOWER_BITS: tl.constexpr,
):  # fmt: skip
    """Code all symbols of one stream from its last; `rans_numba._encode_backwards`.

    intervals : int32 (n, P * H * W + 1, 2, 2), starts and freqs of upper and lower part, by place
    words : filled from the end of each stream's room, of which `n_free` stay unused
    """
    stream = tl.program_id(0)
    tile = tl.load(stream_ends + 3 * stream)
    first_plane = tl.load(stream_ends + 3 * stream + 1)
    end_plane = tl.load(stream_ends + 3 * stream + 2)
    lane = tl.arange(0, LANES)
    exists = lane < n_lanes
    state = tl.full((LANES,), LOWEST, tl.int64)
    own_words = words + tl.load(word_starts + stream)
    free = tl.load(word_starts + stream + 1) - tl.load(word_starts + stream)
    end = tl.load(n_symbols + stream)
    own = intervals + tile * (n_planes * n_rows * n_columns + 1) * 4
    n_own = end_plane - first_plane
    n_steps = waves + LAG * (n_own - 1)
    for back in range(0, n_steps * n_own):
        t = n_steps - 1 - back // n_own
        k = n_own - 1 - back % n_own
        z = first_plane + k
        wave = t - LAG * k
        count = tl.load(counts + tile * waves + wave, mask=(wave >= 0) & (wave < waves), other=0).to(tl.int64)
        parts = 1 + (tl.load(n_levels + tile * n_planes + z) > (1 << LOWER_BITS)).to(tl.int64)
        begin = end - count * parts
        first_row = tl.maximum((wave - n_columns + 2) >> 1, 0)
        first_base = begin // n_lanes * n_lanes
        for down in range(0, (end - first_base + n_lanes - 1) // n_lanes):
            base = (end - 1) // n_lanes * n_lanes - down * n_lanes
            i = base + lane.to(tl.int64)
            active = exists & (i >= begin) & (i < end)
            number = tl.maximum(i - begin, 0)
            is_lower = (parts == 1) | (number % 2 == 1)
            place = (tile * waves + wave) * n_most + number // parts
            row = first_row + tl.load(places + place, mask=active, other=0)
            pixel = (z * n_rows + row) * n_columns + wave - 2 * row
            at = own + pixel * 4 + is_lower.to(tl.int64) * 2
            start = tl.load(at, mask=active, other=0).to(tl.int64)
            freq = tl.load(at + 1, mask=active, other=1).to(tl.int64)
            emits = active & ((state >> EMIT_SHIFT) >= freq)
            given = emits.to(tl.int64)
            n_given = tl.sum(given, 0)
            where = free - n_given + tl.cumsum(given, 0) - given
            tl.store(own_words + where, (state & WORD_MASK).to(tl.int32), mask=emits)
            free -= n_given
            rest = tl.where(emits, state >> WORD, state)
            quotient = rest // freq
            state = tl.where(active, (quotient << BITS) + rest - quotient * freq + start, state)
        end = begin
    tl.store(states + stream * n_lanes + lane, state, mask=exists)
    tl.store(n_free + stream, free)


@triton.jit
def solve_system(
    gram, moment, factor, solution, n,
    SIZE: tl.constexpr, RIDGE: tl.constexpr, RELATIVE_RIDGE: tl.constexpr, DEGENERATE: tl.constexpr,
    ONE_COEFFICIENT: tl.constexpr, LIMIT: tl.constexpr,
):  # fmt: skip
    """One system of normal equations; `torch_engine.solve`, the same operations in the same order.

    To be compiled without fused multiply-add (``enable_fp_fusion=False``), for one warp.  Rows lie side by side
    in a vector; columns of the factor are kept one after the other in `factor`, from where all rows read what one of
    them wrote.
    """
    own = tl.program_id(0).to(tl.int64)
    gram += own * n * n
    factor += own * n * n
    row = tl.arange(0, SIZE)
    inside = row < n
    for j in range(0, n):
        column = tl.load(gram + row * n + j, mask=inside & (row >= j), other=0.0)
        diagonal = tl.load(gram + j * n + j)
        pivot = diagonal + (RIDGE + diagonal * RELATIVE_RIDGE)
        rest = tl.where(row == j, pivot, column)
        for k in range(0, j):
            product = tl.load(factor + k * n + row, mask=inside & (row >= j), other=0.0) * tl.load(factor + k * n + j)
            rest = rest - product
        pivot = tl.sum(tl.where(row == j, rest, 0.0), 0)
        degenerate = (pivot > diagonal * DEGENERATE) == 0
        root = tl.where(degenerate, ONE_COEFFICIENT * ONE_COEFFICIENT, tl.sqrt(tl.where(degenerate, 1.0, pivot)))
        found = tl.where(degenerate, column, rest) / root
        tl.store(factor + j * n + row, tl.where(row == j, root, found), mask=inside & (row >= j))
        tl.store(factor + row * n + j, tl.zeros_like(found), mask=(row < j) & degenerate)
        tl.debug_barrier()
    rest = tl.load(moment + own * n + row, mask=inside, other=0.0)
    for k in range(0, n):
        found = tl.sum(tl.where(row == k, rest, 0.0), 0) / tl.load(factor + k * n + k)
        product = tl.load(factor + k * n + row, mask=inside & (row > k), other=0.0) * found
        rest = tl.where(row == k, found, rest - product)
    tl.store(solution + own * n + row, rest, mask=inside)
    tl.debug_barrier()
    for down in range(0, n):
        i = n - 1 - down
        total = tl.load(solution + own * n + i)
        for k in range(i + 1, n):
            product = tl.load(factor + i * n + k) * tl.load(solution + own * n + k)
            total = total - product
        found = total / tl.load(factor + i * n + i)
        tl.debug_barrier()
        tl.store(solution + own * n + i, found)
        tl.debug_barrier()
    # Adding 1.5 * 2^52 and taking it away rounds to the nearest integer, ties to even.
    found = tl.load(solution + own * n + row, mask=inside, other=0.0) * ONE_COEFFICIENT
    found = tl.minimum(tl.maximum(found, -LIMIT), LIMIT)
    found = (found + 6755399441055744.0) - 6755399441055744.0
    tl.debug_barrier()
    tl.store(solution + own * n + row, found, mask=inside)
