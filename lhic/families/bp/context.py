"""The non-causal helpers: a one-level U-Net over finished feature maps, and the plane condition built on it.

The U-Net is the one of guided diffusion (Dhariwal and Nichol, 2021) without down- and up-sampling: GroupNorm, SiLU,
3x3 residual blocks, a sinusoidal embedding of the band index, self-attention over the tile in the middle, and a second
half that sees the stored activations of the first.  It works on whole tiles, so tiles are always padded to full size.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lhic.families.bp.config import n_groups

MAX_PERIOD = 48
"""Longest period of the band embedding, in bands per radian."""


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
DIGITS = 50


def band_embedding(band: Tensor, features: int) -> Tensor:
    """Cosines and sines of the band index.

    band : (N,) floating
    Returns (N, features); an odd width ends in a zero.  In float64, the precision of coding, the values are correctly
    rounded whatever the machine's mathematical library.
    """
    if band.dtype == torch.float64:
        return band.new_tensor([exact_band_embedding(int(index), features) for index in band.tolist()])
    half = features // 2
    frequency = torch.exp(-math.log(MAX_PERIOD) * torch.arange(half, dtype=band.dtype, device=band.device) / half)
    angle = band[:, None] * frequency
    embedding = torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
    return F.pad(embedding, (0, features % 2))


@lru_cache(maxsize=4096)
def exact_band_embedding(band: int, features: int) -> tuple[float, ...]:
    """`band_embedding` of one band in decimal arithmetic, rounded once at the end."""
    with localcontext(Context(prec=DIGITS)):
        half = features // 2
        angles = [band * Decimal(MAX_PERIOD) ** (Decimal(-k) / half) % (2 * PI) for k in range(half)]
        cosines, sines = zip(*map(_cosine_and_sine, angles))
    return tuple(float(value) for value in (*cosines, *sines)) + (0.0,) * (features % 2)


def _cosine_and_sine(angle: Decimal) -> tuple[Decimal, Decimal]:
    """Taylor series, 0 <= angle < 2 pi: the terms left out are below 7^80 / 80! = 1e-51."""
    sums, term = [Decimal(0)] * 4, Decimal(1)
    for n in range(80):
        sums[n % 4] += term
        term = term * angle / (n + 1)
    return sums[0] - sums[2], sums[1] - sums[3]


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(n_groups(channels), channels, eps=1e-5)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with the embedding added between them."""

    def __init__(self, channels: int, out_channels: int, embedding: int, dropout: float):
        super().__init__()
        self.in_layers = nn.Sequential(group_norm(channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels))
        self.out_layers = nn.Sequential(
            group_norm(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        nn.init.zeros_(self.out_layers[3].weight)  # starts as the identity
        nn.init.zeros_(self.out_layers[3].bias)
        self.skip_connection = (
            nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, kernel_size=1)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class TileAttention(nn.Module):
    """Single-head self-attention among all positions of a tile, residual."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, kernel_size=1)
        self.proj_out = nn.Conv1d(channels, channels, kernel_size=1)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def adds_nothing(self) -> bool:
        """Whether the projection is all zero, as it is when training left the attention out."""
        return not (self.proj_out.weight.any() or self.proj_out.bias.any())

    def forward(self, x: Tensor) -> Tensor:
        learning = torch.is_grad_enabled() and self.proj_out.weight.requires_grad
        if not learning and self.adds_nothing():
            return x
        n, c, h, w = x.shape
        query, key, value = self.qkv(self.norm(x).reshape(n, c, h * w)).transpose(1, 2).chunk(3, dim=2)  # (N, H*W, C)
        mixed = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        return x + self.proj_out(mixed.transpose(1, 2)).reshape(n, c, h, w)


class _Stage(nn.ModuleList):
    """Layers one after the other; residual blocks get the embedding, too.  (Gives parameters their published names.)"""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class ContextUNet(nn.Module):
    """Features in, features of the same shape out."""

    def __init__(self, channels: int, n_blocks: int, dropout: float):
        super().__init__()
        self.channels = channels
        embedding = 4 * channels
        self.time_embed = nn.Sequential(nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.input_blocks = nn.ModuleList([_Stage([nn.Conv2d(channels, channels, 3, padding=1)])])
        for _ in range(n_blocks):
            self.input_blocks.append(_Stage([ResidualBlock(channels, channels, embedding, dropout)]))
        self.middle_block = _Stage(
            [
                ResidualBlock(channels, channels, embedding, dropout),
                TileAttention(channels),
                ResidualBlock(channels, channels, embedding, dropout),
            ]
        )
        self.output_blocks = nn.ModuleList(
            [_Stage([ResidualBlock(2 * channels, channels, embedding, dropout)]) for _ in range(n_blocks + 1)]
        )

    def forward(self, x: Tensor, band: Tensor) -> Tensor:
        """x : (N, F, H, W); band : (N,) index of each entry's band, as a number of x's dtype"""
        embedding = self.time_embed(band_embedding(band, self.channels))
        stored = []
        for stage in self.input_blocks:
            x = stage(x, embedding)
            stored.append(x)
        x = self.middle_block(x, embedding)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, stored.pop()], dim=1), embedding)
        return x


class BandContext(nn.Module):
    """The U-Net behind the spectral features; one level deeper in the published parameter names."""

    def __init__(self, channels: int, n_blocks: int, dropout: float):
        super().__init__()
        self.spatial_mix = ContextUNet(channels, n_blocks, dropout)

    def forward(self, x: Tensor, band: Tensor) -> Tensor:
        return self.spatial_mix(x, band)


class PlaneInput(nn.Module):
    """7x7x7 convolution of the msp volume, then to F features."""

    def __init__(self, features: int):
        super().__init__()
        self.depthwise_conv = nn.Conv3d(1, 1, kernel_size=7, padding=3)
        self.pointwise_conv = nn.Conv3d(1, features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class PlaneContext(nn.Module):
    """Plane condition of the lsp network: non-causal features of the complete msp volume."""

    def __init__(self, features: int, n_blocks: int, dropout: float):
        super().__init__()
        self.conv_in = PlaneInput(features)
        self.plane_context = ContextUNet(features, n_blocks, dropout)

    def forward(self, plane: Tensor) -> Tensor:
        """(N, S, H, W) in [-1, 1] -> (N, S, F, H, W).  All bands must be there: the 3-D kernel reaches 3 ahead."""
        volume = self.conv_in(plane[:, None]).transpose(1, 2)  # (N, S, F, H, W)
        images = volume.reshape(-1, *volume.shape[2:])
        # Published: the embedding of the plane net is that of index 1 for every band.
        return self.plane_context(images, images.new_ones(len(images))).reshape(volume.shape)
