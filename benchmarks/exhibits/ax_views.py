"""What lhic-ax does with a cube, laid open: bits by band, weights of experts and components, exactness, error bounds.

Decides how the coder's own observations become tables.  What a sample costs is the ideal code length under the
network's mixture, which the stream exceeds by its header, the side information and the coder's rounding.  Knows nothing
of notebooks.  Source of every definition: docs/format_lhic_ax.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

import lhic
from benchmarks.codecs.base import Codec
from benchmarks.exhibits.figures import COLUMN, WIDTH, Figure, style
from benchmarks.measure.provenance import REPOSITORY
from benchmarks.measure.worker import timed
from lhic import ccsds123
from lhic.coder import RansDecoder
from lhic.errors import UsageError, VerificationError
from lhic.families import weights
from lhic.families.ax import reference
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import arithmetic
from lhic.families.ax.cpu.network import ACTIVATION_LIMIT, FIRST_FACTOR, MIDDLE_FACTOR
from lhic.families.ax.cpu.symbols import PRECISION
from lhic.families.ax.model import read_tile
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.parameters import StreamParameters
from lhic.families.ax.planes.tile import split_tile
from lhic.families.family import Work
from lhic.families.registry import find_weights
from lhic.train.ax.network import AxNet, code_length

AT_ONCE = 1 << 15  # samples shown to the network together
WARM_UP = 8  # rows and columns; compiles the kernels
MAX_PIXELS = 1 << 15  # of a tile; `observe` takes a cube as one
MOST_BELOW = 240  # the blend's weights stop falling there
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # of Okabe and Ito
HATCHES = ("", "////", "....", "\\\\\\\\")


class View(NamedTuple):
    """n coded samples of a cube in the order of its planes, as a model sees them.

    band : int64 (n,)
    bits : float64 (n,), ideal code length
    blend : float64 (n, E), weight of each expert in the base prediction; rows add up to 1
    mean, scale : float32 (n, K), in expected errors, in octaves around it
    weight : float32 (n, K + 1), adding up to 1; the last is that of the candidate for a repeat
    """

    band: np.ndarray
    bits: np.ndarray
    blend: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray


def load_net(model: str) -> AxNet:
    """A model's network as training has it: on the grids of the integer network, so its sums are the coder's.

    Raises
    ------
    UsageError
        No such weights, or weights of another family.
    """
    found = weights.load_weights(find_weights(model))
    if found.family != "lhic-ax":
        raise UsageError(f"{model}: expected weights of the family lhic-ax, found {found.family}")
    net = AxNet(AxConfig.from_dict(found.config))
    net.set_tensors(found.tensors)
    return net


def expert_names(config: AxConfig) -> list[str]:
    """The experts that a configuration has, in the network's order."""
    sizes = {
        "detail": config.detail_planes,
        "long": config.sample_planes,
        "spatial": config.spatial_neighbours,
        "short": config.short_planes,
    }
    return [name for name, size in sizes.items() if size]


@torch.no_grad()
def view(cube: np.ndarray, model: str) -> View:
    """Every coded sample of a cube of at most 2^15 pixels.

    Raises
    ------
    UsageError
        Weights of another family, or a larger cube.
    """
    net = load_net(model)
    if cube.shape[1] * cube.shape[2] > MAX_PIXELS:
        raise UsageError(f"cube: expected at most {MAX_PIXELS} pixels, found {cube.shape[1]} x {cube.shape[2]}")
    planes, _ = split_tile(cube)
    seen = observe(cube, net.config, cube.size * 2, np.random.default_rng(0))  # a band of 32 bits has two planes
    band = np.repeat(np.asarray(planes.band, np.int64), int((~planes.mask).sum()))
    parts = [_bits_and_mixture(net, seen, slice(n, n + AT_ONCE)) for n in range(0, len(band), AT_ONCE)]
    bits, mean, scale, weight = (np.concatenate(found) for found in zip(*parts, strict=True))
    return View(band, bits, _blend(seen.features, net.config), mean, scale, weight)


