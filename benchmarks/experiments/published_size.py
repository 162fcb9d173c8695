"""LHIC-BP at its published size on a CPU: time and memory of encoding and decoding the bundled patch.

The weights are random, for time does not depend on them; no branch is left at the zeros with which training begins, for
those are skipped.  Tiles cost the same, and so do bands but for the first, which takes a third less: a part tells about
the whole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import torch

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.runs import origin, written
from benchmarks.measure.provenance import n_cores, now
from benchmarks.measure.worker import check_equal, peak_resident_bytes, timed
from lhic.data import open_dataset
from lhic.families.bp.coding import LhicBpModel
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.network import LspNet, MspNet
from lhic.settings import read_yaml

PART = np.s_[:3, :64]
"""Of the patch: three bands of eight tiles."""
HEAD = ("direction", "part of the patch", "seconds", "CPU seconds", "minutes, whole", "CPU minutes, whole", "peak MiB")


def measure_published_size(config_path: Path, out: Path) -> list[dict]:
    """A part of the patch; rows also go to `out`.

    config_path : not needed: the model is that of configs/lhic-bp.yml

    Raises
    ------
    VerificationError
        What was decoded is not what was encoded.
    """
    return measured(
        random_model(config_path.with_name("lhic-bp.yml")), np.ascontiguousarray(_patch()[PART]), _patch().size, out
    )


def measure_published_size_whole(config_path: Path, out: Path) -> list[dict]:
    """As `measure_published_size`, all of it: tens of minutes."""
    return measured(random_model(config_path.with_name("lhic-bp.yml")), _patch(), _patch().size, out)


def random_model(config_path: Path) -> LhicBpModel:
    """A model of the architecture of a training configuration, with weights that cost what trained ones do."""
    model = read_yaml(config_path)["model"]
    config = LhicBpConfig.from_dict(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = MspNet(config).double(), LspNet(config).double()
        for net in nets:
            for parameter in net.parameters():
                parameter.data += 0.01 * torch.randn_like(parameter)
            net.eval().requires_grad_(False)
    return LhicBpModel("lhic-bp-random", model, bytes(32), config, *nets, "cpu")


def measured(model: LhicBpModel, cube: np.ndarray, n_samples: int, out: Path) -> list[dict]:
    """A row for each direction; n_samples : of the whole of which `cube` is a part."""
    tile = np.ascontiguousarray(cube[:2, :8, :8])
    lhic.decode(lhic.encode(tile, model, fallback=False), model=model)  # compiles
    encoded, encode_s, encode_cpu_s = _timed(lambda: lhic.encode(cube, model, fallback=False))
    decoded, decode_s, decode_cpu_s = _timed(lambda: lhic.decode(encoded, model=model))
    check_equal(cube, decoded, model.name)
    n_parameters = sum(p.numel() for net in model.nets for p in net.parameters())
    rows = []
    for name, seconds, cpu_s in (("encode", encode_s, encode_cpu_s), ("decode", decode_s, decode_cpu_s)):
        row = {"direction": name, "bands": len(cube), "rows": cube.shape[1], "columns": cube.shape[2]}
        row |= {"seconds": seconds, "cpu_seconds": cpu_s, "share": cube.size / n_samples, "parameters": n_parameters}
        rows.append(row | {"peak_bytes": peak_resident_bytes(), "cores": n_cores(), "date": now()} | origin())
    written(out, rows, size_table(rows))
    return rows


def size_table(rows: list[dict]) -> str:
    """Markdown: a line for each direction."""
    lines = []
    for row in rows:
        part = f"{row['bands']} x {row['rows']} x {row['columns']}"
        whole = 60 * row["share"]
        times = [f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}", f"{row['seconds'] / whole:.1f}"]
        times += [f"{row['cpu_seconds'] / whole:.1f}", f"{row['peak_bytes'] / 2**20:.0f}"]
        lines.append([row["direction"], part, *times])
    return markdown(HEAD, lines, right=range(2, len(HEAD)))


def _patch() -> np.ndarray:
    return open_dataset("bundled")[0].load()


def _timed(work):
    """Result, seconds, and the processor's seconds, which others on the machine change less."""
    process = psutil.Process()
    before = process.cpu_times()
    result, seconds = timed(work)
    after = process.cpu_times()
    return result, seconds, after.user + after.system - before.user - before.system
