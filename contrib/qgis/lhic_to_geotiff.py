"""lhic to GeoTIFF, as an algorithm of QGIS's Processing toolbox (QGIS 3.22 or newer).

Runs the command ``lhic export`` in a process of its own, so that lhic and its libraries may be in any environment:
QGIS's Python need not have them.
"""

from __future__ import annotations

import subprocess
import threading

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterFile,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterString,
)

POLL_S = 0.2


class LhicToGeoTiff(QgsProcessingAlgorithm):
    """An lhic stream as a cloud-optimized GeoTIFF, with its coordinate system, wavelengths and scales."""

    INPUT, OUTPUT, PROGRAM = "INPUT", "OUTPUT", "PROGRAM"

    def name(self) -> str:
        return "lhictogeotiff"

    def displayName(self) -> str:
        return "lhic to GeoTIFF"

    def group(self) -> str:
        return "lhic"

    def groupId(self) -> str:
        return "lhic"

    def shortHelpString(self) -> str:
        return (
            "Decodes a hyperspectral cube from a .lhic stream, without loss, into a cloud-optimized GeoTIFF. "
            "The program is the command lhic, or the path of it in the environment where it is installed "
            "(pip install 'lhic[formats]')."
        )

    def createInstance(self) -> LhicToGeoTiff:
        return LhicToGeoTiff()

    def initAlgorithm(self, config: dict | None = None) -> None:
        self.addParameter(QgsProcessingParameterFile(self.INPUT, "lhic stream", extension="lhic"))
        self.addParameter(QgsProcessingParameterString(self.PROGRAM, "Program", defaultValue="lhic"))
        self.addParameter(QgsProcessingParameterRasterDestination(self.OUTPUT, "GeoTIFF"))

    def processAlgorithm(self, parameters: dict, context: object, feedback: object) -> dict:
        stream = self.parameterAsFile(parameters, self.INPUT, context)
        program = self.parameterAsString(parameters, self.PROGRAM, context)
        output = self.parameterAsOutputLayer(parameters, self.OUTPUT, context)
        if not output.lower().endswith((".tif", ".tiff")):
            raise QgsProcessingException(f"lhic: expected an output .tif, found {output}")
        # What a dialog of QGIS says may be replaced, it has asked about.
        run([program, "export", stream, output, "--force", "--quiet"], feedback)
        return {self.OUTPUT: output}


def run(command: list[str], feedback) -> None:
    """Run a command, tell what it says, and end it if the user does not want it any more.

    Raises
    ------
    QgsProcessingException
        It is not there, was ended, or failed: with the line in which it says why.
    """
    feedback.pushCommandInfo(" ".join(command))
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    except OSError as error:
        raise QgsProcessingException(f"{command[0]}: expected the program lhic, found none ({error})") from error
    said: list[str] = []
    reader = threading.Thread(target=_read, args=(process.stdout, said, feedback), daemon=True)
    reader.start()
    while True:
        try:
            code = process.wait(POLL_S)
            break
        except subprocess.TimeoutExpired:
            if feedback.isCanceled():
                process.terminate()  # lhic takes back what it has written
    reader.join()
    if feedback.isCanceled():
        raise QgsProcessingException("lhic: cancelled; nothing is written")
    if code:
        raise QgsProcessingException(said[-1] if said else f"lhic: ended with exit code {code}")


def _read(lines, said: list[str], feedback) -> None:
    for line in lines:
        said.append(line.rstrip())
        feedback.pushInfo(said[-1])
