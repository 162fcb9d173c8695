"""The two entropy models of LHIC-BP in training form: all bands of a run at once, each given the true earlier samples.

Source: "End-to-End Optimized Lossless Hyperspectral Image Compression with Bit Partition" (Huang, Zhang, Chen) and the
published weights' parameter names, which the module names reproduce, so that a published state dictionary loads as it
is.  Decides nothing about coding: `recurrent` and `wavefront` evaluate the same modules in coding order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.context import BandContext, PlaneContext
from lhic.families.bp.head import ParamNet, ParamNetBand0
from lhic.families.bp.partition import alphabet_sizes, plane_to_unit, split, to_unit
from lhic.families.bp.spatial import Pscam
from lhic.families.bp.spectral import Rscem

Mixture = tuple[Tensor, Tensor, Tensor]
"""Means in [-1, 1] units, natural log-scales, logits; each (N, S, H, W, K)."""


class _EntropyNet(nn.Module):
    """What the two planes' networks share: spectral and spatial condition, joined by a ParamNet."""

    def __init__(
        self, config: LhicBpConfig, spectral: int, spatial: int, plane: int, spectral_layers: int, spatial_layers: int
    ):
        super().__init__()
        self.config = config
        k = config.num_mixture
        self.spectral_net = Rscem(spectral, spectral_layers)
        self.context_generate = BandContext(spectral, config.N_layers_context, config.dropout)
        self.spatial_net = Pscam(spatial, spatial_layers)
        self.param_net = ParamNet(plane + spatial + spectral, config.dim_params, config.N_layers_params, k)
        self.param_l0 = ParamNetBand0(plane + spatial, config.dim_params, k)

    @property
    def dtype(self) -> torch.dtype:
        return self.param_net.conv_in.weight.dtype

    def mixture(self, unit: Tensor, plane: list[Tensor], first_band: int | Tensor) -> Mixture:
        """unit : (N, S, H, W) in [-1, 1]; plane : features (N, S, F, H, W) or nothing"""
        n, s, h, w = unit.shape
        spatial = self.spatial_net(unit.reshape(n * s, 1, h, w)).reshape(n, s, -1, h, w)
        local = torch.cat([*plane, spatial], dim=2)
        parameters = [self.param_l0(local[:, 0])[:, None]]
        if s > 1:
            spectral = self.spectral_net(unit[:, :-1])  # (N, S-1, F, H, W)
            band = torch.as_tensor(first_band, device=unit.device).view(-1, 1) + torch.arange(1, s, device=unit.device)
            band = band.expand(n, s - 1).reshape(-1).to(unit.dtype)
            spectral = self.context_generate(spectral.reshape(-1, *spectral.shape[2:]), band)
            spectral = spectral.reshape(n, s - 1, -1, h, w)
            joined = torch.cat([local[:, 1:], spectral], dim=2)
            later = self.param_net(joined.reshape(-1, *joined.shape[2:]))
            parameters.append(later.reshape(n, s - 1, -1, h, w))
        parameters = torch.cat(parameters, dim=1)
        mean, log_scale, logit = parameters.permute(0, 1, 3, 4, 2).split(self.config.num_mixture, dim=-1)
        return mean, log_scale, logit


class MspNet(_EntropyNet):
    """Distribution of the most significant parts."""

    def __init__(self, config: LhicBpConfig):
        c = config
        super().__init__(c, c.dim_msp_spectral, c.dim_msp_spatial, 0, c.N_layers_spectral_msp, c.N_layers_spatial_msp)

    def forward(self, samples: Tensor, first_band: int | Tensor = 0, split_bits: int | None = None) -> Mixture:
        """Mixture parameters of every sample, given the true samples before it.

        Parameters
        ----------
        samples : integer (N, S, H, W), 0..config.max_value
        first_band : index of the run's first band, one number or one per entry of N.  The run is treated as if it
            began the cube (empty recurrent state, the head of band 0 for its first band); the index only tells the
            context net which band it sees.
        split_bits : bits of the least significant part; default as configured
        """
        d = self.config.param_d if split_bits is None else split_bits
        msp, _ = split(samples, d)
        return self.mixture(to_unit(msp.to(self.dtype), self.config.max_value >> d), [], first_band)


class LspNet(_EntropyNet):
    """Distribution of the least significant parts, given all most significant ones."""

    def __init__(self, config: LhicBpConfig):
        c = config
        super().__init__(
            c, c.dim_lsp_spectral, c.dim_lsp_spatial, c.dim_plane, c.N_layers_spectral_lsp, c.N_layers_spatial_lsp
        )
        self.plane_net = PlaneContext(c.dim_plane, c.N_layers_plane, c.dropout)

    def forward(self, samples: Tensor, first_band: int | Tensor = 0, split_bits: int | None = None) -> Mixture:
        """As `MspNet.forward`.  The plane condition sees the msp of the run's bands only (zeros beyond its ends)."""
        d = self.config.param_d if split_bits is None else split_bits
        msp, lsp = split(samples, d)
        plane = self.plane_net(plane_to_unit(msp.to(self.dtype), d, self.config.max_value))
        _, n_lsp = alphabet_sizes(self.config.max_value, d)
        return self.mixture(to_unit(lsp.to(self.dtype), n_lsp - 1), [plane], first_band)