def _bits_and_mixture(net: AxNet, seen: Observations, part: slice) -> tuple[np.ndarray, ...]:
    features, *known = (torch.from_numpy(field[part]) for field in seen[:5])
    mean, scale, logit = net(features)
    bits = code_length((mean, scale, logit), *known).double()
    repeat = known[-1].abs()[:, None]
    weight = torch.softmax(logit * np.log(2.0), 1) * (1 - repeat)
    return tuple(found.numpy() for found in (bits, mean, scale, torch.cat([weight, repeat], 1)))


def _blend(features: np.ndarray, config: AxConfig) -> np.ndarray:
    """Blend weights (n, E) from the features that say how wrong each expert was around, and in the plane so far.

    They are 16 log2 of those errors over others, so their differences are what the blend is made of, as long as
    none is clipped: errors of 256 times the expected one, whose weight is next to nothing.
    """
    n_experts = len(config.experts())
    near, in_plane = (features[:, k * n_experts : (k + 1) * n_experts].astype(np.int64) for k in (1, 2))
    cost = 2 * near + config.blend * in_plane
    below = np.minimum(cost - cost.min(axis=1, keepdims=True), MOST_BELOW)
    power = arithmetic.POWER_TABLE[below % arithmetic.LOG_STEPS] << 1 >> below // arithmetic.LOG_STEPS
    return power / power.sum(axis=1, keepdims=True)


def bits_of_bands(seen: View, n_bands: int) -> np.ndarray:
    """Ideal bits of each band, float64 (n_bands,); 0 for bands without coded samples."""
    return np.bincount(seen.band, seen.bits, n_bands)


def bits_added(cube: np.ndarray, codec: Codec) -> np.ndarray:
    """Bits by which each band lengthens the stream of the bands before it, float64 (S,); their sum is the whole stream.

    For codecs that code band after band; one that looks ahead, or whose settings follow from the range of the cube,
    can make a band look cheaper or dearer than it is.
    """
    lengths = [len(codec.encode(np.ascontiguousarray(cube[:n]))) for n in range(1, cube.shape[0] + 1)]
    return 8.0 * np.diff([0, *lengths])


def blend_by_band(seen: View, names: Sequence[str]) -> pd.DataFrame:
    """Mean blend weight of each expert (columns) in each band that has coded samples (lines)."""
    return pd.DataFrame(seen.blend, columns=list(names)).groupby(pd.Series(seen.band, name="band")).mean()


def component_table(seen: View) -> pd.DataFrame:
    """One line a component: mean weight, share of samples in which it is the heaviest, its mean place and width.

    The last component is the sample of a neighbour whose spectrum the pixel repeats; it has no width.

    Means of place (in expected errors from the base prediction) and width (the logistic's scale as a multiple of the
    expected error, geometric mean) are weighted by the component's weight.
    """
    heaviest = seen.weight.argmax(axis=1)
    total = seen.weight.sum(axis=0, dtype=np.float64)
    logistics, safe = seen.weight[:, :-1], np.maximum(total[:-1], 1e-12)
    place = (logistics * seen.mean).sum(axis=0, dtype=np.float64) / safe
    width = 2 ** ((logistics * seen.scale).sum(axis=0, dtype=np.float64) / safe)
    return pd.DataFrame(
        {
            "component": [*map(str, range(seen.mean.shape[1])), "repeat"],
            "mean weight": total / len(seen.weight),
            "heaviest in": np.bincount(heaviest, minlength=seen.weight.shape[1]) / len(heaviest),
            "place": [*place, np.nan],
            "width": [*width, np.nan],
        }
    )


