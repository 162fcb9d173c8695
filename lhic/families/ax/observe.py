"""What the network sees of a cube and what it should say: for training, by the coder's own walk.

Features do not depend on the network, so one walk over a cube gives its samples once and for all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.coder.mixture import WEIGHT_BITS
from lhic.families.ax import schedule
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import walk
from lhic.families.ax.cpu.adapt import new_learner
from lhic.families.ax.cpu.state import Scratch, new_scratch, new_state
from lhic.families.ax.integer_net import IntegerNet, shapes
from lhic.families.ax.levels import Levels, levels_of
from lhic.families.ax.parameters import group_planes
from lhic.families.ax.planes.tile import planes_of
from lhic.families.ax.spec import epoch_of, n_features
from lhic.io import threads


class Observations(NamedTuple):
    """n samples of a cube.

    features : int8 (n, F), in 1/16
    error : float32 (n,), sample less base in units of the expected error
    below, above : float32 (n,), distance to the level's lower and upper edge in that unit; infinite at the ends
    repeat : float32 (n,), probability that the sample repeats a neighbour's; negative if it does not
    share : coded samples of the cube, of all its samples
    """

    features: np.ndarray
    error: np.ndarray
    below: np.ndarray
    above: np.ndarray
    repeat: np.ndarray
    share: float

    def of(self, chosen: np.ndarray) -> Observations:
        """Some of them."""
        arrays = {name: getattr(self, name)[chosen] for name in self._fields if name != "share"}
        return self._replace(**arrays)


def observe(
    cube: np.ndarray,
    config: AxConfig,
    n_samples: int,
    rng: np.random.Generator | None = None,
    max_error: int = 0,
    n_threads: int | None = None,
) -> Observations:
    """Observations of `n_samples` random samples (or all, if there are fewer) of a cube coded as one tile.

    rng : without it about so many samples that are evenly spread, the same ones in all versions of any library
    """
    planes = planes_of(cube, max_error)
    if cube.shape[1] > cube.shape[2]:
        planes_values, mask = planes.values.swapaxes(1, 2), planes.mask.T
    else:
        planes_values, mask = planes.values, planes.mask
    values = np.ascontiguousarray(planes_values, np.int32)
    mask = np.ascontiguousarray(mask)
    n_planes, n_rows, n_columns = values.shape
    flat = values.reshape(n_planes, n_rows * n_columns)
    chosen = _some(np.flatnonzero(np.broadcast_to(~mask, values.shape)), n_samples, rng)
    rows = np.full(values.size, -1, np.int32)
    rows[chosen] = np.arange(len(chosen))

    table = config.expert_table()
    n_experts = len(table.about_mean)
    levels = levels_of(planes)
    lower, upper = _edges(levels, flat, chosen)
    low, high = flat.min(1), flat.max(1)
    n_threads = threads.n_threads(n_threads)
    size = group_planes(n_rows * n_columns)  # of a piece of work; changes nothing
    n_recent = schedule.recent_planes(size, n_threads)
    epoch = epoch_of(config.epoch, n_rows, n_columns)
    state = new_state(table, epoch, values.shape, low, high, mask, n_recent)
    net = IntegerNet(*(np.zeros(shapes(config)[name], np.float32) for name in IntegerNet._fields))
    n = len(chosen)
    features = np.zeros((n, n_features(n_experts)), np.int8)
    targets, bases, scales, repeats = (np.zeros(n, np.int64) for _ in range(4))
    coding = walk.Coding(
        values, rows=rows.reshape(values.shape), features=features, targets=targets, bases=bases, scales=scales,
        repeats=repeats,
    )  # fmt: skip
    learner = new_learner(config, net, size, (n_rows, n_columns), None, True)  # of a network that is not asked
    idle: list[Scratch] = []

    def group(first: int) -> schedule.Group:
        end = min(first + size, n_planes)

        def run(begin: int, stop: int) -> None:
            scratch = idle.pop() if idle else new_scratch(config, n_rows, n_columns)
            what = table, net, levels, state, scratch, coding, learner
            walk.walk_block(walk.OBSERVE, first, end, begin, stop, epoch, *what)
            idle.append(scratch)

        return schedule.Group(first, end, run)

    groups = [group(first) for first in range(0, n_planes, size)]
    schedule.run_groups([((n_rows, n_columns), groups)], n_threads, lambda number, group: None)
    unit = 16.0 / scales  # 1/64 of a level to units of the expected error
    value = (targets + bases) / 64
    return Observations(
        features,
        (targets * unit).astype(np.float32),
        ((value - lower) * 64 * unit).astype(np.float32),
        ((upper - value) * 64 * unit).astype(np.float32),
        (repeats / 2.0**WEIGHT_BITS).astype(np.float32),
        n_planes * np.count_nonzero(~mask) / cube.size,
    )


def _some(places: np.ndarray, n: int, rng: np.random.Generator | None) -> np.ndarray:
    """n of some rising places, or all if there are fewer, rising; without `rng` about so many, evenly spread."""
    n = min(n, len(places))
    if rng is not None:
        return np.sort(rng.choice(places, n, replace=False))
    return places[np.unique((np.arange(n) * len(places) + draw(0, n, len(places))) // n)] if n else places


def draw(number: int, n: int, below: int) -> np.ndarray:
    """n evenly distributed whole numbers, int64: the same in all versions of any library.

    number : of the draw
    Source: G. L. Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
    """
    z = np.arange(number * n, (number + 1) * n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((z ^ z >> np.uint64(31)) % np.uint64(below)).astype(np.int64)


def _edges(levels: Levels, values: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge (float64) of the levels of the chosen samples; infinite at a plane's ends."""
    plane, pixel = np.divmod(chosen, values.shape[1])
    lower, upper = np.empty(len(chosen)), np.empty(len(chosen))
    for z in np.unique(plane):
        here = plane == z
        value = values[z, pixel[here]]
        n, start = levels.n_levels[z], levels.table_start[z]
        table = np.arange(n) + levels.first[z] if start < 0 else levels.table[start : start + n]
        edges = np.concatenate([[-np.inf], (table[1:] + table[:-1]) / 2, [np.inf]])
        level = np.searchsorted(table, value)
        lower[here], upper[here] = edges[level], edges[level + 1]
    return lower, upper
