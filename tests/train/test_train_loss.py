import numpy as np
import pytest
import torch

from lhic.train.loss import FLOOR, mixture_bits


def heads(seed, shape, k=3, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    mu = torch.rand(*shape, k, generator=g, dtype=dtype) * 2 - 1
    log_scale = torch.rand(*shape, k, generator=g, dtype=dtype) * 4 - 5
    logit = torch.randn(*shape, k, generator=g, dtype=dtype)
    return mu, log_scale, logit


@pytest.mark.parametrize("n", [2, 40, 256])
def test_probabilities_of_the_alphabet_sum_to_one(n):
    mu, log_scale, logit = (t.expand(n, -1) for t in heads(0, (1,)))
    bits = mixture_bits(mu, log_scale, logit, torch.arange(n), n)
    assert abs(float(torch.exp2(-bits).sum()) - 1) < 1e-12


def test_against_the_formula_written_out():
    n, x = 256, 17
    mu, log_scale, logit = (t[0].numpy() for t in heads(1, (1,)))
    w = np.exp(logit) / np.exp(logit).sum()
    sigma = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    v, h = 2 * x / 255 - 1, 1 / 255
    p = (w * (sigma((v + h - mu) / np.exp(log_scale)) - sigma((v - h - mu) / np.exp(log_scale)))).sum()
    expected = -np.log2(p * (1 - n * FLOOR) + FLOOR)
    got = mixture_bits(*(torch.from_numpy(t) for t in (mu, log_scale, logit)), torch.tensor(x), n)
    assert abs(float(got) - expected) < 1e-10


def test_a_symbol_far_from_every_mean_costs_sixteen_bits():
    one = torch.tensor([1.0])
    bits = mixture_bits(0.9 * one, -12 * one, one, torch.tensor(3), 256)
    assert abs(float(bits) - 16) < 1e-3


def test_single_precision_agrees_with_double_and_gradients_stay_finite():
    n = 256
    parameters = heads(2, (4, 5, 6), k=10)
    symbol = torch.randint(0, n, (4, 5, 6), generator=torch.Generator().manual_seed(3))
    exact = mixture_bits(*parameters, symbol, n)
    single = [t.float().requires_grad_() for t in parameters]
    bits = mixture_bits(*single, symbol, n)
    torch.testing.assert_close(bits.double(), exact, atol=2e-4, rtol=2e-4)
    bits.sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in single)


def test_extreme_heads_give_finite_loss_and_gradient():
    for value in (-1e4, 1e4):
        heads_ = [torch.full((2, 3), value, requires_grad=True) for _ in range(3)]
        bits = mixture_bits(*heads_, torch.tensor([0, 39]), 40)
        bits.sum().backward()
        assert torch.isfinite(bits).all() and all(torch.isfinite(t.grad).all() for t in heads_)
