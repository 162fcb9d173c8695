"""LERC (limited error raster compression, Esri) with error 0, band by band; with and without Zstandard on top.

LERC codes blocks of 8x8 with a bit width each and has no entropy coder of its own; ``lerc-zstd`` is what GDAL
calls LERC_ZSTD.  Signed and 32-bit integers are native.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import Codec, library_version
from lhic.errors import CorruptStreamError


class Lerc(Codec):
    """Esri's library through imagecodecs: one blob with all bands, its header holds shape and dtype."""

    def __init__(self, name: str, **options):
        self.name = name
        self.version = library_version("lerc")
        self.settings = {"level": 0, "planar": True, **options}
        self._options = options

    def encode(self, cube: np.ndarray) -> bytes:
        import imagecodecs

        return imagecodecs.lerc_encode(np.ascontiguousarray(cube), level=0, planar=True, **self._options)

    def decode(self, data: bytes) -> np.ndarray:
        import imagecodecs

        cube = imagecodecs.lerc_decode(data)
        if cube.ndim == 2:
            cube = cube[None]  # a single band comes back as an image
        if cube.ndim != 3:
            raise CorruptStreamError(f"{self.name}: expected a cube, found shape {cube.shape}")
        return cube


CODECS = {
    "lerc": lambda: Lerc("lerc"),
    "lerc-zstd": lambda: Lerc("lerc-zstd", compression="zstd", compressionargs={"level": 19}),
}
