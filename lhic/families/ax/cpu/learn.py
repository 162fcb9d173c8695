"""What is learned from a wave: pictures, sums, the samples' weights; and the tables that hold from epoch to epoch."""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel, spec
from lhic.families.ax.cpu import alone
from lhic.families.ax.cpu.alone import LANES, MAGNITUDE, TOTAL_SIZE
from lhic.families.ax.cpu.arithmetic import EXACT
from lhic.families.ax.cpu.fit import fit_experts, learn_epoch
from lhic.families.ax.cpu.pictures import PIXEL_BYTES, store
from lhic.families.ax.cpu.repeats import count_repeats, first_tries, next_tries
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address


@lean
def begin_plane(z, table, state):
    """Tables of the first epoch, and margins of zeros."""
    slot = z % state.residuals.shape[0]
    kept = z % state.samples.shape[0]
    if z != kept:  # left from another plane
        state.samples[kept] = 0
        state.details[kept] = 0
    if z != slot:
        state.residuals[slot] = 0
        state.errors[slot] = 0
        if state.grams.shape[0]:
            state.grams[slot] = 0.0
            state.moments[slot] = 0.0
    state.magnitude[z, 0] = spec.FIRST_MAGNITUDE
    for e in range(state.error.shape[2]):
        state.error[z, 0, e] = spec.FIRST_MAGNITUDE
    for level in range(spec.N_LEVELS):
        state.ratio[slot, 0, level] = spec.FIRST_RATIO * spec.FIRST_COUNT
        state.ratio_count[slot, 0, level] = spec.FIRST_COUNT
    first_tries(slot, state)
    _open(z, 0, table, state)


@lean
def _open(z, epoch, table, state):
    """Tables of an epoch as the kernels take them."""
    slot = z % state.residuals.shape[0]
    for level in range(spec.N_LEVELS):
        state.rates[z, 0, level] = state.ratio[slot, epoch, level]
        state.rates[z, 1, level] = state.ratio_count[slot, epoch, level] * spec.FIRST_RATIO
    if table.repeats:
        for rung in range(spec.N_RUN_LEVELS):
            weight = pixel.repeat_weight(state.hits[slot, epoch, rung], state.tries[slot, epoch, rung])
            state.run_weights[z, rung] = weight


@lean
def end_epoch(z, epoch, n_rows, n_columns, table, state, scratch):
    """Fit the experts of plane z to all waves so far and write the tables of the next epoch."""
    learn_epoch(z, epoch, n_rows, n_columns, table, state, scratch)
    fit_experts(z, table, state, scratch)
    next_tables(z, epoch + 1, table, state)


@lean
def next_tables(z, then, table, state):
    """What plane z expects in the epoch that begins."""
    count, slot, earlier = state.own_count[z], z % state.residuals.shape[0], (z - 1) % state.residuals.shape[0]
    before = state.magnitude[z - 1, then] if z > 0 else np.int64(spec.FIRST_MAGNITUDE)
    state.magnitude[z, then] = pixel.mean_error(state.own_magnitude[z], count, before)
    for e in range(table.about_mean.size):
        before = state.error[z - 1, then, e] if z > 0 else np.int64(spec.FIRST_MAGNITUDE)
        state.error[z, then, e] = pixel.mean_error(state.own_error[z, e], count, before)
    for level in range(spec.N_LEVELS):
        ratio, ratio_count = np.int64(spec.FIRST_RATIO * spec.FIRST_COUNT), np.int64(spec.FIRST_COUNT)
        if z > 0:
            ratio = pixel.kept_ratio(state.ratio[earlier, then, level])
            ratio_count = pixel.kept_ratio(state.ratio_count[earlier, then, level])
        ratio += state.own_ratio[z, level]
        ratio_count += state.own_ratio_count[z, level]
        state.ratio[slot, then, level] = ratio if ratio_count > 0 else spec.FIRST_RATIO
        state.ratio_count[slot, then, level] = max(ratio_count, np.int64(1))
    next_tries(z, then, state)
    _open(z, then, table, state)


@lean(fastmath=EXACT)
def weights_of(scale, magnitude, coded, n, weights):
    """0 where nothing is coded."""
    if magnitude < 2.0**20:
        for q in range(n):
            weight = pixel.sample_weight(magnitude, min(scale[q], 2.0**23))  # from there on it is 1
            weights[q] = weight if coded[q] else 0.0
    else:  # too large for float64
        for q in range(n):
            weights[q] = pixel.sample_weight(np.int64(magnitude), np.int64(scale[q])) if coded[q] else 0


@lean
def learn_wave(z, wave, first, n, n_rows, n_columns, table, state, scratch):
    """Take note of the samples of a wave, which stand in ``scratch.targets``."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    stride = state.samples.shape[2]
    at = PIXEL_BYTES * (u * stride + row)
    slot, numbers = z % state.residuals.shape[0], scratch.numbers
    earlier = (z - 1) % state.residuals.shape[0] if z > 0 else slot
    coded, own = state.coded[u, row : row + n], address(state.coded) + u * stride + row
    kept = z % state.samples.shape[0]
    samples, details, residuals = state.samples[kept], state.details[kept], state.residuals[slot]
    relative, weights = scratch.work[0], state.weights[slot, wave % state.weights.shape[1]]
    if table.repeats:
        alone.runs_tile(
            address(samples) + at, stride, address(scratch.targets), address(state.runs[earlier]) + at,
            address(state.runs[slot]) + at, (1 << spec.RUN_BITS * table.repeats) - 1, n,
        )  # fmt: skip
    alone.learn_tile(
        address(scratch.targets), address(scratch.base), address(scratch.means), address(scratch.raw_scale),
        address(scratch.scale), own, address(state.activity[earlier]) + at, address(numbers), address(samples) + at,
        address(details) + at, address(residuals) + at, address(state.activity[slot]) + at, address(relative),
        address(weights), n,
    )  # fmt: skip
    state.own_magnitude[z] += _total(numbers)
    if numbers[MAGNITUDE] >= 2.0**20:  # too large for float64
        weights_of(scratch.scale, numbers[MAGNITUDE], coded, n, weights)
    for e in range(table.about_mean.size):
        errors = address(state.errors[slot, e]) + at
        predictions = address(scratch.predictions[e])
        alone.errors_tile(address(scratch.targets), predictions, own, errors, address(numbers), n)
        state.own_error[z, e] += _total(numbers)
    own_ratio, own_count, levels = state.own_ratio[z], state.own_ratio_count[z], scratch.level
    n_coded = 0
    for q in range(n):
        if coded[q]:
            own_ratio[levels[q]] += np.int64(relative[q])
            own_count[levels[q]] += 1
            n_coded += 1
    state.own_count[z] += n_coded
    if table.repeats:
        count_repeats(z, n, coded, state, scratch)
    for end in range(2):
        q = n - 1 if end else 0
        i, j = first + q, wave - 2 * (first + q)
        if i == 0 or i == n_rows - 1 or j == 0 or j == n_columns - 1:
            for picture in (samples, details, residuals):
                store(picture, i, j, n_rows, n_columns, picture[u, row + q])
            for e in range(table.about_mean.size):
                picture = state.errors[slot, e]
                store(picture, i, j, n_rows, n_columns, picture[u, row + q])


@lean
def _total(numbers):
    """Of the sums in the lanes of a kernel."""
    total = 0.0
    for k in range(LANES):
        total += numbers[TOTAL_SIZE + k]
    return np.int64(total)
