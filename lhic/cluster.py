"""Many files by the workers of a Dask cluster that exists: ``--scheduler tcp://host:8786``.

Files are handed out one by one, and what comes back is what `lhic.batch.run` gives.  Workers see the same files under
the same paths.  A worker that dies costs what it had begun: its files go to others.  After an interrupt no file is
begun; those that are, the workers complete.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import urlsplit

from lhic import batch
from lhic.batch import Job, Outcome
from lhic.errors import BackendError, LhicError, MemoryBudgetError, UsageError, message_of
from lhic.extras import needs
from lhic.io.memory import memory_budget

CONNECT_S = 10  # a scheduler that has not answered by then is taken for dead
RETRIES = 2  # of a file whose error may be its worker's: a full disk, a missing library
MEMORY_SHARE = 0.6  # of a worker's limit: Dask pauses workers at 0.8 of it, and kills them at 0.95
GPU = "GPU"  # the resource that a worker with a GPU offers: dask worker ... --resources GPU=1

Work = Callable[[argparse.Namespace, Job], Outcome]


def run(scheduler: str, jobs: Sequence[Job], work: Work, options: argparse.Namespace) -> Iterator[Outcome]:
    """What became of each job, as it is known.

    Parameters
    ----------
    scheduler : its address
    work : of options and a job; can be pickled. It may be asked twice: a worker may die before it tells what it did
    options : of the command; with ``--device cuda``, a file goes to a worker that offers the resource GPU. Unless
        ``threads`` says otherwise, a file is coded by one thread: Dask's workers do as many at a time as they have

    Raises
    ------
    UsageError
        Not an address.
    BackendError
        No scheduler answers there, or it went away.
    """
    with needs("cluster", "--scheduler"):
        from distributed import Client, as_completed
    parts = urlsplit(scheduler)
    if not parts.scheme or not parts.netloc:
        raise UsageError(f"--scheduler: expected an address such as tcp://host:8786, found {scheduler!r}")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told here
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        expected = f"an answer within {CONNECT_S} s"
        raise BackendError(f"--scheduler {scheduler}: expected {expected}, found {message_of(error)[:120]}") from error
    with client:
        resources = {GPU: 1} if options.device == "cuda" else {}
        _tell_of_workers(client, resources)
        running = {client.submit(_attempt, work, options, _absolute(job), **_how(resources)): job for job in jobs}
        try:
            ended = as_completed(list(running), loop=client.loop)
            for future in ended:
                if future.status in ("pending", "lost"):  # its worker died before it handed the outcome over
                    ended.add(future)
                    continue
                job = running[future]
                try:
                    outcome = _renamed(future.result(), job)  # waits for another worker if it is lost just now
                except CancelledError:
                    advice = "the same command again goes on where it stopped"
                    gone = f"--scheduler {scheduler}: expected it to stay, found it gone: {advice}"
                    raise BackendError(gone) from None
                except Exception as error:  # the job's own, or that too many workers died of it
                    outcome = batch.failed(job, error)
                del running[future]
                yield outcome
        finally:
            client.cancel(list(running))


def _how(resources: dict[str, int]) -> dict[str, Any]:
    return {"resources": resources or None, "retries": RETRIES, "pure": False}


def _tell_of_workers(client: Any, resources: dict[str, int]) -> None:
    """That nothing happens yet, and for want of what: more workers may come."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not any(all(worker["resources"].get(name, 0) >= n for name, n in resources.items()) for worker in workers):
        wanted = f"dask worker ... --resources {GPU}=1" if resources else "a worker"
        print(f"lhic: note: waiting for {wanted}: the cluster has none yet", file=sys.stderr)


def _absolute(job: Job) -> Job:
    return Job(os.path.abspath(job.source), os.path.abspath(job.target))


def _renamed(outcome: Outcome, job: Job) -> Outcome:
    return Outcome(**{**vars(outcome), "job": job})


def _attempt(work: Work, options: argparse.Namespace, job: Job) -> Outcome:
    """On a worker: what became of a job; what another worker may do better is raised, for Dask to try again."""
    try:
        return work(_share(options), job)
    except (BackendError, MemoryBudgetError):
        raise
    except LhicError as error:
        return batch.failed(job, error)


def _share(options: argparse.Namespace) -> argparse.Namespace:
    """The options, with threads and memory for one of the files that a worker does at a time."""
    from distributed import get_worker

    worker = get_worker()
    n_files = max(worker.state.nthreads, 1)
    limit = worker.memory_manager.memory_limit or 0
    memory = min(memory_budget(), int(MEMORY_SHARE * limit)) if limit else memory_budget()
    return argparse.Namespace(**{**vars(options), "threads": options.threads or 1, "memory_budget": memory // n_files})
