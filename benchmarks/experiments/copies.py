"""Which changed copies are worth training on: with each kind of imitation and without, on sensors left out.

Decides how a row of the configuration becomes networks, one for each sensor that is left out, and what these are judged
by: streams of that sensor's cubes, which decide, and of imitations of these cubes, which say whether an imitation is
learnt at all.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import item_of, origin, trained, training_of, written
from lhic.errors import ConfigError
from lhic.settings import read_yaml
from lhic.train.ax import IMITATIONS, AxNet, Observations, imitation, observe_item

SEED_OF_TESTS = 2026  # of the imitations that are coded; no training has this seed


def compare_copies(config_path: Path, out: Path, keep: bool = False) -> list[dict]:
    """Train each row once without each sensor, and code what was left out.

    Returns a row for each row of the configuration: name, bits per sample of each cube (in streams that begin anew,
    of crops) and of the imitations of each sensor, ``sensors_percent`` and ``imitations_percent``: mean change
    against the first row of the cubes and of their imitations, each sensor counting as one; also written to `out`.
    keep : take rows that are there already as they are

    Raises
    ------
    ConfigError
    """
    settings = read_yaml(config_path)
    root, folds = Path(settings["root"]), settings["folds"]
    items = {name: item_of(root / f"{name}.npy", settings["crop"]) for cubes in folds.values() for name in cubes}
    if len({change["name"] for change in settings["rows"]}) < len(settings["rows"]):
        raise ConfigError("rows: expected each name once")
    cubes = {name: item.load() for name, item in items.items()}
    stored = out / "rows.parquet"
    there = {row["name"]: row for row in pd.read_parquet(stored).to_dict("records")} if keep and stored.exists() else {}
    rows: list[dict] = []
    for change in tqdm(settings["rows"], desc="copies", unit="row"):
        if change["name"] in there:
            rows.append(there[change["name"]])
            continue
        observations = settings["training"]["observations"] | {"imitations": change.get("imitations", ())}
        training = training_of(
            settings, change | {"training": {"observations": observations} | change.get("training", {})}
        )
        started = time.perf_counter()
        seen = {name: observe_item(item, training) for name, item in items.items()}
        bits: dict[str, float] = {}
        for fold, left_out in folds.items():
            others = [seen[name] for name in items if name not in left_out]
            net = trained(training, [own for _, own, _ in others], _all_copies(others))
            bits |= {name: _bits(net, cubes[name]) for name in left_out}
            for name in IMITATIONS:
                rng = np.random.default_rng([SEED_OF_TESTS, *name.encode()])
                corner = cubes[left_out[0]][:, : settings["corner"], : settings["corner"]]
                bits[f"{fold}, {name}"] = _bits(net, imitation(name, corner, rng))
        row = {"name": change["name"], **bits, "seconds": time.perf_counter() - started}
        rows.append(row | changes_of(row, (rows or [row])[0], folds) | origin())
        written(out, rows, copies_table(rows, folds))
    return rows


def _all_copies(seen: list[tuple[str, Observations, list[Observations]]]) -> list[Observations]:
    return [copy for _, _, copies in seen for copy in copies]


def _bits(net: AxNet, cube: np.ndarray) -> float:
    """Bits per sample of a stream's coded sections."""
    stream = lhic.encode(cube, net.as_model("trial"), tuning_steps=0, fallback=False)
    return 8 * int(np.sum(lhic.inspect(stream)["tiles"])) / cube.size


def changes_of(row: dict, first: dict, folds: dict[str, list[str]]) -> dict[str, float]:
    """Percent against the first row: of each sensor and imitation, and their means."""

    def percent(names: list[str]) -> float:
        return 100 * float(np.mean([row[name] / first[name] - 1 for name in names]))

    found = {f"{fold}_percent": percent(names) for fold, names in folds.items()}
    found["sensors_percent"] = float(np.mean(list(found.values())))
    of_copies = {f"{name}_percent": percent([f"{fold}, {name}" for fold in folds]) for name in IMITATIONS}
    return found | of_copies | {"imitations_percent": float(np.mean(list(of_copies.values())))}


def copies_table(rows: list[dict], folds: dict[str, list[str]]) -> str:
    """Markdown: a line per row, changes in percent against the first."""
    columns = [*folds, "sensors", *IMITATIONS, "imitations"]
    lines = [
        [row["name"], *(f"{row[f'{name}_percent']:+.2f}" for name in columns), f"{row['seconds']:.0f}"] for row in rows
    ]
    head = ["copies", *columns, "seconds"]
    head[1 + len(folds)], head[-2] = "mean", "mean"
    return markdown([name.replace("_", " ") for name in head], lines, right=range(1, len(head)))
