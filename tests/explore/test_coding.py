import numpy as np
import pytest

import lhic
from lhic import extensions
from lhic.errors import BackendError, InvalidCubeError
from lhic.explore import coding
from lhic.explore.coding import Result, Results
from lhic.explore.views import Bits
from tests.benchmarks.broken_codecs import Raw, Refuses


@pytest.fixture
def cube():
    ramp = np.add.outer(np.arange(4) * 50, np.add.outer(np.arange(12) * 3, np.arange(10)))
    return (ramp + np.random.default_rng(0).integers(-2, 3, ramp.shape)).astype(np.int16)


@pytest.mark.parametrize("name", ["lhic-ax-fast", "lhic-bp-xs", "ccsds123-p3"])
def test_costs_of_samples_add_up_to_the_stream(cube, name):
    codec = coding.own_codecs()[name]()
    result = coding.coded(codec, cube)
    bits = coding.bits_of(codec, cube, result.stream)
    assert bits.costs.shape == cube.shape and bits.costs.dtype == np.float32
    beside = sum(
        n for part, n in result.sections.items() if part in ("header and trailer", "side", "groups", "msp sizes")
    )
    if name == "ccsds123-p3":
        beside = 19  # its header
    assert bits.costs.sum() / 8 == pytest.approx(len(result.stream) - beside, abs=24)
    assert result.bits_per_sample == 8 * len(result.stream) / cube.size


def test_samples_stored_as_they_are_cost_their_bits():
    noise = np.random.default_rng(0).integers(0, 1 << 16, (1, 3, 3)).astype(np.uint16)
    codec = coding.ModelCodec(lhic.DEFAULT_MODEL)
    result = coding.coded(codec, noise)
    assert lhic.inspect(result.stream)["family"] == "raw"
    assert (coding.bits_of(codec, noise, result.stream).costs == 16).all()


def test_bits_of_any_other_codec_are_those_of_blocks_coded_alone(cube):
    bits = coding.bits_of(Raw(), cube, b"", block=4)
    header = len(Raw().encode(cube[:, :4, :4])) - 2 * 4 * 16
    assert bits.costs is None and bits.block == 4
    assert bits.blocks[0, 0] == 16 + 8 * header / (4 * 16) and bits.blocks[0, 9] == 16 + 8 * header / (4 * 8)


def test_sections_add_up_and_foreign_streams_are_one_part(cube):
    sections = coding.sections_of(lhic.encode(cube, "lhic-ax-fast"))
    assert sum(sections.values()) == len(lhic.encode(cube, "lhic-ax-fast")) and "samples" in sections
    result = coding.coded(Raw(), cube)
    assert list(result.sections.values()) == [len(result.stream)] and result.suffix == ".bin"


def test_a_codec_that_refuses_says_why(cube):
    with pytest.raises(InvalidCubeError, match="raw: expected something else"):
        coding.coded(Refuses(), cube)


def test_cubes_are_told_apart_by_samples_shape_and_dtype(cube):
    others = cube[:, ::-1], cube.astype(np.int32), cube.reshape(4, 10, 12), cube.view(np.uint16)
    assert coding.digest(cube) == coding.digest(cube.copy()) == coding.digest(np.asfortranarray(cube))
    assert len({coding.digest(each) for each in (cube, *others)}) == 5


def test_the_least_recently_used_results_are_forgotten():
    results = Results(max_bytes=1000)
    for name in "abc":
        results.put(b"cube", Result(name, b"." * 100, {}, 1, 0.0, Bits(np.zeros(75, np.float32))))
    assert results.get(b"cube", "a") is None is results.get(b"other", "c")
    assert results.get(b"cube", "b").codec == "b"
    results.put(b"cube", Result("d", b"." * 400, {}, 1, 0.0))
    assert results.get(b"cube", "c") is None and results.get(b"cube", "b") and results.get(b"cube", "d")
    results.put(b"cube", Result("e", b"." * 5000, {}, 1, 0.0))
    assert results.get(b"cube", "e"), "the latest is kept, however large"


def offered(monkeypatch, offers):
    """Entry points of installed packages that offer codecs."""

    class Offer(extensions.Extension):
        def is_there(self):
            return offers[self.name] is not None

        def call(self):
            return offers[self.name]

    found = {name: Offer(coding.GROUP, name, ()) for name in offers}
    monkeypatch.setattr(extensions, "find", lambda group: found if group == coding.GROUP else {})


def test_codecs_are_sorted_and_those_of_other_packages_among_them(monkeypatch):
    offered(monkeypatch, {"study": {"zip": Raw, "an-other": Raw, "lhic-ax": Raw}, "left-out": None})
    found = coding.all_codecs()
    assert list(found) == sorted(found) and {"an-other", "zip", "lhic-ax", "ccsds123-p3"} <= set(found)
    assert isinstance(found["lhic-ax"](), coding.ModelCodec), "ours says what a sample costs"
    offered(monkeypatch, {"broken": 3})
    with pytest.raises(BackendError, match=r"lhic\.explore: broken: expected codecs by name, found 3"):
        coding.all_codecs()
