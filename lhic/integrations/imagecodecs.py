"""Three functions in the manner of the library imagecodecs, whose names and arguments those who use it know.

They are ``lhic.encode`` and ``lhic.decode`` between arrays and bytes; docs/tifffile.md shows what for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lhic.api import ModelLike, decode, encode, inspect
from lhic.arguments import whole_number
from lhic.errors import UsageError
from lhic.families.registry import DEFAULT_MODEL
from lhic.stream.header import MAGIC

Buffer = bytes | bytearray | memoryview


def lhic_encode(
    data: Any,
    /,
    level: ModelLike | None = None,
    *,
    maxerror: float | None = None,
    out: int | bytearray | memoryview | np.ndarray | None = None,
    **options: Any,
) -> bytes | bytearray | memoryview:
    """A stream of an image.

    Parameters
    ----------
    data : array (rows, columns) or (bands, rows, columns), or whatever numpy makes one of
    level : model, as `lhic.encode` takes it; None: the default
    maxerror : largest difference that a sample may have; None: lossless
    out : buffer to write the stream into, or the number of bytes that it may have; None: new bytes
    options : others of `lhic.encode`

    Returns
    -------
    bytes, or the part of `out` that was written

    Raises
    ------
    UsageError
        `out` is too short.
    LhicError
        What else `lhic.encode` raises.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(12, dtype="uint16").reshape(3, 4)
    >>> bool((lhic_decode(lhic_encode(image))[0] == image).all())
    True
    """
    cube = np.asanyarray(data)
    if cube.ndim == 2:
        cube = cube[np.newaxis]
    if maxerror:
        options["max_error"] = maxerror
    stream = encode(cube, DEFAULT_MODEL if level is None else level, **options)
    if out is None:
        return stream
    if isinstance(out, int | np.integer):
        _check_room(len(stream), whole_number(out, "out", 0))
        return stream
    return _copied(stream, out)


def lhic_decode(data: Buffer, /, *, out: Any = None, **options: Any) -> np.ndarray:
    """The image of a stream.

    Parameters
    ----------
    data : stream
    out : array of the cube's shape and dtype, or buffer of as many bytes, to decode into; None: a new array
    options : of `lhic.decode`

    Returns
    -------
    array (bands, rows, columns); `out` if that is an array

    Raises
    ------
    UsageError
        `out` is of another shape, dtype or size.
    LhicError
        What else `lhic.decode` raises.
    """
    if not isinstance(data, Buffer):
        raise UsageError(f"lhic_decode: expected bytes of a stream, found {type(data).__name__}")
    if out is None:
        return decode(data, **options)
    info = inspect(data)
    dtype = np.dtype(info["dtype"]).newbyteorder(">" if info["byte_order"] == "big" else "<")
    if not isinstance(out, np.ndarray):
        view = memoryview(out).cast("B")
        _check_room(int(np.prod(info["shape"])) * dtype.itemsize, len(view))
        out = np.frombuffer(view, dtype, int(np.prod(info["shape"]))).reshape(info["shape"])
    if list(out.shape) != info["shape"] or out.dtype != dtype or not out.flags.writeable:
        expected = f"a writable array {tuple(info['shape'])} of {dtype}"
        raise UsageError(f"out: expected {expected}, found {out.shape} of {out.dtype}")
    out[...] = decode(data, **options)
    return out


def lhic_check(data: Buffer, /) -> bool:
    """Whether bytes begin as a stream does.

    >>> lhic_check(b"GIF89a"), lhic_check(lhic_encode([[1, 2], [3, 4]]))
    (False, True)
    """
    return bytes(memoryview(data)[: len(MAGIC)]) == MAGIC


def _check_room(n_bytes: int, room: int) -> None:
    if room < n_bytes:
        raise UsageError(f"out: expected room for {n_bytes} bytes, found {room}")


def _copied(stream: bytes, out: Any) -> memoryview:
    view = memoryview(out).cast("B")
    _check_room(len(stream), len(view))
    if view.readonly:
        raise UsageError("out: expected a buffer that can be written, found one that cannot")
    view[: len(stream)] = stream
    return view[: len(stream)]
