"""What stands at a path where something is written."""

import pytest

from lhic.errors import UsageError
from lhic.io.atomic import atomic_write


def test_atomic_write_leaves_nothing_behind(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_write(target) as file:
        file.write(b"whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"] and target.read_bytes() == b"whole"
    with pytest.raises(UsageError, match="no folder"), atomic_write(tmp_path / "no" / "out"):
        pass
