"""The walk of `walk`, for models that need no more than the kernels of `alone`; streams and samples are the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.coder.rans_kernels import advance, peek
from lhic.families.ax import pixel, spec
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import alone
from lhic.families.ax.cpu.alone import HIGH, LANES, LOW, MAGNITUDE, TOTAL_SIZE
from lhic.families.ax.cpu.coder import model_value, near_address, table_address
from lhic.families.ax.cpu.learn import begin_plane, end_epoch, weights_of
from lhic.families.ax.cpu.pictures import PIXEL_BYTES, store, wave_rows
from lhic.families.ax.cpu.predict import inside, predict, source_of
from lhic.families.ax.cpu.tiles import predict_samples
from lhic.families.ax.cpu.walk import DECODE, ENCODE
from lhic.families.ax.experts import DETAIL, EARLIER, INSIDE, NEIGHBOUR, SAMPLE
from lhic.families.ax.integer_net import IntegerNet
from lhic.families.ax.spec import PLANE_LAG, PRECISION, TOTAL
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address


class Constants(NamedTuple):
    """What of a model and a tile does not change.

    factors : float64, see `alone.factors_of`;  shift : float64 (1,), what the network says of the mean
    farthest : planes back that the expert looks;  whole : whether all pixels are coded
    """

    factors: np.ndarray
    shift: np.ndarray
    farthest: int
    whole: bool


def constants_of(config: AxConfig, net: IntegerNet, mask: np.ndarray) -> Constants | None:
    """Of a model and a tile with this mask that need no more than the kernels here; None if they do."""
    experts = config.experts()
    says_one_thing = config.components == 1 and not net.last.any()
    if config.adaptation or len(experts) != 1 or not experts[0].about_mean or experts[0].forgets or not says_one_thing:
        return None
    if config.repeats not in (0, len(spec.CAUSAL)):
        return None
    if not experts[0].kinds() <= {DETAIL, NEIGHBOUR, EARLIER, INSIDE}:
        return None
    mean, scale = (int(says) for says in net.last_bias[:2])
    shift = np.array([float(mean >> spec.MEAN_SHIFT)])
    farthest = int(experts[0].regressors[:, 1].max())
    return Constants(alone.factors_of(scale >> spec.SCALE_SHIFT), shift, farthest, not mask.any())


def _block_for(mode):
    @lean(nogil=True, seconds=10)
    def walk_block(
        first_plane, end_plane, first_step, end_step, epoch, table, constants, levels, state, scratch, coding
    ):
        """`walk.walk_block`."""
        n_rows, n_columns = coding.values.shape[1:] if mode == DECODE else coding.level_of.shape[1:]
        waves = 2 * (n_rows - 1) + n_columns
        for t in range(first_step, end_step):
            for z in range(first_plane, end_plane):
                wave = t - PLANE_LAG * (z - first_plane)
                if wave < 0 or wave >= waves:
                    continue
                if wave == 0:
                    begin_plane(z, table, state)
                first, n = wave_rows(wave, n_rows, n_columns)
                now = wave // epoch
                if n > 0:
                    _describe(z, wave, first, n, n_columns, now, table, constants, state, scratch)
                    coded = state.coded[wave + WAVE_MARGIN, first + ROW_MARGIN : first + ROW_MARGIN + n]
                    if mode == ENCODE:
                        _encode(z, wave, first, n, coded, table, constants, levels, scratch, coding)
                    elif not _decode(z, wave, first, n, coded, table, levels, scratch, coding):
                        return False
                    _targets(z, n, coded, constants, levels, state, scratch)
                    if mode == DECODE:
                        for q in range(n):
                            i = first + q
                            coding.values[z, i, wave - 2 * i] = np.int32(scratch.targets[q])
                    _learn(z, wave, first, n, n_rows, n_columns, coded, table, constants, state, scratch)
                if (wave + 1) % epoch == 0 and wave + 1 < waves:
                    end_epoch(z, now, n_rows, n_columns, table, state, scratch)
        return True

    return walk_block


_BLOCKS = {mode: _block_for(mode) for mode in (ENCODE, DECODE)}


def walk_block(mode: int, *arguments) -> bool:
    """See `walk.walk_block`; with `Constants` for the network."""
    return _BLOCKS[mode](*arguments)


@lean
def _predict(z, u, row, n, n_columns, table, constants, state, scratch):
    """Sums of products of a wave, into the first row of predictions: `predict.predict` before it rounds."""
    regressors, coefficients = table.regressors, state.coefficients[z]
    samples, details, sources, used = state.samples, state.details, scratch.sources, scratch.used
    size, slot = coefficients.size, z % samples.shape[0]
    of_mean = of_earlier_mean = 0.0
    for r in range(size):
        kind = regressors[r, 0]
        sources[r] = source_of(
            (kind, regressors[r, 1], regressors[r, 2], regressors[r, 3]), samples, details, slot, u, row
        )
        used[r] = coefficients[r]
        if kind == NEIGHBOUR or kind == INSIDE:
            of_mean -= coefficients[r]
        elif kind == EARLIER:
            of_earlier_mean += coefficients[r]
    if of_earlier_mean:
        sources[size] = source_of((DETAIL, 1, 0, 0), samples, details, slot, u, row)
        sources[size + 1] = source_of((SAMPLE, 1, 0, 0), samples, details, slot, u, row)
        used[size], used[size + 1] = of_earlier_mean, -of_earlier_mean
        size += 2
    used[size], used[size + 1] = 0.0, of_mean
    predictions, means = scratch.predictions[0], scratch.means
    predict_samples(sources, used, size, means, n, predictions)
    for r in range(coefficients.size):
        if regressors[r, 0] == INSIDE:
            du, di = regressors[r, 2], regressors[r, 3]
            begin, end = inside(u, row, n, du, di, n_columns)
            own = samples[slot, u + du]
            for q in range(begin):
                predictions[q] -= coefficients[r] * (own[row + di + q] - means[q])
            for q in range(end, n):
                predictions[q] -= coefficients[r] * (own[row + di + q] - means[q])


@lean
def _describe(z, wave, first, n, n_columns, epoch, table, constants, state, scratch):
    """Base, expected error, logistics and candidates of a wave."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    stride = state.samples.shape[2]
    at = PIXEL_BYTES * (u * stride + row)
    own = address(state.samples[z % state.samples.shape[0]]) + at
    alone.means_tile(own, stride, address(scratch.means), n)
    if z < constants.farthest:
        _predict_first(z, u, row, n, n_columns, table, state, scratch)
    else:
        _predict(z, u, row, n, n_columns, table, constants, state, scratch)
    slot, numbers = z % state.residuals.shape[0], scratch.numbers
    earlier = (z - 1) % state.residuals.shape[0]
    if z == 0:
        earlier = slot
        for q in range(n):
            state.activity[slot, u, row + q] = spec.UNIT
    numbers[LOW], numbers[HIGH] = 64.0 * state.low[z], 64.0 * state.high[z]
    numbers[MAGNITUDE] = max(state.magnitude[z, epoch], np.int64(spec.MIN_MAGNITUDE))
    mean, factor = scratch.mixtures.parts[0, 0], scratch.mixtures.parts[0, 1]
    alone.describe_tile(
        address(scratch.predictions), address(scratch.means), address(state.residuals[slot]) + at, stride,
        address(state.activity[earlier]) + at, address(numbers), address(state.rates[z]), address(constants.factors),
        address(constants.shift), address(scratch.base), address(scratch.raw_scale), address(scratch.level),
        address(scratch.scale), address(mean), address(factor), n,
    )  # fmt: skip
    if table.repeats:
        alone.candidates_tile(
            own, address(state.runs[earlier]) + at, stride, address(state.run_weights[z]), address(scratch.candidates),
            address(scratch.run_levels), address(scratch.repeat_weights), n,
        )  # fmt: skip


