"""What lhic-ax does with a cube (`lhic.train.ax.view`), as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.measure.provenance import REPOSITORY
from lhic.train.ax import View


def bits_of_bands(seen: View, n_bands: int) -> np.ndarray:
    """Ideal bits of each band, float64 (n_bands,); 0 for bands without coded samples."""
    return np.bincount(seen.band, seen.bits, n_bands)


def blend_by_band(seen: View) -> pd.DataFrame:
    """Mean blend weight of each expert (columns) in each band that has coded samples (lines)."""
    return pd.DataFrame(seen.blend, columns=list(seen.experts)).groupby(pd.Series(seen.band, name="band")).mean()


def component_table(seen: View) -> pd.DataFrame:
    """One line a component: mean weight, share of samples in which it is the heaviest, its mean place and width.

    The last component is the sample of a neighbour whose spectrum the pixel repeats; it has no width.

    Means of place (in expected errors from the base prediction) and width (the logistic's scale as a multiple of the
    expected error, geometric mean) are weighted by the component's weight.
    """
    heaviest = seen.weight.argmax(axis=1)
    total = seen.weight.sum(axis=0, dtype=np.float64)
    logistics, safe = seen.weight[:, :-1], np.maximum(total[:-1], 1e-12)
    place = (logistics * seen.mean).sum(axis=0, dtype=np.float64) / safe
    width = 2 ** ((logistics * seen.scale).sum(axis=0, dtype=np.float64) / safe)
    return pd.DataFrame(
        {
            "component": [*map(str, range(seen.mean.shape[1])), "repeat"],
            "mean weight": total / len(seen.weight),
            "heaviest in": np.bincount(heaviest, minlength=seen.weight.shape[1]) / len(heaviest),
            "place": [*place, np.nan],
            "width": [*width, np.nan],
        }
    )


def experiment(name: str) -> str:
    """Markdown table of ``results/<name>``, or a sentence that says that there is none."""
    path = REPOSITORY / "results" / name / "table.md"
    return path.read_text(encoding="utf-8") if path.is_file() else f"*results/{name} has no table here.*\n"
