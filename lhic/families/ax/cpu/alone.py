"""Kernels for a model of one expert whose network says the same everywhere: no features, one logistic, one symbol.

Each is a single pass over a wave with eight samples side by side, where the other modules make a pass for each formula.
The numbers are theirs: what a comment names is defined in `pixel` or `mixture`.  `candidates_tile`, `runs_tile`,
`learn_tile` and `errors_tile` serve all models.  Sums and quotients are float64 that
holds integers.  A kernel works on whole vectors; what it reads and computes beyond a wave's end goes nowhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    MEAN_BITS,
    MEAN_LIMIT,
    SCALE_MAX,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    SIGMOID_TABLE,
    WEIGHT_BITS,
)
from lhic.families.ax import spec
from lhic.families.ax.cpu.cdf import FRACTION_BITS, log2, sigmoid
from lhic.families.ax.cpu.mixture import FACTORS
from lhic.families.ax.wavefront import skewed
from lhic.kernels.vectors import (
    BYTE,
    DOUBLE,
    INDEX,
    INT32,
    SHORT,
    Vector,
    constant,
    kernel,
    load,
    load_all,
    loop,
    same,
    store,
    table_entries,
    vector,
    where,
)

LANES = 8
_INTEGERS, _LONGS, _DOUBLES = vector(INT32, LANES), vector(INDEX, LANES), vector(DOUBLE, LANES)
_SCALE_OCTAVES = 32  # of a scale, which is below 2^32
# Bits of a mantissa from which on log(v) >> 3 is one more, and two more, than twice the exponent.
_HALF, _WHOLE = (int(np.searchsorted(spec.LOG_TABLE, steps)) for steps in (8, 16))
assert spec.LOG_STEPS == 16
_ALMOST_ONE = int(SIGMOID_TABLE[SIGMOID_OCTAVES << (ARGUMENT_BITS - FRACTION_BITS)])
LOW, HIGH, MAGNITUDE, TOTAL_SIZE = range(4)  # places in `numbers`
N_NUMBERS = TOTAL_SIZE + LANES


def factors_of(scale_step: int) -> np.ndarray:
    """Factor of |distance| by the leading bits of a scale, float64; scale_step : what the network says of the scale."""
    octave, mantissa = np.divmod(np.arange(_SCALE_OCTAVES << spec.LOG_BITS), 1 << spec.LOG_BITS)
    log_scale = spec.LOG_STEPS * octave + spec.LOG_TABLE[mantissa]
    return FACTORS[np.clip(2 * log_scale + spec.SCALE_OFFSET + scale_step, 0, SCALE_MAX)]


class _Row:
    """Neighbours in a picture (int32) of the samples from q on."""

    def __init__(self, builder, at, stride, q):
        self.builder, self.at, self.stride, self.q = builder, at, stride, q

    def __getitem__(self, place: tuple[int, int]) -> Vector:
        waves, rows = skewed(place)
        apart = self.builder.add(self.builder.mul(self.stride, constant(waves)), constant(rows))
        return load(self.builder, self.at, self.builder.add(self.q, apart), _INTEGERS)


def _bits(value: Vector) -> Vector:
    """Of doubles, as integers."""
    return Vector(value.builder, value.builder.bitcast(value.value, _LONGS))


def _absolute(value: Vector) -> Vector:
    return value.maximum(value.like(0) - value)


def _number(builder, numbers, place: int) -> Vector:
    return load_all(builder, numbers, constant(place), _DOUBLES)


def _before(builder, q, n) -> Vector:
    """Mask: which of the samples from q on come before the n-th."""
    left = Vector(builder, builder.trunc(builder.sub(n, q), INT32)).spread(LANES)
    return Vector(builder, ir.Constant(_INTEGERS, list(range(LANES)))) < left


def _keep(builder, value: Vector, inside: Vector, at, q) -> None:
    """Store those inside; what stands beyond stays."""
    store(builder, where(inside, value, load(builder, at, q, value.kind)), at, q)


@kernel
def means_tile(builder, samples, stride, means, n):
    """`causal_mean`."""

    def body(q, nothing):
        row = _Row(builder, samples, stride, q)
        total = row[spec.W] + row[spec.N] + row[spec.NW] + row[spec.NE] + 2 >> 2
        store(builder, total.to(DOUBLE), means, q)
        return nothing

    loop(builder, n, LANES, [], body)


@kernel
def describe_tile(
    builder, sums, means, residuals, stride, activity, numbers, rates, factors, shift,
    base, raw, level, scale, mean, factor, n,
):  # fmt: skip
    """Base prediction, expected error, and the logistic, of which `mean` is in 1/256.

    sums : products of the coefficients, float64;  residuals, activity : pictures at the wave
    numbers : ends of the plane in 1/64, magnitude
    rates : float64 (2, N_LEVELS), ratio and divisor of `corrected_scale`

    The numerator of the correction is below 2^52: its ratio is a sum over samples of at most 4096 |r| / raw each, whose
    raw is at least two thirds of this one.  So a plane's 2^15 samples give at most 1.5 * 2^12 * 2^22 * 2^15, and what
    is kept of earlier planes is 5/3 of as much.
    """

    def body(q, nothing):
        own = Vector(builder, load(builder, sums, q, _DOUBLES).value) * 2.0 ** (
            spec.PREDICTION_BITS - spec.COEFFICIENT_BITS
        )
        found = own.floor() + load(builder, means, q, _DOUBLES) * 64.0
        found = found.maximum(_number(builder, numbers, LOW)).minimum(_number(builder, numbers, HIGH))
        row = _Row(builder, residuals, stride, q)
        around = _absolute(row[spec.W]) + _absolute(row[spec.N])
        around = around + around
        for place in (spec.NW, spec.NE, spec.WW, spec.NN):
            around = around + _absolute(row[place])
        known = load(builder, activity, q, _INTEGERS).to(DOUBLE) * _number(builder, numbers, MAGNITUDE)
        expected = (known * 2.0**-10).floor()
        size = (around.to(DOUBLE) * 10.0 + expected * 11.0) * 2.0**-4
        size = size.floor().maximum(float(spec.MIN_RAW_SCALE))
        bits = _bits(size)
        leading = (bits >> 52 - spec.LOG_BITS) & ((1 << spec.LOG_BITS) - 1)
        steps = where(leading < _HALF, leading.like(0), where(leading < _WHOLE, leading.like(1), leading.like(2)))
        here = (((bits >> 52) - 1023 << 1) + steps).minimum(spec.N_LEVELS - 1)  # beyond the wave's end may be anything
        numerator = size * table_entries(builder, rates, here, DOUBLE)
        divisor = table_entries(builder, builder.add(rates, constant(8 * spec.N_LEVELS)), here, DOUBLE)
        corrected = (numerator / divisor).floor().maximum(float(spec.MIN_SCALE))
        for value, place in ((found, base), (size, raw), (here, level), (corrected, scale)):
            store(builder, value, place, q)
        _logistic(builder, found, corrected, factors, shift, mean, factor, q)
        return nothing

    loop(builder, n, LANES, [], body)


def _logistic(builder, base: Vector, scale: Vector, factors, shift, mean, factor, q) -> None:
    """Section 6: mean and factor; shift : address of what the network says of the mean, in 1/256 of the scale."""
    moved = (scale * load_all(builder, shift, constant(0), _DOUBLES) * 2.0**-10).floor()
    place = (base * 4.0 + moved).maximum(float(-MEAN_LIMIT)).minimum(float(MEAN_LIMIT))
    number = (_bits(scale) >> 52 - spec.LOG_BITS) - (1023 << spec.LOG_BITS)
    number = number.minimum((_SCALE_OCTAVES << spec.LOG_BITS) - 1)  # beyond the wave's end there may be anything
    store(builder, place, mean, q)
    store(builder, table_entries(builder, factors, number, DOUBLE), factor, q)


@kernel
def candidates_tile(builder, samples, runs, stride, run_weights, candidates, rungs, weights, n):
    """Candidates of a wave's samples, and how likely they are.  runs : of the plane before, at the wave."""

    def body(q, nothing):
        row, own = _Row(builder, samples, stride, q), load(builder, runs, q, _INTEGERS)
        longest, candidate = own & spec.LONGEST_RUN, row[spec.CAUSAL[0]]
        for number, place in enumerate(spec.CAUSAL[1:], 1):
            run = (own >> spec.RUN_BITS * number) & spec.LONGEST_RUN
            candidate = where(run > longest, row[place], candidate)
            longest = longest.maximum(run)
        rung = table_entries(builder, spec.RUN_LEVEL, longest)
        store(builder, candidate.to(INDEX), candidates, q)
        store(builder, rung, rungs, q)
        store(builder, table_entries(builder, run_weights, rung), weights, q)
        return nothing

    loop(builder, n, LANES, [], body)


