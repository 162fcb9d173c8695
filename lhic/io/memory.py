"""How much memory there is for samples."""

from __future__ import annotations

import os

import psutil

from lhic.errors import MemoryBudgetError, UsageError

DEFAULT_MEMORY_SHARE = 0.8


def memory_budget() -> int:
    """Bytes one call may use for samples: ``LHIC_MEMORY_BUDGET`` if set, else 80 % of the machine's memory."""
    setting = os.environ.get("LHIC_MEMORY_BUDGET")
    if setting is None:
        return int(psutil.virtual_memory().total * DEFAULT_MEMORY_SHARE)
    try:
        budget = int(setting)
    except ValueError:
        budget = 0
    if budget <= 0:
        raise UsageError(f"LHIC_MEMORY_BUDGET: expected a positive number of bytes, found {setting!r}")
    return budget


def check_memory(n_bytes: int, what: str, holds: str, budget: int | None = None) -> None:
    """Refuse what would not fit, before anything of its size is allocated.

    Parameters
    ----------
    n_bytes : that will be in memory at a time
    what, holds : of the message: name of the input, and what it holds

    Raises
    ------
    MemoryBudgetError
        More than the budget, in bytes.
    """
    budget = memory_budget() if budget is None else budget
    if n_bytes > budget:
        raise MemoryBudgetError(
            f"{what}: expected {holds} to need at most {budget:,} bytes of memory (LHIC_MEMORY_BUDGET), "
            f"found {n_bytes:,}"
        )
