"""Configuration of LineRWKV under the keys of the published one.

The published weights have one width throughout; other configurations are refused, because nobody could check them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lhic.errors import ConfigError

MAX_WIDTH = 4096
MAX_LAYERS = 64
MAX_KERNEL = 63


@dataclass(frozen=True)
class LineRwkvConfig:
    """Shape of the network; field names are the published keys.

    dim_enc, dim_att, dim_ffn : feature widths F, all the same
    kernel_size : columns that a convolution of the line encoder sees, odd
    N_layers_encoder, N_layers_decoder : layers before and after the recurrent blocks, 1 or more
    n_layer_lines, n_layer_bands : RWKV blocks along the lines and along the bands, 1 or more
    """

    dim_enc: int
    dim_att: int
    dim_ffn: int
    kernel_size: int
    N_layers_encoder: int
    n_layer_lines: int
    n_layer_bands: int
    N_layers_decoder: int

    def __post_init__(self):
        for name, value in asdict(self).items():
            high = MAX_WIDTH if name.startswith("dim") else MAX_KERNEL if name == "kernel_size" else MAX_LAYERS
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= high:
                raise ConfigError(f"{name}: expected an integer in 1..{high}, found {value!r}")
        if not self.dim_enc == self.dim_att == self.dim_ffn:
            raise ConfigError(
                f"dim_enc, dim_att, dim_ffn: expected one width, found {self.dim_enc}, {self.dim_att}, {self.dim_ffn}"
            )
        if self.kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: expected an odd number, found {self.kernel_size}")

    @classmethod
    def from_dict(cls, settings: dict) -> LineRwkvConfig:
        """From published keys; raises `ConfigError` where one is missing or unknown."""
        names = set(cls.__dataclass_fields__)
        if not isinstance(settings, dict) or set(settings) != names:
            found = ", ".join(sorted(map(str, settings))) if isinstance(settings, dict) else type(settings).__name__
            raise ConfigError(f"configuration: expected {', '.join(sorted(names))}, found {found}")
        return cls(**settings)

    def to_dict(self) -> dict:
        """What shapes the model, JSON-able: part of the identity of weights."""
        return asdict(self)

    @classmethod
    def of_tensors(cls, shapes: dict[str, tuple[int, ...]]) -> LineRwkvConfig:
        """The configuration that published tensors have; raises `ConfigError` if they are none of LineRWKV's."""

        def count(prefix: str) -> int:
            return len({name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)})

        first = shapes.get("encoder.conv_in.weight", ())
        if len(first) != 3:
            raise ConfigError("tensors: expected those of LineRWKV, found no encoder.conv_in.weight of three axes")
        return cls(
            dim_enc=first[0],
            dim_att=first[0],
            dim_ffn=first[0],
            kernel_size=first[2],
            N_layers_encoder=1 + count("encoder.convs."),
            n_layer_lines=count("blocks_lines."),
            n_layer_bands=count("blocks_bands."),
            N_layers_decoder=1 + count("decoder.convs."),
        )
