"""A filter for HDF5: chunks of datasets as lhic streams, through h5py and the HDF5 library that it brings.

Importing this module registers the filter.  It decides how a chunk becomes a cube, and what is noted with the dataset;
docs/hdf5.md describes both.  The callbacks are called by C, which no exception may reach: what went wrong is put on
HDF5's own stack of errors, where h5py finds it.
"""

from __future__ import annotations

import atexit
import ctypes
import math
import os
import struct
import sys
from _thread import interrupt_main
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any, NamedTuple

import numpy as np

from lhic.api import decode, encode
from lhic.arguments import whole_number
from lhic.cube import DTYPES, VALUE_DTYPES
from lhic.errors import BackendError, CorruptStreamError, InvalidCubeError, LhicError, UsageError, message_of, one_line
from lhic.extras import needs
from lhic.families.family import Model
from lhic.families.registry import DEFAULT_MODEL, load_model

with needs("formats", "HDF5 filter"):
    import h5py

FILTER = 417
"""What files name the filter by.  HDF5 leaves 256 to 511 to tests and private use; no number is registered yet."""
NAME = b"lhic: lossless hyperspectral cubes"
LAYOUT = 1
"""Of the filter's values (docs/hdf5.md)."""
BIG_ENDIAN = 128
MAX_NAME_BYTES = 64

OPTIONAL, REVERSE = 1, 0x100  # H5Z_FLAG_...
CLASS_VERSION = 1  # H5Z_CLASS_T_VERS

Hid = c_int64
CanApply = SetLocal = CFUNCTYPE(c_int, Hid, Hid, Hid)
Filter = CFUNCTYPE(c_size_t, c_uint, c_size_t, POINTER(c_uint), c_size_t, POINTER(c_size_t), POINTER(c_void_p))


