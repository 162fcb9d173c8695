"""The training configuration: a YAML file, checked key by key before anything is trained.

Decides which settings there are, their defaults and their ranges.  The architecture's own keys (section
``model``) are passed on as they are; the family checks them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lhic.data import kinds
from lhic.errors import ConfigError, message_of

FAMILIES = ("lhic-bp",)
PRECISIONS = ("float32", "bf16")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class SourceConfig:
    """Some cubes of a dataset (`lhic.data.open_dataset`)."""

    kind: str
    root: str | None = None  # environment variables are expanded; relative to the current folder
    split: str | None = None
    clip: bool = False
    only: tuple[str, ...] = ()  # names to take; empty takes all
    exclude: tuple[str, ...] = ()

    def check(self) -> None:
        _one_of("kind", self.kind, kinds())


@dataclass(frozen=True)
class BatchConfig:
    """What one step sees: tiles of the model's tile size with a run of consecutive bands."""

    tile_bands: int = 64  # tiles x bands of a step; the number of tiles follows from the length of the run
    run_bands: tuple[int, ...] = (16, 32)  # lengths to draw from
    first_band: float = 0.2  # share of the runs that begin with the cube's first band

    def check(self) -> None:
        _at_least("tile_bands", self.tile_bands, 1)
        _share("first_band", self.first_band)
        if not self.run_bands or min(self.run_bands) < 1:
            raise ConfigError(f"run_bands: expected lengths of at least 1, found {list(self.run_bands)}")


@dataclass(frozen=True)
class AugmentConfig:
    """Shares of tiles that are changed, and the ranges (log-uniform) of the changes. See `lhic.train.sampler`."""

    dark: float = 0.0  # share of tiles that get gain, noise and stripes
    clipped: float = 0.0  # share of tiles whose negative samples become 0
    flip: bool = True
    gain: tuple[float, float] = (0.01, 1.0)
    noise: tuple[float, float] = (1.0, 150.0)  # standard deviation, in sample units

    def check(self) -> None:
        _share("dark", self.dark)
        _share("clipped", self.clipped)
        for name in ("gain", "noise"):
            low, high = _pair(name, getattr(self, name))
            if not 0 < low <= high:
                raise ConfigError(f"{name}: expected 0 < low <= high, found {[low, high]}")


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_steps: int = 0
    clip_norm: float = 1.0  # of each network's gradient
    ema_decay: float = 0.0  # of the averaged weights that are validated and shipped; 0 ships the last ones

    def check(self) -> None:
        _one_of("schedule", self.schedule, SCHEDULES)
        _pair("betas", self.betas)
        _at_least("warmup_steps", self.warmup_steps, 0)
        if self.lr <= 0 or self.clip_norm <= 0 or self.weight_decay < 0:
            raise ConfigError("expected lr > 0, clip_norm > 0 and weight_decay >= 0")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay: expected 0 <= decay < 1, found {self.ema_decay}")


@dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    name: str
    family: str
    model: dict
    train: tuple[SourceConfig, ...]
    validation: tuple[SourceConfig, ...]
    steps: int
    start_from: str | None = None  # weights file to start from instead of `lhic.train.start`
    batch: BatchConfig = field(default_factory=BatchConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation_tiles: int = 8  # tiles of all bands, spread over the validation cubes
    validate_every: int = 500
    checkpoint_every: int = 100
    freeze_attention: bool = False  # leave the attention blocks out: half the time of training and coding
    precision: str = "float32"  # bf16 concerns CUDA only
    threads: int = 0  # CPU threads of each of the two networks; 0 leaves the choice to torch
    workers: int = 1  # threads that read and cut tiles ahead
    cache_mib: int = 2048  # cubes kept in memory
    seed: int = 1

    def check(self) -> None:
        _one_of("family", self.family, FAMILIES)
        _one_of("precision", self.precision, PRECISIONS)
        for name in ("steps", "validation_tiles", "validate_every", "checkpoint_every", "workers"):
            _at_least(name, getattr(self, name), 1)
        for name in ("threads", "cache_mib", "seed"):
            _at_least(name, getattr(self, name), 0)
        if not self.train or not self.validation:
            raise ConfigError("expected at least one source under `train` and under `validation`")

    def to_json(self) -> dict:
        """Plain JSON types (lists, no tuples), for log files and checkpoints."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def read_yaml(path: str | os.PathLike) -> object:
    """Content of a YAML file without doubled keys.  Raises ConfigError."""
    path = Path(path)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable configuration ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({message_of(error)})") from error


def load_config(path: str | os.PathLike) -> TrainConfig:
    """Read and check a training configuration of LHIC-BP.

    Raises
    ------
    ConfigError
        If the file is missing or not YAML; a key is unknown, missing or doubled; a value has the wrong type
        or is out of range. The message names the file and the key.
    """
    return parse_config(read_yaml(path), str(path))


def parse_config(content: object, where: str = "configuration") -> TrainConfig:
    """Check a configuration given as nested dicts. Raises ConfigError."""
    return build(TrainConfig, content, where)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, which hides mistakes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} given twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def build(cls: type, content: object, where: str):
    """An instance of a configuration class from nested dicts, each key and type checked.  Raises ConfigError."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected keys and values, found {type(content).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(str(key) for key in content if key not in fields)
    if unknown:
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(fields)}")
    required = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    missing = sorted(required - content.keys())
    if missing:
        raise ConfigError(f"{where}: missing key {', '.join(missing)}")
    hints = typing.get_type_hints(cls)
    config = cls(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in content.items()})
    try:
        config.check()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    return config


def _convert(hint: object, value: object, where: str):
    """`value` as the annotated type; no conversion that could hide a mistake ("1" is no number)."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        if value is None:
            return None
        return _convert(typing.get_args(hint)[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list, found {value!r}")
        return tuple(_convert(typing.get_args(hint)[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where}: expected {hint.__name__}, found {value!r}")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}")


def _at_least(name: str, value: float, low: float) -> None:
    if value < low:
        raise ConfigError(f"{name}: expected at least {low}, found {value}")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}: expected a share from 0 to 1, found {value}")


def _pair(name: str, value: tuple) -> tuple:
    if len(value) != 2:
        raise ConfigError(f"{name}: expected two numbers, found {list(value)}")
    return value
