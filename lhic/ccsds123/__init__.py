"""CCSDS 123.0-B-2: low-complexity lossless and near-lossless compression of multi- and hyperspectral images.

A package of its own: needs numpy and numba, and imagecodecs for the block-adaptive coder.

    encode(cube, prediction_bands=3, entropy_coder="hybrid") -> bytes
    decode(data) -> cube
    best_of(cube) -> bytes, parameters

What is where: parameters (every field and its range), header (fields to bytes), reference (the predictor, readable),
reference_coders (two entropy coders, readable), low_entropy (the code tables), *_kernels (the same, compiled),
block_adaptive (the third coder, libaec), stream (the whole), conformance (against reference streams).
"""

from lhic.ccsds123.errors import (
    BudgetError,
    Ccsds123Error,
    ParameterError,
    SampleError,
    StreamError,
    TruncatedError,
    UnsupportedFieldError,
)
from lhic.ccsds123.header import read_header, write_header
from lhic.ccsds123.parameters import Parameters, SupplementaryTable
from lhic.ccsds123.stream import USUAL_SEARCH, WIDE_SEARCH, best_of, decode, default_parameters, encode

__all__ = [
    "USUAL_SEARCH",
    "WIDE_SEARCH",
    "BudgetError",
    "Ccsds123Error",
    "ParameterError",
    "Parameters",
    "SampleError",
    "StreamError",
    "SupplementaryTable",
    "TruncatedError",
    "UnsupportedFieldError",
    "best_of",
    "decode",
    "default_parameters",
    "encode",
    "read_header",
    "write_header",
]
