"""What the how-to documents of other libraries show runs, block by block, in an empty folder."""

import re
import subprocess
import sys

import pytest

from tests.common import REPOSITORY

LIBRARIES = {
    "hdf5": ("h5py",),
    "tifffile": ("tifffile",),
    "zarr": ("zarr", "dask.array", "xarray", "numcodecs"),
    "xarray": ("xarray", "dask.array"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_python_runs(name, tmp_path):
    for library in LIBRARIES[name]:
        pytest.importorskip(library)
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / f"{name}.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", "".join(blocks)], cwd=tmp_path, capture_output=True, text=True)
    assert blocks and done.returncode == 0, done.stderr