@kernel
def runs_tile(builder, samples, stride, targets, before, runs, kept, n):
    """Runs of a wave from those of the plane before, before the wave's samples are stored.

    kept : bits of the runs that the model knows of
    """
    known = Vector(builder, builder.trunc(kept, INT32)).spread(LANES)

    def body(q, nothing):
        row, own = _Row(builder, samples, stride, q), load(builder, before, q, _INTEGERS)
        value = load(builder, targets, q, _DOUBLES).to(INT32)
        found = own.like(0)
        for number, place in enumerate(spec.CAUSAL):
            run = ((own >> spec.RUN_BITS * number) & spec.LONGEST_RUN) + 1
            run = run.minimum(spec.LONGEST_RUN) << spec.RUN_BITS * number
            found = found | where(value.equals(row[place]), run, 0)
        _keep(builder, found & known, _before(builder, q, n), runs, q)
        return nothing

    loop(builder, n, LANES, [], body)


@kernel
def learn_tile(
    builder, targets, base, means, raw, scale, coded, before, numbers,
    samples, details, residuals, activity, relative, weights, n,
):  # fmt: skip
    """Pictures, relative sizes and weights of a wave, and the sum of the residuals' sizes.

    coded : bytes;  before : activity of the plane before, at the wave;  samples .. activity : pictures at the wave
    """

    def body(q, total):
        target, found = load(builder, targets, q, _DOUBLES), load(builder, base, q, _DOUBLES)
        inside = _before(builder, q, n)
        is_coded = load(builder, coded, q, vector(BYTE, LANES)).to(INT32) > 0
        residual = target * 64.0 - found
        size = abs(residual)
        magnitude = _number(builder, numbers, MAGNITUDE)
        known = load(builder, before, q, _INTEGERS)
        recent = (size * float(1 << 14) / magnitude).floor().minimum(float(spec.MAX_ACTIVITY))
        step = ((recent - known.to(DOUBLE)) * float(spec.ACTIVITY_RATE) * 2.0**-6).floor().to(INT32)
        _keep(builder, target.to(INT32), inside, samples, q)
        _keep(builder, (target - load(builder, means, q, _DOUBLES)).to(INT32), inside, details, q)
        _keep(builder, residual.to(INT32), inside, residuals, q)
        _keep(builder, known + step, inside, activity, q)
        share = (size * float(16 * spec.FIRST_RATIO) / load(builder, raw, q, _DOUBLES)).floor()
        store(builder, share.minimum(float(spec.MAX_RATIO)), relative, q)
        square = magnitude * magnitude
        error = load(builder, scale, q, _DOUBLES).minimum(2.0**23)  # from there on the weight is 1
        weight = (square * float(spec.WEIGHT_STEPS) / (square + error * error)).floor() + 1.0
        _keep(builder, where(is_coded, weight, 0.0), inside, weights, q)
        return [(Vector(builder, total[0]) + where(inside.both(is_coded), size, 0.0)).value]

    (total,) = loop(builder, n, LANES, [same(_DOUBLES, 0.0)], body)
    store(builder, Vector(builder, total), numbers, constant(TOTAL_SIZE))


