"""Small LHIC-BP models with random weights: every width and layer count differs, so that no mix-up stays hidden."""

from __future__ import annotations

import numpy as np
import torch

from lhic.families.bp.coding import LhicBpModel
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.network import LspNet, MspNet

UNEVEN = LhicBpConfig(
    N_layers_spatial_msp=2,
    N_layers_spectral_msp=1,
    N_layers_spatial_lsp=1,
    N_layers_spectral_lsp=2,
    N_layers_plane=2,
    N_layers_params=1,
    N_layers_context=1,
    dim_msp_spectral=6,
    dim_msp_spatial=5,
    dim_lsp_spectral=4,
    dim_lsp_spatial=7,
    dim_plane=8,
    dim_params=9,
    num_mixture=3,
)


def random_nets(config: LhicBpConfig = UNEVEN, seed: int = 0) -> tuple[MspNet, LspNet]:
    """Float64 networks; no weight is zero, as some are when training starts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the default initialisation takes the global generator
        nets = MspNet(config).double(), LspNet(config).double()
    for net in nets:
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.data += 0.1 * noise if parameter.ndim > 1 else 0.3 * noise
            if name.endswith("conv_out_scale.bias"):
                parameter.data -= 3.0  # scales of some symbols, not of half the alphabet
        net.eval().requires_grad_(False)
    return nets


def random_model(config: LhicBpConfig = UNEVEN, engine=None, seed: int = 0, device: str = "cpu") -> LhicBpModel:
    return LhicBpModel("random", config.to_dict(), bytes(32), config, *random_nets(config, seed), device, engine)


def random_samples(shape, high: int = 10000, seed: int = 0) -> np.ndarray:
    """Int64 samples that are neither smooth nor noise, 0..high."""
    rng = np.random.default_rng(seed)
    walk = rng.normal(0, high / 60, shape).cumsum(-1).cumsum(-2)
    return np.clip(high / 3 + walk, 0, high).astype(np.int64)
