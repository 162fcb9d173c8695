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
}


def run_experiment(name: str, folder: str = "") -> list[dict]:
    """Run an experiment as ``configs/lhic-ax-<name>.yml`` says; its table goes to ``results/<folder>``, or local."""
    if name not in EXPERIMENTS:
        raise UsageError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, found {name!r}")
    module = name.replace("-", "_")
    run = getattr(importlib.import_module(f"{__name__}.{module}"), EXPERIMENTS[name])
    return run(REPOSITORY / "configs" / f"lhic-ax-{name}.yml", REPOSITORY / "results" / (folder or f"local/{module}"))
