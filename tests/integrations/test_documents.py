"""What docs/zarr.md and docs/xarray.md show runs, block by block, in an empty folder."""

import re
import subprocess
import sys

import pytest

from tests.common import REPOSITORY

LIBRARIES = {"zarr.md": ("zarr", "dask.array", "xarray", "numcodecs"), "xarray.md": ("xarray", "dask.array")}


@pytest.mark.parametrize("document", LIBRARIES)
def test_python_runs(document, tmp_path):
    for library in LIBRARIES[document]:
        pytest.importorskip(library)
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / document).read_text(), re.DOTALL)
    code = "".join(blocks)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert blocks and done.returncode == 0, done.stderr
