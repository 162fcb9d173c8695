"""PSCAM, the spatial condition: what the band's already decoded samples say about each position.

Causal along diagonals: the features at (i, j) depend on samples (p, q) with p + q < i + j only, so that a whole
diagonal decodes at a time.  This is the full-band form; `wavefront` evaluates the same weights diagonal by diagonal.
"""

from __future__ import annotations

from torch import Tensor, nn

from lhic.families.bp.layers import MaskedDepthwise7x7, MaskedInput3x3, WSiLU, layer_norm, wsilu


class GatedMaskedUnit(nn.Module):
    """(1x1, masked depthwise 7x7, WSiLU) times 1x1, then 1x1."""

    def __init__(self, features: int):
        super().__init__()
        self.conv_in = nn.Conv2d(features, features, kernel_size=1)
        self.conv_1 = MaskedDepthwise7x7(features)
        self.skip = nn.Conv2d(features, features, kernel_size=1)
        self.conv_out = nn.Conv2d(features, features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(wsilu(self.conv_1(self.conv_in(x))) * self.skip(x))


class SpatialBlock(nn.Module):
    """Gated masked unit and an MLP of four times the width, each after a LayerNorm and residual."""

    def __init__(self, features: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(features)
        self.MCG = GatedMaskedUnit(features)
        self.norm2 = nn.LayerNorm(features)
        self.convs = nn.Sequential(nn.Linear(features, 4 * features), WSiLU(), nn.Linear(4 * features, features))

    def forward(self, x: Tensor) -> Tensor:
        """x : (N, F, H, W)"""
        x = x + self.MCG(layer_norm(x, self.norm1))
        mixed = self.convs(self.norm2(x.permute(0, 2, 3, 1)))
        return x + mixed.permute(0, 3, 1, 2)


class Pscam(nn.Module):
    """Spatial features of every position of a band."""

    def __init__(self, features: int, n_layers: int):
        super().__init__()
        self.conv_in = MaskedInput3x3(features)
        self.spatial_mix = nn.ModuleList([SpatialBlock(features) for _ in range(n_layers)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) in [-1, 1] -> (N, F, H, W)"""
        x = self.conv_in(x)
        for block in self.spatial_mix:
            x = block(x)
        return x
