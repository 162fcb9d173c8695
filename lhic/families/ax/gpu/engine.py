"""Tiles to streams and back on a device, as many at once as its memory holds; `run_jobs` is what a model calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from lhic.families.ax.gpu.adapt import Adaptation
from lhic.families.ax.gpu.batch import Batch, tile_bytes
from lhic.families.ax.gpu.step import Step
from lhic.families.ax.gpu.streams import StreamDecoder, StreamEncoder
from lhic.families.ax.parameters import StreamParameters

MEMORY_SHARE = 0.8  # of what is free on a GPU may be filled


def run_jobs(model, jobs: Sequence, settings: StreamParameters, device: str) -> None:
    """See `lhic.families.ax.gpu.run_jobs`."""
    by_shape: dict[tuple[int, int], list] = {}
    for job in jobs:
        if job.n_planes:
            by_shape.setdefault(job.shape, []).append(job)
    for some in by_shape.values():
        run = encode_jobs if hasattr(some[0], "level_of") else decode_jobs
        n_at_once = tiles_at_once(model, some, torch.device(device))
        for first in range(0, len(some), n_at_once):
            run(model, some[first : first + n_at_once], settings, torch.device(device))


def tiles_at_once(model, jobs: Sequence, device: torch.device) -> int:
    """How many tiles fit the free memory of the device; without a GPU all of them."""
    if device.type != "cuda":
        return len(jobs)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    each = tile_bytes(model.settings, max(job.n_planes for job in jobs), *jobs[0].shape)
    return max(1, int(MEMORY_SHARE * free) // each)


@torch.no_grad()
def encode_jobs(model, jobs: Sequence, settings: StreamParameters, device: torch.device) -> None:
    """Run encoding jobs of one shape; fills their parts."""
    batch = Batch(model, jobs, device)
    values = torch.zeros((len(jobs), batch.n_planes, batch.n_rows * batch.n_columns), dtype=torch.int32, device=device)
    for own, job in zip(values, jobs, strict=True):
        own[: job.n_planes] = torch.from_numpy(job.values.reshape(job.n_planes, -1))
    levels = batch.levels_of(values).flatten(1)
    values = values.flatten(1)
    # Intervals by place; the order of the coding is found at the end, for all steps at once.
    found = torch.zeros((len(jobs), values.shape[1] + 1, 2), dtype=torch.int32, device=device)
    step, change = adapting_step(batch, jobs, settings)

    def code() -> None:
        step.look()
        step.intervals(values, levels, found)
        step.learn()

    batch.walk(code, step.end_epochs, change)
    coder = StreamEncoder(batch, jobs, settings.group_planes, settings.n_lanes)
    for job, parts in zip(jobs, coder.parts(found), strict=True):
        job.parts = dict(enumerate(parts))


@torch.no_grad()
def decode_jobs(model, jobs: Sequence, settings: StreamParameters, device: torch.device) -> None:
    """Run decoding jobs of one shape; fills their values and leaves their decoders where they ended.

    Raises
    ------
    TruncatedStreamError
        The words of a part run out.
    """
    batch = Batch(model, jobs, device)
    coder = StreamDecoder(batch, jobs, settings.group_planes)
    step, change = adapting_step(batch, jobs, settings)

    def decode() -> None:
        step.look()
        coder.decode(step)
        step.learn()

    batch.walk(decode, step.end_epochs, change)
    coder.finish()
    for job, own in zip(jobs, on_host(batch), strict=True):
        job.values = own[: job.n_planes]


def adapting_step(batch: Batch, jobs: Sequence, settings: StreamParameters) -> tuple[Step, Callable[[], None] | None]:
    """A batch's step, and what changes its weights, if they change."""
    if not batch.config.adaptation:
        return Step(batch), None
    adaptation = Adaptation(batch, jobs[0].net, settings.group_planes)
    return Step(batch, adaptation), lambda: adaptation.change(batch)


def on_host(batch: Batch) -> np.ndarray:
    """All samples, int16 (n, P, H, W)."""
    values = batch.values().to(torch.int16)
    # Memory that a GPU can write to by itself.
    found = torch.empty(values.shape, dtype=values.dtype, pin_memory=values.is_cuda)
    return found.copy_(values).numpy()
