"""A model before which samples become the integers that it codes: floats, 64-bit integers and booleans by a plan.

To `lhic.api` it is a model like others; its tiles have the family's sections and, where some bits are kept apart, one
section more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lhic.cube import Cube, Window
from lhic.errors import InvalidCubeError
from lhic.families.family import Encoded, Model, Work
from lhic.stream.tiles import Section
from lhic.values.find import within
from lhic.values.maps import bits_of
from lhic.values.plan import Plan, special_mask

BAND_BYTES = 96
"""Of a band's sample on the way to its integer, and back."""


class ValuesModel(Model):
    """See `lhic.families.family.Model`.

    inner : codes the integers
    plan : says which these are
    """

    def __init__(self, inner: Model, plan: Plan):
        self.inner, self.values = inner, plan
        self.name, self.family, self.weights_hash = inner.name, inner.family, inner.weights_hash
        self.config, self.device, self.samples_at_once = inner.config, inner.device, inner.samples_at_once

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        return self.inner.tile_shape(n_rows, n_columns)

    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        return self.inner.plan(CodedCube(cube, self.values), work, **options)

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        n_samples = shape[0] * shape[1] * shape[2]
        needed = self.inner.coding_bytes(shape, self.values.coded, threads)
        return needed + 3 * n_samples * dtype.itemsize + BAND_BYTES * shape[1] * shape[2]

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        """Special samples, those without data among them, are integers like others here."""
        split = [self.values.split(tile) for tile in tiles]
        decoded = [self.values.join(coded, rest, tile.dtype) for tile, (coded, rest) in zip(tiles, split, strict=True)]
        for tile, again in zip(tiles, decoded, strict=True):
            self._check(tile, again)
        coded = self.inner.encode_tiles([coded for coded, _ in split], parameters, work)
        return [
            Encoded((*own.sections, *self._rest(rest)), again)
            for own, (_, rest), again in zip(coded, split, decoded, strict=True)
        ]

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        own, rest = self._apart(sections)
        coded = self.inner.decode_tiles(shapes, self.values.coded, own, parameters, work)
        return [self.values.join(tile, low, dtype) for tile, low in zip(coded, rest, strict=True)]

    def decode_first_bands(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes | Section]],
        parameters: bytes,
        n_bands: int,
        work: Work,
    ) -> list[np.ndarray]:
        own, rest = self._apart(sections)
        coded = self.inner.decode_first_bands(shapes, self.values.coded, own, parameters, n_bands, work)
        return [self.values.join(tile, bytes(low), dtype, n_bands) for tile, low in zip(coded, rest, strict=True)]

    def compile_kernels(self) -> None:
        self.inner.compile_kernels()

    def _rest(self, rest: bytes) -> tuple[bytes, ...]:
        return (rest,) if self.values.has_rest else ()

    def _apart(self, sections: Sequence[Sequence]) -> tuple[list, list]:
        """The family's sections of each tile, and the rest section."""
        if not self.values.has_rest:
            return list(sections), [b""] * len(sections)
        return [own[:-1] for own in sections], [own[-1] for own in sections]

    def _check(self, tile: np.ndarray, again: np.ndarray) -> None:
        """Every sample once more, as it will be decoded: the plan was found from what the cube held then."""
        right = tile == again if tile.dtype.kind == "b" else bits_of(tile) == bits_of(again)
        if self.values.max_error:
            kept = special_mask(tile, self.values.special_bits)
            right |= within(tile, again, self.values.max_error) & ~kept
        if not right.all():
            raise InvalidCubeError("cube: expected the samples that were there a moment ago, found others")


class CodedCube:
    """The integers of a cube, by windows of all bands."""

    def __init__(self, cube: Cube, plan: Plan):
        self._cube, self._plan = cube, plan
        self.shape, self.dtype = cube.shape, plan.coded

    def __getitem__(self, window: Window) -> np.ndarray:
        samples = self._cube[window]
        bands = range(*window[0].indices(self.shape[0]))
        plan = replace(self._plan, maps=tuple(self._plan.maps[band] for band in bands))
        return plan.split(samples.astype(samples.dtype.newbyteorder("="), copy=False))[0]
