"""Windows of a cube in a file, and a file made of windows."""

import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lhic.errors import InvalidCubeError, MemoryBudgetError, UsageError
from lhic.formats import Scene, load_cube, open_cube, save_cube
from lhic.formats.npy import NpySink
from tests.common import cubes_by_intent


def windows(shape):
    """Whole axes, parts of them, single elements, in every combination."""
    for axes in itertools.product(*({(0, n), (0, 1), (n // 2, n), (n // 3, n // 3 + 1)} for n in shape)):
        yield tuple(slice(*axis) for axis in axes)


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_windows_are_those_of_the_array(tmp_path, name, cube):
    np.save(tmp_path / "cube.npy", cube)
    with open_cube(tmp_path / "cube.npy") as found:
        assert (found.shape, found.dtype, found.size, found.nbytes) == (cube.shape, cube.dtype, cube.size, cube.nbytes)
        for window in windows(cube.shape):
            assert np.array_equal(found[window], cube[window]) and found[window].dtype == cube.dtype
        everything = found[:, :, :]
    assert np.array_equal(everything, cube)


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_a_file_of_windows_is_that_of_numpy(tmp_path, name, cube):
    cube = np.ascontiguousarray(cube)
    np.save(tmp_path / "cube.npy", cube)
    with open(tmp_path / "mine.npy", "wb") as file:
        mine = NpySink(file, Scene(cube.shape, cube.dtype))
        halves = [[slice(0, n // 2), slice(n // 2, n)] for n in cube.shape]
        for window in reversed(list(itertools.product(*halves))):
            mine[window] = cube[window].astype(cube.dtype.newbyteorder("="))
    assert (tmp_path / "mine.npy").read_bytes() == (tmp_path / "cube.npy").read_bytes()


def test_what_is_no_cube_is_refused(tmp_path):
    path = tmp_path / "cube.npy"
    with pytest.raises(UsageError, match="nothing there"):
        open_cube(path)
    for array, words in [(np.zeros((3, 4), "int16"), "3 axes"), (np.zeros((2, 0, 4), "int16"), "no empty axis")]:
        np.save(path, array)
        with pytest.raises(InvalidCubeError, match=rf"cube\.npy: .*{words}"):
            open_cube(path)
    np.save(path, np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidCubeError, match=r"cube\.npy"):
        open_cube(path)
    np.save(path, np.zeros((3, 4, 5), "int16"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidCubeError, match=r"cube\.npy"):
            open_cube(path)


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((3, 4, 5), "int16"))
    with open_cube(tmp_path / "cube.npy") as cube:
        (tmp_path / "cube.npy").write_bytes((tmp_path / "cube.npy").read_bytes()[:-1])
        assert cube[0:2, :, :].sum() == 0
        with pytest.raises(InvalidCubeError, match="cut off"):
            cube[0:3, 0:4, 1:5]


def test_a_full_disk_is_told_at_the_start(tmp_path):
    with open(tmp_path / "cube.npy", "wb") as file, pytest.raises(OSError, match="expected room for"):
        NpySink(file, Scene((2**31 - 1, 2**20, 2**10), np.dtype("int16")))


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


def test_a_cube_that_is_too_large_is_refused_before_reading(tmp_path, monkeypatch):
    save_cube(tmp_path / "cube.npy", np.zeros((2, 3, 4), "int16"))
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "47")
    with pytest.raises(MemoryBudgetError, match=r"cube\.npy: expected shape \(2, 3, 4\) of int16 to need at most 47"):
        load_cube(tmp_path / "cube.npy")
    with open(tmp_path / "vast.npy", "wb") as file:
        described = {"descr": "<i2", "fortran_order": False, "shape": (10**6, 10**6, 10**3)}
        np.lib.format.write_array_header_1_0(file, described)
    with pytest.raises(InvalidCubeError, match=r"vast\.npy: a \.npy file: expected 2000000000000000 bytes"):
        load_cube(tmp_path / "vast.npy")


def write_npy(path, header: bytes, version=(1, 0), samples: bytes = bytes(100)) -> None:
    length = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    path.write_bytes(b"\x93NUMPY" + bytes(version) + length + header + samples)


@pytest.mark.parametrize(
    "header",
    [
        b"((((",
        b"(" * 9000,
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (-2, 3, 4)}",
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (True, 3, 4)}",
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, 4.0)}",
        b"{'descr': '<i2', 'fortran_order': False, 'shape': [2, 3, 4]}",
        b"{'descr': '<i2', 'fortran_order': 0, 'shape': (2, 3, 4)}",
        b"{'descr': 'no such', 'fortran_order': False, 'shape': (2, 3, 4)}",
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (%d, 3, 4)}" % 2**70,
        b"{'descr': '|V0', 'fortran_order': False, 'shape': (%d, 3, 4)}" % 2**70,
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s)}" % (b"1, " * 70),
        b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, 4), 'more': 1}",
        b"{'descr': '<i2', 'shape': (2, 3, 4)}",
        b"__import__('os').system('exit')",
        b"1" * 5000,
        b"\xff\xfe\x00",
        b"",
    ],
    ids=lambda header: header[:12].hex(),
)
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), (9, 9)])
def test_odd_headers_are_one_line(tmp_path, header, version):
    write_npy(tmp_path / "odd.npy", header, version)
    for function in (open_cube, load_cube):
        with pytest.raises(InvalidCubeError, match=r"odd\.npy: .*expected") as caught:
            function(tmp_path / "odd.npy")
        assert "\n" not in str(caught.value)


