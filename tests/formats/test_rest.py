"""What another format has no place for survives in it, and is told where its readers would look for it elsewhere."""

import warnings

import numpy as np
import pytest

import lhic
from lhic.errors import LhicWarning, message_of
from lhic.families.raw import RawModel
from lhic.formats import open_cube, save_cube
from lhic.formats.rest import REST
from tests.formats import test_envi as envi_files
from tests.formats.cubes import WAVELENGTHS, scene

for library in ("rasterio", "tifffile", "netCDF4", "h5py", "zarr", "scipy"):
    pytest.importorskip(library)
import rasterio  # noqa: E402
import scipy.io  # noqa: E402
import tifffile  # noqa: E402
import xarray  # noqa: E402

SUFFIXES = ".tif", ".hdr", ".nc", ".h5", ".zarr", ".mat"
pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


def converted(folder, suffix, cube, metadata, plain=False, auxiliary=None):
    """Metadata of the file that a stream of these becomes, and the notes on it; samples are compared."""
    stream, out = folder / "a.lhic", folder / f"out{suffix}"
    stream.write_bytes(lhic.encode(cube, RawModel(), metadata=metadata, auxiliary=auxiliary))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LhicWarning)
        lhic.decode_file(stream, out, plain=plain, overwrite=True)
    notes = [str(one.message) for one in caught if one.category is LhicWarning]
    assert all(note.startswith(f"{out}: ") and note == message_of(note) for note in notes)
    with open_cube(out) as found:
        assert np.array_equal(found[:, :, :], cube)
        return {key: value for key, value in found.metadata.items() if key != "source"}, notes


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nodata_of_each_band_survives_and_is_told(tmp_path, suffix, plain):
    said = {"nodata": [*range(1, 23), None, -7]}
    found, notes = converted(tmp_path, suffix, scene(), said, plain)
    assert found == said
    assert len(notes) == (suffix != ".mat") and all("nodata of each band" in note and REST in note for note in notes)
    found, notes = converted(tmp_path, suffix, scene(), {"nodata": [5] * 24}, plain)
    assert found["nodata"] in (5, [5] * 24) and not notes
    if suffix == ".tif":
        with rasterio.open(tmp_path / "out.tif") as raster:
            assert raster.nodata == 5


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "dtype,nodata", [("int16", 40000), ("int16", "NaN"), ("uint8", -1), ("int16", 1.5), ("float32", 1e300)]
)
def test_nodata_that_no_sample_can_have_survives_and_is_told(tmp_path, suffix, dtype, nodata):
    found, notes = converted(tmp_path, suffix, scene(dtype), {"nodata": nodata})
    assert found == {"nodata": nodata}
    assert len(notes) == (suffix not in (".mat", ".hdr")) and all(f"nodata {nodata}" in note for note in notes)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype,nodata", [("float32", -9999.9), ("float32", "NaN"), ("float64", "-Infinity")])
def test_nodata_of_floats_comes_back_as_it_was_said(tmp_path, suffix, dtype, nodata):
    """Also where samples have it in fewer digits."""
    assert converted(tmp_path, suffix, scene(dtype), {"nodata": nodata}) == ({"nodata": nodata}, [])


def test_nodata_of_more_bits_than_rasterio_hands_on_does_not_become_another(tmp_path):
    cube = np.arange(60, dtype="int64").reshape(3, 4, 5)
    found, notes = converted(tmp_path, ".tif", cube, {"nodata": -(2**63)})
    assert found == {"nodata": -(2**63)} and len(notes) == 1
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert raster.nodata is None


def test_other_programs_mask_floats_of_a_zarr_store(tmp_path):
    cube = scene("float32")
    converted(tmp_path, ".zarr", cube, {"nodata": float(cube[0, 0, 0])})
    with xarray.open_zarr(tmp_path / "out.zarr", consolidated=False) as seen:
        assert np.array_equal(np.isnan(seen["cube"].values), cube == cube[0, 0, 0])
    with open_cube(tmp_path / "out.zarr") as found:
        assert found.metadata["nodata"] == float(cube[0, 0, 0])
    xarray.Dataset({"cube": (("band", "y", "x"), cube)}).to_zarr(tmp_path / "own.zarr")
    with open_cube(tmp_path / "own.zarr") as found:
        assert found.metadata["nodata"] == "NaN", "as xarray says it of floats"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_keys_that_nobody_knows_and_texts_of_any_kind_survive(tmp_path, suffix):
    """Braces would end a value of an ENVI header, and some characters a line."""
    said = {
        "mine": {"a {b": [1, None, "}"]},
        "description": "two {lines\n;one } \u2028 Größe",
        "unit": "W\nbands = 3",
        "wavelengths": WAVELENGTHS,
        "wavelength_unit": "cm-1",
        "band_names": ["a, {b", "}", *"c" * 22],
        "times": ["2024-05-01T10:00:00Z", "2024-05-01T10:00:09Z"],
    }
    assert converted(tmp_path, suffix, scene(), said) == (said, [])
    said = {"fwhm": [8.5] * 24, "wavelength_unit": "um"}
    found, _ = converted(tmp_path, suffix, scene(), said)
    assert found == said


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("crs", ["EPSG:999999", 'PROJCS["nobody knows"', "nonsense"])
def test_a_coordinate_system_that_nobody_knows_is_no_obstacle(tmp_path, suffix, crs, plain, capfd):
    found, notes = converted(tmp_path, suffix, scene(), {"crs": crs, "transform": [30, 0, 3e5, 0, -30, 5e6]}, plain)
    assert found["crs"] == crs and found["transform"] == [30, 0, 3e5, 0, -30, 5e6]
    takes_it = suffix == ".mat" or (suffix == ".hdr" and "EPSG" not in crs)
    assert len(notes) == (not takes_it) and all("coordinate system that GDAL knows" in note for note in notes)
    assert capfd.readouterr() == ("", ""), "no line of GDAL's"


