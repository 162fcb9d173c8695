"""Files that people have, each with what is expected of it (README.md beside them)."""

import numpy as np
import pytest

from lhic.errors import LhicError
from lhic.formats import open_cube
from tests.common import shared_path

for library in ("rasterio", "h5py", "netCDF4", "scipy", "zarr"):
    pytest.importorskip(library)


def u16():
    return np.load(shared_path("formats", "u16_v3.npy"))


def i16():
    return np.fromfile(shared_path("formats", "enmap_bsq.bsq"), "<i2").reshape(24, 20, 17)


def reflectance():
    cube = i16()
    return np.where(cube == -32768, np.float32(-9999), (cube / 10000).astype("float32"))


READ = {
    "enmap_bsq.bsq": i16,
    "enmap_bsq.hdr": i16,
    "no_extension": u16,
    "no_extension.hdr": u16,
    "dat_dat_hdr.dat": u16,
    "dat_dat_hdr.dat.hdr": u16,
    "latin1.dat": i16,
    "latin1.hdr": i16,
    "float_reflectance.img": lambda: (i16() / 10000).astype("float32"),
    "contig.tif": u16,
    "separate.tif": u16,
    "gcps_desc.tif": i16,
    "emit.nc": reflectance,
    "indian.mat": u16,
    "cube.zarr": u16,
    "u16_v3.npy": u16,
    "u16_trailing.npy": u16,
    "f32_integers.npy": lambda: i16().astype("float32"),
    "i64.npy": None,
    "i64_wide.npy": None,
    "f32_nan.npy": None,
    "f32_emit_fill.npy": reflectance,
}
"""Name -> the samples that a reader gives; None: those of numpy."""
SHAPES = {
    "corn-kernel-hyperspectral.raw": ((580, 31, 43), "uint16"),
    "image.hdr": ((450, 38, 23), "uint16"),
    "enmap_potsdam_tile_128_0.tif": ((224, 32, 32), "float32"),
    "ENMAP01-____L2A-DT0000001053_20220611T072305Z_002_V010400_20231221T134421Z-SPECTRAL_IMAGE_COG.tiff": (
        (224, 32, 32),
        "int16",
    ),
    "RGBA.uint16.tif": ((4, 411, 634), "uint16"),
    "float_nan.tif": ((1, 2, 3), "float32"),
    "test_rpcs.tif": ((1, 274, 232), "uint16"),
    "demo.mat": ((53, 13, 19), "float64"),
    "image_u8be-2x128x128.raw": ((2, 128, 128), "uint8"),
}
REFUSED = {
    "compressed_flag.img": "file compression = 1",
    "compressed_flag.hdr": "file compression = 1",
    "short_file.raw": "expected 16320 bytes of samples, found 8160",
    "real/arcgis.hdr": "an ESRI header",
    "real/library_berlin.sli": "a spectral library",
    "real/library_berlin.hdr": "a spectral library",
    "real/MODIS_ARRAY.nc": "with 3 axes",
    "real/PLANET_SCOPE_3D.nc": "two cubes, blue and green: choose with --variable",
}


@pytest.mark.parametrize("name", READ)
def test_samples(name):
    path, expected = shared_path("formats", name), READ[name]
    with open_cube(path) as found:
        samples = found[:, :, :]
    cube = np.load(path) if expected is None else expected()
    assert samples.dtype == cube.dtype and np.array_equal(samples, cube, equal_nan=cube.dtype.kind == "f")


@pytest.mark.parametrize("name,axes", [("u16_bip.npy", "bip"), ("u16_bil_prisma.npy", "bil")])
def test_samples_in_another_order(name, axes):
    with open_cube(shared_path("formats", name), axes=axes) as found:
        assert np.array_equal(found[:, :, :], u16())


@pytest.mark.parametrize("name", SHAPES)
def test_real_files(name):
    shape, dtype = SHAPES[name]
    with open_cube(shared_path("formats", "real", name)) as found:
        assert found.shape == shape and found.dtype == dtype
        assert found[:, 0:1, 1:2].shape == (shape[0], 1, 1)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_what_was_found(name):
    path = shared_path("formats", *name.split("/"))
    with pytest.raises(LhicError) as caught:
        open_cube(path)
    message = str(caught.value)
    assert REFUSED[name] in message and str(path) in message and "\n" not in message


def test_what_real_files_say():
    with open_cube(shared_path("formats", "real", "enmap_potsdam_tile_128_0.tif")) as found:
        said = found.metadata
        assert said["wavelengths"][0] == 418.24 and said["fwhm"][0] == 6.99561 and said["wavelength_unit"] == "nm"
        assert said["nodata"] == -32768 and said["scale"] == 1e-4 and said["crs"] == "EPSG:32633"
    with open_cube(shared_path("formats", "real", "test_rpcs.tif")) as found:
        assert found.metadata["rpcs"]["line_off"] == 2295 and len(found.metadata["rpcs"]["samp_den_coeff"]) == 20
    with open_cube(shared_path("formats", "gcps_desc.tif")) as found:
        assert len(found.metadata["gcps"]) == 3 and found.metadata["band_names"][0] == "B0 (λ=420 nm)"
    with open_cube(shared_path("formats", "real", "image.hdr")) as found:
        assert len(found.metadata["fwhm"]) == 450 and found.metadata["default_bands"] == [286, 261, 243]
