"""The walk of lhic-ax on any torch device: several tiles, and all planes of a step, at once.

Decides nothing of its own: the same integers as `walk` and `reference`, from the same constants
(docs/format_lhic_ax.md).  Integers are int64 tensors, or float64 where matrices are multiplied, whose sums stay below
2^53 and are exact in any order.  The one place where rounding counts, the solution of the normal equations (`solve`),
uses separate operations that no compiler sees together, so nothing becomes a fused multiply-add.

Plane z computes wave t - 4 z at step t, whatever its group.  Tiles of one shape form a batch; a tile with fewer planes
than others has idle ones behind its last.  A step looks at the same number of planes whether all of them have samples
or not, so that it always launches the same work, which a GPU replays from a graph.  Symbols are decoded and encoded
where the walk runs (`device_coder`); the host is told nothing before a batch is done.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from math import gcd

import numpy as np
import torch

from lhic.coder.mixture import (
    ARGUMENT_BITS,
    EXP2_TABLE,
    LOGIT_STEPS,
    MANTISSA_BITS,
    MEAN_BITS,
    MEAN_LIMIT,
    SCALE_MAX,
    SCALE_MIN_LOG2,
    SCALE_STEPS,
    SIGMOID_BITS,
    SIGMOID_OCTAVES,
    SIGMOID_TABLE,
    TABLE_BITS,
    WEIGHT_BITS,
)
from lhic.families.ax.config import CONSTANT, CONSTANT_INPUT, DETAIL, INSIDE, NEIGHBOUR, AxConfig
from lhic.families.ax.cpu import arithmetic, context, experts, network, repeats
from lhic.families.ax.cpu.skew import (
    AROUND,
    CAUSAL,
    NE,
    NW,
    PLANE_LAG,
    ROW_MARGIN,
    WAVE_MARGIN,
    E,
    N,
    S,
    W,
    n_waves,
    skewed_shape,
)
from lhic.families.ax.cpu.state import FIRST_COUNT, FIRST_MAGNITUDE, FIRST_RATIO, N_LEVELS, N_RUN_LEVELS, UNIT
from lhic.families.ax.cpu.symbols import PRECISION, SCALE_OFFSET, TOTAL, Levels
from lhic.families.ax.gpu import device_coder, device_step
from lhic.families.ax.parameters import StreamParameters

HERE, WW, NN = (0, 0), (0, -2), (-2, 0)
OWN = (*CAUSAL, WW, NN)
CAUSAL_WEIGHTS = (2, 2, 1, 1, 1, 1)  # of OWN: W, N, NW, NE, WW, NN
assert CAUSAL == (W, N, NW, NE) and context.FAR_PLANES == 4

# Pictures, in the order in which the buffer holds them; one of errors for each expert follows,
# then that of runs (`State.runs`), if there are any.
SAMPLE, DETAILS, RESIDUAL, ACTIVITY, ERROR = range(5)

# Where `layout.store` repeats a sample: (at the left, right, upper, lower edge), distance in waves, in rows.
REPEATS = (
    ((False, False, False, False), 0, 0),
    ((True, False, False, False), 1, 1),
    ((True, False, False, False), 0, 1),
    ((False, True, False, False), 1, 0),
    ((False, False, True, False), 0, -1),
    ((False, False, True, False), -2, -2),
    ((False, False, False, True), 2, 1),
    ((False, True, False, True), 3, 1),
)


# Memory on a GPU (`tile_bytes`).
MEMORY_SHARE = 0.8  # of what is free may be filled
CODER_BYTES = 32  # a sample: values, levels and intervals of an encoder, with room for the words of two symbols
STEP_BYTES = 24  # an input or a sum of a sample: as int32, int64, float64 and weighted
STEP_TENSORS = 300  # everything else that a step computes for a sample

WARM_UP = 3  # times that work runs before it is recorded, so that libraries have set themselves up


def floor_divide(a, b):
    return torch.div(a, b, rounding_mode="floor")


class Tables:
    """Constant tables on a device."""

    def __init__(self, device: torch.device):
        def on_device(table):
            return torch.as_tensor(table, device=device)

        self.log, self.power = on_device(arithmetic.LOG_TABLE), on_device(arithmetic.POWER_TABLE)
        self.exp2, self.sigmoid = on_device(EXP2_TABLE), on_device(SIGMOID_TABLE)
        self.sigmoid32 = self.sigmoid.int()
        self.run_level, self.first_hits = on_device(repeats.RUN_LEVEL), on_device(repeats.FIRST_HITS_TABLE)

    def log2_16(self, value: torch.Tensor) -> torch.Tensor:
        """See `arithmetic.log2_16`; values of 1 .. 2^53 have their exponent exactly in a float64."""
        exponent = torch.frexp(value.double()).exponent.long() - 1
        mantissa = (value << arithmetic.MANTISSA_BITS) >> exponent
        return exponent * arithmetic.LOG_STEPS + self.log[mantissa - (1 << arithmetic.MANTISSA_BITS)]


def solve(gram: torch.Tensor, moment: torch.Tensor) -> torch.Tensor:
    """Coefficients times 2^20 of many systems: `experts.solve`, each entry by the same operations in the same order.

    gram : float64 (B, n, n), of which the lower triangle counts;  moment : float64 (B, n)
    Returns float64 (B, n), integers.  Columns are eliminated from the left, which subtracts from each entry the same
    products in the same order as going row by row does.
    """
    n = moment.shape[1]
    diagonal = torch.diagonal(gram, dim1=1, dim2=2)
    pivots = diagonal + (experts.RIDGE + diagonal * experts.RELATIVE_RIDGE)
    smallest = diagonal * experts.DEGENERATE
    left, factor = gram.clone(), torch.zeros_like(gram)
    for k in range(n):
        degenerate = ~(pivots[:, k] > smallest[:, k])
        root = torch.where(degenerate, 2.0**40, torch.sqrt(torch.where(degenerate, 1.0, pivots[:, k])))
        factor[:, k, :k] *= (~degenerate).double()[:, None]
        factor[:, k, k] = root
        if k + 1 == n:
            break
        # A degenerate row is zero: nothing was to be subtracted from its column.
        column = torch.where(degenerate[:, None], gram[:, k + 1 :, k], left[:, k + 1 :, k]) / root[:, None]
        factor[:, k + 1 :, k] = column
        square = column * column
        pivots[:, k + 1 :] = pivots[:, k + 1 :] - square
        product = column[:, :, None] * column[:, None, :]
        left[:, k + 1 :, k + 1 :] = left[:, k + 1 :, k + 1 :] - product
    solution = moment.clone()
    for k in range(n):
        solution[:, k] = solution[:, k] / factor[:, k, k]
        product = factor[:, k + 1 :, k] * solution[:, k, None]
        solution[:, k + 1 :] = solution[:, k + 1 :] - product
    for i in reversed(range(n)):
        total = solution[:, i]
        products = factor[:, i + 1 :, i] * solution[:, i + 1 :]
        for k in range(n - 1 - i):
            total = total - products[:, k]
        solution[:, i] = total / factor[:, i, i]
    rounded = torch.round(solution * 2.0**experts.COEFFICIENT_BITS)
    return rounded.clamp(-experts.COEFFICIENT_LIMIT, experts.COEFFICIENT_LIMIT)


class Reads:
    """Which cells of the buffer the samples of a step are predicted and described from, gathered at once."""

    def __init__(self, planes_apart: int, waves_apart: int, pictures_apart: int):
        self.apart = pictures_apart, planes_apart, waves_apart
        self.offsets: list[int] = []
        self.backs: list[int] = []

    def add(self, picture: int, back: int, distances) -> slice:
        """Distances are (rows down, columns right)."""
        picture_apart, plane_apart, wave_apart = self.apart
        for di, dj in distances:
            self.offsets.append(picture * picture_apart - back * plane_apart + (2 * di + dj) * wave_apart + di)
            self.backs.append(back)
        return slice(len(self.offsets) - len(distances), len(self.offsets))


class Batch:
    """Tiles of one shape on their way through the walk.

    n tiles, P planes, E experts of up to R regressors; in a step Z planes with up to q samples each.  Tensors of a step
    have shape (n, Z, q), with further axes behind.
    """

    def __init__(self, model, jobs: Sequence, device: torch.device):
        self.model, self.device, self.tables = model, device, Tables(device)
        self.kernels = device_coder.uses_triton(device)
        self.config, self.n_tiles = model.settings, len(jobs)
        self.n_rows, self.n_columns = jobs[0].shape
        self.n_planes = max(job.n_planes for job in jobs)
        self.waves = n_waves(self.n_rows, self.n_columns)
        self.n_steps = self.waves + PLANE_LAG * (self.n_planes - 1)
        self.n_active = min(self.n_planes, -(-self.waves // PLANE_LAG))
        self.n_most = min(self.n_rows, (self.n_columns + 1) // 2)  # samples of a wave
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        per_epoch = self.config.epoch // gcd(PLANE_LAG, self.config.epoch)  # one plane in so many ends it in a step
        self.n_ending = -(-self.n_active // per_epoch)
        self.ends_at = np.zeros(self.n_steps, bool)
        for z in range(self.n_planes):
            self.ends_at[PLANE_LAG * z + self.config.epoch - 1 : PLANE_LAG * z + self.waves - 1 : self.config.epoch] = (
                True
            )
        self.graphs: dict[str, torch.cuda.CUDAGraph | int | None] = {}
        self.level_tables = join_levels(jobs, self.n_planes)
        self.experts = self.config.experts()
        self.n_experts = len(self.experts)
        self.n_regressors = max(len(expert.regressors) for expert in self.experts)
        self._make_buffer()
        self._make_reads()
        self._make_tables()
        coded = np.stack([~job.oriented(job.layout.mask) for job in jobs])
        exists = np.arange(self.n_planes) < np.array([job.n_planes for job in jobs])[:, None]
        self.coded, self.exists = self.tensor(coded.reshape(self.n_tiles, -1)), self.tensor(exists)
        self._make_waves()
        net = jobs[0].net
        self.layers = [self.tensor(w).double() for w in (net.first, *net.middle, net.last)]
        self.biases = [self.tensor(b).double() for b in (*net.biases, net.last_bias)]

    def tensor(self, values) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def _zeros(self, *shape, dtype=torch.int64) -> torch.Tensor:
        return torch.zeros((self.n_tiles, self.n_planes, *shape), dtype=dtype, device=self.device)

    def _make_buffer(self) -> None:
        _, n_waves_kept, self.wave_apart = skewed_shape(1, self.n_rows, self.n_columns)
        self.plane_apart = n_waves_kept * self.wave_apart
        self.picture_apart = self.n_planes * self.plane_apart
        self.runs_picture = ERROR + self.n_experts
        n_pictures = self.runs_picture + bool(self.config.repeats)
        # The last cell takes what need not be kept.
        size = n_pictures * self.picture_apart + 1
        self.buffer = torch.zeros((self.n_tiles, size), dtype=torch.int32, device=self.device)
        self.buffer[:, ACTIVITY * self.picture_apart : ERROR * self.picture_apart] = UNIT
        self.nowhere = size - 1
        self.repeat_offsets = self.tensor(np.array([du * self.wave_apart + di for _, du, di in REPEATS]))
        self.repeat_edges = self.tensor(np.array([edges for edges, _, _ in REPEATS]))
        stored = [SAMPLE, DETAILS, RESIDUAL, *range(ERROR, self.runs_picture)]
        self.stored_offsets = self.tensor(np.array(stored) * self.picture_apart)

    def _make_reads(self) -> None:
        reads = Reads(self.plane_apart, self.wave_apart, self.picture_apart)
        pictures_of_errors = range(ERROR, ERROR + self.n_experts)
        self.samples, self.residuals = reads.add(SAMPLE, 0, OWN), reads.add(RESIDUAL, 0, OWN)
        self.earlier_sample = reads.add(SAMPLE, 1, (HERE, W, N, E, S))
        self.earlier_residuals = [reads.add(RESIDUAL, back, (HERE, *AROUND)) for back in (1, 2)]
        self.earlier_residuals += [reads.add(RESIDUAL, back, (HERE,)) for back in range(3, 3 + context.FAR_PLANES)]
        self.activity = reads.add(ACTIVITY, 1, (HERE,))
        self.errors = [reads.add(picture, 0, OWN) for picture in pictures_of_errors]
        self.earlier_errors = [reads.add(picture, 1, (HERE, E, S, W, N)) for picture in pictures_of_errors]
        if self.config.repeats:
            self.runs = reads.add(self.runs_picture, 1, (HERE,))
        self.n_fixed = len(reads.offsets)
        minus_mean, constant, inside = [], [], []
        for expert in self.experts:
            rows = expert.regressors.tolist()
            idle = [(CONSTANT, 0, 0, 0)] * (self.n_regressors - len(rows))
            for r, (kind, back, du, di) in enumerate(rows + idle):
                reads.add(DETAILS if kind == DETAIL else SAMPLE, back, [(di, du - 2 * di)])
                if kind == CONSTANT:
                    reads.backs[-1] = self.n_planes  # never there
                minus_mean.append(kind in (NEIGHBOUR, INSIDE))
                inside.append((di, du - 2 * di) if kind == INSIDE else (0, 0))
                constant.append(kind == CONSTANT and r < len(rows))
        self.offsets, self.backs = self.tensor(np.array(reads.offsets)), self.tensor(np.array(reads.backs))
        self.minus_mean = self.tensor(np.array(minus_mean, np.int64))
        self.constant = self.tensor(np.array(constant) * int(CONSTANT_INPUT))
        # Rows down and columns right of what counts only inside; a place itself always is.
        self.inside = self.tensor(np.array(inside, np.int64))
        self.looks_inside = self.config.far_neighbours > 0
        self.about_mean = self.tensor(np.array([expert.about_mean for expert in self.experts], np.int64))
        self.forgets = [e for e, expert in enumerate(self.experts) if expert.forgets]

    def _make_tables(self) -> None:
        n_epochs = self.n_epochs = -(-self.waves // self.config.epoch) + 1
        n, r = self.n_experts, self.n_regressors
        self.coefficients = self._zeros(n, r, dtype=torch.float64)
        first = self.model.table.first_coefficients
        for e in range(n):
            start, end = self.model.table.starts[e : e + 2]
            self.coefficients[:, :, e, : end - start] = self.tensor(first[0, start:end])
            self.coefficients[:, 0, e, : end - start] = self.tensor(first[1, start:end])
        self.gram, self.moment = self._zeros(n, r, r, dtype=torch.float64), self._zeros(n, r, dtype=torch.float64)
        self.magnitude, self.error = self._zeros(n_epochs), self._zeros(n_epochs, n)
        self.ratio, self.ratio_count = self._zeros(n_epochs, N_LEVELS), self._zeros(n_epochs, N_LEVELS)
        self.magnitude[:, :, 0] = FIRST_MAGNITUDE
        self.error[:, :, 0] = FIRST_MAGNITUDE
        self.ratio[:, :, 0] = FIRST_RATIO * FIRST_COUNT
        self.ratio_count[:] = 1  # planes that have not begun are described as well, to no effect
        self.ratio_count[:, :, 0] = FIRST_COUNT
        self.own_magnitude, self.own_count, self.own_error = self._zeros(), self._zeros(), self._zeros(n)
        self.own_ratio, self.own_ratio_count = self._zeros(N_LEVELS), self._zeros(N_LEVELS)
        n_kept, n_levels = (n_epochs, N_RUN_LEVELS) if self.config.repeats else (1, 1)
        self.hits, self.tries = self._zeros(n_kept, n_levels), self._zeros(n_kept, n_levels)
        self.hits[:], self.tries[:] = self.tables.first_hits[:n_levels], repeats.FIRST_TRIES
        self.own_hits, self.own_tries = self._zeros(n_levels), self._zeros(n_levels)
        levels = self.level_tables
        ends = (levels.first, levels.n_levels, levels.table_start)
        self.first, self.n_levels, self.table_start = (
            self.tensor(values.reshape(self.n_tiles, self.n_planes)) for values in ends
        )
        self.level_table = self.tensor(np.append(levels.table, 0))
        self.low = self.model_value(torch.zeros_like(self.first), self.first, self.table_start)
        self.high = self.model_value(self.n_levels - 1, self.first, self.table_start)

    def model_value(self, level, first, start):
        listed = self.level_table[(start + level).clamp(0, len(self.level_table) - 1)]
        return torch.where(start < 0, first + level, listed)

    def levels_of(self, values: torch.Tensor) -> torch.Tensor:
        """Level of each value, int32 (n, P, H * W): `coding._EncodeJob.level_of`."""
        found = (values - self.first[:, :, None]).int()
        tables = self.level_tables
        which = np.flatnonzero(tables.table_start >= 0)
        if len(which):
            # All tables as one: each plane's values are behind those of the plane before it.
            apart = 1 << 18  # more than the values of a plane are
            numbers = np.arange(len(which)) * apart
            table = self.tensor(tables.table + np.repeat(numbers, tables.n_levels[which]))
            numbers, starts, which = (self.tensor(a)[:, None] for a in (numbers, tables.table_start[which], which))
            flat, which = found.view(-1, found.shape[-1]), which[:, 0]
            known = values.reshape(flat.shape)[which].long() + numbers
            flat[which] = (torch.searchsorted(table, known) - starts).int()
        return found

    def _make_waves(self) -> None:
        """Which samples of each wave are coded: `counts` int32 (n, waves), and their `places` int32 (n, waves, q).

        A place is a sample's distance from the wave's first row.
        """
        i, j, there = self.pixels_of(torch.arange(self.waves, device=self.device))
        pixel = (i * self.n_columns + j).reshape(-1)
        coded = self.coded[:, pixel].view(self.n_tiles, *i.shape) & there
        self.counts = coded.sum(2).int()
        rank = torch.where(coded, coded.cumsum(2) - 1, self.n_most)
        places = torch.zeros((*coded.shape[:2], self.n_most + 1), dtype=torch.int32, device=self.device)
        number = torch.arange(self.n_most, dtype=torch.int32, device=self.device)
        self.places = places.scatter_(2, rank, number.expand(coded.shape))[:, :, :-1].contiguous()

    def pixels_of(self, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows and columns (waves, q) of the pixels of waves, and which exist; the others are somewhere inside."""
        first = ((wave - self.n_columns + 2) >> 1).clamp(min=0)
        last = (wave >> 1).clamp(max=self.n_rows - 1)
        i = first[:, None] + torch.arange(self.n_most, device=self.device)
        there = i <= last[:, None]
        i = torch.minimum(i, last[:, None]).clamp(min=0)
        j = wave[:, None] - 2 * i
        there &= (j >= 0) & (j < self.n_columns)
        return i, j.clamp(0, self.n_columns - 1), there

    # --- one step -----------------------------------------------------------------------------------------------------

    def run(self, name: str, work: Callable[[], None]) -> None:
        """Do work that depends on tensors alone and is the same in each step; a GPU replays what it once recorded."""
        graph = self.graphs.get(name, 0)
        if self.device.type != "cuda" or graph is None:
            work()
        elif isinstance(graph, int) and graph < WARM_UP:
            self.graphs[name] = graph + 1
            work()
        else:
            if isinstance(graph, int):
                graph = self.graphs[name] = _record(work)
            if graph is None:
                work()
            else:
                graph.replay()

    def begin(self, t: int) -> None:
        """Go to a step, which is all that the host says about it."""
        self.t.fill_(t)

    def place(self) -> None:
        """Which planes `z` and waves a step holds, some perhaps before the first or after the last; which samples.

        Pixels `i`, `j` (Z, q), of which `there` exist.
        """
        self.z = self.active_planes(self.t)
        wave = self.t - PLANE_LAG * self.z
        self.epoch = (wave // self.config.epoch).clamp(0, self.n_epochs - 1)
        self.i, self.j, self.there = self.pixels_of(wave)
        rows = self.i + ROW_MARGIN
        self.cell = self.z[:, None] * self.plane_apart + (2 * self.i + self.j + WAVE_MARGIN) * self.wave_apart + rows
        self.pixel = self.i * self.n_columns + self.j
        coded = self.coded[:, self.pixel.reshape(-1)].view(self.n_tiles, *self.pixel.shape)
        self.is_coded = coded & self.there & self.exists[:, self.z, None]

    def active_planes(self, t: torch.Tensor) -> torch.Tensor:
        first = (-((self.waves - 1 - t) // PLANE_LAG)).clamp(0, self.n_planes - self.n_active)
        return first + torch.arange(self.n_active, device=self.device)

    def gather(self) -> torch.Tensor:
        """Everything read from the pictures, int64 (reads, n, Z, q); 0 where there is no such plane."""
        known = self.z >= self.backs[:, None]
        where = torch.where(known[:, :, None], self.cell + self.offsets[:, None, None], self.nowhere)
        found = self.buffer[:, where.reshape(-1)].view(self.n_tiles, *where.shape).long()
        return (found * known[:, :, None]).movedim(1, 0)

    def predict(self, read: torch.Tensor) -> None:
        """Means, inputs (n, Z, E, R, q) and predictions in 1/64 (E, n, Z, q)."""
        self.mean = (read[self.samples][:4].sum(0) + 2) >> 2
        inputs = read[self.n_fixed :] - self.minus_mean[:, None, None, None] * self.mean
        inputs = inputs + self.constant[:, None, None, None]
        if self.looks_inside:
            inputs = inputs * self._is_inside()[:, None]
        shape = self.n_experts, self.n_regressors, *inputs.shape[1:]
        self.inputs = inputs.view(shape).permute(2, 3, 0, 1, 4).double()
        sums = (self.coefficients[:, self.z, :, None, :] @ self.inputs)[:, :, :, 0]  # (n, Z, E, q)
        found = torch.floor(sums * 2.0 ** (experts.FRACTION_BITS - experts.COEFFICIENT_BITS)).long().permute(2, 0, 1, 3)
        found = found + 64 * self.mean * self.about_mean[:, None, None, None]
        low, high = 64 * self.low[:, self.z, None], 64 * self.high[:, self.z, None]
        self.predictions = torch.minimum(torch.maximum(found, low), high)

    def _is_inside(self) -> torch.Tensor:
        """Whether regressors may be read, (regressors, Z, q)."""
        i, j = (at + self.inside[:, k, None, None] for k, at in enumerate((self.i, self.j)))
        return (i >= 0) & (i < self.n_rows) & (j >= 0) & (j < self.n_columns)

    def find_repeats(self, read: torch.Tensor) -> None:
        """Candidates, their runs' levels and weights: `repeats.find_repeats`, each (n, Z, q)."""
        if not self.config.repeats:
            return
        packed = read[self.runs][0]
        neighbours = read[self.samples]
        longest, self.candidate = packed & repeats.LONGEST_RUN, neighbours[0]
        for c in range(1, self.config.repeats):
            run = packed >> (repeats.RUN_BITS * c) & repeats.LONGEST_RUN
            self.candidate = torch.where(run > longest, neighbours[c], self.candidate)
            longest = torch.maximum(longest, run)
        self.runs_before, self.repeatable = packed, neighbours[: self.config.repeats]
        self.run_level = self.tables.run_level[longest]
        hits = self.hits[:, self.z, self.epoch].gather(2, self.run_level)
        tries = self.tries[:, self.z, self.epoch].gather(2, self.run_level)
        weight = floor_divide(16 * hits, tries)
        self.repeat_weight = weight.clamp(repeats.LEAST_WEIGHT, repeats.GREATEST_WEIGHT)

    def magnitude_back(self, back: int) -> torch.Tensor:
        """Of the plane so many planes back, at least 16, (n, Z, 1)."""
        found = self.magnitude[:, (self.z - back).clamp(min=0), self.epoch]
        return found.clamp(min=context.MIN_MAGNITUDE)[:, :, None]

    def describe(self, read: torch.Tensor) -> torch.Tensor:
        """Set base and expected error; returns the features, int64 (F, n, Z, q)."""
        log = self.tables.log2_16
        z = self.z[:, None]
        own = self.mag = self.magnitude_back(0)
        earlier = torch.where(z > 0, self.magnitude_back(1), own)
        near = []
        for e in range(self.n_experts):
            total = causal_sum(read[self.errors[e]])
            around = read[self.earlier_errors[e]]
            around = floor_divide((around.sum(0) + 3 * around[0]) * own, earlier)
            near.append(log(total + around.clamp(max=1 << 24) + 8))
        near = torch.stack(near)
        log_error = log(self.error[:, self.z, self.epoch] + 16).permute(2, 0, 1)[..., None]  # (E, n, Z, 1)
        cost = 2 * near + self.config.blend * log_error
        below = (cost - cost.amin(0)).clamp(max=240)
        weights = (self.tables.power[below & 15] << 1) >> (below >> 4)
        moment = (weights * (self.predictions - self.predictions[0])).sum(0)
        base = self.base = self.predictions[0] + floor_divide(moment, weights.sum(0))

        around = causal_sum(read[self.residuals])
        activity = self.activity_before = torch.where(z > 0, read[self.activity][0], UNIT)
        expected = (activity * own) >> 10
        raw = self.raw = ((10 * around + 11 * expected) >> 4).clamp(min=context.MIN_RAW_SCALE)
        log_raw = log(raw)
        level = self.level = (log_raw >> 3).clamp(max=N_LEVELS - 1)
        ratio = self.ratio[:, self.z, self.epoch].gather(2, level)
        count = self.ratio_count[:, self.z, self.epoch].gather(2, level)
        self.scale = floor_divide(raw * ratio, count * FIRST_RATIO).clamp(min=context.MIN_SCALE)
        log_scale = self.log_scale = log(self.scale)

        log_own, log_earlier = log(own), log(earlier)
        inverse = floor_divide(torch.full_like(self.scale, 1 << 24), self.scale)
        like = torch.zeros_like(base)
        found = [*((self.predictions - base) * inverse >> 16), *(near - log_scale)]
        found += list(log_error - log_own + like)
        found += list((64 * read[self.samples] - base) * inverse >> 17)
        found += list(read[self.residuals] * inverse >> 16)
        for back, which in enumerate(self.earlier_residuals, 1):
            gain = floor_divide(own << 10, torch.where(z >= back, self.magnitude_back(back), own))
            found += list(read[which] * (gain * inverse >> 10).clamp(max=1 << 40) >> 16)
        found.append(log(2 * around + 16) - log_scale)
        found.append(log(expected + 16) - log_scale)
        found.append(log_own - log_scale)
        found.append((log_scale >> 1) - 60)
        found.append(log_earlier - log_own + like)
        found.append((base - 64 * self.low[:, self.z, None]) * inverse >> 18)
        found.append((64 * self.high[:, self.z, None] - base) * inverse >> 18)
        found.append((log(self.own_count[:, self.z, None] + 1) >> 1) - 60 + like)
        found.append(8 * z.clamp(max=8) + like)
        found.append(64 * (self.i == 0) + like)
        found.append(64 * ((self.j == 0) | (self.j == self.n_columns - 1)) + like)
        found.append(log_raw - log_scale)
        steps = read[self.earlier_sample][1:] - read[self.earlier_sample][0]
        found.append((z > 0) * ((log(256 * steps.abs().sum(0) + 16) - log_scale) >> 1))
        found.append(steps.sum(0) * 16 * inverse >> 18)
        return torch.stack(found).clamp(-context.LIMIT, context.LIMIT)

    def run_network(self, features: torch.Tensor) -> torch.Tensor:
        """Sums of the last layer, int64 (n, Z, q, 3 K)."""
        values = features.movedim(0, -1).double()
        shift = network.FEATURE_BITS + network.WEIGHT_BITS - network.ACTIVATION_BITS
        for weights, bias in zip(self.layers[:-1], self.biases[:-1], strict=True):
            sums = values @ weights.T + bias
            values = torch.floor(sums * 2.0**-shift).clamp(0, network.ACTIVATION_LIMIT)
            shift = network.WEIGHT_BITS
        return (values @ self.layers[-1].T + self.biases[-1]).long()

    def mixture(self, sums: torch.Tensor) -> torch.Tensor:
        """Means, scales and logits of the components, int64 (3, n, Z, q, K), as docs/format_rans.md has them."""
        means, scales, logits = sums.chunk(3, dim=-1)
        mean = 4 * self.base[..., None] + ((means >> network.MEAN_SHIFT) * self.scale[..., None] >> 10)
        scale = 2 * self.log_scale[..., None] + SCALE_OFFSET + (scales >> network.SCALE_SHIFT)
        return torch.stack(
            [mean.clamp(-MEAN_LIMIT, MEAN_LIMIT), scale.clamp(0, SCALE_MAX), logits >> network.LOGIT_SHIFT]
        )

    def weights(self, logits: torch.Tensor) -> torch.Tensor:
        """Weights (..., K) that add up to 2^14."""
        below = logits.amax(-1, keepdim=True) - logits
        raw = self.tables.exp2[below % LOGIT_STEPS] >> (below // LOGIT_STEPS).clamp(max=63)
        weight = floor_divide(raw << WEIGHT_BITS, raw.sum(-1, keepdim=True))
        # What is left over goes to the first of the heaviest; `argmax` does not promise to find the first.
        heaviest = (below == 0) & ((below == 0).cumsum(-1) == 1)
        return weight + heaviest * ((1 << WEIGHT_BITS) - weight.sum(-1, keepdim=True))

    def components(self, sums: torch.Tensor) -> torch.Tensor:
        """Mean, mantissa and shift of the inverse scale, and weight of each component, int32 (n, Z, q, 4, K).

        K is one more than the network's where samples may repeat others.
        """
        mean, scale, logit = self.mixture(sums)
        mantissa, shift = self.tables.exp2[scale % SCALE_STEPS], scale // SCALE_STEPS
        weight = self.weights(logit)
        if self.config.repeats:
            whole = 1 << WEIGHT_BITS
            weight = weight * (whole - self.repeat_weight[..., None]) >> WEIGHT_BITS
            one_more = (
                self.candidate[..., None] << MEAN_BITS,
                self.tables.exp2[:1].expand(*mean.shape[:-1], 1),  # the scale's index is 0
                torch.zeros_like(mean[..., :1]),
                whole - weight.sum(-1, keepdim=True),
            )
            several = (mean, mantissa, shift, weight)
            mean, mantissa, shift, weight = (torch.cat(two, -1) for two in zip(several, one_more, strict=True))
        return torch.stack([mean, mantissa, shift, weight], -2).int()

    def cumulative(self, level, first, start, n, components: torch.Tensor) -> torch.Tensor:
        """F of some levels of samples, int64 (..., levels).

        first, start, n : of the planes, to be broadcast;  components : (..., 4, K)
        """
        edge = (self.model_value(level - 1, first, start) + self.model_value(level, first, start)) << (MEAN_BITS - 1)
        mean, mantissa, shift, weight = components.long()[..., None, :, :].unbind(-2)
        distance = edge[..., None] - mean
        argument = (distance.abs() * mantissa << (ARGUMENT_BITS - MEAN_BITS - SCALE_MIN_LOG2 - MANTISSA_BITS)) >> shift
        argument = argument.clamp(max=SIGMOID_OCTAVES << ARGUMENT_BITS)
        fraction_bits = ARGUMENT_BITS - TABLE_BITS
        place, fraction = argument >> fraction_bits, argument & ((1 << fraction_bits) - 1)
        left = self.tables.sigmoid[place]
        value = left + ((self.tables.sigmoid[place + 1] - left) * fraction >> fraction_bits)
        value = torch.where(distance < 0, (1 << SIGMOID_BITS) - value, value)
        inner = ((weight * value).sum(-1) * (TOTAL - n) >> (WEIGHT_BITS + SIGMOID_BITS)) + level
        return torch.where(level <= 0, 0, torch.where(level >= n, TOTAL, inner))

    def intervals(self, level: torch.Tensor, sums: torch.Tensor, lower_bits: int) -> torch.Tensor:
        """Start and freq of the upper and of the lower part, (n, Z, q, 2, 2); freq 0: there is no upper part."""
        levels_of = [a[:, self.z, None, None] for a in (self.first, self.table_start, self.n_levels)]
        n = levels_of[2][..., 0]
        cell = level >> lower_bits << lower_bits
        after = torch.minimum(cell + (1 << lower_bits), n)
        wanted = torch.stack([cell, after, level, level + 1], -1)
        found = self.cumulative(wanted, *levels_of, self.components(sums))
        low, high = found[..., :1], found[..., 1:2]
        inside = floor_divide((found[..., 2:] - low) << PRECISION, high - low)
        upper = torch.cat([low, (high - low) * (n > 1 << lower_bits)[..., None]], -1)
        lower = torch.stack([inside[..., 0], inside[..., 1] - inside[..., 0]], -1)
        return torch.stack([upper, lower], -2)

    def learn(self, value: torch.Tensor, width: torch.Tensor) -> None:
        """Take note of the samples' model values, and of the widths with which they were coded, int64 (n, Z, q)."""
        z, coded = self.z, self.is_coded.long()
        if self.config.repeats:
            self._learn_repeats(value, width, coded)
        residual = (64 * value - self.base).clamp(-context.MAX_ERROR, context.MAX_ERROR)
        size = residual.abs()
        error = (64 * value - self.predictions).abs().clamp(max=context.MAX_ERROR)
        stored = torch.cat([torch.stack([value, value - self.mean, residual]), error])
        self._store(stored)
        relative = floor_divide(size << 14, self.mag).clamp(max=context.MAX_ACTIVITY * UNIT)
        change = (relative - self.activity_before) * context.ACTIVITY_RATE >> 6
        self._keep(ACTIVITY, self.activity_before + change * coded)

        self.own_magnitude[:, z] += (size * coded).sum(-1)
        self.own_count[:, z] += coded.sum(-1)
        self.own_error[:, z] += (error * coded).sum(-1).movedim(0, -1)
        ratio = floor_divide(size * (16 * FIRST_RATIO), self.raw).clamp(max=FIRST_RATIO * context.MAX_RATIO)
        self.own_ratio[:, z] = self.own_ratio[:, z].scatter_add(2, self.level, ratio * coded)
        self.own_ratio_count[:, z] = self.own_ratio_count[:, z].scatter_add(2, self.level, coded)

        square = self.mag * self.mag
        weight = (1 + floor_divide(experts.WEIGHT_STEPS * square, square + self.scale * self.scale)) * coded
        weighted = self.inputs * weight[:, :, None, None].double()
        target = value[:, :, None] - self.mean[:, :, None] * self.about_mean[:, None]
        self.gram[:, z] += weighted @ self.inputs.transpose(-1, -2)
        self.moment[:, z] += (weighted @ target[..., None].double())[..., 0]

    def _learn_repeats(self, value: torch.Tensor, width: torch.Tensor, coded: torch.Tensor) -> None:
        """`repeats.learn_repeats`."""
        runs = torch.zeros_like(value)
        for c, neighbour in enumerate(self.repeatable):
            run = (self.runs_before >> (repeats.RUN_BITS * c) & repeats.LONGEST_RUN) + 1
            runs |= run.clamp(max=repeats.LONGEST_RUN) * (value == neighbour) << (repeats.RUN_BITS * c)
        self._keep(self.runs_picture, runs)
        share = floor_divide(self.repeat_weight << 20, width).clamp(max=repeats.CERTAIN)
        share = share * (value == self.candidate) * coded
        self.own_hits[:, self.z] = self.own_hits[:, self.z].scatter_add(2, self.run_level, share)
        self.own_tries[:, self.z] = self.own_tries[:, self.z].scatter_add(2, self.run_level, coded)

    def _keep(self, picture: int, value: torch.Tensor) -> None:
        """Write samples of a picture without edges."""
        where = torch.where(self.there, self.cell + picture * self.picture_apart, self.nowhere)
        self.buffer[:, where.reshape(-1)] = value.int().flatten(1)

    def _store(self, values: torch.Tensor) -> None:
        """values : int64 (stored pictures, n, Z, q); also where they are repeated beyond the edge."""
        edges = (self.j == 0, self.j == self.n_columns - 1, self.i == 0, self.i == self.n_rows - 1)
        at_edge = torch.stack(edges)[None]  # (1, 4, Z, q)
        wanted = (at_edge | ~self.repeat_edges[:, :, None, None]).all(1) & self.there  # (repeats, Z, q)
        where = torch.where(wanted, self.cell + self.repeat_offsets[:, None, None], -1)
        where = torch.where(where >= 0, where + self.stored_offsets[:, None, None, None], self.nowhere)
        spread = values.movedim(1, 0).int()[:, :, None].expand(-1, -1, len(REPEATS), -1, -1)
        self.buffer[:, where.reshape(-1)] = spread.flatten(1)

    def ending_planes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Planes whose epoch ends with this step, and their next epochs; one at least must be there.

        There are always as many: the first of them may stand here several times, and is then computed several times,
        with the same result.
        """
        z = self.active_planes(self.t)
        n_done = self.t + 1 - PLANE_LAG * z
        ends = (n_done > 0) & (n_done < self.waves) & (n_done % self.config.epoch == 0)
        # Planes that end an epoch in one step are `per_epoch` apart.
        rank = torch.where(ends, ends.cumsum(0) - 1, self.n_ending)
        which = torch.argmax(ends.long()).expand(self.n_ending + 1).clone()
        which = which.scatter_(0, rank, torch.arange(self.n_active, device=self.device))[:-1]
        return z[which], n_done[which] // self.config.epoch

    def end_epochs(self) -> None:
        """Fit the experts of those planes whose epoch ends with this step, and open their next tables."""
        z, then = self.ending_planes()
        gram, moment = self.gram[:, z], self.moment[:, z]
        found = solve(gram.flatten(0, 2), moment.flatten(0, 2))
        self.coefficients[:, z] = found.view(moment.shape)
        for e in self.forgets:
            gram[:, :, e] -= torch.floor(gram[:, :, e] * 2.0**-experts.FORGET_SHIFT)
            moment[:, :, e] -= torch.floor(moment[:, :, e] * 2.0**-experts.FORGET_SHIFT)
        self.gram[:, z], self.moment[:, z] = gram, moment

        before, has_before = (z - 1).clamp(min=0), z > 0
        count = self.own_count[:, z] + context.PRIOR_COUNT
        magnitude = torch.where(has_before, self.magnitude[:, before, then], FIRST_MAGNITUDE)
        total = 16 * self.own_magnitude[:, z] + context.PRIOR_COUNT * magnitude
        self.magnitude[:, z, then] = floor_divide(total, count)
        error = torch.where(has_before[:, None], self.error[:, before, then], FIRST_MAGNITUDE)
        total = 16 * self.own_error[:, z] + context.PRIOR_COUNT * error
        self.error[:, z, then] = floor_divide(total, count[..., None])
        ratio = self.ratio[:, before, then] * context.KEEP_RATIO >> 8
        ratio = self.own_ratio[:, z] + torch.where(has_before[:, None], ratio, FIRST_RATIO * FIRST_COUNT)
        n = self.ratio_count[:, before, then] * context.KEEP_RATIO >> 8
        n = self.own_ratio_count[:, z] + torch.where(has_before[:, None], n, FIRST_COUNT)
        self.ratio[:, z, then] = torch.where(n < 1, FIRST_RATIO, ratio)
        self.ratio_count[:, z, then] = n.clamp(min=1)
        if self.config.repeats:
            has_before = has_before[:, None]
            tries = self.own_tries[:, z] + (self.tries[:, before, then] * repeats.KEEP >> 8) * has_before
            hits = self.own_hits[:, z] + (self.hits[:, before, then] * repeats.KEEP >> 8) * has_before
            begins = ~has_before | (tries < 1)
            self.hits[:, z, then] = hits + begins * self.tables.first_hits
            self.tries[:, z, then] = tries + begins * repeats.FIRST_TRIES

    def look(self) -> torch.Tensor:
        """All that is known before the samples of a step: sets what `learn` needs, returns `run_network`'s sums."""
        self.place()
        read = self.gather()
        self.predict(read)
        self.find_repeats(read)
        return self.run_network(self.describe(read))

    def walk(self, step: Callable[[], None], end_epochs: Callable[[], None]) -> None:
        """Go through all steps; nothing is asked of the device in between."""
        for t in range(self.n_steps):
            self.begin(t)
            self.run("step", step)
            if self.ends_at[t]:
                self.run("end", end_epochs)

    def values(self) -> torch.Tensor:
        """All samples as the pictures hold them, int32 (n, P, H, W)."""
        i, j = (torch.arange(n, device=self.device) for n in (self.n_rows, self.n_columns))
        cell = (2 * i[:, None] + j + WAVE_MARGIN) * self.wave_apart + i[:, None] + ROW_MARGIN
        pictures = self.buffer[:, : self.picture_apart].view(self.n_tiles, self.n_planes, self.plane_apart)
        return pictures[:, :, cell.reshape(-1)].view(self.n_tiles, self.n_planes, self.n_rows, self.n_columns)

    def filled(self) -> torch.Tensor:
        """Model values of pixels that are not coded."""
        value = (self.base + 32) >> 6
        return torch.minimum(torch.maximum(value, self.low[:, self.z, None]), self.high[:, self.z, None])


def _record(work: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
    """A graph of what the work launches, or None where that cannot be recorded; nothing is computed yet."""
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        warnings.warn(f"lhic-ax: steps run without a CUDA graph ({error})", RuntimeWarning, stacklevel=2)
        return None
    return graph


def causal_sum(values: torch.Tensor) -> torch.Tensor:
    """Weighted magnitudes of the neighbours `OWN`, the first axis."""
    return sum(weight * value.abs() for weight, value in zip(CAUSAL_WEIGHTS, values, strict=True))


def coded_width(freqs: torch.Tensor) -> torch.Tensor:
    """Probability with which samples were coded, from the freqs (..., 2) of `Batch.intervals`: `symbols.widths_of`."""
    upper, lower = freqs.unbind(-1)
    return torch.where(upper > 0, upper * lower >> PRECISION, lower).clamp(min=1)


def join_levels(jobs: Sequence, n_planes: int) -> Levels:
    """Levels of all planes of all tiles, tile after tile; idle planes have two levels around 0."""
    first, n_levels, starts, tables = [], [], [], []
    for job in jobs:
        used = slice(0, job.n_planes)
        idle = np.zeros(n_planes - job.n_planes, np.int64)
        offset = sum(map(len, tables))
        start = job.levels.table_start[used]
        first += [job.levels.first[used], idle]
        n_levels += [job.levels.n_levels[used], idle + 2]
        starts += [np.where(start < 0, -1, start + offset), idle - 1]
        tables.append(job.levels.table)
    return Levels(*(np.concatenate(parts).astype(np.int64) for parts in (first, n_levels, starts, tables)))


# --- encoding and decoding --------------------------------------------------------------------------------------------


def run_jobs(model, jobs: Sequence, settings: StreamParameters, device: torch.device) -> None:
    """Encode or decode the jobs (all of one kind) of `coding`, those of one shape together.

    Raises
    ------
    TruncatedStreamError
        The words of a part run out.
    """
    by_shape: dict[tuple[int, int], list] = {}
    for job in jobs:
        if job.n_planes:
            by_shape.setdefault(job.shape, []).append(job)
    for some in by_shape.values():
        run = encode_jobs if hasattr(some[0], "level_of") else decode_jobs
        n_at_once = tiles_at_once(model, some, device)
        for first in range(0, len(some), n_at_once):
            run(model, some[first : first + n_at_once], settings.lower_bits, settings.group_planes, device)


def tiles_at_once(model, jobs: Sequence, device: torch.device) -> int:
    """How many tiles fit the free memory of the device; without a GPU all of them."""
    if device.type != "cuda":
        return len(jobs)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    each = tile_bytes(model.settings, max(job.n_planes for job in jobs), *jobs[0].shape)
    return max(1, int(MEMORY_SHARE * free) // each)


def tile_bytes(config: AxConfig, n_planes: int, n_rows: int, n_columns: int) -> int:
    """At most so much memory does a tile need on the device, `Batch` and coder together."""
    waves = n_waves(n_rows, n_columns)
    sizes = [len(expert.regressors) for expert in config.experts()]
    n, r = len(sizes), max(sizes)
    _, n_kept, wave_apart = skewed_shape(1, n_rows, n_columns)
    n_epochs = -(-waves // config.epoch) + 1
    has_runs = config.repeats > 0
    of_plane = 4 * (ERROR + n + has_runs) * n_kept * wave_apart  # pictures
    of_plane += 8 * n * r * (r + 3)  # sums and coefficients
    of_plane += 8 * (n_epochs + 1) * (1 + n + 2 * N_LEVELS + 2 * N_RUN_LEVELS * has_runs) + 64  # tables
    of_plane += CODER_BYTES * n_rows * n_columns
    n_active, n_most = min(n_planes, -(-waves // PLANE_LAG)), min(n_rows, (n_columns + 1) // 2)
    # Twice, for what a step leaves behind while the next one runs, and for the sizes in which memory is handed out.
    of_step = 2 * STEP_BYTES * (n * r + sum(sizes) + config.width + 3 * config.components + STEP_TENSORS)
    of_solve = 8 * 6 * n * r * (r + 1) * n_active // 2
    return n_planes * of_plane + n_active * n_most * of_step + of_solve + (8 * waves + 16) * n_most


@torch.no_grad()
def encode_jobs(model, jobs: Sequence, lower_bits: int, group_planes: int, device: torch.device) -> None:
    """Run encoding jobs of one shape; fills their parts, or the intervals of their codings for a coder on the host."""
    batch = Batch(model, jobs, device)
    values = torch.zeros((len(jobs), batch.n_planes, batch.n_rows * batch.n_columns), dtype=torch.int32, device=device)
    for own, job in zip(values, jobs, strict=True):
        own[: job.n_planes] = torch.from_numpy(job.values.reshape(job.n_planes, -1))
    levels = batch.levels_of(values).flatten(1)
    values = values.flatten(1)
    # Intervals by place; the order of the coding is found at the end, for all steps at once.
    found = torch.zeros((len(jobs), values.shape[1] + 1, 2, 2), dtype=torch.int32, device=device)

    def step_by_kernels() -> None:
        kernels.look()
        kernels.intervals(values, levels, lower_bits, found)
        kernels.learn()

    def step() -> None:
        sums = batch.look()
        place = batch.z[:, None] * (batch.n_rows * batch.n_columns) + batch.pixel
        known, level = (a[:, place.reshape(-1)].view(len(jobs), *place.shape).long() for a in (values, levels))
        intervals = batch.intervals(level, sums, lower_bits) * batch.is_coded[..., None, None]
        place = torch.where(batch.there, place, values.shape[1])
        found[:, place.reshape(-1)] = intervals.int().flatten(1, 2)
        batch.learn(torch.where(batch.is_coded, known, batch.filled()), coded_width(intervals[..., 1]))

    kernels = device_step.of(batch)
    if kernels:
        batch.walk(step_by_kernels, kernels.end_epochs)
    else:
        batch.walk(step, batch.end_epochs)
    if device_coder.uses_triton(device) and not any(job.wants_intervals for job in jobs):
        coder = device_coder.StreamEncoder(batch, jobs, lower_bits, group_planes, jobs[0].settings.n_lanes)
        for job, parts in zip(jobs, coder.parts(found), strict=True):
            job.parts = parts
        return
    coded = found[:, :-1].reshape(len(jobs), batch.n_planes, -1, 2, 2).cpu().numpy()
    for job, own in zip(jobs, coded, strict=True):
        job.codings.clear()
        for first in range(0, job.n_planes, group_planes):
            end = min(first + group_planes, job.n_planes)
            order = coding_order(end - first, batch.n_rows, batch.n_columns)
            starts, freqs = own[first:end].reshape(-1, 2, 2)[order].reshape(-1, 2).T
            coding, present = job.coding(first, end), freqs > 0
            n_symbols = int(present.sum())
            coding.n_symbols[0] = n_symbols
            coding.starts[:n_symbols], coding.freqs[:n_symbols] = starts[present], freqs[present]


@functools.lru_cache(maxsize=8)
def coding_order(n_planes: int, n_rows: int, n_columns: int) -> np.ndarray:
    """Indices into (planes, rows, columns) of a group's samples in the order in which they are coded."""
    plane, i, j = (index.reshape(-1) for index in np.indices((n_planes, n_rows, n_columns)))
    return np.lexsort((i, plane, 2 * i + j + PLANE_LAG * plane))


@torch.no_grad()
def decode_jobs(model, jobs: Sequence, lower_bits: int, group_planes: int, device: torch.device) -> None:
    """Run decoding jobs of one shape; fills their values and leaves their decoders where they ended.

    Raises
    ------
    TruncatedStreamError
        The words of a part run out.
    """
    batch = Batch(model, jobs, device)
    coder = device_coder.StreamDecoder(batch, jobs, lower_bits, group_planes)

    def step_by_kernels() -> None:
        coder.step(kernels.look())
        kernels.learn()

    def step() -> None:
        decoded = coder.step(batch.components(batch.look()))
        batch.learn(torch.where(batch.is_coded, decoded, batch.filled()), coder.widths)

    kernels = device_step.of(batch)
    if kernels:
        coder.decoded, coder.widths = kernels.given, kernels.widths
        batch.walk(step_by_kernels, kernels.end_epochs)
    else:
        batch.walk(step, batch.end_epochs)
    coder.finish()
    for job, own in zip(jobs, on_host(batch), strict=True):
        job.values = own[: job.n_planes]


def on_host(batch: Batch) -> np.ndarray:
    """All samples (n, P, H, W): int16, where they are all in its range, else int32."""
    values, limits = batch.values(), torch.iinfo(torch.int16)
    if bool(((batch.low >= limits.min) & (batch.high <= limits.max)).all()):
        values = values.to(torch.int16)
    # Memory that a GPU can write to by itself.
    found = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
    return found.copy_(values).numpy()
