"""Codecs of the explorer, and what is remembered of their work: each cube is coded once by each codec."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from lhic import ccsds123, extensions
from lhic.api import encode, inspect
from lhic.errors import BackendError, ForeignStreamError, InvalidCubeError
from lhic.explore.views import Bits
from lhic.families.family import Model
from lhic.families.raw import RawModel
from lhic.families.registry import list_models, load_model

GROUP = "lhic.explore"
"""Entry points of packages that offer codecs: each a call that returns them by name, as `own_codecs` does."""
BLOCK = 16  # rows and columns of the blocks of codecs that do not say what a sample costs
MAX_REMEMBERED = 1 << 30  # bytes


class Codec(Protocol):
    """What the explorer needs of a codec.  One that can tell also has `bit_costs`, as `ModelCodec`."""

    name: str

    def refuses(self, cube: np.ndarray) -> str | None:
        """Why it cannot code a cube, or None."""

    def encode(self, cube: np.ndarray) -> bytes:
        """A cube's stream."""


class ModelCodec:
    """A model of lhic."""

    def __init__(self, name: str):
        self.name = name

    def refuses(self, cube: np.ndarray) -> str | None:
        return None

    def encode(self, cube: np.ndarray) -> bytes:
        return encode(cube, self._model())

    def bit_costs(self, cube: np.ndarray, stream: bytes) -> np.ndarray | None:
        """Bits of each sample (S, H, W) in the stream of a cube, or None if the codec cannot tell."""
        if inspect(stream)["family"] == RawModel.family:
            return np.full(cube.shape, 8.0 * cube.dtype.itemsize)
        model = self._model()
        return model.bit_costs(cube).sum(axis=0) if hasattr(model, "bit_costs") else None

    def _model(self) -> Model:
        return load_model(self.name)


class StandardCodec:
    """CCSDS-123.0-B-2, predicting from three bands."""

    name = "ccsds123-p3"

    def refuses(self, cube: np.ndarray) -> str | None:
        return None

    def encode(self, cube: np.ndarray) -> bytes:
        try:
            return ccsds123.encode(cube, prediction_bands=3)
        except ccsds123.Ccsds123Error as error:
            raise InvalidCubeError(f"{self.name}: {error}") from error

    def bit_costs(self, cube: np.ndarray, stream: bytes) -> np.ndarray | None:
        """As `ModelCodec.bit_costs`."""
        return ccsds123.bit_costs(stream)


def own_codecs() -> dict[str, Callable[[], Codec]]:
    """Codecs of this package: name to a call that makes one.  Every model found, and the standard."""
    models = {entry.name: lambda name=entry.name: ModelCodec(name) for entry in list_models()}
    return {**models, StandardCodec.name: StandardCodec}


def all_codecs() -> dict[str, Callable[[], Codec]]:
    """Those of this package and those that installed ones offer, sorted by name.

    Raises
    ------
    BackendError, UsageError
        A package that offers codecs is broken.
    """
    found: dict[str, Callable[[], Codec]] = {}
    for extension in [each for each in extensions.find(GROUP).values() if each.is_there()]:
        offered = extension.call()
        if not isinstance(offered, Mapping):
            raise BackendError(f"{GROUP}: {extension.name}: expected codecs by name, found {offered!r:.60}")
        found |= offered
    return dict(sorted({**found, **own_codecs()}.items()))


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What one codec makes of one cube.

    sections : name to bytes of the stream's parts, in their order; they add up to the stream
    seconds : that encoding took
    bits : None until they are known
    """

    codec: str
    stream: bytes
    sections: dict[str, int]
    n_samples: int
    seconds: float
    bits: Bits | None = None

    @property
    def bits_per_sample(self) -> float:
        return 8 * len(self.stream) / self.n_samples

    @property
    def suffix(self) -> str:
        """Of a file with the stream."""
        return ".bin" if FOREIGN in self.sections else ".lhic"

    @property
    def n_bytes(self) -> int:
        arrays = () if self.bits is None else (self.bits.costs, self.bits.blocks)
        return len(self.stream) + sum(array.nbytes for array in arrays if array is not None)


FOREIGN = "stream (its parts are known to the codec only)"


def sections_of(stream: bytes) -> dict[str, int]:
    """Parts of a stream and their bytes; a stream that is not lhic's is one part."""
    try:
        about = inspect(stream)
    except ForeignStreamError:
        return {FOREIGN: len(stream)}
    sizes = [sum(column) for column in zip(*about["tiles"], strict=True)]
    parts = dict(zip(about["section_names"], sizes, strict=True))
    return {"header and trailer": len(stream) - sum(sizes), **parts}


def coded(codec: Codec, cube: np.ndarray) -> Result:
    """A cube's stream, without its bits by place.

    Raises
    ------
    InvalidCubeError
        The codec refuses the cube.
    """
    reason = codec.refuses(cube)
    if reason:
        raise InvalidCubeError(f"{codec.name}: {reason}")
    codec.encode(np.ascontiguousarray(cube[:, :8, :8]))  # loads and compiles what it needs, which is not timed
    started = time.perf_counter()
    stream = codec.encode(cube)
    return Result(codec.name, stream, sections_of(stream), cube.size, time.perf_counter() - started)


def bits_of(codec: Codec, cube: np.ndarray, stream: bytes, block: int = BLOCK) -> Bits:
    """What each sample costs; for a codec that cannot tell, what blocks of pixels take that are coded alone."""
    costs = codec.bit_costs(cube, stream) if hasattr(codec, "bit_costs") else None
    if costs is not None:
        return Bits(np.asarray(costs, np.float32))
    return Bits(None, block_costs(codec, cube, block), block)


def block_costs(codec: Codec, cube: np.ndarray, block: int) -> np.ndarray:
    """Bits per sample of each block when it is coded as a cube of its own, headers included, float (H, W).

    A block that the codec refuses is NaN.
    """
    found = np.full(cube.shape[1:], np.nan)
    for row in range(0, cube.shape[1], block):
        for column in range(0, cube.shape[2], block):
            window = np.s_[row : row + block, column : column + block]
            part = np.ascontiguousarray(cube[:, *window])
            if not codec.refuses(part):
                found[window] = 8 * len(codec.encode(part)) / part.size
    return found


def digest(cube: np.ndarray) -> bytes:
    """Of shape, dtype and samples."""
    about = hashlib.sha256(f"{cube.dtype.str} {cube.shape}".encode())
    about.update(np.ascontiguousarray(cube).data)
    return about.digest()


class Results:
    """Results by cube and codec, the least recently used of which are forgotten; any thread may ask."""

    def __init__(self, max_bytes: int = MAX_REMEMBERED):
        self._max_bytes = max_bytes
        self._found: OrderedDict[tuple[bytes, str], Result] = OrderedDict()
        self._lock = Lock()

    def get(self, cube: bytes, codec: str) -> Result | None:
        """cube : its `digest`"""
        with self._lock:
            if (cube, codec) in self._found:
                self._found.move_to_end((cube, codec))
            return self._found.get((cube, codec))

    def put(self, cube: bytes, result: Result) -> None:
        with self._lock:
            self._found[cube, result.codec] = result
            self._found.move_to_end((cube, result.codec))
            while len(self._found) > 1 and sum(each.n_bytes for each in self._found.values()) > self._max_bytes:
                self._found.popitem(last=False)
