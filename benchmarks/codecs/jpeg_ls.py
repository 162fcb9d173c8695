"""JPEG-LS (ISO/IEC 14495-1, ITU-T T.87) with CharLS.

The bits per sample of the frame header set the context thresholds and start values of the coder, which
matters for small images: declaring the depth the samples really have is worth 4 to 14 % band by band.
imagecodecs always declares 8 or 16 bits, so the encoders here go through pyjpegls (the same CharLS) with
the actual depth; ``jpeg-ls-bands-16bit`` is what an imagecodecs user gets.  Decoding is imagecodecs' for all.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import library_version
from benchmarks.codecs.image import ImageCodec

# T.87: bits per sample 2..16 (table C.1); the line and column counts are 16-bit fields.
MIN_DEPTH = 2
MAX_SIDE = 65535


class JpegLs16(ImageCodec):
    """CharLS through imagecodecs: the container's bits declared, a SPIFF header per image."""

    max_side = MAX_SIDE
    pool_bands = True
    threads = "bands in a thread pool"

    def __init__(self, name: str = "jpeg-ls-bands-16bit", layout: str = "bands"):
        self.name = name
        self.layout = layout
        self.version = library_version("charls")
        self.settings = {"layout": layout, "bits_per_sample": "8 or 16", "near": 0}

    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        import imagecodecs

        return imagecodecs.jpegls_encode(np.ascontiguousarray(image))

    def decode_image(self, data: memoryview) -> np.ndarray:
        import imagecodecs

        return imagecodecs.jpegls_decode(data)


class JpegLs(JpegLs16):
    """CharLS through pyjpegls, samples declared with their actual depth."""

    def __init__(self, layout: str):
        import jpeg_ls

        super().__init__(f"jpeg-ls-{layout}", layout)
        self._library = jpeg_ls
        self.version = f"pyjpegls {jpeg_ls.__version__}, {self.version}"
        self.settings = {"layout": layout, "bits_per_sample": "actual", "near": 0}

    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        n_rows, n_columns = image.shape
        samples = image.astype(image.dtype.newbyteorder("<"), copy=False).tobytes()
        try:
            stream = self._library.encode_buffer(
                samples, n_rows, n_columns, samples_per_pixel=1, bits_stored=max(depth, MIN_DEPTH)
            )
        except RuntimeError:
            # pyjpegls gives CharLS a buffer too small for a tiny or incompressible image.
            return super().encode_image(image, depth)
        return bytes(stream)


CODECS = {
    "jpeg-ls-bands": lambda: JpegLs("bands"),
    "jpeg-ls-bands-16bit": JpegLs16,
    "jpeg-ls-stacked": lambda: JpegLs("stacked"),
    "jpeg-ls-differences": lambda: JpegLs("differences"),
    "jpeg-ls-pixels-bands": lambda: JpegLs("pixels-bands"),
}
