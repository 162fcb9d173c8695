from dataclasses import replace

import pytest
import torch

from lhic.errors import CheckpointError
from lhic.families.bp.config import LhicBpConfig
from lhic.train.grow import grow
from lhic.train.loop import BothNets
from tests.families.bp.common import random_nets
from tests.train.conftest import LAYERS, WIDTHS
from tests.train.test_train_start import smooth_samples


def config_of(params: int = 6, **changes) -> LhicBpConfig:
    widths = {f"dim_{w}": 4 for w in WIDTHS} | {"dim_params": params}
    return LhicBpConfig.from_dict(widths | {f"N_layers_{n}": 1 for n in LAYERS} | {"num_mixture": 2} | changes)


def grown(small: LhicBpConfig, large: LhicBpConfig) -> tuple[tuple, BothNets]:
    """Random small networks, attention included, and what grew from them."""
    nets = random_nets(small)
    tensors = {f"{name}.{key}": t for name, net in zip(("msp", "lsp"), nets) for key, t in net.state_dict().items()}
    torch.manual_seed(0)
    both = BothNets(large).double()
    both.load_state_dict(grow(tensors, small, both.state_dict(), large))
    return nets, both


@pytest.mark.parametrize("params", [6, 8])  # with an input layer in the head of the lsp's band 0, and without
def test_what_has_grown_says_what_the_small_one_said(params):
    small = config_of(params)
    large = config_of(
        2 * params,
        dim_lsp_spatial=8,
        dim_lsp_spectral=12 if params == 6 else 8,
        dim_plane=8,
        dim_msp_spatial=8,
        N_layers_spatial_lsp=2,
        N_layers_spectral_lsp=3,
    )
    nets, both = grown(small, large)
    x = smooth_samples()
    with torch.no_grad():
        for net, large_net in zip(nets, (both.msp, both.lsp)):
            for found, expected in zip(large_net(x, 5), net(x, 5)):
                torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_copies_of_a_feature_part():
    """Equal copies would get equal gradients for ever."""
    small = config_of()
    _, both = grown(small, replace(small, dim_lsp_spatial=8))
    both.bits("lsp", smooth_samples()).backward()
    gradient = both.lsp.spatial_net.spatial_mix[0].MCG.conv_in.weight.grad
    assert not torch.allclose(gradient[:4], gradient[4:], rtol=0.1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dim_plane": 6}, "dim_plane"),
        ({"num_mixture": 3}, "num_mixture"),
        ({"N_layers_plane": 2}, "N_layers_plane"),
        ({"dim_params": 12, "dim_plane": 8, "dim_lsp_spatial": 4}, "dim_params"),
    ],
)
def test_networks_that_do_not_fit_are_refused(change, named):
    small = config_of()
    with pytest.raises(CheckpointError, match=named):
        grown(small, replace(small, **change))
