"""The stream of the RLS codec: a small header around one coded section.

Decides what stands beside the coded samples and what a reader rejects; every byte is counted.  The loop over
the samples is `kernel`.  Layout, integers little-endian, `varint` as in docs/format.md:

| field | size | meaning |
|---|---|---|
| magic | 4 | ``RLSC`` |
| version | 1 | 1; 2 where the forgetting is variable |
| dtype | 1 | code of docs/format.md, 1.2 |
| S, H, W | varints | the shape |
| K | 1 | previous bands used, 0 .. 40 |
| low | zigzag varint | smallest sample |
| max_symbol | varint | largest sample less `low`, below 2^16 |
| constant | ceil(S / 8) | bit b of byte a: band 8 a + b holds one value only; unused bits 0 |
| values | varint each | that value less `low`, of each constant band |
| section | the rest | the other bands (docs/format_rans.md: one lane, precision 24); empty if there are none |
| samples_crc | 4 | CRC-32 of the decoded samples, band by band, little-endian |
| stream_crc | 4 | CRC-32 of all bytes before it |
"""

from __future__ import annotations

import zlib

import numpy as np

from benchmarks.codecs.base import DTYPE_CODES, DTYPES, MAX_CUBE_BYTES, read_varint, varint
from benchmarks.codecs.rls.kernel import PRECISION, code_cube, experts_of
from lhic.coder import RansDecoder, RansEncoder
from lhic.errors import CorruptStreamError, InvalidCubeError, TruncatedStreamError, UnsupportedVersionError, UsageError
from lhic.stream.varint import unzigzag, zigzag

MAGIC = b"RLSC"
VERSIONS = (1, 2)  # fixed and variable forgetting
MAX_PREVIOUS = 40
MAX_SYMBOL = (1 << 16) - 1
CRC_BYTES = 4
N_LANES = 1

# A component's scale is at least 1/32 symbol and its mean inside the alphabet, so no symbol has more than
# 1 - 2^-16 of the range: at least 2.1e-5 bit each, fewer than 2^19 samples per byte.
MAX_SAMPLES_PER_BYTE = 1 << 19


def refuses(cube: np.ndarray) -> str | None:
    """Reason why a cube cannot be coded, or None."""
    if cube.dtype.name not in DTYPE_CODES:
        return f"expected one of {', '.join(DTYPE_CODES)}, found {cube.dtype.name}"
    if cube.ndim != 3 or 0 in cube.shape:
        return f"expected (bands, rows, columns) with no empty axis, found {cube.shape}"
    low, high = int(cube.min()), int(cube.max())
    if high - low > MAX_SYMBOL:
        return f"expected at most {MAX_SYMBOL + 1} levels, found values from {low} to {high}"
    return None


def encode(cube: np.ndarray, n_previous: int = 20, variable_forgetting: bool = False) -> bytes:
    """Code a cube.

    Parameters
    ----------
    cube : integer array (S, H, W) whose values span at most 2^16 levels.
    n_previous : K, the previous bands that predict a band, 0 .. 40.
    variable_forgetting : whether large errors make the recursions forget more, and small ones less.

    Raises
    ------
    InvalidCubeError
        If the array is no such cube.
    UsageError
        If K is out of range.
    """
    reason = refuses(cube)
    if reason:
        raise InvalidCubeError(f"rls: {reason}")
    if not 0 <= n_previous <= MAX_PREVIOUS:
        raise UsageError(f"rls: expected 0 .. {MAX_PREVIOUS} previous bands, found {n_previous}")
    low = int(cube.min())
    symbols = (cube.astype(np.int64) - low).astype(np.int32)
    max_symbol = int(symbols.max())
    constant = (symbols == symbols[:, :1, :1]).all(axis=(1, 2))
    varying = np.ascontiguousarray(symbols[~constant])
    n_previous = min(n_previous, max(len(varying) - 1, 0))

    header = (
        MAGIC + bytes([VERSIONS[variable_forgetting], DTYPE_CODES[cube.dtype.name]]) + b"".join(map(varint, cube.shape))
    )
    header += bytes([n_previous]) + varint(zigzag(low)) + varint(max_symbol)
    header += np.packbits(constant, bitorder="little").tobytes()
    header += b"".join(varint(int(band[0, 0])) for band in symbols[constant])
    section = encode_section(varying, max_symbol + 1, n_previous, variable_forgetting) if len(varying) else b""
    stream = header + section + crc_bytes(sample_bytes(cube))
    return stream + crc_bytes(stream)


def encode_section(symbols: np.ndarray, alphabet_size: int, n_previous: int, variable_forgetting: bool) -> bytes:
    """Coded section of the symbols (int32 (S, H, W))."""
    starts, freqs = np.empty(symbols.size, np.uint32), np.empty(symbols.size, np.uint32)
    no_states, no_words, no_cursor = np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.int64)
    experts = *experts_of(n_previous), variable_forgetting
    code_cube(symbols, alphabet_size, n_previous, *experts, False, starts, freqs, no_states, no_words, no_cursor)
    encoder = RansEncoder(N_LANES, PRECISION)
    encoder.push(starts, freqs)
    return encoder.finish()


