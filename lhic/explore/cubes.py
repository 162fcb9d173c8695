"""Where the explorer's cubes come from: files, and items of datasets."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lhic.api import decode, inspect
from lhic.cube import Cube
from lhic.data import Item
from lhic.errors import UsageError
from lhic.formats import open_cube
from lhic.io.source import open_source
from lhic.stream.header import MAGIC
from lhic.stream.metadata import nanometres, nodata_of


@dataclass(frozen=True)
class Scene:
    """A cube that is open.

    samples : (S, H, W), an array or windows of one that is larger than memory
    wavelengths : of the bands, nm, float (S,), if known
    nodata : sample that means "no data", if there is one
    """

    samples: Cube
    wavelengths: np.ndarray | None = None
    nodata: float | None = None

    def cut(self, window: tuple[slice, slice, slice]) -> np.ndarray:
        """The samples of a window, an array in C order and native byte order."""
        return np.ascontiguousarray(self.samples[window], self.samples.dtype.newbyteorder("="))


@dataclass(frozen=True)
class CubeSource:
    """A cube that can be opened.  name : for menus;  open : reads it, or as much of it as it has to."""

    name: str
    open: Callable[[], Scene] = field(repr=False)


def of_item(item: Item) -> CubeSource:
    """A cube of a dataset."""

    def read() -> Scene:
        return _scene(item.load(), item.metadata(), item.nominal_nm)

    return CubeSource(item.name, read)


def of_file(path: str | os.PathLike, metadata: dict | None = None) -> CubeSource:
    """A file with a cube, of which windows are read, or a stream of lhic, which is decoded.  What it is, its bytes say.

    metadata : in place of what the file says; a stream has its own

    Raises
    ------
    UsageError
        No such file, or metadata for a stream.
    InvalidCubeError
        Neither a cube nor a stream.
    """
    if _is_stream(path):
        if metadata:
            raise UsageError(f"{path}: expected no metadata for a stream, which has its own, found some")
        about = inspect(path)["metadata"]
        return CubeSource(Path(path).name, lambda: _scene(decode(path), about))
    open_cube(path).close()  # tells a bad file at once

    def read() -> Scene:
        cube = open_cube(path)
        return _scene(cube, metadata or cube.metadata)

    return CubeSource(Path(path).name, read)


def _is_stream(path: str | os.PathLike) -> bool:
    if Path(path).is_dir():  # as a cube in Zarr is
        return False
    with open_source(path, "a cube or a stream") as source:
        return source[: len(MAGIC)] == MAGIC


def _scene(samples: Cube, metadata: dict, nominal_nm: tuple[float, ...] | None = None) -> Scene:
    wavelengths = nanometres(metadata) or nominal_nm
    known = wavelengths is not None and len(wavelengths) == samples.shape[0]
    return Scene(samples, np.asarray(wavelengths, float) if known else None, nodata_of(metadata, samples.dtype))
