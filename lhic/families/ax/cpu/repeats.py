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
from lhic.kernels.jit import lean


@lean
def first_tries(slot, state):
    """Table of a plane's first epoch; slot : where it is among those that are kept."""
    for level in range(spec.N_RUN_LEVELS):
        state.hits[slot, 0, level] = spec.FIRST_HITS[level]
        state.tries[slot, 0, level] = spec.FIRST_TRIES


@lean
def next_tries(z, then, state):
    """Table of an epoch that begins, from the plane's own samples and the table of the plane before it."""
    slot, earlier = z % state.residuals.shape[0], (z - 1) % state.residuals.shape[0]
    for level in range(spec.N_RUN_LEVELS):
        hits, tries = state.own_hits[z, level], state.own_tries[z, level]
        if z > 0:
            hits += pixel.kept_tries(state.hits[earlier, then, level])
            tries += pixel.kept_tries(state.tries[earlier, then, level])
        if z == 0 or tries < 1:
            hits += spec.FIRST_HITS[level]
            tries += spec.FIRST_TRIES
        state.hits[slot, then, level] = hits
        state.tries[slot, then, level] = tries


@lean
def count_repeats(z, n, coded, state, scratch):
    """Add a wave's samples to the sums by run."""
    rungs, targets, candidates = scratch.run_levels, scratch.targets, scratch.candidates
    own_hits, own_tries, freqs = state.own_hits[z], state.own_tries[z], scratch.mixtures.freqs
    for q in range(n):
        if coded[q]:
            own_tries[rungs[q]] += 1
            if targets[q] == candidates[q]:
                own_hits[rungs[q]] += pixel.repeat_share(scratch.repeat_weights[q], np.int64(freqs[q]))
