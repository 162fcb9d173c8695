"""What the documentation shows must run: the README's Python, the docstrings' examples, the names it mentions."""

import doctest
import importlib
import pkgutil
import re

import pytest

import lhic
from tests.common import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MODULES = sorted(module.name for module in pkgutil.walk_packages(lhic.__path__, "lhic."))


def test_readme_python_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0


@pytest.mark.parametrize("document", [path.name for path in REPOSITORY.glob("*.md")] + ["docs"])
def test_links_lead_somewhere(document):
    folder = REPOSITORY / document
    for path in folder.glob("*.md") if folder.is_dir() else [folder]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), f"{path.name}: {target}"


def test_docstring_examples_run():
    attempted = 0
    for name in MODULES:
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted >= 3
