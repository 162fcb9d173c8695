"""pyproject.toml, environment.yml and constraints.txt must tell the same story."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from tests.common import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright"}


COMES_WITH_TORCH = {"triton"}  # of conda's pytorch, where there is a triton at all


def split(requirement: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9_-]+)\s*([^;]*).*", requirement.strip()).groups()
    return CONDA_NAMES.get(name, name).lower(), bound.strip()


def test_environment_yml_states_the_same_dependencies():
    stated = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    conda = dict(split(entry) for entry in stated if isinstance(entry, str))
    project = dict(split(entry) for entry in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"])
    assert conda.pop("python") == PROJECT["requires-python"]
    del conda["pip"]
    assert conda == {name: bound for name, bound in project.items() if name not in COMES_WITH_TORCH}


def test_every_dependency_is_pinned():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    wanted = [split(entry)[0] for entry in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]]
    assert set(wanted) <= {name.lower() for name in pins}
    assert pins["torch"] == "2.13.0"


def test_torchac_is_only_an_extra():
    assert PROJECT["optional-dependencies"]["torchac"] == ["torchac"]
    assert "torchac" not in " ".join(PROJECT["dependencies"])


def test_import_needs_neither_torch_nor_triton_nor_numba():
    """`import lhic` and reading a header must work, and quickly, on a machine without any of them."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'triton', 'numba', 'imagecodecs', 'pandas']));"
        "import lhic, lhic.cli; lhic.list_models(); lhic.cli.build_parser().format_help()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_every_installed_pin_runs_on_the_oldest_python_we_support():
    """Some packages ask for a patch level, and such a pin breaks the installation on 3.11.0 .. 3.11.4."""
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    oldest = PROJECT["requires-python"].removeprefix(">=")
    for name in (line.split("==")[0] for line in lines if line and not line.startswith("#")):
        try:
            needed = importlib.metadata.metadata(name).get("Requires-Python")
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python version
        assert needed is None or SpecifierSet(needed).contains(f"{oldest}.2"), f"{name} needs Python {needed}"
