"""The hybrid entropy coder of CCSDS 123.0-B-2, 5.4.3.3, compiled.

The encoder writes forwards and follows, for each of the 16 low-entropy codes, the input word in a tree of symbols.
The decoder reads the body from its end: windows *before* a position, trailing instead of leading zeros, and code
words in a tree of bits.  Both trees are complete, so no input leads out of them.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from lhic.ccsds123.errors import StreamError, TruncatedError
from lhic.ccsds123.low_entropy import THRESHOLD_BITS, Word, low_entropy_codes
from lhic.ccsds123.machine import append, leading_zeros, to_words, trailing_zeros, window, words_to_bytes
from lhic.ccsds123.parameters import Parameters
from lhic.ccsds123.predictor_kernels import index_dtype
from lhic.ccsds123.sample_adaptive_kernels import loop_nest
from lhic.kernels.jit import njit

LONGEST_WORD = 21  # bits, of all low-entropy and flush words
FRONT_BITS = 64  # zeros before the body, so that a window before any position exists
TOO_SHORT, EXCLUDED = -1, -2


class Tables(NamedTuple):
    """All codes as arrays.  A tree entry >= 0 is a node, an entry < 0 is -1 - the number of a word."""

    limits: np.ndarray  # (16,) input symbol limits
    thresholds: np.ndarray  # (16,)
    symbol_roots: np.ndarray  # (16,) nodes of `symbol_tree`
    symbol_tree: np.ndarray  # (n, 14) next node or complete input word, by symbol
    words: np.ndarray  # (n, 2) length and bits of the output words
    flush_words: np.ndarray  # (n, 2) length and bits of the flush word of each node of `symbol_tree`
    bit_roots: np.ndarray  # (16,) nodes of `bit_tree` where output words end
    flush_roots: np.ndarray  # (16,) the same for flush words; their numbers count on from the output words
    bit_tree: np.ndarray  # (n, 2) next node or word, by the bit before
    spans: np.ndarray  # (n, 2) where the symbols of each word begin and end in `symbols`
    symbols: np.ndarray


def encode_hybrid(indices: np.ndarray, p: Parameters) -> tuple[bytes, int]:
    """Body of an image from its indices (N_Z, N_Y * N_X), its last byte filled with zeros; and its bits."""
    largest = p.unary_length_limit + p.dynamic_range + 1 + LONGEST_WORD
    tail = p.n_bands * _accumulator_bits(p) + 16 * LONGEST_WORD + 1
    words = np.empty(((p.n_samples * largest + tail) >> 6) + 2, np.uint64)
    sigmas = np.array(p.initial_accumulators, np.int64)
    n_bits = _encode(indices, words, *loop_nest(p), *_constants(p), sigmas, _tables())
    return words_to_bytes(words, n_bits), n_bits


def decode_hybrid(body: bytes, p: Parameters) -> np.ndarray:
    """Indices (N_Z, N_Y * N_X) of a body.

    Raises
    ------
    StreamError
        No marker at the end, code words beyond the beginning (TruncatedError) or short of it, or an index that
        the statistics exclude.
    """
    n_bits = 8 * len(body)
    whole = int.from_bytes(body[-p.output_word_bytes :], "big")
    if not whole:
        raise StreamError(f"body: expected a marker in its last {8 * p.output_word_bytes} bits, found zeros")
    end = n_bits - (whole & -whole).bit_length()
    if end < p.n_bands * _accumulator_bits(p):
        raise TruncatedError(f"body: expected {p.n_bands} accumulators at its end, found {end} bits")
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), index_dtype(p))
    words = to_words(bytes(FRONT_BITS // 8) + body)
    left = _decode(words, end + FRONT_BITS, indices, *loop_nest(p), *_constants(p), _tables())
    if left == TOO_SHORT:
        raise TruncatedError("body: expected more bits before its first one, found none")
    if left == EXCLUDED:
        raise StreamError("body: found an index which the statistics exclude")
    if left != FRONT_BITS:
        raise StreamError(f"body: expected its first bit, found {left - FRONT_BITS} more before it")
    return indices


def _accumulator_bits(p: Parameters) -> int:
    return 2 + p.dynamic_range + p.rescaling_counter_size


def _constants(p: Parameters) -> tuple[int, int, int, int]:
    return p.dynamic_range, p.unary_length_limit, p.initial_count_exponent, p.rescaling_counter_size


@cache
def _tables() -> Tables:
    codes = low_entropy_codes()
    symbol_tree: list[list[int]] = []
    words: list[Word] = []
    flush_words: list[Word] = []
    keys: list[tuple[int, ...]] = []
    flush_keys: list[tuple[int, ...]] = []
    symbol_roots = []
    for code in codes:
        symbol_roots.append(len(symbol_tree))
        nodes = {prefix: len(symbol_tree) + i for i, prefix in enumerate(code.flush)}
        for prefix in nodes:
            row = [0] * 14  # symbols beyond the escape never occur
            for symbol in range(code.escape + 1):
                key = (*prefix, symbol)
                if key in nodes:
                    row[symbol] = nodes[key]
                else:
                    row[symbol] = -1 - len(words)
                    words.append(code.words[key])
                    keys.append(key)
            symbol_tree.append(row)
            flush_words.append(code.flush[prefix])
            flush_keys.append(prefix)

    bit_tree: list[list[int]] = []
    numbers = {id(word): i for i, word in enumerate([*words, *flush_words])}
    bit_roots = [_grow(bit_tree, code.words, numbers) for code in codes]
    flush_roots = [_grow(bit_tree, code.flush, numbers) for code in codes]
    lengths = [len(key) for key in [*keys, *flush_keys]]
    ends = np.cumsum(lengths)
    return Tables(
        np.array([code.input_limit for code in codes], np.int64),
        np.array([code.threshold for code in codes], np.int64),
        np.array(symbol_roots, np.int64),
        np.array(symbol_tree, np.int64),
        np.array(words, np.int64),
        np.array(flush_words, np.int64),
        np.array(bit_roots, np.int64),
        np.array(flush_roots, np.int64),
        np.array(bit_tree, np.int64),
        np.stack([ends - lengths, ends], axis=1).astype(np.int64),
        np.array([symbol for key in [*keys, *flush_keys] for symbol in key], np.int64),
    )


def _grow(tree: list[list[int]], words: dict[tuple[int, ...], Word], numbers: dict[int, int]) -> int:
    """Add a tree of the bits of `words`, last bit first; returns its root."""
    root = len(tree)
    tree.append([root, root])  # a node that leads to itself has no child yet
    for word in words.values():
        length, bits = word
        node = root
        for i in range(length):
            bit = bits >> i & 1
            if i == length - 1:
                tree[node][bit] = -1 - numbers[id(word)]
            elif tree[node][bit] == root:
                tree.append([root, root])
                tree[node][bit] = node = len(tree) - 1
            else:
                node = tree[node][bit]
    return root


@njit(inline="always")
def _counter(t, gamma_0, gamma_star):
    """Gamma(t), t > 0, and whether the statistics are halved there: up to 2^gamma* - 1, then from half of it."""
    full = (1 << gamma_star) - 1
    beyond = t - 1 - (full - (1 << gamma_0))
    if beyond < 0:
        return (1 << gamma_0) + t, False
    phase = beyond & ((1 << (gamma_star - 1)) - 1)
    return (1 << (gamma_star - 1)) + phase, phase == 0


@njit(inline="always")
def _high_parameter(sigma, gamma, depth):
    """k of a high-entropy index: the largest with gamma * 2^(k+2) <= sigma + floor(49 gamma / 2^5)."""
    threshold = sigma + (49 * gamma >> 5)
    k = leading_zeros(gamma) - leading_zeros(threshold | 1)
    k -= (gamma << max(k, 0)) > threshold
    return min(max(k - 2, 0), max(depth - 2, 2))


@njit(inline="always")
def _low_code(scaled, gamma, thresholds):
    """The largest i with sigma * 2^14 < gamma * T_i, given that 0 is one."""
    i = 15
    while scaled >= gamma * thresholds[i]:
        i -= 1
    return i


@njit(inline="always")
def _append_golomb(words, at, buffer, free, value, k, unary_limit, depth):
    u = value >> k
    if u < unary_limit:
        low = value & ((1 << k) - 1)
        return append(words, at, buffer, free, ((low << 1) | 1) << u, k + 1 + u)
    return append(words, at, buffer, free, np.uint64(value) << np.uint64(unary_limit), depth + unary_limit)


@njit
def _encode(indices, words, n_rows, n_columns, interleaving, depth, unary_limit, gamma_0, gamma_star, sigmas, tables):
    n_bands = indices.shape[0]
    at, buffer, free = 0, np.uint64(0), 64
    nodes = tables.symbol_roots.copy()
    for y in range(n_rows):
        for first in range(0, n_bands, interleaving):
            for x in range(n_columns):
                t = y * n_columns + x
                gamma, halved = _counter(t, gamma_0, gamma_star)
                for z in range(first, min(first + interleaving, n_bands)):
                    index = np.int64(indices[z, t])
                    if t == 0:
                        at, buffer, free = append(words, at, buffer, free, index, depth)
                        continue
                    sigma = sigmas[z]
                    if halved:
                        at, buffer, free = append(words, at, buffer, free, sigma & 1, 1)
                        sigma = (sigma + 4 * index + 1) >> 1
                    else:
                        sigma += 4 * index
                    sigmas[z] = sigma
                    scaled = sigma << THRESHOLD_BITS
                    if scaled >= gamma * tables.thresholds[0]:
                        k = _high_parameter(sigma, gamma, depth)
                        at, buffer, free = _append_golomb(words, at, buffer, free, index, k, unary_limit, depth)
                        continue
                    i = _low_code(scaled, gamma, tables.thresholds)
                    symbol = min(index, tables.limits[i] + 1)
                    if symbol > tables.limits[i]:
                        rest = index - symbol
                        at, buffer, free = _append_golomb(words, at, buffer, free, rest, 0, unary_limit, depth)
                    node = tables.symbol_tree[nodes[i], symbol]
                    if node < 0:
                        length, bits = tables.words[-1 - node]
                        at, buffer, free = append(words, at, buffer, free, bits, length)
                        node = tables.symbol_roots[i]
                    nodes[i] = node
    for i in range(16):
        length, bits = tables.flush_words[nodes[i]]
        at, buffer, free = append(words, at, buffer, free, bits, length)
    for z in range(n_bands):
        at, buffer, free = append(words, at, buffer, free, sigmas[z], 2 + depth + gamma_star)
    at, buffer, free = append(words, at, buffer, free, 1, 1)
    words[at] = buffer
    return 64 * at + 64 - free


@njit(inline="always")
def _find_word(words, position, tree, node):
    """Number of the code word that ends before `position`, and where it begins."""
    bits = window(words, position - 64)
    n_read = 0
    while node >= 0:
        node = tree[node, np.int64((bits >> np.uint64(n_read)) & np.uint64(1))]
        n_read += 1
    return -1 - node, position - n_read


@njit(inline="always")
def _golomb_before(words, position, k, unary_limit, depth):
    """The reversed Golomb code word that ends before `position`: its value, and where it begins."""
    bits = window(words, position - 64)
    u = trailing_zeros(bits)
    if u < unary_limit:
        low = np.int64((bits >> np.uint64(u)) >> np.uint64(1)) & ((1 << k) - 1)
        return (u << k) | low, position - u - 1 - k
    value = np.int64((bits >> np.uint64(unary_limit)) & np.uint64((1 << depth) - 1))
    return value, position - unary_limit - depth


@njit
def _decode(words, position, indices, n_rows, n_columns, interleaving, depth, unary_limit, gamma_0, gamma_star, tables):
    n_bands = indices.shape[0]
    accumulator_bits = 2 + depth + gamma_star
    sigmas = np.empty(n_bands, np.int64)
    for z in range(n_bands - 1, -1, -1):
        sigmas[z] = window(words, position - 64) & np.uint64((1 << accumulator_bits) - 1)
        position -= accumulator_bits
    # The symbols of each code that are still to be given out, last one first
    begins, cursors = np.empty(16, np.int64), np.empty(16, np.int64)
    for i in range(15, -1, -1):
        if position < FRONT_BITS:
            return TOO_SHORT
        word, position = _find_word(words, position, tables.bit_tree, tables.flush_roots[i])
        begins[i], cursors[i] = tables.spans[word]

    n_groups = (n_bands + interleaving - 1) // interleaving
    for y in range(n_rows - 1, -1, -1):
        for group in range(n_groups - 1, -1, -1):
            first = group * interleaving
            for x in range(n_columns - 1, -1, -1):
                t = y * n_columns + x
                gamma, halved = _counter(t, gamma_0, gamma_star)
                for z in range(min(first + interleaving, n_bands) - 1, first - 1, -1):
                    # A sample moves the position by less than FRONT_BITS at each step between two checks.
                    if position < FRONT_BITS:
                        return TOO_SHORT
                    sigma = sigmas[z]
                    if t == 0:
                        if sigma >> (depth + gamma_0):
                            return EXCLUDED
                        indices[z, t] = window(words, position - 64) & np.uint64((1 << depth) - 1)
                        position -= depth
                        continue
                    scaled = sigma << THRESHOLD_BITS
                    if scaled >= gamma * tables.thresholds[0]:
                        k = _high_parameter(sigma, gamma, depth)
                        index, position = _golomb_before(words, position, k, unary_limit, depth)
                    else:
                        i = _low_code(scaled, gamma, tables.thresholds)
                        if cursors[i] == begins[i]:
                            word, position = _find_word(words, position, tables.bit_tree, tables.bit_roots[i])
                            begins[i], cursors[i] = tables.spans[word]
                            if position < FRONT_BITS:
                                return TOO_SHORT
                        cursors[i] -= 1
                        index = tables.symbols[cursors[i]]
                        if index > tables.limits[i]:
                            rest, position = _golomb_before(words, position, 0, unary_limit, depth)
                            index += rest
                    if halved:
                        if position < FRONT_BITS:
                            return TOO_SHORT
                        sigma = 2 * sigma - np.int64(window(words, position - 64) & np.uint64(1))
                        position -= 1
                    sigma -= 4 * index
                    if index >> depth or sigma < 0 or sigma >> accumulator_bits:
                        return EXCLUDED
                    sigmas[z] = sigma
                    indices[z, t] = index
    return position if position >= FRONT_BITS else TOO_SHORT
