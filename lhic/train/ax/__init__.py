"""Training of lhic-ax: observations of cubes, a float network that rounds as the integer one does, the loop.

The names below are what experiments need to train networks of their own.
"""

from lhic.families.ax.observe import Observations, observe
from lhic.train.ax.augment import IMITATIONS, imitation
from lhic.train.ax.config import AxTrainConfig
from lhic.train.ax.loop import bits_per_sample, fit, observe_item, samples_of, train
from lhic.train.ax.network import AxNet, code_length
from lhic.train.ax.view import View, load_net, view

__all__ = [
    "IMITATIONS",
    "AxNet",
    "AxTrainConfig",
    "Observations",
    "View",
    "bits_per_sample",
    "code_length",
    "fit",
    "imitation",
    "load_net",
    "observe",
    "observe_item",
    "samples_of",
    "train",
    "view",
]
