"""Finding a step in floats: a map that gives each value back to the last bit, from some distinct values of a band.

Differences of values are, but for rounding, multiples of the step: Euclid's algorithm finds roughly which, differences
that span more and more steps find it more and more exactly, and the simplest decimals in the interval that is left are
tried first, because people scale by 0.0001 rather than by 0.00009999871.  Nothing found here is believed before the
decoder's own operations have given every value back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, product

import numpy as np

from lhic.values.maps import Kind, Map, bits_of

MAX_NUMBER = 2.0**30
"""So that numbers, and the codes of special samples beside them, fit 32 bits."""
SMALL = 2.0**15  # whole numbers that are so in 16 bits
DISTINCT = 2000
"""Values that the search looks at; all values of all bands are proven later."""
OFFSETS = 20_000  # multiples of a power of ten that are tried as offsets
DECIMALS = 4
SHORT_DECIMALS = 12  # of one length in an interval; longer ones are not tried then
FITTING = 0.9
"""Of the distinct values, at least: others are special samples, perhaps."""

WHOLE = Map(Kind.MULTIPLY)


def find_map(values: np.ndarray, known: Iterable[Map] = (), thorough: bool = True) -> Map | None:
    """A map on which these values are, or most of them; None if there is none.

    values : floats (n,), native byte order, finite, n >= 1
    known : to be tried first
    thorough : whether to try others
    """
    values = np.unique(values[values != 0] if values.any() else values)
    if len(values) > DISTINCT:
        values = values[np.linspace(0, len(values) - 1, DISTINCT).astype(int)]
    with np.errstate(all="ignore"):  # steps that are none, too, are only tried
        return _best(values, known, thorough)


def _best(values: np.ndarray, known: Iterable[Map], thorough: bool) -> Map | None:
    best, best_share = None, FITTING
    for found in chain(known, (_whole(values),), _candidates(_without_outliers(values)) if thorough else ()):
        share = fitting_share(found, values)
        if share == 1:
            return found
        if share > best_share:
            best, best_share = found, share
    return best


def _whole(values: np.ndarray) -> Map:
    """Whole numbers; in steps of what divides them all, where they are many."""
    if np.abs(values).max() < SMALL or (values != np.rint(values)).any() or np.abs(values).max() >= 2.0**53:
        return WHOLE
    return Map(Kind.MULTIPLY, step=float(np.gcd.reduce(values.astype(np.int64))))


def fitting_share(found: Map, values: np.ndarray) -> float:
    """Share of the values that come back, with numbers that are not too great."""
    numbers = found.numbers(values)
    right = bits_of(found.samples(numbers, values.dtype)) == bits_of(values)
    return np.count_nonzero(right & (np.abs(numbers) < MAX_NUMBER)) / len(values)


def power_of_two(values: np.ndarray) -> Map | None:
    """The greatest power of two of which all values are multiples, if their numbers are not too great.

    values : floats (n,), finite, n >= 1
    """
    values = values[values != 0].astype(np.float64)
    if not len(values):
        return WHOLE
    mantissa, exponent = np.frexp(values)
    whole = (np.abs(mantissa) * 2.0**53).astype(np.uint64)
    trailing = np.log2((whole & (~whole + np.uint64(1))).astype(np.float64)).astype(int)  # zero bits at the end
    least = int((exponent - 53 + trailing).min())
    step = math.ldexp(1.0, least)
    if not step or float(np.abs(values).max()) >= MAX_NUMBER * step:
        return None
    return Map(Kind.MULTIPLY, step=step)


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """Rising values without an extreme one that is farther from the others than these from each other."""
    for _ in range(2):
        if len(values) > 3 and values[1] - values[0] > values[-1] - values[1]:
            values = values[1:]
        values = -values[::-1]
    return values


def _candidates(values: np.ndarray) -> Iterator[Map]:
    real = values.astype(np.float64)
    found = _step_of(real, float(np.spacing(np.abs(values).max())))
    if found is None:
        return
    step, error = found
    low, high = step - error, step + error
    apart = (real - real[0]) / step
    is_sure = apart[-1] * error < 0.2 * step
    if low <= 0 or (is_sure and np.mean(np.abs(apart - np.rint(apart)) < 0.3) < FITTING):
        return
    phase = real / step - np.rint(real / step)
    reach = float(np.abs(real).max()) / step * error / step  # how far off the phase may be for the step's error
    if reach > 0.25 or np.abs(phase).max() < 0.05 + 2 * reach:
        yield from _scaled(values, low, high)
    if is_sure:
        yield from _scaled_and_moved(values, low, high)
        yield from _line(values, np.rint(apart), low, high)


def _step_of(real: np.ndarray, ulp: float) -> tuple[float, float] | None:
    """Rough step of rising values, and how far off it may be."""
    gaps = np.sort(np.diff(real))
    if not len(gaps):
        gaps = np.abs(real)  # one value: a multiple of itself
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return None
    error_of_span = 2 * ulp  # both ends may have been rounded twice
    step, error = float(gaps[0]), error_of_span
    for _ in range(40):  # Euclid's algorithm
        if step < 16 * ulp:
            return None
        ratios = gaps / step
        near = ratios * error < 0.1 * step
        remainders = np.abs(ratios - np.rint(ratios)) * step
        off = near & (remainders > 0.2 * step)
        if not off.any():
            break
        step = float(remainders[off].min())
    spans = np.unique(np.concatenate([gaps, real - real[0]]))
    spans = spans[spans > 0]
    while True:  # longer and longer spans
        usable = spans[spans * error <= 0.2 * step * step]
        if not len(usable) or (n := float(np.rint(usable[-1] / step))) < 1 or error_of_span / n >= error * 0.99:
            return step, error
        step, error = float(usable[-1]) / n, error_of_span / n


def _scaled(values: np.ndarray, low: float, high: float) -> Iterator[Map]:
    """Steps within an interval, without an offset."""
    interval = _interval(values, low, high)
    yield from _steps(values.dtype, low, high, few=True)
    yield from _steps(values.dtype, *interval, few=False)


def _interval(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The steps of an interval that give each value back, each rounded once; the interval itself if there are none."""
    real = np.abs(values.astype(np.float64))
    middle = (low + high) / 2
    numbers = np.rint(real / middle)
    sure = (numbers > 0) & (numbers * (high - low) < 0.3 * middle)
    if not sure.any():
        return low, high
    half = 0.5 * np.spacing(np.abs(values[sure])).astype(np.float64)
    least = float(((real[sure] - half) / numbers[sure]).max())
    greatest = float(((real[sure] + half) / numbers[sure]).min())
    if least > greatest:  # rounded twice
        least, greatest = least - (least - greatest), greatest + (least - greatest)
    least, greatest = max(min(least, greatest), low), min(max(least, greatest), high)
    return (least, greatest) if least <= greatest else (low, high)


