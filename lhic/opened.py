"""A stream as an array that is decoded where it is looked at: `lhic.open`.

Decides which tiles and how many first bands an index needs, and keeps the last tiles.  Bytes come from a file, memory,
a file object or, with fsspec, a URL; how tiles are decoded is `lhic.api`'s and the models' affair.
"""

from __future__ import annotations

import html
import math
import os
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, BinaryIO

import numpy as np

from lhic.api import ModelLike, index_of, model_of
from lhic.arguments import whole_number
from lhic.cube import n_bytes_of
from lhic.errors import BackendError, LhicError, OutOfRangeError, UsageError
from lhic.extras import needs
from lhic.families.family import Model, Work
from lhic.families.raw import RawModel
from lhic.families.shuffled import ShuffledModel
from lhic.io.memory import check_memory, memory_budget
from lhic.io.source import STANDARD, open_source
from lhic.io.threads import n_threads
from lhic.picture import choose_bands, stretch
from lhic.stream.auxiliary import unpack
from lhic.stream.header import PREAMBLE
from lhic.stream.metadata import nanometres, nodata_of
from lhic.stream.tiles import Section, Stream, Tile, lazy_sections

CACHE_BYTES = 1 << 28
LOOK_SAMPLES = 1 << 22
"""Decoded for the picture of a notebook, at most: a second or two."""

Key = tuple[range, range, range]
UNNOTICED = RawModel.family, ShuffledModel.family  # families in which no coder would notice damage


def open_cube(
    stream: str | os.PathLike | bytes | bytearray | memoryview | BinaryIO,
    device: str = "auto",
    *,
    model: ModelLike | None = None,
    threads: int | None = None,
    cache_bytes: int = CACHE_BYTES,
    check: bool | None = None,
) -> StreamCube:
    """A stream as an array; only its header is read now, and what an index needs when it is asked for.

    Parameters
    ----------
    stream : path of a stream, its bytes, a binary file object that can seek, or a URL for fsspec (``s3://...``)
    device, model, threads : as `lhic.decode` takes them
    cache_bytes : of decoded tiles that are kept, the last ones used
    check : decode whole tiles, so that all checksums are compared. With False, of a tile of which only first bands are
        needed, only these are read and decoded, without the checksum over its samples: damage is mostly noticed, by the
        entropy coder, but not for certain, and in the families ``raw`` and ``shuffled``, which have none, hardly. So
        these two are checked and others are not, unless it is said. `lhic.verify` checks a stream once and for all

    Raises
    ------
    LhicError
        What `lhic.inspect` raises.

    Examples
    --------
    >>> import lhic, numpy as np
    >>> cube = lhic.open(lhic.encode(np.arange(6 * 20 * 30, dtype="int16").reshape(6, 20, 30)))
    >>> cube.shape, cube[2, 5:7, ::-10].tolist()
    ((6, 20, 30), [[1379, 1369, 1359], [1409, 1399, 1389]])
    """
    return StreamCube(stream, device, model=model, threads=threads, cache_bytes=cache_bytes, check=check)


