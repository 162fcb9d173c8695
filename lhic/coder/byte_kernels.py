"""The coder of `byte_model`, compiled: same bytes, above a million of them per second."""

from lhic.coder import byte_model
from lhic.kernels.jit import njit

run = njit(nogil=True)(byte_model.run)
