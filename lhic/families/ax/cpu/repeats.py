"""Pixels that repeat a neighbour's spectrum: how likely a sample is, to the digit, the one beside it.

Rectified images are often resampled to the nearest pixel, which leaves whole spectra standing twice.  A pixel that has
been equal to a causal neighbour for some planes in a row will most likely be so in the next.  How likely is learned
while coding: for each length of such a run the share of samples that the repetition explains better than the network's
mixture does, by one step of expectation maximisation a plane.  The candidate then is one more component of the mixture,
as narrow as a component can be (docs/format_lhic_ax.md, section 8).

Source: match models among context models, M. Mahoney, "Adaptive weighing of context models for lossless data
compression", Florida Tech CS-2005-16, 2005.
"""

from __future__ import annotations

import numpy as np

from lhic.families.ax import pixel, spec
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, distances
from lhic.kernels.jit import njit

_CAUSAL = distances(spec.CAUSAL)


@njit
def first_tries(z, state):
    """Table of a plane's first epoch."""
    for level in range(spec.N_RUN_LEVELS):
        state.hits[z, 0, level] = spec.FIRST_HITS[level]
        state.tries[z, 0, level] = spec.FIRST_TRIES


@njit
def next_tries(z, then, state):
    """Table of an epoch that begins, from the plane's own samples and the table of the plane before it."""
    for level in range(spec.N_RUN_LEVELS):
        hits, tries = state.own_hits[z, level], state.own_tries[z, level]
        if z > 0:
            hits += pixel.kept_tries(state.hits[z - 1, then, level])
            tries += pixel.kept_tries(state.tries[z - 1, then, level])
        if z == 0 or tries < 1:
            hits += spec.FIRST_HITS[level]
            tries += spec.FIRST_TRIES
        state.hits[z, then, level] = hits
        state.tries[z, then, level] = tries


@njit
def find_repeats(z, wave, first, n, epoch, table, state, scratch):
    """Candidates of a wave's samples, and how likely they are."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    for level in range(spec.N_RUN_LEVELS):
        scratch.run_weights[level] = pixel.repeat_weight(state.hits[z, epoch, level], state.tries[z, epoch, level])
    earlier = (z - 1) % state.runs.shape[0]
    samples = state.samples[z]
    for q in range(n):
        runs = np.int64(state.runs[earlier, u, row + q]) if z > 0 else np.int64(0)
        longest, chosen = runs & spec.LONGEST_RUN, 0
        for c in range(1, table.repeats):
            run = (runs >> (spec.RUN_BITS * c)) & spec.LONGEST_RUN
            if run > longest:
                longest, chosen = run, c
        level = spec.RUN_LEVEL[longest]
        scratch.run_levels[q] = level
        scratch.repeat_weights[q] = scratch.run_weights[level]
        scratch.candidates[q] = samples[u + _CAUSAL[chosen, 0], row + q + _CAUSAL[chosen, 1]]


@njit
def learn_repeats(z, wave, first, n, coded, table, state, scratch):
    """Take note of a wave's samples, before they are stored among `State.samples`."""
    u, row = wave + WAVE_MARGIN, first + ROW_MARGIN
    n_slots = state.runs.shape[0]
    earlier, now = (z - 1) % n_slots, z % n_slots
    samples, freqs = state.samples[z], scratch.mixtures.freqs
    for q in range(n):
        value = np.int64(scratch.targets[q])
        before = np.int64(state.runs[earlier, u, row + q]) if z > 0 else np.int64(0)
        runs = np.int64(0)
        for c in range(table.repeats):
            if value == samples[u + _CAUSAL[c, 0], row + q + _CAUSAL[c, 1]]:
                run = (before >> (spec.RUN_BITS * c)) & spec.LONGEST_RUN
                runs |= pixel.next_run(run) << (spec.RUN_BITS * c)
        state.runs[now, u, row + q] = runs
        if coded[q]:
            level = scratch.run_levels[q]
            state.own_tries[z, level] += 1
            if value == scratch.candidates[q]:
                state.own_hits[z, level] += pixel.repeat_share(scratch.repeat_weights[q], np.int64(freqs[q]))
