import csv
import json

import numpy as np
import pytest
import torch

from lhic.errors import CheckpointError, ConfigError
from lhic.families.weights import load_weights
from lhic.train import loop, train
from lhic.train.checkpoint import load_state
from lhic.train.config import SourceConfig, TrainConfig
from lhic.train.log import COLUMNS
from lhic.train.loop import training_cubes
from lhic.train.sources import cube_sha256, open_sources
from tests.train.conftest import make_settings


@pytest.fixture(autouse=True, scope="module")
def keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Configuration, run folder and result of a run that was never interrupted."""
    folder = tmp_path_factory.mktemp("finished")
    config = TrainConfig.parse(make_settings(folder))
    return config, folder / "run", train(config, "cpu", folder / "run", progress=False)


def rows_without_time(folder):
    with open(folder / "log.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_interrupted_and_resumed_equals_uninterrupted(finished, tmp_path):
    """Stopped between two checkpoints and two validations, so that everything has to be carried over."""
    config, folder, whole = finished
    assert train(config, "cpu", tmp_path / "parts", progress=False, stop_at=3).weights_path is None
    parts = train(config, "cpu", tmp_path / "parts", progress=False)

    a, b = load_weights(whole.weights_path), load_weights(parts.weights_path)
    assert a.sha256 == b.sha256 and whole.validation == parts.validation
    one, two = (load_state(run / loop.STATE_FILE) for run in (folder, tmp_path / "parts"))
    assert one.tensors.keys() == two.tensors.keys()
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert rows_without_time(folder) == rows_without_time(tmp_path / "parts")


def test_a_run_that_is_killed_loses_nothing_but_the_steps_since_its_checkpoint(finished, tmp_path, monkeypatch):
    config, folder, whole = finished

    class Killed(BaseException):
        pass

    real_step = loop._step

    def dying_step(run_, *batch):
        if run_.step == 5:  # after the checkpoint and the log row of step 4
            raise Killed
        real_step(run_, *batch)

    monkeypatch.setattr(loop, "_step", dying_step)
    with pytest.raises(Killed):
        train(config, "cpu", tmp_path / "killed", progress=False)
    assert load_state(tmp_path / "killed" / loop.STATE_FILE).note["step"] == 4
    monkeypatch.setattr(loop, "_step", real_step)
    again = train(config, "cpu", tmp_path / "killed", progress=False)
    assert load_weights(again.weights_path).sha256 == load_weights(whole.weights_path).sha256
    assert rows_without_time(tmp_path / "killed") == rows_without_time(folder)


@pytest.mark.slow
def test_training_learns(settings, tmp_path):
    settings |= {"steps": 40, "validate_every": 10}
    settings["augment"] = {"dark": 1.0, "clipped": 0.0, "gain": [0.01, 0.02], "noise": [20.0, 20.0]}
    train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)
    rows = rows_without_time(tmp_path / "run")
    first, last = (float(rows[i]["train_bps"]) for i in (0, -1))
    assert last < first - 0.5, (first, last)


def test_what_a_finished_run_leaves(finished):
    _, folder, result = finished
    assert sorted(p.name for p in folder.iterdir()) == ["curve.png", "log.csv", "state.safetensors", "tiny.safetensors"]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_without_time(folder)
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert set(rows[0]) | {"seconds"} == set(COLUMNS)
    weights = load_weights(result.weights_path)
    assert weights.family == "lhic-bp" and weights.config["dim_plane"] == 4
    assert weights.info["steps"] == 6 and weights.info["validation_bps"] == result.validation
    json.dumps(weights.info)


def test_shipped_tensors_are_the_averaged_networks_and_give_the_validation_figure(finished):
    config, _, result = finished
    weights = load_weights(result.weights_path)
    nets = loop.BothNets(loop._model_config(config))
    nets.load_state_dict({name: torch.from_numpy(t) for name, t in weights.tensors.items()})
    _, tiles = loop._open_data(config)
    in_turn = lambda function: [function(plane) for plane in loop.PLANES]  # noqa: E731
    assert loop.validate(nets, tiles, torch.device("cpu"), in_turn) == result.validation


def test_frozen_attention_stays_at_nothing(finished):
    weights = load_weights(finished[2].weights_path)
    projections = [name for name in weights.tensors if "proj_out" in name]
    assert projections and all(not weights.tensors[name].any() for name in projections)


def test_weights_name_the_cubes_that_they_have_seen(finished, tmp_path):
    config, _, result = finished
    own = {cube_sha256(item.load()) for item in open_sources(config.train)}
    assert set(load_weights(result.weights_path).info["training_cubes"]) == own and len(own) == 2
    np.save(tmp_path / "one.npy", np.zeros((2, 32, 32), np.int16))
    source = SourceConfig(kind="corpus", root=str(tmp_path))
    more = config.model_copy(update={"start_from": str(result.weights_path), "train": (source,)})
    assert own < set(training_cubes(more)) and len(training_cubes(more)) == 3
    patches = SourceConfig(kind="hyspecnet-11k")
    assert training_cubes(more.model_copy(update={"train": (patches,)})) is None


def test_a_run_may_start_from_weights(finished, settings, tmp_path):
    _, _, result = finished
    settings |= {"start_from": str(result.weights_path), "steps": 1, "validate_every": 1}
    settings["optimiser"]["lr"] = 1e-12
    again = train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)
    a, b = (load_weights(path).tensors for path in (result.weights_path, again.weights_path))
    assert all(np.allclose(a[name], b[name], atol=1e-9) for name in a)
    settings["model"]["num_mixture"] = 3
    with pytest.raises(CheckpointError, match="expected a network that 2 can grow into, found 3"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "other", progress=False)
    settings["start_from"] = "$NO_SUCH_VARIABLE/x.safetensors"
    with pytest.raises(ConfigError, match="environment variable that is not set"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "other", progress=False)


def test_validation_covers_every_band_and_both_kinds(settings):
    config = TrainConfig.parse(settings)
    _, tiles = loop._open_data(config)
    assert [t.shape for t in tiles["validation"]] == [(6, 32, 32), (7, 32, 32)]
    assert [t.shape for t in tiles["dark"]] == [(6, 32, 32), (7, 32, 32)]
    assert all(t.min() >= 0 for kind in tiles.values() for t in kind)
    settings["augment"] = {"dark": 0.0}
    assert set(loop._open_data(TrainConfig.parse(settings))[1]) == {"validation"}


def test_state_of_another_configuration_is_refused(settings, tmp_path):
    train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False, stop_at=0)
    settings["seed"] = 2
    with pytest.raises(CheckpointError, match="another seed"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b[:-1], lambda b: b"", lambda b: b"\0" * 64])
def test_damaged_state_is_refused(finished, tmp_path, damage):
    config, folder, _ = finished
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / loop.STATE_FILE).write_bytes(damage((folder / loop.STATE_FILE).read_bytes()))
    with pytest.raises(CheckpointError, match=r"state\.safetensors"):
        train(config, "cpu", tmp_path / "run", progress=False)


def test_weights_are_no_training_state(finished):
    with pytest.raises(CheckpointError, match="another safetensors file"):
        load_state(finished[2].weights_path)


def test_bad_data_sections(settings, tmp_path):
    settings["validation"] = settings["train"]
    with pytest.raises(ConfigError, match="found in both"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)
    settings["validation"] = [settings["train"][0] | {"only": ["nobody"]}]
    with pytest.raises(ConfigError, match="'nobody'"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)
    settings["model"]["dim_tiny"] = 3
    with pytest.raises(ConfigError, match="unknown key dim_tiny"):
        train(TrainConfig.parse(settings), "cpu", tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "mixture_bits", lambda *a: torch.full((2,), float("nan"), requires_grad=True))
    with pytest.raises(ConfigError, match="step 1: expected a finite loss"):
        train(finished[0], "cpu", tmp_path / "run", progress=False)


def test_average_follows_the_networks():
    average, nets = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = [p.detach().clone() for p in average.parameters()]
    loop.update_average(average, nets, 0.75)
    for p, a, n in zip(average.parameters(), before, nets.parameters()):
        torch.testing.assert_close(p, 0.75 * a + 0.25 * n)
    assert loop.average_decay(0.99, 1) == 0 and loop.average_decay(0.99, 10**6) == 0.99


@pytest.mark.gpu
def test_cuda_run(settings, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    settings["precision"] = "bf16"
    result = train(TrainConfig.parse(settings), "cuda", tmp_path / "run", progress=False)
    assert np.isfinite(list(result.validation.values())).all()
