"""The sample-adaptive entropy coder of CCSDS 123.0-B-2, 5.4.3.2, compiled.

Both directions walk the samples in the order of the body.  Band-sequential order is band-interleaved order of an
image of one row, `n_rows * n_columns` columns and M = 1, so one loop nest serves all orders.

No code word is longer than 64 bits (U_max + D at most, or U_max + 1 + k), so the decoder looks at one 64-bit window
per sample and counts its leading zeros, and the encoder appends to a 64-bit word.
"""

from __future__ import annotations

import numpy as np

from lhic.ccsds123.errors import StreamError, TruncatedError
from lhic.ccsds123.machine import append, leading_zeros, to_words, window, words_to_bytes
from lhic.ccsds123.parameters import Parameters
from lhic.ccsds123.predictor_kernels import index_dtype
from lhic.kernels.jit import njit


def encode_sample_adaptive(indices: np.ndarray, p: Parameters) -> tuple[bytes, int]:
    """Body of an image from its indices (N_Z, N_Y * N_X), its last byte filled with zeros; and its bits."""
    n_words = ((p.n_samples * (p.unary_length_limit + p.dynamic_range)) >> 6) + 2
    words = np.empty(n_words, np.uint64)  # pages never written are never mapped
    n_bits = _encode(indices, words, *loop_nest(p), *_constants(p), _initial_statistics(p))
    return words_to_bytes(words, n_bits), n_bits


def decode_sample_adaptive(body: bytes, p: Parameters) -> np.ndarray:
    """Indices (N_Z, N_Y * N_X) of a body.

    Raises
    ------
    StreamError
        Code words beyond the end (TruncatedError), an index of more than D bits, or more than fill bits left.
    """
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), index_dtype(p))
    n_bits = 8 * len(body)
    end = _decode(to_words(body), n_bits, indices, *loop_nest(p), *_constants(p), _initial_statistics(p))
    if end == TOO_SHORT:
        raise TruncatedError(f"body: expected more code words, found its end after {n_bits} bits")
    if end == TOO_LARGE:
        raise StreamError(f"body: found a mapped quantizer index of more than {p.dynamic_range} bits")
    check_fill(body, end, p)
    return indices


def sample_adaptive_lengths(indices: np.ndarray, p: Parameters) -> np.ndarray:
    """Bits of each code word, uint8 (N_Z, N_Y * N_X)."""
    lengths = np.empty(indices.shape, np.uint8)
    _lengths(indices, lengths, *loop_nest(p), *_constants(p), _initial_statistics(p))
    return lengths


