"""How many threads a call may use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from threading import Thread

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
    """What `work` makes of each item, by so many threads, the caller's among them.

    In the items' order; after an error no more are begun, and the first one in that order is raised.
    """
    left = deque(enumerate(items))
    found: list = [None] * len(items)
    errors: dict[int, BaseException] = {}

    def work_on() -> None:
        while left:
            try:
                number, item = left.popleft()
            except IndexError:  # another thread has taken it
                return
            try:
                found[number] = work(item)
            except BaseException as error:
                errors[number] = error
                left.clear()

    helpers = [Thread(target=work_on) for _ in range(min(n_threads, len(items)) - 1)]
    for helper in helpers:
        helper.start()
    work_on()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[min(errors)]
    return found