def test_an_envi_header_keeps_a_coordinate_system_that_nobody_knows(tmp_path):
    header = envi_files.write(tmp_path, scene(), more='coordinate system string = {PROJCS["nobody knows"}\n')
    text = header.read_bytes()
    lhic.encode_file(header, tmp_path / "b.lhic", RawModel())
    lhic.decode_file(tmp_path / "b.lhic")
    assert (tmp_path / "b.hdr").read_bytes() == text
    with pytest.warns(LhicWarning, match="coordinate system"):
        lhic.decode_file(tmp_path / "b.lhic", tmp_path / "c.tif")
    with open_cube(tmp_path / "c.tif") as found:
        assert found.metadata["crs"] == 'PROJCS["nobody knows"'


def test_control_points_leave_no_place_for_a_transform(tmp_path):
    said = {"crs": "EPSG:32633", "transform": [30, 0, 300000, 0, -30, 5000000]}
    said |= {"gcps": [[0, 0, 10, 50, 0], [0, 17, 11, 50, 0], [20, 0, 10, 49, 0]], "gcps_crs": "EPSG:4326"}
    assert converted(tmp_path, ".tif", scene(), said, plain=True) == (said, [])


@pytest.mark.parametrize("suffix", [".tif", ".hdr"])
def test_arrays_that_a_format_has_no_place_for_are_told(tmp_path, suffix):
    _, notes = converted(tmp_path, suffix, scene(), {}, auxiliary={"lat": np.eye(20, 17), "lon": np.eye(20, 17)})
    assert len(notes) == 1 and "left out: lat, lon" in notes[0]


def test_a_note_is_one_line_of_the_command(stored_models, tmp_path, capsys, recwarn):
    from lhic.cli import main

    (tmp_path / "a.lhic").write_bytes(lhic.encode(scene(), "stored", metadata={"nodata": 40000}))
    assert main(["decode", str(tmp_path / "a.lhic"), "-o", str(tmp_path / "b.tif")]) == 0
    (note,) = [one for one in recwarn if one.category is LhicWarning]
    told = warnings.formatwarning(note.message, note.category, note.filename, note.lineno)
    assert told == (
        f"lhic: note: {tmp_path / 'b.tif'}: nodata 40000 is in {REST} alone: "
        "the format takes a value of its int16 samples\n"
    )


def test_logical_cubes_and_half_floats_of_matlab(tmp_path):
    save_cube(tmp_path / "a.mat", scene() > 1000)
    with open_cube(tmp_path / "a.mat") as found:
        assert found.dtype == bool and np.array_equal(found[:, :, :], scene() > 1000)
    lhic.encode_file(tmp_path / "a.mat", tmp_path / "a.lhic", RawModel())
    lhic.decode_file(tmp_path / "a.lhic", tmp_path / "b.mat", verify=tmp_path / "a.mat")
    assert scipy.io.whosmat(tmp_path / "b.mat") == [("cube", (20, 17, 24), "logical")]
    (tmp_path / "h.lhic").write_bytes(lhic.encode(scene("float16"), RawModel()))
    with pytest.warns(LhicWarning, match="written as single"):
        lhic.decode_file(tmp_path / "h.lhic", tmp_path / "h.mat")
    assert scipy.io.whosmat(tmp_path / "h.mat") == [("cube", (20, 17, 24), "single")]


@pytest.mark.parametrize("dtype,photometric", [("uint8", "miniswhite"), ("bool", "minisblack"), ("bool", "miniswhite")])
def test_a_tiff_of_black_and_white_does_not_become_one_of_a_palette(tmp_path, dtype, photometric):
    picture = scene()[0] > 1000 if dtype == "bool" else scene("uint8")[0]
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric=photometric, metadata=None)
    lhic.encode_file(tmp_path / "a.tif", tmp_path / "a.lhic", RawModel())
    lhic.decode_file(tmp_path / "a.lhic", tmp_path / "b.tif", verify=tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as one, tifffile.TiffFile(tmp_path / "b.tif") as other:
        assert other.pages[0].photometric == one.pages[0].photometric
        assert other.pages[0].bitspersample == one.pages[0].bitspersample
        assert "ColorMap" not in other.pages[0].tags and np.array_equal(other.asarray(), one.asarray())
