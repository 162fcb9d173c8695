"""Cubes to train on: the sources of a configuration, opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from lhic.data import Item, open_dataset
from lhic.errors import ConfigError, DatasetError
from lhic.train.config import SourceConfig


def open_sources(sources: Sequence[SourceConfig]) -> list[Item]:
    """The cubes of all sources; none is read yet.  Raises DatasetError, ConfigError."""
    items = []
    for source in sources:
        root = None if source.root is None else expand(source.root)
        found = open_dataset(source.kind, root, source.split, source.clip)
        unknown = sorted({*source.only, *source.exclude} - {item.name for item in found})
        if unknown:
            raise ConfigError(f"{root}: expected a cube {unknown[0]!r}, found none of that name")
        items += [
            item for item in found if (not source.only or item.name in source.only) and item.name not in source.exclude
        ]
    if not items:
        raise DatasetError(f"{sources[0].root}: expected at least one cube, found none")
    return items


def cube_sha256(cube: np.ndarray) -> str:
    """Hex, of the samples in little-endian (S, H, W) order, as result rows name cubes."""
    return hashlib.sha256(np.ascontiguousarray(cube, cube.dtype.newbyteorder("<")).data).hexdigest()


def expand(path: str) -> str:
    """Environment variables and ~ filled in."""
    expanded = os.path.expandvars(os.path.expanduser(path))
    if "$" in expanded:
        raise ConfigError(f"{path}: expected a path, found an environment variable that is not set")
    return expanded
