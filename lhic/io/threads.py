"""How many threads a call may use."""

from __future__ import annotations

import os

from lhic.errors import UsageError


def n_threads(threads: int | None = None) -> int:
    """`threads` if given, else ``LHIC_THREADS`` if set, else the cores this process may use.

    Raises
    ------
    UsageError
        Not a whole number of at least 1.
    """
    if threads is not None:
        return _checked(threads, "threads")
    setting = os.environ.get("LHIC_THREADS")
    if setting is not None:
        return _checked(int(setting) if setting.isdecimal() else setting, "LHIC_THREADS")
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _checked(value: object, name: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise UsageError(f"{name}: expected a number of threads of at least 1, found {value!r}")
    return int(value)
