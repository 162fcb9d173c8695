"""The training loop of lhic-ax.

A run observes every cube once (`lhic.families.ax.observe`) and then trains on batches of observations, which no
longer need the cubes.  The run folder holds ``log.csv`` and, at the end, the weights.  Nothing is resumed: a run takes
minutes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from lhic.data import Item
from lhic.errors import CheckpointError, ConfigError
from lhic.families import ax
from lhic.families.ax.integer_net import check_bounds
from lhic.families.ax.observe import Observations, observe
from lhic.families.registry import resolve_device
from lhic.families.weights import Weights, load_weights, save_weights
from lhic.io.atomic import atomic_write
from lhic.train.ax import augment
from lhic.train.ax.augment import changed_copy, imitation
from lhic.train.ax.config import AxTrainConfig
from lhic.train.ax.network import AxNet, code_length
from lhic.train.sources import cube_sha256, expand, open_sources

BATCH_OF_EVALUATION = 1 << 15
KEEP = 0.998  # of the averaged weights per step


class Samples(NamedTuple):
    """Observations of many cubes as tensors (n, ...)."""

    features: Tensor
    error: Tensor
    below: Tensor
    above: Tensor
    repeat: Tensor

    def at(self, index: Tensor) -> Samples:
        return Samples(*(tensor[index] for tensor in self))


class TrainResult(NamedTuple):
    """validation : bits per sample by cube;  weights_path : the file to ship"""

    steps: int
    validation: dict[str, float]
    weights_path: Path


def train(config: AxTrainConfig, device: str, folder: Path, progress: bool = True) -> TrainResult:
    """Train and save weights.

    Raises
    ------
    ConfigError, DatasetError, CheckpointError
    """
    torch_device = torch.device(resolve_device(device))
    if config.threads:
        torch.set_num_threads(config.threads)
    items, held_out = open_sources(config.train), open_sources(config.validation) if config.validation else []
    shared = {item.path for item in items} & {item.path for item in held_out}
    if shared:
        raise ConfigError(f"{min(shared).name}: expected in `train` or in `validation`, found in both")
    started = time.perf_counter()
    own, copies, hashes = observe_items(items, config, progress)
    validation = {item.name: observe_item(item, config)[1] for item in held_out}
    net = fit(config, own, copies, validation, torch_device, folder, progress)
    result = {name: bits_per_sample(net, seen, torch_device) for name, seen in validation.items()}
    tensors = net.tensors()
    bounds = check_bounds(tensors, config.name)
    info = {
        "training": config.to_json(),
        "training_cubes": hashes,
        "seconds": round(time.perf_counter() - started, 1),
        "device": torch_device.type,
        "torch": torch.__version__,
        "validation_bps": result,
        "greatest_sums": bounds,
    }
    path = folder / f"{config.name}.safetensors"
    save_weights(path, Weights(config.name, config.family, config.architecture().to_dict(), tensors, info), True)
    return TrainResult(config.steps, result, path)


def observe_item(item: Item, config: AxTrainConfig) -> tuple[str, Observations, list[Observations]]:
    """SHA-256 of a cube, its observations, and those of its changed copies.

    Each depends on the cube, the configured experts, the seed, what copy it is and the code, so with ``cache`` they are
    kept from run to run.
    """
    cube = item.load()
    sha256 = cube_sha256(cube)
    wanted = config.observations
    seed = [config.seed, int(sha256[:8], 16)]

    def seen(what: str, n_samples: int, rng: np.random.Generator, change: Callable | None = None) -> Observations:
        path = (
            Path(expand(config.cache)) / f"{_cache_key(sha256, config, what, n_samples)}.npz" if config.cache else None
        )
        if path is not None and path.is_file():
            return _read_cache(path)
        found = observe(change(cube, rng) if change else cube, config.architecture(), n_samples, rng)
        if path is not None:
            _write_cache(path, found)
        return found

    own = seen("own", wanted.samples, np.random.default_rng(seed))
    copies = [
        seen(f"copy {n}", wanted.samples_of_copy, np.random.default_rng([*seed, n]), changed_copy)
        for n in range(wanted.copies)
    ]
    for name in wanted.imitations:
        rng = np.random.default_rng([*seed, *name.encode()])
        copies.append(seen(name, wanted.samples_of_copy, rng, partial(imitation, name)))
    return sha256, own, copies


def observe_items(
    items: list[Item], config: AxTrainConfig, progress: bool
) -> tuple[Samples, Samples | None, list[str]]:
    """Samples of the cubes, of their changed copies, and the cubes' SHA-256."""
    bar = tqdm(items, desc="observe", unit="cube", disable=not progress)
    found = [observe_item(item, config) for item in bar]
    copies = [copy for _, _, changed in found for copy in changed]
    return (
        samples_of([own for _, own, _ in found]),
        samples_of(copies) if copies else None,
        [sha for sha, _, _ in found],
    )


