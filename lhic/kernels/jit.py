"""`njit`: numba's, with a cache of compiled kernels that cannot outlive what it was compiled from.

Numba's own cache looks at the file of the outermost kernel alone, fails where there is no writable place or the disk is
full, and may mix up what two processes write.  Here compiled code is found by the SHA-256 of all sources of the
package, the versions of what compiles it, the processor and the types of the arguments; each file carries its own
digest; and where kernels cannot be kept they are compiled anew, and all else works.

    <cache folder>/<package>-<hash of sources and versions>/<module>.<kernel>-<hash of types and processor>.kernel

The cache folder is ``LHIC_CACHE``, else the user's.  It holds machine code that runs as it stands, so only those who
may run code as the user may write there.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import re
import secrets
import shutil
import sys
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core import caching, compiler, serialize

from lhic.errors import UsageError
from lhic.kernels import linked

VARIABLE = "LHIC_CACHE"
SUFFIX = ".kernel"
VERSIONS_KEPT = 4  # of a package: those used last
SOURCE_SUFFIXES = (".py", ".txt")  # tables that kernels freeze are text
_OWN_PACKAGE = __name__.partition(".")[0]
_DIGEST_BYTES = hashlib.sha256().digest_size


def njit(function: Callable | None = None, *, seconds: int = 0, **options) -> Callable:
    """``numba.njit(cache=True, **options)``, with the cache of this module.

    seconds : about how long compiling takes with all that the kernel calls; if given, a line on stderr says so
    """
    options.setdefault("_nrt", True)
    if function is None:
        return lambda function: njit(function, seconds=seconds, **options)
    if numba.config.DISABLE_JIT:
        return function
    if "inline" in options:
        return _compiled(function, seconds, options)
    return Kernel(function, seconds, options)


def lean(function: Callable | None = None, **options) -> Callable:
    """`njit` for a kernel that makes no arrays: nobody counts who holds the ones that it is given, and parts of them.

    Otherwise each view of an array (a row, a slice) costs two calls, and every call puts what is in vector registers
    into memory: half the time of a walk.  Callers in Python hold the arrays meanwhile.
    """
    return njit(function, _nrt=False, **options)


class Kernel:
    """A compiled function in two forms: one that Python calls, one that other kernels call.

    What turns Python's objects into arrays and back is as much code as the kernel itself where it takes tuples of
    arrays, so the second form goes without.
    """

    def __init__(self, function: Callable, seconds: int, options: dict):
        functools.update_wrapper(self, function)
        self.py_func = function
        self._seconds, self._options = seconds, options
        source_key(function)  # now: it may be edited before it is compiled

    def __call__(self, *arguments):
        return self._for_python(*arguments)

    @cached_property
    def _for_python(self):
        return _compiled(self.py_func, self._seconds, self._options)

    @cached_property
    def _for_kernels(self):
        return _compiled(self.py_func, 0, self._options | linked.OPTIONS)

    @property
    def _numba_type_(self):
        """As numba asks for where a kernel names this one."""
        return self._for_kernels._numba_type_

    @property
    def signatures(self) -> list:
        """Types of arguments that it has been compiled for."""
        return [*self._for_python.signatures, *self._for_kernels.signatures]


def _compiled(function: Callable, seconds: int, options: dict):
    dispatcher = numba.njit(**options)(function)
    dispatcher._cache = KernelCache(function, options, seconds)  # as its `enable_caching` does with numba's own
    return dispatcher


def cache_folder() -> Path | None:
    """Where compiled kernels are kept; None if the user has no folder for such things."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).absolute()
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home
        return None
    return base / "lhic" if base.is_absolute() else None


def prepared_folder(folder: str | os.PathLike | None = None) -> Path:
    """Where kernels are kept from now on, once it is known that they can be.

    folder : instead of `cache_folder`

    Raises
    ------
    UsageError
        There is no such folder for this user.
    OSError
        It cannot be written.
    """
    if folder is not None:
        os.environ[VARIABLE] = os.fspath(folder)
    found = cache_folder()
    if found is None:
        raise UsageError(f"compile: expected --into FOLDER, found {NO_FOLDER}")
    found.mkdir(parents=True, exist_ok=True)
    trial = found / f"{secrets.token_hex(8)}.partial"
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(found)) from error
    trial.unlink()
    return found


