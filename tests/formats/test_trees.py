"""HDF5, NetCDF, MATLAB and Zarr: which array is the cube, which axis is which, and what is said of it."""

import signal
import subprocess
import sys

import numpy as np
import pytest

import lhic
from lhic.errors import InvalidCubeError, UsageError
from lhic.families.raw import RawModel
from lhic.formats import open_cube, save_cube
from tests.formats.cubes import WAVELENGTHS, check_windows, scene

h5py = pytest.importorskip("h5py")
netCDF4 = pytest.importorskip("netCDF4")
zarr = pytest.importorskip("zarr")
scipy_io = pytest.importorskip("scipy.io")
scipy_sparse = pytest.importorskip("scipy.sparse")

# --- HDF5 ---


@pytest.mark.parametrize("dtype", ["<u2", ">i2", "<i4", ">f4", "<f8", "<i8", "u1"])
@pytest.mark.parametrize("layout", [{}, {"chunks": (5, 7, 6), "compression": "gzip", "shuffle": True}])
def test_hdf5_of_every_type_and_layout(tmp_path, dtype, layout):
    with h5py.File(tmp_path / "cube.bin", "w", userblock_size=512) as file:  # whatever its suffix
        file.create_dataset("a/b/cube", data=scene(dtype), **layout)
        file["a/note"] = "text"
    with open_cube(tmp_path / "cube.bin") as found:
        check_windows(found, scene(dtype))
        assert not found.axes_stated and found.metadata["source"]["variable"] == "a/b/cube"


def prisma(path):
    """The layout of a PRISMA L1 product: rows, bands, columns, and no names of axes."""
    with h5py.File(path, "w") as file:
        fields = file.create_group("HDFEOS/SWATHS/PRS_L1_HCO/Data Fields")
        fields["VNIR_Cube"] = scene("uint16").transpose(1, 0, 2)
        fields["SWIR_Cube"] = scene("uint16")[:20].transpose(1, 0, 2) + 1
        file["HDFEOS/SWATHS/PRS_L1_HCO/Geolocation Fields/Latitude_VNIR"] = np.zeros((20, 17), "float32")
        file.attrs["List_Cw_Vnir"] = np.array(WAVELENGTHS, "float32")
        file.attrs["List_Cw_Swir"] = np.array(WAVELENGTHS[:20], "float32")


def test_two_cubes_of_a_product_are_a_choice(tmp_path):
    prisma(tmp_path / "PRS.he5")
    with pytest.raises(UsageError, match=r"an HDF5 file with two cubes, .*SWIR_Cube and VNIR_Cube: choose with --var"):
        open_cube(tmp_path / "PRS.he5")
    with open_cube(tmp_path / "PRS.he5", variable="VNIR_Cube") as found:
        check_windows(found, scene("uint16"))
        assert found.axes_stated and found.metadata["wavelengths"] == WAVELENGTHS
        assert set(found.auxiliary()) == {"HDFEOS/SWATHS/PRS_L1_HCO/Geolocation Fields/Latitude_VNIR"}
        assert any("SWIR_Cube" in note and "left out" in note for note in found.notes)
    with open_cube(tmp_path / "PRS.he5", variable="SWIR_Cube") as found:
        check_windows(found, scene("uint16")[:20] + np.uint16(1))
    with pytest.raises(UsageError, match="expected an array 'nothing', found"):
        open_cube(tmp_path / "PRS.he5", variable="nothing")


def test_a_list_of_wavelengths_tells_the_axis_of_the_bands(tmp_path):
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["cube"] = scene().transpose(1, 2, 0)
        file["wavelength"] = np.array(WAVELENGTHS)
        file["wavelength"].attrs["units"] = "nanometers"
    with open_cube(tmp_path / "cube.h5") as found:
        check_windows(found, scene())
        assert found.axes_stated and found.metadata["wavelength_unit"] == "nm" and not found.notes[1:]


