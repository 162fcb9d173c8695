"""A tiny LineRWKV with random weights."""

import torch

from lhic.families.linerwkv.config import LineRwkvConfig
from lhic.families.linerwkv.network import LineRwkv
from lhic.families.linerwkv.parameters import FAMILY
from lhic.families.weights import Weights

TINY = LineRwkvConfig(
    dim_enc=6,
    dim_att=6,
    dim_ffn=6,
    kernel_size=3,
    N_layers_encoder=2,
    n_layer_lines=2,
    n_layer_bands=2,
    N_layers_decoder=2,
)


def random_state() -> dict[str, torch.Tensor]:
    """Published names, float32."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LineRwkv(TINY).state_dict()


def tiny_weights() -> Weights:
    tensors = {key: value.numpy() for key, value in random_state().items()}
    return Weights("linerwkv-tiny", FAMILY, TINY.to_dict(), tensors)
