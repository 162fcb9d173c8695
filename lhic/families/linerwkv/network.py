"""LineRWKV: predicts a line of all bands from the lines before it and, within the line, from the bands before.

Everything is computed step by step, as a decoder must: along the lines one line at a time, along the bands one band
at a time, all columns at once.  An encoder, who knows all lines, goes along the bands of many lines at once; the
numbers are the same but for the order in which float64 adds them.

Source: D. Valsesia, T. Bianchi, E. Magli, "Onboard deep lossless and near-lossless predictive coding of hyperspectral
images with line-based attention", IEEE TGRS 2024, arXiv:2403.17677.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from lhic.families.linerwkv.config import LineRwkvConfig
from lhic.families.rwkv import ChannelMix, MixState, TimeMix

EPSILON = 1e-8
"""Added to a standard deviation before it divides."""


def normalise(samples: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return (samples - mean) / (deviation + EPSILON)


def denormalise(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return values * (deviation + EPSILON) + mean


class Block(nn.Module):
    """An RWKV-4 block: mixing along the sequence, mixing of features; each residual."""

    def __init__(self, features: int, layer: int, n_layers: int):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(features)
        self.ln1 = nn.LayerNorm(features)
        self.ln2 = nn.LayerNorm(features)
        self.att = TimeMix(features, layer, n_layers)
        self.ffn = ChannelMix(features, layer, n_layers)

    def step(self, x: Tensor, state: MixState) -> Tensor:
        """x : (..., F), one step of each sequence; updates `state`."""
        if hasattr(self, "ln0"):
            x = self.ln0(x)
        x = x + self.att.step(self.ln1(x), state)
        return x + self.ffn.step(self.ln2(x), state)


class Blocks(nn.ModuleList):
    """Blocks one after the other, along one sequence."""

    def __init__(self, features: int, n_layers: int):
        super().__init__([Block(features, layer, n_layers) for layer in range(n_layers)])

    def empty_state(self, like: Tensor) -> list[MixState]:
        """like : (..., F), a step"""
        return [MixState.empty(like) for _ in self]

    def step(self, x: Tensor, states: list[MixState]) -> Tensor:
        """x : (..., F); updates `states`."""
        for block, state in zip(self, states, strict=True):
            x = block.step(x, state)
        return x


class LineEncoder(nn.Module):
    """Features of each sample of a line from its neighbours in the line, each band alone."""

    def __init__(self, features: int, n_layers: int, kernel_size: int):
        super().__init__()
        padding = kernel_size // 2
        self.conv_in = nn.Conv1d(1, features, kernel_size, padding=padding)
        self.norm_in = nn.LayerNorm(features)
        more = range(n_layers - 1)
        self.convs = nn.ModuleList([nn.Conv1d(features, features, kernel_size, padding=padding) for _ in more])
        self.norms = nn.ModuleList([nn.LayerNorm(features) for _ in more])

    def forward(self, lines: Tensor) -> Tensor:
        """lines : (..., W), normalised; returns (..., W, F)."""
        x = lines.reshape(-1, 1, lines.shape[-1])
        for conv, norm in zip([self.conv_in, *self.convs], [self.norm_in, *self.norms], strict=True):
            x = F.gelu(norm(conv(x).transpose(1, 2))).transpose(1, 2)
        return x.transpose(1, 2).reshape(*lines.shape, -1)


class Decoder(nn.Module):
    """From features to one normalised sample."""

    def __init__(self, features: int, n_layers: int):
        super().__init__()
        more = range(n_layers - 1)
        self.convs = nn.ModuleList([nn.Conv1d(features, features, 1) for _ in more])
        self.norms = nn.ModuleList([nn.LayerNorm(features) for _ in more])
        self.conv_out = nn.Conv1d(features, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x : (..., F); returns (...)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(_pointwise(x, conv)))
        return _pointwise(x, self.conv_out)[..., 0]


def _pointwise(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """A convolution of one column, over the last axis."""
    return F.linear(x, conv.weight[:, :, 0], conv.bias)


class LineRwkv(nn.Module):
    """The network; parameters have the published names."""

    def __init__(self, config: LineRwkvConfig):
        super().__init__()
        features = config.dim_enc
        self.encoder = LineEncoder(features, config.N_layers_encoder, config.kernel_size)
        self.blocks_lines = Blocks(features, config.n_layer_lines)
        self.blocks_bands = Blocks(features, config.n_layer_bands)
        self.bandzerodec = Decoder(features, 1)
        self.decoder = Decoder(features, config.N_layers_decoder)


class LinesBefore:
    """What the lines so far say about the next one."""

    def __init__(self, net: LineRwkv, n_bands: int, n_columns: int):
        self.net = net
        width = net.encoder.norm_in.weight
        self.states = net.blocks_lines.empty_state(width.new_zeros(n_bands, n_columns, width.numel()))

    def step(self, encoded: Tensor) -> Tensor:
        """encoded : (S, W, F), a line's features; returns (S, W, F) for the line after it."""
        return self.net.blocks_lines.step(encoded, self.states)


class AlongBands:
    """Predicts T lines, one band of them after the other.

    before : (T, S, W, F), what `LinesBefore` says about each line
    first : (T, W), band 0 of the line before each, normalised
    """

    def __init__(self, net: LineRwkv, before: Tensor, first: Tensor):
        self.net, self.before, self.first = net, before, first
        self.states = net.blocks_bands.empty_state(before[:, 0])
        self.band = 0

    def next(self, previous: Tensor | None = None) -> Tensor:
        """The next band of the lines, normalised: (T, W).

        previous : (T, W, F), features of the band before, of the lines themselves; none for band 0
        """
        net, band = self.net, self.band
        self.band += 1
        if previous is None:
            return net.bandzerodec(self.before[:, 0]) + self.first
        news = net.blocks_bands.step(previous - self.before[:, band - 1], self.states)
        return net.decoder(self.before[:, band] + news)
