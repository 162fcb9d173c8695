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
import hashlib
import os
import pickle
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import llvmlite
import numba
import numpy as np
from numba.core import caching, compiler, serialize

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
    if function is None:
        return lambda function: njit(function, seconds=seconds, **options)
    kernel = numba.njit(**options)(function)
    if kernel is not function:  # as it is with NUMBA_DISABLE_JIT
        kernel._cache = KernelCache(function, seconds)  # as its `enable_caching` does with numba's own
    return kernel


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


class KernelCache(caching.FunctionCache):
    """Of one kernel: what numba's dispatcher asks for compiled code, and hands it to."""

    def __init__(self, function: Callable, seconds: int = 0):
        # Not numba's, which looks for a writable place already here.
        self._py_func = function
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__.replace('<locals>.', '')}"
        self._sources = function.__module__.partition(".")[0], function.__code__.co_filename
        self._key = source_key(*self._sources)
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
                found = compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
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
        folder = self._folder()
        if folder is None:
            _do_without(NO_FOLDER)
        if _without or data.library.has_dynamic_globals:
            return
        if source_key.__wrapped__(*self._sources) != self._key:
            return  # edited since it was imported
        payload = serialize.dumps(data._reduce())
        try:
            _make(folder)
            _write(folder / self._file(sig, data.codegen), payload)
        except OSError as error:
            _do_without(_why(folder, error))

    def _announce(self, folder: Path | None) -> None:
        text = f"compiling kernels for this machine, about {self._seconds} s; "
        try:
            if folder:
                _make(folder)
            why = "" if folder else NO_FOLDER
        except OSError as error:
            why = _why(folder, error)
        if why:
            _do_without(why, text)
        else:
            _tell(f"{text}kept in {folder.parent}")

    def _folder(self) -> Path | None:
        folder = cache_folder()
        return folder / self._key if folder and self._key else None

    def _file(self, sig, codegen) -> str:
        """For types of arguments and a processor; `_index_key` also looks at what a closure holds."""
        key = hashlib.sha256(repr(self._index_key(sig, codegen)).encode()).hexdigest()
        return f"{self._name}-{key[:32]}{SUFFIX}"


@cache
def source_key(package: str, file: str) -> str | None:
    """Name and hash of the package that a kernel's file belongs to; None if its sources cannot be read.

    A kernel may freeze whatever its package or this one computes, so all sources of both count.
    """
    versions = numba.__version__, llvmlite.__version__, np.__version__, sys.implementation.cache_tag
    digest = hashlib.sha256(repr(versions).encode())
    try:
        sources = {path: name for top in {package, _OWN_PACKAGE} for path, name in _sources(top, file)}
        if Path(file) not in sources:
            return None
        for path in sorted(sources, key=sources.get):
            digest.update(f"{sources[path]}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    except OSError:
        return None
    return f"{package}-{digest.hexdigest()[:20]}"


def _sources(package: str, file: str) -> Iterator[tuple[Path, str]]:
    """Files of a package, or the one file that is none, with names that do not depend on where they are."""
    first = getattr(sys.modules.get(package), "__file__", None)
    if first is None or Path(first).stem != "__init__":
        yield Path(file), Path(file).name
        return
    root = Path(first).parent
    for path in root.rglob("*"):
        if path.suffix in SOURCE_SUFFIXES:
            yield path, f"{package}/{path.relative_to(root).as_posix()}"


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
