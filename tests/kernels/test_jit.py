import builtins
import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from lhic.families.ax.cpu import walk, walk_alone
from lhic.kernels import jit
from tests.common import REPOSITORY

PACKAGE = {
    "__init__.py": "",
    "constants.py": "STEP = 3\n",
    "inner.py": "from lhic.kernels.jit import njit\nfrom p.constants import STEP\n\n"
    "@njit\ndef step(x):\n    return x + STEP\n",
    "outer.py": "from lhic.kernels.jit import njit\nfrom p.inner import step\n\n"
    "@njit(seconds=7)\ndef twice(x):\n    return step(step(x))\n",
}
CALL = "from p.outer import twice; print(twice(10))"


@pytest.fixture
def package(tmp_path):
    """A package `p` of three modules whose kernels call one another."""
    folder = tmp_path / "code" / "p"
    folder.mkdir(parents=True)
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


def run(code, *paths, **environment):
    """Standard output and error of a fresh Python; a variable of None is not set."""
    path = os.pathsep.join(map(str, (*paths, REPOSITORY)))
    variables = {k: v for k, v in os.environ.items() if k != jit.VARIABLE} | {"PYTHONPATH": path} | environment
    variables = {name: str(value) for name, value in variables.items() if value is not None}
    command = [sys.executable, "-P", "-c", code]  # without the current folder's packages
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def files(kept):
    return sorted(path for path in kept.rglob("*") if path.is_file())


def test_kernels_are_compiled_once(package, kept):
    first, told = run(CALL, package.parent, LHIC_CACHE=kept)
    assert first == "16"
    assert told == f"lhic: compiling kernels for this machine, about 7 s; kept in {kept}"
    before = {path: path.stat().st_mtime_ns for path in files(kept)}
    assert {path.name.split("-")[0] for path in before} == {"inner.step", "outer.twice"}
    assert run(CALL, package.parent, LHIC_CACHE=kept) == ("16", "")
    assert {path: path.stat().st_mtime_ns for path in files(kept)} == before


def test_other_types_are_other_kernels(package, kept):
    code = "from p.outer import twice; print(twice(10), twice(0.5))"
    assert run(code, package.parent, LHIC_CACHE=kept)[0] == "16 6.5"
    assert run(code, package.parent, LHIC_CACHE=kept) == ("16 6.5", "")


def test_an_edited_constant_of_another_module_is_compiled_anew(package, kept):
    assert run(CALL, package.parent, LHIC_CACHE=kept)[0] == "16"
    (package / "constants.py").write_text("STEP = 4\n")
    assert run(CALL, package.parent, LHIC_CACHE=kept)[0] == "18"
    (package / "constants.py").write_text("STEP = 3\n")
    assert run(CALL, package.parent, LHIC_CACHE=kept) == ("16", "")


