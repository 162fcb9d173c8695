"""How much of a cube is coded at a time, to stay within the memory budget however large the cube is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lhic.families.family import Model
from lhic.io.memory import check_memory, memory_budget
from lhic.stream.grid import Tile

SAMPLES_AT_ONCE = 1 << 24
BYTES_PER_SAMPLE = 128
"""Of families that do not say."""
COPIES = 3
"""Of a sample in its own dtype: the tile, what is converted or reconstructed of it, and its sections."""
INDEX_BYTES = 400
"""Of a tile in the index."""


def samples_at_once(
    model: Model,
    dtype: np.dtype,
    least: tuple[int, int, int],
    n_tiles: int,
    what: str,
    budget: int | None = None,
    held: int = 0,
) -> int:
    """Samples that may be coded together.

    Parameters
    ----------
    least : bands, rows and columns that cannot be coded in parts
    n_tiles : of the cube
    what : name of the input, for the message
    budget : bytes; default: `memory_budget`
    held : bytes that are in memory besides

    Raises
    ------
    MemoryBudgetError
        Fewer than those of `least` fit.
    """
    budget = memory_budget() if budget is None else budget
    held += INDEX_BYTES * n_tiles
    bytes_per_sample = getattr(model, "bytes_per_sample", BYTES_PER_SAMPLE) + COPIES * dtype.itemsize
    n_samples = least[0] * least[1] * least[2]
    holds = f"a tile of {least[0]} x {least[1]} x {least[2]} {dtype.newbyteorder('=')}"
    check_memory(held + n_samples * bytes_per_sample, what, holds, budget)
    return max(min(getattr(model, "samples_at_once", SAMPLES_AT_ONCE), (budget - held) // bytes_per_sample), n_samples)


def batches(tiles: Iterable[Tile], n_bands: int, limit: int) -> Iterator[list[Tile]]:
    """Consecutive tiles of at most `limit` samples, but one at least."""
    batch, total = [], 0
    for tile in tiles:
        size = n_bands * tile.n_rows * tile.n_columns
        if batch and total + size > limit:
            yield batch
            batch, total = [], 0
        batch.append(tile)
        total += size
    if batch:
        yield batch
