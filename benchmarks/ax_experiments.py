"""Cross-validation and ablations of lhic-ax: what the weights are worth on scenes and sensors they have not seen.

Decides how folds and rows of the configurations become trained networks and figures.  Training is `lhic.train.ax`'s,
coding `lhic`'s; both tables are written as CSV and Markdown into a folder of results.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import lhic
from benchmarks import provenance
from benchmarks.codecs.registry import make
from lhic.cube import atomic_write, load_cube
from lhic.data import Item
from lhic.errors import ConfigError, DatasetError, UsageError
from lhic.models.lhic_ax.coding import load
from lhic.train.ax.config import AxTrainConfig, parse_config
from lhic.train.ax.loop import bits_per_sample, fit, observe_item, samples_of
from lhic.train.ax.network import AxNet
from lhic.train.config import read_yaml

BASELINE = "ccsds123-best"
CPU = torch.device("cpu")


def run_experiment(name: str, out: Path) -> list[dict]:
    """``cross-validation`` or ``ablations``, from the configuration of that name.  Raises UsageError for another."""
    experiments = {"cross-validation": cross_validate, "ablations": ablate}
    if name not in experiments:
        raise UsageError(f"experiment: expected one of {', '.join(experiments)}, found {name!r}")
    return experiments[name](provenance.REPOSITORY / "configs" / f"lhic-ax-{name}.yml", out)


def cross_validate(config_path: Path, out: Path, kinds: Iterable[str] = ("scenes", "sensors")) -> list[dict]:
    """Train each fold without its cubes, code these, and compare with the best of CCSDS-123.

    Returns a row for each cube and kind of fold: kind, fold, cube, bps, baseline_bps, ratio, the same with the network tuned to the cube by the encoder; also written to `out` as
    ``rows.csv`` and ``table.md``.

    Raises
    ------
    ConfigError, DatasetError
    """
    settings = read_yaml(config_path)
    root = Path(settings["root"])
    left_out = set(settings.get("leave_out", ()))
    items = {path.stem: _item(path) for path in sorted(root.glob("*.npy")) if path.stem not in left_out}
    tuning_steps = int(settings["tuning_steps"])
    folds = [(kind, name, cubes) for kind in kinds for name, cubes in settings["folds"][kind].items()]
    for _, name, cubes in folds:
        unknown = sorted(set(cubes) - items.keys())
        if unknown:
            raise DatasetError(f"{root}: fold {name}: expected a cube {unknown[0]!r}, found none of that name")
    training = _training(settings, str(config_path))
    observed = {name: observe_item(item, training) for name, item in tqdm(items.items(), desc="observe", unit="cube")}
    baselines: dict[str, float] = {}
    rows = []
    for kind, name, cubes in folds:
        seen = [observed[cube] for cube in items if cube not in cubes]
        started = time.perf_counter()
        net = _fit(training, [own for _, own, _ in seen], [copy for _, _, copies in seen for copy in copies])
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
            print(
                f"{kind:<8} {name:<10} {cube_name:<36} {bps:.4f} {row['ratio']:.4f} tuned {tuned_bps:.4f} {row['tuned_ratio']:.4f}",
                flush=True,
            )
        _write(out, rows, cross_validation_table(rows))
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


def ablate(config_path: Path, out: Path, keep: bool = False) -> list[dict]:
    """Train and test each row of an ablation configuration.

    Returns a row for each: name, bits of each test cube, mean, change in percent against the row that it names (else
    the first), multiply-accumulates of the network, a remark; also written to `out` as ``rows.csv`` and ``table.md``.
    keep : take rows that are there already as they are
    """
    settings = read_yaml(config_path)
    there = _read(out / "rows.csv") if keep else {}
    commit = provenance.commit()
    rows: list[dict] = []
    for change in tqdm(settings["rows"], desc="ablations", unit="row"):
        name = change["name"]
        if name in there:
            row = there[name]
        else:
            started = time.perf_counter()
            bits, macs = _trial(settings, change)
            row = {"name": name, **bits, "mean": float(np.mean(list(bits.values()))), "change_percent": 0.0}
            row |= {"against": change.get("against", settings["rows"][0]["name"]), "macs": macs}
            row |= {"remark": change.get("remark", ""), "seconds": time.perf_counter() - started}
            row |= {"commit": commit, "machine": provenance.machine()}
        rows.append(row)
        means = {row["name"]: float(row["mean"]) for row in rows}
        row["change_percent"] = 100 * (float(row["mean"]) / means[row["against"]] - 1)
        _write(out, rows, ablation_table(rows, settings["test"]))
    return rows


def _trial(settings: dict, change: dict) -> tuple[dict[str, float], int]:
    """Bits per sample of each test cube, and the network's multiply-accumulates."""
    root, crop = Path(settings["root"]), int(settings["crop"])
    training = _training({**settings, "training": {**settings["training"], **change.get("training", {})}}, "", change)
    seen = [observe_item(_item(root / f"{name}.npy", crop), training) for name in settings["train"]]
    net = _fit(
        training, [own for _, own, _ in seen], [c for _, _, copies in seen for c in copies], change.get("rounded", True)
    )
    # Of a test cube no copies are needed, so these are observed apart from those.
    alone = dataclasses.replace(training, observations=dataclasses.replace(training.observations, copies=0))
    tests = {name: observe_item(_item(root / f"{name}.npy", crop), alone)[1] for name in settings["test"]}
    return {name: bits_per_sample(net, test, CPU) for name, test in tests.items()}, _macs(net)


