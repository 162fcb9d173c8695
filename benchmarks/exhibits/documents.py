"""Tables and figures inside Markdown documents: taken from ``results/`` between two marks, never typed.

A document holds ``<!-- table: results/.../name.md -->`` and ``<!-- end of table -->``, or
``<!-- figure: results/.../name.svg -->`` and ``<!-- end of figure -->``; what stands between is replaced: by the table
with its caption, or by the figure with the caption that lies in it.  Sources are paths from the repository's root.
``<!-- weights: ckpt/lhic-ax*.safetensors -->`` gets tables of all files of that pattern.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import relpath

from benchmarks.exhibits.figures import read_caption
from benchmarks.exhibits.key_numbers import key_numbers
from benchmarks.exhibits.weights_tables import weights_tables
from benchmarks.measure.files import write_file
from benchmarks.measure.provenance import REPOSITORY
from lhic.errors import UsageError

DOCUMENTS = (
    "README.md",
    "results/README.md",
    "docs/explore.md",
    "docs/learned_peers.md",
    "docs/lhic_ax_speed.md",
    "docs/memory.md",
    "docs/windows.md",
    "ckpt/README.md",
)
KEY_NUMBERS = "results/key_numbers.md"
BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>table|figure|weights): (?P<source>\S+) -->\n).*?(?P<end><!-- end of (?P=kind) -->)",
    re.DOTALL,
)


def filled(text: str, root: Path = REPOSITORY, folder: str = ".") -> str:
    """The document with its tables and figures as the results have them.

    folder : in which the document lies, below `root`

    Raises
    ------
    UsageError
        A table or figure that the document names does not exist.
    """

    def fill(block: re.Match) -> str:
        if block["kind"] == "weights":
            return f"{block['start']}\n{weights_tables(root.glob(block['source']))}\n\n{block['end']}"
        source = root / block["source"]
        if not source.is_file():
            kind = block["kind"]
            raise UsageError(f"{block['source']}: expected a {kind}, found none; run the study that writes it")
        if block["kind"] == "table":
            content = source.read_text(encoding="utf-8").strip()
        else:
            content = (
                f"![{source.stem}]({relpath(block['source'], folder)})\n\n{read_caption(source.with_suffix('.png'))}"
            )
        return f"{block['start']}\n{content.strip()}\n\n{block['end']}"

    return BLOCK.sub(fill, text)


def update(documents: tuple[str, ...] = DOCUMENTS, check: bool = False) -> None:
    """Rewrite the documents that are behind the results; with `check`, raise `UsageError` instead."""
    _write(KEY_NUMBERS, key_numbers(REPOSITORY / "results"), check)
    for name in documents:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        _write(name, filled(text, folder=str(Path(name).parent)), check)


def _write(name: str, content: str, check: bool) -> None:
    path = REPOSITORY / name
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return
    if check:
        raise UsageError(
            f"{name}: expected the tables and figures of results/, found older ones; run 'invoke documents'"
        )
    write_file(path, content)
    print(f"updated: {name}")
