"""Zarr 3 with nothing set: what `zarr.create_array` does by default (chunks of its choice, Zstandard level 0).

The stream is every object of the store, key and value: metadata and chunks.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import Codec, join_parts, read_varint, split_parts, varint


class ZarrDefault(Codec):
    """zarr-python over a store in memory."""

    name = "zarr-default"
    threads = "threading.max_workers of zarr"
    signed = "two's complement bytes"

    def __init__(self):
        import zarr

        self.version = f"zarr {zarr.__version__}"
        self.settings = {"zarr_format": 3, "compressors": "auto", "chunks": "auto"}

    def encode(self, cube: np.ndarray) -> bytes:
        import zarr

        store: dict = {}
        with zarr.config.set({"threading.max_workers": self.n_threads}):
            zarr.create_array(zarr.storage.MemoryStore(store), data=cube, zarr_format=3)
        items = sorted((key, value.to_bytes()) for key, value in store.items())
        return varint(2 * len(items)) + join_parts(part for key, value in items for part in (key.encode(), value))

    def decode(self, data: bytes) -> np.ndarray:
        import zarr
        from zarr.core.buffer import default_buffer_prototype

        n_parts, at = read_varint(data, 0)
        parts = split_parts(data, at, n_parts)
        make_buffer = default_buffer_prototype().buffer.from_bytes
        store = {bytes(key).decode(): make_buffer(bytes(value)) for key, value in zip(parts[::2], parts[1::2])}
        with zarr.config.set({"threading.max_workers": self.n_threads}):
            return zarr.open_array(zarr.storage.MemoryStore(store), mode="r")[...]


CODECS = {"zarr-default": ZarrDefault}
