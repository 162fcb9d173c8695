"""Many files by one command: all that can be done is done, what is done is not done again, and the rest is told."""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import lhic
from lhic import batch
from lhic.cli import main
from lhic.errors import InvalidCubeError, UsageError
from lhic.formats import registry
from tests.common import REPOSITORY
from tests.formats.cubes import scene


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def cubes(tmp_path):
    """A folder with cubes of three formats that need no library, one of them below."""
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    np.save(folder / "a.npy", scene())
    np.save(folder / "below" / "a.npy", scene() + np.int16(1))
    (folder / "b.dat").write_bytes(scene().tobytes())
    (folder / "b.hdr").write_text("ENVI\nsamples = 17\nlines = 20\nbands = 24\ndata type = 2\n")
    (folder / "notes.txt").write_text("no cube")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_folder_there_and_back(tmp_path, cubes, capsys, n_jobs):
    out, again = tmp_path / "out", tmp_path / "again"
    code, told, err = run(capsys, "encode", cubes, "--out-dir", out, "--jobs", n_jobs, "--quiet")
    assert code == 0, err
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.lhic")} == {"a.lhic", "b.lhic", "below/a.lhic"}
    assert told.splitlines()[0].split() == ["file", "samples", "bytes", "ratio", "MS/s"]
    assert told.splitlines()[-1].startswith("total") and "3 done, 0 skipped, 0 failed" in told
    code, told, _ = run(capsys, "decode", out, "--out-dir", again, "--jobs", n_jobs, "--quiet")
    assert code == 0 and "3 done" in told
    assert np.array_equal(np.load(again / "below" / "a.npy"), np.load(cubes / "below" / "a.npy"))
    assert (again / "b.dat").read_bytes() == (cubes / "b.dat").read_bytes()
    assert (again / "b.hdr").read_bytes() == (cubes / "b.hdr").read_bytes()


def test_after_an_error_the_others_are_done(stored_models, tmp_path, cubes, capsys):
    (cubes / "a.npy").write_bytes((cubes / "a.npy").read_bytes()[:-1])
    arguments = "encode", cubes, "--out-dir", tmp_path / "out", "--model", "stored", "--quiet"
    code, told, err = run(capsys, *arguments)
    assert code == 1 and "2 done, 0 skipped, 1 failed" in told
    first, last = err.splitlines()
    assert f"{cubes / 'a.npy'}: a .npy file: expected" in first and last.endswith("1 of 3 files failed")
    code, told, _ = run(capsys, *arguments)
    assert code == 1 and "0 done, 2 skipped, 1 failed" in told
    np.save(cubes / "a.npy", scene())
    code, told, _ = run(capsys, *arguments)
    assert code == 0 and "1 done, 2 skipped, 0 failed" in told
    code, told, _ = run(capsys, *arguments, "--force")
    assert code == 0 and "3 done, 0 skipped" in told


def encode_there(capsys, source, out, *options, model="stored"):
    return run(capsys, "encode", source, "--out-dir", out, "--model", model, "--quiet", *options)


def changed(cube):
    """As a cube, and not it."""
    cube = cube.copy()
    cube[7, 11, 13] += 40
    return cube


