"""What floats take, on a corner of a small patch."""

import numpy as np
import pytest

from benchmarks.experiments import floats
from lhic.errors import VerificationError


def patch() -> np.ndarray:
    band, row, column = np.ogrid[0:6, 0:20, 0:18]
    noise = (band * 7919 + row * 104729 + column * 1299709) * 2654435761 % 2**32 >> 28
    cube = (300 + 40 * band + 9 * row + 5 * column + noise).astype("int16")
    cube[:, 0, 0] = -32768
    return cube


def test_every_codec_gives_every_form_back(tmp_path, monkeypatch):
    pytest.importorskip("zstandard")
    monkeypatch.setattr(floats, "MODEL", "lhic-ax-fast")
    forms = floats.cubes(patch())
    rows = [
        floats.measured(name, cube, codec_name, codec)
        for name, cube in forms.items()
        for codec_name, codec in floats.codecs(cube, floats.BOUNDS.get(name)).items()
    ]
    found = {(row["cube"], row["codec"]): row["bytes"] for row in rows}
    in_disguise = [
        found[name, "lhic-ax-fast"]
        for name in forms
        if name.startswith(("/ 10000, float32", "* 0.0001")) and "NaN" not in name
    ]
    assert len(in_disguise) == 2 and max(in_disguise) < found["integers, int16", "lhic-ax-fast"] + 50
    assert found["radiance, float32", "lhic-ax-fast, max_error 0.01"] < found["radiance, float32", "lhic-ax-fast"]
    assert floats.floats_table(rows).count("\n") == 2 + len(rows)


def test_a_codec_that_changes_a_bit_is_told():
    cube = patch().astype("float32")
    wrong = floats.FloatCodec(lambda cube: cube.tobytes(), lambda data, shape, dtype: np.zeros(shape, dtype), "0")
    with pytest.raises(VerificationError, match="wrong: expected a cube back"):
        floats.measured("a cube", cube, "wrong", wrong)
