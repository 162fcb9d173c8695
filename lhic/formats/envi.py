"""ENVI: samples in one piece, and a text header beside them.

The header is parsed here, in about a hundred lines, and not by the library `spectral`: the text must survive verbatim
in whatever encoding, and what is amiss must be told in a line before a sample is read.
Source: https://www.nv5geospatialsoftware.com/docs/ENVIHeaderFiles.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.cube import n_bytes_of
from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import geo, spectral_keys
from lhic.formats.base import NO_WISH, Scene, Wish, number, one_or_all, ordered, suffix_of, tell_left_out
from lhic.formats.flat import FlatFile, FlatSink
from lhic.formats.rest import REST, known_crs, one_nodata, read_rest, write_rest
from lhic.io.source import open_source

NAME = "envi"
HEADER = "header.hdr"
PREFIX = "before_the_samples"
"""In `sources`: the header's bytes, and those before the samples."""
DATA_SUFFIXES = (".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".cub", ".cube", ".bin", ".envi", ".sli", ".lib")
DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 6: "c8", 9: "c16", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
ORDERS = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}
ESRI_KEYS = re.compile(rb"^\s*(BYTEORDER|LAYOUT|NROWS|NCOLS|NBANDS|NBITS|BANDROWBYTES)\s", re.IGNORECASE | re.MULTILINE)
JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
"""A text of JSON, in which a brace would be taken for one of the header's."""
MAX_HEADER_BYTES, MAX_PREFIX_BYTES = 16 << 20, 16 << 20


def header_of(path: str) -> str | None:
    """The header beside a data file, or the path itself if it is named as one."""
    stem, suffix = os.path.splitext(path)
    if suffix.lower() == ".hdr":
        return path
    names = [f"{path}.hdr", f"{path}.HDR", f"{stem}.hdr", f"{stem}.HDR"]
    return next((name for name in names if os.path.isfile(name)), None)


def is_header(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:4].upper() == b"ENVI"


def is_esri(head: bytes) -> bool:
    """Whether a ``.hdr`` is that of ESRI's BIL, BIP or BSQ files."""
    return not is_header(head) and len({key.upper() for key in ESRI_KEYS.findall(head)}) >= 2


def parse(text: str) -> dict[str, str]:
    """Keys in lower case, and their values; of a value in braces what is between them.

    >>> parse("ENVI\\nSamples = 3\\n; bands = 9\\nband names = {a, b {c},\\n d}")
    {'samples': '3', 'band names': 'a, b {c},\\n d'}
    """
    found, lines = {}, iter(text.splitlines()[1:])
    for line in lines:
        key, equals, value = line.partition("=")
        if not equals or line.lstrip().startswith(";"):
            continue
        value = value.strip()
        if value.startswith("{"):
            while not (value.endswith("}") and value.count("}") >= value.count("{")):
                following = next(lines, None)
                if following is None:
                    break
                if not following.lstrip().startswith(";"):
                    value += "\n" + following.rstrip()
            value = value[1:].removesuffix("}").strip()
        found[" ".join(key.lower().split())] = value
    return found


def items(value: str) -> list[str]:
    """What commas separate outside of braces.

    >>> items("a, b {c, d}, e,")
    ['a', 'b {c, d}', 'e']
    """
    parts = [part.strip() for part in re.split(r",(?![^{]*\})", value)]
    return parts[:-1] if parts and not parts[-1] else parts


