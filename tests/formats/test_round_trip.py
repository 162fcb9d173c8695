"""File to stream to file: other programs read the same of the file that comes back as of the one that came."""

import shutil

import numpy as np
import pytest

import lhic
from lhic.data.hyspecnet import bundled_root, find_patches
from lhic.difference import difference
from lhic.errors import LhicError, UsageError
from lhic.families.raw import RawModel
from lhic.formats import open_cube
from lhic.formats.tree import TreeSink
from tests.common import shared_path
from tests.formats import test_enmap as enmap_files
from tests.formats import test_envi as envi_files
from tests.formats import test_geotiff as tiff_files
from tests.formats import test_trees as tree_files
from tests.formats.cubes import WAVELENGTHS, scene

rasterio = pytest.importorskip("rasterio")
spectral_envi = pytest.importorskip("spectral.io.envi")
xarray = pytest.importorskip("xarray")
h5py = pytest.importorskip("h5py")
netCDF4 = pytest.importorskip("netCDF4")
zarr = pytest.importorskip("zarr")
scipy_io = pytest.importorskip("scipy.io")
pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform", "ignore::lhic.errors.LhicWarning")


def there_and_back(path, folder, out=None, **options):
    """The file that a stream of another file gives."""
    folder = folder / "back"
    folder.mkdir(exist_ok=True)
    stem = path.name.removesuffix(".hdr").partition(".")[0].replace("-METADATA", "")
    stream = folder / f"{stem}.lhic"
    lhic.encode_file(path, stream, RawModel(), overwrite=True, **options)
    before = set(folder.iterdir())
    lhic.decode_file(stream, None if out is None else folder / out)
    made = set(folder.iterdir()) - before
    assert made and not [name for name in made if "partial" in name.name]
    return folder if out is None and len(made) > 1 else next(name for name in made if out in (None, name.name))


# --- ENVI, as spectral reads it ---


def same_for_spectral(header, again, data, data_again):
    first, second = spectral_envi.open(header, data), spectral_envi.open(again, data_again)
    assert first.metadata == second.metadata and first.shape == second.shape and first.dtype == second.dtype
    assert first.bands.centers == second.bands.centers and first.bands.bandwidths == second.bands.bandwidths
    assert np.array_equal(np.asarray(first.open_memmap()), np.asarray(second.open_memmap()))


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("byte_order", [0, 1])
def test_envi(tmp_path, interleave, byte_order):
    listed = ", ".join(map(str, WAVELENGTHS))
    more = f"wavelength = {{{listed}}}\nwavelength units = nm\nfwhm = {{{listed}}}\n"
    more += f"bbl = {{{', '.join('1' * 24)}}}\nx = y\n"
    header = envi_files.write(tmp_path, scene(), interleave, byte_order, more, offset=64 * byte_order)
    folder = there_and_back(header, tmp_path)
    same_for_spectral(header, folder / "cube.hdr", tmp_path / "cube.img", folder / "cube.img")
    for name in ("cube.hdr", "cube.img"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    "name", ["enmap_bsq.hdr", "no_extension.hdr", "dat_dat_hdr.dat.hdr", "latin1.hdr", "real/image.hdr"]
)
def test_envi_files_of_people_come_back_byte_by_byte(tmp_path, name):
    header = shared_path("formats", *name.split("/"))
    folder = there_and_back(header, tmp_path)
    names = {made.name for made in folder.iterdir() if made.suffix != ".lhic"}
    assert header.name in names and len(names) == 2
    for made in names:
        assert (folder / made).read_bytes() == (header.parent / made).read_bytes()


# --- GeoTIFF, as rasterio reads it ---


