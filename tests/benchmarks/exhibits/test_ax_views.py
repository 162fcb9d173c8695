import numpy as np
import pytest
import torch

import lhic
from benchmarks.codecs.registry import make
from benchmarks.exhibits import ax_views
from benchmarks.study import parameters
from lhic.data.synthetic import smooth_field
from lhic.errors import ConfigError, UsageError, VerificationError
from lhic.families.ax import reference
from lhic.families.ax.planes.tile import split_tile

MODEL = "lhic-ax-fast"


@pytest.fixture(scope="module")
def cube():
    """Six bands of one picture with noise; the fourth is constant and has no plane."""
    rng = np.random.default_rng(3)
    ground = 900 + 200 * smooth_field(rng, (14, 17), 4)
    bands = [ground * (1 + 0.1 * band) + rng.normal(size=ground.shape) * 4 for band in range(6)]
    bands[3] = np.full(ground.shape, 7)
    return np.round(bands).astype("int16")


@pytest.fixture(scope="module")
def seen(cube):
    return ax_views.view(cube, MODEL)


def test_ideal_code_length_is_that_of_the_stream(cube, seen):
    bits = ax_views.bits_of_bands(seen, len(cube))
    assert bits.shape == (6,) and bits[3] == 0 and (np.delete(bits, 3) > 0).all()
    coded = sum(lhic.inspect(lhic.encode(cube, MODEL))["tiles"][0][-1:])
    assert 0 <= 8 * coded - bits.sum() <= 8 * 16, "a section has a lane's state and whole words, and nothing else"


def test_tall_cubes_are_seen_in_the_order_of_their_bands(cube):
    tall = np.ascontiguousarray(cube.swapaxes(1, 2))
    assert np.allclose(ax_views.view(tall, MODEL).bits, ax_views.view(cube, MODEL).bits)


def test_blend_is_that_of_the_reference(cube):
    tile, net = np.ascontiguousarray(cube[:3, :5, :6]), ax_views.load_net(MODEL)
    _, samples = reference.encode(split_tile(tile)[0], net.config, net.tensors(), 16, 8)
    samples.sort(key=lambda sample: (sample.z, sample.i, sample.j))
    wanted = [[reference.power(min(2 * (near - min(s.near)), 240)) for near in s.near] for s in samples]
    looked = ax_views.view(tile, MODEL)
    assert np.array_equal(looked.blend, np.array(wanted) / np.sum(wanted, axis=1, keepdims=True))
    by_band = ax_views.blend_by_band(looked, ax_views.expert_names(net.config))
    assert by_band.columns.tolist() == ["long", "spatial"] and np.allclose(by_band.sum(axis=1), 1)


def test_components_add_up(seen):
    table = ax_views.component_table(seen)
    assert len(table) == 4 and np.allclose(table[["mean weight", "heaviest in"]].sum(), 1)
    assert (table["width"][:-1] > 0).all()


def test_bits_added_are_the_stream(cube):
    codec = make("ccsds123-p3")
    assert ax_views.bits_added(cube, codec).sum() == 8 * len(codec.encode(cube))


def test_everything_is_exact_and_a_difference_would_show(cube, monkeypatch):
    tile = np.ascontiguousarray(cube[:3, :5, :6])
    table = ax_views.exactness_table(cube, tile, MODEL)
    assert len(table) == 6 and (table["equal"] == "yes").all()
    whole = ax_views.network_sums
    monkeypatch.setattr(
        ax_views,
        "network_sums",
        lambda tensors, features, dtype: whole(tensors, features, dtype) + (dtype == torch.float32),
    )
    assert ax_views.exactness_table(cube, tile, MODEL)["equal"].tolist() == ["yes"] * 4 + ["no", "yes"]


def test_bounds_are_kept_and_save_bits(cube, monkeypatch):
    table = ax_views.near_lossless_table(cube, MODEL, [0, 2], "cpu")
    assert table[f"{MODEL} greatest error"].tolist() == table["CCSDS-123 best greatest error"].tolist() == [0, 2]
    assert (table.filter(like=" bps").iloc[1] < table.filter(like=" bps").iloc[0]).all()
    assert len(ax_views.bound_figure(table).axes[0].lines) == 2
    monkeypatch.setattr(ax_views.lhic, "decode", lambda data, device: cube + np.int16(3))
    with pytest.raises(VerificationError, match="at most 2, found 3"):
        ax_views.near_lossless_table(cube, MODEL, [2], "cpu")


def test_presets_say_what_they_were_trained_on(cube):
    training = lhic.families.weights.load_weights(ax_views.find_weights(MODEL)).info["training_cubes"]
    for sha256, wanted in ((training[0], "yes"), ("00", "no")):
        (line,) = ax_views.preset_table(cube, [MODEL], sha256, "cpu").to_dict("records")
        assert line["trained on this cube"] == wanted and line["network MACs"] > 1000
        assert line["bps"] == 8 * len(lhic.encode(cube, MODEL)) / cube.size


def test_weights_of_another_family_and_large_cubes_are_refused():
    with pytest.raises(UsageError, match="family lhic-ax, found lhic-bp"):
        ax_views.load_net("lhic-bp-xs")
    with pytest.raises(UsageError, match="at most 32768 pixels"):
        ax_views.view(np.zeros((1, 200, 200), np.int16), MODEL)
    with pytest.raises(ConfigError, match=r"ax_models.*family lhic-ax"):
        parameters.check_values({"ax_models": [MODEL, "lhic-bp-xs"]}, "04_lhic_ax")


def test_experiments_that_were_not_run_are_named():
    assert "no_such_experiment" in ax_views.experiment("no_such_experiment")


def test_figures_draw(seen, cube):
    names = ["long", "spatial"]
    bits = ax_views.pd.DataFrame({MODEL: ax_views.bits_of_bands(seen, len(cube))})
    for figure in (
        ax_views.bands_figure(bits, cube[0].size),
        ax_views.blend_figure(ax_views.blend_by_band(seen, names)),
    ):
        figure.canvas.draw()
