"""The runner of the study: every cube with every codec, one after the other, one row each.

Decides the order of the work and what need not be measured again.  Nothing else runs beside a measurement, which
keeps its times quiet; `bench` is for more cubes than one process can get through.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import lhic
from benchmarks.measure import provenance, rows
from benchmarks.measure.measurement import (
    Options,
    check_form,
    describe_codec,
    describe_cube,
    describe_machine,
    load_form,
    measure,
    told,
)
from benchmarks.measure.progress import Progress, Rest
from lhic.data import Item


def run(
    dataset: str,
    items: Sequence[Item],
    form: str,
    codecs: Sequence[str],
    folder: Path,
    options: Options,
    progress: bool = True,
    split: str | None = None,
) -> int:
    """Measure `codecs` on the cubes of a dataset and append a row each; returns the number of new rows.

    Measurements that are there (`rows.IDENTITY`, no error) are skipped, so a stopped run can be started
    again.

    Parameters
    ----------
    dataset : name for the rows
    items : cubes; all are read once for the dataset's hash, and one at a time
    form : ``as-measured``, or ``clipped`` (`measurement.load_form`)
    codecs : names in the registry, or ``module:callable``
    folder : results folder that gets the rows
    progress : show a progress bar on standard error
    split : name for the rows

    Raises
    ------
    UsageError
        Unknown codec or form; before any work.
    """
    check_form(form)
    codec_rows = [describe_codec(name, options.device) for name in codecs]
    cube_rows = [describe_cube(dataset, item, form) for item in items]
    common = {**describe_machine(), "split": split or "", "workers": 1}
    common["dataset_sha256"] = provenance.dataset_sha256(row.get("cube_sha256", "") for row in cube_rows)
    finished = rows.finished(folder)
    n_new = 0
    outstanding = [
        (codec_row["codec"], codec_row["device"], cube_row.get("n_samples", 0))
        for cube_row in cube_rows
        for codec_row in codec_rows
        if rows.identity({**codec_row, **cube_row}) not in finished
    ]
    before = rows.read_rows(folder) if rows.has_rows(folder) else None
    with (
        rows.RowParts(folder) as parts,
        tempfile.TemporaryDirectory(prefix="lhic-bench-") as scratch,
        Progress(len(items) * len(codecs), Rest(outstanding, {}, before, rows.committed()), progress) as bar,
    ):
        for item, cube_row in zip(items, cube_rows, strict=True):
            cube_path = None
            for codec_row in codec_rows:
                name = codec_row["codec"]
                bar.started(told(name, item.name, form))
                row = {**common, **codec_row, **cube_row}
                if rows.identity(row) in finished:
                    bar.kept()
                    continue
                if "error" not in row:
                    cube_path = cube_path or _save(item, form, Path(scratch))
                    row |= measure(name, cube_path, options, row["n_samples"])
                parts.append({**row, "date": provenance.now()})
                n_new += 1
                n_samples, failed = cube_row.get("n_samples", 0), bool(row.get("error"))
                bar.finished(name, codec_row["device"], n_samples, row.get("item_s"), failed)
    rows.export_csv(folder)
    return n_new


def _save(item: Item, form: str, folder: Path) -> Path:
    path = folder / "cube.npy"
    lhic.save_cube(path, load_form(item, form), overwrite=True)
    return path
