"""How a file of results comes to be: as a whole, in a folder that is made for it."""

from __future__ import annotations

from pathlib import Path

from lhic.io.atomic import atomic_write


def write_file(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes in place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, overwrite=True) as file:
        file.write(content.encode() if isinstance(content, str) else content)
