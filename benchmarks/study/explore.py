"""The study's codecs for the explorer of lhic: in notebooks, and by an entry point in ``lhic explore``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import lhic
from benchmarks.codecs import registry
from benchmarks.codecs.base import Codec
from lhic.data import open_dataset
from lhic.explore.coding import StandardCodec, own_codecs
from lhic.explore.cubes import of_item

if TYPE_CHECKING:
    from lhic.explore.app import Explorer


def codecs() -> dict[str, Callable[[], Codec]]:
    """Every codec of the registry."""
    return registry.factories()


def explorer(
    dataset: str, root: Path | None = None, split: str | None = None, names: Sequence[str] = (), crop: int = 0
) -> Explorer:
    """An explorer of a dataset's cubes.

    Parameters
    ----------
    dataset, root, split : as `lhic.data.open_dataset` takes them
    names : of the codecs to choose from, the first two are shown first; none: all there are
    crop : rows and columns in the middle of each cube to begin with; 0: all, or a part of a large cube

    Raises
    ------
    LhicError
        What opening the dataset raises, and for codecs that are not there.
    """
    from lhic.explore.app import Explorer  # Panel, which `codecs` does without

    known = {name: registry.find(name) for name in names} or codecs()
    known |= {name: make for name, make in own_codecs().items() if not names or name in names}
    first, second = (*names, *names)[:2] if names else (lhic.DEFAULT_MODEL, StandardCodec.name)
    return Explorer([of_item(item) for item in open_dataset(dataset, root, split)], known, first, second, crop)
