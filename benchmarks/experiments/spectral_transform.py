"""The idea of DLPR along the spectrum: send a coarse reconstruction first, then the residual given it.

Bai et al., "Deep Lossy Plus Residual Coding for Lossless and Near-lossless Image Compression", IEEE TPAMI 2024: a
learned transform makes a few numbers of an image; rounded and coded, they give back an approximation, on which the
model of the residual is conditioned.  Here the transform takes sixteen bands of a pixel to two numbers, and the mixture
that codes a sample sees the approximation at all pixels and bands of the run, those to come included.  Against it
stands the same mixture without.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.ideas import (
    CLOSE,
    FOUR,
    MAX_VALUE,
    N_BANDS,
    N_CAUSAL,
    NW,
    TEST,
    N,
    W,
    at,
    causal_context,
    code_in_turn,
    frame,
    mlp,
    raster,
    row_of,
    squashed,
    table_of,
    tiles_of,
    trained,
)
from benchmarks.experiments.runs import written

STEPS = 600
LATENTS = 2
UNIT = 32.0  # samples; what the transform works in
WIDTH = 64
EDGE = 127  # latents lie in -EDGE .. EDGE
LN2 = 0.6931471805599453


def measure_spectral_transform(config_path: Path, out: Path) -> list[dict]:
    """Train both, alike; rows also go to `out`.

    config_path : not needed: there is nothing to set

    Raises
    ------
    VerificationError
        The real coder decoded something else than was coded.
    """
    rows = []
    for name, with_transform in (("mixture alone", False), ("transform to 2 numbers, then mixture", True)):
        torch.manual_seed(1)
        model = ResidualMixture(with_transform)
        row = row_of(name, model, trained(model, STEPS))
        row |= {"steps": STEPS} | {
            f"{label}, transform": model.latent_bits(tiles_of(cube)) for label, cube in TEST.items()
        }
        rows.append(row)
        head, lines = table_of(rows, list(TEST))
        lines = [[*line, *(f"{row[f'{label}, transform']:.3f}" for label in TEST)] for line, row in zip(lines, rows)]
        head += [f"of these the transform, {label.split()[0]}" for label in TEST]
        written(out, rows, markdown(head, lines, right=range(1, len(head))))
    return rows


class Transform(nn.Module):
    """Sixteen bands of a pixel, less the known one before them, to LATENTS whole numbers, and back."""

    def __init__(self):
        super().__init__()
        self.analysis, self.synthesis = mlp(N_BANDS - 1, WIDTH, LATENTS), mlp(LATENTS, WIDTH, N_BANDS - 1)
        self.entropy = mlp(3 * LATENTS + 1, 16, 2 * LATENTS)
        # From the start the first number is the mean of the bands, so that there is something to learn from.
        self.mean_weight = nn.Parameter(torch.tensor(1.0))

    def latents(self, now: Tensor, known: Tensor) -> Tensor:
        """(N, LATENTS, H, W), real; now : (N, 16, H, W); known : (N, 1, H, W)"""
        x = ((now - known) / UNIT).movedim(1, -1)
        mean = torch.zeros(*x.shape[:-1], LATENTS)
        mean[..., 0] = x.mean(-1)
        found = self.analysis(torch.asinh(x)) + self.mean_weight * mean
        return (EDGE * torch.tanh(found / EDGE)).movedim(-1, 1)

    def approximation(self, latents: Tensor, known: Tensor) -> Tensor:
        """(N, 16, H, W) in sample units."""
        z = latents.movedim(1, -1)
        return known + UNIT * (self.synthesis(z) + z[..., :1]).movedim(-1, 1)

    def distribution(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Means and inverse scales of a logistic for each latent, from those of earlier pixels."""
        framed = nn.functional.pad(latents, (2, 2, 2, 2))
        west, north, corner = (at(framed, offset) for offset in (W, N, NW))
        guess = (west + north) / 2
        spread = (west - corner).abs() + (north - corner).abs()
        features = [*west.unbind(1), *north.unbind(1), *corner.unbind(1), spread.sum(1)]
        shift, log_scale = self.entropy(squashed(features)).movedim(-1, 1).chunk(2, dim=1)
        return guess + shift, torch.exp(-log_scale.clamp(-5, 5)) / (0.5 + 0.5 * spread)

    def bits(self, latents: Tensor) -> Tensor:
        """(N, LATENTS, H, W)"""
        return logistic_bits(latents, *self.distribution(latents), EDGE)


