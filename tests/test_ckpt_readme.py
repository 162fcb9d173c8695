"""ckpt/README.md names the weights that are there."""

import hashlib

import pytest

from lhic.families.weights import load_weights
from tests.common import REPOSITORY

FOLDER = REPOSITORY / "ckpt"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_readme_has_size_and_hashes_of_each_file(path):
    data = path.read_bytes()
    for fact in (f"{len(data):,}", hashlib.sha256(data).hexdigest(), load_weights(path).sha256.hex()):
        assert fact in README
