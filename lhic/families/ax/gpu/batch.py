"""What a device holds of some tiles of one shape while they go through their steps.

Plane z computes wave t - 4 z at step t, whatever its group.  A tile with fewer planes than others has idle ones behind
its last.  A step looks at the same number of planes whether all of them have samples or not, so that it always
launches the same work, which a GPU replays from a graph.  The host is told nothing before the batch is done.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from lhic.coder.mixture import EXP2_TABLE, SIGMOID_TABLE
from lhic.families.ax import levels as plane_levels
from lhic.families.ax import spec
from lhic.families.ax.config import AxConfig
from lhic.families.ax.experts import CONSTANT, DETAIL, EARLIER, INSIDE, NEIGHBOUR
from lhic.families.ax.gpu import pictures
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, most_samples, n_waves, picture_shape

AT_ONCE = 8  # regressors whose products are loaded together; tables have room for as many more
CODER_BYTES = 20  # a sample: value, level and interval of an encoder, with room for the words of a symbol
WARM_UP = 3  # times that work runs before it is recorded, so that libraries have set themselves up


class Batch:
    """n tiles, P planes, E experts of up to R regressors; in a step Z planes with up to q samples each."""

    def __init__(self, model, jobs: Sequence, device: torch.device):
        self.device, self.config, self.n_tiles = device, model.settings, len(jobs)
        self.n_rows, self.n_columns = jobs[0].shape
        self.n_planes = max(job.n_planes for job in jobs)
        self.epoch = spec.epoch_of(self.config.epoch, self.n_rows, self.n_columns)
        self.waves = n_waves(self.n_rows, self.n_columns)
        self.n_steps = self.waves + spec.PLANE_LAG * (self.n_planes - 1)
        self.n_active = min(self.n_planes, -(-self.waves // spec.PLANE_LAG))
        self.n_most = most_samples(self.n_rows, self.n_columns)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.graphs: dict[str, torch.cuda.CUDAGraph | int | None] = {}
        self.experts = self.config.experts()
        self.n_experts = len(self.experts)
        self.n_regressors = max(len(expert.regressors) for expert in self.experts)
        self._make_pictures()
        self._make_tables(model.table.first_coefficients, model.table.starts)
        self._make_levels(jobs)
        self._make_waves(jobs)
        self.net = [self.tensor(array) for array in jobs[0].net]

    def tensor(self, values) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def _of_planes(self, *shape, dtype=torch.int64) -> torch.Tensor:
        return torch.zeros((self.n_tiles, self.n_planes, *shape), dtype=dtype, device=self.device)

    def _make_pictures(self) -> None:
        """`buffer` int32 (n, cells), where its planes and pictures are, and what is read of them (`offsets`)."""
        _, n_kept, self.wave_apart = picture_shape(1, self.n_rows, self.n_columns)
        self.plane_apart = n_kept * self.wave_apart
        self.picture_apart = self.n_planes * self.plane_apart
        n_pictures = pictures.n_pictures(self.n_experts, self.config.repeats)
        size = n_pictures * self.picture_apart
        self.buffer = torch.zeros((self.n_tiles, size), dtype=torch.int32, device=self.device)
        activity = slice(pictures.ACTIVITY * self.picture_apart, (pictures.ACTIVITY + 1) * self.picture_apart)
        self.buffer[:, activity] = spec.UNIT

        def offset(picture: int, back: int, waves: int, rows: int) -> int:
            return picture * self.picture_apart - back * self.plane_apart + waves * self.wave_apart + rows

        self.offsets = self.tensor([offset(*place) for place in pictures.reads(self.n_experts)])
        # Of each regressor: offset, planes back, whether less the mean, constant, and for those that see only what is
        # inside rows down and columns right (a place itself always is); for those less the mean of the plane before,
        # offsets of the sample and the detail whose difference that is.
        regressors = np.zeros((self.n_experts * self.n_regressors + AT_ONCE, pictures.N_ABOUT.value), np.int64)
        regressors[:, 1] = self.n_planes  # never there
        for e, expert in enumerate(self.experts):
            for r, (kind, back, waves, rows) in enumerate(expert.regressors.tolist(), e * self.n_regressors):
                if kind == CONSTANT:
                    regressors[r, 3] = spec.CONSTANT_INPUT
                    continue
                place = offset(pictures.DETAIL if kind == DETAIL else pictures.SAMPLE, back, waves, rows)
                regressors[r, :3] = place, back, kind in (NEIGHBOUR, INSIDE)
                if kind == INSIDE:
                    regressors[r, 4:6] = rows, waves - 2 * rows
                if kind == EARLIER:
                    regressors[r, 6:] = offset(pictures.SAMPLE, 1, 0, 0), offset(pictures.DETAIL, 1, 0, 0)
        self.regressors = self.tensor(regressors)
        self.all_kinds = set().union(*(expert.kinds() for expert in self.experts))
        self.sizes = self.tensor([len(expert.regressors) for expert in self.experts])
        self.about_mean = self.tensor([int(expert.about_mean) for expert in self.experts])

    def _make_tables(self, first_coefficients: np.ndarray, starts: np.ndarray) -> None:
        n_epochs = self.n_epochs = -(-self.waves // self.epoch) + 1
        n, r = self.n_experts, self.n_regressors
        self.coefficients = self._of_planes(n, r, dtype=torch.float64)
        for e in range(n):
            start, end = starts[e : e + 2]
            self.coefficients[:, :, e, : end - start] = self.tensor(first_coefficients[0, start:end])
            self.coefficients[:, 0, e, : end - start] = self.tensor(first_coefficients[1, start:end])
        self.gram, self.moment = (self._of_planes(n, *size, dtype=torch.float64) for size in ((r, r), (r,)))
        self.magnitude, self.error = self._of_planes(n_epochs), self._of_planes(n_epochs, n)
        self.ratio, self.ratio_count = (self._of_planes(n_epochs, spec.N_LEVELS) for _ in range(2))
        self.magnitude[:, :, 0] = self.error[:, :, 0] = spec.FIRST_MAGNITUDE
        self.ratio[:, :, 0] = spec.FIRST_RATIO * spec.FIRST_COUNT
        self.ratio_count[:] = 1  # planes that have not begun are described as well, to no effect
        self.ratio_count[:, :, 0] = spec.FIRST_COUNT
        self.own_magnitude, self.own_count, self.own_error = self._of_planes(), self._of_planes(), self._of_planes(n)
        self.own_ratio, self.own_ratio_count = (self._of_planes(spec.N_LEVELS) for _ in range(2))
        self.log_table, self.power_table, self.exp2_table, self.run_level_table, self.first_hits = (
            self.tensor(table)
            for table in (spec.LOG_TABLE, spec.POWER_TABLE, EXP2_TABLE, spec.RUN_LEVEL, spec.FIRST_HITS)
        )
        self.sigmoid_table = self.tensor(SIGMOID_TABLE).int()
        n_kept, n_levels = (n_epochs, spec.N_RUN_LEVELS) if self.config.repeats else (1, 1)
        self.hits, self.tries = (self._of_planes(n_kept, n_levels) for _ in range(2))
        self.hits[:], self.tries[:] = self.first_hits[:n_levels], spec.FIRST_TRIES
        self.own_hits, self.own_tries = (self._of_planes(n_levels) for _ in range(2))

    def _make_levels(self, jobs: Sequence) -> None:
        used = (job.levels.of_first(job.n_planes) for job in jobs)
        self.levels = plane_levels.joined(used, self.n_planes)
        numbers = (*self.levels[:3], *self.levels.ends())
        self.first, self.n_levels, self.table_start, self.low, self.high = (
            self.tensor(values.reshape(self.n_tiles, self.n_planes)) for values in numbers
        )
        self.level_table = self.tensor(np.append(self.levels.table, 0))

    def _make_waves(self, jobs: Sequence) -> None:
        """Which samples of each wave are coded: `counts` int32 (n, waves), and their `places` int32 (n, waves, q).

        A place is a sample's distance from the wave's first row.
        """
        exists = np.arange(self.n_planes) < np.array([job.n_planes for job in jobs])[:, None]
        self.exists = self.tensor(exists)
        self.coded = self.tensor(np.stack([~job.oriented(job.layout.mask) for job in jobs]))
        rows, columns = (self.tensor(index) for index in np.indices((self.n_rows, self.n_columns)))
        skewed = torch.zeros((self.n_tiles + 1, self.waves, self.n_rows), dtype=torch.bool, device=self.device)
        skewed[:-1, 2 * rows + columns, rows] = self.coded
        skewed[-1, 2 * rows + columns, rows] = True
        first = skewed[-1].int().argmax(1)
        coded = skewed[:-1]
        self.counts = coded.sum(2, dtype=torch.int32)
        self.places = torch.zeros((*coded.shape[:2], self.n_most), dtype=torch.int32, device=self.device)
        tile, wave, row = coded.nonzero(as_tuple=True)
        rank = (coded.cumsum(2, dtype=torch.int32) - 1)[tile, wave, row]
        self.places[tile, wave, rank.long()] = (row - first[wave]).int()

    def levels_of(self, values: torch.Tensor) -> torch.Tensor:
        """Level of each value, int32 (n, P, H * W); any where nothing is coded."""
        found = (values - self.first[:, :, None]).int()
        which = np.flatnonzero(self.levels.table_start >= 0)
        if len(which):
            # All tables as one: each plane's values are behind those of the plane before it.
            apart = 1 << 18  # more than the values of a plane are
            numbers = np.arange(len(which)) * apart
            table = self.tensor(self.levels.table + np.repeat(numbers, self.levels.n_levels[which]))
            numbers, starts, which = (self.tensor(a)[:, None] for a in (numbers, self.levels.table_start[which], which))
            flat, which = found.view(-1, found.shape[-1]), which[:, 0]
            known = values.reshape(flat.shape)[which].long() + numbers
            flat[which] = (torch.searchsorted(table, known) - starts).int()
        return found

    def values(self) -> torch.Tensor:
        """All samples as the pictures hold them, int32 (n, P, H, W)."""
        i, j = (torch.arange(n, device=self.device) for n in (self.n_rows, self.n_columns))
        cell = (2 * i[:, None] + j + WAVE_MARGIN) * self.wave_apart + i[:, None] + ROW_MARGIN
        samples = self.buffer[:, : self.picture_apart].view(self.n_tiles, self.n_planes, self.plane_apart)
        return samples[:, :, cell.reshape(-1)].view(self.n_tiles, self.n_planes, self.n_rows, self.n_columns)

    def walk(
        self, step: Callable[[], None], end_epochs: Callable[[], None], change: Callable[[], None] | None = None
    ) -> None:
        """Go through all steps; nothing is asked of the device in between.

        change : of the weights, where they change while coding
        """
        ends_at = np.zeros(self.n_steps, bool)
        for z in range(self.n_planes):
            first = spec.PLANE_LAG * z - 1
            ends_at[first + self.epoch : first + self.waves : self.epoch] = True
        for t in range(self.n_steps):
            self.t.fill_(t)
            if change is not None and t % self.config.adaptation == 0:
                self._run("change", change)
            self._run("step", step)
            if ends_at[t]:
                self._run("end", end_epochs)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        """Do work that depends on tensors alone and is the same in each step; a GPU replays what it once recorded."""
        graph = self.graphs.get(name, 0)
        if self.device.type != "cuda" or graph is None:
            work()
        elif isinstance(graph, int) and graph < WARM_UP:
            self.graphs[name] = graph + 1
            work()
        else:
            if isinstance(graph, int):
                graph = self.graphs[name] = record(work)
            if graph is None:
                work()
            else:
                graph.replay()


def record(work: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
    """A graph of what the work launches, or None where that cannot be recorded; nothing is computed yet."""
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        warnings.warn(f"lhic-ax: steps run without a CUDA graph ({error})", RuntimeWarning, stacklevel=2)
        return None
    return graph


def adaptation_bytes(width: int, n_outputs: int) -> int:
    """Memory of a group of one tile."""
    return n_outputs * (width + 1) * (3 * 8 + 4)


def tile_bytes(config: AxConfig, n_planes: int, n_rows: int, n_columns: int) -> int:
    """At most so much memory does a tile need on the device: `Batch`, `step.Step` and the coder together."""
    waves, n_most = n_waves(n_rows, n_columns), most_samples(n_rows, n_columns)
    n_active = min(n_planes, -(-waves // spec.PLANE_LAG))
    sizes = [len(expert.regressors) for expert in config.experts()]
    n, r = len(sizes), max(sizes)
    _, n_kept, wave_apart = picture_shape(1, n_rows, n_columns)
    epoch = spec.epoch_of(config.epoch, n_rows, n_columns)
    n_epochs = -(-waves // epoch) + 1
    n_run_levels = spec.N_RUN_LEVELS * (config.repeats > 0)
    of_plane = 4 * pictures.n_pictures(n, config.repeats) * n_kept * wave_apart
    of_plane += 8 * n * r * (r + 2)  # sums and coefficients
    of_plane += 8 * (n_epochs + 1) * (1 + n + 2 * spec.N_LEVELS + 2 * n_run_levels) + 64  # tables
    of_plane += CODER_BYTES * n_rows * n_columns + 4 * epoch * n_most
    if config.adaptation:
        of_plane += adaptation_bytes(config.width, 3 * config.components)  # a group has one plane at least
    of_hidden = (config.adaptation > 0) * 4 * config.width
    of_sample = of_hidden + 8 * (13 + 2 * n) + 4 + spec.n_features(n) + (12 + 16) * config.components + 16
    of_solve = 8 * n * (r + AT_ONCE) * 64
    of_waves = (8 * n_most + 6 * n_rows) * waves + 64 * n_rows * n_columns
    return n_planes * of_plane + n_active * (n_most * of_sample + of_solve) + of_waves
