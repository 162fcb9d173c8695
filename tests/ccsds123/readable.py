"""Encoder and decoder in plain Python: `reference` and `reference_coders`, written after the text of the standard."""

from __future__ import annotations

import numpy as np

from lhic.ccsds123 import Parameters, stream
from tests.ccsds123 import reference, reference_coders

DECODERS = {
    "sample-adaptive": reference_coders.decode_sample_adaptive,
    "hybrid": reference_coders.decode_hybrid,
    "block-adaptive": reference_coders.decode_block_adaptive,
}


def encode(cube: np.ndarray, p: Parameters) -> bytes:
    """As `lhic.ccsds123.encode`; the block-adaptive coder is libaec's, because an encoder of that one has choices."""
    indices = reference.map_samples(cube, p)
    if p.entropy_coder == "block-adaptive":
        return stream.assemble(*stream.CODERS[p.entropy_coder][0](indices, p), p)
    coder = {
        "sample-adaptive": reference_coders.encode_sample_adaptive,
        "hybrid": reference_coders.encode_hybrid,
    }[p.entropy_coder]
    out = coder(indices, p)
    return stream.assemble(out.to_bytes(), out.n_bits, p)


def decode(data: bytes, **options) -> np.ndarray:
    """As `lhic.ccsds123.decode`."""
    p, body = stream.take_apart(data, **options)
    return reference.unmap_samples(DECODERS[p.entropy_coder](body, p), p).astype(p.dtype)
