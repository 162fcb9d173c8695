"""Do the committed rows still hold?  A random sample of them is measured again and compared.

Decides what must be equal: the cube's hash, the size of its stream, and what the row says of codec, settings and
weights; and what is left out, because the row does not promise it for the machine at hand (``provenance``).  Times are
never compared.  Equality of the decoded cube is checked on the way, by the measurement itself.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

import lhic
from benchmarks.codecs.base import ANYWHERE, LIBRARIES
from benchmarks.measure import provenance, rows
from benchmarks.measure.measurement import (
    Options,
    describe_codec,
    describe_machine,
    describe_samples,
    load_form,
    measure,
    told,
)
from lhic.data import KINDS, Item, open_dataset
from lhic.errors import DatasetError, LhicError, UsageError, VerificationError, one_line

RESULTS = provenance.REPOSITORY / "results"
SAME = ("settings", "weights_hash")  # besides cube_sha256 and bytes


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one row: `differences` is empty for a row that holds, `left_out` for one that was measured."""

    row: str
    differences: tuple[str, ...] = ()
    left_out: str = ""


def verify_results(
    profile: str = "small",
    sample: int = 10,
    seed: int = 0,
    root: str | None = None,
    max_s: float | None = None,
    codecs: Sequence[str] = (),
    results: Path = RESULTS,
) -> list[Verdict]:
    """Measure a random sample of rows again and print one line for each difference and each row left out.

    Parameters
    ----------
    profile : folder of `results` that holds rows
    sample : number of rows; all, if there are fewer
    seed : of the sample
    root : the dataset's folder; default: the one that the rows were measured on
    max_s : leave rows out of the draw that took longer to encode and decode
    codecs : draw only among rows of these; empty: of all

    Returns
    -------
    The verdicts of the rows drawn, when all that could be measured hold.

    Raises
    ------
    UsageError
        No such folder, no rows of a codec, or a sample below 1.
    DatasetError
        None of the rows could be measured.
    VerificationError
        A row differs.
    """
    if sample < 1:
        raise UsageError(f"sample: expected at least 1, found {sample}")
    table = _candidates(results / profile, max_s, codecs)
    drawn = table.loc[sorted(random.Random(seed).sample(list(table.index), min(sample, len(table))))]
    root = root or _root(results / profile)
    verdicts = list(tqdm(_verdicts(drawn, root), total=len(drawn), unit="row", desc="verify"))
    _print(verdicts, profile, len(table))
    return verdicts


def _candidates(folder: Path, max_s: float | None, codecs: Sequence[str]) -> pd.DataFrame:
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in folder.parent.glob("*") if path.is_dir()))
        raise UsageError(f"profile: expected a folder of results ({known}), found {folder.name!r}")
    table = rows.read_rows(folder)
    unknown = set(codecs) - set(table["codec"])
    if unknown:
        raise UsageError(f"codecs: expected names that results/{folder.name} has rows of, found {sorted(unknown)[0]!r}")
    table = table[(table["error"] == "") & (table["codec"].isin(codecs) if codecs else True)]
    if max_s is not None:
        columns = ["encode_s", "decode_s", "encode_all_s", "decode_all_s"]
        table = table[table[columns].sum(axis=1) <= max_s]
    if table.empty:
        raise DatasetError(f"{folder}: expected rows with a result, found none to draw from")
    return table.reset_index(drop=True)


def _root(folder: Path) -> str | None:
    """Folder of the dataset as ``environment.json`` has it."""
    path = folder / "environment.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    given = [content.get("request", {}), *content.get("parameters", {}).values()]
    found = next((part["root"] for part in given if part.get("root")), None)
    return found and os.path.normpath(provenance.REPOSITORY / found)


def _verdicts(drawn: pd.DataFrame, root: str | None) -> Iterator[Verdict]:
    datasets: dict[tuple, dict[str, Item] | str] = {}
    with tempfile.TemporaryDirectory(prefix="lhic-verify-") as folder:
        for row in drawn.to_dict("records"):
            # A split of ours would have to be complete; the cubes at hand are enough here.
            dataset = row["dataset"], None if row["dataset"] in KINDS else row["split"] or None
            if dataset not in datasets:
                datasets[dataset] = _open(*dataset, root)
            yield _verdict(row, datasets[dataset], Path(folder) / "cube.npy")


