"""Chunks to be coded: hypothesis strategies and scenes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

DTYPES = "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64", "bool"
FAST = "lhic-ax-turbo"
AXES = ("stack", "bands", "rows", "columns")


def scene(*shape: int, dtype: str = "int16") -> np.ndarray:
    """Smooth along each axis, with some noise."""
    places = np.indices(shape)
    noise = np.random.default_rng(sum(shape)).integers(0, 5, shape)
    return (sum((axis + 2) * place for axis, place in enumerate(places)) + noise).astype(dtype)


def samples(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Any bits: of floats also NaN, infinities and negative zero; of many samples the same."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if kind.kind == "f":
        values = rng.integers(-500, 500, shape).astype(dtype) / kind.type(rng.choice([1, 8, 10]))
        return np.where(rng.random(shape) < 0.05, rng.choice([np.nan, np.inf, -np.inf, -0.0], shape), values).astype(
            dtype
        )
    limits = np.iinfo(kind)
    values = rng.integers(0, 90, shape).astype(kind)
    return np.where(rng.random(shape) < 0.1, rng.choice(np.array([limits.min, limits.max], kind), shape), values)


@st.composite
def arrays(draw, byte_orders: str = "="):
    """An array of 2 to 4 axes, names of its axes, and a chunk's shape."""
    n_axes = draw(st.integers(2, 4))
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=n_axes, max_size=n_axes)))
    chunks = tuple(draw(st.integers(1, n)) if draw(st.booleans()) else max(n // 2, 1) for n in shape)
    dtype = draw(st.sampled_from(DTYPES))
    axes = draw(st.none() | st.permutations(AXES).map(lambda names: tuple(names[:n_axes])))
    array = samples(shape, dtype, draw(st.integers(0, 99)))
    return array.astype(array.dtype.newbyteorder(draw(st.sampled_from(byte_orders)))), axes, chunks


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Also of the NaN."""
    native = one.dtype.newbyteorder("=")
    parts = [np.ascontiguousarray(array.astype(native, copy=False)).tobytes() for array in (one, other)]
    return one.shape == other.shape and native == other.dtype.newbyteorder("=") and parts[0] == parts[1]
