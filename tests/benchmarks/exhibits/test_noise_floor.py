"""The noise floor, on noise of known standard deviation."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.exhibits.noise_floor import above_floor, above_floor_figure, entropy, floor_of, noise_of_bands
from lhic.data.synthetic import smooth_field

SHAPE = 24, 50, 49
PLACE = np.arange(SHAPE[0]) / SHAPE[0]
DEVIATION = 4 + 3 * np.sin(5 * PLACE)
SPECTRA = np.stack([1 + PLACE, 1 + np.sin(5 * PLACE), 1 + np.cos(8 * PLACE)])


def scene(size: float, rng: np.random.Generator) -> np.ndarray:
    """Three smooth materials with smooth spectra."""
    fields = np.stack([smooth_field(rng, SHAPE[1:], 5) for _ in SPECTRA])
    return size * np.einsum("ms,mhw->shw", SPECTRA, fields)


@pytest.mark.parametrize(("size", "most"), [(0, 0.04), (5, 0.2), (500, 0.35)])
def test_the_noise_is_found_whatever_scene_is_below_it(size, most):
    rng = np.random.default_rng(0)
    cube = np.round(scene(size, rng) + DEVIATION[:, None, None] * rng.normal(size=SHAPE)).astype("int32")
    too_much = np.log2(noise_of_bands(cube) / DEVIATION)
    assert -0.05 < too_much.mean() < most and too_much.std() < 0.3
    found = floor_of(cube)
    assert found["floor"].mean() - np.mean([entropy(one) for one in DEVIATION]) == pytest.approx(
        too_much.mean(), abs=0.02
    )


def test_correlated_noise_counts_by_what_is_new_in_it():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(20, 50, 60))
    for column in range(1, 60):
        noise[:, :, column] = 0.8 * noise[:, :, column - 1] + 0.6 * noise[:, :, column]
    found = noise_of_bands(np.round(50 * noise).astype("int32"))
    assert found.mean() == pytest.approx(0.6 * 50, rel=0.05)


@pytest.mark.parametrize("deviation", [0.1, 0.3, 0.6, 1.0, 7.0])
def test_entropy_is_what_counting_finds(deviation):
    rng = np.random.default_rng(2)
    bits = []
    for shift in (np.arange(40) + 0.5) / 40:
        counts = np.unique(np.round(shift + deviation * rng.normal(size=40_000)), return_counts=True)[1] / 40_000
        bits.append(-(counts * np.log2(counts)).sum())
    assert entropy(deviation) == pytest.approx(np.mean(bits), abs=0.03)


def test_constant_and_rounded_bands_have_no_floor():
    cube = np.zeros((10, 40, 40), "int16")
    cube[5] = np.arange(40)[:, None] * 7
    assert (floor_of(cube)["floor"] == 0).all()


def test_nodata_say_nothing():
    rng = np.random.default_rng(3)
    cube = np.round(1000 + 10 * rng.normal(size=(12, 40, 40))).astype("int16")
    lost = cube.copy()
    lost[:, :14] = -9999
    lost[3] = -9999
    found = noise_of_bands(lost, -9999)
    assert np.isnan(found[3]) and np.isnan(found).sum() < 12
    assert np.nanmean(found[~np.isnan(found)]) == pytest.approx(10, rel=0.05)


def test_cubes_too_small_for_a_regression_have_none():
    assert np.isnan(noise_of_bands(np.ones((20, 3, 4), "int16"))).all()


def test_bits_above_the_floor():
    rates = pd.DataFrame({"a": [3.0, 5.0], "b": [4.0, 5.5]}, index=["one", "two"])
    found = above_floor(rates, pd.Series({"one": 2.5, "two": 1.0}))
    assert list(found.index) == ["two", "one"]
    assert found.loc["one"].to_dict() == {"floor": 2.5, "a": 0.5, "b": 1.5}
    axes = above_floor_figure(found).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["two", "one"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [[5.0, 3.0], [5.5, 4.0]]
