"""The network goes on learning while it codes (docs/format_lhic_ax.md, 6.1): the last layer of each group of each tile.

Groups are all at the same distance of one another, so at each change what is known in a group follows from its own sums
and from what is known at that moment in the group before; those that are done keep theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from lhic.families.ax.gpu import pixel
from lhic.families.ax.gpu.arithmetic import clip, quotient
from lhic.families.ax.gpu.batch import Batch
from lhic.families.ax.gpu.constants import (
    ARGUMENT_BITS,
    FADE_SHIFT,
    GRADIENT_BITS,
    GRADIENT_LIMIT,
    LEAST_MIXED,
    MEAN_BITS,
    MIXTURE_BITS,
    ONE,
    PLANE_LAG,
    PRIOR_SQUARES,
    SHARE_BITS,
    SIGMOID_BITS,
    SLOWNESS,
    SQUARE_SHIFT,
    SQUARED_LIMIT,
)
from lhic.families.ax.gpu.mixture import SIGMOID_ONE, load_mixtures, sigmoid_at
from lhic.families.ax.gpu.pictures import first_plane
from lhic.families.ax.integer_net import step_limits

if TYPE_CHECKING:
    from lhic.families.ax.gpu.step import Step

LEAST_SIDE = 16  # of a matrix that is multiplied
GRADIENT_ONE = tl.constexpr(1 << GRADIENT_BITS.value)
MEAN_ROUNDING = tl.constexpr(SIGMOID_BITS.value + SHARE_BITS.value - GRADIENT_BITS.value)
LOGIT_ROUNDING = tl.constexpr(SHARE_BITS.value - GRADIENT_BITS.value)
HALF_MEAN, HALF_LOGIT = tl.constexpr(1 << MEAN_ROUNDING.value - 1), tl.constexpr(1 << LOGIT_ROUNDING.value - 1)
GREATEST_SQUARED = tl.constexpr(int(SQUARED_LIMIT.value))


class Adaptation:
    """What groups have learned: n tiles, g groups, O = 3 K outputs, I inputs, the last of which is the biases' one.

    batch : int64 (n, g, O, I), sums of gradients since the last change
    gradients, squares : int64 (n, g, O, I), sums of a group's own
    last : float32 (n, g, O, I - 1);  last_bias : float32 (n, g, O)
    hidden : float32 (I - 1, samples), inputs of a step's samples
    """

    def __init__(self, batch: Batch, net, group_planes: int):
        config = batch.config
        self.group_planes, self.n_groups = group_planes, -(-batch.n_planes // group_planes)
        groups, n_outputs = (batch.n_tiles, self.n_groups), 3 * config.components
        size = *groups, n_outputs, config.width + 1
        self.batch, self.gradients, self.squares = (
            torch.zeros(size, dtype=torch.int64, device=batch.device) for _ in range(3)
        )
        self.first = batch.tensor(net.last), batch.tensor(net.last_bias)
        self.limits = batch.tensor(step_limits(net))
        self.last, self.last_bias = (layer.repeat(*groups, *[1] * layer.dim()).contiguous() for layer in self.first)
        n_samples = batch.n_tiles * batch.n_active * batch.n_most
        self.hidden = torch.zeros((config.width, n_samples), dtype=torch.float32, device=batch.device)

    def change(self, batch: Batch) -> None:
        """Weights for the steps to come."""
        n_outputs, n_inputs = self.batch.shape[2:]
        change_weights[(n_outputs, batch.n_tiles)](
            self.batch, self.gradients, self.squares, self.last, self.last_bias, *self.first, self.limits,
            self.n_groups, n_inputs, INPUTS=triton.next_power_of_2(n_inputs), num_warps=1, enable_fp_fusion=False,
        )  # fmt: skip

    def teach(self, step: Step) -> None:
        """Take note of the values `given`, under the step's `components`."""
        batch, config, k = step.batch, step.batch.config, step.n_components
        teach_wave[step.grid](
            batch.t, step.given, step.is_coded, step.components, self.hidden, self.batch,
            batch.n_levels, batch.first, batch.table_start, batch.level_table, batch.sigmoid_table,
            batch.n_planes, batch.n_active, batch.n_most, batch.waves, batch.n_rows * batch.n_columns, step.n_all,
            self.group_planes, self.n_groups, config.width,
            K=config.components, ALL_K=k, MIXTURES=max(triton.next_power_of_2(k), LEAST_SIDE),
            WIDTH=max(triton.next_power_of_2(config.width), LEAST_SIDE),
            Q=max(triton.next_power_of_2(batch.n_most), LEAST_SIDE), num_warps=4,
        )  # fmt: skip


