"""The network goes on learning while it codes: its last layer, from a group's samples (docs/format_lhic_ax.md, 6.1).

A layer's weights are those of the weights file less a step for each that follows from two sums: of the gradients of
batches of samples, and of these squared.  Sums of a group begin with those of the group before at the same place of its
walk, so groups side by side find what groups one after another find.  All sums are integers that float64 holds.

Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
JMLR 12, 2011 (dual averaging with a diagonal).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.families.ax import spec
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu.coder import table_address
from lhic.families.ax.cpu.gradient import gradient_tile
from lhic.families.ax.cpu.mixture import LANES
from lhic.families.ax.cpu.tiles import GRAM_ROWS, QUAD, gram_tile
from lhic.families.ax.integer_net import IntegerNet, step_limits
from lhic.families.ax.wavefront import n_waves
from lhic.kernels.jit import lean
from lhic.kernels.vectors import address


class Learner(NamedTuple):
    """What a group has learned.  O = 3 K outputs, I inputs: the last hidden layer, a one, and zeros up to whole tiles.

    period : steps between two changes of the weights, 0 where they never change
    shift : changes of the group before that are behind it when this one begins
    last : float32 (O, width), last_bias : float32 (O,), weights as they begin;  limits : float64 (O,), greatest step
    batch : float64 (O, I), sum of gradients since the last change
    own : float64 (2, O, I), sums of this group's gradients and of their squares
    known, before : float64 (changes, 2, O, I), all that was known at each change here, in the group before; or empty
    """

    period: int
    shift: int
    last: np.ndarray
    last_bias: np.ndarray
    limits: np.ndarray
    batch: np.ndarray
    own: np.ndarray
    known: np.ndarray
    before: np.ndarray


def n_changes(period: int, group_planes: int, n_rows: int, n_columns: int) -> int:
    """Times at which the weights of a group change, the beginning and the end among them."""
    return 1 + -(-(n_waves(n_rows, n_columns) + spec.PLANE_LAG * (group_planes - 1)) // period)


def learner_bytes(config: AxConfig, group_planes: int, n_rows: int, n_columns: int) -> int:
    """Memory of a learner whose group is not the last."""
    if not config.adaptation:
        return 0
    changes = n_changes(config.adaptation, group_planes, n_rows, n_columns)
    return 8 * (2 * changes + 3) * 3 * config.components * n_inputs(config.width)


def n_inputs(width: int) -> int:
    return width + QUAD


def new_learner(
    config: AxConfig, net: IntegerNet, group_planes: int, shape: tuple[int, int], before: Learner | None, is_last: bool
) -> Learner:
    """Before a group's first step.

    group_planes : of all groups but the last;  shape : (H, W);  before : of the group before, which has begun
    """
    size = (len(net.last), n_inputs(net.last.shape[1]))
    period = config.adaptation
    changes = 0 if is_last or not period else n_changes(period, group_planes, *shape)
    return Learner(
        period,
        spec.PLANE_LAG * group_planes // period if period else 0,
        net.last,
        net.last_bias,
        step_limits(net),
        np.zeros(size),
        np.zeros((2, *size)),
        np.zeros((changes, 2, *size)),
        before.known if before is not None else np.zeros((0, 2, *size)),
    )


def learning_net(net: IntegerNet, learner: Learner) -> IntegerNet:
    """A network of which the group's learner may change the last layer."""
    return net._replace(last=net.last.copy(), last_bias=net.last_bias.copy()) if learner.period else net


