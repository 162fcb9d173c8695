"""``.npy``: what ``numpy.save`` writes, and nothing of it unpickled.  It does not say which axis is which."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from lhic.cube import n_bytes_of
from lhic.errors import InvalidCubeError
from lhic.formats import axes
from lhic.formats.base import NO_WISH, Scene, Wish, ordered
from lhic.formats.flat import FlatFile, FlatSink
from lhic.io.source import Source

HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,  # differs in names of fields, which no cube has
}
MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 1 << 14  # numpy reads up to 10,000 characters
MAX_CUBE_BYTES = 2**63 - 1
SUFFIXES = (".npy",)
NAME = "npy"


class NpyFile(FlatFile):
    """A cube in a ``.npy`` file.  Bytes behind the samples do not matter.

    source : the file; standard input and pipes as well

    Raises
    ------
    InvalidCubeError
        It is not a complete ``.npy`` file, or not a cube.
    """

    format = "a .npy file"

    def __init__(self, source: Source, wish: Wish = NO_WISH):
        super().__init__(source.name)
        shape, is_fortran, dtype, begin = self._read_header(source)
        if len(shape) > 3 and wish.axes is None:  # what comes back has three
            found = f"{len(shape)} in shape {shape}: with {axes.AXES}, those of length 1 are left out"
            raise self.refuse("3 axes (bands, rows, columns)", found)
        order, stated = ordered(self, shape, None, wish, (0, 1, 2))
        kept = tuple(axis for axis in order if axis >= 0)
        lengths = tuple(n for n, axis in zip(shape, order, strict=True) if axis >= 0)
        self.order = kept
        self.take(source, begin, *((lengths[::-1], dtype, kept[::-1]) if is_fortran else (lengths, dtype, kept)))
        self.axes_stated = stated
        if kept != (0, 1, 2):
            self.metadata["source"] = {"format": NAME, "axes": axes.named(kept)}

    def _read_header(self, source: Source) -> tuple[tuple[int, ...], bool, np.dtype, int]:
        """Shape, whether in Fortran order, dtype, and where the samples begin."""
        file = io.BytesIO(source[:MAX_HEADER_BYTES])
        try:
            shape, is_fortran, dtype = HEADER_READERS[npy_format.read_magic(file)](file)
        except Exception as error:  # numpy lets through whatever Python's parser raises
            raise InvalidCubeError(f"{self.path}: expected a .npy file, found another or damaged header") from error
        if not all(type(n) is int and n >= 0 for n in shape) or n_bytes_of(shape, dtype) > MAX_CUBE_BYTES:
            raise InvalidCubeError(f"{self.path}: expected a .npy file, found a header with shape {shape}")
        return shape, is_fortran, dtype, file.tell()


class NpySink(FlatSink):
    """Takes windows of a cube; the file is then what ``np.save`` writes.

    file : just opened for writing
    """

    def __init__(self, file: BinaryIO, scene: Scene):
        stated = scene.source(NAME).get("axes", "bsq")
        order = axes.parse(stated, (2, 2, 2), "the source")
        shape = tuple(scene.shape[axis] for axis in order)
        described = {"descr": npy_format.dtype_to_descr(scene.dtype), "fortran_order": False, "shape": shape}
        npy_format.write_array_header_1_0(file, described)
        super().__init__(file, scene.shape, scene.dtype, order)
