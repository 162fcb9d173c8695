"""What is refused, and that nothing is half-written."""

import numpy as np
import pytest

from lhic.errors import InvalidCubeError, MemoryBudgetError, UsageError
from lhic.io.cube import atomic_write, check_cube, check_memory, load_cube, n_bytes_of, save_cube
from tests.common import cubes_by_intent


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_cubes_pass(name, cube):
    assert check_cube(cube) is cube


@pytest.mark.parametrize(
    "bad,words",
    [
        (np.zeros((2, 3, 4)), "float64"),
        (np.full((2, 3, 4), np.nan, "float32"), "24 values that are NaN"),
        (np.zeros((2, 3, 4), bool), "bool"),
        (np.zeros((2, 3, 4), complex), "complex128"),
        (np.zeros((2, 3, 4), "int64"), "astype"),
        (np.zeros((2, 3, 4), "datetime64[s]"), "datetime64"),
        (np.zeros((3, 4), "int16"), "2 in shape"),
        (np.zeros((1, 2, 3, 4), "int16"), "4 in shape"),
        (np.array(3, "int16"), "0 in shape"),
        (np.zeros((2, 0, 4), "int16"), "empty axis"),
        ([[[1]]], "list"),
    ],
)
def test_others_are_refused(bad, words):
    with pytest.raises(InvalidCubeError, match=words):
        check_cube(bad)


def test_memory_budget(monkeypatch):
    check_memory(6000, "cube", "a tile", budget=6000)
    with pytest.raises(MemoryBudgetError, match=r"a tile to need at most 5,999 bytes of memory .*found 6,000"):
        check_memory(6000, "cube", "a tile", budget=5999)
    assert n_bytes_of((2**31 - 1,) * 3, np.dtype("int32")) == 4 * (2**31 - 1) ** 3
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "lots")
    with pytest.raises(UsageError, match="lots"):
        check_memory(1, "cube", "a sample")


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_file_round_trip(tmp_path, name, cube):
    save_cube(tmp_path / "cube.npy", cube)
    again = load_cube(tmp_path / "cube.npy")
    assert again.dtype == cube.dtype and np.array_equal(again, cube)


def test_bad_files(tmp_path):
    path = tmp_path / "cube.npy"
    with pytest.raises(UsageError, match="nothing there"):
        load_cube(path)
    with pytest.raises(UsageError, match="a folder"):
        load_cube(tmp_path)
    save_cube(path, np.zeros((3, 4, 5), "int16"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidCubeError, match=r"cube\.npy"):
            load_cube(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidCubeError, match=r"cube\.npy"):
        load_cube(path)


def test_a_header_that_announces_too_much_is_refused_before_reading(tmp_path):
    path = tmp_path / "cube.npy"
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i2", "fortran_order": False, "shape": (10**6, 10**6, 10**3)}
        )
    with pytest.raises(MemoryBudgetError, match=r"cube\.npy"):
        load_cube(path)


def test_atomic_write_leaves_nothing_behind(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_write(target) as file:
        file.write(b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and target.read_bytes() == b"whole"
    with pytest.raises(UsageError, match="no folder"), atomic_write(tmp_path / "no" / "out"):
        pass
