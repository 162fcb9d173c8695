"""The command line as a user meets it: files in, files out, one line and an exit code when something is wrong."""

import json
import os
import socket
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest

import lhic
from lhic import api, cli
from lhic.cli import main
from lhic.data import open_dataset
from lhic.errors import LhicError
from lhic.formats import save_cube
from tests.common import REPOSITORY, shared_path

SHIPPED = REPOSITORY / "ckpt" / "lhic-bp-xs.safetensors"


@pytest.fixture
def cube_file(tmp_path):
    cube = np.arange(30 * 9 * 10, dtype="int16").reshape(30, 9, 10) // 90 - 10
    save_cube(tmp_path / "cube.npy", cube)
    return tmp_path / "cube.npy"


def run(capsys, *arguments) -> tuple[int, str, str]:
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:  # argparse
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "arguments", [["encode"], ["encode", "a", "--device", "tpu"], ["infos", "a"], ["info", "a", "--x"]]
)
def test_what_is_not_understood_is_one_line(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and err.startswith("lhic: error: ") and len(err.splitlines()) == 1
    assert "--help' says more" in err


def test_encode_info_decode(stored_models, cube_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "BAR_DELAY_S", 3600.0)
    stream, again = tmp_path / "cube.lhic", tmp_path / "again.npy"
    (tmp_path / "bands.json").write_text(json.dumps({"wavelengths": [*range(400, 700, 10)]}))
    code, out, err = run(
        capsys, "encode", cube_file, stream, "--model", "stored", "--metadata", tmp_path / "bands.json"
    )
    assert code == 0 and "bits per sample" in out and err == ""  # done before there is a progress bar
    assert stream.stat().st_size == int(out.split(":")[1].split()[0])

    code, out, err = run(capsys, "info", stream)
    assert code == 0 and "int16 (30, 9, 10)" in out and "wavelengths" in out and err == ""
    code, out, err = run(capsys, "info", stream, "--json")
    assert json.loads(out)["model"] == "stored"

    code, out, err = run(capsys, "decode", stream, again, "--verify", cube_file, "--quiet")
    assert code == 0 and "equal to the original" in out and err == ""
    assert np.array_equal(np.load(again), np.load(cube_file))
    code, out, err = run(capsys, "decode", stream, again, "--tile", "3", "--verify", cube_file, "--force")
    assert code == 0 and np.array_equal(np.load(again), np.load(cube_file)[:, 8:, 8:])


def test_near_lossless(stored_models, cube_file, tmp_path, capsys):
    stream, again = tmp_path / "cube.lhic", tmp_path / "again.npy"
    encode = ["encode", cube_file, stream, "--model", "stored", "--quiet"]
    code, out, _ = run(capsys, *encode)
    assert code == 0 and ", lossless" in out
    code, out, _ = run(capsys, *encode, "--force", "--max-error", "3")
    assert code == 0 and "near-lossless, |error| <= 3" in out
    assert "near-lossless, |error| <= 3" in run(capsys, "info", stream)[1]
    code, out, _ = run(capsys, "decode", stream, again, "--verify", cube_file, "--quiet")
    assert code == 0 and "within 3 of the original (largest error: 3)" in out
    cube = np.load(cube_file)
    assert np.array_equal(np.load(again), cube // 4 * 4)
    save_cube(tmp_path / "far.npy", cube + (cube == cube.max()) * np.int16(9))
    arguments = ["decode", stream, tmp_path / "x.npy", "--verify", tmp_path / "far.npy"]
    check_failure(capsys, tmp_path, 1, ["far.npy", "within 3"], *arguments)
    refused = ["encode", cube_file, tmp_path / "x.lhic", "--model", SHIPPED, "--max-error", "1"]
    check_failure(capsys, tmp_path, 2, ["lhic-bp", "max_error"], *refused)


def test_near_lossless_in_the_unit_of_the_scale(stored_models, cube_file, tmp_path, capsys):
    stream, again = tmp_path / "cube.lhic", tmp_path / "again.npy"
    (tmp_path / "scale.json").write_text('{"scale": 0.1}')
    encode = ["encode", cube_file, stream, "--model", "stored", "--quiet", "--max-error-physical", "0.3"]
    check_failure(capsys, tmp_path, 2, [f"{cube_file}: --max-error-physical: expected a scale", "found none"], *encode)
    code, out, _ = run(capsys, *encode, "--metadata", tmp_path / "scale.json")
    assert code == 0 and "near-lossless, |error| <= 3" in out
    code, out, _ = run(capsys, "decode", stream, again, "--verify", cube_file, "--quiet")
    assert code == 0 and "within 3 of the original (largest error: 3)" in out


@pytest.mark.parametrize(
    "dtype, scale, bound, words",
    [
        ("int16", "0", "0.3", ["expected a scale other than 0", "found 0"]),
        ("int16", "[0, 0]", "0.3", ["expected a scale other than 0", "found [0, 0]"]),
        ("int16", "0.001", "1e300", ["expected at most what int16 samples can differ by", "found 1e+300 / 0.001"]),
        ("uint8", "[0.5, -2]", "511", ["expected at most what uint8 samples can differ by", "found 511 / 2"]),
        ("float32", "0.001", "1e308", ["expected at most what float32 samples can differ by", "found 1e+308 / 0.001"]),
        ("int16", "0.001", "1e999", ["expected a finite number of 0 or more", "1e999"]),
    ],
)
def test_bounds_that_no_scale_makes_any_of_samples(dtype, scale, bound, words, stored_models, tmp_path, capsys):
    np.save(tmp_path / "cube.npy", np.zeros((2, 9, 10), dtype))
    (tmp_path / "scale.json").write_text(f'{{"scale": {scale}}}')
    arguments = "--max-error-physical", bound, "--metadata", tmp_path / "scale.json", "--model", "stored"
    words = [*words, "--max-error-physical", *(["cube.npy"] if bound != "1e999" else [])]
    check_failure(capsys, tmp_path, 2, words, "encode", tmp_path / "cube.npy", tmp_path / "x.lhic", *arguments)


@pytest.mark.parametrize(
    "metadata, words",
    [
        ({"wavelengths": [1, 2, 3]}, "wavelengths: expected a list of 30 numbers, found a list of 3"),
        ({"fwhm": [1] * 31}, "fwhm: expected a list of 30 numbers, found a list of 31"),
        ({"bad_bands": []}, "bad_bands: expected a list of 30 truth values, found a list of 0"),
        ({"band_names": ["a"]}, "band_names: expected a list of 30 texts, found a list of 1"),
        ({"scale": [1, 2]}, "scale: expected a number, or a list of 30 numbers, found a list of 2"),
        ({"nodata": [None]}, "nodata: expected a number, or a list of 30 numbers or nulls, found a list of 1"),
    ],
)
def test_a_list_of_another_length_than_bands_is_told_with_both(
    metadata, words, stored_models, cube_file, tmp_path, capsys
):
    (tmp_path / "bands.json").write_text(json.dumps(metadata))
    arguments = "encode", cube_file, tmp_path / "x.lhic", "--model", "stored", "--metadata", tmp_path / "bands.json"
    check_failure(capsys, tmp_path, 1, [f"bands.json: metadata: {words}\n"], *arguments)


@pytest.mark.parametrize("name", ["b.tif", "b.NPY", "b.dat", "b.zarr", "b.mat"])
def test_a_stream_has_no_name_of_another_format(name, stored_models, cube_file, tmp_path, capsys):
    words = [f"{tmp_path / name}: expected a name for a stream", "b.lhic", "found the suffix of"]
    check_failure(capsys, tmp_path, 2, words, "encode", cube_file, tmp_path / name, "--model", "stored", "--force")
    for free in ("b.lhic", "b.xyz", "b"):
        assert run(capsys, "encode", cube_file, tmp_path / free, "--model", "stored", "--quiet")[0] == 0
        assert lhic.inspect(tmp_path / free)["shape"] == [30, 9, 10]


def test_a_variable_of_a_file_that_has_none_is_refused(stored_models, cube_file, tmp_path, capsys):
    words = [f"{cube_file}: a .npy file: expected no --variable", "found 'x'"]
    check_failure(
        capsys, tmp_path, 2, words, "encode", cube_file, tmp_path / "x.lhic", "--model", "stored", "--variable", "x"
    )


def test_tuning(cube_file, tmp_path, capsys):
    stream, again = tmp_path / "cube.lhic", tmp_path / "again.npy"
    encode = ["encode", cube_file, stream, "--quiet"]
    assert run(capsys, *encode, "--model", "lhic-ax-fast", "--tuning-steps", "2")[0] == 0
    assert run(capsys, "decode", stream, again, "--verify", cube_file, "--quiet")[0] == 0
    stream.unlink()
    check_failure(
        capsys,
        tmp_path,
        2,
        ["tuning_steps: expected a whole number of 0..", "found -1"],
        *encode,
        "--tuning-steps",
        "-1",
    )
    arguments = [*encode, "--model", SHIPPED, "--tuning-steps", "2"]
    check_failure(capsys, tmp_path, 2, ["lhic-bp", "tuning_steps"], *arguments)


@pytest.mark.parametrize("quiet", [True, False])
def test_what_takes_longer_shows_a_progress_bar(quiet, stored_models, cube_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "BAR_DELAY_S", 0.0)
    stream = tmp_path / "cube.lhic"
    arguments = [["encode", cube_file, stream, "--model", "stored"], ["decode", stream, tmp_path / "again.npy"]]
    arguments.append(["preview", stream, tmp_path / "look.png"])
    for command in arguments:
        code, _, err = run(capsys, *command, *(["--quiet"] if quiet else []))
        assert code == 0 and (err == "" if quiet else err.lstrip().startswith(command[0]) and "100%" in err)


def test_preview(stored_models, cube_file, tmp_path, capsys):
    stream, picture = tmp_path / "cube.lhic", tmp_path / "look.png"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")
    code, out, _ = run(capsys, "preview", stream, picture, "--bands", "20,10,0")
    assert code == 0 and "10 x 9 pixels of bands 20, 10, 0" in out and "100.0% of the samples" in out
    image = imagecodecs.png_decode(picture.read_bytes())
    assert np.array_equal(image, lhic.preview(stream.read_bytes(), (20, 10, 0)).image)
    code, out, _ = run(capsys, "preview", stream, picture, "--bands", "0,0,0", "--quiet", "--force")
    assert code == 0 and "50.0% of the samples" in out
    code, out, _ = run(capsys, "preview", stream, picture, "--quiet", "--force")
    assert code == 0 and "bands 15, 10, 5" in out

    for bands, word in [("1,2", "--bands"), ("a,b,c", "--bands"), ("1,2,30", "0..29"), ("1,2,3,4", "--bands")]:
        check_failure(capsys, tmp_path, 2, [word], "preview", stream, tmp_path / "x.png", "--bands", bands)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "imagecodecs", None)
        check_failure(capsys, tmp_path, 1, ["imagecodecs", "lhic[formats]"], "preview", stream, tmp_path / "x.png")
    (tmp_path / "empty").write_bytes(b"")
    check_failure(capsys, tmp_path, 1, ["empty"], "preview", tmp_path / "empty", tmp_path / "x.png")
    check_failure(capsys, tmp_path, 2, ["gone"], "preview", tmp_path / "gone", tmp_path / "x.png")


def test_samples_as_they_are(stored_models, tmp_path, capsys):
    """A cube of noise: the command line says that no model was of use."""
    cube, stream = np.random.default_rng(0).integers(0, 256, (3, 9, 10), "uint8"), tmp_path / "cube.lhic"
    save_cube(tmp_path / "noise.npy", cube)
    assert run(capsys, "encode", tmp_path / "noise.npy", stream, "--model", "stored")[0] == 0
    assert stream.stat().st_size <= cube.nbytes + 64
    code, out, _ = run(capsys, "info", stream)
    assert code == 0 and "raw" in out and "weights none" in out
    assert run(capsys, "decode", stream, tmp_path / "again.npy", "--verify", tmp_path / "noise.npy")[0] == 0


def test_models(stored_models, capsys):
    code, out, _ = run(capsys, "models")
    assert code == 0 and "stored-too" in out
    code, out, _ = run(capsys, "models", "--json")
    assert {"stored", "stored-too"} <= {entry["name"] for entry in json.loads(out)}


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in "encode decode verify preview info models train import-lhic-bp import-linerwkv".split())],
    ids=" ".join,
)
def test_help(command, capsys):
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0 and "usage: lhic" in out


