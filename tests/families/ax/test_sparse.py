"""Listed levels: all that occur are, and only where the list is worth it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhic.families.ax.planes.sparse import BLOCK, levels_worth_listing, max_listed
from lhic.stream.packed import write_packed


@given(st.dictionaries(st.integers(1, 2000), st.integers(1, 300), max_size=60), st.integers(1, 10_000))
@settings(deadline=None)
def test_every_level_that_occurs_is_listed(counts, n_pixels):
    counts = {0: 1} | counts
    places = np.array(sorted(counts))
    listed = levels_worth_listing(places, np.array([counts[place] for place in places]), n_pixels)
    if len(listed):
        assert listed.shape == (places[-1] + 1,) and listed[places].all() and not listed.all()
        assert np.count_nonzero(listed) <= max_listed(n_pixels)


def ideal_bits(samples: np.ndarray, listed: np.ndarray, reach: int = 40) -> float:
    """Code length under a flat distribution over the listed levels within `reach` of each sample."""
    running = np.concatenate([[0], np.cumsum(listed)])
    begin, end = np.maximum(samples - reach, 0), np.minimum(samples + reach + 1, len(listed))
    return float(np.log2(running[end] - running[begin]).sum())


@pytest.mark.parametrize("step,n_samples", [(3, 4000), (9, 16_000), (2, 1000)])
def test_a_list_that_is_taken_saves_bits(step, n_samples):
    """Comb in the lower half of the range, noise in the upper: by a coder that is none of the estimate's business."""
    rng = np.random.default_rng(step)
    samples = rng.integers(0, 300, n_samples) * step
    samples = np.append(samples, 300 * step + rng.integers(0, 5000, n_samples // 4))
    samples -= samples.min()
    places, counts = np.unique(samples, return_counts=True)
    listed = levels_worth_listing(places, counts, len(samples))
    assert not listed[: 2 * BLOCK].all() and listed[-4 * BLOCK :].all(), "the comb alone"
    without = ideal_bits(samples, np.ones_like(listed))
    assert ideal_bits(samples, listed) + 8 * len(write_packed(np.packbits(listed).tobytes())) < without


def test_few_samples_leave_gaps_that_are_not_worth_a_list():
    rng = np.random.default_rng(0)
    for n_samples in (5, 100, 3000):
        places, counts = np.unique(np.append(0, rng.integers(0, 3000, n_samples)), return_counts=True)
        assert levels_worth_listing(places, counts, n_samples + 1).size == 0
