"""The network of lhic-ax in float, rounding as the integer network does, and its export.

Weights, activations and outputs pass through the same grids as in `lhic.families.ax.cpu.network`; gradients pass as if
nothing had been rounded.  So what is trained is what is shipped.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from lhic.families.ax.config import AxConfig
from lhic.families.ax.integer_net import EXACT
from lhic.families.ax.model import load
from lhic.families.ax.spec import (
    ACTIVATION_BITS,
    ACTIVATION_LIMIT,
    FEATURE_BITS,
    LIMIT,
    OUTPUT_BITS,
    WEIGHT_BITS,
    n_features,
)
from lhic.families.ax.tune import FAR, FLOOR, SCALE_LIMITS, SHARE
from lhic.families.family import Model

MARGIN = 0.98  # of the bound on a row's weights, for their rounding


def _through(value: Tensor, rounded: Tensor) -> Tensor:
    """`rounded`, with the gradient of `value`."""
    return value + (rounded - value).detach()


def _rounded(value: Tensor, bits: int) -> Tensor:
    return _through(value, torch.round(value * 2**bits) / 2**bits)


def _floored(value: Tensor, bits: int) -> Tensor:
    return _through(value, torch.floor(value * 2**bits) / 2**bits)


class AxNet(nn.Module):
    """Features (n, F), int8 in 1/16, to means, log2 scales and log2 weights (n, K), in units of the expected error."""

    def __init__(self, config: AxConfig):
        super().__init__()
        self.config = config
        sizes = [n_features(len(config.experts()))] + [config.width] * config.depth
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last = nn.Linear(config.width, 3 * config.components)
        self.quantised = True
        with torch.no_grad():
            self.last.weight *= 0.1
            self.last.bias.zero_()
            k = config.components
            self.last.bias[k : 2 * k] = torch.linspace(-2.5, 0.8, k)
        self.project()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = features.float() / 2**FEATURE_BITS
        bits = FEATURE_BITS
        for layer in self.hidden:
            x = self._affine(layer, x, bits + WEIGHT_BITS)
            if self.quantised:
                x = _floored(x, ACTIVATION_BITS)
            x = x.clamp(0, ACTIVATION_LIMIT / 2**ACTIVATION_BITS)
            bits = ACTIVATION_BITS
        x = self._affine(self.last, x, OUTPUT_BITS)
        k = self.config.components
        mean, scale, logit = x[:, :k], x[:, k : 2 * k], x[:, 2 * k :]
        if self.quantised:
            mean, scale, logit = _floored(mean, 8), _floored(scale, 5), _floored(logit, 5)
        return mean, scale.clamp(*SCALE_LIMITS), logit

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a sample."""
        return sum(layer.weight.numel() for layer in (*self.hidden, self.last))

    def as_model(self, name: str) -> Model:
        """The integer network as a model that codes on the CPU; its streams name no weights file."""
        return load(name, self.config.to_dict(), self.tensors(), bytes(32))

    def _affine(self, layer: nn.Linear, x: Tensor, bias_bits: int) -> Tensor:
        if not self.quantised:
            return layer(x)
        return nn.functional.linear(x, _rounded(layer.weight, WEIGHT_BITS), _rounded(layer.bias, bias_bits))

    @torch.no_grad()
    def project(self) -> None:
        """Keep every row of weights within the bound that makes the integer network exact."""
        limit = LIMIT
        for layer in (*self.hidden, self.last):
            most = MARGIN * EXACT / limit / 2**WEIGHT_BITS
            sums = layer.weight.abs().sum(1, keepdim=True)
            layer.weight *= (most / sums.clamp(min=1e-9)).clamp(max=1.0)
            limit = ACTIVATION_LIMIT

    def silence(self) -> None:
        """Say the same whatever the features: all but the last biases are 0 and stay so."""
        for parameter in self.parameters():
            if parameter is not self.last.bias:
                parameter.requires_grad_(False).zero_()

    @torch.no_grad()
    def tensors(self) -> dict[str, np.ndarray]:
        """The integer network's tensors (`lhic.families.ax.integer_net.shapes`)."""

        def integers(value: Tensor, bits: int) -> np.ndarray:
            return torch.round(value.double() * 2**bits).to(torch.int32).cpu().numpy()

        width = self.config.width
        middle = [integers(layer.weight, WEIGHT_BITS) for layer in self.hidden[1:]]
        bits = [FEATURE_BITS + WEIGHT_BITS] + [ACTIVATION_BITS + WEIGHT_BITS] * (len(self.hidden) - 1)
        return {
            "first": integers(self.hidden[0].weight, WEIGHT_BITS),
            "middle": np.array(middle, np.int32).reshape(len(middle), width, width),
            "last": integers(self.last.weight, WEIGHT_BITS),
            "biases": np.array([integers(layer.bias, b) for layer, b in zip(self.hidden, bits, strict=True)], np.int32),
            "last_bias": integers(self.last.bias, OUTPUT_BITS),
        }

    @torch.no_grad()
    def set_tensors(self, tensors: dict[str, np.ndarray]) -> None:
        """Inverse of `tensors`, to go on from shipped weights."""

        def floats(value: np.ndarray, bits: int) -> Tensor:
            return torch.from_numpy(value.astype(np.float32) / 2**bits)

        layers = [tensors["first"], *tensors["middle"]]
        bits = [FEATURE_BITS + WEIGHT_BITS] + [ACTIVATION_BITS + WEIGHT_BITS] * (len(self.hidden) - 1)
        for k, layer in enumerate(self.hidden):
            layer.weight.copy_(floats(layers[k], WEIGHT_BITS))
            layer.bias.copy_(floats(tensors["biases"][k], bits[k]))
        self.last.weight.copy_(floats(tensors["last"], WEIGHT_BITS))
        self.last.bias.copy_(floats(tensors["last_bias"], OUTPUT_BITS))


def code_length(
    mixture: tuple[Tensor, Tensor, Tensor], error: Tensor, below: Tensor, above: Tensor, repeat: Tensor
) -> Tensor:
    """Ideal bits (n,) of samples whose level reaches from error - below to error + above.

    repeat : (n,), weight of the candidate in the mixture; negative if the sample is another
    """
    mean, scale, logit = mixture
    below, above = below.clamp(max=FAR), above.clamp(max=FAR)  # an infinite one has no gradient, but not 0
    inverse = torch.exp2(-scale)
    distance = error[:, None] - mean
    upper = torch.sigmoid((distance + above[:, None]) * inverse)
    lower = torch.sigmoid((distance - below[:, None]) * inverse)
    probability = ((upper - lower) * torch.softmax(logit * 0.6931471805599453, 1)).sum(1)
    probability = probability * (1 - repeat.abs()) + repeat.clamp(min=0)
    return -torch.log2(probability * SHARE + FLOOR)
