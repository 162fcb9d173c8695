import numpy as np
import pytest

import lhic
from benchmarks.codecs.registry import make
from benchmarks.exhibits import codec_figures
from benchmarks.measure import ax_tables
from benchmarks.study import parameters
from lhic.data.synthetic import smooth_field
from lhic.errors import ConfigError, VerificationError

MODEL = "lhic-ax-fast"


@pytest.fixture(scope="module")
def cube():
    """Six bands of one picture with noise; the fourth is constant and has no plane."""
    rng = np.random.default_rng(3)
    ground = 900 + 200 * smooth_field(rng, (14, 17), 4)
    bands = [ground * (1 + 0.1 * band) + rng.normal(size=ground.shape) * 4 for band in range(6)]
    bands[3] = np.full(ground.shape, 7)
    return np.round(bands).astype("int16")


def test_bits_added_are_the_stream(cube):
    codec = make("ccsds123-p3")
    assert ax_tables.bits_added(cube, codec).sum() == 8 * len(codec.encode(cube))


def test_everything_is_exact_and_a_difference_would_show(cube, monkeypatch):
    table = ax_tables.exactness_table(cube, MODEL)
    assert table["what"].tolist()[:2] == ["bytes of the stream", "decoded samples"] and (table["equal"] == "yes").all()
    encode = lhic.encode
    monkeypatch.setattr(
        lhic, "encode", lambda cube, model, device, threads: encode(cube + np.int16(threads > 1), model, device)
    )
    assert ax_tables.exactness_table(cube, MODEL)["equal"].tolist()[:2] == ["no", "yes"]


def test_bounds_are_kept_and_save_bits(cube, monkeypatch):
    table = ax_tables.near_lossless_table(cube, MODEL, [0, 2], "cpu")
    assert table[f"{MODEL} greatest error"].tolist() == table["CCSDS-123 best greatest error"].tolist() == [0, 2]
    assert (table.filter(like=" bps").iloc[1] < table.filter(like=" bps").iloc[0]).all()
    assert len(codec_figures.bound_figure(table).axes[0].lines) == 2
    monkeypatch.setattr(lhic, "decode", lambda data, device: cube + np.int16(3))
    with pytest.raises(VerificationError, match="at most 2, found 3"):
        ax_tables.near_lossless_table(cube, MODEL, [2], "cpu")


def test_presets_say_what_they_were_trained_on(cube):
    (training,) = (entry.info["training_cubes"] for entry in lhic.list_models() if entry.name == MODEL)
    for sha256, wanted in ((training[0], "yes"), ("00", "no")):
        (line,) = ax_tables.preset_table(cube, [MODEL], sha256, "cpu").to_dict("records")
        assert line["trained on this cube"] == wanted and line["network MACs"] > 1000
        assert line["bps"] == 8 * len(lhic.encode(cube, MODEL)) / cube.size


def test_weights_of_another_family_are_refused():
    with pytest.raises(ConfigError, match=r"ax_models\.1: expected weights of the family lhic-ax, those"):
        parameters.check_values({"ax_models": [MODEL, "lhic-bp-xs"]}, "04_lhic_ax")
