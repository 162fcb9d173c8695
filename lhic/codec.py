"""Cube to stream and back.  The only module that knows all the parts: cubes, tiles, models and the container.

`encode` and `decode` read in mirrored order: check, plan, code the tiles, put together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from lhic import container
from lhic.cube import check_cube, check_memory
from lhic.errors import CorruptStreamError, TruncatedStreamError, UsageError
from lhic.models import raw
from lhic.models.family import Model, Progress
from lhic.models.registry import DEFAULT_MODEL, family_module, load_model, model_for_stream


def encode(
    cube: np.ndarray,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    device: str = "auto",
    *,
    metadata: dict | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    fallback: bool = True,
    **options,
) -> bytes:
    """Compress a cube, without loss unless ``max_error`` is given.

    Parameters
    ----------
    cube : array (S bands, H rows, W columns), integers of 8, 16 or 32 bits; never modified, never clipped
    model : name (``lhic models``), path to a weights file, or a loaded model
    device : ``auto``, ``cpu`` or ``cuda``; where to compute. Any device decodes the stream
    metadata : what docs/format.md, section 2, allows (wavelengths, fwhm, nodata, crs, transform, extra, ...)
    memory_budget : bytes; default `lhic.cube.memory_budget`
    progress : called with the number of samples finished since its last call
    fallback : store the samples as they are where the model's stream would be longer
    options : of the model's family, e.g. ``param_d=8`` for lhic-bp, ``max_error=2`` for lhic-ax

    Returns
    -------
    bytes : a complete stream in format v1

    Raises
    ------
    InvalidCubeError, MemoryBudgetError, UsageError, CheckpointError, BackendError

    Examples
    --------
    >>> import lhic, numpy as np
    >>> cube = np.arange(2 * 3 * 4, dtype="int16").reshape(2, 3, 4)
    >>> bool((lhic.decode(lhic.encode(cube)) == cube).all())
    True
    """
    check_cube(cube)
    check_memory(cube.shape, cube.dtype, "cube", memory_budget)
    if isinstance(model, str | os.PathLike):
        model = load_model(model, device)

    native = np.ascontiguousarray(cube, dtype=cube.dtype.newbyteorder("="))
    metadata = dict(metadata or {})
    container.write_metadata(metadata, cube.shape[0])  # refuses bad metadata before the long part
    stream = _write(native, cube.dtype, model, model.plan(native, **options), metadata, progress or _silent)
    if fallback and len(stream) > cube.nbytes:
        stream = min(stream, _write(native, cube.dtype, raw.RawModel(), b"", metadata, _silent), key=len)
    return stream


def _write(
    native: np.ndarray, dtype: np.dtype, model: Model, parameters: bytes, metadata: dict, progress: Progress
) -> bytes:
    header = container.Header(
        dtype,
        native.shape,
        *model.tile_shape(*native.shape[1:]),
        model.name,
        model.family,
        model.weights_hash,
        parameters,
        metadata,
    )
    tiles = [native[tile.window] for tile in header.grid]
    sections = model.encode_tiles(tiles, parameters, progress)
    reconstruct = getattr(model, "reconstruct", None)
    decoded = (reconstruct(tile, parameters) if reconstruct else tile for tile in tiles)
    return container.write_stream(header, sections, [container.samples_crc(tile) for tile in decoded])


def decode(
    stream: bytes,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """The cube that was encoded: same shape, dtype (byte order included) and values.

    Of a near-lossless stream (``inspect(stream)["max_error"]`` above 0), the values that stand for them.

    Parameters
    ----------
    stream : what `encode` returned, nothing before or after it
    device : where to compute; any device decodes any stream
    model : only needed when the weights are not where `lhic models` looks

    Raises
    ------
    CorruptStreamError
        Damaged; `TruncatedStreamError` and `ForeignStreamError` say more.
    UnsupportedVersionError, ModelMismatchError, MemoryBudgetError, BackendError
    """
    index = container.read_index(stream)
    container.check_whole(stream, index)
    header = index.header
    check_memory(header.shape, header.dtype, "stream", memory_budget)
    cube = np.empty(header.shape, header.dtype)
    for tile, samples in zip(
        header.grid, _decode_tiles(stream, index, range(len(index.tiles)), device, model, progress), strict=True
    ):
        cube[tile.window] = samples
    return cube


def decode_tile(
    stream: bytes,
    tile: int,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """One spatial tile, all its bands, without looking at the others.

    Parameters
    ----------
    stream : may be incomplete or damaged outside the header and this tile
    tile : number in ``inspect(stream)["tiles"]``, row by row

    Returns
    -------
    array (S, h, w)
    """
    index = container.read_index(stream)
    header = index.header
    if not 0 <= tile < len(index.tiles):
        raise UsageError(f"tile {tile}: expected 0..{len(index.tiles) - 1}")
    window = header.grid[tile]
    shape = (header.shape[0], window.n_rows, window.n_columns)
    check_memory(shape, header.dtype, f"tile {tile}", memory_budget)
    (samples,) = _decode_tiles(stream, index, [tile], device, model, progress)
    return samples.astype(header.dtype, copy=False)


def decode_first_bands(
    stream: bytes | memoryview,
    n_bands: int,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, int]:
    """The first bands of a cube, from as little of the stream as its family can do with.

    What is left out is not checked against checksums, nor is what is read: a checksum covers all bands of a tile.

    Parameters
    ----------
    stream : only the parts that are needed are touched, so it may be a file mapped into memory
    n_bands : 1 .. S
    progress : counts the samples computed, also those of later bands where the family computes them along

    Returns
    -------
    array (n_bands, H, W), native byte order
    int : bytes of the stream that were read

    Raises
    ------
    UsageError
        `n_bands` is out of range.
    CorruptStreamError, UnsupportedVersionError, ModelMismatchError, MemoryBudgetError, BackendError
    """
    index = container.read_index(stream)
    header, tiles = index.header, range(len(index.tiles))
    if not 1 <= n_bands <= header.shape[0]:
        raise UsageError(f"n_bands: expected 1..{header.shape[0]}, found {n_bands}")
    check_memory((n_bands, *header.shape[1:]), header.dtype, "first bands", memory_budget)
    model = _model_of(header, device, model)
    n_bytes = container.PREAMBLE.size + index.header_bytes
    if hasattr(model, "decode_first_bands"):
        sections = [_sections_unchecked(stream, entry, tile) for tile, entry in enumerate(index.tiles)]
        arguments = [_shapes(header, tiles), header.dtype.newbyteorder("="), sections, header.parameters]
        decoded, n_read = model.decode_first_bands(*arguments, n_bands, progress or _silent)
    else:
        decoded = _decode_tiles(stream, index, tiles, device, model, progress)
        n_read = sum(entry.n_bytes for entry in index.tiles)
    cube = np.empty((n_bands, *header.shape[1:]), header.dtype.newbyteorder("="))
    for tile, samples in zip(header.grid, decoded, strict=True):
        cube[tile.window] = samples[:n_bands]
    return cube, n_bytes + n_read


def _sections_unchecked(stream: bytes | memoryview, entry: container.TileEntry, tile: int) -> tuple[memoryview, ...]:
    if len(stream) < entry.offset + entry.n_bytes:
        raise TruncatedStreamError(
            f"tile {tile}: expected {entry.n_bytes} bytes from {entry.offset} on, found a stream of {len(stream)}"
        )
    view, ends = memoryview(stream), np.cumsum([entry.offset, *entry.section_bytes]).tolist()
    return tuple(view[begin:end] for begin, end in pairwise(ends))


def _decode_tiles(
    stream: bytes,
    index: container.StreamIndex,
    tiles: Iterable[int],
    device: str,
    model: str | os.PathLike | Model | None,
    progress: Progress | None,
) -> list[np.ndarray]:
    """Samples of the tiles, in native byte order, each checked against its checksum."""
    header, tiles = index.header, list(tiles)
    decoded = _model_of(header, device, model).decode_tiles(
        _shapes(header, tiles),
        header.dtype.newbyteorder("="),
        [container.tile_sections(stream, index, tile) for tile in tiles],
        header.parameters,
        progress or _silent,
    )
    for tile, samples in zip(tiles, decoded, strict=True):
        if container.samples_crc(samples) != index.tiles[tile].samples_crc:
            raise CorruptStreamError(f"tile {tile}: checksum of the decoded samples does not match")
    return decoded


def _model_of(header: container.Header, device: str, model: str | os.PathLike | Model | None) -> Model:
    """The model that decodes a stream; samples stored as they are need none, whatever was asked for."""
    family_module(header.family).describe_parameters(header.parameters)  # damaged ones are told before weights load
    if header.family == raw.FAMILY and not header.weights_hash:
        return raw.RawModel()
    if model is None or isinstance(model, str | os.PathLike):
        return model_for_stream(header.model_name, header.family, header.weights_hash, device, model)
    return model


def _shapes(header: container.Header, tiles: Iterable[int]) -> list[tuple[int, int, int]]:
    windows = [header.grid[tile] for tile in tiles]
    return [(header.shape[0], window.n_rows, window.n_columns) for window in windows]


def inspect(stream: bytes) -> dict:
    """What a stream says about itself; needs neither weights nor torch, and only the stream's beginning.

    Returns
    -------
    dict of JSON-able values: version, shape, dtype, model, family, weights_sha256, parameters, max_error, metadata,
    tile_shape, section_names, tiles (sizes by section), header_bytes, stream_bytes, bits_per_sample, complete.
    """
    index = container.read_index(stream)
    header = index.header
    family = family_module(header.family)
    parameters = family.describe_parameters(header.parameters)
    return {
        "version": container.VERSION,
        "shape": list(header.shape),
        "dtype": str(header.dtype.newbyteorder("=")),
        "byte_order": "big" if header.dtype == header.dtype.newbyteorder(">") else "little",
        "model": header.model_name,
        "family": header.family,
        "weights_sha256": header.weights_hash.hex(),
        "parameters": parameters,
        "max_error": parameters.get("max_error", 0),
        "metadata": header.metadata,
        "tile_shape": [header.tile_rows, header.tile_columns],
        "n_tiles": len(index.tiles),
        "section_names": list(family.SECTION_NAMES),
        "tiles": [list(tile.section_bytes) for tile in index.tiles],
        "header_bytes": container.PREAMBLE.size + index.header_bytes,
        "stream_bytes": index.stream_bytes,
        "bits_per_sample": 8 * index.stream_bytes / header.n_samples,
        "complete": len(stream) == index.stream_bytes,
    }


def _silent(n_samples: int) -> None:
    pass
