"""Tile to model values and back, without loss: what the coder codes, and the side section that undoes it.

A tile becomes *planes*: one for each band that varies, two for a band of more than 65,536 values.  A plane holds
integers near zero; the coder knows nothing of dtypes, nodata, gaps in the histogram or `max_error`.  Encoder and
decoder make the same `Layout` from the same description.  Format v1: docs/format_lhic_ax_side.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lhic.errors import CorruptStreamError, UsageError
from lhic.families.ax.planes.bands import Band, Kind, centre_position, read_bands, write_bands, write_levels
from lhic.families.ax.planes.describe import describe
from lhic.families.ax.planes.near_lossless import cell_of, reconstruct
from lhic.families.ax.planes.nodata import find_nodata, read_mask, write_mask
from lhic.io.threads import side_by_side
from lhic.stream.packed import read_packed
from lhic.stream.varint import Reader

SPLIT_LEVELS = 1 << 16
SPLIT_CENTRE = 4
"""In eighths: half of what a split band's planes hold is on each side of zero."""


@dataclass(frozen=True)
class Layout:
    """All about a tile's coded planes but their values.

    Attributes
    ----------
    first : int32 (P,), model value of level 0
    n_levels : int32 (P,), 2 .. 65,536
    table_start : int32 (P,), where the plane's model values begin in `table`; -1 for a dense plane, in which level
        l has the model value first + l
    table : int32, model values of the levels of sparse planes, strictly rising in each, first included
    mask : bool (h, w), pixels that are not coded
    band : int32 (P,), band of the tile; the two planes of a split band follow each other, high part first
    shape, dtype, max_error : of the tile
    bands : one for each band of the tile
    nodata : int or None, sample of pixels that are not coded, in bands that vary
    """

    first: np.ndarray
    n_levels: np.ndarray
    table_start: np.ndarray
    table: np.ndarray
    mask: np.ndarray
    band: np.ndarray
    shape: tuple[int, int, int]
    dtype: np.dtype
    max_error: int
    bands: tuple[Band, ...]
    nodata: int | None


@dataclass(frozen=True)
class Planes(Layout):
    """A layout and its values.

    values : int32 (P, h, w), -2^15 .. 2^15 - 1; 0 where `mask` is set
    """

    values: np.ndarray


def split_tile(tile: np.ndarray, max_error: int = 0, nodata: int | None = None) -> tuple[Planes, bytes]:
    """Planes of a tile, and the side section.

    tile : integers of 8, 16 or 32 bits (S, h, w), native byte order
    max_error : how far a sample may come back from where it was, see `near_lossless`
    nodata : a sample that comes back exactly all the same, and never instead of another, where the format can do that:
        in pixels that have it in all bands that vary, and as the least or greatest sample of a band; `check_nodata`
        says where it cannot

    Examples
    --------
    >>> tile = np.array([[[7, 9, 8]], [[5, 5, 5]]], "uint8")
    >>> planes, side = split_tile(tile)
    >>> planes.values.tolist(), planes.n_levels.tolist()
    ([[[-1, 1, 0]]], [3])
    >>> layout = read_side(side, tile.shape, tile.dtype)
    >>> bool((join_tile(layout, planes.values) == tile).all())
    True
    """
    planes = planes_of(tile, max_error, nodata)
    return planes, write_side(planes)


def planes_of(tile: np.ndarray, max_error: int = 0, nodata: int | None = None, threads: int = 1) -> Planes:
    """The planes alone; see `split_tile`.

    threads : that describe bands side by side
    """
    flat = tile.reshape(len(tile), -1)
    varies = flat.min(axis=1) != flat.max(axis=1)
    exact = nodata if max_error else None
    mask, masked = find_nodata([band for band, live in zip(tile, varies, strict=True) if live], exact)
    data = None if mask is None else ~mask.reshape(-1)

    def describe_some(numbers: range) -> list[Band]:
        found = []
        for number in numbers:
            samples = flat[number]
            if varies[number]:
                found.append(describe(samples if data is None else samples[data], max_error, exact))
            else:
                found.append(Band(Kind.CONSTANT, int(samples[0]), int(samples[0])))
        return found

    bands: list = [None] * len(flat)
    parts = [range(first, len(flat), threads) for first in range(threads)]
    for part, described in zip(parts, side_by_side(describe_some, parts, threads), strict=True):
        bands[part.start :: threads] = described
    if mask is None:
        layout = _lay_out(bands, None, np.zeros(tile.shape[1:], bool), tile.shape, tile.dtype, max_error)
    else:
        layout = _lay_out(bands, masked, mask, tile.shape, tile.dtype, max_error)
    return Planes(**vars(layout), values=_values(layout, tile))


def write_side(layout: Layout) -> bytes:
    """The side section, all that `read_side` needs to make the layout again."""
    return write_head(layout) + write_levels(layout.bands)


def write_head(layout: Layout) -> bytes:
    """The side section without its lists of levels, which take longer but not as much memory to write."""
    return write_mask(layout.mask) + write_bands(layout.bands, layout.nodata)


def check_nodata(tile: np.ndarray, decoded: np.ndarray, nodata: int, max_error: int) -> None:
    """`UsageError` unless `nodata` comes back exactly and never instead of another sample.

    A cell has one sample that stands for it, so within a band's range nodata and its neighbours are not kept apart.
    """
    wrong = ((tile == nodata) != (decoded == nodata)).any(axis=(1, 2))
    if wrong.any():
        band = int(wrong.argmax())
        raise UsageError(
            f"max_error {max_error}: expected nodata {nodata} outside the values of each band, found it among those of "
            f"band {band} ({tile[band].min()} .. {tile[band].max()}), where it could not be told from them; encode "
            f"without max_error, or with another value for nodata"
        )


