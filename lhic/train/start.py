"""How the networks start: as a predictor from the neighbours, not from noise.

Decides initial parameters only.  With torch's random start the heads have to find out first that a sample resembles
its neighbours, which costs thousands of steps.  Here every residual branch starts at zero and the linear paths carry
the neighbours W, N and NW (of the msp: their differences to the sample's own msp, scaled to lsp units) straight to
the means, so that step 0 is a mixture of DPCM predictors:

    mean of component k = sum_t c[k, t] * neighbour t,    with c of W, N, W + N - NW, (W + N) / 2 in turn

A signal v passes the activation before the heads unharmed as a pair: wsilu(v) - wsilu(-v) = v, because
wsilu(v) = v sigmoid(4 v) and sigmoid(a) + sigmoid(-a) = 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lhic.families.bp.head import ParamNet, ParamNetBand0
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.partition import alphabet_sizes
from lhic.families.bp.spatial import Pscam

# Row and column in the 3x3 kernel.
TAPS = ((1, 0), (0, 1), (0, 0))  # W, N, NW
CENTRE = (1, 1)
PREDICTORS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, -1.0), (0.5, 0.5, 0.0))
FIRST_PREDICTOR = ((1.0,), (1.0,), (1.0,), (1.0,))  # where the widths leave room for W alone
# Scales of the components in symbols, in turn; one of them wide, so that no sample costs much at the start.
MSP_SCALES = (0.2, 0.2, 0.4, 0.4, 2.0)
LSP_SCALES = (4.0, 4.0, 4.0, 8.0, 32.0)


@torch.no_grad()
def start_as_predictor(msp: MspNet, lsp: LspNet) -> None:
    """Overwrite freshly made networks' parameters as described above."""
    config = msp.config
    n_msp, n_lsp = alphabet_sizes(config.max_value, config.param_d)
    for net, n_plane, n_symbols, scales in (
        (msp, 0, n_msp, MSP_SCALES),
        (lsp, config.dim_plane, n_lsp, LSP_SCALES),
    ):
        n_spatial = net.spatial_net.conv_in.out_channels
        n_taps = _room(n_plane, n_spatial, config.dim_params)
        if not n_taps:
            continue
        _start_spatial(net.spatial_net, n_taps)
        if n_plane:
            # One msp step is 2^d symbols of the lsp; 2 / max_value of the plane is 2 / (n_lsp - 1) of the lsp.
            _start_plane(net.plane_net, n_taps, gain=config.max_value / max(n_lsp - 1, 1))
        sources = [n_plane, *([0] if n_plane else [])]  # where the pairs begin among the joined features
        for head in (net.param_net, net.param_l0):
            _start_head(head, sources, n_taps, [2 * s / max(n_symbols - 1, 1) for s in scales])


def _room(n_plane: int, n_spatial: int, n_params: int) -> int:
    """Number of taps, 3, 1 or 0, whose pairs fit into all widths."""
    n_sources = 2 if n_plane else 1
    widths = [n_spatial // 2, n_params // (2 * n_sources), *([n_plane // 2] if n_plane else [])]
    return 3 if min(widths) >= 3 else min(1, *widths)


def _start_spatial(net: Pscam, n_taps: int) -> None:
    weight = net.conv_in.weight
    weight[: 2 * n_taps] = 0
    net.conv_in.bias[: 2 * n_taps] = 0
    for tap, (row, column) in enumerate(TAPS[:n_taps]):
        weight[2 * tap, 0, row, column] = 1
        weight[2 * tap + 1, 0, row, column] = -1
    for block in net.spatial_mix:
        _zero(block.MCG.conv_out)
        _zero(block.convs[2])


def _start_plane(net: nn.Module, n_taps: int, gain: float) -> None:
    entry, unet = net.conv_in, net.plane_context
    _zero(entry.depthwise_conv)
    entry.depthwise_conv.weight[0, 0, 3, 3, 3] = 1
    entry.pointwise_conv.weight[0] = 1
    entry.pointwise_conv.bias[0] = 0
    first = unet.input_blocks[0][0]
    first.weight[: 2 * n_taps] = 0
    first.bias[: 2 * n_taps] = 0
    for tap, (row, column) in enumerate(TAPS[:n_taps]):
        for channel, sign in ((2 * tap, 1), (2 * tap + 1, -1)):
            first.weight[channel, 0, row, column] = sign * gain
            first.weight[channel, 0, CENTRE[0], CENTRE[1]] = -sign * gain
    for (block,) in unet.output_blocks:  # its other branch ends in a convolution that starts at zero anyway
        _zero(block.skip_connection)
        _identity(block.skip_connection.weight, range(unet.channels), range(unet.channels))


def _start_head(head: ParamNet | ParamNetBand0, sources: list[int], n_taps: int, scales: list[float]) -> None:
    blocks = head.blocks if isinstance(head, ParamNet) else [head.block]
    for block in blocks:
        _zero(block.out_layers[1])
    features = [source + i for source in sources for i in range(2 * n_taps)]
    channels = features
    if head.conv_in is not None:
        channels = list(range(len(features)))
        head.conv_in.weight[channels] = 0
        head.conv_in.bias[channels] = 0
        _identity(head.conv_in.weight, channels, features)
    table = PREDICTORS if n_taps == len(TAPS) else FIRST_PREDICTOR
    _zero(head.conv_out_mu)
    for k in range(head.conv_out_mu.out_channels):
        for i, channel in enumerate(channels):
            tap, sign = i % (2 * n_taps) // 2, 1 - 2 * (i % 2)
            head.conv_out_mu.weight[k, channel] = sign * table[k % len(table)][tap]
        head.conv_out_scale.bias[k] = math.log(scales[k % len(scales)])
    head.conv_out_scale.weight *= 0.1
    head.conv_out_weight.weight *= 0.1


def _zero(layer: nn.Module) -> None:
    layer.weight.zero_()
    layer.bias.zero_()


def _identity(weight: Tensor, rows, columns) -> None:
    for row, column in zip(rows, columns, strict=True):
        weight[row, column] = 1