@pytest.mark.parametrize(
    "arguments", [[], ["compress"], ["encode", "a.npy"], ["encode", "a", "b", "--device", "tpu"], ["info"]]
)
def test_usage_mistakes_exit_2(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and err


def check_failure(capsys, tmp_path, exit_code: int, words: list[str], *arguments) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, *arguments, *(["--quiet"] if arguments[0] != "info" else []))
    assert code == exit_code, err
    assert out == "" and err.count("\n") == 1 and err.startswith("lhic: error: ")
    assert all(word in err for word in words), err
    assert sorted(tmp_path.rglob("*")) == before, "something was written"


@pytest.mark.parametrize(
    "array,words",
    [
        (np.zeros((2, 3, 4), complex), ["complex128", "floats"]),
        (np.zeros((3, 4), "int16"), ["3 axes", "2"]),
        (np.zeros((0, 3, 4), "int16"), ["empty"]),
    ],
)
def test_bad_cubes(stored_models, tmp_path, capsys, array, words):
    np.save(tmp_path / "bad.npy", array)
    bad, out = tmp_path / "bad.npy", tmp_path / "x.lhic"
    check_failure(capsys, tmp_path, 1, ["bad.npy", *words], "encode", bad, out, "--model", "stored")


def test_bad_arguments(stored_models, cube_file, tmp_path, capsys, monkeypatch):
    out = tmp_path / "x.lhic"
    encode = ["encode", cube_file, out]
    check_failure(capsys, tmp_path, 2, ["stored-too"], *encode, "--model", "nothing")
    check_failure(capsys, tmp_path, 2, ["gone.npy"], "encode", tmp_path / "gone.npy", out)
    check_failure(capsys, tmp_path, 2, ["gone"], "encode", cube_file, tmp_path / "gone" / "x", "--model", "stored")
    check_failure(capsys, tmp_path, 2, ["gone.lhic"], "decode", tmp_path / "gone.lhic", tmp_path / "x.npy")
    (tmp_path / "bad.json").write_text("{")
    check_failure(capsys, tmp_path, 1, ["bad.json"], *encode, "--metadata", tmp_path / "bad.json")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    check_failure(capsys, tmp_path, 1, ["bad.safetensors"], *encode, "--model", tmp_path / "bad.safetensors")
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "100")
    check_failure(capsys, tmp_path, 1, ["cube.npy", "100"], *encode, "--model", "stored")


