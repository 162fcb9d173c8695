"""Workers of a scheduler that is there already: they are used, GPUs are asked for, and what they lack is told."""

import dataclasses
import logging
import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster, Scheduler, SpecCluster, Worker, get_worker

from benchmarks.measure import cluster, remote
from benchmarks.measure.bench import Request, bench
from benchmarks.measure.measurement import Options
from lhic.errors import BackendError

QUIET = {"processes": False, "dashboard_address": None, "silence_logs": logging.CRITICAL}
QUICK = Options(repeats=1, long_s=0, thread_modes=("one",), timeout_s=60)


@pytest.fixture
def scheduler():
    """A scheduler with three threads, one of them on a worker with the resource GPU."""
    workers = {"without": {"cls": Worker, "options": {"nthreads": 2, "name": "without"}}}
    workers["with a GPU"] = {"cls": Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}, "name": "with a GPU"}}
    options = {"dashboard": False, "host": "127.0.0.1"}
    with SpecCluster(workers, {"cls": Scheduler, "options": options}, silence_logs=logging.CRITICAL) as found:
        yield found


@pytest.fixture
def request_(tmp_path):
    np.save(tmp_path / "aviris_tiny.npy", np.arange(60, dtype="int16").reshape(3, 4, 5))
    return Request("corpus", str(tmp_path), None, ["aec-bands", "lerc"])


def test_rows_say_how_many_measurements_the_machine_ran(scheduler, request_, tmp_path):
    bench(request_, QUICK, tmp_path / "out", scheduler=scheduler.scheduler_address, progress=False)
    table = pd.read_parquet(tmp_path / "out" / "rows")
    assert table["error"].tolist() == ["", ""] and table["workers"].tolist() == [3, 3]


def test_tasks_for_a_gpu_run_where_there_is_one(scheduler):
    def where(number, gpu):
        return get_worker().name

    with cluster.connect(scheduler.scheduler_address, 0) as client:
        assert cluster.offers_gpu(client)
        tasks = [(number, number % 2 == 0) for number in range(12)]
        found = list(cluster.results(client, where, tasks, needs_gpu=lambda task: task[1]))
    assert sorted(task for task, _ in found) == tasks
    assert {name for (_, gpu), name in found if gpu} == {"with a GPU"}


def test_an_exception_is_the_result_of_its_task(scheduler):
    def invert(number):
        return 1 / number

    with cluster.connect(scheduler.scheduler_address, 0) as client:
        found = dict(cluster.results(client, invert, [(0,), (2,)], needs_gpu=lambda task: False))
    assert found[(2,)] == 0.5 and isinstance(found[(0,)], ZeroDivisionError)


def test_what_workers_lack_is_told_before_any_work(scheduler, request_, tmp_path, monkeypatch):
    def refused(message):
        with pytest.raises(BackendError, match=message):
            bench(request_, QUICK, tmp_path / "out", scheduler=scheduler.scheduler_address, progress=False)
        assert not (tmp_path / "out" / "environment.json").exists()

    versions = {"dataset": True, "aec-bands": remote.version({"error": "BackendError: no aec"}), "lerc": ()}
    monkeypatch.setattr(remote, "what_is_here", lambda path, codecs: versions)
    refused("expected aec-bands to be .*, found BackendError: no aec")
    monkeypatch.setattr(remote, "what_is_here", lambda path, codecs: {**versions, "dataset": False})
    refused(r"worker .*: expected to see .*aviris_tiny\.npy, found False")
    monkeypatch.setattr(remote, "what_is_here", lambda path, codecs: 1 / 0)
    refused("expected lhic and benchmarks to be installed, found ZeroDivisionError")


def test_a_gpu_that_no_worker_has_is_told(request_, tmp_path):
    options = Options(repeats=1, long_s=0, thread_modes=("one",), device="cuda")
    request_ = dataclasses.replace(request_, codecs=["tests.benchmarks.recorded_codecs:OnGpu"])
    with LocalCluster(n_workers=1, threads_per_worker=1, **QUIET) as found:
        with pytest.raises(BackendError, match="expected a worker with the resource GPU, found none"):
            bench(request_, options, tmp_path / "out", scheduler=found.scheduler_address)
    with LocalCluster(n_workers=0, **QUIET) as found:
        with pytest.raises(BackendError, match="expected at least one worker, found none"):
            bench(request_, QUICK, tmp_path / "out", scheduler=found.scheduler_address)


def test_a_scheduler_that_goes_away_is_told():
    with LocalCluster(n_workers=1, threads_per_worker=1, **QUIET) as found:
        threading.Timer(1, found.close).start()
        with (
            pytest.raises(BackendError, match="the scheduler went away"),
            cluster.connect(found.scheduler_address, 0) as client,
        ):
            list(cluster.results(client, time.sleep, [(0.2,)] * 50, needs_gpu=lambda task: False))


def _worker_and_process(number, folder):
    """The second time it takes long, so that whoever asks meanwhile finds it undone."""
    try:
        (folder / str(number)).touch(exist_ok=False)
    except FileExistsError:
        time.sleep(0.5)
    return get_worker().address, os.getpid()


def test_results_that_die_with_their_worker_are_computed_again(tmp_path):
    """A worker is ended that holds results which nobody has asked for yet."""
    tasks = [(number, tmp_path) for number in range(8)]
    with cluster.connect(None, 2) as client:
        client.wait_for_workers(2)
        running = cluster.results(client, _worker_and_process, tasks, needs_gpu=lambda task: False)
        first, (address, process) = next(running)
        while any(client.processing().values()):
            time.sleep(0.02)
        held = {key for key, workers in client.who_has().items() if address in workers}
        os.kill(process, signal.SIGKILL)
        while address in client.scheduler_info(n_workers=-1)["workers"]:
            time.sleep(0.02)
        rest = dict(running)
    assert held and {first, *rest} == set(tasks)
    assert all(found[1] != process for found in rest.values()), "the results are those of workers that live"
