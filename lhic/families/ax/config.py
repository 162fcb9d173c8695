"""What a model of the lhic-ax family is made of: experts, network, mixture.

The configuration belongs to the weights file and is part of the model's identity (docs/format.md, section 3).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from lhic.errors import ConfigError
from lhic.families.ax.experts import (
    FAR,
    NEAR,
    Expert,
    ExpertTable,
    detail_expert,
    expert_table,
    joint_expert,
    sample_expert,
    spatial_expert,
)
from lhic.families.ax.spec import CAUSAL

LIMITS = {
    "detail_planes": (0, 32),
    "sample_planes": (0, 28),
    "short_planes": (0, 5),
    "spatial_neighbours": (0, len(NEAR)),
    "far_neighbours": (0, len(FAR)),
    "repeats": (0, len(CAUSAL)),
    "blend": (0, 16),
    "joint_planes": (0, 32),
    "joint_far": (0, 8),
    "tuning_steps": (0, 100_000),
    "epoch": (1, 32),
    "width": (8, 96),
    "depth": (1, 3),
    "components": (1, 8),
    "adaptation": (0, 4),
}
"""What the presets and the ablations need; engines are made for no more."""


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
    joint_planes : earlier planes of the expert on details that also sees neighbours in the plane before
    joint_far : farther neighbours of that expert, those of its own plane that are inside the image
    tuning_steps : for which the encoder fits the network to a cube, unless told otherwise; a decoder need not know
    adaptation : steps of the walk between two changes of the last layer, which goes on learning while it codes: 1, 2 or
        4; 0: it never changes
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
    joint_planes: int = 0
    joint_far: int = 0
    tuning_steps: int = 0
    adaptation: int = 4

    @classmethod
    def from_dict(cls, values: dict) -> AxConfig:
        """Raises `ConfigError` for an unknown, missing or impossible value."""
        names = {field.name for field in fields(cls)}
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
        if config.joint_far and not config.joint_planes:
            raise ConfigError("lhic-ax configuration: joint_far: expected 0 without joint_planes")
        if config.adaptation == 3:  # at equal steps of all groups
            raise ConfigError("lhic-ax configuration: adaptation: expected 0, 1, 2 or 4, found 3")
        if config.width % 8:
            raise ConfigError(f"lhic-ax configuration: width: expected a multiple of 8, found {config.width}")
        return config

    def to_dict(self) -> dict:
        """By name, all of them: what `from_dict` takes."""
        return asdict(self)

    def experts(self) -> list[Expert]:
        """The experts in the order in which the network sees them."""
        found = []
        if self.detail_planes:
            found.append(detail_expert(self.detail_planes))
        if self.sample_planes:
            found.append(sample_expert(self.sample_planes, (8, 4)))
        if self.spatial_neighbours:
            found.append(spatial_expert(self.spatial_neighbours, self.far_neighbours))
        if self.short_planes:
            found.append(sample_expert(self.short_planes, (4,), forgets=True))
        if self.joint_planes:
            found.append(joint_expert(self.joint_planes, self.joint_far))
        return found

    def expert_table(self) -> ExpertTable:
        """The experts as kernels take them."""
        return expert_table(self.experts(), self.repeats, self.blend)
