"""Where results go: a file appears complete or not at all, and replaces another only if that was asked for."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import BinaryIO

from lhic.errors import UsageError
from lhic.io.source import COPY_BYTES, STANDARD, descriptor_of, named_in_errors

_partial: set[str] = set()  # files and folders that are being written
_moving = Lock()  # held while files of a folder are put in their places, one after the other


@contextmanager
def atomic_write(path: str | os.PathLike, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file for writing and reading; what is in it stands at `path` once the block ends well.

    A file is put in its place by renaming: several writers do not disturb each other, and the last one wins.  Links are
    followed.  A file that replaces another has its permissions, and its owner where the system allows that; further
    hard links keep the old contents.  Pipes and devices are written through; ``-`` is standard output.

    Parameters
    ----------
    overwrite : whether an existing file, or what is on a block device, may be replaced

    Raises
    ------
    UsageError
        A folder or a terminal, a file that may not be replaced, or no folder for it.
    OSError
        It cannot be written.  It names `path`.
    """
    status, path = check_place(path, overwrite), os.fspath(path)
    is_plain = path != STANDARD and (status is None or stat.S_ISREG(status.st_mode))
    with _replaced(path, status) if is_plain else _written_through(path) as file:
        yield file


@contextmanager
def atomic_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[str]:
    """A path of the same name in an empty folder beside; all that is in there once the block ends well is moved here.

    For what libraries write by path: one file, several, or a folder.  All of it appears, or nothing.

    Raises
    ------
    UsageError
        Something of one of the names is here that may not be replaced.
    """
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    if not name or not os.path.isdir(folder):
        raise UsageError(f"{path}: expected a place to write a file, found no folder {folder}")
    if os.path.lexists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        raise UsageError(f"{path}: expected nothing there, found a pipe or a device, which only .npy can be written to")
    _check_free([target], overwrite)
    partial = os.path.join(folder, f"{secrets.token_hex(8)}.partial")
    _partial.add(partial)
    try:
        os.mkdir(partial)
        yield os.path.join(partial, name)
        with _moving:
            names = sorted(os.listdir(partial), key=lambda made: made == name)  # the one that was asked for comes last
            targets = [os.path.join(folder, made) for made in names]
            _check_free(targets, overwrite)
            for made, place in zip(names, targets, strict=True):
                _move(os.path.join(partial, made), place)
    except OSError as error:
        if error.filename is None or str(error.filename).startswith(partial):
            error.filename = os.fspath(path)
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _partial.discard(partial)
    _sync_folder(folder)


