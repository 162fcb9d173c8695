"""The training loop of LHIC-BP: its two networks side by side, validated in the units of the result table.

Decides the order of things in a step, the schedule, when to validate and to save, and what a finished run
leaves behind.  The architecture is `lhic.families.bp`'s, the loss `loss`'s, the data `sampler`'s.  The
published training was AdamW at 1e-4 on HySpecNet's hard split (its code is not public); schedule, averaging
and augmentation are ours.

A run folder holds ``state.safetensors`` (to resume), ``log.csv``, ``curve.png`` and, at the end, the
weights.  Every step depends on nothing but the state and (seed, step), so on a CPU a resumed run gives the
same bits as one that was never stopped (same number of threads, same torch).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from lhic.data import Item
from lhic.errors import CheckpointError, ConfigError, DatasetError, UsageError
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.context import TileAttention
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.partition import alphabet_sizes, split
from lhic.families.registry import resolve_device
from lhic.families.weights import Weights, load_weights, save_weights
from lhic.train.checkpoint import TrainingState, load_state, optimiser_tensors, restore_optimiser, save_state
from lhic.train.config import OptimiserConfig, TrainConfig
from lhic.train.grow import grow
from lhic.train.log import Log
from lhic.train.loss import mixture_bits
from lhic.train.sampler import CubeCache, TileSampler, darken_copy, lift
from lhic.train.sources import cube_sha256, expand, open_sources
from lhic.train.start import start_as_predictor

TILE_SIZE = 32
STATE_FILE = "state.safetensors"
PLANES = ("msp", "lsp")
VALIDATION_SEED = 1  # not the run's, so that runs with other seeds are compared on the same tiles


class BothNets(nn.Module):
    """The networks of the two planes; parameter names are those of the weights file."""

    def __init__(self, config: LhicBpConfig):
        super().__init__()
        self.config = config
        self.msp = MspNet(config)
        self.lsp = LspNet(config)
        start_as_predictor(self.msp, self.lsp)

    def bits(self, plane: str, samples: Tensor, first_band: int | Tensor = 0) -> Tensor:
        """Mean ideal code length of one plane ("msp" or "lsp"), in bits per sample."""
        index = PLANES.index(plane)
        d = self.config.param_d
        symbols = split(samples, d)[index]
        alphabet_size = alphabet_sizes(self.config.max_value, d)[index]
        net = (self.msp, self.lsp)[index]
        mean, log_scale, logit = net(samples, first_band)
        return mixture_bits(mean, log_scale, logit, symbols, alphabet_size).mean()


@dataclass(frozen=True)
class TrainResult:
    """What a call of `train` achieved.  ``weights_path`` is None if the run is not finished."""

    steps: int
    validation: dict[str, float]
    weights_path: Path | None


def train(
    config: TrainConfig, device: str, folder: Path, progress: bool = True, stop_at: int | None = None
) -> TrainResult:
    """See `lhic.train.run`; `stop_at` ends the run early, as if it had been interrupted."""
    torch_device = torch.device(resolve_device(device))
    _set_threads(config.threads)
    sampler, validation = _open_data(config)
    folder.mkdir(parents=True, exist_ok=True)
    run_ = _Run(config, torch_device, folder)
    run_.resume()
    last_step = config.steps if stop_at is None else min(stop_at, config.steps)
    _loop(run_, sampler, validation, last_step, progress)
    return run_.finish()


def _open_data(config: TrainConfig) -> tuple[TileSampler, dict[str, list[np.ndarray]]]:
    max_value = _model_config(config).max_value
    train_items = open_sources(config.train)
    held_out = open_sources(config.validation)
    shared = {item.path for item in train_items} & {item.path for item in held_out}
    if shared:
        raise ConfigError(f"{min(shared)}: expected in `train` or in `validation`, found in both")
    cubes = CubeCache(train_items, TILE_SIZE, config.cache_mib)
    sampler = TileSampler(cubes, config.batch, config.augment, TILE_SIZE, max_value, config.seed)
    return sampler, validation_tiles(held_out, config, max_value)


def validation_tiles(items: list[Item], config: TrainConfig, max_value: int) -> dict[str, list[np.ndarray]]:
    """Fixed tiles (S, rows, columns) with all bands: "validation" as they are, "dark" turned dark and noisy.

    Tiles are taken from evenly spread cubes at evenly spread places, the same ones for the same
    configuration, whatever its seed.
    """
    chosen = np.linspace(0, len(items) - 1, config.validation_tiles).round().astype(int)
    rng = np.random.default_rng(VALIDATION_SEED)
    plain, dark = [], []
    for number, index in enumerate(chosen):
        cube = items[index].load()
        if min(cube.shape[1:]) < TILE_SIZE:
            raise DatasetError(f"{items[index].path}: expected {TILE_SIZE} rows and columns, found {cube.shape}")
        row, column = (int(rng.integers(n - TILE_SIZE + 1)) for n in cube.shape[1:])
        tile = cube[:, row : row + TILE_SIZE, column : column + TILE_SIZE]
        plain.append(lift(tile.astype(np.int32), max_value, -min(0, int(cube.min())) + min(0, int(tile.min()))))
        night = darken_copy(tile, config.augment, VALIDATION_SEED + number)
        # Every other one clipped: both kinds of coding are to be reported on.
        dark.append(night.clip(0, max_value) if number % 2 else lift(night, max_value))
    return {"validation": plain, "dark": dark} if config.augment.dark else {"validation": plain}


class _Run:
    """State of a run: networks, averaged networks, optimiser, log and counters."""

    def __init__(self, config: TrainConfig, device: torch.device, folder: Path):
        self.config, self.device, self.folder = config, device, folder
        torch.manual_seed(config.seed)
        self.nets = BothNets(_model_config(config)).to(device)
        if config.start_from is not None:
            load_start(self.nets, config.start_from)
        self.average = BothNets(_model_config(config)).to(device)
        self.average.load_state_dict(self.nets.state_dict())
        self.average.requires_grad_(False).eval()
        if config.freeze_attention:
            freeze_attention(self.nets)
        self.parameters = {n: p for n, p in self.nets.named_parameters() if p.requires_grad}
        o = config.optimiser
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=o.lr, betas=o.betas, weight_decay=o.weight_decay, foreach=True
        )
        self._threads = ThreadPoolExecutor(len(PLANES), initializer=_set_up_thread, initargs=(config.threads,))
        self.log = Log(folder)
        self.step = 0
        self.seconds = 0.0
        self.validation: dict[str, float] = {}
        self.window = torch.zeros(3, dtype=torch.float64)  # bits of msp and lsp, and batches, since the last row

    def for_each_plane(self, function: Callable[[str], float]) -> list[float]:
        """Results for msp and lsp. The networks share nothing, so on a CPU both are worked on at once."""
        if self.device.type == "cpu":
            return list(self._threads.map(function, PLANES))
        return [function(plane) for plane in PLANES]

    @property
    def state_path(self) -> Path:
        return self.folder / STATE_FILE

    def resume(self) -> None:
        if not self.state_path.exists():
            return
        state = load_state(self.state_path)
        found = state.note.get("config")
        expected = self.config.to_json()
        if found != expected:
            keys = [k for k in expected if not isinstance(found, dict) or found.get(k) != expected[k]]
            raise CheckpointError(
                f"{self.state_path}: expected the state of this configuration, found one with another "
                f"{', '.join(keys)}; choose another run folder or remove the file"
            )
        self.nets.load_state_dict(state.group("weights"))
        self.average.load_state_dict(state.group("average"))
        self.step = state.note["step"]
        self.seconds = state.note["seconds"]
        self.validation = state.note["validation"]
        self.window = torch.tensor(state.note["window"], dtype=torch.float64)
        restore_optimiser(self.optimiser, self.parameters, state)
        self.log.resume(self.step)

    def save(self) -> None:
        tensors = {f"weights/{n}": t for n, t in self.nets.state_dict().items()}
        tensors |= {f"average/{n}": t for n, t in self.average.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser, self.parameters)
        note = {
            "config": self.config.to_json(),
            "step": self.step,
            "seconds": self.seconds,
            "validation": self.validation,
            "window": self.window.tolist(),
        }
        save_state(self.state_path, TrainingState(tensors, note))

    def finish(self) -> TrainResult:
        """Save the state and, at the last step, the weights to ship."""
        self.save()
        if self.step < self.config.steps:
            return TrainResult(self.step, self.validation, None)
        path = self.folder / f"{self.config.name}.safetensors"
        save_weights(path, self.weights(), overwrite=True)
        return TrainResult(self.step, self.validation, path)

    def weights(self) -> Weights:
        """The averaged networks as they are shipped."""
        tensors = {name: t.detach().cpu().numpy() for name, t in self.average.state_dict().items()}
        info = {
            "training": self.config.to_json(),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "device": self.device.type,
            "torch": torch.__version__,
            "validation_bps": self.validation,
        }
        cubes = training_cubes(self.config)
        info |= {} if cubes is None else {"training_cubes": cubes}
        return Weights(self.config.name, self.config.family, self.average.config.to_dict(), tensors, info)


def _loop(run_: _Run, sampler: TileSampler, validation: dict, last_step: int, progress: bool) -> None:
    config = run_.config
    batches = sampler.stream(run_.step, config.workers)
    bar = tqdm(total=config.steps, initial=run_.step, desc=config.name, unit="step", disable=not progress)
    try:
        with bar:
            while run_.step < last_step:
                start = time.perf_counter()
                _step(run_, *next(batches))
                if run_.step % config.validate_every == 0 or run_.step == config.steps:
                    _report(run_, validation, time.perf_counter() - start, bar)
                run_.seconds += time.perf_counter() - start
                if run_.step % config.checkpoint_every == 0:
                    run_.save()
                bar.update()
    finally:  # an interrupt may fall into the middle of a step, so nothing is saved here
        batches.close()


def _step(run_: _Run, tiles: np.ndarray, first_bands: np.ndarray) -> None:
    o = run_.config.optimiser
    for group in run_.optimiser.param_groups:
        group["lr"] = learning_rate(o, run_.step, run_.config.steps)
    samples, first_bands = (torch.from_numpy(a).to(run_.device) for a in (tiles, first_bands))
    # None, not zero: a parameter that a short run does not reach keeps its moments, resumed or not.
    run_.optimiser.zero_grad(set_to_none=True)
    bits = run_.for_each_plane(lambda plane: _backward(run_, plane, samples, first_bands))
    if not math.isfinite(sum(bits)):
        raise ConfigError(f"step {run_.step + 1}: expected a finite loss, found {bits}; try a smaller optimiser.lr")
    run_.optimiser.step()
    run_.step += 1
    update_average(run_.average, run_.nets, average_decay(o.ema_decay, run_.step))
    run_.window += torch.tensor([*bits, 1.0], dtype=torch.float64)


def _backward(run_: _Run, plane: str, samples: Tensor, first_bands: Tensor) -> float:
    """Gradients of one plane's network, clipped. Returns its loss in bits per sample."""
    with _autocast(run_):
        loss = run_.nets.bits(plane, samples, first_bands)
    loss.backward()
    nn.utils.clip_grad_norm_(getattr(run_.nets, plane).parameters(), run_.config.optimiser.clip_norm)
    return float(loss.detach())


