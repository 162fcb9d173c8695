"""Damaged sections give an error of ours or samples that a checksum tells: never a crash, a hang or a huge array."""

import numpy as np
import pytest

from lhic.errors import CorruptStreamError, LhicError
from lhic.families.ax.model import MAX_TILE_PIXELS
from lhic.families.family import Work
from lhic.stream.varint import write_varint
from tests.common import coded
from tests.families.ax.common import random_model, settings_of


@pytest.fixture(scope="module")
def model():
    return random_model(share=0.01)


@pytest.fixture(scope="module")
def tile():
    rng = np.random.default_rng(1)
    tile = rng.normal(0, 2, (4, 5, 6)).cumsum(0).round().astype("int16")
    tile[:, 0, :3] = -999
    tile[2] *= 7
    tile[3] = 5
    return tile


@pytest.fixture(scope="module")
def sections(model, tile):
    return coded(model, [tile], settings_of().to_bytes())[0]


def decode(model, tile, sections, settings=None):
    parameters = (settings or settings_of()).to_bytes()
    (found,) = model.decode_tiles([tile.shape], tile.dtype, [tuple(sections)], parameters, Work())
    assert found.shape == tile.shape and found.dtype == tile.dtype
    return found


def damaged(sections):
    """Each section cut at each place, and with each of its bytes changed in several ways."""
    for number, section in enumerate(sections):
        for at in range(len(section)):
            yield number, [*sections[:number], section[:at], *sections[number + 1 :]]
            for flip in (0x01, 0x80, 0xFF):
                other = section[:at] + bytes([section[at] ^ flip]) + section[at + 1 :]
                yield number, [*sections[:number], other, *sections[number + 1 :]]


def test_every_cut_and_every_changed_byte(model, tile, sections):
    assert np.array_equal(decode(model, tile, sections), tile)
    told, total = np.zeros(3, int), np.zeros(3, int)
    for number, some in damaged(sections):
        total[number] += 1
        try:
            decode(model, tile, some)
        except LhicError as error:
            assert isinstance(error, CorruptStreamError) and "\n" not in str(error)
            told[number] += 1
    assert min(total) > 3
    assert told[1] == total[1], "sizes of groups"
    assert told[2] > 0.98 * total[2], "the coder ends where it began"
    assert told[0] > 0.5 * total[0], "what is left changes values only"


def test_other_parameters_than_the_encoder_had(model, tile, sections):
    assert np.array_equal(decode(model, tile, sections, settings_of(4096)), tile), "one group either way"
    for settings in (settings_of(1), settings_of(n_lanes=1024)):
        with pytest.raises(CorruptStreamError):
            decode(model, tile, sections, settings)


@pytest.mark.parametrize("groups", [b"", b"\x00", write_varint(2**40), b"\xff" * 10, b"\x80"])
def test_impossible_groups(model, tile, sections, groups):
    with pytest.raises(CorruptStreamError):
        decode(model, tile, [sections[0], groups, sections[2]])


def test_a_tile_beyond_the_exact_sums_is_refused_before_work(model, sections):
    with pytest.raises(CorruptStreamError, match="expected at most 32768 pixels, found 1 x 32769"):
        decode(model, np.broadcast_to(np.int16(0), (4, 1, MAX_TILE_PIXELS + 1)), sections)


def test_noise_as_sections(model, tile, sections):
    rng = np.random.default_rng(9)
    for size in (0, 1, 7, 8, 12, 40, 400):
        noise = rng.bytes(size)
        for some in ([noise, *sections[1:]], [sections[0], write_varint(size), noise], [noise, noise, noise]):
            with pytest.raises(LhicError):
                decode(model, tile, some)
