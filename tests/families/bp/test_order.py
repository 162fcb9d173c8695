"""Wavefront order: complete, along diagonals, and never ahead of what it depends on."""

import numpy as np
import pytest

from lhic.families.bp.order import coding_order, diagonal_rows, n_diagonals

SHAPES = [(1, 1), (1, 5), (5, 1), (32, 32), (7, 3), (3, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_visits_each_position_once_diagonal_by_diagonal(shape):
    rows, columns = coding_order(*shape)
    assert sorted(zip(rows.tolist(), columns.tolist())) == [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    keys = list(zip((rows + columns).tolist(), rows.tolist()))
    assert keys == sorted(keys)


@pytest.mark.parametrize("shape", SHAPES)
def test_diagonals_add_up_to_the_order(shape):
    rows, columns = coding_order(*shape)
    found = []
    for diagonal in range(n_diagonals(*shape)):
        first, end = diagonal_rows(diagonal, *shape)
        found += [(row, diagonal - row) for row in range(first, end)]
    assert found == list(zip(rows.tolist(), columns.tolist()))


def test_a_part_of_a_tile_keeps_the_order():
    """Smaller tiles are coded as full ones with the padding left out."""
    rows, columns = coding_order(32, 32)
    inside = (rows < 9) & (columns < 20)
    assert np.array_equal(np.stack(coding_order(9, 20)), np.stack([rows[inside], columns[inside]]))
