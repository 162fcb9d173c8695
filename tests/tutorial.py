"""Does what a tutorial of docs/ says: writes its files, runs its Python, installs its package, block by block.

``pip install --editable .`` is the one command that is imitated: it would need the network and change the
environment.  What it leaves behind, a folder on the path and the metadata of the entry points, is made here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.common import REPOSITORY

# A block, and the file it is to be stored in, if the text before it says "File `name`:".
BLOCK = re.compile(r"(?:File `(?P<file>[^`]+)`:\n\n)?```(?P<language>\w+)\n(?P<source>.*?)```", re.DOTALL)


def follow(document: str, folder: Path) -> list[str]:
    """Run every block of a document in order; returns what Python blocks and commands printed."""
    printed, page = [], (REPOSITORY / "docs" / document).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(page))
    assert page.count("```") == 2 * len(blocks), f"{document}: a block without a language"
    for block in blocks:
        if block["file"]:
            (folder / block["file"]).write_text(block["source"], encoding="utf-8")
        elif block["language"] == "python":
            printed.append(run_python(block["source"], folder))
        elif block["source"] == "pip install --editable .\n":
            install(folder)
        elif block["source"].startswith("invoke "):
            command = [sys.executable, "-m", *block["source"].replace("$FOLDER", str(folder)).split()]
            printed.append(run(command, folder, REPOSITORY))
        else:
            raise AssertionError(f"{document}: expected a file, Python, the installation or a task, found {block[0]}")
    return printed


def run_python(source: str, folder: Path) -> str:
    """Standard output of a script run in a folder."""
    return run([sys.executable, "-c", source], folder, folder)


def run(command: list[str], folder: Path, cwd: Path) -> str:
    """Standard output of a command, with `folder` on the path as after an editable installation."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (folder, REPOSITORY)))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(folder: Path) -> None:
    """What an installation leaves of the ``pyproject.toml`` in a folder."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