def check_fill(body: bytes, end: int, p: Parameters) -> None:
    """What follows bit `end` must be zeros, less than one output word of them."""
    left = 8 * len(body) - end
    if left >= 8 * p.output_word_bytes:
        raise StreamError(f"body: expected its end at bit {end}, found {left} more bits")
    if int.from_bytes(body[end // 8 :], "big") & ((1 << left) - 1):
        raise StreamError(f"body: expected zeros after bit {end}, found others")


def loop_nest(p: Parameters) -> tuple[int, int, int]:
    """Rows, columns and interleaving depth of the loops that walk the samples in the order of the body."""
    if p.order == "bsq":
        return 1, p.n_rows * p.n_columns, 1
    return p.n_rows, p.n_columns, p.interleaving_depth


TOO_SHORT, TOO_LARGE = -1, -2


def _constants(p: Parameters) -> tuple[int, int, int, int]:
    return p.dynamic_range, p.unary_length_limit, 1 << p.initial_count_exponent, (1 << p.rescaling_counter_size) - 1


def _initial_statistics(p: Parameters) -> np.ndarray:
    """Sigma_z(1), int64 array (N_Z,)."""
    k = np.array(p.per_band(p.accumulator_init), np.int64)
    k = np.where(k > 30 - p.dynamic_range, 2 * k + p.dynamic_range - 30, k)
    return ((np.int64(3) << (k + 6)) - 49 << p.initial_count_exponent) >> 7


@njit(inline="always")
def _code_parameter(sigma, gamma, max_k):
    """k: the largest with gamma * 2^k <= sigma + floor(49 gamma / 2^7), between 0 and max_k."""
    threshold = sigma + (49 * gamma >> 7)
    k = leading_zeros(gamma) - leading_zeros(threshold | 1)
    k -= (gamma << max(k, 0)) > threshold
    return min(max(k, 0), max_k)


@njit
def _encode(indices, words, n_rows, n_columns, interleaving, depth, unary_limit, gamma_initial, gamma_full, sigmas):
    n_bands = indices.shape[0]
    at, buffer, free = 0, np.uint64(0), 64
    gamma_row = gamma_initial
    for y in range(n_rows):
        gamma = gamma_row
        for first in range(0, n_bands, interleaving):
            last = min(first + interleaving, n_bands)
            gamma = gamma_row
            for x in range(n_columns):
                t = y * n_columns + x
                halved = gamma == gamma_full
                for z in range(first, last):
                    index = np.int64(indices[z, t])
                    if t == 0:
                        at, buffer, free = append(words, at, buffer, free, index, depth)
                        continue
                    sigma = sigmas[z]
                    k = _code_parameter(sigma, gamma, depth - 2)
                    u = index >> k
                    if u < unary_limit:
                        low = (1 << k) | (index & ((1 << k) - 1))
                        at, buffer, free = append(words, at, buffer, free, low, u + 1 + k)
                    else:
                        at, buffer, free = append(words, at, buffer, free, index, unary_limit + depth)
                    sigmas[z] = (sigma + index + 1) >> 1 if halved else sigma + index
                if t > 0:
                    gamma = (gamma + 1) >> 1 if halved else gamma + 1
        gamma_row = gamma
    words[at] = buffer
    return 64 * at + 64 - free


@njit
def _lengths(indices, lengths, n_rows, n_columns, interleaving, depth, unary_limit, gamma_initial, gamma_full, sigmas):
    """The walk of `_encode`, for the lengths alone."""
    n_bands = indices.shape[0]
    gamma_row = gamma_initial
    for y in range(n_rows):
        gamma = gamma_row
        for first in range(0, n_bands, interleaving):
            last = min(first + interleaving, n_bands)
            gamma = gamma_row
            for x in range(n_columns):
                t = y * n_columns + x
                halved = gamma == gamma_full
                for z in range(first, last):
                    if t == 0:
                        lengths[z, t] = depth
                        continue
                    index, sigma = np.int64(indices[z, t]), sigmas[z]
                    k = _code_parameter(sigma, gamma, depth - 2)
                    u = index >> k
                    lengths[z, t] = u + 1 + k if u < unary_limit else unary_limit + depth
                    sigmas[z] = (sigma + index + 1) >> 1 if halved else sigma + index
                if t > 0:
                    gamma = (gamma + 1) >> 1 if halved else gamma + 1
        gamma_row = gamma


@njit
def _decode(
    words, n_bits, indices, n_rows, n_columns, interleaving, depth, unary_limit, gamma_initial, gamma_full, sigmas
):
    n_bands = indices.shape[0]
    position = 0
    gamma_row = gamma_initial
    for y in range(n_rows):
        gamma = gamma_row
        for first in range(0, n_bands, interleaving):
            last = min(first + interleaving, n_bands)
            gamma = gamma_row
            for x in range(n_columns):
                t = y * n_columns + x
                halved = gamma == gamma_full
                for z in range(first, last):
                    if position > n_bits:
                        return TOO_SHORT
                    bits = window(words, position)
                    if t == 0:
                        indices[z, t] = bits >> np.uint64(64 - depth)
                        position += depth
                        continue
                    sigma = sigmas[z]
                    k = _code_parameter(sigma, gamma, depth - 2)
                    u = leading_zeros(bits)
                    if u < unary_limit:
                        rest = np.int64((bits << np.uint64(u + 1)) >> np.uint64(1)) >> (63 - k)
                        index = (u << k) | rest
                        position += u + 1 + k
                        if index >> depth:
                            return TOO_LARGE
                    else:
                        index = np.int64((bits << np.uint64(unary_limit)) >> np.uint64(64 - depth))
                        position += unary_limit + depth
                    indices[z, t] = index
                    sigmas[z] = (sigma + index + 1) >> 1 if halved else sigma + index
                if t > 0:
                    gamma = (gamma + 1) >> 1 if halved else gamma + 1
        gamma_row = gamma
    return position if position <= n_bits else TOO_SHORT
