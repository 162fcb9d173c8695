"""How fast codecs are: by number of threads and device, by size of the cube, by number of tiles at once.

Everything is timed in this process, after a first pass that compiles, loads and checks that the cube comes back; memory
is `worker`'s business.  Speeds are 10^6 samples per second of wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

import lhic
from benchmarks.codecs import registry
from benchmarks.codecs.base import Codec
from benchmarks.measure import provenance
from benchmarks.measure.worker import check_equal, timed
from lhic.errors import VerificationError
from lhic.families.family import Model, Work

COLUMNS = ("codec", "device", "threads", "bands", "rows", "columns", "samples", "encode_s", "decode_s")


def time_codec(codec: Codec, cube: np.ndarray, passes: int) -> dict:
    """One line of the tables, with `COLUMNS`; seconds are medians.

    Raises
    ------
    InvalidCubeError
        The codec refuses the cube.
    VerificationError
        The decoded cube differs.
    """
    codec.check(cube)
    stream = codec.encode(cube)
    check_equal(cube, codec.decode(stream), codec.name)
    seconds = median_s(lambda: codec.encode(cube), lambda: codec.decode(stream), passes)
    line = (codec.name, codec.device, codec.n_threads, *cube.shape, cube.size, *seconds)
    return dict(zip(COLUMNS, line))


def median_s(encode: Callable, decode: Callable, passes: int) -> tuple[float, float]:
    """Median seconds of two calls."""
    return tuple(float(np.median([timed(work)[1] for _ in range(passes)])) for work in (encode, decode))


def by_threads(codecs: Sequence[str], cube: np.ndarray, thread_counts: Sequence[int], passes: int) -> pd.DataFrame:
    """Each codec with each number of threads, and on the GPU where there is one and the codec can use it.

    Numbers above the cores there are, and all but 1 for codecs that only ever use one thread, are left out.
    """
    lines = []
    for codec, threads, device in _settings(codecs, thread_counts):
        codec.n_threads, codec.device = threads, device
        lines.append(time_codec(codec, cube, passes))
    return with_speeds(pd.DataFrame(lines, columns=list(COLUMNS)))


def _settings(codecs: Sequence[str], thread_counts: Sequence[int]) -> Iterator[tuple[Codec, int, str]]:
    possible = [threads for threads in thread_counts if threads <= provenance.n_cores()] or [1]
    for name in codecs:
        codec = registry.make(name)
        for threads in possible if codec.threads else [1]:
            yield codec, threads, "cpu"
        if "cuda" in codec.devices and provenance.has_cuda():
            yield codec, possible[-1], "cuda"


def by_size(
    codecs: Sequence[str], cube: np.ndarray, shapes: Sequence[tuple[int, int, int]], passes: int
) -> pd.DataFrame:
    """Each codec, on one thread, with the corners of a cube that have these shapes (bands, rows, columns)."""
    lines = []
    for name in codecs:
        codec = registry.make(name)
        for shape in shapes:
            corner = np.ascontiguousarray(cube[tuple(map(slice, shape))])
            lines.append(time_codec(codec, corner, passes))
    return with_speeds(pd.DataFrame(lines, columns=list(COLUMNS)))


def square_shapes(cube: np.ndarray, sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """All bands of squares of these sizes; those that do not fit become the largest that does, each shape once."""
    fitting = sorted({min(size, *cube.shape[1:]) for size in sizes})
    return [(len(cube), size, size) for size in fitting]


def band_shapes(cube: np.ndarray, counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """So many of the first bands of a cube; more than it has becomes all, each shape once."""
    return [(count, *cube.shape[1:]) for count in sorted({min(count, len(cube)) for count in counts})]


class Batch:
    """So many copies of a tile, coded in one call of a model, which may work on them side by side."""

    def __init__(self, model: Model, tile: np.ndarray, n_tiles: int):
        self.model, self.tile, self.n_tiles = model, tile, n_tiles
        self.parameters = model.plan(tile, Work())
        self.n_samples = n_tiles * tile.size

    def encode(self) -> list[tuple[bytes, ...]]:
        """Sections of each tile."""
        found = self.model.encode_tiles([self.tile] * self.n_tiles, self.parameters, Work())
        return [encoded.sections for encoded in found]

    def decode(self, sections: list[tuple[bytes, ...]]) -> list[np.ndarray]:
        shapes = [self.tile.shape] * self.n_tiles
        return self.model.decode_tiles(shapes, self.tile.dtype, sections, self.parameters, Work())

    def checked(self) -> list[tuple[bytes, ...]]:
        """Sections, once every tile has come back from them; raises `VerificationError` else."""
        sections = self.encode()
        if not all(np.array_equal(self.tile, tile) for tile in self.decode(sections)):
            raise VerificationError(f"{self.model.name}: a tile of a batch of {self.n_tiles} differs after decoding")
        return sections


def by_batch(model: str, tile: np.ndarray, batch_sizes: Sequence[int], device: str, passes: int) -> pd.DataFrame:
    """Speed of coding so many tiles at once.

    Parameters
    ----------
    tile : (S, h, w), not larger than the model's tile; coded `batch_sizes` times at once
    device : ``auto``, ``cpu`` or ``cuda``

    Returns
    -------
    DataFrame with the columns tiles, samples, encode_s, decode_s, encode MS/s, decode MS/s
    """
    loaded, lines = lhic.load_model(model, device), []
    for n_tiles in batch_sizes:
        batch = Batch(loaded, tile, n_tiles)
        sections = batch.checked()
        lines.append((n_tiles, batch.n_samples, *median_s(batch.encode, lambda: batch.decode(sections), passes)))  # noqa: B023
    return with_speeds(pd.DataFrame(lines, columns=["tiles", "samples", "encode_s", "decode_s"]))


def first_tile(model: str, cube: np.ndarray, device: str) -> np.ndarray:
    """The corner of a cube that is one tile of a model."""
    n_rows, n_columns = lhic.load_model(model, device).tile_shape(*cube.shape[1:])
    return np.ascontiguousarray(cube[:, :n_rows, :n_columns])


def with_speeds(table: pd.DataFrame) -> pd.DataFrame:
    """The table with encode and decode speed, 10^6 samples per second."""
    speeds = {f"{work} MS/s": table["samples"] / table[f"{work}_s"] / 1e6 for work in ("encode", "decode")}
    return table.assign(**speeds)


def growth(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """How the time of each codec grows: exponent b of ``seconds ~ column ** b`` (least squares of the logarithms).

    Returns
    -------
    DataFrame with the columns codec, encode exponent, decode exponent; NaN with a single value of `column`
    """
    lines = []
    for codec, found in table.groupby("codec", sort=False):
        x = np.log(found[column].to_numpy(float))
        slopes = [
            np.polyfit(x, np.log(found[f"{work}_s"]), 1)[0] if len(set(x)) > 1 else np.nan
            for work in ("encode", "decode")
        ]
        lines.append((codec, *slopes))
    return pd.DataFrame(lines, columns=["codec", "encode exponent", "decode exponent"])


def _silent(n_samples: int) -> None:
    pass
