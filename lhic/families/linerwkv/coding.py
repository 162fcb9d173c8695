"""LineRWKV as a family of models: tiles of samples to sections of bytes, and back.

Line 0 is predicted from the sample on the left or the band before, every other line by the network.  A prediction is
rounded as `near_ties` says, which is what makes a stream decode where it was not written.  The encoder takes many
lines through the network at once; the decoder one band of one line after the other, because a sample's neighbours on
both sides are seen by the bands after it.  Format: docs/format_linerwkv.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from lhic.coder import RansDecoder, RansEncoder
from lhic.cube import Cube
from lhic.errors import BackendError, CheckpointError, ConfigError, CorruptStreamError, UsageError
from lhic.families.family import Encoded, Model, Work
from lhic.families.linerwkv.config import LineRwkvConfig
from lhic.families.linerwkv.network import AlongBands, LineRwkv, LinesBefore, denormalise, normalise
from lhic.families.linerwkv.parameters import CODERS, FAMILY, SECTION_NAMES, read_parameters
from lhic.families.linerwkv.residual import GRID_BITS, Memory, code_band
from lhic.families.linerwkv.side import LINES, MAX_BITS, MIN_BITS, Side, decode_indices, encode_indices
from lhic.families.near_ties import read_corrections, round_and_list, round_as_listed, write_corrections
from lhic.families.state_dict import load_net
from lhic.stream.varint import Reader, unzigzag, write_varint, zigzag

TILE = 256
PREDICTION_LIMIT = (1 << 14) - 1  # of the authors' coder
N_LANES = 1

# Memory:
PICTURE_BYTES = 1 << 25  # of one feature picture of the lines that an encoder takes at once
PICTURES = 16  # of them at a time
STATES = 5  # of each block, each a picture of a line
SAMPLE_BYTES = 64


def load(
    name: str, config: dict, tensors: dict[str, np.ndarray], weights_hash: bytes, device: str = "cpu"
) -> LineRwkvModel:
    """A model from a weights file's contents; tensors have the published names.

    Raises
    ------
    CheckpointError
        Configuration or tensors are not those of this family, or do not fit together.
    BackendError
        Another device than the CPU is asked for.
    """
    if device != "cpu":
        raise BackendError(f"device {device!r}: expected cpu for linerwkv, which has been tried nowhere else")
    try:
        settings = LineRwkvConfig.from_dict(config)
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error
    return LineRwkvModel(name, config, weights_hash, settings, load_net(LineRwkv, settings, tensors, name))


class LineRwkvModel(Model):
    """See `lhic.families.family`."""

    family = FAMILY

    def __init__(self, name: str, config: dict, weights_hash: bytes, settings: LineRwkvConfig, net: LineRwkv):
        self.name, self.config, self.weights_hash, self.settings, self.net = name, config, weights_hash, settings, net

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """At most 256 x 256; the published patches of 128 x 128 are one tile."""
        return min(TILE, n_rows), min(TILE, n_columns)

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        """See `lhic.families.family.Model.coding_bytes`."""
        line = shape[0] * shape[2] * self.settings.dim_enc * 8
        at_once = max(PICTURE_BYTES, 2 * line) * PICTURES
        return at_once + STATES * line * self.settings.n_layer_lines + SAMPLE_BYTES * shape[0] * shape[1] * shape[2]

    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        """Stream parameters; option ``coder``: ``mixture``, the default, or ``ccsds123``, the authors'."""
        unknown = sorted(set(options) - {"coder"})
        if unknown:
            raise UsageError(f"option {unknown[0]!r}: expected coder, the only option of {FAMILY}")
        coder = options.get("coder") or CODERS[0]
        if coder not in CODERS:
            raise UsageError(f"coder: expected one of {', '.join(CODERS)}, found {coder!r}")
        return bytes([CODERS.index(coder)])

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        """See `lhic.families.family.Model.encode_tiles`."""
        coder = read_parameters(parameters)
        with torch_threads(work.threads):
            return [Encoded(self._encode(tile, coder, work), tile) for tile in tiles]

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        """See `lhic.families.family.Model.decode_tiles`."""
        coder = read_parameters(parameters)
        with torch_threads(work.threads):
            return [self._decode(shape, dtype, own, coder, work) for shape, own in zip(shapes, sections, strict=True)]

    def predictions(self, tile: np.ndarray, side: Side) -> Iterator[tuple[int, np.ndarray]]:
        """What the network says of a tile (S, H, W): number of a line, float64 (T, S, W) of it and those after."""
        n_bands, n_rows, n_columns = tile.shape
        lines = torch.from_numpy(np.ascontiguousarray(tile.transpose(1, 0, 2), np.float64))
        means, deviations = self._per_line(side, n_rows)
        values = normalise(lines, means, deviations)
        before = LinesBefore(self.net, n_bands, n_columns)
        at_once = max(1, PICTURE_BYTES // (n_bands * n_columns * self.settings.dim_enc * 8))
        encoded = self.net.encoder(values[:1])
        for first in range(1, n_rows, at_once):
            last = min(first + at_once, n_rows)
            encoded = torch.cat([encoded[-1:], self.net.encoder(values[first:last])])
            contexts = torch.stack([before.step(line) for line in encoded[:-1]])
            bands = AlongBands(self.net, contexts, values[first - 1 : last - 1, 0])
            found = [bands.next(encoded[1:, band - 1] if band else None) for band in range(n_bands)]
            yield first, denormalise(torch.stack(found, 1), means[first:last], deviations[first:last]).numpy()

    def _per_line(self, side: Side, n_rows: int) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each line: (H, S, 1)."""
        groups = np.arange(n_rows) // LINES
        whole = (side.means, side.deviations)
        means, deviations = (torch.from_numpy(numbers[groups, :, None].astype(np.float64)) for numbers in whole)
        return means, deviations

    # --- a tile ---

    def _encode(self, tile: np.ndarray, coder: str, work: Work) -> tuple[bytes, bytes, bytes]:
        side = Side.of(tile)
        lines = tile.astype(np.int64).transpose(1, 0, 2)
        writer = (_MixtureWriter if coder == "mixture" else _IndexWriter)(lines, side)
        writer.line(0, _first_predictions(lines[0], side.low) << writer.grid_bits)
        work.progress(lines[0].size)
        listed, at = [], 0
        with torch.inference_mode():
            for first, predictions in self.predictions(tile, side):
                for number, prediction in enumerate(predictions, first):
                    coordinates = _coordinates(prediction, writer.grid_bits)
                    integers = np.empty(coordinates.size, np.int32)
                    where, parities = np.empty(coordinates.size, np.int64), np.empty(coordinates.size, np.uint8)
                    n_listed = round_and_list(coordinates, at, integers, where, parities)
                    if n_listed < 0:
                        raise CheckpointError(f"model {self.name!r}: expected numbers as predictions, found others")
                    listed.append((where[:n_listed], parities[:n_listed]))
                    at += coordinates.size
                    writer.line(number, integers.reshape(prediction.shape).astype(np.int64))
                    work.progress(prediction.size)
        joined = [np.concatenate([np.zeros(0, kind), *part]) for kind, part in zip((np.int64, np.uint8), zip(*listed))]
        corrections = write_corrections([(joined[0], joined[1])]) if listed else b""
        return side.to_bytes(), writer.finish(), corrections

    def _decode(
        self, shape: tuple[int, int, int], dtype: np.dtype, sections: Sequence[bytes], coder: str, work: Work
    ) -> np.ndarray:
        n_bands, n_rows, n_columns = shape
        if max(shape[1:]) > TILE or len(sections) != len(SECTION_NAMES):
            raise CorruptStreamError(
                f"tile: expected at most {TILE} x {TILE} samples in {len(SECTION_NAMES)} sections, "
                f"found {shape} in {len(sections)}"
            )
        side = Side.from_bytes(sections[0], shape)
        limits = np.iinfo(dtype)
        if side.low < limits.min or side.low + side.size - 1 > limits.max:
            raise CorruptStreamError(
                f"linerwkv side: expected samples of {dtype}, found {side.low} and {side.size} more"
            )
        n_predicted = n_bands * (n_rows - 1) * n_columns
        ((where, parities),) = read_corrections(sections[2], 1, n_predicted, "linerwkv corrections")
        cursor = np.zeros(1, np.int64)
        lines = np.empty((n_rows, n_bands, n_columns), np.int64)
        reader = (_MixtureReader if coder == "mixture" else _IndexReader)(lines, side, sections[1])
        for band in range(n_bands):
            before = lines[0, band - 1] if band else _first_predictions(lines[0, :1], side.low)[0]
            reader.band(0, band, before << reader.grid_bits)
        work.progress(lines[0].size)
        means, deviations = self._per_line(side, n_rows)

        def features(line: int, band: slice) -> Tensor:
            samples = torch.from_numpy(lines[line, band].astype(np.float64))
            return self.net.encoder(normalise(samples, means[line, band], deviations[line, band]))

        with torch.inference_mode():
            contexts = LinesBefore(self.net, n_bands, n_columns)
            encoded = features(0, slice(None))
            for line in range(1, n_rows):
                last = torch.from_numpy(lines[line - 1, :1].astype(np.float64))
                first = normalise(last, means[line - 1, :1], deviations[line - 1, :1])
                bands = AlongBands(self.net, contexts.step(encoded)[None], first)
                encoded = torch.empty_like(encoded)
                for band in range(n_bands):
                    found = bands.next(encoded[None, band - 1] if band else None)[0]
                    coordinates = _coordinates(
                        denormalise(found, means[line, band], deviations[line, band]).numpy(), reader.grid_bits
                    )
                    integers = np.empty(n_columns, np.int32)
                    at = ((line - 1) * n_bands + band) * n_columns
                    round_as_listed(coordinates, at, integers, where, parities, cursor)
                    reader.band(line, band, integers.astype(np.int64))
                    encoded[band] = features(line, slice(band, band + 1))[0]
                work.progress(lines[line].size)
        reader.finish()
        if cursor[0] != where.size:
            raise CorruptStreamError(f"linerwkv: expected {where.size} corrections to be met, found {cursor[0]}")
        return np.ascontiguousarray(lines.transpose(1, 0, 2).astype(dtype))


def _first_predictions(line: np.ndarray, low: int) -> np.ndarray:
    """Of line 0 (S, W): the band before; of band 0, the column before, and `low` of the first."""
    found = np.empty_like(line)
    found[1:] = line[:-1]
    found[0, 1:] = line[0, :-1]
    found[0, 0] = low
    return found


def _coordinates(predictions: np.ndarray, grid_bits: int) -> np.ndarray:
    """Predictions on the grid of integers, flat; a factor of a power of two is exact."""
    return np.clip(predictions.reshape(-1), -(2.0**24), 2.0**24) * (1 << grid_bits)


# --- our coder: samples around predictions ---


class _MixtureWriter:
    grid_bits = GRID_BITS

    def __init__(self, lines: np.ndarray, side: Side):
        n_bands, n_columns = lines.shape[1:]
        self.lines, self.side = lines - side.low, side
        self.memory = Memory.empty(n_bands, n_columns)
        self.encoder = RansEncoder(N_LANES, precision_of(side.size))
        self.nothing = np.zeros(0, np.int64), np.zeros(0, np.uint32), np.zeros(2, np.int64)

    def line(self, number: int, predictions: np.ndarray) -> None:
        predictions = predictions - (self.side.low << GRID_BITS)
        for band, symbols in enumerate(self.lines[number]):
            starts, freqs = np.empty(symbols.size, np.uint32), np.empty(symbols.size, np.uint32)
            about = band, self.side.size, self.encoder.precision, self.memory, starts, freqs
            code_band(symbols, predictions[band], number == 0 and band == 0, *about, *self.nothing)
            self.encoder.push(starts, freqs)
        self.memory.next_line(number == 0)

    def finish(self) -> bytes:
        return self.encoder.finish()


class _MixtureReader:
    grid_bits = GRID_BITS

    def __init__(self, lines: np.ndarray, side: Side, section: bytes):
        self.lines, self.side = lines, side
        self.memory = Memory.empty(*lines.shape[1:])
        self.decoder = RansDecoder(section, N_LANES, precision_of(side.size))
        self.nothing = np.zeros(0, np.uint32), np.zeros(0, np.uint32)

    def band(self, number: int, band: int, predictions: np.ndarray) -> None:
        symbols, decoder = np.empty(self.lines.shape[2], np.int64), self.decoder
        about = band, self.side.size, decoder.precision, self.memory, *self.nothing
        predictions = predictions - (self.side.low << GRID_BITS)
        coder = decoder.states, decoder.words, decoder.cursor
        if not code_band(symbols, predictions, number == 0 and band == 0, *about, *coder):
            raise decoder.words_ran_out()
        self.lines[number, band] = symbols + self.side.low
        if band == self.lines.shape[1] - 1:
            self.memory.next_line(number == 0)

    def finish(self) -> None:
        self.decoder.finish()


def precision_of(size: int) -> int:
    """log2 of the coder's total for so many symbols."""
    return min(max(20, (size - 1).bit_length() + 8), 24)


# --- the authors' coder: what is left of the samples ---


class _IndexWriter:
    grid_bits = 0

    def __init__(self, lines: np.ndarray, side: Side):
        self.lines, self.low = lines, side.low
        self.left = np.empty((lines.shape[1], lines.shape[0], lines.shape[2]), np.int64)

    def line(self, number: int, predictions: np.ndarray) -> None:
        limited = predictions if number == 0 else np.clip(predictions, -PREDICTION_LIMIT, PREDICTION_LIMIT)
        self.left[:, number] = self.lines[number] - limited

    def finish(self) -> bytes:
        coded, bits = encode_indices(zigzag(self.left))
        return write_varint(bits) + coded


class _IndexReader:
    grid_bits = 0

    def __init__(self, lines: np.ndarray, side: Side, section: bytes):
        n_rows, n_bands, n_columns = lines.shape
        reader = Reader(section, "linerwkv samples")
        bits = reader.varint("bits", MIN_BITS, MAX_BITS)
        coded = reader.take(reader.n_left, "samples")
        self.lines, self.side = lines, side
        self.left = unzigzag(decode_indices(coded, (n_bands, n_rows, n_columns), bits, "linerwkv samples"))

    def band(self, number: int, band: int, predictions: np.ndarray) -> None:
        left, low = self.left[band, number], self.side.low
        if number:
            found = left + np.clip(predictions, -PREDICTION_LIMIT, PREDICTION_LIMIT)
        elif band:
            found = left + predictions
        else:
            found = low + np.cumsum(left)
        if found.min() < low or found.max() >= low + self.side.size:
            raise CorruptStreamError(
                f"linerwkv samples: line {number}, band {band}: expected them in range, found others"
            )
        self.lines[number, band] = found

    def finish(self) -> None:
        pass


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """torch's threads for the block; they are those of the process."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
