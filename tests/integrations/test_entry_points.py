"""The entry points of pyproject.toml lead somewhere, and are those of the package that is installed."""

import importlib
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from tests.common import REPOSITORY

ENTRY_POINTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
GROUPS = {"zarr.codecs": "zarr", "numcodecs.codecs": "numcodecs", "xarray.backends": "xarray"}


@pytest.mark.parametrize("group", GROUPS)
def test_entry_points_lead_somewhere(group):
    pytest.importorskip(GROUPS[group])
    module, _, name = ENTRY_POINTS[group]["lhic"].partition(":")
    assert getattr(importlib.import_module(module), name).__module__ == module


@pytest.mark.parametrize("group", GROUPS)
def test_the_installed_package_offers_them(group):
    """After an entry point was added: pip install --editable . again."""
    found = {point.value for point in metadata.entry_points(group=group, name="lhic")}
    assert found == {ENTRY_POINTS[group]["lhic"]}


@pytest.mark.parametrize("group", GROUPS)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(group):
    library, (module, _, _) = GROUPS[group], ENTRY_POINTS[group]["lhic"].partition(":")
    extra = "xarray" if library == "xarray" else "zarr"
    code = f"import sys; sys.modules[{library!r}] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and f"pip install 'lhic[{extra}]'" in last and module in last


def test_importing_lhic_imports_none_of_them():
    code = "import sys, lhic, lhic.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not {*GROUPS.values(), "dask"} & set(done.stdout.split())
