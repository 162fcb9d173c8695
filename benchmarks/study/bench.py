"""``invoke bench``: many cubes are measured, and what that says of the whole dataset is told.

Decides where rows go and what is said at the end; measuring is `benchmarks.measure.bench`'s.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.codecs import registry
from benchmarks.exhibits import catalogue, cost, seen, tables
from benchmarks.measure import bench
from benchmarks.measure.measurement import THREAD_MODES, Options, describe_codec
from benchmarks.measure.provenance import REPOSITORY, shown
from lhic.errors import VerificationError


def list_codecs() -> None:
    """Print the name of each codec and the library that does its work, or why it does not work here."""
    for name in registry.factories():
        row = describe_codec(name, "cpu")
        print(f"{name:<24}{row.get('codec_version') or 'not here: ' + row['error']}")


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
    measured = seen.noted(bench.bench(request, Options(thread_modes=modes, **timing), out, **where))
    if len(tables.good(measured)):
        _report_rates(measured, out)
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


def _report_rates(measured: pd.DataFrame, out: Path) -> None:
    coded = measured["cube"].isin(tables.good(measured)["cube"])  # a cube that cannot be read must not cost all means
    rates = catalogue.rate_table(measured[coded])
    rates.write(out)
    print(tables.to_markdown(rates.body, rates.full_caption))


def _report_cost(request: bench.Request, measured: pd.DataFrame, folder: Path) -> None:
    """What the whole dataset costs, or on a line why the rows do not say."""
    n_cubes = len(request.all_items())
    why_not = cost.why_not(measured, n_cubes)
    if why_not:
        print(f"Not extrapolated: {why_not}.\n")
        return
    whole = f"{request.dataset} {request.split or ''}".strip()
    n_samples = tables.good(measured).drop_duplicates("cube")["n_samples"].mean() * n_cubes
    table, text = cost.cost_table(measured, n_samples), cost.caption(measured, f"{whole}, {request.form}", n_cubes)
    text = f"{text} {tables.machine_note(measured)}"
    tables.write_table(table, folder, "cost", text)
    print(tables.to_markdown(table, text))
