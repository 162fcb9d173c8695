"""The engine and the accessor of xarray: lazy, selected along, and back with all that was said."""

from __future__ import annotations

import io
import pickle
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lhic
from lhic.errors import CorruptStreamError, InvalidCubeError, LhicError, UsageError
from tests.integrations.chunks import FAST, samples, scene

xr = pytest.importorskip("xarray")
from lhic.integrations.xarray import LhicBackendEntrypoint  # noqa: E402

TILE = (8, 7)
METADATA = {
    "wavelengths": [400 + 10 * band for band in range(12)],
    "wavelength_unit": "nm",
    "fwhm": [6.5] * 12,
    "bad_bands": [False] * 11 + [True],
    "band_names": [f"band {band}" for band in range(12)],
    "nodata": -1,
    "scale": 0.0001,
    "quantity": "reflectance",
    "unit": "1",
    "crs": "EPSG:32632",
    "transform": [30, 0, 500000, 0, -30, 6000000],
    "default_bands": [3, 2, 1],
    "description": "a lake",
    "times": ["2024-06-01T10:00:00"],
    "extra": {"sun": [1, 2], "who": "us"},
}
LEFT_OUT = "source"


def samples_of_the_lake() -> np.ndarray:
    cube = scene(12, 20, 23)
    cube[:, :3, :4] = -1
    return cube


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    place = tmp_path_factory.mktemp("xarray") / "lake.lhic"
    beside = {"lat": np.linspace(50, 51, 460).reshape(20, 23), "row number": np.arange(20)}
    place.write_bytes(lhic.encode(samples_of_the_lake(), FAST, metadata=METADATA, tile_shape=TILE, auxiliary=beside))
    return place


def opened(path, **options):
    return xr.open_dataset(path, engine=LhicBackendEntrypoint, **options)


def without_source(path) -> dict:
    return {key: value for key, value in lhic.inspect(path)["metadata"].items() if key != LEFT_OUT}


def test_samples_are_masked_and_scaled_as_xarray_does(path):
    dataset = opened(path)
    cube = samples_of_the_lake()
    assert dataset.cube.dims == ("band", "y", "x") and dataset.cube.attrs["units"] == "1"
    np.testing.assert_allclose(dataset.cube.values, np.where(cube == -1, np.nan, cube * 0.0001))
    stored = opened(path, mask_and_scale=False).cube
    assert stored.dtype == np.int16 and np.array_equal(stored.values, cube)
    assert stored.attrs["_FillValue"] == -1 and stored.attrs["scale_factor"] == 0.0001


def test_coordinates_are_those_of_the_metadata(path):
    dataset = opened(path)
    assert dataset.x.values[:2].tolist() == [500015, 500045] and dataset.y.values[0] == 6000000 - 15
    assert {"wavelength", "fwhm", "good_wavelengths", "band_name", "spatial_ref", "x", "y"} == set(dataset.coords)
    assert dataset.wavelength.attrs["units"] == "nm" and "32632" in dataset.spatial_ref.attrs["crs_wkt"]
    assert dataset.lat.dims == ("y", "x") and dataset.row_number.dims == ("y",)
    assert dataset.lat.values[0, 0] == 50
    at = dataset.cube.sel(wavelength=438, method="nearest").sel(x=500050, y=5999800, method="nearest")
    assert float(at) == pytest.approx(samples_of_the_lake()[4, 6, 1] * 0.0001)


@pytest.mark.parametrize("place", [{"band": 12}, {"band": -13}, {"y": 20}, {"x": 99}])
def test_a_place_that_is_not_there_is_an_error(path, place):
    with pytest.raises(IndexError):
        _ = opened(path, cache=False).cube.isel(place).values


def test_only_what_is_looked_at_is_decoded(path):
    data = path.read_bytes()
    cube = lhic.open(data)
    n_header = cube.bytes_read
    dataset = opened(io.BytesIO(data), cache=False)
    own = next(iter(_stream_cubes(dataset)))
    assert own.bytes_read <= n_header + 100, "only the header, and nothing of the tiles"
    assert np.array_equal(np.nan_to_num(dataset.cube[:, 3, 5] / 0.0001).round(), cube[:, 3, 5])
    assert own.bytes_read == cube.bytes_read


