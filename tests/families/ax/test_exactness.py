"""Every integer up to the coder is that of the documents, whoever does which part."""

import numpy as np
import pytest

import lhic
from lhic.families.family import Work
from lhic.families.weights import Weights, save_weights
from tests import document_decoder
from tests.common import coded
from tests.families.ax.common import CONFIGS, SMALL, extreme_tiles, random_model, random_tensors, settings_of


def check_against_the_documents(config, tile, folder, share=1.0, **options):
    """The decoder that was written from the documents alone reads the stream of a model with random weights."""
    path = folder / "random.safetensors"
    save_weights(path, Weights("random", "lhic-ax", config.to_dict(), random_tensors(config, share=share)))
    stream = lhic.encode(tile, path, fallback=False, **options)
    assert np.array_equal(document_decoder.decode(stream, [folder]), tile)


@pytest.mark.parametrize("name", extreme_tiles())
def test_the_documents_decode_extreme_tiles(name, tmp_path):
    check_against_the_documents(SMALL, extreme_tiles()[name], tmp_path)


@pytest.mark.parametrize("name", list(CONFIGS)[1:])
@pytest.mark.parametrize("tile", ["smooth noise", "checkerboard of the extremes", "pixels that repeat others"])
def test_the_documents_decode_other_configurations(name, tile, tmp_path):
    check_against_the_documents(CONFIGS[name], extreme_tiles()[tile][:2], tmp_path, share=0.1)


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
