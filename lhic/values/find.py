"""The plan of a cube: a first pass over its windows, or some, before any sample is coded.

A few rows say which maps are worth a try.  Then every sample of the cube passes through the map of its band and back,
by the decoder's own operations.  Samples that do not come back are special if they are few; else the band gets another
map.  Where nothing else fits, a float's bits in the order of its values always do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lhic.arguments import finite_number, whole_number
from lhic.cube import DTYPES, Cube
from lhic.errors import InvalidCubeError
from lhic.values.maps import Kind, Map, bits_of
from lhic.values.plan import MAX_BANDS, MAX_SPECIALS, Plan, special_mask
from lhic.values.steps import MAX_NUMBER, WHOLE, find_map, power_of_two

SAMPLED = 4096  # of a band, for a first look
WINDOW_SAMPLES = 1 << 21
BYTES_A_SAMPLE = 24  # of a window, while a pass looks at it
SPECIALS_OF_BAND = 64
HOPELESS = 8
"""Bands without a step after which the long search is given up."""
ROUNDS = 4
"""Passes in which a band's map may still be replaced by a better one."""
FILLS = (-9999.0, -32768.0, -99999.0, 9.969209968386869e36, 1e20, 1e30, -1e30, -3.4028234663852886e38)
"""Values that mean "no data" by custom; special only where they are far from the others."""
PLANE_BITS = 16
NO_DIVISOR = 2**62
"""A range in which multiples are not looked for: it would take more than an int64 to find them."""
NOISE_MARGIN = 2  # bits of noise that stay with the upper part, which the family predicts
FAR = 20  # of a special code, beyond the range of the others


def find_plan(cube: Cube, max_error: float = 0, nodata: float | None = None, memory: int = 1 << 30) -> Plan:
    """How a family that codes integers of at most 32 bits is to code this cube.

    Parameters
    ----------
    cube : of a dtype in `lhic.cube.VALUE_DTYPES`
    max_error : in the samples' own unit; 0: lossless
    nodata : a sample value that comes back exactly, and never instead of another
    memory : bytes that a pass may take

    Raises
    ------
    UsageError
        `max_error` is no bound for samples of this dtype.
    """
    dtype = cube.dtype.newbyteorder("=")
    if cube.shape[0] > MAX_BANDS:
        raise InvalidCubeError(f"a cube of {dtype}: expected at most {MAX_BANDS} bands, found {cube.shape[0]}")
    max_error = checked_bound(max_error, dtype)
    if dtype.kind == "b":
        return _composed(dtype, 0.0, [_Band([Map(Kind.ORDER)], low=0, high=1)] * cube.shape[0])
    rows = _some_rows(cube, dtype)
    if dtype.kind == "f":
        bands = _float_bands(rows, max_error, nodata)
    else:
        bands = _integer_bands(cube, dtype, max_error, nodata, memory)
    _prove(cube, dtype, bands, max_error, nodata, memory)
    while len(set().union(*(band.specials for band in bands))) > MAX_SPECIALS:
        most = max(bands, key=lambda band: len(band.specials))
        for band in bands:
            if 2 * len(band.specials) > len(most.specials):
                band.failed = np.zeros(0, dtype)
                _replace_map(band, ROUNDS)
                band.is_proven = False
        _prove(cube, dtype, bands, max_error, nodata, memory)
    for band, some in zip(bands, rows, strict=True):
        band.noise_bits = _noise_bits(band, some)
    return _composed(dtype, max_error, bands)


def checked_bound(max_error: object, dtype: np.dtype) -> float:
    """The bound as a number; `UsageError` if samples of this dtype cannot have it."""
    if dtype.kind != "f":
        return float(whole_number(max_error, "max_error", 0, 0 if dtype.kind == "b" else 2**53))
    return finite_number(max_error, "max_error")


@dataclass
class _Band:
    """What is known of a band so far.

    maps : to be tried in this order; the last one always does
    found : float bands: the map on which the band's samples are, if there is one
    values : those that `found` was found from
    special : bits of samples that are special whatever the map
    tells_special : whether there are few enough of these, and of NaNs, to be special
    low, high : of the numbers of the other samples
    specials : bits of those found, and how often
    failed : samples of a window with too many of them
    """

    maps: list[Map]
    found: Map | None = None
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    special: set[int] = field(default_factory=set)
    tells_special: bool = True
    low: int = 0
    high: int = 0
    specials: Counter = field(default_factory=Counter)
    failed: np.ndarray | None = None
    is_proven: bool = False
    noise_bits: float = 0.0


