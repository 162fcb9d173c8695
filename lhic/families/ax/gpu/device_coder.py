"""The entropy coder of lhic-ax where the torch engine runs: streams stay on the device until all of a batch is coded.

Decides how streams are laid out in tensors, and whether kernels of `triton_kernels` work on them or plain torch; the
integers are those of `symbols` and `rans_kernels` either way (docs/format_lhic_ax.md, section 7; docs/format_rans.md).
Nothing is asked of the device between two steps: a stream whose words run out notes where and stops, and `finish`
raises.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from lhic.coder.rans import LOWER_BOUND, WORD_BITS
from lhic.coder.rans_kernels import N_SYMBOLS, N_WORDS
from lhic.families.ax.cpu.skew import PLANE_LAG
from lhic.families.ax.cpu.symbols import PRECISION, TOTAL

if TYPE_CHECKING:
    from lhic.families.ax.gpu.torch_engine import Batch

NEVER = 1 << 62  # the symbol at which a stream's words ran out, while they have not
# Levels that one pass of a search compares: many shorten a stream's chain of passes, few do less work in total.
LOG_WIDTH_FEW, LOG_WIDTH_MANY = 4, 2
MANY_STREAMS = 512  # several for each multiprocessor of a large GPU


def uses_triton(device: torch.device) -> bool:
    """Whether kernels are compiled for this device; triton calls a C compiler for what launches them."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return False
    return "CC" in os.environ or any(map(shutil.which, ("clang", "gcc")))


