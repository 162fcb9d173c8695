"""Speed of our CCSDS 123.0-B-2: samples per second of encoding, decoding and their parts, on one core.

Prints rows of CSV: part, cube, samples, D, P, coder, bits per sample, median, slowest and fastest million samples per
second, machine and versions.  Compilation is not counted: each part runs once before it is timed.  Seconds are
those of the wall clock; with ``--cpu-time`` those the process ran, for a machine that others use at the same time.

    python -m benchmarks.measure.micro_ccsds123 CUBE.npy [CUBE.npy ...] [--repeats 7] [--cpu-time]
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from lhic.ccsds123 import Parameters, decode, default_parameters, encode
from lhic.ccsds123.hybrid_kernels import decode_hybrid, encode_hybrid
from lhic.ccsds123.predictor_kernels import map_samples, unmap_samples
from lhic.ccsds123.sample_adaptive_kernels import decode_sample_adaptive, encode_sample_adaptive

CODERS = {
    "sample-adaptive": (encode_sample_adaptive, decode_sample_adaptive),
    "hybrid": (encode_hybrid, decode_hybrid),
}
CHOICES = ((3, "sample-adaptive"), (3, "hybrid"), (15, "sample-adaptive"), (0, "sample-adaptive"))


def parts(cube: np.ndarray, p: Parameters) -> tuple[dict[str, Callable], float]:
    """What is timed, by name, and the bits per sample of the whole.

    Raises
    ------
    AssertionError
        When the cube does not come back: speed of a wrong codec is not worth a row.
    """
    encode_body, decode_body = CODERS[p.entropy_coder]
    indices = map_samples(cube, p)
    body, _ = encode_body(indices, p)
    data = encode(cube, p)
    assert np.array_equal(decode(data), cube)
    work = {
        "encode": lambda: encode(cube, p),
        "decode": lambda: decode(data),
        "predict, encoder": lambda: map_samples(cube, p),
        "predict, decoder": lambda: unmap_samples(indices, p),
        "entropy, encoder": lambda: encode_body(indices, p),
        "entropy, decoder": lambda: decode_body(body, p),
    }
    return work, 8 * len(data) / cube.size


def speeds(work: Callable, n_samples: int, repeats: int, clock: Callable[[], float]) -> list[float]:
    """Million samples per second of each repeat, after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        begin = clock()
        work()
        found.append(n_samples / (clock() - begin) / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cubes", nargs="+", type=Path, metavar="CUBE.npy")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    rows = csv.writer(sys.stdout)
    columns = ["part", "cube", "samples", "D", "P", "coder", "bps", "median_msps", "slowest_msps", "fastest_msps"]
    rows.writerow([*columns, "clock", "machine", "python", "numpy", "numba"])
    versions = [platform.processor() or platform.machine(), platform.python_version()]
    versions += [np.__version__, numba.__version__]
    for path in arguments.cubes:
        cube = np.load(path)
        for bands, coder in CHOICES:
            p = default_parameters(cube, dynamic_range=16, prediction_bands=bands, entropy_coder=coder)
            work, bps = parts(cube, p)
            for part, run in work.items():
                found = speeds(run, cube.size, arguments.repeats, clock)
                figures = [f"{value:.1f}" for value in (statistics.median(found), min(found), max(found))]
                setting = [part, path.stem, cube.size, p.dynamic_range, bands, coder, f"{bps:.3f}"]
                rows.writerow([*setting, *figures, clock.__name__, *versions])
                sys.stdout.flush()


if __name__ == "__main__":
    main()
