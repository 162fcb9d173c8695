import numpy as np
import pytest

import lhic
from benchmarks.exhibits import codec_figures
from benchmarks.measure import depth
from lhic.errors import UsageError


def test_every_depth_is_coded_and_its_parts_add_up():
    cube = np.random.default_rng(0).integers(0, 300, (3, 9, 8), dtype=np.int16)
    table = depth.depth_table(cube, "lhic-bp-xs", [4, 9], device="cpu")
    assert table["depth"].tolist() == [4, 9] and table["msp values"].tolist() == [19, 1]
    stream = lhic.encode(cube, "lhic-bp-xs", "cpu", param_d=9)
    assert table.loc[1, "bytes"] == len(stream)
    assert np.allclose(table["bps"], 8 * table["bytes"] / cube.size)
    assert np.allclose(table["msp bps"] + table["lsp bps"] + table["other bps"], table["bps"])
    assert (table[["lsp bps", "other bps", "encode_s", "decode_s"]] > 0).all(axis=None)
    figure = codec_figures.depth_figure(table)
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == [f"{bps:.2f}" for bps in table["bps"]]


@pytest.mark.parametrize("wrong", [{"depths": [8, 17]}, {"option": "depth"}])
def test_wrong_depths_and_options_are_told_before_any_work(monkeypatch, wrong):
    monkeypatch.setattr(lhic, "encode", None)
    cube = np.zeros((2, 3, 3), np.int16)
    with pytest.raises(UsageError, match="expected"):
        depth.depth_table(cube, "lhic-bp-xs", **{"depths": [8], "device": "cpu", **wrong})
