"""LineRWKV with its published weights beside the other codecs: EnMAP cubes, and crops of these and of others.

Decides which cubes, codecs and weights; measuring is `benchmarks.measure.run`'s, and the rows are those of a study.
The weights lie where the configuration says, and stay there: for as long as the measurement lasts, a folder for
temporary files holds them as lhic's weights files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import lhic
from benchmarks.exhibits import catalogue, learned
from benchmarks.exhibits.tables import markdown
from benchmarks.measure import rows
from benchmarks.measure.files import write_file
from benchmarks.measure.measurement import Options, load_form
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.measure.run import run
from lhic.data import Item
from lhic.errors import DatasetError
from lhic.settings import read_yaml

REFERENCE = "rls-k20"
AUTHORS = "-ccsds"  # ends names of codecs with the coder of the network's authors (`benchmarks.codecs.lhic_codec`)
HEAD = ("sensor", "cube", "form", "samples", "codec", "weights", "bits per sample", "encode, MS/s", "decode, MS/s")


def measure_linerwkv(config_path: Path, out: Path) -> list[dict]:
    """Code cubes and crops by LineRWKV and its peers; a row for each, kept where it is there already.

    Returns the rows, which are also written to ``out/rows``, with ``rows.csv``, ``table.md`` and, of the cubes as
    measured, the table and the figures of the notebook 08_learned_peers.

    Raises
    ------
    ConfigError, UsageError, DatasetError
        Weights or cubes are not where the configuration says.
    """
    settings = read_yaml(config_path)
    parts = settings["parts"]
    sizes = dict.fromkeys(size for part in parts for size in part["sizes"])
    with converted(REPOSITORY / settings["weights"], [f"linerwkv-{size}" for size in sizes]):
        for part in parts:
            items = items_of(REPOSITORY / settings["root"], part["cubes"], part["crop"])
            names = [f"linerwkv-{size}" for size in part["sizes"]]
            for codec in (*names, *settings["peers"], *(name + AUTHORS for name in names)):
                for form in settings["forms"]:
                    chosen = items if form == "as-measured" else [item for item in items if differs(item, form)]
                    run("corpus", chosen, form, [codec], out, Options(1, 0.0, 7200.0, ["one"]))
    return written(out)


def written(out: Path) -> list[dict]:
    """Tables and figures of the rows in a folder, written there; returns the rows."""
    found = rows.read_rows(out).to_dict("records")
    write_file(out / "table.md", linerwkv_table(found))
    compared = learned.rows_of([out], sorted({row["codec"] for row in found}), "as-measured")
    catalogue.learned_table(compared, REFERENCE, "learned_peers").write(out)
    catalogue.transfer_figure(compared, REFERENCE, "learned_transfer").write(out)
    catalogue.learned_cost_figure(compared, REFERENCE, "learned_cost").write(out)
    return found


def items_of(root: Path, cubes: dict[str, str], crop: list[int] | None) -> list[Item]:
    """Cubes of a folder by name, whole or the first (rows, columns) of each, named after what is left.

    cubes : name -> sensor
    """

    def item(name: str, sensor: str) -> Item:
        path = root / f"{name}.npy"
        if not path.exists():
            raise DatasetError(f"{path}: expected a cube, found nothing there")
        if crop is None:
            return Item(name, path, sensor, lambda: lhic.load_cube(path))
        n_rows, n_columns = crop
        read = lambda: np.ascontiguousarray(lhic.load_cube(path)[:, :n_rows, :n_columns])  # noqa: E731
        return Item(f"{name}, first {n_rows} x {n_columns}", path, sensor, read)

    return [item(*cube) for cube in cubes.items()]


def differs(item: Item, form: str) -> bool:
    """Whether a form of a cube holds other samples than were measured."""
    return not np.array_equal(item.load(), load_form(item, form))


@contextmanager
def converted(folder: Path, names: list[str]) -> Iterator[None]:
    """Have published weights found as lhic's, by this process and those it starts, for the block."""
    before = os.environ.get("LHIC_CKPT")
    with tempfile.TemporaryDirectory(prefix="lhic-linerwkv-") as scratch:
        for name in names:
            paths = folder / f"{name}.safetensors", Path(scratch) / f"{name}.safetensors"
            done = subprocess.run(
                [sys.executable, "-m", "lhic", "import-linerwkv", *map(str, paths)], capture_output=True, text=True
            )
            if done.returncode:
                raise DatasetError(done.stderr.strip().removeprefix("lhic: error: "))
        os.environ["LHIC_CKPT"] = os.pathsep.join(filter(None, [scratch, before]))
        try:
            yield
        finally:
            del os.environ["LHIC_CKPT"]
            os.environ |= {"LHIC_CKPT": before} if before is not None else {}


def linerwkv_table(found: list[dict]) -> str:
    """Markdown: a line for each row, cubes in order, the smallest first."""
    keys = list(dict.fromkeys((row["cube"], row["form"]) for row in found))
    lines = []
    for row in sorted(found, key=lambda row: (keys.index((row["cube"], row["form"])), row["bps"])):
        speeds = [f"{row['n_samples'] / 1e6 / row[key]:.3g}" for key in ("encode_s", "decode_s")]
        about = row["sensor"], row["cube"], row["form"], f"{row['n_samples']:,}", row["codec"]
        lines.append([*about, row["weights_hash"][:12], f"{row['bps']:.3f}", *speeds])
    return markdown(HEAD, lines, right=(3, 6, 7, 8))
