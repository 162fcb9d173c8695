"""What a window, a spectrum and a band cost to read: streams of several tile sizes beside NetCDF and COG.

The scene is the bundled patch; `benchmarks.experiments.large_scene` takes a larger one.  Each read starts from a
freshly opened file and is checked; bytes are those that the reader asked the file for.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import origin, written
from lhic.data import open_dataset
from lhic.errors import VerificationError

STREAMS = (
    ("lhic-ax-unseen", 32),
    ("lhic-ax-unseen", 64),
    ("lhic-ax-fast-unseen", 64),
)
"""Models, and rows and columns of their tiles."""
WINDOW = 64
REPEATS = 5
SEED = 1
HEAD = ("file", "bits per sample", "read", "bytes read", "ms", "ms from the cache")

Read = Callable[[tuple], np.ndarray]
NamedFile = tuple[str, Path, Callable[["CountedFile"], Any]]
"""Name in the table, path, and what opens it."""


class CountedFile(io.RawIOBase):
    """A file that is read only, and counts the bytes that are asked for."""

    def __init__(self, path: Path):
        self._file = open(path, "rb", buffering=0)
        self.n_read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        n_bytes = self._file.readinto(buffer) or 0
        self.n_read += n_bytes
        return n_bytes

    def close(self) -> None:
        self._file.close()
        super().close()


def measure_windows(config_path: Path, out: Path) -> list[dict]:
    """Write the scene in each way, and read parts of it; rows also go to `out`.

    config_path : not needed: there is nothing to set

    Raises
    ------
    VerificationError
        What was read is not what was written.
    """
    scene = open_dataset("bundled")[0].load()
    with tempfile.TemporaryDirectory() as folder:
        return measured(scene, files(scene, Path(folder)), out)


def measured(scene: np.ndarray, found: Iterable[NamedFile], out: Path) -> list[dict]:
    """Rows of a scene that is in each of these files."""
    rows: list[dict] = []
    for name, path, opener in tqdm(found, desc="windows", unit="file"):
        rng = np.random.default_rng(SEED)  # the same places in each file
        for kind, keys in keys_of(scene.shape, rng).items():
            first = [timed(scene, path, opener, key) for key in keys]
            row = {"file": name, "shape": str(scene.shape), "file_bytes": path.stat().st_size}
            row |= {"bps": 8 * path.stat().st_size / scene.size, "read": kind, "repeats": len(keys)}
            for column, values in zip(("bytes_read", "ms", "again_ms"), zip(*first, strict=True), strict=True):
                row[column] = float(np.median(values))
            rows.append(row | origin())
            written(out, rows, windows_table(rows))
    return rows


def keys_of(shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, list[tuple]]:
    """Kind of read -> indices at some places."""
    n_bands, n_rows, n_columns = shape
    window = min(WINDOW, n_rows, n_columns)
    found: dict[str, list[tuple]] = {f"window of {window} x {window}, all bands": [], "spectrum": []}
    bands = {f"band {band}": [(band, slice(None), slice(None))] for band in (n_bands // 10, n_bands // 2, n_bands - 1)}
    for _ in range(REPEATS):
        row, column = (int(rng.integers(0, n - window + 1)) for n in (n_rows, n_columns))
        found[next(iter(found))].append((slice(None), slice(row, row + window), slice(column, column + window)))
        found["spectrum"].append((slice(None), int(rng.integers(0, n_rows)), int(rng.integers(0, n_columns))))
    return found | bands


def timed(scene: np.ndarray, path: Path, opener: Callable[[CountedFile], Any], key: tuple) -> tuple[int, float, float]:
    """Bytes, milliseconds, and milliseconds when the same is read again."""
    with CountedFile(path) as file:
        started = time.perf_counter()
        with opener(file) as read:
            found = read(key)
            first = time.perf_counter()
            n_read = file.n_read
            read(key)
            again = time.perf_counter()
    if not np.array_equal(found, scene[key]):
        raise VerificationError(f"{path.name}: expected the samples of {key}, found others")
    return n_read, 1000 * (first - started), 1000 * (again - first)


def files(scene: np.ndarray, folder: Path) -> Iterator[NamedFile]:
    """Each way to keep a scene, in files of that folder."""
    for model, side in STREAMS:
        path = folder / f"{model}-{side}.lhic"
        path.write_bytes(lhic.encode(scene, model, "cpu", tile_shape=(side, side)))
        yield of_stream(model, side, path)
    yield from others(scene, folder)


def of_stream(model: str, side: int, path: Path) -> NamedFile:
    """A stream, once its model is loaded and compiled."""
    lhic.open(path, "cpu")[:3, :16, :16]
    return f"{model}, tiles of {side} x {side}", path, _opened


def others(scene: np.ndarray, folder: Path) -> Iterator[NamedFile]:
    """The scene as NetCDF and as COG."""
    path = folder / "scene.nc"
    _write_netcdf(scene, path)
    yield "NetCDF-4, zlib 4 and shuffle, one band a chunk", path, _opened_netcdf
    path = folder / "scene.tif"
    _write_cog(scene, path)
    yield "COG, deflate and predictor, blocks of 512 x 512", path, _opened_cog


@contextmanager
def _opened(file: CountedFile) -> Iterator[Read]:
    with lhic.open(file, "cpu") as cube:
        yield cube.__getitem__


def _write_netcdf(scene: np.ndarray, path: Path) -> None:
    """As netCDF4-python writes it: an HDF5 file, whose chunks are what counts here."""
    import h5py

    with h5py.File(path, "w") as file:
        chunks = (1, *scene.shape[1:])
        file.create_dataset(
            "reflectance", data=scene, chunks=chunks, compression="gzip", compression_opts=4, shuffle=True
        )


@contextmanager
def _opened_netcdf(file: CountedFile) -> Iterator[Read]:
    import h5py

    with h5py.File(file, "r") as opened:
        yield opened["reflectance"].__getitem__


def _write_cog(scene: np.ndarray, path: Path) -> None:
    """Blocks of 512 x 512, band by band: what GDAL's driver COG writes with INTERLEAVE=BAND, without overviews."""
    import tifffile

    options = {"tile": (512, 512), "compression": "deflate", "predictor": True, "planarconfig": "separate"}
    tifffile.imwrite(path, scene, photometric="minisblack", **options)


