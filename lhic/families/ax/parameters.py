"""What a stream of this family says about itself, readable without numba and without weights.

Format: docs/format_lhic_ax.md, section 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from lhic.families.ax.planes.near_lossless import MAX_ERROR
from lhic.stream.header import MAX_PARAMETERS_BYTES
from lhic.stream.varint import Reader, write_varint

FAMILY = "lhic-ax"
SECTION_NAMES = ("side", "groups", "samples")
MAX_TILE_PIXELS = 1 << 15
"""The normal equations' sums stay below 2^53 (docs/format_lhic_ax.md, section 4.3)."""
GROUP_LIMITS = (1, 4096)
MAX_CHANGES_BYTES = MAX_PARAMETERS_BYTES - 16  # what is left beside the three numbers
LANES = (1, 1024)


def group_planes(n_pixels: int) -> int:
    """Planes in a group of a tile, as our encoder chooses them."""
    return 8 if n_pixels >= 1024 else 64


@dataclass(frozen=True)
class StreamParameters:
    """max_error : 0 when lossless

    group_planes : planes coded into one part of the samples section; n_lanes : of each part's coder
    changes : of the network's weights (`changes`), empty where they are as in the weights file
    """

    max_error: int
    group_planes: int
    n_lanes: int
    changes: bytes = b""

    def to_bytes(self) -> bytes:
        """Three varints, and the changes."""
        fields = (self.max_error, self.group_planes, self.n_lanes)
        return b"".join(write_varint(value) for value in fields) + self.changes

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamParameters:
        """Inverse of `to_bytes`; raises `CorruptStreamError`."""
        reader = Reader(data, "lhic-ax parameters")
        return cls(
            reader.varint("max error", 0, MAX_ERROR),
            reader.varint("planes in a group", *GROUP_LIMITS),
            reader.varint("lanes", *LANES),
            bytes(reader.take(reader.n_left, "changes")),
        )


def describe_parameters(parameters: bytes) -> dict:
    """Stream parameters by name, for ``lhic info``."""
    found = StreamParameters.from_bytes(parameters)
    return {
        "max_error": found.max_error,
        "planes in a group": found.group_planes,
        "lanes": found.n_lanes,
        "bytes of changed weights": len(found.changes),
    }
