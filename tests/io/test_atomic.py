"""What stands at a path where something is written."""

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from lhic.errors import UsageError
from lhic.io import atomic
from lhic.io.atomic import atomic_write, check_not_input, temporary_beside


def write(path, data: bytes, overwrite: bool = False) -> None:
    with atomic_write(path, overwrite) as file:
        file.write(data)


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    yield
    assert not list(tmp_path.rglob("*.partial"))


def test_what_fails_leaves_nothing_behind(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write(target, b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and target.read_bytes() == b"whole"
    with pytest.raises(RuntimeError), atomic_write(target, overwrite=True) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"whole"


def test_places_that_are_none(tmp_path):
    for path, found in [(tmp_path / "no" / "out", f"no folder {tmp_path}/no"), (tmp_path, "a folder"), ("", "no fol")]:
        with pytest.raises(UsageError, match=found), atomic_write(path, overwrite=True):
            pass
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"), atomic_write(tmp_path / "loop"):
        pass


@pytest.mark.parametrize("link", [False, True])
def test_an_existing_file_is_refused_unless_overwriting(tmp_path, link):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    path = tmp_path / "link" if link else target
    if link:
        path.symlink_to(target)
    with pytest.raises(UsageError, match=r"expected nothing there, found a file.*--force"):
        write(path, b"new")
    assert target.read_bytes() == b"old"
    write(path, b"new", overwrite=True)
    assert target.read_bytes() == b"new" and path.is_symlink() == link


@pytest.mark.parametrize("exists", [False, True])
def test_links_are_followed_and_stay(tmp_path, exists):
    """Also a chain of relative ones into another folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("data/target")
    if exists:
        (tmp_path / "data" / "target").write_bytes(b"old")
    with atomic_write(tmp_path / "one", overwrite=exists) as file:
        file.write(b"new")
        assert len(list((tmp_path / "data").glob("target.*.partial"))) == 1, "not beside the target"
    assert (tmp_path / "data" / "target").read_bytes() == b"new"
    assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_the_mode_of_a_replaced_file_is_kept(tmp_path, mode):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(mode)
    with atomic_write(target, overwrite=True) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600, "readable before it has its mode"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    write(tmp_path / "out", b"new")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to own files of others")
def test_the_owner_of_a_replaced_file_is_kept(tmp_path):
    write(tmp_path / "out", b"old")
    os.chown(tmp_path / "out", 1234, 5678)
    write(tmp_path / "out", b"new", overwrite=True)
    status = (tmp_path / "out").stat()
    assert (status.st_uid, status.st_gid) == (1234, 5678)


def test_other_hard_links_keep_the_old_contents(tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    os.link(tmp_path / "out", tmp_path / "other")
    write(tmp_path / "out", b"new", overwrite=True)
    assert (tmp_path / "out").read_bytes() == b"new" and (tmp_path / "other").read_bytes() == b"old"


def test_a_pipe_is_written_through(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit((tmp_path / "pipe").read_bytes)
        with atomic_write(tmp_path / "pipe") as file:
            file.write(b"-" * 100_000)
            file.seek(3)  # as cubes are written: not from front to back
            file.write(b"new")
        assert got.result() == b"---new" + b"-" * 99_994
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_nothing_half_written_goes_into_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit((tmp_path / "pipe").read_bytes)
        with pytest.raises(RuntimeError), atomic_write(tmp_path / "pipe") as file:
            file.write(b"half")
            raise RuntimeError
        assert got.result() == b""


def test_a_device_is_written_through(tmp_path):
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_bytes(b"")
    except PermissionError:
        null = Path("/dev/null")
        if os.geteuid() == 0:
            pytest.skip("needs the right to make devices: root would risk /dev/null itself")
    before = null.stat()
    write(null, b"new")
    after = null.stat()
    assert stat.S_ISCHR(after.st_mode) and (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)


def test_a_full_device_is_told_with_its_name():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write("/dev/full", b"new")


def test_a_terminal_is_refused():
    _, terminal = os.openpty()
    with pytest.raises(UsageError, match="expected a file or a pipe, found a terminal"):
        write(os.ttyname(terminal), b"new")


@pytest.mark.parametrize("how", ["pipe", "file", "terminal", "closed"])
def test_standard_output(tmp_path, how):
    code = "from lhic.io.atomic import atomic_write\nwith atomic_write('-') as file: file.write(b'new')"
    command = [sys.executable, "-c", code]
    if how == "closed":
        command = ["sh", "-c", 'exec "$0" "$@" >&-', *command]
    out = {"pipe": subprocess.PIPE, "closed": None}.get(how) or open(tmp_path / "file", "w+b")
    if how == "terminal":
        out = os.openpty()[1]
    found = subprocess.run(command, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE)
    written = found.stdout if how == "pipe" else b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert written == (b"new" if how in ("pipe", "file") else b"")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["file"])
    words = {"terminal": "standard output: expected a file or a pipe", "closed": "descriptor: 'standard output'"}
    assert words.get(how, "") in found.stderr.decode() and (found.returncode == 0) == (how in ("pipe", "file"))


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    for name in ("a" * 255, "温" * 85):
        write(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


def test_temporary_names_cannot_be_guessed(tmp_path):
    names = set()
    for _ in range(3):
        with atomic_write(tmp_path / "out", overwrite=True):
            names |= {path.name for path in tmp_path.glob("*.partial")}
    assert len(names) == 3 and not any(str(os.getpid()) == name.split(".")[1] for name in names)


def test_a_temporary_file_is_never_one_that_is_there(tmp_path, monkeypatch):
    """Nor one that a link of that name points at."""
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda n_bytes: "guessed")
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / "out.guessed.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write(tmp_path / "out", b"new")
    assert (tmp_path / "victim").read_bytes() == b"precious" and not (tmp_path / "out").exists()


N_WRITERS = 8


def write_slowly(path, letter: bytes) -> None:
    with atomic_write(path, overwrite=True) as file:
        for _ in range(50):
            file.write(letter * 1000)
            file.flush()


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_of_concurrent_writers_the_last_wins_and_all_are_whole(tmp_path, pool):
    options = {"mp_context": get_context("spawn")} if pool is ProcessPoolExecutor else {}
    with pool(4, **options) as workers:
        done = [workers.submit(write_slowly, tmp_path / "out", b"%d" % (i % 4)) for i in range(N_WRITERS)]
        for future in done:
            future.result()
    data = (tmp_path / "out").read_bytes()
    assert len(data) == 50_000 and len(set(data)) == 1


def test_writers_that_see_nothing_yet_both_succeed(tmp_path):
    barrier = threading.Barrier(2)

    def both(data: bytes) -> None:
        with atomic_write(tmp_path / "out") as file:
            barrier.wait(10)
            file.write(data)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(both, [b"first", b"other"]))
    assert (tmp_path / "out").read_bytes() in (b"first", b"other")


def test_the_folder_is_synchronised_after_the_renaming(tmp_path, monkeypatch):
    calls = []
    rename, sync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("rename"), rename(*paths)))
    monkeypatch.setattr(
        os, "fsync", lambda file: (calls.append(stat.S_ISDIR(os.fstat(file).st_mode) and "folder"), sync(file))
    )
    write(tmp_path / "out", b"new")
    assert calls == [False, "rename", "folder"]


def test_a_file_system_without_that_does_not_matter(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse)
    write(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_bytes() == b"new"


def test_errors_name_the_path_that_was_asked_for(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/out'"):
        write(tmp_path / "out", b"new")
    assert list(tmp_path.iterdir()) == []


def as_ordinary_user(code: str, *arguments) -> subprocess.CompletedProcess:
    """Run Python code without root's right to write everywhere; skips where that right cannot be given up."""
    options = {}
    if os.geteuid() == 0:
        options = {"user": 65534, "group": 65534, "extra_groups": []}
    repository = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    probe = subprocess.run([sys.executable, "-c", "import numpy, psutil"], capture_output=True, **options)
    if probe.returncode:
        pytest.skip("needs a Python that ordinary users can run")
    environment = {**os.environ, "PYTHONPATH": str(repository), "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def test_an_ordinary_user_where_nothing_may_be_written(tmp_path):
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(0o755)
    code = """
import sys
from lhic.io.atomic import atomic_write
try:
    with atomic_write(sys.argv[1], overwrite=True) as file: file.write(b'new')
except OSError as error:
    print(error)
"""
    (tmp_path / "out").write_bytes(b"old")
    (tmp_path / "out").chmod(0o666)
    tmp_path.chmod(0o555)
    found = as_ordinary_user(code, tmp_path / "out")
    assert found.stdout == f"[Errno 13] Permission denied: '{tmp_path}/out'\n", found.stderr
    assert (tmp_path / "out").read_bytes() == b"old"


def test_an_output_that_is_an_input_is_refused_under_any_name(tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    data.write_bytes(b"1")
    other.write_bytes(b"2")
    (tmp_path / "soft").symlink_to("data")
    os.link(data, tmp_path / "hard")
    for name in ("data", "soft", "hard", "../" + tmp_path.name + "/data"):
        for inputs in ([data], [other, tmp_path / "soft"], [None, tmp_path / "gone", tmp_path / "hard"]):
            with pytest.raises(UsageError, match="expected another file than those that are read"):
                check_not_input(tmp_path / name, *inputs)
    with open(data) as file, pytest.raises(UsageError, match="another file"):
        check_not_input(tmp_path / "soft", file.fileno())
    check_not_input(other, data, None)
    check_not_input(tmp_path / "new", data)
    check_not_input("/dev/null", "/dev/null")


def test_a_spool_lies_beside_a_file_and_elsewhere_for_a_device(tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr(atomic.tempfile, "TemporaryFile", lambda dir: folders.append(dir))
    (tmp_path / "link").symlink_to(tmp_path / "there" / "out")
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "out", tmp_path / "link", "-", "/dev/null"):
        temporary_beside(path)
    assert folders == [str(tmp_path), str(tmp_path / "there"), None, None]


def test_a_process_that_ends_at_once_leaves_what_is_complete_alone(tmp_path):
    code = """import os
from lhic.io.atomic import atomic_folder, atomic_write, remove_partial
with atomic_write("whole") as file:
    file.write(b"whole")
with atomic_write("file") as file, atomic_folder("folder") as place:
    os.makedirs(os.path.join(place, "below"))
    assert len(os.listdir()) == 3
    remove_partial()
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
