"""Every golden stream still decodes, and today's encoder still writes it."""

import numpy as np
import pytest

import lhic
from tests.golden.make import AX_TINY_2, FOLDER, METADATA, MODELS, TUNED, cubes, encode, tuned_cube

CASES = [(folder, name) for folder in MODELS for name in cubes()]


@pytest.mark.parametrize("folder,name", CASES)
def test_golden_stream(folder, name):
    stream = (FOLDER / folder / f"{name}.lhic").read_bytes()
    cube, options = cubes()[name]
    again = lhic.decode(stream, device="cpu", model=MODELS[folder])
    assert again.dtype == cube.dtype and np.array_equal(again, cube)
    assert encode(cube, MODELS[folder], options) == stream
    if options.get("metadata"):
        assert lhic.inspect(stream)["metadata"] == METADATA


def test_golden_stream_with_changed_weights():
    stream = TUNED.read_bytes()
    assert lhic.inspect(stream)["parameters"]["bytes of changed weights"] > 50
    assert np.array_equal(lhic.decode(stream, device="cpu", model=AX_TINY_2), tuned_cube())


@pytest.mark.gpu
@pytest.mark.parametrize("folder,name", CASES)
def test_golden_stream_on_a_gpu(folder, name, cuda):
    stream = (FOLDER / folder / f"{name}.lhic").read_bytes()
    cube, options = cubes()[name]
    assert np.array_equal(lhic.decode(stream, device="cuda", model=MODELS[folder]), cube)
    again = encode(cube, MODELS[folder], options, device="cuda")
    assert np.array_equal(lhic.decode(again, device="cpu", model=MODELS[folder]), cube)


def test_nothing_is_missing_and_nothing_unknown():
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.lhic")}
    wanted = {f"{folder}/{name}.lhic" for folder, name in CASES}
    assert found == wanted | {TUNED.relative_to(FOLDER).as_posix()}
