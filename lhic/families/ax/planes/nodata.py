"""Pixels without data: found without being told, kept out of the coded planes, stored as a mask.

A pixel has no data if its samples are the same value in all bands that vary.  Whether leaving such pixels out
saves more than the mask costs is decided by `find_nodata`, unless the value is told to it.  Nodata in some bands of a
pixel only is not seen here but as an isolated level (`bands`).  Format v1: docs/format_lhic_ax_side.md, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lhic.stream.packed import write_packed

MIN_GAP = 16
BITS_A_SAMPLE = 0.05
BITS_A_BORDER = 6
"""What samples without data cost if they are coded: next to nothing within an area, a surprise where a row enters or
leaves one."""


def is_isolated(gap: int, span: int) -> bool:
    """Whether an extreme level means something else than the others.

    gap : distance to the next level; span : of all levels but this one
    """
    return gap > max(span, MIN_GAP)


def find_nodata(bands: Sequence[np.ndarray], known: int | None = None) -> tuple[np.ndarray | None, int]:
    """Pixels without data.

    bands : integers (h, w) each, those bands of a tile that vary
    known : a value to look for first, whatever the mask costs
    Returns a bool array (h, w), or None if all have data; and the value of those pixels in all the bands.
    """
    none = None, 0
    if not len(bands):
        return none
    if known is not None and (mask := _where_all(bands, known)) is not None:
        return mask, known
    if len(bands) == 1:
        extreme = _isolated_extreme(bands[0])
        if extreme is None:
            return none
        value, mask = extreme, bands[0] == extreme
    else:
        mask = _where_all(bands[1:], bands[0])
        if mask is None:
            return none
        values, counts = np.unique(bands[0][mask], return_counts=True)
        value = int(values[counts.argmax()])
        mask &= bands[0] == value
    n_borders = np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    saved = len(bands) * (BITS_A_SAMPLE * np.count_nonzero(mask) + BITS_A_BORDER * n_borders)
    return (mask, value) if 8 * len(write_mask(mask)) < saved else none


def _where_all(bands: Sequence[np.ndarray], wanted: np.ndarray | int) -> np.ndarray | None:
    """Pixels that are as wanted in all bands; None if there are none."""
    mask = bands[0] == wanted
    for band in bands[1:]:
        if not mask.any():
            return None
        mask &= band == wanted
    return mask if mask.any() else None


def _isolated_extreme(band: np.ndarray) -> int | None:
    levels = np.unique(band).astype(np.int64)
    if is_isolated(int(levels[1] - levels[0]), int(levels[-1] - levels[1])):
        return int(levels[0])
    if is_isolated(int(levels[-1] - levels[-2]), int(levels[-2] - levels[0])):
        return int(levels[-1])
    return None


def write_mask(mask: np.ndarray) -> bytes:
    """Part of the side section; one byte for an empty mask.

    Each row is compared with the one above it, so that straight and slanted borders become regular.
    """
    if not mask.any():
        return write_packed(b"")
    changed = mask.copy()
    changed[1:] ^= mask[:-1]
    return write_packed(np.packbits(changed).tobytes(), [0, -(-mask.shape[1] // 8)])


def read_mask(plain: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Inverse of `write_mask`, once unpacked: bool (h, w); plain : empty, or of the mask's size in whole bytes."""
    if not plain:
        return np.zeros(shape, bool)
    changed = np.unpackbits(np.frombuffer(plain, np.uint8), count=shape[0] * shape[1]).reshape(shape)
    return np.logical_xor.accumulate(changed.astype(bool), axis=0)
