"""Kernels of the torch engine for a CUDA device: what one step does between reading and learning its samples.

Imported by `device_coder` and `torch_engine` only where triton is used.  Each kernel has a twin, named in its
docstring, and gives the same integers.  Of the coder, one program works on one stream (a group of a tile): its lanes
lie side by side in a vector and keep their states in registers through a step.  Nothing here leaves integers, and no
search runs longer than its fixed number of rounds, whatever the stream holds.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    MANTISSA_BITS,
    MEAN_BITS,
    SCALE_MIN_LOG2,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    TABLE_BITS,
    WEIGHT_BITS,
)
from lhic.coder.rans import LOWER_BOUND, LOWER_BOUND_LOG2, WORD_BITS
from lhic.families.ax.cpu.skew import PLANE_LAG
from lhic.families.ax.cpu.symbols import PRECISION, TOTAL

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
LAG, LOG2_LAG = tl.constexpr(PLANE_LAG), tl.constexpr(PLANE_LAG.bit_length() - 1)
assert 1 << LOG2_LAG.value == PLANE_LAG
NEVER = tl.constexpr(1 << 62)


@triton.jit
def quotient(a, b):
    """a // b of int64, a >= 0, b > 0, a + b < 2^52: a correctly rounded float64 quotient has the true one's floor."""
    return (a.to(tl.float64) / b.to(tl.float64)).to(tl.int64)


@triton.jit
def first_plane(t, waves, n_planes, n_active):
    """First plane of a step: `Batch.active_planes`."""
    return tl.minimum(tl.maximum(-((waves - 1 - t) >> LOG2_LAG), 0), n_planes - n_active)


@triton.jit
def load_mixtures(components, sample, used, K: tl.constexpr, MIXTURES: tl.constexpr):
    """Means, mantissas, shifts and weights (lanes, MIXTURES) of samples; further components than K weigh nothing.

    sample : (lanes,), rows of the components (4, K);  used : which lanes have one
    """
    k = tl.arange(0, MIXTURES)
    at = components + (sample * (4 * K))[:, None] + k[None, :]
    mask = used[:, None] & (k < K)[None, :]
    mean = tl.load(at, mask=mask, other=0)
    mantissa = tl.load(at + K, mask=mask, other=0)
    shift = tl.load(at + 2 * K, mask=mask, other=0)
    return mean, mantissa, shift, tl.load(at + 3 * K, mask=mask, other=0)


@triton.jit
def cumulative(level, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid):
    """F of levels (lanes, width): int32.  See `symbols.cdf_at`; the mixtures are those of `load_mixtures`."""
    # Edges and means are below 2^26.
    if table_start < 0:
        edge = (2 * (first.to(tl.int32) + level) - 1) << EDGE_BITS
    else:
        inside = (level > 0) & (level < n)
        at = table + table_start + level
        edge = tl.load(at - 1, mask=inside, other=0) + tl.load(at, mask=inside, other=0)
        edge = edge.to(tl.int32) << EDGE_BITS
    distance = edge[:, :, None] - mean[:, None, :]
    product = tl.abs(distance).to(tl.int64) * mantissa[:, None, :]
    argument = (product << ARGUMENT_SHIFT) >> shift[:, None, :].to(tl.int64)
    argument = tl.minimum(argument, ARGUMENT_MAX).to(tl.int32)
    left = tl.load(sigmoid + (argument >> FRACTION_BITS))
    right = tl.load(sigmoid + (argument >> FRACTION_BITS) + 1)
    # The greatest step of the table is below 2^16, the fraction below 2^14.
    value = left + (((right - left) * (argument & FRACTION_MASK)) >> FRACTION_BITS)
    value = tl.where(distance < 0, ONE - value, value)
    total = tl.sum(value.to(tl.int64) * weight[:, None, :], 2)
    found = ((total * (ALL - n)) >> CDF_BITS).to(tl.int32) + level
    return tl.where(level <= 0, 0, tl.where(level >= n, ALL, found))


@triton.jit
def _fetch(i, begin, end, has_upper, row, own_places, components, K: tl.constexpr, MIXTURES: tl.constexpr):
    """Samples of the symbols i (lanes,) of a wave that has those from `begin` to `end`, and their mixtures."""
    active = (i >= begin) & (i < end)
    place = tl.maximum(i - begin, 0) >> has_upper
    sample = row + tl.load(own_places + place, mask=active, other=0)
    mean, mantissa, shift, weight = load_mixtures(components, sample, active, K, MIXTURES)
    return sample, mean, mantissa, shift, weight