class EnviFile(FlatFile):
    """A cube by either of its names."""

    format = "an ENVI file"

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        header = header_of(path)
        assert header
        with open_source(header, "an ENVI header") as source:
            raw = source[:MAX_HEADER_BYTES]
            # Under the name that was given, which may be that of the samples.
            self._check_kind(header, raw)
        text = _decoded(raw)
        keys = parse(text)
        self._check_keys(keys)
        samples = self._samples_of(path, header, keys)
        source = open_source(samples, "the samples of an ENVI file")
        try:
            offset = self._whole(keys, "header offset", 0)
            order: tuple[int, ...] = ORDERS[keys.get("interleave", "bsq").strip().lower()]
            size = tuple(self._whole(keys, key) for key in ("bands", "lines", "samples"))
            shape = tuple(size[axis] for axis in order)
            if wish.axes is not None:
                names = tuple(("bands", "rows", "columns")[axis] for axis in order)
                order, _ = ordered(self, shape, names, wish, None)
            self.take(source, offset, shape, self._dtype(keys), order)
            end = offset + n_bytes_of(shape, self.dtype)
            if len(source) > end:
                self.notes.append(f"{len(source) - end} bytes behind the samples are left out")
            self.sources = {HEADER: raw}
            if 0 < offset <= MAX_PREFIX_BYTES:
                self.sources[PREFIX] = source[:offset]
            self.inputs = [samples, header]
            self.metadata = metadata_of(keys, self.shape[0], self.notes)
            stem = os.path.splitext(header)[0]
            suffixes = {"data_suffix": os.path.splitext(samples)[1], "header_suffix": ".hdr"}
            if samples == stem and suffixes["data_suffix"]:  # name.dat and name.dat.hdr
                suffixes["header_suffix"] = suffixes["data_suffix"] + ".hdr"
            self.metadata["source"] = {"format": NAME, **suffixes}
        except BaseException:
            source.close()
            raise

    def _check_kind(self, header: str, raw: bytes) -> None:
        if is_esri(raw):
            raise InvalidCubeError(
                f"{header}: an ESRI header: expected ENVI's, which begins with ENVI; "
                "GDAL reads such files: gdal_translate -of ENVI"
            )
        if not is_header(raw):
            raise InvalidCubeError(f"{header}: expected an ENVI header, found a file that does not begin with ENVI")

    def _check_keys(self, keys: dict[str, str]) -> None:
        kind = keys.get("file type", "ENVI Standard").lower()
        if "library" in kind:
            raise self.refuse("a cube", "a spectral library: its rows are spectra of no scene")
        if "standard" not in kind and "classification" not in kind and kind != "envi":
            raise self.refuse("file type = ENVI Standard", keys["file type"])
        if keys.get("file compression", "0").strip() not in ("0", ""):
            raise self.refuse("samples as they are", "file compression = 1: write the file without compression")
        for key in ("samples", "lines", "bands", "data type"):
            if key not in keys:
                raise self.refuse(f"the key {key} in its header", "none")
        interleave = keys.get("interleave", "bsq").strip().lower()
        if interleave not in ORDERS:
            raise self.refuse("interleave bsq, bil or bip", keys["interleave"])
        for key in ("major frame offsets", "minor frame offsets"):
            if any(part.strip() not in ("0", "") for part in keys.get(key, "0").split(",")):
                raise self.refuse(f"{key} of 0", keys[key])
        if self._whole(keys, "byte order", 0) not in (0, 1):
            raise self.refuse("byte order 0 or 1", keys["byte order"])

    def _dtype(self, keys: dict[str, str]) -> np.dtype:
        code = self._whole(keys, "data type")
        if code not in DTYPES:
            raise self.refuse(f"a data type of {sorted(DTYPES)}", code)
        dtype = np.dtype(DTYPES[code])
        if dtype.kind == "c":
            raise self.refuse("integers or floats", f"{dtype} (data type {code})")
        return dtype.newbyteorder(">" if self._whole(keys, "byte order", 0) else "<")

    def _whole(self, keys: dict[str, str], key: str, default: int | None = None) -> int:
        value = keys.get(key)
        if value is None and default is not None:
            return default
        try:
            found = int(str(value).strip())
        except ValueError:
            found = -1
        if found < (0 if default is not None else 1):
            raise self.refuse(f"a whole number for {key}", repr(value))
        return found

    def _samples_of(self, path: str, header: str, keys: dict[str, str]) -> str:
        """The data file: the path itself, or the one beside the header."""
        if path != header:
            return path
        stem = os.path.splitext(header)[0]
        folder, base = os.path.split(stem)
        beside = {name.lower(): name for name in sorted(os.listdir(folder or "."), reverse=True)}
        names = [base, *(base + suffix for suffix in DATA_SUFFIXES)]
        found = [os.path.join(folder, beside[name.lower()]) for name in names if name.lower() in beside]
        found = [name for name in found if os.path.isfile(name)]
        if len(found) > 1:  # a picture of the same name, say: its size tells
            n_bytes = self._whole(keys, "header offset", 0) + n_bytes_of(
                tuple(self._whole(keys, key) for key in ("bands", "lines", "samples")), self._dtype(keys)
            )
            found = [name for name in found if os.path.getsize(name) == n_bytes] or found
        if not found:
            raise UsageError(f"{header}: an ENVI header: expected samples beside it, such as {names[1]}, found none")
        if len(found) > 1:
            names = [os.path.basename(name) for name in found]
            raise UsageError(
                f"{header}: an ENVI header: expected one file of samples, found {', '.join(names)}: name it"
            )
        return found[0]


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def metadata_of(keys: dict[str, str], n_bands: int, notes: list[str]) -> dict[str, Any]:
    """What the header says, in the words of docs/format.md, section 2."""
    found: dict[str, Any] = {}

    def values(key: str, length: int | None = n_bands, finite: bool = True) -> list[Any] | None:
        if key not in keys:
            return None
        parts = items(keys[key])
        numbers = [_number(part) for part in parts]
        amiss = [p for p, item in zip(parts, numbers) if item is None or (finite and isinstance(item, str))]
        if length is not None and len(parts) != length:
            amiss = [f"{len(parts)} entries"]
        if amiss:
            expected = "numbers" if length is None else "a number" if length == 1 else f"{length} numbers"
            notes.append(f"{key}: expected {expected}, found {amiss[0]:.40}: kept in the header alone")
            return None
        return numbers

    for key, target in (("wavelength", "wavelengths"), ("fwhm", "fwhm")):
        if numbers := values(key):
            found[target] = numbers
    if "wavelengths" in found or "fwhm" in found:
        spectral_keys.add_unit(found, keys.get("wavelength units"), notes)
    if (bbl := values("bbl")) is not None:
        found["bad_bands"] = [not good for good in bbl]
    if "band names" in keys:
        names = items(keys["band names"])
        if len(names) != n_bands:
            names = [part.strip(" ,") for part in keys["band names"].split("\n") if part.strip(" ,")]
        if len(names) == n_bands:
            found["band_names"] = names
        else:
            n_names = len(items(keys["band names"]))
            notes.append(f"band names: expected {n_bands}, found {n_names}: kept in the header alone")
    if (ignored := values("data ignore value", 1, finite=False)) is not None:
        found["nodata"] = ignored[0]
    if (factor := values("reflectance scale factor", 1)) is not None and factor[0]:
        found |= {"scale": 1 / factor[0], "quantity": "reflectance"}
    if (gains := values("data gain values")) is not None:
        found["scale"] = one_or_all(gains)
    if (offsets := values("data offset values")) is not None:
        found["offset"] = one_or_all(offsets)
    if "default bands" in keys:
        shown = values("default bands", None) or []
        if all(isinstance(band, int) and 1 <= band <= n_bands for band in shown) and shown:
            found["default_bands"] = [band - 1 for band in shown]
    if "data units" in keys:
        found["unit"] = keys["data units"]
    if keys.get("description"):
        found["description"] = keys["description"]
    if re.match(r"\d{4}-\d\d-\d\d", keys.get("acquisition time", "")):
        found["times"] = [keys["acquisition time"]]
    found |= geo.of_envi(items(keys.get("map info", "")), keys.get("coordinate system string"))
    if "rpc info" in keys and len(rpc := values("rpc info", None) or []) >= 90:
        found["rpcs"] = geo.rpcs_of_envi(rpc)
    if "geo points" in keys and len(points := values("geo points", None) or []) % 4 == 0 and points:
        # Column and row count from 1 at the corner of the first pixel; then latitude and longitude.
        quads = [points[i : i + 4] for i in range(0, len(points), 4)]
        found["gcps"] = [[row - 1, column - 1, longitude, latitude, 0] for column, row, latitude, longitude in quads]
        found["gcps_crs"] = "EPSG:4326"
    return found | read_rest(keys.get(REST), n_bands)


