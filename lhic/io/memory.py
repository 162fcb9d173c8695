"""How much memory there is for samples: the least of what the machine has, control groups allow and limits leave."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

from lhic.errors import MemoryBudgetError, UsageError

DEFAULT_MEMORY_SHARE = 0.8


def memory_budget(wanted: int | None = None) -> int:
    """Bytes one call may use for samples: `wanted`, else ``LHIC_MEMORY_BUDGET``, else 80 % of the free memory.

    Raises
    ------
    UsageError
        What is set is not a positive number.
    """
    name, setting = (
        ("memory_budget", wanted)
        if wanted is not None
        else ("LHIC_MEMORY_BUDGET", os.environ.get("LHIC_MEMORY_BUDGET"))
    )
    if setting is None:
        return int(free_memory() * DEFAULT_MEMORY_SHARE)
    try:
        budget = int(setting)
    except (TypeError, ValueError, OverflowError):
        budget = 0
    if budget <= 0:
        raise UsageError(f"{name}: expected a positive number of bytes, found {setting!r}")
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
    budget = memory_budget(budget)
    if n_bytes > budget:
        raise MemoryBudgetError(
            f"{what}: expected {holds} to need at most {budget:,} bytes of memory (LHIC_MEMORY_BUDGET), "
            f"found {n_bytes:,}"
        )


def free_memory() -> int:
    """Bytes that this process can still take before the system swaps, refuses, or ends it."""
    free = [psutil.virtual_memory().available, *control_group_memory()]
    if resource is not None:
        address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
        if address_space != resource.RLIM_INFINITY:
            free.append(address_space - psutil.Process().memory_info().vms)
    return max(min(free), 0)


def control_group_memory(root: Path = Path("/")) -> Iterator[int]:
    """Bytes that are left under each limit of Linux's control groups, versions 1 and 2, on this process.

    Of its own groups and of all above them: a job's limit is often set on a group that holds others.

    root : where ``proc`` and ``sys`` are
    """
    paths: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)  # version 2 names no controllers
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, file_system = line.partition(" - ")
        kind, *_, options = file_system.split(" ")
        if kind == "cgroup2":
            group, names = paths.get(""), ("memory.max", "memory.current", "")
        elif kind == "cgroup" and "memory" in options.split(","):
            group, names = paths.get("memory"), ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        if group is not None:
            mounted, at = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), text) for text in mount.split()[3:5])
            top = root / at.lstrip("/")
            below = Path(group).relative_to(mounted) if Path(group).is_relative_to(mounted) else Path()
            for folder in (top / below, *(top / part for part in below.parents)):
                yield from _left_in_group(folder, *names)


def _left_in_group(folder: Path, limit_name: str, used_name: str, prefix: str) -> Iterator[int]:
    limit, used = (next(iter(_lines(folder / name)), "max") for name in (limit_name, used_name))
    if "max" not in (limit, used):
        # What was read from files counts as used, but goes when memory is needed.
        cached = dict(line.split() for line in _lines(folder / "memory.stat"))
        files = sum(int(cached.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
        yield int(limit) - int(used) + files


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # not on this system, or not for us
        return []
