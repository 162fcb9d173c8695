"""EnMAP products by their ``METADATA.XML``: the image beside it, with wavelengths, gains and times it does not hold."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import geotiff
from lhic.formats.axes import VARIABLE
from lhic.formats.base import NO_WISH, Scene, Wish, number, one_or_all

NAME = "enmap"
SOURCE = "METADATA.XML"
"""In `sources`: the XML."""
IMAGE = re.compile(
    r"^(?P<product>ENMAP.*)-SPECTRAL_IMAGE(?:_(?P<part>VNIR|SWIR))?(?:_COG)?\.(?:TIFF?|BSQ)$", re.IGNORECASE
)
XML = re.compile(r"^(?P<product>ENMAP.*)-METADATA\.XML$", re.IGNORECASE)
LAYER = re.compile(r"-(QL_[A-Z0-9_]+?)(?:_COG)?\.TIFF?$", re.IGNORECASE)
MAX_XML_BYTES = 64 << 20


def metadata_beside(path: str) -> str | None:
    """The XML of an image's product."""
    found = IMAGE.match(os.path.basename(path))
    return _beside(path, XML, found["product"]) if found else None


def is_xml(path: str) -> bool:
    return XML.match(os.path.basename(path)) is not None


def _beside(path: str, pattern: re.Pattern, product: str, part: str | None = None) -> str | None:
    folder = os.path.dirname(path)
    for name in sorted(os.listdir(folder or ".")):
        match = pattern.match(name)
        if match and match["product"].lower() == product.lower():
            if part is None or (match.groupdict().get("part") or "").lower() == part.lower():
                return os.path.join(folder, name)
    return None


class EnmapFile(geotiff.GeoTiffFile):
    """An image of an EnMAP product, by its own name or by that of the XML."""

    format = "an EnMAP product"

    def __init__(self, path: str, wish: Wish = NO_WISH):
        if is_xml(path):
            xml, image = path, _image_of(path, wish)
        else:
            found = metadata_beside(path)
            assert found
            xml, image = found, path
        super().__init__(image, Wish(None, wish.axes))
        try:
            with open(xml, "rb") as file:
                raw = file.read(MAX_XML_BYTES)
            self.inputs = [image, xml]
            self._xml, self._image = xml, image
            self.sources[SOURCE] = raw
            match = IMAGE.match(os.path.basename(image))
            self._add(raw, (match and match["part"]) or "")
            self.metadata["source"] |= {"product": NAME, "xml": os.path.basename(xml), "image": os.path.basename(image)}
            self._layers = self._quality_layers()
        except BaseException:
            self.close()
            raise

    def _add(self, raw: bytes, part: str) -> None:
        try:
            root = ElementTree.fromstring(raw)
        except ElementTree.ParseError as error:
            raise InvalidCubeError(f"{self._xml}: EnMAP metadata: expected XML, found {error}") from None
        bands = [band for band in root.iter() if _tag(band) == "bandID" and _value(band, "wavelengthCenterOfBand")]
        if part:
            numbers = {
                n
                for e in root.iter()
                if _tag(e).lower() == f"{part.lower()}bandnumbers"
                for n in (e.text or "").split(",")
            }
            bands = [band for band in bands if band.get("number") in numbers] if numbers else bands
        n_bands = self.shape[0]
        if len(bands) == n_bands:
            for key, tag in (("wavelengths", "wavelengthCenterOfBand"), ("fwhm", "FWHMOfBand")):
                if (values := _values(bands, tag)) is not None:
                    self.metadata |= {key: values, "wavelength_unit": "nm"}
            for key, tag in (("scale", "GainOfBand"), ("offset", "OffsetOfBand")):
                if (values := _values(bands, tag)) is not None:
                    self.metadata.setdefault(key, one_or_all(values))
        elif bands:
            self.notes.append(
                f"the product's metadata describe {len(bands)} bands, the image has {n_bands}: not assigned"
            )
        texts = {_tag(element): (element.text or "").strip() for element in root.iter()}
        if "nodata" not in self.metadata and texts.get("backgroundValue"):
            self.metadata["nodata"] = number(float(texts["backgroundValue"]))
        if times := [texts[key] for key in ("startTime", "stopTime") if texts.get(key)]:
            self.metadata["times"] = times
        level = re.search(r"-____(L\d[A-Z])-", os.path.basename(self.path))
        self.metadata["quantity"] = "reflectance" if level and level[1] == "L2A" else "radiance"

    def _quality_layers(self) -> list[tuple[str, str]]:
        """Layers of the product beside the image."""
        folder, name = os.path.split(self._image)
        match = IMAGE.match(name)
        product = match["product"].lower() if match else ""
        found = []
        for other in sorted(os.listdir(folder or ".")):
            layer = LAYER.search(other)
            if layer and other.lower().startswith(product):
                found.append((layer[1].upper(), os.path.join(folder, other)))
        return found

    def auxiliary(self) -> dict[str, np.ndarray]:
        found = super().auxiliary()
        for name, path in self._layers:
            with geotiff.GeoTiffFile(path) as layer:
                if layer.shape[1:] == self.shape[1:]:
                    found[name] = layer[:, :, :]
        return found


