"""lhic's own models, through the public names only; one codec per weights file found."""

from __future__ import annotations

import numpy as np

import lhic
from benchmarks.codecs.base import Codec
from lhic.families.registry import SUFFIX, find_weights, weights_folders
from lhic.families.weights import read_description


class LhicModel(Codec):
    """`lhic.encode` and `lhic.decode` with one model; the stream holds shape, dtype and checksums.

    The weights are part of the decoder, as the code of any codec is: their hash is in the stream and in
    the row, their bytes are not counted.
    """

    threads = "threads= of lhic.encode and lhic.decode"
    devices = ("cpu", "cuda")

    def __init__(self, model: str):
        description = read_description(find_weights(model))
        self.name = model
        self.version = f"lhic {lhic.__version__}"
        self.weights_hash = description["sha256"]
        self.settings = {"model": model, "family": description["family"]}
        self._model = model

    def encode(self, cube: np.ndarray) -> bytes:
        return lhic.encode(cube, self._model, self.device, threads=self.n_threads)

    def decode(self, data: bytes) -> np.ndarray:
        return lhic.decode(data, self.device, threads=self.n_threads)


def _names() -> list[str]:
    found = {path.name.removesuffix(SUFFIX) for folder in weights_folders() for path in folder.glob(f"*{SUFFIX}")}
    return sorted(found | {lhic.DEFAULT_MODEL})


def _maker(model: str):
    return lambda: LhicModel(model)


CODECS = {name: _maker(name) for name in _names()}
