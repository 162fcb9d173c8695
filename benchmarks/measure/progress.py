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

Kind = tuple[str, str]  # codec and device


class Rest:
    """Seconds that the outstanding items will take.

    Parameters
    ----------
    items : (codec, device, number of samples) of each outstanding item
    parallel : from device to the number of items that run there at the same time
    before : rows of this run that are there already
    elsewhere : rows of other runs, which count for codecs that this one has not measured yet
    """

    def __init__(
        self,
        items: Iterable[tuple[str, str, int]],
        parallel: Mapping[str, int],
        before: pd.DataFrame | None = None,
        elsewhere: pd.DataFrame | None = None,
    ):
        self._left: Counter[Kind] = Counter()  # samples
        for codec, device, n_samples in items:
            self._left[codec, device] += n_samples
        self._parallel = parallel
        self._here, self._elsewhere = _Cost(before), _Cost(elsewhere)

    def finished(self, codec: str, device: str, n_samples: int, item_s: float | None) -> None:
        """Take an item off the list; `item_s` is None when it was not measured."""
        self._left[codec, device] -= n_samples
        if item_s is not None:
            self._here.learn((codec, device), n_samples, item_s)

    def seconds(self) -> tuple[float, str]:
        """Seconds left, and how sure they are.

        ``""``: each codec that is left has been measured in this run; ``about``: or in another one, maybe with other
        options or on another machine; ``at least``: some codec has never been measured.
        """
        left = {kind: n_samples for kind, n_samples in self._left.items() if n_samples > 0}
        of_device: Counter[str] = Counter()
        sure = ""
        for kind, n_samples in left.items():
            if kind in self._here.samples:
                each = self._here.of(kind)
            elif kind in self._elsewhere.samples:
                each, sure = self._elsewhere.of(kind), sure or "about"
            else:
                each, sure = 0.0, "at least"
            of_device[kind[1]] += n_samples * each
        found = [seconds / max(1, self._parallel.get(device, 1)) for device, seconds in of_device.items()]
        return max(found, default=0.0), sure

    def __str__(self) -> str:
        seconds, sure = self.seconds()
        if sure == "at least" and not seconds:
            return "not known yet"
        return f"{sure} {tqdm.format_interval(seconds)}".strip()


class _Cost:
    """Seconds that items of a kind have cost, by sample."""

    def __init__(self, rows: pd.DataFrame | None):
        self.seconds: Counter[Kind] = Counter()
        self.samples: Counter[Kind] = Counter()
        if rows is not None:
            timed = rows[rows["item_s"].notna() & rows["n_samples"].notna() & (rows["error"] == "")]
            for row in timed.itertuples():
                self.learn((row.codec, row.device), row.n_samples, row.item_s)

    def learn(self, kind: Kind, n_samples: int, item_s: float) -> None:
        if n_samples:
            self.samples[kind] += n_samples
            self.seconds[kind] += item_s

    def of(self, kind: Kind) -> float:
        return self.seconds[kind] / self.samples[kind]


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
