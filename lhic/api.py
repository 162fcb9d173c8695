"""Cube to stream and back.  The only module that knows all the parts: cubes, tiles, models and the format.

`encode` and `decode` read in mirrored order: check, plan, code the tiles, put together.  What they are made of works on
windows of a cube, so that `lhic.files`, which has neither end in memory, is made of the same.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from lhic.errors import UsageError
from lhic.families.family import Cube, Model, Progress, Work, silent
from lhic.families.raw import RawModel
from lhic.families.registry import DEFAULT_MODEL, family_module, load_model, model_for_stream
from lhic.io.cube import check_cube, n_bytes_of
from lhic.io.cube import memory_budget as default_budget
from lhic.io.threads import n_threads
from lhic.stream.header import PREAMBLE, VERSION, Header, read_index, stream_bytes
from lhic.stream.metadata import plain
from lhic.stream.tiles import Stream, TileEntry, lazy_sections
from lhic.stream.whole import StreamWriter, check_whole


def encode(
    cube: np.ndarray,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    device: str = "auto",
    *,
    metadata: dict | None = None,
    threads: int | None = None,
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
    threads : how many may compute; default ``LHIC_THREADS``, else the cores this process may use
    memory_budget : bytes; default `lhic.io.cube.memory_budget`
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
    work = work_of(progress, threads, memory_budget, held=2 * cube.nbytes)
    write_stream(cube, file, io.BytesIO(), model, device, work, metadata, fallback, options)
    return file.getvalue()


def work_of(progress: Progress | None, threads: int | None, memory_budget: int | None, held: int = 0) -> Work:
    """What a call may take.

    held : bytes of the memory budget that are not there for coding
    """
    budget = default_budget() if memory_budget is None else memory_budget
    return Work(progress or silent, n_threads(threads), budget - held)


def write_stream(
    cube: Cube,
    file: BinaryIO,
    spool: BinaryIO,
    model: str | os.PathLike | Model,
    device: str,
    work: Work,
    metadata: dict | None,
    fallback: bool,
    options: dict,
) -> None:
    """`encode` into a file.

    Parameters
    ----------
    cube : gives windows, and its shape and dtype
    file : the stream is written to it once it is complete
    spool : empty binary file to write and read; the sections stay in it until then
    """
    if isinstance(model, str | os.PathLike):
        model = load_model(model, device)
    metadata = plain(metadata, cube.shape[0])
    model.check_room(_header(cube, model, b"", {}), "cube", work.memory)
    header = _header(cube, model, model.plan(cube, work, **options), metadata)
    writer = StreamWriter(header, spool)
    model.encode_cube(cube, writer, work)
    if fallback and writer.n_bytes > (n_bytes := n_bytes_of(cube.shape, cube.dtype)):
        model = RawModel()
        header = _header(cube, model, b"", metadata)
        if stream_bytes(header, [TileEntry(0, (n_bytes,), 0, 0)]) < writer.n_bytes:
            spool.seek(0)
            spool.truncate()
            writer = StreamWriter(header, spool)
            model.encode_cube(cube, writer, replace(work, progress=silent))
    writer.finish(file)


def _header(cube: Cube, model: Model, parameters: bytes, metadata: dict) -> Header:
    tile = model.tile_shape(*cube.shape[1:])
    identity = model.name, model.family, model.weights_hash
    return Header(cube.dtype, tuple(cube.shape), *tile, *identity, parameters, metadata)


def decode(
    stream: Stream,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    threads: int | None = None,
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
    threads, memory_budget, progress : as `encode` takes them

    Raises
    ------
    CorruptStreamError
        Damaged; `TruncatedStreamError` and `ForeignStreamError` say more.
    UnsupportedVersionError, ModelMismatchError, MemoryBudgetError, BackendError
    """
    index = read_index(stream)
    check_whole(stream, index)
    header = index.header
    model = model_of(header, device, model)
    work = work_of(progress, threads, memory_budget, held=n_bytes_of(header.shape, header.dtype))
    model.check_room(header, "stream", work.memory)
    cube = np.empty(header.shape, header.dtype)
    model.decode_cube(stream, index, cube, work)
    return cube


