"""What `lhic.api` asks of a model: tiles in, byte sections out, and back.

A *family* is an architecture with its own chapter in the format (``lhic-ax``, ``lhic-bp``, ``raw``); a *model* is a
family with a configuration and weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lhic.cube import Cube, CubeSink, n_bytes_of
from lhic.errors import UsageError
from lhic.io.memory import check_memory, memory_budget
from lhic.io.threads import n_threads
from lhic.stream.header import Header, StreamIndex
from lhic.stream.metadata import nodata_of
from lhic.stream.tiles import Section, Stream, Tile, check_samples_crc, samples_crc, tile_sections
from lhic.stream.whole import StreamWriter

INDEX_BYTES = 400
"""Of a tile in the index."""

Progress = Callable[[int], None]
"""Called with the number of samples finished since the last call, always from the thread that asked for the work."""


def silent(n_samples: int) -> None:
    """Progress that nobody wants to know."""


@dataclass(frozen=True)
class Work:
    """What comes along with every piece of work.

    progress : see `Progress`
    threads : how many of them may compute at a time
    memory : bytes that may be taken in all
    held : of them, those that are not there for coding
    """

    progress: Progress = silent
    threads: int = field(default_factory=n_threads)
    memory: int = field(default_factory=memory_budget)
    held: int = 0


class Encoded(NamedTuple):
    """A tile's sections, and what decoding makes of them: the tile itself unless the model may lose something."""

    sections: tuple[bytes, ...]
    decoded: np.ndarray


@dataclass(frozen=True)
class Family:
    """What a module of `registry.FAMILIES` offers as its ``family``; importing that needs neither torch nor numba.

    section_names : of a tile, in stream order
    describe_parameters : stream parameters to a dict by name, for ``lhic info``; needs no weights; raises
        `CorruptStreamError`.  A family that can code near-lossless says the bound as ``max_error``
    load : name, config, tensors, weights_hash and device to a `Model`; raises `CheckpointError` when tensors and
        configuration do not fit together
    auto_device : which device ``auto`` means: ``cpu``, or ``auto`` for CUDA where there is any
    without_weights : the model of streams that name no weights, if there are such
    """

    section_names: tuple[str, ...]
    describe_parameters: Callable[[bytes], dict]
    load: Callable[[str, dict, dict[str, np.ndarray], bytes, str], Model]
    auto_device: str = "auto"
    without_weights: Callable[[], Model] | None = None