def _stream_cubes(dataset):
    """The opened streams below xarray's wrappers."""
    array = dataset.cube.variable._data
    for _ in range(12):
        if hasattr(array, "_cube"):
            yield array._cube
            return
        array = array.array


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_index_is_numpys(path, data):
    stored, expected = opened(path, mask_and_scale=False).cube, samples_of_the_lake()
    index = []
    for n in expected.shape:
        part = st.one_of(
            st.integers(-n, n - 1),
            st.builds(slice, st.none() | st.integers(0, n), st.none() | st.integers(0, n), st.sampled_from([None, 2])),
            st.just(slice(None, None, -2)),  # xarray itself fails where such a slice is empty
            st.lists(st.integers(0, n - 1), min_size=1, max_size=3),
        )
        index.append(data.draw(part))
    found = stored[tuple(index)].values
    for axis in (2, 1, 0):
        expected = expected[(slice(None),) * axis + (index[axis],)]
    np.testing.assert_array_equal(found, expected)


def test_dask_gets_chunks_that_are_tiles(path):
    pytest.importorskip("dask.array")
    dataset = opened(path, chunks={})
    assert dataset.cube.chunks == ((12,), (8, 8, 4), (7, 7, 7, 2))
    with pytest.importorskip("dask").config.set(scheduler="threads", num_workers=2):
        xr.testing.assert_identical(dataset.compute(), opened(path).load())


def test_datasets_are_pickled(path):
    again = pickle.loads(pickle.dumps(opened(path)))
    xr.testing.assert_identical(again.load(), opened(path).load())


def test_a_round_trip_keeps_samples_coordinates_attributes_and_metadata(path, tmp_path):
    dataset = opened(path)
    info = dataset.lhic.to_lhic(tmp_path / "again.lhic", FAST, tile_shape=TILE)
    assert info["dtype"] == "int16" and np.array_equal(lhic.open(tmp_path / "again.lhic")[:], samples_of_the_lake())
    assert without_source(tmp_path / "again.lhic") == METADATA
    xr.testing.assert_identical(opened(tmp_path / "again.lhic").load(), opened(path).load())


def test_a_selection_has_the_metadata_of_what_was_selected(path, tmp_path):
    part = opened(path).isel(band=slice(2, 8), y=slice(4, 12), x=slice(5, 20, 2))
    part.lhic.to_lhic(tmp_path / "part.lhic", FAST)
    found = without_source(tmp_path / "part.lhic")
    assert found["wavelengths"] == METADATA["wavelengths"][2:8] and found["band_names"][0] == "band 2"
    assert found["transform"] == [60, 0, 500000 + 5 * 30 - 15, 0, -30, 6000000 - 4 * 30]
    assert np.array_equal(lhic.open(tmp_path / "part.lhic")[:], samples_of_the_lake()[2:8, 4:12, 5:20:2])
    part.isel(band=slice(0, 2)).lhic.to_lhic(tmp_path / "less.lhic", FAST)
    assert "default_bands" not in without_source(tmp_path / "less.lhic")


def test_it_is_the_dataset_that_netcdf_gives(path, tmp_path):
    pytest.importorskip("netCDF4")
    lhic.decode_file(path, tmp_path / "lake.nc", plain=True)
    other, own = xr.open_dataset(tmp_path / "lake.nc", engine="netcdf4"), opened(path)
    xr.testing.assert_equal(own.cube.drop_vars(set(own.coords)), other.cube.drop_vars(set(other.coords)))
    for name in ("wavelength", "fwhm", "x", "y"):
        np.testing.assert_array_equal(own[name].values, other[name].values)
        assert own[name].attrs == other[name].attrs


