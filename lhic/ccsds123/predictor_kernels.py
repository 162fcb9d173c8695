"""The predictor and quantizer of CCSDS 123.0-B-2, section 4, compiled.

One source (`_make_kernel`) gives the encoder's and the decoder's kernel for one band, each in a general form, in
one for lossless coding, where the compiler drops the quantizer, and in one for lossless coding with P = 3, where it
unrolls the inner product (1.4 times as fast; each form takes 4 s to compile, once).  Integers only, so that every
form gives the same bits.

How it is arranged.  Prediction runs band by band whatever the encoding order is.  The part of a local sum that
comes from the row above is computed for a whole row at once; what is left per sample is the left neighbour, the
inner product and the weight update.  Central local differences of the last P bands lie side by side for each
sample, newest first; missing bands are zeros with weight zero, which stays zero.

Widths: |U| < 2^(D+3), |W| <= 2^(Omega+2) and at most 18 terms, so the inner product is below
2^(35 + 21 + 5) = 2^61 for D = 32, Omega = 19; the register of R bits is then cut out of 64.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from lhic.ccsds123.errors import StreamError
from lhic.ccsds123.parameters import FIDELITIES, LOCAL_SUMS, Parameters
from lhic.kernels.jit import lean

UNROLLED_P = 3
ANY_P = -1
NARROW_DEPTH = 24  # sums of four neighbours of 24 bits fit int32; wider samples take int64


def map_samples(cube: np.ndarray, p: Parameters) -> np.ndarray:
    """Mapped quantizer indices, 0..2^D - 1, of an image whose samples are all between s_min and s_max.

    Returns
    -------
    uint16 or uint32 array (N_Z, N_Y * N_X)
    """
    samples = cube.reshape(p.n_bands, -1)
    indices = np.empty(samples.shape, index_dtype(p))
    walk = _BandWalk(p, encode=True)
    for z in range(p.n_bands):
        walk.samples[:] = samples[z]
        walk.step(z)
        indices[z] = walk.indices
    return indices


def unmap_samples(indices: np.ndarray, p: Parameters) -> np.ndarray:
    """The image a decoder outputs: exact, or within the error limits.

    Returns
    -------
    array (N_Z, N_Y, N_X) of ``p.dtype``
    """
    samples = np.empty(indices.shape, p.dtype)
    walk = _BandWalk(p, encode=False)
    for z in range(p.n_bands):
        walk.indices[:] = indices[z]
        bad = walk.step(z)
        if bad >= 0:
            raise StreamError(f"band {z}, sample {bad}: found index {indices[z, bad]}, which no sample has")
        samples[z] = walk.samples
    return samples.reshape(p.shape)


def index_dtype(p: Parameters) -> np.dtype:
    """Smallest dtype for mapped quantizer indices of D bits."""
    return np.dtype(np.uint16 if p.dynamic_range <= 16 else np.uint32)


def working_bytes(p: Parameters) -> int:
    """Memory that decoding takes: image, indices, and the buffers of `_BandWalk`."""
    n_columns = 4 + _used_bands(p)
    buffers = p.n_rows * p.n_columns * n_columns * _buffer_dtype(p).itemsize
    return p.n_samples * (p.dtype.itemsize + index_dtype(p).itemsize) + buffers


def _used_bands(p: Parameters) -> int:
    """Previous bands that the last band has, at most P."""
    return min(p.prediction_bands, p.n_bands - 1)


def _buffer_dtype(p: Parameters) -> np.dtype:
    return np.dtype(np.int32 if p.dynamic_range <= NARROW_DEPTH else np.int64)


class _BandWalk:
    """Buffers and constants of the kernels; `step` turns `samples` of one band into `indices`, or back."""

    def __init__(self, p: Parameters, encode: bool):
        n_samples = p.n_rows * p.n_columns
        dtype = _buffer_dtype(p)
        n_previous = _used_bands(p)
        self.samples = np.empty(n_samples, dtype)
        self.indices = np.empty(n_samples, dtype)
        self._representatives = np.zeros((2, n_samples), dtype)  # of this band and the one before
        self._differences = np.zeros((n_samples, n_previous), dtype)  # of the last P bands, newest first
        self._base = np.empty(p.n_columns, np.int64)
        self._weights = _initial_weights(p)
        self._offsets = _exponent_offsets(p)
        limits = (p.absolute_error_limit, p.relative_error_limit, p.representative_damping, p.representative_offset)
        self._limits = np.array([p.per_band(limit) for limit in limits], np.int64).T.copy()
        # Wide samples are rare and take the general form, which saves compiling two more.
        lossless = p.fidelity == "lossless" and not any(p.per_band(p.representative_damping))
        lossless = lossless and p.dynamic_range <= NARROW_DEPTH
        unrolled = lossless and n_previous == UNROLLED_P
        self._kernel = _make_kernel(encode, lossless, UNROLLED_P if unrolled else ANY_P)
        self._constants = (
            p.n_columns,
            n_previous,
            p.full,
            LOCAL_SUMS.index(p.local_sum),
            p.dynamic_range,
            *p.sample_limits,
            p.register_size,
            p.weight_resolution,
            p.weight_update_interval.bit_length() - 1,
            p.weight_update_initial,
            p.weight_update_final,
            FIDELITIES.index(p.fidelity),
            p.representative_resolution or 0,
        )

    def step(self, z: int) -> int:
        """Position of the first index without a sample, or -1."""
        return self._kernel(
            self.samples,
            self.indices,
            self._representatives[z & 1],
            self._representatives[(z + 1) & 1],
            self._differences,
            self._base,
            z,
            self._weights[z],  # each band's are used once, and change
            self._offsets[z],
            bool(self._offsets[z].any()),
            self._limits[z],
            *self._constants,
        )


def _initial_weights(p: Parameters) -> np.ndarray:
    """W_z(1), int64 array (N_Z, P + 3); zero where a band has fewer."""
    omega, n_directional = p.weight_resolution, 3 * p.full
    weights = np.zeros((p.n_bands, p.prediction_bands + 3), np.int64)
    q = p.weight_init_resolution
    if p.weight_init_table is None or q is None:
        for i in range(p.prediction_bands):
            weights[i + 1 :, 3 + i] = (7 << omega) >> 3 * (i + 1)
        return weights
    middle = (1 << (omega + 2 - q)) - 1 if omega + 2 >= q else 0
    for z, row in enumerate(p.weight_init_table):
        values = (np.array(row, np.int64) << (omega + 3 - q)) + middle
        weights[z, :n_directional] = values[:n_directional]
        weights[z, 3 : 3 + len(row) - n_directional] = values[n_directional:]
    return weights


def _exponent_offsets(p: Parameters) -> np.ndarray:
    """Weight update exponent offsets, int64 array (N_Z, P + 3)."""
    offsets = np.zeros((p.n_bands, p.prediction_bands + 3), np.int64)
    for z, row in enumerate(p.weight_exponent_offsets or ()):
        if p.full:
            offsets[z, :3] = row[0]
        offsets[z, 3 : 3 + len(row) - p.full] = row[p.full :]
    return offsets


@lean(inline="always")
def _row_sums(base, rep, rep_before, y, width, kind, z, s_mid):
    """Fill `base` with the local sums of row `y` without the left neighbour; return that one's factor.

    `kind` is the position in LOCAL_SUMS, `rep` the representatives of this band, `rep_before` of the band before.
    """
    t = y * width
    last = width - 1
    if y == 0:
        for x in range(width):
            base[x] = 0
        if kind == 0 or kind == 2:
            return 4
        for x in range(1, width):
            base[x] = 4 * np.int64(rep_before[x - 1]) if z > 0 else 4 * s_mid
        return 0
    above = rep[t - width : t]
    if kind >= 2:
        for x in range(width):
            base[x] = 4 * np.int64(above[x])
        return 0
    base[0] = 2 * (np.int64(above[0]) + above[1])
    if kind == 0:
        for x in range(1, last):
            base[x] = np.int64(above[x - 1]) + above[x] + above[x + 1]
        base[last] = np.int64(above[last - 1]) + 2 * np.int64(above[last])
        return 1
    for x in range(1, last):
        base[x] = np.int64(above[x - 1]) + 2 * np.int64(above[x]) + above[x + 1]
    base[last] = 2 * (np.int64(above[last - 1]) + above[last])
    return 0


@cache
def _make_kernel(encode: bool, lossless: bool, fixed_p: int):
    """Kernel of one band for one direction.

    `lossless` also means representatives equal to the samples; `fixed_p` is P, or ANY_P to learn it at run time.
    """

    @lean
    def kernel(
        samples, indices, rep, rep_before, differences, base, z, all_weights, exponent_offsets, has_offsets, limits,
        width, n_previous, full, kind, depth, s_min, s_max, s_mid, register, omega,
        log_interval, nu_min, nu_max, fidelity, theta,
    ):  # fmt: skip
        if fixed_p != ANY_P:
            n_previous = fixed_p
        w_above, w_left, w_corner = all_weights[0], all_weights[1], all_weights[2]
        weights = all_weights[3:]
        absolute, relative, phi, psi = limits[0], limits[1], limits[2], limits[3]
        weight_max = (1 << (omega + 2)) - 1
        weight_min = -weight_max - 1
        cut = 64 - register
        s_shift = (s_mid << (omega + 2)) + (1 << (omega + 1))
        high_min = s_min << (omega + 2)
        high_max = (s_max << (omega + 2)) + (1 << (omega + 1))
        interval_mask = (1 << log_interval) - 1
        m = rho = up = half = down = 0
        for y in range(samples.size // width):
            factor = _row_sums(base, rep, rep_before, y, width, kind, z, s_mid)
            start = y * width
            directional = full and y > 0
            above_row = rep[start - width : start] if y > 0 else rep[:width]
            rep_row = rep[start : start + width]
            difference_rows = differences[start : start + width]
            samples_row = samples[start : start + width]
            indices_row = indices[start : start + width]
            left = above = 0
            u_above = u_left = u_corner = 0
            for x in range(width):
                first = y == 0 and x == 0
                u = difference_rows[x]
                # Prediction (4.4 to 4.7)
                sigma = base[x] + factor * left
                value = (sigma - 4 * s_mid) << omega
                if directional:
                    corner = above
                    above = np.int64(above_row[x])
                    u_above = 4 * above - sigma
                    u_left = 4 * left - sigma if x > 0 else u_above
                    u_corner = 4 * corner - sigma if x > 0 else u_above
                    value += w_above * u_above + w_left * u_left + w_corner * u_corner
                for i in range(n_previous):
                    value += weights[i] * u[i]
                value = ((value << cut) >> cut) + s_shift
                s_high = min(max(value, high_min), high_max)
                s_double = s_high >> (omega + 1)
                if first:
                    # The first sample of the band before stands for itself: its representative is exact.
                    s_double = 2 * np.int64(rep_before[0]) if z > 0 and n_previous > 0 else 2 * s_mid
                predicted = s_double >> 1

                # Quantization and mapping (4.8, 4.11)
                if not lossless:
                    m = 0
                    if not first:
                        if fidelity == 1:
                            m = absolute
                        elif fidelity >= 2:
                            m = relative * abs(predicted) >> depth
                            if fidelity == 3:
                                m = min(m, absolute)
                below, over = predicted - s_min, s_max - predicted
                if m > 0:
                    below = (below + m) // (2 * m + 1)
                    over = (over + m) // (2 * m + 1)
                end = min(below, over)
                if encode:
                    q = np.int64(samples_row[x]) - predicted
                    if m > 0:
                        q = -((m - q) // (2 * m + 1)) if q < 0 else (q + m) // (2 * m + 1)
                    magnitude = abs(q)
                    odd = -(s_double & 1)
                    towards = (q ^ odd) - odd
                    indices_row[x] = magnitude + end if magnitude > end else 2 * magnitude - (towards < 0)
                else:
                    index = np.int64(indices_row[x])
                    if index > 2 * end:
                        if index - end > max(below, over):
                            return start + x
                        q = index - end if below < over else end - index
                    else:
                        # index 0, 1, 2, 3 is q = 0, -1, 1, -2, with the other sign after an odd prediction
                        odd = -(s_double & 1)
                        q = (((index >> 1) ^ -(index & 1)) ^ odd) - odd
                centre = predicted + q
                if m > 0:
                    centre = min(max(predicted + q * (2 * m + 1), s_min), s_max)
                if not encode:
                    samples_row[x] = centre

                # Sample representative (4.9)
                left = centre
                if not lossless and not first:
                    sign = np.int64(q > 0) - np.int64(q < 0)
                    double = 4 * ((1 << theta) - phi)
                    double *= (centre << omega) - ((sign * m * psi) << (omega - theta))
                    double += phi * s_high - (phi << (omega + 1))
                    left = ((double >> (omega + theta + 1)) + 1) >> 1
                rep_row[x] = left

                # Weight update (4.10)
                if x == 0 or (start + x - width) & interval_mask == 0:
                    # rho(t) cannot have changed elsewhere
                    nu = min(max(nu_min + ((start + x - width) >> log_interval), nu_min), nu_max)
                    rho = nu + depth - omega
                    up, half, down = max(-rho, 0), 1 << max(rho, 0), max(rho, 0) + 1
                sign = 1 - 2 * np.int64(2 * centre < s_double)
                if not first and not has_offsets:
                    gain = sign << up
                    if directional:
                        w_above = _moved(w_above, u_above, gain, half, down, weight_min, weight_max)
                        w_left = _moved(w_left, u_left, gain, half, down, weight_min, weight_max)
                        w_corner = _moved(w_corner, u_corner, gain, half, down, weight_min, weight_max)
                    for i in range(n_previous):
                        weights[i] = _moved(weights[i], np.int64(u[i]), gain, half, down, weight_min, weight_max)
                elif not first:
                    if directional:
                        shift = rho + exponent_offsets[0]
                        gain, half, down = sign << max(-shift, 0), 1 << max(shift, 0), max(shift, 0) + 1
                        w_above = _moved(w_above, u_above, gain, half, down, weight_min, weight_max)
                        w_left = _moved(w_left, u_left, gain, half, down, weight_min, weight_max)
                        w_corner = _moved(w_corner, u_corner, gain, half, down, weight_min, weight_max)
                    for i in range(n_previous):
                        shift = rho + exponent_offsets[3 + i]
                        gain, half, down = sign << max(-shift, 0), 1 << max(shift, 0), max(shift, 0) + 1
                        weights[i] = _moved(weights[i], np.int64(u[i]), gain, half, down, weight_min, weight_max)

                # The next band sees this one first.
                for i in range(n_previous - 1, 0, -1):
                    u[i] = u[i - 1]
                if n_previous > 0:
                    u[0] = 4 * left - sigma
        return -1

    return kernel


@lean(inline="always")
def _moved(weight, difference, gain, half, down, weight_min, weight_max):
    """A weight after its update: floor((+-difference * 2^-shift + 1) / 2) further, within its limits.

    One rounding does for both: with ``gain = +-2^max(-shift, 0)``, ``half = 2^max(shift, 0)`` and
    ``down = max(shift, 0) + 1`` it is ``(difference * gain + half) >> down``.
    """
    return min(max(weight + ((difference * gain + half) >> down), weight_min), weight_max)
