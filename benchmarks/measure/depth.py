"""Where a bit-partition model should split a sample: rate and time against the depth of the split.

The depth d is the number of bits in the least significant plane (lsp); the rest is the most significant plane (msp).
Knows a model's option by name only; streams are coded through the public names of lhic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

import lhic
from benchmarks.measure.worker import check_equal, timed
from lhic.families.family import Work

WARM_UP = 8  # rows and columns; compiles the kernels
COLUMNS = ("depth", "msp values", "bytes", "bps", "msp bps", "lsp bps", "other bps", "encode_s", "decode_s")


def depth_table(
    cube: np.ndarray, model: str, depths: Sequence[int], option: str = "param_d", device: str = "auto", passes: int = 1
) -> pd.DataFrame:
    """Code a cube with every depth, check that it comes back, and time it.

    Parameters
    ----------
    cube : (S, H, W) integers
    model : name of a model with sections ``msp`` and ``lsp`` and an option for the depth
    option : that option's name
    passes : timings behind each median

    Returns
    -------
    DataFrame with `COLUMNS`: one line a depth; ``msp values`` is the number of values the upper plane can have in this
    cube, ``other bps`` are headers, escapes and all other sections, times are medians in seconds

    Raises
    ------
    UsageError
        The model has no such option, or not this depth; before any work.
    VerificationError
        A decoded cube differs.
    """
    loaded = lhic.load_model(model, device)
    for depth in depths:
        loaded.plan(cube, Work(), **{option: depth})
    corner = np.ascontiguousarray(cube[:, :WARM_UP, :WARM_UP])
    lhic.decode(lhic.encode(corner, loaded, device, fallback=False), device)

    lines = []
    for depth in depths:
        options = {"fallback": False, option: depth}
        encoded = [timed(lambda: lhic.encode(cube, loaded, device, **options)) for _ in range(passes)]  # noqa: B023
        stream = encoded[0][0]
        decoded = [timed(lambda: lhic.decode(stream, device)) for _ in range(passes)]  # noqa: B023
        check_equal(cube, decoded[0][0], f"{model}, {option}={depth}")
        about = lhic.inspect(stream)
        sections = pd.DataFrame(about["tiles"], columns=about["section_names"]).sum()
        bps = 8 / cube.size
        line = {"depth": depth, "bytes": len(stream), "bps": bps * len(stream)}
        line["msp values"] = _n_upper(cube, depth, about["parameters"].get("offset", 0))
        line |= {"msp bps": bps * sections["msp"], "lsp bps": bps * sections["lsp"]}
        line["other bps"] = line["bps"] - line["msp bps"] - line["lsp bps"]
        line["encode_s"] = float(np.median([seconds for _, seconds in encoded]))
        line["decode_s"] = float(np.median([seconds for _, seconds in decoded]))
        lines.append(line)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _n_upper(cube: np.ndarray, depth: int, offset: int) -> int:
    low, high = int(cube.min()) - offset, int(cube.max()) - offset
    return (high >> depth) - (low >> depth) + 1
