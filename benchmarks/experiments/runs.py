"""What experiments with lhic-ax share: cubes, short training runs, and rows with their table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import lhic
from benchmarks.measure import provenance
from benchmarks.measure.rows import write_table
from lhic.data import Item
from lhic.errors import ConfigError
from lhic.io.atomic import atomic_write
from lhic.train.ax import AxNet, AxTrainConfig, Observations, fit, samples_of

CPU = torch.device("cpu")


def training_of(settings: dict, change: dict | None = None, where: str = "ablations") -> AxTrainConfig:
    """Training as an experiment's settings say, with what one row changes: ``model`` and ``training``."""
    change = change or {}
    content = {"name": "experiment", "family": "lhic-ax", "train": [{"kind": "corpus", "root": settings["root"]}]}
    content |= settings["training"] | change.get("training", {}) | {"model": change.get("model", {})}
    return AxTrainConfig.parse(content, where)


def trained(
    training: AxTrainConfig, own: list[Observations], copies: list[Observations], rounded: bool = True
) -> AxNet:
    if training.threads:
        torch.set_num_threads(training.threads)
    if not own:
        raise ConfigError("expected cubes to train on, found none beside the fold's own")
    with tempfile.TemporaryDirectory() as folder:
        changed = samples_of(copies) if copies else None
        return fit(training, samples_of(own), changed, {}, CPU, Path(folder), rounded=rounded)


def item_of(path: Path, crop: int | None = None) -> Item:
    """A cube, or the middle of it."""

    def read() -> np.ndarray:
        cube = lhic.load_cube(path)
        if crop is None:
            return cube
        rows, columns = ((max(n - crop, 0) // 2) for n in cube.shape[1:])
        return np.ascontiguousarray(cube[:, rows : rows + crop, columns : columns + crop])

    return Item(path.stem, path, "", read)


def written(out: Path, rows: list[dict], table: str) -> None:
    """``rows`` as Parquet and CSV, and ``table.md``."""
    write_table(pd.DataFrame(rows), out, "rows")
    with atomic_write(out / "table.md", overwrite=True) as file:
        file.write(table.encode())


def origin() -> dict:
    """Where a row was made."""
    return {"commit": provenance.commit(), "machine": provenance.machine()}
