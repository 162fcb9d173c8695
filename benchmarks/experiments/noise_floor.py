"""The noise floor of each cube beside its rates, which were measured before.

Decides which rows are compared; what the floor is decides `benchmarks.exhibits.noise_floor`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from benchmarks.exhibits.figures import save_figure
from benchmarks.exhibits.noise_floor import above_floor, above_floor_figure, floor_of
from benchmarks.exhibits.tables import good, markdown, training_notes
from benchmarks.experiments.runs import item_of, origin, written
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.measure.rows import read_rows
from lhic.errors import DatasetError
from lhic.settings import read_yaml


def measure_floors(config_path: Path, out: Path) -> list[dict]:
    """Estimate the noise floor of each cube, and compare with the rates of a results folder.

    Returns a row for each cube: cube, floor (mean bits per sample of its bands), noise (median standard deviation of
    them), and for each codec bits per sample above the floor; also written to `out`, with a table and a figure.

    Raises
    ------
    ConfigError, DatasetError
    """
    settings = read_yaml(config_path)
    measured = good(read_rows(REPOSITORY / settings["rows"]))
    measured = measured[(measured["form"] == "as-measured") & measured["codec"].isin(settings["codecs"])]
    rates = measured.pivot_table(index="cube", columns="codec", values="bps")[settings["codecs"]].dropna()
    root, floors, noise = Path(settings["root"]), {}, {}
    for name in tqdm(rates.index, desc="noise", unit="cube"):
        if not (root / f"{name}.npy").is_file():
            raise DatasetError(f"{root}: expected a cube {name}, whose rates {settings['rows']} holds, found none")
        found = floor_of(item_of(root / f"{name}.npy").load())
        floors[name], noise[name] = found["floor"].mean(), found["noise"].median()
    above = above_floor(rates, pd.Series(floors))
    rows = [{"cube": name, **line, "noise": noise[name]} | origin() for name, line in above.to_dict("index").items()]
    written(out, rows, floor_table(above, noise))
    notes = training_notes(measured)
    caption = (
        f"Noise floor, and rates beyond it, of {len(above)} cubes as measured (rows of {settings['rows']}). {notes}"
    )
    save_figure(above_floor_figure(above), out / "figures", "above_floor", caption.strip())
    return rows


def floor_table(above: pd.DataFrame, noise: dict[str, float]) -> str:
    """Markdown: a line per cube, and the mean."""
    codecs = [name for name in above.columns if name != "floor"]
    lines = [
        [cube, f"{noise[cube]:.2f}", f"{line['floor']:.3f}", *(f"{line[name]:+.3f}" for name in codecs)]
        for cube, line in above.iterrows()
    ]
    mean = above.mean()
    lines.append(["mean", "", f"{mean['floor']:.3f}", *(f"{mean[name]:+.3f}" for name in codecs)])
    head = ["cube", "noise, median of bands", "floor, bits", *(f"{name}, above it" for name in codecs)]
    return markdown(head, lines, right=range(1, len(head)))
