"""Experiments: lhic-ax without a scene, sensor or part, or on other copies; noise; floats; windows; a large scene."""

from __future__ import annotations

import importlib

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
    "linerwkv": "measure_linerwkv",
}


def run_experiment(name: str, folder: str = "") -> list[dict]:
    """Run an experiment as its file in ``configs/`` says; its table goes to ``results/<folder>``, or local."""
    if name not in EXPERIMENTS:
        raise UsageError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, found {name!r}")
    module = name.replace("-", "_")
    run = getattr(importlib.import_module(f"{__name__}.{module}"), EXPERIMENTS[name])
    config = f"{name}.yml" if name == "linerwkv" else f"lhic-ax-{name}.yml"
    return run(REPOSITORY / "configs" / config, REPOSITORY / "results" / (folder or f"local/{module}"))
