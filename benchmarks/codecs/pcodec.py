"""pcodec: numeric sequences, binned and tANS-coded after automatic delta encoding.

The samples go in band order, or spectrum by spectrum.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.codecs.base import Codec, Frame, from_scan, library_version, to_scan


class Pcodec(Codec):
    """pcodec through imagecodecs; the frame adds shape and dtype."""

    def __init__(self, level: int, order: str):
        self.name = f"pcodec-l{level}-{order}"
        self.version = library_version("pcodec")
        self.settings = {"level": level, "order": order}
        self._level, self._order = level, order

    def refuses(self, cube: np.ndarray) -> str | None:
        return "expected samples of at least 16 bits, found 8" if cube.dtype.itemsize == 1 else None

    def encode(self, cube: np.ndarray) -> bytes:
        import imagecodecs

        self.check(cube)
        scan = to_scan(cube, self._order)
        return Frame.of(cube).to_bytes() + imagecodecs.pcodec_encode(scan, level=self._level)

    def decode(self, data: bytes) -> np.ndarray:
        import imagecodecs

        frame, at = Frame.read(data)
        n_samples = math.prod(frame.shape)
        scan = imagecodecs.pcodec_decode(data[at:], shape=(n_samples,), dtype=np.dtype(frame.dtype))
        return from_scan(scan, self._order, frame.shape)


CODECS = {
    "pcodec-l8-bands": lambda: Pcodec(8, "bands"),
    "pcodec-l12-bands": lambda: Pcodec(12, "bands"),
    "pcodec-l12-pixels": lambda: Pcodec(12, "pixels"),
}
