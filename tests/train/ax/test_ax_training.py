import numpy as np
import pytest
import torch
import yaml

import lhic
from lhic.data.synthetic import smooth_field
from lhic.errors import ConfigError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu.network import run_network
from lhic.families.ax.cpu.state import new_scratch
from lhic.families.ax.integer_net import IntegerNet, check_bounds, from_tensors
from lhic.families.ax.model import load
from lhic.families.ax.observe import observe
from lhic.families.family import Work
from lhic.settings import read_yaml
from lhic.train import run
from lhic.train.ax.augment import IMITATIONS, changed_copy, imitation
from lhic.train.ax.config import AxTrainConfig
from lhic.train.ax.loop import bits_per_sample
from lhic.train.ax.network import AxNet
from tests.common import REPOSITORY, coded

SMALL = {"detail_planes": 4, "sample_planes": 3, "short_planes": 0, "spatial_neighbours": 4, "width": 16, "depth": 2}


@pytest.fixture(scope="module")
def cube():
    rng = np.random.default_rng(5)
    ground = 2000 + 300 * smooth_field(rng, (40, 36), 6)
    bands = [ground * (1 + 0.02 * band) + rng.normal(size=ground.shape) * 6 for band in range(9)]
    return np.round(bands).astype("int16")


def test_shipped_configurations_are_valid():
    paths = sorted((REPOSITORY / "configs").glob("lhic-ax*.yml"))
    runs = [path for path in paths if "family" in read_yaml(path)]
    shipped = {
        f"lhic-ax{preset}{held_out}" for preset in ("", "-turbo", "-fast", "-max") for held_out in ("", "-unseen")
    }
    assert {path.stem for path in runs} == shipped | {"lhic-ax-fine-tune"}
    for path in runs:
        assert AxTrainConfig.parse(read_yaml(path), str(path)).name == path.stem


