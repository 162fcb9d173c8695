"""What lhic-ax does with a cube, laid open: for every coded sample its bits, the blend of the experts and the mixture.

What a sample costs is the ideal code length under the network's mixture, which the stream exceeds by its header, the
side information and the coder's rounding, and undercuts by what the
network learns while it codes.  Source of every definition: docs/format_lhic_ax.md.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import torch

from lhic.errors import UsageError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.planes.tile import planes_of
from lhic.families.ax.spec import MAX_BELOW, POWER_TABLE
from lhic.families.registry import find_weights
from lhic.families.weights import load_weights
from lhic.train.ax.network import AxNet, code_length

AT_ONCE = 1 << 15  # samples shown to the network together
MAX_PIXELS = 1 << 15  # of a tile; `observe` takes a cube as one


class View(NamedTuple):
    """n coded samples of a cube in the order of its planes, as a model sees them.

    experts : names of the E experts
    band : int64 (n,)
    bits : float64 (n,), ideal code length
    blend : float64 (n, E), weight of each expert in the base prediction; rows add up to 1
    mean, scale : float32 (n, K), in expected errors, in octaves around it
    weight : float32 (n, K + 1), adding up to 1; the last is that of the candidate for a repeat
    """

    experts: tuple[str, ...]
    band: np.ndarray
    bits: np.ndarray
    blend: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray


def load_net(model: str | os.PathLike) -> AxNet:
    """A model's network as training has it: on the grids of the integer network, so its sums are the coder's.

    Raises
    ------
    UsageError
        No such weights, or weights of another family.
    """
    found = load_weights(find_weights(model))
    if found.family != "lhic-ax":
        raise UsageError(f"{model}: expected weights of the family lhic-ax, found {found.family}")
    net = AxNet(AxConfig.from_dict(found.config))
    net.set_tensors(found.tensors)
    return net


@torch.no_grad()
def view(cube: np.ndarray, model: str | os.PathLike) -> View:
    """Every coded sample of a cube of at most 2^15 pixels.

    Raises
    ------
    UsageError
        Weights of another family, or a larger cube.
    """
    net = load_net(model)
    if cube.shape[1] * cube.shape[2] > MAX_PIXELS:
        raise UsageError(f"cube: expected at most {MAX_PIXELS} pixels, found {cube.shape[1]} x {cube.shape[2]}")
    planes = planes_of(cube)
    seen = observe(cube, net.config, cube.size * 2, np.random.default_rng(0))  # a band of 32 bits has two planes
    band = np.repeat(np.asarray(planes.band, np.int64), int((~planes.mask).sum()))
    parts = [_bits_and_mixture(net, seen, slice(n, n + AT_ONCE)) for n in range(0, len(band), AT_ONCE)]
    bits, mean, scale, weight = (np.concatenate(found) for found in zip(*parts, strict=True))
    return View(_experts(net.config), band, bits, _blend(seen.features, net.config), mean, scale, weight)


def _experts(config: AxConfig) -> tuple[str, ...]:
    """Those that a configuration has, in the network's order."""
    sizes = {
        "detail": config.detail_planes,
        "long": config.sample_planes,
        "spatial": config.spatial_neighbours,
        "short": config.short_planes,
    }
    return tuple(name for name, size in sizes.items() if size)


def _bits_and_mixture(net: AxNet, seen: Observations, part: slice) -> tuple[np.ndarray, ...]:
    features, *known = (torch.from_numpy(field[part]) for field in seen[:5])
    mean, scale, logit = net(features)
    bits = code_length((mean, scale, logit), *known).double()
    repeat = known[-1].abs()[:, None]
    weight = torch.softmax(logit * np.log(2.0), 1) * (1 - repeat)
    return tuple(found.numpy() for found in (bits, mean, scale, torch.cat([weight, repeat], 1)))


def _blend(features: np.ndarray, config: AxConfig) -> np.ndarray:
    """Blend weights (n, E) from the features that say how wrong each expert was around, and in the plane so far.

    They are 16 log2 of those errors over others, so their differences are what the blend is made of, as long as
    none is clipped: errors of 256 times the expected one, whose weight is next to nothing.
    """
    n_experts = len(config.experts())
    near, in_plane = (features[:, k * n_experts : (k + 1) * n_experts].astype(np.int64) for k in (1, 2))
    cost = 2 * near + config.blend * in_plane
    power = POWER_TABLE[np.minimum(cost - cost.min(axis=1, keepdims=True), MAX_BELOW)]
    return power / power.sum(axis=1, keepdims=True)