class Model(ABC):
    """A loaded model.  Everything that reaches the entropy coder is computed identically on every device.

    name, family : as streams call them
    weights_hash : SHA-256 of the weights (32 bytes; docs/format.md, section 3), or empty for a model without weights
    config : of the weights file, JSON-able
    device : ``cpu`` or ``cuda``
    samples_at_once : how many samples of tiles are best coded together
    """

    name: str
    family: str
    weights_hash: bytes
    config: dict
    device: str = "cpu"
    samples_at_once: int = 1 << 24

    def __repr__(self) -> str:
        weights = f"weights {self.weights_hash.hex()[:16]}" if self.weights_hash else "no weights"
        return f"<{self.name}: model of {self.family}, {weights}, on {self.device}>"

    @abstractmethod
    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """Rows and columns of a full tile for a cube of this size."""

    def with_tiles(self, n_rows: int, n_columns: int) -> Model:
        """The same model with full tiles of that size, or of the cube's where that is smaller.

        Raises
        ------
        UsageError
            Tiles of this family have a size of their own.
        """
        raise UsageError(f"tile_shape: expected none for {self.family}, whose tiles have a size of their own")

    @abstractmethod
    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        """Stream parameters for this cube: what encoder and decoder must agree on beyond weights and shape.

        cube : perhaps larger than memory: ask for its shape and dtype, and for windows of it

        Raises
        ------
        UsageError
            An option is unknown or out of range.
        """

    @abstractmethod
    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        """Code some tiles.

        tiles : arrays (S, h, w), one dtype, native byte order; shapes may differ in h and w
        nodata : a sample that has to come back exactly, and never instead of another, also where others may not

        Raises
        ------
        UsageError
            The parameters ask for a loss with which that cannot be.
        """

    @abstractmethod
    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        """The tiles again: arrays of the given shapes and dtype (native byte order).

        Any subset of a stream's tiles, in any grouping, gives the same samples.

        Raises
        ------
        CorruptStreamError
            A section contradicts the format.
        """

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes | Section]],
        parameters: bytes,
        n_bands: int,
        work: Work,
    ) -> list[np.ndarray]:
        """Arrays (n_bands or more, h, w): `decode_tiles`, unless a family can do with less.

        shapes : of the whole tiles
        sections : of a file that is not read yet, perhaps: `lhic.stream.tiles.Section`; touch only what is needed
        work : its progress is told what was computed, asked for or not
        """
        whole = [tuple(bytes(section) for section in own) for own in sections]
        return self.decode_tiles(shapes, dtype, whole, parameters, work)

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        """At most so much memory does coding a tile of this shape take, either way, samples and sections included.

        Without a family's own knowledge: 128 bytes a sample, and three copies of it.
        """
        return n_bytes_of(shape, dtype) * 3 + 128 * shape[0] * shape[1] * shape[2]

    def compile_kernels(self) -> None:
        """Have compiled, and so kept, what coding by this model needs."""
        work, tile = Work(), (np.arange(3 * 8 * 8) * 7919 % 1000).reshape(3, 8, 8).astype("uint16")
        parameters = self.plan(tile, work)
        (encoded,) = self.encode_tiles([tile], parameters, work)
        self.decode_tiles([tile.shape], tile.dtype, [encoded.sections], parameters, work)

    # --- whole cubes: a batch of tiles at a time, to stay within the memory however large the cube is ---

    def least_piece(self, header: Header) -> tuple[int, int, int]:
        """Bands, rows and columns of the largest piece of a cube that cannot be coded in parts."""
        tile = header.grid[0]
        return header.shape[0], tile.n_rows, tile.n_columns

    def check_room(self, header: Header, what: str, work: Work) -> None:
        """`MemoryBudgetError` unless a piece of the cube can be coded in the memory there is."""
        piece, native = self.least_piece(header), header.dtype.newbyteorder("=")
        needed = self.coding_bytes(piece, native, work.threads) + INDEX_BYTES * len(header.grid) + work.held
        check_memory(needed, what, "a tile of {} x {} x {} {}".format(*piece, native), work.memory)

    def encode_cube(self, cube: Cube, writer: StreamWriter, work: Work) -> None:
        """Code all tiles of a cube."""
        header = writer.header
        native, nodata = header.dtype.newbyteorder("="), nodata_of(header.metadata, header.dtype)
        nodata = int(nodata) if isinstance(nodata, int) else None  # a plan keeps that of floats
        for batch in self._batches(header, work):
            tiles = [np.ascontiguousarray(cube[tile.window], native) for tile in batch]
            for encoded in self.encode_tiles(tiles, header.parameters, work, nodata):
                writer.add_tile(encoded.sections, samples_crc(encoded.decoded))

    def decode_cube(self, stream: Stream, index: StreamIndex, cube: CubeSink, work: Work) -> None:
        """Decode all tiles, each checked against its checksums, into `cube`."""
        for batch in self._batches(index.header, work):
            for tile, samples in zip(batch, self.decode_checked(stream, index, batch, work), strict=True):
                cube[tile.window] = samples

    def decode_checked(self, stream: Stream, index: StreamIndex, tiles: Sequence[Tile], work: Work) -> list[np.ndarray]:
        """Some tiles, in native byte order, each checked against its checksums."""
        header, entries = index.header, [index.tiles[tile.index] for tile in tiles]
        shapes = [(header.shape[0], tile.n_rows, tile.n_columns) for tile in tiles]
        sections = [tile_sections(stream, entry, tile.index) for entry, tile in zip(entries, tiles, strict=True)]
        decoded = self.decode_tiles(shapes, header.dtype.newbyteorder("="), sections, header.parameters, work)
        for samples, entry, tile in zip(decoded, entries, tiles, strict=True):
            check_samples_crc(samples_crc(samples), entry, tile.index)
        return decoded

    def _batches(self, header: Header, work: Work) -> Iterator[list[Tile]]:
        """Consecutive tiles that fit the memory together, but one at least, and no more than are best."""
        native, left = header.dtype.newbyteorder("="), work.memory - work.held - INDEX_BYTES * len(header.grid)
        batch: list[Tile] = []
        n_samples = n_bytes = 0
        for tile in header.grid:
            shape = header.shape[0], tile.n_rows, tile.n_columns
            size, memory = shape[0] * shape[1] * shape[2], self.coding_bytes(shape, native, work.threads)
            if batch and (n_samples + size > self.samples_at_once or n_bytes + memory > left):
                yield batch
                batch, n_samples, n_bytes = [], 0, 0
            batch.append(tile)
            n_samples, n_bytes = n_samples + size, n_bytes + memory
        if batch:
            yield batch
