"""Files by two worker processes of a Dask cluster: workers may die, files may fail, and what is done stays done."""

import argparse
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from lhic import batch
from lhic.cli import main
from lhic.errors import BackendError, InvalidCubeError, UsageError
from tests.conftest import save_stored_models
from tests.formats.cubes import scene

distributed = pytest.importorskip("distributed")
from lhic import cluster  # noqa: E402


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """The address of a scheduler with two worker processes, which come again when they die."""
    models = tmp_path_factory.mktemp("workers") / "models"
    save_stored_models(models)
    options = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50, "resources": {"GPU": 1}, "memory_limit": "2GiB"}
    options |= {"preload": ["tests.stored_worker"], "env": {"LHIC_CKPT": str(models)}}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", **options
    ) as found:
        yield found


@pytest.fixture(autouse=True)
def fails_rather_than_hangs():
    """Without workers `run` waits for some."""

    def end(number, frame):
        raise AssertionError("nothing came back for five minutes")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def options_of(**changed):
    return argparse.Namespace(**{"force": False, "device": "auto", "threads": None, "memory_budget": None, **changed})


def jobs_in(folder, n):
    for number in range(n):
        (folder / f"{number}.in").write_text(str(number))
    return [batch.Job(str(folder / f"{number}.in"), str(folder / f"{number}.out")) for number in range(n)]


def copy(options, job):
    """Stands in for coding a file: tells what share of the worker it was given."""
    if os.path.exists(job.target) and not options.force:
        return batch.Outcome(job, "skipped")
    with open(job.source) as source, open(job.target, "w") as target:
        target.write(f"{source.read()} {options.threads} {options.memory_budget}")
    return batch.Outcome(job, "done", 1, 1, 1, 1.0)


def copy_and_die_once(options, job):
    """The worker of file 3 dies when it has written its output and told nobody yet."""
    outcome = copy(options, job)
    if job.source.endswith("3.in") and outcome.status == "done":
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome


def fail(options, job):
    """Bad data, and what is the fault of the place: the first time, or always."""
    name = os.path.basename(job.source)
    with open(job.source + ".tries", "a") as tries:
        tries.write("x")
    if name == "0.in":
        raise InvalidCubeError("bad data")
    if name == "1.in" and os.path.getsize(job.source + ".tries") == 1:
        raise OSError(28, "no space left", job.target)
    if name == "2.in":
        raise BackendError("no library")
    return batch.Outcome(job, "done", 1, 1, 1, 1.0)


def test_files_go_to_workers_with_their_share(two_workers, tmp_path):
    jobs = jobs_in(tmp_path, 6)
    found = list(cluster.run(two_workers.scheduler_address, jobs, copy, options_of()))
    assert {outcome.job for outcome in found} == set(jobs) and {outcome.status for outcome in found} == {"done"}
    number, threads, memory = (tmp_path / "4.out").read_text().split()
    assert number == "4" and int(threads) == 1 and 0 < int(memory) <= 0.6 * 2**31
    found = list(cluster.run(two_workers.scheduler_address, jobs, copy, options_of(force=True, threads=3)))
    assert (tmp_path / "4.out").read_text().split()[1] == "3"


def test_a_worker_that_dies_costs_what_it_had_begun(two_workers, tmp_path):
    jobs = jobs_in(tmp_path, 8)
    found = {o.job: o for o in cluster.run(two_workers.scheduler_address, jobs, copy_and_die_once, options_of())}
    assert set(found) == set(jobs)
    assert found[jobs[3]].status == "skipped", "it was done when its worker died"
    assert {outcome.error for outcome in found.values()} == {""}
    assert all((tmp_path / f"{number}.out").exists() for number in range(8))


def fetching_raises(monkeypatch, error):
    """The outcome of file 1 is lost for good between the news that it is there and its fetching."""
    fetch = distributed.Future.result

    def result(future, *arguments, **keywords):
        outcome = fetch(future, *arguments, **keywords)
        if outcome.job.source.endswith("1.in"):
            raise error
        return outcome

    monkeypatch.setattr(distributed.Future, "result", result)


def test_an_outcome_that_is_lost_while_it_is_fetched_fails_its_file_alone(two_workers, tmp_path, monkeypatch):
    jobs = jobs_in(tmp_path, 3)
    fetching_raises(monkeypatch, distributed.KilledWorker("a file", argparse.Namespace(address="tcp://gone"), 3))
    found = {o.job: o for o in cluster.run(two_workers.scheduler_address, jobs, copy, options_of())}
    assert [found[job].status for job in jobs] == ["done", "failed", "done"]
    assert found[jobs[1]].error.startswith(f"{jobs[1].source}: KilledWorker: ")