def _report(run_: _Run, validation: dict, seconds: float, bar: tqdm) -> None:
    """Validate, log, and forget the training window."""
    run_.validation = validate(run_.average, validation, run_.device, run_.for_each_plane)
    msp, lsp = (run_.window[:2] / run_.window[2]).tolist()
    row = {
        "step": run_.step,
        "seconds": run_.seconds + seconds,
        "lr": learning_rate(run_.config.optimiser, run_.step - 1, run_.config.steps),
        "train_msp_bps": msp,
        "train_lsp_bps": lsp,
        "train_bps": msp + lsp,
    }
    for kind in ("validation", "dark"):
        for plane in ("_msp_bps", "_lsp_bps", "_bps"):
            row[kind + plane] = run_.validation.get(kind + plane)
    run_.log.add(row)
    run_.window.zero_()
    bar.set_postfix(train=f"{msp + lsp:.3f}", held_out=f"{run_.validation['validation_bps']:.3f}")


def validate(
    nets: BothNets, tiles: dict[str, list[np.ndarray]], device: torch.device, for_each_plane: Callable
) -> dict[str, float]:
    """Mean ideal bits per sample of each kind of tile, all bands in order from the first: what coding would give."""

    @torch.no_grad()  # here, because every thread has its own gradient mode
    def total_bits(plane: str, arrays: list[np.ndarray]) -> float:
        return sum(float(nets.bits(plane, torch.from_numpy(a[None]).to(device))) * a.size for a in arrays)

    result: dict[str, float] = {}
    for kind, arrays in tiles.items():
        n_samples = sum(a.size for a in arrays)
        totals = for_each_plane(lambda plane, arrays=arrays: total_bits(plane, arrays))
        msp, lsp = (total / n_samples for total in totals)
        result |= {f"{kind}_msp_bps": msp, f"{kind}_lsp_bps": lsp, f"{kind}_bps": msp + lsp}
    return result


