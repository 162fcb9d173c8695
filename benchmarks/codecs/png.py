"""PNG (ISO/IEC 15948), one 16-bit grey image per band, libpng.

Level 9 with zlib's strategy for filtered data, which beat the default strategy by 3 % on every cube tried;
``png-default`` is what a call without options gives.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import library_version
from benchmarks.codecs.image import ImageCodec


class Png(ImageCodec):
    """libpng through imagecodecs."""

    pool_bands = True
    threads = "bands in a thread pool"

    def __init__(self, name: str, **options):
        self.name = name
        self.version = library_version("libpng")
        self.settings = {"layout": "bands", **options}
        self._options = options

    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        import imagecodecs

        return imagecodecs.png_encode(np.ascontiguousarray(image), **self._options)

    def decode_image(self, data: memoryview) -> np.ndarray:
        import imagecodecs

        return imagecodecs.png_decode(data)


# libpng's numbers: filter 248 tries all five filters on each row, strategy 1 is Z_FILTERED.
CODECS = {
    "png-bands": lambda: Png("png-bands", level=9, filter=248, strategy=1),
    "png-default": lambda: Png("png-default"),
}
