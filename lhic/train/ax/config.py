"""The training configuration of lhic-ax; read and checked as that of LHIC-BP is (`lhic.train.config`)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from lhic.errors import ConfigError
from lhic.families.ax.config import AxConfig
from lhic.train.config import SourceConfig, build


@dataclass(frozen=True)
class ObservationConfig:
    """How many samples are taken, of each cube as it is and of changed copies of it (`lhic.train.ax.augment`)."""

    samples: int = 150_000
    copies: int = 8
    samples_of_copy: int = 20_000

    def check(self) -> None:
        if self.samples < 1 or self.copies < 0 or self.samples_of_copy < 1:
            raise ConfigError("expected samples >= 1, copies >= 0 and samples_of_copy >= 1")


@dataclass(frozen=True)
class AxTrainConfig:
    """A training run.

    model : keys of `AxConfig`; those left out have its defaults
    copies_share : share of changed copies in a batch
    threads : CPU threads, 0 leaves the choice to torch
    cache : folder that keeps observations from run to run
    """

    name: str
    family: str
    train: tuple[SourceConfig, ...]
    validation: tuple[SourceConfig, ...] = ()
    model: dict = field(default_factory=dict)
    start_from: str | None = None
    cache: str | None = None
    observations: ObservationConfig = field(default_factory=ObservationConfig)
    copies_share: float = 0.4
    steps: int = 6000
    batch: int = 8192
    lr: float = 0.004
    weight_decay: float = 0.001
    validate_every: int = 1000
    threads: int = 0
    seed: int = 1

    def check(self) -> None:
        if self.family != "lhic-ax":
            raise ConfigError(f"family: expected lhic-ax, found {self.family!r}")
        for name in ("steps", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if not self.train:
            raise ConfigError("expected at least one source under `train`")
        if not 0 <= self.copies_share < 1:
            raise ConfigError(f"copies_share: expected 0 <= share < 1, found {self.copies_share}")
        if self.lr <= 0 or self.weight_decay < 0:
            raise ConfigError("expected lr > 0 and weight_decay >= 0")
        if self.threads < 0 or self.seed < 0:
            raise ConfigError("expected threads >= 0 and seed >= 0")
        self.architecture()

    def architecture(self) -> AxConfig:
        return AxConfig.from_dict({**AxConfig().to_dict(), **self.model})

    def to_json(self) -> dict:
        """Plain JSON types."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def parse_config(content: object, where: str) -> AxTrainConfig:
    """Check a configuration given as nested dicts. Raises ConfigError."""
    return build(AxTrainConfig, content, where)
