"""lhic inside enb, and enb's results as rows; the CSV files were written by enb 1.1.3 with `contrib/enb`."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import lhic
from benchmarks.measure import collection, enb_rows, provenance
from lhic.errors import DatasetError, UsageError
from tests.common import REPOSITORY

HERE = Path(__file__).parent / "enb"
EXPERIMENT = HERE / "persistence_LosslessCompressionExperiment.csv"
CODEC = REPOSITORY / "contrib" / "enb" / "lhic_codec.py"
RAMP = np.add.outer(np.arange(6) * 10, np.add.outer(np.arange(20), np.arange(30)))


class LosslessCodec:
    """What `enb.icompression.LosslessCodec` 1.1.3 gives to its subclasses."""

    def __init__(self, param_dict):
        self.param_dict = dict(param_dict)

    def compression_results_from_paths(self, original_path, compressed_path):
        return types.SimpleNamespace(compression_time_seconds=None)

    def decompression_results_from_paths(self, compressed_path, reconstructed_path):
        return types.SimpleNamespace(decompression_time_seconds=None)


@pytest.fixture
def codec(monkeypatch):
    """The class, above a base that stands in for enb's."""
    stub = types.ModuleType("enb")
    stub.icompression = types.SimpleNamespace(LosslessCodec=LosslessCodec)
    monkeypatch.setitem(sys.modules, "enb", stub)
    spec = importlib.util.spec_from_file_location("lhic_codec", CODEC)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lhic_codec", module)
    spec.loader.exec_module(module)
    assert print.__module__ == "builtins", "print is put back"
    return module.Lhic


def info(dtype, shape=RAMP.shape):
    """A row of enb's `ImagePropertiesTable`."""
    dtype = np.dtype(dtype)
    described = {"component_count": shape[0], "height": shape[1], "width": shape[2], "float": dtype.kind == "f"}
    described |= {"bytes_per_sample": dtype.itemsize, "signed": dtype.kind != "u"}
    return described | {"big_endian": dtype.newbyteorder("=") != dtype or dtype.itemsize == 1}


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i2", ">i4"])
def test_a_file_comes_back_byte_by_byte(codec, tmp_path, dtype):
    names = [str(tmp_path / name) for name in ("original", "compressed", "reconstructed")]
    RAMP.astype(dtype).tofile(names[0])
    lhic_ax = codec("lhic-ax-fast")
    assert lhic_ax.label == "lhic-ax-fast" and lhic_ax.param_dict == {"model": "lhic-ax-fast", "threads": 1}
    coded = lhic_ax.compress(names[0], names[1], info(dtype))
    decoded = codec("lhic-ax-fast").decompress(names[1], names[2], None)
    assert coded.compression_time_seconds > 0 and decoded.decompression_time_seconds > 0
    assert Path(names[0]).read_bytes() == Path(names[2]).read_bytes()
    assert tuple(lhic.inspect(Path(names[1]).read_bytes())["shape"]) == RAMP.shape


@pytest.mark.parametrize("dtype, shape, message", [("<f4", RAMP.shape, "floats"), ("<i2", (6, 20, 31), "3720 samples")])
def test_a_file_that_cannot_be_coded_is_told(codec, tmp_path, dtype, shape, message):
    RAMP.astype(dtype).tofile(tmp_path / "original")
    with pytest.raises(ValueError, match=message):
        codec().compress(str(tmp_path / "original"), str(tmp_path / "compressed"), info(dtype, shape))
    assert not (tmp_path / "compressed").exists()


