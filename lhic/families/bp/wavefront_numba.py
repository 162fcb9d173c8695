"""PSCAM, ParamNet and the search for the symbol, fused for CPUs: one call codes one band of a group of tiles.

Computes what `wavefront` computes, from the same weights.  Arrays are skewed: indexed by diagonal, then row, then
tile, so that the positions of a diagonal (all tiles of the group) and each of their causal neighbours are contiguous
runs, and every loop over positions is a plain vector loop.  The encoder runs the same function with known symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.coder.mixture_kernels import decode_into
from lhic.families.bp.kernels import layer_norm, silu, wsilu
from lhic.families.bp.products import affine
from lhic.families.bp.wavefront import TAPS_7X7
from lhic.families.near_ties import round_as_listed
from lhic.kernels.jit import njit

_TAP_ROWS = np.array([row for row, _ in TAPS_7X7])
_TAP_SUMS = np.array([row + column for row, column in TAPS_7X7])
assert len(TAPS_7X7) % 4 == 0  # taps are taken four at a time


class SpatialWeights(NamedTuple):
    """PSCAM; L blocks stacked along axis 0."""

    input: np.ndarray  # (F, 3): NW, N, W
    input_bias: np.ndarray  # (F,)
    norm1: np.ndarray  # (L, 2, F): weight, bias
    inner: np.ndarray  # (L, F, F)
    inner_bias: np.ndarray  # (L, F)
    taps: np.ndarray  # (L, F, 28) in the order of TAPS_7X7
    taps_bias: np.ndarray  # (L, F)
    skip: np.ndarray  # (L, F, F)
    skip_bias: np.ndarray  # (L, F)
    out: np.ndarray  # (L, F, F)
    out_bias: np.ndarray  # (L, F)
    norm2: np.ndarray  # (L, 2, F)
    up: np.ndarray  # (L, 4 F, F)
    up_bias: np.ndarray  # (L, 4 F)
    down: np.ndarray  # (L, F, 4 F)
    down_bias: np.ndarray  # (L, F)


class HeadWeights(NamedTuple):
    """ParamNet behind its input layer, of which only the spatial features' part is here; B blocks."""

    spatial: np.ndarray  # (C, F)
    first: np.ndarray  # (B, C, C)
    first_bias: np.ndarray  # (B, C)
    second: np.ndarray  # (B, C, C)
    second_bias: np.ndarray  # (B, C)
    out: np.ndarray  # (3 K, C)
    out_bias: np.ndarray  # (3 K,)


class Coders(NamedTuple):
    """Decoder states of a group of T tiles, ragged arrays laid end to end; empty arrays while encoding."""

    states: np.ndarray  # int64 (T, n_lanes)
    words: np.ndarray  # uint32
    word_offsets: np.ndarray  # int64 (T + 1,)
    cursors: np.ndarray  # int64 (T, 2), as RansDecoder.cursor
    listed: np.ndarray  # int64
    parities: np.ndarray  # uint8
    list_offsets: np.ndarray  # int64 (T + 1,)
    list_cursors: np.ndarray  # int64 (T, 1)
    sample_counts: np.ndarray  # int64 (T,): samples of the plane coded so far


class Buffers(NamedTuple):
    """Skewed working memory of a group of T tiles of H x W; D = H + W - 1 diagonals."""

    units: np.ndarray  # (D + 2, (H + 1) * T): samples in [-1, 1], two diagonals and one row of padding before
    caches: np.ndarray  # (L, F, D + 6, (H + 6) * T): inputs of the masked convolutions, with padding
    base: np.ndarray  # (C, D, H * T): what plane and spectral features contribute to ParamNet's input layer


def make_buffers(n_tiles: int, height: int, width: int, n_blocks: int, n_features: int, n_params: int) -> Buffers:
    """Zeroed buffers; padding stays zero, all else is written before it is read, so bands may share them."""
    diagonals = height + width - 1
    return Buffers(
        np.zeros((diagonals + 2, (height + 1) * n_tiles)),
        np.zeros((n_blocks, n_features, diagonals + 6, (height + 6) * n_tiles)),
        np.zeros((n_params, diagonals, height * n_tiles)),
    )


@njit(nogil=True, error_model="numpy")
def skew(image, tile, n_tiles, base):
    """Copy a tile's (C, H, W) to its places in `Buffers.base`."""
    n_params, height, width = image.shape
    for c in range(n_params):
        for row in range(height):
            for column in range(width):
                base[c, row + column, row * n_tiles + tile] = image[c, row, column]


