"""Band-by-band form of the networks: what is known about a band before its first sample is decoded.

`BandConditions` walks along the bands of some tiles; at each band it takes the band before and gives the features that
ParamNet joins with the spatial ones.  Equal to the training form in `network` (a test and the conformance vector say
so); the recurrent state's fields are named in `rwkv.MixState`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lhic.families.bp.network import LspNet, Mixture, MspNet
from lhic.families.bp.partition import alphabet_sizes, plane_to_unit, split, to_unit
from lhic.families.rwkv import MixState


def spectral_step(net: MspNet | LspNet, state: list[MixState], previous: Tensor) -> tuple[Tensor, list[MixState]]:
    """Spectral features of the next band.

    state : one entry per block, from ``net.spectral_net.empty_state`` at first; not modified
    previous : (N, 1, H, W) in [-1, 1], the band before the one the features are for

    Returns
    -------
    features (N, F, H, W), state after `previous`
    """
    state = [MixState(**vars(block)) for block in state]
    return net.spectral_net.step(previous, state), state


class BandConditions:
    """Non-causal features of one band after the other.

    Parameters
    ----------
    net : the msp or the lsp network
    shape : (N, H, W) of a band
    plane : (N, S, H, W) in [-1, 1], the complete msp; for the lsp network only
    """

    def __init__(self, net: MspNet | LspNet, shape: tuple[int, int, int], plane: Tensor | None = None):
        self.net = net
        self.band = 0
        self.state = net.spectral_net.empty_state(*shape)
        # One channel per band is kept, not F: the pointwise half of the 3-D convolution is applied band by band.
        self.volume = None if plane is None else net.plane_net.conv_in.depthwise_conv(plane[:, None])[:, 0]

    def next(self, previous: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Plane features and spectral features of the next band, each (N, F, H, W) or None where there are none.

        previous : (N, H, W) in [-1, 1], the band before; ignored for band 0
        """
        plane = spectral = None
        if self.volume is not None:
            image = self.volume[:, self.band, None, None]  # (N, 1, 1, H, W)
            image = self.net.plane_net.conv_in.pointwise_conv(image)[:, :, 0]
            plane = self.net.plane_net.plane_context(image, image.new_ones(len(image)))
        if self.band:
            assert previous is not None, "only band 0 has none before"
            spectral, self.state = spectral_step(self.net, self.state, previous[:, None])
            band = spectral.new_full((len(spectral),), float(self.band))
            spectral = self.net.context_generate(spectral, band)
        self.band += 1
        return plane, spectral

    def head(self):
        """ParamNet of the band `next` was last called for."""
        return self.net.param_l0 if self.band == 1 else self.net.param_net


def joined(plane: Tensor | None, spatial: Tensor, spectral: Tensor | None) -> Tensor:
    """Features in ParamNet's order along axis 1."""
    return torch.cat([part for part in (plane, spatial, spectral) if part is not None], dim=1)


def recurrent_mixture(net: MspNet | LspNet, samples: Tensor, split_bits: int | None = None) -> Mixture:
    """What ``net(samples)`` gives, computed band by band.

    samples : integer (N, S, H, W), 0..max_value
    """
    config = net.config
    d = config.param_d if split_bits is None else split_bits
    msp, lsp = split(samples, d)
    n_msp, n_lsp = alphabet_sizes(config.max_value, d)
    plane = None
    if isinstance(net, LspNet):
        plane = plane_to_unit(msp.to(net.dtype), d, config.max_value)
        unit = to_unit(lsp.to(net.dtype), n_lsp - 1)
    else:
        unit = to_unit(msp.to(net.dtype), n_msp - 1)
    n, s, h, w = samples.shape
    conditions, bands = BandConditions(net, (n, h, w), plane), []
    for band in range(s):
        features = conditions.next(unit[:, band - 1] if band else None)
        spatial = net.spatial_net(unit[:, band, None])
        bands.append(conditions.head()(joined(features[0], spatial, features[1])))
    mean, log_scale, logit = torch.stack(bands, 1).permute(0, 1, 3, 4, 2).split(config.num_mixture, dim=-1)
    return mean, log_scale, logit