def test_results_of_enb_become_rows(tmp_path):
    target = tmp_path / "enb.parquet"
    assert enb_rows.collect_enb(EXPERIMENT, target) == 4
    rows, (run,) = collection.read(target)
    assert run == {
        "source": f"enb, {EXPERIMENT.name}", "machine": provenance.machine(), "cores": provenance.n_cores()
    }  # fmt: skip
    row = next(row for row in rows if row["cube"].startswith("moor") and "fast" in row["codec"])
    assert (row["dataset"], row["cube"], row["form"]) == ("enb ds", "moor-s16le-6x20x30", "as-measured")
    assert (row["bands"], row["rows"], row["columns"], row["dtype"], row["n_samples"]) == (6, 20, 30, "int16", 3600)
    assert (row["codec"], row["bytes"]) == ("Lhic__model=lhic-ax-fast_threads=1", 1945)
    assert row["bps"] == 8 * 1945 / 3600 and row["encode_s"] == 0.027468520998809254
    assert json.loads(row["settings"]) == {"model": "lhic-ax-fast", "threads": 1}
    assert (row["value_min"], row["value_max"], row["provenance"]) == (-71, -28, "this machine")
    assert row["error"] == row["cube_sha256"] == "" and row["date"].endswith("+00:00")
    with pytest.raises(UsageError):
        enb_rows.collect_enb(EXPERIMENT, target)


def test_with_the_images_at_hand_rows_have_the_hash_of_the_samples(tmp_path):
    (tmp_path / "ds").mkdir()
    lake, moor = RAMP.astype(">u2"), (RAMP - 50).astype("<i2")
    lake.tofile(tmp_path / "ds" / "lake-u16be-6x20x30.raw")
    moor.tofile(tmp_path / "ds" / "moor-s16le-6x20x30.raw")
    rows = enb_rows.read_enb(EXPERIMENT, HERE / enb_rows.IMAGES_FILE, tmp_path)
    expected = {provenance.cube_sha256(cube.astype(cube.dtype.newbyteorder("="))) for cube in (lake, moor)}
    assert {row["cube_sha256"] for row in rows} == expected
    (tmp_path / "ds" / "moor-s16le-6x20x30.raw").write_bytes(b"short")
    with pytest.raises(DatasetError, match=r"moor-s16le-6x20x30\.raw: expected int16 samples of \(6, 20, 30\)"):
        enb_rows.read_enb(EXPERIMENT, HERE / enb_rows.IMAGES_FILE, tmp_path)


def test_a_loss_is_an_error_and_foreign_files_are_told(tmp_path):
    images = tmp_path / enb_rows.IMAGES_FILE
    shutil.copy(HERE / enb_rows.IMAGES_FILE, images)
    lossy = tmp_path / "experiment.csv"
    lossy.write_text(EXPERIMENT.read_text().replace(",True,", ",False,", 1))
    errors = [row.get("error", "") for row in enb_rows.read_enb(lossy, images)]
    assert errors == ["not lossless", "", "", ""]
    with pytest.raises(DatasetError, match="expected a column task_name, found"):
        enb_rows.read_enb(images, images)
    images.write_text("\n".join(images.read_text().splitlines()[:2]))
    with pytest.raises(DatasetError, match=r"expected properties of every image, found none of ds/moor"):
        enb_rows.read_enb(lossy, images)
    with pytest.raises(DatasetError, match="gone: expected a CSV file of enb, found No such file"):
        enb_rows.read_enb(tmp_path / "gone", images)


RUN = """
import enb
from lhic_codec import Lhic
enb.config.options.base_dataset_dir = "."
enb.config.options.persistence_dir = "results"
codecs = [Lhic("lhic-ax-fast")]
enb.icompression.LosslessCompressionExperiment(codecs=codecs).get_df()
"""


@pytest.mark.slow
def test_enb_itself_runs_the_codec(tmp_path):
    if importlib.util.find_spec("enb") is None:
        pytest.skip("needs enb: pip install '.[enb]'")
    (tmp_path / "ds").mkdir()
    RAMP.astype(">u2").tofile(tmp_path / "ds" / "lake-u16be-6x20x30.raw")
    (tmp_path / "run.py").write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(CODEC.parent)])}
    command = [sys.executable, "run.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = enb_rows.read_enb(tmp_path / "results" / EXPERIMENT.name, tmp_path / "results" / enb_rows.IMAGES_FILE)
    assert "error" not in row and row["codec"] == "Lhic__model=lhic-ax-fast_threads=1"
    cube = RAMP.astype("uint16")
    assert row["bytes"] == len(lhic.encode(cube, "lhic-ax-fast", "cpu", metadata={"enb_byte_order": ">"}))
