"""What experiments with lhic-ax share: cubes, short training runs, and tables of results."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import torch

from lhic.data import Item
from lhic.errors import ConfigError
from lhic.families.ax.observe import Observations
from lhic.io.atomic import atomic_write
from lhic.io.npy import load_cube
from lhic.train.ax.config import AxTrainConfig, parse_config
from lhic.train.ax.loop import fit, samples_of
from lhic.train.ax.network import AxNet

CPU = torch.device("cpu")


def training_of(settings: dict, change: dict | None = None, where: str = "ablations") -> AxTrainConfig:
    """Training as an experiment's settings say, with what one row changes: ``model`` and ``training``."""
    change = change or {}
    content = {"name": "experiment", "family": "lhic-ax", "train": [{"kind": "corpus", "root": settings["root"]}]}
    content |= settings["training"] | change.get("training", {}) | {"model": change.get("model", {})}
    return parse_config(content, where)


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
        cube = load_cube(path)
        if crop is None:
            return cube
        rows, columns = ((max(n - crop, 0) // 2) for n in cube.shape[1:])
        return np.ascontiguousarray(cube[:, rows : rows + crop, columns : columns + crop])

    return Item(path.stem, path, "", read)


def read_rows(path: Path) -> dict[str, dict]:
    """Rows of a table by name; none if there is no such file."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def write_table(out: Path, rows: list[dict], table: str) -> None:
    """``rows.csv`` and ``table.md``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (("rows.csv", text.getvalue()), ("table.md", table)):
        with atomic_write(out / name) as file:
            file.write(content.encode())
