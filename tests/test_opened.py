"""`lhic.open`: numpy's answers to every index, from no more tiles and bands than it needs."""

import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CorruptStreamError, LhicError, OutOfRangeError, UsageError
from lhic.families.raw import RawModel
from lhic.families.shuffled import ShuffledModel

TILE = (8, 7)


def scene(n_bands: int = 40) -> np.ndarray:
    band, row, column = np.ogrid[0:n_bands, 0:20, 0:23]
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 27
    return (500 + 31 * band + 7 * row + 3 * column + noise).astype("int16")


@pytest.fixture(scope="module")
def stream() -> bytes:
    """Twelve tiles in three rows and four columns."""
    return lhic.encode(scene(), "lhic-ax-fast", tile_shape=TILE, metadata={"wavelengths": list(range(400, 440))})


@pytest.fixture(scope="module")
def opened(stream) -> lhic.StreamCube:
    return lhic.open(stream)


def test_what_it_says_of_itself(opened, stream):
    assert opened.shape == (40, 20, 23) and opened.dtype == np.int16 and len(opened) == 40 and opened.ndim == 3
    assert opened.tile_shape == TILE and opened.metadata["wavelengths"][1] == 401
    assert opened.size == scene().size and opened.nbytes == scene().nbytes
    assert "(40, 20, 23) of int16, tiles of 8 x 7" in repr(opened)
    assert lhic.inspect(stream)["tile_shape"] == list(TILE)


AXIS = st.one_of(
    st.integers(-20, 19),
    st.builds(
        slice,
        st.none() | st.integers(-45, 45),
        st.none() | st.integers(-45, 45),
        st.none() | st.integers(-9, 9).filter(bool),
    ),
)
INDEX = st.one_of(
    AXIS,
    st.just(Ellipsis),
    st.tuples(AXIS),
    st.tuples(AXIS, AXIS),
    st.tuples(AXIS, AXIS, AXIS),
    st.tuples(st.just(Ellipsis), AXIS),
    st.tuples(AXIS, st.just(Ellipsis), AXIS),
    st.tuples(AXIS, st.none(), AXIS, st.just(Ellipsis)),
)


@settings(deadline=None, max_examples=200)
@given(INDEX)
def test_indices_mean_what_they_mean_to_numpy(opened, index):
    found, expected = opened[index], scene()[index]
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "index", [40, -41, (0, 20), (0, 0, 0, 0), (..., ...), [1, 2], 1.0, "red", True, slice(None, "x")]
)
def test_other_indices_are_refused(opened, index):
    with pytest.raises(IndexError, match="index"):
        opened[index]
    with pytest.raises(OutOfRangeError):
        opened[index]


def test_an_opened_cube_is_an_array(opened):
    assert np.array_equal(np.asarray(opened), scene())
    assert np.asarray(opened, "float64").dtype == np.float64
    assert opened.__array__("int32").dtype == np.int32
    assert sum(1 for _ in opened) == 40
    with pytest.raises(ValueError):
        opened.__array__(copy=False)
    window = opened[0, :2]
    window[:] = -1
    assert np.array_equal(opened[0, :2], scene()[0, :2]), "the cache was handed out"


@pytest.mark.parametrize("model", [RawModel(), ShuffledModel(), "lhic-ax-fast"])
@pytest.mark.parametrize("dtype", [">i2", "float64"])
def test_every_family(model, dtype):
    cube = (scene(5) / (1 if dtype == ">i2" else 1000)).astype(dtype)
    opened = lhic.open(lhic.encode(cube, model, fallback=False))
    for index in ((3,), (slice(1, 3), slice(4, 9), slice(-3, None)), (slice(None, None, -2), 7), (..., 22)):
        found = opened[index]
        assert found.dtype == cube.dtype and np.array_equal(found, cube[index])