@triton.jit
def decode_step(
    step, components, decoded, widths, counts, places, n_levels, first_level, table_starts, table, sigmoid,
    stream_ends, states, words, word_starts, cursors, failed,
    n_planes, n_active, n_most, waves, n_lanes,
    LANES: tl.constexpr, WIDTH: tl.constexpr, LOG_WIDTH: tl.constexpr, K: tl.constexpr, MIXTURES: tl.constexpr,
    LOWER_BITS: tl.constexpr, UPPER_ROUNDS: tl.constexpr, LOWER_ROUNDS: tl.constexpr,
):  # fmt: skip
    """Decode one step of one stream; `device_coder.decode_step` in plain torch.

    A round takes the symbols of all lanes.  Its upper parts are found first; a lower part has its cell from the lane
    before it, the first lane's from the round before.  A search compares WIDTH levels of each lane at once:
    F(low) <= slot < high_value, and WIDTH times fewer levels between after every pass.  What a round needs from memory
    is asked for a round earlier, for the rounds of a stream wait for each other; MIXTURES is K up to a power of two.
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
    before = tl.maximum(lane - 1, 0)
    of_width = tl.arange(0, WIDTH)[None, :]
    state = tl.load(states + stream * n_lanes + lane, mask=exists, other=LOWEST)
    n_symbols = tl.load(cursors + 2 * stream)
    n_words = tl.load(cursors + 2 * stream + 1)
    own_words = words + tl.load(word_starts + stream)
    size = tl.load(word_starts + stream + 1) - tl.load(word_starts + stream)
    zero = lane * 0
    for z in range(first_of_stream, end_plane):
        wave = t - LAG * z
        count = tl.load(counts + tile * waves + wave, mask=(wave >= 0) & (wave < waves), other=0).to(tl.int64)
        n = tl.load(n_levels + tile * n_planes + z)
        first = tl.load(first_level + tile * n_planes + z)
        table_start = tl.load(table_starts + tile * n_planes + z)
        has_upper = (n > (1 << LOWER_BITS)).to(tl.int64)
        begin = n_symbols
        end = begin + (count << has_upper)
        row = (tile * n_active + z - first_active) * n_most
        own_places = places + (tile * waves + wave) * n_most
        last_cell = tl.sum(zero, 0)
        last_low = tl.sum(zero, 0)
        last_high = tl.sum(zero, 0)
        first_base = begin // n_lanes * n_lanes
        sample, mean, mantissa, shift, weight = _fetch(
            first_base + place_in_round, begin, end, has_upper, row, own_places, components, K, MIXTURES
        )
        for base in range(first_base, end, n_lanes):
            i = base + place_in_round
            active = (i >= begin) & (i < end)
            upper = active & (has_upper == 1) & ((tl.maximum(i - begin, 0) & 1) == 0)
            next_sample, next_mean, next_mantissa, next_shift, next_weight = _fetch(
                i + n_lanes, begin, end, has_upper, row, own_places, components, K, MIXTURES
            )
            ahead = tl.load(own_words + n_words + lane, mask=exists & (n_words + lane < size), other=0)
            slot = (state & SLOT_MASK).to(tl.int32)

            cell = zero
            cell_low = zero
            cell_high = zero + ALL
            upper_low = zero
            upper_high = zero + ALL
            if has_upper == 1:
                for k in tl.static_range(UPPER_ROUNDS):
                    stride = 1 << (LOWER_BITS + LOG_WIDTH * (UPPER_ROUNDS - 1 - k))
                    level = cell[:, None] + of_width * stride
                    found = cumulative(level, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid)
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
                found = cumulative(level, n, first, table_start, table, mean, mantissa, shift, weight, sigmoid)
                below = found <= target[:, None]
                cell += (tl.sum(below.to(tl.int32), 1) - 1) * stride
                low_value = tl.max(tl.where(below, found, 0), 1)
                high_value = tl.minimum(high_value, tl.min(tl.where(below, ALL, found), 1))
            start = quotient((low_value - cell_low).to(tl.int64) << BITS, width)
            stop = quotient((high_value - cell_low).to(tl.int64) << BITS, width)
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
            asked = needs.to(tl.int32)
            place = tl.cumsum(asked, 0) - asked
            word = tl.gather(ahead, place, 0).to(tl.int64) & WORD_MASK
            stepped = tl.where(needs, (stepped << WORD) | word, stepped)
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
    intervals, counts, places, n_levels, stream_ends, n_symbols, states, words, word_starts, n_free,
    n_planes, n_rows, n_columns, n_most, waves, n_lanes,
    LANES: tl.constexpr, LOWER_BITS: tl.constexpr,
):  # fmt: skip
    """Code all symbols of one stream from its last; `rans_kernels._encode_backwards`.

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
            whole = rest // freq
            state = tl.where(active, (whole << BITS) + rest - whole * freq + start, state)
        end = begin
    tl.store(states + stream * n_lanes + lane, state, mask=exists)
    tl.store(n_free + stream, free)