@njit(nogil=True, error_model="numpy")
def _add(x, y, n):
    for f in range(x.shape[0]):
        target, row = x[f], y[f]
        for p in range(n):
            target[p] += row[p]


@njit(nogil=True, error_model="numpy")
def _spatial_features(weights, units, caches, diagonal, first_row, n, n_tiles, x, normed, inner, mixed, wide):
    """PSCAM on one diagonal; leaves the features in x[:, :n]."""
    n_blocks, n_features = weights.inner_bias.shape
    north_west = units[diagonal, first_row * n_tiles :]
    north = units[diagonal + 1, first_row * n_tiles :]
    west = units[diagonal + 1, (first_row + 1) * n_tiles :]
    for f in range(n_features):
        w0, w1, w2 = weights.input[f, 0], weights.input[f, 1], weights.input[f, 2]
        bias = weights.input_bias[f]
        row = x[f]
        for p in range(n):
            row[p] = (bias + w0 * north_west[p]) + (w1 * north[p] + w2 * west[p])
    for block in range(n_blocks):
        layer_norm(weights.norm1[block, 0], weights.norm1[block, 1], x, normed, n)
        affine(weights.inner[block], weights.inner_bias[block], normed, inner, n)
        here = (first_row + 3) * n_tiles
        for f in range(n_features):
            caches[block, f, diagonal + 6, here : here + n] = inner[f, :n]
        for f in range(n_features):
            row, cache = mixed[f], caches[block, f]
            row[:n] = weights.taps_bias[block, f]
            w = weights.taps[block, f]
            for k in range(0, w.size, 4):
                t0 = cache[diagonal + _TAP_SUMS[k], (first_row + _TAP_ROWS[k]) * n_tiles :]
                t1 = cache[diagonal + _TAP_SUMS[k + 1], (first_row + _TAP_ROWS[k + 1]) * n_tiles :]
                t2 = cache[diagonal + _TAP_SUMS[k + 2], (first_row + _TAP_ROWS[k + 2]) * n_tiles :]
                t3 = cache[diagonal + _TAP_SUMS[k + 3], (first_row + _TAP_ROWS[k + 3]) * n_tiles :]
                w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
                for p in range(n):
                    row[p] += (w0 * t0[p] + w1 * t1[p]) + (w2 * t2[p] + w3 * t3[p])
        wsilu(mixed, n)
        affine(weights.skip[block], weights.skip_bias[block], normed, inner, n)
        for f in range(n_features):
            row, gate = mixed[f], inner[f]
            for p in range(n):
                row[p] *= gate[p]
        affine(weights.out[block], weights.out_bias[block], mixed, inner, n)
        _add(x, inner, n)
        layer_norm(weights.norm2[block, 0], weights.norm2[block, 1], x, normed, n)
        affine(weights.up[block], weights.up_bias[block], normed, wide, n)
        wsilu(wide, n)
        affine(weights.down[block], weights.down_bias[block], wide, inner, n)
        _add(x, inner, n)


@njit(nogil=True, error_model="numpy")
def _head(weights, base, x, z, a, b, parameters, n):
    """ParamNet on one diagonal; base : (C, >= n), the input layer without the spatial features."""
    affine(weights.spatial, np.zeros(weights.spatial.shape[0]), x, z, n)
    _add(z, base, n)
    for block in range(weights.first_bias.shape[0]):
        silu(z, a, n)
        affine(weights.first[block], weights.first_bias[block], a, b, n)
        silu(b, b, n)
        affine(weights.second[block], weights.second_bias[block], b, a, n)
        _add(z, a, n)
    wsilu(z, n)
    affine(weights.out, weights.out_bias, z, parameters, n)


