"""What ``codec.py`` asks of a model: tiles in, byte sections out, and back.

A *family* is an architecture with its own chapter in the format (``lhic-bp``, later ``lhic-ax``); a *model* is a
family with a configuration and weights.  A family is a module that `registry.FAMILIES` names; it offers

``SECTION_NAMES``
    names of a tile's sections, in stream order.
``load(name, config, tensors, weights_hash, device)``
    a `Model`; raises `CheckpointError` when tensors and configuration do not fit together.
``AUTO_DEVICE`` (optional)
    which device ``auto`` means; without it, CUDA where there is any.
``describe_parameters(parameters)``
    dict of the stream parameters by name, for ``lhic info``; needs no weights; raises `CorruptStreamError`.  A family
    that can code near-lossless says the bound as ``max_error``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from lhic.io.npy import CubeReader

Progress = Callable[[int], None]
"""Called with the number of samples finished since the last call."""


class Model(Protocol):
    """A loaded model.  Everything that reaches the entropy coder is computed identically on every device.

    Two methods are optional (`NearLossless`, `Previewable`), and two numbers (`lhic.batches`):
    ``samples_at_once``, how many samples of tiles are best coded together, and ``bytes_per_sample``, what each of them
    takes of memory while it is coded, besides the sample itself.
    """

    name: str
    family: str
    weights_hash: bytes
    """SHA-256 of the weights (32 bytes; docs/format.md section 3), or empty for a model without weights."""
    config: dict

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """Rows and columns of a full tile for a cube of this size."""

    def plan(self, cube: np.ndarray | CubeReader, **options) -> bytes:
        """Stream parameters for this cube: what encoder and decoder must agree on beyond weights and shape.

        cube : perhaps larger than memory: ask for its shape and dtype, and for windows of it

        Raises
        ------
        UsageError
            An option is unknown or out of range.
        """

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, progress: Progress
    ) -> list[tuple[bytes, ...]]:
        """Sections of each tile.

        tiles : arrays (S, h, w), one dtype, native byte order; shapes may differ in h and w.
        """

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[tuple[bytes, ...]],
        parameters: bytes,
        progress: Progress,
    ) -> list[np.ndarray]:
        """The tiles again: arrays of the given shapes and dtype.

        Any subset of a stream's tiles, in any grouping, gives the same samples.

        Raises
        ------
        CorruptStreamError
            A section contradicts the format.
        """


class NearLossless(Protocol):
    """What a model has, too, if `decode_tiles` may give other samples than `encode_tiles` took."""

    def reconstruct(self, tile: np.ndarray, parameters: bytes) -> np.ndarray:
        """What decoding gives for a tile: its shape and dtype; its values, too, unless the parameters ask for loss."""


class Previewable(Protocol):
    """What a model has, too, if the first bands can be decoded without the others."""

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[tuple[memoryview, ...]],
        parameters: bytes,
        n_bands: int,
        progress: Progress,
    ) -> tuple[list[np.ndarray], int]:
        """The first `n_bands` bands of the tiles.

        shapes : of the whole tiles
        sections : perhaps of a file that is not read yet: touch only what is needed
        progress : called with the samples computed, asked for or not
        Returns arrays (n_bands or more, h, w), and how many bytes of the sections were read.
        """
