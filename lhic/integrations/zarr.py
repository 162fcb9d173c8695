"""The codec ``lhic`` of Zarr 3: an ``array -> bytes`` codec (``serializer``) of zarr 3.1 and newer.

Decides how Zarr's arrays, specifications and buffers become what `lhic.integrations.chunks` codes.
Source: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html, and zarr.abc.codec of zarr-python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lhic.errors import UsageError
from lhic.extras import needs
from lhic.families.registry import DEFAULT_MODEL
from lhic.integrations.chunks import ChunkCoding

with needs("zarr", "lhic.integrations.zarr"):
    from zarr.abc.codec import ArrayBytesCodec
    from zarr.registry import register_codec

NAME = "lhic"


@dataclass(frozen=True)
class LhicCodec(ArrayBytesCodec):
    """Chunks of 2, 3 or 4 axes as lhic streams.

    Any number of threads may encode and decode at a time.

    Parameters
    ----------
    model : name of the model that encodes, as ``lhic models`` lists them
    axes : which axis of a chunk is which, in its order: different ones of ``stack``, ``bands``, ``rows``, ``columns``;
        default: these, the first ones left out. The items of a stack are coded one by one
    max_error : how far a sample may be off, in its own unit; 0 is lossless
    nodata : sample value that comes back exactly, and that no other sample becomes, where ``max_error`` is given

    Raises
    ------
    UsageError, InvalidCubeError
        Such values, or such chunks, cannot be coded.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> codec = LhicCodec(model="lhic-ax-fast", axes=("rows", "columns", "bands"))
    >>> made = dict(shape=(9, 9, 6), chunks=(5, 9, 6), dtype="int16", serializer=codec, compressors=None)
    >>> array = zarr.create_array({}, **made)
    >>> array[:] = np.arange(9 * 9 * 6).reshape(9, 9, 6)
    >>> array[8, 7].tolist()
    [474, 475, 476, 477, 478, 479]
    """

    is_fixed_size = False
    coding: ChunkCoding

    def __init__(
        self,
        *,
        model: str = DEFAULT_MODEL,
        axes: Sequence[str] | None = None,
        max_error: float = 0,
        nodata: float | None = None,
    ):
        given = axes if axes is None or isinstance(axes, str) else tuple(axes)
        object.__setattr__(self, "coding", ChunkCoding(model, given, max_error, nodata))  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LhicCodec:
        configuration = data.get("configuration", {})
        if data.get("name") != NAME or not isinstance(configuration, dict):
            raise UsageError(f"lhic codec: expected the name {NAME} and an object, found {data!r:.80}")
        codec = cls()
        object.__setattr__(codec, "coding", ChunkCoding.from_configuration(configuration))
        return codec

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": self.coding.configuration()}

    def evolve_from_array_spec(self, array_spec: Any) -> LhicCodec:
        """With its axes stated, so that the metadata say them."""
        return self._with(self.coding.for_axes(len(array_spec.shape)))

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        chunk_shape = getattr(chunk_grid, "chunk_shape", None) or [1] * len(shape)
        self.coding.check(chunk_shape, dtype.to_native_dtype())

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        raise NotImplementedError("the size of a stream depends on the samples")

    def _encode_sync(self, chunk_array: Any, chunk_spec: Any) -> Any:
        samples = chunk_array.as_numpy_array()
        stream = self.coding.encode(samples.astype(samples.dtype.newbyteorder("<"), copy=False))
        return chunk_spec.prototype.buffer.from_bytes(stream)

    def _decode_sync(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        dtype = chunk_spec.dtype.to_native_dtype()
        samples = self.coding.decode(chunk_bytes.as_numpy_array(), chunk_spec.shape, dtype)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(samples)

    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)

    def _with(self, coding: ChunkCoding) -> LhicCodec:
        codec = type(self)()
        object.__setattr__(codec, "coding", coding)
        return codec


register_codec(NAME, LhicCodec)
