"""ParamNet: from the joined features of a position to the parameters of its mixture of K logistics.

1x1 convolutions only, so it is evaluated wherever features are at hand: whole bands in training, single diagonals in
decoding.  Means are on the networks' scale [-1, 1] of the plane's symbols; scales are natural logarithms on the same
scale; weights are logits before a softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lhic.families.bp.layers import wsilu


class PointwiseResidual(nn.Module):
    """SiLU, 1x1, SiLU, 1x1; residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.in_layers = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, channels, kernel_size=1))
        self.out_layers = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out_layers(self.in_layers(x))


class _Head(nn.Module):
    def __init__(self, channels: int, n_mixture: int):
        super().__init__()
        self.conv_out_mu = nn.Conv2d(channels, n_mixture, kernel_size=1)
        self.conv_out_scale = nn.Conv2d(channels, n_mixture, kernel_size=1)
        self.conv_out_weight = nn.Conv2d(channels, n_mixture, kernel_size=1)

    def mixture(self, x: Tensor) -> Tensor:
        """(N, F, H, W) -> (N, 3 K, H, W): means, log-scales, logits"""
        heads = (self.conv_out_mu, self.conv_out_scale, self.conv_out_weight)
        weight, bias = (torch.cat([getattr(head, name) for head in heads]) for name in ("weight", "bias"))
        return F.conv2d(wsilu(x), weight, bias)


class ParamNet(_Head):
    """Bands 1, 2, ...: [plane,] spatial and spectral features, `n_blocks` residual blocks."""

    def __init__(self, in_channels: int, channels: int, n_blocks: int, n_mixture: int):
        super().__init__(channels, n_mixture)
        self.conv_in = nn.Conv2d(in_channels, channels, kernel_size=1)
        self.blocks = nn.ModuleList([PointwiseResidual(channels) for _ in range(n_blocks)])

    def forward(self, features: Tensor) -> Tensor:
        x = self.conv_in(features)
        for block in self.blocks:
            x = block(x)
        return self.mixture(x)


class ParamNetBand0(_Head):
    """Band 0, which has no spectral features: one residual block, an input layer only where widths differ."""

    def __init__(self, in_channels: int, channels: int, n_mixture: int):
        super().__init__(channels, n_mixture)
        self.conv_in = None if in_channels == channels else nn.Conv2d(in_channels, channels, kernel_size=1)
        self.block = PointwiseResidual(channels)

    def forward(self, features: Tensor) -> Tensor:
        x = features if self.conv_in is None else self.conv_in(features)
        return self.mixture(self.block(x))