@kernel
def errors_tile(builder, targets, predictions, coded, errors, numbers, n):
    """`error_of` one expert in a picture at the wave, and the sum of those of coded samples."""

    def body(q, total):
        inside = _before(builder, q, n)
        is_coded = load(builder, coded, q, vector(BYTE, LANES)).to(INT32) > 0
        error = abs(load(builder, targets, q, _DOUBLES) * 64.0 - load(builder, predictions, q, _DOUBLES))
        _keep(builder, error.to(INT32), inside, errors, q)
        return [(Vector(builder, total[0]) + where(inside.both(is_coded), error, 0.0)).value]

    (total,) = loop(builder, n, LANES, [same(_DOUBLES, 0.0)], body)
    store(builder, Vector(builder, total), numbers, constant(TOTAL_SIZE))


@kernel
def differences_tile(builder, one, other, out, n):
    """Of two rows of int32, float64."""

    def body(q, nothing):
        difference = load(builder, one, q, _INTEGERS) - load(builder, other, q, _INTEGERS)
        store(builder, difference.to(DOUBLE), out, q)
        return nothing

    loop(builder, n, LANES, [], body)


@kernel
def gather_tile(builder, sources, less, weights, inputs, weighted, n_rows, apart, n):
    """Rows of int32 less rows of float64, and the same times the weights, which are 0 beyond n.

    sources, less : addresses of addresses;  apart : bytes from one row of inputs or weighted to the next
    """

    def fill(r, nothing):
        source, taken = (
            Vector(builder, load(builder, at, r, vector(INDEX, 1)).value).lane(0) for at in (sources, less)
        )
        line = builder.mul(r, apart)
        out, out_weighted = builder.add(inputs, line), builder.add(weighted, line)

        def body(q, nothing):
            value = load(builder, source, q, _INTEGERS).to(DOUBLE) - load(builder, taken, q, _DOUBLES)
            weight = where(_before(builder, q, n), load(builder, weights, q, _DOUBLES), 0.0)
            store(builder, value, out, q)
            store(builder, value * weight, out_weighted, q)
            return nothing

        loop(builder, n, LANES, [], body)
        return nothing

    loop(builder, n_rows, 1, [], fill)


