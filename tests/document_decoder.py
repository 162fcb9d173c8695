"""A decoder of lhic streams, written from the documents of the format alone.

It proves that `docs/format*.md` are sufficient. It follows them section by section, in their notation, and is made
to be compared with them: plain, without any part of the package, and slow. Documents in the order of this file:

    format.md                   container, weights, `raw`, `shuffled`
    format_values.md            floats, 64-bit integers, booleans
    format_bytes.md             packed bytes
    format_rans.md              coded sections, mixtures of logistics
    format_lhic_ax_side.md      bands to planes and back
    format_lhic_ax.md           planes
    format_lhic_bp.md           a published network
    format_linerwkv.md          another one

Letters and names in formulas are those of the document at hand. Unless a comment says otherwise, all numbers are
integers, and `>>` binds weaker than `+ - *`, as it does in Python.
"""

import contextlib
import hashlib
import json
import math
import re
import sys
import zlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate, count
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import safe_open

MEMORY_BUDGET = 2**30  # bytes of a decoded cube, format.md, 5


class DecodeError(ValueError):
    """The stream is not one that the documents allow, or its weights are not at hand."""


def require(condition: bool, problem: str) -> None:
    """Reject the stream unless the condition holds."""
    if not condition:
        raise DecodeError(problem)


# ---------------------------------------------------------------------------------------------------------------------
# format.md, types
# ---------------------------------------------------------------------------------------------------------------------


class Reader:
    """Reads the types named at the top of format.md, one after the other."""

    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def take(self, n: int) -> bytes:
        require(n <= len(self.data) - self.position, "data is cut")
        self.position += n
        return self.data[self.position - n : self.position]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.position)

    def fixed(self, n: int) -> int:
        """An integer of n bytes, little-endian."""
        return int.from_bytes(self.take(n), "little")

    def varint(self) -> int:
        value = 0
        for k in range(9):  # 63 bits
            byte = self.fixed(1)
            value |= (byte & 0x7F) << 7 * k
            if byte < 0x80:
                require(byte > 0 or k == 0, "varint is not the shortest")
                return value
        raise DecodeError("varint of 2^63 or more")

    def zigzag(self) -> int:
        """The type `zigzag`; every field of this type is below 2^34 as coded."""
        v = self.varint()
        require(v < 2**34, "zigzag of 2^34 or more")
        return v >> 1 if v % 2 == 0 else -(v + 1 >> 1)

    def counted(self) -> bytes:
        """The type `bytes`."""
        return self.take(self.varint())

    def packed(self, longest: int) -> bytes:
        """The type `packed` (format_bytes.md, 1) of at most so many plain bytes."""
        size = self.varint()
        data = self.take(size >> 1)
        data = decode_code(data, longest) if size & 1 else data
        require(len(data) <= longest, "packed bytes: too many")
        return data

    def name(self) -> str:
        """A text of the alphabet of format.md, 1.2."""
        data = self.counted()
        require(re.fullmatch(rb"[a-z0-9._-]{1,64}", data) is not None, "name of a wrong length or alphabet")
        return data.decode()

    def end(self) -> None:
        require(self.position == len(self.data), "bytes left over")


# ---------------------------------------------------------------------------------------------------------------------
# format.md, 1 and 2: container
# ---------------------------------------------------------------------------------------------------------------------

MAGIC = b"\x89LHIC\r\n\x1a"
DTYPES = {1: "u1", 2: "i1", 3: "u2", 4: "i2", 5: "u4", 6: "i4"}
VALUE_DTYPES = {7: "f4", 8: "f8", 9: "i8", 10: "u8", 11: "?", 12: "f2"}


@dataclass
class Tile:
    """An index entry (format.md, 1.2) and where the tile lies."""

    section_bytes: list[int]
    samples_crc: int
    sections_crc: int
    rows: slice
    columns: slice


@dataclass
class Header:
    """format.md, 1.2."""

    dtype: np.dtype  # little-endian; of the samples
    big_endian: bool
    shape: tuple[int, int, int]  # S, H, W
    tile_shape: tuple[int, int]
    family: str
    weights_hash: bytes
    parameters: bytes
    n_sections: int
    tiles: list[Tile]
    values: bytes | None = None  # None: of dtypes that have none


def read_container(stream: bytes) -> tuple[Header, list[list[bytes]]]:
    """The header, and the sections of each tile, with all checksums of the container checked."""
    # format.md, 1.1: preamble
    preamble = Reader(stream)
    require(preamble.take(8) == MAGIC, "foreign stream")
    version = preamble.fixed(1)
    require(version <= 1, "unsupported version")
    require(version == 1, "version 0")
    flags = preamble.fixed(1)
    require(flags <= 1, "reserved flags are set")
    header_bytes = preamble.fixed(4)
    stream_bytes = preamble.fixed(8)
    require(len(stream) >= stream_bytes, "truncated stream")
    require(len(stream) == stream_bytes, "bytes left over behind the stream")

    # format.md, 1.2: header
    start = 22 + header_bytes
    require(header_bytes >= 4 and start + 4 <= stream_bytes, "header_bytes out of range")
    require(zlib.crc32(stream[: start - 4]) == int.from_bytes(stream[start - 4 : start], "little"), "header_crc")
    header, beside = read_header(Reader(stream[22 : start - 4]), flags == 1)

    # format.md, 1.3: tiles
    tile_bytes = [sum(tile.section_bytes) for tile in header.tiles]
    beside_bytes = [section.n_bytes for section in beside]
    require(start + sum(tile_bytes) + sum(beside_bytes) + 4 == stream_bytes, "sizes do not add up to stream_bytes")
    body = Reader(stream[start:])
    sections = []
    for tile in header.tiles:
        sections.append([body.take(n) for n in tile.section_bytes])
        require(zlib.crc32(b"".join(sections[-1])) == tile.sections_crc, "sections_crc")

    # format.md, 1.4: auxiliary sections, which do not influence the samples
    for section in beside:
        unpack(section, body.take(section.n_bytes))

    # format.md, 1.5: trailer
    require(zlib.crc32(stream[:-4]) == body.fixed(4), "trailer")
    return header, sections


@dataclass
class Auxiliary:
    """format.md, 1.4: an entry of the index of auxiliary sections."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    n_bytes: int
    crc: int


def read_auxiliary(reader: Reader) -> list[Auxiliary]:
    """format.md, 1.4: the index."""
    n_auxiliary = reader.varint()
    require(1 <= n_auxiliary <= 65535, "n_auxiliary out of range")
    sized = [order + kind for order in "<>" for kind in "i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16".split()]
    found = []
    for _ in range(n_auxiliary):
        name, element = (reader.counted() for _ in range(2))
        require(1 <= len(name) <= 4096, "name of an auxiliary section out of range")
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError("name of an auxiliary section is not UTF-8") from error
        require(element in [kind.encode() for kind in ("|b1", "|i1", "|u1", *sized)], "unknown type of an element")
        n_axes = reader.varint()
        require(n_axes <= 32, "too many axes")
        dtype, shape = np.dtype(element.decode()), tuple(reader.varint() for _ in range(n_axes))
        require(math.prod(shape) * dtype.itemsize < 2**63, "auxiliary section too large")
        found.append(Auxiliary(text, dtype, shape, reader.varint(), reader.fixed(4)))
    require(len({section.name for section in found}) == n_auxiliary, "a name of an auxiliary section twice")
    return found


def unpack(section: Auxiliary, data: bytes) -> np.ndarray:
    """format.md, 1.4: the array in a section."""
    require(zlib.crc32(data) == section.crc, "section_crc")
    n_elements, size = math.prod(section.shape), section.dtype.itemsize
    require(n_elements * size <= MEMORY_BUDGET, "memory budget")
    require(len(data) <= n_elements * size, "an auxiliary section of another length")
    planes = data if len(data) == n_elements * size else decode_code(data, n_elements * size)
    require(len(planes) == n_elements * size, "an auxiliary section of another length")
    elements = np.frombuffer(planes, np.uint8).reshape(size, n_elements).T
    return np.ascontiguousarray(elements).reshape(-1).view(section.dtype).reshape(section.shape)


def read_header(reader: Reader, has_auxiliary: bool) -> tuple[Header, list[Auxiliary]]:
    """format.md, 1.2, from `dtype` to the end."""
    code = reader.fixed(1)
    big_endian = code >= 0x80
    names = DTYPES | VALUE_DTYPES
    require(code & 0x7F in names, "unknown dtype")
    dtype = np.dtype("<" + names[code & 0x7F])
    require(dtype.itemsize > 1 or not big_endian, "8-bit samples have no byte order")
    values = reader.counted() if code & 0x7F in VALUE_DTYPES else None
    require(values is None or len(values) <= 2**24, "values too long")

    S, H, W, tile_rows, tile_columns = (reader.varint() for _ in range(5))
    require(all(1 <= n < 2**31 for n in (S, H, W, tile_rows, tile_columns)), "size out of range")
    require(S * H * W * dtype.itemsize < 2**63, "cube too large")
    require(S * H * W * dtype.itemsize <= MEMORY_BUDGET, "memory budget")

    reader.name()  # model_name is for people: the weights are found by their hash
    family = reader.name()
    weights_hash = reader.counted()
    require(len(weights_hash) in (0, 32), "weights_hash is neither empty nor of 32 bytes")
    parameters = reader.counted()
    require(len(parameters) <= 65535, "parameters too long")
    check_metadata(reader.packed(2**20), S)
    n_sections = reader.varint()
    require(1 <= n_sections <= 255, "n_sections out of range")

    tiles = []
    for y0 in range(0, H, tile_rows):
        for x0 in range(0, W, tile_columns):
            section_bytes = [reader.varint() for _ in range(n_sections)]
            samples_crc, sections_crc = reader.fixed(4), reader.fixed(4)
            rows = slice(y0, min(y0 + tile_rows, H))
            columns = slice(x0, min(x0 + tile_columns, W))
            tiles.append(Tile(section_bytes, samples_crc, sections_crc, rows, columns))
    beside = read_auxiliary(reader) if has_auxiliary else []
    reader.end()
    shape, tile_shape = (S, H, W), (tile_rows, tile_columns)
    return Header(
        dtype, big_endian, shape, tile_shape, family, weights_hash, parameters, n_sections, tiles, values
    ), beside


def check_metadata(data: bytes, S: int) -> None:
    """format.md, 2, once unpacked. The metadata does not influence the samples; it is only checked."""
    if not data:
        return
    try:
        metadata = json.loads(data.decode("utf-8"), parse_constant=lambda name: math.inf)
    except (ValueError, RecursionError) as error:
        raise DecodeError("metadata is not JSON in UTF-8") from error
    require(isinstance(metadata, dict), "metadata is not an object")
    check_value(metadata, depth=1)

    def is_number(value: object) -> bool:
        return type(value) in (int, float)

    def is_list(key: str, check: Callable[[object], bool], *lengths: int) -> bool:
        value = metadata[key]
        return isinstance(value, list) and (not lengths or len(value) in lengths) and all(map(check, value))

    def is_nodata(value: object) -> bool:
        return is_number(value) or value in ("NaN", "Infinity", "-Infinity")

    def is_band(value: object) -> bool:
        return type(value) is int and 0 <= value < S

    checks = {key: lambda key: type(metadata[key]) is str for key in TEXT_KEYS}
    checks |= {key: lambda key: is_list(key, is_number, S) for key in ("wavelengths", "fwhm")}
    checks |= {key: lambda key: is_number(metadata[key]) or is_list(key, is_number, S) for key in ("scale", "offset")}
    checks |= {key: lambda key: isinstance(metadata[key], dict) for key in ("rpcs", "extra")}
    checks |= {
        "bad_bands": lambda key: is_list(key, lambda value: type(value) is bool, S),
        "band_names": lambda key: is_list(key, lambda value: type(value) is str, S),
        "default_bands": lambda key: is_list(key, is_band, 1, 2, 3),
        "nodata": lambda key: (
            is_nodata(metadata[key]) or is_list(key, lambda value: value is None or is_nodata(value), S)
        ),
        "transform": lambda key: is_list(key, is_number, 6),
        "gcps": lambda key: is_list(
            key, lambda point: isinstance(point, list) and len(point) == 5 and all(map(is_number, point))
        ),
        "times": lambda key: is_list(key, lambda value: type(value) is str),
        "source": lambda key: isinstance(metadata[key], dict) and type(metadata[key].get("format")) is str,
    }
    for key, is_so in checks.items():
        require(key not in metadata or is_so(key), f"{key}: another type")


TEXT_KEYS = "wavelength_unit", "quantity", "unit", "description", "crs", "gcps_crs"


def check_value(value: object, depth: int) -> None:
    """format.md, 2: what a value of the metadata may not be. `depth` counts the objects and lists it is, or is in."""
    if isinstance(value, dict | list):
        require(depth <= 64, "metadata: more than 64 levels")
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            check_value(item, depth + isinstance(item, dict | list))
    elif isinstance(value, str):
        require(not any("\ud800" <= character <= "\udfff" for character in value), "metadata: half a surrogate pair")
    elif isinstance(value, int | float):
        require(abs(value) <= 2**1024 - 2**970, "metadata: a number beyond binary64")


# ---------------------------------------------------------------------------------------------------------------------
# format.md, 3: weights
# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Weights:
    """What a weights file holds, format.md, 3.1."""

    family: str
    config: dict
    tensors: dict[str, np.ndarray]

    def hash(self) -> bytes:
        """format.md, 3.2."""
        config = json.dumps(self.config, sort_keys=True, separators=(",", ":"))
        sha = hashlib.sha256(f"lhic-weights-1\n{self.family}\n{config}\n".encode())
        for name in sorted(self.tensors, key=str.encode):
            tensor = self.tensors[name]
            sha.update(f"{name}\n{tensor.dtype.name}\n{','.join(map(str, tensor.shape))}\n".encode())
            sha.update(tensor.astype(tensor.dtype.newbyteorder("<")).tobytes())
        return sha.digest()


def read_weights(path: Path) -> Weights:
    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["lhic"])
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    weights = Weights(description["family"], description["config"], tensors)
    require(weights.hash().hex() == description["sha256"], f"{path.name}: damaged")
    return weights


def find_weights(header: Header, folders: list[Path]) -> Weights:
    """The weights of the header's hash and family (format.md, 5: otherwise a model mismatch)."""
    for folder in folders:
        for path in sorted(Path(folder).glob("*.safetensors")):
            weights = read_weights(path)
            if weights.family == header.family and weights.hash() == header.weights_hash:
                return weights
    raise DecodeError("model mismatch: no weights with this hash")


