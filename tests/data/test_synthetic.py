from itertools import pairwise

import numpy as np

from lhic.data import synthetic


def band_correlation(cube):
    flat = cube.reshape(len(cube), -1).astype(np.float64)
    return np.median([np.corrcoef(a, b)[0, 1] for a, b in pairwise(flat)])


def test_land_is_correlated_along_bands_and_water_is_not():
    shape = (12, 40, 50)
    assert band_correlation(synthetic.land_cube(np.random.default_rng(1), shape)) > 0.9
    assert abs(band_correlation(synthetic.water_cube(np.random.default_rng(1), shape))) < 0.2


def test_fields_have_unit_variance_and_the_stated_structure():
    rng = np.random.default_rng(2)
    noise = synthetic.smooth_field(rng, (4, 200, 200), 3)
    assert abs(noise.std() - 1) < 0.05
    # Boxes of width 3 share two thirds of their samples with the next one.
    assert abs(np.corrcoef(noise[..., :-1].ravel(), noise[..., 1:].ravel())[0, 1] - 2 / 3) < 0.05
    upright = synthetic.stripe_field(rng, (3, 20, 400), 0.0)
    np.testing.assert_array_equal(upright[:, 0], upright[:, 19])
    slanted = synthetic.stripe_field(rng, (3, 20, 400), 1.0)
    np.testing.assert_allclose(slanted[:, 0, 5:], slanted[:, 5, :-5], atol=1e-6)


def test_same_seed_same_cube_and_nodata_where_asked():
    one, two = (synthetic.water_cube(np.random.default_rng(3), (3, 9, 11)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.min() < 0
    holed = synthetic.with_nodata(one, slice(1, 2), slice(0, 4))
    assert (holed[1] == -32768).all() and (holed[:, :, :4] == -32768).all()
    np.testing.assert_array_equal(holed[0, :, 4:], one[0, :, 4:])
