"""What a stream of this family says about itself, readable without torch and without weights.

Format: docs/format_linerwkv.md, section 1.
"""

from __future__ import annotations

from lhic.errors import CorruptStreamError

FAMILY = "linerwkv"
SECTION_NAMES = ("side", "samples", "corrections")
CODERS = ("mixture", "ccsds123")
"""Our own coder, and the one of the authors; position = value of the one parameter."""


def read_parameters(parameters: bytes) -> str:
    """Name of the coder; raises `CorruptStreamError`."""
    if len(parameters) != 1 or parameters[0] >= len(CODERS):
        raise CorruptStreamError(f"linerwkv parameters: expected one byte, 0 or 1, found {parameters.hex() or 'none'}")
    return CODERS[parameters[0]]


def describe_parameters(parameters: bytes) -> dict:
    """Stream parameters by name, for ``lhic info``."""
    return {"coder": read_parameters(parameters)}
