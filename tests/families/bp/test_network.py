"""The published network: sizes, conformance, causality, and equality of its forms."""

import numpy as np
import pytest
import torch

from lhic.errors import CheckpointError, ConfigError, UsageError
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.conformance import run_lhic_bp
from lhic.families.bp.context import band_embedding
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.recurrent import recurrent_mixture, spectral_step
from tests.common import shared_path
from tests.families.bp.common import UNEVEN, random_nets, random_samples

PUBLISHED = {
    **dict.fromkeys(("N_layers_spatial_msp", "N_layers_spectral_msp", "N_layers_params"), 2),
    **dict.fromkeys(("N_layers_spatial_lsp", "N_layers_spectral_lsp", "N_layers_plane"), 3),
    **dict.fromkeys(("dim_msp_spectral", "dim_msp_spatial", "dim_lsp_spectral", "dim_lsp_spatial"), 96),
    **dict.fromkeys(("dim_plane", "dim_params"), 96),
    "N_layers_context": 1,
    "num_mixture": 10,
    "device": "cuda",
}


def test_published_sizes():
    config = LhicBpConfig.from_dict(PUBLISHED)
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in kind(config).parameters()) for kind in (MspNet, LspNet)]
    assert sizes == [1_986_396, 4_744_724]
    assert config.other == {"device": "cuda"}
    assert LhicBpConfig.from_dict(config.to_dict()) == config


@pytest.mark.shared
def test_conformance_vector():
    rows = run_lhic_bp(shared_path("golden", "lhic_bp"))
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        assert row.conforms, str(row)
        assert row.n_values == 2 * 6 * 32 * 32 * 10


def test_conformance_without_vectors_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="found none"):
        run_lhic_bp(tmp_path)
    (tmp_path / "x_config.yml").write_text("num_mixture: 10\n")
    with pytest.raises(CheckpointError, match=r"x_meta\.json"):
        run_lhic_bp(tmp_path)


@pytest.mark.shared
def test_conformance_sees_a_difference(tmp_path):
    """A vector whose expected output is off by 2e-4 in one value must fail."""
    for path in shared_path("golden", "lhic_bp").glob("dim24_*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with np.load(tmp_path / "dim24_io.npz") as file:
        arrays = {name: file[name][:1] for name in file}  # one of its tiles
    arrays["lsp_scale"][0, 5, 31, 31, 9] += 2e-4
    np.savez(tmp_path / "dim24_io.npz", **arrays)
    wrong = [row for row in run_lhic_bp(tmp_path) if not row.conforms]
    assert [(row.net, row.output) for row in wrong] == [("lsp", "scale")] * 2


@pytest.mark.parametrize("split_bits", [8, 5])
def test_recurrent_form_equals_training_form(split_bits):
    samples = torch.from_numpy(random_samples((2, 5, 32, 32)))
    for net in random_nets():
        expected = net(samples, split_bits=split_bits)
        for a, b in zip(expected, recurrent_mixture(net, samples, split_bits), strict=True):
            assert a.shape == (2, 5, 32, 32, UNEVEN.num_mixture)
            assert (a - b).abs().max() < 1e-11


def test_spectral_step_leaves_the_state_it_was_given():
    net, _ = random_nets()
    state = net.spectral_net.empty_state(1, 32, 32)
    band = torch.rand(1, 1, 32, 32, dtype=torch.float64)
    first, after = spectral_step(net, state, band)
    again, _ = spectral_step(net, state, band)
    assert torch.equal(first, again)
    later, _ = spectral_step(net, after, band)
    assert not torch.allclose(first, later)  # it does remember


def test_nothing_looks_ahead():
    """Changing one sample changes no parameter of a sample that is coded before it, and not its own."""
    samples = torch.from_numpy(random_samples((1, 4, 32, 32)))
    band, row, column = 2, 9, 13
    later_in_band = torch.arange(32)[:, None] + torch.arange(32) > row + column
    # The lsp network may see the whole msp, so only the low bits change for it.
    for net, change in zip(random_nets(), (1 << 8, 1)):
        other = samples.clone()
        other[0, band, row, column] ^= change
        changed = torch.zeros(4, 32, 32, dtype=torch.bool)
        for a, b in zip(net(samples), net(other), strict=True):
            changed |= (a != b)[0].any(-1)
        assert not changed[:band].any()
        assert not changed[band][~later_in_band].any()
        assert changed[band].any() and changed[band + 1 :].any()


def test_run_in_the_middle_knows_its_band():
    net, _ = random_nets()
    samples = torch.from_numpy(random_samples((2, 3, 32, 32)))
    start, middle = net(samples), net(samples, first_band=torch.tensor([0, 40]))
    for a, b in zip(start, middle, strict=True):
        assert torch.allclose(a[0], b[0], atol=1e-12)
        assert torch.allclose(a[1, 0], b[1, 0], atol=1e-12)  # band 0 of a run has no spectral features
        assert not torch.allclose(a[1, 1:], b[1, 1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_trains_in_lower_precision(dtype):
    """Gradients reach every parameter but what a mask or a zero keeps from the loss."""
    samples = torch.from_numpy(random_samples((1, 3, 32, 32)))
    for net in random_nets():
        net.float().train().requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            outputs = net(samples)
        sum(output.float().square().mean() for output in outputs).backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        masked = net.spatial_net.conv_in
        assert (masked.weight.grad[masked.mask == 0] == 0).all()


def test_bad_configurations_name_the_key(tmp_path):
    with pytest.raises(ConfigError, match="dim_plane"):
        LhicBpConfig.from_dict({key: value for key, value in PUBLISHED.items() if key != "dim_plane"})
    with pytest.raises(ConfigError, match="num_mixture: expected an integer"):
        LhicBpConfig.from_dict({**PUBLISHED, "num_mixture": "ten"})
    with pytest.raises(ConfigError, match="dim_msp_spectral"):
        LhicBpConfig.from_dict({**PUBLISHED, "dim_msp_spectral": 100})
    path = tmp_path / "config.yml"
    path.write_text("a: [1\n")
    with pytest.raises(ConfigError, match=r"config\.yml: expected YAML"):
        LhicBpConfig.from_yaml(path)


@pytest.mark.parametrize("features", [2, 7, 24])
def test_exact_band_embedding(features):
    """The decimal form rounds the published formula's value correctly, to all 53 bits."""
    bands = [0, 1, 2, 47, 201, 4000]
    found = band_embedding(torch.tensor(bands, dtype=torch.float64), features).numpy()
    half = features // 2
    angle = np.array(bands)[:, None] * 48.0 ** (-np.arange(half) / half)
    expected = np.concatenate([np.cos(angle), np.sin(angle), np.zeros((len(bands), features % 2))], axis=1)
    assert np.abs(found - expected).max() < 4000 * 2.0**-52
    assert found[1, 0] == 0.5403023058681398 and found[1, half] == 0.8414709848078965  # cos 1 and sin 1
    single = band_embedding(torch.tensor(bands[:5], dtype=torch.float32), features).numpy()
    assert np.abs(single - expected[:5]).max() < 201 * 2.0**-23
