"""From integer parameters to bytes and back, the same on every machine.

`mixture` turns integer mixture parameters into intervals, `cdf` integer weights; `rans` codes intervals.  The compiled
forms are what other modules use; `rans` and `mixture` hold the readable references.  `byte_code` codes any bytes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhic.coder.cdf import cdf_from_weights, intervals_of
    from lhic.coder.mixture import Mixture, grid_coordinates, quantise
    from lhic.coder.mixture_kernels import decode_symbols, interval
    from lhic.coder.rans_kernels import RansDecoder, RansEncoder

_PLACES = {
    "cdf_from_weights": "cdf",
    "intervals_of": "cdf",
    "Mixture": "mixture",
    "grid_coordinates": "mixture",
    "quantise": "mixture",
    "decode_symbols": "mixture_kernels",
    "interval": "mixture_kernels",
    "RansDecoder": "rans_kernels",
    "RansEncoder": "rans_kernels",
}

__all__ = [
    "Mixture",
    "RansDecoder",
    "RansEncoder",
    "cdf_from_weights",
    "decode_symbols",
    "grid_coordinates",
    "interval",
    "intervals_of",
    "quantise",
]


def __getattr__(name: str) -> Any:
    """Kernels are imported when they are asked for: reading a header needs none."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
