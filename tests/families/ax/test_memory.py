"""What coding takes, of memory and of time, is known from the shape before anything is done."""

import json
import subprocess
import sys

import numpy as np
import pytest

import lhic
from lhic.coder import RansEncoder
from lhic.errors import MemoryBudgetError
from lhic.families.ax.cpu import walk
from lhic.families.ax.planes.bands import Band, Kind, write_bands
from lhic.families.ax.planes.nodata import write_mask
from lhic.families.ax.spec import PRECISION
from lhic.families.family import Work
from lhic.stream.header import Header
from lhic.stream.whole import write_stream
from tests.common import REPOSITORY
from tests.families.ax.common import random_model, settings_of

MEASURE = '''
import ctypes, gc, json, sys
import numpy as np
import lhic
from lhic.families.family import Work

model, work, rng = lhic.load_model("lhic-ax", "cpu"), Work(threads=2), np.random.default_rng(0)
model.compile_kernels()

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key + ":")) * 1024

def growth(function):
    """The least of three: pages of code that are touched for the first time, and those of other threads, only add."""
    found = []
    for _ in range(3):
        result = None
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        open("/proc/self/clear_refs", "w").write("5")
        before = status("VmRSS")
        result = function()
        found.append(status("VmHWM") - before)
    return result, min(found)

for shape in json.loads(sys.argv[1]):
    cube = np.ascontiguousarray((rng.normal(0, 3, shape).cumsum(2).cumsum(0) + 500).round().astype("int16"))
    parameters = model.plan(cube, work)
    encoded, encoding = growth(lambda: model.encode_tiles([cube], parameters, work))
    sections = [one.sections for one in encoded]
    del encoded
    again, decoding = growth(lambda: model.decode_tiles([cube.shape], cube.dtype, sections, parameters, work))
    print(json.dumps([shape, cube.nbytes + encoding, decoding, model.coding_bytes(shape, cube.dtype, 2)]))
'''
PAGES = 2**21  # what an allocator may keep of pages freed before, or return late
SHAPES = [[2, 8, 8], [2000, 8, 8], [3000, 2, 2], [2, 128, 128], [16, 128, 128], [20, 200, 40]]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_what_the_shape_says():
    """Few pixels and many bands take five times as much for each sample as many pixels do."""
    command = [sys.executable, "-c", MEASURE, str(SHAPES)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for line in found.splitlines()[1:]:  # the first imports what others need, too
        _, encoding, decoding, counted = json.loads(line)
        assert 0.97 * max(encoding, decoding) - PAGES <= counted <= 1.4 * encoding + PAGES, line
    assert len(found.splitlines()) == len(SHAPES)


def test_many_bands_of_few_pixels_are_refused_before_any_work(monkeypatch):
    """45 kB that would take 900 MiB."""
    model = lhic.load_model("lhic-ax", "cpu")
    parameters = settings_of().to_bytes()
    identity = model.name, model.family, model.weights_hash
    header = Header(np.dtype("int16"), (100_000, 2, 2), 2, 2, *identity, parameters, {})
    stream = write_stream(header, [(b"", b"", bytes(45_000))], [0])
    monkeypatch.setattr(type(model), "decode_tiles", lambda *_: pytest.fail("decoding began"))
    for read in (lhic.decode, lhic.verify, lhic.preview, lambda stream, **more: lhic.decode_tile(stream, 0, **more)):
        with pytest.raises(MemoryBudgetError, match=r"a tile of 100000 x 2 x 2 int16 to need at most 70,000,000 bytes"):
            read(stream, memory_budget=70_000_000)


def test_pixels_without_data_are_not_walked_through(monkeypatch):
    """Planes of which no sample is coded: a few bytes that announce a large tile."""
    shape, settings = (70, 20, 30), settings_of(group_planes=16)
    bands = [Band(Kind.DENSE, 0, 9) for _ in range(shape[0])]
    side = write_mask(np.ones(shape[1:], bool)) + write_bands(bands, -5)
    empty = RansEncoder(1, PRECISION).finish()
    sections = side, bytes([len(empty)] * 5), empty * 5
    monkeypatch.setattr(walk, "walk_block", lambda *_: pytest.fail("walked through what is not coded"))
    model, dtype, ticks = random_model(), np.dtype("int8"), []
    (found,) = model.decode_tiles([shape], dtype, [sections], settings.to_bytes(), Work(ticks.append))
    assert np.array_equal(found, np.full(shape, -5, dtype)) and sum(ticks) == found.size
    (some,) = model.decode_first_bands([shape], dtype, [sections], settings.to_bytes(), 3, Work())
    assert np.array_equal(some, found[:3])