def preset_table(cube: np.ndarray, models: Sequence[str], cube_sha256: str, device: str = "auto") -> pd.DataFrame:
    """Code a cube with each model, check that it comes back; one line a model.

    cube_sha256 : of the whole cube that `cube` is from, by which weights name their training data

    Raises
    ------
    UsageError
        Weights that are not there or of another family; before any work.
    VerificationError
        A decoded cube differs.
    """
    nets = {model: load_net(model) for model in models}
    lines = []
    for model, net in nets.items():
        loaded = lhic.load_model(model, device)
        corner = np.ascontiguousarray(cube[:, :WARM_UP, :WARM_UP])
        lhic.decode(lhic.encode(corner, loaded, device), device)
        stream, encode_s = timed(lambda: lhic.encode(cube, loaded, device))  # noqa: B023
        decoded, decode_s = timed(lambda: lhic.decode(stream, device))  # noqa: B023
        _check(np.array_equal(decoded, cube), f"{model}: expected the cube that was coded, found another")
        info = weights.load_weights(find_weights(model)).info
        line = {"model": model, "bps": 8 * len(stream) / cube.size}
        line |= {"encode MS/s": cube.size / encode_s / 1e6, "decode MS/s": cube.size / decode_s / 1e6}
        line["network MACs"] = sum(int(layer.weight.numel()) for layer in (*net.hidden, net.last))
        line["weights bytes"] = find_weights(model).stat().st_size
        line["trained on this cube"] = _yes(cube_sha256 in info["training_cubes"]) if "training_cubes" in info else "?"
        lines.append(line)
    return pd.DataFrame(lines)


def near_lossless_table(cube: np.ndarray, model: str, max_errors: Sequence[int], device: str = "auto") -> pd.DataFrame:
    """Rate of lhic-ax and of the best of CCSDS-123 (P 0, 3, 15 with two coders) with every sample within the bound.

    Both streams are decoded and their greatest errors measured.

    Raises
    ------
    VerificationError
        A sample is off by more than the bound.
    """
    lines = []
    for bound in max_errors:
        search = ccsds123.USUAL_SEARCH | _limit(bound)
        streams = {
            model: (lhic.encode(cube, model, device, max_error=bound), lambda data: lhic.decode(data, device)),
            "CCSDS-123 best": (ccsds123.best_of(cube, search)[0], ccsds123.decode),
        }
        line = {"max error": bound}
        for name, (stream, decode) in streams.items():
            found = int(np.abs(decode(stream).astype(np.int64) - cube).max())
            _check(found <= bound, f"{name}: expected errors of at most {bound}, found {found}")
            line |= {f"{name} bps": 8 * len(stream) / cube.size, f"{name} greatest error": found}
        line["ratio"] = line[f"{model} bps"] / line["CCSDS-123 best bps"]
        lines.append(line)
    return pd.DataFrame(lines)


def exactness_table(cube: np.ndarray, tile: np.ndarray, model: str) -> pd.DataFrame:
    """What is equal, of how many numbers, by which two ways of computing it.

    Parameters
    ----------
    cube : coded with one thread and with two (fewer than two where numba has no more)
    tile : a tiny cube, not taller than wide, for the reference, which takes milliseconds for each sample

    Returns
    -------
    DataFrame with columns ``what``, ``one way``, ``other way``, ``numbers`` and ``equal``
    """
    net, loaded = load_net(model), lhic.load_model(model, "cpu")
    lines = []

    def note(what: str, one: str, other: str, numbers: int, equal: bool) -> None:
        lines.append({"what": what, "one way": one, "other way": other, "numbers": numbers, "equal": _yes(equal)})

    streams, used = [], []
    for n in (1, 2):
        streams.append(lhic.encode(cube, loaded, threads=n))
        used.append(f"{n} thread{'s'[: n > 1]}")
    note("bytes of the stream", *used, len(streams[0]), streams[0] == streams[1])
    again = lhic.decode(streams[1], model=loaded, threads=1)
    note(
        "decoded samples", "the cube", f"written on {used[1]}, read on 1 thread", cube.size, np.array_equal(again, cube)
    )

    planes, _ = split_tile(tile)
    parameters = loaded.plan(tile, Work())
    settings, tensors = StreamParameters.from_bytes(parameters), net.tensors()
    (sections,) = (encoded.sections for encoded in loaded.encode_tiles([tile], parameters, Work()))
    coded = read_tile(sections, tile.shape, tile.dtype, settings)
    decoders = [RansDecoder(part, settings.n_lanes, PRECISION) for part in coded.parts]
    values = reference.decode(coded.layout, net.config, tensors, settings.group_planes, settings.lower_bits, decoders)
    mask = planes.mask
    note("decoded model values", "compiled encoder", "reference decoder", values.size,
         np.array_equal(values[:, ~mask], planes.values[:, ~mask]))  # fmt: skip

    _, samples = reference.encode(planes, net.config, tensors, settings.group_planes, settings.lower_bits)
    samples.sort(key=lambda sample: (sample.z, sample.i, sample.j))
    slow = torch.tensor([sample.features for sample in samples], dtype=torch.int8)
    fast = torch.from_numpy(observe(tile, net.config, 2 * tile.size, np.random.default_rng(0)).features)
    note("features", "compiled walk", "reference, Python's integers", slow.numel(), torch.equal(slow, fast))
    wanted = torch.tensor(np.array([sample.sums for sample in samples]))
    for dtype in (torch.float32, torch.float64):
        sums = network_sums(tensors, fast, dtype).to(torch.int64)
        note("sums of the network", f"torch, {str(dtype).removeprefix('torch.')}", "reference, int64", sums.numel(),
             torch.equal(sums, wanted))  # fmt: skip
    return pd.DataFrame(lines)


