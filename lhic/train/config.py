"""The training configuration: a YAML file, checked key by key before anything is trained.

Decides which settings there are, their defaults and their ranges.  The architecture's own keys (section
``model``) are passed on as they are; the family checks them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from lhic.data import check_kind
from lhic.settings import Config, Count, Natural, Positive, Share, checked


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("expected low <= high")
    return ends


Kind = Annotated[str, checked(check_kind)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]


class SourceConfig(Config):
    """Some cubes of a dataset (`lhic.data.open_dataset`)."""

    kind: Kind
    root: str | None = None  # environment variables are expanded; relative to the current folder
    split: str | None = None
    clip: bool = False
    only: tuple[str, ...] = ()  # names to take; empty takes all
    exclude: tuple[str, ...] = ()


Sources = Annotated[tuple[SourceConfig, ...], Field(min_length=1)]


class BatchConfig(Config):
    """What one step sees: tiles of the model's tile size with a run of consecutive bands."""

    tile_bands: Count = 64  # tiles x bands of a step; the number of tiles follows from the length of the run
    run_bands: Annotated[tuple[Count, ...], Field(min_length=1)] = (16, 32)  # lengths to draw from
    first_band: Share = 0.2  # share of the runs that begin with the cube's first band


class AugmentConfig(Config):
    """Shares of tiles that are changed, and the ranges (log-uniform) of the changes. See `lhic.train.sampler`."""

    dark: Share = 0.0  # share of tiles that get gain, noise and stripes
    clipped: Share = 0.0  # share of tiles whose negative samples become 0
    flip: bool = True
    gain: Range = (0.01, 1.0)
    noise: Range = (1.0, 150.0)  # standard deviation, in sample units


class OptimiserConfig(Config):
    """AdamW."""

    lr: Positive = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Natural = 0
    clip_norm: Positive = 1.0  # of each network's gradient
    # Of the averaged weights that are validated and shipped; 0 ships the last ones.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TrainConfig(Config):
    """A training run of LHIC-BP."""

    name: str
    family: Literal["lhic-bp"]
    model: dict
    train: Sources
    validation: Sources
    steps: Count
    start_from: str | None = None  # weights file to start from instead of `lhic.train.start`
    batch: BatchConfig = BatchConfig()
    augment: AugmentConfig = AugmentConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    validation_tiles: Count = 8  # tiles of all bands, spread over the validation cubes
    validate_every: Count = 500
    checkpoint_every: Count = 100
    freeze_attention: bool = False  # leave the attention blocks out: half the time of training and coding
    precision: Literal["float32", "bf16"] = "float32"  # bf16 concerns CUDA only
    threads: Natural = 0  # CPU threads of each of the two networks; 0 leaves the choice to torch
    workers: Count = 1  # threads that read and cut tiles ahead
    cache_mib: Natural = 2048  # cubes kept in memory
    seed: Natural = 1
