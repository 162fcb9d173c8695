"""How many threads: what is asked for, what the environment says, or the cores of this process."""

import os

import pytest

from lhic.errors import UsageError
from lhic.io.threads import n_threads


def test_the_argument_goes_before_the_environment_and_that_before_the_cores(monkeypatch):
    monkeypatch.delenv("LHIC_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 8}, raising=False)
    assert n_threads() == 3
    monkeypatch.setenv("LHIC_THREADS", "7")
    assert n_threads() == 7 and n_threads(2) == 2


@pytest.mark.parametrize("setting", ["", "0", "-1", "many", "2.5"])
def test_what_is_no_number_of_threads_is_told(setting, monkeypatch):
    monkeypatch.setenv("LHIC_THREADS", setting)
    with pytest.raises(UsageError, match=r"^LHIC_THREADS: expected a whole number of at least 1"):
        n_threads()
