import numpy as np
import torch

from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.network import LspNet, MspNet
from lhic.train.start import start_as_predictor
from tests.train.conftest import LAYERS, WIDTHS


def started(widths, k=5):
    torch.manual_seed(0)
    model = {f"dim_{w}": widths.get(w, 8) for w in WIDTHS} | {f"N_layers_{n}": 1 for n in LAYERS}
    config = LhicBpConfig.from_dict(model | {"num_mixture": k})
    nets = MspNet(config).double(), LspNet(config).double()
    start_as_predictor(*nets)
    return nets


def smooth_samples():
    """Crosses msp boundaries inside the tile, so that an lsp alone could not be predicted."""
    s, i, j = np.indices((3, 12, 12))
    return torch.from_numpy(600 + 100 * s + 31 * i + 17 * j)[None]


def expected_means(x):
    """W, N, W + N - NW, (W + N) / 2 of the samples inside the tile, in sample units."""
    west, north, north_west = x[..., 1:, :-1], x[..., :-1, 1:], x[..., :-1, :-1]
    return torch.stack([west, north, west + north - north_west, (west + north) / 2], dim=-1).double()


def test_every_component_starts_as_its_predictor():
    # With and without an input layer in the head of band 0: 8 + 8 features to 24 or to 16.
    for params in (24, 16):
        msp, lsp = started({"params": params})
        x = smooth_samples()
        with torch.no_grad():
            msp_mean, lsp_mean = msp(x)[0], lsp(x)[0]
        own = (x >> 8)[..., 1:, 1:, None]
        in_msp = (msp_mean[..., 1:, 1:, :4] + 1) * 39 / 2
        torch.testing.assert_close(in_msp, expected_means(x >> 8), atol=1e-4, rtol=0)
        in_samples = (lsp_mean[..., 1:, 1:, :4] + 1) * 255 / 2 + 256 * own
        torch.testing.assert_close(in_samples, expected_means(x), atol=1e-2, rtol=0)


def test_narrow_networks_start_with_fewer_neighbours():
    msp, lsp = started({w: 4 for w in WIDTHS}, k=2)
    x = smooth_samples()
    with torch.no_grad():
        mean = lsp(x)[0]
    in_samples = (mean[..., 1:, 1:, :] + 1) * 255 / 2 + 256 * (x >> 8)[..., 1:, 1:, None]
    west = x[..., 1:, :-1, None].double().expand_as(in_samples)
    torch.testing.assert_close(in_samples, west, atol=1e-2, rtol=0)
    msp, lsp = started({w: 2 for w in WIDTHS}, k=2)
    with torch.no_grad():
        assert all(torch.isfinite(t).all() for net in (msp, lsp) for t in net(x))


def test_nothing_starts_without_a_gradient_in_reach():
    """Zeros are only in the last layer of a branch, so one step gives the layers before it a gradient."""
    msp, lsp = started({"params": 24})
    x = smooth_samples()
    parameters = [p for net in (msp, lsp) for p in net.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        sum(t.square().mean() for net in (msp, lsp) for t in net(x)).backward()
        optimiser.step()
    names = [n for net in (msp, lsp) for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(".MCG.conv_1" in n or "time_" in n or n.endswith("bias") for n in names), names
