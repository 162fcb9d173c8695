"""Small layers shared by the parts of LHIC-BP: the activation and the two masked convolutions.

Masks are buffers of the published state dictionaries, so they are read from there like weights; the constructors
build the same ones.  A kernel is multiplied by its mask at each use, so that training cannot leak through it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WSiLU(nn.Module):
    """``x * sigmoid(4 x)``: SiLU made steeper."""

    def forward(self, x: Tensor) -> Tensor:
        return wsilu(x)


def wsilu(x: Tensor) -> Tensor:
    return F.silu(4.0 * x) * 0.25  # one pass fewer over memory than x * sigmoid(4 x), forward and backward


def layer_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm over the feature axis of (N, F, H, W)."""
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class MaskedInput3x3(nn.Conv2d):
    """3x3 convolution of the samples that sees W, NW and N only: what wavefront i + j = const has decoded.

    The NE tap is cleared, too: it lies on the same wavefront.
    """

    def __init__(self, features: int):
        super().__init__(1, features, kernel_size=3, padding=1)
        mask = torch.zeros_like(self.weight)
        mask[:, :, 0, :2] = 1
        mask[:, :, 1, 0] = 1
        self.register_buffer("mask", mask)
        self.weight.data *= mask

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=1)


class MaskedDepthwise7x7(nn.Module):
    """Depthwise 7x7 convolution of features; kernel row r keeps its first 7 - r taps.

    Tap (r, c) looks at offset (r - 3, c - 3), so the kept ones satisfy di + dj <= 0: earlier wavefronts and the
    position's own one, where features (unlike samples) are known.
    """

    def __init__(self, features: int):
        super().__init__()
        self.depthwise = nn.Conv2d(features, features, kernel_size=7, padding=3, groups=features)
        mask = torch.zeros_like(self.depthwise.weight)
        for row in range(7):
            mask[:, :, row, : 7 - row] = 1
        self.register_buffer("mask", mask)
        self.depthwise.weight.data *= mask

    def forward(self, x: Tensor) -> Tensor:
        conv = self.depthwise
        return F.conv2d(x, conv.weight * self.mask, conv.bias, padding=3, groups=conv.groups)
