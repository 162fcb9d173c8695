"""From file to file: the same bytes as in memory, within the budget, and all or nothing."""

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lhic
from lhic.errors import (
    CorruptStreamError,
    InvalidCubeError,
    LhicError,
    MemoryBudgetError,
    UsageError,
    VerificationError,
)
from lhic.families.raw import RawModel
from lhic.families.registry import as_model
from lhic.formats import save_cube
from lhic.io.source import open_source
from tests.common import REPOSITORY, cubes_by_intent

MIB = 1 << 20


def in_files(folder, cube, model, **options):
    """Bytes of a stream written from file to file."""
    np.save(folder / "cube.npy", cube)
    info = lhic.encode_file(folder / "cube.npy", folder / "cube.lhic", model, overwrite=True, **options)
    stream = (folder / "cube.lhic").read_bytes()
    assert info == lhic.inspect(stream)
    return stream


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
@pytest.mark.parametrize("fallback", [False, True])
def test_the_same_bytes_as_in_memory(stored_models, tmp_path, name, cube, fallback):
    ticks = []
    metadata = {"nodata": -1}
    stream = in_files(tmp_path, cube, "stored", fallback=fallback, metadata=metadata, progress=ticks.append)
    assert stream == lhic.encode(cube, "stored", fallback=fallback, metadata=metadata)
    assert sum(ticks) == cube.size
    ticks.clear()
    error = lhic.decode_file(
        tmp_path / "cube.lhic", tmp_path / "again.npy", verify=tmp_path / "cube.npy", progress=ticks.append
    )
    save_cube(tmp_path / "expected.npy", np.ascontiguousarray(cube))
    assert error == 0 and sum(ticks) == cube.size
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


@pytest.mark.parametrize("model", ["lhic-ax", "lhic-ax-fast", "lhic-bp-xs", RawModel()], ids=str)
def test_every_family_gives_the_same_bytes_however_small_the_batches(tmp_path, model):
    rng = np.random.default_rng(3)
    cube = (rng.normal(0, 9, (2, 70, 65)).cumsum(axis=0) - 20).astype("int16")  # six tiles of lhic-bp, which shifts it
    if model == "lhic-ax":
        cube = np.tile(cube, (1, 3, 3))[:1]  # of lhic-ax, four
    whole = lhic.encode(cube, model, fallback=False)
    loaded = as_model(model, "auto")
    tile = len(cube), *loaded.tile_shape(*cube.shape[1:])
    budget = 1000 if loaded.family == "raw" else loaded.coding_bytes(tile, cube.dtype, 1) + 4000
    assert in_files(tmp_path, cube, model, fallback=False, memory_budget=budget, threads=1) == whole
    lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "again.npy", memory_budget=budget, threads=1)
    assert np.array_equal(np.load(tmp_path / "again.npy"), cube)
    with pytest.raises(MemoryBudgetError, match="bytes of memory"):
        lhic.encode_file(tmp_path / "cube.npy", tmp_path / "no.lhic", model, memory_budget=budget // 10)
    with pytest.raises(MemoryBudgetError, match="bytes of memory"):
        lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "no.npy", memory_budget=budget // 10)
    assert not list(tmp_path.glob("no.*"))


def test_noise_is_stored_as_it_is(stored_models, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 9, 10), "uint8")
    stream = in_files(tmp_path, noise, "stored")
    assert lhic.inspect(stream)["family"] == "raw" and len(stream) <= noise.nbytes + 64
    assert stream == lhic.encode(noise, "stored")


def test_near_lossless(stored_models, tmp_path):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    assert in_files(tmp_path, cube, "stored", max_error=4) == lhic.encode(cube, "stored", max_error=4)
    error = lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "again.npy", verify=tmp_path / "cube.npy")
    assert error == 4 and np.array_equal(np.load(tmp_path / "again.npy"), cube // 5 * 5)


def test_the_first_difference_is_named_wherever_it_is(stored_models, tmp_path):
    """Tiles come row by row; the message names the first in the order of the samples."""
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    in_files(tmp_path, cube, "stored")
    for position in [(2, 0, 0), (1, 8, 9), (2, 8, 0)]:
        cube[position] += 1
    save_cube(tmp_path / "other.npy", cube)
    with pytest.raises(VerificationError, match=r"found 3 that differ, the first at band 1, row 8, column 9: 179 dec"):
        lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "again.npy", verify=tmp_path / "other.npy")
    assert not (tmp_path / "again.npy").exists()