@contextmanager
def _opened_cog(file: CountedFile) -> Iterator[Read]:
    """Reads the blocks that a window touches, and keeps none, as GDAL's cache would."""
    import tifffile

    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]

        def read(key: tuple) -> np.ndarray:
            _, n_rows, n_columns = page.shape
            size_rows, size_columns = page.tilelength, page.tilewidth
            across, down = -(-n_columns // size_columns), -(-n_rows // size_rows)
            bands, rows, columns = (_range(part, n) for part, n in zip(key, page.shape, strict=True))
            out = np.empty((len(bands), len(rows), len(columns)), page.dtype)
            for place, band in enumerate(bands):
                for i in range(rows[0] // size_rows, rows[-1] // size_rows + 1):
                    for j in range(columns[0] // size_columns, columns[-1] // size_columns + 1):
                        number = (band * down + i) * across + j
                        file.seek(page.dataoffsets[number])
                        block, *_ = page.decode(file.read(page.databytecounts[number]), number)
                        block = block.reshape(size_rows, size_columns)
                        top, left = i * size_rows, j * size_columns
                        r = slice(max(rows[0], top), min(rows[-1] + 1, top + size_rows))
                        c = slice(max(columns[0], left), min(columns[-1] + 1, left + size_columns))
                        part = block[r.start - top : r.stop - top, c.start - left : c.stop - left]
                        inside = (
                            slice(r.start - rows[0], r.stop - rows[0]),
                            slice(c.start - columns[0], c.stop - columns[0]),
                        )
                        out[(place, *inside)] = part
            return out[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]

        yield read


def _range(part: slice | int, n: int) -> range:
    return range(*part.indices(n)) if isinstance(part, slice) else range(part, part + 1)


def windows_table(rows: list[dict]) -> str:
    """Markdown: a line for each row."""
    lines = [
        [
            row["file"],
            f"{row['bps']:.3f}",
            row["read"],
            f"{row['bytes_read']:,.0f}",
            f"{row['ms']:.1f}",
            f"{row['again_ms']:.1f}",
        ]
        for row in rows
    ]
    return markdown(HEAD, lines, right=(1, 3, 4, 5))