class _Plane(NamedTuple):
    """What F depends on besides the logistic: LLVM values; see `cdf`."""

    first: ir.Value
    n_levels: ir.Value
    table: ir.Value

    def counts(self, builder) -> Vector:
        return Vector(builder, builder.trunc(self.n_levels, INT32)).spread(LANES)

    def firsts(self, builder) -> Vector:
        return Vector(builder, builder.trunc(self.first, INT32)).spread(LANES)

    def edges(self, builder, level: Vector) -> Vector:
        """Boundary between a level and the one before it, in 1/256 of a model value (float64)."""

        def of_dense():
            return ((self.firsts(builder) + level) << MEAN_BITS) - (1 << (MEAN_BITS - 1))

        def of_sparse():
            inside = level.minimum(self.counts(builder) - 1).maximum(1)
            above = table_entries(builder, self.table, inside, INDEX)
            return (above + table_entries(builder, self.table, inside - 1, INDEX)).to(INT32) << (MEAN_BITS - 1)

        return self.either(builder, of_dense, of_sparse).to(DOUBLE)

    def near(self, builder, value: Vector, levels: ir.Value) -> Vector:
        """The level whose model value is nearest, int32.  levels : address of `Levels.near`, of a sparse plane."""

        def of_dense():
            return value - self.firsts(builder)

        def of_sparse():
            last = builder.sub(self.n_levels, constant(1))
            least, greatest = (load_all(builder, self.table, at, _LONGS).to(INT32) for at in (constant(0), last))
            place = value.maximum(least).minimum(greatest) - least
            return table_entries(builder, levels, place, SHORT).to(INT32) & 0xFFFF

        found = self.either(builder, of_dense, of_sparse)
        return found.maximum(0).minimum(self.counts(builder) - 1)

    def either(self, builder, of_dense, of_sparse) -> Vector:
        with builder.if_else(builder.icmp_signed("==", self.table, constant(0))) as (dense, sparse):
            with dense:
                one = of_dense()
                after_one = builder.basic_block
            with sparse:
                other = of_sparse()
                after_other = builder.basic_block
        found = builder.phi(_INTEGERS)
        found.add_incoming(one.value, after_one)
        found.add_incoming(other.value, after_other)
        return Vector(builder, found)


