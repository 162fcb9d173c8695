"""What is beyond a dataset or a cube is told in one line, before any work."""

import numpy as np
import pytest

from benchmarks.study import selection, study
from lhic.errors import ConfigError, DatasetError, UsageError


@pytest.fixture
def given(tmp_path):
    """Parameters of a notebook, and cubes of 5 bands, 9 x 11 and 7 x 8 pixels."""
    np.save(tmp_path / "aviris_a.npy", np.arange(5 * 9 * 11, dtype="int16").reshape(5, 9, 11))
    np.save(tmp_path / "aviris_b.npy", np.arange(5 * 7 * 8, dtype="int16").reshape(5, 7, 8))
    chosen = {"dataset": "corpus", "root": str(tmp_path), "split": None, "cube_index": 0}
    return chosen | {"crop": 0, "max_bands": 0, "bands": []}


def test_the_part_that_was_asked_for(given):
    item, whole, cube = selection.select("x", given | {"cube_index": 1, "crop": 7, "max_bands": 5, "bands": [0, 4]})
    assert item.name == "aviris_b" and whole.shape == (5, 7, 8)
    assert np.array_equal(cube, whole[:, :, :7]) and cube.flags["C_CONTIGUOUS"]
    assert selection.select("x", given).cube.shape == (5, 9, 11), "zero takes all"
    del given["max_bands"], given["bands"]
    assert selection.select("x", given).cube.shape == (5, 9, 11), "not every notebook has every parameter"


BEYOND = [
    ("cube_index", 2, "expected at most 1, the last cube of corpus, found 2"),
    ("crop", 10, r"expected at most 9, the shorter side of aviris_a \(9 x 11\), or 0 for all, found 10"),
    ("max_bands", 6, "expected at most 5, the bands of aviris_a, or 0 for all, found 6"),
    ("bands", [4, 5, 6], "expected at most 4, the last band of aviris_a, found 5"),
]


@pytest.mark.parametrize("name, value, message", BEYOND)
def test_what_is_beyond_a_cube_is_told(given, name, value, message):
    with pytest.raises(ConfigError, match=f"^01_x: parameter '{name}': {message}$"):
        selection.select("01_x", given | {name: value})


def test_a_cube_that_is_not_there_is_told(given, tmp_path):
    with pytest.raises(DatasetError, match=r"expected a folder of \.npy cubes"):
        selection.select("x", given | {"root": str(tmp_path / "gone")})
    with pytest.raises(UsageError, match="expected no split"):
        selection.select("x", given | {"split": "hard/test"})


def test_colours_are_bands_of_every_cube_that_is_shown(given, tmp_path):
    np.save(tmp_path / "aviris_c.npy", np.zeros((3, 4, 4), "int16"))
    del given["cube_index"]
    given |= {"exclude": [], "n_cubes": None, "seed": 0, "colour_bands": (0, 2, 4)}
    message = "parameter 'colour_bands': expected at most 2, the last band of aviris_c, found 4"
    with pytest.raises(ConfigError, match=message):
        selection.check("00_x", given)
    selection.check("00_x", given | {"exclude": ["aviris_c"]})
    selection.check("00_x", given | {"colour_bands": None})


@pytest.mark.parametrize("name, value, _", BEYOND)
def test_a_study_checks_it_before_it_measures(given, tmp_path, monkeypatch, name, value, _):
    monkeypatch.setattr(study, "measure", None)
    overrides = given | {"out": str(tmp_path / "out"), name: value}
    with pytest.raises(ConfigError, match=f"^0[0-9]_[a-z_]*: parameter '{name}': expected at most "):
        study.run_study("small", overrides=overrides)
    assert not (tmp_path / "out").exists()
