"""Ideas of other codecs as experiments: their models look only at what a decoder knows."""

import numpy as np
import pytest
import torch

from benchmarks import experiments
from benchmarks.experiments import bit_planes, ideas, spectral_transform
from lhic.errors import VerificationError


def tiles(n_bands: int, size: int) -> torch.Tensor:
    band, row, column = np.ogrid[0:n_bands, 0:size, 0:size]
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 27
    return torch.from_numpy(300 + 40 * band + 9 * row + 5 * column + noise).float()[None]


def stirred(model):
    """No weight is zero, as some are when training starts."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize(
    ("make", "n_sections"),
    [
        (bit_planes.LspMixture, 1),
        (bit_planes.BitPlanes, 8),
        (lambda: spectral_transform.ResidualMixture(False), 1),
        (lambda: spectral_transform.ResidualMixture(True), 2),
    ],
)
def test_what_is_coded_is_decoded_and_takes_what_the_ideal_says(make, n_sections):
    """The decoder has nothing but what came before: a model that looked ahead would decode something else."""
    torch.manual_seed(1)
    coded, ideal = stirred(make()).checked(tiles(ideas.N_BANDS, 6))
    # A section ends in a state of 64 bits, half of which were there before the first symbol.
    assert ideal < coded < ideal + 96 * n_sections


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_every_experiment_is_there(name):
    assert callable(experiments.experiment_of(name))


def test_a_model_that_looks_ahead_is_found_out():
    def probabilities(symbols):
        return lambda index: torch.nn.functional.one_hot(symbols[index], 4) * 0.9 + 0.025

    order = ideas.raster(3, 3)
    with pytest.raises(VerificationError, match="decoded"):
        ideas.code_in_turn(probabilities, torch.arange(9).reshape(3, 3) % 3 + 1, order)


def test_bits_are_those_of_probabilities_that_sum_to_one():
    torch.manual_seed(1)
    for half in (0.3, 40.0):
        values = torch.arange(-20, 21).float()
        bits = spectral_transform.logistic_bits(values, torch.tensor(1.7), torch.tensor(1 / half), 20)
        assert torch.exp2(-bits).sum() == pytest.approx(1, abs=1e-5)
    values = torch.arange(spectral_transform.MAX_VALUE + 1).float()
    mixture = torch.tensor([10.0, 5000.0, 9999.0]), torch.tensor([0.0, 3.0, 8.0]), torch.tensor([0.0, 1.0, 2.0])
    bits = spectral_transform.mixture_bits(values, *mixture)
    assert torch.exp2(-bits).sum() == pytest.approx(1, abs=1e-3)


def test_training_learns(monkeypatch, tmp_path):
    for i in range(2):
        np.save(tmp_path / f"cube_{i}.npy", tiles(20, 40)[0].numpy().astype("uint16") * (i + 1))
    monkeypatch.setattr(ideas, "ROOT", tmp_path)
    torch.manual_seed(1)
    model = bit_planes.BitPlanes()
    before = ideas.tested(model, "cube_0")
    assert ideas.trained(model, 12) > 0
    assert ideas.tested(model, "cube_0") < before
