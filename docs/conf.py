"""The site, by Sphinx: ``invoke site``.

Pages are the Markdown files beside this one. Into `made/`, which git ignores, go pages that follow from what stands
elsewhere: the help of the commands, and the README files of the folders that pages link to.
"""

import argparse
import os
import re
from pathlib import Path

import lhic
from lhic.cli import build_parser

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent
MADE = DOCS / "made"
FOLDERS = "results", "ckpt", "data", "contrib/enb", "contrib/qgis", "docs/codecs/lhic"
ELSEWHERE = {REPOSITORY / name / "README.md": MADE / f"{Path(name).name}.md" for name in FOLDERS}
ELSEWHERE[REPOSITORY / "CONTRIBUTING.md"] = MADE / "contributing.md"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")

project = "lhic"
author = "the authors of lhic"
release = lhic.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["codecs/**"]
myst_heading_anchors = 4
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
default_role = "code"
python_maximum_signature_line_length = 60

html_theme = "furo"
html_title = "lhic"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path = ["site"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}


COMPLETION = """\
Tab completes commands, options and their choices once `pip install 'lhic[completion]'` is done and the shell has run
`eval "$(register-python-argcomplete lhic)"` (bash, zsh; fish and others: the documents of argcomplete)."""


def commands() -> str:
    """What ``--help`` says of each command."""
    os.environ["COLUMNS"] = "88"
    parser = build_parser()
    (choices,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    page = ["# The command line", "", COMPLETION, "", "```text", parser.format_help().rstrip(), "```", ""]
    for name, command in choices.items():
        page += [f"## lhic {name}", "", "```text", command.format_help().rstrip(), "```", ""]
    return "\n".join(page)


def moved(text: str, source: Path, page: Path) -> str:
    """A document's text with links that hold where it is shown."""

    def link(match: re.Match) -> str:
        target = (source.parent / match[1]).resolve()
        if target == REPOSITORY / "README.md":
            target = DOCS / "index.md"
        target = ELSEWHERE.get(target, target)
        return "](" + os.path.relpath(target, page.parent)

    return LINK.sub(link, text)


def _write(page: Path, text: str) -> None:
    """Pages that say the same stay as they are, and are not built again."""
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def _on_source(app, name: str, content: list[str]) -> None:
    page = DOCS / f"{name}.md"
    if page.parent != MADE:
        content[0] = moved(content[0], page, page)


def _on_docstring(app, what, name, thing, options, lines: list[str]) -> None:
    """`name : what it is` in one line and the next ones are a name and its description, not its type."""
    split = (re.fullmatch(r"(\*{0,2}\w+(?:, \w+)*) : (.*)", line) for line in lines)
    lines[:] = [
        part for line, match in zip(lines, split) for part in ([match[1], f"    {match[2]}"] if match else [line])
    ]


def setup(app) -> None:
    MADE.mkdir(exist_ok=True)
    _write(MADE / "commands.md", commands())
    for source, page in ELSEWHERE.items():
        _write(page, moved(source.read_text(encoding="utf-8"), source, page))
    app.connect("source-read", _on_source)
    app.connect("autodoc-process-docstring", _on_docstring, priority=400)  # before napoleon
