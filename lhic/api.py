"""Cube to stream and back.  The only module that knows all the parts: cubes, files, models and the format.

Encoder and decoder read in mirrored order: check, choose the model, code the tiles, put together.  In memory and from
file to file they are the same functions, with an array or a file at either end.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np

from lhic.arguments import finite_number, whole_number
from lhic.comparison import Comparison, check_comparable
from lhic.cube import VALUE_DTYPES, Cube, CubeSink, check_cube, check_layout, n_bytes_of
from lhic.errors import (
    CorruptStreamError,
    InvalidCubeError,
    LhicWarning,
    MemoryBudgetError,
    UsageError,
    VerificationError,
    named,
)
from lhic.families.family import Model, Progress, Work, silent
from lhic.families.raw import RawModel
from lhic.families.registry import (
    DEFAULT_MODEL,
    as_model,
    family_of,
    model_for_stream,
    weights_files,
)
from lhic.families.shuffled import ShuffledModel
from lhic.formats import CubeFile, Scene, open_cube
from lhic.formats.registry import (
    check_output,
    check_stream_name,
    create_cube,
    export_cube,
    open_original,
    stream_name,
    usual_name,
)
from lhic.io.atomic import atomic_write, check_not_input, temporary_beside
from lhic.io.memory import check_memory
from lhic.io.memory import memory_budget as budget_of
from lhic.io.source import Source, open_source
from lhic.io.threads import n_threads
from lhic.picture import Preview, choose_bands, stretch
from lhic.stream.auxiliary import HEADER_MARK, AuxiliaryEntry, Packed, pack_all, unpack
from lhic.stream.header import MAX_AXIS, PREAMBLE, VERSION, Header, StreamIndex, read_index, stream_bytes
from lhic.stream.metadata import in_samples, nanometres, nodata_of, plain
from lhic.stream.tiles import Stream, TileEntry, lazy_sections
from lhic.stream.whole import StreamWriter, check_whole
from lhic.values.find import find_plan
from lhic.values.model import ValuesModel
from lhic.values.plan import REST, Plan

ModelLike = str | os.PathLike | Model
"""Name (``lhic models``), path of a weights file, or a loaded model."""
StreamLike = bytes | bytearray | memoryview | Source | str | os.PathLike
"""A stream: its bytes, or where they are: a path, ``-`` for standard input, or an open source."""
SAVING_SAMPLES = 1 << 17
"""Of a cube, coded to say what a bound would save."""


# --- encode -----------------------------------------------------------------------------------------------------------


def encode(
    cube: np.ndarray,
    model: ModelLike = DEFAULT_MODEL,
    device: str = "auto",
    *,
    metadata: dict | None = None,
    auxiliary: Mapping[str, np.ndarray] | None = None,
    nodata: float | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    fallback: bool = True,
    tile_shape: Sequence[int] | None = None,
    **options,
) -> bytes:
    """Compress a cube, without loss unless ``max_error`` is given.

    Parameters
    ----------
    cube : array (S bands, H rows, W columns) of integers, floats or booleans; never modified, never clipped. The
        masked samples of a masked array become `nodata`, or in a float array NaN
    model : name (``lhic models``), path to a weights file, or a loaded model
    device : ``auto``, ``cpu`` or ``cuda``; where to compute. Any device decodes the stream
    metadata : what docs/format.md, section 2, allows (wavelengths, fwhm, nodata, crs, transform, extra, ...)
    auxiliary : name -> array of any shape that belongs to the cube (latitudes, angles, ...); kept without loss
    nodata : sample value that means "no data"; kept in the metadata. With ``max_error`` it comes back exactly, and no
        other sample becomes it
    threads : how many may compute; default ``LHIC_THREADS``, else the cores this process may use
    memory_budget : bytes; default ``LHIC_MEMORY_BUDGET``, else 80 % of the free memory
    progress : called with the number of samples finished since its last call
    fallback : store the samples as they are, or compressed by Zstandard, where the model's stream would be longer
    tile_shape : rows and columns of a tile, for lhic-ax: large ones take fewer bits, of small ones a window takes
        less decoding; default: about 128 x 128, or the whole of a small cube
    options : of the model's family, e.g. ``param_d=8`` for lhic-bp, ``max_error=2`` or ``tuning_steps=300`` for
        lhic-ax. With floats and 64-bit integers any family takes ``max_error``, in the samples' own unit. Instead of it
        ``max_error_physical=0.001`` is a bound in the unit of ``scale * sample + offset``, for metadata with a scale

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
    metadata = _with_nodata(metadata, nodata, cube)
    cube = _filled(cube, nodata_of(metadata, cube.dtype))
    file = io.BytesIO()
    # The sections, and the stream put together of them, are rarely as long as the samples.
    work = _work(progress, threads, memory_budget, held=2 * cube.nbytes)
    beside = pack_all(auxiliary or {}, {})
    tiled = _tiled(as_model(model, device), tile_shape)
    _encode(cube, file, io.BytesIO(), tiled, metadata, fallback, options, work, beside)
    return file.getvalue()


