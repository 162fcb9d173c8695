"""What HDF5, NetCDF, MATLAB and Zarr have in common: named arrays with attributes, in groups.

Decides which of the arrays is the cube, which axis is which, and what the others say about it.  Everything but the cube
is kept: attributes as JSON that knows their types, arrays as auxiliary ones.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lhic.cube import Window
from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import axes, geo, spectral_keys
from lhic.formats.base import MAX_CACHE_BYTES, ArrayFile, Scene, Wish, number, ordered, reported
from lhic.formats.rest import REST, fill_value, known_crs, read_rest, tells_nodata, write_rest

TREE = "tree.json"
"""In `sources`: the tree, without the samples of its arrays."""
WAVELENGTHS = re.compile(
    r"^(center|centre|central|band|sensor|list)?_?(wavelengths?|wave_?lengths?|wvls?|wls?|lambdas?|cent(er|re)s?)"
    r"(_?(nm|um|cent(er|re)s?|list|vnir|swir|grid))?$",
    re.IGNORECASE,
)
FWHM = re.compile(r"^(band|sensor|list)?_?(fwhms?|band_?widths?)(_?(nm|um|vnir|swir))?$", re.IGNORECASE)
GOOD = re.compile(r"^(good_?(wavelengths?|bands?)|bbl)$", re.IGNORECASE)
BAND_AXIS = re.compile(r"^(bands?|channels?|spectral)$", re.IGNORECASE)
NO_NAME = re.compile(r"^(phony_dim_|dim_?|axis_?|d)\d+$|^$", re.IGNORECASE)
PLACED = (
    *("wavelengths", "wavelength_unit", "fwhm", "bad_bands", "nodata", "scale", "offset", "quantity", "unit"),
    *("crs", "transform", "source"),
)
"""Metadata that CF has places for; `REST` of the root's attributes holds the others."""
CUBE_SHARE = 4
"""Of the cube's samples: another array with three axes and at least a fourth of them is a cube of its own."""


@dataclass
class Variable:
    """An array of a file, not read yet.

    path : groups and name, with slashes between them
    array : has shape and dtype, and takes basic slices
    names : of the axes, or None
    layout : how it is stored, for who writes it again
    """

    path: str
    array: Any
    names: tuple[str, ...] | None
    attributes: dict[str, Any]
    layout: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.array.dtype)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_number(self) -> bool:
        return self.dtype.kind in "biuf"

    def told(self) -> str:
        return f"{self.path} ({' x '.join(map(str, self.shape)) or 'one'}, {self.dtype})"


