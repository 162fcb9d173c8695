"""Where many measurements run: Dask workers of this machine, or of a scheduler that is there already.

Decides how workers are started, that whatever is wrong with them is told before any work, and how results come
back one by one, a worker's death among them.  It knows nothing of cubes, codecs and rows.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from multiprocessing import resource_tracker
from urllib.parse import urlsplit

import dask
from distributed import Client, KilledWorker, Nanny, Scheduler, SpecCluster, as_completed

from lhic.errors import BackendError, UsageError, message_of

CONNECT_S = 5  # a scheduler that has not answered by then is taken for dead
IN_FLIGHT = 1024  # tasks known to the scheduler at the same time; a million would take it minutes and gigabytes
ATTEMPTS = 2  # workers that may die around a task before it has to run alone


@contextlib.contextmanager
def connect(scheduler: str | None, n_workers: int, n_gpus: int = 0) -> Iterator[Client]:
    """A client of the scheduler at an address, or of workers started for the occasion.

    Parameters
    ----------
    scheduler : ``tcp://host:port``; None starts a local one
    n_workers : worker processes of a local one, each with one thread
    n_gpus : the first so many local workers offer the resource GPU, each its own

    Raises
    ------
    UsageError
        Not an address.
    BackendError
        No scheduler answers there, or it has no workers.
    """
    # Workers hold next to nothing themselves, so the limits that Dask puts on their memory are not needed.
    settings = {"distributed.comm.timeouts.connect": f"{CONNECT_S}s", "distributed.logging.distributed": "critical"}
    settings |= {"distributed.scheduler.allowed-failures": ATTEMPTS - 1}
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            logging.getLogger("distributed").setLevel(logging.CRITICAL)
            with _interrupts_are_ours():
                cluster = stack.enter_context(_local_cluster(n_workers, n_gpus))
                client = stack.enter_context(Client(cluster))
            yield client
        else:
            client = stack.enter_context(_client(scheduler))
            _expect_workers(client, scheduler)
            yield client


@contextlib.contextmanager
def _interrupts_are_ours() -> Iterator[None]:
    """Threads and processes that are started here never see Ctrl-C, which a terminal sends to all of them at once.

    Each would print a traceback of its own.  They inherit the mask of signals; one that comes meanwhile is kept for
    the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # now, because it lifts the mask of the thread that starts it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _local_cluster(n_workers: int, n_gpus: int) -> SpecCluster:
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = given.split(",") if given else [str(i) for i in range(n_gpus)]

    def options(i: int) -> dict:
        gpu = {"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": gpus[i]}} if i < n_gpus else {}
        quiet = {"dashboard": False, "silence_logs": logging.CRITICAL}
        return {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", **quiet, **gpu}

    # Port 0 is any that is free: with the usual one, a second run beside this one is warned of.
    of_scheduler = {"dashboard": False, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    return SpecCluster(
        workers={i: {"cls": Nanny, "options": options(i)} for i in range(n_workers)},
        scheduler={"cls": Scheduler, "options": of_scheduler},
        silence_logs=logging.CRITICAL,
    )


def _client(address: str) -> Client:
    parts = urlsplit(address)
    if not parts.scheme or not parts.netloc:
        raise UsageError(f"scheduler: expected an address such as tcp://host:8786, found {address!r}")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = message_of(error)[:120]
        raise BackendError(f"scheduler {address}: expected an answer within {CONNECT_S} s, found {reason}") from error


def _expect_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        raise BackendError(f"scheduler {address}: expected at least one worker, found none") from error


def offers_gpu(client: Client) -> bool:
    """Whether any worker has the resource GPU."""
    return client.run_on_scheduler(_count_gpus) > 0


def _count_gpus(dask_scheduler: Scheduler) -> float:
    return sum(worker.resources.get("GPU", 0) for worker in dask_scheduler.workers.values())


def host_of(worker: str) -> str:
    """Machine of a worker's address."""
    return urlsplit(worker).hostname or worker


def threads_by_host(client: Client) -> Counter:
    """Measurements that can run at the same time, by machine."""
    threads: Counter = Counter()
    for worker, n_threads in client.nthreads().items():
        threads[host_of(worker)] += n_threads
    return threads


def parallel(client: Client, device: str) -> int:
    """Measurements that can run on a device at the same time."""
    return int(client.run_on_scheduler(_count_gpus)) if device == "cuda" else sum(client.nthreads().values())


def results(client: Client, function: Callable, tasks: Iterable[tuple], needs_gpu: Callable) -> Iterator[tuple]:
    """Call a function with each task's arguments on the workers; yields (task, result) as they finish.

    A task that raises has the exception for a result.  When a worker dies, another one gets its task; tasks that
    saw `ATTEMPTS` workers die run once more in the end, one after the other, because Dask cannot tell the task that
    killed a worker from those that waited there.

    Parameters
    ----------
    tasks : arguments of the function; must be picklable
    needs_gpu : of a task, whether it has to run on a worker with the resource GPU

    Raises
    ------
    BackendError
        The scheduler is gone.
    """
    suspects = []
    for task, result in _results(client, function, tasks, needs_gpu):
        if isinstance(result, KilledWorker):
            suspects.append(task)
        else:
            yield task, result
    for suspect in suspects:
        for task, result in _results(client, function, [suspect], needs_gpu):
            killed = isinstance(result, KilledWorker)
            yield task, BackendError("workers died of it, also when it ran alone") if killed else result


def _results(client: Client, function: Callable, tasks: Iterable[tuple], needs_gpu: Callable) -> Iterator[tuple]:
    waiting = iter(tasks)
    running: dict = {}
    finished = as_completed(loop=client.loop)

    def submit_next() -> None:
        for task in waiting:
            resources = {"GPU": 1} if needs_gpu(task) else None
            future = client.submit(function, *task, resources=resources, pure=False)
            running[future] = task
            finished.add(future)
            return

    for _ in range(IN_FLIGHT):
        submit_next()
    for future in finished:
        # Its worker died with the result, and another one has been given the task.
        if future.status in ("pending", "lost"):
            finished.add(future)
            continue
        try:
            result = future.result()  # waits for the other worker if the result is lost just now
        except CancelledError:
            gone = "the scheduler went away; start the same command again to go on where it stopped"
            raise BackendError(gone) from None
        except Exception as error:  # the task's own
            result = error
        yield running.pop(future), result
        submit_next()
