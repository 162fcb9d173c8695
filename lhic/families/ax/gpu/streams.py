"""Coded streams on a device: how those of a batch lie in tensors, from the first step to their bytes.

Nothing is asked of the device between two steps: a stream whose words run out notes where and stops, and `finish`
raises (docs/format_rans.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from lhic.coder.rans import WORD_BITS
from lhic.coder.rans_kernels import N_SYMBOLS
from lhic.families.ax.gpu import coder
from lhic.families.ax.gpu.batch import Batch
from lhic.families.ax.gpu.step import Step, power_of_two
from lhic.families.ax.spec import PRECISION

NEVER = coder.NEVER.value
# Levels that one pass of a search compares: many shorten a stream's chain of passes, few do less work in total.
LOG_WIDTH_FEW, LOG_WIDTH_MANY = 4, 2
MANY_STREAMS = 512  # several for each multiprocessor of a large GPU


class Streams:
    """Which group of which tile each stream codes: (tile, first plane, plane after the last)."""

    def __init__(self, batch: Batch, jobs: Sequence, group_planes: int, n_lanes: int):
        self.batch, self.n_lanes = batch, n_lanes
        self.of_job = [-(-job.n_planes // group_planes) for job in jobs]
        ends = [
            (k, first, min(first + group_planes, job.n_planes))
            for k, job in enumerate(jobs)
            for first in range(0, job.n_planes, group_planes)
        ]
        self.n_streams = len(ends)
        self.ends = batch.tensor(np.array(ends, np.int64).reshape(-1, 3))
        self.lanes = power_of_two(n_lanes, 2)


class StreamDecoder(Streams):
    """Decodes what a step holds of all streams at once.

    states : int64 (streams, lanes);  cursors : int64 (streams, 2), as of `rans_kernels.RansDecoder`
    words : int32, of all streams, their bits those of uint32;  word_starts : int64 (streams + 1)
    failed : int64 (streams,), number of the symbol whose word was not there, or `NEVER`
    """

    def __init__(self, batch: Batch, jobs: Sequence, group_planes: int):
        self.decoders = [decoder for job in jobs for decoder in job.decoders]
        n_lanes = self.decoders[0].n_lanes
        super().__init__(batch, jobs, group_planes, n_lanes)
        assert self.n_streams == len(self.decoders)
        words = np.concatenate([decoder.words for decoder in self.decoders] + [np.zeros(1, np.uint32)])
        self.words = batch.tensor(words.view(np.int32))
        self.word_starts = batch.tensor(np.cumsum([0] + [decoder.words.size for decoder in self.decoders]))
        self.states = batch.tensor(np.stack([decoder.states for decoder in self.decoders]))
        self.cursors = torch.zeros((self.n_streams, 2), dtype=torch.int64, device=batch.device)
        self.failed = torch.full((self.n_streams,), NEVER, dtype=torch.int64, device=batch.device)
        log_width = LOG_WIDTH_FEW if self.n_streams < MANY_STREAMS else LOG_WIDTH_MANY
        while log_width > 1 and n_lanes << log_width > 1024:
            log_width -= 1
        self.log_width = log_width
        self.rounds = -(-(int(batch.levels.n_levels.max()) - 1).bit_length() // log_width)

    def decode(self, step: Step) -> None:
        """Find what is `given` in a step, under its `components`, and its `widths`."""
        batch, k = self.batch, step.n_components
        mixtures = power_of_two(k, 2)
        coder.decode_step[(self.n_streams,)](
            batch.t, step.components, step.given, step.widths, batch.counts, batch.places,
            batch.n_levels, batch.first, batch.table_start, batch.level_table, batch.sigmoid_table,
            self.ends, self.states, self.words, self.word_starts, self.cursors, self.failed,
            batch.n_planes, batch.n_active, batch.n_most, batch.waves, self.n_lanes,
            LANES=self.lanes, WIDTH=1 << self.log_width, LOG_WIDTH=self.log_width, K=k, MIXTURES=mixtures,
            ROUNDS=self.rounds, num_warps=n_warps(self.lanes * mixtures << self.log_width),
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


class StreamEncoder(Streams):
    """Codes intervals that are on the device; its twin on the host is `rans_kernels.RansEncoder`."""

    def parts(self, intervals: torch.Tensor) -> list[list[bytes]]:
        """The parts of each job's samples section.

        intervals : int32 (n, P * H * W + 1, 2), start and freq, by place
        """
        batch = self.batch
        tile, first, end = self.ends.cpu().T
        n_symbols = batch.counts.sum(1).cpu()[tile] * (end - first)
        # A symbol adds 24 bits to a state and, as that is at least 2^7 times freq, 0.02 by rounding; 32 leave at once.
        room = n_symbols * (PRECISION + 1) // WORD_BITS + 2 * self.n_lanes
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), room.cumsum(0)])
        words = torch.empty(int(starts[-1]), dtype=torch.int32, device=batch.device)
        states = torch.empty((self.n_streams, self.n_lanes), dtype=torch.int64, device=batch.device)
        n_free = torch.empty(self.n_streams, dtype=torch.int64, device=batch.device)
        coder.encode_stream[(self.n_streams,)](
            intervals, batch.counts, batch.places, self.ends, n_symbols.to(batch.device), states, words,
            starts.to(batch.device), n_free,
            batch.n_planes, batch.n_rows, batch.n_columns, batch.n_most, batch.waves, self.n_lanes,
            LANES=self.lanes, num_warps=n_warps(self.lanes),
        )  # fmt: skip
        used = [words[start + free : end] for free, (start, end) in zip(n_free.tolist(), pairwise(starts.tolist()))]
        states, words = states.cpu().numpy(), torch.cat(used).cpu().numpy()
        ends = np.cumsum([0, *map(len, used)])
        found = [
            state.astype("<u8").tobytes() + words[start:end].astype("<i4").tobytes()
            for state, (start, end) in zip(states, pairwise(ends), strict=True)
        ]
        of_job = np.cumsum([0, *self.of_job])
        return [found[start:end] for start, end in pairwise(of_job)]


def n_warps(n_elements: int) -> int:
    """Warps of a program whose vectors have so many elements: eight for each thread."""
    return min(max(n_elements // 256, 1), 16)
