"""A training run from a YAML file: the family it names decides which loop trains it."""

from __future__ import annotations

import os
from pathlib import Path

from lhic.settings import read_yaml
from lhic.train import ax, loop
from lhic.train.ax.config import AxTrainConfig
from lhic.train.config import TrainConfig


def run(
    config_path: str | os.PathLike,
    device: str = "auto",
    out_dir: str | os.PathLike | None = None,
    progress: bool = True,
):
    """Train what a YAML file describes; for LHIC-BP, going on where an earlier run in the same folder stopped.

    Parameters
    ----------
    config_path : path of the YAML file (docs/training.md)
    device : "auto", "cpu" or "cuda"
    out_dir : run folder, default ``runs/<name>``

    Returns
    -------
    TrainResult of the family: steps, validation, weights_path.

    Raises
    ------
    ConfigError
        If the configuration does not make sense.
    DatasetError
        If data are missing.
    CheckpointError
        If the run folder holds the state of another configuration, or a damaged one.
    """
    content = read_yaml(config_path)

    def folder(name: str) -> Path:
        return Path(out_dir) if out_dir else Path("runs") / name

    if isinstance(content, dict) and content.get("family") == "lhic-ax":
        of_ax = AxTrainConfig.parse(content, str(config_path))
        return ax.train(of_ax, device, folder(of_ax.name), progress)
    config = TrainConfig.parse(content, str(config_path))
    return loop.train(config, device, folder(config.name), progress)
