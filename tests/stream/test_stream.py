"""Whole streams without any model: fields, limits, every kind of damage."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lhic
from lhic.errors import (
    CorruptStreamError,
    ForeignStreamError,
    LhicError,
    TruncatedStreamError,
    UnsupportedVersionError,
)
from lhic.stream.header import Header, read_index
from lhic.stream.tiles import TileGrid, samples_crc, tile_sections
from lhic.stream.varint import write_varint
from lhic.stream.whole import check_whole, write_stream

SECTIONS = [(b"abc", b""), (b"", b"d"), (b"ef", b"gh"), (b"\0" * 200, b"x")]


def header(**changes) -> Header:
    fields = dict(
        dtype=np.dtype("int16"),
        shape=(3, 5, 7),
        tile_rows=4,
        tile_columns=4,
        model_name="test-model",
        family="lhic-bp",
        weights_hash=bytes(range(32)),
        parameters=b"\x08\x01",
        metadata={"wavelengths": [420.5, 500, 600.25], "nodata": -32768},
    )
    return Header(**{**fields, **changes})


def stream(**changes) -> bytes:
    return write_stream(header(**changes), SECTIONS, [1, 2, 3, 0xFFFFFFFF])


def reseal(data: bytes) -> bytes:
    """Make header and trailer checksums right again after an edit of the header."""
    data = bytearray(data)
    header_bytes = struct.unpack_from("<I", data, 10)[0]
    end = 22 + header_bytes - 4
    data[end : end + 4] = struct.pack("<I", zlib.crc32(data[:end]))
    data[-4:] = struct.pack("<I", zlib.crc32(data[:-4]))
    return bytes(data)


def read_all(data: bytes) -> None:
    index = read_index(data)
    check_whole(data, index)
    for tile in range(len(index.tiles)):
        tile_sections(data, index.tiles[tile], tile)


def test_what_is_written_is_read():
    index = read_index(stream())
    assert index.header == header()
    assert index.stream_bytes == len(stream())
    assert [tile_sections(stream(), index.tiles[tile], tile) for tile in range(4)] == SECTIONS
    assert [entry.samples_crc for entry in index.tiles] == [1, 2, 3, 0xFFFFFFFF]
    read_all(stream())


def test_exact_bytes_of_a_tiny_stream():
    """The hex dump of docs/format.md, section 6."""
    tiny = write_stream(Header(np.dtype("uint8"), (1, 1, 2), 1, 2, "m", "f", b"", b"", {}), [(b"\x2a",)], [0x11223344])
    assert tiny.hex(" ") == (
        "89 4c 48 49 43 0d 0a 1a 01 00 1b 00 00 00 36 00 00 00 00 00 00 00 "
        "01 01 01 02 01 02 01 6d 01 66 00 00 00 01 01 44 33 22 11 5b 26 b9 09 ed bb 7d 27 2a cb 3e 99 1d"
    )


@pytest.mark.parametrize("dtype", ["uint8", "int8", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4"])
def test_dtype_and_byte_order_survive(dtype):
    assert read_index(stream(dtype=np.dtype(dtype))).header.dtype == np.dtype(dtype)


def test_every_prefix_is_truncated():
    whole = stream()
    for length in range(len(whole)):
        with pytest.raises(TruncatedStreamError):
            read_all(whole[:length])


def test_every_flipped_byte_is_noticed():
    whole = stream()
    for position in range(len(whole)):
        for bit in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            with pytest.raises((CorruptStreamError, UnsupportedVersionError)):
                read_all(bytes(damaged))


def test_data_behind_the_end_is_corrupt():
    with pytest.raises(CorruptStreamError, match="too many"):
        read_all(stream() + b"\0")


def test_foreign_and_newer_streams():
    with pytest.raises(ForeignStreamError, match="50 4b"):
        read_index(b"PK\3\4" + bytes(100))
    newer = bytearray(stream())
    newer[8] = 2
    with pytest.raises(UnsupportedVersionError, match=f"lhic {lhic.__version__} reads, found 2: a later release"):
        read_index(bytes(newer))
    newer[8] = 0
    with pytest.raises(CorruptStreamError):
        read_index(bytes(newer))


@given(st.data())
def test_resealed_header_bytes_never_crash(data):
    """A forged header with right checksums is refused or read, never anything else; nothing large is allocated."""
    forged = bytearray(stream())
    header_bytes = struct.unpack_from("<I", forged, 10)[0]
    for _ in range(data.draw(st.integers(1, 4))):
        forged[data.draw(st.integers(22, 22 + header_bytes - 5))] = data.draw(st.integers(0, 255))
    try:
        read_all(reseal(bytes(forged)))
    except LhicError:
        pass


def test_announced_tiles_are_checked_against_the_bytes_at_hand():
    """2^31 x 2^31 tiles announced by a header of 100 bytes must not become a list."""
    good = write_stream(header(shape=(1, 1, 1), tile_rows=1, tile_columns=1, metadata={}), SECTIONS[:1], [0])
    fields = bytearray(good)
    assert fields[22:28] == bytes([4, 1, 1, 1, 1, 1])
    huge = bytes([4, 1]) + 2 * write_varint(2**31 - 1) + bytes([1, 1])
    forged = bytes(fields[:22]) + huge + bytes(fields[28:])
    grown = len(huge) - 6
    forged = bytearray(forged)
    struct.pack_into("<IQ", forged, 10, struct.unpack_from("<I", good, 10)[0] + grown, len(forged))
    with pytest.raises(CorruptStreamError, match="tiles"):
        read_index(reseal(bytes(forged)))


def test_samples_crc_does_not_depend_on_byte_order_or_layout():
    tile = np.arange(24, dtype="int16").reshape(2, 3, 4)
    assert samples_crc(tile) == samples_crc(tile.astype(">i2")) == samples_crc(np.asfortranarray(tile))
    assert samples_crc(tile) == zlib.crc32(tile.astype("<i2").tobytes())


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_tiles_cover_every_sample_once(n_rows, n_columns, tile_rows, tile_columns):
    covered = np.zeros((1, n_rows, n_columns), int)
    for tile in TileGrid(n_rows, n_columns, tile_rows, tile_columns):
        covered[tile.window] += 1
        assert covered[tile.window].shape[1:] == (tile.n_rows, tile.n_columns)
    assert (covered == 1).all()
