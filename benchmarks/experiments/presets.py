"""The weights that are shipped: every preset of lhic-ax and its twin that has not seen the bundled patch."""

from __future__ import annotations

from pathlib import Path

from benchmarks.exhibits.documents import update
from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY
from lhic.errors import ConfigError
from lhic.settings import read_yaml
from lhic.train.ax import AxTrainConfig, train


def preset_configs(folder: Path) -> dict[str, AxTrainConfig]:
    """Trainings of a folder of configurations, by name; those that go on from other weights are none of ours."""
    found = {}
    for path in sorted(folder.glob("lhic-ax*.yml")):
        content = read_yaml(path)
        if isinstance(content, dict) and "family" in content and not content.get("start_from"):
            found[path.stem] = AxTrainConfig.parse(content, str(path))
    return found


def train_presets(names: list[str] | None = None, root: Path = REPOSITORY) -> list[Path]:
    """Train presets from ``configs/``, then put their weights into ``ckpt/``, their curves beside them.

    names : of presets; default: all.  No file of ``ckpt/`` changes before all are trained
    Returns the weights files.

    Raises
    ------
    ConfigError
        No such preset, or a configuration that makes no sense.
    DatasetError
        Cubes are missing.
    """
    configs = preset_configs(root / "configs")
    for name in names or ():
        if name not in configs:
            raise ConfigError(f"{name}: expected one of {', '.join(configs)}")
    trained = {name: train(configs[name], "cpu", root / "runs" / name) for name in names or configs}
    written = []
    for name, result in trained.items():
        written.append(root / "ckpt" / f"{name}.safetensors")
        write_file(written[-1], result.weights_path.read_bytes())
        write_file(root / "ckpt" / "training" / f"{name}.csv", (result.weights_path.parent / "log.csv").read_bytes())
    if root == REPOSITORY:
        update()
    return written
