"""Functions in the manner of imagecodecs, and what a user of tifffile makes of them."""

import numpy as np
import pytest

import lhic
from lhic.errors import CorruptStreamError, UsageError
from lhic.integrations.imagecodecs import lhic_check, lhic_decode, lhic_encode

CUBE = np.arange(6 * 20 * 30, dtype="int16").reshape(6, 20, 30) // 7


@pytest.mark.parametrize("dtype", ["int16", "uint8", ">u2", "float32"])
def test_arrays_come_back(stored_models, dtype):
    cube = CUBE.astype(dtype)
    stream = lhic_encode(cube, "stored")
    assert stream == lhic.encode(cube, "stored") and lhic_check(stream)
    again = lhic_decode(stream)
    assert again.dtype == cube.dtype and np.array_equal(again, cube)
    out = np.empty_like(cube)
    assert lhic_decode(memoryview(stream), out=out) is out and np.array_equal(out, cube)
    buffer = bytearray(cube.nbytes)
    assert np.array_equal(lhic_decode(stream, out=buffer), cube) and buffer == cube.tobytes()
    assert np.array_equal(lhic_decode(lhic_encode(cube[0], "stored"))[0], cube[0])


def test_a_bound_is_kept(stored_models):
    found = lhic_decode(lhic_encode(CUBE, "stored", maxerror=2))
    assert 0 < np.abs(found - CUBE).max() <= 2


def test_out_takes_a_stream(stored_models):
    stream = lhic_encode(CUBE, "stored")
    buffer = bytearray(len(stream) + 5)
    assert bytes(lhic_encode(CUBE, "stored", out=buffer)) == stream == bytes(buffer[: len(stream)])
    assert lhic_encode(CUBE, "stored", out=len(stream)) == stream
    for out in (len(stream) - 1, bytearray(9), bytes(len(stream))):
        with pytest.raises(UsageError, match="out: expected"):
            lhic_encode(CUBE, "stored", out=out)


def test_what_does_not_fit_is_refused(stored_models):
    stream = lhic_encode(CUBE, "stored")
    for out in (np.empty((6, 20, 29), "int16"), np.empty(CUBE.shape, "int32"), bytearray(9), bytes(CUBE.nbytes)):
        with pytest.raises(UsageError, match="out: expected"):
            lhic_decode(stream, out=out)
    with pytest.raises(UsageError, match="expected bytes"):
        lhic_decode("cube.lhic")
    with pytest.raises(CorruptStreamError):
        lhic_decode(b"GIF89a")
    assert not lhic_check(b"GIF89a") and not lhic_check(b"")


def test_a_sequence_of_streams_is_a_stack_for_tifffile(stored_models, tmp_path):
    """What docs/tifffile.md shows."""
    tifffile = pytest.importorskip("tifffile")
    for number in range(3):
        (tmp_path / f"t{number}.lhic").write_bytes(lhic_encode(CUBE + number, "stored"))

    def read(path):
        with open(path, "rb") as file:
            return lhic_decode(file.read())

    stack = tifffile.FileSequence(read, str(tmp_path / "t*.lhic"))
    assert np.array_equal(stack.asarray(), np.stack([CUBE, CUBE + 1, CUBE + 2]))
