"""Samples as they are: the bound on every stream's length, and a decoder that needs nothing."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import lhic
from lhic.cube import DTYPES
from lhic.errors import CorruptStreamError, UsageError
from lhic.families import registry
from lhic.families.family import Encoded
from lhic.families.raw import RawModel
from lhic.stream.header import Header, stream_bytes
from lhic.stream.tiles import TileEntry, samples_crc
from lhic.stream.whole import write_stream
from tests.common import check_round_trip, cubes_by_intent
from tests.stored_family import StoredModel

MAX_EXCESS = 64
"""Bytes that a stream without metadata may be longer than the samples."""

any_cube = st.sampled_from([dtype.newbyteorder(order) for dtype in DTYPES for order in "<>"]).flatmap(
    lambda dtype: st_numpy.arrays(dtype, st.tuples(*[st.integers(1, 12)] * 3))
)


class Verbose(StoredModel):
    """A model that wastes bytes."""

    def __init__(self, n_wasted):
        super().__init__("verbose", {}, bytes(32))
        self.waste = bytes(n_wasted)

    def encode_tiles(self, tiles, parameters, work, nodata=None):
        encoded = super().encode_tiles(tiles, parameters, work)
        return [Encoded((even + self.waste, odd), decoded) for (even, odd), decoded in encoded]


@pytest.fixture(scope="module", autouse=True)
def stored_family():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, "stored", "tests.stored_family")
        yield


@pytest.mark.parametrize("name,cube", cubes_by_intent().items())
def test_round_trip(name, cube):
    stream = check_round_trip(cube, lambda cube: lhic.encode(cube, RawModel()), lhic.decode)
    assert len(stream) <= cube.nbytes + MAX_EXCESS
    assert np.array_equal(lhic.decode_tile(stream, 0), cube)


@given(any_cube, st.integers(0, 200))
@settings(deadline=None)
def test_no_stream_is_longer_than_the_samples_and_64_bytes(cube, n_wasted):
    model = Verbose(n_wasted)
    stream = lhic.encode(cube, model)
    assert len(stream) <= cube.nbytes + MAX_EXCESS
    again = lhic.decode(stream, model=model)
    assert np.array_equal(again, cube) and again.dtype == cube.dtype


def test_the_bound_holds_for_every_size_it_is_stated_for():
    """Axes of 16,383 rows and columns, 2^31 - 1 bands, 32 GiB: the header alone tells, nothing is allocated."""
    for shape in [(2**31 - 1, 1, 1), (127, 16_383, 16_383), (202, 128, 128), (4096, 500, 16_383)]:
        n_bytes = int(np.prod([*map(int, shape)], dtype=object))
        header = Header(np.dtype("int8"), shape, *shape[1:], RawModel.name, RawModel.family, b"", b"", {})
        excess = stream_bytes(header, [TileEntry(0, (n_bytes,), 0, 0)]) - n_bytes
        assert n_bytes < 2**35 and excess <= MAX_EXCESS


def test_the_shorter_stream_is_kept():
    rng = np.random.default_rng(0)
    model = StoredModel("stored", {}, bytes(32))
    smooth, noise = np.zeros((20, 8, 8), "int16"), rng.integers(0, 256, (20, 8, 8), "uint8")
    assert lhic.inspect(lhic.encode(smooth, model))["family"] == "stored"
    assert lhic.inspect(lhic.encode(noise, model))["family"] == "raw"
    assert lhic.inspect(lhic.encode(noise, model, fallback=False))["family"] == "stored"
    lossless = lhic.encode(noise, model, max_error=0)
    near = lhic.encode(noise, model, max_error=63)
    assert lhic.inspect(near)["max_error"] == 63 and len(near) < len(lossless)
    metadata = {"extra": {"a": "b" * 50}}
    assert lhic.inspect(lhic.encode(noise, model, metadata=metadata))["metadata"] == metadata


def test_decodes_without_torch_or_numba(tmp_path):
    cube = np.arange(2 * 3 * 4, dtype="int32").reshape(2, 3, 4)
    (tmp_path / "raw.lhic").write_bytes(lhic.encode(cube, RawModel()))
    code = """
import sys
sys.modules.update(torch=None, numba=None)
import lhic
print(lhic.decode(open(sys.argv[1], "rb").read()).sum())
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "raw.lhic"], capture_output=True, text=True)
    assert run.stdout.strip() == str(cube.sum()), run.stderr


def test_damage():
    cube = np.arange(2 * 3 * 4, dtype="int16").reshape(2, 3, 4)
    with pytest.raises(UsageError, match="param_d"):
        lhic.encode(cube, RawModel(), param_d=3)
    header = Header(cube.dtype, cube.shape, 3, 4, "-", "raw", b"", b"", {})
    for sections, words in [((cube.tobytes()[:-1],), "48 bytes"), ((cube.tobytes(), b""), "expected 1 sections")]:
        for read in (lhic.decode, lambda stream: lhic.decode_tile(stream, 0), lhic.preview):
            with pytest.raises(CorruptStreamError, match=words):
                read(write_stream(header, [sections], [0]))
    with_parameters = Header(cube.dtype, cube.shape, 3, 4, "-", "raw", b"", b"?", {})
    with pytest.raises(CorruptStreamError, match="parameters"):
        lhic.decode(write_stream(with_parameters, [(cube.tobytes(),)], [samples_crc(cube)]))
