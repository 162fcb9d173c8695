"""lhic-ax as a family of models: tiles of samples to sections of bytes, and back.

Joins the parts: the planes of a tile (`planes`), the walk through them (`cpu`, `gpu`) and the entropy coder.  Planes
are coded in groups, each a part of the samples section of its own, so that the first bands can be decoded alone.
Format: docs/format_lhic_ax.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from lhic.arguments import whole_number
from lhic.coder import RansDecoder, RansEncoder
from lhic.cube import Cube, n_bytes_of
from lhic.errors import CheckpointError, ConfigError, CorruptStreamError, UsageError
from lhic.families.ax import changes, gpu, schedule
from lhic.families.ax.config import LIMITS, AxConfig
from lhic.families.ax.cpu import walk, walk_alone
from lhic.families.ax.cpu.adapt import Learner, learner_bytes, learning_net, new_learner
from lhic.families.ax.cpu.state import Scratch, State, new_scratch, new_state, scratch_bytes, state_bytes
from lhic.families.ax.gpu.pipeline import pipelined
from lhic.families.ax.integer_net import IntegerNet, from_tensors
from lhic.families.ax.levels import levels_of
from lhic.families.ax.observe import draw, observe
from lhic.families.ax.parameters import (
    FAMILY,
    MAX_CHANGES_BYTES,
    MAX_TILE_PIXELS,
    StreamParameters,
    group_planes,
)
from lhic.families.ax.planes.bands import write_levels
from lhic.families.ax.planes.near_lossless import MAX_ERROR
from lhic.families.ax.planes.tile import Layout, check_nodata, join_tile, planes_of, read_side, split_tile, write_head
from lhic.families.ax.schedule import Group, run_groups
from lhic.families.ax.spec import PLANE_LAG, PRECISION, epoch_of
from lhic.families.family import Encoded, Model, Work
from lhic.io.threads import side_by_side
from lhic.stream.tiles import Section, TileGrid
from lhic.stream.varint import Reader, write_varint

MAX_LANES = 8
LANE_SAMPLES = 10_000  # samples of a group for each of its lanes, whose state takes 8 bytes
TUNING_SAMPLES = 150_000  # of one tile
HELD_OUT = 5  # one of so many says what tuning saves
SAMPLES_A_WEIGHT = 16  # of a cube, at least: a weight's change takes some 4 bits, a sample saves 0.3 at best
SAMPLES_AT_ONCE = 1 << 22  # of tiles in memory together
MOST_PREPARING = 2  # threads that describe tiles before they are coded: many short calls, so more wait for each other
SAMPLES_ON_DEVICE = 1 << 26  # a GPU wants many tiles at once; its own memory is `gpu.batch`'s
BATCHES_OF_DEVICE = 4  # in memory together, so that the host has something to do beside it
# Memory of a tile beside what the walk remembers:
COPIES = 3  # of each sample: the tile, what it decodes to, and on the way to values
VALUE_BYTES = 16  # a value and its level, and an interval
SIDEWAYS_BYTES = 24  # the same, values and levels also turned
CODER_BYTES = 36  # of a sample of a group that is being coded: its interval as int64 while it is checked, and so on
BAND_BYTES = 1000  # what is said of a band
PIXEL_BYTES = 48  # of the band that is being described


def load(name: str, config: dict, tensors: dict[str, np.ndarray], weights_hash: bytes, device: str = "cpu") -> AxModel:
    """A model from a weights file's contents.

    Raises
    ------
    CheckpointError
        Configuration or tensors are not those of this family, or could leave the integers that are exact.
    """
    try:
        settings = AxConfig.from_dict(config)
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error
    return AxModel(name, settings, from_tensors(settings, tensors, name), weights_hash, device)


class AxModel(Model):
    """See `lhic.families.family`."""

    family = FAMILY

    def __init__(self, name: str, settings: AxConfig, net, weights_hash: bytes, device: str):
        self.name, self.settings, self.weights_hash, self.device = name, settings, weights_hash, device
        self.config = settings.to_dict()
        self.net = net
        self._changed: tuple[bytes, IntegerNet] | None = None
        self.table = settings.expert_table()
        self.samples_at_once = SAMPLES_AT_ONCE if device == "cpu" else BATCHES_OF_DEVICE * SAMPLES_ON_DEVICE
        self.samples_on_device = SAMPLES_ON_DEVICE
        self.tile: tuple[int, int] | None = None

    def with_tiles(self, n_rows: int, n_columns: int) -> AxModel:
        """See `lhic.families.family.Model`."""
        other = copy(self)
        other.tile = n_rows, n_columns
        return other

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """The whole cube if it has few enough pixels, else tiles of about 128 x 128, as equal as possible."""
        if self.tile is not None:
            n_rows, n_columns = min(n_rows, self.tile[0]), min(n_columns, self.tile[1])
            if n_rows * n_columns > MAX_TILE_PIXELS:
                found = f"{n_rows} x {n_columns}"
                raise UsageError(f"tile_shape: expected at most {MAX_TILE_PIXELS} pixels, found {found}")
            return n_rows, n_columns
        if n_rows * n_columns <= MAX_TILE_PIXELS:
            return n_rows, n_columns
        rows = min(n_rows, 128)
        columns = min(n_columns, MAX_TILE_PIXELS // 2 // rows)
        rows = min(n_rows, MAX_TILE_PIXELS // 2 // columns)
        return -(-n_rows // -(-n_rows // rows)), -(-n_columns // -(-n_columns // columns))

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        """What an encoder keeps of a tile until it is coded; docs/memory.md compares it with what is measured."""
        n_bands, n_rows, n_columns = shape
        n_planes = n_bands * (2 if dtype.itemsize > 2 else 1)  # bands of many values are two planes
        planes = n_planes, min(n_rows, n_columns), max(n_rows, n_columns)
        needed = COPIES * n_bytes_of(shape, dtype) + BAND_BYTES * n_bands + PIXEL_BYTES * n_rows * n_columns
        needed += (SIDEWAYS_BYTES if n_rows > n_columns else VALUE_BYTES) * n_planes * n_rows * n_columns
        if self.device == "cpu":
            n_recent = schedule.recent_planes(group_planes(n_rows * n_columns), threads)
            needed += state_bytes(self.table, epoch_of(self.settings.epoch, n_rows, n_columns), planes, n_recent)
            needed += threads * scratch_bytes(self.settings, *planes[1:])
            group = group_planes(n_rows * n_columns)
            needed += CODER_BYTES * min(threads * group, n_planes) * n_rows * n_columns
            n_learners = min(schedule.groups_at_once(threads) + 1, -(-n_planes // group) - 1)  # none of the last
            needed += n_learners * learner_bytes(self.settings, group, *planes[1:])
        return needed

    def plan(
        self,
        cube: Cube,
        work: Work,
        *,
        max_error: int = 0,
        tuning_steps: int | None = None,
        **unknown,
    ) -> bytes:
        """Stream parameters.

        Options: ``max_error``, greatest absolute error; ``tuning_steps``, for which the network is fitted to the cube,
        default: the model's.
        """
        if unknown:
            raise UsageError(f"{self.name}: expected options max_error, tuning_steps; found {sorted(unknown)[0]!r}")
        steps = self.settings.tuning_steps if tuning_steps is None else tuning_steps
        steps = whole_number(steps, "tuning_steps", *LIMITS["tuning_steps"])
        max_error = whole_number(max_error, "max_error", 0, MAX_ERROR)
        tile = self.tile_shape(*cube.shape[1:])
        n_planes = group_planes(tile[0] * tile[1])
        n_samples = tile[0] * tile[1] * min(n_planes, cube.shape[0])
        n_lanes = 1 << min(max(n_samples // LANE_SAMPLES, 1).bit_length() - 1, MAX_LANES.bit_length() - 1)
        tuned = self._tuned(cube, steps, max_error, work) if steps else b""
        return StreamParameters(max_error, n_planes, n_lanes, tuned).to_bytes()

    def _tuned(self, cube: Cube, n_steps: int, max_error: int, work: Work) -> bytes:
        """Changes of the network's weights that save more bits than they take, for certain, or nothing.

        What they save is said by samples that were held out, the standard error of that taken off.
        """
        from lhic.families.ax import tune  # here, because its kernel is compiled for those only who want it

        tensors = self.net.tensors()
        if math.prod(cube.shape) < SAMPLES_A_WEIGHT * sum(tensor.size for tensor in tensors.values()):
            return b""
        tiles = TileGrid(*cube.shape[1:], *self.tile_shape(*cube.shape[1:]))
        window = tiles[len(tiles) // 2].window
        tile = np.ascontiguousarray(cube[window], cube.dtype.newbyteorder("="))
        seen = observe(tile, self.settings, TUNING_SAMPLES, max_error=max_error, n_threads=work.threads)
        is_held_out = draw(0, len(seen.error), HELD_OUT) == 0
        held_out, rest = seen.of(is_held_out), seen.of(~is_held_out)
        if not len(held_out.error) or not len(rest.error):
            return b""
        steps = changes.rounded(tensors, tune.tune(tensors, rest, n_steps, work.threads))
        try:
            better = changes.applied(tensors, steps)
        except CheckpointError:
            return b""
        coded = changes.write_changes(steps)
        saved = tune.bits_per_sample(tensors, held_out) - tune.bits_per_sample(better, held_out)
        n = len(saved)
        mean = math.fsum(saved) / n  # not in an order of numpy's choice
        error = math.sqrt(math.fsum((saved - mean) ** 2)) / n
        pays = (mean - error) * math.prod(cube.shape) * seen.share > 8 * len(coded)
        return coded if pays and len(coded) <= MAX_CHANGES_BYTES else b""

    def compile_kernels(self) -> None:
        """Those of histograms with gaps, too, and those of tuning if the model tunes by itself."""
        super().compile_kernels()
        tile = (np.arange(3 * 8 * 8) % 7 * 100).reshape(3, 8, 8).astype("uint16")
        _, side = split_tile(tile)
        read_side(side, tile.shape, tile.dtype)
        if self.settings.tuning_steps and self.device == "cpu":
            from lhic.families.ax import tune

            tile = (np.arange(3 * 8 * 8) * 7919 % 1000).reshape(3, 8, 8).astype("uint16")
            tensors, seen = self.net.tensors(), observe(tile, self.settings, 100)
            tune.bits_per_sample(tensors, seen)
            tune.tune(tensors, seen, 1)

    def net_of(self, settings: StreamParameters) -> IntegerNet:
        """The network that codes a stream.

        Raises
        ------
        CorruptStreamError
        """
        if not settings.changes:
            return self.net
        known = self._changed  # other threads may code other streams
        if known is None or known[0] != settings.changes:
            tensors = changes.changed(self.net.tensors(), settings.changes, self.settings)
            known = self._changed = settings.changes, from_tensors(self.settings, tensors, self.name)
        return known[1]

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        """See `lhic.families.family.Model`."""
        settings = StreamParameters.from_bytes(parameters)
        sizes = [tile.size for tile in tiles]

        def prepare(tile: np.ndarray) -> _EncodeJob:
            return _EncodeJob(self, tile, settings, work.threads, nodata, max(work.threads // len(tiles), 1))

        return self._code(tiles, sizes, prepare, _EncodeJob.encoded, settings, work)

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        """See `lhic.families.family.Model`."""
        settings = StreamParameters.from_bytes(parameters)
        sizes = [math.prod(shape) for shape in shapes]

        def prepare(tile: tuple[Sequence[bytes], tuple[int, int, int]]) -> _DecodeJob:
            own, shape = tile
            return _DecodeJob(self, read_tile(own, shape, dtype, settings), settings, work.threads)

        return self._code(list(zip(sections, shapes, strict=True)), sizes, prepare, _DecodeJob.tile, settings, work)

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes | Section]],
        parameters: bytes,
        n_bands: int,
        work: Work,
    ) -> list[np.ndarray]:
        """Decodes the groups that hold planes of the first bands."""
        settings = StreamParameters.from_bytes(parameters)
        tiles = []
        for shape, section in zip(shapes, sections, strict=True):
            coded = read_tile(section, shape, dtype, settings, n_bands)
            job = _DecodeJob(self, coded, settings, work.threads)
            job.n_samples = n_bands * shape[1] * shape[2]  # progress says nothing about bands that are left out
            self._run([job], settings, work)
            tiles.append(job.tile()[:n_bands])
        return tiles

    def bit_costs(self, cube: np.ndarray, **options) -> np.ndarray:
        """Where the bits go: what each sample costs, before the coder's own overhead of well below 0.1 %.

        cube : as for `lhic.encode`

        Returns
        -------
        float64 (1, S, H, W), bits: of a sample's one part.  Constant bands cost nothing
        """
        work = Work()
        settings = StreamParameters.from_bytes(self.plan(cube, work, **options))
        costs = np.zeros(cube.shape)
        _, n_rows, n_columns = cube.shape
        for tile in TileGrid(n_rows, n_columns, *self.tile_shape(n_rows, n_columns)):
            job = _EncodeJob(self, np.ascontiguousarray(cube[tile.window]), settings, work.threads)
            job.wants_intervals = True
            self._run([job], settings, work)
            np.add.at(costs[tile.window], job.layout.band, job.bit_costs())
        return costs[None]

    def _code(
        self, tiles: Sequence, sizes: Sequence[int], prepare: Callable, finish: Callable,
        settings: StreamParameters, work: Work,
    ) -> list:  # fmt: skip
        """Results of tiles of these many samples.  prepare : tile to job;  finish : job that has run to result."""

        def run(jobs: list[_Job]) -> None:
            self._run(jobs, settings, work)

        if self.device != "cpu":
            return pipelined(tiles, sizes, self.samples_on_device, prepare, run, finish)
        n_threads = min(work.threads, MOST_PREPARING)
        jobs = side_by_side(prepare, tiles, n_threads)
        run(jobs)
        return side_by_side(finish, jobs, n_threads)

    def _run(self, jobs: Sequence[_Job], settings: StreamParameters, work: Work) -> None:
        if self.device != "cpu" and not any(job.wants_intervals for job in jobs):
            self._run_on_device(jobs, settings, work)
            return

        def done(number: int, group: Group) -> None:
            work.progress(jobs[number].n_samples_of(group))

        run_groups([(job.shape, job.groups()) for job in jobs], work.threads, done)
        for job in jobs:
            if job.n_ticked < job.n_samples:  # constant bands
                work.progress(job.n_samples - job.n_ticked)

    def _run_on_device(self, jobs: Sequence[_Job], settings: StreamParameters, work: Work) -> None:
        gpu.run_jobs(self, jobs, settings, self.device)
        for job in jobs:
            work.progress(job.n_samples)


@dataclass(frozen=True)
class CodedTile:
    """A tile to decode: its layout, and the parts of its samples section that are wanted."""

    layout: Layout
    parts: list[bytes]


def read_tile(
    sections: Sequence,
    shape: tuple[int, int, int],
    dtype: np.dtype,
    settings: StreamParameters,
    n_bands: int | None = None,
) -> CodedTile:
    """Take a tile's sections apart; with `n_bands` only the parts that the first bands need.

    Raises
    ------
    CorruptStreamError
    """
    if shape[1] * shape[2] > MAX_TILE_PIXELS:
        raise CorruptStreamError(f"tile: expected at most {MAX_TILE_PIXELS} pixels, found {shape[1]} x {shape[2]}")
    side = bytes(sections[0])
    found = read_side(side, shape, dtype, settings.max_error)
    n_planes = len(found.band)
    n_groups = -(-n_planes // settings.group_planes)
    table = bytes(sections[1])
    reader = Reader(table, "groups section")
    lengths = [reader.varint(f"length of group {g}", 0, len(sections[2])) for g in range(n_groups)]
    if reader.n_left:
        raise CorruptStreamError(f"groups section: expected {n_groups} lengths, found {reader.n_left} bytes more")
    if sum(lengths) != len(sections[2]):
        raise CorruptStreamError(f"samples section: expected {sum(lengths)} bytes, found {len(sections[2])}")
    if n_bands is not None:
        n_planes = int(np.searchsorted(found.band, n_bands))
        n_groups = -(-n_planes // settings.group_planes)
    ends = np.cumsum([0, *lengths[:n_groups]])
    parts = [bytes(sections[2][start:end]) for start, end in pairwise(ends)]
    return CodedTile(found, parts)


class _Job:
    """A tile on its way through the walk.  Planes taller than wide are walked through transposed."""

    mode: int  # of the walk
    wants_intervals = False  # on the host, which then codes
    decoders: Sequence[RansDecoder] = ()  # of the groups

    def __init__(self, model: AxModel, tile: Layout, settings: StreamParameters, n_planes: int, n_threads: int):
        self.model, self.layout, self.settings = model, tile, settings
        _, n_rows, n_columns = tile.shape
        self.transposed = n_rows > n_columns
        self.shape = (n_columns, n_rows) if self.transposed else (n_rows, n_columns)
        self.n_planes, self.n_threads = n_planes, n_threads
        self.net = model.net_of(settings)
        self.n_samples = int(np.prod(tile.shape))
        self.n_ticked = 0
        self.levels = levels_of(tile)
        self.alone = walk_alone.constants_of(model.settings, self.net, tile.mask)
        self._state: State | None = None
        self._left = 0
        self._scratch: list[Scratch] = []
        self._learners: dict[int, Learner] = {}  # by first plane of their group

    def coding(self, first: int, end: int) -> walk.Coding:
        """What the walk codes planes first .. end - 1 from, or to."""
        raise NotImplementedError

    def oriented(self, planes: np.ndarray) -> np.ndarray:
        """Planes as the walk sees them, and back."""
        return np.ascontiguousarray(planes.swapaxes(-1, -2)) if self.transposed else planes

    def n_samples_of(self, group: Group) -> int:
        n_samples = (group.end - group.first) * self.shape[0] * self.shape[1]
        self.n_ticked += n_samples
        self._left -= 1
        if not self._left:
            self._state, self._scratch, self._learners = None, [], {}
        return n_samples

    def groups(self) -> list[Group]:
        size = self.settings.group_planes
        found = [
            Group(first, min(first + size, self.n_planes), self._runner(first, min(first + size, self.n_planes)))
            for first in range(0, self.n_planes, size)
        ]
        self._left = len(found)
        if found:
            ends = self.levels.ends()
            self._state = new_state(
                self.model.table,
                epoch_of(self.model.settings.epoch, *self.shape),
                (self.n_planes, *self.shape),
                ends[0][: self.n_planes],
                ends[1][: self.n_planes],
                self.oriented(self.layout.mask),
                schedule.recent_planes(size, self.n_threads),
            )
        return found

    def _runner(self, first: int, end: int):
        coding: walk.Coding | None = self.coding(first, end)
        model, net, size = self.model, self.net, self.settings.group_planes

        def run(first_step: int, end_step: int) -> None:
            nonlocal net, coding
            scratch = self._borrow()
            where = first, end, first_step, end_step, epoch_of(model.settings.epoch, *self.shape)
            what = self.levels, self._state, scratch, coding
            if self.alone is None:
                if first_step == 0:
                    before, is_last = self._learners.get(first - size), end == self.n_planes
                    self._learners[first] = new_learner(model.settings, net, size, self.shape, before, is_last)
                    net = learning_net(net, self._learners[first])
                whole = walk.walk_block(self.mode, *where, model.table, net, *what, self._learners[first])
            else:
                whole = walk_alone.walk_block(self.mode, *where, model.table, self.alone, *what)
            self._scratch.append(scratch)
            if end_step == schedule.n_steps(self.shape, end - first):
                self._learners.pop(first - size, None)  # nobody else reads it
            if not whole:
                raise self.decoders[first // self.settings.group_planes].words_ran_out()
            if end_step == schedule.n_steps(self.shape, end - first):
                self.has_walked(first // size)
                coding = None

        return run

    def has_walked(self, number: int) -> None:
        """Called by the thread that took the last step of a group."""

    def _borrow(self) -> Scratch:
        try:
            return self._scratch.pop()
        except IndexError:
            return new_scratch(self.model.settings, *self.shape)


class _EncodeJob(_Job):
    mode = walk.ENCODE

    def __init__(
        self,
        model: AxModel,
        tile: np.ndarray,
        settings: StreamParameters,
        n_threads: int,
        nodata: int | None = None,
        n_describing: int = 1,
    ):
        planes = planes_of(tile, settings.max_error, nodata, n_describing)
        self._head = write_head(planes)  # before the walk takes its memory
        super().__init__(model, planes, settings, len(planes.band), n_threads)
        self.decoded = join_tile(planes, planes.values) if settings.max_error else tile
        if nodata is not None:
            check_nodata(tile, self.decoded, nodata, settings.max_error)
        self.planes = planes
        self.values = np.ascontiguousarray(self.oriented(planes.values), np.int32)
        self.codings: dict[int, walk.Coding] = {}  # of groups that are not coded yet, by number
        self.parts: dict[int, bytes] = {}  # of the samples section, by number

    @cached_property
    def side(self) -> bytes:
        """The side section."""
        return self._head + write_levels(self.layout.bands)

    @cached_property
    def level_of(self) -> np.ndarray:
        """Level of each value, int32 (P, h, w); a device finds them itself."""
        return np.ascontiguousarray(self.oriented(self.levels.of_values(self.planes.values)))

    def coding(self, first: int, end: int) -> walk.Coding:
        n_symbols = (end - first) * self.shape[0] * self.shape[1]
        starts, freqs = (np.empty(n_symbols, np.uint32) for _ in range(2))
        coding = walk.Coding(self.values, self.level_of, starts, freqs, np.zeros(1, np.int64))
        self.codings[first // self.settings.group_planes] = coding
        return coding

    def bit_costs(self) -> np.ndarray:
        """Bits of each value, float64 (P, h, w)."""
        costs = np.zeros(self.values.shape)
        coded = ~self.oriented(self.layout.mask)
        for number, coding in self.codings.items():
            first = number * self.settings.group_planes
            end = min(first + self.settings.group_planes, self.n_planes)
            bits = PRECISION - np.log2(coding.freqs[: coding.n_symbols[0]].astype(np.float64))
            costs[_coding_order(first, end, coded)] = bits
        return self.oriented(costs)

    def has_walked(self, number: int) -> None:
        """Code a group's intervals at once, beside the other groups' walks, and forget them."""
        if self.wants_intervals:
            return
        if number == 0:
            _ = self.side  # now, as the others walk
        coding = self.codings.pop(number)
        encoder = RansEncoder(self.settings.n_lanes, PRECISION)
        n_symbols = int(coding.n_symbols[0])
        encoder.push(coding.starts[:n_symbols], coding.freqs[:n_symbols])
        self.parts[number] = encoder.finish()

    def encoded(self) -> Encoded:
        parts = [self.parts[number] for number in range(len(self.parts))]
        sections = self.side, b"".join(write_varint(len(part)) for part in parts), b"".join(parts)
        return Encoded(sections, self.decoded)


class _DecodeJob(_Job):
    mode = walk.DECODE

    def __init__(self, model: AxModel, coded: CodedTile, settings: StreamParameters, n_threads: int):
        n_planes = min(len(coded.layout.band), len(coded.parts) * settings.group_planes)
        if coded.layout.mask.all():  # all is said: no walk through samples of which none is coded
            n_planes = 0
        super().__init__(model, coded.layout, settings, n_planes, n_threads)
        self.decoders = [RansDecoder(part, settings.n_lanes, PRECISION) for part in coded.parts]
        self.values = np.zeros((n_planes, *self.shape), np.int32)

    def coding(self, first: int, end: int) -> walk.Coding:
        decoder = self.decoders[first // self.settings.group_planes]
        return walk.Coding(self.values, states=decoder.states, words=decoder.words, cursor=decoder.cursor)

    def tile(self) -> np.ndarray:
        for decoder in self.decoders:
            decoder.finish()
        values = self.oriented(self.values.astype(np.int32, copy=False))
        missing = len(self.layout.band) - len(values)
        if missing:  # of a preview
            rest = np.broadcast_to(self.layout.first[-missing:, None, None], (missing, *values.shape[1:]))
            values = np.concatenate([values, rest])
        return join_tile(self.layout, values)


def _coding_order(first: int, end: int, coded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plane, row and column of a group's samples in the order in which they are coded.

    coded : bool (h, w)
    """
    rows, columns = np.nonzero(coded)
    planes = np.repeat(np.arange(first, end), len(rows))
    rows, columns = np.tile(rows, end - first), np.tile(columns, end - first)
    step = 2 * rows + columns + PLANE_LAG * (planes - first)
    order = np.lexsort((rows, planes, step))
    return planes[order], rows[order], columns[order]