def seen_by_rasterio(path):
    with rasterio.open(path) as raster:
        spaces = [ns for ns in raster.tag_namespaces() if ns not in ("DERIVED_SUBDATASETS",)]
        points, crs = raster.gcps
        return {
            "profile": {**raster.profile, "nodata": repr(raster.nodata)},
            "tags": {ns: raster.tags(ns=ns) for ns in ("", *spaces)},
            "band tags": [
                {ns: raster.tags(i, ns=ns) for ns in ("", *raster.tag_namespaces(i))} for i in raster.indexes
            ],
            "bands": (raster.descriptions, raster.scales, raster.offsets, raster.units, raster.colorinterp),
            "place": (raster.crs, raster.transform, [point.asdict() | {"id": ""} for point in points], crs),
            "rpcs": raster.rpcs.to_dict() if raster.rpcs else None,
            "samples": raster.read().tobytes(),
            "mask": raster.dataset_mask().tobytes(),
        }


def check_rasterio(path, again):
    first, second = seen_by_rasterio(path), seen_by_rasterio(again)
    for key, value in first.items():
        assert second[key] == value, key


@pytest.mark.parametrize("interleave", ["band", "pixel"])
@pytest.mark.parametrize(
    "layout", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "predictor": 2}]
)
@pytest.mark.parametrize("kind", [{}, {"bigtiff": "YES"}, {"endianness": "BIG"}])
def test_geotiff(tmp_path, interleave, layout, kind):
    profile = {"nodata": -32768, "crs": "EPSG:32633", "transform": rasterio.Affine(30, 0, 3e5, 0, -30, 5e6)}
    path = tiff_files.write(tmp_path / "cube.tif", scene(), interleave=interleave, **layout, **kind, **profile)
    with rasterio.open(path, "r+") as target:
        target.update_tags(TIFFTAG_IMAGEDESCRIPTION="Größe", TIFFTAG_DATETIME="2022:07:24 10:45:26", mine="a <b> & c")
        target.update_tags(ns="MINE", key="value")
        for band in target.indexes:
            target.update_tags(band, wavelength=str(WAVELENGTHS[band - 1]), wavelength_units="Nanometers")
            target.set_band_unit(band, "W")
        target.descriptions = [f"λ {band}, {{x}}" for band in target.indexes]
        target.scales, target.offsets = [0.25] * 24, list(range(24))
    again = there_and_back(path, tmp_path)
    check_rasterio(path, again)
    assert again.read_bytes()[:4] == path.read_bytes()[:4], "byte order, and BigTIFF or not"


