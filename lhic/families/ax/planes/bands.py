"""Which values a band of a tile takes, and at which places on the model's scale they are put.

A *cell* is what the quantiser of `near_lossless` gives, without loss the sample itself.  The cells of a band get
*positions* 0, 1, 2, ...: consecutive ones, except that

- an extreme level far from all others (a nodata value, a saturated pixel) goes right beside them and stays exact;
- cells out of more than 65,536 that few samples share are numbered by rank;
- where it pays, some positions are left out because no sample is there (`Kind.SPARSE`).

Format v1: docs/format_lhic_ax_side.md, sections 3 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from lhic.coder.flag_code import decode_flags, encode_flags, likeliest_period
from lhic.errors import CorruptStreamError
from lhic.families.ax.planes.near_lossless import cell_of, quantise, reconstruct
from lhic.families.ax.planes.sparse import max_listed
from lhic.stream.packed import read_packed, write_packed
from lhic.stream.varint import Reader, unzigzag, write_bytes, write_varint, zigzag

MAX_LEVELS = 1 << 16
LEAST_VALUE, GREATEST_VALUE = -(1 << 15), (1 << 15) - 1
"""Of the model's values."""
CENTRES = 9
"""A plane's zero is at 0, 1, .. 8 eighths of its range: near its median without the cost of saying where."""


class Kind(IntEnum):
    """How a band is stored."""

    CONSTANT = 0  # one value, pixels without data included
    FLAT = 1  # one value wherever there is data
    DENSE = 2  # one plane
    SPARSE = 3  # one plane, positions listed
    RANKED = 4  # one plane, cells listed
    SPLIT = 5  # two planes: position >> 16, position & 65535


NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Band:
    """The values of one band where there is data.

    lo, hi : int, least and greatest sample that is not isolated
    below, above : int or None, isolated sample below lo, above hi
    centre : int, 0 .. 8, see `CENTRES`
    used : SPARSE: bool, which of the cells from lo's to hi's have a level; first and last do
    cells : RANKED: int64, cells that occur, rising, from lo's to hi's
    """

    kind: Kind
    lo: int
    hi: int
    below: int | None = None
    above: int | None = None
    centre: int = 0
    used: np.ndarray = field(default_factory=lambda: NONE)
    cells: np.ndarray = field(default_factory=lambda: NONE)

    @property
    def n_planes(self) -> int:
        return 0 if self.kind <= Kind.FLAT else 2 if self.kind == Kind.SPLIT else 1

    def n_cells(self, max_error: int) -> int:
        """Cells from lo's to hi's."""
        return cell_of(self.hi, max_error) - cell_of(self.lo, max_error) + 1

    def n_positions(self, max_error: int) -> int:
        """Positions of a band that is one plane, at least 2."""
        n_regular = len(self.cells) if self.kind == Kind.RANKED else self.n_cells(max_error)
        return n_regular + (self.below is not None) + (self.above is not None)

    def positions(self, samples: np.ndarray, max_error: int) -> np.ndarray:
        """int64 position of each sample of a band that is one plane or split; any number where there is no data."""
        cells = quantise(samples, max_error)
        if self.kind == Kind.RANKED:
            found = np.searchsorted(self.cells, cells)
        else:
            found = cells - cell_of(self.lo, max_error)
        if self.below is not None:
            found += 1
            found[samples == self.below] = 0
        if self.above is not None:
            found[samples == self.above] = self.n_positions(max_error) - 1
        return found

    def samples(self, max_error: int, dtype: np.dtype) -> np.ndarray:
        """Sample of each position of a band that is one plane."""
        cells = self.cells
        if self.kind != Kind.RANKED:
            cells = np.arange(self.n_cells(max_error)) + cell_of(self.lo, max_error)
        below, above = (np.array([] if end is None else [end], np.int64) for end in (self.below, self.above))
        return np.concatenate([below, reconstruct(cells, max_error, self.lo, self.hi), above]).astype(dtype)

    def listed(self) -> np.ndarray:
        """SPARSE: int64, rising, positions that have a level."""
        ends = (self.below is not None) * [True], self.used, (self.above is not None) * [True]
        return np.flatnonzero(np.concatenate(ends))


