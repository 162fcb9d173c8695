"""The predictor and quantizer in plain Python integers: the specification that the compiled code is held to.

Samples of one image to mapped quantizer indices and back, one sample at a time, in the symbols and order of
CCSDS 123.0-B-2, section 4.  Unbounded integers, no shortcuts; some 20 kS/s.  Knows nothing about entropy
coding: prediction never depends on the order in which an image is encoded, so it always runs band by band.

Names: ``s`` sample, ``rep`` sample representative s'', ``sigma`` local sum, ``t`` = y * N_X + x.
"""

from __future__ import annotations

import numpy as np

from lhic.ccsds123.errors import StreamError
from lhic.ccsds123.parameters import Parameters


def map_samples(cube: np.ndarray, p: Parameters) -> np.ndarray:
    """Mapped quantizer indices delta of an image.

    Parameters
    ----------
    cube : integer array (N_Z, N_Y, N_X)
        Every sample between s_min and s_max of `p`.

    Returns
    -------
    int64 array (N_Z, N_Y * N_X)
        Each index 0..2^D - 1.
    """
    predictor = Predictor(p)
    samples = cube.reshape(p.n_bands, -1).tolist()
    indices = np.empty((p.n_bands, p.n_rows * p.n_columns), np.int64)
    for z in range(p.n_bands):
        for t in range(p.n_rows * p.n_columns):
            indices[z, t] = predictor.encode(z, t, samples[z][t])
    return indices


def unmap_samples(indices: np.ndarray, p: Parameters) -> np.ndarray:
    """The image a decoder outputs: exact, or within the error limits.

    Parameters
    ----------
    indices : int64 array (N_Z, N_Y * N_X)

    Returns
    -------
    int64 array (N_Z, N_Y, N_X)

    Raises
    ------
    StreamError
        An index that no sample has; the message says where.
    """
    predictor = Predictor(p)
    for z in range(p.n_bands):
        for t, index in enumerate(indices[z].tolist()):
            predictor.decode(z, t, index)
    return np.array(predictor.decoded, np.int64).reshape(p.shape)


