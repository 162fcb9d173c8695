"""Which map each band has, and the samples that no map gives: what a stream says about its values.

Encoder and decoder turn tiles into coded integers and back by the same plan.  Writing and reading stand next to each
other in mirrored order.  Format: docs/format_values.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from lhic.cube import DTYPES
from lhic.errors import CorruptStreamError
from lhic.stream.packed import read_packed, write_packed
from lhic.stream.varint import Reader, unzigzag, write_varint, zigzag
from lhic.values.maps import Kind, Map, bits_of

REAL = struct.Struct("<d")
WORD = struct.Struct("<Q")
MAX_SPECIALS = 1024
MAX_BANDS = 1 << 20
"""Of a cube whose samples are made integers: a map is kept for each."""
MAX_CELL = 1 << 62
MAX_SHIFT = 63
REST = "rest"
"""Name of the section that holds the low bits, where there is one."""


@dataclass(frozen=True)
class Plan:
    """What docs/format_values.md says of a cube's samples.

    coded : one of `lhic.cube.DTYPES`, native byte order: what a family codes
    max_error : how far a sample may come back from where it was; 0: lossless
    maps : of each band
    special_bits : uint64 (n,), rising: samples, as bits, that stand for themselves in whatever band
    special_codes : int64 (n,), the coded integer of each; no two are equal
    """

    coded: np.dtype
    max_error: float
    maps: tuple[Map, ...]
    special_bits: np.ndarray
    special_codes: np.ndarray

    @property
    def has_rest(self) -> bool:
        return any(found.shift for found in self.maps)

    def is_wide(self, dtype: np.dtype) -> bool:
        """Whether a general compressor may do better: samples of this dtype that are no small integers in disguise."""
        in_order = any(found.kind == Kind.ORDER for found in self.maps) or self.coded.itemsize > 2
        return self.has_rest or (dtype.kind == "f" and in_order)

    def describe(self) -> dict:
        """What ``lhic info`` says of it: JSON-able."""
        kinds = [("order" if found.kind == Kind.ORDER else "step") for found in self.maps]
        steps = {_step_text(found) for found in self.maps if found.kind != Kind.ORDER}
        return {
            "coded as": str(self.coded),
            "bands on a step": kinds.count("step"),
            "steps": sorted(steps)[:8],
            "bits kept apart": round(sum(found.shift for found in self.maps) / len(self.maps), 2),
            "special samples": len(self.special_bits),
        }

    def to_bytes(self, dtype: np.dtype) -> bytes:
        """dtype : of the samples."""
        fields = [bytes([DTYPES.index(self.coded) + 1]), REAL.pack(self.max_error)]
        fields.append(write_varint(len(self.special_bits)))
        for bits, code in zip(self.special_bits.tolist(), self.special_codes.tolist(), strict=True):
            fields += [bits.to_bytes(dtype.itemsize, "little"), write_varint(zigzag(code))]
        maps = list(dict.fromkeys(self.maps))
        fields += [write_varint(len(maps)), *map(_map_bytes, maps)]
        if len(maps) > 1:
            for found, run in groupby(self.maps):
                fields += [write_varint(len(list(run))), write_varint(maps.index(found))]
        return b"".join(fields)

    @classmethod
    def from_bytes(cls, data: bytes, n_bands: int, dtype: np.dtype) -> Plan:
        """Inverse of `to_bytes`.

        Raises
        ------
        CorruptStreamError
            Not what `to_bytes` can have written for samples of this dtype.
        """
        if n_bands > MAX_BANDS:
            raise CorruptStreamError(f"values: expected at most {MAX_BANDS} bands, found {n_bands}")
        reader = Reader(data, "values")
        code = reader.take(1, "coded dtype")[0]
        if not 1 <= code <= len(DTYPES):
            raise CorruptStreamError(f"values: coded dtype: expected 1..{len(DTYPES)}, found {code}")
        coded = DTYPES[code - 1]
        max_error = _real(reader, "max error", 0.0)
        n_specials = reader.varint("special samples", 0, MAX_SPECIALS)
        bits, codes = np.zeros(n_specials, np.uint64), np.zeros(n_specials, np.int64)
        for number in range(n_specials):
            bits[number] = int.from_bytes(reader.take(dtype.itemsize, "special sample"), "little")
            codes[number] = unzigzag(reader.varint("special code", 0, 1 << 33))
        limits = np.iinfo(coded)
        if n_specials and ((bits[1:] <= bits[:-1]).any() or len(set(codes.tolist())) < n_specials):
            raise CorruptStreamError("values: expected rising special samples with different codes, found others")
        if n_specials and not limits.min <= codes.min() <= codes.max() <= limits.max:
            raise CorruptStreamError(f"values: expected special codes of {coded}, found others")
        maps = [_read_map(reader, dtype) for _ in range(reader.varint("maps", 1, n_bands))]
        bands: list[Map] = []
        while len(bands) < n_bands:
            if len(maps) == 1:
                bands = maps * n_bands
                break
            n = reader.varint("bands of a map", 1, n_bands - len(bands))
            bands += [maps[reader.varint("map", 0, len(maps) - 1)]] * n
        if reader.n_left:
            raise CorruptStreamError(f"values: expected {reader.position} bytes, found {reader.n_left} more")
        return cls(coded, max_error, tuple(bands), bits, codes)

    # --- tiles ---

    def split(self, tile: np.ndarray) -> tuple[np.ndarray, bytes]:
        """The coded integers of a tile, and its rest section.

        tile : (S, h, w), native byte order
        Returns an array of the same shape, of dtype `coded`.
        """
        coded = np.empty(tile.shape, self.coded)
        parts = []
        for samples, out, found in zip(tile, coded, self.maps, strict=True):
            numbers = found.numbers(samples)
            codes, is_special = self._special_codes(samples)
            low = (numbers & (1 << found.shift) - 1).astype(np.uint64)
            np.copyto(out, np.where(is_special, codes, numbers >> found.shift), casting="unsafe")
            low[is_special] = 0
            parts += [write_packed(plane, [tile.shape[2]]) for plane in _planes(low, found.shift)]
        return coded, b"".join(parts)

    def join(self, coded: np.ndarray, rest: bytes, dtype: np.dtype, n_bands: int | None = None) -> np.ndarray:
        """Inverse of `split`: the tile, or its first bands alone.

        Raises
        ------
        CorruptStreamError
            The rest section is not that of such a tile.
        """
        n_wanted = len(coded) if n_bands is None else n_bands
        tile = np.empty((n_wanted, *coded.shape[1:]), dtype)
        reader = Reader(rest, "rest section")
        order = np.argsort(self.special_codes)
        codes, bits = self.special_codes[order], self.special_bits[order]
        for upper, out, found in zip(coded, tile, self.maps, strict=False):
            numbers = upper.astype(np.int64)
            is_special, at = _found_in(codes, numbers)
            low = np.zeros(upper.shape, np.uint64)
            for number in range(-(-found.shift // 8)):
                plane = _read_plane(reader, upper.size).reshape(upper.shape)
                low |= plane.astype(np.uint64) << np.uint64(8 * number)
            if found.shift and int(low.max()) >> found.shift:
                raise CorruptStreamError(f"rest section: expected numbers of {found.shift} bits, found greater ones")
            out[:] = found.samples((numbers << found.shift) | low.astype(np.int64), dtype)
            if is_special.any():
                bits_of(out)[is_special] = bits[at[is_special]]
        if n_bands is None and reader.n_left:
            raise CorruptStreamError(f"rest section: expected {reader.position} bytes, found {reader.n_left} more")
        return tile

    def _special_codes(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Code of each sample that is special, and which are."""
        is_special, at = _found_in(self.special_bits, bits_of(samples).astype(np.uint64))
        codes = self.special_codes[at] if len(self.special_codes) else np.zeros(samples.shape, np.int64)
        return codes, is_special