def samples_of(observations: list[Observations]) -> Samples:
    """Observations of several cubes end to end."""
    fields = zip(*(seen[:5] for seen in observations), strict=True)
    return Samples(*(torch.from_numpy(np.concatenate(field)) for field in fields))


@cache
def _code() -> str:
    """Hash of the sources on which observations depend."""
    package = Path(ax.__file__).parent
    sources = [*sorted(package.rglob("*.py")), Path(augment.__file__)]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources)).hexdigest()


def _cache_key(sha256: str, config: AxTrainConfig, what: str, n_samples: int) -> str:
    architecture = config.architecture().to_dict()
    others = "width", "depth", "components", "tuning_steps", "adaptation"  # on which observations do not depend
    experts = {k: v for k, v in architecture.items() if k not in others}
    text = json.dumps([_code(), sha256, experts, what, n_samples, config.seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _write_cache(path: Path, seen: Observations) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, overwrite=True) as file:
        np.savez(file, **seen._asdict())


def _read_cache(path: Path) -> Observations:
    with np.load(path, allow_pickle=False) as arrays:
        found = Observations(*(arrays[name] for name in Observations._fields))
    return found._replace(share=float(found.share))


def fit(
    config: AxTrainConfig,
    own: Samples,
    copies: Samples | None,
    validation: dict[str, Observations],
    device: torch.device,
    folder: Path,
    progress: bool = False,
    rounded: bool = True,
) -> AxNet:
    """Train a network on samples; returns the averaged one.  Not `rounded`: in plain float, to see what that costs."""
    torch.manual_seed(config.seed)
    net, average = AxNet(config.architecture()), AxNet(config.architecture())
    net.quantised = average.quantised = rounded
    if config.start_from:
        net.set_tensors(_start(config, config.start_from))
    if config.constant:
        net.silence()
    average.load_state_dict(net.state_dict())
    net.to(device), average.to(device)
    own = Samples(*(tensor.to(device) for tensor in own))
    copies = None if copies is None else Samples(*(tensor.to(device) for tensor in copies))
    optimiser = torch.optim.AdamW(filter(_is_learnt, net.parameters()), lr=config.lr, weight_decay=config.weight_decay)
    warm_up = 0.1 if config.steps != 10 else 0.2  # OneCycleLR divides by the length of its rise less a step
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.lr, total_steps=config.steps, pct_start=warm_up)
    n_copies = 0 if copies is None else int(config.batch * config.copies_share)
    generator = torch.Generator(device).manual_seed(config.seed)
    rows, started, total = [], time.perf_counter(), 0.0
    for step in tqdm(range(1, config.steps + 1), desc=config.name, unit="step", disable=not progress):
        batch = own.at(torch.randint(len(own.error), (config.batch - n_copies,), generator=generator, device=device))
        if copies is not None and n_copies:
            index = torch.randint(len(copies.error), (n_copies,), generator=generator, device=device)
            batch = Samples(*(torch.cat(pair) for pair in zip(batch, copies.at(index), strict=True)))
        loss = code_length(net(batch.features), *batch[1:]).mean()
        if not torch.isfinite(loss):
            raise ConfigError(f"step {step}: expected a finite loss, found {loss.item()}; try a smaller lr")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        net.project()
        keep = min(KEEP, (step - 1) / (step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - keep)
        total += loss.item()
        if step % config.validate_every == 0 or step == config.steps:
            held_out = [bits_per_sample(average, seen, device) for seen in validation.values()]
            since = step % config.validate_every or config.validate_every
            rows.append([step, time.perf_counter() - started, total / since, np.mean(held_out) if held_out else ""])
            total = 0.0
            _write_log(folder, rows)
    average.project()
    return average


def _is_learnt(parameter: torch.nn.Parameter) -> bool:
    return parameter.requires_grad


def _start(config: AxTrainConfig, path: str) -> dict[str, np.ndarray]:
    weights = load_weights(expand(path))
    if weights.family != "lhic-ax" or weights.config != config.architecture().to_dict():
        raise CheckpointError(f"{path}: expected weights of the configured model, found others")
    return weights.tensors


@torch.no_grad()
def bits_per_sample(net: AxNet, seen: Observations, device: torch.device) -> float:
    """Ideal code length of a cube from its observations: without side information, over all its samples."""
    total = 0.0
    for start in range(0, len(seen.error), BATCH_OF_EVALUATION):
        part = slice(start, start + BATCH_OF_EVALUATION)
        features, *known = (torch.from_numpy(field[part]).to(device) for field in seen[:5])
        total += code_length(net(features), *known).double().sum().item()
    return total / len(seen.error) * seen.share


def _write_log(folder: Path, rows: list) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", "seconds", "train_bits", "validation_bps"))
    writer.writerows([[f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows])
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "log.csv", overwrite=True) as file:
        file.write(text.getvalue().encode())