def network_sums(tensors: dict[str, np.ndarray], features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Sums of the last layer (n, 3 K) in a float type: exact in any that holds 24 bits (docs/format_lhic_ax.md, 6)."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(dtype)

    hidden, factor = features.to(dtype), float(FIRST_FACTOR)
    for layer, bias in zip([tensors["first"], *tensors["middle"]], tensors["biases"], strict=True):
        hidden = torch.floor((hidden @ tensor(layer).T + tensor(bias)) * factor).clamp(0, ACTIVATION_LIMIT)
        factor = float(MIDDLE_FACTOR)
    return hidden @ tensor(tensors["last"]).T + tensor(tensors["last_bias"])


def experiment(name: str) -> str:
    """Markdown table of ``results/<name>``, or a sentence that says that there is none."""
    path: Path = REPOSITORY / "results" / name / "table.md"
    return path.read_text(encoding="utf-8") if path.is_file() else f"*results/{name} has no table here.*\n"


def bands_figure(bits: pd.DataFrame, n_samples_band: int) -> Figure:
    """Bits per sample along the bands, a line for each column of `bits`."""
    with style():
        figure = Figure(figsize=(WIDTH, 2.2))
        axes = figure.subplots()
        for (name, column), colour, dash in zip(bits.items(), COLOURS, ("-", "--", ":", "-."), strict=False):
            axes.plot(bits.index, column / n_samples_band, dash, color=colour, label=name, linewidth=0.9, marker="")
        axes.set_xlabel("band")
        axes.set_ylabel("bits per sample")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(bits.columns))
    return figure


def blend_figure(blend: pd.DataFrame) -> Figure:
    """Mean blend weight of each expert along the bands, stacked; see `blend_by_band`."""
    with style():
        figure = Figure(figsize=(WIDTH, 2.2))
        axes = figure.subplots()
        areas = axes.stackplot(
            blend.index, *(blend[name] for name in blend), labels=list(blend), colors=COLOURS, edgecolor="white"
        )
        for area, hatch in zip(areas, HATCHES, strict=False):
            area.set(hatch=hatch, linewidth=0)
        axes.set_xlim(blend.index.min(), max(blend.index.max(), 1))
        axes.set_ylim(0, 1)
        axes.set_xlabel("band")
        axes.set_ylabel("mean weight in the blend")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(blend.columns))
    return figure


def bound_figure(table: pd.DataFrame) -> Figure:
    """Rate against the error bound; see `near_lossless_table`."""
    with style():
        figure = Figure(figsize=(COLUMN, 2.2))
        axes = figure.subplots()
        names = [column for column in table if column.endswith(" bps")]
        for name, colour, line in zip(names, COLOURS, ("s-", "o--"), strict=False):
            axes.plot(table["max error"], table[name], line, color=colour, label=name.removesuffix(" bps"))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("greatest error allowed")
        axes.set_ylabel("bits per sample")
        axes.legend(loc="best")
    return figure


def _limit(bound: int) -> dict[str, tuple]:
    return {"absolute_error_limit": (bound,), "absolute_error_limit_bits": (bound.bit_length(),)} if bound else {}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise VerificationError(message)
