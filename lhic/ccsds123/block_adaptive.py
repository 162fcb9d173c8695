"""The block-adaptive entropy coder: that of CCSDS 121.0-B, which libaec implements (CCSDS 123.0-B-2, 5.4.3.4).

Indices in the order of the body are cut into blocks of J; the last one is completed with zeros (libaec alone would
repeat the last index).  The preprocessor of 121.0-B is off: the predictor has done its work.
"""

from __future__ import annotations

import numpy as np

from lhic.ccsds123.errors import Ccsds123Error, StreamError
from lhic.ccsds123.parameters import Parameters
from lhic.ccsds123.predictor_kernels import index_dtype

RESTRICTED = 16  # AEC_RESTRICTED of libaec
SEGMENT_BLOCKS = 64  # a run of zero blocks ends with its segment


def encode_block_adaptive(indices: np.ndarray, p: Parameters) -> tuple[bytes, int]:
    """Body of an image from its indices (N_Z, N_Y * N_X), and its bits (whole bytes: libaec does not tell)."""
    imagecodecs = _library()
    sequence = to_body_order(indices, p).astype(_container(p))
    padding = np.zeros(-sequence.size % p.block_size, sequence.dtype)
    body = imagecodecs.aec_encode(np.concatenate([sequence, padding]).tobytes(), **_settings(p))
    return bytes(body), 8 * len(body)


def decode_block_adaptive(body: bytes, p: Parameters) -> np.ndarray:
    """Indices (N_Z, N_Y * N_X) of a body.

    Raises
    ------
    StreamError
        When libaec finds the body damaged, too short or too long, or a bit set in the padding of the last block.
    """
    dtype = _container(p)
    n_padded = p.n_samples + -p.n_samples % p.block_size
    decoded = _decode(bytes(body), n_padded * dtype.itemsize, p)
    sequence = np.frombuffer(decoded, dtype)
    if sequence.size != n_padded:
        raise StreamError(f"body: expected {n_padded} block-adaptive indices, found {sequence.size}")
    if sequence[p.n_samples :].any():
        raise StreamError("body: expected zeros after the last index, found others")
    sequence = sequence[: p.n_samples]
    if int(sequence.max()) >> p.dynamic_range:
        raise StreamError(f"body: found a mapped quantizer index of more than {p.dynamic_range} bits")
    return from_body_order(sequence, p)


def _decode(body: bytes, n_bytes: int, p: Parameters) -> bytes:
    """Decoded samples; libaec wants its stream without the bytes that fill up the last output word."""
    imagecodecs = _library()
    for n_fill in range(min(p.output_word_bytes, len(body))):
        if any(body[len(body) - n_fill :]):
            break
        try:
            return imagecodecs.aec_decode(body[: len(body) - n_fill], out=n_bytes, **_settings(p))
        except ValueError:  # more input than the output needs
            continue
        except imagecodecs.AecError as error:
            raise StreamError(f"body: expected {p.n_samples} block-adaptive indices, found {error}") from None
    raise StreamError(f"body: expected its end after {p.n_samples} block-adaptive indices, found more bytes")


def _library():
    try:
        import imagecodecs
    except ImportError as error:
        expected = "expected the library imagecodecs, pip install 'lhic[formats]' brings it"
        raise Ccsds123Error(f"block-adaptive coder: {expected}; found {error}") from error
    return imagecodecs


def fewest_bits(p: Parameters) -> int:
    """No body of these parameters is shorter: every segment takes at least one zero-run word of 5 bits."""
    n_blocks = -(-p.n_samples // p.block_size)
    return 6 * (n_blocks // SEGMENT_BLOCKS)


def to_body_order(indices: np.ndarray, p: Parameters) -> np.ndarray:
    """Indices (N_Z, N_Y * N_X) as one sequence in the order of the body (5.4.2)."""
    if p.order == "bsq":
        return indices.reshape(-1)
    cube = indices.reshape(p.shape)
    depth = p.interleaving_depth
    groups = [cube[first : first + depth] for first in range(0, p.n_bands, depth)]
    rows = [group.transpose(1, 2, 0).reshape(p.n_rows, -1) for group in groups]
    return np.concatenate(rows, axis=1).reshape(-1)


def from_body_order(sequence: np.ndarray, p: Parameters) -> np.ndarray:
    """Inverse of `to_body_order`, array (N_Z, N_Y * N_X)."""
    indices = np.empty(p.shape, index_dtype(p))
    if p.order == "bsq":
        indices[:] = sequence.reshape(p.shape)
        return indices.reshape(p.n_bands, -1)
    rows = sequence.reshape(p.n_rows, p.n_columns * p.n_bands)
    for first in range(0, p.n_bands, p.interleaving_depth):
        last = min(first + p.interleaving_depth, p.n_bands)
        group = rows[:, first * p.n_columns : last * p.n_columns]
        indices[first:last] = group.reshape(p.n_rows, p.n_columns, last - first).transpose(2, 0, 1)
    return indices.reshape(p.n_bands, -1)


def _settings(p: Parameters) -> dict[str, int]:
    return {
        "bitspersample": p.dynamic_range,
        "flags": RESTRICTED if p.restricted_codes else 0,
        "blocksize": p.block_size,
        "rsi": p.reference_interval,
    }


def _container(p: Parameters) -> np.dtype:
    """Little-endian dtype in which libaec takes samples of D bits."""
    return np.dtype("<u1" if p.dynamic_range <= 8 else "<u2" if p.dynamic_range <= 16 else "<u4")
