"""A step of the torch engine by kernels: what `Batch.look`, `components` and `learn` do, in a few launches.

Decides the launches and what is kept between them; `triton_step` holds the kernels.  The network and the sums of the
normal equations are products of float64 matrices, exact in any order, and left to torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lhic.models.lhic_ax import network
from lhic.models.lhic_ax.context import n_features

if TYPE_CHECKING:
    from lhic.models.lhic_ax.torch_engine import Batch

MIX_BLOCK = 128


def of(batch: Batch) -> KernelStep | None:
    """The kernels' side of a batch, where there are kernels."""
    return KernelStep(batch) if batch.kernels else None


class KernelStep:
    """What a batch keeps of a step: n tiles, Z planes, q samples; every kernel writes all of it anew."""

    def __init__(self, batch: Batch):
        self.batch = batch
        shape = batch.n_tiles, batch.n_active, batch.n_most
        self.n_all = int(np.prod(shape))
        e, r = batch.n_experts, batch.n_regressors
        self.base, self.scale, self.mean, self.raw, self.level, self.activity, self.mag = (
            torch.ones(shape, dtype=torch.int64, device=batch.device) for _ in range(7)
        )
        self.predictions, self.near = (
            torch.zeros((e, *shape), dtype=torch.int64, device=batch.device) for _ in range(2)
        )
        self.is_coded = torch.zeros(shape, dtype=torch.int8, device=batch.device)
        self.given, self.candidate, self.run_level, self.repeat_weight = (
            torch.zeros(shape, dtype=torch.int64, device=batch.device) for _ in range(4)
        )
        self.widths = torch.ones(shape, dtype=torch.int64, device=batch.device)

        def floats(*shape):
            return torch.zeros(shape, dtype=torch.float64, device=batch.device)

        self.features = floats(n_features(e), self.n_all)
        self.inputs = floats(*shape[:2], e, r, shape[2])
        self.weights, self.targets = floats(*shape), floats(*shape[:2], e, shape[2])
        self.repeats = batch.config.repeats
        k = batch.config.components + (self.repeats > 0)
        self.components = torch.zeros((*shape, 4, k), dtype=torch.int32, device=batch.device)
        sizes = [len(expert.regressors) for expert in batch.experts]
        self.sizes = batch.tensor(np.array(sizes))
        about = [batch.offsets, batch.backs, torch.zeros_like(batch.backs), torch.zeros_like(batch.backs)]
        regressors = torch.stack([a[batch.n_fixed :] for a in about], 1)
        regressors[:, 2], regressors[:, 3] = batch.minus_mean, batch.constant
        self.regressors = torch.cat([regressors, batch.inside], 1).contiguous()
        self.grid = (batch.n_active, batch.n_tiles)
        self.size = max(2, 1 << (batch.n_most - 1).bit_length())
        self.n_warps = min(max(self.size // 32, 1), 4)
        self.window = torch.zeros(1, dtype=torch.int64, device=batch.device)

    def look(self) -> torch.Tensor:
        """Components of the step's mixtures, int32 (n, Z, q, 4, K)."""
        from lhic.models.lhic_ax import triton_step

        batch, tables = self.batch, self.batch.tables
        self.z = batch.active_planes(batch.t)
        self.window.copy_(self.z[:1])
        triton_step.look_wave[self.grid](
            batch.t, self.window, batch.buffer, batch.offsets, self.regressors, self.sizes, batch.about_mean,
            batch.coefficients, batch.coded, batch.exists, batch.low, batch.high,
            batch.magnitude, batch.error, batch.ratio, batch.ratio_count, batch.own_count, batch.hits, batch.tries,
            tables.log, tables.power, tables.run_level,
            self.features, self.inputs, self.base, self.scale, self.mean, self.predictions, self.near, self.raw,
            self.level, self.activity, self.mag, self.is_coded, self.candidate, self.run_level, self.repeat_weight,
            batch.buffer.shape[1], batch.plane_apart, batch.wave_apart, batch.n_planes, *self._shape(),
            batch.n_epochs, self.n_all,
            EPOCH=batch.config.epoch, E=batch.n_experts, R=batch.n_regressors, Q=self.size, BLEND=batch.config.blend,
            REPEATS=self.repeats, INSIDE=batch.looks_inside, num_warps=self.n_warps,
        )  # fmt: skip
        sums = self._network()
        triton_step.mix[(-(-self.n_all // MIX_BLOCK),)](
            sums, self.base, self.scale, self.candidate, self.repeat_weight, self.components, tables.log, tables.exp2,
            self.n_all, K=batch.config.components, REPEATS=self.repeats > 0, BLOCK=MIX_BLOCK, num_warps=4,
        )  # fmt: skip
        return self.components

    def _shape(self) -> tuple[int, ...]:
        batch = self.batch
        return batch.n_active, batch.n_most, batch.n_rows, batch.n_columns

    def _network(self) -> torch.Tensor:
        """`Batch.run_network`, float64 (3 K, samples)."""
        batch, values = self.batch, self.features
        shift = network.FEATURE_BITS + network.WEIGHT_BITS - network.ACTIVATION_BITS
        for weights, bias in zip(batch.layers[:-1], batch.biases[:-1], strict=True):
            values = torch.addmm(bias[:, None], weights, values)
            values = values.mul_(2.0**-shift).floor_().clamp_(0, network.ACTIVATION_LIMIT)
            shift = network.WEIGHT_BITS
        return torch.addmm(batch.biases[-1][:, None], batch.layers[-1], values)

    def intervals(self, values: torch.Tensor, levels: torch.Tensor, lower_bits: int, found: torch.Tensor) -> None:
        """Find a step's intervals and take its values as known.

        values, levels : int32 (n, P * H * W);  found : int32 (n, P * H * W + 1, 2, 2)
        """
        from lhic.models.lhic_ax import triton_step

        batch = self.batch
        triton_step.find_intervals[self.grid](
            batch.t, self.window, values, levels, self.components, self.is_coded,
            batch.n_levels, batch.first, batch.table_start, batch.level_table, batch.tables.sigmoid32,
            self.given, self.widths, found, batch.n_planes, *self._shape(),
            K=self.components.shape[-1], Q=self.size, LOWER_BITS=lower_bits, num_warps=self.n_warps,
        )  # fmt: skip

    def learn(self) -> None:
        """Take note of the values `given` where samples are coded."""
        from lhic.models.lhic_ax import triton_step

        batch = self.batch
        triton_step.learn_wave[self.grid](
            batch.t, self.window, batch.buffer, batch.offsets, self.given, self.widths, self.is_coded, batch.exists,
            batch.about_mean, batch.low, batch.high, self.base, self.scale, self.mean, self.predictions, self.raw,
            self.level, self.activity, self.mag, self.candidate, self.run_level, self.repeat_weight,
            batch.own_magnitude, batch.own_count, batch.own_error, batch.own_ratio, batch.own_ratio_count,
            batch.own_hits, batch.own_tries, self.weights, self.targets,
            batch.buffer.shape[1], batch.picture_apart, batch.plane_apart, batch.wave_apart, batch.n_planes,
            *self._shape(), self.n_all, E=batch.n_experts, Q=self.size, REPEATS=self.repeats, num_warps=self.n_warps,
        )  # fmt: skip
        weighted = self.inputs * self.weights[:, :, None, None]
        batch.gram.index_add_(1, self.z, weighted @ self.inputs.transpose(-1, -2))
        batch.moment.index_add_(1, self.z, (weighted @ self.targets[..., None])[..., 0])
