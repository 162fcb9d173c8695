"""What the runner asks of a codec, and the small header that makes general codecs self-contained.

An adapter turns a cube (bands, rows, columns) of integers into bytes and back.  *Everything* the
decoder needs is inside those bytes: codecs whose own stream does not say shape, dtype or offset put
a `Frame` in front of it, and its 5 to 15 bytes are counted like all others.

A codec module ends with ``CODECS``, a dict from codec name to a call without arguments that makes
the adapter; `registry` gathers these.

This file knows nothing about any particular codec, about timing or about rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lhic.errors import BackendError, CorruptStreamError, InvalidCubeError, TruncatedStreamError
from lhic.stream.header import DTYPE_CODES
from lhic.stream.varint import Reader, unzigzag, zigzag
from lhic.stream.varint import write_varint as varint

# Where a stream has the size that a row says (`Codec.provenance`).
ANYWHERE = "anywhere"  # integers or exact sums throughout: on every machine, device and number of threads
LIBRARIES = "library versions as named"  # wherever the library that `codec_version` names does the work
THIS_MACHINE = "this machine"  # floats decide: with the same processor and the same `libraries`

DTYPES = {code: name for name, code in DTYPE_CODES.items()}

MAX_CUBE_BYTES = 1 << 34  # a damaged header must not make the decoder ask for more than this


class Codec(ABC):
    """A lossless codec as the benchmark sees it.

    Attributes
    ----------
    name : str
        Lower case, unique in the registry; says codec, effort and layout: ``jpeg-xl-e7-bands``.
    version : str
        Version of the library that does the work.
    settings : dict
        Everything that was set, as plain JSON values; goes into the row.
    signed : str
        How negative samples are coded, in words: ``native``, ``offset``, ``two's complement`` ...
    best_of : bool
        True when the encoder tries several settings on this very cube and keeps the best one.
        Such rows stand in a column of their own.
    threads : str or None
        How `n_threads` limits the codec, in words (``argument``, ``numba``, ``torch``);
        None for a codec that never uses more than one thread.
    n_threads : int
        Threads the codec may use; set by the runner before encoding or decoding.
    devices : tuple of str
        Where the codec can work: ``cpu``, or ``cpu`` and ``cuda``.
    device : str
        Where the work is done; set by the runner to one of `devices`.
    weights_hash : str
        SHA-256 of the weights (hex), empty for a codec without weights.
    provenance : str
        Where its streams have the same size: `ANYWHERE`, `LIBRARIES` or `THIS_MACHINE`.
    """

    name: str
    version: str
    settings: dict
    signed: str = "native"
    best_of: bool = False
    threads: str | None = None
    n_threads: int = 1
    devices: tuple[str, ...] = ("cpu",)
    device: str = "cpu"
    weights_hash: str = ""
    provenance: str = LIBRARIES

    def refuses(self, cube: np.ndarray) -> str | None:
        """Reason why this codec cannot code `cube` losslessly, or None."""
        return None

    @abstractmethod
    def encode(self, cube: np.ndarray) -> bytes:
        """Code a cube.

        Parameters
        ----------
        cube : integer array (S, H, W), C order, native byte order

        Raises
        ------
        InvalidCubeError
            When `refuses` gives a reason.
        """

    @abstractmethod
    def decode(self, data: bytes) -> np.ndarray:
        """The cube that `encode` was given: same shape, dtype and values."""

    def warm_up(self, corner: np.ndarray) -> None:
        """Load and compile everything that coding a cube like `corner` can need; never timed."""
        self.decode(self.encode(corner))

    def check(self, cube: np.ndarray) -> None:
        """Raise the reason of `refuses` as an error."""
        reason = self.refuses(cube)
        if reason:
            raise InvalidCubeError(f"{self.name}: {reason}")


@dataclass(frozen=True)
class Frame:
    """Shape, dtype and value offset of a cube: the part of the stream that many codecs lack.

    Layout: dtype (1 byte), the three axes, the offset (zigzag), all but the first as varints.
    """

    dtype: str
    shape: tuple[int, int, int]
    offset: int = 0

    def to_bytes(self) -> bytes:
        return bytes([DTYPE_CODES[self.dtype]]) + b"".join(map(varint, (*self.shape, zigzag(self.offset))))

    @classmethod
    def of(cls, cube: np.ndarray, offset: int = 0) -> Frame:
        if cube.dtype.name not in DTYPE_CODES:
            raise InvalidCubeError(f"expected one of {', '.join(DTYPE_CODES)}, found {cube.dtype.name}")
        if cube.ndim != 3 or 0 in cube.shape:
            raise InvalidCubeError(f"expected (bands, rows, columns) with no empty axis, found {cube.shape}")
        return cls(cube.dtype.name, tuple(map(int, cube.shape)), int(offset))

    @classmethod
    def read(cls, data: bytes) -> tuple[Frame, int]:
        """Frame at the start of `data`, and the position of the first byte after it.

        Raises
        ------
        CorruptStreamError
            Unknown dtype, an empty axis, or a cube above `MAX_CUBE_BYTES`.
        """
        if not data:
            raise TruncatedStreamError("frame: expected a dtype byte, found no data")
        dtype = DTYPES.get(data[0])
        if dtype is None:
            raise CorruptStreamError(f"frame: expected a dtype code 1..6, found {data[0]}")
        at, fields = 1, []
        for _ in range(4):
            value, at = read_varint(data, at)
            fields.append(value)
        *shape, offset = fields
        n_bytes = shape[0] * shape[1] * shape[2] * np.dtype(dtype).itemsize
        if not 0 < n_bytes <= MAX_CUBE_BYTES:
            raise CorruptStreamError(f"frame: expected 1..{MAX_CUBE_BYTES} bytes of samples, found {n_bytes}")
        return cls(dtype, tuple(shape), unzigzag(offset)), at


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Value of the varint at position `at`, and the position after it."""
    reader = Reader(data, f"byte {at}", at)
    return reader.varint("varint"), reader.position


