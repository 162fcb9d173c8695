"""Cube to stream and back.  The only module that knows all the parts: cubes, tiles, models and the container.

`encode` and `decode` read in mirrored order: check, plan, code the tiles, put together.  What they are made of works on
windows of a cube, batch of tiles by batch, so that `lhic.files`, which has neither end in memory, is made of the same.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from lhic.batches import COPIES, batches, samples_at_once
from lhic.cube import check_cube, n_bytes_of
from lhic.errors import UsageError
from lhic.families import raw
from lhic.families.family import Model, Progress
from lhic.families.registry import DEFAULT_MODEL, family_module, load_model, model_for_stream
from lhic.io.npy import CubeReader, CubeWriter
from lhic.stream import container
from lhic.stream.container import Stream


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
    memory_budget : bytes; default `lhic.io.memory.memory_budget`
    progress : called with the number of samples finished since its last call
    fallback : store the samples as they are where the model's stream would be longer
    options : of the model's family, e.g. ``param_d=8`` for lhic-bp, ``max_error=2`` or ``tuning_steps=300`` for lhic-ax

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
    file = io.BytesIO()
    # The sections, and the stream put together of them, are rarely as long as the samples.
    memory = {"memory_budget": memory_budget, "held": 2 * cube.nbytes}
    more = {"metadata": metadata, "progress": progress, "fallback": fallback, **memory, **options}
    write_stream(cube, file, io.BytesIO(), model, device, **more)
    return file.getvalue()


def write_stream(
    cube: np.ndarray | CubeReader,
    file: BinaryIO,
    spool: BinaryIO,
    model: str | os.PathLike | Model,
    device: str,
    *,
    metadata: dict | None,
    memory_budget: int | None,
    progress: Progress | None,
    fallback: bool,
    held: int = 0,
    **options,
) -> None:
    """`encode` into a file.

    Parameters
    ----------
    cube : gives windows, and its shape and dtype
    file : the stream is written to it once it is complete
    spool : empty binary file to write and read; the sections stay in it until then
    held : bytes of memory that all this takes
    """
    if isinstance(model, str | os.PathLike):
        model = load_model(model, device)
    metadata = dict(metadata or {})
    container.write_metadata(metadata, cube.shape[0])  # refuses bad metadata before the long part
    limit = room_for(model, _header(cube, model, b"", {}), "cube", memory_budget, held)
    header = _header(cube, model, model.plan(cube, **options), metadata)
    writer = _write_tiles(cube, header, spool, model, limit, progress or _silent)
    if fallback and writer.n_bytes > cube.nbytes:
        model = raw.RawModel()
        header = _header(cube, model, b"", metadata)
        if container.stream_bytes(header, [container.TileEntry(0, (cube.nbytes,), 0, 0)]) < writer.n_bytes:
            spool.seek(0)
            spool.truncate()
            writer = _write_tiles(cube, header, spool, model, limit, _silent)
    writer.finish(file)


def _header(cube: np.ndarray | CubeReader, model: Model, parameters: bytes, metadata: dict) -> container.Header:
    tile = model.tile_shape(*cube.shape[1:])
    identity = model.name, model.family, model.weights_hash
    return container.Header(cube.dtype, tuple(cube.shape), *tile, *identity, parameters, metadata)


def room_for(model: Model, header: container.Header, what: str, budget: int | None, held: int = 0) -> int:
    """Samples to code together; an error if there is no room for a tile, or for a row of samples as they are."""
    tile = header.grid[0]
    least = (1, 1, tile.n_columns) if header.family == raw.FAMILY else (header.shape[0], tile.n_rows, tile.n_columns)
    return samples_at_once(model, header.dtype, least, len(header.grid), what, budget, held)


def _write_tiles(
    cube: np.ndarray | CubeReader,
    header: container.Header,
    spool: BinaryIO,
    model: Model,
    limit: int,
    progress: Progress,
) -> container.StreamWriter:
    writer = container.StreamWriter(header, spool)
    if header.family == raw.FAMILY:
        _write_raw(cube, writer, limit, progress)
        return writer
    native = header.dtype.newbyteorder("=")
    reconstruct = getattr(model, "reconstruct", None)
    for batch in batches(header.grid, header.shape[0], limit):
        tiles = [np.ascontiguousarray(cube[tile.window], native) for tile in batch]
        coded = model.encode_tiles(tiles, header.parameters, progress)
        for tile, sections in zip(tiles, coded, strict=True):
            decoded = reconstruct(tile, header.parameters) if reconstruct else tile
            writer.add_tile(sections, container.samples_crc(decoded))
    return writer


def _write_raw(cube: np.ndarray | CubeReader, writer: container.StreamWriter, limit: int, progress: Progress) -> None:
    """The one tile of samples as they are, which is as large as the cube."""
    little_endian, crc = writer.header.dtype.newbyteorder("<"), 0
    for window in raw.pieces(writer.header.shape, limit):
        samples = np.ascontiguousarray(cube[window], little_endian)
        crc = container.samples_crc(samples, crc)
        writer.write(samples.tobytes())
        progress(samples.size)
    writer.end_section()
    writer.end_tile(crc)


def decode(
    stream: Stream,
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
    model = model_of(header, device, model)
    limit = room_for(model, header, "stream", memory_budget, held=n_bytes_of(header.shape, header.dtype))
    cube = np.empty(header.shape, header.dtype)
    read_tiles(cube, stream, index, model, limit, progress or _silent)
    return cube


def read_tiles(
    cube: np.ndarray | CubeWriter,
    stream: Stream,
    index: container.StreamIndex,
    model: Model,
    limit: int,
    progress: Progress,
) -> None:
    """Decode all tiles, each checked against its checksums, into `cube`, which takes windows."""
    header = index.header
    if header.family == raw.FAMILY:
        _read_raw(cube, stream, index, limit, progress)
        return
    for batch in batches(header.grid, header.shape[0], limit):
        numbers = [tile.index for tile in batch]
        for tile, samples in zip(batch, _decode_tiles(stream, index, numbers, model, progress), strict=True):
            cube[tile.window] = samples


def _read_raw(
    cube: np.ndarray | CubeWriter, stream: Stream, index: container.StreamIndex, limit: int, progress: Progress
) -> None:
    """Tiles of samples as they are, which may be as large as the cube."""
    dtype = index.header.dtype
    for tile, entry in zip(index.header.grid, index.tiles, strict=True):
        shape = index.header.shape[0], tile.n_rows, tile.n_columns
        raw.check_sections(entry.section_bytes, n_bytes_of(shape, dtype))
        begin, crc = entry.offset, 0
        for bands, rows, columns in raw.pieces(shape, limit):
            size = bands.stop - bands.start, rows.stop - rows.start, columns.stop
            end = begin + n_bytes_of(size, dtype)
            samples = np.frombuffer(stream[begin:end], dtype.newbyteorder("<")).reshape(size)
            crc = container.samples_crc(samples, crc)
            cube[bands, _moved(rows, tile.row), _moved(columns, tile.column)] = samples
            progress(samples.size)
            begin = end
        container.check_sections_crc(crc, entry, tile.index)
        container.check_samples_crc(crc, entry, tile.index)


def _moved(axis: slice, by: int) -> slice:
    return slice(axis.start + by, axis.stop + by)


def decode_tile(
    stream: Stream,
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
    model = model_of(header, device, model)
    (shape,) = _shapes(header, [tile])
    samples_at_once(model, header.dtype, shape, len(index.tiles), f"tile {tile}", memory_budget)
    (samples,) = _decode_tiles(stream, index, [tile], model, progress or _silent)
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
    model = model_of(header, device, model)
    held = COPIES * n_bytes_of((n_bands, *header.shape[1:]), header.dtype)  # tiles, put together, as a picture
    room_for(model, header, "first bands", memory_budget, held)
    n_bytes = container.PREAMBLE.size + index.header_bytes
    if hasattr(model, "decode_first_bands"):
        sections = [_sections_unchecked(stream, entry, tile) for tile, entry in enumerate(index.tiles)]
        arguments = [_shapes(header, tiles), header.dtype.newbyteorder("="), sections, header.parameters]
        decoded, n_read = model.decode_first_bands(*arguments, n_bands, progress or _silent)
    else:
        decoded = _decode_tiles(stream, index, tiles, model, progress or _silent)
        n_read = sum(entry.n_bytes for entry in index.tiles)
    cube = np.empty((n_bands, *header.shape[1:]), header.dtype.newbyteorder("="))
    for tile, samples in zip(header.grid, decoded, strict=True):
        cube[tile.window] = samples[:n_bands]
    return cube, n_bytes + n_read


def _sections_unchecked(stream: bytes | memoryview, entry: container.TileEntry, tile: int) -> tuple[memoryview, ...]:
    container.check_reaches(stream, entry, tile)
    view, ends = memoryview(stream), np.cumsum([entry.offset, *entry.section_bytes]).tolist()
    return tuple(view[begin:end] for begin, end in pairwise(ends))


def _decode_tiles(
    stream: Stream, index: container.StreamIndex, tiles: Iterable[int], model: Model, progress: Progress
) -> list[np.ndarray]:
    """Samples of the tiles, in native byte order, each checked against its checksum."""
    header, tiles = index.header, list(tiles)
    decoded = model.decode_tiles(
        _shapes(header, tiles),
        header.dtype.newbyteorder("="),
        [container.tile_sections(stream, index, tile) for tile in tiles],
        header.parameters,
        progress,
    )
    for tile, samples in zip(tiles, decoded, strict=True):
        container.check_samples_crc(container.samples_crc(samples), index.tiles[tile], tile)
    return decoded


def model_of(header: container.Header, device: str, model: str | os.PathLike | Model | None) -> Model:
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


def inspect(stream: Stream) -> dict:
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
