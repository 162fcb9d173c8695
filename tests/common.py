"""What several tests need: the shared data folder, a round-trip check, cubes by intent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lhic.families.family import Model, Work

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LHIC_SHARED", REPOSITORY.parent / "shared"))


def shared_path(*parts: str) -> Path:
    """A file or folder of the shared data; skips the test, saying so, where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the shared data ({'/'.join(parts)}), set LHIC_SHARED")
    return path


def coded(model: Model, tiles: list, parameters: bytes, work: Work | None = None) -> list[tuple[bytes, ...]]:
    """Sections of some tiles."""
    return [encoded.sections for encoded in model.encode_tiles(tiles, parameters, work or Work())]


def check_round_trip(cube: np.ndarray, encode, decode) -> bytes:
    """Equal cube back, equal bytes when encoded twice; returns the stream."""
    original = cube.copy()
    stream = encode(cube)
    assert np.array_equal(cube, original), "the encoder modified its input"
    assert encode(cube) == stream, "two encodings of one cube differ"
    again = decode(stream)
    assert again.dtype == cube.dtype and again.shape == cube.shape
    assert np.array_equal(again, cube)
    return stream


def cubes_by_intent() -> dict[str, np.ndarray]:
    """Small cubes, each there for a reason."""
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(5), np.add.outer(np.arange(9), np.arange(7))) * 11
    nodata = ramp.astype("int16")
    nodata[2] = -32768
    return {
        "one sample": np.full((1, 1, 1), 7, "uint8"),
        "one band": ramp[:1].astype("uint16"),
        "one row": ramp[:, :1].astype("int16"),
        "one column": ramp[:, :, :1].astype("int32"),
        "constant": np.full((4, 6, 5), -3, "int8"),
        "smooth": ramp.astype("uint16"),
        "noise, all of uint16": rng.integers(0, 65536, (3, 8, 8), dtype="uint16"),
        "extremes of int16": rng.choice(np.array([-32768, 0, 32767], "int16"), (3, 5, 6)),
        "extremes of int32": rng.choice(np.array([-(2**31), -1, 2**31 - 1], "int32"), (2, 4, 5)),
        "extremes of uint32": rng.choice(np.array([0, 2**32 - 1], "uint32"), (2, 4, 5)),
        "a nodata band": nodata,
        "tile edge plus one": rng.integers(0, 400, (3, 33, 31), dtype="int16"),
        "above 10 000": rng.integers(9_990, 10_020, (3, 6, 6), dtype="int32"),
        "big-endian": ramp.astype(">i2"),
        "Fortran order": np.asfortranarray(ramp.astype("uint16")),
    }
