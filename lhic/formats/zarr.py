"""Zarr 2 and 3: an array, or a group with arrays in it, in a folder."""

from __future__ import annotations

import base64
import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError, one_line
from lhic.extras import needs
from lhic.formats.base import NO_WISH, Scene, Wish, reported
from lhic.formats.tree import TreeFile, TreeSink, Variable, plan

NAME = "zarr"
SUFFIXES = (".zarr",)
DOCUMENTS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""What describes a store; verbatim in `sources`."""
FILL = "<d"
"""Of floats: what the attribute ``_FillValue`` has, in base64, as xarray writes and reads it."""


def is_store(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zarray", ".zgroup"))


class ZarrFile(TreeFile):
    format = "a Zarr store"
    name = NAME

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            import zarr
        documents = self._documents()
        with reported(self):
            root = zarr.open(os.path.abspath(path), mode="r")
            variables, groups = [], {}
            if isinstance(root, zarr.Array):
                variables.append(_variable(root, ""))
            else:
                groups[""] = dict(root.attrs)
                for key, item in root.members(max_depth=None):
                    if isinstance(item, zarr.Array):
                        variables.append(_variable(item, key))
                    else:
                        groups[key] = dict(item.attrs)
        self.choose(variables, groups, wish, (0, 1, 2))
        left_out = [f"{variable.path}/" for variable in self._left_out]
        if left_out:
            documents.pop(".zmetadata", None)
        self.sources = {name: text for name, text in documents.items() if not name.startswith(tuple(left_out))}
        self.metadata["source"]["order"] = list(self._order)

    def _documents(self) -> dict[str, bytes]:
        """Name -> text of all that describe the store, each of them whole: zarr passes over arrays whose are not."""
        found = {}
        for folder, folders, names in os.walk(self.path):
            below = os.path.relpath(folder, self.path).replace(os.sep, "/").removeprefix(".").strip("/")
            for name in DOCUMENTS:
                if name in names:
                    place = os.path.join(folder, name)
                    with open(place, "rb") as file:
                        found[f"{below}/{name}".strip("/")] = text = file.read()
                    is_array = _parsed(text, place).get("node_type") == "array"
                    if is_array or name == ".zarray":
                        folders.clear()  # chunks; there may be many
        return found


def _parsed(text: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidCubeError(
            f"{place}: a document of a Zarr store: expected JSON, found {one_line(error)}"
        ) from error
    if not isinstance(found, dict):
        raise InvalidCubeError(f"{place}: a document of a Zarr store: expected an object, found {text[:40]!r}")
    return found


def _variable(array: Any, path: str) -> Variable:
    attributes = dict(array.attrs)
    if isinstance(fill := attributes.get("_FillValue"), str) and array.dtype.kind == "f":
        try:
            (attributes["_FillValue"],) = struct.unpack(FILL, base64.standard_b64decode(fill))
        except (ValueError, struct.error):
            pass
    names = getattr(array.metadata, "dimension_names", None) or attributes.get("_ARRAY_DIMENSIONS")
    stated = tuple(str(name or "") for name in names) if names else None
    return Variable(path.strip("/"), array, stated, attributes)


@contextmanager
def create(path: str, scene: Scene) -> Iterator[TreeSink]:
    """Write the source's own documents, and fill their arrays; else a group of format 3 as xarray reads it."""
    with needs("formats", path):
        import zarr
    source = scene.source(NAME)
    documents = {key: text for key, text in scene.sources.items() if key.rpartition("/")[2] in DOCUMENTS}
    if source and documents:
        for key, text in documents.items():
            target = _within(path, key)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(text)
        cube = _open_array(zarr, path, source.get("variable", ""))
        for name, values in scene.auxiliary.items():
            array = _open_array(zarr, path, name)
            array[...] = values if array.dtype.kind != "S" else _fixed_strings(values, array)
        order = tuple(source.get("order", (0, 1, 2)))
    else:
        cube, order = _fresh(zarr, path, scene), (0, 1, 2)
    sink = TreeSink(cube, order, scene.shape, cube.chunks)
    yield sink
    sink.flush()


def _fixed_strings(values: np.ndarray, array: Any) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), array.dtype).reshape(array.shape)


def _open_array(zarr: Any, path: str, name: str) -> Any:
    return zarr.open_array(_within(path, name), mode="r+")


def _within(path: str, name: str) -> str:
    """A place in a store; what a stream from elsewhere says must not lead out of it."""
    folder = os.path.abspath(path)
    place = os.path.abspath(os.path.join(folder, name))
    if os.path.commonpath([folder, place]) != folder:
        raise InvalidCubeError(f"the source's documents: expected a path within the store, found {name!r}")
    return place


def _fresh(zarr: Any, path: str, scene: Scene) -> Any:
    """A group with the cube and its coordinates, and the attributes of the conventions proj: and spatial:."""
    tree = plan(scene, NAME)
    crs = scene.metadata["crs"] if any("crs_wkt" in node.attributes for node in tree.nodes) else None
    root = zarr.open_group(os.path.abspath(path), mode="w", zarr_format=3)
    root.attrs.update(_plain(tree.groups[""]) | _conventions(scene, crs))
    cube = None
    for node in tree.nodes:
        attributes = _plain(node.attributes)
        if node.dtype is None:
            attributes["values"] = list(node.data)
            continue
        chunks = (
            tuple(min(n, limit) for n, limit in zip(node.shape, (16, 128, 128))) if node.data is None else node.shape
        )
        fill = node.attributes.get("_FillValue")
        array = root.create_array(
            node.path,
            shape=node.shape,
            dtype=node.dtype,
            chunks=tuple(max(n, 1) for n in chunks),
            dimension_names=list(node.names),
            attributes=attributes,
            # Of a float it is none: a chunk of it is not stored, and NaN has many forms.
            fill_value=int(fill) if isinstance(fill, np.integer) else 0,
        )
        if node.data is not None:
            array[...] = node.data
        cube = array if node.path == tree.cube else cube
    return cube


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in attributes.items():
        if key == "_FillValue" and isinstance(value, np.floating):
            value = base64.standard_b64encode(struct.pack(FILL, float(value))).decode()
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        found[key] = None if isinstance(value, float) and not math.isfinite(value) else value
    return found


def _conventions(scene: Scene, crs: str | None) -> dict[str, Any]:
    """Source: https://github.com/zarr-conventions, proj: and spatial:."""
    said = scene.metadata
    found: dict[str, Any] = {}
    if crs:
        found["proj:code" if crs.startswith("EPSG:") else "proj:wkt2"] = crs
    if transform := said.get("transform"):
        found["spatial:dimensions"] = ["y", "x"]
        found["spatial:transform"] = transform
        found["spatial:shape"] = list(scene.shape[1:])
    return json.loads(json.dumps(found))
