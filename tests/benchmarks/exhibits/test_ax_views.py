import numpy as np
import pytest

import lhic
from benchmarks.exhibits import ax_views, codec_figures
from lhic.train.ax import view
from tests.benchmarks.measure.test_ax_tables import MODEL, cube  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def seen(cube):  # noqa: F811
    return view(cube, MODEL)


def test_ideal_code_length_is_that_of_the_stream(cube, seen):  # noqa: F811
    bits = ax_views.bits_of_bands(seen, len(cube))
    assert bits.shape == (6,) and bits[3] == 0 and (np.delete(bits, 3) > 0).all()
    coded = sum(lhic.inspect(lhic.encode(cube, MODEL))["tiles"][0][-1:])
    assert 0 <= 8 * coded - bits.sum() <= 8 * 16, "a section has a lane's state and whole words, and nothing else"


def test_blend_adds_up(seen):
    by_band = ax_views.blend_by_band(seen)
    assert by_band.columns.tolist() == ["long", "spatial"] and np.allclose(by_band.sum(axis=1), 1)


def test_components_add_up(seen):
    table = ax_views.component_table(seen)
    assert len(table) == 4 and np.allclose(table[["mean weight", "heaviest in"]].sum(), 1)
    assert (table["width"][:-1] > 0).all()


def test_experiments_that_were_not_run_are_named():
    assert "no_such_experiment" in ax_views.experiment("no_such_experiment")


def test_figures_draw(seen, cube):  # noqa: F811
    bits = ax_views.pd.DataFrame({MODEL: ax_views.bits_of_bands(seen, len(cube))})
    blend = ax_views.blend_by_band(seen)
    for table, stacked in ((bits / cube[0].size, False), (blend, True)):
        codec_figures.bands_figure(table, "bits per sample", stacked).canvas.draw()