def encode_file(
    cube: str | os.PathLike | CubeFile,
    stream: str | os.PathLike | None = None,
    model: ModelLike = DEFAULT_MODEL,
    device: str = "auto",
    *,
    variable: str | None = None,
    axes: str | None = None,
    metadata: dict | None = None,
    auxiliary: Mapping[str, np.ndarray] | None = None,
    nodata: float | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    fallback: bool = True,
    tile_shape: Sequence[int] | None = None,
    overwrite: bool = False,
    **options,
) -> dict:
    """Compress a file, of which only a batch of tiles is in memory at a time.

    Parameters
    ----------
    cube : path of a file of one of the formats of docs/formats.md, or what `lhic.formats.open_cube` gave; ``-`` is
        standard input
    stream : path to write, ``-`` is standard output; default: the name of the cube with the suffix ``.lhic``. A
        temporary file on the same disk holds the coded tiles meanwhile
    variable, axes : which array of the file, and the order of its axes, as `lhic.formats.open_cube` takes them
    metadata, auxiliary : add to what the file says and holds, and replace what it says of the same keys
    overwrite : whether `stream` may replace an existing file
    model, device, nodata, threads, memory_budget, progress, fallback, tile_shape, options : as `lhic.encode` takes
        them

    Returns
    -------
    dict : what `lhic.inspect` says of the stream

    Raises
    ------
    UsageError, InvalidCubeError
        No such file, or not a complete one with one cube in it; or `stream` must not be written.
    MemoryBudgetError
        Not even one tile fits the budget.
    LhicError
        What else `lhic.encode` raises. The stream's file is then as it was before.

    Examples
    --------
    >>> import lhic, numpy as np, tempfile
    >>> cube = np.arange(2 * 3 * 4, dtype="int16").reshape(2, 3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lhic.save_cube(f"{folder}/cube.npy", cube)
    ...     found = lhic.encode_file(f"{folder}/cube.npy", f"{folder}/cube.lhic")
    ...     same = open(f"{folder}/cube.lhic", "rb").read() == lhic.encode(cube)
    >>> found["shape"], same
    ([2, 3, 4], True)
    """
    if not isinstance(cube, str | os.PathLike | CubeFile):
        found = (
            f"{type(cube).__name__}; lhic.encode takes arrays" if isinstance(cube, np.ndarray) else type(cube).__name__
        )
        raise UsageError(f"cube: expected a path, or what lhic.formats.open_cube gave, found {found}")
    work = _work(progress, threads, memory_budget)
    if stream is not None:
        check_stream_name(stream)
    with _opened(cube, lambda path: open_cube(path, variable, axes)) as reader:
        check_layout(reader.shape, reader.dtype, reader.path)
        if stream is None:
            stream = stream_name(os.fspath(cube) if isinstance(cube, str | os.PathLike) else reader.path)
        check_not_input(stream, *reader.inputs, *weights_files(model))
        with atomic_write(stream, overwrite) as file, temporary_beside(stream) as spool, named(reader.path):
            metadata = _with_nodata({**reader.metadata, **(metadata or {})}, nodata, reader)
            beside = pack_all({**reader.auxiliary(), **(auxiliary or {})}, reader.sources)
            tiled = _tiled(as_model(model, device), tile_shape)
            index = _encode(reader, file, spool, tiled, metadata, fallback, options, work, beside)
    return _description(index, is_complete=True)


class Saving(NamedTuple):
    """What a bound would save: bits per sample without and with it, measured on a part of a cube."""

    max_error: float
    lossless: float
    bounded: float


