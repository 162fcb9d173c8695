"""Tables and figures from rows: every number is checked by hand on a few made-up rows."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from benchmarks.exhibits import codec_figures, figures, seen, tables
from benchmarks.measure import rows
from lhic.errors import DatasetError, UsageError


def row(codec, cube, bps, *, form="as-measured", encode_s=1.0, decode_s=2.0, **more):
    filled = rows.TEXTS | {
        **{"dataset": "corpus", "form": form, "cube": cube, "codec": codec, "sensor": "EnMAP", "machine": "chip"},
        **{
            "cores": 2,
            "n_samples": 1_000_000,
            "bps": bps,
            "bytes": bps and int(bps * 125_000),
            "best_of": 0,
            "device": "cpu",
        },
        **{"encode_s": encode_s, "decode_s": decode_s, "peak_rss_bytes": 3 * 2**20},
    }
    return filled | more


@pytest.fixture
def table(tmp_path):
    found = [
        row("lhic-x", "a", 3.0, encode_s=np.nan, decode_s=np.nan, encode_all_s=8.0, decode_all_s=10.0),
        row("lhic-x", "b", 4.0, encode_s=np.nan, decode_s=np.nan, encode_all_s=8.0, decode_all_s=10.0),
        row("jpeg-ls-bands", "a", 5.0, encode_s=0.5),
        row("jpeg-ls-bands", "b", 6.0, encode_s=1.5, sensor="AVIRIS"),
        row("best-of-x", "a", 4.0, best_of=1),
        row("best-of-x", "b", 4.5, best_of=1),
        row("half", "a", 2.0),
        row("half", "b", None, error="RuntimeError: too_small & 5 % off"),
    ]
    return stored(tmp_path, found)


def stored(folder, found):
    """Rows as they come back from disk."""
    with rows.RowParts(folder) as parts:
        for one in found:
            parts.append(one)
    return rows.read_rows(folder)


def test_rate_table(table):
    found = tables.rate_table(table).set_index("codec")
    assert list(found.index) == ["lhic-x", "best-of-x", "jpeg-ls-bands", "half"]
    assert found.loc["lhic-x", "bps"] == 3.5 and found.loc["lhic-x", "worst cube"] == 4.0
    assert found.loc["lhic-x", "total"] == 3.5, "cubes of the same size"
    assert np.isnan(found.loc["best-of-x", "bps"]) and found.loc["best-of-x", "bps, best of"] == 4.25
    assert found.loc["jpeg-ls-bands", "encode MS/s"] == 1.0, "all samples by all seconds, not a mean of speeds"
    assert found.loc["lhic-x", "encode MS/s, all cores"] == 0.125
    assert np.isnan(found.loc["half", "bps"]), "a mean over fewer cubes would compare different things"
    assert found.loc["half", "coded"] == "1 of 2" and found.loc["half", "peak MiB"] == 3.0


def test_total_weighs_cubes_by_their_samples(table):
    large = table["cube"] == "b"
    table = table.assign(n_samples=table["n_samples"] * (1 + 2 * large), bytes=table["bytes"] * (1 + 2 * large))
    found = tables.rate_table(table).set_index("codec")
    assert found.loc["lhic-x", "bps"] == 3.5 and found.loc["lhic-x", "total"] == 3.75
    assert "total" not in tables.rate_table(table[~large]), "one cube: the same number twice"


def test_several_forms_have_columns_of_their_own(table):
    clipped = table.assign(form="clipped", bps=table["bps"] / 2)
    found = tables.rate_table(pd.concat([table, clipped[clipped["codec"] != "lhic-x"]])).set_index("codec")
    assert found.loc["jpeg-ls-bands", "bps as-measured"] == 5.5 and found.loc["jpeg-ls-bands", "bps clipped"] == 2.75
    assert np.isnan(found.loc["lhic-x", "bps clipped"]) and found.loc["lhic-x", "bps as-measured"] == 3.5


def test_cuda_rows_are_lines_of_their_own(table):
    cuda = table[table["codec"] == "lhic-x"].assign(device="cuda")
    assert "lhic-x (CUDA)" in set(tables.rate_table(pd.concat([table, cuda]))["codec"])


def test_group_and_gain_tables(table):
    by_cube = tables.group_table(table, "cube").set_index("codec")
    assert by_cube.loc["jpeg-ls-bands", "b (1)"] == 6.0 and np.isnan(by_cube.loc["half", "b (1)"])
    ground = pd.Series({"a": "land", "b": "water"})
    gains = tables.gain_table(table, [("jpeg-ls-bands", "lhic-x"), ("no", "such")], ground)
    assert gains["saved %"].tolist() == pytest.approx([40.0, 100 / 3])
    assert gains["group"].tolist() == ["land", "water"]


def test_captions_say_how_many_cubes(table):
    assert tables.caption(table, "Mean over") == "Mean over 2 cubes (corpus; as-measured)."
    assert tables.machine_note(table) == "Machine: chip, 2 cores."


def test_three_formats(table, tmp_path):
    found = tables.rate_table(table)
    markdown, latex, csv = tables.write_table(found, tmp_path / "tables", "rate", "5 % of a_b")
    lines = markdown.read_text().splitlines()
    assert lines[0].startswith("| codec | bps |") and lines[2].startswith("| lhic-x | 3.500 |")
    assert lines[-1] == "5 % of a_b"
    assert r"\caption{5 \% of a\_b}" in latex.read_text() and latex.read_text().count(r"\\") == 1 + len(found)
    pd.testing.assert_frame_equal(pd.read_csv(csv), found, check_dtype=False)
    errors = tables.to_latex(tables.error_table(table))
    assert r"too\_small \& 5 \% off" in errors


def test_select_says_what_was_not_found(table):
    assert len(tables.select(table, codec="half", cube="a")) == 1
    with pytest.raises(DatasetError, match="found none"):
        tables.select(table, codec="nothing")


def test_figures_show_the_rows(table, tmp_path):
    drawn = figures.rate_figure(table)
    labels = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert labels == ["lhic-x", "best-of-x", "jpeg-ls-bands"], "only codecs that coded every cube"
    assert "2 cubes" in drawn.axes[0].get_title(loc="left")
    speed = figures.rate_speed_figure(table)
    assert [axes.get_xscale() for axes in speed.axes[:2]] == ["log", "log"]
    *panels, key = speed.axes
    names = {text.get_text(): text.get_fontweight() for text in key.texts}
    assert names["lhic-x"] == names["best-of-x"] == "bold"
    assert names["jpeg-ls-bands"] != "bold", "larger than best-of-x and no faster"
    assert [{text.get_text() for text in axes.texts} for axes in panels] == [{"1", "2", "3"}] * 2
    paths = figures.save_figure(speed, tmp_path, "speed", "Mean of 2 cubes – § 1.")
    assert figures.read_caption(paths[2]) == "Mean of 2 cubes – § 1." and "§ 1." in paths[1].read_text()
    again = figures.save_figure(figures.rate_speed_figure(table), tmp_path / "again", "speed", "Mean of 2 cubes – § 1.")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths], "same rows, same files"
    assert figures.read_caption(figures.save_figure(speed, tmp_path, "bare")[2]) == ""


def test_numbers_of_crowded_points_do_not_overlap():
    """Thirty codecs of nearly the same rate and speed: every number is there, none on another."""
    rates = np.random.default_rng(2).normal(5, 0.02, 30)
    crowd = pd.DataFrame([row(f"c{i}", "a", rate, encode_s=1 + i / 1000) for i, rate in enumerate(rates)])
    drawn = figures.rate_speed_figure(crowd.assign(encode_all_s=np.nan, decode_all_s=np.nan))
    FigureCanvasAgg(drawn).draw()
    for axes in drawn.axes[:2]:
        boxes = [Text.get_window_extent(text).padded(-1) for text in axes.texts]  # without the lines to them
        assert len(boxes) == 30
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_marks_of_training_data_reach_tables_and_figures(table, monkeypatch):
    learned = table["codec"] == "lhic-x"
    table = table.assign(weights_hash=np.where(learned, "w", ""), cube_sha256=table["cube"])
    monkeypatch.setattr(seen, "training_cubes", lambda: {"w": frozenset("a")})
    assert tables.rate_table(table).loc[0, "codec"] == "lhic-x †"
    assert "lhic-x †" in set(tables.group_table(table, "cube")["codec"])
    assert tables.training_notes(table) == "† 1 of 2 cubes were training data of lhic-x."
    labels = {text.get_text() for text in figures.rate_figure(table).axes[0].get_yticklabels()}
    key = {text.get_text() for text in figures.rate_speed_figure(table).axes[2].texts}
    assert "lhic-x †" in labels & key
    paired = figures.paired_figure(table, "jpeg-ls-bands").axes[0]
    assert "lhic-x †" in {text.get_text() for text in paired.get_yticklabels()}


def test_other_figures(table):
    relative = figures.group_figure(table, "cube", "jpeg-ls-bands")
    assert "-40.0" in {text.get_text() for text in relative.axes[0].texts}
    gains = tables.gain_table(table, [("jpeg-ls-bands", "lhic-x")], pd.Series({"a": "land", "b": "water"}))
    assert len(figures.gain_figure(gains).axes[0].get_yticks()) == 1
    bits = pd.DataFrame({"msp": [1.0, 2.0], "lsp": [3.0, 1.0]})
    stacked = codec_figures.bands_figure(bits, "bits per sample", stacked=True, title="title")
    assert stacked.axes[0].get_ylim()[1] >= 4.0
    assert codec_figures.map_figure(np.ones((4, 6)), "title").axes
    planes = codec_figures.planes_figure(np.arange(-8, 8).reshape(1, 4, 4), [0], 2)
    titles = [axes.get_title() for axes in planes.axes]
    assert titles == ["band 0: samples, -8 to 7", "band 0: msp, -2 to 1", "band 0: lsp, 0 to 3"]
    with pytest.raises(UsageError, match=r"0\.\.0"):
        codec_figures.planes_figure(np.zeros((1, 2, 2), int), [3], 2)


def test_a_figure_shows_itself_in_notebooks():
    """As a PNG with a palette where that changes nothing to the eye; pictures keep their colours."""
    diagram = codec_figures.bands_figure(pd.DataFrame({"msp": [1.0, 2.0], "lsp": [3.0, 1.0]}), "bits", True, "bits")
    data, look = diagram._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"} and data["text/plain"] == "bits"
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.mode == "P" and image.width == round(figures.WIDTH * figures.SCREEN_DPI)
    assert look["image/png"] == {"width": round(figures.WIDTH * figures.SHOWN_DPI), "alt": "bits"}
    picture = figures.Figure(figsize=(1, 1))
    picture.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((99, 99, 3)))
    assert Image.open(io.BytesIO(picture.to_png())).mode == "RGB"


def test_a_stored_figure_is_shown_as_the_figure_itself(tmp_path):
    bits = codec_figures.bands_figure(pd.DataFrame({"msp": [1.0, 2.0]}), "bits", True, "bits")
    figures.save_figure(bits, tmp_path, "bits")
    stored, look = figures.StoredFigure(tmp_path / "bits.png")._repr_mimebundle_()
    assert stored["text/plain"] == "bits" and look == bits._repr_mimebundle_()[1]


def test_every_codec_name_has_a_family():
    assert figures.family("lhic-bp-xs") == "learned (lhic)" and figures.family("zarr-default").startswith("numeric")
    assert figures.family("best-of-jpeg-ls") == "image codecs"
