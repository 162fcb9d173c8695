"""PSCAM and ParamNet in coding order: each position's features are computed once, on its diagonal, for all tiles.

`spatial.Pscam` computes a whole band; a decoder has only the diagonals before the current one.  So the input of every
masked depthwise convolution is cached, and a diagonal reads its 28 causal taps from there.  This is the torch form, for
any device and for comparison; `wavefront_numba` is the fast one for CPUs.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from lhic.families.bp.layers import wsilu
from lhic.families.bp.order import diagonal_rows, n_diagonals
from lhic.families.bp.recurrent import BandConditions, joined
from lhic.families.bp.spatial import Pscam

TAPS_3X3 = ((0, 0), (0, 1), (1, 0))  # NW, N, W: what the input mask leaves
TAPS_7X7 = tuple((r, c) for r in range(7) for c in range(7 - r))


class WavefrontPscam:
    """Spatial features of one diagonal after the other, from cached features of the earlier ones."""

    def __init__(self, net: Pscam, shape: tuple[int, int, int]):
        """shape : (N, H, W) of a band"""
        self.net = net
        self.shape = n, h, w = shape
        weight = net.conv_in.weight
        # Kept from band to band: every tap that is read has been written anew by then, or is padding and stays 0.
        self.samples = weight.new_zeros(n, (h + 2) * (w + 2))  # with the zero padding of a 3x3 kernel
        features = weight.shape[0]
        self.caches = [weight.new_zeros(n, (h + 6) * (w + 6), features) for _ in net.spatial_mix]

    @cached_property
    def _diagonals(self):
        """Per diagonal: flat positions in a band, in `samples` and in the caches, and the taps' positions in both."""
        _, h, w = self.shape
        device = self.samples.device
        small = torch.tensor([r * (w + 2) + c for r, c in TAPS_3X3], device=device)
        large = torch.tensor([r * (w + 6) + c for r, c in TAPS_7X7], device=device)
        found = []
        for diagonal in range(n_diagonals(h, w)):
            rows = torch.arange(*diagonal_rows(diagonal, h, w), device=device)
            columns = diagonal - rows
            corner3, corner7 = rows * (w + 2) + columns, rows * (w + 6) + columns
            found.append(
                (
                    rows * w + columns,
                    corner3 + (w + 2) + 1,
                    corner7 + 3 * (w + 6) + 3,
                    corner3[:, None] + small,
                    corner7[:, None] + large,
                )
            )
        return found

    @cached_property
    def _kernels(self):
        """Kept taps of every masked kernel, taps first."""
        pick3 = tuple(zip(*TAPS_3X3))
        pick7 = tuple(zip(*TAPS_7X7))
        conv_in = self.net.conv_in
        blocks = [
            (block.MCG.conv_1.depthwise.weight * block.MCG.conv_1.mask)[:, 0][:, pick7[0], pick7[1]].T.contiguous()
            for block in self.net.spatial_mix
        ]
        return (conv_in.weight * conv_in.mask)[:, 0][:, pick3[0], pick3[1]].T.contiguous(), blocks

    def positions(self, diagonal: int) -> Tensor:
        """Flat positions of the diagonal in a band, top row first."""
        return self._diagonals[diagonal][0]

    def features(self, diagonal: int) -> Tensor:
        """(N, n, F) at the diagonal's n positions; the diagonals before must have been `put`."""
        _, _, centre7, taps3, taps7 = self._diagonals[diagonal]
        kernel3, kernels7 = self._kernels
        x = self.samples[:, taps3] @ kernel3 + self.net.conv_in.bias
        for block, cache, kernel in zip(self.net.spatial_mix, self.caches, kernels7, strict=True):
            unit = block.MCG
            normed = block.norm1(x)
            cache[:, centre7] = _pointwise(unit.conv_in, normed)
            mixed = (cache[:, taps7] * kernel).sum(dim=2) + unit.conv_1.depthwise.bias
            x = x + _pointwise(unit.conv_out, wsilu(mixed) * _pointwise(unit.skip, normed))
            x = x + block.convs(block.norm2(x))
        return x

    def put(self, diagonal: int, unit: Tensor) -> None:
        """Store the diagonal's samples (N, n) in [-1, 1] once they are known."""
        self.samples[:, self._diagonals[diagonal][1]] = unit


class WavefrontMixture:
    """Mixture parameters of one diagonal after the other: the torch engine's inner half."""

    def __init__(self, net, shape: tuple[int, int, int], plane: Tensor | None):
        self.conditions = BandConditions(net, shape, plane)
        self.pscam = WavefrontPscam(net.spatial_net, shape)

    def start_band(self, previous: Tensor | None) -> None:
        """previous : (N, H, W) in [-1, 1], the band before, or None at band 0"""
        self.features = [None if f is None else f.flatten(2) for f in self.conditions.next(previous)]

    def parameters(self, diagonal: int) -> Tensor:
        """(N, n, 3 K): means, log-scales and logits at the diagonal's positions."""
        at = self.pscam.positions(diagonal)
        spatial = self.pscam.features(diagonal).transpose(1, 2)  # (N, F, n)
        plane, spectral = (None if f is None else f[:, :, at] for f in self.features)
        features = joined(plane, spatial, spectral)
        return self.conditions.head()(features[..., None])[..., 0].transpose(1, 2)


def _pointwise(conv, x: Tensor) -> Tensor:
    """A 1x1 convolution on features-last data."""
    return F.linear(x, conv.weight[:, :, 0, 0], conv.bias)
