"""RSCEM, the spectral condition: a recurrent network along the band axis that has seen all earlier bands.

Two equal forms: `Rscem.forward` takes a run of bands at once (training), `Rscem.step` one band and the state of the
earlier ones (coding).  The mixing over bands is RWKV-4 (Peng et al., 2023): an exponentially decaying average kept as
numerator, denominator and running maximum, so that no exponential overflows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lhic.families.bp.layers import WSiLU

EMPTY_MAXIMUM = -1e30
"""Running maximum before the first band: makes the empty average weigh nothing."""


@dataclass
class MixState:
    """What one block remembers of the earlier bands; each tensor (..., F)."""

    att_previous: Tensor
    ffn_previous: Tensor
    numerator: Tensor
    denominator: Tensor
    maximum: Tensor

    @classmethod
    def empty(cls, like: Tensor) -> MixState:
        zeros = torch.zeros_like(like)
        return cls(zeros, zeros, zeros, zeros, torch.full_like(like, EMPTY_MAXIMUM))


def wkv_step(state: MixState, key: Tensor, value: Tensor, decay: Tensor, first: Tensor):
    """Weighted average of the values up to this band, and the accumulators after it.

    The current value enters the output with weight ``exp(first + key)``; afterwards everything fades by
    ``exp(decay)`` (decay < 0) and the value is stored with weight ``exp(key)``.
    """
    own = first + key
    top = torch.maximum(state.maximum, own)
    past, now = torch.exp(state.maximum - top), torch.exp(own - top)
    average = (past * state.numerator + now * value) / (past * state.denominator + now)

    faded = state.maximum + decay
    maximum = torch.maximum(faded, key)
    past, now = torch.exp(faded - maximum), torch.exp(key - maximum)
    return average, past * state.numerator + now * value, past * state.denominator + now, maximum


def _mix(x: Tensor, previous: Tensor, share: Tensor) -> Tensor:
    """Token shift: each feature takes `share` of this band and the rest of the band before."""
    share = share.view(-1)
    return x * share + previous * (1 - share)


class BandSpectralMix(nn.Module):
    """RWKV time mixing along the bands."""

    def __init__(self, features: int, layer: int, n_layers: int):
        super().__init__()
        depth = layer / n_layers
        ramp = torch.arange(features) / features
        speed = torch.arange(features) / max(features - 1, 1)
        zigzag = (torch.arange(features) + 1) % 3 - 1
        self.time_decay = nn.Parameter(-5 + 8 * speed ** (0.7 + 1.3 * depth))
        self.time_first = nn.Parameter(math.log(0.3) + 0.5 * zigzag)
        self.time_mix_k = nn.Parameter((ramp ** (1 - depth)).view(1, 1, -1))
        self.time_mix_v = nn.Parameter((ramp ** (1 - depth) + 0.3 * depth).view(1, 1, -1))
        self.time_mix_r = nn.Parameter((ramp ** (0.5 * (1 - depth))).view(1, 1, -1))
        self.key = nn.Linear(features, features, bias=False)
        self.value = nn.Linear(features, features, bias=False)
        self.receptance = nn.Linear(features, features, bias=False)
        self.output = nn.Linear(features, features, bias=False)

    def project(self, x: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gate, key and value of each band from it and the one before."""
        gate = torch.sigmoid(self.receptance(_mix(x, previous, self.time_mix_r)))
        return (
            gate,
            self.key(_mix(x, previous, self.time_mix_k)),
            self.value(_mix(x, previous, self.time_mix_v)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x : (S, ..., F), bands first."""
        gate, key, value = self.project(x, _previous_bands(x))
        # The running maximum needs float32's range of exponents and its precision under autocast, too.
        key, value = key.to(self.time_decay.dtype), value.to(self.time_decay.dtype)
        state, decay, averages = MixState.empty(key[0]), -torch.exp(self.time_decay), []
        for band in range(len(x)):
            average, state.numerator, state.denominator, state.maximum = wkv_step(
                state, key[band], value[band], decay, self.time_first
            )
            averages.append(average)
        return self.output(gate * torch.stack(averages))

    def step(self, x: Tensor, state: MixState) -> Tensor:
        """x : (..., F), one band; updates `state`."""
        gate, key, value = self.project(x, state.att_previous)
        decay = -torch.exp(self.time_decay)
        average, state.numerator, state.denominator, state.maximum = wkv_step(state, key, value, decay, self.time_first)
        state.att_previous = x
        return self.output(gate * average)


class BandChannelMix(nn.Module):
    """RWKV channel mixing: squared ReLU, gated."""

    def __init__(self, features: int, layer: int, n_layers: int):
        super().__init__()
        ramp = (torch.arange(features) / features) ** (1 - layer / n_layers)
        self.time_mix_k = nn.Parameter(ramp.view(1, 1, -1).clone())
        self.time_mix_r = nn.Parameter(ramp.view(1, 1, -1).clone())
        self.key = nn.Linear(features, features, bias=False)
        self.receptance = nn.Linear(features, features, bias=False)
        self.value = nn.Linear(features, features, bias=False)

    def mix(self, x: Tensor, previous: Tensor) -> Tensor:
        key = torch.relu(self.key(_mix(x, previous, self.time_mix_k))).square()
        return torch.sigmoid(self.receptance(_mix(x, previous, self.time_mix_r))) * self.value(key)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, _previous_bands(x))

    def step(self, x: Tensor, state: MixState) -> Tensor:
        mixed = self.mix(x, state.ffn_previous)
        state.ffn_previous = x
        return mixed


class SpectralBlock(nn.Module):
    """Mixing over bands, mixing over features, mixing over neighbours; each residual."""

    def __init__(self, features: int, layer: int, n_layers: int):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(features)
        self.ln1 = nn.LayerNorm(features)
        self.ln2 = nn.LayerNorm(features)
        self.att = BandSpectralMix(features, layer, n_layers)
        self.ffn = BandChannelMix(features, layer, n_layers)
        self.spa = nn.Sequential(
            nn.Conv2d(features, features, kernel_size=7, padding=3, groups=features),
            nn.Conv2d(features, features, kernel_size=1),
        )

    def forward(self, x: Tensor, state: MixState | None = None) -> Tensor:
        """x : (S, N, H, W, F); with a `state`, (N, H, W, F) of one band."""
        if hasattr(self, "ln0"):
            x = self.ln0(x)
        if state is None:
            x = x + self.att(self.ln1(x))
            x = x + self.ffn(self.ln2(x))
        else:
            x = x + self.att.step(self.ln1(x), state)
            x = x + self.ffn.step(self.ln2(x), state)
        images = x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2)  # (S * N, F, H, W), features innermost in memory
        return x + self.spa(images).permute(0, 2, 3, 1).reshape(x.shape)


class Rscem(nn.Module):
    """Spectral features of band i from bands 0 .. i-1."""

    def __init__(self, features: int, n_layers: int):
        super().__init__()
        self.features = features
        self.conv_in = nn.Sequential(
            nn.Conv2d(1, features, kernel_size=1),
            nn.Conv2d(features, features, kernel_size=7, padding=3, groups=features),
            WSiLU(),
        )
        self.spectral_mix = nn.ModuleList([SpectralBlock(features, i, n_layers) for i in range(n_layers)])

    def forward(self, previous: Tensor) -> Tensor:
        """All bands of a run at once.

        previous : (N, S, H, W) in [-1, 1]; entry s is the band *before* the one the features are for

        Returns
        -------
        (N, S, F, H, W)
        """
        n, s, h, w = previous.shape
        bands = previous.transpose(0, 1).reshape(s * n, 1, h, w)
        x = self.conv_in(bands).permute(0, 2, 3, 1).reshape(s, n, h, w, self.features)
        for block in self.spectral_mix:
            x = block(x)
        return x.permute(1, 0, 4, 2, 3)

    def empty_state(self, n_tiles: int, height: int, width: int) -> list[MixState]:
        """State before the first band."""
        like = self.spectral_mix[0].att.time_decay.new_zeros(n_tiles, height, width, self.features)
        return [MixState.empty(like) for _ in self.spectral_mix]

    def step(self, previous: Tensor, state: list[MixState]) -> Tensor:
        """One band further: features (N, F, H, W) from the band before (N, 1, H, W); updates `state`."""
        x = self.conv_in(previous).permute(0, 2, 3, 1)
        for block, block_state in zip(self.spectral_mix, state, strict=True):
            x = block(x, block_state)
        return x.permute(0, 3, 1, 2)


def _previous_bands(x: Tensor) -> Tensor:
    """x one band later; zeros before the first."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])
