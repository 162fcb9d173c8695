"""Where cubes come from: HySpecNet-11k, folders of arrays, and synthetic ones."""

from lhic.data.datasets import KINDS, Item, open_dataset

__all__ = ["KINDS", "Item", "open_dataset"]