def test_geotiff_with_a_mask_of_its_own(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = tiff_files.write(tmp_path / "cube.tif", scene("uint8"))
        with rasterio.open(path, "r+") as target:
            target.write_mask(np.where(np.eye(20, 17), 0, 255).astype("uint8"))
    check_rasterio(path, there_and_back(path, tmp_path))


@pytest.mark.parametrize(
    "name", ["contig.tif", "separate.tif", "gcps_desc.tif", "real/RGBA.uint16.tif", "real/test_rpcs.tif"]
)
def test_geotiffs_of_people(tmp_path, name):
    path = shared_path("formats", *name.split("/"))
    check_rasterio(path, there_and_back(path, tmp_path))


def test_a_patch(tmp_path):
    (patch,) = find_patches(bundled_root())
    folder = there_and_back(patch.tif, tmp_path)
    check_rasterio(patch.tif, folder)


def test_an_enmap_product(tmp_path):
    xml = enmap_files.product(tmp_path)
    folder = there_and_back(xml, tmp_path)
    names = [f"{enmap_files.PRODUCT}-{part}.TIF" for part in ("SPECTRAL_IMAGE", "QL_QUALITY_CLOUD")]
    assert (folder / xml.name).read_bytes() == xml.read_bytes()
    check_rasterio(tmp_path / names[0], folder / names[0])
    with rasterio.open(tmp_path / names[1]) as first, rasterio.open(folder / names[1]) as second:
        assert np.array_equal(first.read(), second.read())


# --- NetCDF, as xarray reads it ---


def check_xarray(path, again, groups=("/",)):
    for group in groups:
        for options in ({}, {"mask_and_scale": False, "decode_times": False}):
            with xarray.open_dataset(path, group=group, engine="netcdf4", **options) as first:
                with xarray.open_dataset(again, group=group, engine="netcdf4", **options) as second:
                    xarray.testing.assert_identical(first.load(), second.load())
                    for name in first.variables:
                        for key in ("dtype", "zlib", "shuffle", "complevel", "chunksizes", "_FillValue"):
                            one, two = (ds[name].encoding.get(key) for ds in (first, second))
                            assert one == two or one != one, (name, key)


@pytest.mark.parametrize("model", ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET"])
def test_netcdf(tmp_path, model):
    with netCDF4.Dataset(tmp_path / "cube.nc", "w", format=model) as file:
        for name, n in (("time", None), ("y", 20), ("x", 17), ("band", 24)):
            file.createDimension(name, n)
        cube = file.createVariable("radiance", "i2", ("y", "x", "band"), fill_value=-32768, zlib=model == "NETCDF4")
        cube[...] = scene().transpose(1, 2, 0)
        cube.setncatts({"scale_factor": np.float32(0.5), "units": "W", "valid_range": np.array([-5, 900], "i2")})
        file.createVariable("y", "f8", ("y",))[...] = np.arange(20) * -30.0
        file.createVariable("band", "f4", ("band",))[...] = WAVELENGTHS
        file.createVariable("time", "f8", ("time",))[0:2] = [1.5, 2.5]
        file["time"].units = "days since 2022-07-24"
        file.createVariable("name", "S1", ("band",))[...] = np.array(list("abcdefghijklmnopqrstuvwx"), "S1")
        file.setncatts({"title": "Größe", "version": np.int16(3), "history": "a\nb"})
    check_xarray(tmp_path / "cube.nc", there_and_back(tmp_path / "cube.nc", tmp_path))


def test_emit(tmp_path):
    tree_files.emit(tmp_path / "EMIT.nc", "i2")
    again = there_and_back(tmp_path / "EMIT.nc", tmp_path)
    check_xarray(tmp_path / "EMIT.nc", again, ("/", "sensor_band_parameters", "location"))


# --- HDF5, as h5py reads it ---


def seen_by_h5py(path):
    found = {}

    def look(name, item):
        said = {key: np.asarray(value).tolist() for key, value in item.attrs.items() if key not in REFERENCES}
        if isinstance(item, h5py.Dataset):
            names = [[scale.name for scale in axis.values()] + [axis.label] for axis in item.dims]
            values = np.asarray(item[()])
            said |= {"": (item.shape, item.dtype.str, item.chunks, item.compression, item.shuffle, item.maxshape)}
            said |= {"values": values.tolist(), "axes": names, "fill": np.asarray(item.fillvalue).tolist()}
        found[name] = said

    with h5py.File(path) as file:
        look("/", file)
        file.visititems(look)
        found["userblock"] = file.userblock_size
    return found


REFERENCES = "DIMENSION_LIST", "REFERENCE_LIST"


@pytest.mark.parametrize("layout", [{}, {"chunks": (8, 8, 24), "compression": "gzip", "shuffle": True}])
def test_hdf5(tmp_path, layout):
    with h5py.File(tmp_path / "cube.h5", "w", userblock_size=512) as file:
        cube = file.create_dataset(
            "a/cube", data=scene().transpose(1, 2, 0), chunks=(8, 8, 24), compression="gzip", shuffle=True
        )
        cube.attrs["list"], cube.attrs["text"], cube.attrs["fixed"] = np.array([1.5, np.nan]), "Größe", np.bytes_(b"x")
        file["a/wavelength"] = np.array(WAVELENGTHS, ">f4")
        file["a/wavelength"].make_scale("wavelength")
        cube.dims[2].attach_scale(file["a/wavelength"])
        cube.dims[0].label = "y"
        cube.dims[1].label = "x"
        file["a/names"] = ["one", "zwei", "três"]
        file["a/fixed"] = np.array([b"ab", b"c"])
        file["a/flags"] = np.eye(20, 17, dtype=bool)
        file["nothing"] = np.zeros((0, 3), "i8")
        file["one"] = 5.5
        file.create_group("empty").attrs["strings"] = ["a", "b"]
        file.create_dataset("grows", data=np.arange(6, dtype="u8"), maxshape=(None,), chunks=(4,), fillvalue=7)
    again = there_and_back(tmp_path / "cube.h5", tmp_path)
    first, second = seen_by_h5py(tmp_path / "cube.h5"), seen_by_h5py(again)
    assert repr(second) == repr(first)  # as text, because NaN differs from itself


def test_prisma(tmp_path):
    tree_files.prisma(tmp_path / "PRS.he5")
    again = there_and_back(tmp_path / "PRS.he5", tmp_path, variable="VNIR_Cube")
    first, second = seen_by_h5py(tmp_path / "PRS.he5"), seen_by_h5py(again)
    left_out = set(first) - set(second)
    assert again.suffix == ".he5" and {name.rpartition("/")[2] for name in left_out} == {"SWIR_Cube"}
    assert {name: said for name, said in first.items() if name not in left_out} == second


# --- MATLAB, as scipy reads it ---


@pytest.mark.parametrize("compressed", [False, True])
def test_mat_5(tmp_path, compressed):
    cells = np.empty((1, 2), object)
    cells[0] = [np.arange(3), "text"]
    variables = {"before": 1.5, "cube": scene().transpose(1, 2, 0), "cells": cells, "part": {"x": [1, 2]}}
    scipy_io.savemat(tmp_path / "scene.mat", variables, do_compression=compressed)
    again = there_and_back(tmp_path / "scene.mat", tmp_path)
    assert scipy_io.whosmat(again) == scipy_io.whosmat(tmp_path / "scene.mat")
    first, second = scipy_io.loadmat(tmp_path / "scene.mat"), scipy_io.loadmat(again)
    assert list(first) == list(second) and repr(first) == repr(second) and np.array_equal(first["cube"], second["cube"])
    if not compressed:
        assert again.read_bytes() == (tmp_path / "scene.mat").read_bytes()


def test_mat_73(tmp_path):
    tree_files.mat_73(tmp_path / "scene.mat", scene())
    again = there_and_back(tmp_path / "scene.mat", tmp_path)
    assert seen_by_h5py(again) == seen_by_h5py(tmp_path / "scene.mat")
    assert again.read_bytes()[:512] == (tmp_path / "scene.mat").read_bytes()[:512]


# --- Zarr, as zarr and xarray read it ---


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr(tmp_path, zarr_format):
    ds = xarray.Dataset(
        {
            "cube": (("y", "x", "band"), scene().transpose(1, 2, 0), {"units": "W"}),
            "mask": (("y", "x"), np.eye(20, 17)),
        },
        {"band": ("band", WAVELENGTHS, {"units": "nm"}), "y": np.arange(20) * 30.0},
        {"title": "Größe", "proj:code": "EPSG:32633"},
    )
    ds.to_zarr(tmp_path / "scene.zarr", zarr_format=zarr_format, encoding={"cube": {"chunks": (8, 8, 24)}})
    again = there_and_back(tmp_path / "scene.zarr", tmp_path)
    with xarray.open_zarr(tmp_path / "scene.zarr") as first, xarray.open_zarr(again) as second:
        xarray.testing.assert_identical(first.load(), second.load())
        assert first["cube"].encoding == second["cube"].encoding
    for document in tmp_path.glob("scene.zarr/**/*z*"):
        if document.is_file() and document.name.startswith((".z", "zarr.json")):
            assert (again / document.relative_to(tmp_path / "scene.zarr")).read_bytes() == document.read_bytes()


# --- files without a header ---


def test_npy_and_headerless_files_come_back_byte_by_byte(tmp_path):
    np.save(tmp_path / "cube.npy", scene().transpose(1, 2, 0).astype(">i2"))
    path = tmp_path / "scene-s16be-24x20x17.raw"
    path.write_bytes(scene().astype(">i2").tobytes())
    for name, options in (("cube.npy", {"axes": "bip"}), (path.name, {})):
        again = there_and_back(tmp_path / name, tmp_path, **options)
        assert again.name == name and again.read_bytes() == (tmp_path / name).read_bytes()


# --- from one format to another ---

SAID = {
    "wavelengths": WAVELENGTHS,
    "fwhm": [8.5] * 24,
    "wavelength_unit": "nm",
    "bad_bands": [band == 4 for band in range(24)],
    "band_names": [f"b{band}" for band in range(24)],
    "default_bands": [20, 10, 2],
    "nodata": -32768,
    "scale": 0.0001,
    "offset": -1,
    "unit": "1",
    "crs": "EPSG:32633",
    "transform": [30, 0, 300000, 0, -30, 5000000],
    "times": ["2022-07-24T10:45:26"],
    "description": "Größe",
}


@pytest.mark.parametrize("suffix", [".tif", ".hdr", ".nc", ".h5", ".zarr"])
def test_another_format_says_the_same(tmp_path, suffix):
    np.save(tmp_path / "cube.npy", scene())
    lat = np.linspace(50, 51, 340).reshape(20, 17)
    again = there_and_back(tmp_path / "cube.npy", tmp_path, f"out{suffix}", metadata=SAID, auxiliary={"lat": lat})
    with open_cube(again) as found:
        assert np.array_equal(found[:, :, :], scene()) and found.dtype == "int16"
        said = {key: value for key, value in found.metadata.items() if key in SAID}
        assert said == SAID
        if suffix in (".nc", ".h5", ".zarr"):
            assert np.array_equal(found.auxiliary()["lat"], lat)


def test_other_programs_read_a_converted_scene(tmp_path):
    np.save(tmp_path / "cube.npy", scene())
    made = {
        suffix: there_and_back(tmp_path / "cube.npy", tmp_path, f"out{suffix}", metadata=SAID)
        for suffix in (".nc", ".zarr", ".tif", ".hdr")
    }
    expected = np.where(scene() == -32768, np.nan, scene() * 0.0001 - 1)
    with xarray.open_dataset(made[".nc"]) as ds:
        np.testing.assert_allclose(ds["cube"], expected, rtol=1e-6)
        assert ds["wavelength"].values.tolist() == WAVELENGTHS and ds["x"].values[0] == 300015
    with xarray.open_zarr(made[".zarr"], consolidated=False) as ds:
        assert ds["cube"].dims == ("band", "y", "x") and ds.attrs["proj:code"] == "EPSG:32633"
        np.testing.assert_allclose(ds["cube"], expected, rtol=1e-6)
    with rasterio.open(made[".tif"]) as raster:
        assert raster.crs.to_epsg() == 32633 and raster.tags(3)["wavelength"] == "437.0" and raster.nodata == -32768
    cube = spectral_envi.open(made[".hdr"])
    assert cube.bands.centers == WAVELENGTHS and cube.metadata["map info"][0] == "UTM"


def test_what_a_format_cannot_hold_is_told(tmp_path):
    np.save(tmp_path / "cube.npy", scene("int8"))
    lhic.encode_file(tmp_path / "cube.npy", tmp_path / "cube.lhic", RawModel())
    with pytest.raises(UsageError, match=r"an ENVI file: expected .*, found int8: choose another format"):
        lhic.decode_file(tmp_path / "cube.lhic", tmp_path / "cube.hdr")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cube.lhic", "cube.npy"]


def test_nothing_is_replaced_unasked_and_no_half_is_left(tmp_path):
    header = envi_files.write(tmp_path, scene())
    lhic.encode_file(header, tmp_path / "new.lhic", RawModel())
    (tmp_path / "new.img").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"new\.img: expected nothing there"):
        lhic.decode_file(tmp_path / "new.lhic")
    assert (tmp_path / "new.img").read_bytes() == b"mine" and not (tmp_path / "new.hdr").exists()
    lhic.decode_file(tmp_path / "new.lhic", overwrite=True)
    assert (tmp_path / "new.img").read_bytes() == scene().tobytes()
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="found a folder"):
        lhic.decode_file(tmp_path / "new.lhic", tmp_path / "folder.zarr", overwrite=True)
    assert (tmp_path / "folder.zarr" / "mine").exists() and not list(tmp_path.glob("*.partial"))
    lhic.decode_file(tmp_path / "new.lhic", tmp_path / "new.zarr")
    lhic.decode_file(tmp_path / "new.lhic", tmp_path / "new.zarr", overwrite=True)
    shutil.rmtree(tmp_path / "new.zarr")


