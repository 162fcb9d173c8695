"""The command line among other programs: pipes, signals, consoles, locales, limits, users; in processes of its own."""

import functools
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from lhic import encode_file
from lhic.console import Ended, ended_by_signals
from lhic.formats import save_cube
from tests.common import REPOSITORY

LHIC = [
    sys.executable,
    "-c",
    # Who runs the tests in the background has a shell that ignores interruptions, and children inherit that.
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from lhic.cli import main\n"
    "from lhic.families import registry\n"
    "registry.FAMILIES['stored'] = 'tests.stored_family'\n"
    "sys.exit(main())",
]
TIMEOUT_S = 120
SHELL = 'lhic() { "$PYTHON" -c "$CODE" "$@"; }\n'


def environment(**settings) -> dict:
    found = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CUDA_VISIBLE_DEVICES": "", "NUMBA_NUM_THREADS": "1"}
    found.pop("PYTHONUNBUFFERED", None)  # it would hide what goes wrong at the end
    return {**found, "PYTHON": LHIC[0], "CODE": LHIC[2], **settings}


def lhic(*arguments, settings: dict | None = None, **options) -> subprocess.CompletedProcess:
    options = {"capture_output": True, "env": environment(**settings or {}), "timeout": TIMEOUT_S, **options}
    return subprocess.run([*LHIC, *map(str, arguments)], **options)


def shell(line: str, folder: Path, **settings) -> subprocess.CompletedProcess:
    """A line with pipes, in which ``lhic`` is the command."""
    options = {"cwd": folder, "env": environment(**settings), "timeout": TIMEOUT_S}
    return subprocess.run(["sh", "-c", SHELL + line], capture_output=True, stdin=subprocess.DEVNULL, **options)


def last_line(found: subprocess.CompletedProcess) -> str:
    """The one line of stderr."""
    text = found.stderr.decode()
    assert text.count("\n") == 1, text
    return text.rstrip("\n")


