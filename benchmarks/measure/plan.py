"""What a study measures: which cubes are coded by which codecs, and the rows that come of it.

The notebooks and `study` share it; it knows nothing of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from benchmarks.measure import provenance, rows
from benchmarks.measure.measurement import Options, check_codec, choose
from benchmarks.measure.run import run
from lhic.data import Item, check_converted, open_dataset
from lhic.errors import ConfigError


@dataclass(frozen=True)
class Plan:
    """Which cubes are coded by which codecs, and how it is timed.

    Attributes
    ----------
    dataset, root, split : as for `lhic.data.open_dataset`; a relative root is below the repository
    exclude : names of cubes to leave out
    max_cubes : a random choice of so many cubes, drawn with `seed`; None takes all
    forms : ``clipped``, ``as-measured`` or both
    codecs : names in the registry
    slow_codecs : further codecs, timed on all cores only
    slow_forms : the forms that these are run on
    out : folder of the results below the repository
    options : how it is timed
    """

    dataset: str
    root: str | None
    split: str | None
    exclude: Sequence[str]
    max_cubes: int | None
    seed: int
    forms: Sequence[str]
    codecs: Sequence[str]
    slow_codecs: Sequence[str]
    slow_forms: Sequence[str]
    out: str
    options: Options

    @property
    def folder(self) -> Path:
        """The folder of the results."""
        return provenance.REPOSITORY / self.out

    def items(self) -> list[Item]:
        """The cubes, in the order of the dataset."""
        root = None if self.root is None else provenance.REPOSITORY / self.root
        found = [item for item in open_dataset(self.dataset, root, self.split) if item.name not in self.exclude]
        return choose(found, self.max_cubes, self.seed)

    def check(self) -> None:
        """Raise what would stop the work, before any is done: a dataset not there or converted in part, a codec.

        Raises
        ------
        DatasetError, UsageError, BackendError
        """
        check_converted(self.items())
        for form in self.forms:
            for name in self.codecs_for(form):
                check_codec(name, self.options.device)

    def codecs_for(self, form: str) -> list[str]:
        """Codecs of one form, each once."""
        slow = self.slow_codecs if form in self.slow_forms else []
        return list(dict.fromkeys([*slow, *self.codecs]))


CHOICE = tuple(field.name for field in fields(Plan) if field.name != "options")  # parameters of notebooks
TIMING = ("thread_modes", "repeats", "long_s", "timeout_s", "device")


def plan_from(parameters: dict) -> Plan:
    """The plan among a notebook's parameters.

    Raises
    ------
    ConfigError
        The codec that others are compared with, `reference`, is not among those measured.
    """
    timing = {name: parameters[name] for name in TIMING}
    options = Options(**timing, all_cores_only=tuple(parameters["slow_codecs"]))
    plan = Plan(**{name: parameters[name] for name in CHOICE}, options=options)
    measured = sorted({codec for form in plan.forms for codec in plan.codecs_for(form)})
    reference = parameters.get("reference")
    if reference is not None and reference not in measured:
        expected = ", ".join(measured) or "none"
        raise ConfigError(f"parameter 'reference': expected one of the codecs, {expected}, found {reference!r}")
    return plan


def has_plan(parameters: dict) -> bool:
    """Whether a notebook measures anything."""
    return set(CHOICE) | set(TIMING) <= set(parameters)


def measure(plan: Plan, progress: bool = True) -> pd.DataFrame:
    """Measure what the results folder does not hold yet; returns the rows of this plan and no others."""
    items = plan.items()
    for form in plan.forms:
        run(plan.dataset, items, form, plan.codecs_for(form), plan.folder, plan.options, progress, plan.split)
    table = rows.read_rows(plan.folder)
    wanted = pd.MultiIndex.from_tuples([(form, codec) for form in plan.forms for codec in plan.codecs_for(form)])
    keep = pd.MultiIndex.from_frame(table[["form", "codec"]]).isin(wanted)
    keep &= table["cube"].isin([item.name for item in items]) & (table["dataset"] == plan.dataset)
    return table[keep]
