"""Every integer up to the coder is the same in the reference and in the compiled walk, whoever does which part."""

import numpy as np
import pytest
import torch

from lhic.coder import rans
from lhic.families.ax import reference
from lhic.families.ax.model import read_tile
from lhic.families.ax.planes.tile import split_tile
from lhic.families.family import Work
from tests.common import coded
from tests.families.ax.common import (
    CONFIGS,
    SMALL,
    extreme_tiles,
    intervals,
    observed,
    oriented,
    random_model,
    random_tensors,
    settings_of,
)


def check_against_reference(config, tile, share=1.0, settings=None):
    settings = settings or settings_of()
    model = random_model(config, share=share)
    planes = oriented(split_tile(tile)[0])
    tensors = random_tensors(config, share=share)
    expected, samples = reference.encode(planes, config, tensors, settings.group_planes, settings.lower_bits)
    if not samples:
        assert not len(planes.band)
        return
    seen = observed(model, tile, settings)
    rows = [np.ravel_multi_index((s.z, s.i, s.j), planes.values.shape) for s in samples]
    assert torch.equal(
        torch.from_numpy(seen["features"][rows]), torch.tensor([s.features for s in samples], dtype=torch.int8)
    )
    for name, wanted in (("bases", [s.base for s in samples]), ("scales", [s.scale for s in samples])):
        assert torch.equal(torch.from_numpy(seen[name][rows]), torch.tensor(wanted))
    found = intervals(model, tile, settings)
    for own, wanted in zip(found, expected, strict=True):
        assert torch.equal(torch.from_numpy(own), torch.tensor(wanted).reshape(-1, 2))


@pytest.mark.parametrize("name", extreme_tiles())
def test_reference_and_compiled_walk_agree(name):
    check_against_reference(SMALL, extreme_tiles()[name])


@pytest.mark.parametrize("name", list(CONFIGS)[1:])
@pytest.mark.parametrize("tile", ["smooth noise", "checkerboard of the extremes"])
def test_other_configurations_agree(name, tile):
    check_against_reference(CONFIGS[name], extreme_tiles()[tile][:2], share=0.1)


@pytest.mark.parametrize("lower_bits", [1, 5, 16])
def test_other_partitions_agree(lower_bits):
    check_against_reference(SMALL, extreme_tiles()["ramp"][:2], 0.05, settings_of(lower_bits=lower_bits))


@pytest.mark.parametrize("name", ["smooth noise", "one column", "values with gaps"])
@pytest.mark.parametrize("n_lanes", [1, 3])
def test_the_reference_decodes_what_the_model_wrote(name, n_lanes):
    tile, settings = extreme_tiles()[name][:3], settings_of(n_lanes=n_lanes, group_planes=2)
    model = random_model(share=0.02)
    (sections,) = coded(model, [tile], settings.to_bytes())
    found_tile = read_tile(sections, tile.shape, tile.dtype, settings)
    planes = oriented(split_tile(tile)[0])
    decoders = [rans.RansDecoder(part, n_lanes, 24) for part in found_tile.parts]
    found = reference.decode(planes, SMALL, random_tensors(SMALL, share=0.02), 2, 8, decoders)
    assert np.array_equal(found[:, ~planes.mask], planes.values[:, ~planes.mask])


def test_threads_and_neighbouring_tiles_change_nothing():
    rng = np.random.default_rng(3)
    tiles = [rng.normal(0, 40, (11, h, w)).cumsum(0).astype("int16") for h, w in ((33, 40), (24, 24), (40, 9))]
    model, parameters = random_model(share=0.02), settings_of(n_lanes=2).to_bytes()
    alone = [coded(model, [tile], parameters)[0] for tile in tiles]
    for n in (1, 2, 4):
        assert coded(model, tiles, parameters, Work(threads=n)) == alone
        shapes = [tile.shape for tile in tiles]
        found = model.decode_tiles(shapes, tiles[0].dtype, alone, parameters, Work(threads=n))
        assert all(np.array_equal(a, b) for a, b in zip(found, tiles, strict=True))
