"""lhic's own models, through the public names only; one codec per weights file found."""

from __future__ import annotations

import numpy as np

import lhic
from benchmarks.codecs.base import ANYWHERE, THIS_MACHINE, Codec
from lhic.errors import UsageError

EXACT_FAMILIES = ("lhic-ax", "raw")


class LhicModel(Codec):
    """`lhic.encode` and `lhic.decode` with one model; the stream holds shape, dtype and checksums.

    The weights are part of the decoder, as the code of any codec is: their hash is in the stream and in
    the row, their bytes are not counted.
    """

    threads = "threads= of lhic.encode and lhic.decode"
    devices = ("cpu", "cuda")

    def __init__(self, model: str, name: str | None = None, **options):
        entry = next((entry for entry in lhic.list_models() if entry.name == model), None)
        if entry is None:
            raise UsageError(f"model {model!r}: expected weights of that name, found none")
        self.name = name or model
        self.version = f"lhic {lhic.__version__}"
        self.weights_hash = entry.sha256
        self.settings = {"model": model, "family": entry.family, **options}
        # LHIC-BP's network computes in floats, and any other family is taken to do so.
        self.provenance = ANYWHERE if entry.family in EXACT_FAMILIES else THIS_MACHINE
        self._model, self._options = model, options

    def encode(self, cube: np.ndarray) -> bytes:
        return lhic.encode(cube, self._model, self.device, threads=self.n_threads, **self._options)

    def decode(self, data: bytes) -> np.ndarray:
        return lhic.decode(data, self.device, threads=self.n_threads)

    def warm_up(self, corner: np.ndarray) -> None:
        """What a corner may not need, too: tuning, histograms with gaps."""
        if self.device == "cpu":
            lhic.load_model(self._model, "cpu").compile_kernels()
        super().warm_up(corner)


def _maker(model: str, name: str | None = None, **options):
    return lambda: LhicModel(model, name, **options)


def __getattr__(name: str):
    """``CODECS``, of the weights that are found when it is read: an experiment may add some for a while."""
    if name != "CODECS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    families = {entry.name: entry.family for entry in lhic.list_models()}
    found = {model: _maker(model) for model in sorted({*families, lhic.DEFAULT_MODEL})}
    # LineRWKV with the coder of its authors; its weights, which have no licence, are wherever LHIC_CKPT says.
    rwkv = [model for model, family in families.items() if family == "linerwkv"]
    return found | {f"{model}-ccsds": _maker(model, f"{model}-ccsds", coder="ccsds123") for model in rwkv}