@lean
def _predict_first(z, u, row, n, n_columns, table, state, scratch):
    """`_predict` in a plane that has fewer before it than the expert looks back."""
    predict(
        table.regressors, state.coefficients[z], state.samples, state.details, scratch.means, z, u, row, n, n_columns,
        scratch.sources, scratch.used, scratch.predictions[0], False,
    )  # fmt: skip


@lean
def _encode(z, wave, first, n, coded, table, constants, levels, scratch, coding):
    """Append the intervals of a wave's levels, where `coded`."""
    mixtures, cursor = scratch.mixtures, coding.n_symbols[0]
    own = coding.level_of[z]
    last = levels.n_levels[z] - 1
    for q in range(n):
        i = first + q
        mixtures.levels[q] = own[i, wave - 2 * i]
    if not constants.whole:
        for q in range(n):  # of the mask
            mixtures.levels[q] = min(max(np.int64(mixtures.levels[q]), np.int64(0)), last)
    starts, freqs = address(mixtures.starts), address(mixtures.freqs)
    mean, factor = address(mixtures.parts[0, 0]), address(mixtures.parts[0, 1])
    place = table_address(z, levels)
    if table.repeats:
        alone.intervals_tile_of_repeats(
            address(mixtures.levels), starts, freqs, levels.first[z], levels.n_levels[z], place, mean, factor,
            address(scratch.candidates), address(scratch.repeat_weights), n,
        )  # fmt: skip
    else:
        alone.intervals_tile(
            address(mixtures.levels), starts, freqs, levels.first[z], levels.n_levels[z], place, mean, factor, 0, 0, n
        )  # fmt: skip
    if constants.whole:
        for q in range(n):
            coding.starts[cursor + q] = mixtures.starts[q]
            coding.freqs[cursor + q] = mixtures.freqs[q]
        coding.n_symbols[0] = cursor + n
        return
    for q in range(n):
        if coded[q]:
            coding.starts[cursor] = mixtures.starts[q]
            coding.freqs[cursor] = mixtures.freqs[q]
            cursor += 1
    coding.n_symbols[0] = cursor


