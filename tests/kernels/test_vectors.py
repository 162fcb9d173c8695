"""Working memory that vectors fit into, and the length of a vector."""

import numpy as np
import pytest
from numba import config

from lhic.kernels.vectors import CACHE_LINE, register_bytes, zeros


@pytest.mark.parametrize("shape", [0, 5, (3, 7), (2, 0, 4)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "?"])
def test_zeros_begin_where_a_line_of_the_cache_does(shape, dtype):
    for _ in range(5):
        found, expected = zeros(shape, dtype), np.zeros(shape, dtype)
        assert found.dtype == expected.dtype and found.shape == expected.shape and not found.any()
        assert found.ctypes.data % CACHE_LINE == 0 or not found.size
        assert found.flags.c_contiguous and found.flags.writeable and found.flags.aligned


def test_vectors_are_those_of_the_processor_that_is_compiled_for(monkeypatch):
    assert register_bytes() in (32, 64)
    for name, features, expected in [("generic", "", 32), ("generic", "+avx512f", 64), (None, "+avx2", 32)]:
        monkeypatch.setattr(config, "CPU_NAME", name)
        monkeypatch.setattr(config, "CPU_FEATURES", features)
        assert register_bytes() == expected
