"""LHIC-BP as a family of models: tiles of samples to sections of bytes, and back.

Joins the parts: bit partition, escapes, an engine that turns contexts into grid coordinates, their rounding, intervals
and the entropy coder.  All msp bands of a tile are coded before its lsp, whose plane condition looks at all of them.
Tiles do not depend on each other, so they go through in groups, on several threads, with the same result.
Format v1: docs/format_lhic_bp.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import torch

from lhic.arguments import whole_number
from lhic.coder import Mixture, RansDecoder, RansEncoder, interval
from lhic.coder.rans import MAX_PRECISION
from lhic.cube import Cube
from lhic.errors import CheckpointError, ConfigError, CorruptStreamError, UsageError
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.engines import CompiledEngine, PlanePass, TorchEngine
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.order import coding_order
from lhic.families.bp.parameters import FAMILY, SECTION_NAMES, SPLIT_BITS, StreamParameters
from lhic.families.bp.partition import alphabet_sizes, join, plane_to_unit, split
from lhic.families.bp.side import read_escapes, write_escapes
from lhic.families.bp.wavefront_numba import Coders
from lhic.families.family import Encoded, Model, Progress, Work
from lhic.families.near_ties import read_corrections, round_and_list, write_corrections
from lhic.families.state_dict import load_net
from lhic.stream.tiles import TileGrid

# Format v1: changing any of these changes every stream (docs/format_lhic_bp.md).
TILE = 32
N_LANES = 1  # a tile's positions are decoded in turn and tiles in parallel, so a second lane would only cost its state
MIN_PRECISION = 20
SPARE_BITS = 8  # precision beyond the alphabet's own bits, so that the width every symbol has costs below 0.6 %
N_PLANES = 2

# Memory (docs/memory.md compares it with what is measured):
SAMPLE_BYTES = 60
COPIES = 3  # of each sample in its own dtype
PICTURES = 2.5  # float64, of each feature of each layer

SAMPLES_AT_ONCE = 1 << 24  # enough tiles for many threads
SAMPLES_ON_DEVICE = 1 << 26


def precision_of(alphabet_size: int) -> int:
    """log2 of the coder's total for an alphabet."""
    return min(max(MIN_PRECISION, (alphabet_size - 1).bit_length() + SPARE_BITS), MAX_PRECISION)


def choose_offset(cube: Cube, max_value: int) -> int:
    """Offset o for which the most samples lie in [o, o + max_value]; among those, the one nearest to 0.

    0 if nothing lies outside [0, max_value], because the weights know unshifted samples best.  Looks at one tile at a
    time, and keeps a count for each value found.
    """
    values, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for tile in TileGrid(*cube.shape[1:], TILE, TILE):
        found = np.unique(cube[tile.window], return_counts=True)
        values, where = np.unique(np.concatenate([values, found[0].astype(np.int64)]), return_inverse=True)
        merged = np.zeros(len(values), np.int64)
        np.add.at(merged, where, np.concatenate([counts, found[1]]))
        counts = merged
    if values[0] >= 0 and values[-1] <= max_value:
        return 0
    until = np.concatenate([[0], np.cumsum(counts)])
    # The best window may begin at a value; its samples then end at `last`.
    last = np.searchsorted(values, values + max_value, side="right")
    inside = until[last] - until[: len(values)]
    best = np.flatnonzero(inside == inside.max())
    # The same samples stay inside while the window slides from its last sample's edge up to its first sample.
    first = values[best]
    lowest = values[last[best] - 1] - max_value
    offsets = np.where((lowest <= 0) & (first >= 0), 0, np.where(first < 0, first, lowest))
    return int(offsets[np.argmin(np.abs(offsets))])


# --- the model --------------------------------------------------------------------------------------------------------