def test_bands_of_their_own_scale_and_nodata(tmp_path):
    cube = scene(3, 6, 7)
    cube[1, 0, 0], cube[2, 0, 0] = -5, -5
    metadata = {"scale": [1, 0.5, 2], "offset": 10, "nodata": [None, -5, -6], "unit": "K"}
    (tmp_path / "a.lhic").write_bytes(lhic.encode(cube, FAST, metadata=metadata))
    dataset = opened(tmp_path / "a.lhic")
    expected = cube * np.array([1, 0.5, 2])[:, None, None] + 10
    expected[1, 0, 0] = np.nan
    np.testing.assert_array_equal(dataset.cube.values, expected)
    np.testing.assert_array_equal(dataset.cube[1, 1:3, 2].values, expected[1, 1:3, 2])
    assert dataset.cube.attrs["units"] == "K" and "scale" not in dataset
    stored = opened(tmp_path / "a.lhic", mask_and_scale=False)
    assert stored.scale.values.tolist() == [1, 0.5, 2]
    stored.lhic.to_lhic(tmp_path / "again.lhic", FAST)
    assert without_source(tmp_path / "again.lhic") == metadata
    assert np.array_equal(lhic.open(tmp_path / "again.lhic")[:], cube)
    dataset.lhic.to_lhic(tmp_path / "physical.lhic", FAST)
    np.testing.assert_array_equal(opened(tmp_path / "physical.lhic").cube.values, expected)


@settings(max_examples=25, deadline=None)
@given(
    st.permutations([("band", 3), ("y", 5), ("x", 4)]),
    st.sampled_from(["uint8", "int16", "uint16", "int32", "int64", "float32", "float64"]),
    st.integers(0, 99),
    st.booleans(),
)
def test_any_dataset_comes_back(axes, dtype, seed, with_time):
    dims, shape = tuple(name for name, _ in axes), tuple(n for _, n in axes)
    values = samples(shape, dtype, seed)
    coords = {"x": np.arange(4) * 2.5, "label": ("band", ["a", "b", "ü"])}
    array = xr.DataArray(values, dims=dims, coords=coords, name="radiance", attrs={"units": "W", "n": 3})
    if with_time:
        array = array.expand_dims(time=np.array(["2024-01-01"], "datetime64[ns]"))
    dataset = array.to_dataset().assign_attrs(title="any", numbers=[1.5, 2.5])
    with tempfile.TemporaryDirectory() as folder:
        dataset.lhic.to_lhic(f"{folder}/a.lhic", FAST)
        with opened(f"{folder}/a.lhic") as again:
            xr.testing.assert_identical(again.load(), dataset)


def test_an_image_is_one_band(tmp_path):
    image = xr.DataArray(scene(6, 7), dims=("y", "x"))
    image.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    assert np.array_equal(opened(tmp_path / "a.lhic").cube.values[0], image.values)


def test_arrays_of_dask_are_computed_by_windows(tmp_path):
    dask_array = pytest.importorskip("dask.array")
    largest = []

    def block(block_info=None):
        places = block_info[None]["array-location"]
        largest.append(np.prod([end - begin for begin, end in places]))
        return scene(12, 40, 40)[tuple(slice(*place) for place in places)]

    lazy = dask_array.map_blocks(
        block, chunks=((12,), (20, 20), (20, 20)), dtype="int16", meta=np.empty((0,) * 3, "i2")
    )
    array = xr.DataArray(lazy, dims=("band", "y", "x"))
    array.lhic.to_lhic(tmp_path / "a.lhic", FAST, tile_shape=(20, 20))
    assert np.array_equal(lhic.open(tmp_path / "a.lhic")[:], scene(12, 40, 40)) and max(largest) == 12 * 400


def test_bad_input_is_told_in_one_line(path, tmp_path):
    cube = xr.DataArray(scene(3, 4, 5), dims=("band", "y", "x"), name="one")
    two = xr.Dataset({"one": cube, "two": cube + 1})
    with pytest.raises(UsageError, match="one and two: choose"):
        two.lhic.to_lhic(tmp_path / "a.lhic")
    with pytest.warns(UserWarning, match="two .* is left out"):
        two.lhic.to_lhic(tmp_path / "a.lhic", FAST, variable="one")
    with pytest.raises(LhicError, match="expected nothing there"):
        two.one.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    with pytest.raises(InvalidCubeError, match="expected"):
        xr.DataArray(scene(3, 4), dims=("time", "x")).lhic.to_lhic(tmp_path / "b.lhic", FAST)
    (tmp_path / "c.lhic").write_bytes(path.read_bytes()[:99])
    with pytest.raises(CorruptStreamError):
        opened(tmp_path / "c.lhic")
    with pytest.raises(UsageError, match="nothing"):
        opened(tmp_path / "none.lhic")
    assert not (tmp_path / "b.lhic").exists()


