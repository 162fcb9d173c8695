"""lhic as a codec of enb, the Experiment Notebook: ``enb.icompression`` experiments measure it beside their own codecs.

The stream holds shape, dtype and checksums, and of the byte order of the file one word in its metadata, so that
decompression needs nothing else.  Times are those of coding alone: kernels are compiled before, files are read and
written outside.
"""

from __future__ import annotations

import builtins
import time
from pathlib import Path

import numpy as np
from enb import icompression

import lhic


def _print(*words: object) -> None:
    """Only ever stands in for ``print`` while numba is imported."""


# enb puts a method in the place of ``print``, and numba, which registers it, wants a function of a module.
_of_enb, builtins.print = builtins.print, _print
try:
    import numba  # noqa: F401
finally:
    builtins.print = _of_enb

BYTE_ORDER = "enb_byte_order"  # metadata of the stream: ">" or "<"
WARM_UP_SHAPE = (48, 8, 8)  # a few pixels, and more bands than any predictor here looks back


class Lhic(icompression.LosslessCodec):
    """Lossless coding of integer BSQ files (8 to 32 bits) with a model of lhic.

    Parameters
    ----------
    model : name of weights (``lhic models`` lists them) or a path
    threads : that may compute
    """

    def __init__(self, model: str = lhic.DEFAULT_MODEL, threads: int = 1):
        super().__init__(param_dict={"model": model, "threads": threads})
        self._is_warm = False

    @property
    def label(self) -> str:
        """As it stands in enb's tables and plots."""
        return self.param_dict["model"]

    def compress(self, original_path: str, compressed_path: str, original_file_info=None):
        """Code a file whose geometry and type enb has read from its name."""
        cube = _read(original_path, original_file_info)
        self._warm_up(cube)
        byte_order = ">" if original_file_info["big_endian"] else "<"
        start = time.perf_counter()
        stream = lhic.encode(
            cube, self.param_dict["model"], "cpu", metadata={BYTE_ORDER: byte_order}, threads=self.param_dict["threads"]
        )
        seconds = time.perf_counter() - start
        Path(compressed_path).write_bytes(stream)
        results = self.compression_results_from_paths(original_path, compressed_path)
        results.compression_time_seconds = seconds
        return results

    def decompress(self, compressed_path: str, reconstructed_path: str, original_file_info=None):
        """Write the file that was compressed; `original_file_info` is not used."""
        stream = Path(compressed_path).read_bytes()
        byte_order = lhic.inspect(stream)["metadata"][BYTE_ORDER]
        start = time.perf_counter()
        cube = lhic.decode(stream, "cpu", threads=self.param_dict["threads"])
        seconds = time.perf_counter() - start
        cube.astype(cube.dtype.newbyteorder(byte_order), copy=False).tofile(reconstructed_path)
        results = self.decompression_results_from_paths(compressed_path, reconstructed_path)
        results.decompression_time_seconds = seconds
        return results

    def _warm_up(self, cube: np.ndarray) -> None:
        if not self._is_warm:
            corner = np.ascontiguousarray(cube[tuple(map(slice, WARM_UP_SHAPE))])
            lhic.decode(lhic.encode(corner, self.param_dict["model"], "cpu"), "cpu")
            self._is_warm = True


def _read(path: str, info) -> np.ndarray:
    """The samples of a BSQ file, (S, H, W), native byte order.

    Raises
    ------
    ValueError
        Floats, which lhic does not code, or another number of samples than the geometry says.
    """
    if info["float"]:
        raise ValueError(f"{path}: expected integers, found floats")
    kind, order = "i" if info["signed"] else "u", ">" if info["big_endian"] else "<"
    samples = np.fromfile(path, f"{order}{kind}{info['bytes_per_sample']}")
    shape = info["component_count"], info["height"], info["width"]
    if samples.size != np.prod(shape):
        raise ValueError(f"{path}: expected {np.prod(shape)} samples of {shape}, found {samples.size}")
    return samples.astype(samples.dtype.newbyteorder("="), copy=False).reshape(shape)