def to_scan(cube: np.ndarray, order: str) -> np.ndarray:
    """The samples (n,) band by band, or spectrum by spectrum in the order ``pixels``."""
    bands = cube.reshape(cube.shape[0], -1)
    return (bands.T if order == "pixels" else bands).reshape(-1)


def from_scan(scan: np.ndarray, order: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Undo `to_scan`: C order, (S, H, W)."""
    cube = scan.reshape(-1, shape[0]).T if order == "pixels" else scan
    return np.ascontiguousarray(cube).reshape(shape)


def join_parts(parts: Iterable[bytes]) -> bytes:
    """Length-prefixed parts, one after the other."""
    return b"".join(piece for part in parts for piece in (varint(len(part)), bytes(part)))


def split_parts(data: bytes, at: int, n_parts: int) -> list[memoryview]:
    """The parts `join_parts` wrote from position `at` on; they must use up `data`."""
    parts, view = [], memoryview(data)
    for i in range(n_parts):
        size, at = read_varint(data, at)
        if at + size > len(data):
            raise TruncatedStreamError(f"part {i}: {size} bytes announced, {len(data) - at} left")
        parts.append(view[at : at + size])
        at += size
    if at != len(data):
        raise CorruptStreamError(f"expected the end after {n_parts} parts, found {len(data) - at} more bytes")
    return parts


def value_range(cube: np.ndarray) -> tuple[int, int]:
    """Smallest and largest sample as Python integers (no overflow when subtracted)."""
    return int(cube.min()), int(cube.max())


def shift_to_unsigned(cube: np.ndarray) -> tuple[np.ndarray, int]:
    """The cube as uint8 or uint16, and the offset to add back.

    The offset is the smallest sample when that is negative or when the values do not fit otherwise, else 0:
    a cube that is unsigned already is left alone.  uint8 only for cubes of 8-bit dtype, as a user would do.

    Raises
    ------
    InvalidCubeError
        When more than 16 bits are needed.
    """
    reason = refuse_wide_range(cube)
    if reason:
        raise InvalidCubeError(reason)
    low, high = value_range(cube)
    offset = low if low < 0 or high > 0xFFFF else 0
    dtype = np.dtype(np.uint8 if cube.dtype.itemsize == 1 else np.uint16)
    unsigned = np.ascontiguousarray(cube).astype(dtype, copy=False)
    # Conversion and subtraction wrap modulo 2^8 or 2^16; the true result lies inside, so it is what remains.
    return (unsigned - _wrapped(offset, dtype) if offset else unsigned), offset


def shift_back(unsigned: np.ndarray, frame: Frame) -> np.ndarray:
    """Undo `shift_to_unsigned`: array of `frame.shape` and `frame.dtype`."""
    dtype = np.dtype(frame.dtype)
    cube = unsigned.reshape(frame.shape).astype(dtype, copy=False)
    return cube + _wrapped(frame.offset, dtype) if frame.offset else cube


def _wrapped(value: int, dtype: np.dtype) -> np.integer:
    """`value` modulo the range of `dtype`."""
    return np.array(value % (1 << 8 * dtype.itemsize), np.uint64).astype(dtype)[()]


def refuse_wide_range(cube: np.ndarray) -> str | None:
    """Reason of a codec for at most 16 bits per sample, or None."""
    low, high = value_range(cube)
    return None if high - low <= 0xFFFF else f"expected a range of at most 65536 values, found {low}..{high}"


def library_version(name: str) -> str:
    """Version of the C library `name` inside the installed imagecodecs, with that of imagecodecs.

    Raises
    ------
    BackendError
        When this build of imagecodecs lacks the library.
    """
    import imagecodecs

    versions = dict(part.rsplit("-", 1) for part in imagecodecs.version().split(", ") if "-" in part)
    found = versions.get(name, "n/a")
    if found == "n/a":
        raise BackendError(f"{name} is not available in imagecodecs {imagecodecs.__version__}")
    return f"{name} {found} (imagecodecs {imagecodecs.__version__})"