OTHERS = {
    "samples": (changed(scene()), "other samples"),
    "shape": (scene()[:, 1:], "int16 (24, 20, 17), not int16 (24, 19, 17)"),
    "axes": (scene().transpose(0, 2, 1), "int16 (24, 20, 17), not int16 (24, 17, 20)"),
    "dtype": (scene("int32"), "int16 (24, 20, 17), not int32 (24, 20, 17)"),
    "byte order": (scene().astype(">i2"), "int16 (24, 20, 17), not >i2 (24, 20, 17)"),
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("bound", [0, 3])
@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_stream_of_another_cube_is_told_and_replaced_with_force(
    stored_models, tmp_path, capsys, what, bound, is_replaced
):
    """The source was replaced by one that is older, or a source of another folder has the same name."""
    other, found = OTHERS[what]
    if what == "samples" and bound:
        other, found = scene() + np.int16(40), "samples that differ by more than 3"
    out, options = tmp_path / "out", ["--max-error", bound]
    (tmp_path / "other").mkdir()
    source = _saved(tmp_path / "a.npy", scene())
    assert encode_there(capsys, source, out, *options)[0] == 0
    before = (out / "a.lhic").read_bytes()
    source = _saved(source if is_replaced else tmp_path / "other" / "a.npy", other)
    os.utime(source, (1, 1))
    code, told, err = encode_there(capsys, source, out, *options)
    assert code == 1 and "0 done, 0 skipped, 1 failed" in told
    told, _ = err.splitlines()
    assert told.startswith(f"lhic: error: {out / 'a.lhic'}: expected the stream of {source}, found one of {found}: ")
    assert told.endswith(": it was done before; --force does it again") and (out / "a.lhic").read_bytes() == before
    code, told, _ = encode_there(capsys, source, out, *options, "--force")
    assert code == 0 and "1 done" in told
    assert "1 skipped" in encode_there(capsys, source, out, *options)[1]


@pytest.mark.parametrize("bound", [0, 3])
def test_a_source_with_another_time_is_the_same(stored_models, tmp_path, cubes, capsys, bound):
    encode = cubes, tmp_path / "out", "--max-error", bound
    assert encode_there(capsys, *encode)[0] == 0
    for seconds in (1, 4_000_000_000):
        for path in cubes.rglob("*.npy"):
            os.utime(path, (seconds, seconds))
        code, told, _ = encode_there(capsys, *encode)
        assert code == 0 and "0 done, 3 skipped, 0 failed" in told


@pytest.mark.parametrize("bound", [0, 3])
def test_where_a_middle_says_nothing_a_bounded_stream_is_compared_elsewhere(stored_models, tmp_path, capsys, bound):
    cube = np.zeros((4, 24, 24), "int16")
    constant = _saved(tmp_path / "constant.npy", cube)
    cube[2, :8, :8] = np.arange(64).reshape(8, 8)
    options = tmp_path / "out", "--max-error", bound
    assert encode_there(capsys, _saved(tmp_path / "a.npy", cube), *options)[0] == 0
    cube[2, :8, :8] += 8
    code, _, err = encode_there(capsys, _saved(tmp_path / "a.npy", cube), *options)
    assert code == 1 and "samples" in err
    assert encode_there(capsys, constant, *options)[0] == 0
    assert "1 skipped" in encode_there(capsys, constant, *options)[1]
    code, _, err = encode_there(capsys, _saved(constant, np.full_like(cube, 8)), *options)
    assert code == 1 and "samples" in err


def test_another_variable_or_another_order_of_axes_is_not_done_yet(stored_models, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["first"], file["second"] = scene(), changed(scene())
    out = tmp_path / "out"
    assert encode_there(capsys, tmp_path / "a.h5", out, "--variable", "first")[0] == 0
    assert "1 skipped" in encode_there(capsys, tmp_path / "a.h5", out, "--variable", "first")[1]
    code, _, err = encode_there(capsys, tmp_path / "a.h5", out, "--variable", "second")
    assert code == 1 and "expected the stream of" in err
    cube = _saved(tmp_path / "b.npy", scene()[:17, :17])
    assert encode_there(capsys, cube, out)[0] == 0
    assert "1 skipped" in encode_there(capsys, cube, out, "--axes", "bsq")[1]
    code, _, err = encode_there(capsys, cube, out, "--axes", "bip")
    assert code == 1 and "found one of other samples" in err


def test_another_header_and_other_metadata_are_told(stored_models, tmp_path, cubes, capsys):
    out, said = tmp_path / "out", tmp_path / "said.json"
    said.write_text('{"unit": "W"}')
    assert encode_there(capsys, cubes / "b.hdr", out, "--metadata", said)[0] == 0
    assert "1 skipped" in encode_there(capsys, cubes / "b.dat", out, "--metadata", said)[1]
    code, _, err = encode_there(capsys, cubes / "b.hdr", out)
    assert code == 1 and "found one of other metadata (unit)" in err
    with open(cubes / "b.hdr", "a") as header:
        header.write("; a remark\n")
    code, _, err = encode_there(capsys, cubes / "b.hdr", out, "--metadata", said)
    assert code == 1 and "found one of another header of the file" in err


def test_arrays_beside_the_cube_are_compared(stored_models, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    for row in (50.0, 51.0):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["cube"], file["latitude"] = scene(), np.linspace(row, 52, 20)
        if row == 50:
            assert encode_there(capsys, tmp_path / "a.h5", tmp_path / "out")[0] == 0
            assert "1 skipped" in encode_there(capsys, tmp_path / "a.h5", tmp_path / "out")[1]
    code, _, err = encode_there(capsys, tmp_path / "a.h5", tmp_path / "out")
    assert code == 1 and "found one of another array latitude" in err


def damaged(path, how):
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"cut": whole[:500], "junk": b"junk", "empty": b"", "flipped": flipped}[how])
    os.utime(path, (4_000_000_000,) * 2)


@pytest.mark.parametrize("how", ["cut", "junk", "empty", "flipped"])
def test_a_damaged_output_is_not_done(stored_models, tmp_path, cubes, capsys, how):
    out, again = tmp_path / "out", tmp_path / "again"
    assert encode_there(capsys, cubes, out)[0] == 0
    decode = "decode", out, "--out-dir", again, "--quiet"
    assert run(capsys, *decode)[0] == 0 and "3 skipped" in run(capsys, *decode)[1]
    damaged(again / "a.npy", how)
    code, told, err = run(capsys, *decode)
    assert code == 1 and "0 done, 2 skipped, 1 failed" in told, err
    assert f"lhic: error: {again / 'a.npy'}: " in err and "--force does it again" in err
    damaged(out / "a.lhic", how)
    code, told, err = encode_there(capsys, cubes, out)
    assert code == 1 and "0 done, 2 skipped, 1 failed" in told, err
    assert f"lhic: error: {out / 'a.lhic'}: " in err and "--force does it again" in err
    assert encode_there(capsys, cubes, out, "--force")[0] == 0


@pytest.mark.parametrize("bound", [0, 3])
@pytest.mark.parametrize("what", OTHERS)
def test_a_decoded_file_of_another_stream_is_told(stored_models, tmp_path, capsys, what, bound):
    again = tmp_path / "again"
    for name, cube in (("first", scene()), ("second", OTHERS[what][0])):
        (tmp_path / name).mkdir()
        source = _saved(tmp_path / name / "a.npy", cube)
        lhic.encode_file(source, tmp_path / name / "a.lhic", "stored", **({"max_error": bound} if bound else {}))
    decode = "decode", "--out-dir", again, "--quiet"
    assert run(capsys, *decode, tmp_path / "first" / "a.lhic")[0] == 0
    before = (again / "a.npy").read_bytes()
    assert "1 skipped" in run(capsys, *decode, tmp_path / "first" / "a.lhic")[1]
    code, told, err = run(capsys, *decode, tmp_path / "second" / "a.lhic")
    if what == "byte order":  # which formats need not have
        assert code == 0 and "1 skipped" in told
        return
    assert code == 1 and "0 done, 0 skipped, 1 failed" in told and (again / "a.npy").read_bytes() == before
    assert err.startswith(f"lhic: error: {again / 'a.npy'}: expected ") and "--force does it again" in err
    assert run(capsys, *decode, tmp_path / "second" / "a.lhic", "--force")[0] == 0
    assert "1 skipped" in run(capsys, *decode, tmp_path / "second" / "a.lhic")[1]


def test_several_files_go_beside_themselves_and_none_is_taken_for_an_output(stored_models, cubes, capsys):
    np.save(cubes / "c.npy", scene())
    before = (cubes / "c.npy").read_bytes()
    code, told, err = run(capsys, "encode", cubes / "a.npy", cubes / "c.npy", "--model", "stored", "--force", "--quiet")
    assert code == 0 and "2 done" in told, err
    assert (cubes / "c.npy").read_bytes() == before and (cubes / "a.lhic").exists() and (cubes / "c.lhic").exists()
    code, told, _ = run(capsys, "decode", cubes / "a.lhic", cubes / "c.lhic", "--out-dir", cubes / "back", "--quiet")
    assert code == 0 and (cubes / "back" / "c.npy").read_bytes() == before


def test_both_names_of_an_envi_file_are_one_cube(stored_models, tmp_path, cubes, capsys):
    code, told, _ = run(
        capsys,
        "encode",
        cubes / "b.dat",
        cubes / "b.hdr",
        "--out-dir",
        tmp_path / "out",
        "--model",
        "stored",
        "--quiet",
    )
    assert code == 0 and "1 done" in told


def test_files_that_would_become_one_fail_alone(stored_models, tmp_path, cubes, capsys):
    first, second, third = cubes / "a.npy", cubes / "below" / "a.npy", cubes / "b.hdr"
    code, told, err = run(
        capsys, "encode", first, second, third, "--out-dir", tmp_path / "out", "--model", "stored", "--quiet"
    )
    assert code == 1 and "1 done, 0 skipped, 2 failed" in told and os.listdir(tmp_path / "out") == ["b.lhic"]
    expected = f"expected no other file that becomes {tmp_path / 'out' / 'a.lhic'}, found"
    assert err.splitlines() == [
        f"lhic: error: {first}: {expected} {second}",
        f"lhic: error: {second}: {expected} {first}",
        "lhic: error: encode: 2 of 3 files failed",
    ]
    with pytest.raises(UsageError, match="expected files, found none"):
        batch.jobs_of([str(tmp_path / "in" / "below")], lambda folder: iter(()), lambda folder: False, str, None)


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_a_folder_that_cannot_be_read_is_told(stored_models, tmp_path, cubes, capsys, monkeypatch, name):
    assert encode_there(capsys, cubes, cubes)[0] == 0
    scandir = os.scandir

    def closed(path):
        if isinstance(path, str | os.PathLike) and os.path.basename(path) == "below":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)  # whoever runs the tests may read everything
    model = ["--model", "stored"]
    code, told, err = run(capsys, name, cubes, "--out-dir", tmp_path / "out", *model, "--quiet")
    assert code == 1 and "2 done, 0 skipped, 1 failed" in told
    folder = cubes / "below"
    assert err.splitlines() == [
        f"lhic: error: {folder}: Permission denied",
        f"lhic: error: {name}: 1 of 3 files failed",
    ]
    code, told, err = run(capsys, name, folder, "--out-dir", tmp_path / "out", *model, "--quiet")
    assert code == 1 and err.splitlines()[0] == f"lhic: error: {folder}: Permission denied"


