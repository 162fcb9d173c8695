"""How many threads: what is asked for, what the environment says, or the cores of this process."""

import os
import threading
import time

import pytest

from lhic.errors import UsageError
from lhic.io.threads import n_threads, side_by_side


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


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_their_items(threads):
    def work(item):
        time.sleep(0.02 * (item == 0))
        return 10 * item

    assert side_by_side(work, range(7), threads) == [0, 10, 20, 30, 40, 50, 60]
    assert side_by_side(work, [], threads) == []


def test_work_is_shared_with_the_caller():
    both = threading.Barrier(2, timeout=20)
    found = side_by_side(lambda item: (both.wait(), threading.get_ident())[1], range(2), 2)
    assert len(set(found)) == 2 and threading.get_ident() in found


def test_the_first_error_is_raised_and_no_more_is_begun():
    begun = []

    def work(item):
        begun.append(item)
        if item == 1:
            time.sleep(0.05)
            raise ValueError(item)
        if item == 2:
            raise KeyError(item)
        if item > 2:
            time.sleep(0.2)

    with pytest.raises(ValueError, match="1"):
        side_by_side(work, range(50), 3)
    assert len(begun) < 8 and threading.active_count() < 50
