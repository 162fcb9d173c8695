"""LineRWKV conformance: does our network predict what the published one predicted?

A folder holds weights, ``linerwkv-SIZE.safetensors`` or ``.pth`` with published names, and vectors, ``NAME_io.npz``:
`cube` (S, H, W) integers, `mean` and `std` (S, ceil(H / 16)), and for each size `prediction_SIZE`, float64 (S, H - 1,
W).  Decides nothing about streams: their exactness is tested by coding.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lhic.errors import CheckpointError, UsageError
from lhic.families.linerwkv.coding import LineRwkvModel, torch_threads
from lhic.families.linerwkv.config import LineRwkvConfig
from lhic.families.linerwkv.network import LineRwkv
from lhic.families.linerwkv.side import Side
from lhic.families.state_dict import load_net, read_state_dict
from lhic.io.threads import n_threads

TOLERANCE = 1e-6
"""Largest difference that conforms, relative to a prediction of 1 or more."""
PREFIX, SUFFIX = "linerwkv-", "_io.npz"


@dataclass(frozen=True)
class Difference:
    """Predictions of one vector by one size; `largest_difference` is relative."""

    vector: str
    size: str
    n_values: int
    largest_difference: float

    @property
    def conforms(self) -> bool:
        return self.largest_difference <= TOLERANCE  # False for NaN

    def __str__(self) -> str:
        verdict = "conforms" if self.conforms else f"differs by more than {TOLERANCE:g}"
        return (
            f"{self.vector}  {self.size:<3}  largest relative difference {self.largest_difference:.2e} "
            f"of {self.n_values} values  {verdict}"
        )


def run_linerwkv(folder: str | os.PathLike) -> list[Difference]:
    """Every vector of a folder by every size of which there are weights and predictions.

    Raises
    ------
    UsageError
        The folder does not exist or lacks weights or vectors.
    CheckpointError
        A file is damaged or contradicts another.
    """
    folder = Path(folder)
    weights = sorted(path for path in folder.glob(f"{PREFIX}*") if path.suffix in (".safetensors", ".pth"))
    vectors = sorted(folder.glob(f"*{SUFFIX}"))
    if not weights or not vectors:
        raise UsageError(f"{folder}: expected weights ({PREFIX}*) and vectors (*{SUFFIX}), found none of one or both")
    with torch_threads(n_threads()):
        return [row for path in weights for row in _run_size(path, vectors)]


def _run_size(path: Path, vectors: list[Path]) -> list[Difference]:
    state, size = read_state_dict(path), path.stem.removeprefix(PREFIX)
    config = LineRwkvConfig.of_tensors({key: tuple(value.shape) for key, value in state.items()})
    model = LineRwkvModel(path.stem, config.to_dict(), b"", config, load_net(LineRwkv, config, state, str(path)))
    rows = []
    for vector in vectors:
        cube, mean, deviation, expected = _read(vector, f"prediction_{size}")
        side = Side(int(cube.min()), int(np.ptp(cube)) + 1, mean.T, deviation.T)
        with torch.inference_mode():
            found = np.concatenate([lines for _, lines in model.predictions(cube, side)]).transpose(1, 0, 2)
        if found.shape != expected.shape:
            raise CheckpointError(f"{vector}: expected predictions of shape {found.shape}, found {expected.shape}")
        difference = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
        rows.append(Difference(vector.name.removesuffix(SUFFIX), size, expected.size, float(difference.max())))
    return rows


def _read(path: Path, prediction: str) -> list[np.ndarray]:
    names = ["cube", "mean", "std", prediction]
    try:
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CheckpointError(f"{path}: expected arrays {', '.join(names)}, found others ({error})") from error