def test_bad_streams(stored_models, cube_file, tmp_path, capsys):
    stream = tmp_path / "cube.lhic"
    assert run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")[0] == 0
    whole = stream.read_bytes()
    flipped = bytearray(whole)
    flipped[-20] ^= 1
    newer = bytearray(whole)
    newer[8] = 9
    cases = {
        "cut": (whole[:-5], ["expected", str(len(whole) - 5)]),
        "altered": (bytes(flipped), ["damaged"]),
        "foreign": (b"GIF89a" + whole, ["lhic stream"]),
        "newer": (bytes(newer), ["version", "9"]),
        "empty": (b"", ["found 0"]),
    }
    for name, (data, words) in cases.items():
        (tmp_path / name).write_bytes(data)
        check_failure(capsys, tmp_path, 1, [name, *words], "decode", tmp_path / name, tmp_path / "x.npy")
    for name in ("foreign", "newer", "empty"):
        check_failure(capsys, tmp_path, 1, [name], "info", tmp_path / name)
    check_failure(capsys, tmp_path, 1, ["weights"], "decode", stream, tmp_path / "x.npy", "--model", "stored-too")
    check_failure(
        capsys,
        tmp_path,
        2,
        ["tile: expected a whole number of 0..3", "9"],
        "decode",
        stream,
        tmp_path / "x.npy",
        "--tile",
        9,
    )


