"""RLS: recursive least squares over K previous bands and the neighbours, our own implementation (docs/rls.md).

The strongest reference without training.  Its streams say everything the decoder needs, so no frame is added.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs import rls
from benchmarks.codecs.base import ANYWHERE, Codec
from benchmarks.codecs.rls.stream import VERSION


class Rls(Codec):
    """`benchmarks.codecs.rls` with K previous bands."""

    signed = "offset"
    provenance = ANYWHERE  # docs/rls.md, "The same bytes everywhere"

    def __init__(self, n_previous: int):
        self.name = f"rls-k{n_previous}"
        self.version = f"own, stream version {VERSION}"
        self.settings = {"previous_bands": n_previous}
        self._n_previous = n_previous

    def refuses(self, cube: np.ndarray) -> str | None:
        return rls.refuses(cube)

    def encode(self, cube: np.ndarray) -> bytes:
        return rls.encode(cube, self._n_previous)

    def decode(self, data: bytes) -> np.ndarray:
        return rls.decode(data)


def _maker(n_previous: int):
    return lambda: Rls(n_previous)


CODECS = {f"rls-k{n_previous}": _maker(n_previous) for n_previous in (0, 10, 20, 40)}
