"""Every golden stream still decodes, and today's encoder still writes it."""

import numpy as np
import pytest

import lhic
from tests.golden.make import (
    AX_TINY,
    BESIDE,
    CASES,
    FOLDER,
    LINERWKV,
    LINERWKV_TINY,
    METADATA,
    MODELS,
    PINNED_CASES,
    TUNED,
    VALUE_CASES,
    beside,
    cubes,
    encode_beside,
    encode_lines,
    line_cubes,
    pinned_cubes,
    stream_of,
    tuned_cube,
    tuned_stream,
    value_cubes,
)

LINE_CASES = [(folder, name) for folder in LINERWKV for name in line_cubes()]


def committed(folder, name):
    return (FOLDER / folder / f"{name}.lhic").read_bytes()


@pytest.mark.parametrize("folder,name", CASES)
def test_golden_stream(folder, name):
    stream, (cube, options) = committed(folder, name), cubes()[name]
    again = lhic.decode(stream, device="cpu", model=MODELS[folder])
    assert again.dtype == cube.dtype and np.array_equal(again, cube)
    assert stream_of(folder, name) == stream
    if options.get("metadata"):
        assert lhic.inspect(stream)["metadata"] == METADATA


@pytest.mark.parametrize("folder,name", LINE_CASES)
def test_stream_of_lines(folder, name):
    stream, cube = committed(folder, name), line_cubes()[name]
    again = lhic.decode(stream, model=LINERWKV_TINY)
    assert again.dtype == cube.dtype and np.array_equal(again, cube)
    assert encode_lines(cube, folder) == stream


@pytest.mark.parametrize("folder,name", PINNED_CASES)
def test_pinned_stream(folder, name):
    stream, (cube, settings) = committed(folder, name), pinned_cubes()[name]
    _check_pinned(lhic.decode(stream, device="cpu", model=MODELS[folder]), cube, settings)
    assert stream_of(folder, name) == stream


@pytest.mark.parametrize("folder,name", VALUE_CASES)
def test_stream_of_values(folder, name):
    if folder == "values_shuffled":
        pytest.importorskip("zstandard", reason="needs the extra floats")
    stream, (cube, _) = committed(folder, name), value_cubes()[name]
    again = lhic.decode(stream, device="cpu", model=MODELS[folder])
    assert again.dtype == cube.dtype
    bound = lhic.inspect(stream)["max_error"]
    assert np.abs(again - cube).max() <= bound if bound else again.tobytes() == cube.tobytes()
    if folder != "values_shuffled":  # other versions of Zstandard may write others
        assert stream_of(folder, name) == stream


def _check_pinned(again, cube, settings):
    """Near-lossless samples are pinned by the checksums of the stream; here only their bound is seen."""
    assert again.dtype == cube.dtype and again.shape == cube.shape
    assert np.abs(again.astype(np.int64) - cube).max() <= settings.get("max_error", 0)


def test_golden_stream_with_changed_weights():
    stream = TUNED.read_bytes()
    assert lhic.inspect(stream)["parameters"]["bytes of changed weights"] > 50
    assert np.array_equal(lhic.decode(stream, device="cpu", model=AX_TINY), tuned_cube())
    assert tuned_stream() == stream


def test_golden_stream_with_auxiliary_sections():
    stream = BESIDE.read_bytes()
    cube, metadata, arrays = beside()
    assert np.array_equal(lhic.decode(stream), cube) and lhic.inspect(stream)["metadata"] == metadata
    found = lhic.read_auxiliary(stream)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert np.array_equal(found[name], array)
    assert encode_beside() == stream


@pytest.mark.gpu
@pytest.mark.parametrize("folder,name", CASES)
def test_golden_stream_on_a_gpu(folder, name, cuda):
    stream, (cube, _) = committed(folder, name), cubes()[name]
    assert np.array_equal(lhic.decode(stream, device="cuda", model=MODELS[folder]), cube)
    again = stream_of(folder, name, "cuda")
    assert np.array_equal(lhic.decode(again, device="cpu", model=MODELS[folder]), cube)


@pytest.mark.gpu
@pytest.mark.parametrize("folder,name", PINNED_CASES)
def test_pinned_stream_on_a_gpu(folder, name, cuda):
    stream, (cube, settings) = committed(folder, name), pinned_cubes()[name]
    _check_pinned(lhic.decode(stream, device="cuda", model=MODELS[folder]), cube, settings)
    assert stream_of(folder, name, "cuda") == stream


def test_nothing_is_missing_and_nothing_unknown():
    found = {path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.lhic")}
    wanted = {f"{folder}/{name}.lhic" for folder, name in CASES + PINNED_CASES + VALUE_CASES + LINE_CASES}
    assert found == wanted | {path.relative_to(FOLDER).as_posix() for path in (TUNED, BESIDE)}