def floats(encoding, *values, dtype="float64", chunks=None):
    """Twelve samples, most of them 1, packed as `encoding` says."""
    cube = np.ones((3, 2, 2), dtype)
    cube.flat[: len(values)] = values
    array = xr.DataArray(cube, dims=("band", "y", "x"), name="cube")
    array = array if chunks is None else array.chunk(chunks)
    array.encoding = encoding
    return array


PACKED = {"dtype": "int16", "scale_factor": 1e-4}
FILLED = {**PACKED, "_FillValue": -9999}


@pytest.mark.parametrize("chunks", [None, {"band": 1}])
@pytest.mark.parametrize(
    "encoding, value, words",
    [
        (PACKED, 3.27676, "that int16 holds with scale_factor 0.0001"),
        (PACKED, -6.5536, "that int16 holds"),  # wraps to 0
        (PACKED, np.inf, "that int16 holds"),
        (PACKED, np.nan, "a _FillValue to stand for NaN"),
        (FILLED, 3.2768, "that int16 holds"),
        (FILLED, -0.99991, "not packed to -9999, its _FillValue"),
        ({"dtype": "int64"}, 2.0**63, "that int64 holds"),
        ({"dtype": "uint8"}, -1, "that uint8 holds"),
        ({"dtype": "uint16"}, 65535.6, "that uint16 holds"),
        ({"dtype": "float32"}, 1e39, "that float32 holds"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of what NumPy makes of such values, xarray warns or not
def test_a_value_that_its_packed_dtype_cannot_hold_is_refused(encoding, value, words, chunks, tmp_path):
    array = floats(encoding, 1, 1, value, chunks=chunks)
    with pytest.raises(InvalidCubeError, match=f"dataset: cube: expected .*{words}.*, found") as refused:
        array.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    assert str(value)[:4] in str(refused.value) and not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:saving variable")
def test_integers_and_arrays_beside_the_cube_are_not_wrapped_either(tmp_path):
    array = xr.DataArray(np.full((3, 2, 2), 40000, "int32"), dims=("band", "y", "x"), name="cube")
    array.encoding = {"dtype": "int16"}
    with pytest.raises(InvalidCubeError, match="cube: expected values that int16 holds, found 40000 and 11 more"):
        array.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    beside = array.astype("int16").assign_coords(height=("y", [1.0, 300.0]))
    beside.encoding, beside.height.encoding = {}, {"dtype": "uint8"}
    with pytest.raises(InvalidCubeError, match="height: expected values that uint8 holds, found 300"):
        beside.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:saving variable")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "encoding, values",
    [
        (FILLED, [3.2767, -3.2768, np.nan, -0.9998]),
        ({**PACKED, "add_offset": 1000.0}, [1000.00004, 1003.2767, 996.7232]),
        ({"dtype": "uint8"}, [255.4, 0, -0.4]),
        ({"dtype": "int16", "_FillValue": -1, "_Unsigned": "true"}, [65534, 0, np.nan]),
        ({"dtype": "int32"}, [-(2.0**31), 2.0**31 - 128]),
    ],
)
def test_what_its_packed_dtype_holds_comes_back_to_half_a_step(dtype, encoding, values, tmp_path):
    array = floats(encoding, *values, dtype=dtype)
    if encoding.get("add_offset"):
        array = array.where(array > 900, 1000)
        array.encoding = encoding
    array.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    again = opened(tmp_path / "a.lhic").cube
    half = encoding.get("scale_factor", 1) / 2 + 1e-7 * np.nanmax(np.abs(array.values))
    np.testing.assert_allclose(again.values, array.values, rtol=0, atol=half)


def test_an_encoding_that_is_none_is_told_in_one_line(tmp_path):
    with pytest.raises(
        InvalidCubeError, match="dataset: expected variables that xarray can encode, found OverflowError"
    ):
        floats({**PACKED, "_FillValue": -99999}, np.nan).lhic.to_lhic(tmp_path / "a.lhic", FAST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunks", [None, {}])
def test_bytes_are_opened_as_a_file(path, chunks):
    stream = path.read_bytes()
    with pytest.raises(UsageError, match=r"expected a path, a URL or a file object such as io.BytesIO.*, found bytes"):
        opened(stream, chunks=chunks)
    dataset = opened(io.BytesIO(stream), chunks=chunks)
    assert dataset.identical(opened(path)) and pickle.loads(pickle.dumps(dataset)).identical(dataset)


def test_what_python_is_to_say_is_named_as_python_says_it(tmp_path):
    cube = xr.DataArray(scene(3, 4, 5), dims=("band", "y", "x"), name="one")
    two = xr.Dataset({"one": cube, "two": cube + 1})
    with pytest.raises(UsageError, match=r"choose with .*\(variable=\)"):
        two.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    with pytest.warns(UserWarning, match=r"two .* is left out: .*\(variable=\) two"):
        two.lhic.to_lhic(tmp_path / "a.lhic", FAST, variable="one")
    with pytest.raises(UsageError, match=r"\(axes=\): expected bands, rows and columns"):
        cube.lhic.to_lhic(tmp_path / "b.lhic", FAST, axes="none")
    with pytest.raises(UsageError, match=r"b\.nc: expected a name for a stream, such as .*b\.lhic"):
        cube.lhic.to_lhic(tmp_path / "b.nc", FAST)


def test_engines_are_guessed_by_the_suffix():
    engine = LhicBackendEntrypoint()
    assert engine.guess_can_open("s3://bucket/a.LHIC") and not engine.guess_can_open("a.nc")
    assert not engine.guess_can_open(b"bytes")


def test_coordinates_are_indexes_where_they_were(tmp_path):
    cube = xr.Dataset({"r": (("band", "y", "x"), scene(5, 6, 7))})
    with_coordinate = cube.assign_coords(wavelength=("band", np.arange(5.0) + 400))
    for number, (dataset, is_index) in enumerate(
        ((with_coordinate, False), (with_coordinate.set_xindex("wavelength"), True))
    ):
        dataset.lhic.to_lhic(tmp_path / f"{number}.lhic", FAST)
        again = opened(tmp_path / f"{number}.lhic")
        xr.testing.assert_identical(again.load(), dataset)
        assert again.identical(dataset) and ("wavelength" in again.xindexes) == is_index


@pytest.mark.parametrize("axes", [{}, {"band": [0]}, {"band": [0], "x": [2]}, {"x": [2]}])
def test_a_dataset_of_a_spectrum_or_a_sample_comes_back(axes, tmp_path):
    dataset = xr.Dataset({"r": (("band", "y", "x"), scene(5, 6, 7))}).isel(y=[0]).isel(axes)
    dataset.lhic.to_lhic(tmp_path / "a.lhic", FAST)
    xr.testing.assert_identical(opened(tmp_path / "a.lhic").load(), dataset)


def test_nodata_that_no_sample_can_have_comes_back(tmp_path):
    (tmp_path / "a.lhic").write_bytes(lhic.encode(scene(3, 6, 7), FAST, metadata={"nodata": 40000}))
    opened(tmp_path / "a.lhic").lhic.to_lhic(tmp_path / "b.lhic", FAST)
    assert without_source(tmp_path / "b.lhic") == {"nodata": 40000}


def test_a_multi_index_is_told_in_one_line(tmp_path):
    stacked = xr.Dataset({"r": (("band", "y", "x"), scene(3, 6, 7))}, {"a": ("x", range(7)), "b": ("x", range(7))})
    with pytest.raises(
        InvalidCubeError, match=r"dataset: expected indexes of one level: reset_index\('x'\) makes"
    ) as told:
        stacked.set_index(x=["a", "b"]).lhic.to_lhic(tmp_path / "a.lhic", FAST)
    assert "\n" not in str(told.value) and not list(tmp_path.iterdir())
