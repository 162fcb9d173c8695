"""Experiments: lhic-ax without a scene, sensor or part, or on other copies; noise; floats; windows; a large scene;
speed; threads; ideas of other learned codecs; LHIC-BP at its published size."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure.provenance import REPOSITORY
from lhic.errors import UsageError

EXPERIMENTS = {
    "cross-validation": "cross_validate",
    "ablations": "ablate",
    "copies": "compare_copies",
    "floats": "measure_floats",
    "noise-floor": "measure_floors",
    "windows": "measure_windows",
    "large-scene": "measure_large_scene",
    "speeds": "measure_speeds",
    "threads": "measure_threads",
    "linerwkv": "measure_linerwkv",
    "bit-planes": "measure_bit_planes",
    "spectral-transform": "measure_spectral_transform",
    "published-size": "measure_published_size",
    "published-size-whole": "published_size.measure_published_size_whole",
}


def experiment_of(name: str) -> Callable[[Path, Path], list[dict]]:
    """What runs an experiment, given a configuration and a folder.

    Raises
    ------
    UsageError
        There is no experiment of that name.
    """
    if name not in EXPERIMENTS:
        raise UsageError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, found {name!r}")
    module, _, function = EXPERIMENTS[name].rpartition(".")
    return getattr(importlib.import_module(f"{__name__}.{module or name.replace('-', '_')}"), function)


def run_experiment(name: str, folder: str = "") -> list[dict]:
    """Run an experiment as its file in ``configs/`` says; its table goes to ``results/<folder>``, or local."""
    run, folder = experiment_of(name), folder or f"local/{name.replace('-', '_')}"
    config = f"{name}.yml" if name == "linerwkv" else f"lhic-ax-{name}.yml"
    return run(REPOSITORY / "configs" / config, REPOSITORY / "results" / folder)
