"""The training loss: ideal code length of a symbol under a mixture of discretised logistics, in bits.

Formula first (LHIC-BP, equation of the entropy model): symbol x of {0 .. n-1} sits at v = 2 x / (n-1) - 1
and owns the cell v +- 1/(n-1); the first and the last cell are open towards -inf and +inf.

    p(x) = sum_k w_k [ sigma((v + h - mu_k) / s_k) - sigma((v - h - mu_k) / s_k) ],  h = 1/(n-1)
    bits = -log2( p (1 - n 2^-16) + 2^-16 )

The last line is the share of a 16-bit CDF that leaves every symbol at least one unit.  The codec codes with
integer CDFs (`lhic.coder`); this is their differentiable counterpart and decides no coded byte.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 2.0**-16
# exp of the log-scale head is kept between these; at -12 a logistic is a point for any alphabet here.
LOG_SCALE_RANGE = (-12.0, 6.0)


def mixture_bits(mu: Tensor, log_scale: Tensor, logit: Tensor, symbol: Tensor, alphabet_size: int) -> Tensor:
    """Ideal code length of each symbol.

    Parameters
    ----------
    mu, log_scale, logit : float Tensor (..., K)
        What the heads give: mean on the scale [-1, 1], natural log of the scale, logit before softmax.
    symbol : integer Tensor (...)
        0 .. alphabet_size - 1.
    alphabet_size : int
        At least 2.

    Returns
    -------
    Tensor (...), float32 or wider, bits per symbol.
    """
    mu, log_scale, logit = (t if t.dtype == torch.float64 else t.float() for t in (mu, log_scale, logit))
    half_cell = 1.0 / (alphabet_size - 1)
    centre = (symbol.to(mu.dtype) * (2 * half_cell) - 1.0).unsqueeze(-1)
    inverse_scale = torch.exp(-log_scale.clamp(*LOG_SCALE_RANGE))
    upper = (centre + half_cell - mu) * inverse_scale
    lower = (centre - half_cell - mu) * inverse_scale
    # sigma(u) - sigma(l) = sigma(u) sigma(-l) (1 - exp(l - u)): no cancellation when both are near 1.
    below_upper = torch.sigmoid(upper)
    above_lower = torch.sigmoid(-lower)
    inside = below_upper * above_lower * -torch.expm1(-2 * half_cell * inverse_scale)
    first = (symbol == 0).unsqueeze(-1)
    last = (symbol == alphabet_size - 1).unsqueeze(-1)
    cell = torch.where(first, below_upper, torch.where(last, above_lower, inside))
    p = (torch.softmax(logit, dim=-1) * cell).sum(dim=-1)
    return -torch.log2(p * (1 - alphabet_size * FLOOR) + FLOOR)
