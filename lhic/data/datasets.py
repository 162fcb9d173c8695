"""One view of every dataset: a list of named cubes that are read when asked for.

Decides which kinds of dataset there are and what clipping means for all of them.  Where the files of a kind
lie is known to `hyspecnet` and `corpus` alone; other installed packages add kinds through entry points of the group
``lhic.datasets`` (docs/add_a_dataset.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lhic import extensions
from lhic.data import corpus, hyspecnet
from lhic.errors import BackendError, DatasetError, UsageError, one_line
from lhic.formats import load_cube

KINDS = ("bundled", "hyspecnet-11k", "corpus")  # those of this package
GROUP = "lhic.datasets"  # of the entry points
BUNDLED_SPLIT = "bundled/test"


@dataclass(frozen=True)
class Item:
    """One cube of a dataset.

    Attributes
    ----------
    name : unique in the dataset; stands in the rows
    path : the file
    sensor : for grouping rows, "unknown" where it is
    read : call that returns the samples
    read_metadata : call that returns what the file says about the cube
    converted : the array that `read` prefers to the file once a conversion has written it; None where there is no such
    nominal_nm : centre wavelengths that the sensor's bands should have, where the file does not say them; for display
    """

    name: str
    path: Path
    sensor: str
    read: Callable[[], np.ndarray] = field(repr=False)
    read_metadata: Callable[[], dict] = field(default=dict, repr=False)
    converted: Path | None = None
    nominal_nm: tuple[float, ...] | None = field(default=None, repr=False)

    def load(self) -> np.ndarray:
        """The samples, (S, H, W), integers."""
        return self.read()

    def metadata(self) -> dict:
        """What the file says about the cube, with the keys of docs/format.md, section 2; often nothing."""
        return self.read_metadata()


def kinds() -> tuple[str, ...]:
    """Names of all kinds of dataset, those of other installed packages last."""
    return (*KINDS, *(name for name in extensions.find(GROUP) if name not in KINDS))


def check_kind(name: str) -> None:
    """`UsageError` unless there is such a kind."""
    if name not in kinds():
        raise UsageError(f"expected one of {', '.join(kinds())}")


def open_dataset(
    kind: str, root: str | os.PathLike | None = None, split: str | None = None, clip: bool = False
) -> list[Item]:
    """List the cubes of a dataset; none is read yet.

    Parameters
    ----------
    kind : str
        "bundled": the HySpecNet-11k patch of the repository; "hyspecnet-11k": the dataset under `root`;
        "corpus": every .npy file in the folder `root`; or a kind that another package offers.
    root : path
        Not used for "bundled".
    split : str, optional
        For "hyspecnet-11k": "easy/test", "hard/train", ...; without it, every patch found. Kinds of other
        packages may have splits of their own.
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
        return _foreign_items(kind, root, split, clip)
    if kind != "hyspecnet-11k" and split is not None:
        raise UsageError(f"dataset {kind}: expected no split, found {split!r}")
    if kind == "bundled":
        patches = hyspecnet.read_split(hyspecnet.bundled_root(), BUNDLED_SPLIT)
    elif root is None:
        raise UsageError(f"dataset {kind}: expected a root folder, found none")
    elif kind == "corpus":
        return [_cube_item(path, clip) for path in corpus.find_cubes(root)]
    else:
        patches = hyspecnet.read_split(root, split) if split else hyspecnet.find_patches(root)
    return [_patch_item(patch, clip) for patch in patches]


def check_converted(items: Sequence[Item]) -> None:
    """See that of cubes that can be converted all are, or none, and that their arrays are whole.

    Both give the same samples, but a conversion that stopped half-way is a sign that somebody meant to go on, and
    times of reading would differ.

    Raises
    ------
    DatasetError
    """
    arrays = [(item.name, item.converted) for item in items if item.converted is not None]
    there = [path for _, path in arrays if path.exists()]
    if there and len(there) < len(arrays):
        first = next(name for name, path in arrays if not path.exists())
        raise DatasetError(
            f"{len(there)} of {len(arrays)} cubes are converted, the first that is not: {first}; convert the others "
            "(HySpecNet-11k: invoke data), or remove the arrays"
        )
    for path in there:
        try:
            np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise DatasetError(f"{path}: expected a whole array, found {one_line(error)}; convert it again") from error


def _foreign_items(kind: str, root: str | os.PathLike | None, split: str | None, clip: bool) -> list[Item]:
    offered = extensions.find(GROUP)
    if kind not in offered:
        raise UsageError(f"dataset: expected one of {', '.join((*KINDS, *offered))}, found {kind!r}")
    items = offered[kind].call(None if root is None else Path(root), split)
    if not isinstance(items, list) or not items or not all(isinstance(item, Item) for item in items):
        raise BackendError(f"{GROUP}: {kind}: expected a list of lhic.data.Item, found {items!r:.60}")
    return [replace(item, read=_clipped(item.read)) for item in items] if clip else items


def _patch_item(patch: hyspecnet.Patch, clip: bool) -> Item:
    return Item(
        patch.name,
        patch.tif,
        "EnMAP",
        lambda: hyspecnet.load_patch(patch, clip),
        lambda: hyspecnet.read_metadata(patch.tif),
        patch.array_path(clip),
        hyspecnet.NOMINAL_NM,
    )


def _cube_item(path: Path, clip: bool) -> Item:
    def read() -> np.ndarray:
        return load_cube(path)

    return Item(path.stem, path, corpus.guess_sensor(path.stem), _clipped(read) if clip else read)


def _clipped(read: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
    return lambda: np.clip(read(), *hyspecnet.CLIP_RANGE).astype(np.int32)
