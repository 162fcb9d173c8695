"""Changes of a network's weights, as a stream sends them: small integers, coded with the mixture's logistics.

Each tensor's changes are multiples of a step and follow a logistic around 0 whose width is sent
(docs/format_lhic_ax.md, section 9).
"""

from __future__ import annotations

import numpy as np

from lhic.coder import RansDecoder, RansEncoder
from lhic.coder.mixture import MEAN_BITS, SCALE_MAX, SCALE_MIN_LOG2, SCALE_STEPS, Mixture
from lhic.coder.mixture_kernels import decode_symbols, interval
from lhic.errors import CheckpointError, CorruptStreamError
from lhic.families.ax.config import AxConfig
from lhic.families.ax.elementary import log2
from lhic.families.ax.integer_net import FRACTION_BITS, check_bounds, shapes
from lhic.stream.varint import Reader, write_varint

# Format: changing any of these changes every stream (docs/format_lhic_ax.md, section 9).
NAMES = ("first", "middle", "last", "biases", "last_bias")
STEP_BITS = 6  # of the default step, 1/64
MAX_STEP_BITS = 8
MAX_CHANGE = 1 << 14  # steps
PRECISION = 24


def _units(name: str, shape: tuple[int, ...], step_bits: int) -> np.ndarray:
    """Size of a step in the units of a tensor, int64, to be broadcast along it."""
    if name != "biases":
        return np.array(1 << FRACTION_BITS["bias" if name == "last_bias" else "weight"] - step_bits)
    bits = [FRACTION_BITS["first_bias"]] + [FRACTION_BITS["bias"]] * (shape[0] - 1)
    return np.array([[1 << b - step_bits] for b in bits])


def rounded(
    tensors: dict[str, np.ndarray], wanted: dict[str, np.ndarray], step_bits: int = STEP_BITS
) -> dict[str, np.ndarray]:
    """The changes, int64 numbers of steps by name, that lead nearest from int32 tensors to the wanted ones."""
    found = {}
    for name in NAMES:
        units = _units(name, tensors[name].shape, step_bits)
        steps = np.rint((wanted[name] - tensors[name]) / units).astype(np.int64)
        found[name] = np.clip(steps, -MAX_CHANGE, MAX_CHANGE)
    return found


def applied(
    tensors: dict[str, np.ndarray], changes: dict[str, np.ndarray], step_bits: int = STEP_BITS
) -> dict[str, np.ndarray]:
    """Changed tensors, int32.

    Raises
    ------
    CheckpointError
        Sums of a layer would no longer be exact.
    """
    found = {}
    for name in NAMES:
        units = _units(name, tensors[name].shape, step_bits)
        found[name] = (tensors[name] + units * changes[name]).astype(np.int32)
    check_bounds(found, "changed weights")
    return found


def write_changes(changes: dict[str, np.ndarray], step_bits: int = STEP_BITS) -> bytes:
    """Varints: bits of the step, the greatest change, the index of each tensor's width; then the coded section."""
    head, mixtures, symbols = [write_varint(step_bits)], [], []
    limit = max(int(np.abs(steps).max(initial=0)) for steps in changes.values())
    head.append(write_varint(limit))
    for name in NAMES:
        steps = changes[name].reshape(-1)
        width = _width_index(int(np.abs(steps).sum()) / steps.size if steps.size else 0.0)
        head.append(write_varint(width))
        mixtures.append(np.full(steps.size, width))
        symbols.append(steps + limit)
    encoder = RansEncoder(1, PRECISION)
    encoder.push(
        *interval(_mixture(np.concatenate(mixtures), limit), np.concatenate(symbols), 2 * limit + 1, PRECISION)
    )
    return b"".join(head) + encoder.finish()


def _width_index(mean_size: float) -> int:
    """Scale index of a logistic whose samples have this mean size: 2 t, for t as in docs/format_rans.md."""
    return round(SCALE_STEPS * (log2(max(mean_size / 2, 2.0**-4)) - SCALE_MIN_LOG2))


def _mixture(widths: np.ndarray, limit: int) -> Mixture:
    column = widths.astype(np.int32)[:, None]
    return Mixture(np.full_like(column, limit << MEAN_BITS), column, np.zeros_like(column))


def read_changes(reader: Reader, config: AxConfig) -> tuple[dict[str, np.ndarray], int]:
    """Inverse of `write_changes`: changes and the bits of the step; takes all that is left.

    Raises
    ------
    CorruptStreamError
    """
    step_bits = reader.varint("bits of a change", 0, MAX_STEP_BITS)
    limit = reader.varint("greatest change", 0, MAX_CHANGE)
    sizes = {name: shapes(config)[name] for name in NAMES}
    widths = []
    for name, shape in sizes.items():
        width = reader.varint(f"width of the changes of {name}", 0, SCALE_MAX)
        widths.append(np.full(int(np.prod(shape)), width))
    decoder = RansDecoder(bytes(reader.take(reader.n_left, "changes")), 1, PRECISION)
    steps = decode_symbols(_mixture(np.concatenate(widths), limit), decoder, 2 * limit + 1).astype(np.int64) - limit
    decoder.finish()
    found, start = {}, 0
    for name, shape in sizes.items():
        end = start + int(np.prod(shape))
        found[name] = steps[start:end].reshape(shape)
        start = end
    return found, step_bits


def changed(tensors: dict[str, np.ndarray], data: bytes, config: AxConfig) -> dict[str, np.ndarray]:
    """Tensors as a stream changes them; `tensors` themselves if `data` is empty.

    Raises
    ------
    CorruptStreamError
    """
    if not data:
        return tensors
    changes, step_bits = read_changes(Reader(data, "changes of weights"), config)
    try:
        return applied(tensors, changes, step_bits)
    except CheckpointError as error:
        raise CorruptStreamError(str(error)) from error
