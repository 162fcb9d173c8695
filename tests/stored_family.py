"""A family that stores samples as they are: lets codec and command line be tested without a network."""

import json

import numpy as np

from lhic.errors import CorruptStreamError, UsageError

SECTION_NAMES = ("even bands", "odd bands")


class StoredModel:
    family = "stored"

    def __init__(self, name, config, weights_hash):
        self.name, self.config, self.weights_hash = name, config, weights_hash

    def tile_shape(self, n_rows, n_columns):
        return 8, 8

    def plan(self, cube, **options):
        if unknown := set(options) - {"param_d"}:
            raise UsageError(f"stored: expected param_d, found {unknown}")
        return json.dumps(options).encode()

    def encode_tiles(self, tiles, parameters, progress):
        sections = []
        for tile in tiles:
            progress(tile.size)
            sections.append((tile[::2].tobytes(), tile[1::2].tobytes()))
        return sections

    def decode_tiles(self, shapes, dtype, sections, parameters, progress):
        tiles = []
        for shape, (even, odd) in zip(shapes, sections, strict=True):
            tile = np.empty(shape, dtype)
            if len(even) + len(odd) != tile.nbytes:
                raise CorruptStreamError(f"stored: expected {tile.nbytes} bytes, found {len(even) + len(odd)}")
            tile[::2] = np.frombuffer(even, dtype).reshape(tile[::2].shape)
            tile[1::2] = np.frombuffer(odd, dtype).reshape(tile[1::2].shape)
            progress(tile.size)
            tiles.append(tile)
        return tiles


def load(name, config, tensors, weights_hash, device):
    return StoredModel(name, config, weights_hash)


def describe_parameters(parameters):
    return json.loads(parameters)
