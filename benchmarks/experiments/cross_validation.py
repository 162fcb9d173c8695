"""Cross-validation of lhic-ax: what the weights are worth on scenes and sensors they have not seen.

Decides how folds of the configuration become trained networks and figures.  Training is `lhic.train.ax`'s, coding
`lhic`'s.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

import lhic
from benchmarks.codecs.registry import make
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import item_of, origin, trained, training_of, written
from lhic.errors import DatasetError
from lhic.settings import read_yaml
from lhic.train.ax import observe_item

BASELINE = "ccsds123-best"
HEAD = ("left out", "fold", "cube", "CCSDS-123 best bps", "lhic-ax bps", "ratio", "tuned to the cube, bps", "ratio")


def cross_validate(config_path: Path, out: Path, kinds: Iterable[str] = ("scenes", "sensors")) -> list[dict]:
    """Train each fold without its cubes, code these, and compare with the best of CCSDS-123.

    Returns a row for each cube and kind of fold: kind, fold, cube, bps, baseline_bps, ratio, and the same where the
    encoder tunes the network to the cube; also written to `out`.

    Raises
    ------
    ConfigError, DatasetError
    """
    settings = read_yaml(config_path)
    root = Path(settings["root"])
    left_out = set(settings.get("leave_out", ()))
    items = {path.stem: item_of(path) for path in sorted(root.glob("*.npy")) if path.stem not in left_out}
    folds = [(kind, name, cubes) for kind in kinds for name, cubes in settings["folds"][kind].items()]
    for _, name, cubes in folds:
        unknown = sorted(set(cubes) - items.keys())
        if unknown:
            raise DatasetError(f"{root}: fold {name}: expected a cube {unknown[0]!r}, found none of that name")
    training = training_of(settings, where=str(config_path))
    observed = {name: observe_item(item, training) for name, item in tqdm(items.items(), desc="observe", unit="cube")}
    baselines: dict[str, float] = {}
    rows: list[dict] = []
    for kind, name, cubes in folds:
        seen = [observed[cube] for cube in items if cube not in cubes]
        started = time.perf_counter()
        net = trained(training, [own for _, own, _ in seen], [copy for _, _, copies in seen for copy in copies])
        seconds = time.perf_counter() - started
        model = net.as_model(f"fold-{name.replace(' ', '-')}".lower())
        for cube_name in cubes:
            cube = items[cube_name].load()
            steps = 0, int(settings["tuning_steps"])
            plain, tuned = (len(lhic.encode(cube, model, tuning_steps=n)) for n in steps)
            if cube_name not in baselines:
                baselines[cube_name] = 8 * len(make(BASELINE).encode(cube)) / cube.size
            bps, tuned_bps, baseline = 8 * plain / cube.size, 8 * tuned / cube.size, baselines[cube_name]
            row = {"kind": kind, "fold": name, "cube": cube_name, "n_samples": cube.size, "bytes": plain, "bps": bps}
            row |= {"tuned_bytes": tuned, "tuned_bps": tuned_bps, "baseline_bps": baseline, "ratio": bps / baseline}
            rows.append(row | {"tuned_ratio": tuned_bps / baseline, "training_s": seconds} | origin())
            done = f"{kind:<8} {name:<10} {cube_name:<36} {bps:.4f} {bps / baseline:.4f}"
            print(f"{done} tuned {tuned_bps:.4f} {tuned_bps / baseline:.4f}", flush=True)
        written(out, rows, cross_validation_table(rows))
    return rows


def cross_validation_table(rows: list[dict]) -> str:
    """Markdown: a line per cube and kind of fold, and the means."""
    rates = ("baseline_bps", "bps", "ratio", "tuned_bps", "tuned_ratio")
    lines = [[row["kind"], row["fold"], row["cube"], *(f"{row[name]:.3f}" for name in rates)] for row in rows]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        plain, tuned = ([row[name] for row in rows if row["kind"] == kind] for name in ("ratio", "tuned_ratio"))
        means = f"**{np.mean(plain):.3f}**", "", f"**{np.mean(tuned):.3f}**"
        lines.append([kind, "all", f"mean of {len(plain)} cubes", "", "", *means])
        lines.append([kind, "all", "worst cube", "", "", f"{max(plain):.3f}", "", f"{max(tuned):.3f}"])
    return markdown(HEAD, lines, right=range(3, 8))