class Streams:
    """Which group of which tile each stream codes: (tile, first plane, plane after the last)."""

    def __init__(self, batch: Batch, jobs: Sequence, lower_bits: int, group_planes: int, n_lanes: int):
        self.batch, self.lower_bits, self.group_planes, self.n_lanes = batch, lower_bits, group_planes, n_lanes
        self.of_job = [-(-job.n_planes // group_planes) for job in jobs]
        ends = [
            (k, first, min(first + group_planes, job.n_planes))
            for k, job in enumerate(jobs)
            for first in range(0, job.n_planes, group_planes)
        ]
        self.n_streams = len(ends)
        self.ends = batch.tensor(np.array(ends, np.int64).reshape(-1, 3))
        self.kernels = uses_triton(batch.device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Integers that every kernel is told."""
        batch = self.batch
        return batch.n_planes, batch.n_active, batch.n_most, batch.waves, self.n_lanes


class StreamDecoder(Streams):
    """Decodes what a step holds of all streams at once.

    states : int64 (streams, lanes);  cursors : int64 (streams, 2), as of `rans_kernels.RansDecoder`
    words : int32, of all streams, their bits those of uint32;  word_starts : int64 (streams + 1)
    widths : int64 (n, Z, q), of the samples of a step, see `symbols.widths_of`
    failed : int64 (streams,), number of the symbol whose word was not there, or `NEVER`
    """

    def __init__(self, batch: Batch, jobs: Sequence, lower_bits: int, group_planes: int, log_width: int | None = None):
        self.decoders = [decoder for job in jobs for decoder in job.decoders]
        n_lanes = self.decoders[0].n_lanes
        super().__init__(batch, jobs, lower_bits, group_planes, n_lanes)
        assert self.n_streams == len(self.decoders)
        words = np.concatenate([decoder.words for decoder in self.decoders] + [np.zeros(1, np.uint32)])
        self.words = batch.tensor(words.view(np.int32))
        self.word_starts = batch.tensor(np.cumsum([0] + [decoder.words.size for decoder in self.decoders]))
        self.states = batch.tensor(np.stack([decoder.states for decoder in self.decoders]))
        self.cursors = torch.zeros((self.n_streams, 2), dtype=torch.int64, device=batch.device)
        self.failed = torch.full((self.n_streams,), NEVER, dtype=torch.int64, device=batch.device)
        shape = batch.n_tiles, batch.n_active, batch.n_most
        self.decoded = torch.zeros(shape, dtype=torch.int64, device=batch.device)
        self.widths = torch.ones(shape, dtype=torch.int64, device=batch.device)
        if log_width is None:
            log_width = LOG_WIDTH_FEW if self.n_streams < MANY_STREAMS else LOG_WIDTH_MANY
        while log_width > 1 and n_lanes << log_width > 1024:
            log_width -= 1
        self.log_width = log_width
        n_cells = -(-int(batch.level_tables.n_levels.max()) >> lower_bits) or 1
        self.upper_rounds = -(-(n_cells - 1).bit_length() // log_width)
        self.lower_rounds = -(-lower_bits // log_width)

    def step(self, components: torch.Tensor) -> torch.Tensor:
        """Model values of the step's samples, int64 (n, Z, q), anything where none is coded; sets their `widths`.

        components : int32 (n, Z, q, 4, K), see `Batch.components`
        """
        if self.kernels:
            self._launch(components)
        else:
            decode_step(self, components)
        return self.decoded

    def _launch(self, components: torch.Tensor) -> None:
        from lhic.families.ax.gpu import triton_kernels

        batch = self.batch
        lanes, mixtures = (max(2, 1 << (n - 1).bit_length()) for n in (self.n_lanes, components.shape[-1]))
        triton_kernels.decode_step[(self.n_streams,)](
            batch.t, components, self.decoded, self.widths, batch.counts, batch.places,
            batch.n_levels, batch.first, batch.table_start, batch.level_table, batch.tables.sigmoid32,
            self.ends, self.states, self.words, self.word_starts, self.cursors, self.failed,
            *self.shape,
            LANES=lanes, WIDTH=1 << self.log_width, LOG_WIDTH=self.log_width,
            K=components.shape[-1], MIXTURES=mixtures,
            LOWER_BITS=self.lower_bits, UPPER_ROUNDS=self.upper_rounds, LOWER_ROUNDS=self.lower_rounds,
            num_warps=n_warps(lanes * mixtures << self.log_width),
        )  # fmt: skip

    def finish(self) -> None:
        """Leave the decoders where the streams ended.

        Raises
        ------
        TruncatedStreamError
            The words of a stream ran out.
        """
        states, cursors, failed = (a.cpu().numpy() for a in (self.states, self.cursors, self.failed))
        for number, decoder in enumerate(self.decoders):
            decoder.states[:], decoder.cursor[:] = states[number], cursors[number]
            if failed[number] < NEVER:
                decoder.cursor[N_SYMBOLS] = failed[number]
                raise decoder.words_ran_out()


def n_warps(n_elements: int) -> int:
    """Warps of a program whose vectors have so many elements: eight for each thread."""
    return min(max(n_elements // 256, 1), 16)


def decode_step(coder: StreamDecoder, components: torch.Tensor) -> None:
    """`triton_kernels.decode_step` in plain torch: all streams of a step, round by round."""
    batch, n_lanes = coder.batch, coder.n_lanes
    tile, first_plane, end_plane = coder.ends.T
    lane = torch.arange(n_lanes, device=batch.device)
    first_active, t = batch.z[0], batch.t
    fits = torch.arange(1 << coder.log_width, device=batch.device)
    for k in range(coder.group_planes):
        z = torch.minimum(first_plane + k, end_plane - 1)
        wave = t - PLANE_LAG * z
        there = (first_plane + k < end_plane) & (wave >= 0) & (wave < batch.waves) & (coder.failed == NEVER)
        wave = wave.clamp(0, batch.waves - 1)
        n = batch.n_levels[tile, z][:, None]
        levels_of = tuple(a[tile, z][:, None, None] for a in (batch.first, batch.table_start, batch.n_levels))
        parts = 1 + (n > 1 << coder.lower_bits).long()
        begin = coder.cursors[:, N_SYMBOLS, None].clone()
        end = begin + parts * (batch.counts[tile, wave] * there)[:, None]
        slot_of_plane = (z - first_active).clamp(0, batch.n_active - 1)[:, None]
        base = begin // n_lanes * n_lanes
        last = [torch.zeros_like(begin) for _ in range(3)]
        while bool((base < end).any()):
            i = base + lane
            active = (i >= begin) & (i < end)
            number = (i - begin).clamp(min=0)
            upper = active & (parts == 2) & (number % 2 == 0)
            rank = (number // parts).clamp(max=batch.n_most - 1)
            q = batch.places[tile, wave].long().gather(1, rank)
            own = components[tile[:, None], slot_of_plane, q]  # (streams, lanes, 4, K)
            state = coder.states
            slot = state & (TOTAL - 1)

            def search(low, low_value, high_value, target, rounds, unit, own=own, levels_of=levels_of):
                for back in reversed(range(rounds)):
                    stride = unit << (coder.log_width * back)
                    level = low[..., None] + fits * stride
                    found = batch.cumulative(level, *levels_of, own)
                    below = found <= target[..., None]
                    low = low + (below.sum(-1) - 1) * stride
                    low_value = torch.where(below, found, 0).amax(-1)
                    high_value = torch.minimum(high_value, torch.where(below, TOTAL, found).amin(-1))
                return low, low_value, high_value

            zero, all_of_it = torch.zeros_like(slot), torch.full_like(slot, TOTAL)
            found = search(zero, zero, all_of_it, slot, coder.upper_rounds, 1 << coder.lower_bits)
            _, upper_low, upper_high = found
            # A lower part has its cell from the lane before, the first lane's from the round before.
            cells = [torch.cat([before, a[:, :-1]], 1) for before, a in zip(last, found, strict=True)]
            last = [a[:, -1:] for a in found]
            lower = active & ~upper
            has_cell = lower & (parts == 2)
            cell, cell_low = (torch.where(has_cell, a, 0) for a in cells[:2])
            cell_high = torch.where(has_cell, cells[2], TOTAL)
            width = cell_high - cell_low
            target = cell_low + (((slot + 1) * width - 1) >> PRECISION)
            level, low, high = search(cell, cell_low, cell_high, target, coder.lower_rounds, 1)
            start = ((low - cell_low) << PRECISION) // width
            stop = ((high - cell_low) << PRECISION) // width
            value = batch.model_value(level, *(a[..., 0] for a in levels_of[:2]))
            at = (tile[:, None], slot_of_plane, q)
            at = tuple(a.expand_as(lower)[lower] for a in at)
            coder.decoded[at] = value[lower]
            coder.widths[at] = (width * (stop - start) >> PRECISION).clamp(min=1)[lower]

            start, stop = torch.where(upper, upper_low, start), torch.where(upper, upper_high, stop)
            stepped = (stop - start) * (state >> PRECISION) + slot - start
            needs = active & (stepped < LOWER_BOUND)
            at = coder.cursors[:, N_WORDS, None] + needs.long().cumsum(1) - needs.long()
            size = (coder.word_starts[1:] - coder.word_starts[:-1])[:, None]
            has = needs & (at < size)
            word = coder.words[torch.where(has, at + coder.word_starts[:-1, None], -1)].long() & ((1 << WORD_BITS) - 1)
            stepped = torch.where(needs, (stepped << WORD_BITS) | (word * has), stepped)
            coder.states = torch.where(active, stepped, state)
            coder.cursors[:, N_WORDS] = torch.minimum(coder.cursors[:, N_WORDS] + needs.sum(1), size[:, 0])
            missing = torch.where(needs & ~has, i, NEVER).amin(1)
            coder.failed = torch.minimum(coder.failed, missing)
            base = base + n_lanes
        coder.cursors[:, N_SYMBOLS] = end[:, 0]


class StreamEncoder(Streams):
    """Codes intervals that are on the device; its twin on the host is `rans_kernels.RansEncoder`."""

    def parts(self, intervals: torch.Tensor) -> list[list[bytes]]:
        """The parts of each job's samples section.

        intervals : int32 (n, P * H * W + 1, 2, 2), start and freq of the upper and of the lower part, by place
        """
        batch = self.batch
        tile, first, end = self.ends.cpu().T
        twice = torch.cat([torch.zeros(batch.n_tiles, 1, dtype=torch.int64), self._n_parts().cumsum(1)], 1)
        n_symbols = batch.counts.sum(1).cpu()[tile] * (twice[tile, end] - twice[tile, first])
        # A symbol adds 24 bits to a state and, as that is at least 2^7 times freq, 0.02 by rounding; 32 leave at once.
        room = n_symbols * (PRECISION + 1) // WORD_BITS + 2 * self.n_lanes
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), room.cumsum(0)])
        words = torch.empty(int(starts[-1]), dtype=torch.int32, device=batch.device)
        states = torch.empty((self.n_streams, self.n_lanes), dtype=torch.int64, device=batch.device)
        n_free = torch.empty(self.n_streams, dtype=torch.int64, device=batch.device)
        self._launch(intervals, n_symbols.to(batch.device), states, words, starts.to(batch.device), n_free)
        used = [words[start + free : end] for free, (start, end) in zip(n_free.tolist(), pairwise(starts.tolist()))]
        states, words = states.cpu().numpy(), torch.cat(used).cpu().numpy()
        ends = np.cumsum([0, *map(len, used)])
        found = [
            state.astype("<u8").tobytes() + words[start:end].astype("<i4").tobytes()
            for state, (start, end) in zip(states, pairwise(ends), strict=True)
        ]
        of_job = np.cumsum([0, *self.of_job])
        return [found[start:end] for start, end in pairwise(of_job)]

    def _n_parts(self) -> torch.Tensor:
        return 1 + (self.batch.n_levels.cpu() > 1 << self.lower_bits).long()

    def _launch(self, intervals, n_symbols, states, words, word_starts, n_free) -> None:
        from lhic.families.ax.gpu import triton_kernels

        batch = self.batch
        lanes = max(2, 1 << (self.n_lanes - 1).bit_length())
        triton_kernels.encode_stream[(self.n_streams,)](
            intervals, batch.counts, batch.places, batch.n_levels, self.ends, n_symbols, states, words, word_starts,
            n_free, batch.n_planes, batch.n_rows, batch.n_columns, batch.n_most, batch.waves, self.n_lanes,
            LANES=lanes, LOWER_BITS=self.lower_bits, num_warps=n_warps(lanes),
        )  # fmt: skip