def _steps(dtype: np.dtype, low: float, high: float, few: bool) -> Iterator[Map]:
    """Maps without offset, the simplest first."""
    wide = math.nextafter(low, 0), math.nextafter(high, math.inf)
    step, reciprocal = decimals(*wide)[0], decimals(1 / wide[1], 1 / wide[0])[0]
    native = float(dtype.type(step))
    yield from (Map(Kind.DIVIDE, step=reciprocal), Map(Kind.MULTIPLY, step=step), Map(Kind.MULTIPLY, step=native))
    yield from (Map(Kind.MULTIPLY_NATIVE, step=native), Map(Kind.DIVIDE_NATIVE, step=float(dtype.type(reciprocal))))
    if few:
        return
    near = dtype.type((low + high) / 2)
    for direction in (np.inf, -np.inf):
        other = near
        for _ in range(8):
            if float(other) > 0:
                yield from (Map(Kind.MULTIPLY, step=float(other)), Map(Kind.DIVIDE, step=1 / float(other)))
            other = np.nextafter(other, dtype.type(direction))
    yield from (Map(Kind.MULTIPLY, step=end) for end in (low, high, (low + high) / 2))


def _scaled_and_moved(values: np.ndarray, low: float, high: float) -> Iterator[Map]:
    """Steps within an interval, with an offset: a short decimal, or a value itself, whose number is then 0."""
    low, high = math.nextafter(low, 0), math.nextafter(high, math.inf)
    native = values.dtype.type
    forms: list[tuple[Kind, float]] = []
    for step in decimals(low, high):
        forms += [(Kind.MULTIPLY, step), (Kind.MULTIPLY, float(native(step)))]
        forms.append((Kind.MULTIPLY_NATIVE, float(native(step))))
    for step in decimals(1 / high, 1 / low)[:3]:
        forms += [(Kind.DIVIDE, step), (Kind.DIVIDE_NATIVE, float(native(step)))]
    some = values[np.linspace(0, len(values) - 1, min(len(values), 100)).astype(int)]
    ends = values[:64].astype(np.float64), values[-64:].astype(np.float64)
    offsets = np.concatenate([*(np.arange(-OFFSETS, OFFSETS + 1) / 10.0**n for n in range(DECIMALS + 1)), *ends])
    offsets = np.unique(offsets[offsets != 0])
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]
    for (kind, step), is_rounded in product(dict.fromkeys(forms), (False, True)):
        tried = offsets.astype(values.dtype).astype(np.float64) if is_rounded else offsets
        for offset in _exact_offsets(kind, step, tried, some):
            yield Map(kind, step=step, offset=float(offset))


