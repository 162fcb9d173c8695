"""CCSDS-123 with searched settings: a stream of the standard, and never longer than what the search begins with."""

import numpy as np

from benchmarks.codecs import ccsds123_tuned, registry
from lhic import ccsds123
from tests.benchmarks.codecs.test_rls import textured


def test_the_search_finds_shorter_streams_of_the_standard():
    cube = textured((24, 60, 50))
    tuned, wide = (registry.make(name) for name in ("ccsds123-tuned", "ccsds123-best-wide"))
    stream = tuned.encode(cube)
    assert len(stream) < 0.995 * len(wide.encode(cube))
    assert np.array_equal(ccsds123.decode(stream), cube)
    parameters, _ = ccsds123.read_header(stream)
    assert parameters.fidelity == "lossless" and tuned.best_of
    found = {field: getattr(parameters, field) for field in ccsds123_tuned.SEARCH}
    assert all(value in ccsds123_tuned.SEARCH[field] for field, value in found.items())


def test_settings_that_the_standard_forbids_are_passed_over():
    column = textured((3, 70, 1))  # one column: column-oriented sums and reduced prediction only
    stream = ccsds123_tuned.Tuned().encode(column)
    assert np.array_equal(ccsds123.decode(stream), column)
    assert ccsds123.read_header(stream)[0].prediction_mode == "reduced"


def test_the_middle_is_what_the_first_rounds_see():
    cube = np.arange(2 * 100 * 7).reshape(2, 100, 7)
    assert np.array_equal(ccsds123_tuned.middle(cube), cube[:, 26:74])
