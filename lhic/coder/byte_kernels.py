"""The coder of `byte_model`, compiled: same bytes, above a million of them per second."""

from numba.extending import register_jitable

from lhic.coder import byte_model
from lhic.kernels.jit import njit

give_byte = register_jitable(byte_model.give_byte)
run = njit(nogil=True)(byte_model.run)
