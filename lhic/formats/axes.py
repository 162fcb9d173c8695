"""Which axis of an array is which: by the names that files give, by what a user says, or by looking."""

from __future__ import annotations

import re

from lhic.cube import Cube, band_likeness
from lhic.errors import UsageError

VARIABLE, AXES = "--variable (variable=)", "--axes (axes=)"
"""What a caller may say, on the command line and in Python, as messages name it."""
NAMES = (
    "band bands wavelength wavelengths lambda wl channel channels spectral spectrum spectra bandnumber nbands "
    "spectralbands b".split(),
    "row rows y line lines lat latitude northing downtrack alongtrack numberoflines nrows height h nlines".split(),
    "column columns col cols x sample samples lon long longitude easting crosstrack acrosstrack pixel pixels ncols "
    "width w nsamples ncolumns".split(),
)
"""Of bands, rows and columns, letters only."""
NO_BANDS = re.compile("time|date|day|month|year|step|member|realization|ensemble|lev|depth|alt|press|^z$|^t$|vert")
"""In the name of an axis beside rows and columns: it is something else than bands."""
SHORT = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
WORDS = "bands", "rows", "columns"
TOLD = "such as rows,columns,bands, or bsq, bil or bip"


def axis_of(name: str) -> int | None:
    """0 for a name of bands, 1 rows, 2 columns, None for any other.

    >>> axis_of("Down_Track"), axis_of("time")
    (1, None)
    """
    letters = re.sub(r"[^a-z]", "", name.rpartition("/")[2].lower())
    found = next((axis for axis, names in enumerate(NAMES) if letters in names), None)
    return 0 if found is None and re.search("bands?$|wavelength|channel", letters) else found


def by_names(names: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order that names tell; None unless they tell all of it.

    >>> by_names(("time", "y", "x", "band"), (1, 20, 17, 24))
    (-1, 1, 2, 0)
    >>> by_names(("y", "x", "feature"), (20, 17, 24))
    (1, 2, 0)
    >>> by_names(("time", "y", "x"), (2, 20, 17))
    """
    found = [axis_of(name) for name in names]
    unknown = [number for number, axis in enumerate(found) if axis is None and shape[number] > 1]
    if len(unknown) == 1 and 0 not in found and not NO_BANDS.search(names[unknown[0]].lower()):
        found[unknown[0]] = 0
    order = tuple(-1 if axis is None else axis for axis in found)
    left = [n for axis, n in zip(order, shape, strict=True) if axis < 0]
    return order if sorted(axis for axis in order if axis >= 0) == [0, 1, 2] and all(n == 1 for n in left) else None


def parse(text: str, shape: tuple[int, ...], path: str) -> tuple[int, ...]:
    """The order that a user says.  Axes of length 1 that are none of the three may be left out, or named otherwise.

    >>> parse("bip", (20, 17, 24), "cube.npy")
    (1, 2, 0)
    """
    names = text.lower().replace(" ", "").split(",")
    stated = list(SHORT[names[0]]) if len(names) == 1 and names[0] in SHORT else [axis_of(name) for name in names]
    given = [-1 if axis is None else axis for axis in stated]
    if sorted(axis for axis in given if axis >= 0) != [0, 1, 2]:
        raise UsageError(f"{AXES}: expected bands, rows and columns, {TOLD}, found {text!r}")
    if len(given) == len(shape):
        if any(n != 1 for axis, n in zip(given, shape, strict=True) if axis < 0):
            raise UsageError(f"{AXES}: expected the three axes of {path}, whose shape is {shape}, found {text!r}")
        return tuple(given)
    long = [number for number, n in enumerate(shape) if n > 1]
    if len(given) != 3 or len(long) != 3:
        raise UsageError(f"{AXES}: expected as many names as {path} has axes, {len(shape)}, found {len(given)}")
    order = [-1] * len(shape)
    for number, axis in zip(long, given, strict=True):
        order[number] = axis
    return tuple(order)


def named(order: tuple[int, ...]) -> str:
    """What `--axes` takes.

    >>> named((1, 2, 0))
    'rows,columns,bands'
    """
    return ",".join(WORDS[axis] for axis in order if axis >= 0)


def suspicion(cube: Cube, order: tuple[int, ...] = (0, 1, 2)) -> str | None:
    """A warning where the axes look swapped that nobody stated.

    order : in which the file has them
    """
    kept = [axis for axis in order if axis >= 0]
    shape = tuple(cube.shape[axis] for axis in kept)  # as the file has it
    likely, shares = band_likeness(cube)
    bands = kept.index(0)  # of the file's axes, the one taken for the bands
    guess = kept.index(likely)
    if likely == 0 and bands == 0 and 2 * shape[2] <= min(shape[:2]) and shares[0] < max(shares[1], shares[2]):
        guess = 2  # the smallest axis last, as rows, columns, bands are: no proof, but more often so than not
    if guess == bands:
        return None
    rest = [WORDS[1], WORDS[2]]
    better = ",".join(WORDS[0] if number == guess else rest.pop(0) for number in range(3))
    taken = ", ".join(WORDS[axis] for axis in kept)
    return f"expected the axes {taken}, found bands that look like axis {guess} of {shape}: --axes {better} says so"