@triton.jit
def change_weights(
    batch, gradients, squares, last, last_bias, first_last, first_bias, limits, n_groups, n_inputs,
    INPUTS: tl.constexpr,
):  # fmt: skip
    """One row of the last layer of all groups of a tile.

    To be compiled without fused multiply-add (``enable_fp_fusion=False``).
    """
    output = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    n_outputs = tl.num_programs(0)
    i = tl.arange(0, INPUTS)
    is_bias = i == n_inputs - 1
    inside, is_weight = i < n_inputs, i < n_inputs - 1
    width = n_inputs - 1
    start = tl.load(first_last + output * width + i, mask=is_weight, other=0.0).to(tl.float64)
    start += tl.load(first_bias + output + i * 0, mask=is_bias, other=0.0).to(tl.float64)
    unit = tl.where(is_bias, ONE, 1)
    limit = tl.load(limits + output) * unit.to(tl.float64)
    known = i.to(tl.int64) * 0
    known_squares = i.to(tl.int64) * 0
    for group in range(0, n_groups):
        row = (tile * n_groups + group) * n_outputs + output
        at = row * n_inputs + i
        new = tl.load(batch + at, mask=inside, other=0)
        size = tl.minimum(tl.abs(new) >> SQUARE_SHIFT, GREATEST_SQUARED)
        own = tl.load(gradients + at, mask=inside, other=0) + new
        own_squares = tl.load(squares + at, mask=inside, other=0) + size * size
        tl.store(batch + at, new * 0, mask=inside)
        tl.store(gradients + at, own, mask=inside)
        tl.store(squares + at, own_squares, mask=inside)
        known = own + known - (known >> FADE_SHIFT)
        known_squares = own_squares + known_squares - (known_squares >> FADE_SHIFT)
        slow = SLOWNESS * tl.sqrt(known_squares.to(tl.float64) + PRIOR_SQUARES)
        found = clip((known * unit).to(tl.float64) / slow, -limit, limit)
        # Adding 1.5 * 2^52 and taking it away rounds to the nearest integer, ties to even.
        found = start - ((found + 6755399441055744.0) - 6755399441055744.0)
        tl.store(last + row * width + i, found.to(tl.float32), mask=is_weight)
        tl.store(last_bias + row + i * 0, found.to(tl.float32), mask=is_bias)


@triton.jit
def _at_edge(edge, mean, mantissa, shift, is_end, at_end, sigmoid):
    """Sigmoid at the edges (q,) under mixtures (q, MIXTURES), and its slope times its argument, int64."""
    distance = edge[:, None] - mean
    value, argument = sigmoid_at(distance, mantissa, shift, sigmoid)
    value = tl.where(is_end[:, None], at_end, value).to(tl.int64)
    argument = tl.where(distance < 0, -argument, argument).to(tl.int64)
    return value, ((value * (SIGMOID_ONE - value) >> SIGMOID_BITS) * argument) >> ARGUMENT_BITS


