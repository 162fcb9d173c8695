"""Where a scene lies, in the words of ENVI and of GDAL, and in ours.

Ours are those of docs/format.md, section 2: `crs` an authority's code or WKT, `transform` six numbers a .. f, `gcps`
rows of [row, column, x, y, z], `rpcs` by the names of the RPC00B standard.
"""

from __future__ import annotations

import math
import re
from typing import Any

WGS84 = ("wgs-84", "wgs84", "wgs_84", "wgs_1984", "wgs 84", "wgs-84")
RPC_SCALARS = (
    "line_off samp_off lat_off long_off height_off line_scale samp_scale lat_scale long_scale height_scale".split()
)
RPC_LISTS = ("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff")


def of_envi(info: list[str], wkt: str | None) -> dict[str, Any]:
    """`transform` and `crs` of ``map info`` and ``coordinate system string``."""
    found: dict[str, Any] = {}
    if len(info) >= 7:
        try:
            column, row, x, y, dx, dy = (float(part) for part in info[1:7])
        except ValueError:
            return found
        options = dict(part.lower().split("=", 1) for part in info if "=" in part)
        angle = math.radians(float(options.get("rotation", 0) or 0))
        # Pixel (1, 1) begins at the upper left corner of the first one.
        a, b, d, e = dx * math.cos(angle), dy * math.sin(angle), dx * math.sin(angle), -dy * math.cos(angle)
        column, row = column - 1, row - 1
        found["transform"] = [a, b, x - a * column - b * row, d, e, y - d * column - e * row]
        plain = [part.strip().lower() for part in info[7:] if "=" not in part]
        if any(part in WGS84 for part in plain):
            name = info[0].strip().lower()
            if name == "utm" and plain and plain[0].isdigit() and 1 <= int(plain[0]) <= 60:
                found["crs"] = f"EPSG:{(32700 if 'south' in plain else 32600) + int(plain[0])}"
            elif name.startswith("geographic"):
                found["crs"] = "EPSG:4326"
    if wkt and "crs" not in found:
        found["crs"] = wkt
    return found


def to_envi(metadata: dict[str, Any]) -> list[str]:
    """Lines of a header."""
    lines, crs = [], metadata.get("crs", "")
    if "transform" in metadata:
        a, b, c, d, e, f = metadata["transform"]
        dx, dy, angle = math.hypot(a, d), math.hypot(b, e), math.degrees(math.atan2(d, a))
        utm = re.fullmatch(r"EPSG:32([67])(\d\d)", crs)
        if utm:
            kind, zone = ["UTM"], [str(int(utm[2])), "South" if utm[1] == "7" else "North", "WGS-84", "units=Meters"]
        elif crs == "EPSG:4326":
            kind, zone = ["Geographic Lat/Lon"], ["WGS-84", "units=Degrees"]
        else:
            kind, zone = ["Arbitrary"], []
        turned = [f"rotation={angle!r}"] if angle else []
        lines.append(
            f"map info = {{{', '.join([*kind, '1', '1', repr(c), repr(f), repr(dx), repr(dy), *zone, *turned])}}}"
        )
    if wkt := _wkt(crs):
        lines.append(f"coordinate system string = {{{wkt}}}")
    if "gcps" in metadata and metadata.get("gcps_crs") == "EPSG:4326":
        points = [(column + 1, row + 1, y, x) for row, column, x, y, *_ in metadata["gcps"]]
        lines.append(f"geo points = {{{', '.join(str(value) for point in points for value in point)}}}")
    if "rpcs" in metadata:
        rpcs = metadata["rpcs"]
        numbers = [rpcs.get(key, 0) for key in RPC_SCALARS]
        numbers += [value for key in RPC_LISTS for value in rpcs.get(key, [0] * 20)]
        lines.append(f"rpc info = {{{', '.join(map(str, [*numbers, 0, 0, 1]))}}}")
    return lines


def is_known(crs: str) -> bool:
    """Whether GDAL understands a coordinate system; without a library that asks it, that is taken for granted."""
    try:
        import rasterio
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return True
    with rasterio.Env():  # else GDAL prints what it thinks
        try:
            return bool(CRS.from_string(crs).to_wkt())
        except CRSError:
            return False


def wkt_of(crs: str) -> str:
    """WKT, which readers of NetCDF expect, of a code; the text as it is if no library here knows the code."""
    if not crs.startswith("EPSG:"):
        return crs
    try:
        from rasterio.crs import CRS
    except ImportError:
        return crs
    text: str = CRS.from_string(crs).to_wkt()
    return text


def _wkt(crs: str) -> str | None:
    """WKT on one line; of a code, if there is a library that knows it."""
    if not crs.startswith("EPSG:"):
        return " ".join(crs.split()) or None
    try:
        from rasterio.crs import CRS
    except ImportError:
        return None
    text: str = CRS.from_string(crs).to_wkt(version="WKT1_ESRI")
    return text


def rpcs_of_envi(numbers: list[Any]) -> dict[str, Any]:
    """Of the 90 or more numbers of ``rpc info``."""
    found: dict[str, Any] = dict(zip(RPC_SCALARS, numbers))
    for place, key in enumerate(RPC_LISTS):
        found[key] = numbers[10 + 20 * place : 30 + 20 * place]
    return found
