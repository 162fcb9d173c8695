"""What experiments with ideas of other learned codecs share: tiles, contexts, training alike, a check by real coding.

All networks here are small and look at neighbours through differences, in units of how much these vary; what they are
given differs, how they are trained and tested does not.  Tiles are runs of bands; a run's first band counts as known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

import lhic
from benchmarks.experiments.runs import origin
from lhic.coder import RansDecoder, RansEncoder, cdf_from_weights
from lhic.data import open_dataset
from lhic.errors import VerificationError
from lhic.train.config import AugmentConfig, BatchConfig
from lhic.train.sampler import CubeCache, TileSampler, lift

ROOT = Path("../shared/data/cubes")
UNSEEN = ("abu_airport_2", "abu_urban_5", "enmap_hyspecnet_dt4950_X04390566")
LEFT_OUT = (*UNSEEN, "enmap_potsdam_C_full224", "neon_sjer")
TEST = {"AVIRIS (abu_airport_2)": "abu_airport_2", "EnMAP (bundled patch)": "enmap_hyspecnet_dt4950_X04390566"}
N_BANDS = 17  # of a run: the known one and sixteen that are coded
TILE = 32
MAX_VALUE = 10_000
TRAINED = 16  # rows and columns of a tile that a step sees
LEARNING_RATE = 0.003
PRECISION = 24
CHECKED = 10  # rows and columns of the band that is coded in earnest

NEAR = [(r, c) for r in range(-2, 3) for c in range(-2, 3) if (r, c) != (0, 0)]
CAUSAL = [(r, c) for r, c in NEAR if r < 0 or (r == 0 and c < 0)]
CLOSE = [(r, c) for r, c in NEAR if max(abs(r), abs(c)) == 1]
W, N, NW, NE = (0, -1), (-1, 0), (-1, -1), (-1, 1)
FOUR = [W, N, NW, NE]


def at(framed: Tensor, offset: tuple[int, int]) -> Tensor:
    """Neighbours of all samples of images (..., H + 4, W + 4) with a frame of two."""
    h, w = framed.shape[-2] - 4, framed.shape[-1] - 4
    return framed[..., 2 + offset[0] : 2 + offset[0] + h, 2 + offset[1] : 2 + offset[1] + w]


def frame(images: Tensor) -> Tensor:
    """Images (N, S, H, W) whose edges are repeated twice."""
    return F.pad(images, (2, 2, 2, 2), mode="replicate")


def framed_by(images: Tensor, previous: Tensor) -> Tensor:
    """As `frame`, but outside of the tile the band before stands in: what nobody knows yet is not repeated."""
    framed = frame(previous).clone()
    framed[..., 2:-2, 2:-2] = images
    return framed


def squashed(features: list[Tensor]) -> Tensor:
    """Features (N, S, H, W) side by side, (N, S, H, W, C); large ones grow as their logarithm."""
    return torch.asinh(torch.stack(features, dim=-1))


def mlp(n_in: int, width: int, n_out: int) -> nn.Sequential:
    """Two hidden layers; says nothing at first."""
    net = nn.Sequential(nn.Linear(n_in, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, n_out))
    nn.init.zeros_(net[4].weight)
    nn.init.zeros_(net[4].bias)
    return net


def multiplications(net: nn.Module) -> int:
    """Of a sample: each weight of a layer counts once."""
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    return sum(layer.weight.numel() for layer in net.modules() if isinstance(layer, kinds))


def causal_context(now: Tensor, before: Tensor) -> tuple[list[Tensor], Tensor, Tensor, list[Tensor]]:
    """What is known when samples are coded one after the other.

    now, before : (N, S, H, W), the bands and those before them, in sample units

    Returns
    -------
    features, the prediction they are relative to, the spread they are divided by, and five predictions.
    """
    current, previous = framed_by(now, before), frame(before)
    around = [at(current, offset) - at(previous, offset) for offset in FOUR]
    shift = torch.stack(around).mean(0)
    spread = 0.5 + torch.stack([(one - shift).abs() for one in around]).mean(0)
    prediction = before + shift
    west, north, corner = (at(current, offset) for offset in (W, N, NW))
    experts = [west, north, west + north - corner, before + around[0], prediction]
    features = [(at(current, offset) - prediction) / spread for offset in CAUSAL]
    features += [(at(previous, offset) - before) / spread for offset in NEAR]
    features += [(expert - prediction) / spread for expert in experts[:4]]
    return [*features, torch.log(spread)], prediction, spread, experts


N_CAUSAL = len(CAUSAL) + len(NEAR) + 4 + 1


def trained(model: nn.Module, steps: int, seed: int = 1) -> float:
    """Train a model that has ``bits(tiles)``, mean bits per sample; returns the seconds it took."""
    cubes = [item for item in open_dataset("corpus", ROOT) if item.name not in LEFT_OUT]
    batch = BatchConfig(tile_bands=N_BANDS, run_bands=(N_BANDS,), first_band=0.1)
    augment = AugmentConfig(dark=0.4, clipped=0.2, noise=(1.0, 60.0))
    sampler = TileSampler(CubeCache(cubes, TILE, 2048), batch, augment, TILE, MAX_VALUE, seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    started = time.process_time()
    for step in tqdm(range(steps), desc=type(model).__name__, unit="step", mininterval=5):
        loss = model.bits(torch.from_numpy(sampler(step)[0][..., :TRAINED, :TRAINED]).float())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return time.process_time() - started


def tiles_of(name: str) -> Tensor:
    """Runs (N, 17, 32, 32) from the middle of a cube, all of its bands but the last few, lifted as the codec does."""
    cube = lhic.load_cube(ROOT / f"{name}.npy")
    cube = lift(cube.astype(np.int32), MAX_VALUE)
    row, column = ((n - TILE) // 2 for n in cube.shape[1:])
    middle = cube[:, row : row + TILE, column : column + TILE]
    starts = range(0, len(cube) - N_BANDS + 1, N_BANDS - 1)
    return torch.from_numpy(np.stack([middle[start : start + N_BANDS] for start in starts])).float()


@torch.no_grad()
def tested(model: nn.Module, name: str) -> float:
    """Mean ideal bits per sample of `tiles_of`."""
    return float(np.mean([float(model.bits(tile[None])) for tile in tiles_of(name)]))


def row_of(name: str, model: nn.Module, seconds: float) -> dict:
    """A row: ideal bits of each test cube, and of one small band what the real coder takes beside the ideal."""
    bits = {label: tested(model, cube) for label, cube in TEST.items()}
    coded, ideal = model.checked(tiles_of("abu_airport_2")[4:5, :, :CHECKED, :CHECKED])
    row = {"name": name, **bits, "multiplications": multiplications(model), "coded_bits": coded, "ideal_bits": ideal}
    return row | {"training_cpu_seconds": seconds} | origin()


def table_of(rows: list[dict], columns: list[str]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: the first row is what the others are compared with, in percent."""
    lines = []
    for row in rows:
        line = [row["name"]]
        for column in columns:
            line += [f"{row[column]:.3f}", f"{100 * (row[column] / rows[0][column] - 1):+.1f} %"]
        check = f"{row['coded_bits']:,.0f} / {row['ideal_bits']:,.0f}" if row["coded_bits"] else "–"
        lines.append([*line, f"{row['multiplications']:,}", check])
    head = ["variant", *[part for column in columns for part in (column, "")], "MACs", "coded / ideal bits"]
    return head, lines


