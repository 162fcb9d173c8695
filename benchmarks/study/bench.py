"""``invoke bench``: many cubes are measured, and what that says of the whole dataset is told.

Decides where rows go and what is said at the end; measuring is `benchmarks.measure.bench`'s.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.exhibits import cost, tables
from benchmarks.measure import bench
from benchmarks.measure.measurement import THREAD_MODES, Options
from benchmarks.measure.provenance import REPOSITORY, shown
from lhic.errors import VerificationError


def run_bench(dataset: str, codecs: str, threads: str, timing: dict, what: dict, where: dict) -> Path:
    """`measure.bench` as the command line has it: codecs in one text, threads ``one``, ``all`` or ``both``.

    Returns
    -------
    The results folder.

    Raises
    ------
    VerificationError
        Some items failed; each is named on a line before.
    LhicError
        As `benchmarks.measure.bench.bench`, before any work.
    """
    modes = THREAD_MODES if threads == "both" else (threads,)
    request = bench.Request(dataset, codecs=codecs.split(","), **what)
    out = REPOSITORY / (where.pop("out") or f"results/local/bench/{dataset}")
    measured = bench.bench(request, Options(thread_modes=modes, **timing), out, **where)
    if len(tables.good(measured)):
        _report_cost(request, measured, out / "tables")
    print(f"Rows: {shown(out / 'rows')}")
    failed = tables.error_table(measured)
    for row in failed.itertuples():
        print(f"failed: {row.codec} on {row.cube} ({row.form}): {row.error}")
    if len(failed):
        expected = f"expected all {len(measured)} items to be measured"
        raise VerificationError(
            f"bench: {expected}, found {len(failed)} that failed; the same command tries them again"
        )
    return out


def _report_cost(request: bench.Request, measured: pd.DataFrame, folder: Path) -> None:
    if request.dataset == "bundled":  # one patch speaks for the dataset it comes from, as well as one can
        n_cubes, whole = cost.n_patches("hard/test"), "hyspecnet-11k hard/test"
    else:
        n_cubes, whole = len(request.all_items()), f"{request.dataset} {request.split or ''}".strip()
    n_samples = tables.good(measured).drop_duplicates("cube")["n_samples"].mean() * n_cubes
    table, text = cost.cost_table(measured, n_samples), cost.caption(measured, f"{whole}, {request.form}", n_cubes)
    text = f"{text} {tables.machine_note(measured)}"
    tables.write_table(table, folder, "cost", text)
    print(tables.to_markdown(table, text))
