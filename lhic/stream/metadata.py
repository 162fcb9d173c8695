"""What a stream says about its cube besides the samples: one JSON object.

One rule for both ways: what can be written can be read, whoever wrote it.  Format v1: docs/format.md, section 2.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from lhic.errors import CorruptStreamError, InvalidCubeError, UsageError
from lhic.stream.packed import read_packed, write_packed
from lhic.stream.varint import Reader

MAX_BYTES = 1 << 20
"""Of the JSON text.  A list of lists takes thirty times as much memory as its text."""
MAX_DEPTH = 64
"""Objects and lists inside one another."""
SURROGATE = re.compile("[\ud800-\udfff]")
IN_NANOMETRES = {"nm": 1, "um": 1e3, "mm": 1e6, "m": 1e9}
"""Units of wavelengths that are lengths."""
NOT_FINITE = "NaN", "Infinity", "-Infinity"
"""As texts, for what JSON has no numbers for."""
MAX_NUMBER = sys.float_info.max
"""Whoever reads JSON takes its numbers for binary64."""


def plain(metadata: object, n_bands: int) -> dict:
    """Metadata as JSON knows them: numpy's numbers become numbers, tuples and arrays lists, times texts of ISO 8601.

    Parameters
    ----------
    metadata : mapping with keys of docs/format.md, section 2, or any others, or None for none
    n_bands : length of the lists that have an entry for each band

    Raises
    ------
    InvalidCubeError
        Not a mapping, a key that is not text, a value that JSON does not have, or a list of another length.

    Examples
    --------
    >>> plain({"wavelengths": np.array([450.5, 550]), "transform": (1, 0, 0, 0, -1, 0)}, 2)
    {'wavelengths': [450.5, 550.0], 'transform': [1, 0, 0, 0, -1, 0]}
    """
    try:
        if metadata is not None and not isinstance(metadata, Mapping):
            raise ValueError(f"expected an object, found {_short(metadata)}")
        found = {} if metadata is None else _value(metadata, "")
        _check_known(found, n_bands)
    except ValueError as error:
        raise InvalidCubeError(f"metadata: {error}") from None
    return found


def write_metadata(metadata: dict, n_bands: int) -> bytes:
    """The field of the header: packed JSON, of no bytes for an empty dict.

    Raises
    ------
    InvalidCubeError
        What `plain` refuses, or more than `MAX_BYTES` of text.
    """
    metadata = plain(metadata, n_bands)
    if not metadata:
        return write_packed(b"")
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MAX_BYTES:
        raise InvalidCubeError(f"metadata: expected at most {MAX_BYTES} bytes of JSON, found {len(text)}")
    return write_packed(text)


def read_metadata(reader: Reader, n_bands: int) -> dict:
    """Inverse of `write_metadata`; `CorruptStreamError` on anything else."""
    text = read_packed(reader, "metadata", MAX_BYTES)
    if not text:
        return {}
    try:
        metadata = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise CorruptStreamError(f"header: metadata: expected JSON, found otherwise ({error})") from error
    try:
        return plain(metadata, n_bands)
    except InvalidCubeError as error:
        raise CorruptStreamError(f"header: {error}") from None


def nanometres(metadata: dict) -> list[float] | None:
    """Wavelengths in nanometres; None where there are none, or their unit is no length.

    >>> nanometres({"wavelengths": [0.5], "wavelength_unit": "um"})
    [500.0]
    """
    factor = IN_NANOMETRES.get(metadata.get("wavelength_unit", "nm"))
    numbers = metadata.get("wavelengths")
    return [value * factor for value in numbers] if numbers and factor else None


def nodata_of(metadata: dict, dtype: np.dtype) -> int | float | None:
    """The sample value that means "no data"; None if there is none for all bands, or no sample can have it."""
    nodata = metadata.get("nodata")
    if nodata is None or isinstance(nodata, list | str) or dtype.kind not in "iuf":  # several, or what is no number
        return None
    if dtype.kind == "f":
        return float(nodata)
    limits = np.iinfo(dtype)
    return int(nodata) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def in_samples(difference: float, metadata: dict, dtype: np.dtype, name: str = "max_error_physical") -> int | float:
    """The greatest difference of samples that is at most `difference` in the quantity, ``scale * sample + offset``.

    Where bands have scales of their own that is the least of their bounds, so that it holds in each.  Numbers are taken
    for the decimals that they are written as: 0.3 over a scale of 0.1 is 3, which it is not in binary64.

    Raises
    ------
    UsageError
        There is no scale other than 0, or by it the bound is more than samples can differ by.  Begins with `name`.

    Examples
    --------
    >>> int16 = np.dtype("int16")
    >>> in_samples(0.3, {"scale": 0.1}, int16), in_samples(0.01, {"scale": [0.001, -0.002]}, int16)
    (3, 5)
    """
    scale = metadata.get("scale")
    if scale is None:
        raise UsageError(f"{name}: expected a scale in the metadata, found none")
    scales = [abs(Fraction(repr(float(one)))) for one in (scale if isinstance(scale, list) else [scale])]
    if not any(scales):
        raise UsageError(f"{name}: expected a scale other than 0, found {scale!s:.60}")
    exact = Fraction(repr(float(difference))) / max(scales)
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype if dtype.kind in "iu" else "u1")
    if exact > int(limits.max) - int(limits.min):
        steps = f"{difference:g} / {float(max(scales)):g}"
        raise UsageError(f"{name}: expected at most what {dtype.name} samples can differ by, found {steps}")
    if dtype.kind != "f":
        return math.floor(exact)
    found = float(min(exact, Fraction(sys.float_info.max)))
    return found if found <= exact else math.nextafter(found, 0)


def _value(value: Any, where: str, depth: int = 0) -> Any:
    """A value of JSON; `ValueError` says what else it is, and where."""
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels, found more in {where.split('.')[0].split('[')[0]}")
    if isinstance(value, np.ndarray | np.generic):
        # numpy makes whole numbers of times in nanoseconds
        value = np.datetime_as_string(np.asarray(value)).tolist() if value.dtype.kind == "M" else value.tolist()
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where or 'object'}: expected keys of text, found {_short(key)}")
        return {
            _value(key, "a key"): _value(item, f"{where}.{key}" if where else key, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_value(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
    if isinstance(value, str):
        if SURROGATE.search(value):
            raise ValueError(f"{where}: expected text in Unicode, found half a surrogate pair")
        return value
    if value is None or isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= MAX_NUMBER):
        return value
    raise ValueError(f"{where}: expected what JSON can hold, found {_short(value)}")


def _short(value: object) -> str:
    """A value for a message: numbers that are not too long, else its type."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return (
        str(value)
        if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64)
        else type(value).__name__
    )


