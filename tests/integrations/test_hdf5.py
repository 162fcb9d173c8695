"""The HDF5 filter: chunks of any shape come back, and what is wrong is told through h5py."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lhic
from lhic.errors import CorruptStreamError, UsageError

h5py = pytest.importorskip("h5py")
import lhic.hdf5  # noqa: E402
from lhic.integrations import hdf5  # noqa: E402

DTYPES = ("int16", "uint16", "uint8", "int32", "float32", ">i2", ">f8", "bool")
LAYOUTS = {  # shape of a dataset and of its chunks, axis of the bands
    "one band": ((20, 30), (16, 16), None),
    "a table of spectra": ((30, 12), (16, 12), 1),
    "bands first": ((6, 20, 30), (6, 16, 16), None),
    "bands last": ((20, 30, 6), (16, 16, 6), 2),
    "some bands a chunk": ((7, 20, 30), (3, 20, 30), 0),
    "a stack of cubes": ((3, 6, 20, 30), (2, 6, 20, 16), None),
    "bands last in a stack": ((2, 20, 30, 6), (1, 16, 16, 6), 3),
}


def samples(shape, dtype):
    steps = np.random.default_rng(1).integers(-3, 5, shape)
    return np.cumsum(steps, axis=-1).astype(dtype)


def written(path, cube, chunks, model="stored", bands=None, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", data=cube, chunks=chunks, **lhic.hdf5.lhic(model, bands=bands), **options)
    return path


def stream_of(path, number=0):
    """Bytes of a chunk, and where they are in the file."""
    with h5py.File(path) as file:
        chunk = file["cube"].id.get_chunk_info(number)
    return path.read_bytes()[chunk.byte_offset : chunk.byte_offset + chunk.size], chunk.byte_offset


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_come_back(stored_models, tmp_path, layout, dtype):
    shape, chunks, bands = LAYOUTS[layout]
    cube = samples(shape, dtype)
    path = written(tmp_path / "a.h5", cube, chunks, bands=bands)
    with h5py.File(path) as file:
        again = file["cube"][...]
        assert again.dtype == cube.dtype and np.array_equal(again, cube)
        assert np.array_equal(file["cube"][1, 5:9], cube[1, 5:9])
    stream, _ = stream_of(path)
    assert lhic.inspect(stream)["dtype"] == np.dtype(dtype).newbyteorder("=").name
    n_bands = 1 if layout == "one band" else chunks[len(shape) - 3 if bands is None else bands]
    assert lhic.inspect(stream)["shape"][0] == n_bands


@pytest.mark.slow
def test_a_model_that_learns_takes_less_than_deflate(tmp_path):
    cube = np.cumsum(samples((8, 32, 32), "int16"), axis=0, dtype="int16")
    path = written(tmp_path / "a.h5", cube, (8, 32, 32), "lhic-ax-fast")
    with h5py.File(path) as file:
        assert np.array_equal(file["cube"][...], cube)
        n_bytes = file["cube"].id.get_storage_size()
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("cube", data=cube, chunks=(8, 32, 32), compression="gzip", shuffle=True)
        assert n_bytes < file["cube"].id.get_storage_size()


def test_chunks_that_nobody_wrote_have_the_fill_value(stored_models, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "cube",
            (6, 20, 30),
            "int16",
            chunks=(6, 10, 10),
            maxshape=(6, None, 30),
            fillvalue=-9,
            **lhic.hdf5.lhic("stored"),
        )
        dataset[:, 5:12, 3] = 4
        dataset.resize((6, 25, 30))
    with h5py.File(tmp_path / "a.h5", "a") as file:  # and a chunk is written again
        expected = np.full((6, 25, 30), -9, "int16")
        expected[:, 5:12, 3] = 4
        assert np.array_equal(file["cube"][...], expected)
        file["cube"][2, 24] = expected[2, 24] = 7
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["cube"][...], expected) and file["cube"].id.get_num_chunks() == 5  # those written


def test_a_checksum_of_hdf5_may_follow(stored_models, tmp_path):
    path = written(tmp_path / "a.h5", samples((6, 20, 30), "int16"), (6, 10, 10), fletcher32=True)
    with h5py.File(path) as file:
        assert file["cube"].fletcher32 and np.array_equal(file["cube"][...], samples((6, 20, 30), "int16"))


def test_without_the_filter_hdf5_says_what_it_lacks(stored_models, tmp_path):
    path = written(tmp_path / "a.h5", samples((6, 20, 30), "int16"), (6, 10, 10))
    program = f"import h5py\nwith h5py.File({str(path)!r}) as file:\n    file['cube'][0]"
    plugins = {**os.environ, "HDF5_PLUGIN_PATH": str(tmp_path)}  # a folder that is there, and has none
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=plugins)
    assert found.returncode == 1
    assert "OSError: Can't synchronously read data" in found.stderr and "plugin" in found.stderr


def test_damage_is_told_with_its_reason(stored_models, tmp_path):
    path = written(tmp_path / "a.h5", samples((6, 20, 30), "int16"), (6, 20, 30))
    stream, begin = stream_of(path)
    content = bytearray(path.read_bytes())
    content[begin + len(stream) // 2] ^= 1
    path.write_bytes(content)
    with h5py.File(path) as file, pytest.raises(OSError, match=r"\(lhic: chunk: stream: checksum does not match"):
        file["cube"][0]


@pytest.mark.parametrize("shape, dtype", [((6, 20, 29), "int16"), ((6, 20, 30), "uint16"), ((6, 20, 30), ">i2")])
def test_a_stream_of_another_chunk_is_refused(stored_models, tmp_path, shape, dtype):
    path = written(tmp_path / "a.h5", samples((6, 20, 30), "int16"), (6, 20, 30))
    with h5py.File(path, "a") as file:
        file["cube"].id.write_direct_chunk((0, 0, 0), lhic.encode(samples(shape, dtype), "stored"))
        with pytest.raises(OSError, match="lhic: chunk: stream: expected"):
            file["cube"][0]


def test_datasets_that_it_cannot_code_are_refused(stored_models, tmp_path):
    keywords = lhic.hdf5.lhic("stored")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for reason, cube, options in (
            ("found another before it", np.zeros((4, 5, 6), "i2"), {"shuffle": True}),
            ("chunks of two axes or more", np.zeros(100), {}),
            ("integers, floats", np.zeros((4, 5), "c8"), {}),
            ("integers, floats", np.zeros((4, 5), "S4"), {}),
        ):
            with pytest.raises(ValueError, match=f"lhic: create a dataset: .*{reason}"):
                file.create_dataset("cube", data=cube, chunks=cube.shape, **options, **keywords)
        with pytest.raises(ValueError, match="bands: expected an axis of 2, found 5"):
            file.create_dataset("cube", (4, 5), "i2", chunks=(4, 5), **lhic.hdf5.lhic("stored", bands=5))
        assert not file.keys()
    for wrong in ("no-such-model", "../ckpt/lhic-ax", "x" * 65, "", 5):
        with pytest.raises(UsageError):
            lhic.hdf5.lhic(wrong)


def test_a_chunk_that_cannot_be_coded_stays_as_it_is(stored_models, tmp_path, monkeypatch, capsys):
    """HDF5 would crash when it closes a file with a chunk that no filter takes."""
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "1")
    cube = samples((6, 20, 30), "int16")
    path = written(tmp_path / "a.h5", cube, (6, 20, 30))
    assert "warning: a chunk of an HDF5 file stays as it is: MemoryBudgetError" in capsys.readouterr().err
    assert stream_of(path)[0] == cube.tobytes()
    with h5py.File(path) as file:
        assert np.array_equal(file["cube"][...], cube)


def test_an_interrupt_is_raised_after_hdf5_returned(stored_models, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    path = written(tmp_path / "a.h5", samples((6, 20, 30), "int16"), (6, 10, 10))
    monkeypatch.setattr(hdf5, "decode", interrupted)
    with h5py.File(path) as file, pytest.raises((KeyboardInterrupt, OSError)):
        file["cube"][0]
        raise AssertionError("read")


@pytest.mark.slow
def test_files_that_nobody_closed_are_whole(stored_models, tmp_path):
    path = tmp_path / "a.h5"
    program = (
        "import h5py, lhic.hdf5, numpy as np\n"
        f"file = h5py.File({str(path)!r}, 'w')\n"
        "cube = np.arange(600, dtype='int16').reshape(2, 10, 30)\n"
        "dataset = file.create_dataset('cube', data=cube, chunks=cube.shape, **lhic.hdf5.lhic())\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    with h5py.File(path) as file:
        assert np.array_equal(file["cube"][...], np.arange(600).reshape(2, 10, 30))


@pytest.mark.parametrize(
    "values", [(), (2,), (1,), (1, 0, 4), (1, 0, 1, 97, 99, 4, 5), (1, 0, 1, 97, 4, 5), (1, 9, 1, 97, 4, 5, 6)]
)
def test_values_of_another_filter_are_refused(values):
    with pytest.raises(CorruptStreamError):
        hdf5.described(values)


def test_values_are_those_of_the_document():
    """docs/hdf5.md describes this list."""
    assert lhic.hdf5.lhic("lhic-ax-fast", bands=2)["compression_opts"] == (
        1,
        3,
        12,
        *np.frombuffer(b"lhic-ax-fast", "<u4").tolist(),
    )
    chunk = hdf5.described((1, 3, 1, ord("a"), 4 + 128, 8, 9, 5))
    assert chunk == ("a", 2, np.dtype(">i2"), (8, 9, 5)) and chunk.cube_shape == (5, 8, 9)


def test_many_threads_may_read(stored_models, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    cube = samples((6, 40, 40), "int16")
    path = written(tmp_path / "a.h5", cube, (6, 10, 10))
    with h5py.File(path) as file, ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda row: file["cube"][:, row], range(40)))
    assert np.array_equal(np.stack(rows, axis=1), cube)
