"""Blosc2: Zstandard over bit-shuffled blocks of the samples in band order, at its default level and at its highest."""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import Codec, Frame, library_version
from lhic.errors import CorruptStreamError


class Blosc2(Codec):
    """c-blosc2 through imagecodecs; the frame adds shape and dtype."""

    threads = "numthreads of c-blosc2"
    signed = "two's complement bytes"

    def __init__(self, level: int):
        self.name = f"blosc2-zstd-l{level}"
        self.version = library_version("c-blosc2")
        self.settings = {"compressor": "zstd", "shuffle": "bitshuffle", "level": level}
        self._level = level

    def encode(self, cube: np.ndarray) -> bytes:
        import imagecodecs

        payload = imagecodecs.blosc2_encode(
            np.ascontiguousarray(cube),
            level=self._level,
            compressor="zstd",
            shuffle="bitshuffle",
            typesize=cube.dtype.itemsize,
            numthreads=self.n_threads,
        )
        return Frame.of(cube).to_bytes() + payload

    def decode(self, data: bytes) -> np.ndarray:
        import imagecodecs

        frame, at = Frame.read(data)
        samples = np.frombuffer(imagecodecs.blosc2_decode(data[at:], numthreads=self.n_threads), frame.dtype)
        if samples.size != np.prod(frame.shape):
            raise CorruptStreamError(f"{self.name}: expected {frame.shape}, found {samples.size} samples")
        return samples.reshape(frame.shape)


CODECS = {"blosc2-zstd-l5": lambda: Blosc2(5), "blosc2-zstd-l9": lambda: Blosc2(9)}