def test_what_goes_wrong_leaves_files_as_they_were(stored_models, tmp_path):
    cube = np.arange(3 * 9 * 10, dtype="int16").reshape(3, 9, 10)
    stream = in_files(tmp_path, cube, "stored", fallback=False)
    (tmp_path / "old").write_bytes(b"old")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    rng = np.random.default_rng(0)

    def check(error, function, name, data):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(error, match=name):
            function(tmp_path / name, tmp_path / "old", overwrite=True)
        (tmp_path / name).unlink()
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    for position in rng.integers(0, len(stream), 40):
        damaged = bytearray(stream)
        damaged[position] ^= 1 << rng.integers(0, 8)
        check(LhicError, lhic.decode_file, "damaged", bytes(damaged))
    for length in (0, 5, 30, len(stream) - 1):
        check(CorruptStreamError, lhic.decode_file, "cut", stream[:length])
    whole = (tmp_path / "cube.npy").read_bytes()
    for length in (0, 50, 128, len(whole) - 1):
        check(InvalidCubeError, lhic.encode_file, r"cut.npy", whole[:length])


def test_one_open_stream_serves_several_threads(stored_models, tmp_path):
    cube = np.random.default_rng(0).integers(0, 9, (20, 40, 40), "int16")
    in_files(tmp_path, cube, "stored")
    tiles = [*range(25)] * 4
    with open_source(tmp_path / "cube.lhic") as stream, ThreadPoolExecutor(8) as pool:
        for number, tile in zip(tiles, pool.map(lambda number: lhic.decode_tile(stream, number), tiles), strict=True):
            row, column = number // 5 * 8, number % 5 * 8
            assert np.array_equal(tile, cube[:, row : row + 8, column : column + 8])


# --- how much memory --------------------------------------------------------------------------------------------------

COMMAND = """
import sys
from pathlib import Path
from lhic.cli import main
from lhic.families import registry
registry.FAMILIES["stored"] = "tests.stored_family"
code = main(sys.argv[1:])
print(*[line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")])
sys.exit(code)
"""


def command(*arguments, **environment) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "NUMBA_NUM_THREADS": "1"} | environment
    arguments = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def peak_bytes(*arguments, **environment) -> int:
    """Peak resident memory of a command that succeeds."""
    process = command(*arguments, "--quiet", **environment)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return int(out.split()[-1]) * 1024


def write_cube(path, shape, kind):
    """A cube larger than what this process holds of it, int16: steps, noise of three bits, or of 16."""
    rng = np.random.default_rng(0)
    cube = np.lib.format.open_memmap(path, "w+", "int16", shape)
    for number, band in enumerate(cube):
        if kind == "steps":
            band[:] = number + np.arange(shape[1])[:, None] // 50
        else:
            band[:] = rng.integers(0, 8, band.shape) if kind == "calm" else rng.integers(-32768, 32768, band.shape)
    cube.flush()


def check_memory_is_bounded(folder, model, shape, small, kind, budget, allowed):
    """A large cube takes at most `allowed` bytes more than a small one."""
    n_bytes = int(np.prod(shape)) * 2
    write_cube(folder / "small.npy", small, kind)
    write_cube(folder / "large.npy", shape, kind)
    for name in ("small", "large"):
        cube, stream, again = (folder / f"{name}.{end}" for end in ("npy", "lhic", "again.npy"))
        peaks = [
            peak_bytes("encode", cube, stream, "--model", model, LHIC_MEMORY_BUDGET=str(budget)),
            peak_bytes("decode", stream, again, "--verify", cube, LHIC_MEMORY_BUDGET=str(budget)),
        ]
        if name == "small":
            base = peaks
    taken = [large - small for large, small in zip(peaks, base, strict=True)]
    assert max(taken) <= allowed < n_bytes / 2, f"{taken} of {allowed} bytes for {n_bytes}"
    assert (folder / "large.again.npy").read_bytes() == (folder / "large.npy").read_bytes()


needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["steps", "noise"])
def test_memory_does_not_grow_with_the_cube(stored_models, tmp_path, kind):
    """Of noise, the samples are stored as they are, in a tile as large as the cube."""
    check_memory_is_bounded(tmp_path, "stored", (200, 12_000, 8), (200, 8, 8), kind, budget=12 * MIB, allowed=12 * MIB)


@needs_proc
@pytest.mark.slow
def test_memory_of_lhic_ax_does_not_grow_with_the_cube(tmp_path):
    """From one tile on: what a tile takes is in both."""
    limits = {"budget": 6 * MIB, "allowed": 3 * MIB}
    check_memory_is_bounded(tmp_path, "lhic-ax-fast", (2, 1300, 1300), (2, 125, 125), "calm", **limits)


@pytest.mark.parametrize(
    "cube", [{}, 5, None, io.BytesIO(b"x"), np.zeros((2, 3, 4), "int16")], ids=lambda c: type(c).__name__
)
def test_what_is_no_file_is_refused(tmp_path, cube):
    with pytest.raises(UsageError, match=rf"cube: expected a path, or .*, found {type(cube).__name__}"):
        lhic.encode_file(cube, tmp_path / "a.lhic", "lhic-ax-turbo")
    assert not list(tmp_path.iterdir())