@triton.jit
def teach_wave(
    step, given, is_coded, components, hidden, batch,
    n_levels, first_level, table_starts, table, sigmoid,
    n_planes, n_active, n_most, waves, n_pixels, n_all, group_planes, n_groups, width,
    K: tl.constexpr, ALL_K: tl.constexpr, MIXTURES: tl.constexpr, WIDTH: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """Add the gradients of one plane's wave, times their inputs, to those of its group.

    MIXTURES, WIDTH, Q : of ALL_K, width and a wave's samples up to a power of two from 16 on
    """
    slot = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1).to(tl.int64)
    t = tl.load(step)
    z = first_plane(t, waves, n_planes, n_active) + slot
    wave = t - PLANE_LAG * z
    if (wave >= 0) & (wave < waves) & pixel.teaches_network(wave, n_pixels):
        plane = tile * n_planes + z
        q = tl.arange(0, Q).to(tl.int64)
        row = (tile * n_active + slot) * n_most + q
        used = (q < n_most) & (tl.load(is_coded + row, mask=q < n_most, other=0) != 0)
        n = tl.load(n_levels + plane)
        first = tl.load(first_level + plane)
        table_start = tl.load(table_starts + plane)
        value = tl.load(given + row, mask=used, other=0)
        if table_start < 0:
            level = value - first
            low = (2 * value - 1) << (MEAN_BITS - 1)
            high = (2 * value + 1) << (MEAN_BITS - 1)
        else:
            own = table + table_start
            level = q * 0
            end = q * 0 + n - 1
            for _round in range(0, 17):  # among at most 2^16
                middle = (level + end + 1) >> 1
                is_below = tl.load(own + middle, mask=used, other=0) <= value
                level = tl.where(is_below, middle, level)
                end = tl.where(is_below, end, middle - 1)
            before = tl.load(own + level - 1, mask=used & (level > 0), other=0)
            after = tl.load(own + level + 1, mask=used & (level < n - 1), other=0)
            low = (before + value) << (MEAN_BITS - 1)
            high = (value + after) << (MEAN_BITS - 1)
        mean, mantissa, shift, weight = load_mixtures(components, row, used, ALL_K, MIXTURES)
        weight = weight.to(tl.int64)
        below, narrow = _at_edge(low.to(tl.int32), mean, mantissa, shift, level <= 0, 0, sigmoid)
        above, wide = _at_edge(high.to(tl.int32), mean, mantissa, shift, level >= n - 1, SIGMOID_ONE, sigmoid)
        k = tl.arange(0, MIXTURES)
        teaches = used[:, None] & (k < K)[None, :]
        likely = weight * (above - below)
        total = (tl.sum(likely, 1) + LEAST_MIXED)[:, None]
        share = tl.where(teaches, quotient(likely << SHARE_BITS, total), 0)
        mixed = tl.maximum(tl.sum(tl.where(teaches, weight, 0), 1), 1)
        part = quotient(tl.sum(share, 1) << MIXTURE_BITS, mixed)[:, None]
        of_mean = (share * (SIGMOID_ONE - below - above) + HALF_MEAN) >> MEAN_ROUNDING
        of_scale = clip(
            quotient(weight * (wide - narrow) * GRADIENT_ONE + total, 2 * total),
            -GRADIENT_LIMIT, GRADIENT_LIMIT,
        )  # fmt: skip
        of_logit = ((weight * part >> MIXTURE_BITS) - share + HALF_LOGIT) >> LOGIT_ROUNDING
        i = tl.arange(0, WIDTH)
        known = used[:, None] & (i < width)[None, :]
        inputs = tl.load(hidden + i[None, :].to(tl.int64) * n_all + row[:, None], mask=known, other=0.0).to(tl.float64)
        n_inputs = width + 1
        own_rows = (tile * n_groups + z // group_planes) * 3 * K
        for which in tl.static_range(3):
            gradient = of_mean
            if which == 1:
                gradient = of_scale
            if which == 2:
                gradient = of_logit
            gradient = tl.where(teaches, gradient, 0)
            products = tl.dot(tl.trans(gradient.to(tl.float64)), inputs, out_dtype=tl.float64)
            at = batch + (own_rows + which * K + k) * n_inputs
            tl.atomic_add(at[:, None] + i[None, :], products.to(tl.int64), mask=(k < K)[:, None] & (i < width)[None, :])
            tl.atomic_add(at + width, tl.sum(gradient, 0) * ONE, mask=k < K)
