"""CCSDS 123.0-B-2, our own conformant implementation (docs/ccsds123.md), losslessly.

Its streams are compressed images of the standard and say everything the decoder needs, so no frame is added.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product

import numpy as np

from benchmarks.codecs.base import ANYWHERE, Codec
from lhic import ccsds123
from lhic.errors import CorruptStreamError, InvalidCubeError, MemoryBudgetError, TruncatedStreamError

VERSION = "own, CCSDS 123.0-B-2"
SETTINGS = {
    "prediction_mode": "full",
    "local_sum": "wide neighbor",
    "weight_resolution": 19,
    "weight_update_interval": 64,
    "weight_update_initial": -1,
    "weight_update_final": 6,
    "dynamic_range": "actual",
    "order": "bsq",
}
# What most papers set, whatever the image: 16 bits, slow final weight updates.  A sample of 8 or 32 bits keeps
# its own depth.
USUAL = {"prediction_bands": 3, "weight_update_final": 3, "dynamic_range": "dtype"}


class Ccsds123(Codec):
    """One set of parameters, or with `search` the best of several on each cube."""

    provenance = ANYWHERE

    def __init__(self, name: str, search: dict[str, tuple] | None = None, **options):
        self.name = name
        self.version = VERSION
        self.settings = SETTINGS | options | ({"search": search} if search else {})
        self.best_of = search is not None
        self._search = search
        self._options = options

    def refuses(self, cube: np.ndarray) -> str | None:
        try:
            ccsds123.default_parameters(cube)
        except ccsds123.Ccsds123Error as error:
            return str(error)
        return None

    def encode(self, cube: np.ndarray) -> bytes:
        self.check(cube)
        with errors_of_lhic():
            if self._search is not None:
                return ccsds123.best_of(cube, self._search)[0]
            options = dict(self._options)
            if options.get("dynamic_range") == "dtype":
                options["dynamic_range"] = 8 * cube.dtype.itemsize
            return ccsds123.encode(cube, **options)

    def bit_costs(self, cube: np.ndarray, stream: bytes) -> np.ndarray | None:
        """Bits of each sample (S, H, W), for the explorer; None where samples have no code words of their own."""
        with errors_of_lhic():
            return ccsds123.bit_costs(stream)

    def warm_up(self, corner: np.ndarray) -> None:
        """Every candidate of a search: the one that wins on the whole cube need not win on its corner."""
        super().warm_up(corner)
        search = (self._search or {}) | {"entropy_coder": ccsds123.SEARCHED_CODERS if self._search else ()}
        for values in product(*search.values()):
            ccsds123.decode(ccsds123.encode(corner, **dict(zip(search, values, strict=True))))

    def decode(self, data: bytes) -> np.ndarray:
        with errors_of_lhic():
            return ccsds123.decode(data)


@contextmanager
def errors_of_lhic():
    """Raise the errors of this project for those of the package, which knows nothing of it."""
    try:
        yield
    except ccsds123.SampleError as error:
        raise InvalidCubeError(f"ccsds123: {error}") from None
    except ccsds123.BudgetError as error:
        raise MemoryBudgetError(f"ccsds123: {error}") from None
    except ccsds123.TruncatedError as error:
        raise TruncatedStreamError(f"ccsds123: {error}") from None
    except ccsds123.Ccsds123Error as error:
        raise CorruptStreamError(f"ccsds123: {error}") from None


CODECS = {
    codec: lambda codec=codec, options=options: Ccsds123(codec, **options)
    for codec, options in {
        "ccsds123-p0": {"prediction_bands": 0},
        "ccsds123-p3": {"prediction_bands": 3},
        "ccsds123-p3-usual": USUAL,
        "ccsds123-p3-hybrid": {"prediction_bands": 3, "entropy_coder": "hybrid"},
        "ccsds123-p15": {"prediction_bands": 15},
        "ccsds123-best": {"search": ccsds123.USUAL_SEARCH},
        "ccsds123-best-wide": {"search": ccsds123.WIDE_SEARCH},
    }.items()
}
