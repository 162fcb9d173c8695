"""Files that are written completely or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

from lhic.errors import UsageError


@contextmanager
def atomic_write(path: str | os.PathLike):
    """Open a temporary file beside `path`; rename it onto `path` when the block ends well, remove it otherwise.

    Raises
    ------
    UsageError
        The folder does not exist, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        found = "a folder of that name" if path.is_dir() else f"no folder {path.parent}"
        raise UsageError(f"{path}: expected a place to write a file, found {found}")
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
