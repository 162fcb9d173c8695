"""Every field of a CCSDS 123.0-B-2 header as one record, with the ranges the standard gives.

Decides what may be asked for; knows neither how fields are laid out (header.py) nor what they do.  Names are those of
the standard, its symbols stand beside them.

Source: CCSDS 123.0-B-2, sections 3 (image), 4 (predictor), 5.3 (header), 5.4 (entropy coders).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lhic.ccsds123.errors import ParameterError

ORDERS = ("bi", "bsq")  # position in each tuple = code in the header
ENTROPY_CODERS = ("sample-adaptive", "hybrid", "block-adaptive")
FIDELITIES = ("lossless", "absolute", "relative", "absolute and relative")
PREDICTION_MODES = ("full", "reduced")
LOCAL_SUMS = ("wide neighbor", "narrow neighbor", "wide column", "narrow column")
TABLE_TYPES = ("unsigned", "signed", "float")
TABLE_STRUCTURES = ("zero-dimensional", "per band", "per band and column", "per row and column")
BLOCK_SIZES = (8, 16, 32, 64)

MAX_AXIS = 1 << 16


@dataclass(frozen=True)
class SupplementaryTable:
    """A supplementary information table (3.5, 5.3.2.3); carried along, it does not influence the samples.

    Attributes
    ----------
    type : str
        One of `TABLE_TYPES`.
    purpose : int
        0..15, Table 3-1 of the standard.
    structure : str
        One of `TABLE_STRUCTURES`; with the image size it gives the number of elements.
    payload : bytes
        The table data subblock as it stands in the header: bit depths, elements, fill bits.
    user_data : int
        0..15.
    """

    type: str
    purpose: int
    structure: str
    payload: bytes
    user_data: int = 0


@dataclass(frozen=True)
class Parameters:
    """All that the header of a compressed image says, and the encoder's one free choice beside it.

    A limit or table that may vary from band to band is an integer when it does not and a tuple with one entry
    a band when it does; the header says which.  ``check`` runs on construction.

    Attributes
    ----------
    n_bands, n_rows, n_columns : int
        N_Z, N_Y, N_X, 1..65536.
    dynamic_range : int
        D, bits per sample, 2..32.
    signed : bool
        Sample type.
    order : str
        ``bsq`` or ``bi`` (band-interleaved by `interleaving_depth`).
    interleaving_depth : int
        M; 1 is BIL, `n_bands` is BIP, 0 with ``bsq``.
    output_word_bytes : int
        B, 1..8: the compressed image is filled up to a multiple of it.
    entropy_coder : str
        One of `ENTROPY_CODERS`.
    user_data : int
        0..255, not interpreted.
    supplementary_tables : tuple of SupplementaryTable
        At most 15.
    prediction_bands : int
        P, 0..15.
    prediction_mode : str
        ``full`` also uses the three directional local differences; it needs two columns.
    local_sum : str
        One of `LOCAL_SUMS`; the neighbor-oriented ones need two columns.
    register_size : int
        R, max(32, D + Omega + 2)..64.
    weight_resolution : int
        Omega, 4..19.
    weight_update_interval : int
        t_inc, a power of two 16..2048.
    weight_update_initial, weight_update_final : int
        nu_min <= nu_max, -6..9.
    weight_init_resolution : int or None
        Q, 3..Omega + 3; None for default weights.
    weight_init_table : tuple of tuples or None
        Lambda, two's complement Q-bit values, for each band as many as it has weights.
    weight_exponent_offsets : tuple of tuples or None
        Each -6..5; for each band one for the directional weights (full mode), then one a previous band.
    absolute_error_limit, relative_error_limit : int, tuple or None
        a and r; None for both means lossless.
    absolute_error_limit_bits, relative_error_limit_bits : int or None
        D_A and D_R, 1..min(D - 1, 16).
    representative_resolution : int or None
        Theta, 0..4; None leaves the structure out of the header (Theta = 0).
    representative_damping, representative_offset : int or tuple
        phi and psi, 0..2^Theta - 1.
    unary_length_limit : int
        U_max, 8..32.
    initial_count_exponent : int
        gamma_0, 1..8.
    rescaling_counter_size : int
        gamma*, max(4, gamma_0 + 1)..11.
    accumulator_init : int or tuple
        K, 0..min(D - 2, 14), or one a band.  Sample-adaptive coder.
    initial_accumulator : int, tuple or None
        Sigma(0) of the hybrid coder, 0..2^(D + gamma_0) - 1.  The encoder's choice, not in the header;
        None stands for 4 * 2^gamma_0.
    block_size : int
        J, 8, 16, 32 or 64.  Block-adaptive coder.
    restricted_codes : bool
        Restricted code options, D <= 4.
    reference_interval : int
        r, 1..4096 blocks.

    Raises
    ------
    ParameterError
        Naming the field, what was expected and what was found.
    """

    n_bands: int
    n_rows: int
    n_columns: int
    dynamic_range: int = 16
    signed: bool = False
    order: str = "bsq"
    interleaving_depth: int = 0
    output_word_bytes: int = 1
    entropy_coder: str = "sample-adaptive"
    user_data: int = 0
    supplementary_tables: tuple[SupplementaryTable, ...] = ()
    prediction_bands: int = 3
    prediction_mode: str = "full"
    local_sum: str = "wide neighbor"
    register_size: int = 64
    weight_resolution: int = 19
    weight_update_interval: int = 64
    weight_update_initial: int = -1
    weight_update_final: int = 6
    weight_init_resolution: int | None = None
    weight_init_table: tuple[tuple[int, ...], ...] | None = None
    weight_exponent_offsets: tuple[tuple[int, ...], ...] | None = None
    absolute_error_limit: int | tuple[int, ...] | None = None
    absolute_error_limit_bits: int | None = None
    relative_error_limit: int | tuple[int, ...] | None = None
    relative_error_limit_bits: int | None = None
    representative_resolution: int | None = None
    representative_damping: int | tuple[int, ...] = 0
    representative_offset: int | tuple[int, ...] = 0
    unary_length_limit: int = 18
    initial_count_exponent: int = 1
    rescaling_counter_size: int = 6
    accumulator_init: int | tuple[int, ...] = 3
    initial_accumulator: int | tuple[int, ...] | None = None
    block_size: int = 64
    restricted_codes: bool = False
    reference_interval: int = 4096

    def __post_init__(self) -> None:
        self.check()

    # Derived quantities.  cached_property writes to __dict__ directly, which a frozen dataclass allows.

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.n_bands, self.n_rows, self.n_columns

    @property
    def n_samples(self) -> int:
        return self.n_bands * self.n_rows * self.n_columns

    @property
    def fidelity(self) -> str:
        has_absolute = self.absolute_error_limit is not None
        has_relative = self.relative_error_limit is not None
        return FIDELITIES[has_absolute + 2 * has_relative]

    @property
    def full(self) -> bool:
        return self.prediction_mode == "full"

    @property
    def sample_limits(self) -> tuple[int, int, int]:
        """s_min, s_max, s_mid."""
        half = 1 << (self.dynamic_range - 1)
        return (-half, half - 1, 0) if self.signed else (0, 2 * half - 1, half)

    @property
    def dtype(self) -> np.dtype:
        """Smallest numpy integer for D bits of this sign."""
        n_bytes = 1 if self.dynamic_range <= 8 else 2 if self.dynamic_range <= 16 else 4
        return np.dtype(f"{'int' if self.signed else 'uint'}{8 * n_bytes}")

    @cached_property
    def n_weights(self) -> tuple[int, ...]:
        """C_z: number of weights of each band (4.5)."""
        return tuple(min(z, self.prediction_bands) + 3 * self.full for z in range(self.n_bands))

    def per_band(self, value: int | tuple[int, ...] | None) -> tuple[int, ...]:
        """`value` once for each band; None as zeros."""
        if isinstance(value, tuple):
            return value
        return (value or 0,) * self.n_bands

    @property
    def initial_accumulators(self) -> tuple[int, ...]:
        """Sigma_z(0) that the hybrid encoder starts from, one a band."""
        if self.initial_accumulator is not None:
            return self.per_band(self.initial_accumulator)
        top = (1 << (self.dynamic_range + self.initial_count_exponent)) - 1
        return (min(4 << self.initial_count_exponent, top),) * self.n_bands

    def check(self) -> None:
        """Raise ParameterError unless every field is in its range."""
        depth = self.dynamic_range
        for axis in ("n_bands", "n_rows", "n_columns"):
            self._within(axis, 1, MAX_AXIS)
        self._within("dynamic_range", 2, 32)
        self._one_of("order", ORDERS)
        low, high = (0, 0) if self.order == "bsq" else (1, self.n_bands)
        self._within("interleaving_depth", low, high)
        self._within("output_word_bytes", 1, 8)
        self._one_of("entropy_coder", ENTROPY_CODERS)
        self._within("user_data", 0, 255)
        self._check_supplementary_tables()

        self._within("prediction_bands", 0, 15)
        self._one_of("prediction_mode", PREDICTION_MODES)
        self._one_of("local_sum", LOCAL_SUMS)
        if self.n_columns == 1 and "neighbor" in self.local_sum:
            self._fail("local_sum", "a column-oriented one for an image of one column", self.local_sum)
        if self.n_columns == 1 and self.full:
            self._fail("prediction_mode", "reduced for an image of one column", self.prediction_mode)
        self._within("weight_resolution", 4, 19)
        self._within("register_size", max(32, depth + self.weight_resolution + 2), 64)
        if self.weight_update_interval not in [1 << e for e in range(4, 12)]:
            self._fail("weight_update_interval", "a power of two 16..2048", self.weight_update_interval)
        self._within("weight_update_initial", -6, 9)
        self._within("weight_update_final", self.weight_update_initial, 9)
        self._check_weight_tables()

        for kind in ("absolute", "relative"):
            self._check_error_limit(kind)
        resolution = self.representative_resolution
        if resolution is not None:
            self._within("representative_resolution", 0, 4)
        top = (1 << (resolution or 0)) - 1
        self._each_within("representative_damping", 0, top)
        self._each_within("representative_offset", 0, 0 if self.fidelity == "lossless" else top)

        self._within("unary_length_limit", 8, 32)
        self._within("initial_count_exponent", 1, 8)
        self._within("rescaling_counter_size", max(4, self.initial_count_exponent + 1), 11)
        if self.entropy_coder == "sample-adaptive":
            self._each_within("accumulator_init", 0, min(depth - 2, 14))
        if self.initial_accumulator is not None:
            self._each_within("initial_accumulator", 0, (1 << (depth + self.initial_count_exponent)) - 1)
        self._one_of("block_size", BLOCK_SIZES)
        self._within("reference_interval", 1, 4096)
        if self.restricted_codes and depth > 4:
            self._fail("restricted_codes", "False for more than 4 bits per sample", True)

    def _check_supplementary_tables(self) -> None:
        if len(self.supplementary_tables) > 15:
            self._fail("supplementary_tables", "at most 15", len(self.supplementary_tables))
        for table in self.supplementary_tables:
            legal = (
                table.type in TABLE_TYPES
                and table.structure in TABLE_STRUCTURES
                and 0 <= table.purpose <= 15
                and 0 <= table.user_data <= 15
            )
            if not legal:
                self._fail("supplementary_tables", "a type, structure, purpose and user data in range", table)

    def _check_weight_tables(self) -> None:
        if (self.weight_init_table is None) != (self.weight_init_resolution is None):
            self._fail("weight_init_table", "table and resolution, or neither", self.weight_init_resolution)
        if self.weight_init_table is not None and self.weight_init_resolution is not None:
            self._within("weight_init_resolution", 3, self.weight_resolution + 3)
            half = 1 << (self.weight_init_resolution - 1)
            self._ragged("weight_init_table", self.n_weights, -half, half - 1)
        if self.weight_exponent_offsets is not None:
            n_offsets = tuple(n - 2 * self.full for n in self.n_weights)
            self._ragged("weight_exponent_offsets", n_offsets, -6, 5)

    def _check_error_limit(self, kind: str) -> None:
        limit, bits = f"{kind}_error_limit", f"{kind}_error_limit_bits"
        if (getattr(self, limit) is None) != (getattr(self, bits) is None):
            self._fail(limit, "limit and bit depth, or neither", getattr(self, limit))
        if getattr(self, limit) is not None:
            self._within(bits, 1, min(self.dynamic_range - 1, 16))
            self._each_within(limit, 0, (1 << getattr(self, bits)) - 1)

    def _within(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            self._fail(name, f"{low}..{high}", value)

    def _each_within(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, tuple):
            self._within(name, low, high)
            return
        if len(value) != self.n_bands:
            self._fail(name, f"{self.n_bands} values, one a band", len(value))
        for z, entry in enumerate(value):
            if not low <= entry <= high:
                self._fail(f"{name} of band {z}", f"{low}..{high}", entry)

    def _ragged(self, name: str, lengths: tuple[int, ...], low: int, high: int) -> None:
        table = getattr(self, name)
        if tuple(map(len, table)) != lengths:
            self._fail(name, "as many values as each band has weights", tuple(map(len, table))[:20])
        for z, row in enumerate(table):
            for value in row:
                if not low <= value <= high:
                    self._fail(f"{name} of band {z}", f"{low}..{high}", value)

    def _one_of(self, name: str, known: tuple) -> None:
        if getattr(self, name) not in known:
            self._fail(name, f"one of {', '.join(map(str, known))}", repr(getattr(self, name)))

    @staticmethod
    def _fail(name: str, expected: str, found: object) -> None:
        raise ParameterError(f"{name}: expected {expected}, found {found}")
