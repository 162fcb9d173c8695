"""How many threads a call may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lhic.arguments import whole_number


def n_threads(threads: int | None = None) -> int:
    """`threads` if given, else ``LHIC_THREADS`` if set, else the cores this process may use.

    Raises
    ------
    UsageError
        Not a whole number of at least 1.
    """
    if threads is not None:
        return whole_number(threads, "threads", 1)
    setting = os.environ.get("LHIC_THREADS")
    if setting is not None:
        return whole_number(int(setting) if setting.isdecimal() else setting, "LHIC_THREADS", 1)
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(work: Callable, items: Sequence, n_threads: int) -> list:
    """What `work` makes of each item, by so many threads; in the items' order, and so is what it raises."""
    n_threads = min(n_threads, len(items))
    if n_threads < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(work, items))
