"""Reference streams against this implementation: encode to the same bytes, decode to the same samples.

A folder holds, for each vector, ``<id>.npy`` (the image), ``<id>.c123`` (header and body), ``<id>.json`` (the
parameters under the names and symbols of the standard) and, when coding is lossy, ``<id>.rec.npy`` (what a decoder
outputs).  The parameters are taken from the header of the stream.  Where the json states them, too, a contradiction
is noted, so that a header misread alike in both directions does not go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lhic.ccsds123.errors import Ccsds123Error
from lhic.ccsds123.header import read_header
from lhic.ccsds123.parameters import Parameters
from lhic.ccsds123.predictor_kernels import map_samples
from lhic.ccsds123.stream import decode, encode

# Key in the json -> value of the parameters, where the two are simple to compare
FIELDS = {
    "D": lambda p: p.dynamic_range,
    "sample_type": lambda p: "signed" if p.signed else "unsigned",
    "N_z": lambda p: p.n_bands,
    "N_y": lambda p: p.n_rows,
    "N_x": lambda p: p.n_columns,
    "encoding_order": lambda p: p.order.upper(),
    "M": lambda p: p.interleaving_depth or None,
    "P": lambda p: p.prediction_bands,
    "prediction_mode": lambda p: p.prediction_mode,
    "local_sum_type": lambda p: f"{p.local_sum}-oriented",
    "R": lambda p: p.register_size,
    "Omega": lambda p: p.weight_resolution,
    "t_inc": lambda p: p.weight_update_interval,
    "nu_min": lambda p: p.weight_update_initial,
    "nu_max": lambda p: p.weight_update_final,
    "D_A": lambda p: p.absolute_error_limit_bits,
    "D_R": lambda p: p.relative_error_limit_bits,
    "absolute_error_limit": lambda p: _plain(p.absolute_error_limit),
    "relative_error_limit": lambda p: _plain(p.relative_error_limit),
    "entropy_coder": lambda p: p.entropy_coder,
    "B": lambda p: p.output_word_bytes,
    "user_defined_data": lambda p: p.user_data,
    "supplementary_information_tables": lambda p: len(p.supplementary_tables),
}


@dataclass(frozen=True)
class Row:
    """Outcome of one vector.

    Attributes
    ----------
    conforms : bool
        The same bytes encoded and the same samples decoded.
    reason : str
        What differs; empty when nothing does.
    note : str
        Where the json contradicts the header; does not influence `conforms`.
    """

    name: str
    conforms: bool
    reason: str
    note: str = ""

    def __str__(self) -> str:
        note = f" (note: {self.note})" if self.note else ""
        return f"{self.name}: {'equal' if self.conforms else f'differs: {self.reason}'}{note}"


def run(folder: str | Path) -> Iterator[Row]:
    """Outcome of every vector ``<id>.c123`` in `folder`, by name."""
    for path in sorted(Path(folder).glob("*.c123")):
        yield check_vector(path)


def check_vector(path: Path) -> Row:
    """Outcome of the vector whose stream is at `path`."""
    note = ""
    try:
        data = path.read_bytes()
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        cube = np.load(path.with_suffix(".npy"), allow_pickle=False)
        lossy = path.with_suffix(".rec.npy")
        expected = np.load(lossy, allow_pickle=False) if lossy.exists() else cube
        p, header_bytes = read_header(data)
        note = contradictions(described, p)
        start = described.get("hybrid_initial_accumulator")
        if start is not None:  # the encoder's choice, which the header does not tell
            p = replace(p, initial_accumulator=tuple(start) if isinstance(start, list) else start)
        reason = _compare_indices(described, cube, p) or _compare_streams(data, header_bytes, cube, expected, p)
    except (Ccsds123Error, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
    return Row(path.stem, not reason, reason, note)


def contradictions(described: dict, p: Parameters) -> str:
    """Where a description contradicts the parameters read from a header; empty when nowhere."""
    found = ((key, described.get(key), value_of(p)) for key, value_of in FIELDS.items() if key in described)
    return "; ".join(f"{key}: {stated} stated, {read} in the header" for key, stated, read in found if stated != read)


def _compare_indices(described: dict, cube: np.ndarray, p: Parameters) -> str:
    expected = described.get("mapped_index_sha256")
    if expected is None:
        return ""
    found = hashlib.sha256(map_samples(cube, p).astype("<u4").tobytes()).hexdigest()
    return "" if found == expected else "mapped quantizer indices: expected others (mapped_index_sha256)"


def _compare_streams(data: bytes, header_bytes: int, cube: np.ndarray, expected: np.ndarray, p: Parameters) -> str:
    encoded = encode(cube, p)
    if encoded != data:
        at = next((i for i, (a, b) in enumerate(zip(encoded, data, strict=False)) if a != b), None)
        where = f"first difference at byte {at}" if at is not None else "equal as far as both go"
        part = "header" if at is not None and at < header_bytes else "body"
        return f"encoding, {part}: expected {len(data)} bytes, found {len(encoded)}, {where}"
    decoded = decode(data)
    if decoded.shape != expected.shape or not np.array_equal(decoded, expected):
        return "decoding: expected the stored samples, found others"
    return ""


def _plain(value: int | tuple[int, ...] | None) -> int | list[int] | None:
    return list(value) if isinstance(value, tuple) else value