@njit(nogil=True, error_model="numpy")
def finish_diagonal(
    parameters, grid, diagonal, heights, widths, symbols, max_symbol, precision, decoding, coders, coordinates, done
):
    """From the mixture parameters of a diagonal to its symbols; the one place where symbols are decoded.

    parameters : float64 (3 K, >= n * T), positions row by row, tiles innermost
    grid : float64 (3, 4), `quantise.grid_transform`
    heights, widths : int64 (T,), the tiles' true sizes
    symbols : int32 (T, H, W): known, padding included (encoder), or filled on this diagonal (decoder)
    coordinates : float64 (T, H * W, 3 K): grid coordinates in coding order, appended to
    done : int64 (T,), samples of this band so far

    Returns the number of a tile whose words ran out, or -1.
    """
    n_tiles, height, width = symbols.shape
    n_parameters = coordinates.shape[2]
    n_components = n_parameters // 3
    first_row, end_row = max(0, diagonal - width + 1), min(diagonal + 1, height)
    integers = np.empty((end_row - first_row, n_parameters), np.int32)
    found = np.empty(end_row - first_row, np.int32)
    for tile in range(n_tiles):
        # Rows of the diagonal's true positions: first .. end - 1.
        first, end = max(first_row, diagonal - widths[tile] + 1), min(end_row, heights[tile])
        n_coded = max(end - first, 0)
        at = done[tile]
        for m in range(n_coded):
            p = (first - first_row + m) * n_tiles + tile
            for k in range(n_parameters):
                kind = k // n_components
                value = parameters[k, p] * grid[kind, 0] + grid[kind, 1]
                if value < grid[kind, 2]:  # not min and max: NaN must stay NaN
                    value = grid[kind, 2]
                if value > grid[kind, 3]:
                    value = grid[kind, 3]
                coordinates[tile, at + m, k] = value
        done[tile] += n_coded
        if not decoding:
            continue
        if n_coded:
            begin, stop = coders.list_offsets[tile], coders.list_offsets[tile + 1]
            round_as_listed(
                coordinates[tile, at : at + n_coded].reshape(-1),
                coders.sample_counts[tile] * n_parameters,
                integers[:n_coded].reshape(-1),
                coders.listed[begin:stop],
                coders.parities[begin:stop],
                coders.list_cursors[tile],
            )
            coders.sample_counts[tile] += n_coded
            rows = integers[:n_coded]
            if not decode_into(
                rows[:, :n_components],
                rows[:, n_components : 2 * n_components],
                rows[:, 2 * n_components :],
                max_symbol + 1,
                precision,
                coders.states[tile],
                coders.words[coders.word_offsets[tile] : coders.word_offsets[tile + 1]],
                coders.cursors[tile],
                found[:n_coded],
            ):
                return tile
            for m in range(n_coded):
                symbols[tile, first + m, diagonal - first - m] = found[m]
        for row in range(first_row, end_row):
            column = diagonal - row
            if row >= heights[tile] or column >= widths[tile]:
                # Padding repeats the edge, which lies on an earlier diagonal.
                symbols[tile, row, column] = symbols[tile, min(row, heights[tile] - 1), min(column, widths[tile] - 1)]
    return -1


@njit(nogil=True, error_model="numpy")
def code_band(
    spatial, head, grid, buffers, heights, widths, symbols, max_symbol, precision, decoding, coders, coordinates
):
    """One band of a group of tiles, diagonal by diagonal; arguments as in `finish_diagonal`.

    spatial, head : SpatialWeights, HeadWeights
    buffers : Buffers, with `base` filled for this band

    Returns the number of a tile whose words ran out, or -1.
    """
    n_tiles, height, width = symbols.shape
    n_features, n_params, n_parameters = spatial.input.shape[0], head.spatial.shape[0], head.out.shape[0]
    most = min(height, width) * n_tiles
    x, normed = np.empty((n_features, most)), np.empty((n_features, most))
    inner, mixed, wide = np.empty((n_features, most)), np.empty((n_features, most)), np.empty((4 * n_features, most))
    z, a, b = np.empty((n_params, most)), np.empty((n_params, most)), np.empty((n_params, most))
    parameters = np.empty((n_parameters, most))
    done = np.zeros(n_tiles, np.int64)
    to_unit = 2.0 / max(max_symbol, 1)

    for diagonal in range(height + width - 1):
        first_row, end_row = max(0, diagonal - width + 1), min(diagonal + 1, height)
        n = (end_row - first_row) * n_tiles
        _spatial_features(
            spatial, buffers.units, buffers.caches, diagonal, first_row, n, n_tiles, x, normed, inner, mixed, wide
        )
        _head(head, buffers.base[:, diagonal, first_row * n_tiles :], x, z, a, b, parameters, n)
        starved = finish_diagonal(
            parameters,
            grid,
            diagonal,
            heights,
            widths,
            symbols,
            max_symbol,
            precision,
            decoding,
            coders,
            coordinates,
            done,
        )
        if starved >= 0:
            return starved
        for tile in range(n_tiles):
            for row in range(first_row, end_row):
                value = symbols[tile, row, diagonal - row] * to_unit - 1.0
                buffers.units[diagonal + 2, (row + 1) * n_tiles + tile] = value
    return -1
