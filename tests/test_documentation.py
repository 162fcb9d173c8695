"""What the documentation shows must be so: its Python and commands run, links, paths and names lead somewhere."""

import doctest
import glob
import importlib
import importlib.util
import os
import pkgutil
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from invoke import Collection
from invoke.parser import Parser

import lhic
import tasks
from lhic import cli
from tests.common import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MODULES = sorted(module.name for module in pkgutil.walk_packages(lhic.__path__, "lhic."))
FOLDERS = "lhic", "benchmarks", "contrib", "docs", "tests", "notebooks", "configs", "ckpt", "results", "data"
PATH = re.compile(rf"(?<![\w./$<>-])(?:{'|'.join(FOLDERS)})/[\w./{{}},*-]*")
OWN_RUNS = "results/local/", "data/hyspecnet-11k/"
"""What a user's runs write, and a dataset of which a part is here."""
NAME = re.compile(r"`((?:lhic|benchmarks|tests)(?:\.\w+)+)(?:\(.*?\))?`")
GROUPS = "lhic.codecs", "lhic.datasets"
"""Entry points, which are no modules."""


WRITTEN = "*.md", "docs/*.md", "docs/tutorials/*.md", "docs/codecs/*/README.md", "*/README.md", "contrib/*/README.md"
DOCUMENTS = sorted({str(path.relative_to(REPOSITORY)) for pattern in WRITTEN for path in REPOSITORY.glob(pattern)})


def _commands(text: str) -> list[str]:
    """Lines of the document's shell blocks, without comments and without what lies between <<'END' and END."""
    found, until = [], None
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if until:
                until = None if line == until else until
                continue
            heredoc = re.search(r"<<'(\w+)'", line)
            until = heredoc and heredoc[1]
            found.append(re.sub(r"\s+#.*", "", line))
    return [line for line in found if line]


def _parts(line: str) -> list[list[str]]:
    """Words of each command of a pipe, without redirections."""
    words = shlex.split(re.sub(r"(?<=\s)(?:<<|[<>])\s*\S+", "", line))
    ends = [i for i, word in enumerate(words) if word == "|"]
    return [words[begin + 1 : end] for begin, end in zip([-1, *ends], [*ends, len(words)], strict=True)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document):
    """Every command is one that is understood, up to its options; what it names is there."""
    for line in _commands((REPOSITORY / document).read_text()):
        for words in _parts(line):
            _check_command(words, f"{document}: {line}")


def _check_command(words: list[str], where: str) -> None:
    program, *rest = words
    if program == "lhic":
        cli.build_parser().parse_args(rest)
    elif program == "invoke":
        contexts = Collection.from_module(tasks).to_contexts()
        if rest != ["--list"]:
            assert Parser(contexts=contexts).parse_argv(rest), where
    elif words[:2] == ["python3", "bootstrap.py"]:
        assert rest[1:] and set(rest[1:]) <= set(Collection.from_module(tasks).task_names), where
    elif words[:2] == ["jupyter", "lab"]:
        assert importlib.util.find_spec("jupyterlab") and (REPOSITORY / rest[1]).is_file(), where
    elif "=" in program:
        _check_command(rest, where)
    else:
        assert program in ("python", "python3", "pip", "mkdir", "conda", "."), where


def test_readme_commands_code_a_cube(tmp_path, monkeypatch, capsys):
    """Word for word, in their order; the patch is cut to a corner as soon as it is there."""
    (block,) = (part for part in re.findall(r"```sh\n.*?```", README, re.DOTALL) if "lhic encode" in part)
    monkeypatch.chdir(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "lhic").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lhic "$@"\n')
    (programs / "lhic").chmod(0o755)
    path = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    for line in _commands(block):
        words = shlex.split(line)
        if words[:2] == ["python3", "-c"]:
            exec(words[2], {})
            np.save("cube.npy", np.load("cube.npy")[:, :12, :12])
        elif re.search(r"[|<>]", line):
            subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, env={**os.environ, **path})
        else:
            assert words[0] == "lhic" and cli.main(words[1:]) == 0, capsys.readouterr().err
    cube = np.load("cube.npy")
    for name in ("again.npy", "again2.npy"):
        np.testing.assert_array_equal(np.load(name), cube)
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")
    assert lhic.inspect("near.lhic")["max_error"] == 2


def test_readme_python_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0


def test_readme_is_short():
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (REPOSITORY / document).parent
    for target in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", (REPOSITORY / document).read_text()):
        assert target.startswith("http") or (folder / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document):
    for found in PATH.findall((REPOSITORY / document).read_text()):
        path = found.rstrip(".,")
        if not path.startswith(OWN_RUNS):
            assert all(glob.glob(str(REPOSITORY / one)) for one in _expanded(path)), path


def _expanded(path: str) -> list[str]:
    """`a/{b,c}.md` stands for `a/b.md` and `a/c.md`."""
    braces = re.search(r"\{(.*?)\}", path)
    if not braces:
        return [path]
    return [path[: braces.start()] + part + path[braces.end() :] for part in braces[1].split(",")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_exist(document):
    for name in NAME.findall((REPOSITORY / document).read_text()):
        if name not in GROUPS:
            assert _exists(name), name


def _exists(name: str) -> bool:
    parts = name.split(".")
    for n_modules in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n_modules]))
        except ModuleNotFoundError:
            continue
        for part in parts[n_modules:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_docstring_examples_run():
    attempted = 0
    for name in MODULES:
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted >= 3