# ---------------------------------------------------------------------------------------------------------------------
# format.md, 4.1: raw
# ---------------------------------------------------------------------------------------------------------------------


def check_raw(header: Header) -> None:
    require(not header.weights_hash and not header.parameters, "raw: weights or parameters")
    require(header.n_sections == 1, "raw: number of sections")


def decode_raw_tile(header: Header, sections: list[bytes], h: int, w: int) -> np.ndarray:
    shape = (header.shape[0], h, w)
    require(len(sections[0]) == math.prod(shape) * header.dtype.itemsize, "raw: size of the section")
    return np.frombuffer(sections[0], header.dtype).reshape(shape)


# ---------------------------------------------------------------------------------------------------------------------
# format.md, 4.2: shuffled
# ---------------------------------------------------------------------------------------------------------------------


def check_shuffled(header: Header) -> None:
    require(not header.weights_hash and not header.parameters, "shuffled: weights or parameters")
    require(header.n_sections == 1, "shuffled: number of sections")


def decode_shuffled_tile(header: Header, sections: list[bytes], h: int, w: int) -> np.ndarray:
    shape = (header.shape[0], h, w)
    n_bytes = math.prod(shape) * header.dtype.itemsize
    import zstandard  # nothing else needs it

    try:
        frame = zstandard.get_frame_parameters(sections[0])
        inflater = zstandard.ZstdDecompressor(max_window_size=2**23).decompressobj()
        require(frame.content_size == n_bytes and not frame.dict_id and not frame.has_checksum, "shuffled: frame")
        content = inflater.decompress(sections[0])
    except zstandard.ZstdError as error:
        raise DecodeError("shuffled: damaged frame") from error
    require(len(content) == n_bytes and inflater.eof and not inflater.unused_data, "shuffled: not one whole frame")
    planes = np.frombuffer(content, np.uint8).reshape(header.dtype.itemsize, -1)
    return np.frombuffer(planes.T.tobytes(), header.dtype).reshape(shape)


# ---------------------------------------------------------------------------------------------------------------------
# format_values.md
# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class ValueMap:
    """format_values.md, 1."""

    kind: int
    shift: int
    cell: int
    base: int = 0
    step: float = 0.0
    offset: float = 0.0


@dataclass
class Values:
    """format_values.md, 1."""

    coded_dtype: np.dtype
    specials: dict[int, int]  # code -> bits
    maps: list[ValueMap]  # of each band

    @property
    def has_rest(self) -> bool:
        return any(m.shift for m in self.maps)


def read_values(header: Header) -> Values:
    reader, dtype, S = Reader(header.values), header.dtype, header.shape[0]

    def real() -> float:
        value = float(np.frombuffer(reader.take(8), "<f8")[0])
        require(math.isfinite(value), "values: not finite")
        return value

    code = reader.fixed(1)
    require(code in DTYPES, "values: coded dtype")
    coded_dtype = np.dtype("<" + DTYPES[code])
    require(real() >= 0, "values: max_error")
    n_specials = reader.varint()
    require(n_specials <= 1024, "values: too many special samples")
    limits, specials, before = np.iinfo(coded_dtype), {}, -1
    for _ in range(n_specials):
        bits, z = reader.fixed(dtype.itemsize), reader.varint()
        code = z >> 1 ^ -(z & 1)
        require(bits > before and code not in specials and z <= 2**33, "values: special samples")
        require(limits.min <= code <= limits.max, "values: code of a special sample")
        specials[code] = before = bits
    n_maps = reader.varint()
    require(1 <= n_maps <= S, "values: number of maps")
    maps = []
    for _ in range(n_maps):
        kind, shift, cell = reader.fixed(1), reader.varint(), reader.varint()
        require(kind <= (4 if dtype.kind == "f" else 0), "values: kind of a map")
        require(shift <= 63 and 1 <= cell <= 2**62, "values: shift or cell")
        if kind == 0:
            maps.append(ValueMap(kind, shift, cell, base=reader.fixed(8)))
        else:
            maps.append(ValueMap(kind, shift, cell, step=real(), offset=real()))
            require(maps[-1].step > 0, "values: step")
    bands = maps * S if n_maps == 1 else []
    while len(bands) < S:
        n, number = reader.varint(), reader.varint()
        require(1 <= n <= S - len(bands) and number < n_maps, "values: run of bands")
        bands += [maps[number]] * n
    reader.end()
    return Values(coded_dtype, specials, bands)