def _macs(net: AxNet) -> int:
    tensors = net.tensors()
    return sum(int(tensors[name].size) for name in ("first", "middle", "last"))


def ablation_table(rows: list[dict], tests: list[str]) -> str:
    """Markdown: a row per variant."""
    lines = [
        f"| variant | {' | '.join(tests)} | mean | change | MACs | |",
        "|---|" + "---:|" * (len(tests) + 3) + "---|",
    ]
    for row in rows:
        bits = " | ".join(f"{float(row[name]):.3f}" for name in tests)
        change = f"{row['change_percent']:+.2f} %"
        lines.append(
            f"| {row['name']} | {bits} | {float(row['mean']):.4f} | {change} | {int(row['macs']):,} | {row['remark']} |"
        )
    return "\n".join(lines) + "\n"


def _training(settings: dict, where: str, change: dict | None = None) -> AxTrainConfig:
    content = {"name": "experiment", "family": "lhic-ax", "train": [{"kind": "corpus", "root": settings["root"]}]}
    content |= settings["training"] | {"model": (change or {}).get("model", {})}
    return parse_config(content, where or "ablations")


def _fit(training: AxTrainConfig, own: list, copies: list, rounded: bool = True):
    if training.threads:
        torch.set_num_threads(training.threads)
    if not own:
        raise ConfigError("expected cubes to train on, found none beside the fold's own")
    with tempfile.TemporaryDirectory() as folder:
        changed = samples_of(copies) if copies else None
        return fit(training, samples_of(own), changed, {}, CPU, Path(folder), rounded=rounded)


def _item(path: Path, crop: int | None = None) -> Item:
    def read() -> np.ndarray:
        cube = load_cube(path)
        if crop is None:
            return cube
        rows, columns = ((max(n - crop, 0) // 2) for n in cube.shape[1:])
        return np.ascontiguousarray(cube[:, rows : rows + crop, columns : columns + crop])

    return Item(path.stem, path, "", read)


def _read(path: Path) -> dict[str, dict]:
    """Rows of a table by name."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _write(out: Path, rows: list[dict], table: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (("rows.csv", text.getvalue()), ("table.md", table)):
        with atomic_write(out / name) as file:
            file.write(content.encode())
