"""The record of a training run: a CSV row per validation, and the curve drawn from it.

Decides the columns and the picture; nothing is measured here.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from lhic.extras import needs
from lhic.io.atomic import atomic_write

COLUMNS = (
    "step",
    "seconds",
    "lr",
    "train_msp_bps",
    "train_lsp_bps",
    "train_bps",
    "validation_msp_bps",
    "validation_lsp_bps",
    "validation_bps",
    "dark_msp_bps",
    "dark_lsp_bps",
    "dark_bps",
)


class Log:
    """Rows of a run, written out completely after each one."""

    def __init__(self, folder: Path):
        self.csv_path = folder / "log.csv"
        self.curve_path = folder / "curve.png"
        self.rows: list[dict] = []

    def resume(self, step: int) -> None:
        """Take over the rows of an earlier run up to `step`; later ones will be made again."""
        if self.csv_path.is_file():
            with open(self.csv_path, newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]

    def add(self, row: dict) -> None:
        self.rows.append({name: _text(row[name]) for name in COLUMNS})
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with atomic_write(self.csv_path, overwrite=True) as file:
            file.write(buffer.getvalue().encode())
        plot_curve(self.rows, self.curve_path)


def plot_curve(rows: list[dict], path: str | os.PathLike) -> None:
    """Learning curve (bits per sample over steps) as PNG."""
    with needs("train", str(path)):
        from matplotlib.figure import Figure  # late: importing matplotlib takes longer than everything else here

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    steps = [int(row["step"]) for row in rows]
    for column, label in (
        ("train_bps", "training tiles"),
        ("validation_bps", "held-out tiles"),
        ("dark_bps", "held-out tiles, darkened"),
    ):
        values = [float(row[column]) if row[column] else float("nan") for row in rows]
        axes.plot(steps, values, label=label, marker=".")
    axes.set_xlabel("step")
    axes.set_ylabel("ideal code length in bits per sample")
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    with atomic_write(path, overwrite=True) as file:
        file.write(buffer.getvalue())


def _text(value) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
