import numpy as np
import pytest

from lhic.data import open_dataset
from lhic.data.corpus import guess_sensor
from lhic.errors import DatasetError, InvalidCubeError, UsageError


def test_items_are_sorted_and_read_late(tmp_path):
    cubes = {
        "enmap_b": np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5,
        "aviris_a": np.ones((1, 1, 1), np.uint16),
    }
    for name, cube in cubes.items():
        np.save(tmp_path / f"{name}.npy", cube)
    np.save(tmp_path / "broken.npy", np.zeros((2, 2, 2), np.complex64))
    (tmp_path / "notes.txt").write_text("not a cube")

    items = open_dataset("corpus", tmp_path)
    assert [(i.name, i.sensor) for i in items] == [
        ("aviris_a", "AVIRIS"),
        ("broken", "unknown"),
        ("enmap_b", "EnMAP"),
    ]
    np.testing.assert_array_equal(items[2].load(), cubes["enmap_b"])
    with pytest.raises(InvalidCubeError, match="broken"):
        items[1].load()


def test_clipping_is_the_same_for_every_kind(tmp_path):
    np.save(tmp_path / "x.npy", np.array([-5, 0, 10_000, 10_001], np.int16).reshape(1, 2, 2))
    cube = open_dataset("corpus", tmp_path, clip=True)[0].load()
    assert cube.dtype == np.int32
    assert cube.ravel().tolist() == [0, 0, 10_000, 10_000]


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(DatasetError, match="found none"):
        open_dataset("corpus", tmp_path)
    with pytest.raises(DatasetError, match="found nothing"):
        open_dataset("corpus", tmp_path / "no")


@pytest.mark.parametrize("arguments", [("cubes",), ("corpus",), ("hyspecnet-11k",), ("bundled", None, "easy/test")])
def test_usage(arguments):
    with pytest.raises(UsageError):
        open_dataset(*arguments)


def test_sensor_guess():
    assert guess_sensor("abu_beach_4") == "ROSIS" and guess_sensor("abu_beach_1") == "AVIRIS"
    assert guess_sensor("hydice_terrain") == "HYDICE" and guess_sensor("HyMap_x") == "HyMap"