class KernelCache(caching.FunctionCache):
    """Of one kernel: what numba's dispatcher asks for compiled code, and hands it to."""

    def __init__(self, function: Callable, options: dict, seconds: int):
        # Not numba's, which looks for a writable place already here.
        self._py_func = function
        self._options = sorted((name, str(value)) for name, value in options.items())
        self._linked = "pipeline_class" in options
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__.replace('<locals>.', '')}"
        self._key = source_key(function)
        self._seconds = seconds

    @property
    def cache_path(self) -> str | None:
        folder = self._folder()
        return None if folder is None else str(folder)

    def flush(self) -> None:
        """Forget this kernel."""
        folder = self._folder()
        for path in folder.glob(f"{self._name}-*{SUFFIX}") if folder else ():
            path.unlink(missing_ok=True)

    def load_overload(self, sig, target_context):
        """Compiled code for arguments of these types; None if there is none, or it is damaged."""
        target_context.refresh()
        folder = self._folder()
        if folder:
            try:
                payload = _read(folder / self._file(sig, target_context.codegen()))
                rebuild = linked.rebuilt if self._linked else compiler.CompileResult._rebuild
                found = rebuild(target_context, *pickle.loads(payload))
            except Exception:  # whatever is wrong with it: it is written again
                pass
            else:
                _touch(folder)
                return found
        if self._seconds:
            self._announce(folder)
        return None

    def save_overload(self, sig, data) -> None:
        """Keep compiled code, unless there is no place for it."""
        if not self._linked:
            linked.set_environments(data)
        folder = self._folder()
        if folder is None:
            _do_without(NO_FOLDER)
            return
        if _without or data.library.has_dynamic_globals:
            return
        if source_key(self._py_func, again=True) != self._key:
            return  # edited since it was imported
        payload = serialize.dumps(linked.reduced(data) if self._linked else data._reduce())
        try:
            _make(folder)
            _write(folder / self._file(sig, data.codegen), payload)
        except OSError as error:
            _do_without(_why(folder, error))

    def _announce(self, folder: Path | None) -> None:
        text = f"compiling kernels for this machine, about {self._seconds} s; "
        if folder is None:
            _do_without(NO_FOLDER, text)
            return
        try:
            _make(folder)
        except OSError as error:
            _do_without(_why(folder, error), text)
        else:
            _tell(f"{text}kept in {folder.parent}")

    def _folder(self) -> Path | None:
        folder = cache_folder()
        return folder / self._key if folder and self._key else None

    def _file(self, sig, codegen) -> str:
        """For options, types of arguments and a processor; `_index_key` also looks at what a closure holds."""
        key = hashlib.sha256(repr((self._options, self._index_key(sig, codegen))).encode()).hexdigest()
        return f"{self._name}-{key[:32]}{SUFFIX}"


def source_key(function: Callable, again: bool = False) -> str | None:
    """Name and hash of the package that a kernel belongs to; None if its sources cannot be read.

    A kernel may freeze whatever its package or this one computes, so all sources of both count.
    again : as they are now, not as they were when they were first asked for
    """
    package, file = function.__module__.partition(".")[0], Path(function.__code__.co_filename)
    place = _root(package) or file
    places = {_OWN_PACKAGE: _root(_OWN_PACKAGE), package: place}
    if not file.is_file() or not file.is_relative_to(place):
        return None  # its own text would not count
    try:
        found = (_hash_of.__wrapped__ if again else _hash_of)(tuple(places.items()))
    except OSError:
        return None
    return f"{package}-{found}"


def _root(package: str) -> Path | None:
    """Folder of a package; None for a module that is none."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return Path(file).parent if file and Path(file).stem == "__init__" else None


@cache
def _hash_of(places: tuple[tuple[str, Path], ...]) -> str:
    """Of all sources in some folders, or single files, and of what compiles them; not of where they are."""
    versions = numba.__version__, llvmlite.__version__, np.__version__, sys.implementation.cache_tag
    digest = hashlib.sha256(repr(versions).encode())
    for name, place in places:
        paths = [path for path in place.rglob("*") if path.suffix in SOURCE_SUFFIXES] if place.is_dir() else [place]
        for path in sorted(paths):
            digest.update(f"{name}/{path.relative_to(place).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _read(path: Path) -> bytes:
    """Payload of a cache file; ValueError if it is damaged."""
    content = path.read_bytes()
    payload = content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != content[:_DIGEST_BYTES]:
        raise ValueError(path)
    return payload


def _write(path: Path, payload: bytes) -> None:
    """Whole or not at all, whoever else writes it; readable as the user's umask says."""
    temporary = path.with_name(f"{path.stem}.{secrets.token_hex(8)}.partial")
    try:
        with open(temporary, "xb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if not (isinstance(error, PermissionError) and path.exists()):  # Windows: another process reads it
            raise


def _make(folder: Path) -> None:
    """Create a package's folder; of other versions only those used last stay."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    package = folder.name.rpartition("-")[0]
    versions = [path for path in folder.parent.iterdir() if re.fullmatch(rf"{package}-[0-9a-f]{{20}}", path.name)]
    for path in sorted(versions, key=_last_use, reverse=True)[VERSIONS_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _last_use(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process has removed it
        return 0.0


@cache
def _touch(folder: Path) -> None:
    with contextlib.suppress(OSError):  # a cache that others may only read
        os.utime(folder)


NO_FOLDER = f"no folder for them ({VARIABLE} names one)"
_without: list[str] = []  # why kernels are not kept


def _do_without(why: str, text: str = "") -> None:
    """Say once that kernels are not kept."""
    if not _without:
        _tell(f"{text}compiled kernels are not kept: {why}")
    elif text:
        _tell(f"{text}not kept")
    _without.append(why)


def _why(folder: Path, error: OSError) -> str:
    return f"{folder.parent}: {error.strerror or error}"


def _tell(text: str) -> None:
    from tqdm import tqdm  # only now; it writes beside a progress bar

    tqdm.write(f"lhic: {text}", file=sys.stderr)
