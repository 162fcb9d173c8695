import numpy as np
import pandas as pd
import pytest

from benchmarks.codecs import registry
from benchmarks.exhibits import codec_figures
from benchmarks.measure import provenance, throughput
from lhic.errors import VerificationError
from tests.benchmarks.broken_codecs import Lossy, Raw


@pytest.fixture
def cube():
    return np.random.default_rng(0).integers(0, 500, (6, 24, 20), dtype=np.int16)


def test_threads_are_limited_by_codec_and_machine(cube, monkeypatch):
    monkeypatch.setattr(provenance, "n_cores", lambda: 2)
    monkeypatch.setattr(provenance, "has_cuda", lambda: False)
    table = throughput.by_threads(["jpeg-ls-bands", "ccsds123-p0"], cube, [1, 2, 64], 1)
    assert table.groupby("codec")["threads"].apply(list).to_dict() == {"ccsds123-p0": [1], "jpeg-ls-bands": [1, 2]}
    assert np.allclose(table["encode MS/s"], table["samples"] / table["encode_s"] / 1e6)


def test_a_gpu_is_used_where_there_is_one(monkeypatch):
    codec = Raw()
    codec.devices = ("cpu", "cuda")
    monkeypatch.setattr(provenance, "has_cuda", lambda: True)
    monkeypatch.setattr(registry, "make", lambda name: codec)
    found = [(threads, device) for _, threads, device in throughput._settings(["raw"], [1])]
    assert found == [(1, "cpu"), (1, "cuda")]


def test_a_lossy_codec_is_not_timed(cube):
    with pytest.raises(VerificationError, match="1 samples differ"):
        throughput.time_codec(Lossy(), cube, 1)


def test_shapes_fit_the_cube(cube):
    assert throughput.square_shapes(cube, [8, 16, 64, 128]) == [(6, 8, 8), (6, 16, 16), (6, 20, 20)]
    assert throughput.band_shapes(cube, [2, 6, 100]) == [(2, 24, 20), (6, 24, 20)]
    table = throughput.by_size(["lerc"], cube, throughput.square_shapes(cube, [8, 16]), 1)
    assert table["samples"].tolist() == [6 * 64, 6 * 256]


def test_growth_is_the_exponent():
    x = np.array([1, 2, 4, 8])
    table = pd.DataFrame({"codec": "a", "bands": x, "encode_s": 3.0 * x**1.5, "decode_s": 2.0 * x})
    (line,) = throughput.growth(table, "bands").to_dict("records")
    assert line["encode exponent"] == pytest.approx(1.5) and line["decode exponent"] == pytest.approx(1)
    assert np.isnan(throughput.growth(table[:1], "bands")["encode exponent"][0])


def test_batches_are_coded_at_once_and_checked(cube):
    tile = throughput.first_tile("lhic-bp-xs", cube[:2, :6, :5], "cpu")
    table = throughput.by_batch("lhic-bp-xs", tile, [1, 3], "cpu", 1)
    assert table["samples"].tolist() == [tile.size, 3 * tile.size] and (table["decode MS/s"] > 0).all()


def test_the_figure_names_every_codec(cube):
    table = throughput.by_size(["lerc", "png-default"], cube, throughput.square_shapes(cube, [4, 16]), 1)
    figure = codec_figures.speed_figure(table, "rows", "rows and columns", ["lerc", "aec-bands", "png-default"])
    figure.canvas.draw()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lerc", "png-default"]
    alone = table[table["codec"] == "png-default"]
    again = codec_figures.speed_figure(alone, "rows", "rows and columns", ["lerc", "aec-bands", "png-default"])
    drawn, redrawn = figure.axes[0].get_lines()[2], again.axes[0].get_lines()[0]
    assert drawn.get_label() == redrawn.get_label() == "png-default"
    assert drawn.get_color() == redrawn.get_color() and drawn.get_marker() == redrawn.get_marker()
