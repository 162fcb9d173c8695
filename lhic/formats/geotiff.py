"""TIFF, GeoTIFF and BigTIFF through rasterio: windows, whatever the layout; and all tags through tifffile."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import Any

import numpy as np

from lhic.cube import Window
from lhic.errors import InvalidCubeError, UsageError, message_of
from lhic.extras import needs
from lhic.formats import spectral_keys
from lhic.formats.axes import VARIABLE
from lhic.formats.base import (
    MAX_CACHE_BYTES,
    NO_WISH,
    CubeFile,
    Scene,
    Wish,
    number,
    one_or_all,
    ordered,
    reported,
    tell_left_out,
)
from lhic.formats.rest import REST, fill_value, known_crs, read_rest, tells_nodata, write_rest

NAME = "geotiff"
SUFFIXES = (".tif", ".tiff", ".gtiff", ".btf", ".tf8", ".cog")
MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TAGS = "tags.json"
"""In `sources`: every tag of the first page but those that say where its blocks are."""
GDAL = "gdal.json"
"""In `sources`: what GDAL calls metadata, of the dataset and of bands, by domain."""
BLOCK_TAGS = {273, 279, 324, 325, 288, 289, 519, 520, 521}
GDAL_TYPES = {"complex_int16": "complex int16", "complex64": "complex float32", "complex128": "complex float64"}
LOSSLESS = {"deflate", "lzw", "zstd", "packbits", "lzma", "lerc_deflate", "lerc_zstd"}
WAVELENGTH_TAGS = ("wavelength", "WAVELENGTH", "CENTRAL_WAVELENGTH_NM", "center_wavelength", "central_wavelength")
UNIT_TAGS = ("wavelength_units", "wavelength_unit", "WAVELENGTH_UNITS", "wavelengths_units")
FWHM_TAGS = ("fwhm", "FWHM")
MASK = "mask"
"""In `auxiliary`: the dataset's own mask."""
PLACED = (
    *("wavelengths", "wavelength_unit", "fwhm", "bad_bands", "band_names", "nodata", "scale", "offset", "unit"),
    *("crs", "transform", "gcps", "gcps_crs", "rpcs", "source"),
)
"""Metadata that GDAL has places for; a tag `REST` holds the others."""
PHOTOMETRIC, MIN_IS_WHITE, COLOUR_MAP = 262, 0, 320
"""A tag, and one of its values; and another tag."""
MAX_TAG_BYTES = 1 << 24


