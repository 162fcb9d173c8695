"""Samples shuffled and compressed by Zstandard: what is written where a model finds nothing to predict.

Of all samples the first byte, then of all the second, and so on, as one frame of level 9.  Format: docs/format.md,
section 4.2.  A cube of any size is one tile; each byte of the samples is taken from the frame by a reader of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lhic.cube import Cube, CubeSink, n_bytes_of
from lhic.errors import CorruptStreamError, UsageError
from lhic.extras import needs
from lhic.families.family import INDEX_BYTES, Encoded, Family, Model, Work
from lhic.families.raw import moved, pieces
from lhic.stream.header import Header, StreamIndex
from lhic.stream.tiles import Section, Stream, check_samples_crc, check_sections_crc, lazy_sections, samples_crc
from lhic.stream.whole import StreamWriter

if TYPE_CHECKING:
    import zstandard

FAMILY = "shuffled"
MODEL_NAME = "-"
SECTION_NAMES = ("shuffled",)
LEVEL = 9
MAX_WINDOW = 1 << 23  # RFC 8878 advises decoders to take frames of 8 MiB
READ_BYTES = 1 << 16
FRAME_BYTES = 1 << 24
"""What a reader or a writer of frames takes."""


def describe_parameters(parameters: bytes) -> dict:
    """There are none; `CorruptStreamError` if some are found."""
    if parameters:
        raise CorruptStreamError(f"shuffled parameters: expected none, found {len(parameters)} bytes")
    return {}


def _zstandard():
    with needs("floats", "floats without a common step, and integers beyond 32 bits"):
        import zstandard
    return zstandard


class ShuffledModel(Model):
    """See `lhic.families.family`; stateless, on no device."""

    name = MODEL_NAME
    family = FAMILY
    weights_hash = b""
    samples_at_once = 1 << 20

    def __init__(self) -> None:
        self.config: dict = {}

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """The whole cube: Zstandard finds what repeats."""
        return n_rows, n_columns

    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        if options:
            raise UsageError(f"shuffled: expected no options, found {', '.join(sorted(options))}")
        return b""

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        return 4 * n_bytes_of(shape, dtype)

    def least_piece(self, header: Header) -> tuple[int, int, int]:
        return 1, 1, header.tile_columns

    def compressed_bytes(self, cube: Cube, work: Work) -> int:
        """Of the section that a cube becomes."""
        return sum(len(part) for part in self._compressed(cube, work))

    def encode_cube(self, cube: Cube, writer: StreamWriter, work: Work) -> None:
        for part in self._compressed(cube, work):
            writer.write(part)
        writer.end_section()
        crc = 0
        for window in pieces(cube.shape, self._piece_samples(writer.header, work)):
            crc = samples_crc(cube[window], crc)
        writer.end_tile(crc)

    def _compressed(self, cube: Cube, work: Work) -> Iterator[bytes]:
        dtype = cube.dtype.newbyteorder("<")
        compressor = _zstandard().ZstdCompressor(level=LEVEL, write_checksum=False, write_content_size=True)
        frame = compressor.compressobj(size=n_bytes_of(cube.shape, dtype))
        for number in range(dtype.itemsize):
            for window in pieces(cube.shape, self.samples_at_once):
                samples = np.ascontiguousarray(cube[window], dtype)
                yield frame.compress(_bytes_of(samples, dtype)[:, number].tobytes())
        yield frame.flush()

    def decode_cube(self, stream: Stream, index: StreamIndex, cube: CubeSink, work: Work) -> None:
        dtype = index.header.dtype.newbyteorder("<")
        for tile, entry in zip(index.header.grid, index.tiles, strict=True):
            shape = index.header.shape[0], tile.n_rows, tile.n_columns
            (section,) = lazy_sections(stream, entry, tile.index)
            crc = 0
            for begin in range(0, len(section), READ_BYTES):
                crc = zlib.crc32(section[begin : begin + READ_BYTES], crc)
            check_sections_crc(crc, entry, tile.index)
            readers, crc = _readers(section, shape, dtype), 0
            for bands, rows, columns in pieces(shape, self._piece_samples(index.header, work)):
                size = bands.stop - bands.start, rows.stop - rows.start, columns.stop
                samples = _read(readers, size, dtype)
                crc = samples_crc(samples, crc)
                cube[bands, moved(rows, tile.row), moved(columns, tile.column)] = samples
                work.progress(samples.size)
            check_samples_crc(crc, entry, tile.index)

    def _piece_samples(self, header: Header, work: Work) -> int:
        left = work.memory - work.held - INDEX_BYTES * len(header.grid) - FRAME_BYTES
        return max(min(self.samples_at_once, left // self.coding_bytes((1, 1, 1), header.dtype, 1)), 1)

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        encoded = []
        for tile in tiles:
            encoded.append(Encoded((b"".join(self._compressed(tile, work)),), tile))
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
        tiles = []
        for shape, (section,) in zip(shapes, sections, strict=True):
            readers = _readers(section, shape, dtype)
            tiles.append(_read(readers, shape, dtype.newbyteorder("<")).astype(dtype))
            work.progress(tiles[-1].size)
        return tiles

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes | Section]],
        parameters: bytes,
        n_bands: int,
        work: Work,
    ) -> list[np.ndarray]:
        """The frame has to be read, but no more bands are put together."""
        tiles = []
        for shape, (section,) in zip(shapes, sections, strict=True):
            readers = _readers(section, shape, dtype)
            tiles.append(_read(readers, (n_bands, *shape[1:]), dtype.newbyteorder("<")).astype(dtype))
            work.progress(tiles[-1].size)
        return tiles


def _bytes_of(samples: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """uint8 (n, bytes of a sample)."""
    return samples.reshape(-1).view(np.uint8).reshape(-1, dtype.itemsize)


class _File:
    """A section as a file that is read once."""

    def __init__(self, section: bytes | Section):
        self._section, self._at = section, 0

    def read(self, n_bytes: int) -> bytes:
        part = bytes(self._section[self._at : self._at + n_bytes])
        self._at += len(part)
        return part


def _readers(section: bytes | Section, shape: tuple[int, ...], dtype: np.dtype) -> list:
    """A reader of the frame for each byte of the samples, where that byte of the first one is."""
    n_samples = n_bytes_of(shape, np.dtype("uint8"))
    _check_frame(section, n_samples * dtype.itemsize)
    readers = []
    for number in range(dtype.itemsize):
        decompressor = _zstandard().ZstdDecompressor(max_window_size=MAX_WINDOW)
        readers.append(decompressor.stream_reader(_File(section), read_size=READ_BYTES))
        left = number * n_samples
        while left:
            left -= len(_exactly(readers[-1], min(left, 1 << 20)))
    return readers


def _check_frame(section: bytes | Section, n_bytes: int) -> None:
    """`CorruptStreamError` unless a section is one frame of that content, as RFC 8878, 3.1.1 has it."""
    zstandard, expected = _zstandard(), f"one Zstandard frame of {n_bytes} bytes"
    head = bytes(section[:18])
    try:
        found, position = zstandard.get_frame_parameters(head), zstandard.frame_header_size(head)
    except (zstandard.ZstdError, ValueError) as error:
        raise CorruptStreamError(f"shuffled tile: expected {expected}, found damage ({error})") from error
    if found.content_size != n_bytes or found.dict_id or found.has_checksum or found.window_size > MAX_WINDOW:
        raise CorruptStreamError(f"shuffled tile: expected {expected}, found another, of {found.content_size}")
    is_last = False
    while not is_last:
        header = int.from_bytes(section[position : position + 3], "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        position += 3 + (1 if kind == 1 else size)
        if position > len(section):
            raise CorruptStreamError(f"shuffled tile: expected {expected}, found it cut off")
    if position != len(section):
        raise CorruptStreamError(f"shuffled tile: expected {expected}, found {len(section) - position} bytes behind it")


def _exactly(reader: zstandard.ZstdDecompressionReader, n_bytes: int) -> bytes:
    try:
        part = reader.read(n_bytes)
    except _zstandard().ZstdError as error:
        raise CorruptStreamError(f"shuffled tile: expected a Zstandard frame, found damage ({error})") from error
    if len(part) != n_bytes:
        raise CorruptStreamError(f"shuffled tile: expected {n_bytes} bytes more, found {len(part)}")
    return part


def _read(readers: Sequence, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The next samples."""
    samples = np.empty(shape, dtype)
    planes = _bytes_of(samples, dtype)
    for number, reader in enumerate(readers):
        planes[:, number] = np.frombuffer(_exactly(reader, len(planes)), np.uint8)
    return samples


family = Family(
    SECTION_NAMES, describe_parameters, lambda *weights: ShuffledModel(), "cpu", without_weights=ShuffledModel
)
