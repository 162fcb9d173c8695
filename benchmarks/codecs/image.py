"""Cubes as grey images: the three layouts, and threads over bands, for codecs made for pictures.

An image codec codes unsigned images of up to 16 bits.  A cube becomes such images after the smallest
sample is subtracted if it is negative (the offset is in the frame, so nodata and negatives survive), and
in one of these layouts:

``bands``         S images of (H, W): the usual way, spectral redundancy unused;
``stacked``       one image (S*H, W), bands below each other: one header, statistics carried over;
``pixels-bands``  one image (H*W, S), a spectrum a row: the left neighbour is the previous band;
``differences``   bands, but each minus the one before, modulo 2^depth, moved to mid-range.

It does not know any codec.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.codecs.base import (
    Codec,
    Frame,
    join_parts,
    refuse_wide_range,
    shift_back,
    shift_to_unsigned,
    split_parts,
)
from lhic.errors import CorruptStreamError

LAYOUTS = ("bands", "stacked", "pixels-bands", "differences")


class ImageCodec(Codec):
    """Adapter of a codec for single grey images; subclasses code one image.

    Attributes
    ----------
    layout : str
        One of `LAYOUTS`.
    max_side : int
        Longest side of an image the codec can hold.
    pool_bands : bool
        Whether all-core runs code several bands at the same time (the codec releases the interpreter
        lock); otherwise `n_threads` is left to the codec.
    """

    layout: str = "bands"
    max_side: int = (1 << 31) - 1
    pool_bands: bool = False
    signed = "offset"

    @abstractmethod
    def encode_image(self, image: np.ndarray, depth: int) -> bytes:
        """Code one image (rows, columns), uint8 if depth <= 8, else uint16; all values below ``1 << depth``."""

    @abstractmethod
    def decode_image(self, data: memoryview) -> np.ndarray:
        """The image `encode_image` was given."""

    def refuses(self, cube: np.ndarray) -> str | None:
        longest = max(_image_shape(self.layout, cube.shape))
        if longest > self.max_side:
            return f"expected image sides of at most {self.max_side}, found {longest}"
        return refuse_wide_range(cube)

    def encode(self, cube: np.ndarray) -> bytes:
        self.check(cube)
        unsigned, offset = shift_to_unsigned(cube)
        depth = max(int(unsigned.max()).bit_length(), 1)
        unsigned = unsigned.astype(np.uint8 if depth <= 8 else np.uint16, copy=False)
        images = _to_images(unsigned, self.layout, depth)
        parts = self._map(lambda image: self.encode_image(image, depth), images)
        head = Frame.of(cube, offset).to_bytes() + bytes([depth])
        # A lone image needs no length: it reaches to the end.
        return head + (join_parts(parts) if self.layout in ("bands", "differences") else parts[0])

    def decode(self, data: bytes) -> np.ndarray:
        frame, at = Frame.read(data)
        depth, at = data[at], at + 1
        if self.layout in ("bands", "differences"):
            parts: Sequence = split_parts(data, at, frame.shape[0])
        else:
            parts = [memoryview(data)[at:]]
        images = self._map(self.decode_image, parts)
        shape = _image_shape(self.layout, frame.shape)
        for image in images:
            if image.shape != shape:
                raise CorruptStreamError(f"{self.name}: expected images of {shape}, found {image.shape}")
        return shift_back(_from_images(images, self.layout, frame.shape, depth), frame)

    def _map(self, work: Callable, items: Sequence) -> list:
        if not self.pool_bands or self.n_threads == 1 or len(items) == 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(self.n_threads) as pool:
            return list(pool.map(work, items))


def _image_shape(layout: str, shape: Sequence[int]) -> tuple[int, int]:
    n_bands, n_rows, n_columns = shape
    if layout == "stacked":
        return n_bands * n_rows, n_columns
    if layout == "pixels-bands":
        return n_rows * n_columns, n_bands
    return n_rows, n_columns


def _to_images(unsigned: np.ndarray, layout: str, depth: int) -> list[np.ndarray]:
    n_bands, n_rows, n_columns = unsigned.shape
    if layout == "stacked":
        return [unsigned.reshape(n_bands * n_rows, n_columns)]
    if layout == "pixels-bands":
        # Through one axis: an axis of length 1 would otherwise keep a stride that CharLS refuses.
        pixels = unsigned.reshape(n_bands, n_rows * n_columns).T.reshape(-1)
        return [pixels.reshape(n_rows * n_columns, n_bands)]
    if layout == "differences":
        # Small negative differences must not wrap to the far end: images predict across neighbours, so
        # zero is moved to mid-range.  Unsigned overflow wraps as wanted, the mask reduces it to `depth` bits.
        images = unsigned.copy()
        images[1:] -= unsigned[:-1]
        images[1:] += images.dtype.type(1 << (depth - 1))
        images[1:] &= images.dtype.type((1 << depth) - 1)
        return list(images)
    return list(unsigned)


def _from_images(images: list[np.ndarray], layout: str, shape: Sequence[int], depth: int) -> np.ndarray:
    if layout == "stacked":
        return images[0]
    if layout == "pixels-bands":
        return np.ascontiguousarray(images[0].T)
    if layout == "differences":
        bands = np.stack(images)
        bands[1:] -= bands.dtype.type(1 << (depth - 1))
        return np.cumsum(bands, axis=0, dtype=bands.dtype) & bands.dtype.type((1 << depth) - 1)
    return np.stack(images)
