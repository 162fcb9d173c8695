"""What a model of the lhic-ax family is made of: experts, network, mixture.

The configuration belongs to the weights file and is part of the model's identity (docs/format.md, section 3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from lhic.errors import ConfigError
from lhic.families.ax.cpu import skew

# Where a regressor of an expert is read.
SAMPLE = 0  # sample of this or an earlier plane
DETAIL = 1  # sample less the mean of its causal neighbours, earlier planes
NEIGHBOUR = 2  # sample of this plane less that mean
CONSTANT = 3
INSIDE = 4  # as NEIGHBOUR, 0 where the neighbour is beyond the image

CONSTANT_INPUT = 256.0

# Parts that the first weights did not know; a configuration without them has 0.
LATER = ("far_neighbours", "repeats", "blend", "tuning_steps")

LIMITS = {
    "detail_planes": (0, 48),
    "sample_planes": (0, 40),
    "short_planes": (0, 24),
    "spatial_neighbours": (0, len(skew.SPATIAL)),
    "far_neighbours": (0, len(skew.FAR)),
    "repeats": (0, len(skew.CAUSAL)),
    "blend": (0, 32),
    "tuning_steps": (0, 100_000),
    "epoch": (1, 64),
    "width": (4, 512),
    "depth": (1, 4),
    "components": (1, 16),
}


@dataclass(frozen=True)
class AxConfig:
    """Configuration of a model; a number of 0 leaves that expert out.

    detail_planes : earlier planes of the expert on details (samples less their local mean)
    sample_planes : earlier planes of the expert on samples, which also sees neighbours in two earlier planes
    short_planes : the same with few planes, no second earlier plane's neighbours
    spatial_neighbours : near neighbours of the expert that sees its own plane alone
    epoch : waves between two fits of an expert
    width, depth : of the network's hidden layers
    components : K of the mixture of logistics
    far_neighbours : farther neighbours of the spatial expert, along the stripes of a detector; with any, it sees
        nothing of what is beyond the image
    repeats : neighbours that a pixel is compared with, as it may repeat their spectrum; 0: none
    blend : power of an expert's mean error in the plane that its weight falls with, beside the square of its error
        around the sample
    tuning_steps : for which the encoder fits the network to a cube, unless told otherwise; a decoder need not know
    """

    detail_planes: int = 32
    sample_planes: int = 16
    short_planes: int = 5
    spatial_neighbours: int = 10
    epoch: int = 8
    width: int = 32
    depth: int = 2
    components: int = 4
    far_neighbours: int = 14
    repeats: int = 4
    blend: int = 8
    tuning_steps: int = 0

    @classmethod
    def from_dict(cls, values: dict) -> AxConfig:
        """Raises `ConfigError` for an unknown, missing or impossible value."""
        names = {field.name for field in fields(cls)}
        values = dict.fromkeys(LATER, 0) | values
        if set(values) != names:
            odd = sorted(set(values) ^ names)[0]
            raise ConfigError(
                f"lhic-ax configuration: expected exactly {', '.join(sorted(names))}, found {odd!r} amiss"
            )
        for name, value in values.items():
            low, high = LIMITS[name]
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(
                    f"lhic-ax configuration: {name}: expected an integer of {low}..{high}, found {value!r}"
                )
        config = cls(**values)
        if not config.experts():
            raise ConfigError("lhic-ax configuration: expected at least one expert, found none")
        if config.far_neighbours and not config.spatial_neighbours:
            raise ConfigError("lhic-ax configuration: far_neighbours: expected 0 without spatial_neighbours")
        if config.width % 4:
            raise ConfigError(f"lhic-ax configuration: width: expected a multiple of 4, found {config.width}")
        return config

    def to_dict(self) -> dict:
        """Later parts that are left out are not named, so that first weights keep their identity."""
        return {name: value for name, value in asdict(self).items() if value or name not in LATER}

    def experts(self) -> list[Expert]:
        """The experts in the order in which the network sees them."""
        found = []
        if self.detail_planes:
            found.append(_detail_expert(self.detail_planes))
        if self.sample_planes:
            found.append(_sample_expert(self.sample_planes, (8, 4)))
        if self.spatial_neighbours:
            found.append(_spatial_expert(self.spatial_neighbours, self.far_neighbours))
        if self.short_planes:
            found.append(_sample_expert(self.short_planes, (4,), forgets=True))
        return found


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


def _expert(regressors: list, about_mean: bool, start: dict, start_first: dict, forgets: bool = False) -> Expert:
    table = np.array(regressors, np.int64).reshape(-1, 4)
    coefficients = []
    for values in (start, start_first):
        array = np.zeros(len(table))
        for index, value in values.items():
            array[index] = value
        coefficients.append(array)
    return Expert(table, about_mean, *coefficients, forgets)


def _near(kind: int, planes_back: int, neighbours) -> list:
    return [(kind, planes_back, *distance) for distance in skew.distances(neighbours)]


def _detail_expert(n_planes: int) -> Expert:
    regressors = [(DETAIL, back, 0, 0) for back in range(1, n_planes + 1)] + _near(NEIGHBOUR, 0, skew.CAUSAL)
    return _expert(regressors, True, {0: 1.0}, {})


def _sample_expert(n_planes: int, around: tuple[int, ...], forgets: bool = False) -> Expert:
    regressors = [(SAMPLE, back, 0, 0) for back in range(1, n_planes + 1)] + [(CONSTANT, 0, 0, 0)]
    own = len(regressors)
    regressors += _near(SAMPLE, 0, skew.CAUSAL)
    earlier = len(regressors)
    for back, n_neighbours in enumerate(around, 1):
        regressors += _near(SAMPLE, back, skew.AROUND[:n_neighbours])
    # The plane changes from its W and N neighbours as the one before it does.
    start = {0: 1.0, own: 0.5, own + 1: 0.5, earlier: -0.5, earlier + 1: -0.5}
    return _expert(regressors, False, start, {own: 0.5, own + 1: 0.5}, forgets)


def _spatial_expert(n_neighbours: int, n_far: int) -> Expert:
    kind = INSIDE if n_far else NEIGHBOUR
    return _expert(_near(kind, 0, (*skew.SPATIAL[:n_neighbours], *skew.FAR[:n_far])), True, {}, {})
