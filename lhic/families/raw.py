"""The family without weights: samples as they are.

`lhic.api.encode` takes it where a model's stream would be longer.  Needs neither torch nor numba.
Format v1: docs/format.md, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lhic.errors import CorruptStreamError, UsageError
from lhic.families.family import Progress
from lhic.io.npy import CubeReader, Window

FAMILY = "raw"
MODEL_NAME = "-"
SECTION_NAMES = ("samples",)


def describe_parameters(parameters: bytes) -> dict:
    """There are none; `CorruptStreamError` if some are found."""
    if parameters:
        raise CorruptStreamError(f"raw parameters: expected none, found {len(parameters)} bytes")
    return {}


def pieces(shape: tuple[int, int, int], n_samples: int) -> Iterator[Window]:
    """Windows of a tile of this shape that follow one another in its section.

    n_samples : that a window may have; but one has a row at least

    >>> list(pieces((2, 3, 4), 11))[0]
    (slice(0, 1, None), slice(0, 2, None), slice(0, 4, None))
    """
    n_bands, n_rows, n_columns = shape
    rows = min(max(n_samples // n_columns, 1), n_rows)
    bands = max(n_samples // (n_rows * n_columns), 1)
    for band in range(0, n_bands, bands):
        for row in range(0, n_rows, rows):
            yield (
                slice(band, min(band + bands, n_bands)),
                slice(row, min(row + rows, n_rows)),
                slice(0, n_columns),
            )


def check_sections(section_bytes: Sequence[int], expected: int) -> None:
    """`CorruptStreamError` unless a tile has one section of the size expected."""
    if list(section_bytes) != [expected]:
        raise CorruptStreamError(f"raw tile: expected one section of {expected} bytes, found {[*section_bytes]}")


class RawModel:
    """Implements `lhic.families.family.Model`; stateless, on no device.

    A tile may be a whole cube, so `lhic.api` takes it in `pieces`.
    """

    bytes_per_sample = 0
    samples_at_once = 1 << 20

    name = MODEL_NAME
    family = FAMILY
    weights_hash = b""

    def __init__(self) -> None:
        self.config: dict = {}

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """The whole cube: each tile would cost ten bytes or more of index."""
        return n_rows, n_columns

    def plan(self, cube: np.ndarray | CubeReader, **options) -> bytes:
        if options:
            raise UsageError(f"raw: expected no options, found {', '.join(sorted(options))}")
        return b""

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, progress: Progress
    ) -> list[tuple[bytes, ...]]:
        sections = []
        for tile in tiles:
            sections.append((tile.astype(tile.dtype.newbyteorder("<"), copy=False).tobytes(),))
            progress(tile.size)
        return sections

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[tuple[bytes, ...]],
        parameters: bytes,
        progress: Progress,
    ) -> list[np.ndarray]:
        return self.decode_first_bands(shapes, dtype, sections, parameters, shapes[0][0], progress)[0] if shapes else []

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[tuple[bytes, ...]],
        parameters: bytes,
        n_bands: int,
        progress: Progress,
    ) -> tuple[list[np.ndarray], int]:
        """Bands follow one another, so the first ones are a section's first bytes."""
        tiles, n_bytes = [], 0
        for (n_all, *size), found in zip(shapes, sections, strict=True):
            expected = n_all * size[0] * size[1] * dtype.itemsize
            check_sections([len(section) for section in found], expected)
            part = found[0][: expected // n_all * n_bands]
            tile = np.frombuffer(part, dtype.newbyteorder("<")).reshape(n_bands, *size)
            tiles.append(tile.astype(dtype))
            n_bytes += len(part)
            progress(tile.size)
        return tiles, n_bytes


def load(name: str, config: dict, tensors: dict, weights_hash: bytes, device: str = "cpu") -> RawModel:
    """See `lhic.families.family`; there is only one such model."""
    return RawModel()
