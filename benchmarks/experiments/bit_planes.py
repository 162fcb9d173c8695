"""The idea of ArIB-BPS for the lower part of LHIC-BP's samples: planes of bits one after the other, not a mixture.

Zhang et al., "Learned Lossless Image Compression based on Bit Plane Slicing", CVPR 2024: a plane of bits is coded when
those above it are complete, so its model sees what lies above on all sides of a sample, and of its own plane what came
before.  Against it stands LHIC-BP's way: the eight bits in one symbol from a mixture of logistics, given the whole
samples before it.  Both know the band before and all most significant parts.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import lhic
from benchmarks.exhibits.tables import markdown
from benchmarks.experiments.ideas import (
    CAUSAL,
    CLOSE,
    FOUR,
    N_CAUSAL,
    NEAR,
    TEST,
    at,
    causal_context,
    code_in_turn,
    frame,
    mlp,
    multiplications,
    raster,
    row_of,
    squashed,
    table_of,
    tested,
    trained,
)
from benchmarks.experiments.runs import origin, written
from lhic.train.loss import LOG_SCALE_RANGE, mixture_bits

STEPS = 150
BITS = 8
N_SYMBOLS = 1 << BITS
WEIGHTS = "lhic-bp-xs"  # beside them, though trained otherwise
WIDTH_OF_MIXTURE = 70  # as many multiplications as eight networks of the other width
WIDTH_OF_PLANE = 16
LATER = [offset for offset in NEAR if offset not in CAUSAL]


def measure_bit_planes(config_path: Path, out: Path) -> list[dict]:
    """Train both, alike; rows also go to `out`.

    config_path : not needed: there is nothing to set

    Raises
    ------
    VerificationError
        The real coder decoded something else than was coded.
    """
    rows = []
    for name, make in (("mixture of 5 logistics", LspMixture), ("8 planes of bits", BitPlanes)):
        torch.manual_seed(1)
        model = make()
        rows.append(row_of(name, model, trained(model, STEPS)) | {"steps": STEPS})
    bits = {label: tested(OfWeights(WEIGHTS), cube) for label, cube in TEST.items()}
    row = {"name": f"{WEIGHTS}, trained for 26 minutes", **bits, "coded_bits": 0, "ideal_bits": 0.0}
    rows.append(row | {"multiplications": multiplications(OfWeights(WEIGHTS))} | origin())
    head, lines = table_of(rows, list(TEST))
    written(out, rows, markdown(head, lines, right=range(1, len(head))))
    return rows


class LspMixture(nn.Module):
    """A mixture of five logistics about five predictions, for the least significant 8 bits."""

    def __init__(self):
        super().__init__()
        self.net = mlp(N_CAUSAL + len(CLOSE) + 1, WIDTH_OF_MIXTURE, 15)

    def parameters_of(self, now: Tensor, before: Tensor, msp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means and log-scales in symbols, from 0, and logits, each (N, S, H, W, 5)."""
        features, prediction, spread, experts = causal_context(now, before)
        base, planes = msp * N_SYMBOLS, frame(msp * N_SYMBOLS)
        features += [(at(planes, offset) - base) / spread for offset in CLOSE]
        features += [(prediction - base) / N_SYMBOLS]
        shift, log_scale, logit = self.net(squashed(features)).unflatten(-1, (3, 5)).unbind(-2)
        unit = spread[..., None]
        return torch.stack(experts, -1) - base[..., None] + unit * shift, torch.log(unit) + log_scale, logit

    def bits(self, tiles: Tensor) -> Tensor:
        """Mean bits per sample of all bands but the first; tiles : (N, S, H, W)"""
        now, before = tiles[:, 1:], tiles[:, :-1]
        msp = torch.floor(now / N_SYMBOLS)
        return self._bits(self.parameters_of(now, before, msp), (now - msp * N_SYMBOLS).long()).mean()

    def _bits(self, parameters, symbols: Tensor) -> Tensor:
        mean, log_scale, logit = parameters
        half = (N_SYMBOLS - 1) / 2  # symbols of half the networks' range
        log_scale = (log_scale - torch.log(torch.tensor(half))).clamp(*LOG_SCALE_RANGE)
        return mixture_bits(mean / half - 1, log_scale, logit, symbols, N_SYMBOLS)

    @torch.no_grad()
    def checked(self, tiles: Tensor) -> tuple[int, float]:
        """Bits of the second band, really coded, and ideal."""
        before, now = tiles[:, :1], tiles[:, 1:2]
        msp = torch.floor(now / N_SYMBOLS)
        every = torch.arange(N_SYMBOLS)

        def probabilities(symbols: Tensor):
            parameters = self.parameters_of(msp * N_SYMBOLS + symbols, before, msp)
            return lambda index: torch.exp2(-self._bits([part[index] for part in parameters], every))

        symbols = (now - msp * N_SYMBOLS).long()
        order = [(0, 0, *place) for place in raster(*symbols.shape[2:])]
        return code_in_turn(probabilities, symbols, order)