@lean
def _decode(z, wave, first, n, coded, table, levels, scratch, coding):
    """Levels and freqs of a wave's samples, where `coded`; False if the words ran out."""
    mixtures, states, cursor = scratch.mixtures, coding.states, coding.cursor
    n_lanes = states.size
    at_once = min(LANES, n_lanes)
    place, near = table_address(z, levels), near_address(z, levels)
    mean, factor = address(mixtures.parts[0, 0]), address(mixtures.parts[0, 1])
    slots, found, begins, ends = scratch.search[0], scratch.search[1], scratch.search[2], scratch.search[3]
    lane = cursor[0] % n_lanes
    for q in range(0, n, at_once):
        n_here = min(at_once, n - q)
        ahead = lane
        for s in range(n_here):
            if coded[q + s]:
                slots[s] = peek(states, ahead, PRECISION)
                ahead = ahead + 1 if ahead + 1 < n_lanes else 0
        if table.repeats:
            alone.guess_tile_of_repeats(
                address(slots), address(found), address(begins), address(ends), levels.first[z], levels.n_levels[z],
                place, near, mean, factor, address(scratch.candidates), address(scratch.repeat_weights), q,
            )  # fmt: skip
        else:
            alone.guess_tile(
                address(slots), address(found), address(begins), address(ends), levels.first[z], levels.n_levels[z],
                place, near, mean, factor, 0, 0, q,
            )  # fmt: skip
        for s in range(n_here):
            if not coded[q + s]:
                continue
            slot, begin, end, level = np.int64(slots[s]), np.int64(begins[s]), np.int64(ends[s]), np.int64(found[s])
            if slot < begin or slot >= end:
                level, begin, end = _search(z, q + s, slot, level, begin, end, table, levels, scratch)
            if not advance(states, lane, coding.words, cursor, begin, end - begin, PRECISION):
                return False
            lane = lane + 1 if lane + 1 < n_lanes else 0
            mixtures.levels[q + s] = level
            mixtures.freqs[q + s] = end - begin
    return True


@lean
def _search(z, q, slot, level, begin, end, table, levels, scratch):
    """The level whose interval holds the slot, from one beside which it is: gallops, then bisects."""
    low, high, low_value, high_value = np.int64(0), levels.n_levels[z], np.int64(0), np.int64(TOTAL)
    step = np.int64(1)
    if slot < begin:
        high, high_value = level, begin
        while True:
            middle = high - step
            if middle <= 0:
                break
            value = _cumulative(z, q, middle, table, levels, scratch)
            if value <= slot:
                low, low_value = middle, value
                break
            high, high_value = middle, value
            step *= 2
    else:
        low, low_value = level + 1, end
        while True:
            middle = low + step
            if middle >= levels.n_levels[z]:
                break
            value = _cumulative(z, q, middle, table, levels, scratch)
            if value > slot:
                high, high_value = middle, value
                break
            low, low_value = middle, value
            step *= 2
    while high - low > 1:
        middle = (low + high) >> 1
        value = _cumulative(z, q, middle, table, levels, scratch)
        if value <= slot:
            low, low_value = middle, value
        else:
            high, high_value = middle, value
    return low, low_value, high_value


