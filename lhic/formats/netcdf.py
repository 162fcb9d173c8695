"""NetCDF, classic and 4, through netCDF4."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError, UsageError, message_of
from lhic.extras import needs
from lhic.formats.base import NO_WISH, Scene, Wish, reported
from lhic.formats.tree import TREE, Node, TreeFile, TreeSink, Variable, plan

NAME = "netcdf"
SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf")
MAGICS = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
STORED_AS = {"bool": np.dtype("u1"), "float16": np.dtype("f4")}
"""Of arrays beside a cube: dtypes that NetCDF does not have, and others that hold their values."""
FILTERS = ("zlib", "shuffle", "complevel", "fletcher32")


class _Array:
    """A variable as it is stored, and not as its attributes ask for."""

    def __init__(self, variable: Any):
        variable.set_auto_maskandscale(False)
        variable.set_auto_chartostring(False)
        self._variable = variable
        self.shape = variable.shape
        dtype = variable.dtype
        if dtype is str:
            dtype = np.dtype(object)
        elif variable.endian() in ("big", "little"):
            dtype = dtype.newbyteorder({"big": ">", "little": "<"}[variable.endian()])
        self.dtype = dtype
        chunks = variable.chunking()
        self.chunks = chunks if isinstance(chunks, list | tuple) else None

    def __getitem__(self, index: Any) -> Any:
        return self._variable[index]


class NetCdfFile(TreeFile):
    format = "a NetCDF file"
    lock = RLock()  # of the library: it serves one thread, whatever the file
    name = NAME

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            import netCDF4
        with reported(self):
            self._file = netCDF4.Dataset(path, "r")
        try:
            variables: list[Variable] = []
            groups: dict[str, dict[str, Any]] = {}
            dimensions: dict[str, list[Any]] = {}
            with reported(self):
                self._walk(self._file, "", variables, groups, dimensions)
            extra = {"dimensions": dimensions, "model": self._file.data_model}
            self.choose(variables, groups, wish, (0, 1, 2), extra)
            self.sources = {TREE: self.tree()}
        except BaseException:
            self._file.close()
            raise

    def _walk(self, group: Any, path: str, variables: list, groups: dict, dimensions: dict) -> None:
        groups[path] = {key: group.getncattr(key) for key in group.ncattrs()}
        for key, dimension in group.dimensions.items():
            dimensions[f"{path}/{key}".strip("/")] = [dimension.size, dimension.isunlimited()]
        for key, variable in group.variables.items():
            below = f"{path}/{key}".strip("/")
            if kind := _unreadable(variable):
                self.notes.append(f"{below} is left out: an array of {kind}")
                continue
            attributes = {name: variable.getncattr(name) for name in variable.ncattrs()}
            layout = {"big": variable.endian() == "big"}
            if self._file.data_model == "NETCDF4":
                filters = variable.filters() or {}
                layout |= {key: filters[key] for key in FILTERS if filters.get(key)}
                chunks = variable.chunking()
                layout["chunks"] = list(chunks) if chunks and chunks != "contiguous" else None
            layout = {name: value for name, value in layout.items() if value}
            names = tuple(variable.dimensions)
            variables.append(Variable(below, _Array(variable), names, attributes, layout))
        for key, item in group.groups.items():
            self._walk(item, f"{path}/{key}".strip("/"), variables, groups, dimensions)

    def close(self) -> None:
        if self._file.isopen():
            self._file.close()


def _unreadable(variable: Any) -> str | None:
    """What a variable is of, if not of text or numbers."""
    if variable.dtype is str:
        return None
    if type(variable.datatype).__name__ == "VLType":  # whose dtype is that of its items
        return "lists"
    is_plain = isinstance(variable.dtype, np.dtype) and variable.dtype.kind in "biufcS"
    return None if is_plain else "records"


@contextmanager
def create(path: str, scene: Scene) -> Iterator[TreeSink]:
    begun = False
    try:
        with _opened(path, scene) as sink:
            begun = True
            yield sink
    except RuntimeError as error:  # the library's own, such as for a full disk
        if not begun:
            raise
        raise OSError(None, f"a NetCDF file could not be written: {message_of(error)}", path) from error


@contextmanager
def _opened(path: str, scene: Scene) -> Iterator[TreeSink]:
    with needs("formats", path):
        import netCDF4
    tree = plan(scene, NAME)
    with netCDF4.Dataset(path, "w", format=tree.extra.get("model", "NETCDF4")) as file:
        for group in tree.groups:
            if group:
                file.createGroup(group)
        dimensions = tree.extra.get("dimensions")
        if dimensions is None:
            dimensions = {name: [n, False] for node in tree.nodes for name, n in zip(node.names, node.shape)}
        for name, (n, unlimited) in dimensions.items():
            place, _, key = name.rpartition("/")
            (file.createGroup(place) if place else file).createDimension(key, None if unlimited else n)
        for group, attributes in tree.groups.items():
            _set_attributes(file[group] if group else file, attributes)
        cube = None
        for node in tree.nodes:
            if node.data is not None and node.dtype is not None and node.dtype.kind == "c":
                continue  # beside the cube; NetCDF has no such numbers
            variable = _variable(file, node, scene)
            cube = variable if node.path == tree.cube else cube
        if cube is None:
            raise InvalidCubeError(f"the source's tree: expected the cube {tree.cube}, found none")
        sink = TreeSink(cube, tree.order, scene.shape, cube.chunking())
        yield sink
        sink.flush()


def _variable(file: Any, node: Node, scene: Scene) -> Any:
    place, _, key = node.path.rpartition("/")
    group = file.createGroup(place) if place else file  # or the one that is there
    attributes, layout = dict(node.attributes), node.layout
    keywords = {name: layout[name] for name in FILTERS if name in layout}
    if layout.get("chunks"):
        keywords["chunksizes"] = layout["chunks"]
    if file.data_model == "NETCDF4" and not layout and node.data is None:
        keywords = {"zlib": True, "complevel": 4, "shuffle": True}
        n_bands, n_rows, n_columns = node.shape
        keywords["chunksizes"] = [min(n_bands, 16), min(n_rows, 128), min(n_columns, 128)]
    fill = attributes.pop("_FillValue", None)
    kind: Any = str
    if node.dtype is not None:
        kind = node.dtype
        if kind.kind not in "S":
            keywords["endian"] = "big" if kind == kind.newbyteorder(">") and kind.itemsize > 1 else "little"
        kind = "S1" if kind.kind == "S" else kind.newbyteorder("=")
        kind = STORED_AS.get(str(kind), kind) if node.data is not None else kind
        if str(kind) in STORED_AS or getattr(kind, "kind", "") == "c":
            raise UsageError(f"a NetCDF file: expected integers or floats, found {kind}: choose another format")
    if file.data_model != "NETCDF4":
        keywords.pop("endian", None)
    elif keywords.get("endian") == "big" and isinstance(kind, np.dtype):
        kind = kind.newbyteorder(">")  # the library warns where the two differ
    variable = group.createVariable(key, kind, node.names, fill_value=fill, **keywords)
    variable.set_auto_maskandscale(False)
    variable.set_auto_chartostring(False)
    _set_attributes(variable, attributes)
    if node.data is not None:
        variable[...] = np.asarray(node.data, object if node.dtype is None else None)
    return variable


def _set_attributes(item: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        if not key.startswith("_NC") and key not in ("_Netcdf4Coordinates", "_Netcdf4Dimid"):
            item.setncattr(key, value)