def samples_from_coded(values: Values, coded: np.ndarray, rest: bytes, dtype: np.dtype) -> np.ndarray:
    """The samples of a tile, format_values.md."""
    reader = Reader(rest)
    n = coded[0].size
    samples = np.empty(coded.shape, dtype)
    for upper, out, m in zip(coded, samples, values.maps, strict=True):
        low = [0] * n
        for plane in range(-(-m.shift // 8)):
            data = reader.packed(n)
            require(len(data) == n, "rest: size of a plane")
            low = [a + (b << 8 * plane) for a, b in zip(low, data, strict=True)]
        require(all(a < 1 << m.shift for a in low), "rest: lower part too great")
        pixels = []
        for c, a in zip(upper.reshape(-1).tolist(), low, strict=True):
            if c in values.specials:
                pixels.append(values.specials[c].to_bytes(dtype.itemsize, "little"))
            else:
                number = ((c << m.shift) + a) * m.cell
                pixels.append(sample_of((number + 2**63) % 2**64 - 2**63, m, dtype))
        out[:] = np.frombuffer(b"".join(pixels), dtype).reshape(upper.shape)
    reader.end()
    return samples


def sample_of(number: int, m: ValueMap, dtype: np.dtype) -> bytes:
    """format_values.md, 2."""
    w = 8 * dtype.itemsize
    if m.kind == 0:
        key = (m.base + number) % 2**64
        if dtype.kind == "b":
            return bytes([key != 0])
        if dtype.kind == "f":
            k = key % 2**w
            key = k - 2 ** (w - 1) if k >= 2 ** (w - 1) else 2**w - 1 - k
        return (key % 2**w).to_bytes(dtype.itemsize, "little")
    work = dtype.type if m.kind >= 3 else np.float64
    with np.errstate(all="ignore"):
        x, step = work(np.int64(number)), work(m.step)
        x = x * step if m.kind in (1, 3) else x / step
        if m.offset != 0:
            x = x + work(m.offset)
        return np.array([x]).astype(dtype).tobytes()


# ---------------------------------------------------------------------------------------------------------------------
# format_bytes.md: packed bytes
# ---------------------------------------------------------------------------------------------------------------------


def decode_code(code: bytes, longest: int) -> bytes:
    """format_bytes.md, 1: the plain bytes of a code, at most so many."""
    reader = Reader(code)
    n, stride = reader.varint(), reader.varint()
    require(len(code) < n <= min(longest, 4096 * len(code)), "code: number of plain bytes")
    require(stride < n, "code: stride")
    bits = BitReader(reader.rest())
    plain = ByteModel(n, stride).read(bits)
    bits.end()
    return plain


class BitReader:
    """format_bytes.md, 2."""

    def __init__(self, coded: bytes):
        self.coded, self.taken = coded, 0
        self.width, self.code = 2**48, 0
        for _ in range(6):
            self.take()

    def take(self) -> None:
        require(self.taken < len(self.coded) + 5, "code: cut")
        self.code = self.code << 8 | (self.coded[self.taken] if self.taken < len(self.coded) else 0)
        self.taken += 1

    def bit(self, p: int) -> int:
        part = (self.width >> 16) * p
        y = int(self.code < part)
        if y:
            self.width = part
        else:
            self.code, self.width = self.code - part, self.width - part
        while self.width < 2**40:
            self.take()
            self.width <<= 8
        return y

    def end(self) -> None:
        require(self.code < 2**40 and self.taken == len(self.coded) + 5, "code: end")


def clip(x: int, a: int, b: int) -> int:
    return min(max(x, a), b)


@cache
def byte_tables() -> tuple[dict[int, int], list[int], list[int], list[int]]:
    """format_bytes.md, 3: squash, stretch, rate, confidence."""
    squash = {d: min(CURVE[d] >> 8, 65520) for d in range(1024)}
    squash |= {-d: 2**16 - squash[d] for d in range(1, 1024)}
    rising = [squash[d] for d in range(-1023, 1024)]
    stretch = [clip(bisect_right(rising, 16 * q + 8) - 1024, -768, 768) for q in range(4096)]
    rate = [2**17 // (2 * c + 3) for c in range(128)]
    confidence = [bisect_right([1, 2, 3, 4, 6, 9, 16, 32, 64], c) for c in range(128)]
    return squash, stretch, rate, confidence


def hash_of(*values: int) -> int:
    h = 0
    for v in values:
        h = (h + v + 1) * 0x2F0B4C47 % 2**32
    return h


class ByteModel:
    """format_bytes.md, 3 to 6. A slot that is not in a table is as at first."""

    def __init__(self, n: int, stride: int):
        self.n, self.stride = n, stride
        self.b = min(n.bit_length() + 5, 20)
        self.x: list[int] = []
        self.slots: dict[tuple[int, ...], list[int]] = {}  # contexts 0 .. 8, and 9 for `seen`
        self.weights = [[[14000] * 10 for _ in range(10)] for _ in range(5)]
        self.knots: dict[tuple[int, int], list[int]] = {}
        self.last: dict[int, int] = {}
        self.field = self.before = self.match = self.length = 0

    def read(self, bits: BitReader) -> bytes:
        while len(self.x) < self.n:
            contexts = self.contexts()
            expected = self.find_match()
            self.x.append(self.read_byte(bits, contexts, expected))
        return bytes(self.x)

    def back(self, k: int) -> int:
        """`ck`."""
        return self.x[-k] if k <= len(self.x) else 0

    def contexts(self) -> list[int]:
        """Section 4."""
        x, t, stride = self.x, len(self.x), self.stride
        c1, c2, c3, c4, c5, c6 = (self.back(k) for k in range(1, 7))
        u = t - stride
        if stride == 0:
            if c1 in (44, 10, 91):
                if c2 not in (44, 10, 91):
                    self.before = self.field
                self.field = t
            u = self.before + t - self.field
            u = u if u < self.field else -1
        above = x[u] if u >= 0 else 0
        left = x[u - 1] if u > 0 else 0
        right = x[u + 1] if u >= 0 and u + 1 < t else 0
        return [
            hash_of(t % stride) if stride else 0,
            hash_of(c1),
            hash_of(c1, c2),
            hash_of(c1, c2, c3),
            hash_of(c1, c2, c3, c4),
            hash_of(c1, c2, c3, c4, c5, c6),
            hash_of(above, c1, left),
            hash_of(above, right),
            hash_of(above, (c1 + above - left) % 256) if stride else hash_of(c2),
        ]

    def find_match(self) -> int | None:
        """Section 4: the expected byte."""
        x, t = self.x, len(self.x)
        if self.match > 0:
            self.length = min(self.length + 1, 511) if x[self.match] == self.back(1) else 0
            self.match += 1
        h = hash_of(*(self.back(k) for k in range(1, 6))) >> 16
        if self.length == 0:
            place, equal = self.last.get(h, 0), 0
            while equal < min(32, place) and x[place - 1 - equal] == x[t - 1 - equal]:
                equal += 1
            if equal >= 5:
                self.length, self.match = equal, place
        self.last[h] = t
        return x[self.match] if self.match > 0 else None

    def read_byte(self, bits: BitReader, contexts: list[int], expected: int | None) -> int:
        """Sections 5 and 6."""
        squash, stretch, rate, confidence = byte_tables()
        t, length = len(self.x), self.length
        first = [squash[clip(64 * j - 1024, -1023, 1023)] for j in range(33)]
        s = 12 + (t >= 512) + (t >= 8192) + (t >= 65536)
        partial = node = 1
        rows: list[int] = []
        for k in range(8):
            if k in (0, 4):
                rows = [(h + partial) * 0x2F0B4C47 % 2**32 >> 36 - self.b for h in contexts]
                node = 1
            if expected is not None and (256 | expected) >> 8 - k != partial:
                expected = None
            chosen = 0 if expected is None else sum(length > least for least in (0, 15, 31, 399))
            used = [self.slots.setdefault((i, row, node), [2**21, 0]) for i, row in enumerate(rows)]
            if expected is not None:
                group = length if length < 16 else 16 + (length >> 5)
                used.append(self.slots.setdefault((9, group, expected >> 7 - k & 1), [2**21, 0]))
            inputs = [stretch[a >> 10] for a, _ in used]
            places = [confidence[c] for _, c in used]
            weights = self.weights[chosen]
            total = sum(weights[i][place] * inputs[i] for i, place in enumerate(places))
            d = clip(total >> 16, -1023, 1023)
            mixed = squash[d]
            knot = self.knots.setdefault((chosen, partial), first[:])
            j, f = d + 1024 >> 6, (d + 1024) % 64
            refined = knot[j] * (64 - f) + knot[j + 1] * f >> 6
            y = bits.bit(clip(mixed + refined >> 1, 16, 65520))

            for i, place in enumerate(places):
                weights[i][place] += inputs[i] * (y * 2**16 - mixed) + 2 ** (s - 1) >> s
            for slot in used:
                slot[0] += (y * 2**22 - slot[0]) * rate[slot[1]] >> 16
                slot[1] = min(slot[1] + 1, 127)
            near = j if f < 32 else j + 1
            knot[near] += y * 2**16 - knot[near] >> 6
            partial, node = 2 * partial + y, 2 * node + y
        return partial - 256


def read_flags(coded: bytes, n: int, T: int) -> list[int]:
    """format_bytes.md, 7."""
    squash, stretch, rate, _ = byte_tables()
    bits = BitReader(coded)
    tables: list[dict] = [{}, {}, {}]
    weights = [24000] * 3
    f: list[int] = []
    value = run = 0
    ended = [0, 0]  # the last run of each value
    for t in range(n):
        recent = sum(f[t - 1 - k] << k for k in range(12) if t - 1 - k >= 0)
        above = [f[u] if u >= 0 else 0 for u in (t - T - 1, t - T, t - T + 1)] if T else [0, 0, 0]
        contexts = recent, (value, run, ended[value]), (*above, recent % 16)
        asked = [table.setdefault(context, [2**21, 0]) for table, context in zip(tables, contexts, strict=True)]
        inputs = [stretch[a >> 10] for a, _ in asked]
        mixed = squash[clip(sum(w * x for w, x in zip(weights, inputs, strict=True)) >> 16, -1023, 1023)]
        y = bits.bit(mixed)
        weights = [w + (x * (y * 2**16 - mixed) + 2**12 >> 13) for w, x in zip(weights, inputs, strict=True)]
        for slot in asked:
            slot[0] += (y * 2**22 - slot[0]) * rate[slot[1]] >> 16
            slot[1] = min(slot[1] + 1, 30)
        if y != value:
            ended[value], value, run = run, y, 0
        run = min(run + 1, 63)
        f.append(y)
    bits.end()
    return f


# ---------------------------------------------------------------------------------------------------------------------
# format_rans.md, 1 and 2: coded sections
# ---------------------------------------------------------------------------------------------------------------------


class CodedSection:
    """A section of `L` lanes and precision `P`, read symbol by symbol."""

    def __init__(self, data: bytes, L: int, P: int):
        require(len(data) >= 8 * L and len(data) % 4 == 0, "coded section: size")
        self.P = P
        self.states = np.frombuffer(data[: 8 * L], "<u8").tolist()
        self.words = iter(np.frombuffer(data[8 * L :], "<u4").tolist())
        self.lane = 0
        require(all(2**31 <= x < 2**63 for x in self.states), "coded section: state out of range")

    def slot(self) -> int:
        """Step 1 of section 2."""
        return self.states[self.lane] & (1 << self.P) - 1

    def take(self, start: int, freq: int) -> None:
        """Steps 2 and 3 of section 2, for the symbol with this interval."""
        x = freq * (self.states[self.lane] >> self.P) + self.slot() - start
        if x < 2**31:
            word = next(self.words, None)
            require(word is not None, "coded section: words missing")
            x = x << 32 | word
        self.states[self.lane] = x
        self.lane = (self.lane + 1) % len(self.states)

    def end(self) -> None:
        require(all(x == 2**31 for x in self.states), "coded section: last state")
        require(next(self.words, None) is None, "coded section: words left over")


def symbol_at(slot: int, first: int, beyond: int, start: Callable[[int], int]) -> int:
    """The last symbol of first .. beyond - 1 whose interval starts at the slot or below."""
    return bisect_right(range(first, beyond), slot, key=start) - 1 + first


# ---------------------------------------------------------------------------------------------------------------------
# format_rans.md, 4: mixtures of discretised logistics
# ---------------------------------------------------------------------------------------------------------------------


def logistic_tables() -> tuple[list[int], list[int]]:
    """`power` and `curve`, with 60 decimal digits."""
    with localcontext(prec=60):
        power = [int((2**16 * Decimal(2) ** (Decimal(-f) / 32)).to_integral_value()) for f in range(32)]
        curve = [int((2**24 / (1 + Decimal(2) ** (Decimal(-j) / 64))).to_integral_value()) for j in range(1537)]
    return power, [*curve, curve[1536]]


POWER, CURVE = logistic_tables()


def mixture_weights(g: list[int]) -> list[int]:
    """`w` of the components, which add up to 2^14."""
    b = [max(g) - logit for logit in g]
    r = [POWER[x % 32] >> min(x // 32, 63) for x in b]
    R = sum(r)
    w = [x * 2**14 // R for x in r]
    w[b.index(0)] += 2**14 - sum(w)
    return w


def sigmoid_argument(d: int, c: int) -> int:
    """`u` of a distance in 1/256 symbol."""
    return min(abs(d) * POWER[c % 32] * 2**4 >> c // 32, 24 * 2**20)


def integer_sigmoid(d: int, c: int) -> int:
    """`sigmoid` of a distance in 1/256 symbol."""
    u = sigmoid_argument(d, c)
    j, v = u >> 14, u % 2**14
    s = CURVE[j] + ((CURVE[j + 1] - CURVE[j]) * v >> 14)
    return 2**24 - s if d < 0 else s


def cumulative(components: list[tuple[int, int, int]], A: int, P: int) -> Callable[[int], int]:
    """`F` for an alphabet of `A` symbols; components are (m, c, w)."""

    @cache
    def F(x: int) -> int:
        if x in (0, A):
            return 2**P if x else 0
        C = sum(w * integer_sigmoid(256 * x - 128 - m, c) for m, c, w in components)
        return (C * (2**P - A) >> 38) + x

    return F


def decode_symbol(coded: CodedSection, F: Callable[[int], int], A: int) -> int:
    """A symbol whose intervals are [F(x), F(x + 1))."""
    x = symbol_at(coded.slot(), 0, A, F)
    coded.take(F(x), F(x + 1) - F(x))
    return x


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax_side.md
# ---------------------------------------------------------------------------------------------------------------------

CONSTANT, FLAT, DENSE, SPARSE, RANKED, SPLIT = range(6)


@dataclass
class Band:
    """format_lhic_ax_side.md, 3."""

    kind: int
    has_below: int  # 0 or 1
    has_above: int
    centre: int
    lo: int = 0
    hi: int = 0
    below: int = 0
    above: int = 0
    cells: np.ndarray | range | None = None  # the cells that are positions, rising
    has_level: np.ndarray | None = None  # SPARSE: which of the cells, section 5

    @property
    def n_positions(self) -> int:
        """Of a band of one plane, section 4."""
        return self.has_below + len(self.cells) + self.has_above


@dataclass
class Side:
    mask: np.ndarray
    nodata: int
    bands: list[Band]


def bits_of(data: bytes, count: int) -> np.ndarray:
    """`count` bits, the first in the top bit of the first byte."""
    return np.unpackbits(np.frombuffer(data, np.uint8))[:count].astype(bool)


def read_side(section: bytes, header: Header, max_error: int, h: int, w: int) -> Side:
    reader = Reader(section)
    # format_lhic_ax_side.md, 2
    part = reader.packed(-(-h * w // 8))
    mask = np.zeros((h, w), bool)
    if part:
        require(len(part) == -(-h * w // 8), "side: size of the mask")
        mask = np.logical_xor.accumulate(bits_of(part, h * w).reshape(h, w), axis=0)
        require(mask.any(), "side: mask without a pixel")
    # format_lhic_ax_side.md, 3
    longest = header.shape[0] * (26 + 5 * min(h * w, 65536)) + 5
    bands, nodata = read_bands(Reader(reader.packed(longest)), header, max_error, h * w, has_mask=len(part) > 0)
    # format_lhic_ax_side.md, 5
    sparse = [band for band in bands if band.kind == SPARSE]
    if sparse:
        ends = np.cumsum([0] + [len(band.cells) for band in sparse])
        part = Reader(reader.counted())
        period = part.varint()
        require(period == 0 or 2 <= period < ends[-1], "side: period of the levels")
        bits = np.array(read_flags(part.rest(), int(ends[-1]), period), bool)
        for band, first, beyond in zip(sparse, ends[:-1], ends[1:], strict=True):
            band.has_level = bits[first:beyond]
            require(bool(band.has_level[0] and band.has_level[-1]), "side: first or last level missing")
            require(np.count_nonzero(band.has_level) <= 4 * h * w + 1024, "side: too many levels")
    reader.end()
    return Side(mask, nodata, bands)


def read_bands(reader: Reader, header: Header, max_error: int, n_pixels: int, has_mask: bool) -> tuple[list[Band], int]:
    """format_lhic_ax_side.md, 3, and the cells of section 4."""
    least, greatest = np.iinfo(header.dtype).min, np.iinfo(header.dtype).max
    bands = []
    for code in reader.take(header.shape[0]):
        kind, has_below, has_above, centre = code // 36, code // 18 % 2, code // 9 % 2, code % 9
        require(kind <= SPLIT, "side: kind of a band")
        require(kind in (DENSE, SPARSE, RANKED) or code % 36 == 0, "side: kind without below, above and centre")
        bands.append(Band(kind, has_below, has_above, centre))

    def read_list(of: list[Band]) -> zip:
        """Bands, each with its value from a list of differences."""
        return zip(of, accumulate(reader.zigzag() for _ in of), strict=True)

    for band, value in read_list(bands):
        band.lo = band.hi = value
    for band, value in read_list([band for band in bands if band.kind >= DENSE]):
        band.hi = band.lo + value
    for band, value in read_list([band for band in bands if band.has_below]):
        band.below = value
    for band, value in read_list([band for band in bands if band.has_above]):
        band.above = value
    nodata = reader.zigzag() if has_mask else 0
    require(least <= nodata <= greatest, "side: nodata out of range")

    for band in bands:
        require(least <= band.lo <= band.hi <= greatest, "side: lo or hi out of range")
        require(not band.has_below or least <= band.below < band.lo, "side: below out of range")
        require(not band.has_above or band.hi < band.above <= greatest, "side: above out of range")
        if band.kind < DENSE:
            continue
        q0, q1 = (band.lo + max_error) // (2 * max_error + 1), (band.hi + max_error) // (2 * max_error + 1)
        if band.kind == RANKED:
            n = reader.varint()
            require(2 <= n <= min(n_pixels, 65534), "side: number of cells")
            steps = [reader.varint() for _ in range(n - 1)]
            require(all(1 <= step < 2**32 for step in steps) and q0 + sum(steps) == q1, "side: cells of a RANKED band")
            band.cells = np.cumsum([q0, *steps])
        else:
            band.cells = range(q0, q1 + 1)
        if band.kind == SPLIT:
            require(len(band.cells) > 65536, "side: SPLIT band is too narrow")
        else:
            require(2 <= band.n_positions <= 65536, "side: number of positions")
            for p in (0, band.n_positions - 1):
                require(-(2**15) <= model_value(p, band.n_positions, band.centre) < 2**15, "side: model value")
    reader.end()
    return bands, nodata


def model_value(p: np.ndarray | int, n: int, centre: int) -> np.ndarray | int:
    """format_lhic_ax_side.md, 4: of the position(s) `p` of `n`."""
    return p - n * centre // 8


def split_sizes(band: Band) -> tuple[int, int]:
    """format_lhic_ax_side.md, 4: levels of the two planes of a SPLIT band, both with centre = 4."""
    return (len(band.cells) - 1 >> 16) + 1, 2**16


def levels_of(band: Band) -> list[np.ndarray]:
    """format_lhic_ax_side.md, 4: for each plane of the band, the model values of its levels, rising."""
    if band.kind in (CONSTANT, FLAT):
        return []
    if band.kind == SPLIT:
        return [model_value(np.arange(n), n, 4) for n in split_sizes(band)]
    positions = np.arange(band.n_positions)
    if band.kind == SPARSE:
        positions = positions[np.pad(band.has_level, (band.has_below, band.has_above), constant_values=True)]
    return [model_value(positions, band.n_positions, band.centre)]


def samples_of(band: Band, planes: list[np.ndarray], side: Side, max_error: int) -> np.ndarray:
    """format_lhic_ax_side.md, 3 and 4, backwards: the samples of a band from the model values of its planes."""
    if band.kind == CONSTANT:
        return np.full(side.mask.shape, band.lo)
    if band.kind == FLAT:
        return np.where(side.mask, side.nodata, band.lo)
    if band.kind == SPLIT:
        upper, lower = (x - model_value(0, n, 4) for x, n in zip(planes, split_sizes(band), strict=True))
        q = band.cells[0] + (upper << 16) + lower
        samples = np.clip((2 * max_error + 1) * q, band.lo, band.hi)
    else:
        # pixels of the mask may lie between levels, but never outside of the positions
        p = planes[0] - model_value(0, band.n_positions, band.centre)
        cells = np.asarray(band.cells)[np.clip(p - band.has_below, 0, len(band.cells) - 1)]
        samples = np.clip((2 * max_error + 1) * cells, band.lo, band.hi)
        if band.has_below:
            samples[p == 0] = band.below
        if band.has_above:
            samples[p == band.n_positions - 1] = band.above
    return np.where(side.mask, side.nodata, samples)


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 2: order, neighbours, pictures
# ---------------------------------------------------------------------------------------------------------------------

HERE = (0, 0)
W, N, NW, NE = CAUSAL = ((0, -1), (-1, 0), (-1, -1), (-1, 1))
E, SOUTH, SE, SW = (0, 1), (1, 0), (1, 1), (1, -1)
WW, NN = (0, -2), (-2, 0)
AROUND = (*CAUSAL, E, SOUTH, SE, SW)
NEAREST = (W, N, NW, NE, WW, NN)

# kinds of pictures; those of errors follow, one for each expert
SAMPLE, DETAIL, RESIDUAL, ERROR = range(4)

MARGIN = 8  # rows and columns beyond the edge: no neighbour is farther away
BEFORE = 48  # planes before plane 0: none is looked for farther back

Neighbour = tuple[int, int]  # rows down, columns right
Place = tuple[int, int, Neighbour]  # kind of picture, planes back


def wave_pixels(u: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of wave `u`, from the top row down."""
    i = np.arange(max(0, -((width - 1 - u) // 2)), min(height - 1, u // 2) + 1)
    return i, u - 2 * i


@cache
def places(*of: Place) -> np.ndarray:
    """Places as `Pictures.at` takes them: kinds, planes back, rows down and columns right."""
    return np.array([(kind, b, *q) for kind, b, q in of]).T[:, :, None]


class Pictures:
    """All pictures that have values beyond their edge, of all planes; 0 before plane 0, and where not yet known."""

    def __init__(self, n_experts: int, n_planes: int, height: int, width: int):
        self.height, self.width = height, width
        shape = (ERROR + n_experts, BEFORE + n_planes, height + 2 * MARGIN, width + 2 * MARGIN)
        self.values = np.zeros(shape, np.int64)

    def at(self, z: int, i: np.ndarray, j: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Values at the places, seen from pixels of plane `z`: places, pixels."""
        kind, b, rows, columns = where
        return self.values[kind, BEFORE + z - b, MARGIN + i + rows, MARGIN + j + columns]

    def put(self, z: int, i: np.ndarray, j: np.ndarray, values: np.ndarray) -> None:
        """Write pixels (values: kinds, pixels) and what the table of section 2 derives from them."""
        top, left, right, bottom = i == 0, j == 0, j == self.width - 1, i == self.height - 1
        beyond_right, beyond_bottom = np.full(len(i), self.width), np.full(len(i), self.height)
        for which, rows, columns in (
            (i >= 0, i, j),
            (top, i - 1, j + 2),
            (top, i - 2, j + 2),
            (left, i + 1, j - 1),
            (left, i + 1, j - 2),
            (right, i, beyond_right),
            (bottom, beyond_bottom, j),
            (right & bottom, beyond_bottom, beyond_right),
        ):
            if which.any():
                self.values[:, BEFORE + z, MARGIN + rows[which], MARGIN + columns[which]] = values[:, which]

    def samples(self, z: int) -> np.ndarray:
        """`x` of a plane."""
        return self.values[SAMPLE, BEFORE + z, MARGIN:-MARGIN, MARGIN:-MARGIN]


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 3: logarithm and power
# ---------------------------------------------------------------------------------------------------------------------

LOG_TABLE = np.array([round(16 * math.log2((64 + k + 0.5) / 64)) for k in range(64)])
POW_TABLE = np.array([round(2**14 * 2 ** (-k / 16)) for k in range(16)])


def log(v: np.ndarray | int) -> np.ndarray:
    """For 1 <= v < 2^53, where frexp gives the exponent exactly."""
    e = np.frexp(np.asarray(v, np.float64))[1].astype(np.int64) - 1
    m = v * 2**6 >> e
    return 16 * e + LOG_TABLE[m - 64]


def power(b: np.ndarray) -> np.ndarray:
    """`pow` of the document."""
    return 2 * POW_TABLE[b % 16] >> b // 16


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 4: experts
# ---------------------------------------------------------------------------------------------------------------------

NEAR_LIST = [
    W, N, NW, NE, (0, -2), (-2, 0), (-1, -2), (-2, -1), (-2, 1), (0, -3), (-3, 0), (-1, -3), (-2, 2), (-3, -1), (-3, 1),
    (-3, 2),
]  # fmt: skip
FAR_LIST = [
    (-4, 1), (-8, 2), (-5, 0), (-5, 1), (-8, 1), (-4, 2), (-4, 0), (-7, 2), (-8, 0), (-6, 1), (-4, -1), (-8, -2),
    (-7, 3), (-6, 0),
]  # fmt: skip


class Expert:
    """A row of the table of experts in 4.1. An input is its kind, planes back and neighbour."""

    def __init__(self, inputs: list[tuple[str, int, Neighbour]], predicts_detail: bool, forgets: bool = False):
        self.predicts_detail = predicts_detail  # x - mean; else x
        self.forgets = forgets
        self.inputs = inputs
        self.places = places(*((DETAIL if kind == "detail" else SAMPLE, b, q) for kind, b, q in inputs))
        kinds = np.array([kind for kind, _, _ in inputs])[:, None]
        self.less_mean = (kinds == "neighbour") | (kinds == "inside")
        self.inside = kinds == "inside"
        self.constant = kinds == "constant"
        self.earlier = kinds == "earlier"

    def first_coefficients(self, z: int) -> np.ndarray:
        """The last column of the table."""
        first = {}
        if not self.predicts_detail:
            first = {("sample", 0, W): 1 / 2, ("sample", 0, N): 1 / 2}
            if z > 0:
                first |= {("sample", 1, HERE): 1, ("sample", 1, W): -1 / 2, ("sample", 1, N): -1 / 2}
        elif z > 0:
            first = {("detail", 1, HERE): 1}  # the spatial expert has no such input
        return np.array([int(2**20 * first.get(key, 0)) for key in self.inputs])


def experts_of(config: dict) -> list[Expert]:
    """format_lhic_ax.md, 4.1."""

    def planes_back(kind: str, n: int) -> list[tuple]:
        return [(kind, b, HERE) for b in range(1, n + 1)]

    def samples(b: int, neighbours: tuple[Neighbour, ...]) -> list[tuple]:
        return [("sample", b, q) for q in neighbours]

    constant = ("constant", 0, HERE)
    experts = []
    if config["detail_planes"]:
        inputs = planes_back("detail", config["detail_planes"]) + [("neighbour", 0, q) for q in CAUSAL]
        experts.append(Expert(inputs, predicts_detail=True))
    if config["sample_planes"]:
        inputs = [*planes_back("sample", config["sample_planes"]), constant]
        inputs += samples(0, CAUSAL) + samples(1, AROUND) + samples(2, CAUSAL)
        experts.append(Expert(inputs, predicts_detail=False))
    if config["spatial_neighbours"]:
        near = NEAR_LIST[: config["spatial_neighbours"]]
        far = FAR_LIST[: config["far_neighbours"]]
        inputs = [("inside" if far else "neighbour", 0, q) for q in near + far]
        experts.append(Expert(inputs, predicts_detail=True))
    if config["short_planes"]:
        inputs = [*planes_back("sample", config["short_planes"]), constant, *samples(0, CAUSAL), *samples(1, CAUSAL)]
        experts.append(Expert(inputs, predicts_detail=False, forgets=True))
    if config["joint_planes"]:
        inputs = planes_back("detail", config["joint_planes"]) + [("neighbour", 0, q) for q in CAUSAL]
        inputs += [("earlier", 1, q) for q in CAUSAL] + [("inside", 0, q) for q in FAR_LIST[: config["joint_far"]]]
        experts.append(Expert(inputs, predicts_detail=True))
    return experts


def solve(g: np.ndarray, m: np.ndarray) -> np.ndarray:
    """format_lhic_ax.md, 4.4: coefficients from the sums, in float64, every operation rounded on its own.

    Subtractions of one `k` are done for all elements that have it; each element sees them in the order of the text.
    """
    n = len(m)
    g, m = g.astype(np.float64), m.astype(np.float64)
    f = np.zeros((n, n))
    s = g.copy()
    s[np.diag_indices(n)] += 1024 + np.diag(g) * 2.0**-23
    for k in range(n):
        f[k, k] = np.sqrt(s[k, k])
        f[k + 1 :, k] = s[k + 1 :, k] / f[k, k]
        s[k + 1 :, k + 1 :] -= np.outer(f[k + 1 :, k], f[k + 1 :, k])
    y = m
    for k in range(n):
        y[k] = y[k] / f[k, k]
        y[k + 1 :] -= f[k + 1 :, k] * y[k]
    for i in range(n - 1, -1, -1):
        for product in f[i + 1 :, i] * y[i + 1 :]:  # k rising
            y[i] = y[i] - product
        y[i] = y[i] / f[i, i]
    return np.clip(np.rint(y * 2**20), -(2**26), 2**26).astype(np.int64)


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 4 to 6 and 8: one plane
# ---------------------------------------------------------------------------------------------------------------------

SUM_WEIGHTS = np.array([2, 2, 1, 1, 1, 1])  # of NEAREST in `sum(a)`, 5.2
CROSS, CROSS_WEIGHTS = (HERE, W, N, E, SOUTH), np.array([4, 1, 1, 1, 1])  # and of the plane before
BACK = [(b, q) for b in (1, 2) for q in (HERE, *AROUND)] + [(b, HERE) for b in (3, 4, 5, 6)]  # of 5.4

RUNGS = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96])
FIRST_HITS = 8 * np.array([16, 32, 64, 128, 256, 384, 512, 640, 704, 768, 832, 896, 928, 960, 976, 992])


@dataclass
class Network:
    """Configuration and tensors, format_lhic_ax.md, 1.1 and 6."""

    config: dict
    experts: list[Expert]
    tensors: dict[str, np.ndarray]


@dataclass
class Wave:
    """What is known of the pixels of a wave before its samples. The last axis of all arrays is that of the pixels."""

    i: np.ndarray
    j: np.ndarray
    mean: np.ndarray = field(init=False)
    inputs: list[np.ndarray] = field(init=False)  # of each expert
    p: np.ndarray = field(init=False)  # experts, pixels
    near: np.ndarray = field(init=False)  # experts, pixels
    base: np.ndarray = field(init=False)
    around: np.ndarray = field(init=False)
    expected: np.ndarray = field(init=False)
    raw: np.ndarray = field(init=False)
    error_class: np.ndarray = field(init=False)  # `class`
    scale: np.ndarray = field(init=False)
    features: np.ndarray = field(init=False)  # features, pixels
    h: np.ndarray = field(init=False)  # of the last hidden layer: units, pixels
    s: np.ndarray = field(init=False)  # sums of the last layer, pixels
    candidate: np.ndarray = field(init=False)
    rung: np.ndarray = field(init=False)
    weight: np.ndarray = field(init=False)


class Plane:
    """Plane number `z` with its levels, `before` being the one before it."""

    def __init__(self, z: int, levels: list[int], network: Network, pictures: Pictures, before: "Plane | None"):
        self.z, self.levels, self.network, self.pictures, self.before = z, levels, network, pictures, before
        self.low, self.high = levels[0], levels[-1]
        shape, n_experts = (pictures.height, pictures.width), len(network.experts)
        self.small = pictures.height * pictures.width < 8192  # 2
        # 5.3 and 8.1: pictures without edges, and what they are before plane 0
        self.activity = np.zeros(shape, np.int64)
        self.runs = np.zeros((network.config["repeats"], *shape), np.int64)
        self.activity_before = before.activity if before else np.full(shape, 1024)
        self.runs_before = before.runs if before else np.zeros_like(self.runs)
        # 4.1: first coefficients; 4.3: sums
        self.coefficients = [expert.first_coefficients(z) for expert in network.experts]
        self.gram = [np.zeros((len(expert.inputs), len(expert.inputs)), np.int64) for expert in network.experts]
        self.moment = [np.zeros(len(expert.inputs), np.int64) for expert in network.experts]
        # 5.1 and 8.2: tables, one entry for each epoch, and their sums
        self.e = 0
        self.magnitude = [1024]
        self.error = [np.full(n_experts, 1024)]
        self.ratio, self.count = [np.full(60, 1024)], [np.full(60, 4)]
        self.hits, self.tries = [FIRST_HITS], [np.full(16, 8)]
        self.n_coded = self.sum_r = 0
        self.sum_error = np.zeros(n_experts, np.int64)
        self.sum_count, self.sum_ratio = np.zeros(60, np.int64), np.zeros(60, np.int64)
        self.sum_tries, self.sum_hits = np.zeros(16, np.int64), np.zeros(16, np.int64)

    def mag(self, b: int = 0) -> int:
        """`mag(z - b)`, format_lhic_ax.md, 5.1: at the epoch of this plane."""
        plane = self
        for _ in range(b):
            plane = plane.before
        return max(plane.magnitude[self.e], 16)

    def at(self, wave: Wave, kind: int, b: int, neighbours: tuple[Neighbour, ...]) -> np.ndarray:
        """Values of a picture `b` planes back: neighbours, pixels."""
        return self.pictures.at(self.z, wave.i, wave.j, places(*((kind, b, q) for q in neighbours)))

    # --- before the samples of a wave are known ---

    def describe(self, i: np.ndarray, j: np.ndarray) -> Wave:
        wave = Wave(i, j)
        self.predict(wave)
        self.blend(wave)
        self.expect_error(wave)
        if self.network.config["repeats"]:
            self.find_repeats(wave)
        return wave

    def predict(self, wave: Wave) -> None:
        """format_lhic_ax.md, 4.1 and 4.2."""
        wave.mean = np.sum(self.at(wave, SAMPLE, 0, CAUSAL), axis=0) + 2 >> 2
        wave.inputs = [self.regressors(wave, expert) for expert in self.network.experts]
        p = []
        for expert, c, inputs in zip(self.network.experts, self.coefficients, wave.inputs, strict=True):
            p.append((c @ inputs >> 14) + (64 * wave.mean if expert.predicts_detail else 0))
        wave.p = np.clip(p, 64 * self.low, 64 * self.high)

    def regressors(self, wave: Wave, expert: Expert) -> np.ndarray:
        """format_lhic_ax.md, 4.1: inputs, pixels."""
        inputs = self.pictures.at(self.z, wave.i, wave.j, expert.places)
        inputs = np.where(expert.less_mean, inputs - wave.mean, inputs)
        mean_before = self.at(wave, SAMPLE, 1, (HERE,)) - self.at(wave, DETAIL, 1, (HERE,))
        inputs = np.where(expert.earlier, inputs - mean_before, inputs)
        row, column = wave.i + expert.places[2], wave.j + expert.places[3]
        beyond = (row < 0) | (column < 0) | (column >= self.pictures.width)
        inputs = np.where(expert.inside & beyond, 0, inputs)
        return np.where(expert.constant, 256, inputs)

    def blend(self, wave: Wave) -> None:
        """format_lhic_ax.md, 5.2."""
        near = []
        for k in range(len(self.network.experts)):
            t = SUM_WEIGHTS @ self.at(wave, ERROR + k, 0, NEAREST)
            if self.z > 0:
                t += np.minimum(CROSS_WEIGHTS @ self.at(wave, ERROR + k, 1, CROSS) * self.mag() // self.mag(1), 2**24)
            near.append(log(t + 8))
        wave.near = np.array(near)
        cost = 2 * wave.near + self.network.config["blend"] * log(self.error[self.e] + 16)[:, None]
        w = power(np.minimum(cost - np.min(cost, axis=0), 240))
        wave.base = wave.p[0] + np.sum(w * (wave.p - wave.p[0]), axis=0) // np.sum(w, axis=0)

    def expect_error(self, wave: Wave) -> None:
        """format_lhic_ax.md, 5.3."""
        a = self.activity_before[wave.i, wave.j]
        wave.around = SUM_WEIGHTS @ np.abs(self.at(wave, RESIDUAL, 0, NEAREST))
        wave.expected = a * self.mag() >> 10
        wave.raw = np.maximum(10 * wave.around + 11 * wave.expected >> 4, 24)
        wave.error_class = log(wave.raw) >> 3
        ratio, count = self.ratio[self.e][wave.error_class], self.count[self.e][wave.error_class]
        wave.scale = np.maximum(wave.raw * ratio // (256 * count), 12)

    def features_of(self, wave: Wave) -> np.ndarray:
        """format_lhic_ax.md, 5.4: features, pixels."""
        z, i, j, base = self.z, wave.i, wave.j, wave.base
        inv, ls, lm = 2**24 // wave.scale, log(wave.scale), log(self.mag())

        residuals = self.pictures.at(z, i, j, places(*((RESIDUAL, b, q) for b, q in BACK)))
        factors = [2**10 * self.mag() // self.mag(b) if b <= z else 0 for b, _ in BACK]
        back = np.minimum(np.array(factors)[:, None] * inv >> 10, 2**40)

        here, *others = self.at(wave, SAMPLE, 1, CROSS)  # of plane z - 1
        differences = sum(np.abs(q - here) for q in others)

        nothing = np.zeros(len(i), np.int64)
        features = [
            (wave.p - base) * inv >> 16,
            wave.near - ls,
            nothing + (log(self.error[self.e] + 16) - lm)[:, None],
            (64 * self.at(wave, SAMPLE, 0, NEAREST) - base) * inv >> 17,
            self.at(wave, RESIDUAL, 0, NEAREST) * inv >> 16,
            residuals * back >> 16,
            log(2 * wave.around + 16) - ls,
            log(wave.expected + 16) - ls,
            lm - ls,
            (ls >> 1) - 60,
            nothing + (log(self.mag(1)) - lm) if z > 0 else nothing,
            (base - 64 * self.low) * inv >> 18,
            (64 * self.high - base) * inv >> 18,
            nothing + (log(self.n_coded + 1) >> 1) - 60,
            nothing + 8 * min(z, 8),
            np.where(i == 0, 64, 0),
            np.where((j == 0) | (j == self.pictures.width - 1), 64, 0),
            log(wave.raw) - ls,
            log(256 * differences + 16) - ls >> 1 if z > 0 else nothing,
            (sum(others) - 4 * here) * 16 * inv >> 18 if z > 0 else nothing,
        ]
        return np.clip(np.vstack(features), -127, 127)

    def find_repeats(self, wave: Wave) -> None:
        """format_lhic_ax.md, 8.1 and 8.2."""
        runs = self.runs_before[:, wave.i, wave.j]
        longest = np.argmax(runs, axis=0)  # the first of several
        pixels = np.arange(len(wave.i))
        wave.candidate = self.at(wave, SAMPLE, 0, CAUSAL)[longest, pixels]
        wave.rung = np.searchsorted(RUNGS, runs[longest, pixels], side="right") - 1
        hits, tries = self.hits[self.e][wave.rung], self.tries[self.e][wave.rung]
        wave.weight = np.clip(16 * hits // tries, 4, 2**14 - 32)

    def mixtures(self, wave: Wave) -> list[list[tuple[int, int, int]]]:
        """format_lhic_ax.md, 6 and 8.3: for each pixel, the components as (m, c, w)."""
        tensors, K = self.network.tensors, self.network.config["components"]
        wave.features = self.features_of(wave)
        h = np.clip(tensors["first"] @ wave.features + tensors["biases"][0][:, None] >> 5, 0, 4095)
        for middle, bias in zip(tensors["middle"], tensors["biases"][1:], strict=True):
            h = np.clip(middle @ h + bias[:, None] >> 8, 0, 4095)
        wave.h = h
        wave.s = s = tensors["last"] @ h + tensors["last_bias"][:, None]

        m = np.clip(4 * wave.base + ((s[:K] >> 7) * wave.scale >> 10), -(2**25), 2**25).T.tolist()
        c = np.clip(2 * log(wave.scale) - 81 + (s[K : 2 * K] >> 10), 0, 800).T.tolist()
        g = (s[2 * K :] >> 10).T.tolist()
        w = [mixture_weights(logits) for logits in g]
        if self.network.config["repeats"]:
            for pixel in range(len(w)):
                w[pixel] = [x * (2**14 - int(wave.weight[pixel])) >> 14 for x in w[pixel]]
                w[pixel].append(2**14 - sum(w[pixel]))
                m[pixel].append(2**8 * int(wave.candidate[pixel]))
                c[pixel].append(0)
        return [list(zip(*components, strict=True)) for components in zip(m, c, w, strict=True)]

    # --- when its samples are known ---

    def learn(self, wave: Wave, x: np.ndarray, coded: np.ndarray, width: np.ndarray) -> None:
        """Write the pictures and add to the sums; `coded` is false for pixels of the mask, `width` as in 8.2."""
        i, j, mag = wave.i, wave.j, self.mag()
        detail = x - wave.mean
        r = 64 * x - wave.base
        errors = np.abs(64 * x - wave.p)
        # 8.1: runs; no neighbour is in the same wave
        for q, run, run_before in zip(self.at(wave, SAMPLE, 0, CAUSAL), self.runs, self.runs_before, strict=False):
            run[i, j] = np.where(x == q, np.minimum(run_before[i, j] + 1, 127), 0)
        # 2: pictures
        self.pictures.put(self.z, i, j, np.array([x, detail, r, *errors]))
        # 5.3: activity
        a = self.activity_before[i, j]
        self.activity[i, j] = a + (13 * (np.minimum((np.abs(r) << 14) // mag, 2**14) - a) >> 6)
        # 4.3: normal equations
        w = np.where(coded, 1 + 31 * mag**2 // (mag**2 + wave.scale**2), 0)
        u = 2 * i[0] + j[0]
        for k, expert in enumerate(self.network.experts if self.small or u < 64 or u % 2 == 1 else ()):
            self.gram[k] += (w * wave.inputs[k]) @ wave.inputs[k].T
            self.moment[k] += wave.inputs[k] @ (w * (detail if expert.predicts_detail else x))
        # 5.1: sums of the tables
        self.n_coded += int(np.count_nonzero(coded))
        self.sum_r += int(np.sum(np.abs(r[coded])))
        self.sum_error += np.sum(errors[:, coded], axis=1)
        np.add.at(self.sum_count, wave.error_class[coded], 1)
        np.add.at(self.sum_ratio, wave.error_class[coded], np.minimum(4096 * np.abs(r) // wave.raw, 8192)[coded])
        # 8.2: sums of the tables
        if self.network.config["repeats"]:
            np.add.at(self.sum_tries, wave.rung[coded], 1)
            hit = coded & (x == wave.candidate)
            np.add.at(self.sum_hits, wave.rung[hit], np.minimum((wave.weight[hit] << 20) // width[hit], 1024))

    def begin_epoch(self) -> None:
        """format_lhic_ax.md, 2: an epoch ends and the next begins."""
        # 4.3 and 4.4
        for k, expert in enumerate(self.network.experts):
            self.coefficients[k] = solve(self.gram[k], self.moment[k])
            if expert.forgets:
                self.gram[k] -= self.gram[k] >> 4
                self.moment[k] -= self.moment[k] >> 4
        # 5.1 and 8.2; the primed numbers are those of the plane before at the same epoch
        self.e += 1
        if self.before:
            before, e = self.before, self.e
            magnitude, error = before.magnitude[e], before.error[e]
            ratio, count = 160 * before.ratio[e] >> 8, 160 * before.count[e] >> 8
            hits, tries = 224 * before.hits[e] >> 8, 224 * before.tries[e] >> 8
        else:
            magnitude, error = 1024, 1024
            ratio, count = 1024, 4
            hits, tries = FIRST_HITS, 8
        self.magnitude.append((16 * self.sum_r + 32 * magnitude) // (self.n_coded + 32))
        self.error.append((16 * self.sum_error + 32 * error) // (self.n_coded + 32))
        ratio, count = self.sum_ratio + ratio, self.sum_count + count
        self.ratio.append(np.where(count == 0, 256, ratio))
        self.count.append(np.where(count == 0, 1, count))
        hits, tries = self.sum_hits + hits, self.sum_tries + tries
        self.hits.append(np.where(tries == 0, hits + FIRST_HITS, hits))
        self.tries.append(np.where(tries == 0, 8, tries))


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 7: symbols
# ---------------------------------------------------------------------------------------------------------------------


def cumulative_of_levels(components: list[tuple[int, int, int]], v: list[int]) -> Callable[[int], int]:
    """`F` of format_lhic_ax.md, 7, for a plane with levels `v`."""
    n = len(v)

    @cache
    def F(level: int) -> int:
        if level in (0, n):
            return 2**24 if level else 0
        edge = 2**7 * (v[level - 1] + v[level])
        C = sum(w * integer_sigmoid(edge - m, c) for m, c, w in components)
        return (C * (2**24 - n) >> 38) + level

    return F


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 6.1: adaptation
# ---------------------------------------------------------------------------------------------------------------------


def gradients(components: list[tuple[int, int, int]], K: int, v: list[int], level: int) -> list[int]:
    """Those with the means, the scales and the logits of the first K components, for a sample of this level."""
    S, B = [[], []], [[], []]  # at the lower and the upper edge
    for m, c, _ in components:
        for mark in (0, 1):
            if 0 < level + mark < len(v):
                d = 2**7 * (v[level + mark - 1] + v[level + mark]) - m
                sigmoid, X = integer_sigmoid(d, c), sigmoid_argument(d, c) * (-1 if d < 0 else 1)
            else:
                sigmoid, X = mark * 2**24, 0
            S[mark].append(sigmoid)
            B[mark].append((sigmoid * (2**24 - sigmoid) >> 24) * X >> 20)
    w = [weight for _, _, weight in components]
    P = 2**16 + sum(weight * (S1 - S0) for weight, S0, S1 in zip(w, *S, strict=True))
    share = [2**12 * w[k] * (S[1][k] - S[0][k]) // P for k in range(K)]
    R, V = sum(share), sum(w[:K])
    mean = [share[k] * (2**24 - S[0][k] - S[1][k]) + 2**29 >> 30 for k in range(K)]
    scale = [(2**6 * w[k] * (B[1][k] - B[0][k]) + P) // (2 * P) for k in range(K)]
    logit = [(w[k] * (2**14 * R // V) >> 14) - share[k] + 32 >> 6 for k in range(K)]
    return mean + [min(max(of_scale, -127), 127) for of_scale in scale] + logit


class Adaptation:
    """The network of a group, whose last layer learns; `before` is that of the group before."""

    def __init__(self, network: Network, G: int, n_steps: int, before: "Adaptation | None"):
        self.start, self.a, self.G, self.before = network, network.config["adaptation"], G, before
        self.network = Network(network.config, network.experts, dict(network.tensors))
        last, bias = network.tensors["last"], network.tensors["last_bias"]
        reach = np.abs(last).sum(axis=1) * 4095 + np.abs(bias)
        self.limit = (2**24 - 1 - reach) // (4095 * last.shape[1] + 128)
        self.changes = -(-n_steps // self.a) if self.a else 0
        self.b = np.zeros((len(last), last.shape[1] + 1), np.int64)
        self.Z, self.Q = np.zeros_like(self.b), np.zeros_like(self.b)
        self.known: list[tuple[np.ndarray, np.ndarray]] = []

    def change(self) -> None:
        """The next change."""
        k = len(self.known)
        self.Z += self.b
        self.Q += np.minimum(np.abs(self.b) >> 8, 2**16) ** 2
        self.b[:] = 0
        Z, Q = self.Z.copy(), self.Q.copy()
        if self.before:
            before_Z, before_Q = self.before.known[min(k + 4 * self.G // self.a, self.before.changes)]
            Z += before_Z - (before_Z >> 4)
            Q += before_Q - (before_Q >> 4)
        self.known.append((Z, Q))
        slow = 48.0 * np.sqrt((Q + 2**16).astype(np.float64))
        limit = self.limit[:, None]
        of_weights = np.clip(np.rint(Z[:, :-1] / slow[:, :-1]).astype(np.int64), -limit, limit)
        of_biases = np.clip(np.rint(128 * Z[:, -1:] / slow[:, -1:]).astype(np.int64), -128 * limit, 128 * limit)
        self.network.tensors["last"] = self.start.tensors["last"] - of_weights
        self.network.tensors["last_bias"] = self.start.tensors["last_bias"] - of_biases[:, 0]

    def teach(self, h: np.ndarray, of_samples: list[list[int]]) -> None:
        """h : units, samples"""
        inputs = np.vstack([h, np.full((1, h.shape[1]), 128)])
        self.b += np.array(of_samples, np.int64).reshape(-1, len(self.b)).T @ inputs.T


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_ax.md, 1, 2, 6, 9: stream, network, tiles
# ---------------------------------------------------------------------------------------------------------------------

CONFIG_RANGES = {
    "detail_planes": range(33), "sample_planes": range(29), "spatial_neighbours": range(17),
    "far_neighbours": range(15), "short_planes": range(6), "joint_planes": range(33), "joint_far": range(9),
    "epoch": range(1, 33),
    "blend": range(17), "width": range(8, 97, 8), "depth": range(1, 4), "components": range(1, 9),
    "adaptation": (0, 1, 2, 4), "repeats": range(5), "tuning_steps": range(100_001),
}  # fmt: skip
TENSOR_NAMES = ("first", "middle", "last", "biases", "last_bias")


@dataclass
class AxStream:
    """What is common to all tiles."""

    max_error: int
    G: int
    L: int
    network: Network
    trace: "Trace | None" = None


def read_ax_stream(header: Header, weights: Weights) -> AxStream:
    """format_lhic_ax.md, 1.1."""
    require(header.n_sections == 3, "lhic-ax: number of sections")
    reader = Reader(header.parameters)
    max_error, G, L = (reader.varint() for _ in range(3))
    require(max_error <= 65535 and 1 <= G <= 4096 and 1 <= L <= 1024, "lhic-ax: parameters")
    network = read_network(weights)
    changes = reader.rest()
    if changes:
        change_network(network, Reader(changes))
    return AxStream(max_error, G, L, network)


def read_network(weights: Weights) -> Network:
    """Configuration (format_lhic_ax.md, 1.1) and tensors (6). Names that are not known are refused."""
    config, ranges = weights.config, CONFIG_RANGES
    require(config.keys() == ranges.keys(), "lhic-ax: names in the configuration")
    require(all(type(config[key]) is int and config[key] in ranges[key] for key in ranges), "lhic-ax: configuration")
    require(config["spatial_neighbours"] > 0 or config["far_neighbours"] == 0, "lhic-ax: far without near neighbours")
    require(config["joint_planes"] > 0 or config["joint_far"] == 0, "lhic-ax: joint_far without joint_planes")
    experts = experts_of(config)
    require(len(experts) > 0, "lhic-ax: no expert")

    width, depth, K = config["width"], config["depth"], config["components"]
    shapes = {
        "first": (width, 3 * len(experts) + 48),
        "middle": (depth - 1, width, width),
        "last": (3 * K, width),
        "biases": (depth, width),
        "last_bias": (3 * K,),
    }
    tensors = weights.tensors
    require({name: tensor.shape for name, tensor in tensors.items()} == shapes, "lhic-ax: tensors")
    require(all(tensor.dtype == np.int32 for tensor in tensors.values()), "lhic-ax: tensors are not int32")
    network = Network(config, experts, {name: tensor.astype(np.int64) for name, tensor in tensors.items()})
    check_bounds(network.tensors)
    return network


def check_bounds(tensors: dict[str, np.ndarray]) -> None:
    """format_lhic_ax.md, 6: no row of a layer may reach 2^24."""
    layers = [(tensors["first"], tensors["biases"][0], 127)]
    layers += [(layer, bias, 4095) for layer, bias in zip(tensors["middle"], tensors["biases"][1:], strict=True)]
    layers.append((tensors["last"], tensors["last_bias"], 4095))
    for layer, bias, greatest in layers:
        require(np.all(np.abs(layer).sum(axis=1) * greatest + np.abs(bias) < 2**24), "lhic-ax: weights too large")


def change_network(network: Network, reader: Reader) -> None:
    """format_lhic_ax.md, 9."""
    s, greatest = reader.varint(), reader.varint()
    c = [reader.varint() for _ in TENSOR_NAMES]
    require(s <= 8 and greatest <= 2**14 and max(c) <= 800, "lhic-ax: changes of weights out of range")
    coded = CodedSection(reader.rest(), 1, 24)
    for name, scale_index in zip(TENSOR_NAMES, c, strict=True):
        tensor = network.tensors[name]
        F = cumulative([(256 * greatest, scale_index, 2**14)], 2 * greatest + 1, 24)
        changes = [decode_symbol(coded, F, 2 * greatest + 1) - greatest for _ in range(tensor.size)]
        changes = np.array(changes, np.int64).reshape(tensor.shape)
        if name == "biases":
            tensor[0] += changes[0] * 2 ** (12 - s)
            tensor[1:] += changes[1:] * 2 ** (15 - s)
        elif name == "last_bias":
            tensor += changes * 2 ** (15 - s)
        else:
            tensor += changes * 2 ** (8 - s)
    coded.end()
    check_bounds(network.tensors)


def decode_ax_tile(header: Header, stream: AxStream, sections: list[bytes], h: int, w: int) -> np.ndarray:
    """format_lhic_ax.md, 1.2."""
    require(h * w <= 2**15, "lhic-ax: more than 2^15 pixels in a tile")
    side = read_side(sections[0], header, stream.max_error, h, w)
    levels_of_bands = [levels_of(band) for band in side.bands]
    levels = [plane for planes in levels_of_bands for plane in planes]

    groups = Reader(sections[1])
    sizes = [groups.varint() for _ in range(-(-len(levels) // stream.G))]
    groups.end()
    require(sum(sizes) == len(sections[2]), "lhic-ax: sizes of groups")
    samples = Reader(sections[2])
    parts = [samples.take(size) for size in sizes]

    # 2: a tile with more rows than columns is transposed
    mask = side.mask.T if h > w else side.mask
    planes = decode_planes(stream, levels, mask, parts)
    planes = iter([plane.T if h > w else plane for plane in planes])

    bands = []
    for band, of_band in zip(side.bands, levels_of_bands, strict=True):
        bands.append(samples_of(band, [next(planes) for _ in of_band], side, stream.max_error))
    return np.array(bands).astype(header.dtype)


def decode_planes(stream: AxStream, levels: list[np.ndarray], mask: np.ndarray, parts: list[bytes]) -> list[np.ndarray]:
    """format_lhic_ax.md, 2: groups one after the other, steps, planes, and pixels in the order of the text."""
    height, width = mask.shape
    n_waves = 2 * (height - 1) + width
    epoch = stream.network.config["epoch"]
    if height * width < 8192:
        epoch = max(epoch // 2, 1)
    pictures = Pictures(len(stream.network.experts), len(levels), height, width)
    planes: list[Plane] = []
    for z, v in enumerate(levels):
        planes.append(Plane(z, v.tolist(), stream.network, pictures, planes[-1] if z else None))
    adaptation = None
    for number, part in enumerate(parts):
        coded = CodedSection(part, stream.L, 24)
        group = planes[number * stream.G : (number + 1) * stream.G]
        n_steps = n_waves + 4 * (len(group) - 1)
        adaptation = Adaptation(stream.network, stream.G, n_steps, adaptation)
        for plane in group:
            plane.network = adaptation.network
        for t in range(n_steps):
            if adaptation.a and t % adaptation.a == 0:
                adaptation.change()
            for k, plane in enumerate(group):
                u = t - 4 * k
                if 0 <= u < n_waves:
                    decode_wave(coded, plane, mask, u, adaptation, stream.trace)
                    if u + 1 < n_waves and (u + 1) % epoch == 0:
                        plane.begin_epoch()
                        if stream.trace:
                            stream.trace.epoch(plane)
        if adaptation.a:
            adaptation.change()
        coded.end()
    return [pictures.samples(z) for z in range(len(planes))]


def decode_wave(
    coded: CodedSection, plane: Plane, mask: np.ndarray, u: int, adaptation: Adaptation, trace: "Trace | None"
) -> None:
    i, j = wave_pixels(u, *mask.shape)
    wave = plane.describe(i, j)
    mixtures = plane.mixtures(wave)
    x = wave.base + 32 >> 6  # 5.5: what pixels of the mask take
    width = np.ones(len(i), np.int64)
    pixels, of_samples = np.flatnonzero(~mask[i, j]), []
    for pixel in pixels:
        F = cumulative_of_levels(mixtures[pixel], plane.levels)
        state = coded.states[coded.lane]
        level = decode_symbol(coded, F, len(plane.levels))
        if trace:
            trace.sample(plane, wave, pixel, mixtures[pixel], state, level, F)
        x[pixel], width[pixel] = plane.levels[level], F(level + 1) - F(level)
        if adaptation.a and (plane.small or u % 2 == 1):
            K = plane.network.config["components"]
            of_samples.append(gradients(mixtures[pixel], K, plane.levels, level))
    if of_samples:
        adaptation.teach(wave.h[:, pixels], of_samples)
    plane.learn(wave, x, ~mask[i, j], width)


class TraceEnds(Exception):
    """All samples that a trace is to have are there."""


class Trace:
    """Lines that say what is found on the way to the first samples, and at the ends of the first epochs."""

    def __init__(self, n_samples: int = 50, n_epochs: int = 3):
        self.n_samples, self.n_epochs = n_samples, n_epochs
        self.lines: list[str] = []

    def put(self, name: str, values: object) -> None:
        numbers = np.ravel(values).tolist()
        self.lines.append(f"  {name} = {' '.join(map(str, numbers))}")

    def sample(
        self, plane: Plane, wave: Wave, pixel: int, components: list, state: int, level: int, F: Callable[[int], int]
    ) -> None:
        if self.n_samples == 0:
            raise TraceEnds
        self.n_samples -= 1
        self.lines.append(f"sample: z = {plane.z}, i = {wave.i[pixel]}, j = {wave.j[pixel]}")
        for name in ("mean", "p", "near", "base", "around", "expected", "raw", "error_class", "scale"):
            self.put(name.replace("error_", ""), getattr(wave, name)[..., pixel])
        if plane.network.config["repeats"]:
            for name in ("candidate", "rung", "weight"):
                self.put(name, getattr(wave, name)[pixel])
        for name in ("features", "h", "s"):
            self.put(name, getattr(wave, name)[:, pixel])
        for name, values in zip("mcw", zip(*components, strict=True), strict=True):
            self.put(name, values)
        self.put("state", state)
        self.put("slot", state % 2**24)
        self.put("level", level)
        self.put("interval", (F(level), F(level + 1)))
        self.put("x", plane.levels[level])

    def epoch(self, plane: Plane) -> None:
        if self.n_epochs == 0:
            return
        self.n_epochs -= 1
        self.lines.append(f"epoch: z = {plane.z}, e = {plane.e} begins")
        for coefficients in plane.coefficients:
            self.put("coefficients", coefficients)
        for name in ("magnitude", "error", "ratio", "count", "hits", "tries"):
            self.put(name, getattr(plane, name)[-1])


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_bp.md, 1 to 6
# ---------------------------------------------------------------------------------------------------------------------

SQUARE = 32  # networks work on 32 x 32 positions


@dataclass
class BpStream:
    """What is common to all tiles."""

    d: int
    offset: int
    max_value: int
    K: int
    tensors: dict[str, np.ndarray]  # as float64


def read_bp_stream(header: Header, weights: Weights) -> BpStream:
    """format_lhic_bp.md, 1."""
    require(header.n_sections == 4, "lhic-bp: number of sections")
    reader = Reader(header.parameters)
    d, offset = reader.varint(), reader.zigzag()
    reader.end()
    max_value, K = weights.config["max_value"], weights.config["num_mixture"]
    require(1 <= d <= 16 and max_value >> d <= 65535, "lhic-bp: parameters")
    tensors = {name: tensor.astype(np.float64) for name, tensor in weights.tensors.items()}
    return BpStream(d, offset, max_value, K, tensors)


def decode_bp_tile(header: Header, stream: BpStream, sections: list[bytes], h: int, w: int) -> np.ndarray:
    """format_lhic_bp.md, 2 and 3."""
    require(max(h, w) <= SQUARE, "lhic-bp: tiles larger than 32 x 32")
    n_bands = header.shape[0]
    corrections = read_corrections(sections[2], 3 * stream.K * n_bands * h * w)
    difference = read_escapes(sections[3], n_bands * h * w).reshape(n_bands, h, w)

    msp_net = PlaneNetworks(sub(stream.tensors, "msp."), n_bands, None)
    A = (stream.max_value >> stream.d) + 1
    msp = decode_bp_plane(sections[0], A, stream.K, msp_net, corrections[0], (n_bands, h, w))
    volume = 2 * (msp << stream.d) / stream.max_value - 1
    lsp_net = PlaneNetworks(sub(stream.tensors, "lsp."), n_bands, volume)
    lsp = decode_bp_plane(sections[1], 2**stream.d, stream.K, lsp_net, corrections[1], (n_bands, h, w))

    samples = ((msp << stream.d) + lsp)[:, :h, :w] + stream.offset + difference
    limits = np.iinfo(header.dtype)
    require(limits.min <= samples.min() and samples.max() <= limits.max, "lhic-bp: sample outside of the dtype")
    return samples.astype(header.dtype)


def decode_bp_plane(
    section: bytes, A: int, K: int, networks: "PlaneNetworks", corrections: dict[int, int], shape: tuple[int, int, int]
) -> np.ndarray:
    """format_lhic_bp.md, 3: the symbols of the msp or the lsp, on all 32 x 32 positions."""
    n_bands, h, w = shape
    symbols = np.zeros((n_bands, SQUARE, SQUARE), np.int64)
    if A == 1:
        require(not section, "lhic-bp: section of a plane with a single symbol")
        require(not corrections, "lhic-bp: corrections never met")
        return symbols
    P = min(max((A - 1).bit_length() + 8, 20), 24)
    coded = CodedSection(section, 1, P)
    indices = count()  # of parameters, section 5
    for band in range(n_bands):
        networks.begin_band(band, 2 * symbols[band - 1] / (A - 1) - 1 if band else None)
        for diagonal in range(h + w - 1):
            row = np.arange(max(0, diagonal - SQUARE + 1), min(diagonal, SQUARE - 1) + 1)
            column = diagonal - row
            inside = (row < h) & (column < w)
            # a position outside of the true tile has the symbol of an earlier diagonal
            symbols[band, row, column] = symbols[band, np.minimum(row, h - 1), np.minimum(column, w - 1)]
            coordinates = grid_coordinates(networks.parameters(row, column, inside), A, K)
            for i, j, of_symbol in zip(row[inside], column[inside], coordinates.tolist(), strict=True):
                integers = [rounded(y, corrections.pop(next(indices), None)) for y in of_symbol]
                m, c, g = integers[:K], integers[K : 2 * K], integers[2 * K :]
                F = cumulative(list(zip(m, c, mixture_weights(g), strict=True)), A, P)
                symbols[band, i, j] = decode_symbol(coded, F, A)
            networks.put(row, column, 2 * symbols[band, row, column] / (A - 1) - 1)
        rows, columns = np.minimum(np.arange(SQUARE), h - 1), np.minimum(np.arange(SQUARE), w - 1)
        symbols[band] = symbols[band][np.ix_(rows, columns)]
    coded.end()
    require(not corrections, "lhic-bp: corrections never met")
    return symbols


def grid_coordinates(parameters: np.ndarray, A: int, K: int) -> np.ndarray:
    """format_lhic_bp.md, 4: positions, 3 K."""
    u = max(A - 1, 1) / 2
    mean, log_scale, logit = parameters[:, :K], parameters[:, K : 2 * K], parameters[:, 2 * K :]
    m = np.clip(256 * u * (mean + 1), -(2**25), 2**25)
    c = np.clip(32 / math.log(2) * log_scale + 32 * (math.log2(u * math.log(2)) + 8), 0, 800)
    g = np.clip(32 / math.log(2) * logit, -(2**15), 2**15)
    return np.concatenate([m, c, g], axis=1)


def rounded(y: float, parity: int | None) -> int:
    """format_lhic_bp.md, 4 and 5: the integer of a coordinate, with the parity of its correction if there is one."""
    integer = math.floor(y + 0.5)
    if parity is not None and integer % 2 != parity:
        boundary = math.floor(y) + 0.5
        if abs(y - boundary) < 2**-19:
            integer = math.floor(y) if y >= boundary else math.floor(y) + 1
    return integer


def read_corrections(section: bytes, n_parameters: int) -> tuple[dict[int, int], dict[int, int]]:
    """format_lhic_bp.md, 5: for the msp and the lsp, the parity of each index listed."""
    planes = ({}, {})
    if section:
        reader = Reader(section)
        for parities in planes:
            index = -1
            for _ in range(reader.varint()):
                entry = reader.varint()
                index += (entry >> 1) + 1
                require(index < n_parameters, "lhic-bp: correction beyond the tile")
                parities[index] = entry & 1
        reader.end()
    return planes


def read_escapes(section: bytes, n_samples: int) -> np.ndarray:
    """format_lhic_bp.md, 6: `difference` of each sample along band, row, column."""
    difference = np.zeros(n_samples, np.int64)
    if section:
        require(section[0] <= 1, "lhic-bp: first byte of the escapes")
        numbers = decode_code(section[1:], 27 * n_samples) if section[0] == 1 else section[1:]
        require(len(numbers) > 0, "lhic-bp: escapes without a run")
        reader = Reader(numbers)
        position = 0
        while reader.position < len(numbers):
            first = position + reader.varint()
            position = first + reader.varint() + 1
            value = reader.zigzag()
            require(position <= n_samples, "lhic-bp: escapes beyond the tile")
            require(value != 0, "lhic-bp: difference of 0")
            difference[first:position] = value
    return difference


# ---------------------------------------------------------------------------------------------------------------------
# format_lhic_bp.md, 7.2: networks, in float64. Maps are arrays of rows, columns, features.
# ---------------------------------------------------------------------------------------------------------------------

Tensors = dict[str, np.ndarray]


def sub(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def blocks(tensors: Tensors, prefix: str) -> list[Tensors]:
    """The tensors of `prefix.0`, `prefix.1`, ..."""
    numbers = {int(name[len(prefix) + 1 :].split(".")[0]) for name in tensors if name.startswith(prefix + ".")}
    return [sub(tensors, f"{prefix}.{i}.") for i in sorted(numbers)]


def sigmoid(v: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(v / 2)) / 2


def wsilu(v: np.ndarray) -> np.ndarray:
    return v * sigmoid(4 * v)


def silu(v: np.ndarray) -> np.ndarray:
    return v * sigmoid(v)


def linear(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    """Linear layer, or convolution 1 x 1, over the last axis."""
    weight = t[name + ".weight"]
    y = x @ weight.reshape(weight.shape[0], -1).T
    return y + t[name + ".bias"] if name + ".bias" in t else y


def windows(x: np.ndarray, n: int) -> np.ndarray:
    """Rows, columns, features, n, n: what an n x n convolution with zero padding sees."""
    return sliding_window_view(np.pad(x, ((n // 2, n // 2), (n // 2, n // 2), (0, 0))), (n, n), axis=(0, 1))


def conv(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    weight = t[name + ".weight"]
    return np.tensordot(windows(x, weight.shape[-1]), weight, ([2, 3, 4], [1, 2, 3])) + t[name + ".bias"]


def depthwise(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    weight = t[name + ".weight"][:, 0]
    return np.einsum("ijfrc,frc->ijf", windows(x, weight.shape[-1]), weight) + t[name + ".bias"]


def normalised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def norm(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    return normalised(x, (-1,)) * t[name + ".weight"] + t[name + ".bias"]


def group(t: Tensors, name: str, x: np.ndarray) -> np.ndarray:
    channels = x.shape[-1]
    groups = 32 if channels >= 64 else channels // 2
    grouped = x.reshape(*x.shape[:2], groups, channels // groups)
    return normalised(grouped, (0, 1, 3)).reshape(x.shape) * t[name + ".weight"] + t[name + ".bias"]


class UNet:
    """The one-level U-Net of the context and plane networks."""

    def __init__(self, tensors: Tensors):
        self.time_embed = sub(tensors, "time_embed.")
        self.input_blocks = blocks(tensors, "input_blocks")
        self.middle_block = blocks(tensors, "middle_block")
        self.output_blocks = blocks(tensors, "output_blocks")

    def embedding(self, t: int, F: int) -> np.ndarray:
        half = F // 2
        angles = t * 48.0 ** (-np.arange(half) / half)
        first = linear(self.time_embed, "0", np.concatenate([np.cos(angles), np.sin(angles)]))
        return linear(self.time_embed, "2", silu(first))

    def residual(self, tensors: Tensors, x: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        y = conv(tensors, "in_layers.2", silu(group(tensors, "in_layers.0", x)))
        y = y + linear(tensors, "emb_layers.1", silu(embedding))
        y = conv(tensors, "out_layers.3", silu(group(tensors, "out_layers.0", y)))
        return y + (linear(tensors, "skip_connection", x) if "skip_connection.weight" in tensors else x)

    def attention(self, tensors: Tensors, x: np.ndarray) -> np.ndarray:
        rows, columns, F = x.shape
        qkv = linear(tensors, "qkv", group(tensors, "norm", x)).reshape(-1, 3 * F)
        q, k, v = np.split(qkv, 3, axis=1)
        scores = q @ k.T / math.sqrt(F)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        y = scores @ v / scores.sum(axis=1, keepdims=True)
        return x + linear(tensors, "proj_out", y).reshape(rows, columns, F)

    def __call__(self, x: np.ndarray, t: int) -> np.ndarray:
        embedding = self.embedding(t, x.shape[-1])
        x = conv(self.input_blocks[0], "0", x)
        stored = [x]
        for tensors in self.input_blocks[1:]:
            x = self.residual(sub(tensors, "0."), x, embedding)
            stored.append(x)
        x = self.residual(self.middle_block[0], x, embedding)
        x = self.attention(self.middle_block[1], x)
        x = self.residual(self.middle_block[2], x, embedding)
        for tensors in self.output_blocks:
            x = self.residual(sub(tensors, "0."), np.concatenate([x, stored.pop()], axis=-1), embedding)
        return x


class SpectralBlock:
    """A block of `spectral_mix` with its state."""

    def __init__(self, tensors: Tensors):
        self.t = tensors
        self.att, self.ffn = sub(tensors, "att."), sub(tensors, "ffn.")
        self.a_before = self.b_before = self.p = self.q = 0
        self.o = -1e30

    def __call__(self, x: np.ndarray) -> np.ndarray:
        # 1
        if "ln0.weight" in self.t:
            x = norm(self.t, "ln0", x)
        x = x + self.attention(norm(self.t, "ln1", x))  # 2
        x = x + self.feed_forward(norm(self.t, "ln2", x))  # 3
        return x + linear(self.t, "spa.1", depthwise(self.t, "spa.0", x))  # 4

    def attention(self, a: np.ndarray) -> np.ndarray:
        t = self.att

        def mix(name: str) -> np.ndarray:
            m = t[name].ravel()
            return a * m + self.a_before * (1 - m)

        r = sigmoid(linear(t, "receptance", mix("time_mix_r")))
        k = linear(t, "key", mix("time_mix_k"))
        v = linear(t, "value", mix("time_mix_v"))
        self.a_before = a

        first = t["time_first"] + k
        e = np.maximum(self.o, first)
        old, new = np.exp(self.o - e), np.exp(first - e)
        y = (old * self.p + new * v) / (old * self.q + new)

        decayed = self.o - np.exp(t["time_decay"])
        o = np.maximum(decayed, k)
        old, new = np.exp(decayed - o), np.exp(k - o)
        self.p, self.q, self.o = old * self.p + new * v, old * self.q + new, o
        return linear(t, "output", r * y)

    def feed_forward(self, b: np.ndarray) -> np.ndarray:
        t = self.ffn

        def mix(name: str) -> np.ndarray:
            m = t[name].ravel()
            return b * m + self.b_before * (1 - m)

        r = sigmoid(linear(t, "receptance", mix("time_mix_r")))
        y = linear(t, "value", np.maximum(linear(t, "key", mix("time_mix_k")), 0) ** 2)
        self.b_before = b
        return r * y


class SpectralNetwork:
    """`spectral_net` and the context network: features of a band from the band before."""

    def __init__(self, tensors: Tensors):
        self.t = sub(tensors, "spectral_net.")
        self.blocks = [SpectralBlock(block) for block in blocks(self.t, "spectral_mix")]
        self.context = UNet(sub(tensors, "context_generate.spatial_mix."))

    def __call__(self, x: np.ndarray, band: int) -> np.ndarray:
        y = wsilu(depthwise(self.t, "conv_in.1", linear(self.t, "conv_in.0", x[:, :, None])))
        for block in self.blocks:
            y = block(y)
        return self.context(y, band)


class SpatialNetwork:
    """`spatial_net` on one band, diagonal by diagonal: it depends on earlier diagonals only."""

    def __init__(self, tensors: Tensors):
        self.t = sub(tensors, "spatial_net.")
        self.blocks = blocks(self.t, "spatial_mix")
        tap = np.add.outer(np.arange(3), np.arange(3))
        self.conv_in = self.t["conv_in.weight"][:, 0] * (tap <= 1)  # NW, N and W
        tap = np.add.outer(np.arange(7), np.arange(7))
        self.conv_1 = [block["MCG.conv_1.depthwise.weight"][:, 0] * (tap <= 6) for block in self.blocks]
        self.begin_band()

    def begin_band(self) -> None:
        """The band, and what `conv_1` sees in each block; both with zero padding, and filled by diagonals."""
        self.x = np.zeros((SQUARE + 2, SQUARE + 2))
        self.inner = [np.zeros((SQUARE + 6, SQUARE + 6, weight.shape[0])) for weight in self.conv_1]

    def put(self, row: np.ndarray, column: np.ndarray, values: np.ndarray) -> None:
        self.x[row + 1, column + 1] = values

    def diagonal(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Features of all positions of the next diagonal."""
        patches = sliding_window_view(self.x, (3, 3))[row, column]
        x = np.tensordot(patches, self.conv_in, ([1, 2], [1, 2])) + self.t["conv_in.bias"]
        for t, weight, inner in zip(self.blocks, self.conv_1, self.inner, strict=True):
            y = norm(t, "norm1", x)
            inner[row + 3, column + 3] = linear(t, "MCG.conv_in", y)
            patches = sliding_window_view(inner, (7, 7), axis=(0, 1))[row, column]
            mixed = np.einsum("nfrc,frc->nf", patches, weight) + t["MCG.conv_1.depthwise.bias"]
            x = x + linear(t, "MCG.conv_out", wsilu(mixed) * linear(t, "MCG.skip", y))
            x = x + linear(t, "convs.2", wsilu(linear(t, "convs.0", norm(t, "norm2", x))))
        return x


def plane_features(tensors: Tensors, volume: np.ndarray) -> list[np.ndarray]:
    """`plane_net`: a map for each band, from the volume of all bands."""
    t = sub(tensors, "plane_net.")
    weight = t["conv_in.depthwise_conv.weight"][0, 0]
    network = UNet(sub(t, "plane_context."))
    padded = np.pad(volume, 3)
    maps = []
    for band in range(len(volume)):
        patches = sliding_window_view(padded[band : band + 7], (7, 7, 7))[0]
        y = np.tensordot(patches, weight, 3) + t["conv_in.depthwise_conv.bias"]
        maps.append(network(linear(t, "conv_in.pointwise_conv", y[:, :, None]), 1))
    return maps


def mixture_parameters(t: Tensors, x: np.ndarray, block_tensors: list[Tensors]) -> np.ndarray:
    """`param_net` or `param_l0`: positions, means and log-scales and logits."""
    if "conv_in.weight" in t:
        x = linear(t, "conv_in", x)
    for block in block_tensors:
        x = x + linear(block, "out_layers.1", silu(linear(block, "in_layers.1", silu(x))))
    x = wsilu(x)
    return np.hstack([linear(t, head, x) for head in ("conv_out_mu", "conv_out_scale", "conv_out_weight")])


class PlaneNetworks:
    """All networks of the msp, or with a volume those of the lsp, on one tile."""

    def __init__(self, tensors: Tensors, n_bands: int, volume: np.ndarray | None):
        self.plane = plane_features(tensors, volume) if volume is not None else [None] * n_bands
        self.spatial = SpatialNetwork(tensors)
        self.spectral = SpectralNetwork(tensors)
        self.param_l0, self.param_net = sub(tensors, "param_l0."), sub(tensors, "param_net.")

    def begin_band(self, band: int, before: np.ndarray | None) -> None:
        """`before` is `x` of the band before, on all positions."""
        self.band = band
        self.spatial.begin_band()
        self.spectral_features = self.spectral(before, band) if before is not None else None

    def put(self, row: np.ndarray, column: np.ndarray, values: np.ndarray) -> None:
        self.spatial.put(row, column, values)

    def parameters(self, row: np.ndarray, column: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Mixture parameters of the positions of a diagonal that are inside the true tile."""
        features = [self.spatial.diagonal(row, column)[inside]]
        if self.plane[self.band] is not None:
            features.insert(0, self.plane[self.band][row[inside], column[inside]])
        if self.band == 0:
            return mixture_parameters(self.param_l0, np.hstack(features), [sub(self.param_l0, "block.")])
        features.append(self.spectral_features[row[inside], column[inside]])
        return mixture_parameters(self.param_net, np.hstack(features), blocks(self.param_net, "blocks"))


# ---------------------------------------------------------------------------------------------------------------------
# format_linerwkv.md
# ---------------------------------------------------------------------------------------------------------------------


@dataclass
class LineRwkvStream:
    """What is common to all tiles."""

    coder: int
    t: Tensors  # as float64


def read_linerwkv_stream(header: Header, weights: Weights) -> LineRwkvStream:
    """Section 1."""
    require(header.n_sections == 3, "linerwkv: number of sections")
    require(header.parameters in (b"\0", b"\1"), "linerwkv: parameters")
    return LineRwkvStream(header.parameters[0], {name: x.astype(np.float64) for name, x in weights.tensors.items()})


def decode_linerwkv_tile(header: Header, stream: LineRwkvStream, sections: list[bytes], h: int, w: int) -> np.ndarray:
    """Sections 1 and 4: line by line, and a line band by band."""
    require(max(h, w) <= 256, "linerwkv: tiles larger than 256 x 256")
    S = header.shape[0]
    low, size, mean, deviation = read_linerwkv_side(sections[0], S, h)
    limits = np.iinfo(header.dtype)
    require(limits.min <= low and low + size - 1 <= limits.max, "linerwkv: range outside of the dtype")
    parities = read_linerwkv_corrections(sections[2], (h - 1) * S * w)
    coder = (
        MixtureLines(sections[1], size, S, w) if stream.coder == 0 else IndexLines(sections[1], low, size, (S, h, w))
    )
    network = LineNetwork(stream.t, S, w)
    x = np.zeros((S, h, w), np.int64)
    for t in range(h):
        g = t // 16
        m, d = mean[g], deviation[g] + 1e-8
        for b in range(S):
            if t == 0:
                left = x[b - 1, 0] if b else None  # the sample on the left, as each becomes known
                x[b, t] = coder.first_line(b, None if left is None else left - low) + low
            else:
                coordinates = np.clip(network.prediction(b) * d[b] + m[b], -(2.0**24), 2.0**24) * coder.grid
                first = ((t - 1) * S + b) * w
                y = [rounded(v, parities.pop(first + j, None)) for j, v in enumerate(coordinates.tolist())]
                x[b, t] = coder.line(t, b, np.array(y) - coder.grid * low) + low
            network.put(b, (x[b, t] - m[b]) / d[b])
        coder.end_line(t)
        network.end_line()
    coder.end()
    require(not parities, "linerwkv: corrections never met")
    require(low <= x.min() and x.max() < low + size, "linerwkv: sample out of range")
    return x.astype(header.dtype)


def read_linerwkv_side(section: bytes, S: int, h: int) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Section 2: `low`, `size`, `mean` and `deviation` by group and band."""
    reader = Reader(section)
    low, size, D, G = reader.zigzag(), reader.varint() + 1, reader.varint(), -(-h // 16)
    require(-(2**32) <= low < 2**32 and size <= 2**16 and 16 <= D <= 32, "linerwkv: side")
    c = unfold(sample_adaptive(reader.rest(), D, (2, G, S)))
    c[:, 0] = np.cumsum(c[:, 0], axis=1)
    p = np.cumsum(c, axis=1)
    require(0 <= p.min() and p[0].max() < size and p[1].max() <= size, "linerwkv: means or deviations out of range")
    return low, size, p[0] + low, p[1]


def read_linerwkv_corrections(section: bytes, n_coordinates: int) -> dict[int, int]:
    """Section 5: the parity of each index listed."""
    parities = {}
    if section:
        reader, index = Reader(section), -1
        for _ in range(reader.varint()):
            entry = reader.varint()
            index += (entry >> 1) + 1
            require(index < n_coordinates, "linerwkv: correction beyond the tile")
            parities[index] = entry & 1
        reader.end()
    return parities


class LineBlock:
    """A block of section 3 and what it keeps between steps."""

    def __init__(self, t: Tensors):
        self.t = t
        self.A = self.B = self.n = self.d = 0.0
        self.q = -1e30

    def step(self, x: np.ndarray) -> np.ndarray:
        t = self.t

        def mixed(y: np.ndarray, before: np.ndarray, name: str) -> np.ndarray:
            share = t[name].ravel()
            return y * share + before * (1 - share)

        if "ln0.weight" in t:
            x = norm(t, "ln0", x)
        y = norm(t, "ln1", x)
        k = linear(t, "att.key", mixed(y, self.A, "att.time_mix_k"))
        v = linear(t, "att.value", mixed(y, self.A, "att.time_mix_v"))
        r = sigmoid(linear(t, "att.receptance", mixed(y, self.A, "att.time_mix_r")))
        self.A = y
        o = t["att.time_first"] + k
        m = np.maximum(self.q, o)
        wkv = (np.exp(self.q - m) * self.n + np.exp(o - m) * v) / (np.exp(self.q - m) * self.d + np.exp(o - m))
        f = self.q - np.exp(t["att.time_decay"])
        self.q = np.maximum(f, k)
        self.n = np.exp(f - self.q) * self.n + np.exp(k - self.q) * v
        self.d = np.exp(f - self.q) * self.d + np.exp(k - self.q)
        x = x + linear(t, "att.output", r * wkv)
        y = norm(t, "ln2", x)
        k = np.maximum(linear(t, "ffn.key", mixed(y, self.B, "ffn.time_mix_k")), 0) ** 2
        r = sigmoid(linear(t, "ffn.receptance", mixed(y, self.B, "ffn.time_mix_r")))
        self.B = y
        return x + r * linear(t, "ffn.value", k)


class LineNetwork:
    """Section 3, for all columns of a line at once; vectors of F are the last axis."""

    def __init__(self, t: Tensors, S: int, w: int):
        self.t, self.S = t, S
        self.lines = [[LineBlock(block) for block in blocks(t, "blocks_lines")] for _ in range(S)]
        self.a: list = [None] * S  # of this line
        self.s: list = [None] * S  # of the line before
        self.z: list = [None] * S
        self.last_z = None  # of band 0, in the line before

    def put(self, b: int, z: np.ndarray) -> None:
        """A band of this line is known."""
        self.z[b], self.a[b] = z, self.encoded(z)

    def encoded(self, z: np.ndarray) -> np.ndarray:
        """The line encoder: `a` of each column."""
        u, t = z[:, None], self.t
        names = ["conv_in", *(f"convs.{n}" for n in range(len(blocks(t, "encoder.convs"))))]
        norms = ["norm_in", *(f"norms.{n}" for n in range(len(names) - 1))]
        for name, its_norm in zip(names, norms, strict=True):
            weight = t[f"encoder.{name}.weight"]
            r = (weight.shape[2] - 1) // 2
            seen = sliding_window_view(np.pad(u, ((r, r), (0, 0))), 2 * r + 1, axis=0)
            u = gelu(norm(t, f"encoder.{its_norm}", np.einsum("jik,oik->jo", seen, weight) + t[f"encoder.{name}.bias"]))
        return u

    def end_line(self) -> None:
        """Along the lines."""
        for b in range(self.S):
            x = self.a[b]
            for block in self.lines[b]:
                x = block.step(x)
            self.s[b] = x
        self.last_z = self.z[0]

    def prediction(self, b: int) -> np.ndarray:
        """Of the normalised samples of band `b` of the line after."""
        t = self.t
        if b == 0:
            self.bands = [LineBlock(block) for block in blocks(t, "blocks_bands")]
            return linear(t, "bandzerodec.conv_out", self.s[0])[:, 0] + self.last_z
        o = self.a[b - 1] - self.s[b - 1]
        for block in self.bands:
            o = block.step(o)
        u = self.s[b] + o
        for n in range(len(blocks(t, "decoder.convs"))):
            u = gelu(norm(t, f"decoder.norms.{n}", linear(t, f"decoder.convs.{n}", u)))
        return linear(t, "decoder.conv_out", u)[:, 0]


def gelu(v: np.ndarray) -> np.ndarray:
    return v * (1 + np.vectorize(math.erf)(v / math.sqrt(2))) / 2


# Section 6: T[f] is the greatest k with 2^k * 256^32 <= (256 + f)^32.
LINE_LOG = [((256 + f) ** 32 // 256**32).bit_length() - 1 for f in range(256)]


def line_lg(v: int) -> int:
    """`lg`."""
    digits = v.bit_length() - 1
    return 32 * digits + LINE_LOG[(v << 8 >> digits) - 256]


class MixtureLines:
    """Section 6."""

    grid = 16

    def __init__(self, section: bytes, size: int, S: int, w: int):
        self.size, self.P = size, min(max((size - 1).bit_length() + 8, 20), 24)
        self.coded = CodedSection(section, 1, self.P)
        self.M, self.m, self.B, self.n = [0] * 160, [0] * 160, [0] * S, [0] * S
        self.e, self.before = [[0] * w for _ in range(S)], [[0] * w for _ in range(S)]

    def first_line(self, b: int, symbols: np.ndarray | None) -> np.ndarray:
        return self.decode(b, None if symbols is None else 16 * symbols)

    def line(self, t: int, b: int, p: np.ndarray) -> np.ndarray:
        return self.decode(b, p)

    def decode(self, b: int, predictions: np.ndarray | None) -> np.ndarray:
        """Symbols of a line of a band; without predictions each is predicted by the one on its left."""
        here, above = self.e[b], self.before[b]
        below = self.e[b - 1] if b else self.before[0]
        w, symbols = len(here), []
        for j in range(w):
            p = int(predictions[j]) if predictions is not None else 16 * symbols[-1] if j else 0
            p = min(max(p + self.B[b] // (self.n[b] + 16), 0), 16 * (self.size - 1))
            west, east = max(j - 1, 0), min(j + 1, w - 1)
            W = here[j - 1] if j else above[0]
            WW = here[j - 2] if j > 1 else W
            E = 2 * W + WW + 2 * above[j] + above[west] + above[east] + 3 * below[j] + below[west] + below[east]
            kind = line_lg(E + 1) // 8
            expected = (256 * self.M[kind] + 256 * 8 * (E + 1) // 12) // (self.m[kind] + 8)
            scale = line_lg(expected + 1) - 160
            of_components = [(scale - 8, 6554), (scale + 8, 8192), (scale + 40, 1638)]
            components = [(16 * p, min(max(c, 0), 800), weight) for c, weight in of_components]
            x = decode_symbol(self.coded, cumulative(components, self.size, self.P), self.size)
            symbols.append(x)
            d = 16 * x - p
            here[j] = abs(d)
            self.M[kind], self.m[kind] = halved(self.M[kind] + abs(d), self.m[kind] + 1, 512)
            self.B[b], self.n[b] = halved(self.B[b] + d, self.n[b] + 1, 128)
        return np.array(symbols)

    def end_line(self, t: int) -> None:
        self.before = [list(errors) for errors in self.e]
        if t == 0:
            self.M, self.m, self.B, self.n = [0] * 160, [0] * 160, [0] * len(self.B), [0] * len(self.n)

    def end(self) -> None:
        self.coded.end()


def halved(total: int, number: int, most: int) -> tuple[int, int]:
    return (total >> 1, number >> 1) if number == most else (total, number)


class IndexLines:
    """Section 7, coder 1."""

    grid = 1

    def __init__(self, section: bytes, low: int, size: int, shape: tuple[int, int, int]):
        reader = Reader(section)
        D = reader.varint()
        require(16 <= D <= 32, "linerwkv: bits of the samples")
        self.low = low
        self.left = unfold(sample_adaptive(reader.rest(), D, shape))

    def first_line(self, b: int, symbols: np.ndarray | None) -> np.ndarray:
        return np.cumsum(self.left[b, 0]) if symbols is None else self.left[b, 0] + symbols

    def line(self, t: int, b: int, p: np.ndarray) -> np.ndarray:
        return self.left[b, t] + np.clip(p + self.low, -16383, 16383) - self.low

    def end_line(self, t: int) -> None:
        pass

    def end(self) -> None:
        pass


def unfold(v: np.ndarray) -> np.ndarray:
    """The inverse of zigzag."""
    return np.where(v % 2 == 0, v >> 1, -(v + 1 >> 1))


def sample_adaptive(data: bytes, D: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Section 7: CCSDS 123.0-B-2, 5.4.3.2, with U_max = 18, gamma_0 = 1, gamma* = 6, K = 3."""
    bits = "".join(f"{byte:08b}" for byte in data)
    position = 0

    def take(n: int) -> int:
        nonlocal position
        require(position + n <= len(bits), "linerwkv: code words beyond the end")
        position += n
        return int(bits[position - n : position], 2) if n else 0

    K = 3 if D <= 27 else 2 * 3 + D - 30
    found = []
    for _ in range(shape[0]):
        gamma, sigma = 2, (3 * 2 ** (K + 6) - 49) * 2 // 2**7
        for number in range(shape[1] * shape[2]):
            if number == 0:
                found.append(take(D))
                continue
            k = 0
            while k < D - 2 and gamma << k + 1 <= sigma + (49 * gamma >> 7):
                k += 1
            u = 0
            while u < 18 and take(1) == 0:
                u += 1
            index = take(D) if u == 18 else (u << k) + take(k)
            require(index < 2**D, "linerwkv: an index of more than D bits")
            found.append(index)
            sigma, gamma = (sigma + index, gamma + 1) if gamma < 63 else (sigma + index + 1 >> 1, gamma + 1 >> 1)
    require(len(bits) - position < 8 and "1" not in bits[position:], "linerwkv: bytes left over")
    return np.array(found, np.int64).reshape(shape)


# ---------------------------------------------------------------------------------------------------------------------
# The whole decoder
# ---------------------------------------------------------------------------------------------------------------------


def decode(stream: bytes, weights_folders: list[Path], trace: Trace | None = None) -> np.ndarray:
    """The cube of a stream, bands by rows by columns; `DecodeError` where the documents say that it is rejected.

    trace : of the family lhic-ax, takes note of what is found on the way
    """
    header, sections = read_container(stream)
    # format_values.md
    has_values = header.family not in ("raw", "shuffled") and header.values is not None
    require(header.values is None or has_values == bool(header.values), "values that must not be there, or must")
    values, true_dtype = None, header.dtype
    if has_values:
        values = read_values(header)
        header.dtype = values.coded_dtype
        header.n_sections -= values.has_rest

    # format.md, 4
    if header.family == "raw":
        check_raw(header)
        family, decode_tile = (), decode_raw_tile
    elif header.family == "shuffled":
        check_shuffled(header)
        family, decode_tile = (), decode_shuffled_tile
    elif header.family == "lhic-ax":
        ax_stream = read_ax_stream(header, find_weights(header, weights_folders))
        ax_stream.trace = trace
        family, decode_tile = (ax_stream,), decode_ax_tile
    elif header.family == "lhic-bp":
        family, decode_tile = (read_bp_stream(header, find_weights(header, weights_folders)),), decode_bp_tile
    elif header.family == "linerwkv":
        family = (read_linerwkv_stream(header, find_weights(header, weights_folders)),)
        decode_tile = decode_linerwkv_tile
    else:
        raise DecodeError("model mismatch: unknown family")

    cube = np.empty(header.shape, true_dtype)
    for tile, tile_sections in zip(header.tiles, sections, strict=True):
        h, w = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        rest = tile_sections.pop() if values and values.has_rest else b""
        samples = np.ascontiguousarray(decode_tile(header, *family, tile_sections, h, w))
        if values:
            samples = samples_from_coded(values, samples, rest, true_dtype)
        require(zlib.crc32(samples.tobytes()) == tile.samples_crc, "samples_crc")
        cube[:, tile.rows, tile.columns] = samples
    return cube.astype(true_dtype.newbyteorder(">")) if header.big_endian else cube


def trace_of(stream: bytes, weights_folders: list[Path]) -> list[str]:
    """Lines of `Trace` for a stream of the family lhic-ax."""
    trace = Trace()
    with contextlib.suppress(TraceEnds):
        decode(stream, weights_folders, trace)
    return trace.lines


def main() -> None:
    """``python -m tests.document_decoder STREAM FOLDER...``: trace of a stream of lhic-ax, weights in the folders."""
    path, *folders = map(Path, sys.argv[1:])
    print("\n".join(trace_of(path.read_bytes(), folders)))


if __name__ == "__main__":
    main()