def special_mask(samples: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
    """bool, same shape: which samples have one of these bit patterns."""
    return _found_in(np.sort(np.asarray(bits, np.uint64)), bits_of(samples).astype(np.uint64))[0]


def _found_in(rising: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of `wanted` are among the rising values, and where."""
    if not len(rising):
        return np.zeros(wanted.shape, bool), np.zeros(wanted.shape, np.intp)
    at = np.minimum(np.searchsorted(rising, wanted), len(rising) - 1)
    return rising[at] == wanted, at


def _step_text(found: Map) -> str:
    text = f"{found.step:.10g}" if found.kind in (Kind.MULTIPLY, Kind.MULTIPLY_NATIVE) else f"1/{found.step:.10g}"
    text = text if found.cell == 1 else f"{found.cell} x {text}"
    return text if not found.offset else f"{text} + {found.offset:.10g}"


def _map_bytes(found: Map) -> bytes:
    head = bytes([found.kind]) + write_varint(found.shift) + write_varint(found.cell)
    if found.kind == Kind.ORDER:
        return head + WORD.pack(found.base)
    return head + REAL.pack(found.step) + REAL.pack(found.offset)


def _read_map(reader: Reader, dtype: np.dtype) -> Map:
    kinds = len(Kind) if dtype.kind == "f" else 1
    kind = reader.take(1, "kind of map")[0]
    if kind >= kinds:
        raise CorruptStreamError(f"values: kind of map: expected 0..{kinds - 1} for {dtype}, found {kind}")
    shift = reader.varint("shift", 0, MAX_SHIFT)
    cell = reader.varint("cell", 1, MAX_CELL)
    if kind == Kind.ORDER:
        return Map(Kind.ORDER, WORD.unpack(reader.take(WORD.size, "base"))[0], cell=cell, shift=shift)
    step = _real(reader, "step", math.ulp(0.0))
    return Map(Kind(kind), 0, step, _real(reader, "offset", -math.inf), cell, shift)


def _real(reader: Reader, name: str, least: float) -> float:
    value = REAL.unpack(reader.take(REAL.size, name))[0]
    if not (math.isfinite(value) and value >= least):
        raise CorruptStreamError(f"values: {name}: expected a finite number of at least {least}, found {value}")
    return value


# --- the rest section: low bits, eight at a time ---


def _planes(low: np.ndarray, shift: int) -> list[bytes]:
    """Bytes of the low bits of a band, the least significant byte of all samples first."""
    return [(low >> np.uint64(8 * number)).astype(np.uint8).tobytes() for number in range(-(-shift // 8))]


def _read_plane(reader: Reader, n_bytes: int) -> np.ndarray:
    """uint8 (n_bytes,)."""
    plane = read_packed(reader, "plane", n_bytes)
    if len(plane) != n_bytes:
        raise CorruptStreamError(f"{reader.what}: expected {n_bytes} bytes of a plane, found {len(plane)}")
    return np.frombuffer(plane, np.uint8)