def test_a_file_that_cannot_be_read_fails_alone(stored_models, tmp_path, cubes, capsys, monkeypatch):
    opened = registry.open_source

    def closed(path, *rest):
        if os.path.basename(path) == "notes.txt":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *rest)

    monkeypatch.setattr(registry, "open_source", closed)
    code, told, err = encode_there(capsys, cubes, tmp_path / "out")
    assert code == 1 and "3 done, 0 skipped, 1 failed" in told
    assert err.splitlines()[0] == f"lhic: error: {cubes / 'notes.txt'}: Permission denied"


def test_a_folder_that_cannot_be_entered_is_told(stored_models, tmp_path, cubes, capsys, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, *how: os.path.basename(path) != "below" and access(path, *how))
    code, _, err = encode_there(capsys, cubes, tmp_path / "out")
    assert code == 1 and f"lhic: error: {cubes / 'below'}: Permission denied\n" in err


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "nope"],
        ["--model", "stored", "--tuning-steps", "5"],
        ["--model", "stored", "--threads", "0"],
        ["--model", "gone.safetensors"],
        ["--model", "stored", "--max-error", "1", "--max-error-physical", "1"],
        ["--model", "stored", "--metadata", "gone.json"],
        ["--model", "stored", "--metadata", "-"],
    ],
)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_is_wrong_for_every_file_is_told_once(stored_models, tmp_path, cubes, capsys, options, n_jobs):
    code, told, err = run(capsys, "encode", cubes, "--out-dir", tmp_path / "out", "--jobs", n_jobs, *options)
    assert code == 2 and told == "" and len(err.splitlines()) == 1 and not (tmp_path / "out").exists()
    assert encode_there(capsys, cubes, tmp_path / "out")[0] == 0
    if len(options) == 2 or "--threads" in options:  # what decoding has, too
        code, told, err = run(capsys, "decode", tmp_path / "out", "--out-dir", tmp_path / "again", *options)
        assert code == 2 and told == "" and len(err.splitlines()) == 1 and not (tmp_path / "again").exists()