def learning_rate(config: OptimiserConfig, step: int, n_steps: int) -> float:
    """Rate of a step: linear warm-up, then constant or half a cosine down to nothing.

    >>> learning_rate(OptimiserConfig(lr=1.0, schedule="cosine"), 500, 1000)
    0.5
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    decay = 0.5 * (1 + math.cos(math.pi * step / n_steps)) if config.schedule == "cosine" else 1.0
    return config.lr * warmup * decay


def average_decay(decay: float, step: int) -> float:
    """Decay of the running average; less at the start, so that the first weights do not linger."""
    return min(decay, (step - 1) / (step + 9))


@torch.no_grad()
def update_average(average: nn.Module, nets: nn.Module, decay: float) -> None:
    """Move the averaged parameters towards the current ones."""
    targets, sources = list(average.parameters()), list(nets.parameters())
    torch._foreach_lerp_(targets, sources, 1 - decay)


def training_cubes(config: TrainConfig) -> list[str] | None:
    """SHA-256 of the cubes that a run's weights have seen, those of the weights it started from included.

    None where that is not known, or where they are patches by the thousand.
    """
    before: list[str] | None = []
    if config.start_from is not None:
        before = load_weights(expand(config.start_from)).info.get("training_cubes")
    if before is None or any(source.kind != "corpus" for source in config.train):
        return None
    return sorted({*before, *(cube_sha256(item.load()) for item in open_sources(config.train))})


def load_start(nets: BothNets, path: str) -> None:
    """Overwrite the networks' parameters with those of a weights file of the same architecture, or grow from it."""
    weights = load_weights(expand(path))
    tensors = {name: torch.from_numpy(tensor) for name, tensor in weights.tensors.items()}
    if weights.config != nets.config.to_dict():
        try:
            tensors = grow(tensors, LhicBpConfig.from_dict(weights.config), nets.state_dict(), nets.config)
        except (CheckpointError, ConfigError) as error:
            raise CheckpointError(f"{path}: {error}") from error
    nets.load_state_dict(tensors)


def freeze_attention(nets: nn.Module) -> None:
    """Leave every attention block at its initial state, in which it adds exactly nothing and can be skipped."""
    for module in nets.modules():
        if isinstance(module, TileAttention):
            module.requires_grad_(False)


def _set_threads(n_threads: int) -> None:
    if n_threads:
        torch.set_num_threads(n_threads)


def _set_up_thread(n_threads: int) -> None:
    """A thread that works on one plane."""
    _set_threads(n_threads)
    # Branches that start at zero give gradients below 1e-38, with which the CPU takes ten times as long.
    torch.set_flush_denormal(True)


def _autocast(run_: _Run):
    if run_.device.type != "cuda":
        return nullcontext()
    torch.set_float32_matmul_precision("high")  # TF32
    torch.backends.cudnn.allow_tf32 = True
    return torch.autocast("cuda", torch.bfloat16) if run_.config.precision == "bf16" else nullcontext()


def _model_config(config: TrainConfig) -> LhicBpConfig:
    if config.family != "lhic-bp":
        raise UsageError(f"family: expected lhic-bp, found {config.family!r}")
    model = LhicBpConfig.from_dict(config.model)
    if model.other:
        raise ConfigError(f"model: unknown key {', '.join(sorted(model.other))}")
    return model