def saving_of_a_bound(cube: Cube, model: ModelLike = DEFAULT_MODEL, device: str = "auto", **keywords) -> Saving | None:
    """What it would save not to keep the last bits of floats, which are seldom measured.

    The bound is the power of ten below a 1,000th of the range in which nine in ten samples of the cube's middle are.

    Parameters
    ----------
    cube : floats (S, H, W); only some pixels in the middle are looked at
    model, device, keywords : as `lhic.encode` takes them

    Returns
    -------
    Saving or None : None where samples of one value, or none that are finite, say nothing
    """
    n_bands, n_rows, n_columns = cube.shape
    side = max(math.isqrt(SAVING_SAMPLES // n_bands), 1)
    row, column = max(n_rows - side, 0) // 2, max(n_columns - side, 0) // 2
    window = slice(0, n_bands), slice(row, min(row + side, n_rows)), slice(column, min(column + side, n_columns))
    part = np.ascontiguousarray(cube[window])
    finite = part[np.isfinite(part)].astype(np.float64)
    low, high = np.percentile(finite, (5, 95)) if finite.size else (0.0, 0.0)
    if not 0 < high - low < math.inf:
        return None
    bound = float(f"1e{math.floor(math.log10((high - low) / 1000))}")
    sizes = [len(encode(part, model, device, max_error=error, **keywords)) for error in (0, bound)]
    return Saving(bound, *(8 * n_bytes / part.size for n_bytes in sizes))


def _encode(
    cube: Cube,
    file: BinaryIO,
    spool: BinaryIO,
    model: Model,
    metadata: dict,
    fallback: bool,
    options: dict,
    work: Work,
    beside: Sequence[Packed] = (),
) -> StreamIndex:
    """Write a stream to `file` once it is complete; its sections stay in the empty file `spool` until then."""
    options = _in_samples(options, metadata, cube.dtype)
    if options.get("max_error") and isinstance(metadata.get("nodata"), list):
        raise UsageError("max_error: expected one nodata value for all bands, found a list of them")
    model, options = _with_values(model, cube, metadata, options, work)
    model.check_room(_header(cube, model, b"", {}), "cube", work)
    header = _header(cube, model, model.plan(cube, work, **options), metadata)
    writer = StreamWriter(header, spool)
    model.encode_cube(cube, writer, work)
    if fallback:
        writer = _shortest(cube, model, writer, work)
    return writer.finish(file, beside)


def _in_samples(options: dict, metadata: dict, dtype: np.dtype) -> dict:
    """The options with a bound in samples, if there is one in the metadata's unit; a whole one as int."""
    physical, bound = options.get("max_error_physical"), options.get("max_error")
    if physical is None:
        if dtype.kind != "f" and isinstance(bound, float | np.floating) and float(bound).is_integer():
            return options | {"max_error": int(bound)}
        return options
    if "max_error" in options:
        raise UsageError("max_error_physical: expected no max_error beside it, found one")
    of_samples = in_samples(finite_number(physical, "max_error_physical"), metadata, dtype)
    others = {name: value for name, value in options.items() if name != "max_error_physical"}
    return others | ({"max_error": of_samples} if of_samples else {})


def _tiled(model: Model, tile_shape: Sequence[int] | None) -> Model:
    """The model, with tiles of that shape if one is asked for."""
    if tile_shape is None:
        return model
    try:
        n_rows, n_columns = tile_shape
    except (TypeError, ValueError):
        raise UsageError(f"tile_shape: expected rows and columns, found {tile_shape!r:.60}") from None
    return model.with_tiles(
        whole_number(n_rows, "tile_shape", 1, MAX_AXIS), whole_number(n_columns, "tile_shape", 1, MAX_AXIS)
    )


def _with_values(model: Model, cube: Cube, metadata: dict, options: dict, work: Work) -> tuple[Model, dict]:
    """The model that codes samples of the cube's dtype, and the options that are left for its family."""
    if cube.dtype.newbyteorder("=") not in VALUE_DTYPES or isinstance(model, RawModel | ShuffledModel):
        return model, options
    bound = options.get("max_error", 0)
    plan = find_plan(cube, bound, nodata_of(metadata, cube.dtype), work.memory - work.held)
    return ValuesModel(model, plan), {name: value for name, value in options.items() if name != "max_error"}


def _shortest(cube: Cube, model: Model, writer: StreamWriter, work: Work) -> StreamWriter:
    """The stream as it is, or one of the samples as they are if that is shorter."""
    others: list[tuple[Model, int]] = [(RawModel(), n_bytes_of(cube.shape, cube.dtype))]
    if isinstance(model, ValuesModel) and model.values.is_wide(cube.dtype):
        shuffled = ShuffledModel()
        others.append((shuffled, shuffled.compressed_bytes(cube, work)))
    for other, n_bytes in others:
        header = _header(cube, other, b"", writer.header.metadata)
        if n_bytes < writer.n_bytes and stream_bytes(header, [TileEntry(0, (n_bytes,), 0, 0)]) < writer.n_bytes:
            writer.spool.seek(0)
            writer.spool.truncate()
            writer = StreamWriter(header, writer.spool)
            other.encode_cube(cube, writer, replace(work, progress=silent))
    return writer


def _header(cube: Cube, model: Model, parameters: bytes, metadata: dict) -> Header:
    n_bands, n_rows, n_columns = cube.shape
    tile_rows, tile_columns = model.tile_shape(n_rows, n_columns)
    return Header(
        dtype=cube.dtype,
        shape=(n_bands, n_rows, n_columns),
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        model_name=model.name,
        family=model.family,
        weights_hash=model.weights_hash,
        parameters=parameters,
        metadata=metadata,
        values=model.values.to_bytes(cube.dtype) if isinstance(model, ValuesModel) else b"",
    )


def _with_nodata(metadata: dict | None, nodata: float | None, cube: Cube) -> dict:
    """Checked metadata, that value among them."""
    metadata = plain(metadata, cube.shape[0])
    if nodata is None:
        return metadata
    if cube.dtype.kind == "f":
        if isinstance(nodata, bool) or not isinstance(nodata, int | float | np.number) or math.isinf(nodata):
            raise UsageError(f"nodata: expected a finite number, or NaN, found {nodata!r:.60}")
        value: float | str = "NaN" if math.isnan(nodata) else float(nodata)
    else:
        limits = np.iinfo(cube.dtype) if cube.dtype.kind in "iu" else np.iinfo("uint8")
        value = whole_number(nodata, "nodata", int(limits.min), int(limits.max))
    if metadata.setdefault("nodata", value) != value:
        raise UsageError(f"nodata: expected the value of the metadata, {metadata['nodata']}, found {value}")
    return metadata


def _filled(cube: np.ndarray, nodata: float | None) -> np.ndarray:
    """The plain array that a masked one becomes.

    Raises
    ------
    InvalidCubeError
        Samples are masked, and there is no value to stand for them, or it occurs among the others.
    """
    if not isinstance(cube, np.ma.MaskedArray):
        return cube
    mask = np.ma.getmaskarray(cube)
    if not mask.any():
        return cube.data
    if nodata is None and cube.dtype.kind == "f":
        nodata = math.nan
    if nodata is None:
        n_masked = np.count_nonzero(mask)
        raise InvalidCubeError(
            f"cube: expected nodata=..., a value of {cube.dtype} for masked samples, found {n_masked}"
        )
    if (~mask & (cube.data == nodata)).any():
        raise InvalidCubeError(f"cube: expected nodata={nodata} for masked samples alone, found others that have it")
    return np.where(mask, cube.dtype.type(nodata), cube.data).astype(cube.dtype)


# --- decode -----------------------------------------------------------------------------------------------------------


def decode(
    stream: StreamLike,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    expected_shape: Sequence[int] | None = None,
    expected_dtype: np.dtype | str | None = None,
) -> np.ndarray:
    """The cube that was encoded: same shape, dtype (byte order included) and values.

    Of a near-lossless stream (``inspect(stream)["max_error"]`` above 0), the values that stand for them.

    Parameters
    ----------
    stream : what `encode` returned, nothing before or after it; or the path of a file with it
    device : where to compute; any device decodes any stream
    model : only needed when the weights are not where `lhic models` looks
    threads, memory_budget, progress : as `encode` takes them
    max_bytes : of the cube; a stream that announces more is refused before any work. A few hundred bytes may be a
        valid stream of a large cube, so this also bounds the time that a stream from elsewhere can take
    expected_shape, expected_dtype : refuse a stream of another cube before any work

    Raises
    ------
    CorruptStreamError
        Damaged; `TruncatedStreamError` and `ForeignStreamError` say more.
    VerificationError
        Another shape or dtype than expected.
    MemoryBudgetError
        More than `max_bytes`, or more than fits the budget.
    UnsupportedVersionError, ModelMismatchError, BackendError, UsageError

    Examples
    --------
    >>> import lhic, numpy as np
    >>> stream = lhic.encode(np.zeros((2, 3, 4), "int16"))
    >>> lhic.decode(stream, max_bytes=1000, expected_dtype="int16").shape
    (2, 3, 4)
    >>> lhic.decode(stream, max_bytes=10)
    Traceback (most recent call last):
    lhic.errors.MemoryBudgetError: stream: expected at most 10 bytes of samples (max_bytes), found 48
    """
    with _opened_stream(stream) as data:
        index = index_of(data, max_bytes, expected_shape, expected_dtype)
        header = index.header
        work = _work(progress, threads, memory_budget, held=n_bytes_of(header.shape, header.dtype))
        ready = _ready(data, index, device, model, work)
        cube = np.empty(header.shape, header.dtype)
        ready.decode_cube(data, index, cube, work)
    return cube


def decode_file(
    stream: StreamLike,
    cube: str | os.PathLike | None = None,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
    verify: str | os.PathLike | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    expected_shape: Sequence[int] | None = None,
    expected_dtype: np.dtype | str | None = None,
    overwrite: bool = False,
    plain: bool = False,
) -> float | None:
    """Restore a file, of which only a batch of tiles is in memory at a time.

    Parameters
    ----------
    stream : path of what `encode_file` or `lhic.encode` gave; ``-`` is standard input
    cube : path to write, in the format of its suffix; ``-`` is standard output, as ``.npy``; default: the name of the
        stream with the suffix of the format that came in
    verify : path of the original, to compare with on the way
    overwrite : whether `cube` may replace an existing file
    plain : write what any reader of the format expects, not what the source's file was: a cloud-optimized GeoTIFF, ENVI
        band by band, NetCDF with CF's attributes, Zarr 3 with those of ``proj:`` and ``spatial:``, ``.npy`` with the
        axes bands, rows, columns
    device, model, threads, memory_budget, progress, max_bytes, expected_shape, expected_dtype : as `lhic.decode` takes
        them

    Returns
    -------
    number or None : greatest absolute difference from the original, which is 0 unless the stream is near-lossless; None
        without `verify`

    Warns
    -----
    LhicWarning
        Something that the stream says has no place in the file that was written.

    Raises
    ------
    VerificationError
        The original is another cube.
    MemoryBudgetError
        Not even one tile fits the budget.
    LhicError
        What else `lhic.decode` raises.
    OSError
        There is no room for the cube.
    In any case, the cube's file is then as it was before.

    Examples
    --------
    >>> import lhic, numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lhic.save_cube(f"{folder}/cube.npy", np.zeros((2, 3, 4), "int16"))
    ...     info = lhic.encode_file(f"{folder}/cube.npy", f"{folder}/cube.lhic")
    ...     lhic.decode_file(f"{folder}/cube.lhic", f"{folder}/again.npy", verify=f"{folder}/cube.npy")
    0
    """

    if cube is not None:
        check_output(cube, overwrite)
    work = _work(progress, threads, memory_budget)
    with ExitStack() as opened:
        data = opened.enter_context(_opened_stream(stream))
        index = index_of(data, max_bytes, expected_shape, expected_dtype)
        original = opened.enter_context(_opened_original(verify, index))
        inputs: list[str | int] = [data.fileno()] if isinstance(data, Source) else []
        inputs += original.inputs if isinstance(original, CubeFile) else []
        cube = _name_for(data, index) if cube is None else cube
        check_not_input(cube, *inputs, *weights_files(model))

        notes: list[str] = []

        @contextmanager
        def into(header: Header) -> Iterator[CubeSink]:
            scene = replace(_scene(data, index, work.memory), notes=notes)
            with (export_cube if plain else create_cube)(cube, scene, overwrite) as sink:
                yield sink

        difference = _decode(data, index, original, into, device, model, work)
    for note in notes:
        warnings.warn(f"{os.fspath(cube)}: {note}", LhicWarning, stacklevel=2)
    return difference


def verify(
    stream: StreamLike,
    original: str | os.PathLike | np.ndarray | None = None,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> float | None:
    """Decode a stream, check it against its checksums and perhaps its original, and keep nothing.

    Parameters
    ----------
    original : the cube to compare with, or the path of its file
    stream, device, model, threads, memory_budget, progress : as `decode` takes them

    Returns
    -------
    number or None : greatest absolute difference from the original, which is 0 unless the stream is near-lossless; None
        without an original

    Raises
    ------
    VerificationError
        The original is another cube.
    LhicError
        What else `decode` raises.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> cube = np.arange(2 * 3 * 4, dtype="int16").reshape(2, 3, 4)
    >>> lhic.verify(lhic.encode(cube), cube)
    0
    """
    work = _work(progress, threads, memory_budget)
    with _opened_stream(stream) as data:
        index = index_of(data)
        with _opened_original(original, index) as reader:
            if isinstance(reader, np.ndarray):
                check_cube(reader, "original")
            difference = _decode(data, index, reader, lambda header: nullcontext(), device, model, work)
        for entry in index.auxiliary:
            _unpacked(data, entry, budget_of(memory_budget))
        return difference


def decode_tile(
    stream: StreamLike,
    tile: int,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
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

    Raises
    ------
    UsageError
        There is no such tile.
    LhicError
        What else `decode` raises.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> lhic.decode_tile(lhic.encode(np.zeros((2, 3, 4), "int16")), 0).shape
    (2, 3, 4)
    """
    with _opened_stream(stream) as data:
        index = index_of(data)
        header = index.header
        window = header.grid[whole_number(tile, "tile", 0, len(index.tiles) - 1)]
        work = _work(progress, threads, memory_budget)
        model = model_of(header, device, model)
        model.check_room(header, f"tile {tile}", work)
        (samples,) = model.decode_checked(data, index, [window], work)
    return samples.astype(header.dtype, copy=False)


def preview(
    stream: StreamLike,
    bands: Sequence[int] | None = None,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
    threads: int | None = None,
    memory_budget: int | None = None,
    progress: Progress | None = None,
) -> Preview:
    """A picture of three bands, from as little decoding as the stream's family allows.

    A quicklook, not data: nothing is checked against the checksums over the samples.

    Parameters
    ----------
    stream : no more of it is read than needed
    bands : red, green and blue, counted from 0; default: those nearest to 640, 550 and 460 nm, or without wavelengths
        some spread over the spectrum
    device, model, threads, memory_budget : as `decode` takes them
    progress : counts the samples computed, also those of later bands where the family computes them along

    Returns
    -------
    Preview : with ``image``, uint8 (H, W, 3), the ``bands`` shown, and what it took

    Raises
    ------
    UsageError
        A band the stream does not have.
    LhicError
        What else `decode` raises.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> cube = np.arange(6 * 8 * 8, dtype="int16").reshape(6, 8, 8)
    >>> look = lhic.preview(lhic.encode(cube))
    >>> look.image.shape, look.bands
    ((8, 8, 3), (3, 2, 1))
    """
    computed = []

    def count(n_samples: int) -> None:
        computed.append(n_samples)
        if progress is not None:
            progress(n_samples)

    with _opened_stream(stream) as data:
        index = index_of(data)
        header = index.header
        n_bands = header.shape[0]
        if bands is None:
            bands = choose_bands(n_bands, nanometres(header.metadata))
        else:
            bands = tuple(whole_number(band, "bands", 0, n_bands - 1) for band in bands)
        if len(bands) != 3:
            raise UsageError(f"bands: expected three numbers of 0..{n_bands - 1}, found {len(bands)}")
        model = model_of(header, device, model)
        cube, bytes_read = _first_bands(data, index, max(bands) + 1, model, _work(count, threads, memory_budget))
    nodata = nodata_of(header.metadata, cube.dtype)
    if "nodata" not in header.metadata and cube.dtype.kind == "i":
        nodata = np.iinfo(cube.dtype).min
    image = np.stack([stretch(cube[band], nodata) for band in bands], axis=-1)
    return Preview(image, bands, bytes_read, index.stream_bytes, sum(computed), header.n_samples)


def _first_bands(data: Stream, index: StreamIndex, n_bands: int, model: Model, work: Work) -> tuple[np.ndarray, int]:
    """Array (n_bands, H, W) in native byte order, and how many bytes of the stream were read for it."""
    header, dtype = index.header, index.header.dtype.newbyteorder("=")
    shape = n_bands, *header.shape[1:]
    work = replace(work, held=3 * n_bytes_of(shape, dtype))  # tiles, put together, as a picture
    model.check_room(header, "stream", work)
    shapes = [(header.shape[0], tile.n_rows, tile.n_columns) for tile in header.grid]
    sections = [lazy_sections(data, entry, tile) for tile, entry in enumerate(index.tiles)]
    decoded = model.decode_first_bands(shapes, dtype, sections, header.parameters, n_bands, work)
    cube = np.empty(shape, dtype)
    for tile, samples in zip(header.grid, decoded, strict=True):
        cube[tile.window] = samples[:n_bands]
    n_read = sum(section.n_read for own in sections for section in own)
    return cube, PREAMBLE.size + index.header_bytes + n_read


def _decode(
    data: Stream,
    index: StreamIndex,
    original: CubeFile | np.ndarray | None,
    into: Callable[[Header], AbstractContextManager[CubeSink | None]],
    device: str,
    model: ModelLike | None,
    work: Work,
) -> float | None:
    """Decode all into a target, if there is one; largest error, if there is an original."""
    header, name = index.header, getattr(original, "path", "original")
    if original is not None:
        check_comparable(original, header.shape, header.dtype, name)
    ready = _ready(data, index, device, model, work)
    with into(header) as target:
        comparison = Comparison(original, name, _max_error(header), target)
        ready.decode_cube(data, index, comparison, work)
        return comparison.verdict()


def _ready(data: Stream, index: StreamIndex, device: str, model: ModelLike | None, work: Work) -> Model:
    """The model that decodes a stream, once the stream is known to be whole, and there is room for it."""
    check_whole(data, index)
    found = model_of(index.header, device, model)
    found.check_room(index.header, "stream", work)
    return found


def _name_for(data: Stream, index: StreamIndex) -> str:
    """The file that a stream becomes where nobody says its name."""
    if not isinstance(data, Source) or not os.path.exists(data.name):
        raise UsageError("cube: expected a path to write, found none, and a stream that has no name")
    return usual_name(data.name, Scene(index.header.shape, index.header.dtype, index.header.metadata))


def _scene(data: Stream, index: StreamIndex, budget: int) -> Scene:
    """What a writer of files is given besides the samples."""
    header, arrays = index.header, {entry.name: _unpacked(data, entry, budget) for entry in index.auxiliary}
    sources = {name[1:]: values.tobytes() for name, values in arrays.items() if name.startswith(HEADER_MARK)}
    beside = {name: values for name, values in arrays.items() if not name.startswith(HEADER_MARK)}
    return Scene(header.shape, header.dtype, header.metadata, sources, beside)


def model_of(header: Header, device: str, model: ModelLike | None) -> Model:
    found = model_for_stream(header.model_name, header.family, header.weights_hash, device, model)
    plan = _values_of(header)
    return ValuesModel(found, plan) if plan else found


def index_of(
    data: Stream,
    max_bytes: int | None = None,
    expected_shape: Sequence[int] | None = None,
    expected_dtype: np.dtype | str | None = None,
) -> StreamIndex:
    """What the stream says of itself, once that is known to be something its family writes, and what was expected."""
    index = read_index(data)
    header = index.header
    _parameters(header)  # damaged ones are told before weights are loaded
    expected, found = len(_section_names(header)), len(index.tiles[0].section_bytes)
    if found != expected:
        raise CorruptStreamError(f"index: expected {expected} sections a tile for {header.family}, found {found}")
    n_bytes = n_bytes_of(header.shape, header.dtype)
    if max_bytes is not None and n_bytes > whole_number(max_bytes, "max_bytes", 0):
        raise MemoryBudgetError(f"stream: expected at most {max_bytes} bytes of samples (max_bytes), found {n_bytes}")
    try:
        shape = header.shape if expected_shape is None else tuple(expected_shape)
        dtype = header.dtype if expected_dtype is None else np.dtype(expected_dtype)
    except TypeError as error:
        raise UsageError(f"expected_shape, expected_dtype: expected those of an array ({error})") from None
    if (shape, dtype) != (header.shape, header.dtype):
        raise VerificationError(f"stream: expected {shape} samples of {dtype}, found {header.shape} of {header.dtype}")
    return index


def _parameters(header: Header) -> dict:
    return family_of(header.family).describe_parameters(header.parameters)


def _values_of(header: Header) -> Plan | None:
    """How the samples became what the family coded; None if it coded them as they are."""
    if header.dtype.newbyteorder("=") not in VALUE_DTYPES:
        return None
    codes_any = header.family in (RawModel.family, ShuffledModel.family)
    if codes_any != (not header.values):
        expected = "none" if codes_any else f"those of {header.dtype} samples"
        raise CorruptStreamError(f"header: values: expected {expected} for {header.family}, found otherwise")
    return None if codes_any else Plan.from_bytes(header.values, header.shape[0], header.dtype)


def _section_names(header: Header) -> tuple[str, ...]:
    plan = _values_of(header)
    return (*family_of(header.family).section_names, *([REST] if plan and plan.has_rest else []))


def _max_error(header: Header) -> float:
    """How far a decoded sample may be off; 0 of a lossless stream."""
    plan = _values_of(header)
    if plan is None:
        return _parameters(header).get("max_error", 0)
    return plan.max_error if header.dtype.kind == "f" and plan.max_error else int(plan.max_error)


# --- inspect ----------------------------------------------------------------------------------------------------------


def inspect(stream: StreamLike) -> dict:
    """What a stream says about itself; needs neither weights nor torch, and only the stream's beginning.

    Returns
    -------
    dict of JSON-able values: version, shape, dtype, model, family, weights_sha256, parameters, max_error, values (how
    floats and 64-bit integers became what the family codes), metadata, auxiliary, tile_shape, section_names, tiles
    (sizes by section), header_bytes, stream_bytes, bits_per_sample, complete.

    Raises
    ------
    CorruptStreamError, UnsupportedVersionError
        The beginning is damaged, or not that of a stream of this format.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> info = lhic.inspect(lhic.encode(np.zeros((2, 3, 4), "int16"), metadata={"nodata": -1}))
    >>> info["shape"], info["dtype"], info["metadata"]
    ([2, 3, 4], 'int16', {'nodata': -1})
    """
    with _opened_stream(stream) as data:
        index = index_of(data)
        return _description(index, len(data) == index.stream_bytes)


def read_auxiliary(
    stream: StreamLike, names: Sequence[str] | None = None, memory_budget: int | None = None
) -> dict[str, np.ndarray]:
    """The arrays beside a cube, and what stood in its file's own header; no tile is read.

    Parameters
    ----------
    names : as ``inspect(stream)["auxiliary"]`` lists them; those that begin with ``@`` are the bytes of a header, as
        uint8; default: all
    memory_budget : bytes that one of them may take

    Raises
    ------
    UsageError
        There is none of that name.
    LhicError
        What else `inspect` raises.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> stream = lhic.encode(np.zeros((2, 3, 4), "int16"), auxiliary={"lat": np.array([50.5, 50.6])})
    >>> lhic.read_auxiliary(stream)
    {'lat': array([50.5, 50.6])}
    """
    with _opened_stream(stream) as data:
        entries = {entry.name: entry for entry in index_of(data).auxiliary}
        for name in names or ():
            if name not in entries:
                raise UsageError(f"auxiliary: expected a name of {', '.join(entries) or 'none'}, found {name!r}")
        wanted = entries if names is None else names
        return {name: _unpacked(data, entries[name], budget_of(memory_budget)) for name in wanted}


def _unpacked(data: Stream, entry: AuxiliaryEntry, budget: int) -> np.ndarray:
    """One array, if there is room for it."""
    needed = 2 * n_bytes_of(entry.shape, entry.dtype) + entry.n_bytes
    check_memory(needed, f"auxiliary {entry.name}", f"shape {entry.shape} of {entry.dtype}", budget)
    return unpack(data, entry)


def _description(index: StreamIndex, is_complete: bool) -> dict:
    header, parameters = index.header, _parameters(index.header)
    plan = _values_of(header)
    return {
        "version": VERSION,
        "shape": list(header.shape),
        "dtype": str(header.dtype.newbyteorder("=")),
        "byte_order": "big" if header.dtype.str[0] == ">" else "little",
        "model": header.model_name,
        "family": header.family,
        "weights_sha256": header.weights_hash.hex(),
        "parameters": parameters,
        "max_error": _max_error(header),
        "values": plan.describe() if plan else {},
        "metadata": header.metadata,
        "auxiliary": [
            {"name": entry.name, "dtype": entry.dtype.str, "shape": list(entry.shape), "bytes": entry.n_bytes}
            for entry in index.auxiliary
        ],
        "tile_shape": [header.tile_rows, header.tile_columns],
        "n_tiles": len(index.tiles),
        "section_names": list(_section_names(header)),
        "tiles": [list(tile.section_bytes) for tile in index.tiles],
        "header_bytes": PREAMBLE.size + index.header_bytes,
        "stream_bytes": index.stream_bytes,
        "bits_per_sample": 8 * index.stream_bytes / header.n_samples,
        "complete": is_complete,
    }


# --- what all share ---------------------------------------------------------------------------------------------------


def _work(progress: Progress | None, threads: int | None, memory_budget: int | None, held: int = 0) -> Work:
    return Work(progress or silent, n_threads(threads), budget_of(memory_budget), held)


@contextmanager
def _opened_stream(stream: StreamLike) -> Iterator[Stream]:
    """The bytes of a stream, wherever they are; what is wrong with those of a file is told with its name."""
    if isinstance(stream, str | os.PathLike | Source):
        with _opened(stream, lambda path: open_source(path, "an lhic stream")) as source, named(source.name):
            yield source
        return
    try:
        view = memoryview(stream).cast("B")
    except TypeError:
        raise UsageError(f"stream: expected bytes, or a path of a file, found {type(stream).__name__}") from None
    yield view


def _opened_original(original: object, index: StreamIndex) -> AbstractContextManager:
    return _opened(original, lambda path: open_original(path, index.header.metadata))


def _opened(what: object, open_it: Callable) -> AbstractContextManager:
    """Of a path, the file for the block; anything else as it is, and open after it."""
    return open_it(what) if isinstance(what, str | os.PathLike) else nullcontext(what)
