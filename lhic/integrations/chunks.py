"""A chunk of an array as one stream for each of its cubes, and back: what the codecs for Zarr and numcodecs share.

Decides which axis of a chunk is which axis of a cube, and refuses a stream of another chunk before it is decoded.
Knows neither Zarr nor numcodecs.  docs/codecs/lhic/README.md is the specification.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from lhic.api import decode, encode, inspect
from lhic.cube import check_layout
from lhic.errors import CorruptStreamError, UsageError, VerificationError
from lhic.families.family import Model
from lhic.families.registry import DEFAULT_MODEL, load_model, model_for_stream

STACK = "stack"
AXES = (STACK, "bands", "rows", "columns")
USUAL_AXES = {2: AXES[2:], 3: AXES[1:], 4: AXES}
"""Of chunks of so many axes, where nobody says which is which."""
_LOADING = Lock()
"""Many threads ask for the model at once, and one of them loads it."""


@dataclass(frozen=True)
class ChunkCoding:
    """How chunks become streams.

    model : name of the model that encodes; a stream names the one that decodes it
    axes : of a chunk in its order, each a different one of `AXES`; None for `USUAL_AXES`. An axis that is left out has
        length 1. Of a ``stack``, each item is a cube of its own
    max_error : bound of the difference of a sample, in its own unit; 0 is lossless
    nodata : sample value that means "no data", which a bound does not touch
    """

    model: str = DEFAULT_MODEL
    axes: tuple[str, ...] | None = None
    max_error: float = 0
    nodata: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise UsageError(f"lhic codec: model: expected a name, found {self.model!r:.60}")
        for key, value in (("max_error", self.max_error), ("nodata", self.nodata)):
            if value is None and key == "nodata":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(f"lhic codec: {key}: expected a finite number, found {value!r:.60}")
        if self.max_error < 0:
            raise UsageError(f"lhic codec: max_error: expected at least 0, found {self.max_error}")
        if self.axes is not None:
            object.__setattr__(self, "axes", _checked_axes(self.axes))

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, Any]) -> ChunkCoding:
        """Inverse of `configuration`; `UsageError` names a key that there is not."""
        known = cls.__dataclass_fields__
        if unknown := [key for key in configuration if key not in known]:
            raise UsageError(f"lhic codec: expected the keys {', '.join(known)}, found {unknown[0]!r:.60}")
        return cls(**configuration)

    def configuration(self) -> dict[str, Any]:
        """As JSON has it; what is None is left out."""
        found: dict[str, Any] = {"model": self.model, "axes": self.axes and list(self.axes)}
        found |= {"max_error": self.max_error, "nodata": self.nodata}
        return {key: value for key, value in found.items() if value is not None}

    def for_axes(self, n_axes: int) -> ChunkCoding:
        """The same with its axes stated.

        Raises
        ------
        UsageError
            Chunks of so many axes cannot be coded, or have not those that are stated.
        """
        if self.axes is None:
            if n_axes not in USUAL_AXES:
                raise UsageError(f"lhic codec: expected chunks of 2, 3 or 4 axes, found {n_axes}")
            return replace(self, axes=USUAL_AXES[n_axes])
        if len(self.axes) != n_axes:
            raise UsageError(f"lhic codec: axes: expected {n_axes} of them, found {', '.join(self.axes)}")
        return self

    def check(self, shape: Sequence[int], dtype: np.dtype) -> None:
        """Raises `UsageError` or `InvalidCubeError` unless chunks of this shape and dtype can be coded."""
        check_layout(self.for_axes(len(shape))._lengths(shape)[1:], dtype, "lhic codec: chunk")
        if dtype.kind in "iu" and dtype.itemsize < 8 and self.max_error != int(self.max_error):
            raise UsageError(f"lhic codec: max_error: expected a whole number for {dtype}, found {self.max_error}")

    def encode(self, chunk: np.ndarray, metadata: dict | None = None) -> bytes:
        """The streams of a chunk's cubes, one behind the other."""
        coding = self.for_axes(chunk.ndim)
        coding.check(chunk.shape, chunk.dtype)
        assert coding.axes is not None
        cubes = chunk.transpose([coding.axes.index(name) for name in AXES if name in coding.axes])
        cubes = np.ascontiguousarray(cubes).reshape(coding._lengths(chunk.shape))
        with _LOADING:
            model = load_model(self.model)
        options: dict[str, Any] = {"max_error": self.max_error} if self.max_error else {}
        return b"".join(encode(cube, model, metadata=metadata, nodata=self.nodata, **options) for cube in cubes)

    def decode(self, data: Any, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """The chunk of that shape and dtype; the streams may have the other byte order.

        Raises
        ------
        VerificationError
            They are of another chunk, or further from their samples than `max_error`; nothing was decoded.
        CorruptStreamError
            They are damaged, too few or too many.
        """
        coding = self.for_axes(len(shape))
        n_cubes, *expected = lengths = coding._lengths(shape)
        cubes = np.empty(lengths, dtype)
        number = -1
        for number, (info, stream) in enumerate(streams(data)):
            if number == n_cubes:
                break
            if info["shape"] != expected or info["dtype"] != str(dtype.newbyteorder("=")):
                found = f"{tuple(info['shape'])} of {info['dtype']}"
                raise VerificationError(f"chunk: expected a stream of {tuple(expected)} of {dtype}, found {found}")
            if info["max_error"] > self.max_error:
                found = f"a stream of samples that are off by up to {info['max_error']}"
                raise VerificationError(f"chunk: expected samples within {self.max_error} (max_error), found {found}")
            cubes[number] = decoded(info, stream)
        if number + 1 != n_cubes:
            found = "more" if number == n_cubes else str(number + 1)
            raise CorruptStreamError(f"chunk: expected {n_cubes} streams, found {found}")
        return coding.from_cubes(cubes)

    def from_cubes(self, cubes: np.ndarray) -> np.ndarray:
        """Array (stack, bands, rows, columns) with the axes of a chunk; those that it does not have must be 1 long."""
        assert self.axes is not None
        present = [name for name in AXES if name in self.axes]
        lengths = dict(zip(AXES, cubes.shape, strict=True))
        for name in AXES:
            if name not in self.axes and lengths[name] != 1:
                axes = ", ".join(self.axes)
                raise VerificationError(f"chunk: expected axes {axes}, found {lengths[name]} {name} in its stream")
        return cubes.reshape([lengths[name] for name in present]).transpose([present.index(name) for name in self.axes])

    def _lengths(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Of the axes `AXES`."""
        assert self.axes is not None
        known = dict(zip(self.axes, (int(n) for n in shape), strict=True))
        n_cubes, n_bands, n_rows, n_columns = (known.get(name, 1) for name in AXES)
        return n_cubes, n_bands, n_rows, n_columns


def streams(data: Any) -> Iterator[tuple[dict, memoryview]]:
    """What each of the streams that follow one another says of itself, and its bytes; `CorruptStreamError` if none."""
    rest = memoryview(data).cast("B")
    while True:
        info = inspect(rest)
        yield info, rest[: info["stream_bytes"]]
        rest = rest[info["stream_bytes"] :]
        if not rest:
            return


def decoded(info: dict, stream: memoryview) -> np.ndarray:
    """The cube of a stream that says this of itself."""
    with _LOADING:
        model = _model_of(info)
    return decode(stream, model=model)


def _model_of(info: dict) -> Model:
    return model_for_stream(info["model"], info["family"], bytes.fromhex(info["weights_sha256"]), "auto")


def _checked_axes(axes: object) -> tuple[str, ...]:
    names = tuple(axes) if isinstance(axes, list | tuple) else ()
    if len(names) not in USUAL_AXES or len(set(names)) != len(names) or not set(names) <= set(AXES):
        expected = f"2 to 4 different ones of {', '.join(AXES)}"
        raise UsageError(f"lhic codec: axes: expected {expected}, found {axes!r:.80}")
    return names