def centre_position(n_positions: int, centre: int) -> int:
    """Position that is the model's zero."""
    return n_positions * centre // (CENTRES - 1)


def centre_fits(n_positions: int, centre: int) -> bool:
    """Whether all model values are int16."""
    zero = centre_position(n_positions, centre)
    return -zero >= LEAST_VALUE and n_positions - 1 - zero <= GREATEST_VALUE


# --- bytes ------------------------------------------------------------------------------------------------------------


def write_bands(bands: Sequence[Band], nodata: int | None) -> bytes:
    """The part of the side section that has the numbers of all bands.

    nodata : value of pixels without data, None if there are none
    """
    codes = bytes(
        ((band.kind * 2 + (band.below is not None)) * 2 + (band.above is not None)) * CENTRES + band.centre
        for band in bands
    )
    numbers = _write_differences([band.lo for band in bands])
    numbers += _write_differences([band.hi - band.lo for band in bands if band.n_planes])
    numbers += _write_differences([band.below for band in bands if band.below is not None])
    numbers += _write_differences([band.above for band in bands if band.above is not None])
    numbers += _write_differences([] if nodata is None else [nodata])
    for band in bands:
        if band.kind == Kind.RANKED:
            numbers += write_varint(len(band.cells)) + b"".join(write_varint(int(n)) for n in np.diff(band.cells))
    return write_packed(codes + numbers)


def write_levels(bands: Sequence[Band]) -> bytes:
    """The part that lists the levels of the SPARSE bands, with one flag for each cell; none if there are none."""
    used = [band.used for band in bands if band.kind == Kind.SPARSE]
    if not used:
        return b""
    flags = np.concatenate(used)
    period = likeliest_period(flags)
    return write_bytes(write_varint(period) + encode_flags(flags, period))


def read_bands(
    reader: Reader, n_bands: int, n_pixels: int, dtype: np.dtype, max_error: int, has_nodata: bool
) -> tuple[list[Band], int | None]:
    """Inverse of `write_bands` and `write_levels`, one after the other.

    n_pixels : pixels of a band

    Raises
    ------
    CorruptStreamError
        What is found is not what `write_bands` can have written for bands of this size and dtype.
    """
    # Per band at most a code, five numbers of 5 bytes and a list of cells; each number is below 2^34.
    numbers = Reader(
        read_packed(reader, "bands", n_bands * (26 + 5 * min(n_pixels, MAX_LEVELS)) + 5), f"{reader.what}: bands"
    )
    codes = np.frombuffer(numbers.take(n_bands, "codes"), np.uint8).astype(int)
    if codes.max() >= len(Kind) * 4 * CENTRES:
        raise CorruptStreamError(
            f"{reader.what}: codes: expected less than {len(Kind) * 4 * CENTRES}, found {codes.max()}"
        )
    kinds, ends, centres = codes // (4 * CENTRES), codes // CENTRES % 4, codes % CENTRES
    los = _read_differences(numbers, "least samples", n_bands)
    spans = _read_differences(numbers, "ranges", int((kinds >= Kind.DENSE).sum()))
    below = _read_differences(numbers, "samples below", int((ends >= 2).sum()))
    above = _read_differences(numbers, "samples above", int((ends % 2).sum()))
    nodata = _read_differences(numbers, "nodata", 1)[0] if has_nodata else None

    bands: list[Band] = []
    rest = [iter(values) for values in (spans, below, above)]
    for kind, end, centre, lo in zip(kinds.tolist(), ends.tolist(), centres.tolist(), los, strict=True):
        hi = lo + next(rest[0]) if kind >= Kind.DENSE else lo
        band = Band(Kind(kind), lo, hi, next(rest[1]) if end >= 2 else None, next(rest[2]) if end % 2 else None, centre)
        _check_range(band, dtype, f"{reader.what}: band {len(bands)}")
        if kind == Kind.RANKED:
            band = replace(band, cells=_read_cells(numbers, band, n_pixels, max_error))
        _check_planes(band, max_error, f"{reader.what}: band {len(bands)}")
        bands.append(band)
    if nodata is not None and not np.iinfo(dtype).min <= nodata <= np.iinfo(dtype).max:
        raise CorruptStreamError(f"{reader.what}: nodata: expected a value of {dtype}, found {nodata}")
    if numbers.n_left:
        raise CorruptStreamError(f"{numbers.what}: expected {numbers.position} bytes, found {numbers.n_left} more")
    return _read_lists(reader, bands, n_pixels, max_error), nodata


