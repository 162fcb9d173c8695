"""What the networks see: random tiles of real cubes, some of them turned into dark, noisy, striped scenes.

Every batch is a pure function of (seed, step), so a resumed run sees what an uninterrupted one would have
seen, and threads that prepare batches ahead change nothing.  Samples leave here as the codec hands them to
its networks: lifted so that none is negative, at most `max_value`.

Why the augmentation: few cubes are free to train on, and nearly all are bright land from airborne sensors.
Over water a satellite cube is noise of its own kind: independent from band to band, correlated between
neighbours by resampling, striped along slanted columns, and around zero (so that clipping piles samples up
there).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

from lhic.data import Item
from lhic.data.synthetic import smooth_field, stripe_field
from lhic.errors import DatasetError
from lhic.train.config import AugmentConfig, BatchConfig

NODATA_BELOW = -30_000  # samples below this mark missing data and say nothing about a cube's range


class CubeCache:
    """Cubes by index, the most recently used ones kept in memory. Safe to share between threads."""

    def __init__(self, items: Sequence[Item], tile_size: int, cache_mib: int):
        self._items = items
        self._tile_size = tile_size
        self._budget = cache_mib << 20
        self._cubes: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> np.ndarray:
        with self._lock:
            if index in self._cubes:
                self._cubes.move_to_end(index)
                return self._cubes[index]
        cube = self._items[index].load()
        if min(cube.shape[1:]) < self._tile_size:
            raise DatasetError(
                f"{self._items[index].path}: expected at least {self._tile_size} rows and columns to train on, "
                f"found shape {cube.shape}"
            )
        with self._lock:
            self._cubes[index] = cube
            while len(self._cubes) > 1 and sum(c.nbytes for c in self._cubes.values()) > self._budget:
                self._cubes.popitem(last=False)
        return cube


class TileSampler:
    """Batches of training tiles, each a function of its step.

    cubes : CubeCache; batch, augment : see `lhic.train.config`
    tile_size : rows and columns of a tile
    max_value : largest sample value the networks represent
    """

    def __init__(
        self,
        cubes: CubeCache,
        batch: BatchConfig,
        augment: AugmentConfig,
        tile_size: int,
        max_value: int,
        seed: int,
    ):
        self.cubes = cubes
        self.batch = batch
        self.augment = augment
        self.tile_size = tile_size
        self.max_value = max_value
        self.seed = seed

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Tiles int32 (N, S, rows, columns), 0 .. max_value, and the index (N,) of each one's first band."""
        rng = np.random.default_rng([self.seed, step])
        n_bands = int(rng.choice(self.batch.run_bands))
        n_tiles = max(1, self.batch.tile_bands // n_bands)
        cubes = [self.cubes[int(i)] for i in rng.integers(len(self.cubes), size=n_tiles)]
        n_bands = min(n_bands, *(len(cube) for cube in cubes))
        tiles, first_bands = [], []
        for cube in cubes:
            at_start = rng.random() < self.batch.first_band
            first_band = 0 if at_start else int(rng.integers(len(cube) - n_bands + 1))
            tiles.append(self._tile(rng, cube, slice(first_band, first_band + n_bands)))
            first_bands.append(first_band)
        return np.stack(tiles), np.array(first_bands)

    def _tile(self, rng: np.random.Generator, cube: np.ndarray, bands: slice) -> np.ndarray:
        size = self.tile_size
        row, column = (int(rng.integers(n - size + 1)) for n in cube.shape[1:])
        tile = cube[bands, row : row + size, column : column + size].astype(np.int32)
        if self.augment.flip:
            tile = _flip(rng, tile)
        margin = 0
        if rng.random() < self.augment.dark:
            tile, noise = _darken(rng, tile, self.augment)
            margin = int(rng.uniform(0, 2) * noise)  # the tile's minimum is not its cube's
        elif (valid_min := _valid_min(cube)) < 0:
            margin = min(0, _valid_min(tile)) - valid_min
        if rng.random() < self.augment.clipped:
            return tile.clip(0, self.max_value)
        return lift(tile, self.max_value, margin)

    def stream(self, first_step: int, workers: int) -> Generator[tuple[np.ndarray, np.ndarray]]:
        """Batches of first_step, first_step + 1, ..., prepared ahead by `workers` threads."""
        with ThreadPoolExecutor(workers) as pool:
            ahead = [pool.submit(self, first_step + i) for i in range(2 * workers)]
            step = first_step + len(ahead)
            try:
                while True:
                    batch = ahead.pop(0).result()
                    ahead.append(pool.submit(self, step))
                    step += 1
                    yield batch
            finally:
                for future in ahead:
                    future.cancel()


def lift(tile: np.ndarray, max_value: int, margin: int = 0) -> np.ndarray:
    """Samples as the networks get them: negative ones lifted above 0, then limited to 0 .. max_value.

    The codec does the same with a whole cube and sends what falls outside by another path.

    tile : integer array; margin : how much lower than here the minimum of the cube is
    """
    offset = margin - min(0, _valid_min(tile))
    return (tile + offset).clip(0, max_value).astype(np.int32)


def darken_copy(cube: np.ndarray, augment: AugmentConfig, seed: int) -> np.ndarray:
    """A dark, noisy, striped version of a cube (S, H, W), int32, signed; the same one for the same seed."""
    rng = np.random.default_rng([seed, *cube.shape])
    return _darken(rng, cube.astype(np.int32), augment)[0]


def _valid_min(cube: np.ndarray) -> int:
    low = int(cube.min())
    if low < NODATA_BELOW:
        valid = cube[cube >= NODATA_BELOW]
        low = int(valid.min()) if valid.size else 0
    return low


def _flip(rng: np.random.Generator, tile: np.ndarray) -> np.ndarray:
    """One of the eight symmetries of the square. The order of the bands is never changed."""
    vertical, horizontal, transpose = rng.integers(2, size=3)
    tile = tile[:, :: -1 if vertical else 1, :: -1 if horizontal else 1]
    return tile.swapaxes(1, 2) if transpose else tile


def _darken(rng: np.random.Generator, tile: np.ndarray, augment: AugmentConfig) -> tuple[np.ndarray, float]:
    """Gain, level, noise and stripes. Returns int32 samples, possibly negative, and the noise's sigma."""
    n_bands = len(tile)
    gain = np.exp(rng.uniform(*np.log(augment.gain)))
    sigma = float(np.exp(rng.uniform(*np.log(augment.noise))))
    # Strength and level drift along the bands and jump a little from one to the next.
    drift = np.cumsum(rng.standard_normal(n_bands)) * 0.05 + rng.standard_normal(n_bands) * 0.15
    strength = (sigma * np.exp(np.clip(drift, -1.5, 1.5))).astype(np.float32)[:, None, None]
    level = strength * (rng.uniform(-1.5, 1.0) + 0.2 * rng.standard_normal((n_bands, 1, 1)))
    noise = smooth_field(rng, tile.shape, int(rng.integers(1, 4)))
    stripes = stripe_field(rng, tile.shape, rng.uniform(-0.4, 0.4))
    field = gain * tile + level + strength * (noise + rng.uniform(0, 1) * stripes)
    return np.rint(field).astype(np.int32), sigma
