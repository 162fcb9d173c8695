"""The Python of the how-to documents runs, block after block, in an empty folder."""

import re

import pytest

from tests.common import REPOSITORY

LIBRARIES = {
    "hdf5": ("h5py",),
    "tifffile": ("tifffile",),
    "zarr": ("zarr", "numcodecs", "dask.array", "xarray"),
    "xarray": ("xarray", "dask.array"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_the_document_runs(name, tmp_path, monkeypatch):
    for library in LIBRARIES[name]:
        pytest.importorskip(library)
    document = REPOSITORY / "docs" / f"{name}.md"
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, document.name, "exec"), names)
