"""Learned codecs and strong ones without training beside each other: what they gain over a reference, and at what cost.

Decides how a codec's size and work are counted, and how gains are shown by sensor.  Rows come from one or more
results folders; a codec is compared on the cubes that the reference coded, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from benchmarks.exhibits import seen
from benchmarks.exhibits.figures import KEY_COLUMNS, WIDTH, Figure, look_of, number_points, style, write_key
from benchmarks.exhibits.statistics import differences, interval
from benchmarks.exhibits.tables import good, label, marked
from benchmarks.measure.rows import KEY, committed, has_rows, read_rows
from lhic import list_models
from lhic.errors import DatasetError

# Published sizes of LineRWKV: width, layers of the line encoder, blocks along lines and along bands, decoder's layers.
LINERWKV = {"xs": (32, 1, 2, 2, 1), "s": (64, 2, 2, 2, 2), "m": (64, 4, 4, 4, 4), "l": (96, 4, 6, 6, 4)}
LEARNED = ("lhic-", "linerwkv-")
CROP = r"^(.+), first \d+ x \d+$"  # names of cubes of `benchmarks.experiments.linerwkv`
SPEEDS = {"encode MS/s": ("encode_s", "encode_all_s"), "decode MS/s": ("decode_s", "decode_all_s")}


def rows_of(folders: Sequence[Path], peers: Sequence[str], form: str) -> pd.DataFrame:
    """Rows of one form, of learned codecs and of the peers named, from results folders; those without rows give none.

    Raises
    ------
    DatasetError
        There are none at all.
    """
    found = [read_rows(folder) for folder in folders if has_rows(folder)]
    rows = _noted(pd.concat(found, ignore_index=True)) if found else pd.DataFrame(columns=["codec", "form"])
    rows = rows[(rows["codec"].map(is_learned) | rows["codec"].isin(peers)) & (rows["form"] == form)]
    if rows.empty:
        raise DatasetError(f"rows: expected some of form {form} in {', '.join(map(str, folders))}, found none")
    return rows.drop_duplicates([*KEY], keep="last")


def _noted(rows: pd.DataFrame) -> pd.DataFrame:
    """`seen.noted`, where a crop (``NAME, first 24 x 32``) of a cube that was trained on has been seen, too.

    The samples of the cube NAME are known by their hash from the committed rows.  Crops are a dataset of their own.
    """
    rows, training, known = seen.noted(rows), seen.training_cubes(), committed()
    whole = {} if known is None else dict(zip(known["cube"], known["cube_sha256"]))
    of_crop = rows["cube"].str.extract(CROP, expand=False).map(whole)
    trained_on = rows["weights_hash"].map(lambda weights: training.get(weights) or frozenset())
    was_seen = [cube in cubes for cube, cubes in zip(of_crop, trained_on)]
    dataset = rows["dataset"].mask(rows["cube"].str.match(CROP), "crops of " + rows["dataset"])
    return rows.assign(**{seen.COLUMN: rows[seen.COLUMN].mask(was_seen, "seen"), "dataset": dataset})


def is_learned(codec: str) -> bool:
    """Whether a codec has trained weights, by its name.

    >>> is_learned("linerwkv-l-ccsds"), is_learned("rls-k20")
    (True, False)
    """
    return codec.startswith(LEARNED)


def work_of(codec: str, settings: dict, weights_hash: str = "") -> tuple[float, float]:
    """Trained parameters of a codec, and its multiply-accumulates a sample; not a number where they are not known.

    A network's are the elements of its matrices, of which each is used once a sample (by LHIC-BP, whose inner layers
    see fewer positions, at most once).  Of lhic-ax the network alone counts, not the least squares beside it.
    """
    size = re.fullmatch(r"linerwkv-(xs|s|m|l)(-ccsds)?", codec)
    if size:
        return linerwkv_work(*LINERWKV[size[1]])
    if codec.startswith("rls-k"):  # gain and update of each expert's covariance, prediction and coefficients
        k = settings["previous_bands"]
        inputs = [n + bands + 1 for bands, n in ((k, 4), (k // 3, 10), (0, 18)) if bands or n == 18]
        return 0, sum(2 * n * n + 2 * n for n in inputs)
    if codec.startswith("ccsds123") and "prediction_bands" in settings:  # prediction and update of the weights
        return 0, 2 * (settings["prediction_bands"] + 3)
    path = next((model.path for model in list_models() if weights_hash and model.sha256 == weights_hash), None)
    return _work_of_file(path) if path else (np.nan if is_learned(codec) else 0, np.nan)


def linerwkv_work(width: int, encoder: int, lines: int, bands: int, decoder: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates of LineRWKV with kernels of three columns."""
    blocks = lines + bands
    square = width * width
    matrices = 3 * width + 3 * square * (encoder - 1) + 7 * square * blocks + square * (decoder - 1) + 2 * width
    norms = 2 * (encoder + 2 * blocks + 2 + decoder - 1)  # two blocks have one more
    vectors = width * (encoder + norms + 7 * blocks + decoder - 1) + 2
    return matrices + vectors, matrices


