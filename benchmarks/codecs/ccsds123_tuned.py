"""CCSDS 123.0-B-2 with the settings that suit a cube: what a search of the standard's parameters is worth.

Coordinate descent: one parameter after the other takes the value with the smallest stream, until a round changes
nothing; first on the middle of the cube, then, from there, one round on the whole.  The stream is a compressed image
of the standard, which says all settings; it is never longer than that of ``ccsds123-best-wide``, whose candidates are
the start.  Knows nothing about what the parameters do (`lhic.ccsds123`).
"""

from __future__ import annotations

import numpy as np

from benchmarks.codecs.base import LIBRARIES
from benchmarks.codecs.ccsds123_codec import Ccsds123, errors_of_lhic
from lhic import ccsds123

CROP = 48  # rows and columns of the middle that the first rounds see
ROUNDS = 4

# Field -> values, in the order of the rounds. Symbols of the standard: see `lhic.ccsds123.parameters`.
SEARCH = {
    "prediction_bands": (0, 1, 2, 3, 4, 6, 8, 11, 15),  # P
    "prediction_mode": ("full", "reduced"),
    "local_sum": ("wide neighbor", "narrow neighbor", "wide column", "narrow column"),
    "entropy_coder": ("sample-adaptive", "hybrid", "block-adaptive"),
    "weight_update_final": tuple(range(-2, 10)),  # nu_max
    "weight_update_interval": tuple(1 << e for e in range(4, 12)),  # t_inc
    "weight_update_initial": tuple(range(-6, 7)),  # nu_min
    "weight_resolution": (8, 10, 12, 13, 14, 15, 16, 17, 18, 19),  # Omega
    "register_size": (40, 48, 64),  # R
    "rescaling_counter_size": (4, 5, 6, 7, 8, 9, 10, 11),  # gamma*
    "initial_count_exponent": (1, 2, 4, 6, 8),  # gamma_0
    "unary_length_limit": (8, 12, 16, 18, 20, 24, 32),  # U_max
    "block_size": (8, 16, 32, 64),  # J, of the block-adaptive coder
}


class Tuned(Ccsds123):
    """The best settings that the descent finds on the very cube."""

    provenance = LIBRARIES  # where the block-adaptive coder wins: libaec may choose other blocks

    def __init__(self):
        super().__init__("ccsds123-tuned")
        self.best_of = True
        self.settings = {"descent": {field: list(values) for field, values in SEARCH.items()}, "crop": CROP}

    def encode(self, cube: np.ndarray) -> bytes:
        self.check(cube)
        with errors_of_lhic():
            stream, found = ccsds123.best_of(cube, ccsds123.WIDE_SEARCH)
            start = {field: getattr(found, field) for field in ("dynamic_range", *SEARCH)}
            _, settings = descend(middle(cube), start, ROUNDS)
            return min(stream, descend(cube, settings, 1)[0], key=len)

    def warm_up(self, corner: np.ndarray) -> None:
        """All three coders."""
        for coder in SEARCH["entropy_coder"]:
            ccsds123.decode(ccsds123.encode(corner, entropy_coder=coder))


def middle(cube: np.ndarray) -> np.ndarray:
    """At most `CROP` rows and columns around the centre."""
    first = [max(n - CROP, 0) // 2 for n in cube.shape[1:]]
    return np.ascontiguousarray(cube[:, first[0] : first[0] + CROP, first[1] : first[1] + CROP])


def descend(cube: np.ndarray, settings: dict, n_rounds: int) -> tuple[bytes, dict]:
    """Shortest stream found, and its settings (field of `lhic.ccsds123.Parameters` -> value); begins with these."""
    best = ccsds123.encode(cube, **settings)
    for _ in range(n_rounds):
        before = settings
        for field, values in SEARCH.items():
            for value in values:
                changed = settings | {field: value}
                stream = best if changed == settings else _encoded(cube, changed)
                if stream is not None and len(stream) < len(best):
                    best, settings = stream, changed
        if settings == before:
            break
    return best, settings


def _encoded(cube: np.ndarray, settings: dict) -> bytes | None:
    """None where the standard does not allow the settings together."""
    try:
        return ccsds123.encode(cube, **settings)
    except ccsds123.ParameterError:
        return None


CODECS = {"ccsds123-tuned": Tuned}
