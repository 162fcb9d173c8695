"""The part of one cube that a notebook looks at: which cube, how many rows, columns and bands of it.

Decides that a part which is not there is an error before any work: taking what there is instead would answer another
question.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.measure import provenance
from benchmarks.measure.measurement import choose
from lhic.data import Item, open_dataset
from lhic.errors import ConfigError


class Selection(NamedTuple):
    """A cube, and the part of it that was asked for.

    item : where it comes from
    whole : all samples, (S, H, W)
    cube : the first `max_bands` bands of the first `crop` rows and columns; zero or no such parameter: all
    """

    item: Item
    whole: np.ndarray
    cube: np.ndarray


def select(where: str, parameters: Mapping) -> Selection:
    """What a notebook's parameters choose: `dataset`, `root`, `split`, `cube_index`, `crop`, `max_bands` and `bands`.

    Raises
    ------
    ConfigError
        A parameter points beyond the dataset or the cube; the message begins with `where`.
    UsageError, DatasetError
        As `lhic.data.open_dataset`, or the cube cannot be read.
    """
    items = _items(parameters)
    index = parameters["cube_index"]
    if index >= len(items):
        _refuse(where, "cube_index", f"at most {len(items) - 1}, the last cube of {parameters['dataset']}", index)
    whole = _samples(items[index])
    n_bands, n_rows, n_columns = whole.shape
    of_cube = f"of {items[index].name[-24:]}"
    crop, max_bands = parameters.get("crop", 0), parameters.get("max_bands", 0)
    if crop > min(n_rows, n_columns):
        expected = (
            f"at most {min(n_rows, n_columns)}, the shorter side {of_cube} ({n_rows} x {n_columns}), or 0 for all"
        )
        _refuse(where, "crop", expected, crop)
    if max_bands > n_bands:
        _refuse(where, "max_bands", f"at most {n_bands}, the bands {of_cube}, or 0 for all", max_bands)
    _check_bands(where, "bands", parameters.get("bands", ()), n_bands, of_cube)
    cube = np.ascontiguousarray(whole[: max_bands or None, : crop or None, : crop or None])
    return Selection(items[index], whole, cube)


def check(where: str, parameters: Mapping) -> None:
    """Raise what a notebook would meet in its first cell, for those who run it later.

    Raises
    ------
    ConfigError, UsageError, DatasetError
        As `select`; or `colour_bands` are not bands of every cube that is shown.
    """
    if "cube_index" in parameters:
        select(where, parameters)
    if parameters.get("colour_bands"):
        every = [item for item in _items(parameters) if item.name not in parameters["exclude"]]
        for item in choose(every, parameters["n_cubes"], parameters["seed"]):
            check_colours(where, parameters["colour_bands"], len(_samples(item)), item.name)


def check_colours(where: str, colour_bands: tuple[int, int, int] | None, n_bands: int, cube: str) -> None:
    """Raise `ConfigError` unless a cube has these bands; None stands for bands that it has."""
    _check_bands(where, "colour_bands", colour_bands or (), n_bands, f"of {cube[-24:]}")


def _check_bands(where: str, name: str, bands: tuple[int, ...], n_bands: int, of_cube: str) -> None:
    beyond = [band for band in bands if band >= n_bands]
    if beyond:
        _refuse(where, name, f"at most {n_bands - 1}, the last band {of_cube}", beyond[0])


def _refuse(where: str, name: str, expected: str, found: int) -> None:
    raise ConfigError(f"{where}: parameter {name!r}: expected {expected}, found {found}")


def _items(parameters: Mapping) -> list[Item]:
    root = parameters["root"]
    return open_dataset(
        parameters["dataset"], None if root is None else provenance.REPOSITORY / root, parameters["split"]
    )


@functools.lru_cache(maxsize=1)  # a study checks several notebooks, most of which look at the same cube
def _samples(item: Item) -> np.ndarray:
    return item.load()
