"""Many files by one command: which they are, where each goes, what becomes of each, and a table of that.

Knows how one file is coded only as a function that it is given.
"""

from __future__ import annotations

import errno
import multiprocessing.util
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from threading import Thread

from lhic.errors import BackendError, LhicError, UsageError, message_of, one_line
from lhic.io.atomic import remove_partial

END_S = 1.5  # workers that have not ended by themselves by then are killed


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
) -> tuple[list[Job], list[Outcome]]:
    """A job for each file, in order, and what failed already; what lies in a folder keeps its place below `out_dir`.

    A folder that cannot be read fails, and so do files that would become one.

    Parameters
    ----------
    find : all inputs below a folder
    is_one : whether a folder is an input itself
    name_of : target of an input, beside it

    Raises
    ------
    UsageError
        Nothing is at one of the paths, or there is no input at all.
    """
    for path in paths:
        if not os.path.lexists(path):  # before any of the others is looked into
            raise UsageError(f"{path}: expected a file or a folder, found nothing there")
    by_target: dict[str, list[Job]] = {}
    lost: list[Outcome] = []
    for path in paths:
        is_tree = os.path.isdir(path) and not is_one(path)
        if is_tree:
            lost += _closed_folders(path, is_one)
        for source in find(path) if is_tree else [path]:
            target = name_of(source)
            if out_dir is not None:
                below = os.path.relpath(target, path) if is_tree else os.path.basename(target)
                target = os.path.join(out_dir, below)
            rivals = by_target.setdefault(os.path.realpath(target), [])
            if not any(_are_one(known.source, source) for known in rivals):
                rivals.append(Job(source, target))
    for rivals in by_target.values():
        for job in rivals if len(rivals) > 1 else []:
            others = " and ".join(other.source for other in rivals if other is not job)
            error = f"{job.source}: expected no other file that becomes {job.target}, found {others}"
            lost.append(failed(job, UsageError(error)))
    if not by_target and not lost:
        raise UsageError(f"{', '.join(paths)}: expected files, found none")
    return [rivals[0] for rivals in by_target.values() if len(rivals) == 1], lost


def _closed_folders(tree: str, is_one: Callable[[str], bool]) -> Iterator[Outcome]:
    """Folders of a tree that cannot be listed or entered: walking through it passes over them."""
    errors: list[OSError] = []
    for place, folders, _ in os.walk(tree, onerror=errors.append):
        folders[:] = [name for name in folders if not is_one(os.path.join(place, name))]
        if not os.access(place, os.X_OK):
            errors.append(PermissionError(errno.EACCES, os.strerror(errno.EACCES), place))
    for error in errors:
        folder = os.fspath(error.filename or tree)
        yield failed(Job(folder, folder), error)


def _are_one(first: str, second: str) -> bool:
    """Whether two names are those of one cube: a header and its samples."""
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    headers = [name for name in (first, second) if name.lower().endswith(".hdr")]
    samples = second if headers == [first] else first
    return len(headers) == 1 and os.path.splitext(headers[0])[0] in (samples, os.path.splitext(samples)[0])


def run(jobs: Sequence[Job], work: Callable[[Job], Outcome], n_jobs: int) -> Iterator[Outcome]:
    """What became of each job, as it is known; several at a time in processes of their own.

    A process that dies costs the job that it had begun, which fails; another takes its place.  Whoever stops early,
    by an exception or by closing the iterator, ends all processes: no job begins any more, those that have begun end
    within `END_S`, and nothing is half-written.

    work : can be pickled if `n_jobs` is above 1; whatever it raises fails its job alone
    """
    if n_jobs <= 1 or len(jobs) == 1:
        yield from (attempt(work, job) for job in jobs)
        return
    waiting, idle, busy = deque(jobs), list[_Worker](), list[_Worker]()
    try:
        while waiting or busy:
            while waiting and len(busy) < n_jobs:
                worker = idle.pop() if idle else _Worker(work)
                busy.append(worker)
                worker.begin(waiting.popleft())
            ready = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in ready]:
                busy.remove(worker)
                outcome = worker.outcome()
                if worker.process.is_alive():
                    idle.append(worker)
                yield outcome
    finally:
        _end([worker.process for worker in (*idle, *busy)])


class _Worker:
    """A process that does one job after the other.

    It is a fresh interpreter: libraries of file formats do not survive a fork, nor threads in one process.  The
    standard library's pools are not used because their workers cannot be ended in the middle of a job, and because
    all jobs fail with them when one worker dies.
    """

    def __init__(self, work: Callable[[Job], Outcome]):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _interrupts_held_back():
            self.process.start()
        theirs.close()  # so that what is read here ends with the process

    def begin(self, job: Job) -> None:
        self.job = job
        with suppress(OSError):  # it is dead, which its outcome tells
            self.connection.send(job)

    def outcome(self) -> Outcome:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return failed(self.job, BackendError(f"{self.job.source}: expected its process to live, found {how}"))


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that are started meanwhile are never interrupted: that is their parent's matter."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Callable[[Job], Outcome]) -> None:
    """Do the jobs that come, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_when_told()
    with suppress(EOFError, OSError):
        while True:
            connection.send(attempt(work, connection.recv()))


def _end_when_told() -> None:
    """At SIGTERM and SIGHUP the process ends at once, in whatever kernel or library it is, and leaves nothing behind.

    An exception would have to wait for the main thread to come back to Python.  So a thread waits for the signal; the
    handler only has it written into the socket.
    """
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.detach())

    def end() -> None:
        number = told.recv(1)[0]
        remove_partial()
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # libraries have taken semaphores
        os._exit(128 + number)

    Thread(target=end, daemon=True).start()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, lambda number, frame: None)


def _end(processes: Sequence[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + END_S
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0))
        if process.is_alive():
            process.kill()
            process.join()


def attempt(work: Callable[[Job], Outcome], job: Job) -> Outcome:
    """The outcome, whatever `work` raises but what ends the process."""
    started = time.perf_counter()
    try:
        return work(job)
    except Exception as error:  # of a library, too; the other files shall be done
        return failed(job, error, time.perf_counter() - started)


def failed(job: Job, error: BaseException, seconds: float = 0.0) -> Outcome:
    """That of a job which ended in an error."""
    if isinstance(error, LhicError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.filename or job.source}: {error.strerror or error}"
    else:
        text = f"{job.source}: {one_line(error)}"
    return Outcome(job, "failed", seconds=seconds, error=text)


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
