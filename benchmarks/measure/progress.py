"""How far a run of measurements is, on standard error: items done, what is measured now, and how long the rest takes.

Decides the estimate: an item costs what its codec has cost a sample so far, so that one slow codec or large cube that
is left counts as what it is.  Knows nothing of cubes, rows and workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType

import pandas as pd
from tqdm import tqdm


class Rest:
    """Seconds that the outstanding items will take.

    Parameters
    ----------
    items : (codec, device, number of samples) of each outstanding item
    parallel : from device to the number of items that run there at the same time
    before : rows of earlier runs, whose `item_s` say what codecs cost; None: nothing is known yet
    """

    def __init__(self, items: Iterable[tuple[str, str, int]], parallel: Mapping[str, int], before: pd.DataFrame | None):
        self._left: Counter[tuple[str, str]] = Counter()  # samples
        self._seconds: Counter[tuple[str, str]] = Counter()
        self._samples: Counter[tuple[str, str]] = Counter()
        self._parallel = parallel
        for codec, device, n_samples in items:
            self._left[codec, device] += n_samples
        if before is not None:
            timed = before[before["item_s"].notna() & before["n_samples"].notna() & (before["error"] == "")]
            for row in timed.itertuples():
                self._learn((row.codec, row.device), row.n_samples, row.item_s)

    def finished(self, codec: str, device: str, n_samples: int, item_s: float | None) -> None:
        """Take an item off the list; `item_s` is None when it was not measured."""
        self._left[codec, device] -= n_samples
        if item_s is not None:
            self._learn((codec, device), n_samples, item_s)

    def _learn(self, kind: tuple[str, str], n_samples: int, item_s: float) -> None:
        self._samples[kind] += n_samples
        self._seconds[kind] += item_s

    def seconds(self) -> tuple[float, bool]:
        """Seconds left, and whether more are to be expected because some codec has not been measured yet."""
        left = {kind: n for kind, n in self._left.items() if n > 0}
        of_device: Counter[str] = Counter()
        for kind, n_samples in left.items():
            if self._samples[kind]:
                of_device[kind[1]] += n_samples * self._seconds[kind] / self._samples[kind]
        each = [seconds / max(1, self._parallel.get(device, 1)) for device, seconds in of_device.items()]
        return max(each, default=0.0), any(not self._samples[kind] for kind in left)

    def __str__(self) -> str:
        seconds, more = self.seconds()
        if more and not seconds:
            return "not known yet"
        return ("at least " if more else "") + tqdm.format_interval(seconds)


class Progress:
    """A bar for a run of measurements; use it in a ``with`` block.

    Parameters
    ----------
    total : number of items
    rest : of the outstanding ones
    show : False: no bar, but `n_done` and `n_failed` all the same
    """

    def __init__(self, total: int, rest: Rest, show: bool = True):
        self.n_done = self.n_failed = 0
        self._rest = rest
        layout = "{desc}: {n_fmt}/{total_fmt} |{bar}| {elapsed}{postfix}"
        self._bar = tqdm(total=total, desc="measure", bar_format=layout, disable=not show)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._bar.leave = kind is None
        self._bar.close()

    def started(self, what: str) -> None:
        """Say what is measured now; may be called from any thread."""
        self._bar.set_description_str(what)

    def kept(self) -> None:
        """Count an item that was there already."""
        self._bar.update()
        self.n_done += 1

    def finished(self, codec: str, device: str, n_samples: int, item_s: float | None, failed: bool) -> None:
        """Count an item, and learn from it what the others will cost."""
        self._rest.finished(codec, device, n_samples, item_s)
        self.n_failed += failed
        self.kept()
        self._bar.set_postfix_str(f"rest {self._rest}" + (f", {self.n_failed} failed" if self.n_failed else ""))
