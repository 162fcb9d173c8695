"""RLS: recursive least squares over K previous bands and the neighbours, our own implementation (docs/rls.md).

The strongest reference without training.  Its streams say everything the decoder needs, so no frame is added.
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs import rls
from benchmarks.codecs.base import ANYWHERE, Codec
from benchmarks.codecs.rls.stream import VERSIONS


class Rls(Codec):
    """`benchmarks.codecs.rls` with K previous bands, and fixed or variable forgetting."""

    signed = "offset"
    provenance = ANYWHERE  # docs/rls.md, "The same bytes everywhere"

    def __init__(self, n_previous: int, variable_forgetting: bool = False):
        self.name = f"rls-k{n_previous}" + "-vff" * variable_forgetting
        self.version = f"own, stream version {VERSIONS[variable_forgetting]}"
        self.settings = {"previous_bands": n_previous} | ({"forgetting": "variable"} if variable_forgetting else {})
        self._arguments = n_previous, variable_forgetting

    def refuses(self, cube: np.ndarray) -> str | None:
        return rls.refuses(cube)

    def encode(self, cube: np.ndarray) -> bytes:
        return rls.encode(cube, *self._arguments)

    def decode(self, data: bytes) -> np.ndarray:
        return rls.decode(data)


def _maker(*arguments):
    return lambda: Rls(*arguments)


CODECS = {f"rls-k{n_previous}": _maker(n_previous) for n_previous in (0, 10, 20, 40)}
CODECS |= {"rls-k20-vff": _maker(20, True)}
