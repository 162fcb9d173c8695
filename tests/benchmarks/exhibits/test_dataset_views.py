"""The numbers of the dataset notebook on cubes whose answer is known."""

import numpy as np
import pytest

from benchmarks.exhibits import dataset_figures, dataset_views
from lhic.data import hyspecnet, open_dataset
from lhic.data.synthetic import stripe_field
from lhic.errors import UsageError

NODATA = -32768


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_noise_is_found_beside_a_scene_and_nodata(rng):
    smooth = np.add.outer(np.arange(64) * 3, np.arange(64) * 2)
    band = np.rint(smooth + 20 * rng.standard_normal(smooth.shape)).astype(np.int16)
    band[:, 40:] = NODATA
    found = dataset_views.noise_of(band, dataset_views.is_valid(band, NODATA))
    assert 16 < found < 21  # the quietest fifth of the blocks is a little below the mean of all


def test_noise_and_stripes_of_an_empty_band_are_unknown():
    band = np.full((16, 16), NODATA, np.int16)
    nothing = dataset_views.is_valid(band, NODATA)
    assert np.isnan(dataset_views.noise_of(band, nothing)) and np.isnan(dataset_views.stripes_of(band, nothing))
    table = dataset_views.band_statistics(np.stack([band, band + 1]), NODATA)
    assert table["nodata"].tolist() == [1, 0] and np.isnan(table.loc[0, "median"]) and table.loc[1, "noise"] == 0


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.25])
def test_slanted_stripes_are_found_along_their_slope(rng, slope):
    shape = (6, 96, 96)
    cube = np.rint(100 * stripe_field(rng, shape, slope) + 20 * rng.standard_normal(shape)).astype(np.int16)
    assert dataset_views.stripe_slope(cube) == pytest.approx(slope)
    along, across = (dataset_views.stripes_of(cube[0], cube[0] > NODATA, found) for found in (slope, slope + 0.2))
    assert along > 40 and along > 2 * across  # of 100, less what is smooth and what interpolation took


def test_a_scene_without_stripes_has_no_slope(rng):
    cube = (1000 * rng.random((4, 64, 64))).astype(np.int16)
    assert dataset_views.stripe_slope(cube) == 0.0


def test_values_before_and_after_clipping():
    cube = np.array([NODATA, -5, -5, 0, 7, 10_000, 10_001, 3], np.int16).reshape(2, 2, 2)
    found = dataset_views.value_summary(cube, NODATA)
    assert (found["minimum"], found["maximum"], found["distinct values"]) == (-5, 10_001, 6)
    assert found["nodata"] == 1 / 8 and found["negative"] == 2 / 8 and found["zero"] == 1 / 8
    assert found["zero after clipping"] == 4 / 8 and found["above 10000"] == 1 / 8
    assert found["levels used"] == 6 / 10_007
    histogram = dataset_views.value_histogram(cube, NODATA, n_bins=10)
    assert histogram[["as measured", "clipped"]].sum().tolist() == [7, 7]
    width = np.diff(histogram["low"])
    assert (width == width[0]).all() and not (histogram["low"] % width[0]).any()
    assert histogram.loc[histogram["low"] < 0, "clipped"].sum() == 0


def test_an_empty_cube_is_summarised_not_refused():
    cube = np.full((3, 9, 9), NODATA, np.int16)
    assert dataset_views.value_summary(cube, NODATA)["nodata"] == 1
    assert dataset_views.value_histogram(cube, NODATA).empty
    assert np.isnan(dataset_views.band_correlation(cube, NODATA)).all()


def test_correlation_knows_copies_opposites_and_constants(rng):
    first = rng.integers(0, 1000, (90, 90))
    cube = np.stack(
        [first, 2 * first + 1, -first, np.full_like(first, 3), rng.permutation(first.ravel()).reshape(90, 90)]
    )
    cube[:, 0, 0] = NODATA
    found = dataset_views.band_correlation(cube, NODATA)
    assert np.allclose(found[0, :3], [1, 1, -1]) and np.isnan(found[3]).all() and abs(found[0, 4]) < 0.1
    assert dataset_views.neighbour_correlation(found).shape == (4,)


def test_a_band_that_is_nodata_throughout_does_not_cost_the_others_their_pixels(rng):
    cube = rng.integers(0, 1000, (3, 20, 20))
    cube[1] = NODATA
    assert np.isfinite(dataset_views.band_correlation(cube, NODATA)[0, 2])


