"""A whole stream: header, the tiles' sections, and the trailer with the checksum over all of it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from lhic.errors import CorruptStreamError, TruncatedStreamError
from lhic.stream.auxiliary import Packed
from lhic.stream.header import Header, StreamIndex, read_index, stream_bytes, write_head
from lhic.stream.tiles import Stream, TileEntry
from lhic.stream.varint import CRC

COPY_BYTES = 1 << 20
"""Read or checked at once."""


class StreamWriter:
    """Puts a stream together whose sections come one after the other, and before the header that lists them.

    spool : binary file, open for reading and writing, empty; holds the sections meanwhile
    """

    def __init__(self, header: Header, spool: BinaryIO):
        self.header, self.spool = header, spool
        self.tiles: list[TileEntry] = []
        self._section_bytes: list[int] = []
        self._open_bytes = self._tile_crc = 0

    @property
    def n_bytes(self) -> int:
        """Of the stream, once all tiles have been added."""
        return stream_bytes(self.header, self.tiles)

    def add_tile(self, sections: Sequence[bytes], samples_crc: int) -> None:
        """The next tile, in grid order; each has the same number of sections."""
        for section in sections:
            self.write(section)
            self.end_section()
        self.end_tile(samples_crc)

    def write(self, part: bytes) -> None:
        """More of the section that is being written."""
        self.spool.write(part)
        self._open_bytes += len(part)
        self._tile_crc = zlib.crc32(part, self._tile_crc)

    def end_section(self) -> None:
        self._section_bytes.append(self._open_bytes)
        self._open_bytes = 0

    def end_tile(self, samples_crc: int) -> None:
        self.tiles.append(TileEntry(0, tuple(self._section_bytes), samples_crc, self._tile_crc))
        self._section_bytes, self._tile_crc = [], 0

    def finish(self, file: BinaryIO, beside: Sequence[Packed] = ()) -> StreamIndex:
        """Write the stream, auxiliary sections last; what reading its beginning would give."""
        assert len(self.tiles) == len(self.header.grid) and not self._open_bytes and not self._section_bytes
        head = part = write_head(self.header, self.tiles, beside)
        self.spool.seek(0)
        crc = 0
        while part:
            file.write(part)
            crc = zlib.crc32(part, crc)
            part = self.spool.read(COPY_BYTES)
        for section in beside:
            file.write(section.data)
            crc = zlib.crc32(section.data, crc)
        file.write(CRC.pack(crc))
        return read_index(head)


def write_stream(header: Header, tiles: Sequence[Sequence[bytes]], samples_crcs: Sequence[int]) -> bytes:
    """A stream of sections that are at hand.

    tiles : sections of each tile, in grid order, the same number in each
    samples_crcs : `samples_crc` of each tile
    """
    writer, file = StreamWriter(header, io.BytesIO()), io.BytesIO()
    for sections, crc in zip(tiles, samples_crcs, strict=True):
        writer.add_tile(sections, crc)
    writer.finish(file)
    return file.getvalue()


def check_whole(stream: Stream, index: StreamIndex) -> None:
    """Check that the stream is complete, and its trailer.

    Raises
    ------
    TruncatedStreamError, CorruptStreamError
    """
    if len(stream) < index.stream_bytes:
        raise TruncatedStreamError(f"stream: expected {index.stream_bytes} bytes, found {len(stream)}")
    if len(stream) > index.stream_bytes:
        raise CorruptStreamError(f"stream: expected {index.stream_bytes} bytes, found {len(stream)}: too many")
    crc, end = 0, len(stream) - CRC.size
    for begin in range(0, end, COPY_BYTES):
        crc = zlib.crc32(stream[begin : min(begin + COPY_BYTES, end)], crc)
    if crc != CRC.unpack(bytes(stream[end:]))[0]:
        raise CorruptStreamError("stream: checksum does not match: the stream is damaged")