class StreamCube:
    """See `lhic.open`.

    Indexed as a numpy array by whole numbers, slices, ``...`` and ``None``; each index gives a new array.  Any number
    of threads may index at a time.  Can be pickled where the stream is a path, a URL or bytes: it is opened again
    where it arrives.

    Attributes
    ----------
    shape : (S, H, W)
    dtype : of the samples, byte order included
    metadata : what the stream says of the cube, as `lhic.encode` was given it
    tile_shape : (rows, columns) of a tile, which holds all bands
    bytes_read : of the stream, so far
    """

    ndim = 3

    def __init__(self, stream: Any, device: str = "auto", **options: Any):
        self._stream, self._device, self._options = stream, device, options
        self._cache_bytes = whole_number(options["cache_bytes"], "cache_bytes", 0)
        self._threads = n_threads(options["threads"])
        self._lock = Lock()
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._name, self._data = _bytes_at(stream)
        self._index = index_of(self._data)
        self._model: Model | None = None
        header = self._index.header
        self._checks = header.family in UNNOTICED if options["check"] is None else bool(options["check"])
        self.shape, self.dtype, self.metadata = header.shape, header.dtype, header.metadata
        self.tile_shape = min(header.tile_rows, self.shape[1]), min(header.tile_columns, self.shape[2])
        self.bytes_read = PREAMBLE.size + self._index.header_bytes

    # --- what arrays have ---

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Of the decoded cube."""
        return n_bytes_of(self.shape, self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[band] for band in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a stream is decoded into a new array: copy=False cannot be")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def __getitem__(self, key: Any) -> np.ndarray:
        wanted, shown = _ranges(key, self.shape)
        out = np.empty([len(axis) for axis in wanted], self.dtype)
        if out.size:
            self._fill(out, wanted)
        return out[shown]

    @property
    def auxiliary(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and dtype of what `read_auxiliary` gives, by name."""
        return {entry.name: (entry.shape, entry.dtype) for entry in self._index.auxiliary}

    def read_auxiliary(self, name: str) -> np.ndarray:
        """An array beside the cube, or what stood in its file's own header, as `lhic.read_auxiliary` gives it."""
        entries = {entry.name: entry for entry in self._index.auxiliary}
        if name not in entries:
            raise UsageError(f"{self._name}: expected a name of {', '.join(entries) or 'none'}, found {name!r}")
        entry = entries[name]
        needed = 2 * n_bytes_of(entry.shape, entry.dtype) + entry.n_bytes
        check_memory(needed, self._name, f"auxiliary {name}, {entry.shape} of {entry.dtype}", memory_budget())
        samples = unpack(self._data, entry)
        with self._lock:
            self.bytes_read += entry.n_bytes
        return samples

    def close(self) -> None:
        """Closes the file that was opened; one that was passed stays open."""
        close = getattr(self._data, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> StreamCube:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __reduce__(self) -> tuple:
        if not isinstance(self._stream, str | os.PathLike | bytes | bytearray) or self._stream == STANDARD:
            raise UsageError(f"pickle: expected a cube of a path, a URL or bytes, found {type(self._stream).__name__}")
        return _again, (self._stream, self._device, self._options)

    # --- decoding ---

    def _fill(self, out: np.ndarray, wanted: Key) -> None:
        header = self._index.header
        if self._model is None:
            self._model = model_of(header, self._device, self._options["model"])
        bands, rows, columns = (np.asarray(axis) for axis in wanted)
        n_first = int(bands.max()) + 1
        if header.family == RawModel.family and not self._checks:
            self._fill_raw(out, wanted)
            return
        for tile, samples in self._tiles(self._touched(rows, columns), n_first):
            down, inside_rows = _inside(rows, tile.row, tile.n_rows)
            across, inside_columns = _inside(columns, tile.column, tile.n_columns)
            out[:, down, across] = samples[np.ix_(bands, inside_rows, inside_columns)]

    def _touched(self, rows: np.ndarray, columns: np.ndarray) -> list[Tile]:
        """The tiles that hold some of these pixels."""
        header, grid = self._index.header, self._index.header.grid
        down = np.unique(rows // header.tile_rows).tolist()
        across = np.unique(columns // header.tile_columns).tolist()
        return [grid[i * grid.n_across + j] for i in down for j in across]

    def _tiles(self, tiles: Sequence[Tile], n_first: int) -> Iterator[tuple[Tile, np.ndarray]]:
        """Tiles with the samples of at least the first bands, from the cache or decoded, a few together."""
        assert self._model is not None
        missing: list[Tile] = []
        n_samples = 0
        for tile in tiles:
            known = self._known(tile, n_first)
            if known is not None:
                yield tile, known
                continue
            size = self.shape[0] * tile.n_rows * tile.n_columns
            if missing and n_samples + size > self._model.samples_at_once:
                yield from self._decoded(missing, n_first)
                missing, n_samples = [], 0
            missing.append(tile)
            n_samples += size
        if missing:
            yield from self._decoded(missing, n_first)

    def _decoded(self, tiles: Sequence[Tile], n_first: int) -> Iterator[tuple[Tile, np.ndarray]]:
        header, model = self._index.header, self._model
        assert model is not None
        work = Work(threads=self._threads, memory=memory_budget())
        native = header.dtype.newbyteorder("=")
        shapes = [(self.shape[0], tile.n_rows, tile.n_columns) for tile in tiles]
        needed = sum(model.coding_bytes(shape, native, work.threads) for shape in shapes)
        check_memory(needed, self._name, f"{len(tiles)} tiles of {self.shape[0]} bands", work.memory)
        if n_first == self.shape[0] or self._checks:
            decoded = model.decode_checked(self._data, self._index, tiles, work)
            n_read = sum(self._index.tiles[tile.index].n_bytes for tile in tiles)
        else:
            sections = [lazy_sections(self._data, self._index.tiles[tile.index], tile.index) for tile in tiles]
            decoded = model.decode_first_bands(shapes, native, sections, header.parameters, n_first, work)
            decoded = [samples[:n_first] for samples in decoded]
            n_read = sum(section.n_read for own in sections for section in own)
        with self._lock:
            self.bytes_read += n_read
            for tile, samples in zip(tiles, decoded, strict=True):
                self._keep(tile.index, samples)
        yield from zip(tiles, decoded, strict=True)

    def _known(self, tile: Tile, n_first: int) -> np.ndarray | None:
        with self._lock:
            samples = self._cache.get(tile.index)
            if samples is None or len(samples) < n_first:
                return None
            self._cache.move_to_end(tile.index)
            return samples

    def _keep(self, number: int, samples: np.ndarray) -> None:
        if len(samples) > len(self._cache.get(number, ())):
            self._cache[number] = samples
            self._cache.move_to_end(number)
        while sum(kept.nbytes for kept in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)

    def _fill_raw(self, out: np.ndarray, wanted: Key) -> None:
        """Samples as they are lie where they are looked for: no more rows are read than needed, none is kept."""
        header = self._index.header
        dtype = header.dtype.newbyteorder("<")
        bands, rows, columns = (np.asarray(axis) for axis in wanted)
        for tile in self._touched(rows, columns):
            (section,) = lazy_sections(self._data, self._index.tiles[tile.index], tile.index)
            down, inside_rows = _inside(rows, tile.row, tile.n_rows)
            across, inside_columns = _inside(columns, tile.column, tile.n_columns)
            for place, band in enumerate(bands.tolist()):
                read = _raw_rows(section, band, inside_rows, tile, dtype)
                out[place, down, across] = read[np.ix_(inside_rows - inside_rows.min(), inside_columns)]
            with self._lock:
                self.bytes_read += section.n_read

    # --- what people see ---

    def __repr__(self) -> str:
        header = self._index.header
        n_rows, n_columns = self.tile_shape
        rate = f"{8 * self._index.stream_bytes / self.size:.2f} bits a sample"
        return f"<lhic cube {self.shape} of {self.dtype}, tiles of {n_rows} x {n_columns}, {header.model_name}, {rate}>"

    def _repr_html_(self) -> str:
        header = self._index.header
        rows = {
            "cube": " x ".join(map(str, self.shape)) + f" (bands, rows, columns) of {self.dtype}",
            "from": self._name,
            "tiles": f"{len(header.grid)} of up to {self.tile_shape[0]} x {self.tile_shape[1]}, each with all bands",
            "model": f"{header.model_name} ({header.family})",
            "size": f"{self._index.stream_bytes:,} bytes, {8 * self._index.stream_bytes / self.size:.2f} bits a sample",
            "metadata": ", ".join(self.metadata) or "none",
        }
        lines = "".join(f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>" for key, value in rows.items())
        try:
            picture, caption = self._look()
            encoded = b64encode(picture).decode()
            look = f'<figure><img src="data:image/png;base64,{encoded}"/><figcaption>{caption}</figcaption></figure>'
        except LhicError as error:  # no picture is no reason for no answer
            look = f"<p>{html.escape(str(error))}</p>"
        return f"<div><table>{lines}</table>{look}</div>"

    def _look(self) -> tuple[bytes, str]:
        """A PNG of three bands of the middle, as far as a moment's decoding reaches, and what it shows."""
        with needs("formats", "quicklook"):
            from imagecodecs import png_encode
        bands = choose_bands(self.shape[0], nanometres(self.metadata))
        per_tile = (max(bands) + 1) * self.tile_shape[0] * self.tile_shape[1]
        n_tiles = math.isqrt(max(LOOK_SAMPLES // per_tile, 1))
        middle = [_middle(n, size, n_tiles) for n, size in zip(self.shape[1:], self.tile_shape, strict=True)]
        nodata = nodata_of(self.metadata, self.dtype)
        if "nodata" not in self.metadata and self.dtype.kind == "i":
            nodata = np.iinfo(self.dtype).min
        window = self[: max(bands) + 1, middle[0], middle[1]]  # one decoding for all three
        image = np.stack([stretch(window[band], nodata) for band in bands], axis=-1)
        (top, bottom), (left, right) = ((axis.start, axis.stop - 1) for axis in middle)
        shown = f"bands {', '.join(map(str, bands))}; rows {top} to {bottom}, columns {left} to {right}"
        return bytes(png_encode(np.ascontiguousarray(image))), shown


def _again(stream: Any, device: str, options: dict) -> StreamCube:
    return StreamCube(stream, device, **options)


def _middle(n: int, tile: int, n_tiles: int) -> slice:
    """The samples of an axis that are in so many tiles around its middle."""
    first = max((n // 2) // tile - (n_tiles - 1) // 2, 0)
    return slice(first * tile, min((first + n_tiles) * tile, n))


def _inside(axis: np.ndarray, begin: int, n: int) -> tuple[slice, np.ndarray]:
    """Which of an axis' places are in a tile, and where in the tile each of them is."""
    places = np.flatnonzero((axis >= begin) & (axis < begin + n))
    return slice(int(places[0]), int(places[-1]) + 1), axis[places] - begin


def _raw_rows(section: Section, band: int, rows: np.ndarray, tile: Tile, dtype: np.dtype) -> np.ndarray:
    """Samples of a band of a tile from the first of these rows to the last, in all columns."""
    first, end = int(rows.min()), int(rows.max()) + 1
    begin = (band * tile.n_rows + first) * tile.n_columns * dtype.itemsize
    part = section[begin : begin + (end - first) * tile.n_columns * dtype.itemsize]
    return np.frombuffer(part, dtype).reshape(end - first, tile.n_columns)


# --- indices ----------------------------------------------------------------------------------------------------------


def _ranges(key: Any, shape: tuple[int, ...]) -> tuple[Key, tuple]:
    """The places wanted of each axis, and the index that makes of their array what numpy would give.

    Raises
    ------
    OutOfRangeError
        No basic index of such an array.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(part, np.ndarray | list | bool) for part in keys):
        raise OutOfRangeError("index: expected whole numbers, slices, ... and None, found a list or an array")
    n_axes = sum(part is not None and part is not Ellipsis for part in keys)
    if keys.count(Ellipsis) > 1 or n_axes > len(shape):
        raise OutOfRangeError(f"index: expected at most {len(shape)} axes and one ellipsis, found {key!r:.60}")
    if Ellipsis not in keys:
        keys = (*keys, Ellipsis)
    at = keys.index(Ellipsis)
    keys = (*keys[:at], *[slice(None)] * (len(shape) - n_axes), *keys[at + 1 :])
    wanted: list[range] = []
    shown: list[Any] = []
    for part in keys:
        if part is None:
            shown.append(None)
            continue
        n = shape[len(wanted)]
        if isinstance(part, slice):
            try:
                wanted.append(range(*part.indices(n)))
            except (TypeError, ValueError) as error:
                raise OutOfRangeError(f"index: expected a slice of whole numbers, found {part} ({error})") from None
            shown.append(slice(None))
        else:
            try:
                number = whole_number(part, "index", -n, n - 1) % n
            except UsageError as error:
                raise OutOfRangeError(f"{error}; whole numbers, slices, ... and None are what there is") from None
            wanted.append(range(number, number + 1))
            shown.append(0)
    bands, rows, columns = wanted
    return (bands, rows, columns), tuple(shown)


# --- where the bytes are ----------------------------------------------------------------------------------------------


def _bytes_at(stream: Any) -> tuple[str, Stream]:
    """A name for messages, and the bytes."""
    if isinstance(stream, str) and "://" in stream:
        return stream, RemoteBytes(stream)
    if isinstance(stream, str | os.PathLike):
        source = open_source(stream, "an lhic stream")
        return source.name, source
    if hasattr(stream, "read") and hasattr(stream, "seek"):
        return str(getattr(stream, "name", "file object")), FileBytes(stream)
    try:
        return "bytes", memoryview(stream).cast("B")
    except TypeError:
        found = type(stream).__name__
        raise UsageError(f"stream: expected a path, a URL, bytes or a file object, found {found}") from None


class FileBytes:
    """The bytes of a file object, read where they are sliced, one thread at a time."""

    def __init__(self, file: BinaryIO):
        self._file, self._lock = file, Lock()
        self._n_bytes = file.seek(0, os.SEEK_END)

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._n_bytes)
        with self._lock:
            self._file.seek(begin)
            return self._file.read(max(end - begin, 0))


class RemoteBytes:
    """The bytes at a URL, by requests for the ranges that are sliced.

    Raises
    ------
    UsageError
        Nothing is there.
    BackendError
        fsspec, or what it needs for this kind of URL, is not installed; or the other side does not answer.
    """

    def __init__(self, url: str):
        with needs("remote", url):
            import fsspec
        try:
            self._files, self._path = fsspec.core.url_to_fs(url)
            self._n_bytes = int(self._files.size(self._path))
        except FileNotFoundError:
            raise UsageError(f"{url}: expected an lhic stream, found nothing there") from None
        except (ImportError, ValueError, TypeError, OSError) as error:
            raise BackendError(f"{url}: expected a file that fsspec can read, found {error}") from error
        self._url = url

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, part: slice) -> bytes:
        begin, end, _ = part.indices(self._n_bytes)
        if end <= begin:
            return b""
        try:
            return self._files.cat_file(self._path, start=begin, end=end)
        except (OSError, ValueError) as error:
            raise BackendError(f"{self._url}: expected bytes {begin} to {end}, found {error}") from error
