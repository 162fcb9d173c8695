"""The experts' regressors: what each linear predictor sees, in which order (docs/format_lhic_ax.md, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lhic.families.ax.spec import AROUND, CAUSAL, COEFFICIENT_BITS, MAX_REGRESSORS
from lhic.families.ax.wavefront import skewed

# Where a regressor is read.
SAMPLE = 0  # sample of this or an earlier plane
DETAIL = 1  # sample less the mean of its causal neighbours, earlier planes
NEIGHBOUR = 2  # sample of this plane less that mean
CONSTANT = 3
INSIDE = 4  # as NEIGHBOUR, 0 where the neighbour is beyond the image
EARLIER = 5  # sample of the plane before, less that mean there

NEAR = (
    *CAUSAL,
    *((0, -2), (-2, 0), (-1, -2), (-2, -1), (-2, 1), (0, -3), (-3, 0), (-1, -3), (-2, 2), (-3, -1), (-3, 1), (-3, 2)),
)  # fmt: skip
# Farther up: along the stripes of a detector, upright or slanted as rectification leaves them.
FAR = (
    (-4, 1), (-8, 2), (-5, 0), (-5, 1), (-8, 1), (-4, 2), (-4, 0), (-7, 2), (-8, 0), (-6, 1), (-4, -1), (-8, -2),
    (-7, 3), (-6, 0),
)  # fmt: skip


@dataclass(frozen=True)
class Expert:
    """A linear predictor that is fitted to the samples decoded so far.

    regressors : int64 (n, 4): kind, planes back, distance in waves, distance in rows
    about_mean : whether it predicts the sample less the mean of its causal neighbours
    start : float64 (n,): coefficients before the first fit, in a plane that has earlier ones
    start_first : the same in the first plane
    forgets : whether older samples count less at each epoch
    """

    regressors: np.ndarray
    about_mean: bool
    start: np.ndarray
    start_first: np.ndarray
    forgets: bool = False

    def kinds(self) -> set[int]:
        """Of its regressors."""
        return set(self.regressors[:, 0].tolist())


class ExpertTable(NamedTuple):
    """All experts of a model as arrays; expert e has the regressors ``starts[e] .. starts[e + 1] - 1``.

    regressors : int64 (n, 4);  starts : int64 (E + 1,);  about_mean, forgets : bool (E,)
    first_coefficients : float64 (2, n), multiples of 2^-20 times 2^20: with earlier planes, and without
    repeats, blend : see `AxConfig`
    """

    regressors: np.ndarray
    starts: np.ndarray
    about_mean: np.ndarray
    forgets: np.ndarray
    first_coefficients: np.ndarray
    repeats: int
    blend: int


def expert_table(experts: Sequence[Expert], repeats: int, blend: int) -> ExpertTable:
    sizes = [len(expert.regressors) for expert in experts]
    assert max(sizes) <= MAX_REGRESSORS
    first = [np.concatenate([expert.start for expert in experts]), np.concatenate([e.start_first for e in experts])]
    return ExpertTable(
        np.concatenate([expert.regressors for expert in experts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array([expert.about_mean for expert in experts]),
        np.array([expert.forgets for expert in experts]),
        np.array(first) * 2.0**COEFFICIENT_BITS,
        repeats,
        blend,
    )


def detail_expert(n_planes: int) -> Expert:
    regressors = [(DETAIL, back, 0, 0) for back in range(1, n_planes + 1)] + _near(NEIGHBOUR, 0, CAUSAL)
    return _expert(regressors, True, {0: 1.0}, {})


def sample_expert(n_planes: int, around: tuple[int, ...], forgets: bool = False) -> Expert:
    regressors = [(SAMPLE, back, 0, 0) for back in range(1, n_planes + 1)] + [(CONSTANT, 0, 0, 0)]
    own = len(regressors)
    regressors += _near(SAMPLE, 0, CAUSAL)
    earlier = len(regressors)
    for back, n_neighbours in enumerate(around, 1):
        regressors += _near(SAMPLE, back, AROUND[:n_neighbours])
    # The plane changes from its W and N neighbours as the one before it does.
    start = {0: 1.0, own: 0.5, own + 1: 0.5, earlier: -0.5, earlier + 1: -0.5}
    return _expert(regressors, False, start, {own: 0.5, own + 1: 0.5}, forgets)


def spatial_expert(n_neighbours: int, n_far: int) -> Expert:
    kind = INSIDE if n_far else NEIGHBOUR
    return _expert(_near(kind, 0, (*NEAR[:n_neighbours], *FAR[:n_far])), True, {}, {})


def joint_expert(n_planes: int, n_far: int) -> Expert:
    regressors = [(DETAIL, back, 0, 0) for back in range(1, n_planes + 1)]
    regressors += _near(NEIGHBOUR, 0, CAUSAL) + _near(EARLIER, 1, CAUSAL) + _near(INSIDE, 0, FAR[:n_far])
    return _expert(regressors, True, {0: 1.0}, {})


def _expert(regressors: list, about_mean: bool, start: dict, start_first: dict, forgets: bool = False) -> Expert:
    table = np.array(regressors, np.int64).reshape(-1, 4)
    coefficients = np.zeros((2, len(table)))
    for own, values in zip(coefficients, (start, start_first), strict=True):
        for index, value in values.items():
            own[index] = value
    return Expert(table, about_mean, coefficients[0], coefficients[1], forgets)


def _near(kind: int, planes_back: int, neighbours) -> list:
    return [(kind, planes_back, *skewed(neighbour)) for neighbour in neighbours]
