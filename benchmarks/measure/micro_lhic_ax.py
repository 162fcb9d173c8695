"""Speed of lhic-ax's kernels: nanoseconds a sample of each stage of the walk, on one thread.

Codes some planes of a synthetic cube with random weights, stops in the middle of one, and repeats each stage there for
the same wave.  Prints rows of CSV: stage, samples of the wave, median, fastest and slowest in nanoseconds of processor
time a sample, multiply-accumulates a sample and their rate, the same rate of numpy's matrix product in this run (the
baseline), and what fraction of it the stage reaches.  Processor time, so that a busy machine disturbs it less.

    python -m benchmarks.measure.micro_lhic_ax [--side 128] [--repeats 7]
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import sys
import time
from typing import NamedTuple

import numba
import numpy as np
from numba import njit

from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import context, network, walk
from lhic.families.ax.cpu.skew import wave_rows
from lhic.families.ax.cpu.state import new_scratch, new_state
from lhic.families.ax.cpu.symbols import decode_wave, encode_wave, mixtures_of
from lhic.families.ax.integer_net import IntegerNet, shapes
from lhic.families.ax.levels import Levels
from lhic.families.ax.wavefront import n_waves

N_PLANES = 40
LOWER_BITS = 8
COLUMNS = (
    "stage", "samples", "median_ns", "fastest_ns", "slowest_ns", "macs", "gmacs_per_s", "matmul_gmacs_per_s",
    "of_matmul", "machine", "python", "numpy", "numba",
)  # fmt: skip


@njit
def repeat_predict(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        context.predict_wave(z, wave, first, n, shape[1], table, state, scratch)


@njit
def repeat_describe(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        context.describe_wave(z, wave, first, n, shape[0], shape[1], epoch, table, state, scratch)


@njit
def repeat_network(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        network.run_network(net, scratch, n)


@njit
def repeat_mixtures(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        mixtures_of(scratch.outputs, n, scratch.base, scratch.scale, scratch.logs[0], scratch.mixtures)


@njit
def repeat_learn(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        context.learn_wave(z, wave, first, n, shape[0], shape[1], epoch, table, state, scratch)


@njit
def repeat_normal_equations(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        context.learn_epoch(z, epoch, shape[0], shape[1], table, state, scratch)


@njit
def repeat_encode(times, z, wave, first, n, epoch, shape, levels, mixtures, coder):
    for _ in range(times):
        encode_wave(z, LOWER_BITS, levels, mixtures, coder.coded, n, coder.starts, coder.freqs, 0)


@njit
def repeat_decode(times, z, wave, first, n, epoch, shape, levels, mixtures, coder):
    for _ in range(times):
        if coder.cursor[1] + 2 * n > coder.words.size:
            coder.cursor[1] = 0
        decode_wave(z, LOWER_BITS, levels, mixtures, coder.coded, n, coder.states, coder.words, coder.cursor)


class Coder(NamedTuple):
    """What `encode_wave` writes and `decode_wave` reads: of random words levels come as often as they should."""

    coded: np.ndarray
    starts: np.ndarray
    freqs: np.ndarray
    states: np.ndarray
    words: np.ndarray
    cursor: np.ndarray


def random_coder(n: int, rng: np.random.Generator) -> Coder:
    return Coder(
        np.ones(n, bool), np.zeros(2 * n, np.uint32), np.zeros(2 * n, np.uint32), rng.integers(2**31, 2**62, 8),
        rng.integers(0, 2**32, 1 << 18, dtype=np.uint32), np.zeros(2, np.int64),
    )  # fmt: skip


@njit
def repeat_solve(times, z, wave, first, n, epoch, shape, table, net, state, scratch):
    for _ in range(times):
        context.fit_experts(z, table, state, scratch)


def random_net(config: AxConfig, rng: np.random.Generator) -> IntegerNet:
    sizes = shapes(config)
    return IntegerNet(*(rng.integers(-40, 41, sizes[name]).astype(np.float32) for name in IntegerNet._fields))


def walked(config: AxConfig, side: int, rng: np.random.Generator):
    """For the longest wave of the last plane, all before it being known: where it is, the stages' arguments, levels."""
    noise = rng.normal(0, 6, (N_PLANES, side, side)).cumsum(1).cumsum(2) * 0.2 + rng.normal(
        0, 3, (N_PLANES, 1, 1)
    ).cumsum(0)
    values = np.clip(np.rint(noise.cumsum(0) * 0.2), -30000, 30000).astype(np.int32)
    table, net = config.expert_table(), random_net(config, rng)
    ends = np.full(N_PLANES, -30000), np.full(N_PLANES, 30000)
    state = new_state(table, config.epoch, values.shape, *ends, np.zeros((side, side), bool))
    scratch = new_scratch(config, side, side)
    levels = Levels(ends[0], ends[1] - ends[0] + 1, np.full(N_PLANES, -1), np.zeros(0, np.int64))
    z, wave = N_PLANES - 1, side + side // 2
    coding = walk.Coding(values, rows=np.full(values.shape, -1, np.int32))
    for plane in range(N_PLANES):
        end = n_waves(side, side) if plane < z else wave + 1
        walk.walk_block(
            walk.OBSERVE, plane, plane + 1, 0, end, config.epoch, 8, table, net, levels, state, scratch, coding
        )
    where = z, wave, *wave_rows(wave, side, side), wave // config.epoch, (side, side)
    return where, (table, net, state, scratch), levels


