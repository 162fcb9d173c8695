"""What a stream says about its cube besides the samples: one JSON object.

One rule for both ways: what can be written can be read, whoever wrote it.  Format v1: docs/format.md, section 2.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lhic.errors import CorruptStreamError, InvalidCubeError

MAX_BYTES = 1 << 20
"""Of the JSON text.  A list of lists takes thirty times as much memory as its text."""
MAX_DEPTH = 64
"""Objects and lists inside one another."""
SURROGATE = re.compile("[\ud800-\udfff]")
MAX_NUMBER = sys.float_info.max
"""Whoever reads JSON takes its numbers for binary64."""


def plain(metadata: object, n_bands: int) -> dict:
    """Metadata as JSON knows them: numpy's numbers become numbers, tuples and arrays lists.

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
    """Metadata section: empty for an empty dict, else deflated JSON.

    Raises
    ------
    InvalidCubeError
        What `plain` refuses, or more than `MAX_BYTES` of text.
    """
    metadata = plain(metadata, n_bands)
    if not metadata:
        return b""
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MAX_BYTES:
        raise InvalidCubeError(f"metadata: expected at most {MAX_BYTES} bytes of JSON, found {len(text)}")
    return zlib.compress(text, 9)


def read_metadata(section: bytes, n_bands: int) -> dict:
    """Inverse of `write_metadata`; `CorruptStreamError` on anything else."""
    if not section:
        return {}
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(section, MAX_BYTES)
        if not inflater.eof or inflater.unused_data:
            raise ValueError(f"not exactly one zlib stream of at most {MAX_BYTES} bytes")
        metadata = json.loads(text.decode())
    except (zlib.error, ValueError, RecursionError) as error:
        raise CorruptStreamError(f"header: metadata: expected deflated JSON, found otherwise ({error})") from error
    try:
        return plain(metadata, n_bands)
    except InvalidCubeError as error:
        raise CorruptStreamError(f"header: {error}") from None


def nodata_of(metadata: dict, dtype: np.dtype) -> int | float | None:
    """The sample value that means "no data"; None if there is none, or no sample of this dtype can have it."""
    nodata = metadata.get("nodata")
    if nodata is None or dtype.kind not in "iuf":
        return None
    if dtype.kind == "f":
        return float(nodata)
    limits = np.iinfo(dtype)
    return int(nodata) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def _value(value: Any, where: str, depth: int = 0) -> Any:
    """A value of JSON; `ValueError` says what else it is, and where."""
    if depth > MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels, found more in {where.split('.')[0].split('[')[0]}")
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
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
    return (
        str(value)
        if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64)
        else type(value).__name__
    )


def _check_known(metadata: dict, n_bands: int) -> None:
    """`ValueError` if a known key has a value of another kind."""
    numbers: tuple[type, ...] = (int, float)
    texts: tuple[type, ...] = (str,)
    lists = {
        "wavelengths": (n_bands, numbers),
        "fwhm": (n_bands, numbers),
        "band_names": (n_bands, texts),
        "transform": (6, numbers),
    }
    for key, (length, kinds) in lists.items():
        value = metadata.get(key)
        if key in metadata and not (
            isinstance(value, list) and len(value) == length and all(type(item) in kinds for item in value)
        ):
            raise ValueError(f"{key}: expected a list of {length} {'numbers' if kinds is numbers else 'texts'}")
    for key, kinds in {"nodata": numbers, "crs": texts, "extra": (dict,)}.items():
        if key in metadata and type(metadata[key]) not in kinds:
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{key}: expected {names}, found {type(metadata[key]).__name__}")
