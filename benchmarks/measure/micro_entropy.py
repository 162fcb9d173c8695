"""Speed of the entropy coder: symbols per second of each of its parts, on one core.

Prints rows of CSV: part, symbols, median, fastest and slowest million symbols per second, machine and versions.
Compilation is not counted: each part runs once before it is timed.

    python -m benchmarks.measure.micro_entropy [--symbols 2000000] [--repeats 7]
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import sys
import time

import numba
import numpy as np

from lhic.coder import Mixture, RansDecoder, RansEncoder, cdf_from_weights, decode_symbols, interval, intervals_of

PRECISION = 16
N_LANES = 32
N_COMPONENTS = 10
ALPHABET_SIZE = 256


def fixed_distribution(n_symbols: int) -> dict:
    """The coder alone: symbols of one peaked distribution of 256."""
    rng = np.random.default_rng(0)
    weights = np.int64(1e6 * np.exp2(-np.abs(np.arange(ALPHABET_SIZE) - 100) / 8)) + 1
    cdf = cdf_from_weights(weights, PRECISION)
    symbols = rng.choice(ALPHABET_SIZE, n_symbols, p=np.diff(cdf.astype(np.int64)) / 2**PRECISION)
    starts, freqs = intervals_of(cdf, symbols)

    def filled():
        encoder = RansEncoder(N_LANES, PRECISION)
        encoder.push(starts, freqs)
        return encoder

    data = filled().finish()
    return {
        "rans encode": (filled, lambda encoder: encoder.finish()),
        "rans decode": (
            lambda: RansDecoder(data, N_LANES, PRECISION),
            lambda decoder: decoder.decode_table(cdf, n_symbols),
        ),
    }


def mixture_distribution(n_symbols: int) -> dict:
    """A mixture of ten for each symbol: intervals in the encoder, search and coder in the decoder."""
    rng = np.random.default_rng(1)
    shape = (n_symbols, N_COMPONENTS)
    centre = rng.integers(0, ALPHABET_SIZE << 8, (n_symbols, 1))
    mixture = Mixture(
        (centre + rng.normal(0, 2000, shape)).astype(np.int32),
        rng.integers(320, 416, shape, dtype=np.int32),  # 4 to 32 symbols
        rng.integers(-100, 1, shape, dtype=np.int32),
    )
    symbols = np.clip((centre[:, 0] + rng.normal(0, 2000, n_symbols)).astype(np.int64) >> 8, 0, ALPHABET_SIZE - 1)
    encoder = RansEncoder(N_LANES, PRECISION)
    encoder.push(*interval(mixture, symbols, ALPHABET_SIZE, PRECISION))
    data = encoder.finish()
    return {
        f"mixture of {N_COMPONENTS}: intervals": (
            lambda: None,
            lambda _: interval(mixture, symbols, ALPHABET_SIZE, PRECISION),
        ),
        f"mixture of {N_COMPONENTS}: decode": (
            lambda: RansDecoder(data, N_LANES, PRECISION),
            lambda decoder: decode_symbols(mixture, decoder, ALPHABET_SIZE),
        ),
    }


def measure(prepare, run, n_symbols: int, repeats: int) -> list[float]:
    """Million symbols per second of each repeat, after one that is not counted."""
    speeds = []
    for _ in range(repeats + 1):
        state = prepare()
        begin = time.perf_counter()
        run(state)
        speeds.append(n_symbols / (time.perf_counter() - begin) / 1e6)
    return speeds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows = csv.writer(sys.stdout)
    columns = ["part", "symbols", "median_msps", "slowest_msps", "fastest_msps", "machine", "python", "numpy", "numba"]
    rows.writerow(columns)
    versions = [platform.processor() or platform.machine(), platform.python_version()]
    versions += [np.__version__, numba.__version__]
    # A tenth as many mixtures: their parameters take 120 bytes a symbol.
    for make, n in ((fixed_distribution, arguments.symbols), (mixture_distribution, arguments.symbols // 10)):
        for part, (prepare, run) in make(n).items():
            speeds = measure(prepare, run, n, arguments.repeats)
            figures = [f"{value:.1f}" for value in (statistics.median(speeds), min(speeds), max(speeds))]
            rows.writerow([part, n, *figures, *versions])


if __name__ == "__main__":
    main()