NUMBERS: tuple[type, ...] = (int, float)
Check = tuple[str, Callable[[Any, int], bool]]


def _numbers(value: Any, length: int) -> bool:
    return _list(value, length, NUMBERS)


def _list(value: Any, length: int | None, kinds: tuple[type, ...]) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (length, len(value) if length is None else length)
        and all(type(item) in kinds for item in value)
    )


def _is_nodata(value: Any) -> bool:
    return type(value) in NUMBERS or value in NOT_FINITE


TEXT: Check = "text", lambda value, _: isinstance(value, str)
PER_BAND: Check = "a list of {} numbers", _numbers
ONE_OR_PER_BAND: Check = (
    "a number, or a list of {} numbers",
    lambda value, n_bands: type(value) in NUMBERS or _numbers(value, n_bands),
)
OBJECT: Check = "an object", lambda value, _: isinstance(value, dict)
KNOWN: dict[str, Check] = {
    "wavelengths": PER_BAND,
    "wavelength_unit": TEXT,
    "fwhm": PER_BAND,
    "bad_bands": ("a list of {} truth values", lambda value, n_bands: _list(value, n_bands, (bool,))),
    "band_names": ("a list of {} texts", lambda value, n_bands: _list(value, n_bands, (str,))),
    "default_bands": (
        "one to three bands of {}",
        lambda value, n_bands: (
            _list(value, None, (int,)) and 1 <= len(value) <= 3 and all(0 <= band < n_bands for band in value)
        ),
    ),
    "nodata": (
        "a number, or a list of {} numbers or nulls",
        lambda value, n_bands: (
            _is_nodata(value)
            if not isinstance(value, list)
            else len(value) == n_bands and all(item is None or _is_nodata(item) for item in value)
        ),
    ),
    "scale": ONE_OR_PER_BAND,
    "offset": ONE_OR_PER_BAND,
    "quantity": TEXT,
    "unit": TEXT,
    "description": TEXT,
    "crs": TEXT,
    "transform": ("a list of 6 numbers", lambda value, _: _numbers(value, 6)),
    "gcps": (
        "a list of lists of 5 numbers",
        lambda value, _: isinstance(value, list) and all(_numbers(point, 5) for point in value),
    ),
    "gcps_crs": TEXT,
    "rpcs": OBJECT,
    "times": ("a list of texts", lambda value, _: _list(value, None, (str,))),
    "source": (
        "an object with a text for format",
        lambda value, _: isinstance(value, dict) and type(value.get("format")) is str,
    ),
    "extra": OBJECT,
}
"""Key -> what it has to be, in words ({} is the number of bands) and as a check.  docs/format.md, section 2."""


def _check_known(metadata: dict, n_bands: int) -> None:
    """`ValueError` if a known key has a value of another kind."""
    for key, (expected, is_so) in KNOWN.items():
        if key in metadata and not is_so(metadata[key], n_bands):
            raise ValueError(f"{key}: expected {expected.format(n_bands)}, found {_short(metadata[key])}")