def read_side(side: bytes, shape: tuple[int, int, int], dtype: np.dtype, max_error: int = 0) -> Layout:
    """The layout that `split_tile` made a side section of.

    Raises
    ------
    CorruptStreamError
        Damaged, or of a tile of another shape or dtype.
    """
    reader = Reader(side, "side section")
    n_pixels = shape[1] * shape[2]
    mask_bytes = -(-n_pixels // 8)
    plain = read_packed(reader, "mask", mask_bytes)
    if len(plain) not in (0, mask_bytes):
        raise CorruptStreamError(f"side section: mask: expected 0 or {mask_bytes} bytes, found {len(plain)}")
    mask = read_mask(plain, shape[1:])
    if plain and not mask.any():
        raise CorruptStreamError("side section: mask: expected a pixel without data, found none")
    bands, nodata = read_bands(reader, shape[0], n_pixels, dtype, max_error, bool(plain))
    if reader.n_left:
        raise CorruptStreamError(f"side section: expected {reader.position} bytes, found {reader.n_left} more")
    return _lay_out(bands, nodata, mask, shape, dtype, max_error)


def join_tile(layout: Layout, values: np.ndarray) -> np.ndarray:
    """The tile again.

    values : int32 (P, h, w), model values of the layout's planes; any where the mask is set
    Returns an array of the tile's shape and dtype: the tile itself, or with a `max_error` what stands for it.
    """
    tile = np.empty(layout.shape, layout.dtype)
    planes = iter(zip(values, layout.first.tolist(), strict=True))
    for band, out in zip(layout.bands, tile, strict=True):
        if not band.n_planes:
            out[:] = band.lo
            if band.kind == Kind.CONSTANT:
                continue
        else:
            out[:] = _samples(band, [next(planes) for _ in range(band.n_planes)], layout)
        if layout.nodata is not None:
            out[layout.mask] = layout.nodata
    return tile


def _lay_out(
    bands: Sequence[Band], nodata: int | None, mask: np.ndarray, shape: tuple, dtype: np.dtype, max_error: int
) -> Layout:
    first, n_levels, starts, tables, numbers = [], [], [], [], []
    n_listed = 0
    for number, band in enumerate(bands):
        for n_positions, centre in _planes_of(band, max_error):
            first.append(-centre_position(n_positions, centre))
            if band.kind == Kind.SPARSE:
                tables.append(band.listed() + first[-1])
                n_levels.append(len(tables[-1]))
                starts.append(n_listed)
                n_listed += n_levels[-1]
            else:
                n_levels.append(n_positions)
                starts.append(-1)
            numbers.append(number)
    table = np.concatenate(tables).astype(np.int32) if tables else np.zeros(0, np.int32)
    return Layout(
        np.array(first, np.int32),
        np.array(n_levels, np.int32),
        np.array(starts, np.int32),
        table,
        mask,
        np.array(numbers, np.int32),
        tuple(shape),
        np.dtype(dtype),
        max_error,
        tuple(bands),
        nodata,
    )


def _planes_of(band: Band, max_error: int) -> list[tuple[int, int]]:
    """Number of positions and centre of each plane of a band."""
    if band.kind == Kind.SPLIT:
        n_high = (band.n_cells(max_error) - 1 >> 16) + 1
        return [(n_high, SPLIT_CENTRE), (SPLIT_LEVELS, SPLIT_CENTRE)]
    return [(band.n_positions(max_error), band.centre)] if band.n_planes else []


def _values(layout: Layout, tile: np.ndarray) -> np.ndarray:
    values = np.empty((len(layout.band), *layout.shape[1:]), np.int32)
    plane = 0
    for number, band in enumerate(layout.bands):
        zero = _sample_of_zero(band, int(layout.first[plane]), layout) if band.n_planes == 1 else None
        if zero is not None:
            np.subtract(tile[number], zero, out=values[plane], dtype=_wide(layout.dtype), casting="unsafe")
        elif band.n_planes:
            positions = band.positions(tile[number], layout.max_error)
            parts = [positions] if band.n_planes == 1 else [positions >> 16, positions & 0xFFFF]
            for k, part in enumerate(parts):
                np.add(part, layout.first[plane + k], out=values[plane + k], casting="unsafe")
        plane += band.n_planes
    values[:, layout.mask] = 0
    return values


def _sample_of_zero(band: Band, first: int, layout: Layout) -> int | None:
    """What all samples of a band exceed their model values by; None if that differs from one to another."""
    is_plain = band.kind in (Kind.DENSE, Kind.SPARSE) and band.below is None and band.above is None
    return band.lo - first if is_plain and not layout.max_error else None


def _wide(dtype: np.dtype) -> type[np.signedinteger]:
    """Integers for samples, model values and what lies between them."""
    return np.int32 if dtype.itemsize <= 2 else np.int64


def _samples(band: Band, planes: list[tuple[np.ndarray, int]], layout: Layout) -> np.ndarray:
    zero = _sample_of_zero(band, planes[0][1], layout)
    if zero is not None:
        return np.add(planes[0][0], zero, dtype=_wide(layout.dtype))
    positions = [np.where(layout.mask, 0, plane - first) for plane, first in planes]
    if band.kind == Kind.SPLIT:
        cells = (positions[0].astype(np.int64) << 16 | positions[1]) + cell_of(band.lo, layout.max_error)
        return reconstruct(cells, layout.max_error, band.lo, band.hi)
    return band.samples(layout.max_error, layout.dtype)[positions[0]]