def _work_of_file(path: Path) -> tuple[int, int]:
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    is_matrix = {name: len(shape) > 1 and shape[:2] != [1, 1] and name != "biases" for name, shape in shapes.items()}
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if is_matrix[name])


def learned_table(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """One line for each codec and dataset: what it gains over the reference, on which sensors, and at what cost.

    Parameters
    ----------
    rows : of one form
    reference : name of the codec that others are compared with

    Returns
    -------
    DataFrame with the columns codec (marked as in `seen.MARKS`), dataset, cubes (coded, of those of the dataset), bps,
    change % (mean of the cubes' relative differences to the reference), low %, high % (95 % interval, for five cubes
    or more), a column for each sensor, parameters, MACs, encode MS/s, decode MS/s (one thread where there is such a
    timing).  Smallest change first.
    """
    found = good(rows)
    found = found.assign(label=label(found))
    marks = {dataset: marked(of_dataset) for dataset, of_dataset in found.groupby("dataset")}
    pairs = differences(rows, reference)
    n_cubes = found.groupby("dataset")["cube"].nunique()
    lines = []
    for (dataset, name), own in found.groupby(["dataset", "label"], sort=False):
        its_pairs = pairs[(pairs["codec"] == name) & pairs["cube"].isin(own["cube"])]
        if name != reference and its_pairs.empty:
            continue
        change, (low, high) = np.zeros(len(own)), (np.nan, np.nan)
        if name != reference:
            change = its_pairs["change %"].to_numpy(float)
            low, high = interval(
                change, its_pairs["tile"].where(its_pairs["tile"] != "", its_pairs["cube"]).to_numpy(str)
            )
        line = {
            "codec": marks[dataset](name),
            "dataset": dataset,
            "cubes": f"{len(own)} of {n_cubes[dataset]}",
            "bps": own["bps"].mean(),
        }
        line |= {"change %": change.mean(), "low %": low, "high %": high}
        for sensor, of_sensor in its_pairs.groupby("sensor"):
            line[f"{sensor} %"] = of_sensor["change %"].mean()
        first = own.iloc[0]
        parameters, macs = work_of(first["codec"], json.loads(first["settings"] or "{}"), first["weights_hash"])
        line |= {"parameters": _whole(parameters), "MACs": _whole(macs)}
        for title, (one, many) in SPEEDS.items():
            seconds = own[one].fillna(own[many])
            line[title] = own["n_samples"].sum() / seconds.sum() / 1e6
        lines.append(line)
    table = pd.DataFrame(lines).sort_values(["dataset", "change %"], kind="stable")
    ends = ["parameters", "MACs", *SPEEDS]
    return table[[name for name in table if name not in ends] + ends].reset_index(drop=True)


def _whole(number: float) -> str:
    return "–" if np.isnan(number) else f"{number:,.0f}"


def largest(rows: pd.DataFrame, reference: str) -> str:
    """The dataset with the most cubes, of those in which the reference was measured, if there are any."""
    has_reference = rows["dataset"].isin(rows.loc[rows["codec"] == reference, "dataset"])
    return rows[has_reference if has_reference.any() else slice(None)].groupby("dataset")["cube"].nunique().idxmax()


def transfer_figure(rows: pd.DataFrame, reference: str) -> Figure:
    """Change of rate against the reference in the largest dataset, a panel for each sensor; small dots: the cubes."""
    rows = rows[rows["dataset"] == largest(rows, reference)]
    mark, pairs = marked(rows), differences(rows, reference)
    order = list(pairs.groupby("codec")["change %"].mean().sort_values().index)
    sensors = sorted(pairs["sensor"].unique(), key=lambda sensor: (sensor != "EnMAP", sensor))
    with style():
        if not sensors:
            figure = Figure(figsize=(WIDTH, 0.6))
            figure.text(0.5, 0.5, f"no learned codec was measured beside {reference}", ha="center", va="center")
            return figure
        figure = Figure(figsize=(WIDTH, 0.95 + 0.16 * len(order)))
        panels = figure.subplots(1, len(sensors), squeeze=False, sharey=True)[0]
        for axes, sensor in zip(panels, sensors):
            of_sensor = pairs[pairs["sensor"] == sensor]
            for y, codec in enumerate(order):
                each = of_sensor.loc[of_sensor["codec"] == codec, "change %"]
                if len(each) > 1:
                    axes.plot(each, [y] * len(each), ".k", markeredgewidth=0, markersize=3)
                if len(each):
                    axes.plot(each.mean(), y, **look_of(codec))
            axes.axvline(0, color="0.3", linestyle="-", linewidth=0.8)
            axes.margins(x=0.1)
            n_cubes = of_sensor["cube"].nunique()
            axes.set_title(f"{sensor}, {n_cubes} cube{'s' * (n_cubes != 1)}", loc="left")
        panels[0].set_yticks(range(len(order)), [mark(codec) for codec in order])
        panels[0].set_ylim(len(order) - 0.4, -0.6)
        figure.supxlabel(f"bits per sample against {reference}, %", fontsize=7)
    return figure


def cost_figure(rows: pd.DataFrame, reference: str) -> Figure:
    """Change of rate against work a sample, and against decoding speed: `learned_table`, of the largest dataset.

    Codecs are numbered from the smallest change on, and named below, with the cubes that they coded if not all.
    """
    table = learned_table(rows, reference)
    table = table[table["dataset"] == largest(rows, reference)].reset_index(drop=True)
    parts = table["cubes"].str.split(" of ", expand=True)
    is_whole = parts[0] == parts[1]
    names = table["codec"].where(is_whole, table["codec"] + " (" + table["cubes"] + ")")
    work = pd.to_numeric(table["MACs"].str.replace(",", ""), errors="coerce")
    key_height = 0.14 * -(-len(table) // KEY_COLUMNS)
    about = "multiply-accumulates a sample", "decoded 10⁶ samples per second"
    with style():
        figure = Figure(figsize=(WIDTH, 2.8 + key_height))
        found = figure.subplot_mosaic([["work", "speed"], ["key", "key"]], height_ratios=(2.6, key_height + 0.05))
        panels = found["work"], found["speed"]
        panels[1].sharey(panels[0])
        for axes, x, text in zip(panels, (work, table["decode MS/s"]), about):
            for at, change, codec in zip(x, table["change %"], table["codec"]):
                if np.isfinite(at):
                    axes.plot(at, change, **look_of(codec))
            axes.set_xscale("log")
            axes.set_xlabel(text)
            axes.margins(0.1)
            axes.axhline(0, color="0.3", linestyle="-", linewidth=0.8)
        panels[0].set_ylabel(f"bits per sample against {reference}, %")
        write_key(found["key"], list(names), [False] * len(names))
        figure.draw_without_rendering()  # places the axes, which the numbers need to know
        for axes, x in zip(panels, (work, table["decode MS/s"])):
            number_points(axes, x.to_numpy(float), table["change %"].to_numpy(float))
    return figure
