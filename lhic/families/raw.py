"""The family without weights: samples as they are.

`lhic.api.encode` takes it where a model's stream would be longer.  Needs neither torch nor numba.
Format v1: docs/format.md, section 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized

import numpy as np

from lhic.cube import Cube, CubeSink, Window, n_bytes_of
from lhic.errors import CorruptStreamError, UsageError
from lhic.families.family import INDEX_BYTES, Encoded, Family, Model, Work
from lhic.stream.header import Header, StreamIndex
from lhic.stream.tiles import Section, Stream, check_samples_crc, check_sections_crc, lazy_sections, samples_crc
from lhic.stream.whole import StreamWriter

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


def _check_size(section: Sized, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """`CorruptStreamError` unless a tile's section has the size of its samples."""
    expected = n_bytes_of(shape, dtype)
    if len(section) != expected:
        raise CorruptStreamError(f"raw tile: expected {expected} bytes of samples, found {len(section)}")


class RawModel(Model):
    """See `lhic.families.family`; stateless, on no device."""

    name = MODEL_NAME
    family = FAMILY
    weights_hash = b""
    samples_at_once = 1 << 20

    def __init__(self) -> None:
        self.config: dict = {}

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """The whole cube: each tile would cost ten bytes or more of index."""
        return n_rows, n_columns

    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        if options:
            raise UsageError(f"raw: expected no options, found {', '.join(sorted(options))}")
        return b""

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        return 3 * n_bytes_of(shape, dtype)

    # A tile is as large as the cube, so a cube is coded in pieces.

    def least_piece(self, header: Header) -> tuple[int, int, int]:
        return 1, 1, header.tile_columns

    def encode_cube(self, cube: Cube, writer: StreamWriter, work: Work) -> None:
        little_endian, crc = writer.header.dtype.newbyteorder("<"), 0
        for window in pieces(writer.header.shape, self._piece_samples(writer.header, work)):
            samples = np.ascontiguousarray(cube[window], little_endian)
            crc = samples_crc(samples, crc)
            writer.write(samples.tobytes())
            work.progress(samples.size)
        writer.end_section()
        writer.end_tile(crc)

    def decode_cube(self, stream: Stream, index: StreamIndex, cube: CubeSink, work: Work) -> None:
        dtype, n_samples = index.header.dtype, self._piece_samples(index.header, work)
        for tile, entry in zip(index.header.grid, index.tiles, strict=True):
            shape = index.header.shape[0], tile.n_rows, tile.n_columns
            (section,), crc, begin = lazy_sections(stream, entry, tile.index), 0, 0
            _check_size(section, shape, dtype)
            for bands, rows, columns in pieces(shape, n_samples):
                size = bands.stop - bands.start, rows.stop - rows.start, columns.stop
                end = begin + n_bytes_of(size, dtype)
                samples = np.frombuffer(section[begin:end], dtype.newbyteorder("<")).reshape(size)
                crc = samples_crc(samples, crc)
                cube[bands, moved(rows, tile.row), moved(columns, tile.column)] = samples
                work.progress(samples.size)
                begin = end
            check_sections_crc(crc, entry, tile.index)
            check_samples_crc(crc, entry, tile.index)

    def _piece_samples(self, header: Header, work: Work) -> int:
        left = work.memory - work.held - INDEX_BYTES * len(header.grid)
        return min(self.samples_at_once, left // self.coding_bytes((1, 1, 1), header.dtype, 1))

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        encoded = []
        for tile in tiles:
            encoded.append(Encoded((tile.astype(tile.dtype.newbyteorder("<"), copy=False).tobytes(),), tile))
            work.progress(tile.size)
        return encoded

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        return self.decode_first_bands(shapes, dtype, sections, parameters, shapes[0][0], work) if shapes else []

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes | Section]],
        parameters: bytes,
        n_bands: int,
        work: Work,
    ) -> list[np.ndarray]:
        """Bands follow one another, so the first ones are a section's first bytes."""
        tiles = []
        for shape, (section,) in zip(shapes, sections, strict=True):
            _check_size(section, shape, dtype)
            size = n_bands, *shape[1:]
            part = section[: n_bytes_of(size, dtype)]
            tiles.append(np.frombuffer(part, dtype.newbyteorder("<")).reshape(size).astype(dtype))
            work.progress(tiles[-1].size)
        return tiles


def moved(axis: slice, by: int) -> slice:
    """A slice of a tile, as one of the cube."""
    return slice(axis.start + by, axis.stop + by)


family = Family(SECTION_NAMES, describe_parameters, lambda *weights: RawModel(), "cpu", without_weights=RawModel)
