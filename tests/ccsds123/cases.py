"""Parameters and images for the tests of the CCSDS 123.0-B-2 package, drawn by hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from lhic.ccsds123 import Parameters
from lhic.ccsds123.parameters import LOCAL_SUMS

SMALL_SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 7))


@st.composite
def parameters(draw, shapes=SMALL_SHAPES, coders=("sample-adaptive", "hybrid", "block-adaptive")) -> Parameters:
    """Any legal combination of options, tables included."""
    n_bands, n_rows, n_columns = draw(shapes)
    depth = draw(st.integers(2, 32))
    omega = draw(st.integers(4, 19))
    nu_min = draw(st.integers(-6, 9))
    gamma_0 = draw(st.integers(1, 8))
    bands = draw(st.integers(0, 15))
    full = n_columns > 1 and draw(st.booleans())
    order = draw(st.sampled_from(["bsq", "bi"]))
    coder = draw(st.sampled_from(coders))
    fields = {
        "n_bands": n_bands,
        "n_rows": n_rows,
        "n_columns": n_columns,
        "dynamic_range": depth,
        "signed": draw(st.booleans()),
        "order": order,
        "interleaving_depth": draw(st.integers(1, n_bands)) if order == "bi" else 0,
        "output_word_bytes": draw(st.integers(1, 8)),
        "entropy_coder": coder,
        "user_data": draw(st.integers(0, 255)),
        "prediction_bands": bands,
        "prediction_mode": "full" if full else "reduced",
        "local_sum": draw(st.sampled_from(LOCAL_SUMS[2:] if n_columns == 1 else LOCAL_SUMS)),
        "register_size": draw(st.integers(max(32, depth + omega + 2), 64)),
        "weight_resolution": omega,
        "weight_update_interval": 1 << draw(st.integers(4, 11)),
        "weight_update_initial": nu_min,
        "weight_update_final": draw(st.integers(nu_min, 9)),
        "unary_length_limit": draw(st.integers(8, 32)),
        "initial_count_exponent": gamma_0,
        "rescaling_counter_size": draw(st.integers(max(4, gamma_0 + 1), 11)),
        "block_size": draw(st.sampled_from([8, 16, 32, 64])),
        "restricted_codes": depth <= 4 and draw(st.booleans()),
        "reference_interval": draw(st.integers(1, 4096)),
    }
    if coder != "block-adaptive":  # the header of that one has no room for these; defaults come back
        for name in ("block_size", "restricted_codes", "reference_interval"):
            del fields[name]
    else:
        for name in ("unary_length_limit", "initial_count_exponent", "rescaling_counter_size"):
            del fields[name]
    n_weights = [min(z, bands) + 3 * full for z in range(n_bands)]
    if draw(st.booleans()):
        q = draw(st.integers(3, omega + 3))
        half = 1 << (q - 1)
        fields["weight_init_resolution"] = q
        fields["weight_init_table"] = ragged(draw, n_weights, -half, half - 1)
    if draw(st.booleans()):
        fields["weight_exponent_offsets"] = ragged(draw, [n - 2 * full for n in n_weights], -6, 5)
    for kind in ("absolute", "relative"):
        if draw(st.booleans()):
            bits = draw(st.integers(1, min(depth - 1, 16)))
            fields[f"{kind}_error_limit_bits"] = bits
            fields[f"{kind}_error_limit"] = one_or_each(draw, n_bands, (1 << bits) - 1)
    if draw(st.booleans()):
        theta = draw(st.integers(0, 4))
        lossless = "absolute_error_limit" not in fields and "relative_error_limit" not in fields
        fields["representative_resolution"] = theta
        fields["representative_damping"] = one_or_each(draw, n_bands, (1 << theta) - 1)
        fields["representative_offset"] = one_or_each(draw, n_bands, 0 if lossless else (1 << theta) - 1)
    if coder == "sample-adaptive":
        fields["accumulator_init"] = one_or_each(draw, n_bands, min(depth - 2, 14))
    return Parameters(**fields)


def one_or_each(draw, n_bands: int, top: int):
    """A value for all bands, or a tuple of one each."""
    values = st.integers(0, top)
    return draw(st.one_of(values, st.tuples(*[values] * n_bands)))


def ragged(draw, lengths: list[int], low: int, high: int) -> tuple[tuple[int, ...], ...]:
    values = st.integers(low, high)
    return tuple(draw(st.tuples(*[values] * n)) for n in lengths)


@st.composite
def images(draw, p: Parameters) -> np.ndarray:
    """An image for `p`: smooth, noise of the full range, extremes, or nearly constant."""
    s_min, s_max, s_mid = p.sample_limits
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["smooth", "noise", "extremes", "nearly constant"]))
    if kind == "noise":
        cube = rng.integers(s_min, s_max + 1, p.shape)
    elif kind == "extremes":
        cube = rng.choice([s_min, s_mid, s_max], p.shape)
    elif kind == "nearly constant":
        cube = s_mid + (rng.random(p.shape) < 0.05)
    else:
        slope = max(1, (s_max - s_min) >> 6)
        cube = s_mid + slope * (np.add.outer(np.arange(p.n_bands), np.add.outer(*map(np.arange, p.shape[1:]))))
        cube = cube + rng.integers(-2, 3, p.shape)
    return np.clip(cube, s_min, s_max).astype(p.dtype)


@st.composite
def cases(draw, **options) -> tuple[Parameters, np.ndarray]:
    p = draw(parameters(**options))
    return p, draw(images(p))
