"""The format's constants as Triton's kernels take them: ``from ...constants import NAME`` gives a ``tl.constexpr``."""

from __future__ import annotations

import triton.language as tl

from lhic.coder import mixture, rans
from lhic.families.ax import spec, wavefront


def __getattr__(name):
    for module in (spec, wavefront, mixture, rans):
        value = vars(module).get(name)
        if isinstance(value, int | float):
            return tl.constexpr(value)
    raise AttributeError(f"no constant {name}")
