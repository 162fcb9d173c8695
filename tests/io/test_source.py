"""Bytes of files and pipes, whoever asks, and however little the system gives at a time."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lhic.errors import UsageError
from lhic.io.source import open_source

DATA = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(params=["file", "pipe", "file without preadv", "pipe without preadv"])
def source(request, tmp_path, monkeypatch):
    if "without" in request.param:
        monkeypatch.delattr(os, "preadv")
    if "file" in request.param:
        (tmp_path / "data").write_bytes(DATA)
    else:
        os.mkfifo(tmp_path / "data")
        threading.Thread(target=(tmp_path / "data").write_bytes, args=[DATA]).start()
    with open_source(tmp_path / "data") as source:
        yield source


def test_slices_are_those_of_the_bytes(source):
    assert source[:8] == DATA[:8] and source[5] == DATA[5] and source[9:9] == b""
    for begin, end in [(7, 100), (100, 7), (299_990, 10**12), (10**12, 10**13), (None, 3), (None, None), (-5, None)]:
        assert source[begin:end] == DATA[begin:end]
    assert len(source) == len(DATA)


def test_short_reads_are_not_taken_for_whole_ones(source, monkeypatch):
    """As network file systems give, and Linux for more than 2 GiB."""
    whole = source._read_once
    monkeypatch.setattr(source, "_read_once", lambda view, begin: whole(view[:1000], begin))
    assert source[3:200_000] == DATA[3:200_000]


def test_threads_share_a_source(source):
    positions = np.random.default_rng(1).integers(0, len(DATA) - 500, 400).tolist()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda begin: source[begin : begin + 500], positions))
    assert parts == [DATA[begin : begin + 500] for begin in positions]


def test_a_pipe_is_read_as_far_as_it_is_asked_for():
    """One that never ends is refused by its first bytes."""
    with open_source("/dev/zero") as source:
        assert source[:4] == bytes(4)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "file").touch()
    for path, found in [(tmp_path / "no", "nothing there"), (tmp_path, "a folder"), (tmp_path / "file/x", "nothing")]:
        with pytest.raises(UsageError, match=f"expected a cube, found {found}"):
            open_source(path, "a cube")
    terminal, _ = os.openpty()[::-1]
    with pytest.raises(UsageError, match="found a terminal"):
        open_source(os.ttyname(terminal))


@pytest.mark.parametrize("how", ["file", "file, partly read", "pipe", "closed"])
def test_standard_input(how, tmp_path):
    code = "from lhic.io.source import open_source; import sys; sys.stdout.buffer.write(open_source('-')[:])"
    (tmp_path / "data").write_bytes(DATA)
    shell = {
        "file": "exec python < data",
        "file, partly read": "{ head -c 0; dd bs=7 count=1 of=/dev/null status=none; exec python; } < data",
        "pipe": "cat data | python",
        "closed": "exec python <&-",
    }[how].replace("python", '"$0" -c "$1"')
    found = subprocess.run(["sh", "-c", shell, sys.executable, code], cwd=tmp_path, capture_output=True)
    expected = {"file, partly read": DATA[7:], "closed": b""}.get(how, DATA)
    assert found.stdout == expected
    assert ("Bad file descriptor: 'standard input'" in found.stderr.decode()) == (how == "closed")