def macs_of(config: AxConfig, side: int) -> dict[str, float]:
    """Multiply-accumulates a sample of the stages that are products of matrices; no padding counted."""
    sizes = [len(expert.regressors) for expert in config.experts()]
    epochs = n_waves(side, side) / config.epoch / side**2  # a sample
    weights = sum(int(np.prod(shape)) for name, shape in shapes(config).items() if "bias" not in name)
    return {
        "predict": sum(sizes),
        "network": weights,
        "normal equations": sum(n * (n + 1) // 2 + n for n in sizes),
        "solve": epochs * sum(n**3 / 6 + n**2 for n in sizes),
    }


def seconds_each(run, times: int, repeats: int) -> list[float]:
    """Processor time of one of `times` calls, of each repeat after one that is not counted."""
    found = []
    for _ in range(repeats + 1):
        begin = time.thread_time()
        run(times)
        found.append((time.thread_time() - begin) / times)
    return found[1:]


def matmul_rate(dtype, repeats: int, n: int = 256) -> float:
    """Multiply-accumulates a second, in 10^9, of numpy's product of two n x n matrices."""
    a = np.ones((n, n), dtype)

    def run(times):
        for _ in range(times):
            np.dot(a, a)

    return n**3 / statistics.median(seconds_each(run, 20, repeats)) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=128, help="rows and columns of the synthetic cube")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    config = AxConfig()
    rng = np.random.default_rng(0)
    where, stage, levels = walked(config, arguments.side, rng)
    n, macs = where[3], macs_of(config, arguments.side)
    coding = (levels, stage[-1].mixtures, random_coder(n, rng))
    rates = {
        np.float32: matmul_rate(np.float32, arguments.repeats),
        np.float64: matmul_rate(np.float64, arguments.repeats),
    }
    per_epoch = arguments.side**2 * config.epoch / n_waves(arguments.side, arguments.side)  # samples
    rows = csv.writer(sys.stdout)
    rows.writerow(COLUMNS)
    versions = [
        platform.processor() or platform.machine(),
        platform.python_version(),
        np.__version__,
        numba.__version__,
    ]
    kernels = {
        "predict": repeat_predict,
        "describe": repeat_describe,
        "network": repeat_network,
        "mixtures": repeat_mixtures,
        "encode": repeat_encode,
        "decode": repeat_decode,
        "learn": repeat_learn,
        "normal equations": repeat_normal_equations,
        "solve": repeat_solve,
    }
    for name, kernel in kernels.items():
        samples = {"solve": per_epoch, "normal equations": config.epoch * n}.get(name, n)
        given = (*where, *(coding if name in ("encode", "decode") else stage))
        seconds = seconds_each(lambda times, kernel=kernel, given=given: kernel(times, *given), 500, arguments.repeats)
        times_ns = [value / samples * 1e9 for value in (statistics.median(seconds), min(seconds), max(seconds))]
        row = [name, round(samples), *(f"{value:.1f}" for value in times_ns)]
        if name in macs:
            rate, ceiling = macs[name] / times_ns[0], rates[np.float32 if name == "network" else np.float64]
            row += [f"{macs[name]:.0f}", f"{rate:.1f}", f"{ceiling:.1f}", f"{rate / ceiling:.2f}"]
        else:
            row += [""] * 4
        rows.writerow([*row, *versions])


if __name__ == "__main__":
    main()