class GeoTiffFile(CubeFile):
    """Bands of one page, or pages of one shape."""

    format = "a GeoTIFF"

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            import rasterio
            from rasterio.errors import NotGeoreferencedWarning
        self._lock, self._pages = RLock(), []
        # What GDAL keeps of a file must not be a share of the machine's memory, which is what it takes otherwise.
        self._environment = partial(rasterio.Env, GDAL_CACHEMAX=MAX_CACHE_BYTES)
        try:
            with warnings.catch_warnings(), reported(self), self._environment():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                first = rasterio.open(path)
                self._pages.append(first)
                names = sorted(first.subdatasets, key=lambda name: int(name.split(":")[1]))
                if first.driver not in ("GTiff", "COG"):
                    raise InvalidCubeError(f"{path}: expected a GeoTIFF, found a file that GDAL calls {first.driver}")
                if wish.variable is not None:
                    first = self._page(rasterio, names, wish.variable)
                elif len(names) > 1:
                    self._pages = [rasterio.open(name) for name in names]
                    self._check_pages(first)
                    first.close()
                    first = self._pages[0]
                self._take(first, wish)
        except BaseException:
            self.close()
            raise

    def _page(self, rasterio: Any, names: list[str], wanted: str) -> Any:
        if not wanted.isdigit() or not 1 <= int(wanted) <= max(len(names), 1):
            raise UsageError(f"{self.path}: a GeoTIFF: expected a page of 1..{max(len(names), 1)}, found {wanted!r}")
        if names:
            self._pages.append(rasterio.open(names[int(wanted) - 1]))
            self._pages.pop(0).close()
        return self._pages[0]

    def _check_pages(self, first: Any) -> None:
        kinds = {(page.count, page.shape, page.dtypes) for page in self._pages}
        if len(kinds) > 1:
            listed = [f"{i}: {page.count} x {page.height} x {page.width}" for i, page in enumerate(self._pages, 1)]
            raise self.refuse("pages of one shape and dtype", f"{'; '.join(listed[:9])}: choose with {VARIABLE}, 1 say")

    def _take(self, first: Any, wish: Wish) -> None:
        types = set(first.dtypes)
        if len(types) > 1:
            raise self.refuse("bands of one dtype", ", ".join(sorted(types)))
        (kind,) = types
        if kind in GDAL_TYPES:
            raise InvalidCubeError(f"{self.path}: a GeoTIFF of {GDAL_TYPES[kind]}: expected integers or floats")
        self._count = first.count
        big = self._is_big_endian()
        self.dtype = np.dtype(kind).newbyteorder(">" if big else "<")
        stored = (first.count * len(self._pages), first.height, first.width)
        names = "bands", "rows", "columns"
        self._order, _ = ordered(self, stored, names, wish, None)
        n_bands, n_rows, n_columns = (stored[self._order.index(axis)] for axis in range(3))
        self.shape = n_bands, n_rows, n_columns
        is_usual = self._order == (0, 1, 2)
        self._describe(first, big, is_usual)

    def _is_big_endian(self) -> bool:
        with open(self.path, "rb") as file:
            return file.read(2) == b"MM"

    def __getitem__(self, window: Window) -> np.ndarray:
        bounds = [axis.indices(n)[:2] for axis, n in zip(window, self.shape, strict=True)]
        (b, b_end), rows, columns = (bounds[axis] for axis in self._order)  # as the file has them
        samples = np.empty((b_end - b, rows[1] - rows[0], columns[1] - columns[0]), self.dtype.newbyteorder("="))
        with self._lock, reported(self), self._environment():
            for number_, page in enumerate(self._pages):
                first = number_ * self._count
                wanted = range(max(b, first), min(b_end, first + self._count))
                if wanted:
                    bands = [band - first + 1 for band in wanted]
                    samples[wanted.start - b : wanted.stop - b] = page.read(bands, window=(rows, columns))
        return samples.transpose([self._order.index(axis) for axis in range(3)]).astype(self.dtype, copy=False)

    def _describe(self, first: Any, big: bool, is_usual: bool) -> None:
        profile = first.profile
        layout = {"format": NAME, "interleave": profile.get("interleave", "band"), "big_endian": big}
        layout |= {"compress": profile.get("compress"), "tiled": bool(profile.get("tiled"))}
        layout |= {"block": [profile.get("blockysize"), profile.get("blockxsize")], "pages": len(self._pages)}
        structure = first.tags(ns="IMAGE_STRUCTURE")
        layout["predictor"] = structure.get("PREDICTOR")
        layout["nbits"] = first.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
        with open(self.path, "rb") as file:
            layout["bigtiff"] = file.read(4) in (MAGICS[2], MAGICS[3])
        layout["suffix"] = os.path.splitext(self.path)[1]
        layout["color"] = [item.name for item in first.colorinterp]
        tags: dict[str, Any] = {}
        if any(first.units) and len(set(first.units)) > 1:
            tags["units"] = list(first.units)
        listed = self._tags()
        values = {tag["code"]: tag["value"] for tag in listed}
        layout["min_is_white"] = values.get(PHOTOMETRIC) == MIN_IS_WHITE
        # GDAL makes up a palette of what is black and white, or where 0 is white.
        if first.colorinterp[0].name == "palette" and COLOUR_MAP in values:
            tags["palette"] = first.colormap(1)
        tags["dataset"] = {ns: first.tags(ns=ns) for ns in ("", *_own(first.tag_namespaces()))}
        per_band = {
            str(i): {ns: first.tags(i, ns=ns) for ns in ("", *_own(first.tag_namespaces(i)))} for i in first.indexes
        }
        told = {i: {ns: t for ns, t in spaces.items() if t} for i, spaces in per_band.items()}
        tags["bands"] = {i: own for i, own in told.items() if own}
        told_tags = json.dumps(listed, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        self.sources = {TAGS: told_tags, GDAL: json.dumps(tags, ensure_ascii=False).encode("utf-8", "replace")}
        self.metadata = metadata_of(first, self.shape[0] if is_usual and len(self._pages) == 1 else 0)
        layout["said"] = sorted(self.metadata)
        self.metadata["source"] = {key: value for key, value in layout.items() if value not in (None, {}, False)}

    def _tags(self) -> list[dict[str, Any]]:
        """Tags of the first page, as JSON has them; bytes in hexadecimal."""
        with needs("formats", self.path):
            import tifffile
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # values it does not expect are kept as they are
        with tifffile.TiffFile(self.path) as tif:
            n_here = sum(page.size for page in tif.pages)
            if tif.series and tif.series[0].size > n_here:  # GDAL would read the first image alone
                raise self.refuse("a page for each image", f"images behind the last page, {tif.series[0].shape}")
            tags = [tag for tag in tif.pages.first.tags if tag.code not in BLOCK_TAGS and tag.count < MAX_TAG_BYTES]
            return [{"code": t.code, "name": t.name, "type": int(t.dtype), "value": _jsonable(t.value)} for t in tags]

    def auxiliary(self) -> dict[str, np.ndarray]:
        from rasterio.enums import MaskFlags

        page = self._pages[0]
        with self._lock, reported(self):
            if MaskFlags.per_dataset in page.mask_flag_enums[0] and MaskFlags.alpha not in page.mask_flag_enums[0]:
                return {MASK: page.dataset_mask()}
        return {}

    def close(self) -> None:
        for page in self._pages:
            page.close()


def _own(namespaces: list[str]) -> list[str]:
    """Tags that a writer may set: GDAL makes up the others."""
    return [ns for ns in namespaces if ns not in ("IMAGE_STRUCTURE", "DERIVED_SUBDATASETS", "SUBDATASETS", "RPC")]


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple | list):
        return [_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        return number(int(value) if isinstance(value, int) else value)
    return str(value)


def metadata_of(raster: Any, n_bands: int) -> dict[str, Any]:
    """What a raster of rasterio says, in the words of docs/format.md, section 2; of no bands if they are others."""
    found: dict[str, Any] = {}
    if raster.crs:
        code = raster.crs.to_epsg(confidence_threshold=100)
        found["crs"] = f"EPSG:{code}" if code else raster.crs.to_wkt()
    if not raster.transform.is_identity:
        found["transform"] = [number(value) for value in tuple(raster.transform)[:6]]
    points, crs = raster.gcps
    if points:
        found["gcps"] = [[number(value) for value in (p.row, p.col, p.x, p.y, p.z or 0)] for p in points]
        if crs:
            code = crs.to_epsg()
            found["gcps_crs"] = f"EPSG:{code}" if code else crs.to_wkt()
    if raster.rpcs:
        found["rpcs"] = {key: value for key, value in raster.rpcs.to_dict().items() if value is not None}
    tags = raster.tags()
    if times := [tags[key] for key in ("start_time", "acquisition_time", "ACQUISITIONDATETIME") if tags.get(key)]:
        found["times"] = times
    if not n_bands:
        return found
    nodata = [number(value) for value in raster.nodatavals]
    if any(value is not None for value in nodata):
        found["nodata"] = one_or_all(nodata)
    if any(value != 1 for value in raster.scales):
        found["scale"] = one_or_all([number(value) for value in raster.scales])
    if any(value != 0 for value in raster.offsets):
        found["offset"] = one_or_all([number(value) for value in raster.offsets])
    if raster.units[0] and len(set(raster.units)) == 1:  # others go back into the file's like: `_describe`
        found["unit"] = raster.units[0]
    if any(raster.descriptions):
        found["band_names"] = [text or "" for text in raster.descriptions]
    _add_wavelengths(found, raster)
    return found | read_rest(tags.get(REST), n_bands)


def _add_wavelengths(found: dict[str, Any], raster: Any) -> None:
    """Of the bands' tags, of GDAL's own domain for them, or of the bands' descriptions."""
    tags = [raster.tags(band) for band in raster.indexes]
    images = [raster.tags(band, ns="IMAGERY") for band in raster.indexes]
    if good := _numbers(tags, "bbl"):
        found["bad_bands"] = [not value for value in good]
    if all("CENTRAL_WAVELENGTH_UM" in image for image in images):
        found["wavelengths"] = [number(float(image["CENTRAL_WAVELENGTH_UM"])) for image in images]
        found["wavelength_unit"] = "um"
        if all("FWHM_UM" in image for image in images):
            found["fwhm"] = [number(float(image["FWHM_UM"])) for image in images]
        return
    for key in WAVELENGTH_TAGS:
        if numbers := _numbers(tags, key):
            found["wavelengths"] = numbers
            units = {tag.get(unit) for tag in tags for unit in UNIT_TAGS if tag.get(unit)}
            said = units.pop() if len(units) == 1 else "nm" if key.endswith("_NM") else None
            spectral_keys.add_unit(found, said, [])
            for name in FWHM_TAGS:
                if widths := _numbers(tags, name):
                    found["fwhm"] = widths
            break
    else:
        if told := spectral_keys.of_descriptions(list(raster.descriptions)):
            found["wavelengths"], found["wavelength_unit"] = [number(value) for value in told[0]], told[1]


def _numbers(tags: list[dict[str, str]], key: str) -> list[Any] | None:
    try:
        return [number(float(tag[key])) for tag in tags]
    except (KeyError, ValueError):
        return None


# --- writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def create(path: str, scene: Scene, cloud_optimized: bool = False) -> Iterator[GeoTiffSink]:
    """Write a GeoTIFF of the source's layout, or else of deflated tiles."""
    with needs("formats", path):
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with _told(path), rasterio.Env(GDAL_CACHEMAX=MAX_CACHE_BYTES, GDAL_TIFF_INTERNAL_MASK="YES"):
            first = f"{path}.whole.tif" if cloud_optimized else path
            said, rest = _placed(scene)
            with rasterio.open(first, "w", **_profile(scene, said)) as target:
                _describe(target, scene, said, rest)
                yield GeoTiffSink(target, scene)
            if cloud_optimized:
                _copy_as_cog(rasterio, first, path, scene)
                os.unlink(first)


class GeoTiffSink:
    def __init__(self, target: Any, scene: Scene):
        self._target, self._shape = target, scene.shape

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        bands, rows, columns = (axis.indices(n)[:2] for axis, n in zip(window, self._shape, strict=True))
        native = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        self._target.write(native, range(bands[0] + 1, bands[1] + 1), window=(rows, columns))


@contextmanager
def _told(path: str) -> Iterator[None]:
    from rasterio.errors import RasterioError

    try:
        yield
    except RasterioError as error:
        raise OSError(None, f"a GeoTIFF could not be written: {message_of(error.__cause__ or error)}", path) from error


def _profile(scene: Scene, said: dict[str, Any]) -> dict[str, Any]:
    n_bands, n_rows, n_columns = scene.shape
    native = scene.dtype.newbyteorder("=")
    if native.kind not in "iuf" or native == np.float16:
        raise UsageError(f"a GeoTIFF: expected integers or floats, found {native}: choose another format")
    source = scene.source(NAME)
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": str(native), "count": n_bands, "bigtiff": "IF_SAFER"}
    profile |= {"height": n_rows, "width": n_columns, "interleave": source.get("interleave", "band")}
    if scene.dtype.itemsize > 1 and scene.dtype == scene.dtype.newbyteorder(">"):
        profile["endianness"] = "BIG"
    if source.get("bigtiff"):
        profile["bigtiff"] = "YES"
    compress = source.get("compress") if source else "deflate"
    if compress:
        # What loses samples must not be used again on samples that are what it made of them.
        profile["compress"] = compress if compress in LOSSLESS else "deflate"
        predictor = source.get("predictor")
        profile["predictor"] = int(predictor or 1) if source else 3 if native.kind == "f" else 2
    if source.get("nbits"):
        profile["nbits"] = int(source["nbits"])
    block_rows, block_columns = source.get("block", [256, 256])
    tiled = source.get("tiled", False) if source else min(n_rows, n_columns) >= 256
    if tiled and block_rows and block_columns and block_rows % 16 == block_columns % 16 == 0:
        profile |= {"tiled": True, "blockysize": block_rows, "blockxsize": block_columns}
    elif source and block_rows:
        profile["blockysize"] = block_rows
    if source.get("min_is_white"):
        profile["photometric"] = "MINISWHITE"
    if "nodata" in said:
        profile["nodata"] = said["nodata"]
    if "transform" in said:
        from rasterio.transform import Affine

        profile["transform"] = Affine(*said["transform"])
    if "crs" in said:
        from rasterio.crs import CRS

        profile["crs"] = CRS.from_string(said["crs"])
    return profile


def _said(scene: Scene) -> dict[str, Any]:
    """The metadata; of a GeoTIFF no more than it said itself, and not what stood in a file beside it."""
    own = scene.source(NAME).get("said")
    return scene.metadata if own is None else {key: value for key, value in scene.metadata.items() if key in own}


def _placed(scene: Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """What has a place in a GeoTIFF, and the rest."""
    said = dict(_said(scene))
    placed = set(PLACED) - (set() if "wavelengths" in said else {"fwhm", "wavelength_unit"})
    source = scene.source(NAME)
    rest = {} if source else {key: value for key, value in said.items() if key not in placed}
    if "nodata" in said:
        fill = fill_value(scene)
        if fill is not None and fill.dtype.kind in "iu" and abs(int(fill)) > 1 << 53:
            scene.notes.append(f"nodata {fill} is in {REST} alone: rasterio hands on 53 bits of it")
            fill = None
        if fill is None or not (source or tells_nodata(fill, scene)):
            rest["nodata"] = said["nodata"]
        # What GDAL read of a float it takes again, digit by digit.
        as_read = source and isinstance(said["nodata"], float) and fill is not None
        said["nodata"] = said["nodata"] if as_read else None if fill is None else fill.item()
    for key in ("crs", "gcps_crs"):
        if key in said and known_crs(scene, key) is None:
            rest[key] = said.pop(key)
    if "gcps" in said:  # GDAL takes these, or a transform and its coordinate system
        rest |= {} if source else {key: said[key] for key in ("crs", "transform") if key in said}
        said.pop("crs", None)
    return said, rest


def _describe(target: Any, scene: Scene, said: dict[str, Any], rest: dict[str, Any]) -> None:
    """Tags first: some values that follow are tags, too."""
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.enums import ColorInterp
    from rasterio.rpc import RPC

    source = scene.source(NAME)
    if source:
        own = json.loads(scene.sources.get(GDAL, b"{}"))
        for namespace, tags in own.get("dataset", {}).items():
            target.update_tags(ns=namespace or None, **tags) if namespace else target.update_tags(**tags)
        for band, spaces in own.get("bands", {}).items():
            for namespace, tags in spaces.items() if int(band) <= target.count else ():
                keyword = {"ns": namespace} if namespace else {}
                target.update_tags(int(band), **keyword, **tags)
        if len(own.get("units", [])) == target.count:
            target.units = [unit or "" for unit in own["units"]]
        if own.get("palette") and target.count == 1:
            target.write_colormap(1, {int(key): tuple(colour) for key, colour in own["palette"].items()})
        if source.get("color"):
            names = source["color"]
            if len(names) == target.count and (names[0] != "palette" or own.get("palette")):
                target.colorinterp = [ColorInterp[name] for name in names]
    else:
        # An export has the free tags of a source that was a GeoTIFF; domains and bands' tags say how that was laid out.
        target.update_tags(**json.loads(scene.sources.get(GDAL, b"{}")).get("dataset", {}).get("", {}))
        _tag_bands(target, said)
    if rest:
        rest = read_rest(target.tags().get(REST), target.count) | rest
        target.update_tags(**{REST: write_rest(rest)})
    if "gcps" in said:
        points = [GroundControlPoint(row=p[0], col=p[1], x=p[2], y=p[3], z=p[4]) for p in said["gcps"]]
        crs = said.get("gcps_crs")
        target.gcps = points, CRS.from_string(crs) if crs else CRS()
    if "rpcs" in said:
        rpcs = said["rpcs"]
        target.rpcs = RPC(**{key: rpcs.get(key) for key in _RPC_KEYS})
    if len(said.get("band_names", [])) == target.count:
        target.descriptions = [name or None for name in said["band_names"]]
    if "scale" in said:
        target.scales = scene.per_band("scale", 1.0)
    if "offset" in said:
        target.offsets = scene.per_band("offset", 0.0)
    if "unit" in said:
        target.units = [said["unit"]] * target.count
    if MASK in scene.auxiliary and scene.auxiliary[MASK].shape == scene.shape[1:]:
        target.write_mask(scene.auxiliary[MASK])
    tell_left_out(scene, "a GeoTIFF", kept=(MASK,))


_RPC_KEYS = (
    "height_off height_scale lat_off lat_scale line_den_coeff line_num_coeff line_off line_scale long_off long_scale "
    "samp_den_coeff samp_num_coeff samp_off samp_scale err_bias err_rand".split()
)


def _tag_bands(target: Any, said: dict[str, Any]) -> None:
    """Wavelengths where GDAL's drivers put them."""
    for band in range(target.count):
        tags = {}
        if "wavelengths" in said:
            tags["wavelength"] = str(said["wavelengths"][band])
            tags["wavelength_units"] = said.get("wavelength_unit", "nm")
            if "fwhm" in said:
                tags["fwhm"] = str(said["fwhm"][band])
        if "bad_bands" in said:
            tags["bbl"] = str(int(not said["bad_bands"][band]))
        if tags:
            target.update_tags(band + 1, **tags)


def _copy_as_cog(rasterio: Any, whole: str, path: str, scene: Scene) -> None:
    from rasterio.shutil import copy

    predictor = {"f": "FLOATING_POINT"}.get(scene.dtype.kind, "STANDARD")
    copy(whole, path, driver="COG", compress="DEFLATE", predictor=predictor, bigtiff="IF_SAFER")
