"""What a format has no place for: JSON in an attribute, tag or line of files that are made here, and read again.

The readers of other programs do not know it.  What they would look for elsewhere is therefore told in a note.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError
from lhic.formats import geo
from lhic.formats.base import Scene, number, one_or_all
from lhic.stream.metadata import nodata_of, plain

REST = "lhic_metadata"
"""Its name."""


def read_rest(text: str | None, n_bands: int) -> dict[str, Any]:
    """Metadata in the words of docs/format.md, section 2; nothing if the text is none of ours."""
    try:
        found = json.loads(text or "{}")
        return plain({key: found[key] for key in found}, n_bands)
    except (ValueError, TypeError, RecursionError, InvalidCubeError):
        return {}


def write_rest(rest: Mapping[str, Any]) -> str:
    """Inverse of `read_rest`, in ASCII on one line, which survives everywhere."""
    return json.dumps(rest)


def one_nodata(scene: Scene) -> int | float | str | None:
    """What stands for "no data" in all bands; noted if they differ in it."""
    said = one_or_all(scene.per_band("nodata", None))
    if isinstance(said, list):
        scene.notes.append(f"nodata of each band is in {REST} alone: the format has one for all")
        return None
    return said


def fill_value(scene: Scene) -> np.generic | None:
    """The sample value that stands for "no data" in a format that has one for all bands; noted if none can."""
    dtype, said = scene.dtype.newbyteorder("="), one_nodata(scene)
    if said is None:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            value = dtype.type(float(said))
        found = value if np.isfinite(value) or not math.isfinite(float(said)) else None
    else:
        whole = nodata_of({"nodata": said}, dtype)
        found = None if whole is None else dtype.type(whole)
    if found is None:
        scene.notes.append(f"nodata {said} is in {REST} alone: the format takes a value of its {dtype} samples")
    return found


def tells_nodata(fill: np.generic | None, scene: Scene) -> bool:
    """Whether that value says all that the metadata say of "no data"."""
    return one_or_all(scene.per_band("nodata", None)) == (None if fill is None else number(fill))


def known_crs(scene: Scene, key: str = "crs") -> str | None:
    """The coordinate system, if it is one that readers of a file can understand; notes if it is not."""
    text = scene.metadata.get(key)
    if text is None or geo.is_known(text):
        return text
    told = " ".join(text.split())
    scene.notes.append(f"{key} is in {REST} alone: expected a coordinate system that GDAL knows, found {told!r:.60}")
    return None
