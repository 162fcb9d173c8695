"""JPEG XL (ISO/IEC 18181), lossless modular mode of libjxl, efforts 3, 7 and 9 in both layouts.

The bare codestream is written (no container).  The declared depth is the actual one.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import library_version
from benchmarks.codecs.image import ImageCodec


class JpegXl(ImageCodec):
    """libjxl through imagecodecs."""

    threads = "numthreads of libjxl"

    def __init__(self, effort: int, layout: str):
        self.name = f"jpeg-xl-e{effort}-{layout}"
        self.version = library_version("libjxl")
        self.layout = layout
        self.settings = {"layout": layout, "effort": effort, "lossless": True, "container": False}
        self._effort = effort

    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        import imagecodecs

        return imagecodecs.jpegxl_encode(
            np.ascontiguousarray(image),
            effort=self._effort,
            lossless=True,
            bitspersample=depth,
            usecontainer=False,
            numthreads=self.n_threads,
        )

    def decode_image(self, data: memoryview) -> np.ndarray:
        import imagecodecs

        return imagecodecs.jpegxl_decode(data, numthreads=self.n_threads)


def _maker(effort: int, layout: str):
    return lambda: JpegXl(effort, layout)


CODECS = {
    f"jpeg-xl-e{effort}-{layout}": _maker(effort, layout)
    for effort in (3, 7, 9)
    for layout in ("bands", "pixels-bands")
}