class ResidualMixture(nn.Module):
    """A mixture of logistics about predictions for whole samples; with a transform, about two more."""

    def __init__(self, with_transform: bool):
        super().__init__()
        self.transform = Transform() if with_transform else None
        self.n_experts = 7 if with_transform else 5
        n_more = len(CLOSE) + 2 if with_transform else 0
        self.net = mlp(N_CAUSAL + n_more, WIDTH, 3 * self.n_experts)

    def parameters_of(self, now: Tensor, before: Tensor, approximation: Tensor | None):
        """Means and log-scales in samples, and logits, each (N, S, H, W, K)."""
        features, prediction, spread, experts = causal_context(now, before)
        if approximation is not None:
            around = frame(approximation)
            # The mean error of the approximation at neighbours that are known.
            framed = frame(before).clone()
            framed[..., 2:-2, 2:-2] = now
            error = torch.stack([at(framed, offset) - at(around, offset) for offset in FOUR])
            inside = torch.stack([self._inside(offset, now) for offset in FOUR])
            error = torch.where(inside, error, 0.0).sum(0) / inside.sum(0).clamp(min=1)
            experts += [approximation, approximation + error]
            features += [(at(around, offset) - approximation) / spread for offset in CLOSE]
            features += [(expert - prediction) / spread for expert in experts[-2:]]
        found = self.net(squashed(features)).unflatten(-1, (3, self.n_experts))
        shift, log_scale, logit = found.unbind(-2)
        unit = spread[..., None]
        return torch.stack(experts, -1) + unit * shift, torch.log(unit) + log_scale.clamp(-6, 6), logit

    @staticmethod
    def _inside(offset: tuple[int, int], like: Tensor) -> Tensor:
        rows, columns = (torch.arange(n) + o for n, o in zip(like.shape[-2:], offset))
        return ((rows >= 0)[:, None] & ((columns >= 0) & (columns < like.shape[-1]))).expand(like.shape)

    def bits(self, tiles: Tensor) -> Tensor:
        """Mean bits per sample of all bands but the first, the transform's numbers included; tiles : (N, 17, H, W)"""
        now, before = tiles[:, 1:], tiles[:, :-1]
        latent_bits, approximation = torch.zeros(()), None
        if self.transform is not None:
            latents = self.transform.latents(now, tiles[:, :1])
            # Rounding has no gradient: noise of the same size stands in for it in training (Balle et al., 2017).
            noise = torch.rand_like(latents) - 0.5
            latents = latents + noise if torch.is_grad_enabled() else torch.round(latents)
            latent_bits = self.transform.bits(latents).sum()
            approximation = self.transform.approximation(latents, tiles[:, :1])
        mixture = self.parameters_of(now, before, approximation)
        return (mixture_bits(now, *mixture).sum() + latent_bits) / now.numel()

    @torch.no_grad()
    def latent_bits(self, tiles: Tensor) -> float:
        """Bits per sample that the transform's numbers take."""
        if self.transform is None:
            return 0.0
        latents = torch.round(self.transform.latents(tiles[:, 1:], tiles[:, :1]))
        return float(self.transform.bits(latents).sum() / tiles[:, 1:].numel())

    @torch.no_grad()
    def checked(self, tiles: Tensor) -> tuple[int, float]:
        """Bits of the transform's numbers and of the second band, really coded, and ideal."""
        known, now = tiles[:, :1], tiles[:, 1:2]
        coded, ideal, approximation = 0, 0.0, None
        places = raster(*now.shape[2:])
        if self.transform is not None:
            latents = torch.round(self.transform.latents(tiles[:, 1:], known)).long() + EDGE
            every = torch.arange(-EDGE, EDGE + 1).float()

            def of_latents(symbols: Tensor):
                mean, inverse = self.transform.distribution((symbols - EDGE).float())
                return lambda index: torch.exp2(-logistic_bits(every, mean[index], inverse[index], EDGE))

            order = [(0, k, *place) for place in places for k in range(LATENTS)]
            coded, ideal = code_in_turn(of_latents, latents, order)
            approximation = self.transform.approximation((latents - EDGE).float(), known)[:, :1]
        every_value = torch.arange(MAX_VALUE + 1).float()

        def of_samples(symbols: Tensor):
            mixture = self.parameters_of(symbols.float(), known, approximation)
            return lambda index: torch.exp2(-mixture_bits(every_value, *(part[index] for part in mixture)))

        order = [(0, 0, *place) for place in places]
        n_bits, n_ideal = code_in_turn(of_samples, now.long(), order)
        return coded + n_bits, ideal + n_ideal


def logistic_bits(value: Tensor, mean: Tensor, inverse_scale: Tensor, edge: float) -> Tensor:
    """Of whole numbers under a logistic, the outermost cells open: -log2(sigma(upper) - sigma(lower)).

    The difference is written as a product, which keeps its digits where both are near 1.
    """
    upper, lower = (value + 0.5 - mean) * inverse_scale, (value - 0.5 - mean) * inverse_scale
    log = nn.functional.logsigmoid
    width = -torch.expm1(-inverse_scale.expand(upper.shape))
    inside = log(upper) + log(-lower) + torch.log(width.clamp(min=1e-30))
    return -torch.where(value <= -edge, log(upper), torch.where(value >= edge, log(-lower), inside)) / LN2


def mixture_bits(value: Tensor, mean: Tensor, log_scale: Tensor, logit: Tensor) -> Tensor:
    """Of whole samples 0 .. MAX_VALUE under a mixture; components along the last axis of the parameters."""
    centred = MAX_VALUE / 2
    own = -LN2 * logistic_bits((value - centred)[..., None], mean - centred, torch.exp(-log_scale), centred)
    return -torch.logsumexp(torch.log_softmax(logit, -1) + own, dim=-1) / LN2
