"""The Python of the how-to documents runs, block after block."""

import re

import pytest

from tests.common import REPOSITORY


@pytest.mark.slow
@pytest.mark.parametrize("name, library", [("hdf5", "h5py"), ("tifffile", "tifffile")])
def test_the_document_runs(name, library, tmp_path, monkeypatch):
    pytest.importorskip(library)
    document = REPOSITORY / "docs" / f"{name}.md"
    blocks = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, document.name, "exec"), names)
