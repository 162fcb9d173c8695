"""Runs a folder of conformance vectors and says what agrees: ``invoke conformance``.

The suites themselves live with what they test: `lhic.families.bp.conformance`, `lhic.ccsds123.conformance`.
"""

from __future__ import annotations

from pathlib import Path

from lhic.errors import UsageError, VerificationError

LHIC_BP_TOLERANCE = 1e-4


def run_suite(suite: str, folder: Path) -> None:
    """Print one line per vector and a summary.

    Raises
    ------
    UsageError
        Unknown suite, or no such folder.
    VerificationError
        A vector differs, or the folder holds none.
    """
    suites = {"lhic-bp": _lhic_bp, "ccsds123": _ccsds123}
    if suite not in suites:
        raise UsageError(f"suite {suite!r}: expected one of {', '.join(suites)}")
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of conformance vectors, found none")
    n_good, n_total = suites[suite](folder)
    print(f"{n_good} of {n_total} equal")
    if n_total == 0:
        raise VerificationError(f"{folder}: expected conformance vectors of suite {suite}, found none")
    if n_good < n_total:
        raise VerificationError(
            f"{folder}: expected all {n_total} vectors to agree, found {n_total - n_good} that differ"
        )


def _lhic_bp(folder: Path) -> tuple[int, int]:
    from lhic.families.bp.conformance import run_lhic_bp

    n_good, n_total = 0, 0
    for row in run_lhic_bp(folder):
        print(row)
        n_total += 1
        n_good += row.largest_difference <= LHIC_BP_TOLERANCE
    return n_good, n_total


def _ccsds123(folder: Path) -> tuple[int, int]:
    from lhic.ccsds123.conformance import run

    n_good, n_total = 0, 0
    for row in run(folder):
        detail = "; ".join(filter(None, (row.reason, row.note)))
        print(f"{row.name:<8} {'equal' if row.equal else 'DIFFERS'}  {detail}".rstrip())
        n_total += 1
        n_good += row.equal
    return n_good, n_total