# --- a first look -----------------------------------------------------------------------------------------------------


def _some_rows(cube: Cube, dtype: np.dtype) -> np.ndarray:
    """Array (S, r, W) of rows from all over the cube."""
    n_bands, n_rows, n_columns = cube.shape
    n = min(n_rows, max(SAMPLED // n_columns, 1))
    rows = [cube[0:n_bands, row : row + 1, 0:n_columns] for row in np.linspace(0, n_rows - 1, n).astype(int).tolist()]
    return np.concatenate(rows, axis=1).astype(dtype)


def _float_bands(rows: np.ndarray, max_error: float, nodata: float | None) -> list[_Band]:
    """rows : (S, r, W), some of each band"""
    bands: list[_Band] = []
    known: list[Map] = []
    n_searched = 0
    for some in rows:
        band = _float_band(some, known, n_searched - len(known) < HOPELESS, max_error, nodata)
        bands.append(band)
        n_searched += 1
        known += [band.found] if band.found and band.found not in known else []
    return bands


def _float_band(
    some: np.ndarray, known: Sequence[Map], thorough: bool, max_error: float, nodata: float | None
) -> _Band:
    values = some[np.isfinite(some)]
    special = _fills(values, nodata)
    values = np.unique(values[~special_mask(values, list(special))])
    found = (find_map(values, known, thorough) or power_of_two(values)) if len(values) else WHOLE
    order = Map(Kind.ORDER, base=1 << 8 * some.dtype.itemsize - 1)
    lossless = [found, order] if found else [order]
    return _Band([*_bounded(found, values, max_error), *lossless], found, values, special)


def _fills(values: np.ndarray, nodata: float | None) -> set[int]:
    """Bits of finite samples that mean "no data"."""
    special = set()
    if nodata is not None:
        exact = values.dtype.type(nodata)
        if float(exact) == nodata:
            special.add(int(bits_of(exact[None])[0]))
    if len(values):
        distinct = np.unique(values).astype(np.float64)
        with np.errstate(over="ignore"):
            fills = np.array(FILLS).astype(values.dtype)
        for fill in fills[np.isfinite(fills)]:
            rest = distinct[distinct != fill]
            if len(rest) < len(distinct) and len(rest) and np.abs(rest - fill).min() > rest[-1] - rest[0]:
                special.add(int(bits_of(fill[None])[0]))
    return special


def _bounded(found: Map | None, values: np.ndarray, max_error: float) -> list[Map]:
    """Maps that keep a bound, the coarsest first; not all keep it to the last bit."""
    if not max_error or not len(values):
        return []
    options = []
    if found:
        step = found.step if found.kind in (Kind.MULTIPLY, Kind.MULTIPLY_NATIVE) else 1 / found.step
        reach = math.floor(min(max_error / step * (1 + 1e-9), MAX_NUMBER))
        options = [((2 * n + 1) * step, replace(found, cell=2 * n + 1)) for n in {reach, reach - 1} if n > 0]
    greatest = np.abs(values).max()
    width = 2 * (max_error - float(np.spacing(greatest)))
    if width > 0 and float(greatest) / width < MAX_NUMBER:
        options += [(width, Map(Kind.MULTIPLY, step=width, offset=offset)) for offset in (0.0, width / 2)]
    return [option for _, option in sorted(options, key=lambda pair: -pair[0])]


@dataclass
class _Extent:
    """Least and greatest sample of a band of integers, and what divides their differences to one of them."""

    anchor: int
    low: int
    high: int
    divisor: int = 0

    def add(self, samples: np.ndarray) -> None:
        self.low, self.high = min(self.low, int(samples.min())), max(self.high, int(samples.max()))
        if self.high - self.low < NO_DIVISOR:
            apart = (samples.astype(np.uint64) - np.uint64(self.anchor % (1 << 64))).view(np.int64)
            self.divisor = math.gcd(self.divisor, int(np.gcd.reduce(np.abs(apart), axis=None)))
        else:
            self.divisor = 1


def _integer_bands(cube: Cube, dtype: np.dtype, max_error: float, nodata: float | None, memory: int) -> list[_Band]:
    """Bands of 64-bit integers: as they are if they fit 32 bits, else less a base, over what divides all."""
    special = set() if nodata is None else {int(nodata) % (1 << 64)}
    extents: list[_Extent | None] = [None] * cube.shape[0]
    for window in _windows(cube, memory):
        for number, samples in enumerate(cube[window].astype(dtype)):
            samples = samples[~special_mask(samples, list(special))]
            if samples.size:
                first = int(samples[0])
                extent = extents[number] = extents[number] or _Extent(first, first, first)
                extent.add(samples)
    there = [extent for extent in extents if extent]
    least = min((extent.low for extent in there), default=0)
    greatest = max((extent.high for extent in there), default=0)
    fits = -(2**30) <= least and greatest < 2**30
    bands = []
    for found in extents:
        whole = Map(Kind.ORDER)
        if found and not fits:
            whole = Map(Kind.ORDER, found.low % 2**64, cell=max(found.divisor, 1))
        reach = int(max_error) // whole.cell
        maps = [replace(whole, cell=whole.cell * (2 * reach + 1))] if reach else []
        if reach and nodata is not None:
            maps.append(replace(maps[0], base=(int(nodata) - maps[0].cell // 2) % 2**64))
        bands.append(_Band([*maps, whole], special=special))
    return bands


# --- the proof --------------------------------------------------------------------------------------------------------


def _windows(cube: Cube, memory: int) -> Iterator[tuple[slice, slice, slice]]:
    """All bands of some rows."""
    n_bands, n_rows, n_columns = cube.shape
    a_row = n_bands * n_columns
    n = max(min(WINDOW_SAMPLES, memory // BYTES_A_SAMPLE) // a_row, 1)
    for row in range(0, n_rows, n):
        yield slice(0, n_bands), slice(row, min(row + n, n_rows)), slice(0, n_columns)


def _prove(
    cube: Cube, dtype: np.dtype, bands: list[_Band], max_error: float, nodata: float | None, memory: int
) -> None:
    """Give each band the first map that every sample of the cube comes back from, but for a few special ones."""
    for number in range(ROUNDS + 1 + max(len(band.maps) for band in bands)):
        left = [band for band in bands if not band.is_proven]
        if not left:
            return
        for band in left:
            band.low, band.high, band.failed = 2**63, -(2**63), None
            band.specials = Counter()
        for window in _windows(cube, memory):
            for band, samples in zip(bands, cube[window].astype(dtype), strict=True):
                if not band.is_proven and band.failed is None:
                    _look(band, samples, max_error, nodata)
        for band in left:
            band.is_proven = band.failed is None
            if not band.is_proven:
                _replace_map(band, number)
    raise AssertionError("the last map of a band is always right")


def _look(band: _Band, samples: np.ndarray, max_error: float, nodata: float | None) -> None:
    """Add a window of a band to what is known of it."""
    found = band.maps[0]
    numbers = found.numbers(samples)
    again = found.samples(numbers, samples.dtype)
    special = _is_special(samples, band)
    is_bounded = bool(max_error) and found is not band.maps[-1] and found != band.found
    if is_bounded:
        wrong = ~within(samples, again, max_error)
        if nodata is not None:
            wrong |= again == nodata
    else:
        wrong = bits_of(again) != bits_of(samples)
    if found.kind != Kind.ORDER:
        wrong |= np.abs(numbers) >= MAX_NUMBER
    wrong &= ~special
    kept = wrong | special
    if kept.any():
        distinct, counts = np.unique(bits_of(samples)[kept], return_counts=True)
        band.specials.update(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
    if len(band.specials) > SPECIALS_OF_BAND or (is_bounded and wrong.any()):
        band.failed = samples[wrong]
        return
    right = numbers[~kept]
    if right.size:
        band.low, band.high = min(band.low, int(right.min())), max(band.high, int(right.max()))


def _is_special(samples: np.ndarray, band: _Band) -> np.ndarray:
    if not band.tells_special:
        return np.zeros(samples.shape, bool)
    special = special_mask(samples, list(band.special))
    return special | ~np.isfinite(samples) if samples.dtype.kind == "f" else special


def _replace_map(band: _Band, round_number: int) -> None:
    """The next map to be tried for a band, perhaps one that was found from samples that failed, too."""
    failed = band.failed
    assert failed is not None
    if band.maps[0] == band.found and round_number < ROUNDS and len(failed):
        some = failed[np.isfinite(failed)]
        band.values = np.unique(np.concatenate([band.values, some[np.linspace(0, len(some) - 1, SAMPLED).astype(int)]]))
        better = find_map(band.values) or power_of_two(band.values)
        if better is not None and better != band.found:
            band.found = band.maps[0] = better
            return
    if len(band.maps) == 1:
        band.tells_special = False
    else:
        band.maps = band.maps[1:]


def within(samples: np.ndarray, others: np.ndarray, max_error: float) -> np.ndarray:
    """bool, same shape: whether they differ by no more than that, as real numbers; not where one is not finite."""
    if samples.dtype.kind != "f":
        lower, upper = np.minimum(samples, others), np.maximum(samples, others)
        return upper.astype(np.uint64) - lower.astype(np.uint64) <= np.uint64(max_error)
    with np.errstate(all="ignore"):
        a, b = samples.astype(np.float64), -others.astype(np.float64)
        total = a + b
        part = total - a
        rounded = (a - (total - part)) + (b - part)  # total + rounded is the difference, exactly
        at_most = np.where(total < 0, -rounded, rounded) <= 0
        size = np.abs(total)
        return (size < max_error) | ((size == max_error) & at_most)


def _noise_bits(band: _Band, some: np.ndarray) -> float:
    """log2 of what is hard to predict in a band's numbers: how much neighbours differ."""
    numbers = band.maps[0].numbers(some)
    good = ~_is_special(some, band)
    pairs = good[:, 1:] & good[:, :-1]
    if not pairs.any():
        return 0.0
    with np.errstate(over="ignore"):
        steps = np.abs(np.diff(numbers, axis=1)[pairs].astype(np.float64))
    return math.log2(1 + float(np.median(steps)))


# --- the plan ---------------------------------------------------------------------------------------------------------


def _composed(dtype: np.dtype, max_error: float, bands: Sequence[_Band]) -> Plan:
    specials: Counter = Counter()
    for band in bands:
        specials.update(band.specials)
    bands = [replace(band, low=0, high=0) if band.low > band.high else band for band in bands]
    bits = [found for found, _ in specials.most_common()]
    maps = [replace(band.maps[0], shift=_shift(band)) for band in bands]
    ranges = [(band.low, band.high) for band in bands]
    maps, ranges = _with_base(dtype, maps, ranges)
    while True:
        ends = [(low >> found.shift, high >> found.shift) for found, (low, high) in zip(maps, ranges, strict=True)]
        codes = _codes(min(low for low, _ in ends), max(high for _, high in ends), len(bits))
        everything = [*codes, *(end for pair in ends for end in pair)]
        coded = _coded_dtype(min(everything), max(everything))
        if coded is not None:
            break
        maps = [
            replace(found, shift=found.shift + 1) if high - low >= 1 << PLANE_BITS else found
            for found, (low, high) in zip(maps, ends, strict=True)
        ]
    order = np.argsort(np.array(bits, np.uint64))
    special_bits, special_codes = np.array(bits, np.uint64)[order], np.array(codes, np.int64)[order]
    return Plan(coded, max_error, tuple(maps), special_bits, special_codes)


def _shift(band: _Band) -> int:
    """Low bits that are better kept apart: where a plane would be too wide, if they are noise, or if they must."""
    n_bits = (band.high - band.low).bit_length()
    beyond_plane, beyond_family = max(n_bits - PLANE_BITS, 0), max(n_bits - 31, 0)
    if beyond_plane <= band.noise_bits - NOISE_MARGIN:
        return beyond_plane
    return beyond_family if beyond_family <= band.noise_bits - NOISE_MARGIN or not beyond_family else beyond_plane


def _with_base(
    dtype: np.dtype, maps: list[Map], ranges: list[tuple[int, int]]
) -> tuple[list[Map], list[tuple[int, int]]]:
    """The bits of floats counted from the least of a band, if numbers would be too great otherwise."""
    moved, moved_ranges = [], []
    for found, (low, high) in zip(maps, ranges, strict=True):
        if found.kind == Kind.ORDER and dtype.kind == "f" and max(abs(low), abs(high)) >> found.shift >= MAX_NUMBER:
            if high - low < 1 << 62:
                found = replace(found, base=(found.base + low) % 2**64)
                low, high = 0, high - low
        moved.append(found)
        moved_ranges.append((low, high))
    return moved, moved_ranges


def _codes(low: int, high: int, n: int) -> list[int]:
    """Coded integers for special samples, the most frequent first: outside of low .. high, the first two far away.

    The first is above, because what data hold themselves of that kind is mostly below.
    """
    near = [low - 1 - number for number in range(max(n - 2, 0))]
    low = near[-1] if near else low
    span = high - low
    far = [high + span + FAR, low - 2 * span - 2 * FAR]
    return (far + near)[:n]


def _coded_dtype(low: int, high: int) -> np.dtype | None:
    for dtype in sorted(DTYPES, key=lambda dtype: dtype.itemsize):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    return None
