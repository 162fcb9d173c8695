"""docs/add_a_dataset.md does what it says; wrong packages and calls are told in one line."""

import sys

import numpy as np
import pandas as pd
import pytest

from lhic.data import KINDS, kinds, open_dataset
from lhic.errors import BackendError, DatasetError, UsageError
from tests.tutorial import follow, install


@pytest.mark.slow
def test_the_tutorial(tmp_path, monkeypatch):
    _, listed, told = follow("add_a_dataset.md", tmp_path)
    assert "coast made up (12, 16, 16)" in listed and "| 2 of 2 |" in told and "all 2 cubes are measured" in told
    rows = pd.read_parquet(tmp_path / "results" / "rows")
    assert set(rows["cube"]) == {"coast", "town"} and (rows["sensor"] == "made up").all()
    assert len(rows) == 2 * 2 and (rows["error"] == "").all() and set(rows["bands"]) == {12}

    monkeypatch.syspath_prepend(tmp_path)
    assert kinds() == (*KINDS, "scenes")
    root = tmp_path / "scenes"
    assert [item.name for item in open_dataset("scenes", root)] == ["coast", "forest", "town"]
    (forest,) = open_dataset("scenes", root, "train", clip=True)
    scene = np.load(root / "forest.npy").transpose(2, 0, 1)
    assert scene.min() < 0 and np.array_equal(forest.load(), np.clip(scene, 0, 10_000))
    with pytest.raises(DatasetError, match=r"val\.txt"):
        open_dataset("scenes", root, "val")
    with pytest.raises(UsageError, match="root"):
        open_dataset("scenes")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def opened(root, split): return []", r"expected a list of lhic\.data\.Item, found \[\]"),
        ("def opened(root, split): return None", r"expected a list of lhic\.data\.Item, found None"),
        ("def opened(root): return []", "TypeError"),
        ("import no_such_library", "no_such_library"),
    ],
)
def test_a_broken_package_is_told_when_its_dataset_is_asked_for(tmp_path, monkeypatch, source, expected):
    (tmp_path / "outside_dataset.py").write_text(source)
    points = "[project.entry-points.'lhic.datasets']\nouter = 'outside_dataset:opened'\n"
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'outside-dataset'\nversion = '2.0'\n{points}")
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "outside_dataset", raising=False)
    assert open_dataset("bundled")
    with pytest.raises(UsageError, match="corpus, outer, found 'none'"):
        open_dataset("none")
    with pytest.raises(BackendError, match=expected):
        open_dataset("outer", tmp_path)
