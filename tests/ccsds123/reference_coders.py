"""The entropy coders in plain Python: the specification of the compiled ones.

Mapped quantizer indices to the body of a compressed image and back (CCSDS 123.0-B-2, 5.4.3).  Knows nothing
about samples or headers.  Of the block-adaptive coder only the decoder is here, as a check of libaec, which does
the work: a decoder has no choices, an encoder may take any of several block codes.

The sample-adaptive coder is read forwards.  The hybrid coder is read from its end: a symbol is chosen with
statistics that already count it, code words are complete only after several symbols, and the state at the end
of the image is stored, so that decoding retraces the encoder's steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lhic.ccsds123.bits import BitReader, BitWriter
from lhic.ccsds123.errors import StreamError, TruncatedError
from lhic.ccsds123.low_entropy import THRESHOLD_BITS, low_entropy_codes
from lhic.ccsds123.parameters import Parameters


def encoding_order(p: Parameters) -> Iterator[tuple[int, int]]:
    """(z, t) of every sample in the order of the body (5.4.2)."""
    n_samples = p.n_rows * p.n_columns
    if p.order == "bsq":
        yield from ((z, t) for z in range(p.n_bands) for t in range(n_samples))
        return
    for y in range(p.n_rows):
        for first in range(0, p.n_bands, p.interleaving_depth):
            for x in range(p.n_columns):
                for z in range(first, min(first + p.interleaving_depth, p.n_bands)):
                    yield z, y * p.n_columns + x


def check_fill(bits: BitReader, p: Parameters) -> None:
    """What follows the last code word must be zeros, less than one output word of them."""
    left = bits.n_bits - bits.position
    if left >= 8 * p.output_word_bytes:
        raise StreamError(f"body: expected its end at bit {bits.position}, found {left} more bits")
    bits.expect_zeros(left, "fill bits of the body")


# Sample-adaptive coder, 5.4.3.2


class Statistics:
    """Accumulator Sigma_z and counter Gamma of one band: their quotient estimates the mean index."""

    def __init__(self, p: Parameters, k: int):
        self.full = (1 << p.rescaling_counter_size) - 1
        self.max_k = p.dynamic_range - 2
        self.gamma = 1 << p.initial_count_exponent
        if k > 30 - p.dynamic_range:
            k = 2 * k + p.dynamic_range - 30
        self.sigma = ((3 << (k + 6)) - 49) * self.gamma >> 7

    def code_parameter(self) -> int:
        """k of the code for the next index: 2^k about 0.7 times the mean."""
        threshold = self.sigma + (49 * self.gamma >> 7)
        k = 0
        while k < self.max_k and self.gamma << (k + 1) <= threshold:
            k += 1
        return k

    def update(self, index: int) -> None:
        if self.gamma == self.full:
            self.sigma = (self.sigma + index + 1) >> 1
            self.gamma = (self.gamma + 1) >> 1
        else:
            self.sigma += index
            self.gamma += 1


def encode_sample_adaptive(indices: np.ndarray, p: Parameters) -> BitWriter:
    """Body of an image from its indices, int64 array (N_Z, N_Y * N_X); not yet filled up to a word."""
    out = BitWriter()
    statistics = [Statistics(p, k) for k in p.per_band(p.accumulator_init)]
    for z, t in encoding_order(p):
        index = int(indices[z, t])
        if t == 0:
            out.put(index, p.dynamic_range)
            continue
        k = statistics[z].code_parameter()
        u = index >> k
        if u < p.unary_length_limit:  # length-limited Golomb power-of-2 code
            out.put(1, u + 1)
            out.put(index & ((1 << k) - 1), k)
        else:
            out.put(0, p.unary_length_limit)
            out.put(index, p.dynamic_range)
        statistics[z].update(index)
    return out


def decode_sample_adaptive(body: bytes, p: Parameters) -> np.ndarray:
    """Indices, int64 array (N_Z, N_Y * N_X), of a body."""
    bits = BitReader(body)
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), np.int64)
    statistics = [Statistics(p, k) for k in p.per_band(p.accumulator_init)]
    for z, t in encoding_order(p):
        if t == 0:
            indices[z, t] = bits.get(p.dynamic_range)
            continue
        k = statistics[z].code_parameter()
        u = 0
        while u < p.unary_length_limit and not bits.get(1):
            u += 1
        index = (u << k) + bits.get(k) if u < p.unary_length_limit else bits.get(p.dynamic_range)
        if index >> p.dynamic_range:
            raise StreamError(f"band {z}, sample {t}: expected an index below 2^D, found {index}")
        indices[z, t] = index
        statistics[z].update(index)
    check_fill(bits, p)
    return indices


# Hybrid coder, 5.4.3.3


def counter_sequence(p: Parameters, n_samples: int) -> Iterator[tuple[int, bool]]:
    """Gamma(t) for t = 1, 2, ..., and whether the statistics are halved there; the same in every band."""
    gamma, full = 1 << p.initial_count_exponent, (1 << p.rescaling_counter_size) - 1
    for _ in range(1, n_samples):
        halved = gamma == full
        gamma = (gamma + 1) >> 1 if halved else gamma + 1
        yield gamma, halved


def choose_code(sigma: int, gamma: int, p: Parameters) -> tuple[bool, int]:
    """Whether an index is of high entropy; and k of its code, or the number of its low-entropy code."""
    codes = low_entropy_codes()
    scaled = sigma << THRESHOLD_BITS
    if scaled >= gamma * codes[0].threshold:
        threshold = sigma + (49 * gamma >> 5)
        k = 0
        while k < max(p.dynamic_range - 2, 2) and gamma << (k + 3) <= threshold:
            k += 1
        return True, k
    return False, max(i for i, code in enumerate(codes) if scaled < gamma * code.threshold)


def _put_reversed_golomb(out: BitWriter, value: int, k: int, p: Parameters) -> None:
    """The length-limited Golomb power-of-2 code whose words are to be read backwards."""
    u = value >> k
    if u < p.unary_length_limit:
        out.put(value & ((1 << k) - 1), k)
        out.put(1 << u, u + 1)
    else:
        out.put(value, p.dynamic_range)
        out.put(0, p.unary_length_limit)


def encode_hybrid(indices: np.ndarray, p: Parameters) -> BitWriter:
    """Body of an image from its indices, int64 array (N_Z, N_Y * N_X); not yet filled up to a word."""
    out = BitWriter()
    codes = low_entropy_codes()
    counters = [(0, False), *counter_sequence(p, p.n_rows * p.n_columns)]
    sigmas = list(p.initial_accumulators)
    prefixes: list[tuple[int, ...]] = [()] * len(codes)
    for z, t in encoding_order(p):
        index = int(indices[z, t])
        if t == 0:
            out.put(index, p.dynamic_range)
            continue
        gamma, halved = counters[t]
        if halved:
            out.put(sigmas[z] & 1, 1)  # what halving loses
            sigmas[z] = (sigmas[z] + 4 * index + 1) >> 1
        else:
            sigmas[z] += 4 * index
        is_high, code = choose_code(sigmas[z], gamma, p)
        if is_high:
            _put_reversed_golomb(out, index, code, p)
            continue
        symbol = min(index, codes[code].escape)
        if symbol == codes[code].escape:
            _put_reversed_golomb(out, index - symbol, 0, p)
        prefix = (*prefixes[code], symbol)
        word = codes[code].words.get(prefix)
        if word is not None:
            out.put(word[1], word[0])
        prefixes[code] = () if word is not None else prefix

    for code, prefix in zip(codes, prefixes, strict=True):
        n_bits, value = code.flush[prefix]
        out.put(value, n_bits)
    for sigma in sigmas:
        out.put(sigma, 2 + p.dynamic_range + p.rescaling_counter_size)
    out.put(1, 1)  # marks where the fill bits begin
    return out


class _BackwardBits:
    """Reads a body from its last bit to its first."""

    def __init__(self, body: bytes):
        self.bits = format(int.from_bytes(body, "big"), f"0{8 * len(body)}b")[::-1] if body else ""
        self.position = 0

    def one(self) -> int:
        if self.position == len(self.bits):
            raise TruncatedError("body: expected more bits before its first one, found none")
        self.position += 1
        return int(self.bits[self.position - 1])

    def field(self, n_bits: int) -> int:
        return sum(self.one() << i for i in range(n_bits))

    def word(self, words: dict[tuple[int, int], tuple[int, ...]]) -> tuple[int, ...]:
        """Key of the code word that ends here; `words` maps (length, bits) to keys."""
        n_bits = value = 0
        while (n_bits, value) not in words:
            value |= self.one() << n_bits
            n_bits += 1
        return words[n_bits, value]

    def reversed_golomb(self, k: int, p: Parameters) -> int:
        for u in range(p.unary_length_limit):
            if self.one():
                return (u << k) + self.field(k)
        return self.field(p.dynamic_range)


def decode_hybrid(body: bytes, p: Parameters) -> np.ndarray:
    """Indices, int64 array (N_Z, N_Y * N_X), of a body."""
    bits = _BackwardBits(body)
    codes = low_entropy_codes()
    for n_fill in range(8 * p.output_word_bytes + 1):
        if n_fill == 8 * p.output_word_bytes:
            raise StreamError(f"body: expected a marker in its last {n_fill} bits, found zeros")
        if bits.one():
            break
    accumulator_bits = 2 + p.dynamic_range + p.rescaling_counter_size
    sigmas = [bits.field(accumulator_bits) for _ in range(p.n_bands)][::-1]
    flush = [bits.word({word: key for key, word in code.flush.items()}) for code in reversed(codes)]
    pending = [list(prefix) for prefix in reversed(flush)]  # symbols of each code still to be given out
    words = [{word: key for key, word in code.words.items()} for code in codes]

    counters = [(0, False), *counter_sequence(p, p.n_rows * p.n_columns)]
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), np.int64)
    for z, t in reversed(list(encoding_order(p))):
        if t == 0:
            if sigmas[z] >> (p.dynamic_range + p.initial_count_exponent):
                raise StreamError(f"band {z}: found an initial accumulator of {sigmas[z]}, above its limit")
            indices[z, t] = bits.field(p.dynamic_range)
            continue
        gamma, halved = counters[t]
        is_high, code = choose_code(sigmas[z], gamma, p)
        if is_high:
            index = bits.reversed_golomb(code, p)
        else:
            if not pending[code]:
                pending[code] = list(bits.word(words[code]))
            index = pending[code].pop()
            if index == codes[code].escape:
                index += bits.reversed_golomb(0, p)
        if halved:
            sigmas[z] = 2 * sigmas[z] - 4 * index - bits.one()
        else:
            sigmas[z] -= 4 * index
        if index >> p.dynamic_range or sigmas[z] < 0 or sigmas[z] >> accumulator_bits:
            raise StreamError(f"band {z}, sample {t}: found index {index}, which the statistics exclude")
        indices[z, t] = index
    if bits.position != len(bits.bits):
        raise StreamError(f"body: expected its first bit, found {len(bits.bits) - bits.position} more before it")
    return indices


# Block-adaptive coder, 5.4.3.4, which is that of CCSDS 121.0-B without its preprocessor

SEGMENT_BLOCKS = 64


def decode_block_adaptive(body: bytes, p: Parameters) -> np.ndarray:
    """Indices, int64 array (N_Z, N_Y * N_X), of a body."""
    bits = BitReader(body)
    n_blocks = -(-p.n_samples // p.block_size)
    sequence: list[int] = []
    while len(sequence) < n_blocks * p.block_size:
        sequence += _block(bits, len(sequence) // p.block_size, n_blocks, p)
    check_fill(bits, p)
    if any(sequence[p.n_samples :]):
        raise StreamError("body: expected zeros after the last index, found others")
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), np.int64)
    for (z, t), index in zip(encoding_order(p), sequence, strict=False):
        if index >> p.dynamic_range:
            raise StreamError(f"band {z}, sample {t}: expected an index below 2^D, found {index}")
        indices[z, t] = index
    return indices


def _block(bits: BitReader, number: int, n_blocks: int, p: Parameters) -> list[int]:
    """The indices of block `number`, or of the run of zero blocks that begins there."""
    depth, size = p.dynamic_range, p.block_size
    if p.restricted_codes:
        id_bits = 1 if depth <= 2 else 2
    else:
        id_bits = 3 if depth <= 8 else 4 if depth <= 16 else 5
    option = bits.get(id_bits)
    if option == (1 << id_bits) - 1:  # no compression
        return [bits.get(depth) for _ in range(size)]
    if option:  # split: k low bits apart, the rest in unary
        k = option - 1
        high = [_unary(bits) for _ in range(size)]
        return [(value << k) | bits.get(k) for value in high]
    if bits.get(1):  # second extension: two indices in one unary code
        block = []
        for _ in range(size // 2):
            code, total = _unary(bits), 0
            while (total + 1) * (total + 2) // 2 <= code:
                total += 1
            second = code - total * (total + 1) // 2
            block += [total - second, second]
        return block
    # Zero blocks: 1 to 4, then "to the end of the segment", then 5 and more; segments restart with each interval.
    run = _unary(bits)
    in_interval = number % p.reference_interval
    in_segment = in_interval % SEGMENT_BLOCKS
    left = min(SEGMENT_BLOCKS - in_segment, p.reference_interval - in_interval, n_blocks - number)
    n_zero = left if run == 4 else run + (run < 4)
    if n_zero > left:
        raise StreamError(f"block {number}: expected at most {left} zero blocks, found {n_zero}")
    return [0] * (n_zero * size)


def _unary(bits: BitReader) -> int:
    value = 0
    while not bits.get(1):
        value += 1
    return value
