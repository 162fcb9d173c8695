"""Wider and deeper networks that say at first exactly what trained smaller ones say.

Decides initial parameters only.  A feature of the small network becomes several equal copies (Chen, Goodfellow and
Shlens, Net2Net, 2016), so means and variances of LayerNorm and GroupNorm stay what they were.  What reads a feature
spreads its weight over the copies unevenly, with sum 1, so that the copies get different gradients and part.  Blocks
the small network lacks add nothing at first.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from lhic.errors import CheckpointError
from lhic.families.bp.config import LhicBpConfig

SPREAD = 0.3  # standard deviation of a copy's share around 1 / number of copies
# The last layers of the residual branches of a block.
BRANCH_ENDS = re.compile(
    r"(spatial_mix\.\d+\.(MCG\.conv_out|convs\.2)|spectral_mix\.\d+\.(att\.output|ffn\.value|spa\.1))\."
)
SAME_DEPTH = ("N_layers_context", "N_layers_plane", "N_layers_params")


def grow(small: dict[str, Tensor], small_config: LhicBpConfig, fresh: dict[str, Tensor], config: LhicBpConfig) -> dict:
    """Parameters of a network of `config` that computes what `small` does.

    Parameters
    ----------
    small : tensors of the trained networks, named ``msp.*`` and ``lsp.*``
    fresh : tensors of newly made networks of `config`; those that `small` lacks are kept
    small_config, config : widths of `config` are multiples of the small ones, spatial and spectral blocks as many or
        more, all else is equal

    Raises
    ------
    CheckpointError
        The small network is no part of the large one.
    """
    _check(small_config, config)
    random = torch.Generator().manual_seed(0)
    grown = {}
    for name, tensor in fresh.items():
        if name not in small:
            grown[name] = torch.zeros_like(tensor) if BRANCH_ENDS.search(name) else tensor
            continue
        old = small[name]
        for axis, size in enumerate(tensor.shape):
            if old.shape[axis] != size:
                old = _widen(name, old, axis, size, small_config, config, random)
        grown[name] = old
    return grown


def _check(small: LhicBpConfig, large: LhicBpConfig) -> None:
    for name, value in small.to_dict().items():
        wanted = getattr(large, name)
        if name.startswith("dim_"):
            fits = wanted % value == 0
        else:
            fits = wanted == value or (name.startswith("N_layers") and name not in SAME_DEPTH and wanted > value)
        if not fits:
            raise CheckpointError(f"{name}: expected a network that {value} can grow into, found {wanted}")
    joined = [c.dim_plane + c.dim_lsp_spatial == c.dim_params for c in (small, large)]
    joined += [c.dim_msp_spatial == c.dim_params for c in (small, large)]
    if joined[0] != joined[1] or joined[2] != joined[3]:
        raise CheckpointError("dim_params: expected an input layer of band 0 in both networks or in neither")


def _widen(name: str, old: Tensor, axis: int, size: int, small: LhicBpConfig, large: LhicBpConfig, random) -> Tensor:
    """One axis of a tensor: 0 is what a layer gives, 1 what it reads; the features of ``time_mix`` are axis 2."""
    if axis == 1 and "time_embed.0" in name:  # cosines, then sines; every so many frequencies are the small one's
        wide = old.new_zeros(len(old), 2, size // 2)
        wide[:, :, :: size // old.shape[1]] = old.view(len(old), 2, -1)
        return wide.flatten(1)
    index = _copies(_sources(name, axis, small) or [old.shape[axis]], _sources(name, axis, large) or [size])
    wide = old.index_select(axis, index)
    if axis == 0 and "qkv" in name:  # scores are divided by the root of the width, and sums over copies multiply them
        wide[: size // 3] *= (old.shape[0] / size) ** 0.5
    if axis != 1:
        return wide
    noise = SPREAD * torch.randn(wide.shape[:2], generator=random, dtype=old.dtype)
    shares = torch.empty_like(noise)
    for feature in range(old.shape[1]):
        copies = index == feature
        own = noise[:, copies]
        shares[:, copies] = 1 / int(copies.sum()) + own - own.mean(dim=1, keepdim=True)
    return wide * shares.view(*shares.shape, *[1] * (old.ndim - 2))


def _copies(old: list[int], new: list[int]) -> Tensor:
    """Which old feature each new one is a copy of; pairs of GroupNorm stay together."""
    begins = [sum(old[:i]) for i in range(len(old))]
    return torch.cat([begin + torch.arange(n) % o for begin, o, n in zip(begins, old, new, strict=True) if o])


def _sources(name: str, axis: int, c: LhicBpConfig) -> list[int]:
    """Widths of the feature maps that an axis joins; empty if it is one map."""
    plane, spatial, spectral = (c.dim_plane, c.dim_lsp_spatial, c.dim_lsp_spectral)
    if name.startswith("msp."):
        plane, spatial, spectral = 0, c.dim_msp_spatial, c.dim_msp_spectral
    if axis == 1 and "param_net.conv_in" in name:
        return [plane, spatial, spectral]
    if "param_l0" in name and ((axis == 1 and "conv_in" in name) or plane + spatial == c.dim_params):
        return [plane, spatial]
    width = plane if "plane_net" in name else spectral
    if "qkv" in name and axis == 0:
        return [width, width, width]
    reads = axis == 1 and ("in_layers.2" in name or "skip_connection" in name)
    if "output_blocks" in name and (reads or "in_layers.0" in name):
        return [width, width]
    return []