@lean
def _cumulative(z, q, level, table, levels, scratch):
    """F of one level, 0 < level < n_levels: by the kernel that finds intervals, for eight times the same sample."""
    search, twice, weights = scratch.search, scratch.twice, scratch.twice_weights
    for s in range(LANES):
        search[4, s] = level
        twice[0, s], twice[1, s] = scratch.mixtures.parts[0, 0, q], scratch.mixtures.parts[0, 1, q]
    place = table_address(z, levels)
    if table.repeats:
        for s in range(LANES):
            weights[0, s], weights[1, s] = scratch.candidates[q], scratch.repeat_weights[q]
        alone.intervals_tile_of_repeats(
            address(search[4]), address(search[5]), address(search[6]), levels.first[z], levels.n_levels[z], place,
            address(twice[0]), address(twice[1]), address(weights[0]), address(weights[1]), LANES,
        )  # fmt: skip
    else:
        alone.intervals_tile(
            address(search[4]), address(search[5]), address(search[6]), levels.first[z], levels.n_levels[z], place,
            address(twice[0]), address(twice[1]), 0, 0, LANES,
        )  # fmt: skip
    return np.int64(search[5, 0])


@lean
def _targets(z, n, coded, constants, levels, state, scratch):
    """Model values of a wave."""
    targets, found = scratch.targets, scratch.mixtures.levels
    if levels.table_start[z] < 0:
        first = levels.first[z]
        for q in range(n):
            targets[q] = first + found[q]
    else:
        for q in range(n):
            targets[q] = model_value(np.int64(found[q]), z, levels) if coded[q] else 0.0
    if constants.whole:
        return
    for q in range(n):
        if not coded[q]:
            targets[q] = pixel.filled_value(np.int64(scratch.base[q]))


@lean
def _count(z, n, coded, relative, table, constants, state, scratch):
    """Add to the sums of the tables by expected error and by run."""
    own_ratio, own_count, levels = state.own_ratio[z], state.own_ratio_count[z], scratch.level
    n_coded = n
    if constants.whole:
        for q in range(n):
            level = levels[q]
            own_ratio[level] += np.int64(relative[q])
            own_count[level] += 1
    else:
        n_coded = 0
        for q in range(n):
            if coded[q]:
                level = levels[q]
                own_ratio[level] += np.int64(relative[q])
                own_count[level] += 1
                n_coded += 1
    state.own_count[z] += n_coded
    if not table.repeats:
        return
    rungs, targets, candidates = scratch.run_levels, scratch.targets, scratch.candidates
    own_hits, own_tries, freqs = state.own_hits[z], state.own_tries[z], scratch.mixtures.freqs
    n_longer = 0
    for q in range(n):
        if rungs[q] != 0 and (constants.whole or coded[q]):
            own_tries[rungs[q]] += 1
            n_longer += 1
    own_tries[0] += n_coded - n_longer
    for q in range(n):
        if targets[q] == candidates[q] and (constants.whole or coded[q]):
            own_hits[rungs[q]] += pixel.repeat_share(scratch.repeat_weights[q], np.int64(freqs[q]))


@lean
def _learn(z, wave, first, n, n_rows, n_columns, coded, table, constants, state, scratch):
    """Take note of a wave: `learn.learn_wave`."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    stride = state.samples.shape[2]
    at = PIXEL_BYTES * (u * stride + row)
    slot, numbers, targets = z % state.residuals.shape[0], scratch.numbers, scratch.targets
    earlier = (z - 1) % state.residuals.shape[0] if z > 0 else slot
    kept = z % state.samples.shape[0]
    samples, details, residuals = state.samples[kept], state.details[kept], state.residuals[slot]
    relative, weights = scratch.work[0], state.weights[slot, wave % state.weights.shape[1]]
    if table.repeats:
        alone.runs_tile(
            address(samples) + at, stride, address(targets), address(state.runs[earlier]) + at,
            address(state.runs[slot]) + at, (1 << spec.RUN_BITS * table.repeats) - 1, n,
        )  # fmt: skip
    alone.learn_tile(
        address(targets), address(scratch.base), address(scratch.means), address(scratch.raw_scale),
        address(scratch.scale), address(state.coded) + u * stride + row, address(state.activity[earlier]) + at,
        address(numbers), address(samples) + at, address(details) + at, address(residuals) + at,
        address(state.activity[slot]) + at, address(relative), address(weights), n,
    )  # fmt: skip
    if numbers[MAGNITUDE] >= 2.0**20:  # too large for float64
        weights_of(scratch.scale, numbers[MAGNITUDE], coded, n, weights)
    total = 0.0
    for k in range(LANES):
        total += numbers[TOTAL_SIZE + k]
    state.own_magnitude[z] += np.int64(total)
    _count(z, n, coded, relative, table, constants, state, scratch)
    for end in range(2):
        q = n - 1 if end else 0
        i, j = first + q, wave - 2 * (first + q)
        if i == 0 or i == n_rows - 1 or j == 0 or j == n_columns - 1:
            for picture in (samples, details, residuals):
                store(picture, i, j, n_rows, n_columns, picture[u, row + q])
