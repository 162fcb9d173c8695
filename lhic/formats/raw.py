"""Headerless samples whose geometry stands in the file's name, as the CCSDS community has it.

``scene-u16be-3x512x680.raw`` holds 3 bands, 512 rows and 680 columns of big-endian uint16, band by band.
"""

from __future__ import annotations

import os
import re

import numpy as np

from lhic.formats.base import NO_WISH, Scene, Wish, ordered
from lhic.formats.flat import FlatFile, FlatSink
from lhic.io.source import Source

PATTERN = re.compile(r"(?<![a-z0-9])([usif])(8|16|32|64)(be|le)?[-_](\d+)x(\d+)x(\d+)(?![\dx])", re.IGNORECASE)
SUFFIXES = (".raw", ".bin", ".dat", ".img", ".bsq")
NAME = "raw"


def geometry(path: str) -> tuple[np.dtype, tuple[int, int, int]] | None:
    """Dtype and shape that a name tells.

    >>> geometry("name-u16be-3x512x680.raw")
    (dtype('>u2'), (3, 512, 680))
    """
    found = PATTERN.findall(os.path.basename(path))
    if len(found) != 1:
        return None
    kind, bits, order, *axes = found[0]
    letter = {"u": "u", "s": "i", "i": "i", "f": "f"}[kind.lower()]
    if letter == "f" and bits == "8":
        return None
    n_bands, n_rows, n_columns = map(int, axes)
    dtype = np.dtype(f"{'>' if order.lower() == 'be' else '<'}{letter}{int(bits) // 8}")
    return dtype, (n_bands, n_rows, n_columns)


def name_of(dtype: np.dtype, shape: tuple[int, int, int]) -> str:
    """What `geometry` reads.

    >>> name_of(np.dtype(">u2"), (3, 512, 680))
    'u16be-3x512x680'
    """
    order = "" if dtype.itemsize == 1 else "be" if dtype == dtype.newbyteorder(">") else "le"
    letter = {"u": "u", "i": "s", "f": "f", "b": "u"}[dtype.kind]
    return f"{letter}{8 * dtype.itemsize}{order}-{'x'.join(map(str, shape))}"


class RawFile(FlatFile):
    """A headerless file; it must hold as many bytes as its name says."""

    format = "a headerless file whose name says its geometry"

    def __init__(self, source: Source, wish: Wish = NO_WISH):
        super().__init__(source.name)
        found = geometry(self.path)
        assert found
        dtype, shape = found
        order, _ = ordered(self, shape, ("bands", "rows", "columns"), wish, None)
        self.take(source, 0, shape, dtype, order)
        if len(source) != self.nbytes:
            raise self.refuse(f"{self.nbytes} bytes", f"{len(source)}")
        suffix = os.path.splitext(self.path)[1]
        self.metadata["source"] = {"format": NAME, "suffix": suffix}


class RawSink(FlatSink):
    def __init__(self, file, scene: Scene):
        super().__init__(file, scene.shape, scene.dtype, (0, 1, 2))
