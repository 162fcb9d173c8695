"""lhic-ax written to be read: the path from decoded samples to intervals, one sample at a time, in plain integers.

This is docs/format_lhic_ax.md as a program, in the order of its sections 2 to 7.  Pictures are addressed by row and
column, with the rule for their edges spelled out; nothing here is compiled, skewed or shared between samples.  It
takes constants and tables from the modules that the format names, and no kernel.  Milliseconds a sample: for tests, and
for whoever writes another decoder.

Arithmetic is on Python's integers, so nothing can overflow; `//` and `>>` round down.  The only floats are
in `solve`, where the format prescribes each operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from lhic.coder.mixture import MEAN_BITS, MEAN_LIMIT, SCALE_MAX, reference_sigmoid, reference_weights
from lhic.coder.mixture import SIGMOID_BITS as SIGMOID_TOTAL_BITS
from lhic.coder.mixture import WEIGHT_BITS as MIXTURE_BITS
from lhic.coder.rans import RansDecoder
from lhic.families.ax.config import CONSTANT, CONSTANT_INPUT, DETAIL, INSIDE, NEIGHBOUR, SAMPLE, AxConfig, Expert
from lhic.families.ax.cpu import arithmetic, context, experts, network, repeats, symbols
from lhic.families.ax.cpu.skew import AROUND, CAUSAL, NE, NW, PLANE_LAG, E, N, S, W
from lhic.families.ax.cpu.state import FIRST_COUNT, FIRST_MAGNITUDE, FIRST_RATIO, N_LEVELS, N_RUN_LEVELS, UNIT
from lhic.families.ax.planes.tile import Layout, Planes

WW, NN, HERE = (0, -2), (-2, 0), (0, 0)


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


# --- 2. order and edges -----------------------------------------------------------------------------------------------


class Picture:
    """A number for each pixel of a plane, 0 until it is stored, and the rule for places beyond the edge."""

    def __init__(self, n_rows: int, n_columns: int, initial: int = 0):
        self.shape = n_rows, n_columns
        self.values = [[initial] * n_columns for _ in range(n_rows)]

    def __getitem__(self, place: tuple[int, int]) -> int:
        i, j = place
        n_rows, n_columns = self.shape
        if 0 <= i < n_rows and 0 <= j < n_columns:
            return self.values[i][j]
        if i in (-1, -2) and 2 <= j <= n_columns + 1:
            return self.values[0][j - 2]
        if j in (-1, -2) and 1 <= i <= n_rows:
            return self.values[i - 1][0]
        if j == n_columns and 0 <= i < n_rows:
            return self.values[i][n_columns - 1]
        if i == n_rows and 0 <= j <= n_columns:
            return self.values[n_rows - 1][min(j, n_columns - 1)]
        return 0

    def __setitem__(self, place: tuple[int, int], value: int) -> None:
        self.values[place[0]][place[1]] = value

    def near(self, i: int, j: int, distance: tuple[int, int]) -> int:
        return self[i + distance[0], j + distance[1]]

    def holds(self, i: int, j: int, distance: tuple[int, int]) -> bool:
        return 0 <= i + distance[0] < self.shape[0] and 0 <= j + distance[1] < self.shape[1]

    def causal_sum(self, i: int, j: int) -> int:
        """Of magnitudes: W and N count twice."""
        near = [abs(self.near(i, j, distance)) for distance in (W, N, W, N, NW, NE, WW, NN)]
        return sum(near)


def wave(number: int, n_rows: int, n_columns: int) -> list[tuple[int, int]]:
    """Pixels (i, j) with 2 i + j = number, from the top down."""
    return [(i, number - 2 * i) for i in range(n_rows) if 0 <= number - 2 * i < n_columns]


# --- 3. logarithm and power -------------------------------------------------------------------------------------------


def log2_16(value: int) -> int:
    """16 log2(value) of a value >= 1, from its topmost 7 bits."""
    exponent = value.bit_length() - 1
    mantissa = (value << arithmetic.MANTISSA_BITS) >> exponent  # 64 .. 127
    return arithmetic.LOG_STEPS * exponent + int(arithmetic.LOG_TABLE[mantissa - (1 << arithmetic.MANTISSA_BITS)])


def power(below: int) -> int:
    """2^15 * 2^(-below / 16), 0 <= below."""
    return (int(arithmetic.POWER_TABLE[below % arithmetic.LOG_STEPS]) << 1) >> (below // arithmetic.LOG_STEPS)


# --- 4. experts -------------------------------------------------------------------------------------------------------


@dataclass
class Fit:
    """What an expert has learned in one plane: int64 sums (n, n) and (n,), coefficients in 2^-20."""

    gram: np.ndarray
    moment: np.ndarray
    coefficients: np.ndarray


@dataclass
class PlaneState:
    """What is remembered of a plane; `tables` holds one entry for each epoch begun, `own` the sums since the start."""

    low: int
    high: int
    sample: Picture
    detail: Picture
    residual: Picture
    activity: Picture
    error: list[Picture]
    runs: list[Picture]
    fits: list[Fit]
    tables: list[Table] = field(default_factory=list)
    own_magnitude: int = 0
    own_count: int = 0
    own_error: list[int] = field(default_factory=list)
    own_ratio: list[int] = field(default_factory=lambda: [0] * N_LEVELS)
    own_ratio_count: list[int] = field(default_factory=lambda: [0] * N_LEVELS)
    own_hits: list[int] = field(default_factory=lambda: [0] * N_RUN_LEVELS)
    own_tries: list[int] = field(default_factory=lambda: [0] * N_RUN_LEVELS)


@dataclass(frozen=True)
class Table:
    """What is expected during one epoch of a plane."""

    magnitude: int  # mean |residual|, in 1/1024
    error: list[int]  # the same of each expert
    ratio: list[int]  # sum of |residual| / expected error in 1/256, by level of the expected error
    ratio_count: list[int]
    hits: list[int]  # samples that repeated a neighbour's, in 1/1024, by level of the run
    tries: list[int]


def causal_mean(plane: PlaneState, i: int, j: int) -> int:
    return (sum(plane.sample.near(i, j, distance) for distance in CAUSAL) + 2) >> 2


def regressors(expert: Expert, planes: Sequence[PlaneState], z: int, i: int, j: int) -> np.ndarray:
    """Inputs of an expert, int64 (n,)."""
    mean, found = causal_mean(planes[z], i, j), []
    for kind, back, waves_down, rows_down in expert.regressors.tolist():
        distance = rows_down, waves_down - 2 * rows_down
        if kind == CONSTANT:
            found.append(int(CONSTANT_INPUT))
        elif z < back:
            found.append(0)
        elif kind == DETAIL:
            found.append(planes[z - back].detail.near(i, j, distance))
        elif kind == NEIGHBOUR or (kind == INSIDE and planes[z].sample.holds(i, j, distance)):
            found.append(planes[z].sample.near(i, j, distance) - mean)
        elif kind == INSIDE:
            found.append(0)
        else:
            assert kind == SAMPLE
            found.append(planes[z - back].sample.near(i, j, distance))
    return np.array(found, np.int64)


def predict(expert: Expert, fit: Fit, inputs: np.ndarray, mean: int, plane: PlaneState) -> int:
    """Prediction in 1/64."""
    total = sum(int(c) * int(x) for c, x in zip(fit.coefficients, inputs, strict=True))
    value = (total >> (experts.COEFFICIENT_BITS - experts.FRACTION_BITS)) + (64 * mean if expert.about_mean else 0)
    return clip(value, 64 * plane.low, 64 * plane.high)


def solve(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Coefficients in 2^-20, int64 (n,), from the lower triangle of the sums; float64 in exactly this order."""
    n = len(moment)
    sums = [[float(value) for value in row] for row in gram]
    factor = [[0.0] * n for _ in range(n)]
    for i in range(n):
        diagonal = sums[i][i]
        for j in range(i):
            total = sums[i][j]
            for k in range(j):
                total -= factor[i][k] * factor[j][k]
            factor[i][j] = total / factor[j][j]
        pivot = diagonal + (experts.RIDGE + diagonal * experts.RELATIVE_RIDGE)
        for k in range(i):
            pivot -= factor[i][k] * factor[i][k]
        if pivot > diagonal * experts.DEGENERATE:
            factor[i][i] = sqrt(pivot)
        else:
            factor[i] = [0.0] * n
            factor[i][i] = 2.0**40
    solution = [float(value) for value in moment]
    for i in range(n):
        for k in range(i):
            solution[i] -= factor[i][k] * solution[k]
        solution[i] /= factor[i][i]
    for i in reversed(range(n)):
        for k in range(i + 1, n):
            solution[i] -= factor[k][i] * solution[k]
        solution[i] /= factor[i][i]
    limit = int(experts.COEFFICIENT_LIMIT)
    return np.array([clip(round(value * 2.0**experts.COEFFICIENT_BITS), -limit, limit) for value in solution], np.int64)


