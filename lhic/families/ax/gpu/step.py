"""The launches of a step's kernels, and what is kept between them."""

from __future__ import annotations

from math import gcd

import numpy as np
import torch

from lhic.families.ax.experts import CONSTANT, EARLIER, INSIDE, NEIGHBOUR
from lhic.families.ax.gpu import coder, features, fit, learn, mixture
from lhic.families.ax.gpu.adapt import Adaptation
from lhic.families.ax.gpu.batch import AT_ONCE, Batch
from lhic.families.ax.spec import PLANE_LAG, n_features

MIX_BLOCK = 64  # samples of a program
FIT_SAMPLES = 32  # of a product of matrices
LEAST_SIDE = 16  # of a matrix that is multiplied


def power_of_two(n: int, least: int = 1) -> int:
    """The least one that is not below n."""
    return max(least, 1 << (n - 1).bit_length())


class Step:
    """What a batch keeps of a step: n tiles, Z planes, q samples; every kernel writes all of it anew."""

    def __init__(self, batch: Batch, adaptation: Adaptation | None = None):
        self.batch, self.adaptation = batch, adaptation
        config, device = batch.config, batch.device
        shape = batch.n_tiles, batch.n_active, batch.n_most
        self.n_all = int(np.prod(shape))
        e, self.repeats = batch.n_experts, config.repeats

        def longs(*shape):
            return torch.ones(shape, dtype=torch.int64, device=device)

        self.base, self.scale, self.mean, self.raw, self.level, self.activity, self.magnitude = (
            longs(*shape) for _ in range(7)
        )
        self.given, self.candidate, self.run_level, self.repeat_weight = (longs(*shape) * 0 for _ in range(4))
        self.predictions, self.near, self.widths = longs(e, *shape), longs(e, *shape), longs(*shape)
        # Triton does not multiply what depends on something read as int8 as float64, so flags and weights are int32.
        self.is_coded = torch.zeros(shape, dtype=torch.int32, device=device)
        self.features = torch.zeros((n_features(e), self.n_all), dtype=torch.int8, device=device)
        self.sums = torch.zeros((3 * config.components, self.n_all), dtype=torch.float32, device=device)
        self.n_components = config.components + (self.repeats > 0)
        self.components = torch.zeros((*shape, 4, self.n_components), dtype=torch.int32, device=device)
        # Of the epoch's waves.
        of_epoch = batch.n_tiles, batch.n_planes, batch.epoch, batch.n_most
        self.weights = torch.zeros(of_epoch, dtype=torch.int32, device=device)

        self.period = batch.epoch // gcd(PLANE_LAG, batch.epoch)  # one plane in so many ends its epoch in a step
        n_ending = -(-batch.n_active // self.period)
        self.systems = torch.full((batch.n_tiles, n_ending, e), -1, dtype=torch.int64, device=device)
        self.work = solver_memory(self.systems.numel(), batch.n_regressors, device)
        self.grid, self.ending = (batch.n_active, batch.n_tiles), (n_ending, batch.n_tiles)
        self.size = power_of_two(batch.n_most, 2)
        self.n_warps = min(max(self.size // 32, 1), 4)  # a sample for each thread

    def _shape(self) -> tuple[int, ...]:
        batch = self.batch
        return batch.n_planes, batch.n_active, batch.n_most, batch.n_rows, batch.n_columns, batch.waves

    def look(self) -> torch.Tensor:
        """Components of the step's mixtures, int32 (n, Z, q, 4, K)."""
        batch, config = self.batch, self.batch.config
        features.look_wave[self.grid](
            batch.t, batch.buffer, batch.offsets, batch.regressors, batch.sizes, batch.about_mean,
            batch.coefficients, batch.coded, batch.exists, batch.low, batch.high,
            batch.magnitude, batch.error, batch.ratio, batch.ratio_count, batch.own_count, batch.hits, batch.tries,
            batch.log_table, batch.power_table, batch.run_level_table,
            self.features, self.base, self.scale, self.mean, self.predictions, self.near, self.raw,
            self.level, self.activity, self.magnitude, self.is_coded,
            self.candidate, self.run_level, self.repeat_weight,
            batch.buffer.shape[1], batch.plane_apart, batch.wave_apart, *self._shape(), batch.n_epochs, self.n_all,
            EPOCH=batch.epoch, E=batch.n_experts, R=batch.n_regressors, Q=self.size, AT_ONCE=AT_ONCE,
            BLEND=config.blend, REPEATS=self.repeats, INSIDE=INSIDE in batch.all_kinds,
            EARLIER=EARLIER in batch.all_kinds, num_warps=self.n_warps,
        )  # fmt: skip
        n, width, k = len(self.features), config.width, config.components
        first, middle, last, biases, last_bias = batch.net
        adapts, hidden, groups = self.adaptation, self.sums, (1, 1)
        n_programs = -(-self.n_all // MIX_BLOCK)
        if adapts is not None:
            last, last_bias, hidden = adapts.last, adapts.last_bias, adapts.hidden
            groups = adapts.group_planes, adapts.n_groups
            n_programs = batch.n_tiles * batch.n_active * -(-batch.n_most // MIX_BLOCK)
        mixture.mix[(n_programs,)](
            batch.t, self.features, first, middle, last, biases, last_bias, self.sums, hidden,
            self.base, self.scale, self.candidate, self.repeat_weight,
            self.components, batch.log_table, batch.exp2_table, self.n_all, n, width,
            batch.n_planes, batch.n_active, batch.n_most, batch.waves, *groups,
            DEPTH=config.depth, FEATURES=power_of_two(n, LEAST_SIDE), WIDTH=power_of_two(width, LEAST_SIDE),
            OUTPUTS=power_of_two(3 * k, LEAST_SIDE), K=k, MIXTURES=power_of_two(k), REPEATS=self.repeats > 0,
            BLOCK=MIX_BLOCK, ADAPTS=adapts is not None, num_warps=8,
        )  # fmt: skip
        return self.components

    def intervals(self, values: torch.Tensor, levels: torch.Tensor, found: torch.Tensor) -> None:
        """Find a step's intervals and take its values as known.

        values, levels : int32 (n, P * H * W);  found : int32 (n, P * H * W + 1, 2)
        """
        batch, k = self.batch, self.n_components
        coder.find_intervals[self.grid](
            batch.t, values, levels, self.components, self.is_coded,
            batch.n_levels, batch.first, batch.table_start, batch.level_table, batch.sigmoid_table,
            self.given, self.widths, found, *self._shape(),
            K=k, MIXTURES=power_of_two(k), Q=self.size, num_warps=4,
        )  # fmt: skip

    def learn(self) -> None:
        """Take note of the values `given` where samples are coded, and of the `widths` with which they were."""
        batch = self.batch
        if self.adaptation is not None:
            self.adaptation.teach(self)
        learn.learn_wave[self.grid](
            batch.t, batch.buffer, batch.offsets, self.given, self.widths, self.is_coded, batch.exists,
            self.base, self.scale, self.mean, self.predictions, self.raw,
            self.level, self.activity, self.magnitude, self.candidate, self.run_level, self.repeat_weight,
            batch.own_magnitude, batch.own_count, batch.own_error, batch.own_ratio, batch.own_ratio_count,
            batch.own_hits, batch.own_tries, self.weights,
            batch.buffer.shape[1], batch.picture_apart, batch.plane_apart, batch.wave_apart, *self._shape(), self.n_all,
            EPOCH=batch.epoch, E=batch.n_experts, Q=self.size, REPEATS=self.repeats, num_warps=self.n_warps,
        )  # fmt: skip

    def end_epochs(self) -> None:
        """Fit the experts of those planes whose epoch ends with the step, and open their next tables."""
        batch, shape = self.batch, self._shape()
        epoch, period = batch.epoch, self.period
        n_samples = min(FIT_SAMPLES, power_of_two(batch.n_most, LEAST_SIDE))
        for e, expert in enumerate(batch.experts):
            n, kinds = len(expert.regressors), expert.kinds()
            size, rest = matrix_sides(n)
            fit.add_epoch[self.ending](
                batch.t, batch.buffer, batch.regressors, self.weights, batch.gram, batch.moment, self.systems,
                batch.exists, batch.buffer.shape[1], batch.picture_apart, batch.plane_apart, batch.wave_apart, *shape,
                n, ABOUT_MEAN=bool(expert.about_mean), FORGETS=expert.forgets, EXPERT=e, E=batch.n_experts,
                R=batch.n_regressors, SIZE=size, REST=rest, Q=n_samples, EPOCH=epoch, PERIOD=period,
                HAS_MEAN=not kinds.isdisjoint((NEIGHBOUR, INSIDE)), HAS_CONSTANT=CONSTANT in kinds,
                INSIDE=INSIDE in kinds, EARLIER=EARLIER in kinds, num_warps=max(size // 8, 2),
            )  # fmt: skip
        solve(batch.gram, batch.moment, batch.coefficients, self.systems, batch.sizes, self.work)
        learn.next_tables[self.ending](
            batch.t, batch.magnitude, batch.error, batch.ratio, batch.ratio_count, batch.hits, batch.tries,
            batch.own_magnitude, batch.own_count, batch.own_error, batch.own_ratio, batch.own_ratio_count,
            batch.own_hits, batch.own_tries, batch.first_hits,
            batch.n_planes, batch.n_active, batch.waves, batch.n_epochs, E=batch.n_experts,
            EXPERTS=power_of_two(batch.n_experts), EPOCH=epoch, PERIOD=period, REPEATS=self.repeats, num_warps=1,
        )  # fmt: skip


def matrix_sides(n: int) -> tuple[int, int]:
    """Sides of the matrices that hold n <= 48 regressors: a power of two, and 16 more or none."""
    return (2 * LEAST_SIDE, LEAST_SIDE) if n > 2 * LEAST_SIDE else (power_of_two(n, LEAST_SIDE), 0)


def solver_memory(n_systems: int, n_regressors: int, device: torch.device) -> torch.Tensor:
    """Working memory of `solve`."""
    shape = n_systems, n_regressors + AT_ONCE, power_of_two(n_regressors + AT_ONCE)
    return torch.empty(shape, dtype=torch.float64, device=device)


def solve(
    gram: torch.Tensor, moment: torch.Tensor, coefficients: torch.Tensor, systems: torch.Tensor, sizes: torch.Tensor,
    work: torch.Tensor,
) -> None:  # fmt: skip
    """Coefficients of some systems, in place.

    gram : float64 (..., R, R);  moment, coefficients : float64 (..., R)
    systems : int64, numbers of those to solve, -1: none;  sizes : int64 (E,), of the systems with number e, e + E, ...
    work : `solver_memory` of so many systems
    """
    fit.solve_system[(systems.numel(),)](
        gram, moment, work, coefficients, systems, sizes, E=len(sizes), R=gram.shape[-1], SIZE=work.shape[-1],
        AT_ONCE=AT_ONCE, num_warps=1, enable_fp_fusion=False,
    )  # fmt: skip