def test_no_more_is_read_than_needed(stream):
    header = lhic.inspect(stream)["header_bytes"]
    sizes = [sum(tile) for tile in lhic.inspect(stream)["tiles"]]
    opened = lhic.open(stream)
    assert opened.bytes_read == header
    opened[:, 9, 8]  # row 1, column 1 of the tiles
    assert opened.bytes_read == header + sizes[5]
    opened[3:9, 8:16, 7:14]  # is in the cache
    assert opened.bytes_read == header + sizes[5]
    fresh = lhic.open(stream)
    fresh[2, :8]  # the first bands of four tiles: one group of several
    n_planes = lhic.inspect(stream)["parameters"]["planes in a group"]
    assert n_planes >= 40 or fresh.bytes_read < header + 0.8 * sum(sizes[:4])


def test_first_bands_are_decoded_alone():
    band, row, column = np.ogrid[0:48, 0:40, 0:32]
    cube = (band * 5 + row * 3 + column + (band * row * column) % 17).astype("uint16")
    opened = lhic.open(stream := lhic.encode(cube, "lhic-ax-fast"))
    assert np.array_equal(opened[5], cube[5])
    few = opened.bytes_read
    assert few < 0.7 * len(stream)
    assert np.array_equal(opened[40], cube[40])  # the cache holds too few bands
    assert opened.bytes_read > few
    checked = lhic.open(stream, check=True)
    assert np.array_equal(checked[5], cube[5]) and checked.bytes_read > 0.99 * len(stream) - 50


def test_raw_samples_are_read_where_they_lie():
    cube = scene()
    opened = lhic.open(lhic.encode(cube, RawModel()), check=False)
    before = opened.bytes_read
    assert np.array_equal(opened[7, 3:5, ::4], cube[7, 3:5, ::4])
    assert opened.bytes_read - before == 2 * 23 * 2


@pytest.mark.parametrize("model", [RawModel(), ShuffledModel()])
def test_damage_of_what_no_coder_looks_at_is_told(model):
    cube = np.random.default_rng(1).integers(0, 2**16, (4, 10, 10)).astype("uint16")
    stream = lhic.encode(cube, model)
    wrong = 0
    for position in range(len(stream) // 2, len(stream), 11):
        damaged = bytearray(stream)
        damaged[position] ^= 1
        for check in (None, False):
            try:
                found = lhic.open(bytes(damaged), check=check)[2:3, 3:7, :]
            except LhicError:
                continue
            assert check is False or np.array_equal(found, cube[2:3, 3:7, :])
            wrong += not np.array_equal(found, cube[2:3, 3:7, :])
    assert wrong, "a test that finds nothing without checking looks at nothing"


def test_the_cache_is_bounded(stream):
    none, small = lhic.open(stream, cache_bytes=0), lhic.open(stream, cache_bytes=2 * 40 * 8 * 7 * 2)
    before = small.bytes_read
    for opened in (none, small):
        for _ in range(2):
            assert np.array_equal(opened[:, 0, 0], scene()[:, 0, 0])
    assert none.bytes_read - before == 2 * (small.bytes_read - before)
    assert (
        np.array_equal(small[:], scene()) and sum(tile.nbytes for tile in small._cache.values()) <= 2 * 40 * 8 * 7 * 2
    )


def test_threads_may_index_at_a_time(stream):
    opened, cube = lhic.open(stream, cache_bytes=20_000), scene()
    rng = np.random.default_rng(0)
    corners = [tuple(int(rng.integers(0, n)) for n in cube.shape) for _ in range(60)]

    def right(corner):
        window = tuple(slice(n, n + 9) for n in corner)
        return np.array_equal(opened[window], cube[window])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(right, corners))


def test_places_that_streams_are_opened_from(stream, tmp_path):
    path = tmp_path / "cube.lhic"
    path.write_bytes(stream)
    with lhic.open(path) as of_path, path.open("rb") as file:
        for opened in (
            of_path,
            lhic.open(str(path)),
            lhic.open(file),
            lhic.open(io.BytesIO(stream)),
            lhic.open(bytearray(stream)),
        ):
            assert np.array_equal(opened[3, 4:9, 2], scene()[3, 4:9, 2])
    with pytest.raises(UsageError, match="nothing there"):
        lhic.open(tmp_path / "gone.lhic")
    with pytest.raises(UsageError, match="expected a path, a URL, bytes or a file object, found int"):
        lhic.open(7)
    with pytest.raises(CorruptStreamError):
        lhic.open(stream[:60])


