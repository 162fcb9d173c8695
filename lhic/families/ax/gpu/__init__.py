"""The engine for CUDA devices: the integers of `cpu`, by Triton's kernels, of many tiles and planes at once.

In coding order: `features` predicts and describes a step's samples, `mixture` is network and mixture, `coder` the
entropy coder, `learn` takes note of what was coded, `fit` renews the experts.  `batch` is what a device holds of some
tiles, `step` launches the kernels, `streams` lays out coded streams, `engine` joins them.  torch holds memory, streams
and graphs; it computes no formula of the format.  Without a device Triton's interpreter runs the same kernels.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence

from lhic.errors import BackendError
from lhic.families.ax.parameters import StreamParameters

__all__ = ["check_backend", "run_jobs"]


def check_backend(device: str) -> None:
    """Raises `BackendError` where kernels cannot be built; Triton calls a C compiler for what launches them."""
    missing = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendError(
            f"lhic-ax on {device}: expected torch and triton, found no {missing[0]}; pip install lhic[gpu]"
        )
    if device.startswith("cuda") and "CC" not in os.environ and not any(map(shutil.which, ("clang", "gcc"))):
        raise BackendError(f"lhic-ax on {device}: expected a C compiler, found none; install gcc or set CC")


def run_jobs(model, jobs: Sequence, settings: StreamParameters, device: str) -> None:
    """Encode or decode the jobs (all of one kind) of `model`, those of one shape together.

    Raises
    ------
    BackendError
        What the kernels need is not there.
    TruncatedStreamError
        The words of a part run out.
    """
    check_backend(device)
    from lhic.families.ax.gpu import engine  # torch and triton, which coding on a CPU does without

    engine.run_jobs(model, jobs, settings, device)