# --- 5. context -------------------------------------------------------------------------------------------------------


def first_table(n_experts: int) -> Table:
    """In force during epoch 0."""
    errors = [FIRST_MAGNITUDE] * n_experts
    ratio, ratio_count = [FIRST_RATIO * FIRST_COUNT] * N_LEVELS, [FIRST_COUNT] * N_LEVELS
    tries = [repeats.FIRST_TRIES] * N_RUN_LEVELS
    return Table(FIRST_MAGNITUDE, errors, ratio, ratio_count, list(repeats.FIRST_HITS), tries)


def next_table(planes: Sequence[PlaneState], z: int) -> Table:
    """In force during the epoch that begins, from the plane's own sums and the table of the plane before it."""
    plane, epoch = planes[z], len(planes[z].tables)
    before = planes[z - 1].tables[epoch] if z else None
    prior, count = context.PRIOR_COUNT, plane.own_count + context.PRIOR_COUNT
    magnitude = (16 * plane.own_magnitude + prior * (before.magnitude if z else FIRST_MAGNITUDE)) // count
    error = []
    for e, own in enumerate(plane.own_error):
        error.append((16 * own + prior * (before.error[e] if z else FIRST_MAGNITUDE)) // count)
    ratio, ratio_count = [], []
    for level in range(N_LEVELS):
        total, n = plane.own_ratio[level], plane.own_ratio_count[level]
        total += before.ratio[level] * context.KEEP_RATIO >> 8 if z else FIRST_RATIO * FIRST_COUNT
        n += before.ratio_count[level] * context.KEEP_RATIO >> 8 if z else FIRST_COUNT
        ratio.append(total if n else FIRST_RATIO)
        ratio_count.append(n if n else 1)
    hits, tries = [], []
    for level in range(N_RUN_LEVELS):
        total, n = plane.own_hits[level], plane.own_tries[level]
        if z:
            total += before.hits[level] * repeats.KEEP >> 8
            n += before.tries[level] * repeats.KEEP >> 8
        if z == 0 or n == 0:
            total, n = total + repeats.FIRST_HITS[level], n + repeats.FIRST_TRIES
        hits.append(total)
        tries.append(n)
    return Table(magnitude, error, ratio, ratio_count, hits, tries)


@dataclass
class Sample:
    """All about a sample that is known before it."""

    z: int
    i: int
    j: int
    mean: int
    inputs: list[np.ndarray]
    predictions: list[int]
    near: list[int] = field(default_factory=list)
    base: int = 0
    raw_scale: int = 0
    level: int = 0
    scale: int = 0
    features: list[int] = field(default_factory=list)
    sums: np.ndarray | None = None
    candidate: int = 0
    run_level: int = 0
    repeat_weight: int = 0  # of the candidate among the mixture's components, 2^-14
    width: int = 0  # probability with which the sample was coded, 2^-24


def blend(planes: Sequence[PlaneState], sample: Sample, power_of_plane: int) -> None:
    """Base prediction: the experts weighted by the inverse square of their errors around and a power of the plane's."""
    z, i, j = sample.z, sample.i, sample.j
    epoch = len(planes[z].tables) - 1
    for e, error in enumerate(planes[z].error):
        total = error.causal_sum(i, j)
        if z:
            earlier = planes[z - 1].error[e]
            around = 4 * earlier[i, j] + sum(earlier.near(i, j, distance) for distance in (E, S, W, N))
            total += min(around * magnitude_of(planes, z, epoch) // magnitude_of(planes, z - 1, epoch), 1 << 24)
        sample.near.append(log2_16(total + 8))
    shares = [power_of_plane * log2_16(error + 16) for error in planes[z].tables[-1].error]
    costs = [2 * near + share for near, share in zip(sample.near, shares, strict=True)]
    weights = [power(min(cost - min(costs), 240)) for cost in costs]
    first = sample.predictions[0]
    moment = sum(w * (p - first) for w, p in zip(weights, sample.predictions, strict=True))
    sample.base = first + moment // sum(weights)


def magnitude_of(planes: Sequence[PlaneState], z: int, epoch: int) -> int:
    return max(planes[z].tables[epoch].magnitude, context.MIN_MAGNITUDE)


def expect_error(planes: Sequence[PlaneState], sample: Sample) -> tuple[int, int]:
    """Set the expected error, in 1/1024; returns the two quantities it is made of."""
    z, i, j = sample.z, sample.i, sample.j
    table = planes[z].tables[-1]
    around = planes[z].residual.causal_sum(i, j)
    activity = planes[z - 1].activity[i, j] if z else UNIT
    expected = activity * magnitude_of(planes, z, len(planes[z].tables) - 1) >> 10
    sample.raw_scale = max((10 * around + 11 * expected) >> 4, context.MIN_RAW_SCALE)
    sample.level = min(log2_16(sample.raw_scale) >> 3, N_LEVELS - 1)
    corrected = sample.raw_scale * table.ratio[sample.level] // (table.ratio_count[sample.level] * FIRST_RATIO)
    sample.scale = max(corrected, context.MIN_SCALE)
    return around, expected


def describe(planes: Sequence[PlaneState], sample: Sample, around: int, expected: int) -> None:
    """Set the features, each -127 .. 127."""
    z, i, j, base = sample.z, sample.i, sample.j, sample.base
    plane, epoch = planes[z], len(planes[z].tables) - 1
    n_columns = plane.sample.shape[1]
    magnitude = magnitude_of(planes, z, epoch)
    log_magnitude, log_scale = log2_16(magnitude), log2_16(sample.scale)
    inverse = (1 << 24) // sample.scale
    found: list[int] = []
    # experts
    found += [(prediction - base) * inverse >> 16 for prediction in sample.predictions]
    found += [near - log_scale for near in sample.near]
    found += [log2_16(error + 16) - log_magnitude for error in plane.tables[epoch].error]
    # samples, then residuals, around
    around_here = (*CAUSAL, WW, NN)
    found += [(64 * plane.sample.near(i, j, d) - base) * inverse >> 17 for d in around_here]
    found += [plane.residual.near(i, j, d) * inverse >> 16 for d in around_here]
    # residuals in earlier planes, each in units of its plane's mean error against this one's
    for back in range(1, 3 + context.FAR_PLANES):
        distances = (HERE, *AROUND) if back < 3 else (HERE,)
        if z < back:
            found += [0] * len(distances)
            continue
        gain = (magnitude << 10) // magnitude_of(planes, z - back, epoch)
        inverse_back = min(gain * inverse >> 10, 1 << 40)
        found += [planes[z - back].residual.near(i, j, d) * inverse_back >> 16 for d in distances]
    # scales and places
    found.append(log2_16(2 * around + 16) - log_scale)
    found.append(log2_16(expected + 16) - log_scale)
    found.append(log_magnitude - log_scale)
    found.append((log_scale >> 1) - 60)
    found.append(log2_16(magnitude_of(planes, z - 1, epoch)) - log_magnitude if z else 0)
    found.append((base - 64 * plane.low) * inverse >> 18)
    found.append((64 * plane.high - base) * inverse >> 18)
    found.append((log2_16(plane.own_count + 1) >> 1) - 60)
    found.append(8 * min(z, 8))
    found.append(64 if i == 0 else 0)
    found.append(64 if j in (0, n_columns - 1) else 0)
    found.append(log2_16(sample.raw_scale) - log_scale)
    if z:
        earlier = planes[z - 1].sample
        steps = [earlier.near(i, j, distance) - earlier[i, j] for distance in (W, N, E, S)]
        found.append((log2_16(256 * sum(map(abs, steps)) + 16) - log_scale) >> 1)
        found.append(sum(steps) * 16 * inverse >> 18)
    else:
        found += [0, 0]
    sample.features = [clip(value, -context.LIMIT, context.LIMIT) for value in found]


def find_repeat(planes: Sequence[PlaneState], sample: Sample, config: AxConfig) -> None:
    """Set the candidate, the neighbour that was equal for the most planes in a row, and its weight."""
    if not config.repeats:
        return
    z, i, j = sample.z, sample.i, sample.j
    runs = [planes[z - 1].runs[c][i, j] if z else 0 for c in range(config.repeats)]
    longest = max(runs)
    sample.candidate = planes[z].sample.near(i, j, CAUSAL[runs.index(longest)])
    sample.run_level = sum(longest >= start for start in repeats.RUN_STARTS) - 1
    table = planes[z].tables[-1]
    weight = 16 * table.hits[sample.run_level] // table.tries[sample.run_level]
    sample.repeat_weight = clip(weight, repeats.LEAST_WEIGHT, repeats.GREATEST_WEIGHT)


def learn_repeat(planes: Sequence[PlaneState], sample: Sample, value: int, coded: bool, config: AxConfig) -> None:
    """Take note of which neighbours the sample repeats; before it stands in the picture of samples."""
    z, i, j = sample.z, sample.i, sample.j
    plane = planes[z]
    for c in range(config.repeats):
        before = planes[z - 1].runs[c][i, j] if z else 0
        repeated = value == plane.sample.near(i, j, CAUSAL[c])
        plane.runs[c][i, j] = min(before + 1, repeats.LONGEST_RUN) if repeated else 0
    if config.repeats and coded:
        plane.own_tries[sample.run_level] += 1
        if value == sample.candidate:
            share = (sample.repeat_weight << 20) // max(sample.width, 1)
            plane.own_hits[sample.run_level] += min(share, repeats.CERTAIN)


def learn(planes: Sequence[PlaneState], sample: Sample, value: int, coded: bool, all_experts: Sequence[Expert]) -> None:
    """Take note of the sample's model value."""
    z, i, j = sample.z, sample.i, sample.j
    plane = planes[z]
    residual = clip(64 * value - sample.base, -context.MAX_ERROR, context.MAX_ERROR)
    errors = [min(abs(64 * value - prediction), context.MAX_ERROR) for prediction in sample.predictions]
    plane.sample[i, j] = value
    plane.detail[i, j] = value - sample.mean
    plane.residual[i, j] = residual
    for picture, error in zip(plane.error, errors, strict=True):
        picture[i, j] = error
    before = planes[z - 1].activity[i, j] if z else UNIT
    plane.activity[i, j] = before
    if not coded:
        return
    size = abs(residual)
    magnitude = magnitude_of(planes, z, len(plane.tables) - 1)
    relative = min((size << 14) // magnitude, context.MAX_ACTIVITY * UNIT)
    plane.activity[i, j] = before + ((relative - before) * context.ACTIVITY_RATE >> 6)
    plane.own_magnitude += size
    plane.own_count += 1
    plane.own_error = [own + error for own, error in zip(plane.own_error, errors, strict=True)]
    ratio = size * (16 * FIRST_RATIO) // sample.raw_scale
    plane.own_ratio[sample.level] += min(ratio, FIRST_RATIO * context.MAX_RATIO)
    plane.own_ratio_count[sample.level] += 1
    weight = 1 + experts.WEIGHT_STEPS * magnitude**2 // (magnitude**2 + sample.scale**2)
    for expert, fit, inputs in zip(all_experts, plane.fits, sample.inputs, strict=True):
        fit.gram += weight * np.outer(inputs, inputs)
        fit.moment += weight * inputs * (value - sample.mean if expert.about_mean else value)


def end_epoch(planes: Sequence[PlaneState], z: int, all_experts: Sequence[Expert]) -> None:
    """Fit the experts to the plane so far and open the next epoch's table."""
    for expert, fit in zip(all_experts, planes[z].fits, strict=True):
        fit.coefficients = solve(fit.gram, fit.moment)
        if expert.forgets:
            fit.gram -= fit.gram >> experts.FORGET_SHIFT
            fit.moment -= fit.moment >> experts.FORGET_SHIFT
    planes[z].tables.append(next_table(planes, z))


# --- 6. network -------------------------------------------------------------------------------------------------------


def run_network(tensors: dict[str, np.ndarray], features: Sequence[int]) -> np.ndarray:
    """Sums of the last layer, int64 (3 K,)."""
    values = np.array(features, np.int64)
    shift = network.FEATURE_BITS + network.WEIGHT_BITS - network.ACTIVATION_BITS
    for weights, bias in zip([tensors["first"], *tensors["middle"]], tensors["biases"], strict=True):
        sums = weights.astype(np.int64) @ values + bias
        values = np.clip(sums >> shift, 0, network.ACTIVATION_LIMIT)
        shift = network.WEIGHT_BITS
    return tensors["last"].astype(np.int64) @ values + tensors["last_bias"]


# --- 7. symbols -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mixture:
    """Components (K,) as docs/format_rans.md, section 4, has them, and its weights."""

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray


def mixture_of(sample: Sample, config: AxConfig) -> Mixture:
    means, scales, logits = np.split(sample.sums, 3)
    log_scale = 2 * log2_16(sample.scale) + symbols.SCALE_OFFSET
    mean = [
        clip(4 * sample.base + ((int(m) >> network.MEAN_SHIFT) * sample.scale >> 10), -MEAN_LIMIT, MEAN_LIMIT)
        for m in means
    ]
    scale = [clip(log_scale + (int(s) >> network.SCALE_SHIFT), 0, SCALE_MAX) for s in scales]
    weight = reference_weights(logits[None] >> network.LOGIT_SHIFT)[0]
    if config.repeats:
        mean.append(sample.candidate << MEAN_BITS)
        scale.append(0)
        weight = weight * ((1 << MIXTURE_BITS) - sample.repeat_weight) >> MIXTURE_BITS
        weight = np.append(weight, (1 << MIXTURE_BITS) - weight.sum())
    return Mixture(np.array(mean, np.int64), np.array(scale, np.int64), weight)


def model_values(layout: Layout, z: int) -> np.ndarray:
    """Model value of each level of a plane, int64."""
    start, n = int(layout.table_start[z]), int(layout.n_levels[z])
    if start < 0:
        return int(layout.first[z]) + np.arange(n, dtype=np.int64)
    return layout.table[start : start + n].astype(np.int64)


def cumulative(mixture: Mixture, values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """F of some levels, 0 .. 2^24, int64."""
    n = len(values)
    edges = (values[np.maximum(levels - 1, 0)] + values[np.minimum(levels, n - 1)]) << (MEAN_BITS - 1)
    total = (mixture.weight * reference_sigmoid(edges[:, None] - mixture.mean, mixture.scale)).sum(axis=1)
    inner = (total * (symbols.TOTAL - n) >> (MIXTURE_BITS + SIGMOID_TOTAL_BITS)) + levels
    return np.where(levels == 0, 0, np.where(levels == n, symbols.TOTAL, inner))


def code_level(mixture: Mixture, values: np.ndarray, lower_bits: int, choose: Callable) -> int:
    """Level of a sample, by one or two choices.

    choose : called with rising boundaries from 0 to 2^24; gives the number of the interval between two to take
    """
    first, end, cell = 0, len(values), 1 << lower_bits
    if end > cell:
        edges = np.append(np.arange(0, end, cell), end)
        chosen = choose(cumulative(mixture, values, edges))
        first, end = edges[chosen : chosen + 2].tolist()
    found = cumulative(mixture, values, np.arange(first, end + 1))
    return first + choose((found - found[0] << symbols.PRECISION) // (found[-1] - found[0]))


def width_of(freqs: Sequence[int]) -> int:
    """Probability, 2^-24, with which a sample was coded in one part or two."""
    return freqs[0] if len(freqs) == 1 else freqs[0] * freqs[1] >> symbols.PRECISION


# --- the walk ---------------------------------------------------------------------------------------------------------


def walk(layout: Layout, config: AxConfig, group_planes: int, code: Callable[[int, Sample], int]) -> np.ndarray:
    """Go through all planes in the order of coding; a tile taller than wide must have been transposed.

    code : called with a group's number and a sample, once for each sample that is coded; gives its model value.
    Returns the model values, int32 (P, H, W).
    """
    n_planes, (n_rows, n_columns) = len(layout.band), layout.mask.shape
    assert n_rows <= n_columns
    all_experts = config.experts()
    planes = [_new_plane(layout, z, all_experts, config.repeats) for z in range(n_planes)]
    n_waves = 2 * (n_rows - 1) + n_columns
    for g, first in enumerate(range(0, n_planes, group_planes)):
        end = min(first + group_planes, n_planes)
        for t in range(n_waves + PLANE_LAG * (end - 1 - first)):
            for z in range(first, end):
                number = t - PLANE_LAG * (z - first)
                if not 0 <= number < n_waves:
                    continue
                samples = [_look(planes, z, i, j, all_experts, config) for i, j in wave(number, n_rows, n_columns)]
                values = []
                for sample in samples:
                    if layout.mask[sample.i, sample.j]:
                        values.append(clip((sample.base + 32) >> 6, planes[z].low, planes[z].high))
                    else:
                        values.append(code(g, sample))
                for sample, value in zip(samples, values, strict=True):
                    coded = not layout.mask[sample.i, sample.j]
                    learn_repeat(planes, sample, value, coded, config)
                    learn(planes, sample, value, coded, all_experts)
                if (number + 1) % config.epoch == 0 and number + 1 < n_waves:
                    end_epoch(planes, z, all_experts)
    values = [plane.sample.values for plane in planes]
    return np.array(values, np.int32).reshape(n_planes, n_rows, n_columns)


def _new_plane(layout: Layout, z: int, all_experts: Sequence[Expert], n_runs: int) -> PlaneState:
    def picture(initial: int = 0) -> Picture:
        return Picture(*layout.mask.shape, initial)

    fits = []
    for expert in all_experts:
        n = len(expert.regressors)
        start = expert.start if z else expert.start_first
        coefficients = (start * 2.0**experts.COEFFICIENT_BITS).astype(np.int64)
        fits.append(Fit(np.zeros((n, n), np.int64), np.zeros(n, np.int64), coefficients))
    values = model_values(layout, z)
    errors, runs = [picture() for _ in fits], [picture() for _ in range(n_runs)]
    plane = PlaneState(
        int(values[0]), int(values[-1]), picture(), picture(), picture(), picture(UNIT), errors, runs, fits
    )
    plane.tables.append(first_table(len(fits)))
    plane.own_error = [0] * len(fits)
    return plane


def _look(
    planes: Sequence[PlaneState], z: int, i: int, j: int, all_experts: Sequence[Expert], config: AxConfig
) -> Sample:
    mean = causal_mean(planes[z], i, j)
    inputs = [regressors(expert, planes, z, i, j) for expert in all_experts]
    predictions = [
        predict(expert, fit, values, mean, planes[z])
        for expert, fit, values in zip(all_experts, planes[z].fits, inputs, strict=True)
    ]
    sample = Sample(z, i, j, mean, inputs, predictions)
    blend(planes, sample, config.blend)
    describe(planes, sample, *expect_error(planes, sample))
    find_repeat(planes, sample, config)
    return sample


def encode(
    planes: Planes, config: AxConfig, tensors: dict[str, np.ndarray], group_planes: int, lower_bits: int
) -> tuple[list[list[tuple[int, int]]], list[Sample]]:
    """Intervals (start, freq) of each group of planes in the order of coding, and all samples, with their sums."""
    intervals: list[list[tuple[int, int]]] = [[] for _ in range(-(-len(planes.band) // group_planes))]
    samples = []

    def code(g: int, sample: Sample) -> int:
        sample.sums = run_network(tensors, sample.features)
        samples.append(sample)
        value, values = int(planes.values[sample.z, sample.i, sample.j]), model_values(planes, sample.z)
        level = int(np.searchsorted(values, value))
        split = len(values) > 1 << lower_bits
        indices = iter(divmod(level, 1 << lower_bits) if split else [level])

        def choose(edges: np.ndarray) -> int:
            index = next(indices)
            intervals[g].append((int(edges[index]), int(edges[index + 1] - edges[index])))
            return index

        assert code_level(mixture_of(sample, config), values, lower_bits, choose) == level
        sample.width = width_of([freq for _, freq in intervals[g][-2 if split else -1 :]])
        return value

    walk(planes, config, group_planes, code)
    return intervals, samples


def decode(
    layout: Layout,
    config: AxConfig,
    tensors: dict[str, np.ndarray],
    group_planes: int,
    lower_bits: int,
    decoders: Sequence[RansDecoder],
) -> np.ndarray:
    """Model values, int32 (P, H, W), from the parts of a samples section, one decoder for each group."""

    def code(g: int, sample: Sample) -> int:
        sample.sums = run_network(tensors, sample.features)
        values, freqs = model_values(layout, sample.z), []

        def choose(edges: np.ndarray) -> int:
            index = int(np.searchsorted(edges, decoders[g].slots(1)[0], side="right")) - 1
            freqs.append(int(edges[index + 1] - edges[index]))
            decoders[g].advance(edges[index : index + 1], edges[index + 1 : index + 2] - edges[index])
            return index

        value = int(values[code_level(mixture_of(sample, config), values, lower_bits, choose)])
        sample.width = width_of(freqs)
        return value

    found = walk(layout, config, group_planes, code)
    for decoder in decoders:
        decoder.finish()
    return found
