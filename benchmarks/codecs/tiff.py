"""GeoTIFF as archives write it: DEFLATE or Zstandard with predictor 2 (horizontal differences), bands separate.

The TIFF file itself is the stream, directory included.  Negative samples are native: the differences wrap.
"""

from __future__ import annotations

import io

import numpy as np

from benchmarks.codecs.base import Codec

PREDICTOR_HORIZONTAL = 2


class Tiff(Codec):
    """tifffile: one strip (or a few of 256 KiB) per band."""

    threads = "maxworkers of tifffile (strips)"

    def __init__(self, compression: str, level: int):
        import tifffile

        self.name = f"tiff-{compression}-l{level}"
        self.version = f"tifffile {tifffile.__version__}"
        self.settings = {"compression": compression, "level": level, "predictor": PREDICTOR_HORIZONTAL}
        self._compression, self._level = compression, level

    def encode(self, cube: np.ndarray) -> bytes:
        import tifffile

        file = io.BytesIO()
        tifffile.imwrite(
            file,
            cube if cube.shape[0] > 1 else cube[0],
            photometric="minisblack",
            planarconfig="separate" if cube.shape[0] > 1 else None,
            compression=self._compression,
            compressionargs={"level": self._level},
            predictor=PREDICTOR_HORIZONTAL,
            metadata=None,
            maxworkers=self.n_threads,
        )
        return file.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            shape = (page.samplesperpixel, page.imagelength, page.imagewidth)
            return page.asarray(maxworkers=self.n_threads).reshape(shape)


CODECS = {
    "tiff-deflate-l6": lambda: Tiff("deflate", 6),
    "tiff-deflate-l9": lambda: Tiff("deflate", 9),
    "tiff-zstd-l9": lambda: Tiff("zstd", 9),
    "tiff-zstd-l22": lambda: Tiff("zstd", 22),
}