def test_hdf5_without_a_cube_and_of_complex_numbers(tmp_path):
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["image"] = np.zeros((20, 17))
    with pytest.raises(InvalidCubeError, match=r"with 3 axes .*found image \(20 x 17, float64\)"):
        open_cube(tmp_path / "flat.h5")
    with h5py.File(tmp_path / "complex.h5", "w") as file:
        file["cube"] = np.zeros((3, 4, 5), "complex64")
    with pytest.raises(InvalidCubeError, match="an HDF5 file of complex64: expected integers or floats"):
        open_cube(tmp_path / "complex.h5")


# --- NetCDF ---


@pytest.mark.parametrize("model", ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET"])
@pytest.mark.parametrize(
    "names", [("band", "y", "x"), ("downtrack", "crosstrack", "bands"), ("line", "wavelength", "sample")]
)
def test_netcdf_of_every_model_and_order(tmp_path, model, names):
    order = {"band": (0, 1, 2), "downtrack": (1, 2, 0), "line": (1, 0, 2)}[names[0]]
    stored = scene().transpose(order)
    with netCDF4.Dataset(tmp_path / "cube.nc", "w", format=model) as file:
        for name, n in zip(names, stored.shape, strict=True):
            file.createDimension(name, n)
        cube = file.createVariable("reflectance", "i2", names, fill_value=-32768)
        cube[...] = stored
        cube.setncatts({"scale_factor": 0.5, "units": "1", "long_name": "surface reflectance"})
        file.createVariable("latitude", "f8", [n for n, axis in zip(names, order) if axis])[...] = 1.5
    with open_cube(tmp_path / "cube.nc") as found:
        check_windows(found, scene())
        assert found.axes_stated and found.metadata["scale"] == 0.5 and found.metadata["nodata"] == -32768
        assert found.metadata["quantity"] == "surface reflectance"
        assert set(found.auxiliary()) == {"latitude"} and found.auxiliary()["latitude"].dtype.itemsize == 8


def emit(path, dtype="f4"):
    """The layout of an EMIT L2A product."""
    with netCDF4.Dataset(path, "w") as file:
        for name, n in (("downtrack", 20), ("crosstrack", 17), ("bands", 24), ("ortho_y", 9), ("ortho_x", 8)):
            file.createDimension(name, n)
        file.createVariable("reflectance", dtype, ("downtrack", "crosstrack", "bands"), zlib=True, fill_value=-9999)
        file["reflectance"][...] = scene(dtype).transpose(1, 2, 0)
        group = file.createGroup("sensor_band_parameters")
        group.createVariable("wavelengths", "f4", ("bands",))[...] = WAVELENGTHS
        group["wavelengths"].units = "nm"
        group.createVariable("fwhm", "f4", ("bands",))[...] = 8.5
        group.createVariable("good_wavelengths", "u1", ("bands",))[...] = [band != 4 for band in range(24)]
        place = file.createGroup("location")
        place.createVariable("lat", "f8", ("downtrack", "crosstrack"))[...] = np.linspace(40, 41, 340).reshape(20, 17)
        place.createVariable("glt_x", "i4", ("ortho_y", "ortho_x"))[...] = 3
        file.spatial_ref, file.geotransform = 'GEOGCS["WGS 84"]', np.array([10.0, 0.5, 0.0, 50.0, 0.0, -0.5])
        file.time_coverage_start = "2022-08-14T10:00:00+0000"


def test_what_an_emit_product_says_is_kept(tmp_path):
    emit(tmp_path / "EMIT.nc", "i2")
    with open_cube(tmp_path / "EMIT.nc") as found:
        check_windows(found, scene())
        said, beside = found.metadata, found.auxiliary()
    assert said["wavelengths"] == WAVELENGTHS and said["wavelength_unit"] == "nm" and said["fwhm"] == [8.5] * 24
    assert said["bad_bands"] == [band == 4 for band in range(24)] and said["nodata"] == -9999
    assert said["crs"] == 'GEOGCS["WGS 84"]' and said["transform"] == [0.5, 0, 10, 0, -0.5, 50]
    assert said["times"] == ["2022-08-14T10:00:00+0000"]
    assert {"location/lat", "location/glt_x", "sensor_band_parameters/wavelengths"} <= set(beside)


def test_time_is_no_band(tmp_path):
    with netCDF4.Dataset(tmp_path / "cube.nc", "w") as file:
        for name, n in (("time", 24), ("y", 20), ("x", 17)):
            file.createDimension(name, n)
        file.createVariable("green", "i2", ("time", "y", "x"))[...] = scene()
    with pytest.raises(InvalidCubeError, match=r"time \(24\), y \(20\), x \(17\): say which is which with --axes"):
        open_cube(tmp_path / "cube.nc")
    with open_cube(tmp_path / "cube.nc", axes="bands,rows,columns") as found:
        check_windows(found, scene())


# --- MATLAB ---


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u2", "i2", "f8", "f4", "u1"])
def test_mat_5(tmp_path, dtype, compressed):
    variables = {"gt": np.zeros((20, 17), "uint8"), "cube": scene(dtype).transpose(1, 2, 0), "names": ["a", "bc"]}
    scipy_io.savemat(tmp_path / "scene.mat", variables, do_compression=compressed)
    with open_cube(tmp_path / "scene.mat") as found:
        check_windows(found, scene(dtype))
        assert not found.axes_stated and any("gt (20 x 17, uint8)" in note for note in found.notes)


def mat_73(path, cube):
    """As MATLAB writes it: its first axis varies fastest, and a block of 512 bytes is before the HDF5 file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["cube"] = cube.transpose(1, 2, 0).T
        file["cube"].attrs["MATLAB_class"] = np.bytes_(cube.dtype.name)
        file["gt"] = np.arange(17 * 20, dtype="f8").reshape(17, 20)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def test_mat_73(tmp_path):
    mat_73(tmp_path / "scene.mat", scene())
    with open_cube(tmp_path / "scene.mat") as found:
        check_windows(found, scene())
        assert found.auxiliary()["gt"][1, 0] == 20
    with open_cube(tmp_path / "scene.mat", axes="columns,rows,bands") as found:
        check_windows(found, scene().transpose(0, 2, 1))


# --- Zarr ---


@pytest.mark.parametrize("zarr_format,dtype", [(2, "<u2"), (2, ">i2"), (3, "<u2"), (3, "<f4")])
def test_zarr_arrays(tmp_path, zarr_format, dtype):
    array = zarr.create_array(
        tmp_path / "cube.zarr", shape=(24, 20, 17), dtype=dtype, chunks=(24, 16, 16), zarr_format=zarr_format
    )
    array[...] = scene(dtype)
    with open_cube(tmp_path / "cube.zarr") as found:
        check_windows(found, scene(dtype))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_groups(tmp_path, zarr_format):
    root = zarr.open_group(
        tmp_path / "scene.zarr", mode="w", zarr_format=zarr_format, attributes={"proj:code": "EPSG:32633"}
    )
    names = ["y", "x", "band"]
    named = {"dimension_names": names} if zarr_format == 3 else {"attributes": {"_ARRAY_DIMENSIONS": names}}
    root.create_array("l2a/cube", shape=(20, 17, 24), dtype="i2", chunks=(8, 8, 24), **named)[...] = scene().transpose(
        1, 2, 0
    )
    root.create_array("l2a/wavelength", shape=(24,), dtype="f8", attributes={"units": "um"})[...] = WAVELENGTHS
    with open_cube(tmp_path / "scene.zarr") as found:
        check_windows(found, scene())
        assert found.axes_stated and found.metadata["crs"] == "EPSG:32633"
        assert found.metadata["wavelengths"] == WAVELENGTHS and found.metadata["wavelength_unit"] == "um"
        assert "l2a/wavelength" in found.auxiliary()


@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr"])
def test_chunks_wider_than_a_window_are_unpacked_once_for_a_row_of_windows(tmp_path, suffix, monkeypatch):
    cube = np.tile(scene(), (1, 3, 4))
    if suffix == "h5":
        with h5py.File(tmp_path / "cube.h5", "w") as file:
            file.create_dataset("cube", data=cube, chunks=(1, *cube.shape[1:]), compression="gzip")
    elif suffix == "nc":
        with netCDF4.Dataset(tmp_path / "cube.nc", "w") as file:
            for name, n in zip(("band", "y", "x"), cube.shape, strict=True):
                file.createDimension(name, n)
            file.createVariable("cube", "i2", ("band", "y", "x"), zlib=True, chunksizes=(1, *cube.shape[1:]))[...] = (
                cube
            )
    else:
        zarr.create_array(tmp_path / "cube.zarr", shape=cube.shape, dtype="i2", chunks=(1, *cube.shape[1:]))[...] = cube
    with open_cube(tmp_path / f"cube.{suffix}") as found:
        reads = []
        read = found._read
        monkeypatch.setattr(found, "_read", lambda window: reads.append(window) or read(window))
        for row in range(0, 60, 20):
            for column in range(0, 68, 17):
                window = slice(None), slice(row, row + 20), slice(column, column + 17)
                part = found[window]
                assert np.array_equal(part, cube[window])
                part[:] = 0  # a copy: what is kept stays what it was
        assert len(reads) == 3


def test_an_array_of_flags_for_each_sample_is_no_cube(tmp_path):
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["cube"] = scene()
        file["errors"] = (scene() > 1000).astype("uint8")
    with open_cube(tmp_path / "cube.h5") as found:
        check_windows(found, scene())
        assert np.array_equal(found.auxiliary()["errors"], scene() > 1000) and "errors (24 x 20 x 17" in found.notes[0]


# --- what is alike in all of them ---


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 1, 33), (1, 7, 1), (1, 1, 1)])
@pytest.mark.parametrize("suffix", ["h5", "nc", "zarr", "mat"])
def test_a_spectrum_or_a_sample_with_three_axes_is_a_cube(tmp_path, suffix, shape):
    cube = np.arange(1, 1 + np.prod(shape), dtype="int16").reshape(shape)
    path = tmp_path / f"a.{suffix}"
    save_cube(path, cube)
    if suffix == "h5":
        with h5py.File(path, "a") as file:
            file["image"] = np.zeros((2, 3))
    with open_cube(path) as found:
        assert found.shape == shape and np.array_equal(found[:, :, :], cube)


def test_two_spectra_are_a_choice(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = np.zeros((6, 1, 1)), np.ones((6, 1, 1))
    with pytest.raises(UsageError, match="two cubes, one and two: choose with --variable"):
        open_cube(tmp_path / "a.h5")


def test_variables_of_lists_and_records_are_left_out_and_told(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for name, n in (("band", 24), ("y", 20), ("x", 17)):
            file.createDimension(name, n)
        file.createVariable("cube", "i2", ("band", "y", "x"))[...] = scene()
        lists = file.createVariable("lists", file.createVLType("i4", "list of i4"), ("band",))
        lists[0] = np.array([1, 2, 3], "i4")
        record = np.dtype([("a", "i4"), ("b", "f8")])
        file.createVariable("records", file.createCompoundType(record, "record"), ("band",))[:] = np.zeros(24, record)
        file.createVariable("names", str, ("band",))[:] = np.array(["é"] * 24, object)
    lhic.encode_file(tmp_path / "a.nc", tmp_path / "a.lhic", RawModel())
    lhic.decode_file(tmp_path / "a.lhic", tmp_path / "b.nc", verify=tmp_path / "a.nc")
    with open_cube(tmp_path / "a.nc") as found:
        told = [note for note in found.notes if "left out" in note]
    assert [note.split()[0] for note in told] == ["lists", "records"] and all("\n" not in note for note in told)
    with netCDF4.Dataset(tmp_path / "b.nc") as file:
        assert set(file.variables) == {"cube", "names"} and file["names"][3] == "é"


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("damage", [b"", b'{"shape": [', b"\xff\xfe", b"[1]", b"[" * 100_000])
def test_a_damaged_document_of_a_zarr_store_is_named(tmp_path, zarr_format, damage):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    root.create_array("cube", shape=(24, 20, 17), dtype="i2")[...] = scene()
    root.create_array("wavelength", shape=(24,), dtype="f8")[...] = WAVELENGTHS
    documents = [path for path in tmp_path.rglob("*") if path.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup")]
    assert len(documents) >= 3
    for path in documents:
        whole = path.read_bytes()
        path.write_bytes(damage)
        with pytest.raises(
            InvalidCubeError, match=rf"{path}: a document of a Zarr store: expected .*, found"
        ) as caught:
            open_cube(tmp_path / "a.zarr")
        assert "\n" not in str(caught.value)
        path.write_bytes(whole)
    with open_cube(tmp_path / "a.zarr") as found:
        check_windows(found, scene())


# --- damage and full disks ---


def rich(path, compressed):
    """A MATLAB file of everything that version 5 has."""
    cells = np.empty((2, 2), object)
    cells[0, 0], cells[0, 1], cells[1, 0], cells[1, 1] = "abc", np.zeros((0, 0)), np.eye(3), {"x": 1, "y": [1, 2]}
    beside = {
        "cells": cells,
        "s": {"name": "hello", "nest": {"z": 1 + 2j}},
        "sparse": scipy_sparse.csc_matrix(np.eye(4)),
        "many": np.array([(1, "a"), (2, "b")], dtype=[("n", "O"), ("t", "O")]),
    }
    scipy_io.savemat(path, {"cube": scene("int16").transpose(1, 2, 0)} | beside, do_compression=compressed)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_matlab_files_are_told_and_end_no_process(tmp_path, compressed):
    path = tmp_path / "whole.mat"
    rich(path, compressed)
    with open_cube(path) as found:
        check_windows(found, scene("int16"))
    script = (
        "import random, sys, lhic\n"
        "whole, damaged = open(sys.argv[1], 'rb').read(), sys.argv[1] + '.mat'\n"
        "draw, told = random.Random(0), 0\n"
        "for k in range(150):\n"
        "    data = bytearray(whole)\n"
        "    data[draw.randrange(128, min(len(data), 400) if k % 2 else len(data))] = draw.randrange(256)\n"
        "    open(damaged, 'wb').write(data)\n"
        "    try: lhic.load_cube(damaged)\n"
        "    except lhic.LhicError: told += 1\n"
        "print(told)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.returncode == 0 and int(done.stdout) > 20, done.stderr[-500:]


def test_flags_that_promise_an_imaginary_part(tmp_path):
    """Without one scipy reads on, into memory that is nobody's."""
    path = tmp_path / "cube.mat"
    scipy_io.savemat(path, {"cube": scene("int16")})
    data = bytearray(path.read_bytes())
    data[145] |= 8
    path.write_bytes(data)
    with pytest.raises(InvalidCubeError, match="a variable of 2 parts, of which 1 are there"):
        open_cube(path)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of a file's size here")
@pytest.mark.parametrize("suffix", ["nc", "tif"])
def test_a_full_place_is_told_in_one_line(tmp_path, suffix):
    pytest.importorskip("rasterio")
    np.save(tmp_path / "cube.npy", np.random.default_rng(0).integers(0, 2**16, (9, 90, 90)).astype("uint16"))
    script = (
        "import resource, signal, sys, lhic, numpy as np\n"
        "cube = np.load(sys.argv[1]); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"
        "try: lhic.save_cube(sys.argv[2], cube)\n"
        "except OSError as error: print(error)\n"
    )
    target = tmp_path / f"out.{suffix}"
    command = [sys.executable, "-c", script, tmp_path / "cube.npy", target]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "could not be written" in done.stdout and "See previous" not in done.stdout, done.stderr[-500:]
    assert "Traceback" not in done.stderr and sorted(path.name for path in tmp_path.iterdir()) == ["cube.npy"]


def test_what_is_no_array_is_told():
    with pytest.raises(InvalidCubeError, match="cube: expected a numpy array, found NoneType"):
        save_cube("cube.tif", None)