class FilterClass(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = (
        ("version", c_int),
        ("id", c_int),
        ("encoder_present", c_uint),
        ("decoder_present", c_uint),
        ("name", c_char_p),
        ("can_apply", c_void_p),
        ("set_local", SetLocal),
        ("filter", Filter),
    )


def lhic(model: str = DEFAULT_MODEL, *, bands: int | None = None) -> dict[str, Any]:
    """Keywords for ``create_dataset`` of h5py.

    Parameters
    ----------
    model : name of one that ``lhic models`` lists
    bands : axis of the dataset along which the spectra run; default: the third from the end, or of two axes none

    Raises
    ------
    UsageError, CheckpointError
        There is no such model; or `bands` is no axis.

    Examples
    --------
    >>> import h5py, lhic.hdf5, numpy as np
    >>> cube = np.arange(6 * 20 * 30, dtype="int16").reshape(6, 20, 30)
    >>> with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
    ...     dataset = file.create_dataset("cube", data=cube, chunks=(6, 20, 15), **lhic.hdf5.lhic())
    ...     bool((dataset[2:4, 5] == cube[2:4, 5]).all())
    True
    """
    axis = 0 if bands is None else whole_number(bands, "bands", 0, 31) + 1
    _model(model)  # now, rather than when the first chunk is written
    return {"compression": FILTER, "compression_opts": (LAYOUT, axis, *_words(model.encode()))}


def _model(name: str) -> Model:
    """A name, and no path: what a file notes must lead nowhere but where weights are looked for."""
    if not isinstance(name, str) or os.path.basename(name) != name or not 0 < len(name.encode()) <= MAX_NAME_BYTES:
        expected = f"the name of a model, of up to {MAX_NAME_BYTES} bytes"
        raise UsageError(f"model: expected {expected}, found {name!r:.80}")
    return load_model(name)


class Chunk(NamedTuple):
    """What the filter's values say of each chunk of a dataset.

    bands : axis of the bands; None if all samples are of one
    """

    model: str
    bands: int | None
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def to_cube(self, samples: np.ndarray) -> np.ndarray:
        """(S, H, W): axes before rows and columns that are not the bands lengthen the rows."""
        samples = samples.reshape(self.shape)
        bands = samples[np.newaxis] if self.bands is None else np.moveaxis(samples, self.bands, 0)
        return np.ascontiguousarray(bands).reshape(self.cube_shape)

    @property
    def cube_shape(self) -> tuple[int, int, int]:
        rest = [n for axis, n in enumerate(self.shape) if axis != self.bands]
        n_bands = 1 if self.bands is None else self.shape[self.bands]
        return n_bands, math.prod(rest[:-1]), rest[-1]

    def from_cube(self, cube: np.ndarray) -> np.ndarray:
        if self.bands is None:
            return cube.reshape(self.shape)
        rest = [n for axis, n in enumerate(self.shape) if axis != self.bands]
        return np.ascontiguousarray(np.moveaxis(cube.reshape(cube.shape[0], *rest), 0, self.bands))


def described(values: Sequence[int]) -> Chunk:
    """What the values of a dataset's filter say.

    Raises
    ------
    CorruptStreamError
        They are no such values.
    """
    if not values or values[0] != LAYOUT:
        raise CorruptStreamError(f"HDF5 filter: expected values of layout {LAYOUT}, found {list(values[:4])}")
    try:
        _, bands, name_bytes, *rest = values
        n_words = -(-name_bytes // 4)
        name = struct.pack(f"<{n_words}I", *rest[:n_words])[:name_bytes].decode()
        code, *shape = rest[n_words:]
        dtype = TYPES[code][0]
    except (ValueError, KeyError, struct.error) as error:
        raise CorruptStreamError("HDF5 filter: expected model, dtype and shape of a chunk, found otherwise") from error
    if len(shape) < 2 or 0 in shape or bands > len(shape):
        raise CorruptStreamError(f"HDF5 filter: expected a chunk of two axes or more, found {shape}, bands {bands}")
    return Chunk(name, bands - 1 if bands else None, dtype, tuple(shape))


def _words(name: bytes) -> tuple[int, ...]:
    """The length of a name, and its bytes as numbers of 32 bits."""
    n_words = -(-len(name) // 4)
    return len(name), *struct.unpack(f"<{n_words}I", name.ljust(4 * n_words, b"\0"))


def _types() -> dict[int, tuple[np.dtype, h5py.h5t.TypeID]]:
    """Number of a dtype (docs/format.md, 1.2; plus 128 if big-endian) -> the dtype, and what it is in files."""
    found = {}
    for number, dtype in enumerate((*DTYPES, *VALUE_DTYPES), start=1):
        found[number] = dtype.newbyteorder("<")
        if dtype.itemsize > 1:
            found[number + BIG_ENDIAN] = dtype.newbyteorder(">")
    return {number: (dtype, h5py.h5t.py_create(dtype, logical=True)) for number, dtype in found.items()}


TYPES = _types()


# --- what HDF5 calls --------------------------------------------------------------------------------------------------


def _library() -> Any:
    """The HDF5 library that h5py uses, and no other: each keeps filters of its own."""
    # Of an extension module one also gets what it is linked with; Windows gives what is loaded under a name.
    library = ctypes.CDLL("hdf5.dll" if os.name == "nt" else h5py.h5z.__file__)
    signatures: dict[str, tuple[Any, list]] = {
        "H5Zregister": (c_int, [POINTER(FilterClass)]),
        "H5allocate_memory": (c_void_p, [c_size_t, ctypes.c_bool]),
        "H5free_memory": (c_int, [c_void_p]),
        "H5Tequal": (c_int, [Hid, Hid]),
        "H5Pget_chunk": (c_int, [Hid, c_int, POINTER(c_uint64)]),
        "H5Pget_filter2": (c_int, [Hid, c_uint, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p]),
        "H5Pget_filter_by_id2": (
            c_int,
            [Hid, c_int, POINTER(c_uint), POINTER(c_size_t), POINTER(c_uint), c_size_t, c_void_p, c_void_p],
        ),
        "H5Pmodify_filter": (c_int, [Hid, c_int, c_uint, c_size_t, POINTER(c_uint)]),
        "H5Ecreate_stack": (Hid, []),
        "H5Eset_current_stack": (c_int, [Hid]),
        "H5Epush2": (c_int, [Hid, c_char_p, c_char_p, c_uint, Hid, Hid, Hid, c_char_p]),
    }
    try:
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise BackendError(f"HDF5 filter: expected the HDF5 library of h5py, found one without {error}") from error
    return library


def _told(what: str, failed: int) -> Callable[[Callable], Callable]:
    """Around a callback: whatever it raises goes to HDF5's stack of errors, and `failed` is what C is given."""

    def around(function: Callable) -> Callable:
        def guarded(*arguments: Any) -> int:
            try:
                return function(*arguments)
            except LhicError as error:
                reason = message_of(error)
            except KeyboardInterrupt:
                reason = "interrupted"
                interrupt_main()  # raised again as soon as C has returned
            except BaseException as error:
                reason = one_line(error)
            _push(f"lhic: {what}: {reason}", what)
            return failed

        return guarded

    return around


def _push(text: str, what: str) -> None:
    """Onto HDF5's stack of errors.

    Newer versions hold the current stack shut while they call a filter, so another one takes its place.
    """
    stack = HDF5.H5Ecreate_stack()
    classes = (c_int64.in_dll(HDF5, name) for name in ("H5E_ERR_CLS_g", "H5E_PLINE_g", "H5E_CANTFILTER_g"))
    message = text.replace("%", "%%").encode()  # it is a format, as for printf
    HDF5.H5Epush2(stack, b"lhic/integrations/hdf5.py", what.encode(), 0, *classes, message)
    HDF5.H5Eset_current_stack(stack)


def _set_local(plist: int, type_id: int, _space: int) -> int:
    """Adds dtype and shape of the chunks to the values of a dataset that is created."""
    if HDF5.H5Pget_filter2(plist, 0, None, None, None, 0, None, None) != FILTER:
        raise UsageError("expected to be the first filter of a dataset, found another before it, such as shuffle")
    given = (c_uint * 64)()
    n_given = c_size_t(len(given))
    if HDF5.H5Pget_filter_by_id2(plist, FILTER, c_uint(), byref(n_given), given, 0, None, None) < 0:
        raise UsageError("expected the filter's values, found none")
    values = list(given[: n_given.value]) or [LAYOUT, 0, *_words(DEFAULT_MODEL.encode())]
    values = values[: 3 + -(-(values[2] if len(values) > 2 else 0) // 4)]  # of a list that was copied from a dataset
    sizes = (c_uint64 * 32)()
    n_axes = HDF5.H5Pget_chunk(plist, len(sizes), sizes)
    shape = list(sizes[: max(n_axes, 0)])
    if len(shape) < 2:
        raise InvalidCubeError(f"expected chunks of two axes or more, found {shape}")
    code = next((code for code, (_, own) in TYPES.items() if HDF5.H5Tequal(type_id, own.id) > 0), None)
    if code is None:
        raise InvalidCubeError("expected integers, floats of 16 to 64 bits or booleans, found a dataset of others")
    if values[1] == 0 and len(shape) > 2:
        values[1] = len(shape) - 2  # the third axis from the end, counted from 1
    if values[1] > len(shape):
        raise UsageError(f"bands: expected an axis of {len(shape)}, found {values[1] - 1}")
    values += [code, *shape]
    described(values)
    if HDF5.H5Pmodify_filter(plist, FILTER, OPTIONAL, len(values), (c_uint * len(values))(*values)) < 0:
        raise UsageError("expected to note dtype and shape of the chunks, found a list that cannot be changed")
    return 1


def _filter(flags: int, n_values: int, values: Any, n_bytes: int, buffer_bytes: Any, buffer: Any) -> int:
    """H5Z_func_t: replaces what is in `buffer`, a chunk or its stream, by the other."""
    chunk = described(values[:n_values])
    code = _decoded if flags & REVERSE else _encoded
    result = code(chunk, ctypes.string_at(buffer[0], n_bytes))
    place = HDF5.H5allocate_memory(len(result), False)
    if not place:
        raise MemoryError(f"{len(result)} bytes")
    ctypes.memmove(place, result, len(result))
    HDF5.H5free_memory(buffer[0])
    buffer[0], buffer_bytes[0] = place, len(result)
    return len(result)


def _encoded(chunk: Chunk, samples: bytes) -> bytes:
    """A chunk that cannot be coded, HDF5 keeps as it is: it does not survive closing a file whose chunks fail."""
    try:
        if len(samples) != chunk.n_bytes:
            raise InvalidCubeError(f"expected a chunk of {chunk.n_bytes} bytes, found {len(samples)}")
        return encode(chunk.to_cube(np.frombuffer(samples, chunk.dtype)), _model(chunk.model))
    except Exception as error:
        print(f"lhic: warning: a chunk of an HDF5 file stays as it is: {one_line(error)}", file=sys.stderr)
        raise


def _decoded(chunk: Chunk, stream: bytes) -> bytes:
    shape, n_bytes = chunk.cube_shape, chunk.n_bytes
    cube = decode(stream, expected_shape=shape, expected_dtype=chunk.dtype, max_bytes=n_bytes)
    return chunk.from_cube(cube).tobytes()


HDF5 = _library()
CLASS = FilterClass(
    CLASS_VERSION,
    FILTER,
    1,
    1,
    NAME,
    None,
    SetLocal(_told("create a dataset", -1)(_set_local)),
    Filter(_told("chunk", 0)(_filter)),
)
"""Kept as long as the module: HDF5 copies the record, not the functions that it points to."""


def _register() -> None:
    if h5py.h5z.filter_avail(FILTER):
        raise BackendError(f"HDF5 filter: expected number {FILTER} to be free, found another filter under it")
    if HDF5.H5Zregister(byref(CLASS)) < 0:
        raise BackendError(f"HDF5 filter: expected HDF5 {h5py.version.hdf5_version} to take it, found a refusal")


def _flush() -> None:
    """Chunks of files that nobody closed are coded now: later there is no Python that could."""
    for file in h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE):
        h5py.h5f.flush(file)


_register()
atexit.register(_flush)
