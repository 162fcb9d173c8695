"""Tables inside Markdown documents: copied from ``results/`` between two marks, never typed.

A document holds ``<!-- table: results/.../name.md -->`` and ``<!-- end of table -->``; what stands between is replaced.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.provenance import REPOSITORY
from lhic.cube import atomic_write
from lhic.errors import UsageError

BLOCK = re.compile(r"(<!-- table: (?P<source>\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(text: str, root: Path = REPOSITORY) -> str:
    """The document with its tables as the results have them.

    Raises
    ------
    UsageError
        A table that the document names does not exist.
    """

    def fill(block: re.Match) -> str:
        source = root / block["source"]
        if not source.is_file():
            raise UsageError(f"{block['source']}: expected a table, found none; run the study that writes it")
        return f"{block[1]}\n{source.read_text(encoding='utf-8').strip()}\n\n{block[3]}"

    return BLOCK.sub(fill, text)


def update(documents: tuple[str, ...] = ("README.md",), check: bool = False) -> None:
    """Rewrite the documents whose tables are behind the results; with `check`, raise `UsageError` instead."""
    for name in documents:
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        current = with_tables(text)
        if current == text:
            continue
        if check:
            raise UsageError(f"{name}: expected the tables of results/, found older ones; run 'invoke documents'")
        with atomic_write(path) as file:
            file.write(current.encode())
        print(f"updated: {name}")
