"""JPEG 2000 (ISO/IEC 15444-1), reversible 5/3 wavelet, OpenJPEG.

A bare codestream per image (the JP2 boxes would add 85 bytes to each band), five decompositions, the
actual depth declared.  No component transform: that of part 1 is for three colours.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import library_version
from benchmarks.codecs.image import ImageCodec


class Jpeg2000(ImageCodec):
    """OpenJPEG through imagecodecs."""

    threads = "numthreads of OpenJPEG"

    def __init__(self, layout: str):
        self.name = f"jpeg2000-{layout}"
        self.version = library_version("openjpeg")
        self.layout = layout
        self.settings = {"layout": layout, "reversible": True, "codecformat": "j2k"}

    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        import imagecodecs

        return imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(image),
            level=0,
            reversible=True,
            codecformat="j2k",
            bitspersample=depth,
            resolutions=_resolutions(image),
            numthreads=self.n_threads,
        )

    def decode_image(self, data: memoryview) -> np.ndarray:
        import imagecodecs

        return imagecodecs.jpeg2k_decode(data, numthreads=self.n_threads)


def _resolutions(image: np.ndarray) -> int:
    # OpenJPEG refuses more resolutions than the shorter side has bits; 6 is its default.
    return min(6, min(image.shape).bit_length())


CODECS = {
    "jpeg2000-bands": lambda: Jpeg2000("bands"),
    "jpeg2000-pixels-bands": lambda: Jpeg2000("pixels-bands"),
}