def test_failed_verification_writes_nothing(stored_models, cube_file, tmp_path, capsys):
    stream = tmp_path / "cube.lhic"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")
    cube = np.load(cube_file)
    variants = {"other": cube + (cube == 0), "shape": cube[:2], "dtype": cube.astype("int32")}
    for name, variant in variants.items():
        save_cube(tmp_path / name, variant)
        arguments = ["decode", stream, tmp_path / "x.npy", "--verify", tmp_path / name]
        check_failure(capsys, tmp_path, 1, [name, "expected"], *arguments)


def test_verify(stored_models, cube_file, tmp_path, capsys):
    stream = tmp_path / "cube.lhic"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")
    before = sorted(tmp_path.rglob("*"))
    assert run(capsys, "verify", stream, "--quiet") == (0, f"{stream}: all checksums match\n", "")
    code, out, _ = run(capsys, "verify", stream, cube_file, "--quiet")
    assert code == 0 and out == f"{stream}: all checksums match, equal to the original\n"
    assert sorted(tmp_path.rglob("*")) == before, "something was written"

    save_cube(tmp_path / "other.npy", np.load(cube_file) + np.int16(1))
    check_failure(capsys, tmp_path, 1, ["other.npy", "2700 that differ"], "verify", stream, tmp_path / "other.npy")
    damaged = bytearray(stream.read_bytes())
    damaged[-20] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    check_failure(capsys, tmp_path, 1, ["damaged"], "verify", tmp_path / "damaged")
    check_failure(capsys, tmp_path, 2, ["standard input"], "verify", "-", "-")


