"""Where cubes come from: HySpecNet-11k, folders of arrays, and synthetic ones."""

from lhic.data.datasets import KINDS, Item, check_converted, check_kind, kinds, open_dataset

__all__ = ["KINDS", "Item", "check_converted", "check_kind", "kinds", "open_dataset"]