def decode_tile(
    stream: Stream,
    tile: int,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """One spatial tile, all its bands, without looking at the others.

    Parameters
    ----------
    stream : may be incomplete or damaged outside the header and this tile
    tile : number in ``inspect(stream)["tiles"]``, row by row
    device, model, threads, memory_budget, progress : as `decode` takes them

    Returns
    -------
    array (S, h, w)
    """
    index = read_index(stream)
    header = index.header
    if not 0 <= tile < len(index.tiles):
        raise UsageError(f"tile {tile}: expected 0..{len(index.tiles) - 1}")
    model = model_of(header, device, model)
    work = work_of(progress, threads, memory_budget)
    model.check_room(header, f"tile {tile}", work.memory)
    (samples,) = model.decode_checked(stream, index, [header.grid[tile]], work)
    return samples.astype(header.dtype, copy=False)


def decode_first_bands(
    stream: Stream,
    n_bands: int,
    device: str = "auto",
    *,
    model: str | os.PathLike | Model | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, int]:
    """The first bands of a cube, from as little of the stream as its family can do with.

    What is left out is not checked against checksums, nor is what is read: a checksum covers all bands of a tile.

    Parameters
    ----------
    stream : only the parts that are needed are touched, so it may be a file
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
    index = read_index(stream)
    header = index.header
    if not 1 <= n_bands <= header.shape[0]:
        raise UsageError(f"n_bands: expected 1..{header.shape[0]}, found {n_bands}")
    model = model_of(header, device, model)
    native = header.dtype.newbyteorder("=")
    # Tiles, put together, as a picture.
    work = work_of(progress, threads, memory_budget, 3 * n_bytes_of((n_bands, *header.shape[1:]), native))
    model.check_room(header, "first bands", work.memory)
    shapes = [(header.shape[0], tile.n_rows, tile.n_columns) for tile in header.grid]
    sections = [lazy_sections(stream, entry, tile) for tile, entry in enumerate(index.tiles)]
    decoded = model.decode_first_bands(shapes, native, sections, header.parameters, n_bands, work)
    cube = np.empty((n_bands, *header.shape[1:]), native)
    for tile, samples in zip(header.grid, decoded, strict=True):
        cube[tile.window] = samples[:n_bands]
    n_read = sum(section.n_read for own in sections for section in own)
    return cube, PREAMBLE.size + index.header_bytes + n_read


def model_of(header: Header, device: str, model: str | os.PathLike | Model | None) -> Model:
    """The model that decodes a stream; samples stored as they are need none, whatever was asked for."""
    family_module(header.family).describe_parameters(header.parameters)  # damaged ones are told before weights load
    if header.family == RawModel.family and not header.weights_hash:
        return RawModel()
    if model is None or isinstance(model, str | os.PathLike):
        return model_for_stream(header.model_name, header.family, header.weights_hash, device, model)
    return model


def inspect(stream: Stream) -> dict:
    """What a stream says about itself; needs neither weights nor torch, and only the stream's beginning.

    Returns
    -------
    dict of JSON-able values: version, shape, dtype, model, family, weights_sha256, parameters, max_error, metadata,
    tile_shape, section_names, tiles (sizes by section), header_bytes, stream_bytes, bits_per_sample, complete.
    """
    index = read_index(stream)
    header = index.header
    family = family_module(header.family)
    parameters = family.describe_parameters(header.parameters)
    return {
        "version": VERSION,
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
        "header_bytes": PREAMBLE.size + index.header_bytes,
        "stream_bytes": index.stream_bytes,
        "bits_per_sample": 8 * index.stream_bytes / header.n_samples,
        "complete": len(stream) == index.stream_bytes,
    }
