"""MATLAB: version 5 through scipy, a variable at a time in memory; version 7.3 is HDF5.

MATLAB has no names for axes; in hyperspectral files they are rows, columns, bands.  Of a version 5 file everything but
the cube is kept as it stands there, cells and structures among it: its elements are independent of one another.
Source: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lhic.errors import InvalidCubeError, UsageError
from lhic.extras import needs
from lhic.formats import hdf5
from lhic.formats.base import NO_WISH, Scene, Wish, reported
from lhic.formats.rest import REST, write_rest
from lhic.formats.tree import TreeFile, TreeSink, Variable
from lhic.io.memory import check_memory

NAME, NAME_73 = "mat", "mat73"
SUFFIXES = (".mat",)
MAGIC_5, MAGIC_73 = b"MATLAB 5.0", b"MATLAB 7.3"
FILE = "elements.mat"
"""In `sources`: the file without its cube, which goes where `place` of the source says."""
HEADER_BYTES = 128
COMPRESSED = 15
MAX_KEPT_BYTES = 256 << 20


class _Lazy:
    """A variable that is read when a part of it is asked for; then it stays."""

    def __init__(self, path: str, name: str, shape: tuple[int, ...], kind: str):
        self._path, self._name, self.shape = path, name, shape
        kind = {"single": "float32", "double": "float64", "logical": "bool"}.get(kind, kind)
        known = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bool"}
        self.dtype = np.dtype(kind) if kind in known else np.dtype("V8")
        self._values: np.ndarray | None = None

    def load(self) -> np.ndarray:
        if self._values is None:
            from scipy.io import loadmat

            n_bytes = self.dtype.itemsize * int(np.prod(self.shape))
            check_memory(n_bytes, self._path, f"{self._name} of a MATLAB file, which is read in one piece,")
            self._values = loadmat(self._path, variable_names=[self._name])[self._name]
            if self.dtype.kind == "b":  # logical, which scipy reads as uint8
                self._values = self._values.astype(bool)
            self.dtype = self._values.dtype
        return self._values

    def __getitem__(self, index: Any) -> Any:
        return self.load()[index]


class MatFile(TreeFile):
    format = "a MATLAB file"
    name = NAME

    def __init__(self, path: str, wish: Wish = NO_WISH):
        super().__init__(path)
        with needs("formats", path):
            from scipy.io import loadmat, whosmat
        with reported(self):
            _check_elements(path)
            listed = whosmat(path)
            rest = loadmat(path, variable_names=[REST]).get(REST)
        variables = [
            Variable(name, _Lazy(path, name, shape, kind), None, {}) for name, shape, kind in listed if name != REST
        ]
        self.choose(variables, {"": {REST: rest}}, wish, (1, 2, 0))
        cube = self.cube.array
        with reported(self):
            if cube.load().dtype.kind == "c":
                raise InvalidCubeError(f"{path}: a MATLAB file of {cube.dtype}: expected integers or floats")
            self.dtype = cube.dtype
            kept, place, compressed = _without(path, self.cube.name)
        axes = self._order
        self.metadata["source"] = {"format": NAME, "variable": self.cube.name, "order": list(axes)}
        self.metadata["source"] |= {"place": place, "compressed": compressed}
        if len(kept) <= MAX_KEPT_BYTES:
            self.sources = {FILE: kept}

    def auxiliary(self) -> dict[str, np.ndarray]:
        """The others are in `sources` as they stand in the file."""
        return {}


class Mat73File(hdf5.Hdf5File):
    format = "a MATLAB 7.3 file"
    name = NAME_73
    usual = 0, 2, 1  # MATLAB's first axis varies fastest: HDF5 has rows, columns, bands the other way round

    def _find(self, variables: list[Variable], groups: dict[str, dict[str, Any]], wish: Wish) -> None:
        if wish.axes is not None:  # the user counts as MATLAB does
            from lhic.formats import axes

            for variable in variables:
                if len(variable.shape) >= 3:
                    order = axes.parse(wish.axes, variable.shape[::-1], self.path)[::-1]
                    variable.names = tuple("axis" if axis < 0 else axes.WORDS[axis] for axis in order)
            wish = Wish(wish.variable)
        super()._find(variables, groups, wish)
        with open(self.path, "rb") as file:
            self.sources["userblock"] = file.read(self._file.userblock_size)

    def _rows_and_columns_swapped(self) -> bool:
        return True


MATRIX = 14
KINDS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, MATRIX, 16, 17, 18}
CLASSES = range(1, 19)
CELLS, STRUCTURE, OBJECT, SPARSE, NUMERIC = 1, 2, 3, 5, range(6, 16)


def _check_elements(path: str) -> None:
    """`ValueError` unless the parts of all variables are of known kinds and lie within one another.

    The library takes their word for it, and ends the process where it is wrong.
    """
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[126:128] == b"IM" else ">"
    for kind, part in _parts(memoryview(data)[HEADER_BYTES:], order, {*KINDS, COMPRESSED}):
        if kind == COMPRESSED:
            for inner, inside in _parts(memoryview(zlib.decompress(part)), order, KINDS):
                _check_matrix(inner, inside, order)
        else:
            _check_matrix(kind, part, order)


def _parts(data: memoryview, order: str, kinds: set[int]) -> Iterator[tuple[int, memoryview]]:
    """Kind and content of the elements that follow one another."""
    position = 0
    while position + 8 <= len(data):
        kind, n_bytes = struct.unpack(f"{order}II", data[position : position + 8])
        begin = position + 8
        if kind >> 16:  # small element: length and type share four bytes
            kind, n_bytes, begin = kind & 0xFFFF, kind >> 16, position + 4
        end = begin + n_bytes
        if kind not in kinds or end > len(data) or (begin == position + 4 and n_bytes > 4):
            raise ValueError(f"an element of kind {kind} and {n_bytes} bytes where {len(data) - begin} are left")
        yield kind, data[begin:end]
        position = max(end, position + 8) + (0 if kind == COMPRESSED else -max(end, position + 8) % 8)


def _check_matrix(kind: int, data: memoryview, order: str) -> None:
    if kind != MATRIX:
        raise ValueError(f"an element of kind {kind} where a variable should be")
    if not len(data):
        return
    parts = list(_parts(data, order, KINDS))
    if len(parts) < 3 or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise ValueError("a variable without flags, dimensions and name")
    (flags,) = struct.unpack(f"{order}I", parts[0][1][:4])
    of_class, is_complex = flags & 0xFF, bool(flags & 0x800)
    if of_class not in CLASSES:
        raise ValueError(f"a variable of class {of_class}")
    dimensions = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if len(dimensions) < 2 or min(dimensions) < 0:
        raise ValueError(f"a variable of shape {dimensions}")
    n_items, rest = math.prod(dimensions), parts[3:]
    if of_class in NUMERIC or of_class == SPARSE:
        expected = (3 if of_class == SPARSE else 1) + is_complex
        if (len(rest) != expected and (rest or n_items)) or any(own == MATRIX for own, _ in rest):
            raise ValueError(f"a variable of {expected} parts, of which {len(rest)} are there")
    elif of_class == CELLS:
        _check_items(rest, n_items, order)
    elif of_class in (STRUCTURE, OBJECT):
        rest = rest[of_class == OBJECT :]  # its class's name
        if len(rest) < 2 or len(rest[0][1]) != 4:
            raise ValueError("a structure without the names of its fields")
        (length,) = struct.unpack(f"{order}i", rest[0][1])
        names = len(rest[1][1])
        if (length <= 0 or names % length) and names:
            raise ValueError(f"names of fields of {length} bytes each in {names} bytes")
        _check_items(rest[2:], n_items * (names // length if names else 0), order)


def _check_items(parts: list[tuple[int, memoryview]], n: int, order: str) -> None:
    if len(parts) != n:
        raise ValueError(f"{n} items, of which {len(parts)} are there")
    for kind, inside in parts:
        _check_matrix(kind, inside, order)


def _elements(data: bytes) -> list[tuple[int, int, str]]:
    """Begin, end and name of the variables of a version 5 file."""
    order = "<" if data[126:128] == b"IM" else ">"
    found, position = [], HEADER_BYTES
    while position + 8 <= len(data):
        kind, n_bytes = struct.unpack(f"{order}II", data[position : position + 8])
        end = position + 8 + n_bytes
        inner = data[position : min(position + 256, end)]
        if kind == COMPRESSED:
            inner = zlib.decompressobj().decompress(data[position + 8 : end], 256)
        else:
            end += -n_bytes % 8  # only compressed elements are not padded
        found.append((position, end, _name_of(inner, order)))
        position = end
    return found


def _name_of(element: bytes, order: str) -> str:
    """Name in a matrix element: behind its flags (16 bytes) and its dimensions."""
    position = 8 + 16
    for _ in ("dimensions", "name"):
        kind, n_bytes = struct.unpack(f"{order}II", element[position : position + 8])
        if kind >> 16:  # small element: length and type share four bytes
            n_bytes, begin, following = kind >> 16, position + 4, position + 8
        else:
            begin, following = position + 8, position + 8 + n_bytes + -n_bytes % 8
        text, position = element[begin : begin + n_bytes], following
    return text.decode("latin-1")


def _without(path: str, name: str) -> tuple[bytes, int, bool]:
    """The file without one variable, where that was, and whether it was compressed."""
    with open(path, "rb") as file:
        data = file.read()
    for begin, end, found in _elements(data):
        if found == name:
            order = "<" if data[126:128] == b"IM" else ">"
            kind = struct.unpack(f"{order}I", data[begin : begin + 4])[0]
            return data[:begin] + data[end:], begin, kind == COMPRESSED
    raise InvalidCubeError(f"{path}: a MATLAB file: expected the variable {name}, found none")


class _MemorySink:
    def __init__(self, array: np.ndarray, order: tuple[int, ...], shape: tuple[int, int, int]):
        self.array = array
        self._sink = TreeSink(array, order, shape)

    def __setitem__(self, window: Any, samples: np.ndarray) -> None:
        self._sink[window] = samples


@contextmanager
def create(path: str, scene: Scene) -> Iterator[Any]:
    """Version 5, or 7.3 if the source was that or the cube takes 2 GiB, which version 5 cannot hold."""
    n_bytes = scene.dtype.itemsize * int(np.prod(scene.shape, dtype=np.int64))
    if scene.source(NAME_73) or n_bytes >= 2**31 - 2**16:
        with _create_73(path, scene) as sink:
            yield sink
        return
    with needs("formats", path):
        from scipy.io import savemat
    check_memory(n_bytes, path, "a MATLAB file, which is written in one piece,")
    source = scene.source(NAME)
    order = tuple(source.get("order", (1, 2, 0)))
    dtype = scene.dtype.newbyteorder("=")
    if dtype == np.float16:
        dtype = np.dtype(np.float32)
        scene.notes.append("float16 samples are written as single, which holds each of them: MATLAB has no halves")
    name = source.get("variable", "cube")
    shape = tuple(1 if axis < 0 else scene.shape[axis] for axis in order)
    memory = _MemorySink(np.empty(shape, dtype, "F"), order, scene.shape)
    yield memory
    buffer = io.BytesIO()
    kept = scene.sources.get(FILE) if source else None
    variables: dict[str, Any] = {name: memory.array}
    if kept is None:
        variables |= _described(scene, name)
    savemat(buffer, variables, do_compression=bool(source.get("compressed", True)))
    whole = buffer.getvalue()
    if kept is not None:
        place = int(source.get("place", HEADER_BYTES))
        if not HEADER_BYTES <= place <= len(kept) or kept[126:128] != whole[126:128]:
            raise UsageError("a MATLAB file: expected a place for the cube in the source's file, found none")
        whole = kept[:place] + whole[HEADER_BYTES:] + kept[place:]
    with open(path, "wb") as file:
        file.write(whole)


def _described(scene: Scene, name: str) -> dict[str, Any]:
    """Variables beside a cube that came from elsewhere."""
    found: dict[str, Any] = {}
    for key in ("wavelengths", "fwhm", "bad_bands"):
        if key in scene.metadata:
            found[key] = np.asarray(scene.metadata[key])
    rest = {key: value for key, value in scene.metadata.items() if key not in ("wavelengths", "fwhm", "source")}
    if rest:
        found[REST] = write_rest(rest)
    for path, values in scene.auxiliary.items():
        key = "".join(c if c.isalnum() else "_" for c in os.path.basename(path))[:31]
        if key and key[0].isalpha() and key != name and key not in found:
            found[key] = values
    return found


@contextmanager
def _create_73(path: str, scene: Scene) -> Iterator[TreeSink]:
    source = scene.source(NAME_73)
    if not source:
        raise UsageError("a MATLAB file: expected a cube of less than 2 GiB, found more: choose .h5")
    with hdf5.create(path, scene, NAME_73) as sink:
        yield sink
    header = scene.sources.get("userblock", b"")
    with open(path, "r+b") as file:
        file.write(header)