@pytest.mark.parametrize("preset", ["lhic-ax", "lhic-ax-turbo"])
def test_the_unseen_weights_leave_the_bundled_patch_out(preset):
    names = preset, f"{preset}-unseen"
    with_patch, without = (read_yaml(REPOSITORY / "configs" / f"{name}.yml") for name in names)
    assert set(without["train"][0]["exclude"]) - set(with_patch["train"][0]["exclude"]) == {
        "enmap_hyspecnet_dt4950_X04390566"
    }
    assert {k: v for k, v in without.items() if k not in ("name", "train")} == {
        k: v for k, v in with_patch.items() if k not in ("name", "train")
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: expected greater than or equal to 1, found 0"),
        ({"copies_share": 1.0}, "copies_share"),
        ({"model": {"width": 30}}, "multiple of 8"),
        ({"model": {"wide": 3}}, "'wide' amiss"),
        ({"observations": {"copies": -1}}, "observations.copies: expected greater than or equal to 0"),
        (
            {"observations": {"imitations": ["gap"]}},
            "observations.imitations: .*expected among few_lines, .* found 'gap'",
        ),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    content = {"name": "x", "family": "lhic-ax", "train": [{"kind": "bundled"}], **change}
    with pytest.raises(ConfigError, match=message):
        AxTrainConfig.parse(content, "here")


def test_float_network_rounds_as_the_integer_one_does():
    config = AxConfig(**{**AxConfig().to_dict(), **SMALL})
    torch.manual_seed(3)
    net = AxNet(config)
    with torch.no_grad():
        for layer in (*net.hidden, net.last):
            layer.weight += 0.3 * torch.randn_like(layer.weight)
            layer.bias += torch.randn_like(layer.bias)
        net.project()
    integer = from_tensors(config, net.tensors(), "test")
    n = 33
    scratch = new_scratch(config, 70, 70)
    features = np.random.default_rng(0).integers(-127, 128, (n, integer.first.shape[1]))
    scratch.features[:, :n] = features.T
    run_network(integer, scratch, n)
    sums = torch.from_numpy(scratch.outputs[:, :n].T.astype(np.float64))
    k = config.components
    mean, scale, logit = (part.double() for part in net(torch.from_numpy(features)))
    assert torch.equal(mean * 256, torch.floor(sums[:, :k] / 128))
    assert torch.equal(logit * 32, torch.floor(sums[:, 2 * k :] / 1024))
    inside = (scale > -9) & (scale < 8)
    assert torch.equal((scale * 32)[inside], torch.floor(sums[:, k : 2 * k] / 1024)[inside]) and inside.any()


def test_tensors_come_back_and_stay_within_bounds():
    net = AxNet(AxConfig(**{**AxConfig().to_dict(), **SMALL}))
    with torch.no_grad():
        net.last.weight *= 1e4
    net.project()
    tensors = net.tensors()
    assert max(check_bounds(tensors, "test").values()) < 2**24
    other = AxNet(net.config)
    other.set_tensors(tensors)
    for name, tensor in other.tensors().items():
        assert np.array_equal(tensor, tensors[name])


def test_ideal_code_length_is_what_coding_gives(cube):
    """While the network does not learn from what it codes."""
    config = AxConfig(**{**AxConfig().to_dict(), **SMALL, "adaptation": 0})
    net = AxNet(config)
    seen = observe(cube, config, cube.size, np.random.default_rng(0))
    ideal = bits_per_sample(net, seen, torch.device("cpu"))
    model = load("test", config.to_dict(), net.tensors(), bytes(32))
    sections = coded(model, [cube], model.plan(cube, Work()))[0]
    assert 8 * len(sections[2]) / cube.size == pytest.approx(ideal, rel=0.003)


def test_changed_copies_are_cubes_and_repeat(cube):
    shapes = set()
    for seed in range(12):
        copy = changed_copy(cube, np.random.default_rng(seed))
        assert copy.dtype == np.int32 and copy.ndim == 3 and min(copy.shape) >= 1
        assert np.array_equal(copy, changed_copy(cube, np.random.default_rng(seed)))
        shapes.add(copy.shape)
    assert len(shapes) > 1


@pytest.mark.parametrize("name", IMITATIONS)
def test_imitations_are_cubes_and_repeat(cube, name):
    for one in (cube, cube[:1, :3, :2]):
        copy = imitation(name, one, np.random.default_rng(1))
        assert copy.dtype == np.int32 and copy.ndim == 3 and min(copy.shape) >= 1
        assert np.array_equal(copy, imitation(name, one, np.random.default_rng(1)))


def made(name, cube, n=6):
    return [imitation(name, cube, np.random.default_rng(seed)) for seed in range(n)]


def test_imitations_have_what_they_are_named_after(cube):
    assert all(2 <= copy.shape[1] <= 8 for copy in made("few_lines", cube))
    assert all(len(copy) >= 400 for copy in made("many_bands", cube))
    assert all(copy.min() >= 0 and copy.max() <= 255 for copy in made("eight_bits", cube))
    for copy in made("saturated", cube):
        assert max((copy == copy.max()).mean(), (copy == copy.max((1, 2), keepdims=True)).mean()) > 0.015
    copies = [imitation("columns", np.full_like(cube, 1000), np.random.default_rng(seed)) for seed in range(6)]
    for columns, rows in ([np.std(copy.mean(axis), axis=1).mean() for axis in (1, 2)] for copy in copies):
        assert max(columns, rows) > 2 * min(columns, rows), "an element is not averaged out along its column"
    for copy in made("laboratory", cube):
        assert len(copy) >= 200 and np.abs(np.diff(copy, axis=0)).mean() < 0.2 * np.abs(copy).mean()
    assert any(len(np.unique(copy)) < 0.95 * (copy.max() - copy.min()) for copy in made("gaps", cube))
    laws = made("noise_laws", cube, 9)
    assert any(np.gcd.reduce(copy.ravel()) > 1 for copy in laws) and any(
        np.gcd.reduce(copy.ravel()) == 1 for copy in laws
    )


def test_a_run_learns_and_its_weights_code(cube, tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    np.save(folder / "a.npy", cube)
    np.save(folder / "b.npy", cube[:, ::-1, :])
    source = {"kind": "corpus", "root": str(folder)}
    content = {
        "name": "tiny-ax",
        "family": "lhic-ax",
        "model": SMALL,
        "train": [{**source, "only": ["a"]}],
        "validation": [{**source, "only": ["b"]}],
        "observations": {"samples": 8000, "copies": 2, "imitations": ["gaps"], "samples_of_copy": 2000},
        "steps": 60,
        "batch": 512,
        "validate_every": 20,
        "cache": str(tmp_path / "cache"),
    }
    path = tmp_path / "tiny-ax.yml"
    path.write_text(yaml.safe_dump(content))
    first = run(path, "cpu", tmp_path / "run", progress=False)
    again = run(path, "cpu", tmp_path / "again", progress=False)  # from the cache
    assert first.validation == again.validation
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 2 * 4  # each cube, its two copies and its imitation
    losses = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    assert losses["validation_bps"][-1] < losses["validation_bps"][0]
    model = lhic.load_model(first.weights_path)
    stream = lhic.encode(cube, model)
    assert np.array_equal(lhic.decode(stream, model=model), cube)
    assert 8 * len(stream) / cube.size < 7
    assert len(np.unique(cube)) > 2**7


def test_a_constant_network_learns_biases_alone(cube, tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    np.save(folder / "a.npy", cube)
    content = {"name": "constant", "family": "lhic-ax", "train": [{"kind": "corpus", "root": str(folder)}]}
    content |= {
        "model": {**SMALL, "depth": 1, "components": 1},
        "constant": True,
        "steps": 40,
        "batch": 256,
        "lr": 0.05,
    }
    content["observations"] = {"samples": 4000, "copies": 0, "imitations": []}
    (tmp_path / "constant.yml").write_text(yaml.safe_dump(content))
    net = lhic.load_model(run(tmp_path / "constant.yml", "cpu", tmp_path, progress=False).weights_path).net
    assert not any(array.any() for array in net[:-1])
    assert net.last_bias[1] > -2 * 2**15, "from -2.5 octaves of the expected error towards half an octave"


def test_fine_tuning_starts_from_weights(cube, tmp_path):
    folder = tmp_path / "cubes"
    folder.mkdir()
    np.save(folder / "a.npy", cube)
    base = {"family": "lhic-ax", "model": SMALL, "train": [{"kind": "corpus", "root": str(folder)}], "batch": 256}
    base["observations"] = {"samples": 4000, "copies": 0, "imitations": []}
    for name, extra in (("first", {"steps": 30}), ("second", {"steps": 1, "lr": 1e-9})):
        content = {**base, "name": name, **extra}
        if name == "second":
            content["start_from"] = str(tmp_path / "first.safetensors")
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(content))
        path = run(tmp_path / f"{name}.yml", "cpu", tmp_path, progress=False).weights_path
        assert path == tmp_path / f"{name}.safetensors"
    first, second = (lhic.load_model(tmp_path / f"{name}.safetensors").net for name in ("first", "second"))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)) and isinstance(first, IntegerNet)
