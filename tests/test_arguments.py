"""Numbers of any library are taken for what they are, and nothing else is."""

import numpy as np
import pytest

from lhic.arguments import whole_number
from lhic.errors import UsageError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_of_any_library(value):
    found = whole_number(value, "n", 0, 3)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [-1, 4, 3.0, "3", None, True, np.bool_(True), np.float32(3), [3], 10**400])
def test_anything_else_is_told_on_one_line(value):
    with pytest.raises(UsageError, match=r"^n: expected a whole number of 0\.\.3, found ") as caught:
        whole_number(value, "n", 0, 3)
    assert len(str(caught.value)) < 120 and "\n" not in str(caught.value)


def test_without_an_upper_bound():
    assert whole_number(10**20, "n", 1) == 10**20
    with pytest.raises(UsageError, match="of at least 1, found 0"):
        whole_number(0, "n", 1)