@triton.jit
def solve_system(
    gram, moment, work, coefficients, systems, sizes,
    E: tl.constexpr, R: tl.constexpr, SIZE: tl.constexpr, AT_ONCE: tl.constexpr,
    RIDGE: tl.constexpr, RELATIVE_RIDGE: tl.constexpr, DEGENERATE: tl.constexpr,
    ONE_COEFFICIENT: tl.constexpr, LIMIT: tl.constexpr,
):  # fmt: skip
    """One system of normal equations; `torch_engine.solve`, the same operations in the same order.

    systems : int64, its number among gram (., R, R), moment and coefficients (., R); -1: nothing to do
    sizes : int64 (E,), of the systems with number e, e + E, ...
    work : (., R + AT_ONCE, SIZE) for each program.  Its rows are columns of the factor, one after the other, from where
        all read what one of them wrote, then the solution.  What is not yet known is 0, so that AT_ONCE products can be
        loaded together, those beyond the end too: taking 0 away changes nothing.
    To be compiled without fused multiply-add (``enable_fp_fusion=False``), for one warp.
    """
    own = tl.program_id(0).to(tl.int64)
    system = tl.load(systems + own)
    if system >= 0:
        n = tl.load(sizes + system % E).to(tl.int32)
        gram += system * R * R
        moment += system * R
        work += own * (R + AT_ONCE) * SIZE
        solution = work + (R + AT_ONCE - 1) * SIZE
        row = tl.arange(0, SIZE)
        for zeroed in range(0, R + AT_ONCE):
            tl.store(work + zeroed * SIZE + row, row * 0.0)
        tl.debug_barrier()
        for j in range(0, n):
            below = (row >= j) & (row < n)
            column = tl.load(gram + row * R + j, mask=below, other=0.0)
            diagonal = tl.load(gram + j * R + j)
            right = tl.load(moment + j)
            pivot = diagonal + (RIDGE + diagonal * RELATIVE_RIDGE)
            rest = tl.where(row == j, pivot, column)
            at, known = work, solution
            for _begin in range(0, j, AT_ONCE):
                for k in tl.static_range(AT_ONCE):
                    of_j = tl.load(at + (k * SIZE + j))
                    rest = rest - tl.load(at + k * SIZE + row) * of_j
                    right = right - tl.load(known + k) * of_j
                at += AT_ONCE * SIZE
                known += AT_ONCE
            pivot = tl.sum(tl.where(row == j, rest, 0.0), 0)
            degenerate = (pivot > diagonal * DEGENERATE) == 0
            right = tl.where(degenerate, tl.load(moment + j), right)
            root = tl.where(degenerate, ONE_COEFFICIENT * ONE_COEFFICIENT, tl.sqrt(tl.where(degenerate, 1.0, pivot)))
            found = tl.where(degenerate, column, rest) / root
            tl.debug_barrier()
            tl.store(work + j * SIZE + row, tl.where(row == j, root, found), mask=below)
            tl.store(work + row * SIZE + j, row * 0.0, mask=(row < j) & degenerate)
            tl.store(solution + j, right / root)
            tl.debug_barrier()
        for down in range(0, n):
            i = n - 1 - down
            total = tl.load(solution + i)
            at = work + i * SIZE
            for begin in range(i + 1, n, AT_ONCE):
                for k in tl.static_range(AT_ONCE):
                    total = total - tl.load(at + begin + k) * tl.load(solution + begin + k)
            found = total / tl.load(at + i)
            tl.debug_barrier()
            tl.store(solution + i, found)
            tl.debug_barrier()
        # Adding 1.5 * 2^52 and taking it away rounds to the nearest integer, ties to even.
        found = tl.load(solution + row, mask=row < n, other=0.0) * ONE_COEFFICIENT
        found = tl.minimum(tl.maximum(found, -LIMIT), LIMIT)
        found = (found + 6755399441055744.0) - 6755399441055744.0
        tl.store(coefficients + system * R + row, found, mask=row < n)