def test_an_original_is_opened_as_the_source_was(tmp_path):
    """Which axis is which, and which array is the cube, the stream knows."""
    np.save(tmp_path / "cube.npy", scene().transpose(1, 2, 0))
    tree_files.prisma(tmp_path / "PRS.he5")
    for name, options in (("cube.npy", {"axes": "bip"}), ("PRS.he5", {"variable": "VNIR_Cube"})):
        lhic.encode_file(tmp_path / name, tmp_path / "a.lhic", RawModel(), overwrite=True, **options)
        assert lhic.verify(tmp_path / "a.lhic", tmp_path / name) == 0
        assert lhic.decode_file(tmp_path / "a.lhic", tmp_path / "b.tif", verify=tmp_path / name, overwrite=True) == 0
        assert lhic.verify(tmp_path / "a.lhic", tmp_path / "b.tif") == 0
        assert difference(str(tmp_path / name), str(tmp_path / "a.lhic")) == []


@pytest.mark.parametrize("chunks", [(1, 20, 17), (24, 4, 4), None])
def test_windows_in_any_order_are_written_once_each(tmp_path, chunks):
    written = []

    class Array:
        def __setitem__(self, index, samples):
            written.append((index, samples.copy()))

    sink = TreeSink(Array(), (1, 2, 0), (24, 20, 17), [chunks[i] for i in (1, 2, 0)] if chunks else None)
    tiles = [(slice(r, r + 10), slice(c, min(c + 6, 17))) for r in (0, 10) for c in (0, 6, 12)]
    for number in (0, 2, 1, 3, 5):  # the last row is not complete
        rows, columns = tiles[number]
        sink[:, rows, columns] = scene()[:, rows, columns]
    sink.flush()
    found = np.zeros((20, 17, 24), "int16")
    for index, samples in written:
        assert not found[index].any()
        found[index] = samples
    expected = scene().transpose(1, 2, 0).copy()
    expected[10:, 6:12] = 0
    assert np.array_equal(found, expected) and len(written) == (3 if chunks == (1, 20, 17) else 5)


