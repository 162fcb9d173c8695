"""From integer parameters to bytes and back, the same on every machine.

`logistic` turns integer mixture parameters into intervals, `cdf` integer weights; `rans` codes intervals.
The compiled forms are what other modules use; `rans` and `logistic` hold the readable references.
"""

from lhic.entropy.cdf import cdf_from_weights, intervals_of
from lhic.entropy.logistic import Mixture, grid_coordinates, quantise
from lhic.entropy.logistic_numba import decode_symbols, interval
from lhic.entropy.rans_numba import RansDecoder, RansEncoder

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
