"""The script for QGIS, above stand-ins for the few classes of QGIS that it takes."""

import importlib.util
import stat
import sys
import types

import numpy as np
import pytest

import lhic
from tests.common import REPOSITORY

SCRIPT = REPOSITORY / "contrib" / "qgis" / "lhic_to_geotiff.py"


class Algorithm:
    """What `QgsProcessingAlgorithm` gives to its subclasses."""

    def __init__(self):
        self.parameters = []

    def addParameter(self, parameter):
        self.parameters.append(parameter)

    def parameterAsFile(self, parameters, name, context):
        return parameters[name]

    parameterAsString = parameterAsOutputLayer = parameterAsFile


class Feedback:
    def __init__(self, cancel_after=None):
        self.told, self.asked, self.cancel_after = [], 0, cancel_after

    def pushInfo(self, text):
        self.told.append(text)

    pushCommandInfo = pushInfo

    def isCanceled(self):
        self.asked += 1
        return self.cancel_after is not None and self.asked > self.cancel_after


@pytest.fixture
def script(monkeypatch):
    core = types.ModuleType("qgis.core")
    core.QgsProcessingAlgorithm = Algorithm
    core.QgsProcessingException = type("QgsProcessingException", (Exception,), {})
    for name in ("File", "RasterDestination", "String"):
        setattr(core, f"QgsProcessingParameter{name}", lambda *names, **options: (names, options))
    monkeypatch.setitem(sys.modules, "qgis", types.ModuleType("qgis"))
    monkeypatch.setitem(sys.modules, "qgis.core", core)
    spec = importlib.util.spec_from_file_location("lhic_to_geotiff", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(folder, text):
    path = folder / "lhic"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_it_says_what_it_is(script):
    algorithm = script.LhicToGeoTiff().createInstance()
    algorithm.initAlgorithm()
    assert [names[0] for names, _ in algorithm.parameters] == ["INPUT", "PROGRAM", "OUTPUT"]
    assert algorithm.name().isalnum() and algorithm.displayName() == "lhic to GeoTIFF" and algorithm.group() == "lhic"
    assert "lhic[formats]" in algorithm.shortHelpString() and algorithm.groupId() == "lhic"


@pytest.mark.slow
def test_a_stream_becomes_a_geotiff(script, stored_models, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    cube = np.arange(4 * 30 * 20, dtype="int16").reshape(4, 30, 20)
    said = {"crs": "EPSG:32633", "transform": [30, 0, 300000, 0, -30, 5000000]}
    (tmp_path / "a.lhic").write_bytes(lhic.encode(cube, metadata=said))
    command = program(tmp_path, f'PYTHONPATH={REPOSITORY} exec {sys.executable} -m lhic "$@"')
    where = {"INPUT": str(tmp_path / "a.lhic"), "OUTPUT": str(tmp_path / "a.tif"), "PROGRAM": command}
    feedback = Feedback()
    assert script.LhicToGeoTiff().processAlgorithm(where, None, feedback) == {"OUTPUT": where["OUTPUT"]}
    with rasterio.open(where["OUTPUT"]) as raster:
        assert np.array_equal(raster.read(), cube) and raster.crs.to_epsg() == 32633
    assert feedback.told[0].endswith("a.tif --force --quiet")
    (tmp_path / "a.lhic").write_bytes(b"GIF89a")
    with pytest.raises(
        script.QgsProcessingException, match=r"lhic: error: .*a\.lhic: preamble: expected an lhic stream"
    ):
        script.LhicToGeoTiff().processAlgorithm(where, None, Feedback())


def test_failures_are_told(script, tmp_path):
    where = {"INPUT": "a.lhic", "OUTPUT": str(tmp_path / "a.tif"), "PROGRAM": str(tmp_path / "none")}
    with pytest.raises(script.QgsProcessingException, match="expected the program lhic, found none"):
        script.LhicToGeoTiff().processAlgorithm(where, None, Feedback())
    with pytest.raises(script.QgsProcessingException, match=r"expected an output \.tif"):
        script.LhicToGeoTiff().processAlgorithm({**where, "OUTPUT": "a.png"}, None, Feedback())
    where["PROGRAM"] = program(tmp_path, "exit 3")
    with pytest.raises(script.QgsProcessingException, match="exit code 3"):
        script.LhicToGeoTiff().processAlgorithm(where, None, Feedback())


def test_the_user_may_cancel(script, tmp_path):
    where = {"INPUT": "a.lhic", "OUTPUT": str(tmp_path / "a.tif"), "PROGRAM": program(tmp_path, "exec sleep 60")}
    with pytest.raises(script.QgsProcessingException, match="cancelled"):
        script.LhicToGeoTiff().processAlgorithm(where, None, Feedback(cancel_after=1))