def _number(text: str) -> Any:
    try:
        return number(float(text))
    except ValueError:
        return None


# --- writing ----------------------------------------------------------------------------------------------------------


def names_of(path: str, scene: Scene) -> tuple[str, str]:
    """Header and data file that `path`, either of them, stands for."""
    stem, suffix = os.path.splitext(path)
    if suffix.lower() != ".hdr":
        return (f"{path}.hdr" if scene.source(NAME).get("header_suffix", ".hdr") != ".hdr" else f"{stem}.hdr"), path
    if os.path.splitext(stem)[1].lower() in DATA_SUFFIXES:
        return path, stem
    return path, stem + suffix_of(scene.source(NAME), "data_suffix", ".img")


@contextmanager
def create(path: str, scene: Scene) -> Iterator[FlatSink]:
    """Write header and samples; the header is the source's own, if that was an ENVI header of this layout."""
    header, data = names_of(path, scene)
    tell_left_out(scene, "an ENVI file")
    raw = scene.sources.get(HEADER) if scene.source(NAME) else None
    prefix = scene.sources.get(PREFIX, b"")
    keys = parse(_decoded(raw)) if raw is not None else {}
    if not raw or not _fits(keys, scene) or int(keys.get("header offset", 0)) != len(prefix):
        raw, prefix = _header(scene).encode(), b""
        keys = parse(raw.decode())
    with open(header, "wb") as file:
        file.write(raw)
    with open(data, "wb") as file:
        file.write(prefix)
        big = keys.get("byte order", "0").strip() == "1"
        dtype = scene.dtype.newbyteorder(">" if big else "<")
        yield FlatSink(file, scene.shape, dtype, ORDERS[keys.get("interleave", "bsq").strip().lower()])