def test_version_3_and_bytes_behind_the_samples(tmp_path):
    """As numpy reads them; version 3 is written where names of fields are not Latin-1."""
    header = b"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, 4)}\n"
    cube = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    for version in [(1, 0), (2, 0), (3, 0)]:
        write_npy(tmp_path / "cube.npy", header, version, cube.tobytes() + b"more")
        assert np.array_equal(load_cube(tmp_path / "cube.npy"), cube)


def test_threads_share_a_reader(tmp_path):
    cube = np.random.default_rng(0).integers(0, 1000, (20, 30, 40), "int16")
    for order in "CF":
        np.save(tmp_path / "cube.npy", np.asarray(cube, order=order))
        places = [(slice(i, i + 2), slice(i, i + 5), slice(0, 40 - i)) for i in range(18)] * 8
        with open_cube(tmp_path / "cube.npy") as reader, ThreadPoolExecutor(8) as pool:
            for window, found in zip(places, pool.map(reader.__getitem__, places), strict=True):
                assert np.array_equal(found, cube[window])


def test_short_reads_are_not_taken_for_whole_ones(tmp_path, monkeypatch):
    cube = np.random.default_rng(0).integers(0, 1000, (20, 30, 40), "int16")
    np.save(tmp_path / "cube.npy", cube)
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, views, position: whole(file, [views[0][:101]], position))
    assert np.array_equal(load_cube(tmp_path / "cube.npy"), cube)


def test_a_pipe_is_a_cube_file(tmp_path):
    cube = np.random.default_rng(0).integers(0, 1000, (20, 30, 40), "int16")
    np.save(tmp_path / "cube.npy", cube)
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "cube.npy").read_bytes())).start()
    assert np.array_equal(load_cube(tmp_path / "pipe"), cube)


def test_an_existing_file_is_replaced_only_if_asked(tmp_path):
    save_cube(tmp_path / "cube.npy", np.zeros((2, 3, 4), "int16"))
    with pytest.raises(UsageError, match="overwrite=True"):
        save_cube(tmp_path / "cube.npy", np.ones((2, 3, 4), "int16"))
    assert not load_cube(tmp_path / "cube.npy").any()
    save_cube(tmp_path / "cube.npy", np.ones((2, 3, 4), "int16"), overwrite=True)
    assert load_cube(tmp_path / "cube.npy").all()
