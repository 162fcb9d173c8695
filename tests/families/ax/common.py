"""What the tests of lhic-ax share: models with random weights, cubes of extremes, the compiled walk laid open."""

from __future__ import annotations

import dataclasses

import numpy as np

from lhic.families.ax import model as ax_model
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import fit
from lhic.families.ax.integer_net import EXACT, shapes
from lhic.families.ax.parameters import StreamParameters
from lhic.families.ax.spec import ACTIVATION_LIMIT, LIMIT
from lhic.families.family import Work

SMALL = AxConfig(
    detail_planes=3, sample_planes=2, short_planes=1, spatial_neighbours=16, epoch=4, width=16, depth=3, components=3,
    adaptation=0,
)  # fmt: skip
CONFIGS = {
    "small": SMALL,
    "one expert, one layer": AxConfig(0, 0, 1, 0, 32, 8, 1, 1, far_neighbours=0, repeats=1, blend=1),
    "spatial first": AxConfig(0, 0, 1, 5, 1, 8, 2, 2, far_neighbours=2, repeats=2, blend=16),
    "no forgetting": AxConfig(2, 1, 0, 4, 3, 8, 1, 4, far_neighbours=0, repeats=0, blend=0),
    "joint": AxConfig(0, 0, 0, 0, 4, 8, 1, 2, far_neighbours=0, repeats=4, blend=0, joint_planes=3, joint_far=2),
    "joint among others": dataclasses.replace(SMALL, joint_planes=1, joint_far=8),
    "adaptation": dataclasses.replace(SMALL, depth=2, adaptation=4),
    "adaptation at each step": AxConfig(0, 0, 1, 2, 4, 8, 1, 2, far_neighbours=0, repeats=0, blend=0, adaptation=1),
    "near neighbours alone": dataclasses.replace(SMALL, far_neighbours=0, repeats=0, blend=0),
}


def random_tensors(config: AxConfig, seed: int = 1, share: float = 1.0) -> dict[str, np.ndarray]:
    """Weights of both signs, as large as the bound of exact sums allows (times `share`)."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(config).items():
        fan_in = 1 if "bias" in name else shape[-1]
        limit = LIMIT if name == "first" else ACTIVATION_LIMIT
        bound = EXACT // 4 if "bias" in name else int(0.74 * EXACT / (limit * fan_in))
        bound = max(int(share * bound), 1)
        tensors[name] = rng.integers(-bound, bound, shape, endpoint=True).astype(np.int32)
    return tensors


def random_model(config: AxConfig = SMALL, seed: int = 1, share: float = 1.0, device: str = "cpu") -> ax_model.AxModel:
    return ax_model.load("random", config.to_dict(), random_tensors(config, seed, share), bytes(32), device)


def extreme_tiles() -> dict[str, np.ndarray]:
    """Small tiles, each there for a reason; every sum and clamp of the context is driven to its end by one of them."""
    rng = np.random.default_rng(7)
    checker = np.indices((3, 7, 9)).sum(0) % 2
    ramp = np.add.outer(np.arange(4) * 50, np.add.outer(np.arange(9) * 7, np.arange(8) * 3))
    mild = rng.normal(0, 3, (5, 10, 11)).cumsum(0).cumsum(2).round()
    quiet = np.full((4, 8, 8), 5)
    quiet[:, 3, 4] = 6
    loud = quiet.copy()
    loud[1::2] = rng.integers(-32768, 32768, loud[1::2].shape)
    masked = mild.astype("int16")
    masked[:, :4, 5:] = -32768
    masked[:, 9, 0] = -32768
    repeated = np.kron(mild[:, :4, :5], np.ones((1, 3, 2)))
    repeated[:, 1::5] += rng.integers(0, 2, repeated[:, 1::5].shape)
    sparse = np.repeat(rng.integers(0, 9, (3, 12, 12)), 1, 0) * 37
    return {
        "pixels that repeat others": repeated.astype("int16"),
        "one sample": np.full((1, 1, 1), 7, "uint8"),
        "one sample of each of two values": np.array([[[3, 9]]], "uint8"),
        "one row": ramp[:, :1].astype("int16"),
        "one column": ramp[:, :, :1].astype("int16"),
        "two columns, taller than wide": ramp[:, :, :2].astype("uint16"),
        "ramp": ramp.astype("uint16"),
        "smooth noise": mild.astype("int16"),
        "nearly constant": quiet.astype("uint8"),
        "quiet and loud planes in turn": loud.astype("int16"),
        "checkerboard of the extremes": np.where(checker, 32767, -32768).astype("int16"),
        "noise of all of uint16": rng.integers(0, 65536, (2, 8, 9)).astype("uint16"),
        "noise of all of int8": rng.integers(-128, 128, (3, 6, 7)).astype("int8"),
        "a masked corner": masked,
        "values with gaps": sparse.astype("uint16"),
        "more than 16 bits": rng.integers(0, 2**20, (2, 5, 6)).astype("uint32"),
        "more planes than a group": mild[:, :6, :6].astype("int16"),
    }


def settings_of(group_planes: int = 3, n_lanes: int = 1) -> StreamParameters:
    return StreamParameters(0, group_planes, n_lanes)


def job_of(kind: type, model: ax_model.AxModel, tile: np.ndarray, settings: StreamParameters):
    """A job that has run."""
    job = kind(model, tile, settings, 1)
    job.wants_intervals = True
    model._run([job], settings, Work())
    return job


def intervals(model: ax_model.AxModel, tile: np.ndarray, settings: StreamParameters) -> list[np.ndarray]:
    """Starts and freqs, int64 (n, 2), of each group."""
    job = job_of(ax_model._EncodeJob, model, tile, settings)
    found = []
    for one in job.codings.values():
        n = int(one.n_symbols[0])
        found.append(np.stack([one.starts[:n], one.freqs[:n]], 1).astype(np.int64))
    return found


def solved(gram: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Coefficients times 2^20 by the compiled solution, whose arrays are padded."""
    n = len(moment)
    size = fit.padded(n)
    rng = np.random.default_rng(0)  # what is beyond must not matter
    padded_gram, padded_moment = rng.normal(size=(size, size)), rng.normal(size=size)
    padded_gram[:n, :n], padded_moment[:n] = gram, moment
    found = np.empty(n)
    fit.solve(padded_gram, padded_moment, np.full((size, size + 4), np.nan), found)
    return found
