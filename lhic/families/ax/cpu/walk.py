"""The walk through a tile, step by step: one function for encoder, decoder and training.

Planes are coded in groups.  At step t of a group its k-th plane codes wave t - 4 k, so the samples of a step depend
only on earlier steps and on earlier groups.  Groups are pieces of work of their own as soon as the group before them is
far enough ahead (`lhic.families.ax.schedule`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lhic.coder.mixture import WEIGHT_BITS
from lhic.families.ax import pixel
from lhic.families.ax.cpu.adapt import change_weights, end_block, teach_wave
from lhic.families.ax.cpu.coder import decode_wave, encode_wave, model_value
from lhic.families.ax.cpu.features import describe_wave
from lhic.families.ax.cpu.learn import begin_plane, end_epoch, learn_wave
from lhic.families.ax.cpu.mixture import add_repeats, mixtures_of
from lhic.families.ax.cpu.network import run_network
from lhic.families.ax.cpu.pictures import wave_rows
from lhic.families.ax.cpu.predict import predict_wave
from lhic.families.ax.elementary import LOG2, exp2
from lhic.families.ax.spec import PLANE_LAG, PRECISION, UNIT
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN
from lhic.kernels.jit import lean

ENCODE, DECODE, OBSERVE = 0, 1, 2


class Coding(NamedTuple):
    """What one group reads or writes.

    values : int32 (P, H, W), model values, known or to be decoded;  level_of : int32 (P, H, W), levels to encode
    starts, freqs : uint32 (symbols,), intervals written so far;  n_symbols : int64 (1,)
    states, words, cursor : of the group's decoder (`rans_kernels.RansDecoder`)
    rows : int32 (P, H, W), row of a sample in what follows, or -1
    features : int8 (n, features);  targets, bases, scales, repeats : int64 (n,), a repeat that is none being negative
    """

    values: np.ndarray
    level_of: np.ndarray = np.zeros((0, 0, 0), np.int32)
    starts: np.ndarray = np.zeros(0, np.uint32)
    freqs: np.ndarray = np.zeros(0, np.uint32)
    n_symbols: np.ndarray = np.zeros(1, np.int64)
    states: np.ndarray = np.zeros(1, np.int64)
    words: np.ndarray = np.zeros(0, np.uint32)
    cursor: np.ndarray = np.zeros(2, np.int64)
    rows: np.ndarray = np.zeros((0, 0, 0), np.int32)
    features: np.ndarray = np.zeros((0, 0), np.int8)
    targets: np.ndarray = np.zeros(0, np.int64)
    bases: np.ndarray = np.zeros(0, np.int64)
    scales: np.ndarray = np.zeros(0, np.int64)
    repeats: np.ndarray = np.zeros(0, np.int64)


def _block_for(mode):
    """`walk_block` for one mode: what others need is not compiled."""

    @lean(nogil=True, seconds=10)
    def walk_block(
        first_plane,
        end_plane,
        first_step,
        end_step,
        epoch,
        table,
        net,
        levels,
        state,
        scratch,
        coding,
        learner,
    ):
        """Steps first_step .. end_step - 1 of the group of planes; False if the words ran out."""
        n_rows, n_columns = coding.values.shape[1:]
        waves = 2 * (n_rows - 1) + n_columns
        period = learner.period if mode != OBSERVE else 0
        for t in range(first_step, end_step):
            if period and t % period == 0:
                change_weights(t // period, net, learner, scratch)
            for z in range(first_plane, end_plane):
                wave = t - PLANE_LAG * (z - first_plane)
                if wave < 0 or wave >= waves:
                    continue
                if wave == 0:
                    begin_plane(z, table, state)
                first, n = wave_rows(wave, n_rows, n_columns)
                now = wave // epoch
                if n > 0:
                    predict_wave(z, wave, first, n, n_columns, table, state, scratch)
                    describe_wave(z, wave, first, n, n_rows, n_columns, now, table, state, scratch)
                    coded = state.coded[wave + WAVE_MARGIN, first + ROW_MARGIN : first + ROW_MARGIN + n]
                    if mode == OBSERVE:
                        _observe_wave(z, wave, first, n, coded, scratch, coding)
                    else:
                        run_network(net, scratch, n)
                        mixtures = scratch.mixtures
                        mixtures_of(scratch.outputs, n, scratch.base, scratch.scale, scratch.logs[0], mixtures)
                        if table.repeats:
                            add_repeats(n, scratch)
                        if mode == ENCODE:
                            for q in range(n):
                                level = np.int64(coding.level_of[z, first + q, wave - 2 * (first + q)])
                                mixtures.levels[q] = min(max(level, np.int64(0)), levels.n_levels[z] - 1)  # of the mask
                            coding.n_symbols[0] = encode_wave(
                                z, levels, mixtures, coded, n, coding.starts, coding.freqs, coding.n_symbols[0]
                            )
                        elif not decode_wave(
                            z, levels, mixtures, table.repeats > 0, coded, n, coding.states, coding.words, coding.cursor
                        ):
                            return False
                    for q in range(n):
                        i = first + q
                        j = wave - 2 * i
                        if not coded[q]:
                            value = pixel.filled_value(np.int64(scratch.base[q]))
                        elif mode == DECODE:
                            value = model_value(np.int64(scratch.mixtures.levels[q]), z, levels)
                        else:
                            value = np.int64(coding.values[z, i, j])
                        if mode == DECODE:
                            coding.values[z, i, j] = value
                        scratch.targets[q] = value
                    if period and pixel.teaches_network(wave, n_rows * n_columns):
                        teach_wave(z, n, coded, levels, net, learner, scratch)
                    learn_wave(z, wave, first, n, n_rows, n_columns, table, state, scratch)
                if (wave + 1) % epoch == 0 and wave + 1 < waves:
                    end_epoch(z, now, n_rows, n_columns, table, state, scratch)
        if period:
            end_block(learner, scratch)
            n_steps = waves + PLANE_LAG * (end_plane - first_plane - 1)
            if end_step == n_steps:
                change_weights((n_steps + period - 1) // period, net, learner, scratch)
        return True

    return walk_block


_BLOCKS = tuple(_block_for(mode) for mode in (ENCODE, DECODE, OBSERVE))


def walk_block(mode: int, *arguments) -> bool:
    """Steps first_step .. end_step - 1 of the group of planes; False if the words ran out."""
    return _BLOCKS[mode](*arguments)


@lean
def _observe_wave(z, wave, first, n, coded, scratch, coding):
    """Note what the network would see, and what it should say."""
    for q in range(n):
        i = first + q
        j = wave - 2 * i
        row = coding.rows[z, i, j]
        if coded[q] and row >= 0:
            base = np.int64(scratch.base[q])
            for f in range(scratch.features.shape[0]):
                coding.features[row, f] = np.int8(scratch.features[f, q])
            coding.targets[row] = 64 * np.int64(coding.values[z, i, j]) - base
            coding.bases[row] = base
            coding.scales[row] = np.int64(scratch.scale[q])
            coding.repeats[row] = np.int64(scratch.repeat_weights[q])
            if coding.values[z, i, j] != scratch.candidates[q]:
                coding.repeats[row] *= -1
    for q in range(n):
        scratch.mixtures.freqs[q] = _likely_width(scratch, q)


@lean
def _likely_width(scratch, q):
    """About the probability, 1/2^24, that a trained network would give to the candidate: one logistic at the base."""
    scale = max(0.5 * scratch.scale[q] / UNIT, 0.3)
    odds = exp2(-abs(scratch.candidates[q] - scratch.base[q] / 64) / (scale * LOG2))
    repeat = scratch.repeat_weights[q] / 2.0**WEIGHT_BITS
    return np.int32(2.0**PRECISION * (repeat + (1 - repeat) * min(odds / (scale * (1 + odds) ** 2), 1.0))) + 1
