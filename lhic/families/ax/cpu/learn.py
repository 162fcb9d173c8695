"""What is learned from a wave: pictures, sums, the samples' weights; and the tables that hold from epoch to epoch."""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel, spec
from lhic.families.ax.cpu.arithmetic import EXACT
from lhic.families.ax.cpu.fit import fit_experts, learn_epoch
from lhic.families.ax.cpu.pictures import store_wave
from lhic.families.ax.cpu.repeats import first_tries, learn_repeats, next_tries
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import njit


@njit
def begin_plane(z, state):
    """Tables of the first epoch, and margins of zeros."""
    slot = z % state.residuals.shape[0]
    if z != slot:  # left from another plane
        state.residuals[slot] = 0
        state.errors[slot] = 0
    state.magnitude[z, 0] = spec.FIRST_MAGNITUDE
    for e in range(state.error.shape[2]):
        state.error[z, 0, e] = spec.FIRST_MAGNITUDE
    for level in range(spec.N_LEVELS):
        state.ratio[z, 0, level] = spec.FIRST_RATIO * spec.FIRST_COUNT
        state.ratio_count[z, 0, level] = spec.FIRST_COUNT
    first_tries(z, state)


@njit
def end_epoch(z, epoch, n_rows, n_columns, table, state, scratch):
    """Fit the experts of plane z to all waves so far and write the tables of the next epoch."""
    learn_epoch(z, epoch, n_rows, n_columns, table, state, scratch)
    fit_experts(z, table, state, scratch)
    next_tables(z, epoch + 1, table, state)


@njit
def next_tables(z, then, table, state):
    """What plane z expects in the epoch that begins."""
    count = state.own_count[z]
    before = state.magnitude[z - 1, then] if z > 0 else np.int64(spec.FIRST_MAGNITUDE)
    state.magnitude[z, then] = pixel.mean_error(state.own_magnitude[z], count, before)
    for e in range(table.about_mean.size):
        before = state.error[z - 1, then, e] if z > 0 else np.int64(spec.FIRST_MAGNITUDE)
        state.error[z, then, e] = pixel.mean_error(state.own_error[z, e], count, before)
    for level in range(spec.N_LEVELS):
        ratio, ratio_count = np.int64(spec.FIRST_RATIO * spec.FIRST_COUNT), np.int64(spec.FIRST_COUNT)
        if z > 0:
            ratio = pixel.kept_ratio(state.ratio[z - 1, then, level])
            ratio_count = pixel.kept_ratio(state.ratio_count[z - 1, then, level])
        ratio += state.own_ratio[z, level]
        ratio_count += state.own_ratio_count[z, level]
        state.ratio[z, then, level] = ratio if ratio_count > 0 else spec.FIRST_RATIO
        state.ratio_count[z, then, level] = max(ratio_count, np.int64(1))
    next_tries(z, then, state)


@njit(fastmath=EXACT)
def _residuals(targets, base, n, residuals, sizes):
    for q in range(n):
        residuals[q] = pixel.residual_of(targets[q], base[q])
        sizes[q] = abs(residuals[q])


@njit(fastmath=EXACT)
def _errors(targets, predictions, n, errors):
    for q in range(n):
        errors[q] = pixel.error_of(targets[q], predictions[q])


@njit(fastmath=EXACT | {"reassoc"})
def _sum_coded(values, coded, n):
    total = 0.0
    for q in range(n):
        total += values[q] if coded[q] else 0.0
    return total


@njit(fastmath=EXACT)
def _activities(sizes, magnitude, before, coded, n, activity):
    for q in range(n):
        known = np.float64(before[q])
        activity[q] = np.int32(pixel.next_activity(known, sizes[q], magnitude) if coded[q] else known)


@njit(fastmath=EXACT)
def _relative_sizes(sizes, raw_scale, n, relative):
    for q in range(n):
        relative[q] = pixel.relative_size(sizes[q], raw_scale[q])


@njit(fastmath=EXACT)
def weights_of(scale, magnitude, coded, n, weights):
    """0 where nothing is coded."""
    if magnitude < 2.0**20:
        for q in range(n):
            weight = pixel.sample_weight(magnitude, min(scale[q], 2.0**23))  # from there on it is 1
            weights[q] = weight if coded[q] else 0.0
    else:  # too large for float64
        for q in range(n):
            weights[q] = pixel.sample_weight(np.int64(magnitude), np.int64(scale[q])) if coded[q] else 0


@njit
def learn_wave(z, wave, first, n, n_rows, n_columns, epoch, table, state, scratch):
    """Take note of the samples of a wave, which stand in ``scratch.targets``."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    n_experts = table.about_mean.size
    slot = z % state.residuals.shape[0]
    magnitude = float(max(state.magnitude[z, epoch], np.int64(spec.MIN_MAGNITUDE)))
    coded = state.coded[u, row : row + n]
    targets, details, sizes = scratch.targets, scratch.details, scratch.sizes
    residuals, errors, relative = scratch.work[0], scratch.work[1], scratch.work[2]
    _residuals(targets, scratch.base, n, residuals, sizes)
    for q in range(n):
        details[q] = targets[q] - scratch.means[q]
    if table.repeats:
        learn_repeats(z, wave, first, n, coded, table, state, scratch)
    store_wave(state.samples[z], targets, wave, first, n, n_rows, n_columns)
    store_wave(state.details[z], details, wave, first, n, n_rows, n_columns)
    store_wave(state.residuals[slot], residuals, wave, first, n, n_rows, n_columns)
    for e in range(n_experts):
        _errors(targets, scratch.predictions[e], n, errors)
        store_wave(state.errors[slot, e], errors, wave, first, n, n_rows, n_columns)
        state.own_error[z, e] += np.int64(_sum_coded(errors, coded, n))
    activity = state.activity[slot, u, row : row + n]
    if z > 0:
        before = state.activity[(z - 1) % state.residuals.shape[0], u, row : row + n]
    else:
        before = activity
        before[:] = spec.UNIT
    _activities(sizes, magnitude, before, coded, n, activity)
    _relative_sizes(sizes, scratch.raw_scale, n, relative)
    for q in range(n):
        if coded[q]:
            level = scratch.level[q]
            state.own_ratio[z, level] += np.int64(relative[q])
            state.own_ratio_count[z, level] += 1
            state.own_count[z] += 1
    state.own_magnitude[z] += np.int64(_sum_coded(sizes, coded, n))
    weights_of(scratch.scale, magnitude, coded, n, state.weights[slot, wave % state.weights.shape[1]])
