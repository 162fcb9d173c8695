"""Coefficients that the encoder fits to a whole plane and sends, instead of those fitted to what is decoded.

An estimate for the ablations, no part of the codec.  A first walk gives each plane's sums and coefficients.  These are
rounded to steps that a decoder knows from the plane before, and a second walk predicts with them: its normal equations
already hold sums that have the rounded coefficients as solution, with so much weight that samples add nothing.  Experts
that forget stay as they are.
"""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple

import numpy as np

from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu.experts import padded
from lhic.families.ax.cpu.state import State
from lhic.families.ax.experts import ExpertTable
from lhic.families.ax.observe import Observations, observe
from lhic.families.ax.spec import COEFFICIENT_BITS, COEFFICIENT_LIMIT, RELATIVE_RIDGE, RIDGE

PLAIN_BITS = 11  # of a coefficient
SUMS = 2.0**20  # weight of a sent coefficient's sums against those of the samples
MEAN_WEIGHT = 16.0  # of a sample in the sums


class Sent(NamedTuple):
    """seen : observations under sent coefficients;  plain_bits, cheap_bits : of all coefficients of the tile"""

    seen: Observations
    plain_bits: float
    cheap_bits: float


def observe_sent(cube: np.ndarray, config: AxConfig, n_samples: int, rng: np.random.Generator) -> Sent:
    """Walk twice, the second time with rounded coefficients of whole planes."""
    kept: list[tuple[ExpertTable, State]] = []
    observe(cube, config, 1, np.random.default_rng(0), begin=lambda *what: kept.append(what))
    table, first = kept.pop()
    wanted = first.coefficients * 2.0**-COEFFICIENT_BITS
    units = [np.ones_like(wanted) for _ in range(2)]  # steps, and 1 where a coefficient is sent
    sums = []  # of each expert that does not forget: columns, places in `grams` and in `moments`
    offset = side = 0
    for e, (start, end) in enumerate(zip(table.starts, table.starts[1:], strict=False)):
        size = int(padded(end - start))
        places = slice(start, end), slice(offset, offset + size * size), slice(side, side + size)
        offset, side = offset + size * size, side + size
        if table.forgets[e]:
            units[1][:, places[0]] = 0
            continue
        sums.append(places)
        energy = first.grams[:, places[1]].reshape(-1, size, size).diagonal(0, 1, 2)[:, : end - start]
        error = 1.25 * first.own_error[:, e] / np.maximum(first.own_count, 1) / 64
        # So large that a coefficient's rounding costs a sample count's share of the error: as precise as it is known.
        steps = np.sqrt(12 * MEAN_WEIGHT * (error[:, None] ** 2 + 0.1) / np.maximum(energy, 1.0))
        units[0][:, places[0]] = np.concatenate([steps[:1], steps[:-1]])
    sent = units[1] > 0
    steps = np.clip(units[0], 2.0**-COEFFICIENT_BITS, 1.0)
    rounded = np.where(sent, np.rint(wanted / steps) * steps, wanted)

    def begin(table: ExpertTable, state: State) -> None:
        scaled = np.clip(np.rint(rounded * 2.0**COEFFICIENT_BITS), -COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
        state.coefficients[sent] = scaled[sent]
        for columns, gram_place, moment_place in sums:
            n, size = columns.stop - columns.start, moment_place.stop - moment_place.start
            gram = first.grams[:, gram_place].reshape(-1, size, size) * SUMS
            lower = np.tril(gram[:, :n, :n])
            whole = lower + np.tril(lower, -1).swapaxes(1, 2)
            index = np.arange(n)
            whole[:, index, index] += RIDGE + whole[:, index, index] * RELATIVE_RIDGE
            moment = np.zeros((len(gram), size))
            moment[:, :n] = (whole @ rounded[:, columns, None])[..., 0]
            state.grams[:, gram_place], state.moments[:, moment_place] = gram.reshape(len(gram), -1), moment

    seen = observe(cube, config, n_samples, rng, begin=begin)
    return Sent(seen, PLAIN_BITS * float(sent.sum()), cost_of_differences(rounded, steps, sent))


def cost_of_differences(values: np.ndarray, steps: np.ndarray, sent: np.ndarray) -> float:
    """Ideal bits of values (P, n), multiples of steps, as differences from the row before; the first row plain.

    Each column's differences follow a logistic around 0 whose width is known.
    """
    numbers, before = np.rint(values / steps)[1:], np.rint(values[:-1] / steps[1:])
    differences = np.abs(numbers - before)
    width = np.maximum(differences.mean(0, keepdims=True), 2.0**-6) / (2 * log(2))
    upper, lower = (differences + 0.5) / width, (differences - 0.5) / width
    # Of a logistic, sigmoid(-lower) - sigmoid(-upper), which is exact far out as well.
    probability = 1 / (1 + np.exp(np.clip(lower, -60, 60))) - 1 / (1 + np.exp(np.clip(upper, -60, 60)))
    bits = -np.log2(np.maximum(probability, exp(-40)))
    return float(bits[sent[1:]].sum()) + PLAIN_BITS * float(sent[:1].sum())
