"""ENVI: every layout and type, headers as people write them, and what is refused."""

import numpy as np
import pytest

from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import open_cube
from lhic.formats.envi import DTYPES, items, parse
from tests.formats.cubes import WAVELENGTHS, check_windows, scene

ORDERS = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def write(folder, cube, interleave="bsq", byte_order=0, more="", offset=0, name="cube.img", header="cube.hdr"):
    code = {np.dtype(kind): code for code, kind in DTYPES.items()}[cube.dtype.newbyteorder("=")]
    stored = cube.transpose(ORDERS[interleave]).astype(cube.dtype.newbyteorder("<>"[byte_order]))
    (folder / name).write_bytes(bytes(offset) + stored.tobytes())
    n_bands, n_rows, n_columns = cube.shape
    (folder / header).write_text(
        f"ENVI\nsamples = {n_columns}\nlines = {n_rows}\nbands = {n_bands}\nheader offset = {offset}\n"
        f"data type = {code}\ninterleave = {interleave}\nbyte order = {byte_order}\n{more}",
        "latin-1",
    )
    return folder / header


@pytest.mark.parametrize("interleave", ORDERS)
@pytest.mark.parametrize("byte_order", [0, 1])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_layout_and_type(tmp_path, interleave, byte_order, dtype):
    cube = scene(dtype)
    header = write(tmp_path, cube, interleave, byte_order, offset=100 * byte_order)
    for path in (header, tmp_path / "cube.img"):
        with open_cube(path) as found:
            check_windows(found, cube.astype(cube.dtype.newbyteorder("<>"[byte_order])))
            assert found.sources["header.hdr"] == header.read_bytes()


@pytest.mark.parametrize(
    "name,header",
    [("cube", "cube.hdr"), ("cube.dat", "cube.dat.hdr"), ("cube.DAT", "cube.HDR"), ("a.b.bsq", "a.b.hdr")],
)
def test_the_header_and_the_samples_find_each_other(tmp_path, name, header):
    cube = scene()
    write(tmp_path, cube, name=name, header=header)
    for path in (tmp_path / name, tmp_path / header):
        with open_cube(path) as found:
            check_windows(found, cube)


def test_what_a_header_says_is_kept(tmp_path):
    listed = ",\n ".join(f"{value:.2f}" for value in WAVELENGTHS)
    names = ", ".join(f"b{i} {{a, b}}" for i in range(24))
    header = write(
        tmp_path,
        scene(),
        more=f"; a comment = 3\nWavelength = {{{listed}}}\nwavelength  units = Micrometers\nband names = {{{names}}}\n"
        "bbl = {" + ", ".join("0" if i == 3 else "1" for i in range(24)) + "}\ndefault bands = {3, 2, 1}\n"
        "data ignore value = -32768\nreflectance scale factor = 10000\ndescription = {Temp 21 °C, µm}\n"
        "map info = {UTM, 1, 1, 380952.37, 5820372.35, 30, 30, 33, North, WGS-84, units=Meters}\n",
    )
    with open_cube(header) as found:
        said = found.metadata
    assert said["wavelengths"] == WAVELENGTHS and said["wavelength_unit"] == "um" and not found.notes
    assert said["band_names"] == [f"b{i} {{a, b}}" for i in range(24)] and said["default_bands"] == [2, 1, 0]
    assert said["bad_bands"] == [i == 3 for i in range(24)] and said["nodata"] == -32768
    assert said["scale"] == 1e-4 and said["quantity"] == "reflectance" and said["description"] == "Temp 21 °C, µm"
    assert said["crs"] == "EPSG:32633" and said["transform"] == [30.0, 0.0, 380952.37, 0.0, -30.0, 5820372.35]


def test_lists_of_another_length_are_told_and_left_to_the_header(tmp_path):
    with open_cube(write(tmp_path, scene(), more="wavelength = {1, 2}\nband names = {a, b}\n")) as found:
        assert "wavelengths" not in found.metadata and "band_names" not in found.metadata
        assert len(found.notes) == 2 and "expected 24" in found.notes[0] and "found 2" in found.notes[0]


def test_keys_that_are_left_out_are_those_of_the_standard(tmp_path):
    cube = scene("uint16")
    (tmp_path / "cube.raw").write_bytes(cube.tobytes())
    header = "ENVI\r\n; by hand\r\nsamples=17\r\nlines=20\r\nBANDS = 24\r\ndata type = 12\r\n"
    (tmp_path / "cube.hdr").write_text(header)
    with open_cube(tmp_path / "cube.hdr") as found:
        check_windows(found, cube)


@pytest.mark.parametrize(
    "change,words",
    [
        ({"file compression = 1": ""}, "file compression"),
        ({"file type = ENVI Spectral Library": ""}, "spectral library"),
        ({"data type = 6": ""}, "integers or floats, found complex64"),
        ({"data type = 7": ""}, "a data type of"),
        ({"interleave = tile": ""}, "bsq, bil or bip"),
        ({"minor frame offsets = {0, 8}": ""}, "frame offsets"),
        ({"samples = many": ""}, "whole number for samples"),
        ({"lines = 21": ""}, "expected 17136 bytes of samples, found 16320"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, change, words):
    header = write(tmp_path, scene(), more="\n".join(change))
    with pytest.raises(InvalidCubeError, match=rf"cube\.hdr: an ENVI file: .*{words}") as caught:
        open_cube(header)
    assert "\n" not in str(caught.value)


def test_a_header_of_esri_is_named(tmp_path):
    (tmp_path / "cube.hdr").write_text("BYTEORDER I\nLAYOUT BIL\nNROWS 3\nNCOLS 4\n")
    (tmp_path / "cube.bil").write_bytes(bytes(24))
    for name in ("cube.hdr", "cube.bil"):
        with pytest.raises(InvalidCubeError, match=r"an ESRI header: .*gdal_translate"):
            open_cube(tmp_path / name)


def test_samples_that_are_missing_or_of_two_names(tmp_path):
    header = write(tmp_path, scene())
    (tmp_path / "cube.dat").write_bytes((tmp_path / "cube.img").read_bytes())
    with pytest.raises(UsageError, match=r"one file of samples, found cube\.img, cube\.dat: name it"):
        open_cube(header)
    (tmp_path / "cube.dat").write_bytes(b"a picture")  # its size tells
    with open_cube(header) as found:
        check_windows(found, scene())
    for name in ("cube.img", "cube.dat"):
        (tmp_path / name).unlink()
    with pytest.raises(UsageError, match=r"cube\.hdr: an ENVI header: expected samples beside it"):
        open_cube(header)


def test_values_over_several_lines():
    found = parse("ENVI\nA  b = {\n 1,\n; no\n 2}\nc = plain = text\nd = {a {b}\n, c}\nopen = {1,")
    assert found == {"a b": "1,\n 2", "c": "plain = text", "d": "a {b}\n, c", "open": "1,"}
    assert items("a {b, c}, d,") == ["a {b, c}", "d"]


@pytest.mark.parametrize("text,value,told", [("nan", "NaN", 0), ("-inf", "-Infinity", 0), ("none", None, 1)])
def test_a_data_ignore_value_may_be_nan(tmp_path, text, value, told):
    with open_cube(write(tmp_path, scene("float64"), more=f"data ignore value = {text}\n")) as found:
        assert found.metadata.get("nodata") == value
        assert found.notes == ["data ignore value: expected a number, found none: kept in the header alone"] * told