def image_name(stem: str, image: str) -> str:
    """The image of a product whose stream has this name, without its suffix; `image` is what the image was called.

    >>> image_name("out/ENMAP01-X", "ENMAP01-X-SPECTRAL_IMAGE.TIF")
    'out/ENMAP01-X-SPECTRAL_IMAGE.TIF'
    >>> image_name("a-SPECTRAL_IMAGE", "ENMAP01-X-SPECTRAL_IMAGE.TIF")
    'a-SPECTRAL_IMAGE.TIF'
    """
    match = IMAGE.match(image)
    tail, suffix = os.path.splitext(image[match.end("product") :] if match else "-SPECTRAL_IMAGE.TIF")
    return stem.removesuffix(tail) + tail + suffix


def _image_of(xml: str, wish: Wish) -> str:
    match = XML.match(os.path.basename(xml))
    assert match
    folder = os.path.dirname(xml)
    images = {}
    for name in sorted(os.listdir(folder or ".")):
        image = IMAGE.match(name)
        if image and image["product"].lower() == match["product"].lower():
            images[(image["part"] or "").upper()] = os.path.join(folder, name)
    if wish.variable is not None:
        if wish.variable.upper() not in images:
            raise UsageError(
                f"{xml}: an EnMAP product: expected one of {', '.join(filter(None, images))}, found {wish.variable}"
            )
        return images[wish.variable.upper()]
    if len(images) > 1:
        raise UsageError(f"{xml}: an EnMAP product with two cubes, {' and '.join(images)}: choose with {VARIABLE}")
    if not images:
        raise UsageError(f"{xml}: an EnMAP product: expected its SPECTRAL_IMAGE.TIF beside it, found none")
    return next(iter(images.values()))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _value(band: ElementTree.Element, tag: str) -> str | None:
    return next((child.text for child in band.iter() if _tag(child) == tag and child.text), None)


def _values(bands: list[ElementTree.Element], tag: str) -> list[Any] | None:
    try:
        return [number(float(_value(band, tag) or "")) for band in bands]
    except ValueError:
        return None


@contextmanager
def create(path: str, scene: Scene) -> Iterator[geotiff.GeoTiffSink]:
    """The image, its XML beside it, and the layers of quality."""
    layers = {name: a for name, a in scene.auxiliary.items() if re.fullmatch("QL_[A-Z0-9_]+", name) and a.ndim == 3}
    beside = {name: values for name, values in scene.auxiliary.items() if name not in layers}
    with geotiff.create(path, replace(scene, auxiliary=beside)) as sink:
        yield sink
    source = scene.source(geotiff.NAME)
    match = IMAGE.match(os.path.basename(path))
    product = match["product"] if match else os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(path)
    if SOURCE in scene.sources and source.get("product") == NAME:
        with open(os.path.join(folder, f"{product}-METADATA.XML"), "wb") as file:
            file.write(scene.sources[SOURCE])
    for name, values in layers.items():
        said = {key: scene.metadata[key] for key in ("crs", "transform") if key in scene.metadata}
        layer = Scene(values.shape, values.dtype, said)  # type: ignore[arg-type]
        with geotiff.create(os.path.join(folder, f"{product}-{name}.TIF"), layer) as target:
            target[:, :, :] = values
