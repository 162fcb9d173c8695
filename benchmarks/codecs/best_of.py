"""Best of several codecs on each cube: what a per-image search of settings would give.

Encoding time is that of all candidates, because all must be tried.  Rows of these codecs carry the
``best_of`` mark and stand in a column of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.codecs import jpeg_ls, jpeg_xl
from benchmarks.codecs.base import Codec
from lhic.errors import CorruptStreamError


class BestOf(Codec):
    """The smallest stream among `candidates`, behind one byte that says whose it is."""

    best_of = True

    def __init__(self, name: str, candidates: Sequence[Codec]):
        self.name = name
        self.candidates = list(candidates)
        self.version = self.candidates[0].version
        self.signed = self.candidates[0].signed
        self.threads = next((codec.threads for codec in self.candidates if codec.threads), None)
        self.settings = {"best_of": [codec.name for codec in self.candidates]}

    def refuses(self, cube: np.ndarray) -> str | None:
        reasons = [codec.refuses(cube) for codec in self.candidates]
        return None if None in reasons else reasons[0]

    def encode(self, cube: np.ndarray) -> bytes:
        self.check(cube)
        streams = []
        for number, codec in enumerate(self.candidates):
            codec.n_threads = self.n_threads
            if codec.refuses(cube) is None:
                streams.append(bytes([number]) + codec.encode(cube))
        return min(streams, key=len)

    def decode(self, data: bytes) -> np.ndarray:
        if not data or data[0] >= len(self.candidates):
            raise CorruptStreamError(f"{self.name}: expected a candidate below {len(self.candidates)}")
        codec = self.candidates[data[0]]
        codec.n_threads = self.n_threads
        return codec.decode(data[1:])


def _pick(codecs: dict, names: Sequence[str]) -> list[Codec]:
    return [codecs[name]() for name in names]


CODECS = {
    "best-of-jpeg-ls": lambda: BestOf("best-of-jpeg-ls", [make() for make in jpeg_ls.CODECS.values()]),
    "best-of-jpeg-xl-e7": lambda: BestOf(
        "best-of-jpeg-xl-e7", _pick(jpeg_xl.CODECS, ["jpeg-xl-e7-bands", "jpeg-xl-e7-pixels-bands"])
    ),
}
