"""What learned codecs gain and cost: counted right, compared cube by cube, crops of training scenes marked."""

import json

import numpy as np
import pytest

from benchmarks.exhibits import catalogue, learned, seen, tables
from lhic.errors import DatasetError
from tests.benchmarks.exhibits.test_tables import row, stored
from tests.common import shared_path

WEIGHTS = "ab" * 32


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A reference, a learned codec and one that lacks a cube, on crops of six cubes of two sensors."""
    found = []
    for i in range(6):
        about = {"sensor": "EnMAP" if i < 4 else "AVIRIS", "settings": '{"previous_bands": 20}', "cube_sha256": f"c{i}"}
        cube = f"cube{i}, first 24 x 32"
        found.append(row("rls-k20", cube, 4.0, **about))
        found.append(row("linerwkv-xs", cube, 4.4 if i < 4 else 6.0, weights_hash=WEIGHTS, **about))
        found += [row("ccsds123-tuned", cube, 4.2, best_of=1, **about)] if i else []
        found.append(row("png-default", cube, 9.0, **about))
    stored(tmp_path, found)
    monkeypatch.setattr(seen, "training_cubes", lambda: {WEIGHTS: frozenset(["whole 2"])})
    monkeypatch.setattr(
        learned, "committed", lambda: tables.pd.DataFrame({"cube": ["cube2"], "cube_sha256": ["whole 2"]})
    )
    return learned.rows_of([tmp_path, tmp_path / "missing"], ["rls-k20", "ccsds123-tuned"], "as-measured")


def test_the_table_compares_cube_by_cube(rows):
    table = learned.learned_table(rows, "rls-k20").set_index("codec")
    assert list(table.index) == ["rls-k20", "ccsds123-tuned", "linerwkv-xs †"]
    line = table.loc["linerwkv-xs †"]
    assert line["EnMAP %"] == pytest.approx(10) and line["AVIRIS %"] == pytest.approx(50)
    assert line["change %"] == pytest.approx(140 / 6) and line["low %"] < line["change %"] < line["high %"]
    assert (line["cubes"], line["parameters"], line["MACs"]) == ("6 of 6", "30,466", "28,832")
    assert table.loc["ccsds123-tuned", "cubes"] == "5 of 6" and table.loc["rls-k20", "change %"] == 0


def test_a_crop_of_a_training_scene_is_marked(rows):
    states = rows[rows["codec"] == "linerwkv-xs"].set_index("cube")[seen.COLUMN]
    assert states["cube2, first 24 x 32"] == "seen" and (states == "seen").sum() == 1


def test_crops_and_whole_cubes_are_not_mixed(tmp_path):
    names = "cube0", "cube0, first 24 x 32"
    stored(
        tmp_path,
        [
            row(codec, cube, 4.0, settings='{"previous_bands": 20}')
            for codec in ("rls-k20", "linerwkv-xs")
            for cube in names
        ],
    )
    table = learned.learned_table(learned.rows_of([tmp_path], ["rls-k20"], "as-measured"), "rls-k20")
    lines = table.groupby("dataset")["cubes"].unique()
    assert len(lines) == 2 and all(list(cubes) == ["1 of 1"] for cubes in lines)
    assert sum(name.startswith("crops of ") for name in lines.index) == 1


def test_figures_are_of_a_dataset_that_has_the_reference(tmp_path):
    found = [row("linerwkv-xs", f"cube{i}, first 24 x 32", 4.0) for i in range(3)]
    found += [row(codec, "cube0", 4.0) for codec in ("ccsds123-p3", "linerwkv-xs")]
    stored(tmp_path, found)
    of_both = learned.rows_of([tmp_path], ["ccsds123-p3"], "as-measured")
    assert learned.largest(of_both, "ccsds123-p3") == of_both.loc[of_both["cube"] == "cube0", "dataset"].iloc[0]
    catalogue.transfer_figure(of_both, "ccsds123-p3", "transfer")
    catalogue.learned_cost_figure(of_both, "ccsds123-p3", "cost")


def test_figures_show_every_codec(rows):
    transfer = catalogue.transfer_figure(rows, "rls-k20", "transfer")
    assert [axes.get_title("left") for axes in transfer.body.axes] == ["EnMAP, 4 cubes", "AVIRIS, 2 cubes"]
    assert [text.get_text() for text in transfer.body.axes[0].get_yticklabels()] == ["ccsds123-tuned", "linerwkv-xs †"]
    cost = catalogue.learned_cost_figure(rows, "rls-k20", "cost")
    key = [text.get_text() for text in cost.body.axes[2].texts]
    assert key == ["1", "rls-k20", "2", "ccsds123-tuned (5 of 6)", "3", "linerwkv-xs †"]
    assert [text.get_text() for text in cost.body.axes[1].texts] == ["1", "2", "3"]


def test_no_rows_are_told(tmp_path):
    with pytest.raises(DatasetError, match="expected some of form clipped"):
        learned.rows_of([tmp_path], ["rls-k20"], "clipped")


def test_work_of_codecs():
    assert learned.work_of("rls-k0", {"previous_bands": 0}) == (0, 2 * 19 * 19 + 2 * 19)
    assert learned.work_of("ccsds123-p3", {"prediction_bands": 3}) == (0, 12)
    parameters, macs = learned.work_of(
        "lhic-ax", {}, next(m.sha256 for m in learned.list_models() if m.name == "lhic-ax")
    )
    assert (parameters, macs) == (3404, 60 * 32 + 32 * 32 + 32 * 12)
    assert all(np.isnan(learned.work_of("lhic-of-somebody", {}, "00" * 32)))


@pytest.mark.shared
@pytest.mark.parametrize("size", learned.LINERWKV)
def test_sizes_of_linerwkv_are_the_published_ones(size):
    from safetensors.numpy import load_file

    tensors = load_file(shared_path("golden", "linerwkv", f"linerwkv-{size}.safetensors"))
    config = json.loads(shared_path("golden", "linerwkv", f"linerwkv-{size}.json").read_text())
    fields = "dim_enc", "N_layers_encoder", "n_layer_lines", "n_layer_bands", "N_layers_decoder"
    assert learned.LINERWKV[size] == tuple(config[field] for field in fields)
    matrices = [tensor.size for tensor in tensors.values() if tensor.ndim > 1 and tensor.shape[:2] != (1, 1)]
    # The first and the last layer's are vectors by their shape.
    parameters, macs = learned.work_of(f"linerwkv-{size}", {})
    assert parameters == sum(tensor.size for tensor in tensors.values())
    ends = sum(tensors[f"{name}.conv_out.weight"].size for name in ("decoder", "bandzerodec"))
    assert macs == sum(matrices) and ends == 2 * config["dim_enc"]


def test_a_study_without_learned_codecs_has_its_figures(rows):
    alone = rows[rows["codec"] == "rls-k20"]
    without_work = alone.assign(codec="aec-bands", settings="")  # its multiply-accumulates are not known
    for figure in (catalogue.transfer_figure, catalogue.learned_cost_figure):
        assert figure(alone, "rls-k20", "alone").body is not None
        assert figure(without_work, "aec-bands", "alone").body is not None
    assert list(catalogue.learned_table(alone, "rls-k20", "alone").body["codec"]) == ["rls-k20"]
