"""Results that enb has measured, as rows of ours: its two CSV files become a collection (`collection`).

enb is the Experiment Notebook (https://github.com/miguelinux314/experiment-notebook), in which groups around CCSDS
compare codecs.  Decides which of its columns is which of ours.  What its files do not say stays empty: versions,
weights, memory.  Times are the minimum of the repetitions, where ours are medians, and whether libraries were loaded
before is the codec's affair.
"""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.codecs.base import THIS_MACHINE
from benchmarks.measure import collection, provenance
from lhic.errors import DatasetError, message_of

# Columns of enb 1.1 that are needed, of an experiment and of the table of its images.
EXPERIMENT = ("file_path", "task_name", "param_dict", "compressed_size_bytes", "lossless_reconstruction")
EXPERIMENT += ("compression_time_seconds", "decompression_time_seconds", "repetitions", "row_created")
IMAGES = ("file_path", "corpus", "dtype", "samples", "width", "height", "component_count", "sample_min", "sample_max")
IMAGES_FILE = "persistence_ImagePropertiesTable.csv"  # beside that of the experiment


def collect_enb(
    experiment: Path, target: Path, images: Path | None = None, root: Path | None = None, overwrite: bool = False
) -> int:
    """Pack the CSV of an experiment into a collection, as measured on this machine; returns the number of rows.

    Raises
    ------
    DatasetError
        As `read_enb`.
    UsageError
        The target is there already and may not be replaced.
    """
    rows = read_enb(experiment, images or experiment.with_name(IMAGES_FILE), root)
    run = {"source": f"enb, {experiment.name}", "machine": provenance.machine(), "cores": provenance.n_cores()}
    collection.write(rows, [run], target, overwrite)
    return len(rows)


def read_enb(experiment: Path, images: Path, root: Path | None = None) -> list[dict]:
    """Rows of a lossless experiment of enb, one per file and codec.

    Parameters
    ----------
    experiment : CSV of a ``CompressionExperiment``
    images : CSV of the ``ImagePropertiesTable`` of its files
    root : folder from which the files are named; with it, rows get the hash of the samples

    Raises
    ------
    DatasetError
        A file cannot be read, a column is missing, or an image of the experiment has no properties.
    """
    measured, described = _read(experiment, EXPERIMENT), _read(images, IMAGES)
    described = described.drop_duplicates("file_path", keep="last").set_index("file_path")
    unknown = sorted(set(measured["file_path"]) - set(described.index))
    if unknown:
        raise DatasetError(f"{images}: expected properties of every image, found none of {unknown[0]}")
    cubes = {name: _cube(name, line, root) for name, line in described.to_dict("index").items()}
    rows = [cubes[line["file_path"]] | _coded(line) for line in measured.to_dict("records")]
    return [row | ({"bps": 8 * row["bytes"] / row["n_samples"]} if "bytes" in row else {}) for row in rows]


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or message_of(error)
        raise DatasetError(f"{path}: expected a CSV file of enb, found {found}") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise DatasetError(f"{path}: expected a column {missing[0]}, found {', '.join(table.columns[:6])} ...")
    return table


def _cube(name: str, line: dict, root: Path | None) -> dict:
    dtype, shape = np.dtype(line["dtype"]), (line["component_count"], line["height"], line["width"])
    row = {"dataset": f"enb {line['corpus']}", "form": "as-measured", "cube": Path(name).stem, "sensor": "unknown"}
    row |= dict(zip(("bands", "rows", "columns"), shape)) | {"dtype": dtype.name, "n_samples": line["samples"]}
    row |= {"value_min": line["sample_min"], "value_max": line["sample_max"]}
    if root is not None:
        row["cube_sha256"] = provenance.cube_sha256(_samples(root / name, dtype, shape))
    return row


def _samples(path: Path, dtype: np.dtype, shape: tuple[int, int, int]) -> np.ndarray:
    try:
        return np.fromfile(path, dtype).reshape(shape)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or message_of(error)
        raise DatasetError(f"{path}: expected {dtype.name} samples of {shape}, found {found}") from error


def _coded(line: dict) -> dict:
    row = {"codec": line["task_name"], "codec_version": "enb does not say", "provenance": THIS_MACHINE, "device": "cpu"}
    row |= {"settings": json.dumps(ast.literal_eval(line["param_dict"]), sort_keys=True), "best_of": 0}
    row |= {"machine": provenance.machine(), "cores": provenance.n_cores(), "device_name": "cpu"}
    row["date"] = datetime.fromisoformat(line["row_created"]).astimezone(UTC).isoformat(timespec="seconds")
    if not line["lossless_reconstruction"]:
        return row | {"error": "not lossless"}
    row |= {"bytes": line["compressed_size_bytes"], "repeats": line["repetitions"], "warm_up": 0}
    return row | {"encode_s": line["compression_time_seconds"], "decode_s": line["decompression_time_seconds"]}