def test_colour_bands():
    wavelengths = {"wavelengths": list(np.arange(400, 700, 10.0))}
    assert dataset_views.colour_bands(30, "unknown", wavelengths) == (24, 15, 7)
    assert dataset_views.colour_bands(202, "EnMAP", {}) == (42, 27, 9)
    assert max(dataset_views.colour_bands(2, "EnMAP", {})) < 2
    with pytest.raises(UsageError, match=r"0\.\.1, found \[0, 1, 2\]"):
        dataset_views.true_colour(np.zeros((2, 3, 3), np.int16), [0, 1, 2])


def test_true_colour_is_stretched_and_black_without_data(rng):
    cube = rng.integers(-300, 300, (3, 20, 20)).astype(np.int16)
    cube[:, 3] = NODATA
    picture = dataset_views.true_colour(cube, (2, 1, 0), NODATA)
    assert picture.shape == (20, 20, 3) and picture.min() == 0 and picture.max() == 1 and not picture[3].any()


def test_split_checks_without_the_dataset_say_so():
    for kind, reason in (("bundled", "only the bundled patch"), ("corpus", "corpus has no official split")):
        table = dataset_views.split_checks(kind, None)
        assert len(table) == 10 and table["verdict"].str.contains(f"cannot be made: {reason}").all()


def test_split_checks_of_a_root(tmp_path, monkeypatch):
    """Two tiles with two patches each; the hard split shares a tile between train and test."""
    monkeypatch.setattr(hyspecnet, "N_PATCHES", 4)
    monkeypatch.setattr(hyspecnet, "N_TILES", 2)
    monkeypatch.setattr(hyspecnet, "SPLIT_SIZES", {part: dict.fromkeys(("train", "test")) for part in ("easy", "hard")})
    monkeypatch.setattr(hyspecnet, "SPLIT_TILES", {"hard": {"train": 1, "test": 1}})
    monkeypatch.setitem(hyspecnet.SPLIT_SIZES, "easy", {"train": 3, "test": 1})
    names = [f"ENMAP-{tile}-Y{row}_X0" for tile in ("A", "B") for row in (0, 1)]
    lines = {}
    for name in names:
        tile = hyspecnet.tile_of(name)
        folder = tmp_path / "patches" / tile / name
        folder.mkdir(parents=True)
        (folder / f"{name}-SPECTRAL_IMAGE.TIF").touch()
        lines[name] = f"{tile}/{name}/{name}-DATA.npy\n"
    parts = {"easy/train": names[:3], "easy/test": names[3:], "hard/train": names[:1], "hard/test": names[1:2]}
    for part, chosen in parts.items():
        file = tmp_path / "splits" / f"{part}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines[name] for name in chosen))
    verdicts = dataset_views.split_checks("hyspecnet-11k", tmp_path).set_index("check")["verdict"]
    assert verdicts.pop("hard: tiles in more than one part") == "differs"
    assert (verdicts == "holds").all()

    (tmp_path / "splits" / "easy" / "test.csv").unlink()
    verdicts = dataset_views.split_checks("hyspecnet-11k", tmp_path).set_index("check")["verdict"]
    assert "split file missing" in verdicts["easy/test: patches"]
    assert verdicts["easy: patches in more than one part"].startswith("cannot be made")


def test_figures_are_drawn_for_real_and_for_empty_cubes():
    real = open_dataset("bundled")[0].load()[:6, :40, :40]
    cubes = {"real": real, "empty": np.full((4, 12, 12), NODATA, np.int16), "one band": real[:1]}
    tables = {name: dataset_views.band_statistics(cube, NODATA) for name, cube in cubes.items()}
    pictures = {name: dataset_views.true_colour(cube, (0, 0, 0), NODATA) for name, cube in cubes.items()}
    figures = [
        dataset_figures.quicklook_figure(pictures),
        dataset_figures.spectra_figure(tables),
        dataset_figures.noise_figure(tables),
        dataset_figures.histogram_figure({n: dataset_views.value_histogram(c, NODATA) for n, c in cubes.items()}),
        dataset_figures.correlation_figure({n: dataset_views.band_correlation(c, NODATA) for n, c in cubes.items()}),
    ]
    for figure in figures:
        figure.canvas.draw()
        assert len(figure.axes) >= 3
