"""``invoke merge``: what several machines say, side by side.

Decides what is said at the end; what may be joined is known to `benchmarks.measure.collection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.exhibits import seen, tables
from benchmarks.measure import collection
from benchmarks.measure.provenance import shown


def merge(paths: Sequence[Path], target: Path, overwrite: bool = False) -> pd.DataFrame:
    """Join collections and print the speeds of each codec on each machine; returns those.

    Raises
    ------
    UsageError, DatasetError, VerificationError
        As `benchmarks.measure.collection.merge`.
    """
    merged = seen.noted(collection.merge(paths, target, overwrite))
    found = speeds(merged)
    n_machines = len(merged[["machine", "cores"]].drop_duplicates())
    machines = f"{n_machines} machine{'s' if n_machines != 1 else ''}"
    text = f"Bits per sample, mean of the cubes coded on that machine; {tables.cubes(merged)}, {machines}. "
    text += tables.training_notes(merged)
    print(tables.to_markdown(found, text))
    print(f"{shown(target)}: {len(merged)} rows of {len(paths)} files, which agree")
    return found


def speeds(merged: pd.DataFrame) -> pd.DataFrame:
    """A line per codec and machine: form, codec, machine, cores, bps (mean), speeds (`tables.SPEED_COLUMNS`), coded."""
    parts = []
    for (form, machine, cores), found in merged.groupby(["form", "machine", "cores"], sort=True):
        rates = tables.rate_table(found)
        rates.insert(0, "form", form)
        rates.insert(2, "machine", machine)
        rates.insert(3, "cores", f"{cores:.0f}")
        parts.append(rates)
    table = pd.concat(parts)
    columns = ["form", "codec", "machine", "cores", *(name for name in table if name.startswith("bps"))]
    table = table[[*columns, *(name for name in tables.SPEED_COLUMNS if name in table), "coded"]]
    return table.sort_values(["form", "codec", "machine"], kind="stable").reset_index(drop=True)
