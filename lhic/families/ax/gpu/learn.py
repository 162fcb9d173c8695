"""What is learned from a wave: pictures, sums, the samples' weights; and the tables of the next epoch."""

from __future__ import annotations

import triton
import triton.language as tl

from lhic.families.ax.gpu import pixel
from lhic.families.ax.gpu.arithmetic import MANY
from lhic.families.ax.gpu.constants import (
    FIRST_COUNT,
    FIRST_MAGNITUDE,
    FIRST_RATIO,
    FIRST_TRIES,
    LONGEST_RUN,
    N_LEVELS,
    N_RUN_LEVELS,
    PLANE_LAG,
    ROW_MARGIN,
    RUN_BITS,
    WAVE_MARGIN,
)
from lhic.families.ax.gpu.pictures import (
    ACTIVITY_PICTURE,
    DETAIL_PICTURE,
    ERROR_PICTURE,
    ERRORS,
    N_CROSS,
    N_OWN,
    RESIDUAL_PICTURE,
    first_plane,
    place_of,
    read,
    spread,
)


@triton.jit
def learn_wave(
    step, buffer, offsets, given, widths, is_coded, exists,
    base_of, scale_of, mean_of, predictions, raw_of, level_of, activity_of, mag_of,
    candidate_of, run_level_of, repeat_weight_of,
    own_magnitude, own_count, own_error, own_ratio, own_ratio_count, own_hits, own_tries, weights,
    buffer_size, picture_apart, plane_apart, wave_apart, n_planes, n_active, n_most, n_rows, n_columns, waves, n_all,
    EPOCH: tl.constexpr, E: tl.constexpr, Q: tl.constexpr, REPEATS: tl.constexpr,
):  # fmt: skip
    """Take note of one plane's wave; leaves the samples' weights for `fit.add_epoch`."""
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - PLANE_LAG * z
    plane = tile * n_planes + z
    q = tl.arange(0, Q).to(tl.int64)
    inside = q < n_most
    row = (tile * n_active + slot) * n_most + q
    i, j, there = place_of(z, wave, n_rows, n_columns, q)
    there = there & inside & (tl.load(exists + plane) != 0)
    known = tl.load(is_coded + row, mask=there, other=0) != 0
    coded = known.to(tl.int64)
    base = tl.load(base_of + row, mask=inside, other=0)
    mean = tl.load(mean_of + row, mask=inside, other=0)
    raw = tl.load(raw_of + row, mask=inside, other=1)
    scale = tl.load(scale_of + row, mask=inside, other=1)
    mag = tl.load(mag_of + row, mask=inside, other=1)
    filled = pixel.filled_value(base)
    value = tl.where(known, tl.load(given + row, mask=there, other=0), filled)
    residual = pixel.residual_of(value, base)
    size = tl.abs(residual)
    at = buffer + tile * buffer_size + z * plane_apart
    at += (2 * i + j + WAVE_MARGIN) * wave_apart + i + ROW_MARGIN
    picture = tl.cast(picture_apart, tl.int64)
    if REPEATS > 0:
        before = read(at, offsets, ERRORS + (N_OWN + N_CROSS) * E, there & (z > 0))
        runs = before * 0
        for c in tl.static_range(REPEATS):
            run = pixel.next_run((before >> (RUN_BITS * c)) & LONGEST_RUN)
            runs += tl.where(value == read(at, offsets, c, there), run << (RUN_BITS * c), 0)
        tl.store(at + (ERROR_PICTURE + E) * picture, runs.to(tl.int32), mask=there)
        run_level = plane * N_RUN_LEVELS + tl.load(run_level_of + row, mask=inside, other=0)
        likely, width = (
            tl.load(repeat_weight_of + row, mask=inside, other=0),
            tl.load(widths + row, mask=inside, other=1),
        )
        share = pixel.repeat_share(likely, width)
        repeated = known & (value == tl.load(candidate_of + row, mask=inside, other=0))
        tl.atomic_add(own_hits + run_level, share, mask=repeated)
        tl.atomic_add(own_tries + run_level, coded, mask=known)
    left, right, upper, lower = j == 0, j == n_columns - 1, i == 0, i == n_rows - 1
    spread(at, value, there, left, right, upper, lower, wave_apart)
    spread(at + DETAIL_PICTURE * picture, value - mean, there, left, right, upper, lower, wave_apart)
    spread(at + RESIDUAL_PICTURE * picture, residual, there, left, right, upper, lower, wave_apart)
    activity = tl.load(activity_of + row, mask=inside, other=0)
    activity = pixel.next_activity(activity, size, mag)
    tl.store(at + ACTIVITY_PICTURE * picture, activity.to(tl.int32), mask=there)
    weight = pixel.sample_weight(mag, scale) * coded
    at_weight = (plane * EPOCH + wave % EPOCH) * n_most + q
    tl.store(weights + at_weight, weight.to(tl.int32), mask=inside & (wave >= 0) & (wave < waves))
    for e in tl.static_range(E):
        error = pixel.error_of(value, tl.load(predictions + e * n_all + row, mask=inside, other=0))
        spread(at + (ERROR_PICTURE + e) * picture, error, there, left, right, upper, lower, wave_apart)
        total = tl.load(own_error + plane * E + e) + tl.sum(error * coded, 0)
        tl.store(own_error + plane * E + e, total)
    tl.store(own_magnitude + plane, tl.load(own_magnitude + plane) + tl.sum(size * coded, 0))
    tl.store(own_count + plane, tl.load(own_count + plane) + tl.sum(coded, 0))
    level = plane * N_LEVELS + tl.load(level_of + row, mask=inside, other=0)
    tl.atomic_add(own_ratio + level, pixel.relative_size(size, raw), mask=known)
    tl.atomic_add(own_ratio_count + level, coded, mask=known)