class BitPlanes(nn.Module):
    """A network for each plane of bits, from the highest down."""

    def __init__(self):
        super().__init__()
        self.nets = nn.ModuleList([mlp(2 * len(NEAR) + 5, WIDTH_OF_PLANE, 2) for _ in range(BITS)])

    def logit(self, bit: int, now: Tensor, before: Tensor) -> Tensor:
        """Of each bit being 1; of `now`, lower bits do not count, nor this one of the samples that come later."""
        step = 1 << bit
        above = torch.floor(now / (2 * step)) * 2 * step
        border = above + step  # from here on the bit is 1
        upper, own, previous = frame(border), frame(torch.floor(now / step) * step + step / 2), frame(before)
        known = {offset: at(upper, offset) for offset in LATER}
        known |= {offset: _inside(at(own, offset), at(upper, offset), offset) for offset in CAUSAL}
        around = torch.stack([known[offset] - at(previous, offset) for offset in CLOSE])
        shift = around.mean(0)
        spread = step / 2 + (around - shift).abs().mean(0)
        shift_before = torch.stack([known[offset] - at(previous, offset) for offset in FOUR]).mean(0)
        features = [(known[offset] - border) / spread for offset in NEAR]
        features += [(at(previous, offset) - before) / spread for offset in NEAR]
        features += [(before + shift - border) / spread, (before + shift_before - border) / spread]
        features += [(torch.stack([known[o] for o in CLOSE]).mean(0) - border) / spread]
        features += [torch.log(spread), torch.log(spread / step)]
        gain, shift = self.nets[bit](squashed(features)).unbind(-1)
        # From the start a logistic about the prediction, as the mixture's components are.
        return torch.exp(gain.clamp(-4, 4)) * (features[2 * len(NEAR)] + shift)

    def bits(self, tiles: Tensor) -> Tensor:
        """Mean bits per sample of all bands but the first; tiles : (N, S, H, W)"""
        now, before = tiles[:, 1:], tiles[:, :-1]
        return sum(self.bits_of_planes(now, before)) / now.numel()

    def bits_of_planes(self, now: Tensor, before: Tensor) -> list[Tensor]:
        """Bits that each plane takes, the lowest first."""
        found = []
        for bit in range(BITS):
            value = torch.floor(now / (1 << bit)) % 2
            found.append(bce(self.logit(bit, now, before), value).sum())
        return found

    @torch.no_grad()
    def checked(self, tiles: Tensor) -> tuple[int, float]:
        """Bits of the second band, really coded, and ideal."""
        before, now = tiles[:, :1], tiles[:, 1:2]
        coded, ideal = 0, 0.0
        for bit in reversed(range(BITS)):
            above = torch.floor(now / (2 << bit)) * (2 << bit)

            def probabilities(symbols: Tensor, bit=bit, above=above):
                one = torch.sigmoid(self.logit(bit, above + symbols * (1 << bit), before))
                return lambda index: torch.stack([1 - one[index], one[index]])

            symbols = (torch.floor(now / (1 << bit)) % 2).long()
            order = [(0, 0, *place) for place in raster(*symbols.shape[2:])]
            n_bits, n_ideal = code_in_turn(probabilities, symbols, order)
            coded, ideal = coded + n_bits, ideal + n_ideal
        return coded, ideal


class OfWeights(nn.Module):
    """LHIC-BP's own network for the lower part, as shipped; it takes a run for the beginning of a cube."""

    def __init__(self, name: str):
        super().__init__()
        self.net = lhic.load_model(name, "cpu").nets[1]

    def bits(self, tiles: Tensor) -> Tensor:
        """Mean bits per sample of all bands but the first; tiles : (N, S, H, W)"""
        samples = tiles.long()
        return mixture_bits(*self.net(samples), samples % N_SYMBOLS, N_SYMBOLS)[:, 1:].mean()


def bce(logit: Tensor, value: Tensor) -> Tensor:
    """Bits of binary values."""
    return nn.functional.binary_cross_entropy_with_logits(logit, value, reduction="none") / torch.log(torch.tensor(2.0))


def _inside(own: Tensor, upper: Tensor, offset: tuple[int, int]) -> Tensor:
    """Of neighbours beyond the tile's edge, which repeat samples not coded yet, only what lies above."""
    rows, columns = (torch.arange(n) + o for n, o in zip(own.shape[-2:], offset))
    inside = ((rows >= 0) & (rows < own.shape[-2]))[:, None] & ((columns >= 0) & (columns < own.shape[-1]))
    return torch.where(inside, own, upper)