def commands_that_write(cube_file, tmp_path, capsys) -> dict[str, list]:
    """Command line of each, without the output that comes last."""
    stream = tmp_path / "cube.lhic"
    assert run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")[0] == 0
    return {
        "encode": ["encode", "--model", "stored", cube_file],
        "decode": ["decode", stream],
        "tile": ["decode", "--tile", "0", stream],
        "preview": ["preview", stream],
    }


def test_an_existing_output_is_replaced_only_with_force(stored_models, cube_file, tmp_path, capsys):
    for name, command in commands_that_write(cube_file, tmp_path, capsys).items():
        suffix = {"encode": ".lhic", "preview": ".png"}.get(name, ".npy")
        out = tmp_path / f"{name}-out{suffix}"
        out.write_bytes(b"precious")
        check_failure(capsys, tmp_path, 2, [out.name, "--force"], *command, out)
        assert out.read_bytes() == b"precious"
        assert run(capsys, *command, out, "--force", "--quiet")[0] == 0
        assert out.read_bytes() != b"precious"


def test_an_output_that_is_an_input_is_refused(stored_models, cube_file, tmp_path, capsys):
    """Whatever name it has, and even with force; the original, metadata and weights are inputs, too."""
    commands = commands_that_write(cube_file, tmp_path, capsys)
    inputs = {"encode": cube_file, **dict.fromkeys(["decode", "tile", "preview"], tmp_path / "cube.lhic")}
    cases = []
    for name, command in commands.items():
        (tmp_path / f"{name}.soft").symlink_to(inputs[name])
        (tmp_path / f"{name}.hard.png").hardlink_to(inputs[name])
        (tmp_path / f"{name}.png").symlink_to(inputs[name])
        cases += [(command, tmp_path / f"{name}.hard.png"), (command, tmp_path / f"{name}.png")]
        if name != "preview":
            cases += [(command, tmp_path / f"{name}.soft"), (command, inputs[name])]
    metadata = tmp_path / "bands.json"
    metadata.write_text("{}")
    cases.append(([*commands["encode"], "--metadata", metadata], metadata))
    for name in ("decode", "tile"):
        cases.append(([*commands[name], "--verify", cube_file], cube_file))
    weights = stored_models / "stored.safetensors"
    cases += [(commands["encode"], weights), (commands["decode"], weights)]
    (tmp_path / "elsewhere").mkdir()
    elsewhere = (tmp_path / "elsewhere" / "mine.safetensors").resolve()
    elsewhere.write_bytes(weights.read_bytes())
    cases.append((["encode", "--model", elsewhere, cube_file], elsewhere))
    contents = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for command, out in cases:
        check_failure(
            capsys, tmp_path, 2, [str(out), "another file than those that are read"], *command, out, "--force"
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == contents


BAD_METADATA = {
    "list": b"[1, 2]",
    "number": b"5",
    "text": b'"x"',
    "null": b"null",
    "empty list": b"[]",
    "pairs": b'[["nodata", 1]]',
    "surrogate": b'{"extra": {"n": "\\ud800"}}',
    "surrogate key": b'{"\\ud800": 1}',
    "deep": b'{"extra": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "UTF-16": json.dumps({"crs": "x"}).encode("utf-16"),
    "Latin-1": '{"crs": "µm"}'.encode("latin-1"),
    "infinity": b'{"nodata": 1e999}',
    "NaN": b'{"nodata": NaN}',
    "long number": b'{"nodata": 1' + b"0" * 5000 + b"}",
    "wrong type": b'{"nodata": "-32768"}',
    "wrong length": b'{"wavelengths": [1, 2, 3]}',
    "empty": b"",
    "folder": None,
}


@pytest.mark.parametrize("kind", BAD_METADATA)
def test_metadata_that_cannot_be_kept_are_one_line_with_the_name_of_their_file(
    kind, stored_models, cube_file, tmp_path, capsys
):
    bad = tmp_path / "bad.json"
    bad.mkdir() if kind == "folder" else bad.write_bytes(BAD_METADATA[kind])
    arguments = ["encode", cube_file, tmp_path / "x.lhic", "--model", "stored", "--metadata", bad]
    check_failure(capsys, tmp_path, 2 if kind == "folder" else 1, [f"{bad}: "], *arguments)
    assert run(capsys, *arguments, "--quiet")[2].count(str(cube_file)) == 0, "the cube is not to blame"


def test_metadata_of_other_programs(stored_models, cube_file, tmp_path, capsys):
    """Each is kept as it is, or refused in one line that names its file."""
    shared = shared_path("formats")
    save_cube(tmp_path / "bands.npy", np.zeros((24, 20, 17), "uint16"))
    kept = set()
    for path in sorted(shared.glob("meta_*.json")):
        out = tmp_path / f"{path.stem}.lhic"
        code, _, err = run(capsys, "encode", tmp_path / "bands.npy", out, "--model", "stored", "--metadata", path)
        if code:
            assert code == 1 and err.count("\n") == 1 and err.startswith(f"lhic: error: {path}: ") and not out.exists()
        else:
            kept.add(path.stem)
            found = json.loads(run(capsys, "info", out, "--json")[1])["metadata"]
            assert found == json.loads(path.read_text("utf-8-sig"))
    assert kept == {"meta_bom", "meta_utf8"}


def test_cubes_of_other_programs(stored_models, tmp_path, capsys):
    """Of .npy version 3.0, and with bytes behind the samples: what numpy reads."""
    for name in ("u16_v3.npy", "u16_trailing.npy"):
        path, stream, again = shared_path("formats", name), tmp_path / f"{name}.lhic", tmp_path / name
        assert run(capsys, "encode", path, stream, "--model", "stored", "--quiet")[0] == 0
        assert run(capsys, "decode", stream, again, "--verify", path, "--quiet")[0] == 0
        assert np.array_equal(np.load(again), np.load(path))


@pytest.mark.parametrize("name,axis", [("u16_bip.npy", 2), ("u16_bil_prisma.npy", 1), ("u16_v3.npy", 0)])
def test_axes_that_look_swapped_are_warned_of(name, axis, stored_models, tmp_path, capsys):
    code, _, err = run(capsys, "encode", shared_path("formats", name), tmp_path / "x.lhic", "--model", "stored")
    assert code == 0
    if axis:
        assert err.startswith("lhic: warning: ") and err.count("\n") == 1
        better = {1: "rows,bands,columns", 2: "rows,columns,bands"}[axis]
        assert f"found bands that look like axis {axis} of" in err and f"--axes {better}" in err
    else:
        assert err == ""


def test_a_cut_stream_is_described_and_refused(stored_models, cube_file, tmp_path, capsys):
    stream = tmp_path / "cube.lhic"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")
    whole = stream.read_bytes()
    for data in (whole[:-5], whole + b"more"):
        stream.write_bytes(data)
        for options in ([], ["--json"]):
            code, out, err = run(capsys, "info", stream, *options)
            assert code == 1 and "stored" in out
            assert err == f"lhic: error: {stream}: expected {len(whole)} bytes, found {len(data)}\n"


def test_a_picture_has_a_name_that_says_what_it_is(stored_models, cube_file, tmp_path, capsys):
    stream = tmp_path / "cube.lhic"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--quiet")
    for name in ("look.tif", "look.jpeg", "look.png.gz"):
        check_failure(capsys, tmp_path, 2, [name, "ends in .png"], "preview", stream, tmp_path / name)
    for name in ("look.PNG", "look"):
        assert run(capsys, "preview", stream, tmp_path / name)[0] == 0
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_what_a_console_would_obey_is_escaped(stored_models, cube_file, tmp_path, capsys):
    (tmp_path / "bands.json").write_text(json.dumps({"\x1b[2Jgone\nnew line": 1}))
    stream = tmp_path / "cube.lhic"
    run(capsys, "encode", cube_file, stream, "--model", "stored", "--metadata", tmp_path / "bands.json")
    _, out, _ = run(capsys, "info", stream)
    assert "\\x1b[2Jgone new line" in out and "\x1b" not in out
    check_failure(capsys, tmp_path, 2, ["\\x1b[2J"], "info", tmp_path / "\x1b[2J")


def test_every_error_has_an_exit_code_the_manual_names():
    def all_below(kind):
        return {kind}.union(*(all_below(sub) for sub in kind.__subclasses__()))

    assert {kind.exit_code for kind in all_below(LhicError)} == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("clip", [False, True])
def test_part_of_the_bundled_patch_with_the_shipped_weights(tmp_path, capsys, clip):
    """All bands; across tile edges, with negative samples when not clipped."""
    cube = open_dataset("bundled", clip=clip)[0].load()[:, 50:90, 40:66]
    assert cube.dtype == ("int32" if clip else "int16") and (cube.min() < 0) != clip
    original, stream, again = (tmp_path / name for name in ("cube.npy", "cube.lhic", "again.npy"))
    save_cube(original, cube)
    assert run(capsys, "encode", original, stream, "--model", "lhic-bp-xs", "--device", "cpu", "--param-d", "8")[0] == 0
    assert stream.stat().st_size < (5 if clip else 7) / 8 * cube.size
    assert run(capsys, "decode", stream, again, "--verify", original)[0] == 0
    assert np.array_equal(np.load(again), cube) and np.load(again).dtype == cube.dtype


@pytest.mark.parametrize("name", ["encode", "decode", "tile", "preview", "verify"])
def test_threads(name, stored_models, cube_file, tmp_path, capsys, monkeypatch):
    commands = commands_that_write(cube_file, tmp_path, capsys)
    command = ["verify", tmp_path / "cube.lhic"] if name == "verify" else [*commands[name], tmp_path / "new"]
    check_failure(capsys, tmp_path, 2, ["threads: expected a whole number", "0"], *command, "--threads", "0")
    seen = []
    monkeypatch.setattr(api, "n_threads", lambda threads=None: seen.append(threads) or 1)
    assert run(capsys, *command, "--threads", "3", "--quiet")[0] == 0
    assert 3 in seen


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.npy"], 2, "none.npy"),
        (["--port", "70000"], 2, "--port: expected 0..65535, found 70000"),
        (["--crop", "-1"], 2, "--crop: expected 0 or more, found -1"),
        (["--metadata", "bands.json"], 2, "--metadata: expected one FILE that it is of, found 0"),
        (["cube.npy", "--metadata", "bands.json"], 1, "bands.json: expected JSON"),
        (["bands.json"], 1, "bands.json: expected a file of a known format"),
    ],
)
def test_explore_tells_bad_usage_before_a_page_is_opened(
    cube_file, tmp_path, capsys, monkeypatch, arguments, code, message
):
    pytest.importorskip("panel")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bands.json").write_text("not JSON")
    found, out, err = run(capsys, "explore", "--no-browser", *arguments)
    assert (found, out) == (code, "") and message in err and err.count("\n") == 1


def test_explore_tells_a_port_that_is_taken(cube_file, capsys):
    pytest.importorskip("panel")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run(capsys, "explore", "--no-browser", cube_file, "--port", port)
    assert code == 2 and f"--port {port}: expected a free port, found" in err and err.count("\n") == 1


def test_a_shell_completes_commands_and_choices(tmp_path):
    pytest.importorskip("argcomplete")
    for line, expected in (("lhic prev", "preview "), ("lhic encode a.npy --device cu", "cuda ")):
        asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "|"}
        asked["_ARGCOMPLETE_STDOUT_FILENAME"] = str(tmp_path / "answer")
        subprocess.run([sys.executable, "-m", "lhic"], env={**os.environ, **asked}, check=True, cwd=REPOSITORY)
        assert (tmp_path / "answer").read_text().split("|") == [expected]
