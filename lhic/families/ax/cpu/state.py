"""What encoder and decoder remember of a tile while they walk through it, in the skewed layout of `wavefront`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import alone
from lhic.families.ax.cpu.cdf import SEARCHED
from lhic.families.ax.cpu.coder import N_SEARCH
from lhic.families.ax.cpu.fit import padded
from lhic.families.ax.cpu.tiles import COLUMNS, GRAM_ROWS, QUAD
from lhic.families.ax.experts import ExpertTable
from lhic.families.ax.spec import (
    CONSTANT_INPUT,
    FAR_PLANES,
    MAX_REGRESSORS,
    N_LEVELS,
    N_RUN_LEVELS,
    NEAR_PLANES,
    ONE,
    n_features,
)
from lhic.families.ax.wavefront import ROW_MARGIN, WAVE_MARGIN, n_waves, picture_shape
from lhic.kernels.vectors import zeros

LEARNT_AT_ONCE = 128  # samples, of some waves, whose products are added up at once
TAUGHT_AT_ONCE = 128  # samples whose gradients are multiplied at once
N_LOGS = 6  # rows of `Scratch.logs`


class State(NamedTuple):
    """P planes, E experts, n regressors in all, A the shape of a skewed plane, T epochs and one more.

    Of what only the next planes read there are R <= P planes: plane z is at ``z % R``, once plane z - R is of no use.
    Of what experts read there are D <= P, as many more as they look back.

    samples, details : int32 (D, A)
    residuals : int32 (R, A), in 1/64
    errors : int32 (R, E, A), |sample - prediction| in 1/64
    activity : int32 (R, A), recent |residual| at this pixel, relative to the planes' means, in 1/1024
    runs : int32 (R, A), planes in a row that were equal to each causal neighbour's, 7 of 8 bits each
    coefficients : float64 (P, n)
    grams : float64 (R, sum of squares);  moments : float64 (R, n');  each expert's side rounded up (`padded`); none for
        planes of one epoch
    own_magnitude, own_count : int64 (P,), sum of |residual| in 1/64, samples
    magnitude : int64 (P, T), expected |residual| at the beginning of each epoch in 1/1024
    own_ratio, own_ratio_count : int64 (P, N_LEVELS);  ratio, ratio_count : int64 (R, T, N_LEVELS)
    own_hits, own_tries : int64 (P, N_RUN_LEVELS);  hits, tries : int64 (R, T, N_RUN_LEVELS), repeated samples in 1/1024
    rates : float64 (P, 2, N_LEVELS), ratio and 256 ratio_count of the epoch
    run_weights : int64 (P, N_RUN_LEVELS), 16 hits / tries of the epoch
    own_error : int64 (P, E);  error : int64 (P, T, E), mean error of each expert in 1/1024
    weights : float64 (R, waves of an epoch, n), of the samples of the epoch
    low, high : int64 (P,), least and greatest model value
    coded : bool (A), pixels that are coded
    """

    samples: np.ndarray
    details: np.ndarray
    residuals: np.ndarray
    errors: np.ndarray
    activity: np.ndarray
    runs: np.ndarray
    coefficients: np.ndarray
    moments: np.ndarray
    grams: np.ndarray
    own_magnitude: np.ndarray
    own_count: np.ndarray
    magnitude: np.ndarray
    own_ratio: np.ndarray
    own_ratio_count: np.ndarray
    ratio: np.ndarray
    ratio_count: np.ndarray
    own_hits: np.ndarray
    own_tries: np.ndarray
    hits: np.ndarray
    tries: np.ndarray
    rates: np.ndarray
    run_weights: np.ndarray
    own_error: np.ndarray
    error: np.ndarray
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    coded: np.ndarray


class Mixtures(NamedTuple):
    """Mixtures of a wave's samples: working memory, see `mixture`.

    parts : float64 (K, 2, n), means and factors;  weights : int64 (K, n)
    near, spread : float64 (n,), logistic from which a search guesses: mean, and where odds double, in 1/256
    levels : int32 (n,), to encode, or as decoded
    starts, freqs : int32 (n,), their intervals; when decoding freqs alone
    search : int32 (N_SEARCH, SEARCHED), of `coder.decode_wave`
    """

    parts: np.ndarray
    weights: np.ndarray
    near: np.ndarray
    spread: np.ndarray
    levels: np.ndarray
    starts: np.ndarray
    freqs: np.ndarray
    search: np.ndarray


class Scratch(NamedTuple):
    """Working memory of one thread for one wave of up to n samples, n a multiple of the tiles' width."""

    sources: np.ndarray  # int64 (MAX_REGRESSORS + 2,)
    used: np.ndarray  # float64 (MAX_REGRESSORS + 4,)
    inputs: np.ndarray  # float64 (MAX_REGRESSORS + 1, m), m samples of one or some waves
    predictions: np.ndarray  # float64 (E, n)
    means: np.ndarray  # float64 (n,)
    base: np.ndarray  # float64 (n,), 1/64
    scale: np.ndarray  # float64 (n,), 1/1024
    raw_scale: np.ndarray  # float64 (n,), before the correction by level
    level: np.ndarray  # int64 (n,)
    targets: np.ndarray  # float64 (n,)
    candidates: np.ndarray  # int64 (n,), sample of the neighbour that a pixel most likely repeats
    run_levels: np.ndarray  # int64 (n,), for how long it has repeated it
    repeat_weights: np.ndarray  # int64 (n,), probability that it does again, 1/2^14
    weighted: np.ndarray  # float64 (MAX_REGRESSORS + GRAM_ROWS + 1, m), inputs and target times weights
    near: np.ndarray  # float64 (E, n), log2_16 of the experts' errors around
    logs: np.ndarray  # float64 (N_LOGS, n)
    work: np.ndarray  # float64 (4, n)
    inverse: np.ndarray  # float64 (7, n), 2^24 / scale; for each plane back in its unit
    gain: np.ndarray  # float64 (7,), this plane's magnitude in 1/1024 of each earlier plane's
    log_error: np.ndarray  # float64 (E,), log2_16 of the experts' mean errors in the plane
    factor: np.ndarray  # float64 (MAX_REGRESSORS, MAX_REGRESSORS + QUAD)
    features: np.ndarray  # float32 (n_features, n)
    hidden: np.ndarray  # float32 (2, width, n)
    outputs: np.ndarray  # float32 (3 K, n)
    gradients: np.ndarray  # float64 (3 K, t), of samples that teach the network (`adapt`)
    taught: np.ndarray  # float64 (I, t), and the inputs of its last layer
    n_taught: np.ndarray  # int64 (1,), samples there
    known: np.ndarray  # float64 (2, 3 K, I)
    numbers: np.ndarray  # float64 (N_NUMBERS,), what kernels are told of the plane, and sums from them
    # What follows is `walk_alone`'s.
    search: np.ndarray  # int32 (7, LANES), slots, levels, where they begin and end; a level and its interval
    rows: np.ndarray  # int64 (2, MAX_REGRESSORS + 1), where inputs come from, and what is taken from them
    taken: np.ndarray  # float64 (3, n), means of this and the earlier plane, and 0
    given: np.ndarray  # int32 (2, n), 0, and the constant input
    twice: np.ndarray  # float64 (2, LANES), one sample's logistic
    twice_weights: np.ndarray  # int64 (2, LANES), its candidate
    mixtures: Mixtures


def most_samples(n_rows: int, n_columns: int) -> int:
    """Of a wave, in whole tiles."""
    return -(-min(n_rows, (n_columns + 1) // 2 + 1) // COLUMNS) * COLUMNS


def new_state(
    table: ExpertTable, epoch: int, shape: tuple[int, int, int], low: np.ndarray, high: np.ndarray, mask: np.ndarray,
    n_recent: int | None = None,
) -> State:  # fmt: skip
    """State before the first sample.

    shape : (P, H, W); low, high : (P,) model values; mask : bool (H, W), True where nothing is coded.
    n_recent : planes R of what only the next planes read, all without it; see `schedule.recent_planes`.
    """
    state = State(*(zeros(size, dtype) for size, dtype in _sizes(table, epoch, shape, n_recent)))
    state.coefficients[:] = table.first_coefficients[0]
    state.coefficients[:1] = table.first_coefficients[1]
    state.low[:], state.high[:] = low, high
    rows, columns = np.indices(shape[1:])
    state.coded[2 * rows + columns + WAVE_MARGIN, rows + ROW_MARGIN] = ~mask
    return state


def state_bytes(table: ExpertTable, epoch: int, shape: tuple[int, int, int], n_recent: int) -> int:
    """Memory of such a state."""
    return sum(math.prod(size) * np.dtype(dtype).itemsize for size, dtype in _sizes(table, epoch, shape, n_recent))


def _sizes(
    table: ExpertTable, epoch: int, shape: tuple[int, int, int], n_recent: int | None
) -> list[tuple[tuple[int, ...], type]]:
    """Shape and dtype of each array of a state."""
    n_planes, n_rows, n_columns = shape
    n_read = min((n_recent or n_planes) + int(table.regressors[:, 1].max()), n_planes)
    n_recent = min(n_recent or n_planes, n_planes)
    picture = picture_shape(*shape)[1:]
    n_experts, n_epochs = len(table.about_mean), -(-n_waves(n_rows, n_columns) // epoch) + 1
    sides = padded.py_func(np.diff(table.starts))
    n_fitted = n_recent if n_epochs > 2 else 0  # in one epoch nothing is fitted
    sizes = {
        "samples": ((n_read, *picture), np.int32),
        "details": ((n_read, *picture), np.int32),
        "residuals": ((n_recent, *picture), np.int32),
        "errors": ((n_recent, n_experts, *picture), np.int32),
        "activity": ((n_recent, *picture), np.int32),
        "runs": ((n_recent, *picture), np.int32),
        "coefficients": ((n_planes, table.first_coefficients.shape[1]), np.float64),
        "moments": ((n_fitted, int(sides.sum())), np.float64),
        "grams": ((n_fitted, int((sides**2).sum())), np.float64),
        "own_magnitude": ((n_planes,), np.int64),
        "own_count": ((n_planes,), np.int64),
        "magnitude": ((n_planes, n_epochs), np.int64),
        "own_ratio": ((n_planes, N_LEVELS), np.int64),
        "own_ratio_count": ((n_planes, N_LEVELS), np.int64),
        "ratio": ((n_recent, n_epochs, N_LEVELS), np.int64),
        "ratio_count": ((n_recent, n_epochs, N_LEVELS), np.int64),
        "own_hits": ((n_planes, N_RUN_LEVELS), np.int64),
        "own_tries": ((n_planes, N_RUN_LEVELS), np.int64),
        "hits": ((n_recent, n_epochs, N_RUN_LEVELS), np.int64),
        "tries": ((n_recent, n_epochs, N_RUN_LEVELS), np.int64),
        "rates": ((n_planes, 2, N_LEVELS), np.float64),
        "run_weights": ((n_planes, N_RUN_LEVELS), np.int64),
        "own_error": ((n_planes, n_experts), np.int64),
        "error": ((n_planes, n_epochs, n_experts), np.int64),
        "weights": ((n_recent, epoch, most_samples(n_rows, n_columns)), np.float64),
        "low": ((n_planes,), np.int64),
        "high": ((n_planes,), np.int64),
        "coded": (picture, np.bool_),
    }
    return [sizes[name] for name in State._fields]


def new_mixtures(components: int, n: int) -> Mixtures:
    """For n samples of a wave; a tile may reach beyond the last."""
    n += SEARCHED
    return Mixtures(
        zeros((components, 2, n)),
        zeros((components, n), np.int64),
        *(zeros(n) for _ in range(2)),
        *(zeros(n, np.int32) for _ in range(3)),
        zeros((N_SEARCH, SEARCHED), np.int32),
    )


@lru_cache(maxsize=64)
def scratch_bytes(config: AxConfig, n_rows: int, n_columns: int) -> int:
    """Memory of what `new_scratch` gives."""
    scratch = new_scratch(config, n_rows, n_columns)
    return sum(array.nbytes for array in (*scratch[:-1], *scratch.mixtures))


def new_scratch(config: AxConfig, n_rows: int, n_columns: int) -> Scratch:
    n_experts, width, components = len(config.experts()), config.width, config.components
    n = most_samples(n_rows, n_columns)
    m = max(n, LEARNT_AT_ONCE) + 2 * QUAD
    n_taught = max(n, TAUGHT_AT_ONCE) + 2 * QUAD if config.adaptation else 0
    taught = zeros((width + QUAD, n_taught))
    taught[width] = ONE
    return Scratch(
        zeros(MAX_REGRESSORS + 2, np.int64),
        zeros(MAX_REGRESSORS + 4),
        zeros((MAX_REGRESSORS + 1, m)),
        zeros((n_experts, n)),
        *(zeros(n) for _ in range(4)),
        zeros(n, np.int64),
        zeros(n),
        *(zeros(n, np.int64) for _ in range(3)),
        zeros((MAX_REGRESSORS + GRAM_ROWS + 1, m)),
        zeros((n_experts, n)),
        zeros((N_LOGS, n)),
        zeros((4, n)),
        zeros((1 + NEAR_PLANES + FAR_PLANES, n)),
        zeros(1 + NEAR_PLANES + FAR_PLANES),
        zeros(n_experts),
        zeros((MAX_REGRESSORS, MAX_REGRESSORS + QUAD)),
        zeros((n_features(n_experts), n), np.float32),
        zeros((2, width, n), np.float32),
        zeros((3 * components, n), np.float32),
        zeros((3 * components, n_taught)),
        taught,
        zeros(1, np.int64),
        zeros((2, 3 * components, len(taught))),
        zeros(alone.N_NUMBERS),
        zeros((7, alone.LANES), np.int32),
        zeros((2, MAX_REGRESSORS + 1), np.int64),
        zeros((3, n)),
        np.repeat(np.array([[0], [CONSTANT_INPUT]], np.int32), n, 1),
        zeros((2, alone.LANES)),
        zeros((2, alone.LANES), np.int64),
        new_mixtures(components + bool(config.repeats), n),
    )
