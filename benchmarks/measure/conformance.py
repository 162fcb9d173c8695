"""Runs a folder of conformance vectors and says what agrees: ``invoke conformance``.

The suites themselves live with what they test.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from lhic.errors import UsageError, VerificationError

# Name of a suite -> module and function that runs the vectors of a folder and gives printable rows with `conforms`.
SUITES = {
    "lhic-bp": ("lhic.families.bp.conformance", "run_lhic_bp"),
    "linerwkv": ("lhic.families.linerwkv.conformance", "run_linerwkv"),
    "ccsds123": ("lhic.ccsds123.conformance", "run"),
}


def run_suite(suite: str, folder: Path) -> None:
    """Print one line per vector and a summary.

    Raises
    ------
    UsageError
        Unknown suite, or no such folder.
    VerificationError
        A vector differs, or the folder holds none.
    """
    if suite not in SUITES:
        raise UsageError(f"suite: expected one of {', '.join(SUITES)}, found {suite!r}")
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of conformance vectors, found none")
    module, function = SUITES[suite]
    n_good = n_total = 0
    for row in getattr(importlib.import_module(module), function)(folder):
        print(row)
        n_total += 1
        n_good += row.conforms
    print(f"{n_good} of {n_total} conform")
    if not n_total:
        raise VerificationError(f"{folder}: expected conformance vectors of suite {suite}, found none")
    if n_good < n_total:
        raise VerificationError(f"{folder}: expected all {n_total} vectors to agree, found {n_total - n_good} differ")
