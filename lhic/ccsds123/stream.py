"""Images to compressed images and back: header, predictor, one of the three entropy coders.

This is the only file that knows all the parts.

Before anything is allocated, the decoder compares the image size the header announces with the size of the body:
no coder spends less than `fewest_bits` on an image.  A sample-adaptive body has one bit a sample at the least, so
an image is never much larger than its stream.  The other two can be far below (256 zeros to a bit; a segment of
zero blocks in 6), so a budget in bytes, `max_bytes`, bounds what a small stream may ask for.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from lhic.ccsds123 import block_adaptive
from lhic.ccsds123.block_adaptive import decode_block_adaptive, encode_block_adaptive
from lhic.ccsds123.errors import BudgetError, SampleError, TruncatedError
from lhic.ccsds123.header import read_header, write_header
from lhic.ccsds123.hybrid_kernels import decode_hybrid, encode_hybrid
from lhic.ccsds123.parameters import Parameters
from lhic.ccsds123.predictor_kernels import map_samples, unmap_samples, working_bytes
from lhic.ccsds123.sample_adaptive_kernels import (
    decode_sample_adaptive,
    encode_sample_adaptive,
    sample_adaptive_lengths,
)

DEFAULT_MAX_BYTES = 1 << 33

# Entropy coder -> indices and parameters to a body and its bits; body and parameters to indices.
CODERS = {
    "sample-adaptive": (encode_sample_adaptive, decode_sample_adaptive),
    "hybrid": (encode_hybrid, decode_hybrid),
    "block-adaptive": (encode_block_adaptive, decode_block_adaptive),
}

# What `best_of` tries: the number of previous bands, as the literature does; and what else is worth trying.
SEARCHED_CODERS = ("sample-adaptive", "hybrid")
USUAL_SEARCH = {"prediction_bands": (0, 3, 15)}
WIDE_SEARCH = {"prediction_bands": (0, 3, 6, 15), "weight_update_final": (3, 6)}


def encode(cube: np.ndarray, parameters: Parameters | None = None, **options) -> bytes:
    """Compress an image.

    Parameters
    ----------
    cube : integer array (bands, rows, columns)
    parameters : Parameters, optional
        Everything; its axes must be those of `cube`.
    **options
        Instead of `parameters`: fields that differ from `default_parameters`.

    Raises
    ------
    ParameterError
        A field is out of range.
    SampleError
        Not an integer image, other axes than the parameters say, or a sample beyond D bits.

    Examples
    --------
    >>> import numpy as np
    >>> cube = np.arange(24, dtype="uint16").reshape(2, 3, 4)
    >>> np.array_equal(decode(encode(cube)), cube)
    True
    """
    p = default_parameters(cube, **options) if parameters is None else parameters
    _check_samples(cube, p)
    return assemble(*CODERS[p.entropy_coder][0](map_samples(cube, p), p), p)


def decode(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> np.ndarray:
    """The image of a compressed image: exact, or within the error limits its header states.

    Parameters
    ----------
    data : bytes
        One compressed image and nothing else.
    max_bytes : int
        Memory that decoding may take: the image, its indices and the buffers of the predictor.

    Returns
    -------
    array (bands, rows, columns)
        uint8, int8, uint16, int16, uint32 or int32: the smallest that holds D bits of the sample type.

    Raises
    ------
    ParameterError, UnsupportedFieldError
        The header holds a value out of range, or an option this package lacks.
    StreamError
        The body contradicts the standard, or ends early (TruncatedError).
    BudgetError
        The image needs more than `max_bytes`.
    """
    p, body = take_apart(data, max_bytes)
    return unmap_samples(CODERS[p.entropy_coder][1](body, p), p)


def bit_costs(data: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> np.ndarray | None:
    """Where the bits of a compressed image go: the length of each sample's code word.

    Parameters
    ----------
    data, max_bytes : as for `decode`

    Returns
    -------
    uint8 array (bands, rows, columns), bits, or None
        With the header and the fill bits they add up to the image. Only the sample-adaptive coder has code words of
        samples; the others code several together.

    Raises
    ------
    As `decode`.

    Examples
    --------
    >>> import numpy as np
    >>> bit_costs(encode(np.zeros((1, 1, 3), "uint8"), dynamic_range=8)).tolist()
    [[[8, 1, 1]]]
    """
    p, body = take_apart(data, max_bytes)
    if p.entropy_coder != "sample-adaptive":
        return None
    return sample_adaptive_lengths(decode_sample_adaptive(body, p), p).reshape(p.shape)


def take_apart(data: bytes, max_bytes: int = DEFAULT_MAX_BYTES) -> tuple[Parameters, bytes]:
    """Parameters and body of a compressed image, whose size could be that of the image; raises as `decode` does."""
    p, header_bytes = read_header(data)
    if len(data) % p.output_word_bytes:
        raise TruncatedError(f"stream: expected whole words of {p.output_word_bytes} bytes, found {len(data)} bytes")
    body = bytes(data[header_bytes:])
    needed = fewest_bits(p)
    if 8 * len(body) < needed:
        raise TruncatedError(f"body: expected {needed} bits or more for {p.n_samples} samples, found {8 * len(body)}")
    n_bytes = working_bytes(p)
    if n_bytes > max_bytes:
        raise BudgetError(f"image {p.shape}: expected to decode it within {max_bytes} bytes, found {n_bytes} needed")
    return p, body


def default_parameters(cube: np.ndarray, **options) -> Parameters:
    """Parameters for a cube: sign of its dtype, the fewest bits that hold its samples and keep its dtype.

    Raises
    ------
    SampleError
        `cube` is not an integer array with three axes.
    """
    if cube.ndim != 3 or cube.dtype.kind not in "iu" or cube.dtype.itemsize > 4 or 0 in cube.shape:
        raise SampleError(
            f"image: expected integers of at most 32 bits (bands, rows, columns), found {cube.dtype} {cube.shape}"
        )
    fields: dict = dict(zip(("n_bands", "n_rows", "n_columns"), map(int, cube.shape), strict=True))
    fields["signed"] = cube.dtype.kind == "i"
    ends = int(cube.min()), int(cube.max())
    n_bits = max((~end if end < 0 else end).bit_length() for end in ends) + fields["signed"]
    # Fewer bits than 9 or 17 would decode to a smaller dtype.
    fields["dynamic_range"] = max(n_bits, {1: 2, 2: 9, 4: 17}[cube.dtype.itemsize])
    fields["accumulator_init"] = min(3, fields["dynamic_range"] - 2)
    if fields["n_columns"] == 1:
        fields |= {"local_sum": "wide column", "prediction_mode": "reduced"}
    return Parameters(**(fields | options))


def best_of(cube: np.ndarray, search: dict[str, tuple] = USUAL_SEARCH) -> tuple[bytes, Parameters]:
    """The smallest compressed image over all combinations of `search`, each with two entropy coders.

    Parameters
    ----------
    cube : integer array (bands, rows, columns)
    search : dict
        Field of `Parameters` -> values to try.

    Returns
    -------
    bytes, Parameters
        The compressed image, and what won: the decoder needs nothing beside the bytes.
    """
    results = []
    for values in product(*search.values()):
        p = default_parameters(cube, **dict(zip(search, values, strict=True)))
        _check_samples(cube, p)
        indices = map_samples(cube, p)
        for coder in SEARCHED_CODERS:
            candidate = replace(p, entropy_coder=coder)
            results.append((assemble(*CODERS[coder][0](indices, candidate), candidate), candidate))
    return min(results, key=lambda result: len(result[0]))


def fewest_bits(p: Parameters) -> int:
    """A lower bound on the body of any image with parameters `p`."""
    if p.entropy_coder == "sample-adaptive":
        return p.n_bands * p.dynamic_range + p.n_samples - p.n_bands
    if p.entropy_coder == "block-adaptive":
        return block_adaptive.fewest_bits(p)
    # Hybrid: first samples, final accumulators, 16 flush words and the marker; beyond that 256 samples a bit at
    # best, less than 256 of each code being left to the flush words.
    fixed = p.n_bands * (2 + 2 * p.dynamic_range + p.rescaling_counter_size) + 17
    return fixed + max((p.n_samples - p.n_bands) // 256 - 16, 0)


def assemble(body: bytes, n_bits: int, p: Parameters) -> bytes:
    """Header, body, and zeros up to a whole number of output words."""
    header = write_header(p)
    n_fill_bytes = -(len(header) + (n_bits + 7) // 8) % p.output_word_bytes
    return header + body + bytes(n_fill_bytes)


def _check_samples(cube: np.ndarray, p: Parameters) -> None:
    if cube.dtype.kind not in "iu" or cube.shape != p.shape:
        raise SampleError(f"image: expected integers {p.shape}, found {cube.dtype} {cube.shape}")
    s_min, s_max, _ = p.sample_limits
    low, high = int(cube.min()), int(cube.max())
    if low < s_min or high > s_max:
        found = low if low < s_min else high
        band = int(np.argmax((cube == found).any(axis=(1, 2))))
        raise SampleError(f"sample: expected {s_min}..{s_max} (dynamic_range), found {found} in band {band}")
