"""HDF5, HDF-EOS 5 (``.he5``) among it, through h5py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError
from lhic.extras import needs
from lhic.formats.base import MAX_CACHE_BYTES, NO_WISH, Scene, Wish, reported
from lhic.formats.tree import TREE, Node, Plan, TreeFile, TreeSink, Variable, plan

NAME = "hdf5"
SUFFIXES = (".h5", ".hdf5", ".he5", ".hdf")
MAGIC = b"\x89HDF\r\n\x1a\n"
OWN_ATTRIBUTES = {"DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "DIMENSION_LABELS"}
PRISMA = re.compile(r"HDFEOS/SWATHS/PRS_L\w+/Data.Fields/(VNIR|SWIR)_Cube")


class Hdf5File(TreeFile):
    format = "an HDF5 file"
    name = NAME
    usual = 0, 1, 2

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            import h5py
        with reported(self):
            self._file = h5py.File(path, "r", rdcc_nbytes=MAX_CACHE_BYTES // 4)
        try:
            with reported(self):
                variables, groups = self._walk(h5py)
            self._find(variables, groups, wish)
        except BaseException:
            self._file.close()
            raise

    def _find(self, variables: list[Variable], groups: dict[str, dict[str, Any]], wish: Wish) -> None:
        for variable in variables:
            if PRISMA.search(variable.path):  # its axes have no names, and the product's specification says them
                variable.names = "rows", "bands", "columns"
        self.choose(variables, groups, wish, self.usual, {"userblock": self._file.userblock_size})
        self._add_prisma()
        self.sources = {TREE: self.tree()}

    def _add_prisma(self) -> None:
        """The root's attributes List_Cw_Vnir and List_Fwhm_Vnir of a PRISMA product, in nanometres."""
        found = PRISMA.search(self.cube.path)
        root = self._groups.get("", {})
        for key, target in (("List_Cw_", "wavelengths"), ("List_Fwhm_", "fwhm")):
            values = root.get(key + found[1].capitalize()) if found else None
            if values is not None and len(values) == self.shape[0]:
                self.metadata |= {target: [float(value) for value in values], "wavelength_unit": "nm"}

    def _walk(self, h5py: Any) -> tuple[list[Variable], dict[str, dict[str, Any]]]:
        variables, groups = [], {"": self._attributes(self._file)}

        def visit(group: Any, path: str) -> None:
            for key in group:
                link = group.get(key, getlink=True)
                below = f"{path}/{key}".strip("/")
                if not isinstance(link, h5py.HardLink):
                    self.notes.append(f"{below} is left out: a link")
                    continue
                item = group[key]
                if isinstance(item, h5py.Group):
                    if key == "#refs#":
                        continue
                    groups[below] = self._attributes(item)
                    visit(item, below)
                elif isinstance(item, h5py.Dataset):
                    if item.shape is None or not _readable(h5py, item.dtype):
                        self.notes.append(f"{below} is left out: {item.dtype}")
                        continue
                    variables.append(Variable(below, item, _names(item), self._attributes(item), _layout(h5py, item)))

        visit(self._file, "")
        return variables, groups

    @staticmethod
    def _attributes(item: Any) -> dict[str, Any]:
        found = {}
        for key in item.attrs:
            if key not in OWN_ATTRIBUTES:
                try:
                    found[key] = item.attrs[key]
                except (OSError, TypeError):  # a type that h5py does not know
                    continue
        return found

    def close(self) -> None:
        self._file.close()


def _readable(h5py: Any, dtype: np.dtype) -> bool:
    return dtype.kind in "biufcS" or (dtype.kind == "O" and h5py.check_string_dtype(dtype) is not None)


def _names(item: Any) -> tuple[str, ...] | None:
    """Of the axes: labels, or the scales that are attached to them."""
    names = []
    for dimension in item.dims:
        scales = [scale.name for scale in dimension.values() if scale.name]
        names.append(dimension.label or (scales[0].strip("/") if scales else ""))
    return tuple(names) if names and any(names) else None


