"""Recurrent spectral features: the network of lhic-ax with a state that goes along the bands at each pixel.

An ablation, no part of the codec.  A small GRU reads what is known of a plane at a pixel once that is decoded; its
state is one more input of the network in the next plane.  Trained by backpropagation through windows of planes; with
0 states it is the plain network, trained in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import Observations
from lhic.families.ax.spec import FEATURE_BITS, n_features
from lhic.train.ax.config import AxTrainConfig
from lhic.train.ax.network import AxNet, code_length

PLANES = 64  # of a window
N_KNOWN = 4
PIXELS_AT_ONCE = 64


class Columns(NamedTuple):
    """Spectra of a cube, as tensors.

    features : int8 (P, n, F);  known : float32 (4, P, n), error, below, above, repeat (`Observations`)
    share : see `Observations`
    """

    features: Tensor
    known: Tensor
    share: float

    def at(self, planes: slice, pixels: Tensor | slice) -> Columns:
        return Columns(self.features[planes, pixels], self.known[:, planes, pixels], self.share)


def columns_of(seen: Observations, n_planes: int) -> Columns:
    """Of observations of whole spectra."""
    features = torch.from_numpy(seen.features).reshape(n_planes, -1, seen.features.shape[1])
    known = torch.from_numpy(np.stack(seen[1:5])).reshape(4, n_planes, -1)
    return Columns(features, known, seen.share)


class RecurrentNet(nn.Module):
    """`n_states` : numbers that are remembered of a pixel, 0: none."""

    def __init__(self, config: AxConfig, n_states: int):
        super().__init__()
        self.net, self.n_states = AxNet(config), n_states
        if n_states:
            inputs = n_features(len(config.experts()))
            self.gru = nn.GRU(N_KNOWN, n_states)
            self.net.hidden[0] = nn.Linear(inputs + n_states, config.width)
            self.net.project()

    def forward(self, columns: Columns) -> Tensor:
        """Ideal bits (P n,)."""
        inputs = columns.features.float()
        if self.n_states:
            states = self.gru(self._known(columns))[0]
            before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
            inputs = torch.cat([inputs, before * 2**FEATURE_BITS], 2)
        return code_length(self.net(inputs.flatten(0, 1)), *columns.known.flatten(1))

    def _known(self, columns: Columns) -> Tensor:
        """What a decoder knows of a plane (P, n, N_KNOWN): error in two measures, its scale, the repeat's weight."""
        error, below, above, repeat = columns.known
        level = torch.log2(below.clamp(max=1e3) + above.clamp(max=1e3)) / 4  # of a level's size: the scale
        sizes = torch.log2(error.abs() + 1 / 16)
        return torch.stack([error.clamp(-8, 8) / 2, sizes, level, repeat], 2)

    def macs(self) -> int:
        """Multiply-accumulates of a sample."""
        return sum(p.numel() for name, p in self.named_parameters() if "weight" in name)


def fit_columns(training: AxTrainConfig, cubes: list[Columns], n_states: int) -> RecurrentNet:
    """Train on windows of planes of random pixels."""
    torch.manual_seed(training.seed)
    net = RecurrentNet(training.architecture(), n_states)
    optimiser = torch.optim.AdamW(net.parameters(), lr=training.lr, weight_decay=training.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.lr, total_steps=training.steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(training.seed)
    n_pixels = max(training.batch // PLANES // len(cubes), 1)
    for _ in range(training.steps):
        parts = []
        for cube in cubes:
            first = int(torch.randint(max(len(cube.features) - PLANES, 0) + 1, (), generator=generator))
            pixels = torch.randint(cube.features.shape[1], (n_pixels,), generator=generator)
            parts.append(cube.at(slice(first, first + PLANES), pixels))
        shortest = min(len(part.features) for part in parts)
        parts = [part.at(slice(shortest), slice(None)) for part in parts]
        batch = Columns(torch.cat([p.features for p in parts], 1), torch.cat([p.known for p in parts], 2), 1.0)
        optimiser.zero_grad(set_to_none=True)
        net(batch).mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        net.net.project()
    return net


@torch.no_grad()
def bits_of_columns(net: RecurrentNet, columns: Columns) -> float:
    """Ideal code length of a cube from some of its spectra, over all its samples."""
    n = columns.features.shape[1]
    parts = [slice(start, start + PIXELS_AT_ONCE) for start in range(0, n, PIXELS_AT_ONCE)]
    total = sum(net(columns.at(slice(None), part)).double().sum().item() for part in parts)
    return total / columns.known[0].numel() * columns.share
