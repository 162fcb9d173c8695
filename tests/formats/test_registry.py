"""Files are recognised by their contents first; what is not known is named."""

import io
import os
import threading

import numpy as np
import pytest

import lhic
from lhic.errors import BackendError, InvalidCubeError, UsageError
from lhic.formats import open_cube, raw, save_cube
from lhic.formats.axes import suspicion
from lhic.formats.registry import OTHERS
from tests.common import shared_path
from tests.formats.cubes import check_windows, scene


def test_a_wrong_suffix_does_not_matter(tmp_path):
    np.save(tmp_path / "cube.npy", scene())
    (tmp_path / "cube.npy").rename(tmp_path / "cube.tif")
    with open_cube(tmp_path / "cube.tif") as found:
        check_windows(found, scene())


@pytest.mark.parametrize("magic", OTHERS)
def test_what_is_of_another_kind_is_named(tmp_path, magic):
    (tmp_path / "cube.tif").write_bytes(magic + bytes(100))
    with pytest.raises(InvalidCubeError, match=r"cube\.tif: expected a file of a known format") as caught:
        open_cube(tmp_path / "cube.tif")
    assert OTHERS[magic] in str(caught.value)


def test_folders_and_empty_files(tmp_path):
    (tmp_path / "empty.tif").write_bytes(b"")
    with pytest.raises(InvalidCubeError, match=r"an empty file|damaged header"):
        open_cube(tmp_path / "empty.tif")
    with pytest.raises(UsageError, match="a folder that is no Zarr store"):
        open_cube(tmp_path)


@pytest.mark.parametrize("axes", ["bip", "rows,columns,bands", "y,x,wavelength"])
def test_axes_may_be_said(tmp_path, axes):
    np.save(tmp_path / "cube.npy", scene().transpose(1, 2, 0))
    with open_cube(tmp_path / "cube.npy", axes=axes) as found:
        check_windows(found, scene())
    np.save(tmp_path / "cube.npy", np.asfortranarray(scene().transpose(1, 2, 0)))
    with open_cube(tmp_path / "cube.npy", axes=axes) as found:
        check_windows(found, scene())


def test_axes_of_length_one_may_be_there(tmp_path):
    np.save(tmp_path / "cube.npy", scene()[None])
    with open_cube(tmp_path / "cube.npy", axes="bsq") as found:
        assert found.shape == (24, 20, 17)
    for axes in ("rows,columns", "bands,rows,rows", "bands,rows,columns,time,more"):
        with pytest.raises(UsageError, match=r"--axes \(axes=\): expected"):
            open_cube(tmp_path / "cube.npy", axes=axes)


@pytest.mark.parametrize("dtype", [">u2", "<i2", "u1", "<f4", ">i4"])
def test_headerless_files_by_their_names(tmp_path, dtype):
    cube = scene(dtype)
    path = tmp_path / f"scene-{raw.name_of(cube.dtype, cube.shape)}.raw"
    path.write_bytes(cube.tobytes())
    with open_cube(path) as found:
        check_windows(found, cube)
    path.write_bytes(cube.tobytes()[:-1])
    with pytest.raises(InvalidCubeError, match=r"whose name says its geometry: expected .* bytes"):
        open_cube(path)


def test_no_real_cube_in_the_right_order_is_suspected_and_a_transposed_one_is_told_with_the_option():
    paths = sorted(shared_path("data", "cubes").glob("*.npy"))
    told = []
    for path in paths:
        cube = np.load(path, mmap_mode="r")
        assert suspicion(cube) is None, path.name
        told.append(suspicion(cube.transpose(1, 2, 0)))
    assert sum(text is not None and text.endswith("--axes rows,columns,bands says so") for text in told) >= 15


def test_standard_input_of_any_format_that_is_one_file(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("rasterio")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, scene(), photometric="minisblack", planarconfig="separate")
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(buffer.getvalue())).start()
    with open_cube(tmp_path / "pipe") as found:
        check_windows(found, scene())


def test_a_library_that_is_missing_is_told_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    (tmp_path / "cube.tif").write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(BackendError, match=r"pip install 'lhic\[formats\]'"):
        open_cube(tmp_path / "cube.tif")


def test_the_name_of_the_stream_may_be_left_out(stored_models, tmp_path):
    np.save(tmp_path / "cube.v1.npy", scene())
    info = lhic.encode_file(tmp_path / "cube.v1.npy", model="stored")
    assert info["shape"] == [24, 20, 17] and np.array_equal(lhic.decode(tmp_path / "cube.v1.lhic"), scene())
    with pytest.raises(UsageError, match="expected nothing there"):
        lhic.encode_file(tmp_path / "cube.v1.npy", model="stored")


def test_what_the_file_says_is_in_the_stream(stored_models, tmp_path, capsys):
    from lhic.cli import main

    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4), "int16"))
    header = "ENVI\nsamples = 17\nlines = 20\nbands = 24\ndata type = 2\ninterleave = bip\ndescription = {Größe}\n"
    (tmp_path / "cube.dat").write_bytes(scene().transpose(1, 2, 0).tobytes())
    (tmp_path / "cube.hdr").write_text(header, "latin-1")
    beside = {"lat": np.linspace(50, 51, 340).reshape(20, 17)}
    info = lhic.encode_file(tmp_path / "cube.hdr", model="stored", auxiliary=beside, metadata={"unit": "1"})
    assert info["metadata"]["description"] == "Größe" and info["metadata"]["unit"] == "1"
    assert [one["name"] for one in info["auxiliary"]] == ["lat", "@header.hdr"]
    found = lhic.read_auxiliary(tmp_path / "cube.lhic")
    assert found["@header.hdr"].tobytes().decode("latin-1") == header and np.array_equal(found["lat"], beside["lat"])
    assert main(["info", str(tmp_path / "cube.lhic")]) == 0
    told = capsys.readouterr().out
    assert '  description "Größe"' in told and "  lat  <f8 (20, 17), " in told and '"format": "envi"' in told


@pytest.mark.parametrize("name", ["cube.npy", "cube.hdr", "cube-s16be-24x20x17.raw"])
def test_a_variable_of_a_file_that_has_one_array_is_refused(tmp_path, name):
    if name.endswith(".raw"):
        (tmp_path / name).write_bytes(scene(">i2").tobytes())
    else:
        save_cube(tmp_path / name, scene(">i2"))
    with open_cube(tmp_path / name) as found:
        assert found.shape == (24, 20, 17)
    with pytest.raises(UsageError, match=rf"{name}: .*expected no --variable \(variable=\), .*found 'x'"):
        open_cube(tmp_path / name, variable="x")
