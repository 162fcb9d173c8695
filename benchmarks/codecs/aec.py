"""AEC: adaptive entropy coding of CCSDS 121.0-B (the extended Rice coder), libaec.

Unit-delay prediction along the scan, so the order of the samples decides what is predicted from what:
band by band (the left neighbour) or spectrum by spectrum (the previous band).
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.codecs.base import (
    Codec,
    Frame,
    from_scan,
    library_version,
    shift_back,
    shift_to_unsigned,
    to_scan,
    value_range,
)

BLOCK_SIZE = 16  # samples per Rice parameter; in band order 8 was worse on every cube tried, 32 within 2 % either way
REFERENCE_INTERVAL = 128  # blocks between reference samples; 4096 gains below 0.1 %
PREPROCESS = 8  # AEC_DATA_PREPROCESS


class Aec(Codec):
    """libaec through imagecodecs, samples declared with their actual depth."""

    signed = "offset (two's complement above 16 bits)"

    def __init__(self, order: str):
        self.name = f"aec-{order}"
        self.version = library_version("libaec")
        self.settings = {
            "order": order,
            "block_size": BLOCK_SIZE,
            "reference_interval": REFERENCE_INTERVAL,
            "bits_per_sample": "actual",
        }
        self._order = order

    def encode(self, cube: np.ndarray) -> bytes:
        import imagecodecs

        low, high = value_range(cube)
        if high - low <= 0xFFFF:
            unsigned, offset = shift_to_unsigned(cube)
            depth = max(int(unsigned.max()).bit_length(), 1)
        else:
            # The offset alone cannot bring the range below 17 bits: the 32 bits are taken as they are.
            unsigned, offset, depth = cube.astype(np.uint32, casting="unsafe"), 0, 32
        samples = to_scan(unsigned, self._order).astype(_container(depth)).tobytes()
        # Room for an incompressible cube: an identifier of at most 6 bits for a block of 8 samples or more.
        max_bytes = len(samples) + len(samples) // 8 + 64
        payload = imagecodecs.aec_encode(
            samples,
            bitspersample=depth,
            flags=PREPROCESS,
            blocksize=BLOCK_SIZE,
            rsi=REFERENCE_INTERVAL,
            out=max_bytes,
        )
        return Frame.of(cube, offset).to_bytes() + bytes([depth]) + payload

    def decode(self, data: bytes) -> np.ndarray:
        import imagecodecs

        frame, at = Frame.read(data)
        depth, at = data[at], at + 1
        dtype, n_samples = np.dtype(_container(depth)), math.prod(frame.shape)
        n_blocks = -(-n_samples // BLOCK_SIZE)  # the coder fills the last block up
        samples = imagecodecs.aec_decode(
            data[at:],
            bitspersample=depth,
            flags=PREPROCESS,
            blocksize=BLOCK_SIZE,
            rsi=REFERENCE_INTERVAL,
            out=n_blocks * BLOCK_SIZE * dtype.itemsize,
        )
        scan = np.frombuffer(samples, dtype, count=n_samples)
        return shift_back(from_scan(scan, self._order, frame.shape), frame)


def _container(depth: int) -> str:
    """Smallest little-endian unsigned dtype libaec reads for samples of `depth` bits."""
    return "<u1" if depth <= 8 else "<u2" if depth <= 16 else "<u4"


CODECS = {"aec-bands": lambda: Aec("bands"), "aec-pixels": lambda: Aec("pixels")}
