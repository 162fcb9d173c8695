"""The training configuration: a YAML file, checked key by key before anything is trained.

Decides which settings there are, their defaults and their ranges.  The architecture's own keys (section
``model``) are passed on as they are; the family checks them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
import yaml
from pydantic import AfterValidator, Field

from lhic.data import kinds
from lhic.errors import ConfigError, message_of

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


def _a_kind(name: str) -> str:
    if name not in kinds():
        raise ValueError(f"expected one of {', '.join(kinds())}")
    return name


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("expected low <= high")
    return ends


Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]


class Config(pydantic.BaseModel, frozen=True, extra="forbid", strict=True, allow_inf_nan=False):
    """Settings with checked names and types: "1" is no number, and a misspelt key is told."""

    @classmethod
    def parse(cls, content: object, where: str = "configuration") -> Self:
        """Settings from what a YAML file holds.

        Raises
        ------
        ConfigError
            A key is unknown or missing, or a value has the wrong type or is out of range; the message begins with
            `where` and names the key.
        """
        if not isinstance(content, dict):
            raise ConfigError(f"{where}: expected keys and values, found {type(content).__name__}")
        try:
            # As JSON, because strict settings take a list for a tuple only from there.
            return cls.model_validate_json(json.dumps(content, default=str))
        except pydantic.ValidationError as error:
            raise ConfigError(f"{where}: {told(error)}") from None
        except ConfigError as error:  # of the architecture
            raise ConfigError(f"{where}: {error}") from None

    def to_json(self) -> dict:
        """Plain JSON types (lists, no tuples), for log files and checkpoints."""
        return self.model_dump(mode="json")


def told(error: pydantic.ValidationError) -> str:
    """What is wrong, on one line: every key with what was expected and what was found."""
    lines = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key")
        elif detail["type"] == "missing":
            lines.append(f"{key}: missing key")
        else:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            lines.append(f"{key}: {message}, found {detail['input']!r:.80}" if key else message)
    return "; ".join(lines)


class SourceConfig(Config, frozen=True):
    """Some cubes of a dataset (`lhic.data.open_dataset`)."""

    kind: Annotated[str, AfterValidator(_a_kind)]
    root: str | None = None  # environment variables are expanded; relative to the current folder
    split: str | None = None
    clip: bool = False
    only: tuple[str, ...] = ()  # names to take; empty takes all
    exclude: tuple[str, ...] = ()


Sources = Annotated[tuple[SourceConfig, ...], Field(min_length=1)]


class BatchConfig(Config, frozen=True):
    """What one step sees: tiles of the model's tile size with a run of consecutive bands."""

    tile_bands: Count = 64  # tiles x bands of a step; the number of tiles follows from the length of the run
    run_bands: Annotated[tuple[Count, ...], Field(min_length=1)] = (16, 32)  # lengths to draw from
    first_band: Share = 0.2  # share of the runs that begin with the cube's first band


class AugmentConfig(Config, frozen=True):
    """Shares of tiles that are changed, and the ranges (log-uniform) of the changes. See `lhic.train.sampler`."""

    dark: Share = 0.0  # share of tiles that get gain, noise and stripes
    clipped: Share = 0.0  # share of tiles whose negative samples become 0
    flip: bool = True
    gain: Range = (0.01, 1.0)
    noise: Range = (1.0, 150.0)  # standard deviation, in sample units


class OptimiserConfig(Config, frozen=True):
    """AdamW."""

    lr: Positive = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Natural = 0
    clip_norm: Positive = 1.0  # of each network's gradient
    # Of the averaged weights that are validated and shipped; 0 ships the last ones.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TrainConfig(Config, frozen=True):
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


def read_yaml(path: str | os.PathLike) -> object:
    """Content of a YAML file without doubled keys.  Raises ConfigError."""
    path = Path(path)
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable configuration ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({message_of(error)})") from error


def parse_yaml(text: str) -> object:
    """Content of a text without doubled keys.  Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_UniqueKeyLoader)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, which hides mistakes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} given twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
