"""Speed of the presets of lhic-ax beside other codecs on whole cubes of other sensors than the bundled patch's.

Decides which cubes and codecs; measuring is `benchmarks.measure.run`'s, on one thread and on all cores, and the rows
are those of a study.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.exhibits.tables import markdown
from benchmarks.measure import rows
from benchmarks.measure.files import write_file
from benchmarks.measure.measurement import Options
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.measure.run import run
from lhic.data import open_dataset
from lhic.errors import DatasetError
from lhic.settings import read_yaml

HEAD = ("cube", "codec", "bits per sample", "one thread: encode", "decode", "all cores: encode", "decode, MS/s")
TIMES = ("encode_s", "decode_s", "encode_all_s", "decode_all_s")


def measure_speeds(config_path: Path, out: Path) -> list[dict]:
    """Code the cubes by each codec; a row for each, kept where it is there already.

    Returns the rows, which are also written to ``out/rows``, with ``rows.csv`` and ``table.md``.

    Raises
    ------
    DatasetError
        A cube is not where the configuration says.
    """
    settings = read_yaml(config_path)
    found = {item.name: item for item in open_dataset("corpus", REPOSITORY / settings["root"])}
    for name in settings["cubes"]:
        if name not in found:
            raise DatasetError(f"{REPOSITORY / settings['root']}: expected {name}.npy, found nothing there")
    items = [found[name] for name in settings["cubes"]]
    options = Options(settings["repeats"], settings["long_s"])
    for codec in settings["codecs"]:
        run("corpus", items, "as-measured", [codec], out, options)
    measured = rows.read_rows(out).to_dict("records")
    write_file(out / "table.md", speeds_table(measured))
    return measured


def speeds_table(measured: list[dict]) -> str:
    """Markdown: a line for each row, cube by cube; million samples a second."""
    cubes = list(dict.fromkeys(row["cube"] for row in measured))
    lines = []
    for row in sorted(measured, key=lambda row: (cubes.index(row["cube"]), row["bps"])):
        speeds = [f"{row['n_samples'] / 1e6 / row[key]:.3g}" if row[key] > 0 else "–" for key in TIMES]
        lines.append([row["cube"], row["codec"], f"{row['bps']:.3f}", *speeds])
    return markdown(HEAD, lines, right=(2, 3, 4, 5, 6))