def _layout(h5py: Any, item: Any) -> dict[str, Any]:
    found = {"chunks": list(item.chunks) if item.chunks else None, "shuffle": item.shuffle}
    known = item.compression in ("gzip", "lzf")
    found |= {"compression": item.compression if known else None, "level": item.compression_opts if known else None}
    found["fletcher32"] = item.fletcher32
    found["labels"] = [dimension.label for dimension in item.dims]
    found["scales"] = [[scale.name for scale in dimension.values()] for dimension in item.dims]
    found["maxshape"] = [n if n is None else int(n) for n in item.maxshape] if item.maxshape else None
    if item.dtype.kind in "iuf" and item.fillvalue:
        found["fill"] = repr(item.fillvalue.item())
    found = {key: value for key, value in found.items() if value and value not in ([""] * item.ndim, [[]] * item.ndim)}
    return found | ({"scale": _scale_name(item)} if item.is_scale else {})


def _scale_name(item: Any) -> str:
    name = item.attrs.get("NAME", "")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


@contextmanager
def create(path: str, scene: Scene, name: str = NAME) -> Iterator[TreeSink]:
    """Write the source's own tree, or a fresh one with dimension scales."""
    with needs("formats", path):
        import h5py
    tree = plan(scene, name)
    userblock = int(tree.extra.get("userblock", 0))
    options = {"userblock_size": userblock, "rdcc_nbytes": MAX_CACHE_BYTES // 4, "track_order": True}
    try:
        with h5py.File(path, "w", **options) as file:
            cube = _write(h5py, file, tree, scene)
            sink = TreeSink(cube, tree.order, scene.shape, cube.chunks)
            yield sink
            sink.flush()
    except OSError as error:
        found = re.search(r"errno = \d+, error message = '([^']*)'", str(error))
        if not found:
            raise
        raise OSError(None, f"an HDF5 file could not be written: {found[1]}", path) from error


def _write(h5py: Any, file: Any, tree: Plan, scene: Scene) -> Any:
    for path, attributes in tree.groups.items():
        group = file.require_group(path) if path else file
        _set_attributes(h5py, group, attributes)
    cube, written = None, {}
    for node in tree.nodes:
        written[node.path] = dataset = _dataset(h5py, file, node, scene)
        _set_attributes(h5py, dataset, node.attributes)
        cube = dataset if node.path == tree.cube else cube
    for node in tree.nodes:
        if "scale" in node.layout or (not node.layout and node.names == (node.path,)):
            written[node.path].make_scale(node.layout.get("scale", ""))
    for node in tree.nodes:
        scales = node.layout.get("scales") or [[name] if name in written else [] for name in node.names]
        for number_, names in enumerate(scales):
            for name in names:
                scale = written.get(name.strip("/"))
                if scale is not None and scale.is_scale and not written[node.path].is_scale:
                    written[node.path].dims[number_].attach_scale(scale)
        for number_, label in enumerate(node.layout.get("labels") or ([] if node.layout else node.names)):
            if label:
                written[node.path].dims[number_].label = label
    if cube is None:
        raise InvalidCubeError(f"the source's tree: expected the cube {tree.cube}, found none")
    return cube


def _dataset(h5py: Any, file: Any, node: Node, scene: Scene) -> Any:
    layout, keywords = node.layout, {}
    if layout.get("chunks"):
        keywords = {"chunks": tuple(layout["chunks"]), "shuffle": layout.get("shuffle", False)}
        keywords |= {"compression": layout.get("compression"), "fletcher32": layout.get("fletcher32", False)}
        keywords |= {"compression_opts": layout.get("level"), "maxshape": _maxshape(layout)}
    elif node.data is None and not layout and len(node.shape) == 3:
        n_bands, n_rows, n_columns = node.shape
        keywords = {"chunks": (n_bands if n_bands < 16 else 16, min(n_rows, 128), min(n_columns, 128))}
        keywords |= {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    if "fill" in layout:
        assert node.dtype is not None
        keywords["fillvalue"] = node.dtype.type(layout["fill"])
    if node.dtype is None:
        return file.create_dataset(node.path, data=np.asarray(node.data, object), dtype=h5py.string_dtype())
    if node.data is None:
        return file.create_dataset(node.path, node.shape, node.dtype, **keywords)
    return file.create_dataset(node.path, node.shape, node.dtype, data=node.data, **keywords)


def _maxshape(layout: dict[str, Any]) -> tuple[int | None, ...] | None:
    return tuple(layout["maxshape"]) if layout.get("maxshape") else None


def _set_attributes(h5py: Any, item: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        if isinstance(value, list):
            item.attrs.create(key, np.asarray(value, object), dtype=h5py.string_dtype())
        elif isinstance(value, bytes):
            item.attrs[key] = np.bytes_(value)
        else:
            item.attrs[key] = value