class Predictor:
    """State of the predictor between samples; `encode` or `decode` is called for every sample of a band in
    raster order, bands in order.
    """

    def __init__(self, p: Parameters):
        self.p = p
        self.s_min, self.s_max, self.s_mid = p.sample_limits
        n_bands, n_samples = p.n_bands, p.n_rows * p.n_columns
        self.rep = [[0] * n_samples for _ in range(n_bands)]  # s''_z(t)
        self.sigma = [[0] * n_samples for _ in range(n_bands)]  # sigma_z(t)
        self.decoded = [[0] * n_samples for _ in range(n_bands)]  # s'_z(t): what a decoder outputs
        self.weights: list[int] = []  # W_z(t) of the current band
        self.absolute = p.per_band(p.absolute_error_limit)
        self.relative = p.per_band(p.relative_error_limit)
        self.damping = p.per_band(p.representative_damping)
        self.offset = p.per_band(p.representative_offset)

    def encode(self, z: int, t: int, sample: int) -> int:
        """Mapped quantizer index of `sample`; advances the state."""
        s_high, s_double, differences = self._predict(z, t)
        predicted = s_double >> 1
        m = self._maximum_error(z, t, predicted)
        residual = sample - predicted
        # 4.8.1: uniform quantization with step 2m + 1, rounding towards the middle of the bin.
        q = (abs(residual) + m) // (2 * m + 1)
        q = -q if residual < 0 else q
        self._advance(z, t, q, m, s_high, s_double, differences)
        return self._map(q, m, predicted, s_double)

    def decode(self, z: int, t: int, index: int) -> int:
        """Sample of a mapped quantizer index; advances the state."""
        s_high, s_double, differences = self._predict(z, t)
        predicted = s_double >> 1
        m = self._maximum_error(z, t, predicted)
        q = self._unmap(index, m, predicted, s_double)
        if q is None:
            raise StreamError(f"band {z}, sample {t}: found index {index}, which no sample has")
        self._advance(z, t, q, m, s_high, s_double, differences)
        return self.decoded[z][t]

    def _predict(self, z: int, t: int) -> tuple[int, int, list[int]]:
        """High-resolution and double-resolution predicted sample values, local differences (4.7, Eq. 36-39)."""
        p = self.p
        if t == 0:
            first = self.decoded[z - 1][0] if z and p.prediction_bands else self.s_mid
            return 0, 2 * first, []  # 4.7.3; the high-resolution value is not used
        if t == 1:
            self.weights = self._initial_weights(z)
        omega = p.weight_resolution
        self.sigma[z][t] = sigma = self._local_sum(z, t)
        differences = self._local_differences(z, t)
        central = sum(w * u for w, u in zip(self.weights, differences, strict=True))  # 4.7.1
        # 4.7.2: the sum as it would stand in a two's complement register of R bits
        value = central + ((sigma - 4 * self.s_mid) << omega)
        half = 1 << (p.register_size - 1)
        value = (value + half) % (2 * half) - half
        value += (self.s_mid << (omega + 2)) + (1 << (omega + 1))
        low = self.s_min << (omega + 2)
        high = (self.s_max << (omega + 2)) + (1 << (omega + 1))
        s_high = min(max(value, low), high)
        return s_high, s_high >> (omega + 1), differences

    def _local_sum(self, z: int, t: int) -> int:
        """sigma_z(t), t > 0 (4.4, Eq. 20-23)."""
        width = self.p.n_columns
        y, x = divmod(t, width)
        rep = self.rep[z]
        wide = self.p.local_sum.startswith("wide")
        if y == 0:
            # First row: nothing above.  The narrow sums avoid the sample just coded, so that hardware can
            # pipeline, and look at the previous band instead.
            if wide:
                return 4 * rep[t - 1]
            return 4 * (self.rep[z - 1][t - 1] if z else self.s_mid)
        above = rep[t - width]
        if "column" in self.p.local_sum:
            return 4 * above
        if x == 0:
            return 2 * (above + rep[t - width + 1])
        above_left = rep[t - width - 1]
        above_right = rep[t - width + 1] if x + 1 < width else above
        if wide:
            return rep[t - 1] + above_left + above + above_right
        if x + 1 < width:
            return above_left + 2 * above + above_right
        return 2 * (above_left + above)

    def _local_differences(self, z: int, t: int) -> list[int]:
        """U_z(t), t > 0: directional differences N, W, NW, then central ones of the previous bands (4.5, Eq. 24-29)."""
        p, width = self.p, self.p.n_columns
        y, x = divmod(t, width)
        differences = []
        if p.full:
            if y == 0:
                differences = [0, 0, 0]
            else:
                rep, sigma = self.rep[z], self.sigma[z][t]
                above = 4 * rep[t - width] - sigma
                left = 4 * rep[t - 1] - sigma if x else above
                above_left = 4 * rep[t - width - 1] - sigma if x else above
                differences = [above, left, above_left]
        for i in range(1, min(z, p.prediction_bands) + 1):
            differences.append(4 * self.rep[z - i][t] - self.sigma[z - i][t])
        return differences

    def _initial_weights(self, z: int) -> list[int]:
        """W_z(1) (4.6.3, Eq. 33-35)."""
        p, omega = self.p, self.p.weight_resolution
        if p.weight_init_table is not None:
            q = p.weight_init_resolution
            middle = (1 << (omega + 2 - q)) - 1 if omega + 2 >= q else 0  # ceil(2^(Omega + 2 - Q) - 1)
            return [(value << (omega + 3 - q)) + middle for value in p.weight_init_table[z]]
        weights = [0, 0, 0] if p.full else []
        for i in range(min(z, p.prediction_bands)):
            weights.append((7 << omega) >> 3 if i == 0 else weights[-1] >> 3)
        return weights

    def _maximum_error(self, z: int, t: int, predicted: int) -> int:
        """m_z(t): how far the decoded sample may be from the true one (4.8.2, Eq. 42-45)."""
        p = self.p
        if t == 0 or p.fidelity == "lossless":
            return 0
        relative = self.relative[z] * abs(predicted) >> p.dynamic_range
        if p.fidelity == "relative":
            return relative
        return self.absolute[z] if p.fidelity == "absolute" else min(self.absolute[z], relative)

    def _advance(self, z, t, q, m, s_high, s_double, differences) -> None:
        """Sample representative (4.9, Eq. 46-48) and weight update (4.10, Eq. 49-54)."""
        p, omega = self.p, self.p.weight_resolution
        centre = min(max((s_double >> 1) + q * (2 * m + 1), self.s_min), self.s_max)  # s'
        self.decoded[z][t] = centre
        if t == 0:
            self.rep[z][t] = centre
            return
        theta, phi, psi = p.representative_resolution or 0, self.damping[z], self.offset[z]
        sign = (q > 0) - (q < 0)
        # s-double-prime at double resolution, then rounded to a sample; phi = psi = 0 leaves s' as it is
        double = 4 * ((1 << theta) - phi) * ((centre << omega) - (sign * m * psi << (omega - theta)))
        double += phi * s_high - (phi << (omega + 1))
        double >>= omega + theta + 1
        self.rep[z][t] = (double + 1) >> 1

        error = 2 * centre - s_double  # e_z(t)
        # rho(t): large steps first, smaller ones after t_inc samples each
        step = p.weight_update_initial + (t - p.n_columns) // p.weight_update_interval
        rho = min(max(step, p.weight_update_initial), p.weight_update_final) + p.dynamic_range - omega
        limit = 1 << (omega + 2)
        offsets = self._exponent_offsets(z)
        for i, difference in enumerate(differences):
            shift = rho + offsets[i]
            signed = difference if error >= 0 else -difference
            scaled = signed >> shift if shift >= 0 else signed << -shift
            self.weights[i] = min(max(self.weights[i] + ((scaled + 1) >> 1), -limit), limit - 1)

    def _exponent_offsets(self, z: int) -> list[int]:
        """Weight update exponent offset of each component of U_z (4.10.3)."""
        p = self.p
        if p.weight_exponent_offsets is None:
            return [0] * p.n_weights[z]
        row = list(p.weight_exponent_offsets[z])
        return [row[0]] * 3 + row[1:] if p.full else row

    def _endpoints(self, m: int, predicted: int) -> tuple[int, int]:
        """How many quantizer indices fit below and above the prediction; theta is the smaller (4.11)."""
        step = 2 * m + 1
        return (predicted - self.s_min + m) // step, (self.s_max - predicted + m) // step

    def _map(self, q: int, m: int, predicted: int, s_double: int) -> int:
        """delta_z(t), Eq. (55)."""
        theta = min(self._endpoints(m, predicted))
        if abs(q) > theta:
            return abs(q) + theta
        towards = -q if s_double & 1 else q
        return 2 * abs(q) if towards >= 0 else 2 * abs(q) - 1

    def _unmap(self, index: int, m: int, predicted: int, s_double: int) -> int | None:
        """q_z(t) of a mapped index: the inverse of Eq. (55); None when there is none."""
        below, above = self._endpoints(m, predicted)
        theta = min(below, above)
        if index > 2 * theta:
            if index - theta > max(below, above):
                return None
            return index - theta if below < above else theta - index
        q = index >> 1 if index & 1 == 0 else -((index + 1) >> 1)
        return -q if s_double & 1 else q
