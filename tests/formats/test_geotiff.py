"""TIFFs of every layout, made by rasterio and tifffile."""

import numpy as np
import pytest

from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import open_cube
from tests.formats.cubes import check_windows, scene

rasterio = pytest.importorskip("rasterio")
tifffile = pytest.importorskip("tifffile")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def write(path, cube, **profile):
    n_bands, n_rows, n_columns = cube.shape
    native = cube.dtype.newbyteorder("=")
    known = {"driver": "GTiff", "count": n_bands, "height": n_rows, "width": n_columns, "dtype": str(native)}
    with rasterio.open(path, "w", **known | profile) as target:
        target.write(cube.astype(native))
    return path


@pytest.mark.parametrize("interleave", ["band", "pixel"])
@pytest.mark.parametrize("tiled", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"blockysize": 3}])
@pytest.mark.parametrize("compress", [{}, {"compress": "deflate", "predictor": 2}, {"compress": "lzw"}])
@pytest.mark.parametrize("kind", [{}, {"bigtiff": "YES"}, {"endianness": "BIG"}])
def test_every_layout(tmp_path, interleave, tiled, compress, kind):
    cube = scene().astype(">i2" if "endianness" in kind else "<i2")
    path = write(tmp_path / "cube.tif", cube, interleave=interleave, **tiled, **compress, **kind)
    with open_cube(path) as found:
        check_windows(found, cube)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type(tmp_path, dtype):
    with open_cube(write(tmp_path / "cube.tif", scene(dtype))) as found:
        check_windows(found, scene(dtype))


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("bigtiff", [False, True])
def test_pages_are_bands(tmp_path, byteorder, bigtiff):
    cube = scene("uint16").astype(f"{byteorder}u2")
    with tifffile.TiffWriter(tmp_path / "pages.tif", byteorder=byteorder, bigtiff=bigtiff) as tif:
        for band in cube:
            tif.write(band, contiguous=False, photometric="minisblack", metadata=None)
    with open_cube(tmp_path / "pages.tif") as found:
        check_windows(found, cube)
    with open_cube(tmp_path / "pages.tif", variable="3") as found:
        assert np.array_equal(found[:, :, :], cube[2:3])
    with pytest.raises(UsageError, match=r"a page of 1\.\.24, found '25'"):
        open_cube(tmp_path / "pages.tif", variable="25")


def test_pages_of_several_shapes_are_a_choice(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tif:
        for n in (20, 30):
            tif.write(np.zeros((n, 17), "uint8"), contiguous=False, photometric="minisblack", metadata=None)
    with pytest.raises(InvalidCubeError, match=r"2: 1 x 30 x 17: choose with --variable"):
        open_cube(tmp_path / "pages.tif")
    with open_cube(tmp_path / "pages.tif", variable="2") as found:
        assert found.shape == (1, 30, 17)


def test_blocks_that_are_not_there_are_nodata(tmp_path):
    profile = {"driver": "GTiff", "count": 2, "height": 64, "width": 64, "dtype": "int16", "nodata": -9, "tiled": True}
    with rasterio.open(tmp_path / "sparse.tif", "w", blockxsize=16, blockysize=16, SPARSE_OK=True, **profile) as target:
        target.write(np.full((2, 16, 16), 5, "int16"), window=((16, 32), (0, 16)))
    expected = np.full((2, 64, 64), -9, "int16")
    expected[:, 16:32, :16] = 5
    with open_cube(tmp_path / "sparse.tif") as found:
        assert np.array_equal(found[:, :, :], expected)


def test_overviews_are_no_bands(tmp_path):
    cube = np.tile(scene(), (1, 8, 8))
    path = write(tmp_path / "cube.tif", cube, tiled=True, blockxsize=16, blockysize=16)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4])
    with open_cube(path) as found:
        assert found.shape == cube.shape and np.array_equal(found[:, :, :], cube)


@pytest.mark.parametrize("dtype,name", [("complex_int16", "complex int16"), ("complex64", "complex float32")])
def test_complex_samples_are_refused(tmp_path, dtype, name):
    write(tmp_path / "cube.tif", scene("float32"), dtype=dtype)
    with pytest.raises(InvalidCubeError, match=f"a GeoTIFF of {name}: expected integers or floats"):
        open_cube(tmp_path / "cube.tif")


def test_a_damaged_file_is_one_line(tmp_path):
    path = write(tmp_path / "cube.tif", scene(), compress="deflate")
    whole = path.read_bytes()
    for length in (len(whole) // 2, 20, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidCubeError, match=r"cube\.tif: .*a GeoTIFF") as caught, open_cube(path) as found:
            found[:, :, :]
        assert "\n" not in str(caught.value)


def test_what_bands_say_is_kept(tmp_path):
    path = write(tmp_path / "cube.tif", scene(), nodata=-32768, crs="EPSG:32633", transform=(30, 0, 3e5, 0, -30, 5e6))
    with rasterio.open(path, "r+") as target:
        for band in range(24):
            tags = {"wavelength": str(0.4 + band / 100), "wavelength_units": "Micrometers", "fwhm": "0.01"}
            target.update_tags(band + 1, bbl=str(int(band != 5)), **tags)
        target.scales, target.offsets = [0.5] * 24, [float(band) for band in range(24)]
        target.descriptions = [f"λ {band}" for band in range(24)]
        target.update_tags(start_time="2022-07-24T10:45:26")
    with open_cube(path) as found:
        said = found.metadata
    assert said["wavelengths"] == [0.4 + band / 100 for band in range(24)] and said["wavelength_unit"] == "um"
    assert said["fwhm"] == [0.01] * 24 and said["bad_bands"] == [band == 5 for band in range(24)]
    assert said["scale"] == 0.5 and said["offset"] == list(range(24)) and said["nodata"] == -32768
    assert said["band_names"][3] == "λ 3" and said["crs"] == "EPSG:32633" and said["times"] == ["2022-07-24T10:45:26"]
    assert said["transform"] == [30, 0, 300000, 0, -30, 5000000]
    assert b'"GDAL_METADATA"' in found.sources["tags.json"]


def test_images_without_pages_are_not_left_out_in_silence(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", scene("uint16"), photometric="minisblack", truncate=True)
    with tifffile.TiffFile(tmp_path / "stack.tif") as tif:
        assert len(tif.pages) == 1, "as some programs write large stacks"
    with pytest.raises(InvalidCubeError, match="a page for each image, found images behind the last page"):
        open_cube(tmp_path / "stack.tif")


def test_a_tiff_of_nothing_is_one_line(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0")
    with pytest.raises(
        InvalidCubeError, match=r"a\.tif: expected a GeoTIFF that is whole and readable, found "
    ) as told:
        open_cube(tmp_path / "a.tif")
    assert "\n" not in str(told.value)
