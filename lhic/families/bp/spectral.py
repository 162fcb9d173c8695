"""RSCEM, the spectral condition: a recurrent network along the band axis that has seen all earlier bands.

Two equal forms: `Rscem.forward` takes a run of bands at once (training), `Rscem.step` one band and the state of the
earlier ones (coding).  The mixing over bands and features is that of `rwkv`.
"""

from __future__ import annotations

from torch import Tensor, nn

from lhic.families.bp.layers import WSiLU
from lhic.families.rwkv import ChannelMix, MixState, TimeMix


class SpectralBlock(nn.Module):
    """Mixing over bands, mixing over features, mixing over neighbours; each residual."""

    def __init__(self, features: int, layer: int, n_layers: int):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(features)
        self.ln1 = nn.LayerNorm(features)
        self.ln2 = nn.LayerNorm(features)
        self.att = TimeMix(features, layer, n_layers)
        self.ffn = ChannelMix(features, layer, n_layers)
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
