"""Ablations of lhic-ax: what each part is worth, by short runs that are alike but for one change.

Decides how a row of the configuration becomes a trained network and bits per sample of held-out cubes.  What a row
measures is named by ``measure``, one of `MEASURES`; training is `lhic.train.ax`'s, coding `lhic`'s.
"""

from __future__ import annotations

import json
import time
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import CPU, item_of, origin, trained, training_of, written
from lhic.data import Item
from lhic.errors import ConfigError
from lhic.settings import read_yaml
from lhic.train.ax import AxNet, bits_per_sample, observe, observe_item

WALKS = 2
TIMED_BANDS = 48


def ablate(config_path: Path, out: Path, keep: bool = False) -> list[dict]:
    """Train and test each row of an ablation configuration.

    Returns a row for each: name, bits of each test cube, mean, change in percent against the row that it names (else
    the first), multiply-accumulates of the network, microseconds of CPU time that a sample takes: besides the network
    (where crops are measured), and to encode (where streams are); a remark; also written to `out`.
    keep : take rows that are there already as they are

    Raises
    ------
    ConfigError
    """
    settings = read_yaml(config_path)
    check_rows(settings)
    stored = out / "rows.parquet"
    there = {row["name"]: row for row in pd.read_parquet(stored).to_dict("records")} if keep and stored.exists() else {}
    done: dict[str, object] = {}
    rows: list[dict] = []
    for change in tqdm(settings["rows"], desc="ablations", unit="row"):
        row = there.get(change["name"]) or measured(Trial(settings, change, done))
        row |= {"against": change.get("against", settings["rows"][0]["name"]), "remark": change.get("remark", "")}
        rows.append(row)
        means = {row["name"]: row["mean"] for row in rows}
        row["change_percent"] = 100 * (row["mean"] / means[row["against"]] - 1)
        written(out, rows, ablation_table(rows, settings["test"]))
    return rows


def measured(trial: Trial) -> dict:
    """What a row measures."""
    started = time.perf_counter()
    measure = trial.change.get("measure", "crops")
    bits = MEASURES[measure](trial)
    row = {"name": trial.change["name"], **bits, "mean": float(np.mean(list(bits.values()))), "change_percent": 0.0}
    row |= {"against": "", "macs": trial.net.macs, "walk_us": trial.walk_us() if measure == "crops" else np.nan}
    row |= {"encode_us": trial.encode_us}
    return row | {"remark": "", "seconds": time.perf_counter() - started} | origin()


def ablation_table(rows: list[dict], tests: list[str]) -> str:
    """Markdown: a line per variant, with the row that it is compared with if that is not the first."""
    lines = []
    for row in rows:
        bits = [f"{row[name]:.3f}" for name in tests]
        times = ["" if np.isnan(row[name]) else f"{row[name]:.2f}" for name in ("walk_us", "encode_us")]
        other = row["against"] not in (rows[0]["name"], row["name"])
        remarks = [f"against: {row['against']}"] * other + [row["remark"]] * bool(row["remark"])
        change = f"{row['change_percent']:+.2f} %"
        lines.append(
            [row["name"], *bits, f"{row['mean']:.4f}", change, f"{row['macs']:,.0f}", *times, "; ".join(remarks)]
        )
    head = ["variant", *tests, "mean", "change", "MACs", "rest, us", "encode, us", ""]
    return markdown(head, lines, right=range(1, len(head) - 1))


