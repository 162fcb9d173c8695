"""Zarr 2 and 3: an array, or a group with arrays in it, in a folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError
from lhic.extras import needs
from lhic.formats.base import NO_WISH, Scene, Wish, reported
from lhic.formats.tree import TreeFile, TreeSink, Variable, plan

NAME = "zarr"
SUFFIXES = (".zarr",)
DOCUMENTS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""What describes a store; verbatim in `sources`."""


def is_store(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in ("zarr.json", ".zarray", ".zgroup"))


class ZarrFile(TreeFile):
    format = "a Zarr store"
    name = NAME

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            import zarr
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
        self.sources = self._documents()
        self.metadata["source"]["order"] = list(self._order)

    @staticmethod
    def _is_array(document: str) -> bool:
        with open(document, "rb") as file:
            return json.load(file).get("node_type") == "array"

    def _documents(self) -> dict[str, bytes]:
        found, left_out = {}, {variable.path for variable in self._left_out}
        for folder, folders, names in os.walk(self.path):
            below = os.path.relpath(folder, self.path).replace(os.sep, "/").removeprefix(".").strip("/")
            if below in left_out and below:
                folders.clear()
                continue
            if "zarr.json" in names or ".zarray" in names:
                if ".zarray" in names or self._is_array(os.path.join(folder, "zarr.json")):
                    folders.clear()  # chunks; there may be many
            for name in DOCUMENTS:
                if name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        found[f"{below}/{name}".strip("/")] = file.read()
        if left_out:
            found.pop(".zmetadata", None)
        return found


def _variable(array: Any, path: str) -> Variable:
    attributes = dict(array.attrs)
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
            target = os.path.join(path, *key.split("/"))
            if not os.path.abspath(target).startswith(os.path.abspath(path) + os.sep):
                raise InvalidCubeError(f"the source's documents: expected a path within the store, found {key!r}")
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
    yield TreeSink(cube, order, scene.shape)


def _fixed_strings(values: np.ndarray, array: Any) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), array.dtype).reshape(array.shape)


def _open_array(zarr: Any, path: str, name: str) -> Any:
    return zarr.open_array(
        os.path.join(os.path.abspath(path), *name.split("/")) if name else os.path.abspath(path), mode="r+"
    )


def _fresh(zarr: Any, path: str, scene: Scene) -> Any:
    """A group with the cube and its coordinates, and the attributes of the conventions proj: and spatial:."""
    tree = plan(scene, NAME)
    root = zarr.open_group(os.path.abspath(path), mode="w", zarr_format=3)
    root.attrs.update(_plain(tree.groups[""]) | _conventions(scene))
    cube = None
    for node in tree.nodes:
        attributes = _plain(node.attributes)
        if node.dtype is None:
            attributes["values"] = list(node.data)
            continue
        chunks = (
            tuple(min(n, limit) for n, limit in zip(node.shape, (16, 128, 128))) if node.data is None else node.shape
        )
        fill = attributes.pop("_FillValue", None)
        array = root.create_array(
            node.path,
            shape=node.shape,
            dtype=node.dtype,
            chunks=tuple(max(n, 1) for n in chunks),
            dimension_names=list(node.names),
            attributes=attributes | ({"_FillValue": fill} if isinstance(fill, int) else {}),
            fill_value=fill if isinstance(fill, int) else 0,
        )
        if node.data is not None:
            array[...] = node.data
        cube = array if node.path == tree.cube else cube
    return cube


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in attributes.items():
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        found[key] = None if isinstance(value, float) and not math.isfinite(value) else value
    return found


def _conventions(scene: Scene) -> dict[str, Any]:
    """Source: https://github.com/zarr-conventions, proj: and spatial:."""
    said = scene.metadata
    found: dict[str, Any] = {}
    if crs := said.get("crs"):
        found["proj:code" if crs.startswith("EPSG:") else "proj:wkt2"] = crs
    if transform := said.get("transform"):
        found["spatial:dimensions"] = ["y", "x"]
        found["spatial:transform"] = transform
        found["spatial:shape"] = list(scene.shape[1:])
    return json.loads(json.dumps(found))
