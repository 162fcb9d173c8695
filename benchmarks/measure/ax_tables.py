"""lhic-ax on one cube, measured: its presets, near-lossless rates, what is exact, and what a band adds to a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

import lhic
from benchmarks.codecs.base import Codec
from benchmarks.measure.provenance import has_cuda
from benchmarks.measure.worker import timed
from lhic import ccsds123
from lhic.errors import VerificationError
from lhic.train.ax import load_net

WARM_UP = 8  # rows and columns; compiles the kernels


def bits_added(cube: np.ndarray, codec: Codec) -> np.ndarray:
    """Bits by which each band lengthens the stream of the bands before it, float64 (S,); their sum is the whole stream.

    For codecs that code band after band; one that looks ahead, or whose settings follow from the range of the cube,
    can make a band look cheaper or dearer than it is.
    """
    lengths = [len(codec.encode(np.ascontiguousarray(cube[:n]))) for n in range(1, cube.shape[0] + 1)]
    return 8.0 * np.diff([0, *lengths])


def preset_table(cube: np.ndarray, models: Sequence[str], cube_sha256: str, device: str = "auto") -> pd.DataFrame:
    """Code a cube with each model, check that it comes back; one line a model.

    cube_sha256 : of the whole cube that `cube` is from, by which weights name their training data

    Raises
    ------
    UsageError
        Weights that are not there or of another family; before any work.
    VerificationError
        A decoded cube differs.
    """
    nets = {model: load_net(model) for model in models}
    known = {entry.name: entry for entry in lhic.list_models()}
    lines = []
    for model, net in nets.items():
        loaded = lhic.load_model(model, device)
        corner = np.ascontiguousarray(cube[:, :WARM_UP, :WARM_UP])
        lhic.decode(lhic.encode(corner, loaded, device), device)
        stream, encode_s = timed(lambda: lhic.encode(cube, loaded, device))  # noqa: B023
        decoded, decode_s = timed(lambda: lhic.decode(stream, device))  # noqa: B023
        _check(np.array_equal(decoded, cube), f"{model}: expected the cube that was coded, found another")
        line = {"model": model, "bps": 8 * len(stream) / cube.size}
        line |= {"encode MS/s": cube.size / encode_s / 1e6, "decode MS/s": cube.size / decode_s / 1e6}
        info = known[model].info
        line |= {"network MACs": net.macs, "weights bytes": known[model].file_bytes}
        line["trained on this cube"] = _yes(cube_sha256 in info["training_cubes"]) if "training_cubes" in info else "?"
        lines.append(line)
    return pd.DataFrame(lines)


def near_lossless_table(cube: np.ndarray, model: str, max_errors: Sequence[int], device: str = "auto") -> pd.DataFrame:
    """Rate of lhic-ax and of the best of CCSDS-123 (P 0, 3, 15 with two coders) with every sample within the bound.

    Both streams are decoded and their greatest errors measured.

    Raises
    ------
    VerificationError
        A sample is off by more than the bound.
    """
    lines = []
    for bound in max_errors:
        limit = {"absolute_error_limit": (bound,), "absolute_error_limit_bits": (bound.bit_length(),)} if bound else {}
        streams = {
            model: (lhic.encode(cube, model, device, max_error=bound), lambda data: lhic.decode(data, device)),
            "CCSDS-123 best": (ccsds123.best_of(cube, ccsds123.USUAL_SEARCH | limit)[0], ccsds123.decode),
        }
        line = {"max error": bound}
        for name, (stream, decode) in streams.items():
            found = int(np.abs(decode(stream).astype(np.int64) - cube).max())
            _check(found <= bound, f"{name}: expected errors of at most {bound}, found {found}")
            line |= {f"{name} bps": 8 * len(stream) / cube.size, f"{name} greatest error": found}
        line["ratio"] = line[f"{model} bps"] / line["CCSDS-123 best bps"]
        lines.append(line)
    return pd.DataFrame(lines)


def exactness_table(cube: np.ndarray, model: str) -> pd.DataFrame:
    """What is equal, of how many numbers, by which two ways of computing it: threads, and a GPU where there is one.

    Returns
    -------
    DataFrame with columns ``what``, ``one way``, ``other way``, ``numbers`` and ``equal``
    """
    ways = {"1 thread": ("cpu", 1), "2 threads": ("cpu", 2)} | ({"CUDA": ("cuda", 1)} if has_cuda() else {})
    streams = {way: lhic.encode(cube, model, device, threads=n) for way, (device, n) in ways.items()}
    first, *others = streams
    lines = []
    for other in others:
        device, n = ways[other]
        again = lhic.decode(streams[first], device, threads=n)
        lines += [
            ("bytes of the stream", first, other, len(streams[first]), streams[first] == streams[other]),
            ("decoded samples", "the cube", f"written on {first}, read on {other}", cube.size, _same(cube, again)),
        ]
    table = pd.DataFrame(lines, columns=["what", "one way", "other way", "numbers", "equal"])
    return table.assign(equal=table["equal"].map(_yes))


def _same(cube: np.ndarray, other: np.ndarray) -> bool:
    return cube.dtype == other.dtype and np.array_equal(cube, other)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise VerificationError(message)
