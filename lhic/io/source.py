"""Bytes at rest, for what takes bytes: they have a length, and slices that are read when they are taken.

A file is read where it lies; a pipe goes into a temporary file, as far as it has been asked for.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO, TextIO, overload

from lhic.errors import UsageError

STANDARD = "-"
"""As a path: standard input, or output."""
COPY_BYTES = 1 << 20


@contextmanager
def named_in_errors(name: str) -> Iterator[None]:
    """Errors of the system that name no file, as those of reading and writing do, name this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or name
        raise


def descriptor_of(standard: TextIO | None, name: str) -> int:
    """Of standard input or output as the process got it; `OSError` if that was closed: another file has its number."""
    if standard is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), name)
    return standard.fileno()


class Source:
    """The bytes of an open file.  Any number of threads may take slices at a time.

    Parameters
    ----------
    file : unbuffered
    name : for messages
    """

    def __init__(self, file: BinaryIO, name: str):
        self.name = name
        self._opened = file
        status = os.fstat(file.fileno())
        self._is_spooled = not stat.S_ISREG(status.st_mode) or file.tell() != 0  # what stands elsewhere goes on there
        self._file = tempfile.TemporaryFile() if self._is_spooled else file
        self._n_bytes = 0 if self._is_spooled else status.st_size
        self._lock = Lock()

    def __len__(self) -> int:
        self._spool(sys.maxsize)
        return self._n_bytes

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        if not isinstance(key, slice):
            return self[key : key + 1][0]
        begin, end = key.start or 0, key.stop
        if end is None or min(begin, end) < 0:  # only then it matters where a pipe ends
            begin, end, _ = key.indices(len(self))
        part = bytearray(max(min(end, self._spool(end)) - begin, 0))
        return bytes(memoryview(part)[: self.read_into(part, begin)])

    def fileno(self) -> int:
        """Of the file that was opened."""
        return self._opened.fileno()

    def read_into(self, target: bytearray | memoryview, begin: int) -> int:
        """Fill `target` with what is from byte `begin` on; returns how many bytes there were."""
        self._spool(begin + len(target))
        view, position = memoryview(target), 0
        while position < len(view):  # network file systems, and Linux above 2 GiB, give less than asked for
            with named_in_errors(self.name):
                n_bytes = self._read_once(view[position:], begin + position)
            if not n_bytes:
                break
            position += n_bytes
        return position

    def _read_once(self, view: memoryview, begin: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [view], begin)
        with self._lock:  # Windows
            self._file.seek(begin)
            part = self._file.read(len(view))
        view[: len(part)] = part
        return len(part)

    def _spool(self, end: int) -> int:
        """Take a pipe's bytes up to `end`, or its end; returns how many bytes are known to be there."""
        if self._is_spooled and self._n_bytes < end:
            with self._lock, named_in_errors(tempfile.gettempdir()):
                self._file.seek(self._n_bytes)
                while self._n_bytes < end and (part := self._opened.read(COPY_BYTES)):
                    self._file.write(part)
                    self._file.flush()
                    self._n_bytes += len(part)
        return self._n_bytes

    def close(self) -> None:
        self._file.close()
        self._opened.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def open_source(path: str | os.PathLike, expected: str = "a file") -> Source:
    """The bytes at `path`: of a file, a pipe, or with ``-`` of standard input.

    expected : what it should be, for messages

    Raises
    ------
    UsageError
        Nothing is there, or a folder, or a terminal.
    OSError
        It cannot be read.
    """
    name = os.fspath(path)
    where: str | int = name
    is_standard = name == STANDARD
    if is_standard:
        name = "standard input"
        where = descriptor_of(sys.__stdin__, name)
    try:
        file = open(where, "rb", buffering=0, closefd=not is_standard)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{name}: expected {expected}, found nothing there") from None
    except IsADirectoryError:
        raise UsageError(f"{name}: expected {expected}, found a folder") from None
    if file.isatty():
        file.close()
        raise UsageError(f"{name}: expected {expected}, found a terminal")
    return Source(file, name)