# --- real coding ------------------------------------------------------------------------------------------------------


def code_in_turn(
    probabilities: Callable[[Tensor], Callable[[tuple], Tensor]], symbols: Tensor, order: list[tuple]
) -> tuple[int, float]:
    """Code symbols with the coder of lhic and decode them again; returns bits of the section and ideal bits.

    probabilities : of symbols (...) makes a function from an index to the probabilities (A,) of the symbol there, for
        which only symbols earlier in `order` may count
    order : indices, all symbols once

    The encoder asks for all probabilities at once, the decoder with what it has decoded so far: a model that looks
    ahead decodes something else.

    Raises
    ------
    VerificationError
        Something else was decoded.
    """
    encoder, ideal, found = RansEncoder(1, PRECISION), 0.0, probabilities(symbols)
    for index in order:
        cdf, symbol = _cdf(found(index)), int(symbols[index])
        start, end = int(cdf[symbol]), int(cdf[symbol + 1])
        encoder.push(np.array([start]), np.array([end - start]))
        ideal -= float(torch.log2(found(index)[symbol].clamp(min=2.0**-PRECISION)))  # the coder spends no more
    section = encoder.finish()
    decoder, decoded = RansDecoder(section, 1, PRECISION), torch.zeros_like(symbols)
    for index in order:
        cdf = _cdf(probabilities(decoded)(index))
        symbol = int(np.searchsorted(cdf, decoder.slots(1)[0], side="right")) - 1
        decoder.advance(np.array([int(cdf[symbol])]), np.array([int(cdf[symbol + 1]) - int(cdf[symbol])]))
        decoded[index] = symbol
    if not torch.equal(decoded, symbols):
        raise VerificationError("expected the symbols that were coded, found others decoded")
    decoder.finish()
    return 8 * len(section), ideal


def _cdf(probabilities: Tensor) -> np.ndarray:
    return cdf_from_weights((probabilities.numpy() * 2.0**20).astype(np.int64), PRECISION)


def raster(height: int, width: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(height) for column in range(width)]
