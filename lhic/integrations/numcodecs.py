"""The codec ``lhic`` of numcodecs: a compressor of Zarr format 2, and of everything else that takes numcodecs.

numcodecs tells a decoder neither shape nor dtype nor order: they are those of the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lhic.errors import VerificationError
from lhic.extras import needs
from lhic.families.registry import DEFAULT_MODEL
from lhic.integrations.chunks import ChunkCoding, decoded, streams

with needs("zarr", "lhic.integrations.numcodecs"):
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_bytes, ensure_ndarray, ndarray_copy
    from numcodecs.registry import register_codec

FORTRAN = {"extra": {"order": "F"}}
"""Metadata of the streams of an array in Fortran order: what is decoded has to lie in memory as what was encoded."""


class Lhic(Codec):
    """Arrays of 2, 3 or 4 axes as lhic streams.

    Any number of threads may encode and decode at a time.

    Parameters
    ----------
    model, axes, max_error, nodata : as `lhic.integrations.zarr.LhicCodec` takes them

    Raises
    ------
    UsageError, InvalidCubeError
        Such values, or such arrays, cannot be coded.

    Examples
    --------
    >>> import numcodecs, numpy as np
    >>> codec = numcodecs.get_codec({"id": "lhic", "model": "lhic-ax-fast"})
    >>> cube = np.arange(6 * 9 * 8, dtype="int16").reshape(6, 9, 8)
    >>> bool((codec.decode(codec.encode(cube)) == cube).all())
    True
    """

    codec_id = "lhic"

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        axes: Sequence[str] | None = None,
        max_error: float = 0,
        nodata: float | None = None,
    ):
        self._coding = ChunkCoding(model, axes, max_error, nodata)  # type: ignore[arg-type]

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, **self._coding.configuration()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Lhic:
        codec = cls()
        codec._coding = ChunkCoding.from_configuration(config)
        return codec

    def encode(self, buf: Any) -> bytes:
        """The streams of an array, one for each item of a stack."""
        array = ensure_ndarray(buf)
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        return self._coding.encode(array, FORTRAN if is_fortran else None)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The array that was encoded; without `axes`, one of 2 axes comes back with a band before them.

        out : takes the samples, as they lie in memory; of their size
        """
        found = list(streams(ensure_bytes(buf)))
        (first, _) = found[0]
        for info, _ in found[1:]:
            if (info["shape"], info["dtype"]) != (first["shape"], first["dtype"]):
                expected, other = ((tuple(one["shape"]), one["dtype"]) for one in (first, info))
                raise VerificationError(f"chunk: expected streams of {expected} as the first one, found {other}")
        if out is not None:
            n_bytes = len(found) * int(np.prod(first["shape"])) * np.dtype(first["dtype"]).itemsize
            wanted = ensure_ndarray(out).dtype
            if wanted.itemsize > 1 and wanted.newbyteorder("=") != np.dtype(first["dtype"]).newbyteorder("="):
                raise VerificationError(f"out: expected an array of {first['dtype']}, found one of {wanted}")
            if ensure_ndarray(out).nbytes != n_bytes:
                raise VerificationError(f"out: expected {n_bytes} bytes, found {ensure_ndarray(out).nbytes}")
        decoded_cubes = [decoded(info, stream) for info, stream in found]
        cubes = np.stack(decoded_cubes, dtype=decoded_cubes[0].dtype)  # the byte order, too, is the one that came in
        if self._coding.axes is not None:
            array = self._coding.from_cubes(cubes)
        else:
            array = cubes if len(cubes) > 1 else cubes[0]
        is_fortran = first["metadata"].get("extra", {}).get("order") == "F"
        array = np.asfortranarray(array) if is_fortran else np.ascontiguousarray(array)
        return array if out is None else ndarray_copy(array, out)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self._coding.configuration().items())
        return f"{type(self).__name__}({settings})"


register_codec(Lhic)
