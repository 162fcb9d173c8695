"""CCSDS 123.0-B-2: low-complexity lossless and near-lossless compression of multi- and hyperspectral images.

A package of its own: of lhic it takes only `lhic.kernels.jit`; the block-adaptive coder needs imagecodecs.

    encode(cube, prediction_bands=3, entropy_coder="hybrid") -> bytes
    decode(data) -> cube
    best_of(cube) -> bytes, parameters
    bit_costs(data) -> bits of each sample, with the coder that has code words of samples

What is where: parameters (every field and its range), header (fields to bytes), predictor_kernels,
sample_adaptive_kernels, hybrid_kernels, block_adaptive (the third coder, libaec), low_entropy (the code tables), stream
(the whole), conformance (against reference streams).  The same once more in plain Python, after the text of the
standard, lies beside the tests.
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
from lhic.ccsds123.stream import (
    SEARCHED_CODERS,
    USUAL_SEARCH,
    WIDE_SEARCH,
    best_of,
    bit_costs,
    decode,
    default_parameters,
    encode,
)

__all__ = [
    "SEARCHED_CODERS",
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
    "bit_costs",
    "decode",
    "default_parameters",
    "encode",
    "read_header",
    "write_header",
]
