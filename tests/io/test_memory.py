"""How much memory there is."""

import pytest

from lhic.errors import MemoryBudgetError, UsageError
from lhic.io.memory import check_memory


def test_memory_budget(monkeypatch):
    check_memory(6000, "cube", "a tile", budget=6000)
    with pytest.raises(MemoryBudgetError, match=r"a tile to need at most 5,999 bytes of memory .*found 6,000"):
        check_memory(6000, "cube", "a tile", budget=5999)
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "lots")
    with pytest.raises(UsageError, match="lots"):
        check_memory(1, "cube", "a sample")