def decode(stream: bytes) -> np.ndarray:
    """The cube that `encode` was given.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
        If the stream is cut or altered, or the samples come out otherwise than they were coded.
    UnsupportedVersionError
        If a newer version wrote it.
    """
    stream = bytes(stream)
    check_envelope(stream)
    end = len(stream) - 2 * CRC_BYTES
    dtype = DTYPES.get(stream[5])
    if dtype is None:
        raise CorruptStreamError(f"rls: expected a dtype code 1..6, found {stream[5]}")
    body = stream[:end]
    at = 6
    shape = []
    for _ in range(3):
        size, at = read_varint(body, at)
        shape.append(size)
    n_samples = shape[0] * shape[1] * shape[2]
    if not 0 < n_samples * np.dtype(dtype).itemsize <= MAX_CUBE_BYTES or shape[0] > 8 * len(body):
        raise CorruptStreamError(f"rls: expected a cube of 1..{MAX_CUBE_BYTES} bytes, found shape {tuple(shape)}")
    n_previous, at = read_byte(body, at)
    low, at = read_varint(body, at)
    max_symbol, at = read_varint(body, at)
    low = unzigzag(low)
    limits = np.iinfo(dtype)
    if max_symbol > MAX_SYMBOL or low < limits.min or low + max_symbol > limits.max:
        raise CorruptStreamError(f"rls: expected a range within {dtype}, found {low} .. {low + max_symbol}")
    constant, at = read_flags(body, at, shape[0])
    values = []
    for _ in range(int(constant.sum())):
        value, at = read_varint(body, at)
        if value > max_symbol:
            raise CorruptStreamError(f"rls: expected a constant of at most {max_symbol}, found {value}")
        values.append(value)

    n_varying = shape[0] - len(values)
    if n_previous > min(MAX_PREVIOUS, max(n_varying - 1, 0)):
        raise CorruptStreamError(f"rls: expected at most {MAX_PREVIOUS} previous bands that exist, found {n_previous}")
    section = body[at:]
    if n_varying * shape[1] * shape[2] > MAX_SAMPLES_PER_BYTE * len(section) or (not n_varying and section):
        raise CorruptStreamError(
            f"rls: expected a section for {n_varying} bands of {shape[1]} x {shape[2]}, found {len(section)} bytes"
        )
    if n_varying and max_symbol == 0:
        raise CorruptStreamError("rls: expected constant bands only for one level, found others")

    symbols = np.empty(shape, np.int32)
    symbols[constant] = np.array(values, np.int32)[:, None, None]
    if n_varying:
        arguments = (n_varying, *shape[1:]), max_symbol + 1, n_previous, stream[4] == VERSIONS[True]
        symbols[~constant] = decode_section(section, *arguments)
    cube = (symbols.astype(np.int64) + low).astype(dtype)
    if crc_bytes(sample_bytes(cube)) != stream[end : end + CRC_BYTES]:
        raise CorruptStreamError("rls: expected samples of the checksum in the stream, found others")
    return cube


def check_envelope(stream: bytes) -> None:
    """Raise unless magic, version and checksum are those of a whole stream."""
    if len(stream) < 6 + 2 * CRC_BYTES:
        raise TruncatedStreamError(f"rls: expected at least {6 + 2 * CRC_BYTES} bytes, found {len(stream)}")
    if stream[:4] != MAGIC:
        raise CorruptStreamError(f"rls: expected magic {MAGIC!r}, found {stream[:4]!r}")
    if crc_bytes(stream[:-CRC_BYTES]) != stream[-CRC_BYTES:]:
        raise CorruptStreamError("rls: expected the checksum at the end to fit, found a cut or altered stream")
    if stream[4] not in VERSIONS:
        raise UnsupportedVersionError(f"rls: expected version {' or '.join(map(str, VERSIONS))}, found {stream[4]}")


def read_byte(body: bytes, at: int) -> tuple[int, int]:
    """The byte at `at`, and the position after it."""
    if at >= len(body):
        raise TruncatedStreamError(f"rls: expected a byte at {at}, found the end")
    return body[at], at + 1


def read_flags(body: bytes, at: int, n: int) -> tuple[np.ndarray, int]:
    """n flags (bool), least significant bit first, and the position after their bytes."""
    n_bytes = -(-n // 8)
    if at + n_bytes > len(body):
        raise TruncatedStreamError(f"rls: expected {n_bytes} bytes of flags, found {len(body) - at}")
    bits = np.unpackbits(np.frombuffer(body, np.uint8, n_bytes, at), bitorder="little")
    if bits[n:].any():
        raise CorruptStreamError("rls: expected unused flags to be 0, found 1")
    return bits[:n].astype(bool), at + n_bytes


def decode_section(
    section: bytes, shape: tuple[int, int, int], alphabet_size: int, n_previous: int, variable_forgetting: bool
) -> np.ndarray:
    """Symbols (int32, shape) of a coded section."""
    decoder = RansDecoder(section, N_LANES, PRECISION)
    symbols = np.zeros(shape, np.int32)
    nothing = np.empty(0, np.uint32)
    experts = *experts_of(n_previous), variable_forgetting
    arrays = decoder.states, decoder.words, decoder.cursor
    if not code_cube(symbols, alphabet_size, n_previous, *experts, True, nothing, nothing, *arrays):
        raise decoder.words_ran_out()
    decoder.finish()
    return symbols


def sample_bytes(cube: np.ndarray) -> bytes:
    """The samples, little-endian, in C order."""
    return np.ascontiguousarray(cube, cube.dtype.newbyteorder("<")).tobytes()


def crc_bytes(data: bytes) -> bytes:
    """CRC-32 of the data, little-endian."""
    return zlib.crc32(data).to_bytes(CRC_BYTES, "little")
