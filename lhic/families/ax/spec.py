"""The format as data: constants, tables and orders of docs/format_lhic_ax.md, once for both engines.

Changing anything here changes every stream.  Sections are those of the document.  Knows no engine and no weights.
"""

from __future__ import annotations

import numpy as np

from lhic.coder.mixture import WEIGHT_BITS as MIXTURE_BITS

# --- 2. Order ---------------------------------------------------------------------------------------------------------

PLANE_LAG = 4  # waves that a plane runs behind the one before it
SMALL_PIXELS = 1 << 13  # tiles of fewer have less to learn from, so epochs are half as long and every wave teaches


def epoch_of(configured: int, n_rows: int, n_columns: int) -> int:
    """Waves of an epoch in a tile."""
    return max(configured // 2, 1) if n_rows * n_columns < SMALL_PIXELS else configured


# Neighbours as (rows down, columns right).
HERE, W, N, NW, NE = (0, 0), (0, -1), (-1, 0), (-1, -1), (-1, 1)
E, S, SE, SW, WW, NN = (0, 1), (1, 0), (1, 1), (1, -1), (0, -2), (-2, 0)
CAUSAL = (W, N, NW, NE)
AROUND = (*CAUSAL, E, S, SE, SW)
OWN = (*CAUSAL, WW, NN)  # of the plane itself
CROSS = (W, N, E, S)  # of the plane before

# --- 3. Logarithm and power -------------------------------------------------------------------------------------------

LOG_STEPS = 16  # per octave
LOG_BITS = 6  # of a value's mantissa that count
POWER_BITS = 14


def _log_table() -> np.ndarray:
    """``round(16 log2((64 + k + 1/2) / 64))`` for k = 0 .. 63, int64: the number of m with 2^(m - 1/2) <= value^16."""
    table = []
    for k in range(1 << LOG_BITS):
        value = (2 * (1 << LOG_BITS) + 2 * k + 1) ** (2 * LOG_STEPS)  # (2 * 64 * mantissa)^32
        unit = (2 << LOG_BITS) ** (2 * LOG_STEPS)
        table.append(sum(value >= unit << (2 * m - 1) for m in range(1, LOG_STEPS + 1)))
    return np.array(table, np.int64)


def _power_table() -> np.ndarray:
    """``round(2^14 * 2^(-k / 16))`` for k = 0 .. 15, int64."""
    table = []
    for k in range(LOG_STEPS):
        low, high = 0, 2 << POWER_BITS  # greatest value with (2 value - 1)^16 <= (2 * 2^14)^16 * 2^-k
        limit = (2 << POWER_BITS) ** LOG_STEPS >> k
        while low < high:
            middle = (low + high + 1) >> 1
            low, high = (middle, high) if (2 * middle - 1) ** LOG_STEPS <= limit else (low, middle - 1)
        table.append(low)
    return np.array(table, np.int64)


# From integer roots and powers alone, so that no mathematical library decides a bit.
LOG_TABLE = _log_table()
MAX_BELOW = 240  # from where the blend's weights do not fall any more
POWER_TABLE = _power_table()[np.arange(MAX_BELOW + 1) % LOG_STEPS] << 1 >> np.arange(MAX_BELOW + 1) // LOG_STEPS
"""``pow(b)`` for b = 0 .. 240, int64."""

# --- 4. Experts (their regressors: `experts`) -------------------------------------------------------------------------

CONSTANT_INPUT = 256
MAX_REGRESSORS = 48
COEFFICIENT_BITS = 20
COEFFICIENT_LIMIT = 2.0**26  # |coefficient| <= 64
PREDICTION_BITS = 6  # predictions in 1/64
RIDGE = 1024.0
RELATIVE_RIDGE = 2.0**-23
FORGET_SHIFT = 4  # an expert that forgets keeps 15/16 per epoch
WEIGHT_STEPS = 31  # weights 1 .. 32
THINNED_FROM = 64  # wave from which on every other one alone adds to the normal equations, but in small tiles

# --- 5. Context -------------------------------------------------------------------------------------------------------

UNIT = 1024  # magnitudes, scales and activities in 1/1024
FIRST_MAGNITUDE = 1024  # expected error before anything is known
PRIOR_COUNT = 32  # samples that the earlier plane's mean counts for
MIN_MAGNITUDE = 16
N_LEVELS = 60  # of the expected error, half an octave each
FIRST_RATIO = 256  # error as found against expected, 1/256
FIRST_COUNT = 4
MAX_RATIO = 32 * FIRST_RATIO
KEEP_RATIO = 160  # of 256, of the earlier plane's table
MAX_NEAR = 1 << 24  # of the earlier plane's errors around
MIN_RAW_SCALE = 24
MIN_SCALE = 12
ACTIVITY_RATE = 13  # of 64
MAX_ACTIVITY = 16 * UNIT
NEAR_PLANES = 2  # planes back whose residuals count here and around,
FAR_PLANES = 4  # and those behind them, whose residuals count here alone
MAX_INVERSE = 1 << 23  # of 2^24 / scale in an earlier plane's unit; from there on all residuals but 0 are clipped
LIMIT = 127  # of a feature

# Features: three of each expert, then those from here on (5.4, in this order).
OF_SAMPLES = 0
OF_RESIDUALS = OF_SAMPLES + len(OWN)
OF_NEAR_PLANES = OF_RESIDUALS + len(OWN)
OF_FAR_PLANES = OF_NEAR_PLANES + NEAR_PLANES * (1 + len(AROUND))
OF_AROUND = OF_FAR_PLANES + FAR_PLANES
OF_EXPECTED, OF_MAGNITUDE, OF_SCALE, OF_EARLIER_MAGNITUDE = (OF_AROUND + k for k in range(1, 5))
OF_LOW, OF_HIGH, OF_COUNT, OF_PLANE, OF_FIRST_ROW, OF_SIDES = (OF_AROUND + k for k in range(5, 11))
OF_RAW_SCALE, OF_SLOPES, OF_CURVATURE = (OF_AROUND + k for k in range(11, 14))


def n_features(n_experts: int) -> int:
    """Length of the network's input."""
    return 3 * n_experts + OF_CURVATURE + 1


# --- 6. Network -------------------------------------------------------------------------------------------------------

FEATURE_BITS = 4  # features in 1/16
WEIGHT_BITS = 8  # weights in 1/256
ACTIVATION_BITS = 7  # activations in 1/128
ACTIVATION_LIMIT = 4095
OUTPUT_BITS = ACTIVATION_BITS + WEIGHT_BITS  # sums of the last layer in 2^-15
FIRST_SHIFT = FEATURE_BITS + WEIGHT_BITS - ACTIVATION_BITS
MEAN_SHIFT = 7  # of sums, to 1/256 of the expected error
SCALE_SHIFT = 10  # to 1/32 octave
LOGIT_SHIFT = 10  # to 1/32 octave
SCALE_OFFSET = -81  # 256 - 320 - 17: the grid's offset, 1/1024 of a level in half steps, and 32 log2(ln 2)

# 6.1 Adaptation
TEACHING_WAVES = 2  # every second wave teaches, but in small tiles
SHARE_BITS = 12  # of a component's share of a sample's probability
GRADIENT_BITS = 6  # gradients in 1/64
GRADIENT_LIMIT = 127
LEAST_MIXED = 1 << 16  # added to a sample's probability, in 2^-38: what is nearly impossible teaches less
ONE = 1 << ACTIVATION_BITS  # input whose weights are the biases
SQUARE_SHIFT = 8  # of a batch's gradient before it is squared,
SQUARED_LIMIT = 2.0**16  # and the greatest that is
PRIOR_SQUARES = 2.0**16
SLOWNESS = 48.0  # of learning
FADE_SHIFT = 4  # the sums of the group before count for 15/16

# --- 7. Symbols -------------------------------------------------------------------------------------------------------

PRECISION = 24
TOTAL = 1 << PRECISION

# --- 8. Repeats -------------------------------------------------------------------------------------------------------

LONGEST_RUN = 127  # of planes; seven bits
RUN_BITS = 8  # of a neighbour's run, where those of all neighbours stand in one number
RUN_STARTS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96)  # shortest run of each level
N_RUN_LEVELS = len(RUN_STARTS)
RUN_LEVEL = np.searchsorted(RUN_STARTS, np.arange(LONGEST_RUN + 1), side="right") - 1
FIRST_HITS = 8 * np.array([16, 32, 64, 128, 256, 384, 512, 640, 704, 768, 832, 896, 928, 960, 976, 992])
FIRST_TRIES = 8  # samples of each level before anything is known
KEEP_TRIES = 224  # of 256, of the earlier plane's table
LEAST_REPEAT = 4  # weights of a candidate
GREATEST_REPEAT = (1 << MIXTURE_BITS) - 32
CERTAIN = 1024  # a hit that the repetition explains alone
