import numpy as np
import pytest

import lhic
from benchmarks.codecs import registry
from benchmarks.study import explore
from lhic.data import open_dataset
from lhic.errors import UsageError
from tests.benchmarks.broken_codecs import Raw, Refuses


@pytest.fixture
def cube():
    ramp = np.add.outer(np.arange(4) * 50, np.add.outer(np.arange(12) * 3, np.arange(10)))
    return (ramp + np.random.default_rng(0).integers(-2, 3, ramp.shape)).astype(np.int16)


def test_residuals_of_known_bands():
    first = np.arange(12).reshape(3, 4)
    cube = np.stack([first, 2 * first + 5, np.full_like(first, 9)]).astype(np.uint8)
    assert not explore.residuals(cube, 1, "previous band, fitted").any()
    assert np.array_equal(explore.residuals(cube, 1, "previous band"), first + 5)
    assert np.array_equal(explore.residuals(cube, 0, "previous band"), first)
    flat = explore.residuals(cube, 2, "spatial neighbours")
    assert flat[0, 0] == 9 and not flat.ravel()[1:].any()
    for predictor in explore.PREDICTORS:
        for band in range(3):
            assert explore.residuals(cube, band, predictor).dtype == np.int64
    with pytest.raises(UsageError, match=r"0\.\.2, found 3"):
        explore.residuals(cube, 3, "previous band")
    with pytest.raises(UsageError, match="found 'magic'"):
        explore.residuals(cube, 0, "magic")


def test_bits_of_a_model_are_those_of_its_symbols(cube):
    codec = registry.make("lhic-bp-xs")
    costs, what = explore.bits_map(codec, cube, 1, 4)
    every, _ = explore.bits_map(codec, cube, None, 4)
    assert costs.shape == every.shape == cube.shape[1:] and "band 1" in what
    sections = explore.stream_sections(codec.encode(cube), cube.size)["bytes"]
    assert every.sum() * len(cube) / 8 == pytest.approx(sections["msp"] + sections["lsp"], abs=24)


def test_bits_of_any_other_codec_are_those_of_blocks_coded_alone(cube):
    costs, what = explore.bits_map(Raw(), cube, 0, 4)
    header = len(Raw().encode(cube[:, :4, :4])) - 2 * 4 * 16
    assert costs[0, 0] == 16 + 8 * header / (4 * 16) and costs[0, 9] == 16 + 8 * header / (4 * 8)
    assert "coded alone" in what


def test_sections_add_up_and_foreign_streams_are_one_part(cube):
    stream = lhic.encode(cube, "lhic-bp-xs", "cpu")
    table = explore.stream_sections(stream, cube.size)
    assert table.loc["all", "bytes"] == len(stream) == table["bytes"].drop("all").sum() and "msp" in table.index
    table = explore.stream_sections(Raw().encode(cube), cube.size)
    assert len(table) == 2 and table.loc["all", "bits per sample"] > 16


def test_widgets_redraw_when_something_is_chosen(tmp_path, cube):
    np.save(tmp_path / "a.npy", cube)
    np.save(tmp_path / "b.npy", cube[:2] + 100)
    explorer = explore.Explorer(open_dataset("corpus", tmp_path), ["aec-bands", "lerc"], crop=8, block=4)
    assert explorer.figure is None and explorer.band.max == 3
    explorer.show()
    first, whole = explorer.figure, explorer.sections.loc["all", "bytes"]
    assert len(first.axes) == 6 and whole == len(
        registry.make("aec-bands").encode(np.ascontiguousarray(cube[:, :8, :8]))
    )
    assert bytes(explorer.picture.value).startswith(b"\x89PNG") and f"<td>{whole}</td>" in explorer.text.value
    explorer.codec.value = "lerc"
    assert explorer.figure is not first and explorer.sections.loc["all", "bytes"] != whole
    explorer.band.value = 3
    explorer.cube.value = "b"
    assert explorer.band.max == explorer.band.value == 1
    explorer.predictor.value = "spatial neighbours"
    assert "spatial neighbours" in explorer.figure.axes[1].get_title()


def test_a_codec_that_refuses_is_said_in_its_line(tmp_path, cube, monkeypatch):
    np.save(tmp_path / "a.npy", cube)
    monkeypatch.setattr(registry, "make", lambda name: Refuses())
    explorer = explore.Explorer(open_dataset("corpus", tmp_path), ["raw"], crop=8)
    explorer.show()
    assert explorer.text.value.startswith("error: raw: expected something else") and explorer.figure is None