def test_pickles_open_their_stream_again(stream, tmp_path):
    path = tmp_path / "cube.lhic"
    path.write_bytes(stream)
    for opened in (lhic.open(path, check=True), lhic.open(stream)):
        opened[0]
        again = pickle.loads(data := pickle.dumps(opened))
        assert np.array_equal(again[5:7], scene()[5:7])
    assert len(pickle.dumps(lhic.open(path))) < 1000 and data
    with pytest.raises(UsageError, match="found BytesIO"):
        pickle.dumps(lhic.open(io.BytesIO(stream)))


def test_urls(stream):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://folder/cube.lhic", "wb") as file:
        file.write(stream)
    opened = pickle.loads(pickle.dumps(lhic.open("memory://folder/cube.lhic")))
    assert np.array_equal(opened[::9, 5], scene()[::9, 5])
    with pytest.raises(UsageError, match=r"memory://gone: expected an lhic stream, found nothing there"):
        lhic.open("memory://gone")
    with pytest.raises(lhic.LhicError, match="no-such-kind://x"):
        lhic.open("no-such-kind://x")


def test_damage_is_noticed(stream):
    damaged = bytearray(stream)
    damaged[-20] ^= 1  # in the last tile
    opened = lhic.open(bytes(damaged))
    assert np.array_equal(opened[:, :8], scene()[:, :8])
    with pytest.raises(CorruptStreamError, match="tile 11"):
        opened[:, 19, 22]


def test_a_notebook_shows_a_picture(opened):
    pytest.importorskip("imagecodecs")
    shown = opened._repr_html_()
    assert "data:image/png;base64," in shown and "<td>40 x 20 x 23 (bands, rows, columns) of int16</td>" in shown


# --- tiles ---


def test_tiles_may_have_any_shape_that_the_format_has():
    cube = scene(4)
    for tile_shape in ((5, 100), (np.int64(1), 23), [20, 3]):
        stream = lhic.encode(cube, "lhic-ax-fast", tile_shape=tile_shape, fallback=False)
        assert np.array_equal(lhic.decode(stream), cube)
        rows, columns = min(20, tile_shape[0]), min(23, tile_shape[1])
        assert lhic.inspect(stream)["tile_shape"] == [rows, columns]
    assert lhic.load_model("lhic-ax-fast").tile_shape(20, 23) == (20, 23), "a loaded model was changed"


@pytest.mark.parametrize("tile_shape", [3, (3,), (0, 4), (2.5, 4), "ab"])
def test_tile_shapes_that_are_none(tile_shape):
    with pytest.raises(UsageError, match="tile_shape: expected"):
        lhic.encode(scene(2), "lhic-ax-fast", tile_shape=tile_shape)


def test_tiles_that_are_too_large_are_refused():
    with pytest.raises(UsageError, match="tile_shape: expected at most 32768 pixels, found 200 x 190"):
        lhic.encode(np.zeros((1, 200, 190), "int16"), "lhic-ax-fast", tile_shape=(300, 190))


def test_the_command_line_takes_a_tile_shape(tmp_path, capsys):
    from lhic.cli import main

    lhic.save_cube(tmp_path / "cube.npy", scene(3))
    names = [str(tmp_path / name) for name in ("cube.npy", "cube.lhic")]
    assert main(["encode", *names, "--model", "lhic-ax-fast", "--tile", "8x7"]) == 0
    assert lhic.inspect(names[1])["tile_shape"] == [8, 7]
    with pytest.raises(SystemExit) as ended:
        main(["encode", *names, "--force", "--tile", "8"])
    assert ended.value.code == 2
