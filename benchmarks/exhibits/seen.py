"""Whether a codec's weights have seen a cube in training.

A rate on training data says little about the next scene, so no table or figure may show one unmarked.  Weights
files name the cubes they were trained on (``info["training_cubes"]``, SHA-256 as in the rows); a cube is recognised
by its samples, whatever it is called.  What this cannot know: crops and copies of a training scene with other
samples count as unseen.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from lhic import list_models

MARKS = {"seen": "†", "unknown": "‡"}
SENTENCES = {
    "seen": "† {} were training data of WEIGHTS.",
    "unknown": "‡ {} may have been training data of WEIGHTS.",
}
COLUMN = "training"  # of rows that `noted` returns


def training_cubes() -> dict[str, frozenset[str] | None]:
    """SHA-256 of the cubes that each model found was trained on, by the SHA-256 of its weights.

    None: the weights file does not say.
    """
    infos = {model.sha256: model.info for model in list_models()}
    return {
        sha256: frozenset(info["training_cubes"]) if "training_cubes" in info else None
        for sha256, info in infos.items()
    }


def seen(rows: pd.DataFrame, training: Mapping[str, frozenset[str] | None] | None = None) -> pd.Series:
    """What is known about each row's weights and cube.

    Parameters
    ----------
    rows : result rows, or some of those that `noted` returned, of which it is known already
    training : as `training_cubes` gives it, which is the default

    Returns
    -------
    Series of str, indexed like `rows`: ``not trained`` (a codec without weights), ``seen`` (the cube, in any of
    its forms, is among the training cubes), ``unseen``, or ``unknown`` (weights that are not found or do not name
    their training cubes; or only clipped samples are there, which are not those the weights file names).
    """
    if COLUMN in rows:
        return rows[COLUMN]
    training = training_cubes() if training is None else training
    keys = pd.MultiIndex.from_frame(rows[["dataset", "cube"]])
    hashes = rows.groupby(["dataset", "cube"])["cube_sha256"].agg(set).to_dict()
    measured = set(keys[(rows["form"] == "as-measured").to_numpy()])
    states = [
        _state(training, weights, hashes[key], key in measured) for weights, key in zip(rows["weights_hash"], keys)
    ]
    return pd.Series(states, index=rows.index, dtype=str)


def noted(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a further column that `seen` reads.

    To be taken before rows are chosen: whether clipped samples were seen is only known beside the measured ones.
    """
    return rows.assign(**{COLUMN: seen(rows)})


def _state(training: Mapping, weights_hash: str, cube_hashes: set[str], is_measured: bool) -> str:
    if not weights_hash:
        return "not trained"
    known = training.get(weights_hash)
    if known is None:
        return "unknown"
    if known & cube_hashes:
        return "seen"
    return "unseen" if is_measured else "unknown"


def marks(rows: pd.DataFrame, names: pd.Series) -> dict[str, str]:
    """Mark of each codec whose weights have seen, or may have seen, some of its cubes.

    Parameters
    ----------
    names : the codec's name in tables, one per row
    """
    states = seen(rows).groupby(names).agg(set)
    found = {
        name: next((MARKS[state] for state in MARKS if state in of_codec), "") for name, of_codec in states.items()
    }
    return {name: mark for name, mark in found.items() if mark}


def notes(rows: pd.DataFrame, names: pd.Series) -> str:
    """Sentences that explain the marks, one for all codecs of which it holds; ``""`` where nothing is marked."""
    rows = rows.assign(name=names, state=seen(rows))
    codecs: dict[str, list[str]] = {}
    for name, of_codec in rows[rows["state"] != "not trained"].groupby("name"):
        n_cubes = of_codec["cube"].nunique()
        for state, n_marked in of_codec[of_codec["state"].isin(MARKS)].groupby("state")["cube"].nunique().items():
            codecs.setdefault(SENTENCES[state].format(f"{n_marked} of {n_cubes} cubes"), []).append(name)
    return " ".join(sentence.replace("WEIGHTS", ", ".join(found)) for sentence, found in sorted(codecs.items()))


def unseen_only(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the cubes that no codec of the table has seen, or may have seen, in training."""
    doubtful = rows.loc[seen(rows).isin(MARKS), "cube"]
    return rows[~rows["cube"].isin(doubtful)]
