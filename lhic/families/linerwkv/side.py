"""What is sent beside the samples: their range, and mean and deviation of every 16th line, which normalise 16 lines.

Format: docs/format_linerwkv.md, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lhic.ccsds123 import Ccsds123Error, Parameters
from lhic.ccsds123.sample_adaptive_kernels import decode_sample_adaptive, encode_sample_adaptive
from lhic.coder.mixture import MAX_ALPHABET
from lhic.errors import CorruptStreamError, InvalidCubeError
from lhic.stream.varint import Reader, unzigzag, write_varint, zigzag

LINES = 16
"""As many lines share a mean and a deviation."""
MIN_BITS, MAX_BITS = 16, 32


@dataclass(frozen=True)
class Side:
    """low, size : samples are low .. low + size - 1
    means, deviations : int64 (G, S), of line 16 g in each band
    """

    low: int
    size: int
    means: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of(cls, tile: np.ndarray) -> Side:
        """Of samples (S, H, W), integers.

        Raises
        ------
        InvalidCubeError
            They span more than 65,536 values.
        """
        low, high = int(tile.min()), int(tile.max())
        if high - low >= MAX_ALPHABET:
            raise InvalidCubeError(
                f"linerwkv: expected samples that span at most {MAX_ALPHABET} values, found {low} .. {high}"
            )
        lines = tile[:, ::LINES].astype(np.float64)
        n_columns = lines.shape[2]
        deviations = lines.std(axis=2, ddof=1) if n_columns > 1 else np.zeros(lines.shape[:2])
        whole = [np.rint(values.T).astype(np.int64) for values in (lines.mean(axis=2), deviations)]
        return cls(low, high - low + 1, *whole)

    def to_bytes(self) -> bytes:
        pairs = np.stack([self.means, self.deviations])
        pairs[0] -= self.low
        changes = pairs.copy()
        changes[:, 0, 1:] -= pairs[:, 0, :-1]
        changes[:, 1:] -= pairs[:, :-1]
        coded, bits = encode_indices(zigzag(changes))
        return b"".join(map(write_varint, (zigzag(self.low), self.size - 1, bits))) + coded

    @classmethod
    def from_bytes(cls, data: bytes, shape: tuple[int, int, int]) -> Side:
        """Inverse of `to_bytes`; raises `CorruptStreamError`."""
        reader = Reader(data, "linerwkv side")
        low = unzigzag(reader.varint("lowest sample", 0, (1 << 33) - 1))
        size = 1 + reader.varint("range", 0, MAX_ALPHABET - 1)
        bits = reader.varint("bits", MIN_BITS, MAX_BITS)
        n_bands, n_rows, _ = shape
        coded = reader.take(reader.n_left, "means and deviations")
        changes = unzigzag(decode_indices(coded, (2, -(-n_rows // LINES), n_bands), bits, "linerwkv side"))
        changes[:, 0] = changes[:, 0].cumsum(axis=-1)
        means, deviations = changes.cumsum(axis=1)
        if means.min() < 0 or means.max() >= size or deviations.min() < 0 or deviations.max() > size:
            raise CorruptStreamError("linerwkv side: expected means and deviations within the range, found others")
        return cls(low, size, means + low, deviations)


def encode_indices(indices: np.ndarray) -> tuple[bytes, int]:
    """Numbers (bands, rows, columns), 0 or more, by the sample-adaptive coder of CCSDS-123; and their bits."""
    bits = max(MIN_BITS, int(indices.max()).bit_length())
    flat = np.ascontiguousarray(indices.reshape(len(indices), -1))
    return encode_sample_adaptive(flat, _coder(indices.shape, bits))[0], bits


def decode_indices(data: bytes, shape: tuple[int, int, int], bits: int, what: str) -> np.ndarray:
    """Inverse of `encode_indices`, int64; raises `CorruptStreamError`."""
    try:
        return decode_sample_adaptive(data, _coder(shape, bits)).astype(np.int64).reshape(shape)
    except Ccsds123Error as error:
        raise CorruptStreamError(f"{what}: {error}") from error


def _coder(shape: tuple[int, int, int], bits: int) -> Parameters:
    """The authors' parameters; they use 16 bits always."""
    return Parameters(
        *shape,
        dynamic_range=bits,
        output_word_bytes=1,
        prediction_mode="reduced",
        local_sum="wide column",
        register_size=64,
        unary_length_limit=18,
        initial_count_exponent=1,
        accumulator_init=3,
        rescaling_counter_size=6,
    )
