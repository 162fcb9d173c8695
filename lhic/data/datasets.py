"""One view of every dataset: a list of named cubes that are read when asked for.

Decides which kinds of dataset there are and what clipping means for all of them.  Where the files of a kind
lie is known to `hyspecnet` and `corpus` alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lhic.cube import load_cube
from lhic.data import corpus, hyspecnet
from lhic.errors import UsageError

KINDS = ("bundled", "hyspecnet-11k", "corpus")
BUNDLED_SPLIT = "bundled/test"


@dataclass(frozen=True)
class Item:
    """One cube of a dataset."""

    name: str
    path: Path
    sensor: str
    _read: Callable[[], np.ndarray] = field(repr=False)
    _read_metadata: Callable[[], dict] = field(default=dict, repr=False)

    def load(self) -> np.ndarray:
        """The samples, (S, H, W), integers."""
        return self._read()

    def metadata(self) -> dict:
        """What the file says about the cube, with the keys of docs/format.md, section 2; often nothing."""
        return self._read_metadata()


def open_dataset(
    kind: str, root: str | os.PathLike | None = None, split: str | None = None, clip: bool = False
) -> list[Item]:
    """List the cubes of a dataset; none is read yet.

    Parameters
    ----------
    kind : str
        "bundled": the HySpecNet-11k patch of the repository; "hyspecnet-11k": the dataset under `root`;
        "corpus": every .npy file in the folder `root`.
    root : path
        Not used for "bundled".
    split : str, optional
        For "hyspecnet-11k" only: "easy/test", "hard/train", ...; without it, every patch found.
    clip : bool
        Give int32 clipped to [0, 10000], as the literature reports on HySpecNet-11k, instead of the samples
        as they are.

    Raises
    ------
    UsageError
        If the kind is unknown, or root or split do not go with it.
    DatasetError
        If something is missing under the root.
    """
    if kind not in KINDS:
        raise UsageError(f"dataset: expected one of {', '.join(KINDS)}, found {kind!r}")
    if kind != "bundled" and root is None:
        raise UsageError(f"dataset {kind}: expected a root folder, found none")
    if kind != "hyspecnet-11k" and split is not None:
        raise UsageError(f"dataset {kind}: expected no split, found {split!r}")
    if kind == "corpus":
        return [_cube_item(path, clip) for path in corpus.find_cubes(root)]
    if kind == "bundled":
        patches = hyspecnet.read_split(hyspecnet.bundled_root(), BUNDLED_SPLIT)
    else:
        patches = hyspecnet.read_split(root, split) if split else hyspecnet.find_patches(root)
    return [_patch_item(patch, clip) for patch in patches]


def _patch_item(patch: hyspecnet.Patch, clip: bool) -> Item:
    return Item(
        patch.name,
        patch.tif,
        "EnMAP",
        lambda: hyspecnet.load_patch(patch, clip),
        lambda: hyspecnet.read_metadata(patch.tif),
    )


def _cube_item(path: Path, clip: bool) -> Item:
    def read() -> np.ndarray:
        cube = load_cube(path)
        return np.clip(cube, *hyspecnet.CLIP_RANGE).astype(np.int32) if clip else cube

    return Item(path.stem, path, corpus.guess_sensor(path.stem), read)