def remove_partial() -> None:
    """Remove all that this process has not completed, for one that ends at once, in whatever its threads are doing.

    Nothing is completed after this.
    """
    _moving.acquire()
    for path in list(_partial):
        while os.path.isdir(path):  # a library may write into it meanwhile
            shutil.rmtree(path, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.unlink(path)


def _check_free(targets: list[str], overwrite: bool) -> None:
    for target in targets:
        if os.path.lexists(target) and not overwrite:
            what = "a folder" if os.path.isdir(target) else "a file"
            only = "which only --force (overwrite=True) replaces"
            raise UsageError(f"{target}: expected nothing there, found {what}, {only}")


def _move(made: str, target: str) -> None:
    """Put what was made in the place of what is there; of a folder, the old one goes when the new one stands there."""
    if os.path.isdir(target):
        if not os.path.isdir(made) or not _is_store(target):
            raise UsageError(f"{target}: expected a place to write a file, found a folder of that name")
        old = f"{target}.{secrets.token_hex(8)}.partial"
        os.rename(target, old)
        os.rename(made, target)
        shutil.rmtree(old, ignore_errors=True)
        return
    if os.path.isfile(made):
        with open(made, "rb+") as file:
            if os.path.isfile(target):
                _keep_permissions(file, os.stat(target))
            os.fsync(file.fileno())
    os.replace(made, target)


def _is_store(folder: str) -> bool:
    """Whether a folder is one that may be replaced: it holds a Zarr store."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("zarr.json", ".zgroup", ".zarray"))


def temporary_beside(path: str | os.PathLike) -> BinaryIO:
    """A nameless temporary file, on the disk of the one that `atomic_write` opens for this path."""
    path = os.fspath(path)
    is_plain = path != STANDARD and (os.path.isfile(path) or not os.path.exists(path))
    return tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path)) if is_plain else None)


def check_not_input(path: str | os.PathLike, *inputs: str | os.PathLike | int | None) -> None:
    """`UsageError` if writing to `path` would destroy what is, or was, read, under whatever name.

    inputs : paths, descriptors of open files, None
    """
    for source in (source for source in inputs if source is not None):
        with suppress(OSError):  # one of them does not exist
            status = _status_of_output(path)
            if _keeps(status) and os.path.samestat(status, os.stat(source)):
                raise UsageError(f"{path}: expected another file than those that are read, found one of them")


def _status_of_output(path: str | os.PathLike) -> os.stat_result:
    return os.fstat(_standard_output()) if os.fspath(path) == STANDARD else os.stat(path)


def _standard_output() -> int:
    return descriptor_of(sys.__stdout__, "standard output")


def _keeps(status: os.stat_result) -> bool:
    """Whether what is written stays there, and takes the place of what was there."""
    return stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)


def check_place(path: str | os.PathLike, overwrite: bool = False) -> os.stat_result | None:
    """What is at `path`, if anything; `UsageError` if `atomic_write` would refuse it."""
    path = os.fspath(path)
    try:
        status = _status_of_output(path)
    except (FileNotFoundError, NotADirectoryError):
        folder = os.path.dirname(os.path.realpath(path))
        if not path or not os.path.isdir(folder):
            raise UsageError(f"{path}: expected a place to write a file, found no folder {folder}") from None
        return None
    if path == STANDARD and os.isatty(_standard_output()):
        raise UsageError("standard output: expected a file or a pipe, found a terminal")
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path}: expected a place to write a file, found a folder of that name")
    if _keeps(status) and not overwrite and path != STANDARD:
        raise UsageError(f"{path}: expected nothing there, found a file, which only --force (overwrite=True) replaces")
    return status


@contextmanager
def _replaced(path: str, status: os.stat_result | None) -> Iterator[BinaryIO]:
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    partial = os.path.join(folder, f"{name[:24]}.{secrets.token_hex(8)}.partial")  # whatever the length of the name
    mode = 0o600 if status else 0o666  # nobody reads on the way what may be a secret
    _partial.add(partial)
    try:
        with open(partial, "x+b", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            yield file
            file.flush()
            if status:
                _keep_permissions(file, status)
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        if error.filename in (None, partial):
            error.filename = path
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        _partial.discard(partial)
    _sync_folder(folder)


def _keep_permissions(file: BinaryIO, status: os.stat_result) -> None:
    with suppress(PermissionError, AttributeError):
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
    with suppress(PermissionError, AttributeError):  # Windows has neither
        os.fchmod(file.fileno(), status.st_mode & 0o777)


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # the file is complete; some file systems, and folders that cannot be listed, refuse
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _written_through(path: str) -> Iterator[BinaryIO]:
    """Only what is complete: cubes are not written from front to back, and may fail to verify at their end."""
    is_standard, name = path == STANDARD, "standard output" if path == STANDARD else path
    with named_in_errors(name):
        place, opener = (_standard_output(), None) if is_standard else (path, _open_existing)
        with open(place, "wb", opener=opener, closefd=not is_standard) as target, tempfile.TemporaryFile() as file:
            if target.isatty():
                raise UsageError(f"{name}: expected a file or a pipe, found a terminal")
            with named_in_errors(tempfile.gettempdir()):
                yield file
                file.seek(0)
            shutil.copyfileobj(file, target, COPY_BYTES)


def _open_existing(path: str, flags: int) -> int:
    return os.open(path, flags & ~(os.O_CREAT | os.O_TRUNC))  # /tmp refuses to create others' pipes, though they exist