class Trial:
    """A row's cubes and network; `done` keeps what rows share.

    encode_us : CPU time of a sample of the streams that were made
    """

    def __init__(self, settings: dict, change: dict, done: dict[str, object]):
        self.settings, self.change, self.done = settings, change, done
        self.encode_us = np.nan
        self.training = training_of(settings, change)
        self.crop = int(change.get("crop", settings["crop"]))

    def items(self, which: str) -> dict[str, Item]:
        """Cubes by name; which : ``train`` or ``test``."""
        root = Path(self.settings["root"])
        return {name: item_of(root / f"{name}.npy", self.crop) for name in self.settings[which]}

    def once(self, what: str, make):
        """`make`'s result, made once for all rows of the same network."""
        change = {name: self.change.get(name) for name in ("model", "training", "rounded")}
        key = json.dumps([what, self.crop, change], sort_keys=True)
        if key not in self.done:
            self.done[key] = make()
        return self.done[key]

    @cached_property
    def net(self) -> AxNet:
        def make() -> AxNet:
            seen = [observe_item(item, self.training) for item in self.items("train").values()]
            own, copies = [own for _, own, _ in seen], [copy for _, _, copies in seen for copy in copies]
            return trained(self.training, own, copies, self.change.get("rounded", True))

        return self.once("network", make)

    def streams(self, cubes: list[np.ndarray], **options) -> list[bytes]:
        """Of the row's network, timed."""
        model = self.net.as_model("trial")
        lhic.encode(cubes[0][:1], model, **options)  # compiles
        started = time.process_time()
        streams = [lhic.encode(cube, model, **options) for cube in cubes]
        self.encode_us = 1e6 * (time.process_time() - started) / sum(cube.size for cube in cubes)
        return streams

    def walk_us(self) -> float:
        """CPU time of a sample besides the network, in first bands of the first test cube: the best of some walks."""
        architecture = self.training.architecture()
        network = {"width": 4, "depth": 1, "components": 1}  # a walk that observes has none

        key = f"walk {sorted((architecture.to_dict() | network).items())}"
        if key not in self.done:
            cube, times = next(iter(self.items("test").values())).load()[:TIMED_BANDS], []
            for _ in range(WALKS):
                started = time.process_time()
                observe(cube, architecture, 1, np.random.default_rng(0))
                times.append(time.process_time() - started)
            self.done[key] = 1e6 * min(times) / cube.size
        return self.done[key]


def _crops(trial: Trial) -> dict[str, float]:
    """Ideal code length of the middle of each test cube, without side information."""
    alone = trial.training.observations.model_copy(update={"copies": 0})  # of a test cube no copies are needed
    training = trial.training.model_copy(update={"observations": alone})
    items = trial.items("test").items()
    return {name: bits_per_sample(trial.net, observe_item(item, training)[1], CPU) for name, item in items}


def _tiles(trial: Trial) -> dict[str, float]:
    """Sections of each test cube cut into tiles that are coded; ``tile`` : rows and columns, 0 the whole cube."""
    size = trial.change["tile"]

    def make() -> dict[str, float]:
        cubes = {name: item.load() for name, item in trial.items("test").items()}
        names, tiles = [], []
        for name, cube in cubes.items():
            n_rows, n_columns = (size, size) if size else cube.shape[1:]
            for i in range(0, cube.shape[1], n_rows):
                for j in range(0, cube.shape[2], n_columns):
                    names.append(name)
                    tiles.append(np.ascontiguousarray(cube[:, i : i + n_rows, j : j + n_columns]))
        bits = dict.fromkeys(cubes, 0.0)
        for name, stream in zip(names, trial.streams(tiles, tuning_steps=0, fallback=False), strict=True):
            bits[name] += 8 * int(np.sum(lhic.inspect(stream)["tiles"])) / cubes[name].size
        return bits

    return trial.once(f"tiles of {size}", make)


def _tuned(trial: Trial) -> dict[str, float]:
    """Whole cubes, to each of which the encoder fits the network; ``tuning_steps`` : the option of `lhic.encode`."""
    whole = _tiles(Trial(trial.settings, trial.change | {"tile": 0}, trial.done))
    cubes = {name: item.load() for name, item in trial.items("test").items()}
    n_plain, n_tuned = (
        [len(stream) for stream in trial.streams(list(cubes.values()), tuning_steps=steps)]
        for steps in (0, trial.change["tuning_steps"])
    )
    saved = dict(zip(cubes, np.subtract(n_plain, n_tuned).tolist(), strict=True))
    return {name: whole[name] - 8 * saved[name] / cube.size for name, cube in cubes.items()}


MEASURES = {"crops": _crops, "tiles": _tiles, "tuned": _tuned}


def check_rows(settings: dict) -> None:
    """Raises ConfigError: a name twice, a measure that there is not, a comparison with a row that comes later."""
    names: list[str] = []
    for row in settings["rows"]:
        if row["name"] in names:
            raise ConfigError(f"row {row['name']!r}: expected each name once")
        names.append(row["name"])
        if row.get("measure", "crops") not in MEASURES:
            raise ConfigError(f"row {row['name']!r}: measure: expected one of {', '.join(MEASURES)}")
        if row.get("against", names[0]) not in names:
            raise ConfigError(f"row {row['name']!r}: against: expected an earlier row, found {row['against']!r}")
        training_of(settings, row, f"row {row['name']!r}")