def _fits(keys: dict[str, str], scene: Scene) -> bool:
    try:
        shape = tuple(int(keys[key]) for key in ("bands", "lines", "samples"))
        return shape == scene.shape and np.dtype(DTYPES[int(keys["data type"])]) == scene.dtype.newbyteorder("=")
    except (KeyError, ValueError):
        return False


def _header(scene: Scene) -> str:
    """A header that says what the metadata say; what is not read again of its other keys, in JSON behind them."""
    codes = {np.dtype(name): code for code, name in DTYPES.items()}
    dtype = scene.dtype.newbyteorder("=")
    if dtype not in codes:
        raise UsageError(f"an ENVI file: expected {', '.join(map(str, codes))}, found {dtype}: choose another format")
    n_bands, n_rows, n_columns = scene.shape
    big = scene.dtype.itemsize > 1 and scene.dtype == scene.dtype.newbyteorder(">")
    lines = ["ENVI", f"samples = {n_columns}", f"lines = {n_rows}", f"bands = {n_bands}", "header offset = 0"]
    lines += [
        "file type = ENVI Standard",
        f"data type = {codes[dtype]}",
        "interleave = bsq",
        f"byte order = {int(big)}",
    ]
    said = {key: value for key, value in scene.metadata.items() if key != "source"}
    placed = dict(said)
    if "crs" in said:  # a text goes in as it is, whatever it says
        is_code = said["crs"].startswith("EPSG:")
        placed["crs"] = (known_crs(scene) or "") if is_code else _on_a_line(said["crs"])

    def add(key: str, values: list[Any]) -> None:
        lines.append(f"{key} = {{{', '.join(str(value) for value in values)}}}")

    if said.get("description"):
        lines.append(f"description = {{{_without_braces(said['description'])}}}")
    for key, name in (("wavelengths", "wavelength"), ("fwhm", "fwhm")):
        if key in said:
            add(name, said[key])
    if "wavelengths" in said or "fwhm" in said:
        unit = said.get("wavelength_unit", "nm")
        lines.append(f"wavelength units = {_on_a_line(spectral_keys.LONG_NAMES.get(unit, unit))}")
    if "bad_bands" in said:
        add("bbl", [int(not bad) for bad in said["bad_bands"]])
    if "band_names" in said:  # a comma would end the name
        add("band names", [_on_a_line(name).replace(",", ";") for name in said["band_names"]])
    nodata = one_nodata(scene)
    if nodata is not None:
        lines.append(f"data ignore value = {nodata}")
    if "scale" in said:
        add("data gain values", scene.per_band("scale", 1))
    if "offset" in said:
        add("data offset values", scene.per_band("offset", 0))
    if "unit" in said:
        lines.append(f"data units = {_on_a_line(said['unit'])}")
    if "default_bands" in said:
        add("default bands", [band + 1 for band in said["default_bands"]])
    if said.get("times"):
        lines.append(f"acquisition time = {_on_a_line(said['times'][0])}")
    lines += geo.to_envi(placed)
    found = metadata_of(parse("\n".join(lines)), n_bands, [])
    if rest := {key: value for key, value in said.items() if found.get(key) != value}:
        lines.append(f"{REST} = {{{JSON_TEXT.sub(_escaped, write_rest(rest))}}}")
    return "\n".join(lines) + "\n"


def _without_braces(text: str) -> str:
    """A text that ends where its own braces say."""
    return text.replace("{", "(").replace("}", ")")


def _on_a_line(text: str) -> str:
    return _without_braces(" ".join(text.split()))


def _escaped(text: re.Match) -> str:
    return text[0].replace("{", "\\u007b").replace("}", "\\u007d")