class TreeFile(ArrayFile):
    """A cube among the arrays of a file.  A subclass calls `choose`."""

    name: str

    def choose(
        self,
        variables: list[Variable],
        groups: Mapping[str, dict[str, Any]],
        wish: Wish,
        usual: tuple[int, int, int],
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Take the cube.

        groups : path -> attributes; the root's path is empty
        usual : the order of axes that files of this format have where they do not say it
        extra : of the tree, for who writes it again
        """
        self._variables, self._groups, self._extra = variables, groups, extra or {}
        self.cube = cube = self._cube_among(wish)
        if cube.dtype.kind == "c":
            raise InvalidCubeError(f"{self.path}: {self.format} of {cube.dtype}: expected integers or floats")
        names = cube.names if cube.names and not any(NO_NAME.match(name) for name in cube.names) else None
        order, stated = self._by_length(cube) if names is None and wish.axes is None else (None, True)
        if order is None:
            order, stated = ordered(self, cube.shape, names, wish, None if names else usual)
        self.take(cube.array, order, stated)
        self.metadata = self._metadata()
        suffix = os.path.splitext(self.path.rstrip("/"))[1]
        self.metadata["source"] = {"format": self.name, "variable": cube.path, "suffix": suffix}
        others = [variable for variable in variables if variable is not cube]
        self._left_out = [one for one in others if self._is_cube(one, self.size) and not _is_mask(one, cube)]
        for variable in self._left_out:
            self.notes.append(f"{variable.told()} is left out: a cube of its own, for {axes.VARIABLE} {variable.name}")
        if kept := [variable.told() for variable in self._kept()]:
            listed = ", ".join(kept[:6]) + " ..." * (len(kept) > 6)
            self.notes.append(f"{cube.path} is the cube; kept beside it: {listed}")

    def _cube_among(self, wish: Wish) -> Variable:
        listed = ", ".join(variable.told() for variable in self._variables[:12]) or "none"
        if wish.variable is not None:
            wanted = wish.variable.strip("/")
            found = [v for v in self._variables if v.path == wanted] or [
                v for v in self._variables if v.name == wanted or v.path.endswith("/" + wanted)
            ]
            if len(found) != 1:
                what = "several of that name: " if found else ""
                raise UsageError(f"{self.path}: {self.format}: expected an array {wanted!r}, found {what}{listed}")
            if not (found[0].is_number or found[0].dtype.kind == "c"):
                raise self.refuse(f"numbers in {wanted}", found[0].dtype)
            return found[0]
        candidates = [variable for variable in self._variables if self._is_cube(variable)]
        if not candidates:  # a spectrum, or a sample, with an axis for each of the three
            candidates = [one for one in self._variables if len(one.shape) == 3 and one.is_number]
        masks = [one for one in candidates if any(_is_mask(one, other) for other in candidates)]
        candidates = [one for one in candidates if one not in masks]
        if len(candidates) > 1:
            named = [v for v in candidates if v.names and axes.by_names(v.names, v.shape)]
            candidates = named if len(named) == 1 else candidates
        if len(candidates) > 1:
            names = [variable.path for variable in candidates]
            last = [path.rpartition("/")[2] for path in names]
            names = last if len(set(last)) == len(last) else names
            many = {2: "two"}.get(len(names), str(len(names)))
            listed = f"{', '.join(names[:-1])} and {names[-1]}"
            raise UsageError(f"{self.path}: {self.format} with {many} cubes, {listed}: choose with {axes.VARIABLE}")
        if not candidates:
            raise self.refuse("an array of numbers with 3 axes (bands, rows, columns)", listed)
        return candidates[0]

    @staticmethod
    def _is_cube(variable: Variable, beside: int = 0) -> bool:
        long = sum(n > 1 for n in variable.shape)
        has_three = (len(variable.shape) == 3 and long >= 2) or long == 3
        return has_three and (variable.is_number or variable.dtype.kind == "c") and variable.size * CUBE_SHARE >= beside

    def _by_length(self, cube: Variable) -> tuple[tuple[int, ...] | None, bool]:
        """The order that a list of wavelengths tells, where it is as long as one axis alone."""
        if len(cube.shape) != 3:
            return None, True
        for variable in self._vectors(WAVELENGTHS):
            if cube.shape.count(len(variable)) == 1:
                bands = cube.shape.index(len(variable))
                rest = [1, 2]
                if self._rows_and_columns_swapped():
                    rest = [2, 1]
                return tuple(0 if axis == bands else rest.pop(0) for axis in range(3)), True
        return None, True

    def _rows_and_columns_swapped(self) -> bool:
        return False

    # --- what is said of the cube ---

    def _vectors(self, pattern: re.Pattern) -> list[list[Any]]:
        """Lists of numbers of that name, those in the cube's own attributes first."""
        found = [value for key, value in self.cube.attributes.items() if pattern.match(key)]
        near = sorted(self._variables, key=lambda v: -_common(v.path, self.cube.path))
        with reported(self):
            for variable in near:
                if pattern.match(variable.name) and variable.is_number and variable.size < 100_000:
                    found.append(np.asarray(variable.array[...]).ravel())
        for attributes in self._groups.values():
            found += [value for key, value in attributes.items() if pattern.match(key)]
        lists = []
        for value in found:
            if isinstance(value, np.ndarray | list | tuple) and np.asarray(value).dtype.kind in "biuf":
                lists.append([number(item) for item in np.asarray(value).ravel().tolist()])
        return lists

    def _unit_of(self, pattern: re.Pattern) -> str | None:
        for variable in self._variables:
            if pattern.match(variable.name) and (said := _text(variable.attributes.get("units"))):
                return said
        for attributes in (self.cube.attributes, *self._groups.values()):
            for key in ("wavelength_units", "wavelength_unit", "wavelengths_units", "Wavelength_Units"):
                if said := _text(attributes.get(key)):
                    return said
        return None

    def _metadata(self) -> dict[str, Any]:
        said, n_bands = self.cube.attributes, self.shape[0]
        found: dict[str, Any] = {}
        root = self._groups.get("", {})
        rest = read_rest(_text(root.get(REST)), n_bands)
        for pattern, key in ((WAVELENGTHS, "wavelengths"), (FWHM, "fwhm")):
            for numbers in self._vectors(pattern):
                if len(numbers) == n_bands and not any(isinstance(item, str) for item in numbers):
                    found[key] = numbers
                    break
        if "wavelengths" not in found:
            self._add_band_axis(found)
        if "wavelengths" in found and "wavelength_unit" not in found | rest:
            spectral_keys.add_unit(found, self._unit_of(WAVELENGTHS), self.notes)
        for numbers in self._vectors(GOOD):
            if len(numbers) == n_bands:
                found["bad_bands"] = [not good for good in numbers]
                break
        for key, target in (("units", "unit"), ("standard_name", "quantity"), ("long_name", "quantity")):
            if (text := _text(said.get(key))) and target not in found:
                found[target] = text
        for key, target in (("scale_factor", "scale"), ("add_offset", "offset")):
            if (value := _scalar(said.get(key))) is not None:
                found[target] = value
        for key in ("_FillValue", "missing_value", "nodata", "fill_value"):
            if (value := _scalar(said.get(key))) is not None:
                found["nodata"] = value
                break
        found |= self._place()
        keys = "time_coverage_start", "time_coverage_end", "Product_StartTime", "Product_StopTime"
        found |= rest
        if times := [text for key in keys if (text := _text(root.get(key)))]:
            found.setdefault("times", times)
        return found

    def _add_band_axis(self, found: dict[str, Any]) -> None:
        """A coordinate named after the axis of the bands holds wavelengths if its unit is one."""
        for variable in self._variables:
            if BAND_AXIS.match(variable.name) and variable.shape == (self.shape[0],) and variable.is_number:
                unit = spectral_keys.unit_of(_text(variable.attributes.get("units")) or "")
                if unit:
                    with reported(self):
                        values = np.asarray(variable.array[...]).tolist()
                    found["wavelengths"], found["wavelength_unit"] = [number(value) for value in values], unit

    def _place(self) -> dict[str, Any]:
        """`crs` and `transform`, as CF, GDAL, EMIT and the proj: and spatial: conventions of Zarr say them."""
        found: dict[str, Any] = {}
        mapping = _text(self.cube.attributes.get("grid_mapping"))
        grids = [v.attributes for v in self._variables if v.name in (mapping, "spatial_ref", "crs")]
        for attributes in [*grids, self.cube.attributes, self._groups.get("", {})]:
            for key in ("crs_wkt", "spatial_ref", "proj:wkt2", "proj:code"):
                if "crs" not in found and (text := _text(attributes.get(key))):
                    found["crs"] = text
            if "crs" not in found and isinstance(attributes.get("proj:epsg"), int):
                found["crs"] = f"EPSG:{attributes['proj:epsg']}"
            transform = attributes.get("GeoTransform", attributes.get("geotransform"))
            try:
                parts = transform.split() if isinstance(transform, str) else np.asarray(transform).ravel().tolist()
                c, a, b, f, d, e = (number(float(part)) for part in parts)
                found.setdefault("transform", [a, b, c, d, e, f])
            except (TypeError, ValueError):
                pass
            own = attributes.get("spatial:transform")
            if isinstance(own, list) and len(own) in (6, 9) and "transform" not in found:
                found["transform"] = [number(value) for value in own[:6]]
        return found

    # --- the tree ---

    def auxiliary(self) -> dict[str, np.ndarray]:
        found = {}
        with self._lock, reported(self):
            for variable in self._kept():
                kind = variable.dtype.kind
                if kind in "biuf":
                    found[variable.path] = np.asarray(variable.array[...])
                elif kind == "S":
                    found[variable.path] = _as_bytes(np.asarray(variable.array[...]))
        return found

    def _kept(self) -> list[Variable]:
        return [
            variable for variable in self._variables if variable is not self.cube and variable not in self._left_out
        ]

    def tree(self) -> bytes:
        """The tree as JSON."""
        arrays = {}
        for variable in [self.cube, *self._kept()]:
            node: dict[str, Any] = {"shape": list(variable.shape), "names": list(variable.names or [])}
            node |= {"attributes": encoded(variable.attributes), "layout": {**variable.layout, "given": True}}
            if variable.dtype.kind in "OUT":
                node["strings"] = _strings(variable.array[...])
            else:
                node["dtype"] = variable.dtype.str
            arrays[variable.path] = node
        groups = {path: encoded(attributes) for path, attributes in self._groups.items()}
        tree = {"cube": self.cube.path, "order": list(self._order), "groups": groups, "arrays": arrays, **self._extra}
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _is_mask(variable: Variable, cube: Variable) -> bool:
    """Whether an array says something of each sample of a cube, such as what is wrong with it."""
    return variable.dtype.itemsize == 1 < cube.dtype.itemsize and variable.shape == cube.shape


def _as_bytes(texts: np.ndarray) -> np.ndarray:
    """Fixed strings as uint8, with an axis of bytes."""
    width = texts.dtype.itemsize
    return np.frombuffer(np.ascontiguousarray(texts).tobytes(), np.uint8).reshape(*texts.shape, width)


def _strings(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        return [_strings(value) for value in values]
    return values.decode("utf-8", "surrogateescape") if isinstance(values, bytes) else str(values)


def _common(a: str, b: str) -> int:
    """How many groups two paths have in common."""
    count = 0
    for first, second in zip(a.split("/")[:-1], b.split("/")[:-1]):
        if first != second:
            break
        count += 1
    return count


def _text(value: Any) -> str | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) and value else None


def _scalar(value: Any) -> Any:
    found = np.asarray(value) if value is not None else None
    return (
        number(found.reshape(-1)[0]) if found is not None and found.size == 1 and found.dtype.kind in "biuf" else None
    )


def encoded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON that `decoded` turns into what they were; what has no such form is left out."""
    found = {}
    for key, value in attributes.items():
        value = _encoded(value)
        if value is not None:
            found[key] = value
    return found


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    array = np.asarray(value)
    if array.dtype.kind in "biufc":
        listed = {"dtype": array.dtype.str, "shape": list(array.shape)}
        if array.dtype.kind != "c" and (array.dtype.kind != "f" or np.isfinite(array).all()):
            return {**listed, "value": array.ravel().tolist()}
        return {**listed, "hex": np.ascontiguousarray(array).tobytes().hex()}
    if array.dtype.kind == "S":
        return {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "hex": np.ascontiguousarray(array).tobytes().hex(),
        }
    if array.dtype.kind in "OUT" and all(isinstance(item, str | bytes) for item in array.ravel()):
        return {"strings": _strings(array.tolist())}
    return None


def decoded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `encoded`; numbers are numpy's."""
    return {key: _decoded(value) for key, value in attributes.items()}


def _decoded(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    if "strings" in value:
        return value["strings"]
    dtype, shape = np.dtype(value["dtype"]), tuple(value["shape"])
    array = np.array(value["value"], dtype) if "value" in value else np.frombuffer(bytes.fromhex(value["hex"]), dtype)
    array = array.reshape(shape)
    return array[()] if shape == () else array


@dataclass
class Node:
    """An array to be written: all of it but its samples.

    data : None for the cube
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    names: tuple[str, ...]
    attributes: dict[str, Any]
    layout: dict[str, Any]
    data: Any


@dataclass
class Plan:
    """What a writer of a tree does: groups with attributes, arrays, and which of them is the cube."""

    groups: dict[str, dict[str, Any]]
    nodes: list[Node]
    cube: str
    order: tuple[int, ...]
    extra: dict[str, Any]


def plan(scene: Scene, format_name: str) -> Plan:
    """The source's own tree, if it was of this format, else one that says what the metadata say, as CF has it."""
    source, raw = scene.source(format_name), scene.sources.get(TREE)
    if source and raw:
        return _source_plan(scene, json.loads(raw.decode("utf-8", "surrogateescape")))
    return _fresh_plan(scene)


def _source_plan(scene: Scene, tree: dict[str, Any]) -> Plan:
    nodes = []
    for path, node in tree["arrays"].items():
        shape, is_cube = tuple(node["shape"]), path == tree["cube"]
        dtype = scene.dtype if is_cube else np.dtype(node["dtype"]) if "dtype" in node else None
        data: Any = None
        if not is_cube:
            data = node["strings"] if dtype is None else scene.auxiliary.get(path)
            if data is None:  # a stream that somebody made without it
                continue
            if dtype is not None and dtype.kind == "S":
                data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype).reshape(shape)
        attributes = decoded(node["attributes"])
        nodes.append(Node(path, shape, dtype, tuple(node["names"]), attributes, node["layout"], data))
    groups = {path: decoded(attributes) for path, attributes in tree["groups"].items()}
    known = {"arrays", "groups", "cube", "order"}
    extra = {key: value for key, value in tree.items() if key not in known}
    return Plan(groups, nodes, tree["cube"], tuple(tree["order"]), extra)


def _fresh_plan(scene: Scene) -> Plan:
    said, (n_bands, n_rows, n_columns) = scene.metadata, scene.shape
    attributes: dict[str, Any] = {}
    placed = set(PLACED) - (set() if "wavelengths" in said else {"wavelength_unit"})
    rest = {key: value for key, value in said.items() if key not in placed}
    if "quantity" in said:
        attributes["long_name"] = said["quantity"]
    if any(isinstance(said.get(key), list) for key in ("scale", "offset")):
        # CF has one of each for all bands: half of them would be wrong values.
        rest |= {key: said[key] for key in ("scale", "offset", "unit") if key in said}
    else:
        for key, target in (("scale", "scale_factor"), ("offset", "add_offset")):
            if key in said:
                attributes[target] = np.float64(said[key])
        if "unit" in said:
            attributes["units"] = said["unit"]
    fill = fill_value(scene)
    if fill is not None:
        attributes["_FillValue"] = fill
    if not tells_nodata(fill, scene):
        rest["nodata"] = said["nodata"]
    dtype, nodes = scene.dtype, []
    if "wavelengths" in said:
        unit = {"units": said.get("wavelength_unit", "nm"), "long_name": "centre wavelength"}
        values = np.asarray(said["wavelengths"], np.float64)
        nodes.append(Node("wavelength", (n_bands,), values.dtype, ("band",), unit, {}, values))
        attributes["coordinates"] = "wavelength"
    if "fwhm" in said:
        values = np.asarray(said["fwhm"], np.float64)
        unit = {"units": said.get("wavelength_unit", "nm")}
        nodes.append(Node("fwhm", (n_bands,), values.dtype, ("band",), unit, {}, values))
    if "bad_bands" in said:
        values = np.asarray([not bad for bad in said["bad_bands"]], np.uint8)
        nodes.append(Node("good_wavelengths", (n_bands,), values.dtype, ("band",), {}, {}, values))
    if "band_names" in said:
        nodes.append(Node("band_name", (n_bands,), None, ("band",), {}, {}, said["band_names"]))
    transform = said.get("transform")
    if transform and transform[1] == transform[3] == 0:
        a, _, c, _, e, f = transform
        for name, n, step, first in (("y", n_rows, e, f), ("x", n_columns, a, c)):
            centres = first + step * (np.arange(n) + 0.5)
            nodes.append(Node(name, (n,), centres.dtype, (name,), {"axis": name.upper()}, {}, centres))
    crs = known_crs(scene)
    text = geo.wkt_of(crs) if crs else None
    if text != said.get("crs"):
        rest["crs"] = said["crs"]
    if text or transform:
        grid: dict[str, Any] = {"crs_wkt": text, "spatial_ref": text} if text else {}
        if transform:
            a, b, c, d, e, f = transform
            grid["GeoTransform"] = " ".join(repr(float(value)) for value in (c, a, b, f, d, e))
        nodes.append(Node("spatial_ref", (), np.dtype("int32"), (), grid, {}, np.int32(0)))
        attributes["grid_mapping"] = "spatial_ref"
    taken = {node.path for node in nodes} | {"cube"}
    for name, values in scene.auxiliary.items():
        path = re.sub(r"[^A-Za-z0-9_./-]", "_", name).strip("/")
        if path and path not in taken:
            nodes.append(Node(path, values.shape, values.dtype, _axis_names(values.shape, scene.shape), {}, {}, values))
    cube = Node("cube", scene.shape, dtype, ("band", "y", "x"), attributes, {}, None)
    root: dict[str, Any] = {"Conventions": "CF-1.11"}
    for key, time in zip(("time_coverage_start", "time_coverage_end"), said.get("times", [])):
        root[key] = time
    if rest:
        root[REST] = write_rest(rest)
    return Plan({"": root}, [*nodes, cube], "cube", (0, 1, 2), {})


def _axis_names(shape: tuple[int, ...], cube: tuple[int, int, int]) -> tuple[str, ...]:
    """Names of axes by their length: those of the cube, else by the length."""
    known = {cube[0]: "band", cube[1]: "y", cube[2]: "x"}
    if shape[:2] == cube[1:]:
        return ("y", "x", *(f"axis_{n}" for n in shape[2:]))
    names = [known.get(n, f"axis_{n}") for n in shape]
    return tuple(names) if len(set(names)) == len(names) else tuple(f"axis_{i}_{n}" for i, n in enumerate(shape))


class TreeSink:
    """Takes windows of a cube into an array of a library that takes basic slices.  Call `flush` at the end.

    Windows that lie side by side wait for one another, as far as `MAX_CACHE_BYTES` goes, where the array's chunks are
    wider: a library unpacks and packs a chunk for each part that it is given.

    chunks : of the array, if it has any
    """

    def __init__(self, array: Any, order: tuple[int, ...], shape: tuple[int, int, int], chunks: Any = None):
        self._array, self._order, self._shape = array, order, shape
        self._chunk_columns = chunks[order.index(2)] if isinstance(chunks, list | tuple) else 1
        self._waiting: list[tuple[Window, np.ndarray]] = []

    def __setitem__(self, window: Window, samples: np.ndarray) -> None:
        bands, rows, columns = (slice(*axis.indices(n)[:2]) for axis, n in zip(window, self._shape, strict=True))
        if self._waiting and self._waiting[0][0][:2] != (bands, rows):
            self.flush()
        n_columns = columns.stop - columns.start
        if n_columns >= self._chunk_columns or samples.nbytes // n_columns * self._shape[2] > MAX_CACHE_BYTES:
            self._write((bands, rows, columns), samples)
            return
        self._waiting.append(((bands, rows, columns), samples))
        if sum(part[2].stop - part[2].start for part, _ in self._waiting) >= self._shape[2]:
            self.flush()

    def flush(self) -> None:
        """Write what waits, in one piece if it is a whole row of windows."""
        waiting, self._waiting = sorted(self._waiting, key=lambda item: item[0][2].start), []
        ends = [0, *(part[2].stop for part, _ in waiting)]
        if waiting and [part[2].start for part, _ in waiting] == ends[:-1]:
            bands, rows, _ = waiting[0][0]
            whole = np.concatenate([samples for _, samples in waiting], axis=2)
            waiting = [((bands, rows, slice(0, ends[-1])), whole)]
        for window, samples in waiting:
            self._write(window, samples)

    def _write(self, window: Window, samples: np.ndarray) -> None:
        kept = [axis for axis in self._order if axis >= 0]
        self._array[tuple(0 if axis < 0 else window[axis] for axis in self._order)] = samples.transpose(kept)