@pytest.fixture
def folder(stored_models, tmp_path):
    """With a cube, and a stream of it."""
    save_cube(tmp_path / "cube.npy", np.arange(30 * 9 * 10, dtype="int16").reshape(30, 9, 10) // 90 - 10)
    found = lhic("encode", "cube.npy", "cube.lhic", "--model", "stored", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    return tmp_path


# --- pipes ------------------------------------------------------------------------------------------------------------


def test_pipes_from_and_to_other_programs(folder):
    line = "cat cube.npy | lhic encode - - --model stored | tee piped.lhic | lhic decode - - | cat > again.npy"
    found = shell(line, folder)
    assert found.stdout == b"" and "-: int16 (30, 9, 10)" in found.stderr.decode(), "results go where they do no harm"
    assert (folder / "piped.lhic").read_bytes() == (folder / "cube.lhic").read_bytes()
    assert (folder / "again.npy").read_bytes() == (folder / "cube.npy").read_bytes()


@pytest.mark.parametrize("feed", ["cat FILE | COMMAND", "COMMAND < FILE", "mkfifo pipe; cat FILE > pipe & COMMAND"])
def test_inputs_may_come_from_anywhere(folder, feed):
    """From a pipe, a redirected file or a named pipe."""
    name = "pipe" if "mkfifo" in feed else "-"

    def run(arguments: str, file: str) -> str:
        (folder / "pipe").unlink(missing_ok=True)
        command = f"lhic {arguments.replace('IN', name)}"
        found = shell(feed.replace("FILE", file).replace("COMMAND", command), folder)
        assert found.returncode == 0, found.stderr
        return found.stdout.decode()

    assert "stored" in run("info IN", "cube.lhic")
    assert "equal to the original" in run("verify IN cube.npy", "cube.lhic")
    assert "equal to the original" in run("verify cube.lhic IN", "cube.npy")
    assert "lossless" in run("encode IN new.lhic --model stored", "cube.npy")
    assert (folder / "new.lhic").read_bytes() == (folder / "cube.lhic").read_bytes()


def test_a_picture_into_a_pipe(folder):
    assert shell("cat cube.lhic | lhic preview - - | cat", folder).stdout.startswith(b"\x89PNG")


def test_a_redirected_output_that_is_the_input_is_refused(folder):
    before = (folder / "cube.npy").read_bytes()
    found = shell("lhic encode - cube.npy --model stored --force < cube.npy", folder)
    assert found.returncode == 2 and "another file" in last_line(found)
    found = shell("lhic encode cube.npy - --model stored 1<> cube.npy", folder)
    assert found.returncode == 2 and "another file" in last_line(found)
    assert (folder / "cube.npy").read_bytes() == before


@pytest.mark.parametrize("arguments", ["encode cube.npy -", "decode cube.lhic -", "preview cube.lhic -"])
def test_nothing_binary_goes_to_a_terminal(folder, arguments):
    _, terminal = os.openpty()
    found = lhic(*arguments.split(), cwd=folder, capture_output=False, stdout=terminal, stderr=subprocess.PIPE)
    assert found.returncode == 2
    assert last_line(found) == "lhic: error: standard output: expected a file or a pipe, found a terminal"


def test_a_terminal_is_no_input(folder):
    _, terminal = os.openpty()
    found = lhic("info", "-", stdin=terminal)
    assert found.returncode == 2
    assert last_line(found) == "lhic: error: standard input: expected an lhic stream, found a terminal"


@pytest.mark.parametrize("arguments", ["encode cube.npy - --model stored", "info cube.lhic", "models", "--help"])
@pytest.mark.parametrize("out", ["a closed pipe", "/dev/full"])
def test_an_output_that_cannot_be_written_is_one_line(folder, arguments, out):
    """Also if only the flush at the end fails, which the interpreter would tell in its own way."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end if out == "a closed pipe" else out, "wb") as file:
        found = lhic(*arguments.split(), cwd=folder, capture_output=False, stdout=file, stderr=subprocess.PIPE)
    problem = "Broken pipe" if out == "a closed pipe" else "No space left on device"
    assert found.returncode == 1 and last_line(found) == f"lhic: error: standard output: {problem}"


def test_closed_standard_files(folder):
    """A file that is opened then gets the number of the closed one, and must not be taken for it."""
    found = shell("lhic encode cube.npy - --model stored >&-", folder)
    assert found.returncode == 1 and last_line(found) == "lhic: error: standard output: Bad file descriptor"
    found = shell("lhic info - <&-", folder)
    assert found.returncode == 1 and last_line(found) == "lhic: error: standard input: Bad file descriptor"
    assert shell("lhic encode cube.npy new.lhic --model stored >&- 2>&- <&-", folder).returncode == 0
    assert (folder / "new.lhic").read_bytes() == (folder / "cube.lhic").read_bytes()
    found = shell("lhic encode gone.npy - 2>&-", folder)
    assert (found.returncode, found.stdout) == (2, b""), "the message is no part of the output"


# --- consoles and locales ---------------------------------------------------------------------------------------------


def test_a_console_that_cannot_show_a_name_shows_its_escape(folder):
    found = lhic(
        "encode", "cube.npy", "温.lhic", "--model", "stored", cwd=folder, settings={"PYTHONIOENCODING": "cp1252"}
    )
    assert found.returncode == 0 and found.stdout.startswith(b"\\u6e29.lhic: ") and (folder / "温.lhic").exists()
    found = lhic("info", "云.lhic", cwd=folder, settings={"PYTHONIOENCODING": "cp1252"})
    assert found.returncode == 2 and "\\u4e91.lhic: expected" in last_line(found)


NO_UTF8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_metadata_are_utf8_whatever_the_locale(folder, mark):
    (folder / "bands.json").write_text(mark + '{"extra": {"unit": "µm"}}', "utf-8")
    arguments = ["new.lhic", "--model", "stored", "--metadata", "bands.json"]
    assert lhic("encode", "cube.npy", *arguments, cwd=folder, settings=NO_UTF8).returncode == 0
    found = lhic("info", "new.lhic", "--json", cwd=folder, settings=NO_UTF8)
    assert json.loads(found.stdout)["metadata"] == {"extra": {"unit": "µm"}}


def test_names_that_are_no_utf8(folder):
    """Of bytes that the locale does not know: found, written, and shown somehow."""
    name = os.fsdecode(b"cube \xff.lhic")
    for settings in ({}, NO_UTF8):
        found = lhic("encode", "cube.npy", name, "--model", "stored", "--force", cwd=folder, settings=settings)
        assert found.returncode == 0 and b"cube \\udcff.lhic: " in found.stdout and (folder / name).exists()


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["encode", "decode"])
def test_a_signal_leaves_nothing(stored_models, tmp_path, name, number):
    rng = np.random.default_rng(0)
    save_cube(tmp_path / "cube.npy", rng.integers(0, 8, (100, 5_000, 8), "int16"))
    arguments = ["cube.npy", "new", "--model", "stored"]
    if name == "decode":
        encode_file(tmp_path / "cube.npy", tmp_path / "cube.lhic", "stored")
        arguments = ["cube.lhic", "new"]
    before = sorted(tmp_path.rglob("*"))
    command = [*LHIC, name, *arguments, "--quiet"]
    heeded = functools.partial(signal.signal, number, signal.SIG_DFL)  # who runs the tests may ignore it
    keywords = {"cwd": tmp_path, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=heeded, **keywords) as process:
        while sorted(tmp_path.rglob("*")) == before:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 128 + number
    how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert err == f"lhic: error: {how}; nothing is half-written\n"
    assert sorted(tmp_path.rglob("*")) == before


# Python makes a RuntimeError of what is raised there.
INTERRUPTED = """import os, signal
class Attribute:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGINT)
class Owner:
    attribute = Attribute()
"""


@pytest.mark.parametrize("module", ["numpy", "tqdm"])  # of the package, and of the command line alone
@pytest.mark.parametrize("is_script", [True, False])
def test_an_interrupt_while_modules_are_imported_is_one_line(tmp_path, module, is_script):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / f"{module}.py").write_text(INTERRUPTED)
    settings = environment(PYTHONPATH=os.pathsep.join((str(tmp_path / "first"), str(REPOSITORY))))
    (tmp_path / "lhic").write_text("import sys\nfrom lhic.__main__ import main\nsys.exit(main())")
    heeded = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # who runs the tests may ignore it
    keywords = {"cwd": tmp_path / "first", "env": settings, "capture_output": True, "text": True, "preexec_fn": heeded}
    command = [str(tmp_path / "lhic")] if is_script else ["-m", "lhic"]
    done = subprocess.run([sys.executable, *command, "models"], **keywords)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "lhic: error: interrupted; nothing is half-written\n"
    library = subprocess.run([sys.executable, "-c", "import lhic, lhic.cli"], **keywords)
    assert "KeyboardInterrupt" in library.stderr, "who imports lhic is told as by any module"


def test_the_script_begins_where_an_interrupt_is_caught():
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"lhic": "lhic.__main__:main"}


def test_signals_that_are_ignored_stay_ignored():
    """As nohup does with SIGHUP; and handlers are as before at the end."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(Ended), ended_by_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_does_not_disturb_what_the_first_one_has_cleaned_up():
    before, steps = signal.signal(signal.SIGINT, signal.default_int_handler), []
    try:
        with pytest.raises(KeyboardInterrupt), ended_by_signals():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    os.kill(os.getpid(), number)
                    time.sleep(0.01)
                    steps.append(number)
        assert steps == [signal.SIGINT, signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# --- limits and users -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["encode cube.npy new --model stored", "decode cube.lhic new"])
def test_a_full_disk_is_one_line_and_leaves_nothing(folder, arguments):
    """Of which a limit of the size of files is a model: room at the beginning, and none later."""
    before = sorted(folder.rglob("*"))

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))

    settings = {"PYTHONDONTWRITEBYTECODE": "1"}
    found = lhic(*arguments.split(), cwd=folder, preexec_fn=limit, settings=settings)
    assert found.returncode == 1 and last_line(found) == "lhic: error: new: File too large"
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_may_not_be_written_is_one_line(folder):
    if os.geteuid() == 0:
        for parent in (folder, *folder.parents[:-2]):
            parent.chmod(0o755)
    (folder / "closed").mkdir(mode=0o555)
    options = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": "", "HOME": "/nonexistent"}
    if lhic("--version", settings=settings, **options).returncode:
        pytest.skip("needs a Python that ordinary users can run")
    found = lhic("encode", "cube.npy", "closed/new", "--model", "stored", cwd=folder, settings=settings, **options)
    assert found.returncode == 1 and found.stderr.decode().endswith("lhic: error: closed/new: Permission denied\n")
    assert list((folder / "closed").iterdir()) == []


