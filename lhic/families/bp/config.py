"""Configuration of LHIC-BP under the keys of the published ``config.yml``.

Decides which keys shape the network and their ranges.  Keys of the published training code (learning rate, device,
data set, ...) shape nothing here; they are kept in `LhicBpConfig.other` so that a file survives a round trip.
`max_value` and `param_d` are arguments of the published scripts, not keys of its file; we keep them with the weights,
because weights trained for one partition code badly with another.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields

from lhic.errors import ConfigError
from lhic.extras import needs

MAX_WIDTH = 4096
MAX_LAYERS = 64
MAX_SAMPLE = (1 << 31) - 1


@dataclass(frozen=True)
class LhicBpConfig:
    """Shape of both networks; field names are the published keys.

    dim_* : feature widths F, even (GroupNorm puts two or more channels into a group)
    N_layers_* : blocks per stage
    num_mixture : logistics K per sample
    max_value : largest sample the networks code directly; the rest takes the escape path
    param_d : bits of the least significant plane the weights were trained for
    """

    N_layers_spatial_msp: int
    N_layers_spectral_msp: int
    N_layers_spatial_lsp: int
    N_layers_spectral_lsp: int
    N_layers_plane: int
    N_layers_params: int
    N_layers_context: int
    dim_msp_spectral: int
    dim_msp_spatial: int
    dim_lsp_spectral: int
    dim_lsp_spatial: int
    dim_plane: int
    dim_params: int
    num_mixture: int
    dropout: float = 0.0
    max_value: int = 10000
    param_d: int = 8
    other: dict = field(default_factory=dict, compare=False)

    def __post_init__(self):
        for name, (low, high) in _ranges().items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{name}: expected an integer in {low}..{high}, found {value!r}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: expected a number in [0, 1), found {self.dropout!r}")
        object.__setattr__(self, "dropout", float(self.dropout))  # 0 and 0.0 are the same configuration
        for name in ("dim_msp_spectral", "dim_lsp_spectral", "dim_plane"):
            # These widths go through GroupNorm alone and, in the U-Net's second half, doubled.
            channels = getattr(self, name)
            if any(c % n_groups(c) for c in (channels, 2 * channels)):
                raise ConfigError(f"{name}: expected a width that GroupNorm divides evenly, found {channels}")
        if self.max_value >> self.param_d > 0xFFFF:
            raise ConfigError(
                f"max_value: expected at most {0xFFFF} after dropping param_d = {self.param_d} bits, "
                f"found {self.max_value >> self.param_d}"
            )

    @classmethod
    def from_dict(cls, settings: dict) -> LhicBpConfig:
        """From published keys; unknown ones go to `other`, missing ones without a default raise `ConfigError`."""
        if not isinstance(settings, dict):
            raise ConfigError(f"configuration: expected keys and values, found {type(settings).__name__}")
        names = {f.name for f in fields(cls)} - {"other"}
        known = {key: value for key, value in settings.items() if key in names}
        missing = sorted(names - {"dropout", "max_value", "param_d"} - set(known))
        if missing:
            raise ConfigError(f"configuration: expected the keys of LHIC-BP, found none of {', '.join(missing)}")
        other = dict(settings.get("other") or {})
        other.update({key: value for key, value in settings.items() if key not in names | {"other"}})
        return cls(**known, other=other)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike, **overrides) -> LhicBpConfig:
        """Read a published ``config.yml``; `overrides` replace single keys."""
        with needs("train", str(path)):
            from lhic.settings import read_yaml
        settings = read_yaml(path)
        if not isinstance(settings, dict):
            raise ConfigError(f"{path}: expected keys and values, found {type(settings).__name__}")
        try:
            return cls.from_dict({**settings, **overrides})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    def to_dict(self) -> dict:
        """What shapes the model, JSON-able: part of the identity of weights, so without `other`."""
        settings = asdict(self)
        del settings["other"]
        return settings

    @property
    def max_msp(self) -> int:
        """Largest symbol of the most significant plane at the trained partition."""
        return self.max_value >> self.param_d


def n_groups(channels: int) -> int:
    """Groups of the published GroupNorm."""
    return 32 if channels >= 64 else max(channels // 2, 1)


def _ranges() -> dict[str, tuple[int, int]]:
    ranges = {}
    for f in fields(LhicBpConfig):
        if f.name.startswith("N_layers"):
            # The first spectral block holds the input's norm, so there is one at least.
            ranges[f.name] = (1 if "spectral" in f.name else 0, MAX_LAYERS)
        elif f.name.startswith("dim_"):
            ranges[f.name] = (2, MAX_WIDTH)
    return {**ranges, "num_mixture": (2, 64), "max_value": (1, MAX_SAMPLE), "param_d": (1, 16)}
