"""A family that deflates samples as they are: lets codec and command line be tested without a network.

Has everything optional, too: ``max_error`` cuts samples down to multiples of ``max_error + 1``, and the first band is
decoded without the odd ones.
"""

import json
import zlib
from copy import copy

import numpy as np

from lhic.errors import CorruptStreamError, UsageError
from lhic.families.family import Encoded, Family, Model


class StoredModel(Model):
    family = "stored"
    tile = 8, 8

    def __init__(self, name, config, weights_hash):
        self.name, self.config, self.weights_hash = name, config, weights_hash

    def with_tiles(self, n_rows, n_columns):
        other = copy(self)
        other.tile = n_rows, n_columns
        return other

    def tile_shape(self, n_rows, n_columns):
        return self.tile

    def plan(self, cube, work, **options):
        if unknown := set(options) - {"param_d", "max_error"}:
            raise UsageError(f"stored: expected param_d, found {unknown}")
        return json.dumps(options).encode()

    def encode_tiles(self, tiles, parameters, work, nodata=None):
        step, encoded = describe_parameters(parameters).get("max_error", 0) + 1, []
        for tile in tiles:
            work.progress(tile.size)
            tile = tile // step * step
            sections = zlib.compress(tile[::2].tobytes()), zlib.compress(tile[1::2].tobytes())
            encoded.append(Encoded(sections, tile))
        return encoded

    def decode_tiles(self, shapes, dtype, sections, parameters, work):
        tiles = []
        for shape, (even, odd) in zip(shapes, sections, strict=True):
            tile = np.empty(shape, dtype)
            even, odd = zlib.decompress(even), zlib.decompress(odd)
            if len(even) + len(odd) != tile.nbytes:
                raise CorruptStreamError(f"stored: expected {tile.nbytes} bytes, found {len(even) + len(odd)}")
            tile[::2] = np.frombuffer(even, dtype).reshape(tile[::2].shape)
            tile[1::2] = np.frombuffer(odd, dtype).reshape(tile[1::2].shape)
            work.progress(tile.size)
            tiles.append(tile)
        return tiles

    def decode_first_bands(self, shapes, dtype, sections, parameters, n_bands, work):
        if n_bands > 1:
            return super().decode_first_bands(shapes, dtype, sections, parameters, n_bands, work)
        tiles = []
        for (n_all, *size), (even, _) in zip(shapes, sections, strict=True):
            tiles.append(np.frombuffer(zlib.decompress(bytes(even)), dtype).reshape((n_all + 1) // 2, *size))
            work.progress(tiles[-1].size)
        return tiles


def load(name, config, tensors, weights_hash, device):
    return StoredModel(name, config, weights_hash)


def describe_parameters(parameters):
    return json.loads(parameters)


family = Family(("even bands", "odd bands"), describe_parameters, load, "cpu")