def test_a_limit_of_the_address_space_is_the_memory_there_is(stored_models, tmp_path):
    """A tile that is larger than what is left is refused before it is read; without the limit it is coded."""
    save_cube(tmp_path / "cube.npy", np.zeros((4_000_000, 4, 4), "uint8"))
    code = (
        "import resource, sys, psutil\n"
        "from lhic import api\n"
        "used = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20),) * 2)\n"
    ) + LHIC[2]
    command = [sys.executable, "-c", code, "encode", "cube.npy", "new", "--model", "stored"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment())
    assert found.returncode == 1 and "cube.npy: " in last_line(found) and "LHIC_MEMORY_BUDGET" in last_line(found)
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob("*.partial"))


def test_the_package_runs_as_a_module():
    found = subprocess.run([sys.executable, "-m", "lhic", "--version"], capture_output=True, env=environment())
    assert found.returncode == 0 and found.stdout.startswith(b"lhic ")


def test_a_device_is_written_through(folder):
    try:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        (folder / "null").write_bytes(b"")
    except PermissionError:
        pytest.skip("needs the right to make devices")
    assert lhic("encode", "cube.npy", "null", "--model", "stored", cwd=folder).returncode == 0
    assert stat.S_ISCHR((folder / "null").stat().st_mode)


def test_a_named_pipe_is_written_through(folder):
    found = shell("mkfifo p; (cat p > got &); lhic encode cube.npy p --model stored; sleep 0.3; test -p p", folder)
    assert found.returncode == 0
    assert (folder / "got").read_bytes() == (folder / "cube.lhic").read_bytes()