def test_an_edited_ridge_is_compiled_anew(tmp_path, kept):
    """Of a copy of lhic itself: the solution of the normal equations that the walk calls in another file."""
    code = """
import numba
import numpy as np
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu.fit import fit_experts
from lhic.families.ax.cpu.state import new_scratch, new_state
config = AxConfig(detail_planes=0, sample_planes=0, short_planes=0, spatial_neighbours=2, far_neighbours=0, repeats=0)
table = config.expert_table()
state = new_state(table, 8, (1, 4, 4), np.zeros(1), np.zeros(1), np.zeros((4, 4), bool))
state.grams[0, [0, 5, 10, 15]] = state.moments[0, :2] = 4096.0
fit_experts(0, table, state, new_scratch(config, 4, 4))
print(state.coefficients[0].tolist())
"""
    copy = tmp_path / "code" / "lhic"
    shutil.copytree(REPOSITORY / "lhic", copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = run(code, copy.parent, LHIC_CACHE=kept)[0]
    assert before == str([float(round(4096 / (4096 * (1 + 2**-23) + 1024) * 2**20))] * 2)
    source = copy / "families" / "ax" / "spec.py"
    text = source.read_text()
    assert "\nRIDGE = 1024.0\n" in text
    source.write_text(text.replace("\nRIDGE = 1024.0\n", "\nRIDGE = 4096.0\n"))
    after = run(code, copy.parent, LHIC_CACHE=kept)[0]
    assert after == str([float(round(4096 / (4096 * (1 + 2**-23) + 4096) * 2**20))] * 2)


def test_what_was_edited_after_its_import_is_not_kept(package, kept):
    code = f"import p.outer, pathlib; pathlib.Path({str(package / 'constants.py')!r}).write_text('STEP = 5'); {CALL}"
    assert run(code, package.parent, LHIC_CACHE=kept)[0] == "16"
    assert files(kept) == []
    assert run(CALL, package.parent, LHIC_CACHE=kept)[0] == "20"


def test_versions_and_processor_are_part_of_the_key(monkeypatch):
    kernel = jit.njit(lambda x: x)
    keys = {jit.source_key(kernel.py_func, again=True)}
    for library in (jit.numba, jit.llvmlite, np):
        with monkeypatch.context() as patch:
            patch.setattr(library, "__version__", "0.0")
            keys.add(jit.source_key(kernel.py_func, again=True))
    assert len(keys) == 4

    kept = kernel._for_python._cache
    codegen = kernel._for_python.targetctx.codegen()
    name = kept._file((), codegen)
    monkeypatch.setattr(type(codegen), "magic_tuple", lambda self: ("another processor",))
    assert kept._file((), codegen) != name


def test_a_kernel_without_readable_source_has_no_key():
    function = eval(compile("lambda x: x", "frozen.py", "eval"), {"__name__": "lhic.frozen"})
    assert jit.source_key(function) is None


@pytest.mark.parametrize("damage", [b"", b"\0", b"nothing that was compiled" * 100])
def test_a_damaged_file_is_written_again(package, kept, damage):
    run(CALL, package.parent, LHIC_CACHE=kept)
    before = files(kept)
    for path in before:
        whole = path.read_bytes()
        path.write_bytes(damage or whole[: len(whole) // 2])
    assert run(CALL, package.parent, LHIC_CACHE=kept)[0] == "16"
    assert files(kept) == before
    assert run(CALL, package.parent, LHIC_CACHE=kept) == ("16", "")


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"LHIC_CACHE": "/dev/null/cache"}, "/dev/null/cache: Not a directory"),
        ({"HOME": "/dev/null"}, "/dev/null/.cache/lhic: Not a directory"),
        ({"XDG_CACHE_HOME": "relative"}, "no folder for them (LHIC_CACHE names one)"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the places are Linux's")
def test_without_a_writable_place_kernels_run(package, environment, why):
    out, told = run(CALL, package.parent, **{"XDG_CACHE_HOME": None} | environment)
    assert out == "16"
    assert told == f"lhic: compiling kernels for this machine, about 7 s; compiled kernels are not kept: {why}"


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="not for root")
def test_a_read_only_cache_is_read(package, kept):
    run(CALL, package.parent, LHIC_CACHE=kept)
    for path in (*kept.rglob("*"), kept):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert run(CALL, package.parent, LHIC_CACHE=kept) == ("16", "")
    finally:
        for path in (kept, *kept.rglob("*")):
            path.chmod(0o755)


def test_without_a_home_there_is_no_folder(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in (jit.VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jit.Path, "home", no_home)
    assert jit.cache_folder() is None


def test_kernels_run_where_the_disk_is_full(kept, monkeypatch, capsys):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv(jit.VARIABLE, str(kept))
    monkeypatch.setattr(jit, "_without", [])
    monkeypatch.setattr(jit, "open", lambda *how: Full(builtins.open(*how)), raising=False)
    assert [jit.njit(lambda x: x + 1)(1), jit.njit(lambda x: x + 2)(1)] == [2, 3]
    assert capsys.readouterr().err == f"lhic: compiled kernels are not kept: {kept}: No space left on device\n"
    assert files(kept) == [], "half a file"


def test_processes_at_once_share_a_cache(package, kept):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: run(CALL, package.parent, LHIC_CACHE=kept)[0], range(4)))
    assert found == ["16"] * 4
    assert [path.suffix for path in files(kept)] == [jit.SUFFIX] * 2
    assert run(CALL, package.parent, LHIC_CACHE=kept) == ("16", "")


def test_only_versions_used_last_are_kept(kept):
    versions = [kept / f"p-{number:020x}" for number in range(jit.VERSIONS_KEPT + 1)]
    foreign = [kept / name for name in ("q-" + "0" * 20, "p-notes", "something")]
    for folder in foreign:
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    for folder in versions[: jit.VERSIONS_KEPT]:
        jit._make(folder)
    for age, folder in enumerate(versions[: jit.VERSIONS_KEPT]):
        os.utime(folder, (100 - age, 100 - age))
    jit._make(versions[-1])
    assert set(kept.iterdir()) == {*foreign, *versions[: jit.VERSIONS_KEPT - 1], versions[-1]}


def sum_of_rows(rows):
    total = 0.0
    for i in range(len(rows)):
        row = rows[i]
        for k in range(len(row)):
            total += row[k]
    return total


def test_a_lean_kernel_counts_no_references():
    """Of each row: numba's own code does."""
    counted, lean = jit.njit(sum_of_rows), jit.lean(sum_of_rows)
    rows = np.arange(12.0).reshape(3, 4)
    assert counted(rows) == lean(rows) == 66
    codes = []
    for kernel in (counted, lean):
        fresh = numba.njit(**kernel._options)(sum_of_rows)  # numba cannot show code that comes from a cache
        fresh(rows)
        codes.append("".join(fresh.inspect_llvm().values()))
    assert "NRT_decref" in codes[0] and "NRT_decref" not in codes[1]


def test_a_lean_kernel_cannot_make_an_array():
    def zeros(n):
        return np.zeros(n).sum()

    assert jit.njit(zeros)(3) == 0
    with pytest.raises(numba.TypingError):
        jit.lean(zeros)(3)


def test_the_walk_is_lean():
    for blocks in (walk._BLOCKS, walk_alone._BLOCKS.values()):
        assert all(block._options["_nrt"] is False for block in blocks)
