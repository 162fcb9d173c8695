"""Ablations of lhic-ax: what each part is worth, by short runs that are alike but for one change.

Decides how a row of the configuration becomes a trained network and bits per sample of held-out cubes.  What a row
measures is named by ``measure``, one of `MEASURES`; training is `lhic.train.ax`'s.
"""

from __future__ import annotations

import dataclasses
import json
import time
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.experiments.ax_recurrent import Columns, bits_of_columns, columns_of, fit_columns
from benchmarks.experiments.ax_runs import CPU, item_of, read_rows, trained, training_of, write_table
from benchmarks.experiments.ax_sent import Sent, observe_sent
from benchmarks.measure import provenance
from lhic.data import Item
from lhic.errors import ConfigError
from lhic.families.ax import changes, tune
from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.planes.tile import split_tile
from lhic.stream.tiles import TileGrid
from lhic.train.ax.augment import changed_copy
from lhic.train.ax.loop import bits_per_sample, observe_item
from lhic.train.ax.network import AxNet
from lhic.train.config import read_yaml

TUNING_SAMPLES = 120_000  # of a test cube; as many again to measure
TILE_SAMPLES = 100_000  # of a test cube, in all its tiles
SENT_SAMPLES = 50_000
WALKS = 2
TIMED_BANDS = 48
COLUMN_SAMPLES = 60_000


def ablate(config_path: Path, out: Path, keep: bool = False) -> list[dict]:
    """Train and test each row of an ablation configuration.

    Returns a row for each: name, bits of each test cube, mean, change in percent against the row that it names (else
    the first), multiply-accumulates of the network, microseconds of CPU time that a sample takes besides the network
    (where crops are measured), a remark; also written to `out` as ``rows.csv`` and ``table.md``.
    keep : take rows that are there already as they are

    Raises
    ------
    ConfigError
    """
    settings = read_yaml(config_path)
    check_rows(settings)
    there = read_rows(out / "rows.csv") if keep else {}
    commit = provenance.commit()
    done: dict[str, object] = {}
    rows: list[dict] = []
    for change in tqdm(settings["rows"], desc="ablations", unit="row"):
        name = change["name"]
        trial = Trial(settings, change, done)
        if name in there:
            row = there[name]
        else:
            started = time.perf_counter()
            bits, macs = MEASURES[change.get("measure", "crops")](trial)
            row = {"name": name, **bits, "mean": float(np.mean(list(bits.values()))), "change_percent": 0.0}
            row |= {"against": "", "macs": macs, "walk_us": "", "remark": "", "seconds": time.perf_counter() - started}
            row |= {"commit": commit, "machine": provenance.machine()}
        row |= {"against": change.get("against", settings["rows"][0]["name"]), "remark": change.get("remark", "")}
        if change.get("measure", "crops") == "crops" and not row["walk_us"]:
            row["walk_us"] = trial.walk_us()
        rows.append(row)
        means = {row["name"]: float(row["mean"]) for row in rows}
        row["change_percent"] = 100 * (float(row["mean"]) / means[row["against"]] - 1)
        write_table(out, rows, ablation_table(rows, settings["test"]))
    return rows


def ablation_table(rows: list[dict], tests: list[str]) -> str:
    """Markdown: a row per variant, with the row that it is compared with if that is not the first."""
    lines = [
        f"| variant | {' | '.join(tests)} | mean | change | MACs | rest, us | |",
        "|---|" + "---:|" * (len(tests) + 4) + "---|",
    ]
    for row in rows:
        bits = " | ".join(f"{float(row[name]):.3f}" for name in tests)
        walk = f"{float(row['walk_us']):.2f}" if row["walk_us"] else ""
        other = row["against"] not in (rows[0]["name"], row["name"])
        remarks = [f"against: {row['against']}"] * other + [row["remark"]] * bool(row["remark"])
        lines.append(
            f"| {row['name']} | {bits} | {float(row['mean']):.4f} | {row['change_percent']:+.2f} % | "
            f"{int(row['macs']):,} | {walk} | {'; '.join(remarks)} |"
        )
    return "\n".join(lines) + "\n"


class Trial:
    """A row's cubes and network; `done` keeps what rows share."""

    def __init__(self, settings: dict, change: dict, done: dict[str, object]):
        self.settings, self.change, self.done = settings, change, done
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


def _crops(trial: Trial) -> tuple[dict[str, float], int]:
    """The middle of each test cube, without side information."""
    alone = dataclasses.replace(trial.training.observations, copies=0)  # of a test cube no copies are needed
    training = dataclasses.replace(trial.training, observations=alone)
    net = trial.net
    bits = {
        name: bits_per_sample(net, observe_item(item, training)[1], CPU) for name, item in trial.items("test").items()
    }
    return bits, macs_of(net)