def load(
    name: str, config: dict, tensors: dict[str, np.ndarray], weights_hash: bytes, device: str = "cpu"
) -> LhicBpModel:
    """A model from a weights file's contents; tensors are named ``msp.*`` and ``lsp.*``.

    Raises
    ------
    CheckpointError
        Configuration or tensors are not those of this family, or do not fit together.
    """
    try:
        settings = LhicBpConfig.from_dict(config)
    except ConfigError as error:
        raise CheckpointError(f"{name}: {error}") from error
    nets = []
    for prefix, kind in (("msp", MspNet), ("lsp", LspNet)):
        own = {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
        nets.append(load_net(kind, settings, own, f"{name}: {prefix}"))
    stray = sorted(key for key in tensors if not key.startswith(("msp.", "lsp.")))
    if stray:
        raise CheckpointError(f"{name}: expected tensors named msp.* and lsp.*, found {stray[0]!r}")
    msp, lsp = nets
    return LhicBpModel(name, config, weights_hash, settings, msp, lsp, device)


class LhicBpModel(Model):
    """See `lhic.families.family`."""

    family = FAMILY

    def __init__(
        self,
        name: str,
        config: dict,
        weights_hash: bytes,
        settings: LhicBpConfig,
        msp: MspNet,
        lsp: LspNet,
        device: str,
        engine: CompiledEngine | TorchEngine | None = None,
    ):
        self.name, self.config, self.weights_hash, self.settings = name, config, weights_hash, settings
        self.nets = [net.to(device) for net in (msp, lsp)]
        self.device = device
        self.samples_at_once = SAMPLES_AT_ONCE if device == "cpu" else SAMPLES_ON_DEVICE
        self.engine = engine or (CompiledEngine(msp, lsp) if device == "cpu" else TorchEngine(torch.device(device)))

    def tile_shape(self, n_rows: int, n_columns: int) -> tuple[int, int]:
        """Format v1: always 32 x 32, as published."""
        return TILE, TILE

    def coding_bytes(self, shape: tuple[int, int, int], dtype: np.dtype, threads: int) -> int:
        """Tiles are padded; the networks hold some pictures of each feature, whatever the bands."""
        settings = self.settings
        widths = {
            "spectral_msp": settings.dim_msp_spectral,
            "spatial_msp": settings.dim_msp_spatial,
            "spectral_lsp": settings.dim_lsp_spectral,
            "spatial_lsp": settings.dim_lsp_spatial,
            "plane": settings.dim_plane,
            "params": settings.dim_params,
        }
        n_pictures = sum(width * (1 + getattr(settings, f"N_layers_{name}")) for name, width in widths.items())
        sample_bytes = SAMPLE_BYTES + COPIES * dtype.itemsize
        return TILE * TILE * (shape[0] * sample_bytes + int(PICTURES * n_pictures) * 8)

    def plan(self, cube: Cube, work: Work, **options) -> bytes:
        """Stream parameters; option ``param_d`` (1..16) overrides the partition the weights were trained for."""
        unknown = sorted(set(options) - {"param_d"})
        if unknown:
            raise UsageError(f"option {unknown[0]!r}: expected param_d, the only option of {FAMILY}")
        d = options.get("param_d")
        d = self.settings.param_d if d is None else d
        d = whole_number(d, "param_d", *SPLIT_BITS)
        if self.settings.max_value >> d > 0xFFFF:
            raise UsageError(f"param_d: expected a msp of at most 16 bits, found {d} of {self.settings.max_value}")
        return StreamParameters(d, choose_offset(cube, self.settings.max_value)).to_bytes()

    def encode_tiles(
        self, tiles: Sequence[np.ndarray], parameters: bytes, work: Work, nodata: int | None = None
    ) -> list[Encoded]:
        """See `lhic.families.family.Model.encode_tiles`."""
        settings = StreamParameters.from_bytes(parameters)
        return self._in_groups(tiles, work, lambda group, tick: self._encode_group(group, settings, tick))

    def decode_tiles(
        self,
        shapes: Sequence[tuple[int, int, int]],
        dtype: np.dtype,
        sections: Sequence[Sequence[bytes]],
        parameters: bytes,
        work: Work,
    ) -> list[np.ndarray]:
        """See `lhic.families.family.Model.decode_tiles`."""
        settings = self._checked(StreamParameters.from_bytes(parameters))
        jobs = [_Coded(shape, tuple(own)) for shape, own in zip(shapes, sections, strict=True)]
        for job in jobs:
            if max(job.shape[1:]) > TILE or len(job.sections) != len(SECTION_NAMES):
                raise CorruptStreamError(
                    f"tile: expected at most {TILE} x {TILE} samples in {len(SECTION_NAMES)} sections, "
                    f"found {job.shape} in {len(job.sections)}"
                )
        return self._in_groups(jobs, work, lambda group, tick: self._decode_group(group, dtype, settings, tick))

    def bit_costs(self, cube: np.ndarray, **options) -> np.ndarray:
        """Where the bits go: what each symbol costs, before the coder's own overhead of well below 0.1 %.

        cube : as for `lhic.encode`

        Returns
        -------
        float64 (2, S, H, W), bits; plane 0 is the msp, 1 the lsp
        """
        work = Work()
        settings = StreamParameters.from_bytes(self.plan(cube, work, **options))
        costs = np.zeros((N_PLANES, *cube.shape))
        windows = [
            (slice(row, row + TILE), slice(column, column + TILE))
            for row in range(0, cube.shape[1], TILE)
            for column in range(0, cube.shape[2], TILE)
        ]
        tiles = [np.ascontiguousarray(cube[:, rows, columns]) for rows, columns in windows]

        def collect(group, tick):
            maps = [np.zeros((N_PLANES, *tile.shape)) for tile in group]
            self._encode_group(group, settings, tick, maps)
            return maps

        for (rows, columns), part in zip(windows, self._in_groups(tiles, work, collect), strict=True):
            costs[:, :, rows, columns] = part
        return costs

    # --- groups of tiles ---

    def _in_groups(self, jobs: Sequence, work: Work, code: Callable) -> list:
        """Results of `code(group, tick)`, which gives one per job, for all jobs in order."""
        threads = work.threads if isinstance(self.engine, CompiledEngine) else 1
        size = max(1, min(self.engine.max_tiles, -(-len(jobs) // threads)))
        groups = [jobs[begin : begin + size] for begin in range(0, len(jobs), size)]
        if len(groups) == 1 or threads == 1:
            return [result for group in groups for result in code(group, work.progress)]
        ticks: SimpleQueue[int | None] = SimpleQueue()  # progress is told from this thread alone
        stopped = threading.Event()

        def tick(n_samples: int) -> None:
            if stopped.is_set():
                raise _Stopped
            ticks.put(n_samples)

        def run(group):
            try:
                return code(group, tick)
            except BaseException:
                stopped.set()  # no point in finishing the others
                raise
            finally:
                ticks.put(None)

        with ThreadPoolExecutor(min(threads, len(groups))) as pool:
            futures = [pool.submit(run, group) for group in groups]
            try:
                n_running = len(futures)
                while n_running:
                    n_samples = ticks.get()
                    if n_samples is None:
                        n_running -= 1
                    else:
                        work.progress(n_samples)
            except BaseException:
                stopped.set()
                raise
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None and not isinstance(error, _Stopped):
                raise error
        return [result for future in futures for result in future.result()]

    def _checked(self, settings: StreamParameters) -> StreamParameters:
        if self.settings.max_value >> settings.split_bits > 0xFFFF:
            raise CorruptStreamError(f"lhic-bp parameters: split bits {settings.split_bits} too few for this model")
        return settings

    def _planes(self, settings: StreamParameters) -> Iterator[tuple[int, MspNet | LspNet, int, int]]:
        """Number, network, alphabet size and precision of each plane, in coding order."""
        sizes = alphabet_sizes(self.settings.max_value, settings.split_bits)
        for plane, (net, size) in enumerate(zip(self.nets, sizes, strict=True)):
            yield plane, net, size, precision_of(size)

    def _plane_condition(self, msp: np.ndarray, settings: StreamParameters) -> np.ndarray:
        return plane_to_unit(msp.astype(np.float64), settings.split_bits, self.settings.max_value)

    def _encode_group(
        self, tiles: Sequence[np.ndarray], settings: StreamParameters, tick: Progress, costs: list | None = None
    ) -> list[Encoded]:
        """Some tiles; fills `costs`, per tile (2, S, h, w), if given."""
        shifted = [tile.astype(np.int64) - settings.offset for tile in tiles]
        clamped = [np.clip(samples, 0, self.settings.max_value) for samples in shifted]
        escapes = [write_escapes(whole - inside) for whole, inside in zip(shifted, clamped, strict=True)]
        padded = np.stack([_pad(samples) for samples in clamped])
        planes = split(padded, settings.split_bits)
        heights, widths = _sizes(tile.shape for tile in tiles)
        condition = self._plane_condition(planes[0], settings)

        coded: list[list[bytes]] = [[] for _ in tiles]
        listed: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in tiles]
        for plane, net, alphabet_size, precision in self._planes(settings):
            writers = [_TileWriter(alphabet_size, precision, self.settings.num_mixture) for _ in tiles]
            if alphabet_size > 1:
                symbols = planes[plane].astype(np.int32)
                orders = [_flat_order(h, w) for h, w in zip(heights, widths)]

                def on_band(band, coordinates, symbols=symbols, writers=writers, orders=orders, plane=plane):
                    for tile, writer in enumerate(writers):
                        order = orders[tile]
                        bits = writer.band(coordinates[tile, : len(order)], symbols[tile, band].reshape(-1)[order])
                        if costs is not None:
                            rows, columns = np.divmod(order, TILE)
                            costs[tile][plane, band, rows, columns] = bits()
                    tick(int(_share(heights * widths, plane).sum()))

                work = PlanePass(net, symbols, heights, widths, alphabet_size, precision, condition if plane else None)
                self.engine.run(work, on_band)
            else:
                tick(int(_share(heights * widths, plane).sum()) * padded.shape[1])
            for tile, writer in enumerate(writers):
                coded[tile].append(writer.finish())
                listed[tile].append(writer.listed())
        return [
            Encoded((*sections, write_corrections(lists), escape), tile)
            for sections, lists, escape, tile in zip(coded, listed, escapes, tiles, strict=True)
        ]

    def _decode_group(
        self, jobs: Sequence[_Coded], dtype: np.dtype, settings: StreamParameters, tick: Progress
    ) -> list[np.ndarray]:
        n_bands = jobs[0].shape[0]
        heights, widths = _sizes(job.shape for job in jobs)
        n_parameters = [n_bands * h * w * 3 * self.settings.num_mixture for h, w in zip(heights, widths)]
        lists = [
            read_corrections(job.sections[2], N_PLANES, int(n), "corrections")
            for job, n in zip(jobs, n_parameters, strict=True)
        ]
        escapes = [read_escapes(job.sections[3], job.shape, "escapes") for job in jobs]

        planes: list[np.ndarray] = []
        for plane, net, alphabet_size, precision in self._planes(settings):
            symbols = np.zeros((len(jobs), n_bands, TILE, TILE), np.int32)
            n_ticked = int(_share(heights * widths, plane).sum())
            if alphabet_size > 1:
                decoders = [RansDecoder(job.sections[plane], N_LANES, precision) for job in jobs]
                coders = _coders(decoders, [own[plane] for own in lists])
                condition = self._plane_condition(planes[0], settings) if plane else None
                work = PlanePass(net, symbols, heights, widths, alphabet_size, precision, condition, coders)
                self.engine.run(work, lambda *_, n=n_ticked: tick(n))
                _finish(decoders, coders, SECTION_NAMES[plane])
            else:
                if any(job.sections[plane] or own[plane][0].size for job, own in zip(jobs, lists, strict=True)):
                    raise CorruptStreamError(f"{SECTION_NAMES[plane]}: expected nothing about a single symbol")
                tick(n_ticked * n_bands)
            planes.append(symbols)
        joined = join(planes[0].astype(np.int64), planes[1], settings.split_bits) + settings.offset
        return [
            _to_dtype(joined[i, :, : job.shape[1], : job.shape[2]], escape, dtype)
            for i, (job, escape) in enumerate(zip(jobs, escapes, strict=True))
        ]


class _Stopped(Exception):
    """Another thread failed."""


@dataclass(frozen=True)
class _Coded:
    """A tile to decode."""

    shape: tuple[int, int, int]
    sections: tuple[bytes, ...]


class _TileWriter:
    """One plane of one tile on its way into a section and a list of corrections."""

    def __init__(self, alphabet_size: int, precision: int, n_components: int):
        self.alphabet_size, self.n_components = alphabet_size, n_components
        self.encoder = RansEncoder(N_LANES, precision)
        self.n_parameters = 0
        self.indices: list[np.ndarray] = []
        self.parities: list[np.ndarray] = []

    def band(self, coordinates: np.ndarray, symbols: np.ndarray) -> Callable[[], np.ndarray]:
        """Code a band's symbols (n,) given coordinates (n, 3 K); the result, when called, tells their cost in bits."""
        flat = np.ascontiguousarray(coordinates).reshape(-1)
        integers = np.empty(flat.size, np.int32)
        indices, parities = np.empty(flat.size, np.int64), np.empty(flat.size, np.uint8)
        n_listed = round_and_list(flat, self.n_parameters, integers, indices, parities)
        if n_listed < 0:
            raise CheckpointError("model: expected weights that give numbers for this cube, found some that give NaN")
        self.n_parameters += flat.size
        self.indices.append(indices[:n_listed].copy())
        self.parities.append(parities[:n_listed].copy())
        k = self.n_components
        mixture = Mixture(*np.split(integers.reshape(-1, 3 * k), 3, axis=1))
        starts, freqs = interval(mixture, symbols, self.alphabet_size, self.encoder.precision)
        self.encoder.push(starts, freqs)
        return lambda: self.encoder.precision - np.log2(freqs)

    def finish(self) -> bytes:
        return self.encoder.finish() if self.n_parameters else b""

    def listed(self) -> tuple[np.ndarray, np.ndarray]:
        indices = np.concatenate([np.zeros(0, np.int64), *self.indices])
        return indices, np.concatenate([np.zeros(0, np.uint8), *self.parities])


def _coders(decoders: Sequence[RansDecoder], lists: Sequence[tuple[np.ndarray, np.ndarray]]) -> Coders:
    """Decoder states of a group, laid end to end."""
    n_tiles = len(decoders)
    return Coders(
        np.stack([decoder.states for decoder in decoders]),
        np.concatenate([decoder.words for decoder in decoders]),
        np.cumsum([0, *(decoder.words.size for decoder in decoders)]),
        np.stack([decoder.cursor for decoder in decoders]),
        np.concatenate([indices for indices, _ in lists]),
        np.concatenate([parities for _, parities in lists]),
        np.cumsum([0, *(indices.size for indices, _ in lists)]),
        np.zeros((n_tiles, 1), np.int64),
        np.zeros(n_tiles, np.int64),
    )


def _finish(decoders: Sequence[RansDecoder], coders: Coders, name: str) -> None:
    """Check that every section and list was used up."""
    for tile, decoder in enumerate(decoders):
        decoder.states[:], decoder.cursor[:] = coders.states[tile], coders.cursors[tile]
        decoder.finish()
        n_listed = coders.list_offsets[tile + 1] - coders.list_offsets[tile]
        if coders.list_cursors[tile, 0] != n_listed:
            raise CorruptStreamError(f"{name}: expected {n_listed} corrections to be met, found others")


def _pad(samples: np.ndarray) -> np.ndarray:
    """(S, h, w) to (S, 32, 32), repeating the edges: a decoder can do the same, position by position."""
    _, h, w = samples.shape
    return np.pad(samples, ((0, 0), (0, TILE - h), (0, TILE - w)), mode="edge")


def _sizes(shapes) -> tuple[np.ndarray, np.ndarray]:
    _, heights, widths = np.array(list(shapes), np.int64).T
    return np.ascontiguousarray(heights), np.ascontiguousarray(widths)


def _flat_order(h: int, w: int) -> np.ndarray:
    """Positions of a padded band in coding order, padding left out."""
    rows, columns = coding_order(int(h), int(w))
    return rows * TILE + columns


def _share(n_samples: np.ndarray, plane: int) -> np.ndarray:
    """Samples to report as finished after one plane of a band; both planes together give all."""
    return n_samples // 2 if plane == 0 else n_samples - n_samples // 2


def _to_dtype(samples: np.ndarray, escape: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Samples of the stream's dtype; a value outside its range means damage."""
    if escape is not None:
        samples = samples + escape
    limits = np.iinfo(dtype)
    if samples.min() < limits.min or samples.max() > limits.max:
        raise CorruptStreamError(f"samples: expected {dtype}, found {samples.min()} .. {samples.max()}")
    return np.ascontiguousarray(samples.astype(dtype))
