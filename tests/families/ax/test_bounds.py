"""What makes the integers exact: bounds of every sum, and a solution in the prescribed order."""

import re
from math import sqrt

import numpy as np
import pytest
from numba import njit

from lhic.errors import CheckpointError
from lhic.families import registry
from lhic.families.ax.config import AxConfig
from lhic.families.ax.cpu import fit
from lhic.families.ax.integer_net import EXACT, check_bounds, shapes
from lhic.families.ax.model import MAX_TILE_PIXELS
from lhic.families.ax.spec import WEIGHT_STEPS
from lhic.families.weights import load_weights
from tests.common import REPOSITORY
from tests.families.ax.common import SMALL, random_tensors, solved

SHIPPED = sorted(path.name for path in (REPOSITORY / "ckpt").glob("lhic-ax*.safetensors"))


@pytest.mark.parametrize("layer", ["first", "middle 0", "middle 1", "last"])
def test_a_sum_of_2_to_the_24_is_refused(layer):
    tensors = {name: np.zeros(shape, np.int32) for name, shape in shapes(SMALL).items()}
    name, _, index = layer.partition(" ")
    weights = tensors[name][int(index)] if index else tensors[name]
    limit = 127 if name == "first" else 4095
    weights[2, :] = -(EXACT - 1) // (limit * weights.shape[1]) + 1
    bias = tensors["last_bias"] if name == "last" else tensors["biases"][0 if name == "first" else 1 + int(index)]
    bias[2] = EXACT - 1 - limit * int(np.abs(weights[2].astype(int)).sum())
    assert check_bounds(tensors, "m")[layer] == EXACT - 1
    bias[2] = -bias[2] - 1
    with pytest.raises(CheckpointError, match=f"m: layer {layer}: expected sums below 16777216, found up to 16777216"):
        check_bounds(tensors, "m")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_keep_the_bounds(name):
    weights = load_weights(REPOSITORY / "ckpt" / name)
    bounds = check_bounds(weights.tensors, name)
    assert all(bound < EXACT for bound in bounds.values()) and bounds["last"] > 0
    registry.load_model(REPOSITORY / "ckpt" / name)


def test_the_largest_random_weights_still_pass():
    """The models of these tests do reach the upper half of what float32 holds."""
    bounds = check_bounds(random_tensors(AxConfig()), "m")
    assert max(bounds.values()) < EXACT and min(bounds.values()) > EXACT // 4


def test_normal_equations_of_the_largest_tile_are_exact():
    """All pixels at the greatest weight and nearly the greatest inputs, odd so that no power of two helps."""
    n_regressors, rng = fit.padded.py_func(5), np.random.default_rng(2)
    inputs = rng.choice([-1.0, 1.0], (n_regressors, MAX_TILE_PIXELS)) * (2**16 - 1)
    inputs[0] = 2**16 - 1
    inputs[1] -= 2.0 * rng.integers(0, 3, MAX_TILE_PIXELS)
    weights = np.full(MAX_TILE_PIXELS, 1.0 + WEIGHT_STEPS)
    weights[::7] -= 1
    gram, moment = np.zeros((n_regressors, n_regressors)), np.zeros(n_regressors)
    part = 1 << 12
    for start in range(0, MAX_TILE_PIXELS, part):
        here = slice(start, start + part)
        weighted = np.zeros((n_regressors + 4, part))
        weighted[:n_regressors], weighted[n_regressors] = (
            inputs[:, here] * weights[here],
            inputs[0, here] * weights[here],
        )
        fit.accumulate(inputs[:, here].copy(), weighted, n_regressors, part, gram, moment)
    whole = inputs.astype(np.int64).tolist(), weights.astype(np.int64).tolist()
    for a in range(n_regressors):
        for b in range(a + 1):
            exact = sum(w * x * y for w, x, y in zip(whole[1], whole[0][a], whole[0][b], strict=True))
            assert int(gram[a, b]) == exact and abs(exact) < 2**53
        assert int(moment[a]) == sum(w * x * y for w, x, y in zip(whole[1], whole[0][a], whole[0][0], strict=True))
    assert gram[0, 0] > 2**51.9, "not near the bound: this test would look at nothing"


def systems():
    """Sums as they occur: well conditioned, nearly or wholly singular, one sample, none."""
    rng = np.random.default_rng(4)
    for n, n_samples, scale in ((1, 9, 3), (7, 40, 900), (7, 3, 32768), (20, 25, 9), (36, 400, 3000), (5, 0, 1)):
        inputs = rng.normal(0, scale, (n_samples, n)).round().astype(np.int64)
        if n > 6:
            inputs[:, 2] = inputs[:, 1]
            inputs[:, 4] = 2 * inputs[:, 1] - inputs[:, 3]
            inputs[:, 5] = 0
        weights = rng.integers(1, 33, n_samples)
        target = rng.normal(0, scale, n_samples).round().astype(np.int64)
        yield (inputs * weights[:, None]).T @ inputs, (inputs * weights[:, None]).T @ target


def plainly_solved(g: list, m: list) -> list[int]:
    """docs/format_lhic_ax.md, section 4.4, word for word; Python's floats are binary64, each operation rounded."""
    n = len(m)
    f, y, c = [[0.0] * n for _ in range(n)], [0.0] * n, [0] * n
    for i in range(n):
        for j in range(i):
            s = g[i][j]
            for k in range(j):
                s = s - f[i][k] * f[j][k]
            f[i][j] = s / f[j][j]
        s = g[i][i] + (1024 + g[i][i] * 2.0**-23)
        for k in range(i):
            s = s - f[i][k] * f[i][k]
        f[i][i] = sqrt(s)
    for i in range(n):
        s = m[i]
        for k in range(i):
            s = s - f[i][k] * y[k]
        y[i] = s / f[i][i]
    for i in reversed(range(n)):
        s = y[i]
        for k in range(i + 1, n):
            s = s - f[k][i] * y[k]
        y[i] = s / f[i][i]
        c[i] = min(max(round(y[i] * 2**20), -(2**26)), 2**26)
    return c


@pytest.mark.parametrize("system", list(systems()))
def test_solve_does_each_operation_of_the_format(system):
    gram, moment = (a.astype(float) for a in system)
    assert solved(gram, moment).tolist() == plainly_solved(gram.tolist(), moment.tolist())


def test_solve_holds_no_fused_multiply_add():
    # The machine code decides, not the source. x86: vfmadd132sd ...; ARM: fmadd, fmla; POWER: xsmaddadp.
    fresh = njit(fit.solve.py_func)  # numba cannot show code that comes from its cache
    fresh(np.eye(4), np.ones(4), np.zeros((4, 8)), np.ones(3))
    (assembly,) = fresh.inspect_asm().values()
    mnemonics = set(re.findall(r"^\s+([a-z][a-z0-9.]+)", assembly, re.MULTILINE))
    assert {mnemonic[:3] for mnemonic in mnemonics} & {"ret", "blr"}, "not an assembly listing"
    assert any("mul" in mnemonic for mnemonic in mnemonics)
    assert not [m for m in mnemonics if re.match(r"v?f(n?m(add|sub|la|ls))|xsn?m(add|sub)", m)]
