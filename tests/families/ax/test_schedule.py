"""The schedule of blocks: what waits for what, who reports, and how a run ends."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lhic
from lhic.families.ax import schedule
from lhic.families.ax.schedule import AHEAD, Group, Schedule, block_steps, groups_at_once, run_groups
from lhic.families.ax.spec import PLANE_LAG
from lhic.families.ax.wavefront import n_waves


def groups_of(n: int, run, planes: int = 2) -> list[Group]:
    """n groups of so many planes; run : called with the group's number and its steps."""
    return [Group(planes * g, planes * (g + 1), lambda a, b, g=g: run(g, a, b)) for g in range(n)]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_step_runs_once_and_after_what_it_needs(n_threads):
    shape, lock = (4, 60), threading.Lock()
    n_steps = n_waves(*shape) + PLANE_LAG
    done = {g: 0 for g in range(12)}

    def run(g, begin, end):
        with lock:
            assert begin == done[g]
            if g:  # the last plane of the group before is ahead of the first of this one, or done
                assert done[g - 1] >= min(end - 1 + AHEAD + PLANE_LAG + 1, n_steps)
            unfinished = [k for k in done if done[k] < n_steps]
            assert g < unfinished[0] + groups_at_once(n_threads)
        time.sleep(0.0005)
        with lock:
            done[g] = end

    reported = []
    run_groups([(shape, groups_of(12, run))], n_threads, lambda tile, group: reported.append(group.first))
    assert set(done.values()) == {n_steps}
    assert sorted(reported) == [2 * g for g in range(12)]


def test_reports_come_from_the_thread_that_called():
    callers = set()
    tiles = [((3, 9), groups_of(4, lambda *_: time.sleep(0.001))) for _ in range(3)]
    run_groups(tiles, 4, lambda tile, group: callers.add((tile, threading.get_ident())))
    assert callers == {(tile, threading.get_ident()) for tile in range(3)}


def test_no_more_threads_than_groups_that_can_run(monkeypatch):
    started = []
    monkeypatch.setattr(schedule.threading.Thread, "start", lambda thread: started.append(thread))
    run_groups([((3, 9), groups_of(2, lambda *_: None))], 64, lambda tile, group: None)
    assert len(started) == 1


@pytest.mark.parametrize("where", ["block", "report"])
def test_after_an_error_no_block_begins_and_nothing_is_reported(where):
    begun, reported = [], []

    def run(g, begin, end):
        begun.append(g)
        if where == "block" and len(begun) == 5:
            raise KeyboardInterrupt
        time.sleep(0.002)

    def done(tile, group):
        reported.append(group)
        if where == "report":
            raise KeyboardInterrupt

    before = threading.active_count()
    tiles = [((3, 40), groups_of(8, run)) for _ in range(20)]
    with pytest.raises(KeyboardInterrupt):
        run_groups(tiles, 4, done)
    n_begun, n_reported = len(begun), len(reported)
    time.sleep(0.05)
    assert (len(begun), len(reported)) == (n_begun, n_reported)
    assert threading.active_count() == before
    assert n_begun < 100  # of more than 160


def test_effort_is_linear_in_groups(monkeypatch):
    asked = []
    take = schedule._Tile._take
    monkeypatch.setattr(schedule._Tile, "_take", lambda tile, g: asked.append(g) or take(tile, g))
    for n in (500, 1000):
        asked.clear()
        run_groups([((1, 2), groups_of(n, lambda *_: None, planes=64))], 2, lambda tile, group: None)
        n_blocks = n * -(-(n_waves(1, 2) + PLANE_LAG * 63) // block_steps(2))
        assert len(asked) <= 3 * n_blocks


def test_an_empty_run_ends():
    run_groups([], 3, None)
    run_groups([((2, 2), [])], 3, None)
    assert not Schedule([((2, 2), [])], 1).failure


def test_many_callers_at_once():
    """As Dask's threads do; each has its own threads, and its own streams."""
    rng = np.random.default_rng(3)
    cubes = [rng.integers(0, 50 + k, (5, 9, 8)).astype("int16") for k in range(12)]
    alone = [lhic.encode(cube, threads=1) for cube in cubes]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(lambda cube: lhic.encode(cube, threads=3), cubes)) == alone
        again = list(pool.map(lambda stream: lhic.decode(stream, threads=2), alone))
    assert all((a == b).all() for a, b in zip(again, cubes, strict=True))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal for one process")
def test_an_interrupt_stops_at_once():
    code = """
import signal, sys, time
import numpy as np
import lhic
signal.signal(signal.SIGINT, signal.default_int_handler)
cube = np.random.default_rng(0).integers(0, 3000, (60, 128, 128)).astype("int16")
lhic.encode(cube[:2, :8, :8])  # compiles
calls = []
def progress(n):
    calls.append(time.monotonic())
    if len(calls) == 1:
        print("begun", flush=True)
try:
    lhic.encode(cube, threads=3, progress=progress)
except KeyboardInterrupt:
    n = len(calls)
    time.sleep(0.5)
    print("interrupted", len(calls) - n, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted 0\n"
    assert process.returncode == 0
