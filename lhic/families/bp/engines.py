"""The two ways to evaluate the networks in coding order: compiled, one tile after the other, or torch, all at once.

Both fill grid coordinates band by band and, when decoding, find the symbols on the way.  They agree to far less than
`near_ties.MARGIN`, so either decodes what the other wrote.  Engines know planes, volumes and states of the coder, not
sections or cubes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lhic.coder.rans import words_ran_out
from lhic.families.bp.conditions_numba import NetWeights, TileConditions
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.order import coding_order, diagonal_rows, n_diagonals
from lhic.families.bp.partition import to_unit
from lhic.families.bp.quantise import grid_transform
from lhic.families.bp.recurrent import joined
from lhic.families.bp.wavefront import WavefrontMixture
from lhic.families.bp.wavefront_numba import Coders, code_band, finish_diagonal, make_buffers, skew


@dataclass
class PlanePass:
    """One plane (msp or lsp) of a group of T tiles on its way through an engine.

    net : which network
    symbols : int32 (T, S, H, W), full tiles; known and padded, or filled while decoding
    heights, widths : int64 (T,), true sizes
    alphabet_size, precision : of the plane
    plane : float64 (T, S, H, W) in [-1, 1], the complete msp; lsp network only
    coders : decoder states; None while encoding
    """

    net: MspNet | LspNet
    symbols: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    alphabet_size: int
    precision: int
    plane: np.ndarray | None = None
    coders: Coders | None = None

    def unit_band(self, band: int) -> np.ndarray:
        """(T, H, W) in [-1, 1]"""
        return to_unit(self.symbols[:, band].astype(np.float64), self.alphabet_size - 1)

    def check_words(self, tile: int) -> None:
        if tile >= 0:
            assert self.coders is not None, "only decoding takes words"
            raise words_ran_out(int(self.coders.sample_counts[tile]))

    @property
    def coordinates_shape(self) -> tuple[int, int, int]:
        t, _, h, w = self.symbols.shape
        return t, h * w, 3 * self.net.config.num_mixture


OnBand = Callable[[int, np.ndarray], None]
"""Called after each band with its number and its grid coordinates (T, H * W, 3 K) in coding order."""


class CompiledEngine:
    """CPU; the same bits on every processor (see `kernels`)."""

    max_tiles = 8  # per pass: enough for long vector loops, few enough for the caches

    def __init__(self, msp: MspNet, lsp: LspNet):
        self._weights = {id(net): NetWeights(net) for net in (msp, lsp)}

    def run(self, work: PlanePass, on_band: OnBand) -> None:
        weights = self._weights[id(work.net)]
        n_tiles, n_bands, height, width = work.symbols.shape
        conditions = [
            TileConditions(weights, height, width, None if work.plane is None else work.plane[tile])
            for tile in range(n_tiles)
        ]
        n_features, n_params = len(weights.spatial.input), len(weights.heads[0].spatial)
        buffers = make_buffers(n_tiles, height, width, len(weights.spatial.norm1), n_features, n_params)
        grid, coordinates = grid_transform(work.alphabet_size), np.empty(work.coordinates_shape)
        decoding = work.coders is not None
        for band in range(n_bands):
            previous = work.unit_band(band - 1) if band else None
            for tile in range(n_tiles):
                skew(conditions[tile].next(None if previous is None else previous[tile]), tile, n_tiles, buffers.base)
            symbols = np.ascontiguousarray(work.symbols[:, band])
            starved = code_band(
                weights.spatial,
                conditions[0].head(),
                grid,
                buffers,
                work.heights,
                work.widths,
                symbols,
                work.alphabet_size - 1,
                work.precision,
                decoding,
                work.coders if decoding else no_coders(n_tiles),
                coordinates,
            )
            work.check_words(starved)
            work.symbols[:, band] = symbols
            on_band(band, coordinates)


class TorchEngine:
    """Any torch device; all tiles of the group in one batch."""

    max_tiles = 64  # per pass; bounds the memory of self-attention

    def __init__(self, device: torch.device):
        self.device = device

    @torch.inference_mode()
    def run(self, work: PlanePass, on_band: OnBand) -> None:
        n_tiles, n_bands, height, width = work.symbols.shape
        plane = None if work.plane is None else torch.from_numpy(work.plane).to(self.device)
        mixture = WavefrontMixture(work.net, (n_tiles, height, width), plane)
        coordinates = np.empty(work.coordinates_shape)
        for band in range(n_bands):
            previous = torch.from_numpy(work.unit_band(band - 1)).to(self.device) if band else None
            mixture.start_band(previous)
            if work.coders is None:
                self._whole_band(work, mixture, band, coordinates)
            else:
                self._diagonals(work, mixture, band, coordinates)
            on_band(band, coordinates)

    def _whole_band(self, work: PlanePass, mixture: WavefrontMixture, band: int, coordinates: np.ndarray) -> None:
        """Encoder: all positions at once."""
        n_tiles, width = work.symbols.shape[0], work.symbols.shape[3]
        unit = torch.from_numpy(work.unit_band(band)).to(self.device)
        plane, spectral = mixture.features
        spatial = work.net.spatial_net(unit[:, None]).flatten(2)
        parameters = mixture.conditions.head()(joined(plane, spatial, spectral)[..., None])[..., 0].cpu().numpy()
        factor, offset, low, high = np.repeat(grid_transform(work.alphabet_size), parameters.shape[1] // 3, axis=0).T
        for tile in range(n_tiles):
            rows, columns = coding_order(work.heights[tile], work.widths[tile])
            values = parameters[tile].T[rows * width + columns] * factor + offset
            coordinates[tile, : len(rows)] = np.clip(values, low, high)

    def _diagonals(self, work: PlanePass, mixture: WavefrontMixture, band: int, coordinates: np.ndarray) -> None:
        """Decoder: one diagonal after the other."""
        n_tiles, height, width = work.symbols.shape[0], *work.symbols.shape[2:]
        grid, done = grid_transform(work.alphabet_size), np.zeros(n_tiles, np.int64)
        symbols = np.ascontiguousarray(work.symbols[:, band])
        flat = symbols.reshape(n_tiles, -1)
        for diagonal in range(n_diagonals(height, width)):
            parameters = mixture.parameters(diagonal).permute(2, 1, 0).flatten(1)  # (3 K, n * T)
            starved = finish_diagonal(
                np.ascontiguousarray(parameters.cpu().numpy()),
                grid,
                diagonal,
                work.heights,
                work.widths,
                symbols,
                work.alphabet_size - 1,
                work.precision,
                True,
                work.coders,
                coordinates,
                done,
            )
            work.check_words(starved)
            rows = np.arange(*diagonal_rows(diagonal, height, width))
            found = flat[:, rows * width + diagonal - rows].astype(np.float64)
            unit = torch.from_numpy(to_unit(found, work.alphabet_size - 1)).to(self.device)
            mixture.pscam.put(diagonal, unit)
        work.symbols[:, band] = symbols


def no_coders(n_tiles: int) -> Coders:
    """What `code_band` is given while encoding."""
    zeros = np.zeros
    return Coders(
        zeros((n_tiles, 1), np.int64),
        zeros(0, np.uint32),
        zeros(n_tiles + 1, np.int64),
        zeros((n_tiles, 2), np.int64),
        zeros(0, np.int64),
        zeros(0, np.uint8),
        zeros(n_tiles + 1, np.int64),
        zeros((n_tiles, 1), np.int64),
        zeros(n_tiles, np.int64),
    )