def test_an_outcome_that_is_cancelled_while_it_is_fetched_is_told(two_workers, tmp_path, monkeypatch):
    fetching_raises(monkeypatch, CancelledError())
    with pytest.raises(BackendError, match="expected it to stay, found it gone: the same command again goes on"):
        list(cluster.run(two_workers.scheduler_address, jobs_in(tmp_path, 3), copy, options_of()))


def test_what_another_worker_may_do_better_is_tried_again(two_workers, tmp_path):
    jobs = jobs_in(tmp_path, 4)
    found = {o.job: o for o in cluster.run(two_workers.scheduler_address, jobs, fail, options_of())}
    assert [found[job].status for job in jobs] == ["failed", "done", "failed", "done"]
    assert found[jobs[0]].error == "bad data" and found[jobs[2]].error == "no library"
    assert [len((tmp_path / f"{number}.in.tries").read_text()) for number in range(4)] == [1, 2, 3, 1]


def test_cuda_goes_where_a_gpu_is_offered(two_workers, tmp_path, monkeypatch, capsys):
    (job,) = jobs_in(tmp_path, 1)
    (found,) = cluster.run(two_workers.scheduler_address, [job], copy, options_of(device="cuda"))
    assert found.status == "done" and "waiting" not in capsys.readouterr().err
    monkeypatch.setattr(cluster, "GPU", "no such thing")
    running = cluster.run(two_workers.scheduler_address, [job], copy, options_of(device="cuda", force=True))

    def wait():
        with contextlib.suppress(BackendError):  # the scheduler ends with the tests
            next(running, None)

    threading.Thread(target=wait, daemon=True).start()
    for _ in range(100):
        if err := capsys.readouterr().err:
            break
        time.sleep(0.1)
    assert "waiting for dask worker ... --resources no such thing=1" in err


@pytest.mark.parametrize("address", ["host:8786", "nonsense", "tcp://"])
def test_what_is_no_address_is_refused(address, tmp_path):
    with pytest.raises(UsageError, match="expected an address such as tcp://host:8786"):
        list(cluster.run(address, jobs_in(tmp_path, 1), copy, options_of()))


def test_a_scheduler_that_is_not_there_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    np.save(tmp_path / "a.npy", scene())
    assert main(["encode", str(tmp_path / "a.npy"), "--scheduler", "tcp://127.0.0.1:9"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("lhic: error: --scheduler tcp://127.0.0.1:9: expected an answer within 1 s, found")
    assert main(["encode", str(tmp_path / "a.npy"), "--scheduler", "tcp://127.0.0.1:9", "--jobs", "2"]) == 2


def test_a_folder_there_and_back_though_a_worker_is_killed(stored_models, two_workers, tmp_path, capsys, monkeypatch):
    """The command line, relative paths, a worker that is killed in the middle, and a file that is damaged."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(24):
        np.save(folder / f"{number}.npy", np.tile(scene() + np.int16(number), (1, 2, 2)))
    (folder / "bad.npy").write_bytes((folder / "0.npy").read_bytes()[:-1])
    monkeypatch.chdir(tmp_path)
    client = distributed.Client(two_workers, set_as_default=False)
    client.wait_for_workers(2)

    def kill():
        while not list((tmp_path / "out").glob("*.lhic")):
            time.sleep(0.02)
        with_work = [worker for worker, keys in client.processing().items() if keys]
        address = next(iter(with_work or client.scheduler_info()["workers"]))
        os.kill(client.run(os.getpid, workers=[address])[address], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    arguments = ["encode", "in", "--out-dir", "out", "--model", "stored", "--quiet"]
    arguments += ["--scheduler", two_workers.scheduler_address]
    assert main(arguments) == 1
    killer.join()
    told, err = capsys.readouterr()
    assert "1 failed" in told.splitlines()[-1] and f"{folder / 'bad.npy'}: a .npy file" in err, told + err
    (folder / "bad.npy").unlink()
    assert main(arguments) == 0
    assert "0 done, 24 skipped, 0 failed" in capsys.readouterr().out
    names = ["decode", "out", "--out-dir", "again", "--quiet", "--scheduler", two_workers.scheduler_address]
    assert main(names) == 0
    for number in range(24):
        assert (tmp_path / "again" / f"{number}.npy").read_bytes() == (folder / f"{number}.npy").read_bytes()
    client.close()