@lean
def teach_wave(z, n, coded, levels, net, learner, scratch):
    """Take note of the gradients of a wave's samples, whose levels stand in ``scratch.mixtures.levels``."""
    gradients, inputs, mixtures = scratch.gradients, scratch.taught, scratch.mixtures
    n_outputs, stride = gradients.shape
    if scratch.n_taught[0] + n + LANES > stride:
        _add_batch(learner, scratch)
    at = scratch.n_taught[0]
    n_components, row = mixtures.weights.shape
    for q in range(0, n, LANES):
        gradient_tile(
            address(mixtures.levels), levels.first[z], levels.n_levels[z], table_address(z, levels),
            address(mixtures.parts), address(mixtures.weights), address(gradients) + 8 * (at + q), q, n_components,
            n_outputs // 3, row, stride,
        )  # fmt: skip
    for q in range(n):
        if not coded[q]:
            for o in range(n_outputs):
                gradients[o, at + q] = 0.0
    hidden = scratch.hidden[net.middle.shape[0] & 1]
    for i in range(hidden.shape[0]):
        own, known = inputs[i], hidden[i]
        for q in range(n):
            own[at + q] = known[q]
    scratch.n_taught[0] = at + n


@lean
def _add_batch(learner, scratch):
    """Add the products of what was noted to the batch."""
    n = scratch.n_taught[0]
    if n == 0:
        return
    gradients, inputs, batch = scratch.gradients, scratch.taught, learner.batch
    whole = (n + QUAD - 1) // QUAD * QUAD
    for o in range(gradients.shape[0]):
        for q in range(n, whole):
            gradients[o, q] = 0.0
    stride = gradients.shape[1]
    for o in range(0, batch.shape[0], GRAM_ROWS):
        for i in range(0, batch.shape[1], QUAD):
            gram_tile(
                address(gradients) + 8 * o * stride, address(inputs) + 8 * i * stride,
                address(batch[o]) + 8 * i, address(batch[o + 1]) + 8 * i, address(batch[o + 2]) + 8 * i, whole, stride,
            )  # fmt: skip
    scratch.n_taught[0] = 0


@lean
def _add_to_own(batch, gradients, squares):
    for i in range(batch.size):
        gradients[i] += batch[i]
        size = min(np.floor(abs(batch[i]) * 2.0**-spec.SQUARE_SHIFT), spec.SQUARED_LIMIT)
        squares[i] += size * size
        batch[i] = 0.0


@lean
def _join(own, earlier, known):
    """Sums of a group and what is kept of those of the group before."""
    for i in range(own.size):
        known[i] = own[i] + (earlier[i] - np.floor(earlier[i] * 2.0**-spec.FADE_SHIFT))


@lean
def _keep(own, known):
    for i in range(own.size):
        known[i] = own[i]


@lean
def _steps(gradients, squares, first, unit, limit, found):
    for i in range(found.size):
        step = np.rint(unit * gradients[i] / (spec.SLOWNESS * np.sqrt(squares[i] + spec.PRIOR_SQUARES)))
        found[i] = np.float32(first[i] - min(max(step, -limit), limit))


@lean
def change_weights(change, net, learner, scratch):
    """Weights from this step on; change : how many there were before."""
    _add_batch(learner, scratch)
    own = learner.own
    _add_to_own(learner.batch.reshape(-1), own[0].reshape(-1), own[1].reshape(-1))
    known = learner.known[change] if learner.known.shape[0] else scratch.known
    if learner.before.shape[0]:
        earlier = learner.before[min(change + learner.shift, learner.before.shape[0] - 1)]
        _join(own.reshape(-1), earlier.reshape(-1), known.reshape(-1))
    else:
        for part in range(2):
            _keep(own[part].reshape(-1), known[part].reshape(-1))
    width = net.last.shape[1]
    for o in range(known.shape[1]):
        limit = learner.limits[o]
        _steps(known[0, o, :width], known[1, o, :width], learner.last[o], 1.0, limit, net.last[o])
        bias = known[:, o, width:]
        unit = float(spec.ONE)
        _steps(bias[0], bias[1], learner.last_bias[o : o + 1], unit, unit * limit, net.last_bias[o : o + 1])


@lean
def end_block(learner, scratch):
    """Leave nothing in a thread's working memory."""
    _add_batch(learner, scratch)
