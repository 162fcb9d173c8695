"""The table of contents: every task is there, says what it does, and tells a wrong value in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from invoke import Collection, Task

import tasks
from tests.common import REPOSITORY

FIRST_CLASS = "setup lint test golden data train bench study report verify-results clean".split()


def test_every_task_is_there_and_says_what_it_does():
    found = {name: task for name, task in vars(tasks).items() if isinstance(task, Task)}
    named = {task.name.replace("_", "-"): task for task in found.values()}
    assert set(FIRST_CLASS) <= set(named)
    assert all(task.__doc__ and task.__doc__.strip().endswith(".") for task in named.values())
    assert set(Collection.from_module(tasks).task_names) == set(named)


@pytest.mark.parametrize(
    "words, line",
    [
        (["bench", "--codecs", "lerc", "--workers", "x"], "error: --workers: expected a whole number, found 'x'"),
        (["bench", "--codecs", "lerc", "--threads", "two"], "error: thread_modes: expected some of one, all, found"),
        (["bench", "--codecs", "lerc", "--worker", "2"], "error: No idea what '--worker' is!"),
        (["bench", "--codecs"], "error: Flag <Argument: codecs> needed value and was not given one!"),
        (["bensh"], "error: No idea what 'bensh' is!"),
        (["experiment"], "error: 'experiment' did not receive required positional arguments: 'name'"),
        (["bench"], "error: codecs: expected names, each once, found none"),
        (["conformance", "--suite", "jpeg"], "error: suite: expected one of lhic-bp, linerwkv, ccsds123, found 'jpeg'"),
        (["conformance", "--suite", "ccsds123", "--folder", "gone"], "error: gone: expected a folder of conformance"),
        (["collect", "--profile", "small"], "error: collect: expected --into FILE, found none"),
        (["collect-enb", "--into", "x.parquet"], "error: collect-enb: expected --experiment FILE, found none"),
        (["merge", "--into", "x.parquet"], "error: merge: expected at least two files, found 0"),
        (["experiment", "luck"], "error: experiment: expected one of cross-validation, ablations, copies, floats"),
        (["train", "--device", "tpu"], "error: device 'tpu': expected one of auto, cpu, cuda"),
        (["train", "--config", "gone.yml"], "error: gone.yml: expected a readable configuration, found No such file"),
        (["report", "--profile", "gone"], "error: results/gone"),
        (["verify-results", "--profile", "other"], "error: profile: expected a folder of results"),
        (["bench-gpu", "--batches", "1,x"], "error: --batches: expected a whole number, found 'x'"),
        (["study", "--parameter", "no-assignment"], "--parameter: expected NAME=VALUE"),
    ],
)
def test_a_wrong_word_is_one_line(words, line):
    done = subprocess.run([sys.executable, "-m", "invoke", *words], cwd=REPOSITORY, capture_output=True, text=True)
    is_data = line.startswith("error: results/gone")
    assert done.returncode == (1 if is_data else 2) and done.stdout == ""
    assert done.stderr.startswith(line) and len(done.stderr.strip().splitlines()) == 1


def test_tasks_have_help():
    for name in ("bench", "data", "experiment"):
        words = [sys.executable, "-m", "invoke", name, "-h"]
        done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith(f"Usage: inv[oke] [--core-opts] {name} "), name
    done = subprocess.run([*words[:-2], "bench", "--list-codecs"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0 and {"lhic-ax", "lerc"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert not any(task.auto_shortflags for task in vars(tasks).values() if isinstance(task, Task)), "-h is the help"


def test_results_are_packed_and_joined(tmp_path):
    def run(*words):
        return subprocess.run([sys.executable, "-m", "invoke", *words], cwd=REPOSITORY, capture_output=True, text=True)

    names = [str(tmp_path / f"{profile}.parquet") for profile in ("small", "every_codec")]
    for name in names:
        assert run("collect", "--profile", Path(name).stem, "--into", name).returncode == 0
    done = run("merge", "--file", names[0], "--file", names[1], "--into", str(tmp_path / "all.parquet"))
    assert done.returncode == 0 and re.search(r"1 cube, \d machines?\.", done.stdout), done.stderr
    assert done.stdout.splitlines()[-1].endswith("rows of 2 files, which agree")
    again = run("collect", "--profile", "small", "--into", names[0])
    assert again.returncode == 2 and "--force" in again.stderr
