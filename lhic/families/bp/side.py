"""The escapes of a tile: samples the networks cannot represent.

A sequence of varints (docs/format.md, section 1).  Nothing here knows about networks; damaged bytes raise
`CorruptStreamError`, and nothing is allocated that the section's own length does not bound.
Format v1: docs/format_lhic_bp.md, section 6.
"""

from __future__ import annotations

import numpy as np

from lhic.errors import CorruptStreamError
from lhic.stream.packed import read_code, write_code
from lhic.stream.varint import MAX_VARINT_BYTES, pack_varints, unpack_varints, unzigzag, zigzag

PLAIN, CODED = b"\x00", b"\x01"
"""First byte of an escape section."""


def write_escapes(differences: np.ndarray) -> bytes:
    """Section of a tile from what the clamped samples lack.

    differences : int64 (S, h, w), sample minus clamped sample, 0 almost everywhere
    Runs of equal differences along band, row, column: gap since the last run, length - 1, zigzag of the difference.
    Coded where that helps, as it does for scenes much of which is out of range.
    """
    flat = differences.reshape(-1)
    (edges,) = np.nonzero(np.diff(flat, prepend=0, append=0))
    if not edges.size:
        return b""
    begins, ends = edges[:-1], edges[1:]
    keep = flat[begins] != 0
    begins, ends = begins[keep], ends[keep]
    gaps = begins - np.concatenate([[0], ends[:-1]])
    plain = pack_varints(np.stack([gaps, ends - begins - 1, zigzag(flat[begins])], axis=1).reshape(-1))
    code = write_code(plain)
    return PLAIN + plain if code is None else CODED + code


def read_escapes(data: bytes, shape: tuple[int, int, int], what: str) -> np.ndarray | None:
    """Inverse of `write_escapes`: int64 differences, or None for none at all."""
    if not data:
        return None
    n_samples = shape[0] * shape[1] * shape[2]
    kind, runs = data[:1], data[1:]
    if kind not in (PLAIN, CODED):
        raise CorruptStreamError(f"{what}: expected a first byte of 0 or 1, found {kind[0]}")
    if kind == CODED:
        runs = read_code(runs, what, n_samples * 3 * MAX_VARINT_BYTES)
    values = unpack_varints(runs, what)
    if not values.size or values.size % 3:
        raise CorruptStreamError(f"{what}: expected three numbers a run, found {values.size} numbers")
    gaps, lengths, signed = values.reshape(-1, 3).T
    too_far = max(gaps.max(), lengths.max()) >= n_samples
    if too_far or gaps.sum(dtype=object) + lengths.sum(dtype=object) + lengths.size > n_samples:
        raise CorruptStreamError(f"{what}: expected runs within {n_samples} samples, found longer ones")
    differences = unzigzag(signed)
    if signed.max() >= 1 << 34 or not differences.all():
        raise CorruptStreamError(f"{what}: expected differences of 32-bit samples other than 0, found another")
    lengths = lengths + 1
    steps = np.stack([gaps, lengths], axis=1).reshape(-1)
    filled = np.repeat(np.stack([np.zeros_like(differences), differences], axis=1).reshape(-1), steps)
    flat = np.zeros(n_samples, np.int64)
    flat[: filled.size] = filled
    return flat.reshape(shape)