@pytest.mark.parametrize("tile", ["0x5", "5x0", "5", "5x", "5x99999999999", "\u00b2x5"])
def test_a_tile_that_none_can_be_is_refused_before_any_work(tmp_path, cubes, capsys, tile):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "encode", cubes, "--out-dir", tmp_path / "out", "--tile", tile)
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    assert "expected rows and columns as in 64x64" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_no_name_is_no_folder(tmp_path, cubes, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, told, err = run(capsys, name, cubes, "--out-dir", "")
    assert code == 2 and err == "lhic: error: --out-dir: expected a folder, found no name\n" and told == ""
    assert os.listdir(tmp_path) == ["in"]


def test_decoding_one_stream(stored_models, tmp_path, cubes, capsys):
    """The output may be left out, named by an option, or told by its suffix alone."""
    stream = tmp_path / "b.lhic"
    assert run(capsys, "encode", cubes / "b.hdr", stream, "--model", "stored", "--quiet")[0] == 0
    assert run(capsys, "decode", stream, "--quiet")[0] == 0
    assert (tmp_path / "b.dat").read_bytes() == (cubes / "b.dat").read_bytes()
    assert run(capsys, "decode", stream, "-o", tmp_path / "c.npy", "--quiet")[0] == 0
    assert run(capsys, "decode", stream, "--format", "npy", "--quiet")[0] == 0
    assert np.array_equal(np.load(tmp_path / "b.npy"), scene()) and np.array_equal(np.load(tmp_path / "c.npy"), scene())
    code, _, err = run(capsys, "decode", stream, "--format", "jpg", "--quiet")
    assert code == 2 and "--format: expected one of" in err
    code, _, err = run(capsys, "decode", stream, "--tile", "0", "--quiet")
    assert code == 2 and "a name for the output" in err


def fails(job):
    raise {"known": InvalidCubeError("known"), "other": ValueError("two\nlines"), "system": OSError(5, "broken")}[
        job.source
    ]


def test_whatever_is_raised_fails_its_job_alone():
    jobs = [batch.Job(name, "out") for name in ("known", "other", "system")]
    found = list(batch.run(jobs, fails, 1))
    assert [outcome.error for outcome in found] == ["known", "other: ValueError: two lines", "system: broken"]
    assert all(outcome.status == "failed" for outcome in found)
    assert sorted(outcome.error for outcome in batch.run(jobs, fails, 2)) == sorted(o.error for o in found)


def dies_of_one(job):
    if job.source == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return batch.Outcome(job, "done")


def test_a_process_that_dies_costs_its_own_file():
    jobs = [batch.Job(str(number), "out") for number in range(5)]
    found = {outcome.job.source: outcome for outcome in batch.run(jobs, dies_of_one, 2)}
    assert found.pop("1").error == "1: expected its process to live, found SIGKILL"
    assert sorted(found) == ["0", "2", "3", "4"] and {outcome.status for outcome in found.values()} == {"done"}


SLOW = """import sys, time
from lhic.families import registry
from tests.stored_family import StoredModel
registry.FAMILIES["stored"] = "tests.stored_family"
StoredModel.encode_tiles = StoredModel.decode_tiles = lambda *arguments: time.sleep(60)
if __name__ == "__main__":
    from lhic.__main__ import main
    sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [["encode", "--model", "stored"], ["decode"], ["decode", "--format", "hdr"]])
def test_a_signal_ends_what_runs_and_nothing_more_begins(stored_models, tmp_path, options, number):
    """Also the second one, while the first one has its effect."""
    for n in range(6):
        source = _saved(tmp_path / f"{n}.npy", scene())
        lhic.encode_file(source, tmp_path / f"{n}.lhic", "stored")
    (tmp_path / "slow.py").write_text(SLOW)
    out = tmp_path / "out"
    files = sorted(map(str, tmp_path.glob("*.npy" if options[0] == "encode" else "*.lhic")))
    command = [sys.executable, str(tmp_path / "slow.py"), *options, *files, "--out-dir", str(out)]
    command += ["--jobs", "2", "--quiet"]
    heeded = functools.partial(signal.signal, number, signal.SIG_DFL)  # who runs the tests may ignore it
    keywords = {"env": os.environ | {"PYTHONPATH": str(REPOSITORY)}, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=heeded, start_new_session=True, **keywords) as process:
        while len(list(out.glob("*.partial"))) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        began = time.monotonic()
        send = os.killpg if number == signal.SIGINT else os.kill  # as a terminal does, and as a user
        send(process.pid, number)
        time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            send(process.pid, number)
        _, err = process.communicate(timeout=50)
    assert time.monotonic() - began < 20, "a file takes 60 seconds"
    how = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert (process.returncode, err) == (128 + number, f"lhic: error: {how}; nothing is half-written\n")
    assert list(out.iterdir()) == []
    with pytest.raises(ProcessLookupError):  # nobody of its session is left, soon
        for _ in range(1000):
            os.killpg(process.pid, 0)
            time.sleep(0.01)


def test_diff_says_what_differs(stored_models, tmp_path, cubes, capsys):
    stream = tmp_path / "b.lhic"
    run(capsys, "encode", cubes / "b.hdr", stream, "--model", "stored", "--quiet")
    code, told, err = run(capsys, "diff", cubes / "b.hdr", stream)
    assert code == 0 and "equal samples, metadata and arrays" in told and err == ""
    changed = scene()
    changed[2, 3, 4] = 77
    lhic.encode_file(_saved(tmp_path / "c.npy", changed), tmp_path / "c.lhic", "stored", metadata={"unit": "W"})
    code, told, err = run(capsys, "diff", stream, tmp_path / "c.lhic")
    assert code == 1 and "differ" in err
    assert "samples: 1 of 8160 differ" in told and "the first at band 2, row 3, column 4: -32768 and 77" in told
    assert "metadata: unit: nothing in" in told
    code, told, _ = run(capsys, "diff", stream, _saved(tmp_path / "d.npy", changed[:5]))
    assert code == 1 and "shape: (24, 20, 17) in" in told
    shutil.copy(stream, tmp_path / "cut.lhic")
    (tmp_path / "cut.lhic").write_bytes(stream.read_bytes()[:-1])
    assert run(capsys, "diff", stream, tmp_path / "cut.lhic")[0] == 1


def _saved(path, cube):
    np.save(path, cube)
    return path


def test_export_is_for_any_reader(stored_models, tmp_path, cubes, capsys):
    rasterio = pytest.importorskip("rasterio")
    zarr = pytest.importorskip("zarr")
    np.save(cubes / "c.npy", np.tile(scene(), (1, 30, 31)))
    said = {"crs": "EPSG:32633", "transform": [30, 0, 300000, 0, -30, 5000000], "nodata": -32768}
    lhic.encode_file(cubes / "c.npy", tmp_path / "c.lhic", "stored", metadata=said)
    for name in ("c.tif", "c.zarr", "c.hdr", "c.nc"):
        assert run(capsys, "export", tmp_path / "c.lhic", tmp_path / name, "--quiet")[0] == 0, name
        _, told, err = run(capsys, "diff", tmp_path / "c.lhic", tmp_path / name)
        assert "samples" not in told.replace("equal samples", "") and "crs" not in told, told + err
    with rasterio.open(tmp_path / "c.tif") as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.overviews(1) and raster.nodata == -32768
        assert raster.crs.to_epsg() == 32633 and raster.transform[0] == 30
    attributes = zarr.open_group(tmp_path / "c.zarr", mode="r").attrs
    assert attributes["proj:code"] == "EPSG:32633" and attributes["spatial:transform"] == said["transform"]


def test_an_export_has_the_tags_of_a_geotiff(stored_models, tmp_path, capsys):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "count": 24, "height": 20, "width": 17, "dtype": "int16", "crs": "EPSG:32633"}
    place = rasterio.Affine(30, 0, 300000, 0, -30, 5000000)
    with rasterio.open(tmp_path / "a.tif", "w", transform=place, **profile) as raster:
        raster.write(scene())
        raster.update_tags(mission="a mission", AREA_OR_POINT="Point")
    lhic.encode_file(tmp_path / "a.tif", tmp_path / "a.lhic", "stored")
    assert run(capsys, "export", tmp_path / "a.lhic", tmp_path / "b.tif", "--quiet")[0] == 0
    with rasterio.open(tmp_path / "b.tif") as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.transform == place
        assert raster.tags()["mission"] == "a mission" and raster.tags()["AREA_OR_POINT"] == "Point"


def test_inputs_are_looked_for_before_any_work(stored_models, tmp_path, cubes, capsys):
    code, _, err = run(
        capsys, "encode", cubes, tmp_path / "gone.npy", "--out-dir", tmp_path / "out", "--model", "stored"
    )
    assert code == 2 and "gone.npy: expected a file or a folder, found nothing there" in err
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_name_for_an_output(stored_models, tmp_path, cubes, capsys):
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run(capsys, "encode", cubes / "a.npy", cubes / "below", "--model", "stored")
    assert code == 2 and "found a folder: --out-dir writes into it" in err and sorted(tmp_path.rglob("*")) == before


def test_a_download_that_broke_off_is_not_passed_over(stored_models, tmp_path, cubes, capsys):
    (cubes / "empty.npy").write_bytes(b"")
    code, told, err = run(capsys, "encode", cubes, "--out-dir", tmp_path / "out", "--model", "stored", "--quiet")
    assert code == 1 and "3 done, 0 skipped, 1 failed" in told and "empty.npy" in err


@pytest.mark.parametrize("bound", ["-1", "nan", "much"])
def test_options_are_checked_before_any_work(tmp_path, cubes, capsys, bound):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "encode", cubes, "--out-dir", tmp_path / "out", f"--max-error={bound}")
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    assert "expected a finite number of 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize("n_files", [1, 2])
@pytest.mark.parametrize("n_jobs", ["0", "-1"])
def test_jobs_are_at_least_one(stored_models, tmp_path, cubes, capsys, n_files, n_jobs):
    files = [cubes / "a.npy", cubes / "b.hdr"][:n_files]
    code, told, err = run(capsys, "encode", *files, "--jobs", n_jobs, "--model", "stored", "--quiet")
    assert code == 2 and told == "" and not list(cubes.glob("*.lhic"))
    assert err == f"lhic: error: --jobs: expected a whole number of at least 1, found {n_jobs}\n"


def test_a_file_in_the_place_of_a_folder_is_told(stored_models, tmp_path, cubes, capsys):
    (tmp_path / "out").write_text("a file")
    encode = "encode", cubes, "--model", "stored", "--quiet", "--out-dir"
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper" / "still"):
        code, _, err = run(capsys, *encode, folder)
        assert code == 2 and err == f"lhic: error: --out-dir: {tmp_path / 'out'}: expected a folder, found a file\n"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "below").write_text("a file")
    code, told, err = run(capsys, *encode, tmp_path / "other")  # which is in the way of one file alone
    assert code == 1 and f"{tmp_path / 'other' / 'below'}: expected a folder, found a file" in err
    assert "2 done, 0 skipped, 1 failed" in told
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_stream_among_the_files_is_an_error_as_it_is_alone(stored_models, tmp_path, cubes, capsys, is_beside):
    stream = cubes / "b.lhic"
    assert run(capsys, "encode", cubes / "b.hdr", stream, "--model", "stored")[0] == 0
    out = [] if is_beside else ["--out-dir", tmp_path / "out"]
    shutil.copy(cubes / "a.npy", cubes / "c.npy")
    files = [cubes / "a.npy", stream, cubes / "c.npy"]
    for n_done, n_skipped in ((2, 0), (0, 2)):
        code, told, err = run(capsys, "encode", *files, *out, "--model", "stored", "--quiet")
        assert code == 1 and f"{n_done} done, {n_skipped} skipped, 1 failed" in told
        assert f"lhic: error: {stream}: expected a file of a known format" in err and "it is encoded already" in err
    code, _, alone = run(capsys, "encode", stream, "--model", "stored", "--quiet")
    assert code == 1 and alone.splitlines()[0] in err
    if not is_beside:  # done before from something else, and younger
        shutil.copy(tmp_path / "out" / "a.lhic", tmp_path / "out" / "b.lhic")
        code, told, err = run(capsys, "encode", *files, *out, "--model", "stored", "--quiet")
        assert code == 1 and "0 done, 2 skipped, 1 failed" in told and "it is encoded already" in err
    code, told, err = run(capsys, "decode", stream, cubes / "a.npy", "--out-dir", tmp_path / "again", "--quiet")
    assert code == 1 and "a.npy: preamble: expected an lhic stream" in err and "1 done, 0 skipped, 1 failed" in told


def test_what_was_done_with_other_options_is_told(stored_models, tmp_path, cubes, capsys):
    out = tmp_path / "out"
    bounded = ["--max-error", "3"]
    encode = ["encode", cubes / "a.npy", cubes / "b.hdr", "--out-dir", out, "--quiet", "--force"]
    assert run(capsys, *encode, "--model", "stored", *bounded)[0] == 0
    contents = {path: path.read_bytes() for path in out.iterdir()}
    encode.remove("--force")

    def refused(expected, *options):
        code, told, err = run(capsys, *encode, *options)
        assert code == 1 and "0 done, 0 skipped, 2 failed" in told
        assert f"{out / 'a.lhic'}: expected a stream with {expected}" in err and "--force does it again" in err
        assert len(err.splitlines()) == 3 and {path: path.read_bytes() for path in out.iterdir()} == contents

    code, told, _ = run(capsys, *encode, "--model", "stored", *bounded)
    assert code == 0 and "0 done, 2 skipped, 0 failed" in told
    refused("max_error 0, found 3", "--model", "stored")
    refused("max_error 2, found 3", "--model", "stored", "--max-error", "2")
    refused("model stored-too of ", "--model", "stored-too", *bounded)
    refused("tile_shape [5, 6], found [8, 8]", "--model", "stored", *bounded, "--tile", "5x6")
    code, told, _ = run(capsys, *encode, "--model", "stored-too", "--force")
    assert code == 0 and "2 done" in told and lhic.inspect(out / "a.lhic")["max_error"] == 0


def test_what_was_done_with_a_bound_in_the_unit_of_the_scale_is_known_again(stored_models, tmp_path, cubes, capsys):
    (tmp_path / "scale.json").write_text('{"scale": 0.1}')
    encode = ["encode", cubes / "a.npy", "--out-dir", tmp_path / "out", "--metadata", tmp_path / "scale.json"]
    encode += ["--model", "stored", "--quiet", "--max-error-physical"]
    assert run(capsys, *encode, "0.3")[0] == 0
    assert "0 done, 1 skipped" in run(capsys, *encode, "0.3")[1]
    code, _, err = run(capsys, *encode, "0.2")
    assert code == 1 and "expected a stream with max_error 2, found 3" in err


def test_samples_as_they_are_stand_for_any_model_and_bound(stored_models, tmp_path, capsys):
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, (4, 9, 10)).astype("int16")
    np.save(tmp_path / "a.npy", noise)
    encode = ["encode", tmp_path / "a.npy", "--out-dir", tmp_path / "out", "--model", "stored", "--quiet"]
    assert run(capsys, *encode)[0] == 0 and lhic.inspect(tmp_path / "out" / "a.lhic")["family"] == "raw"
    assert "1 skipped" in run(capsys, *encode, "--max-error", "1")[1]