class _Mixture(NamedTuple):
    """Of some samples: logistic, and candidate with its weight where the model knows repeats."""

    mean: Vector
    factor: Vector
    candidate: Vector | None
    weight: Vector | None

    def cumulative(self, builder, plane: _Plane, level: Vector) -> Vector:
        """F of a level of each sample, int32: `cdf`."""
        edge, n_levels = plane.edges(builder, level), plane.counts(builder)
        multiple = (n_levels.like(spec.TOTAL) - n_levels).to(INDEX) & 0xFFFFFFFF
        own = sigmoid(builder, edge - self.mean, self.factor)[0]
        if self.candidate is None or self.weight is None:
            found = own * multiple >> SIGMOID_BITS
        else:
            # The candidate's logistic is so narrow that half a model value away it has said all.
            apart = edge - self.candidate * float(1 << MEAN_BITS)
            one, half = 1 << SIGMOID_BITS, 1 << (SIGMOID_BITS - 1)
            other = where(apart > 0.0, own.like(_ALMOST_ONE), where(apart < 0.0, own.like(one - _ALMOST_ONE), half))
            total = own * (self.weight.like(1 << WEIGHT_BITS) - self.weight) + other * self.weight
            upper, lower = total >> WEIGHT_BITS & 0xFFFFFFFF, total & ((1 << WEIGHT_BITS) - 1)
            found = upper * multiple + (lower * multiple >> WEIGHT_BITS) >> SIGMOID_BITS
        found = where(level >= n_levels, level.like(spec.TOTAL), found.to(INT32) + level)
        return where(level <= 0, level.like(0), found)


def _mixture(builder, mean, factor, candidates, weights, q, repeats: bool) -> _Mixture:
    logistic = load(builder, mean, q, _DOUBLES), load(builder, factor, q, _DOUBLES)
    if not repeats:
        return _Mixture(*logistic, None, None)
    candidate = load(builder, candidates, q, _LONGS).to(INT32).to(DOUBLE)
    return _Mixture(*logistic, candidate, load(builder, weights, q, _LONGS))


def _intervals_tile(repeats: bool):
    @kernel
    def tile(builder, level, starts, freqs, first, n_levels, table, mean, factor, candidates, weights, n):
        """Intervals of the levels (int32) of a wave: starts and freqs, int32."""
        plane = _Plane(first, n_levels, table)

        def body(q, nothing):
            mixture = _mixture(builder, mean, factor, candidates, weights, q, repeats)
            here = load(builder, level, q, _INTEGERS)
            start = mixture.cumulative(builder, plane, here)
            store(builder, start, starts, q)
            store(builder, mixture.cumulative(builder, plane, here + 1) - start, freqs, q)
            return nothing

        loop(builder, n, LANES, [], body)

    return tile


def _guess_tile(repeats: bool):
    @kernel
    def tile(builder, slots, levels, starts, ends, first, n_levels, table, near, mean, factor, candidates, weights, q):
        """For the samples from q on a level that most likely holds the slot, where it begins and ends: all int32."""
        plane = _Plane(first, n_levels, table)
        mixture = _mixture(builder, mean, factor, candidates, weights, q, repeats)
        slot = load(builder, slots, constant(0), _INTEGERS)
        centre = (mixture.mean * 2.0**-MEAN_BITS + 0.5).floor().to(INT32)
        # Without what each level has at least, which below the mean are about as many as there are levels.
        count = plane.counts(builder)
        share = (slot - plane.near(builder, centre, near)).to(DOUBLE) / (count.like(spec.TOTAL) - count).to(DOUBLE)
        if repeats:
            weight = mixture.weight.to(INT32).to(DOUBLE) * 2.0**-WEIGHT_BITS
            rest = weight.like(1.0) - weight
            apart = mixture.candidate * float(1 << MEAN_BITS) - mixture.mean
            below = sigmoid(builder, apart, mixture.factor)[0].to(INT32).to(DOUBLE) * 2.0**-SIGMOID_BITS * rest
            is_below, is_above = share < below, share > below + weight
            share = where(is_below, share, share - weight) / rest
        share = share.maximum(2.0**-25).minimum(1 - 2.0**-25)
        octaves = log2(share / (share.like(1.0) - share))
        value = mixture.mean + octaves * 2.0**ARGUMENT_BITS / mixture.factor
        value = (value * 2.0**-MEAN_BITS + 0.5).floor().maximum(-(2.0**17)).minimum(2.0**17)
        if repeats:
            candidate = mixture.candidate
            value = where(is_below, value.minimum(candidate), where(is_above, value.maximum(candidate), candidate))
        level = plane.near(builder, value.to(INT32), near)
        store(builder, level, levels, constant(0))
        store(builder, mixture.cumulative(builder, plane, level), starts, constant(0))
        store(builder, mixture.cumulative(builder, plane, level + 1), ends, constant(0))

    return tile


intervals_tile, intervals_tile_of_repeats = _intervals_tile(False), _intervals_tile(True)
guess_tile, guess_tile_of_repeats = _guess_tile(False), _guess_tile(True)