@triton.jit
def ending_plane(t, number, waves, n_planes, n_active, EPOCH: tl.constexpr, PERIOD: tl.constexpr):
    """The plane number `number` of those whose epoch ends with step t, and how many waves it has; -1, 0: there is none.

    Planes that end an epoch in one step are PERIOD <= 32 apart.
    """
    first = first_plane(t, waves, n_planes, n_active)
    k = tl.arange(0, 32)
    ends = (k < PERIOD) & ((t + 1 - PLANE_LAG * (first + k)) % EPOCH == 0)
    z = first + tl.min(tl.where(ends, k, MANY), 0) + number * PERIOD
    n_done = t + 1 - PLANE_LAG * z
    valid = (z < first + n_active) & (n_done > 0) & (n_done < waves)
    return tl.where(valid, z, -1), tl.where(valid, n_done, 0)


@triton.jit
def next_tables(
    step, magnitude, error, ratio, ratio_count, hits, tries,
    own_magnitude, own_count, own_error, own_ratio, own_ratio_count, own_hits, own_tries, first_hits,
    n_planes, n_active, waves, n_epochs,
    E: tl.constexpr, EXPERTS: tl.constexpr, EPOCH: tl.constexpr, PERIOD: tl.constexpr, REPEATS: tl.constexpr,
):  # fmt: skip
    """Open the tables of the next epoch of one plane whose epoch ends."""
    number = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    z, n_done = ending_plane(tl.load(step), number, waves, n_planes, n_active, EPOCH, PERIOD)
    plane = tile * n_planes + tl.maximum(z, 0)
    then = plane * n_epochs + n_done // EPOCH
    before = then - n_epochs
    has_before = z > 0
    if z >= 0:
        count = tl.load(own_count + plane)
        earlier = tl.load(magnitude + before, mask=has_before, other=FIRST_MAGNITUDE)
        e = tl.arange(0, EXPERTS)
        earlier_error = tl.load(error + before * E + e, mask=has_before & (e < E), other=FIRST_MAGNITUDE)
        total_error = tl.load(own_error + plane * E + e, mask=e < E, other=0)
        tl.store(magnitude + then, pixel.mean_error(tl.load(own_magnitude + plane), count, earlier))
        tl.store(error + then * E + e, pixel.mean_error(total_error, count, earlier_error), mask=e < E)
        k = tl.arange(0, 128)
        inside = k < N_LEVELS
        kept = pixel.kept_ratio(tl.load(ratio + before * N_LEVELS + k, mask=inside & has_before, other=0))
        n_kept = pixel.kept_ratio(tl.load(ratio_count + before * N_LEVELS + k, mask=inside & has_before, other=0))
        kept = tl.where(has_before, kept, FIRST_RATIO * FIRST_COUNT)
        n_kept = tl.where(has_before, n_kept, FIRST_COUNT)
        kept += tl.load(own_ratio + plane * N_LEVELS + k, mask=inside, other=0)
        n_kept += tl.load(own_ratio_count + plane * N_LEVELS + k, mask=inside, other=0)
        tl.store(ratio + then * N_LEVELS + k, tl.where(n_kept < 1, FIRST_RATIO, kept), mask=inside)
        tl.store(ratio_count + then * N_LEVELS + k, tl.maximum(n_kept, 1), mask=inside)
        if REPEATS > 0:
            k = tl.arange(0, N_RUN_LEVELS)
            n_hits = pixel.kept_tries(tl.load(hits + before * N_RUN_LEVELS + k, mask=has_before & (k >= 0), other=0))
            n_tries = pixel.kept_tries(tl.load(tries + before * N_RUN_LEVELS + k, mask=has_before & (k >= 0), other=0))
            n_hits += tl.load(own_hits + plane * N_RUN_LEVELS + k)
            n_tries += tl.load(own_tries + plane * N_RUN_LEVELS + k)
            begins = (z == 0) | (n_tries < 1)
            tl.store(hits + then * N_RUN_LEVELS + k, n_hits + tl.where(begins, tl.load(first_hits + k), 0))
            tl.store(tries + then * N_RUN_LEVELS + k, n_tries + tl.where(begins, FIRST_TRIES, 0))