def _write_differences(values: Sequence[int]) -> bytes:
    """Each value minus the one before it, 0 before the first, in zigzag."""
    steps = [after - before for before, after in zip([0, *values], values, strict=False)]
    return b"".join(write_varint(zigzag(step)) for step in steps)


def _read_differences(reader: Reader, name: str, n: int) -> list[int]:
    values, value = [], 0
    for _ in range(n):
        value += unzigzag(reader.varint(name, 0, (1 << 34) - 1))
        values.append(value)
    return values


def _check_range(band: Band, dtype: np.dtype, what: str) -> None:
    below = band.lo - 1 if band.below is None else band.below
    above = band.hi + 1 if band.above is None else band.above
    found = [value for value in (band.below, band.lo, band.hi, band.above) if value is not None]
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    if not (below < band.lo <= band.hi < above and least <= found[0] and found[-1] <= greatest):
        raise CorruptStreamError(f"{what}: expected rising values of {dtype}, found {found}")


def _read_cells(reader: Reader, band: Band, n_pixels: int, max_error: int) -> np.ndarray:
    n = reader.varint("number of cells", 2, min(n_pixels, MAX_LEVELS - 2))
    gaps = [reader.varint("cell", 1, (1 << 32) - 1) for _ in range(n - 1)]
    cells = np.cumsum([cell_of(band.lo, max_error), *gaps])
    if cells[-1] != cell_of(band.hi, max_error):
        raise CorruptStreamError(f"{reader.what}: cells: expected the last to be that of {band.hi}, found another")
    return cells


def _check_planes(band: Band, max_error: int, what: str) -> None:
    isolated = band.below is not None or band.above is not None
    if band.kind <= Kind.FLAT or band.kind == Kind.SPLIT:
        n_cells = band.n_cells(max_error)
        if isolated or band.centre or (n_cells <= MAX_LEVELS) != (band.kind <= Kind.FLAT):
            raise CorruptStreamError(f"{what}: expected a plain {band.kind.name} band, found {n_cells} cells")
        return
    n = band.n_positions(max_error)
    if not 2 <= n <= MAX_LEVELS or not centre_fits(n, band.centre):
        raise CorruptStreamError(f"{what}: expected 2 .. {MAX_LEVELS} levels that fit, found {n}")


def _read_lists(reader: Reader, bands: list[Band], n_pixels: int, max_error: int) -> list[Band]:
    sizes = [band.n_cells(max_error) if band.kind == Kind.SPARSE else 0 for band in bands]
    if not any(sizes):
        return bands
    n_flags = sum(sizes)
    part = Reader(reader.bytes("levels", reader.n_left), f"{reader.what}: levels")
    period = part.varint("period", 0, n_flags - 1)
    flags = None if period == 1 else decode_flags(part.take(part.n_left, "levels"), n_flags, period)
    if flags is None:
        raise CorruptStreamError(f"{part.what}: expected the code of {n_flags} flags, found damage")
    listed = []
    for number, (band, used) in enumerate(zip(bands, np.split(flags, np.cumsum(sizes)[:-1]), strict=True)):
        if band.kind == Kind.SPARSE:
            if not (used[0] and used[-1] and np.count_nonzero(used) <= max_listed(n_pixels)):
                raise CorruptStreamError(
                    f"{reader.what}: levels of band {number}: expected both ends and at most "
                    f"{max_listed(n_pixels)} levels, found {np.count_nonzero(used)}"
                )
            band = replace(band, used=used)
        listed.append(band)
    return listed
