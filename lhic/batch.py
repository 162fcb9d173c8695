"""Many files by one command: which they are, where each goes, what is done already, and a table of what was done.

Knows how one file is coded only as a function that it is given.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass

from lhic.errors import LhicError, UsageError, message_of, one_line

LHIC_SUFFIX = ".lhic"


@dataclass(frozen=True)
class Job:
    """A file, and the one that it becomes."""

    source: str
    target: str


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    status : done, skipped (done before), or failed
    n_bytes : of samples; stream_bytes : of the stream; n_samples, seconds : for the rate
    error : one line, if it failed
    """

    job: Job
    status: str
    n_bytes: int = 0
    stream_bytes: int = 0
    n_samples: int = 0
    seconds: float = 0.0
    error: str = ""


def jobs_of(
    paths: Sequence[str],
    find: Callable[[str], Iterator[str]],
    is_one: Callable[[str], bool],
    name_of: Callable[[str], str],
    out_dir: str | None,
) -> list[Job]:
    """A job for each file, in order; what lies in a folder keeps its place below `out_dir`.

    Parameters
    ----------
    find : all inputs below a folder
    is_one : whether a folder is an input itself
    name_of : target of an input, beside it

    Raises
    ------
    UsageError
        Two inputs have one target, or there is none at all.
    """
    jobs: dict[str, Job] = {}
    for path in paths:
        is_tree = os.path.isdir(path) and not is_one(path)
        if not is_tree and not os.path.lexists(path):  # before any of the others is begun
            raise UsageError(f"{path}: expected a file or a folder, found nothing there")
        for source in find(path) if is_tree else [path]:
            target = name_of(source)
            if out_dir is not None:
                below = os.path.relpath(target, path) if is_tree else os.path.basename(target)
                target = os.path.join(out_dir, below)
            known = jobs.get(os.path.realpath(target))
            if known is None:
                jobs[os.path.realpath(target)] = Job(source, target)
            elif not _are_one(known.source, source):
                raise UsageError(f"{target}: expected one file that becomes it, found {known.source} and {source}")
    if not jobs:
        raise UsageError(f"{', '.join(paths)}: expected files, found none")
    return list(jobs.values())


def _are_one(first: str, second: str) -> bool:
    """Whether two names are those of one cube: a header and its samples."""
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    headers = [name for name in (first, second) if name.lower().endswith(".hdr")]
    samples = second if headers == [first] else first
    return len(headers) == 1 and os.path.splitext(headers[0])[0] in (samples, os.path.splitext(samples)[0])


def run(jobs: Sequence[Job], work: Callable[[Job], Outcome], n_jobs: int) -> Iterator[Outcome]:
    """What became of each job, as it is known; several at a time in processes of their own.

    work : can be pickled if `n_jobs` is above 1; whatever it raises fails its job alone
    """
    if n_jobs <= 1 or len(jobs) == 1:
        yield from (attempt(work, job) for job in jobs)
        return
    # A fresh interpreter each: libraries of file formats do not survive a fork, nor threads in one process.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n_jobs, len(jobs)), mp_context=context, initializer=_end_by_signals)
    try:
        waiting: dict[Future, Job] = {pool.submit(attempt, work, job): job for job in jobs}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                job = waiting.pop(future)
                error = future.exception()  # the process was killed
                yield failed(job, error) if error else future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        for process in multiprocessing.active_children():
            process.join()


def _end_by_signals() -> None:
    """A worker that is ended cleans up; an interrupt is its parent's matter."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def attempt(work: Callable[[Job], Outcome], job: Job) -> Outcome:
    """The outcome, whatever `work` raises but what ends the process."""
    started = time.perf_counter()
    try:
        return work(job)
    except Exception as error:  # of a library, too; the other files shall be done
        return failed(job, error, time.perf_counter() - started)


def failed(job: Job, error: BaseException | None, seconds: float = 0.0) -> Outcome:
    """That of a job which ended in an error."""
    if isinstance(error, LhicError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.filename or job.source}: {error.strerror or error}"
    else:
        text = f"{job.source}: {one_line(error) if error else 'no reason known'}"
    return Outcome(job, "failed", seconds=seconds, error=text)


def is_done(job: Job) -> bool:
    """Whether the target is there, and younger than its source: files appear only when they are complete.

    A source that is its own target was never done: what is wrong with it, doing it tells.
    """
    try:
        source, target = os.stat(job.source), os.stat(job.target)
        return target.st_mtime >= source.st_mtime and not os.path.samestat(source, target)
    except OSError:
        return False


def table(outcomes: Sequence[Outcome]) -> str:
    """One line for each file, and their sum."""
    lines = [("file", "", "samples", "bytes", "ratio", "MS/s")]
    coded = [outcome for outcome in outcomes if outcome.status == "done"]
    for outcome in outcomes:
        lines.append(_row(outcome.job.target, outcome.status, [outcome] if outcome in coded else []))
    counts = [f"{len([o for o in outcomes if o.status == s])} {s}" for s in ("done", "skipped", "failed")]
    lines.append(_row("total", ", ".join(counts), coded))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _row(name: str, status: str, coded: Sequence[Outcome]) -> tuple[str, str, str, str, str, str]:
    name = message_of(name)
    if not coded:
        return name, status, "", "", "", ""
    n_bytes, stream_bytes = sum(o.n_bytes for o in coded), sum(o.stream_bytes for o in coded)
    n_samples = sum(o.n_samples for o in coded)
    rate = n_samples / max(sum(o.seconds for o in coded), 1e-9) / 1e6
    return name, status, f"{n_samples:,}", f"{stream_bytes:,}", f"{n_bytes / stream_bytes:.2f}", f"{rate:.2f}"