def _tiles(trial: Trial) -> tuple[dict[str, float], int]:
    """Each test cube cut into tiles, with the side sections; ``tile`` : rows and columns, 0 the whole cube."""
    size = trial.change["tile"]

    def make() -> dict[str, float]:
        bits = {}
        for name, item in trial.items("test").items():
            cube, total = item.load(), 0.0
            grid = TileGrid(*cube.shape[1:], *((size, size) if size else cube.shape[1:]))
            for number in range(len(grid)):
                tile = np.ascontiguousarray(cube[grid[number].window])
                n_samples = -(-TILE_SAMPLES * tile.size // cube.size)
                seen = observe(tile, trial.net.config, n_samples, np.random.default_rng(number))
                total += tile.size * bits_per_sample(trial.net, seen, CPU) + 8 * len(split_tile(tile)[1])
            bits[name] = total / cube.size
        return bits

    return trial.once(f"tiles of {size}", make), macs_of(trial.net)


def _tuned(trial: Trial) -> tuple[dict[str, float], int]:
    """Whole test cubes with side sections and changed weights; ``n_last`` and ``tuning_steps`` as in `tune.tune`.

    Tuned on one half of the observations, which changes the rate of whole cubes by what it changes on the other half.
    """
    whole, _ = _tiles(Trial(trial.settings, trial.change | {"tile": 0}, trial.done))
    tensors = trial.net.tensors()
    bits = {}
    for name, item in trial.items("test").items():
        cube = item.load()

        def make(cube: np.ndarray = cube) -> Observations:
            return observe(cube, trial.net.config, 2 * TUNING_SAMPLES, np.random.default_rng(1))

        seen = trial.once(f"tuning {name}", make)
        even = np.random.default_rng(2).permutation(len(seen.error)) % 2 == 0
        rest, held_out = (Observations(*(a[part] for a in seen[:5]), seen.share) for part in (even, ~even))
        steps = trial.change["tuning_steps"]
        found = changes.rounded(tensors, tune.tune(tensors, rest, steps, n_last=trial.change.get("n_last")))
        better = changes.applied(tensors, found)
        gain = tune.bits_per_sample(tensors, held_out) - tune.bits_per_sample(better, held_out)
        bits[name] = whole[name] - gain * seen.share + 8 * len(changes.write_changes(found)) / cube.size
    return bits, macs_of(trial.net)


def _sent(trial: Trial) -> tuple[dict[str, float], int]:
    """Whole test cubes with coefficients of whole planes; ``price`` : of these, free, plain or cheap (`ax_sent`)."""
    config, wanted = trial.training.architecture(), trial.training.observations

    def observed(cube: np.ndarray, n_samples: int) -> Sent:
        return observe_sent(cube, config, n_samples, np.random.default_rng(trial.training.seed))

    def make() -> tuple[AxNet, dict[str, tuple[Sent, float]]]:
        own, copies = [], []
        for number, item in enumerate(trial.items("train").values()):
            cube = item.load()
            own.append(observed(cube, wanted.samples).seen)
            for copy in range(wanted.copies):
                rng = np.random.default_rng([trial.training.seed, number, copy])
                copies.append(observed(changed_copy(cube, rng), wanted.samples_of_copy).seen)
        tests = {}
        for name, item in trial.items("test").items():
            cube = item.load()
            tests[name] = observed(cube, SENT_SAMPLES), len(split_tile(cube)[1]), cube.size
        return trained(trial.training, own, copies), tests

    net, tests = trial.once("sent", make)
    bits = {}
    for name, (sent, side_bytes, n_samples) in tests.items():
        price = {"free": 0.0, "plain": sent.plain_bits, "cheap": sent.cheap_bits}[trial.change["price"]]
        bits[name] = bits_per_sample(net, sent.seen, CPU) + (8 * side_bytes + price) / n_samples
    return bits, macs_of(net)


def _recurrent(trial: Trial) -> tuple[dict[str, float], int]:
    """The middle of each test cube by random spectra, trained on spectra; ``states`` : see `ax_recurrent`."""
    config = trial.training.architecture()

    def columns(which: str) -> dict[str, Columns]:
        found = {}
        for name, item in trial.items(which).items():
            cube = item.load()
            seen = observe(cube, config, COLUMN_SAMPLES, np.random.default_rng(trial.training.seed), spectra=True)
            found[name] = columns_of(seen, len(split_tile(cube)[0].values))
        return found

    train, test = (trial.once(f"columns {which}", lambda which=which: columns(which)) for which in ("train", "test"))
    net = fit_columns(trial.training, list(train.values()), trial.change["states"])
    return {name: bits_of_columns(net, seen) for name, seen in test.items()}, net.macs()


MEASURES = {"crops": _crops, "tiles": _tiles, "tuned": _tuned, "sent": _sent, "recurrent": _recurrent}


def macs_of(net: AxNet) -> int:
    tensors = net.tensors()
    return sum(int(tensors[name].size) for name in ("first", "middle", "last"))


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
        AxConfig.from_dict({**AxConfig().to_dict(), **row.get("model", {})})
