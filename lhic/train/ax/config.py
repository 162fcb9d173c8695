"""The training configuration of lhic-ax; read and checked as that of LHIC-BP is (`lhic.train.config`)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lhic.families.ax.config import AxConfig
from lhic.settings import Config, Count, Natural, Positive
from lhic.train.ax.augment import IMITATIONS
from lhic.train.config import SourceConfig, Sources


class ObservationConfig(Config):
    """How many samples are taken, of each cube as it is and of changed copies of it (`lhic.train.ax.augment`).

    imitations : names of those of which each cube has one more copy; by default those that networks were seen to learn
        from (docs/training.md)
    """

    samples: Count = 150_000
    copies: Natural = 8
    imitations: tuple[str, ...] = ("few_lines", "columns", "laboratory", "gaps", "eight_bits")
    samples_of_copy: Count = 20_000

    @field_validator("imitations")
    @classmethod
    def _imitations_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in IMITATIONS:
                raise ValueError(f"expected among {', '.join(IMITATIONS)}, found {name!r}")
        return names


class AxTrainConfig(Config):
    """A training run.

    model : keys of `AxConfig`; those left out have its defaults
    constant : whether weights stay 0, so that the network says the same everywhere; learnt are the last layer's biases
    copies_share : share of changed copies in a batch
    threads : CPU threads, 0 leaves the choice to torch
    cache : folder that keeps observations from run to run
    """

    name: str
    family: Literal["lhic-ax"]
    train: Sources
    validation: tuple[SourceConfig, ...] = ()
    model: dict = {}  # noqa: RUF012 - pydantic copies it
    constant: bool = False
    start_from: str | None = None
    cache: str | None = None
    observations: ObservationConfig = ObservationConfig()
    copies_share: Annotated[float, Field(ge=0, lt=1)] = 0.4
    steps: Count = 6000
    batch: Count = 8192
    lr: Positive = 0.004
    weight_decay: Annotated[float, Field(ge=0)] = 0.001
    validate_every: Count = 1000
    threads: Natural = 0
    seed: Natural = 1

    @model_validator(mode="after")
    def _architecture_exists(self) -> Self:
        self.architecture()
        return self

    def architecture(self) -> AxConfig:
        return AxConfig.from_dict({**AxConfig().to_dict(), **self.model})
