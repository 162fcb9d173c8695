import numpy as np
import pytest

from lhic.errors import UsageError
from lhic.explore import views
from lhic.explore.views import Bits, Window


def test_residuals_of_known_bands():
    first = np.arange(12).reshape(3, 4)
    cube = np.stack([first, 2 * first + 5, np.full_like(first, 9)]).astype(np.uint8)
    assert not views.residuals(cube, 1, "previous band, fitted").any()
    assert np.array_equal(views.residuals(cube, 1, "previous band"), first + 5)
    assert np.array_equal(views.residuals(cube, 0, "previous band"), first)
    flat = views.residuals(cube, 2, "spatial neighbours")
    assert flat[0, 0] == 9 and not flat.ravel()[1:].any()
    for predictor in views.PREDICTORS:
        for band in range(3):
            assert views.residuals(cube, band, predictor).dtype == np.int64
    with pytest.raises(UsageError, match=r"0\.\.2, found 3"):
        views.residuals(cube, 3, "previous band")
    with pytest.raises(UsageError, match="found 'magic'"):
        views.residuals(cube, 0, "magic")


def test_large_scenes_open_with_a_window_in_their_middle():
    assert views.first_window(256, 100) == (0, 256, 0, 100)
    assert views.first_window(1000, 257) == (436, 564, 64, 192)


def test_a_dragged_rectangle_becomes_the_pixels_that_it_touches():
    assert views.window_of((7.2, 2.9), (-3, 4.5), 10, 8) == (0, 5, 2, 8)
    assert views.window_of((2.1, 2.9), (0, 9), 10, 8) is None, "one column"
    assert views.window_of((20, 30), (0, 9), 10, 8) is None, "outside"
    window = Window(3, 6, 2, 4)
    assert window.contains(5, 3) and not window.contains(6, 3) and not window.contains(5, 1)
    assert str(window) == "rows 3 to 5, columns 2 to 3"


def test_bands_are_found_by_wavelength_or_by_number():
    wavelengths = np.array([450.0, 550.0, 650.0])
    assert [views.band_at(nm, 3, wavelengths) for nm in (0, 501, 640, 9999)] == [0, 1, 2, 2]
    assert [views.band_at(place, 3, None) for place in (-1, 1.4, 7)] == [0, 1, 2]
    assert views.spread_bands(12) == (6, 4, 2)


def test_a_composite_stretches_each_band_and_leaves_nodata_transparent():
    ramp = np.arange(100).reshape(10, 10)
    bands = np.stack([ramp, 1000 - ramp, np.full_like(ramp, 7)])
    bands[:, 0, 0] = -9
    picture = views.composite(bands, (0, 100), nodata=-9)
    assert picture.shape == (10, 10, 4) and picture.dtype == np.uint8
    assert list(picture[0, 1]) == [0, 255, 0, 255] and list(picture[9, 9]) == [255, 0, 0, 255] and picture[0, 0, 3] == 0
    assert picture[0, 1, 0] == 0, "the missing value did not move the black point"


def test_a_few_outliers_do_not_flatten_a_map():
    rng = np.random.default_rng(0)
    calm = rng.normal(5, 1, (100, 100))
    wild = calm.copy()
    wild[0, :50] = 1e6
    assert np.allclose(views.limits(wild), views.limits(calm), atol=0.2)
    assert views.limits_about_zero(wild - 5)[1] < 4
    low, high = views.limits_about_zero(np.zeros((3, 3)))
    assert low == -high < 0
    assert views.limits(np.full((2, 2), 3)) == (3, 4) and views.limits(np.full((2, 2), np.nan)) == (0, 1)


def test_two_maps_get_one_scale():
    low, high = views.common_limits([np.linspace(0, 1, 101), np.linspace(5, 9, 101)])
    assert low == pytest.approx(0.01) and high == pytest.approx(8.96)
    assert views.common_limits([]) == (0, 1)


def test_images_larger_than_a_screen_are_thinned():
    assert views.thinned(np.zeros((512, 513))).shape == (512, 257)
    assert views.thinned(np.zeros((2000, 3, 4))).shape == (500, 3, 4)


def test_histograms_count_every_value_once():
    values = np.repeat([1, 2, 5], [10, 20, 30])
    counts, edges, outside = views.histogram(values)
    assert list(counts) == [10, 20, 0, 0, 30] and list(edges) == [1, 2, 3, 4, 5, 6] and outside == 0
    counts, edges, outside = views.histogram(np.random.default_rng(0).integers(0, 100_000, 5000))
    assert len(counts) <= views.N_BINS + 1 and counts.sum() + outside == 5000 and outside < 20
    spread = np.append(np.linspace(0, 1, 5000), 1e9)
    counts, edges, outside = views.histogram(spread)
    assert edges[-1] < 1.1 and counts.sum() + outside == 5001 and outside >= 1
    assert views.histogram(np.full(4, -9), nodata=-9)[0].sum() == 0
    assert views.histogram(np.full(4, 2.5))[0].sum() == 4


def test_curves_have_gaps_where_bands_are_left_out_or_begin_anew():
    x = np.array([1.0, 2, 3, 40, 41, 42, 41.5, 42.5])
    across, along = views.with_gaps(x, np.arange(8))
    assert list(np.flatnonzero(np.isnan(across))) == [3, 7] and list(np.flatnonzero(np.isnan(along))) == [3, 7]
    assert len(views.with_gaps(np.array([5.0]), np.array([1]))[1]) == 1


def test_block_means_keep_the_sum_also_where_blocks_are_cut():
    image = np.random.default_rng(0).random((10, 7))
    means = views.block_means(image, 4)
    assert means.sum() == pytest.approx(image.sum())
    assert means[0, 0] == pytest.approx(image[:4, :4].mean()) and means[9, 6] == pytest.approx(image[8:, 4:].mean())
    assert means[3, 3] == means[0, 0] != means[4, 3]


def test_codecs_that_say_what_samples_cost_are_compared_in_the_band():
    rng = np.random.default_rng(0)
    first, second = (Bits(rng.random((3, 4, 5), np.float32)) for _ in range(2))
    found = views.side_by_side(first, second, 1)
    assert found.in_band and np.array_equal(found.difference, second.costs[1] - first.costs[1])
    found = views.side_by_side(first, second, None)
    assert not found.in_band and np.allclose(found.difference, (second.costs - first.costs).mean(0))
    assert views.side_by_side(first, None, 2)[1:] == (None, None, True)
    assert views.side_by_side(None, None, 2)[:3] == (None, None, None)


def test_a_codec_known_by_blocks_is_compared_by_blocks_over_all_bands():
    rng = np.random.default_rng(0)
    costs, blocks = Bits(rng.random((3, 8, 8), np.float32)), Bits(None, np.full((8, 8), 6.0), 4)
    found = views.side_by_side(costs, blocks, 1)
    assert not found.in_band and np.allclose(found.first, costs.costs.mean(0)) and (found.second == 6).all()
    assert np.allclose(found.difference, 6 - views.block_means(costs.costs.mean(0), 4))


def test_samples_that_are_no_numbers_are_transparent():
    bands = np.linspace(0, 1, 90, dtype="float32").reshape(3, 5, 6)
    bands[:, 2, 3], bands[0, 1, 1] = np.nan, np.inf
    picture = views.composite(bands, (2, 98))
    assert [tuple(place) for place in np.argwhere(picture[..., 3] == 0)] == [(2, 3)]
