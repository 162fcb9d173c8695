"""From integer parameters to bytes and back, the same on every machine.

`mixture` turns integer mixture parameters into intervals, `cdf` integer weights; `rans` codes intervals.
The compiled forms are what other modules use; `rans` and `mixture` hold the readable references.
"""

from lhic.coder.cdf import cdf_from_weights, intervals_of
from lhic.coder.mixture import Mixture, grid_coordinates, quantise
from lhic.coder.mixture_kernels import decode_symbols, interval
from lhic.coder.rans_kernels import RansDecoder, RansEncoder

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
