"""RWKV-4 (Peng et al., 2023), which LHIC-BP and LineRWKV share: mixing along a sequence, and of features.

The mixing along the sequence is an exponentially decaying average, kept as numerator, denominator and running
maximum, so that no exponential overflows.  Both layers have two equal forms: a whole sequence at once (training), or
one step and the state of the earlier ones (coding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EMPTY_MAXIMUM = -1e30
"""Running maximum before the first step: makes the empty average weigh nothing."""


@dataclass
class MixState:
    """What one block remembers of the earlier steps; each tensor (..., F)."""

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
    """Weighted average of the values up to this step, and the accumulators after it.

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
    """Token shift: each feature takes `share` of this step and the rest of the one before."""
    share = share.view(-1)
    return x * share + previous * (1 - share)


class TimeMix(nn.Module):
    """RWKV time mixing."""

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
        """Gate, key and value of each step from it and the one before."""
        gate = torch.sigmoid(self.receptance(_mix(x, previous, self.time_mix_r)))
        return (
            gate,
            self.key(_mix(x, previous, self.time_mix_k)),
            self.value(_mix(x, previous, self.time_mix_v)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x : (S, ..., F), S steps."""
        gate, key, value = self.project(x, _previous(x))
        # The running maximum needs float32's range of exponents and its precision under autocast, too.
        key, value = key.to(self.time_decay.dtype), value.to(self.time_decay.dtype)
        state, decay, averages = MixState.empty(key[0]), -torch.exp(self.time_decay), []
        for step in range(len(x)):
            average, state.numerator, state.denominator, state.maximum = wkv_step(
                state, key[step], value[step], decay, self.time_first
            )
            averages.append(average)
        return self.output(gate * torch.stack(averages))

    def step(self, x: Tensor, state: MixState) -> Tensor:
        """x : (..., F), one step; updates `state`."""
        gate, key, value = self.project(x, state.att_previous)
        decay = -torch.exp(self.time_decay)
        average, state.numerator, state.denominator, state.maximum = wkv_step(state, key, value, decay, self.time_first)
        state.att_previous = x
        return self.output(gate * average)


class ChannelMix(nn.Module):
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
        return self.mix(x, _previous(x))

    def step(self, x: Tensor, state: MixState) -> Tensor:
        mixed = self.mix(x, state.ffn_previous)
        state.ffn_previous = x
        return mixed


def _previous(x: Tensor) -> Tensor:
    """x one step later; zeros before the first."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])
