"""Cross-validation of lhic-ax: what the weights are worth on scenes and sensors they have not seen.

Decides how folds of the configuration become trained networks and figures.  Training is `lhic.train.ax`'s, coding
`lhic`'s; the table is written as CSV and Markdown into a folder of results.  Ablations: `ax_ablations`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

import lhic
from benchmarks.codecs.registry import make
from benchmarks.experiments.ax_ablations import ablate
from benchmarks.experiments.ax_runs import item_of, trained, training_of, write_table
from benchmarks.measure import provenance
from lhic.errors import DatasetError, UsageError
from lhic.families.ax.model import load
from lhic.train.ax.loop import observe_item
from lhic.train.config import read_yaml

BASELINE = "ccsds123-best"


def run_experiment(name: str, out: Path) -> list[dict]:
    """``cross-validation`` or ``ablations``, from the configuration of that name.  Raises UsageError for another."""
    experiments = {"cross-validation": cross_validate, "ablations": ablate}
    if name not in experiments:
        raise UsageError(f"experiment: expected one of {', '.join(experiments)}, found {name!r}")
    return experiments[name](provenance.REPOSITORY / "configs" / f"lhic-ax-{name}.yml", out)


def cross_validate(config_path: Path, out: Path, kinds: Iterable[str] = ("scenes", "sensors")) -> list[dict]:
    """Train each fold without its cubes, code these, and compare with the best of CCSDS-123.

    Returns a row for each cube and kind of fold: kind, fold, cube, bps, baseline_bps, ratio, and the same where the
    encoder tunes the network to the cube; also written to `out` as ``rows.csv`` and ``table.md``.

    Raises
    ------
    ConfigError, DatasetError
    """
    settings = read_yaml(config_path)
    root = Path(settings["root"])
    left_out = set(settings.get("leave_out", ()))
    items = {path.stem: item_of(path) for path in sorted(root.glob("*.npy")) if path.stem not in left_out}
    tuning_steps = int(settings["tuning_steps"])
    folds = [(kind, name, cubes) for kind in kinds for name, cubes in settings["folds"][kind].items()]
    for _, name, cubes in folds:
        unknown = sorted(set(cubes) - items.keys())
        if unknown:
            raise DatasetError(f"{root}: fold {name}: expected a cube {unknown[0]!r}, found none of that name")
    training = training_of(settings, where=str(config_path))
    observed = {name: observe_item(item, training) for name, item in tqdm(items.items(), desc="observe", unit="cube")}
    baselines: dict[str, float] = {}
    rows = []
    for kind, name, cubes in folds:
        seen = [observed[cube] for cube in items if cube not in cubes]
        started = time.perf_counter()
        net = trained(training, [own for _, own, _ in seen], [copy for _, _, copies in seen for copy in copies])
        seconds = time.perf_counter() - started
        model = load(f"fold-{name.replace(' ', '-')}".lower(), net.config.to_dict(), net.tensors(), bytes(32))
        for cube_name in cubes:
            cube = items[cube_name].load()
            sizes = [len(lhic.encode(cube, model, tuning_steps=steps)) for steps in (0, tuning_steps)]
            if cube_name not in baselines:
                baselines[cube_name] = 8 * len(make(BASELINE).encode(cube)) / cube.size
            bps, tuned_bps = (8 * size / cube.size for size in sizes)
            row = {"kind": kind, "fold": name, "cube": cube_name, "n_samples": cube.size, "bytes": sizes[0], "bps": bps}
            row |= {"tuned_bytes": sizes[1], "tuned_bps": tuned_bps, "baseline_bps": baselines[cube_name]}
            row |= {"ratio": bps / baselines[cube_name], "tuned_ratio": tuned_bps / baselines[cube_name]}
            row |= {"training_s": seconds, "commit": provenance.commit(), "machine": provenance.machine()}
            rows.append(row)
            done = f"{kind:<8} {name:<10} {cube_name:<36} {bps:.4f} {row['ratio']:.4f}"
            print(f"{done} tuned {tuned_bps:.4f} {row['tuned_ratio']:.4f}", flush=True)
        write_table(out, rows, cross_validation_table(rows))
    return rows


def cross_validation_table(rows: list[dict]) -> str:
    """Markdown: a row per cube and kind of fold, and the means."""
    lines = ["| left out | fold | cube | CCSDS-123 best bps | lhic-ax bps | ratio | tuned to the cube, bps | ratio |"]
    lines.append("|---|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        lines.append(
            f"| {row['kind']} | {row['fold']} | {row['cube']} | {row['baseline_bps']:.3f} | {row['bps']:.3f} | "
            f"{row['ratio']:.3f} | {row['tuned_bps']:.3f} | {row['tuned_ratio']:.3f} |"
        )
    for kind in dict.fromkeys(row["kind"] for row in rows):
        plain, tuned = ([row[name] for row in rows if row["kind"] == kind] for name in ("ratio", "tuned_ratio"))
        means = f"**{np.mean(plain):.3f}** | | **{np.mean(tuned):.3f}**"
        lines.append(f"| {kind} | all | mean of {len(plain)} cubes | | | {means} |")
        lines.append(f"| {kind} | all | worst cube | | | {max(plain):.3f} | | {max(tuned):.3f} |")
    return "\n".join(lines) + "\n"