def _line(values: np.ndarray, numbers: np.ndarray, low: float, high: float) -> Iterator[Map]:
    """The line that runs farthest inside of what each value, rounded once, leaves: any step with any offset."""
    half = 0.5 * np.spacing(np.abs(values)).astype(np.float64)
    least, greatest = values.astype(np.float64) - half, values.astype(np.float64) + half

    def offsets(step: float) -> tuple[float, float]:
        return float((least - step * numbers).max()), float((greatest - step * numbers).min())

    for _ in range(80):  # how wide the interval of offsets is rises with the step, and then falls
        third = (high - low) / 3
        (a, b), (c, d) = offsets(low + third), offsets(high - third)
        low, high = (low, high - third) if b - a > d - c else (low + third, high)
    step = (low + high) / 2
    yield Map(Kind.MULTIPLY, step=step, offset=sum(offsets(step)) / 2)


def _exact_offsets(kind: Kind, step: float, offsets: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Those of many offsets with which some values come back, the smallest first; at most four."""
    left = offsets
    for value in some:
        left = left[_comes_back(kind, step, left, value)]
        if not len(left):
            break
    return left[:4]


def _comes_back(kind: Kind, step: float, offsets: np.ndarray, value: np.floating) -> np.ndarray:
    """bool (n,): whether a value comes back with each offset."""
    multiplies = kind in (Kind.MULTIPLY, Kind.MULTIPLY_NATIVE)
    work = value.dtype if kind in (Kind.MULTIPLY_NATIVE, Kind.DIVIDE_NATIVE) else np.dtype(np.float64)
    with np.errstate(all="ignore"):
        moved = float(value) - offsets
        numbers = np.rint(moved / step if multiplies else moved * step).astype(work)
        by, offsets = work.type(step), offsets.astype(work)
        again = (numbers * by if multiplies else numbers / by) + offsets
    return again.astype(value.dtype) == value


def decimals(low: float, high: float) -> list[float]:
    """Numbers of few decimal digits in an interval, 0 < low <= high, the shortest first; one at least.

    >>> decimals(0.0000999, 0.00010003)[0], decimals(9999.7, 10000.2)[:2]
    (0.0001, [10000.0, 9999.8])
    """
    found: dict[float, None] = {}
    if 0 < low <= high < math.inf:
        exact_low, exact_high = Fraction(low), Fraction(high)
        first = -math.floor(math.log10(high)) - 1
        for places in range(first, first + 19):
            scale = Fraction(10) ** places
            least, greatest = math.ceil(exact_low * scale), math.floor(exact_high * scale)
            if greatest - least >= SHORT_DECIMALS:
                break
            found |= dict.fromkeys(float(n / scale) for n in range(max(least, 1), greatest + 1))
    return list(found) or [(low + high) / 2]