def _open(kind: str, split: str | None, root: str | None) -> dict[str, Item] | str:
    """Cubes by name, or why there are none."""
    try:
        return {item.name: item for item in open_dataset(kind, None if kind == "bundled" else root, split)}
    except LhicError as error:
        return one_line(error)


def _verdict(row: dict, dataset: dict[str, Item] | str, path: Path) -> Verdict:
    name = told(row["codec"], row["cube"], row["form"])
    item = None if isinstance(dataset, str) else dataset.get(row["cube"])
    if item is None:
        why = dataset if isinstance(dataset, str) else f"no such cube in {row['dataset']}"
        return Verdict(name, left_out=f"dataset absent: {why}")
    try:
        codec = describe_codec(row["codec"], row["device"])
        cube = load_form(item, row["form"])
    except LhicError as error:
        return Verdict(name, left_out=one_line(error))
    if "error" in codec:
        return Verdict(name, left_out=codec["error"])

    now = codec | describe_samples(cube)
    elsewhere = _elsewhere(row, codec)
    if elsewhere:
        return Verdict(name, left_out=elsewhere)
    differences = [] if now["cube_sha256"] == row["cube_sha256"] else [_difference("cube_sha256", row, now)]
    differences += [_difference(column, row, now) for column in SAME if now[column] != row[column]]
    if differences:
        return Verdict(name, tuple(differences))

    lhic.save_cube(path, cube, overwrite=True)
    now |= measure(row["codec"], path, _options(row), cube.size)
    if now.get("error"):
        return Verdict(name, (f"error: expected a result, found {now['error']}",))
    return Verdict(name, () if now["bytes"] == row["bytes"] else (_difference("bytes", row, now),))


def _elsewhere(row: dict, codec: dict) -> str:
    """Why a row does not say what size a stream has here; ``""`` if it does."""
    if row["provenance"] == ANYWHERE:
        return ""
    if row["codec_version"] != codec["codec_version"]:
        return f"holds for {row['codec_version']}, found {codec['codec_version']}"
    if row["provenance"] == LIBRARIES:
        return ""
    here = describe_machine()
    if row["machine"] != here["machine"]:
        return f"holds for the machine {row['machine']}, found {here['machine']}"
    then, now = json.loads(row["libraries"]), json.loads(here["libraries"])
    other = [
        f"{library} {then[library]}, found {now.get(library)}" for library in then if then[library] != now.get(library)
    ]
    return f"holds for {'; '.join(other)}" if other else ""


def _options(row: dict) -> Options:
    # One pass with the threads of the row: codecs that were too slow for one thread then are so now.
    modes = ("one",) if row["encode_s"] == row["encode_s"] else ("all",)
    return Options(repeats=1, long_s=0.0, thread_modes=modes, device=row["device"])


def _difference(column: str, row: dict, now: dict) -> str:
    expected = int(row[column]) if column == "bytes" else row[column] or "none"
    return f"{column}: expected {expected}, found {now[column] or 'none'}"


def _print(verdicts: list[Verdict], profile: str, n_rows: int) -> None:
    for verdict in verdicts:
        for line in verdict.differences:
            print(f"differs: {verdict.row}: {line}")
        if verdict.left_out:
            print(f"left out: {verdict.row}: {verdict.left_out}")
    n_left_out = sum(bool(verdict.left_out) for verdict in verdicts)
    n_measured = len(verdicts) - n_left_out
    n_different = sum(bool(verdict.differences) for verdict in verdicts)
    if n_different:
        raise VerificationError(f"results/{profile}: {n_different} of {n_measured} rows measured again differ")
    if not n_measured:
        raise DatasetError(f"results/{profile}: expected rows that can be measured here, found {verdicts[0].left_out}")
    left_out = f", {n_left_out} left out" if n_left_out else ""
    print(f"results/{profile}: {n_measured} of {n_rows} rows measured again, all hold{left_out}")