HOSTILE = [
    {"format": "envi", "data_suffix": "/../../evil"},
    {"format": "envi", "header_suffix": "/../evil.hdr"},
    {"format": "raw", "suffix": "/../evil"},
    {"format": "zarr", "variable": "../../evil"},
    {"format": "geotiff", "block": "x", "tiled": True},
    {"format": "hdf5", "variable": 3},
    {"format": "netcdf"},
    {"format": "mat", "order": "x"},
    {"format": "npy", "axes": "x"},
    {"format": "geotiff", "product": "enmap", "image": "../../x"},
]


@pytest.mark.parametrize("source", HOSTILE, ids=str)
def test_what_a_stream_says_of_its_source_is_not_trusted(tmp_path, source):
    """It writes where it was told to, or is refused in one line."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    documents = {
        "@tree.json": b"{",
        "@gdal.json": b"[1",
        "@../../zarr.json": b"{}",
        "@zarr.json": b"{",
        "@elements.mat": b"",
    }
    beside = {name: np.frombuffer(text, np.uint8) for name, text in documents.items()} | {
        "QL_/../../x": np.ones((1, 20, 17))
    }
    stream = lhic.encode(scene(), RawModel(), metadata={"source": source}, auxiliary=beside)
    (folder / "cube.lhic").write_bytes(stream)
    for name in (None, "out.tif", "out.hdr", "out.zarr", "out.h5", "out.nc", "out.mat", "out.npy"):
        try:
            lhic.decode_file(folder / "cube.lhic", None if name is None else folder / name, overwrite=True)
        except LhicError as error:
            assert "\n" not in str(error)
    outside = [path for path in tmp_path.rglob("*") if not path.is_relative_to(folder) and path != folder.parent]
    assert outside == [] and not list(tmp_path.rglob("*.partial"))
    lhic.decode_file(folder / "cube.lhic", folder / "plain.h5", plain=True)


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr", "mat"])
def test_arrays_of_every_type_go_along(tmp_path, suffix):
    np.save(tmp_path / "cube.npy", scene())
    kinds = ["bool", "i1", "u2", ">i4", "u8", "f4", "f8"]
    beside = {f"of {kind}".replace(">", "big "): np.eye(20, 17).astype(kind) for kind in kinds}
    again = there_and_back(tmp_path / "cube.npy", tmp_path, f"out.{suffix}", auxiliary=beside)
    with open_cube(again, variable="cube") as found:
        arrays = found.auxiliary()
    if suffix != "mat":  # whose arrays are not read back
        assert [np.array_equal(arrays[name.replace(" ", "_")], beside[name]) for name in beside] == [True] * len(kinds)


@pytest.mark.parametrize("suffix", [".nc", ".zarr", ".h5"])
def test_scales_that_differ_by_band_are_not_half_applied(tmp_path, suffix):
    """CF has one scale and one offset: either both are there, or samples are read as they are stored."""
    cube = scene()[:3]
    said = {"scale": 1e-4, "offset": [0.1, 0.2, 0.3], "unit": "1", "crs": "EPSG:32633"}
    lhic.encode_file(_saved(tmp_path, cube), tmp_path / "a.lhic", RawModel(), metadata=said)
    out = tmp_path / f"out{suffix}"
    lhic.decode_file(tmp_path / "a.lhic", out, plain=True)
    with open_cube(out) as again:
        assert {key: again.metadata.get(key) for key in said} == said
        assert np.array_equal(again[:, :, :], cube)
    if suffix == ".nc":
        with xarray.open_dataset(out, engine="netcdf4") as seen:
            assert np.array_equal(seen["cube"].values, cube) and "units" not in seen["cube"].attrs
        with rasterio.open(f"netcdf:{out}:cube") as seen:
            assert seen.crs.to_epsg() == 32633


def _saved(folder, cube):
    np.save(folder / "a.npy", cube)
    return folder / "a.npy"


@pytest.mark.parametrize("name", ["out.png", "out.tif.new", "out"])
def test_a_suffix_that_names_no_format_is_refused(tmp_path, name):
    """What it would be, a .npy file, holds no metadata."""
    tiff_files.write(tmp_path / "a.tif", scene())
    lhic.encode_file(tmp_path / "a.tif", tmp_path / "a.lhic", RawModel())
    with pytest.raises(UsageError, match="expected a suffix that names a format"):
        lhic.decode_file(tmp_path / "a.lhic", tmp_path / name)
    assert not (tmp_path / name).exists()


def test_units_by_band_and_a_palette_come_back(tmp_path):
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", dtype="int16", count=3, height=20, width=17) as file:
        file.write(scene()[:3])
        file.units = ["W", "", "m"]
    check_rasterio(tmp_path / "a.tif", there_and_back(tmp_path / "a.tif", tmp_path))
    colours = {value: (value, 255 - value, 7, 255) for value in range(256)}
    with rasterio.open(tmp_path / "b.tif", "w", driver="GTiff", dtype="uint8", count=1, height=4, width=5) as file:
        file.write(np.arange(20, dtype="uint8").reshape(1, 4, 5))
        file.write_colormap(1, colours)
    again = there_and_back(tmp_path / "b.tif", tmp_path)
    with rasterio.open(again) as file:
        assert file.colormap(1) == colours and file.units == (None,)


def test_a_fourth_axis_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", scene()[None])
    with pytest.raises(LhicError, match=r"expected 3 axes \(bands, rows, columns\), found 4 in shape"):
        open_cube(tmp_path / "a.npy")
