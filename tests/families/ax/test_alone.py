"""The walk for one expert under a network that says the same everywhere gives what the general walk gives."""

import dataclasses

import numpy as np
import pytest

import lhic
from lhic.data import open_dataset
from lhic.families.ax import model as ax_model
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import alone, walk_alone
from lhic.families.ax.cpu.mixture import FACTORS
from lhic.families.ax.integer_net import shapes
from lhic.families.ax.spec import LOG_TABLE
from lhic.families.family import Work
from lhic.families.registry import load_model
from tests.common import coded
from tests.families.ax.common import extreme_tiles, settings_of

JOINT = AxConfig(
    0, 0, 0, 0, 8, 8, 1, 1, far_neighbours=0, repeats=4, blend=0, joint_planes=10, joint_far=2, adaptation=0
)
CONFIGS = {
    "joint, repeats": JOINT,
    "joint, no repeats": dataclasses.replace(JOINT, repeats=0, joint_planes=3, joint_far=8, epoch=3),
    "detail": dataclasses.replace(JOINT, joint_planes=0, joint_far=0, detail_planes=2, epoch=1),
}
SHIFTS = {"joint, repeats": (0, -15), "joint, no repeats": (-70, 9), "detail": (90, -300)}


def model_of(name: str) -> ax_model.AxModel:
    """With a network of biases alone, which move the mean and the scale."""
    config = CONFIGS[name]
    tensors = {tensor: np.zeros(shape, np.int32) for tensor, shape in shapes(config).items()}
    mean, scale = SHIFTS[name]
    tensors["last_bias"][:] = mean << 7, scale << 10, 77
    return ax_model.load("constant", config.to_dict(), tensors, bytes(32))


def by_general_walk(monkeypatch) -> None:
    monkeypatch.setattr(walk_alone, "constants_of", lambda *what: None)


def bundled_crop() -> np.ndarray:
    return np.ascontiguousarray(open_dataset("bundled")[0].load()[30:60, 40:90, :70])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("n_lanes", [1, 3, 8, 32])
def test_streams_of_extreme_tiles_are_those_of_the_general_walk(name, n_lanes, monkeypatch):
    model, parameters = model_of(name), settings_of(3, n_lanes).to_bytes()
    tiles = list(extreme_tiles().values())
    found = [coded(model, [tile], parameters)[0] for tile in tiles]
    for tile, sections in zip(tiles, found, strict=True):
        (again,) = model.decode_tiles([tile.shape], tile.dtype, [sections], parameters, Work())
        assert np.array_equal(again, tile)
    by_general_walk(monkeypatch)
    assert [coded(model, [tile], parameters)[0] for tile in tiles] == found


@pytest.mark.parametrize("name", CONFIGS)
def test_a_real_crop_is_coded_as_by_the_general_walk(name, monkeypatch):
    """Where planes are as they are in nature: most guesses hit, some do not."""
    model, cube = model_of(name), bundled_crop()
    stream = lhic.encode(cube, model)
    assert np.array_equal(lhic.decode(stream, model=model), cube)
    by_general_walk(monkeypatch)
    assert lhic.encode(cube, model) == stream
    assert np.array_equal(lhic.decode(stream, model=model), cube)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads):
    cube = bundled_crop()
    stream = lhic.encode(cube, "lhic-ax-turbo", threads=1)
    assert lhic.encode(cube, "lhic-ax-turbo", threads=threads) == stream
    assert np.array_equal(lhic.decode(stream, threads=threads), cube)


def test_near_lossless_with_nodata_keeps_the_bound():
    cube = bundled_crop()
    cube[:, 10:20, 30:] = -32768
    stream = lhic.encode(cube, "lhic-ax-turbo", max_error=4, metadata={"nodata": -32768})
    again = lhic.decode(stream)
    assert np.abs(again.astype(int) - cube).max() == 4
    assert np.array_equal(again == -32768, cube == -32768)
    assert len(stream) < 0.7 * len(lhic.encode(cube, "lhic-ax-turbo"))


def test_a_preview_reads_the_first_bands_alone():
    cube = bundled_crop()
    model = load_model("lhic-ax-turbo")
    parameters = settings_of(4).to_bytes()
    sections = coded(model, [cube], parameters)
    (found,) = model.decode_first_bands([cube.shape], cube.dtype, sections, parameters, 6, Work())
    assert np.array_equal(found, cube[:6])


def constants(model, tile):
    return ax_model._EncodeJob(model, tile, settings_of(), 1).alone


def test_it_is_taken_where_it_can_be_and_nowhere_else():
    ramp = extreme_tiles()["ramp"]
    assert constants(load_model("lhic-ax-turbo"), ramp) is not None
    assert constants(model_of("detail"), ramp) is not None
    for name in ("lhic-ax", "lhic-ax-fast"):
        assert constants(load_model(name), ramp) is None
    for change in ({"short_planes": 1}, {"components": 2}, {"repeats": 2}, {"joint_planes": 0, "sample_planes": 3}):
        config = dataclasses.replace(JOINT, **({"joint_far": 0} if "joint_planes" in change else {}) | change)
        tensors = {tensor: np.zeros(shape, np.int32) for tensor, shape in shapes(config).items()}
        assert constants(ax_model.load("other", config.to_dict(), tensors, bytes(32)), ramp) is None, change
    tensors = model_of("joint, repeats").net.tensors()
    tensors["last"][1, 3] = 1
    assert constants(ax_model.load("says more", JOINT.to_dict(), tensors, bytes(32)), ramp) is None


@pytest.mark.parametrize("step", [-300, -16, 0, 900])
def test_factors_by_a_scales_leading_bits_are_those_by_its_logarithm(step):
    factors = alone.factors_of(step)
    for scale in (12, 63, 64, 65, 127, 1000, 2**20 + 2**14 - 1, 2**31 + 7):
        octave = scale.bit_length() - 1
        leading = (scale << 6 >> octave) - 64
        index = min(max(2 * (16 * octave + int(LOG_TABLE[leading])) - 81 + step, 0), 800)
        assert factors[64 * octave + leading] == FACTORS[index]
