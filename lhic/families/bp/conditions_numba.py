"""Band-by-band conditions on a CPU: what `recurrent.BandConditions` computes, for one tile, with the compiled kernels.

Weights are taken out of the torch modules once (`NetWeights`) and shared by all tiles and threads.  Images are
float64 (F, H, W).  Knows nothing of coding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from lhic.families.bp.config import n_groups
from lhic.families.bp.context import ContextUNet, ResidualBlock, TileAttention, band_embedding
from lhic.families.bp.head import ParamNet, ParamNetBand0
from lhic.families.bp.kernels import (
    attention,
    conv3x3,
    depthwise7x7,
    exp,
    group_norm,
    layer_norm,
    sigmoid,
    wsilu,
)
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.products import affine
from lhic.families.bp.spatial import Pscam
from lhic.families.bp.spectral import Rscem, SpectralBlock
from lhic.families.bp.wavefront import TAPS_3X3, TAPS_7X7
from lhic.families.bp.wavefront_numba import HeadWeights, SpatialWeights
from lhic.families.rwkv import EMPTY_MAXIMUM
from lhic.kernels.jit import njit


def array(tensor) -> np.ndarray:
    """Contiguous float64 copy of a tensor."""
    return np.array(tensor.detach().cpu().numpy(), dtype=np.float64, order="C")


def _stack(tensors, shape) -> np.ndarray:
    """Tensors side by side along a new first axis, also when there are none."""
    return np.stack([array(t).reshape(shape) for t in tensors]) if tensors else np.zeros((0, *shape))


# --- spectral condition -----------------------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _mix(x, previous, share, out):
    for f in range(x.shape[0]):
        new, old, target, s = x[f], previous[f], out[f], share[f]
        rest = 1.0 - s
        for p in range(new.size):
            target[p] = new[p] * s + old[p] * rest


@njit(nogil=True, error_model="numpy")
def _band_mix(x, previous, numerator, denominator, maximum, shares, decay, first, receptance, key, value, output):
    """RWKV time mixing of one band: `rwkv.TimeMix.step`.

    x and the four states : (F, P), the states updated; shares : (3, F) for key, value, receptance; decay = -exp(.)
    """
    n_features, n = x.shape
    mixed, gate, k, v = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    zeros = np.zeros(n_features)
    _mix(x, previous, shares[2], mixed)
    affine(receptance, zeros, mixed, gate, n)
    _mix(x, previous, shares[0], mixed)
    affine(key, zeros, mixed, k, n)
    _mix(x, previous, shares[1], mixed)
    affine(value, zeros, mixed, v, n)
    for f in range(n_features):
        fade, bonus = decay[f], first[f]
        for p in range(n):
            own = bonus + k[f, p]
            top = own if own > maximum[f, p] else maximum[f, p]
            past, now = exp(maximum[f, p] - top), exp(own - top)
            average = (past * numerator[f, p] + now * v[f, p]) / (past * denominator[f, p] + now)
            mixed[f, p] = average * sigmoid(gate[f, p])
            faded = maximum[f, p] + fade
            top = k[f, p] if k[f, p] > faded else faded
            past, now = exp(faded - top), exp(k[f, p] - top)
            numerator[f, p] = past * numerator[f, p] + now * v[f, p]
            denominator[f, p] = past * denominator[f, p] + now
            maximum[f, p] = top
            previous[f, p] = x[f, p]
    affine(output, zeros, mixed, v, n)
    return v


@njit(nogil=True, error_model="numpy")
def _channel_mix(x, previous, shares, receptance, key, value):
    """RWKV channel mixing of one band: `rwkv.ChannelMix.step`; shares : (2, F) for key, receptance."""
    n_features, n = x.shape
    mixed, gate, k = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    zeros = np.zeros(n_features)
    _mix(x, previous, shares[1], mixed)
    affine(receptance, zeros, mixed, gate, n)
    _mix(x, previous, shares[0], mixed)
    affine(key, zeros, mixed, k, n)
    for f in range(n_features):
        for p in range(n):
            positive = k[f, p] if k[f, p] > 0.0 else 0.0
            k[f, p] = positive * positive
            previous[f, p] = x[f, p]
    affine(value, zeros, k, mixed, n)
    for f in range(n_features):
        for p in range(n):
            mixed[f, p] = mixed[f, p] * sigmoid(gate[f, p])
    return mixed


class _SpectralBlock:
    def __init__(self, block: SpectralBlock):
        first = getattr(block, "ln0", None)  # of the first block alone
        self.norm0 = None if first is None else (array(first.weight), array(first.bias))
        self.norm1, self.norm2 = ((array(norm.weight), array(norm.bias)) for norm in (block.ln1, block.ln2))
        att, ffn = block.att, block.ffn
        self.att = (
            np.stack([array(s).ravel() for s in (att.time_mix_k, att.time_mix_v, att.time_mix_r)]),
            np.array([-exp(decay) for decay in array(att.time_decay)]),
            array(att.time_first),
            *(array(layer.weight) for layer in (att.receptance, att.key, att.value, att.output)),
        )
        self.ffn = (
            np.stack([array(s).ravel() for s in (ffn.time_mix_k, ffn.time_mix_r)]),
            *(array(layer.weight) for layer in (ffn.receptance, ffn.key, ffn.value)),
        )
        depthwise, pointwise = block.spa
        self.depthwise = array(depthwise.weight)[:, 0], array(depthwise.bias)
        self.pointwise = array(pointwise.weight)[:, :, 0, 0], array(pointwise.bias)

    def empty_state(self, n_positions: int) -> dict[str, np.ndarray]:
        shape = (len(self.att[1]), n_positions)
        names = ("att_previous", "ffn_previous", "numerator", "denominator")
        return {name: np.zeros(shape) for name in names} | {"maximum": np.full(shape, EMPTY_MAXIMUM)}

    def step(self, x: np.ndarray, state: dict[str, np.ndarray], height: int) -> np.ndarray:
        """x : (F, P)"""
        n = x.shape[1]
        if self.norm0 is not None:
            layer_norm(*self.norm0, x, x, n)
        normed = np.empty_like(x)
        layer_norm(*self.norm1, x, normed, n)
        s = state
        x = x + _band_mix(normed, s["att_previous"], s["numerator"], s["denominator"], s["maximum"], *self.att)
        layer_norm(*self.norm2, x, normed, n)
        x += _channel_mix(normed, s["ffn_previous"], *self.ffn)
        image = depthwise7x7(*self.depthwise, x.reshape(len(x), height, -1)).reshape(x.shape)
        affine(*self.pointwise, image, normed, n)
        x += normed
        return x


class _Spectral:
    def __init__(self, net: Rscem):
        pointwise, depthwise, _ = net.conv_in
        self.pointwise = array(pointwise.weight).ravel(), array(pointwise.bias)
        self.depthwise = array(depthwise.weight)[:, 0], array(depthwise.bias)
        self.blocks = [_SpectralBlock(block) for block in net.spectral_mix]

    def step(self, previous: np.ndarray, state: list[dict[str, np.ndarray]]) -> np.ndarray:
        """Features (F, H, W) of the next band; previous : (H, W) in [-1, 1]; updates `state`."""
        weight, bias = self.pointwise
        x = depthwise7x7(*self.depthwise, weight[:, None, None] * previous + bias[:, None, None])
        shape, x = x.shape, x.reshape(len(x), -1)
        wsilu(x, x.shape[1])
        for block, block_state in zip(self.blocks, state, strict=True):
            x = block.step(x, block_state, shape[1])
        return x.reshape(shape)


# --- context U-Net ----------------------------------------------------------------------------------------------------


class _Residual:
    def __init__(self, block: ResidualBlock):
        first, second = block.in_layers, block.out_layers
        self.norm1, self.conv1 = _parameters(first[0]), _parameters(first[2])
        self.norm2, self.conv2 = _parameters(second[0]), _parameters(second[3])
        self.embedding = _parameters(block.emb_layers[1])
        skip = block.skip_connection
        self.skip = None if isinstance(skip, nn.Identity) else (array(skip.weight)[:, :, 0, 0].copy(), array(skip.bias))

    def __call__(self, x: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        h = conv3x3(*self.conv1, group_norm(*self.norm1, x, n_groups(len(x)), True))
        h += _affine(*self.embedding, embedding)[:, :, None]
        h = conv3x3(*self.conv2, group_norm(*self.norm2, h, n_groups(len(h)), True))
        h += x if self.skip is None else _affine(*self.skip, x)
        return h


Block = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Features (F, H, W) and the embedding of a band to features."""


class _Attention:
    def __init__(self, block: TileAttention):
        self.norm = _parameters(block.norm)
        weight, bias = array(block.qkv.weight)[:, :, 0], array(block.qkv.bias)
        channels = weight.shape[1]
        weight[:channels] /= math.sqrt(channels)  # q and k each by C^-1/4
        bias[:channels] /= math.sqrt(channels)
        self.qkv = weight.copy(), bias
        self.out = array(block.proj_out.weight)[:, :, 0].copy(), array(block.proj_out.bias)

    def __call__(self, x: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        c = len(x)
        if not self.out[0].any():  # as initialised, and as kept by training that freezes it: what it mixes counts 0
            return x + self.out[1][:, None, None]
        qkv = _affine(*self.qkv, group_norm(*self.norm, x, n_groups(c), False)).reshape(3 * c, -1)
        return x + _affine(*self.out, attention(qkv[:c], qkv[c : 2 * c], qkv[2 * c :]).reshape(x.shape))


class _UNet:
    def __init__(self, net: ContextUNet):
        self.channels = net.channels
        self.time_embed = _parameters(net.time_embed[0]), _parameters(net.time_embed[2])
        self.input = _parameters(net.input_blocks[0][0])
        self.input_blocks = [_Residual(stage[0]) for stage in net.input_blocks[1:]]
        first, second, last = net.middle_block
        self.middle: tuple[Block, ...] = _Residual(first), _Attention(second), _Residual(last)
        self.output_blocks = [_Residual(stage[0]) for stage in net.output_blocks]
        self._embeddings: dict[int, np.ndarray] = {}  # by band; threads may compute one twice, to the same value

    def _embedding(self, band: int) -> np.ndarray:
        if band not in self._embeddings:
            angles = band_embedding(torch.tensor([float(band)], dtype=torch.float64), self.channels)
            hidden = _silu(_affine(*self.time_embed[0], array(angles).reshape(-1, 1)))
            self._embeddings[band] = _silu(
                _affine(*self.time_embed[1], hidden)
            )  # the SiLU that every block begins with
        return self._embeddings[band]

    def __call__(self, x: np.ndarray, band: int) -> np.ndarray:
        """x : (F, H, W)"""
        embedding = self._embedding(band)
        x = conv3x3(*self.input, x)
        stored = [x]
        for block in self.input_blocks:
            x = block(x, embedding)
            stored.append(x)
        for part in self.middle:
            x = part(x, embedding)
        for block in self.output_blocks:
            x = block(np.concatenate([x, stored.pop()]), embedding)
        return x


def _parameters(layer) -> tuple[np.ndarray, np.ndarray]:
    return array(layer.weight), array(layer.bias)


def _affine(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> np.ndarray:
    """1x1 convolution of (Fi, ...)."""
    out = np.empty((len(weight), *x.shape[1:]))
    affine(weight, bias, x.reshape(len(x), -1), out.reshape(len(out), -1), math.prod(x.shape[1:]))
    return out


@njit(nogil=True, error_model="numpy")
def _silu(x):
    out = np.empty(x.shape)
    for f in range(x.shape[0]):
        for p in range(x.shape[1]):
            out[f, p] = x[f, p] * sigmoid(x[f, p])
    return out


# --- plane condition --------------------------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def _volume_band(weight, bias, volume, band):
    """7x7x7 convolution of one band; weight : (7, 7, 7); volume : (S, H, W); zero padding on all sides."""
    total = np.zeros(volume.shape[1:])
    none = np.zeros(1)
    for tap in range(7):
        source = band + tap - 3
        if 0 <= source < volume.shape[0]:
            total += depthwise7x7(weight[tap : tap + 1], none, volume[source : source + 1])[0]
    return total + bias


class _Plane:
    def __init__(self, net):
        conv = net.conv_in
        self.volume = array(conv.depthwise_conv.weight)[0, 0], array(conv.depthwise_conv.bias)[0]
        self.pointwise = array(conv.pointwise_conv.weight).ravel(), array(conv.pointwise_conv.bias)
        self.unet = _UNet(net.plane_context)

    def __call__(self, plane: np.ndarray, band: int) -> np.ndarray:
        """Features (F, H, W) of a band; plane : (S, H, W) in [-1, 1]"""
        image = _volume_band(*self.volume, plane, band)
        weight, bias = self.pointwise
        return self.unet(weight[:, None, None] * image + bias[:, None, None], 1)


# --- the whole network ------------------------------------------------------------------------------------------------


class _InputLayer:
    """ParamNet's input layer, cut into the spatial part and the rest, which is known before the band."""

    def __init__(self, head: ParamNet | ParamNetBand0, n_plane: int, n_spatial: int):
        channels = head.conv_out_mu.weight.shape[1]
        if head.conv_in is None:
            weight, self.bias = np.eye(channels), np.zeros(channels)
        else:
            weight, self.bias = array(head.conv_in.weight)[:, :, 0, 0], array(head.conv_in.bias)
        self.spatial = weight[:, n_plane : n_plane + n_spatial].copy()
        self.rest = np.concatenate([weight[:, :n_plane], weight[:, n_plane + n_spatial :]], axis=1)


class NetWeights:
    """Everything the compiled path needs of one network."""

    def __init__(self, net: MspNet | LspNet):
        self.spectral = _Spectral(net.spectral_net)
        self.context = _UNet(net.context_generate.spatial_mix)
        self.plane = _Plane(net.plane_net) if isinstance(net, LspNet) else None
        self.spatial = _spatial_weights(net.spatial_net)
        n_plane = net.config.dim_plane if self.plane else 0
        n_spatial = len(self.spatial.input)
        self.inputs, self.heads = [], []
        for head, blocks in ((net.param_l0, [net.param_l0.block]), (net.param_net, list(net.param_net.blocks))):
            self.inputs.append(_InputLayer(head, n_plane, n_spatial))
            self.heads.append(_head_weights(head, blocks, self.inputs[-1].spatial))


class TileConditions:
    """Walks along the bands of one tile."""

    def __init__(self, weights: NetWeights, height: int, width: int, plane: np.ndarray | None = None):
        """plane : (S, H, W) in [-1, 1], the complete msp; for the lsp network only"""
        self.weights, self.plane = weights, plane
        self.height, self.width = height, width
        self.band = 0
        self.state = [block.empty_state(height * width) for block in weights.spectral.blocks]

    def next(self, previous: np.ndarray | None) -> np.ndarray:
        """(C, H, W): the input of ParamNet's first layer for the next band, but for the spatial features' share.

        previous : (H, W) in [-1, 1], the band before; ignored for band 0
        """
        parts = []
        if self.plane is not None:
            assert self.weights.plane is not None, "of the lsp network"
            parts.append(self.weights.plane(self.plane, self.band))
        if self.band:
            assert previous is not None, "only band 0 has none before"
            parts.append(self.weights.context(self.weights.spectral.step(previous, self.state), self.band))
        layer = self.weights.inputs[min(self.band, 1)]
        self.band += 1
        if not parts:
            return np.broadcast_to(layer.bias[:, None, None], (len(layer.bias), self.height, self.width)).copy()
        return _affine(layer.rest, layer.bias, np.concatenate(parts))

    def head(self) -> HeadWeights:
        """ParamNet of the band `next` was last called for."""
        return self.weights.heads[min(self.band - 1, 1)]


def _spatial_weights(net: Pscam) -> SpatialWeights:
    f = net.conv_in.weight.shape[0]
    blocks = list(net.spatial_mix)
    units = [block.MCG for block in blocks]
    rows3, columns3 = zip(*TAPS_3X3)
    rows7, columns7 = zip(*TAPS_7X7)

    def norm(layers) -> np.ndarray:
        return _stack([torch.stack([layer.weight, layer.bias]) for layer in layers], (2, f))

    def dense(layers, n_out=f, n_in=f) -> tuple[np.ndarray, np.ndarray]:
        return _stack([layer.weight for layer in layers], (n_out, n_in)), _stack([la.bias for la in layers], (n_out,))

    inner = dense([unit.conv_in for unit in units])
    skip = dense([unit.skip for unit in units])
    out = dense([unit.conv_out for unit in units])
    up = dense([block.convs[0] for block in blocks], 4 * f)
    down = dense([block.convs[2] for block in blocks], f, 4 * f)
    return SpatialWeights(
        array(net.conv_in.weight * net.conv_in.mask)[:, 0][:, rows3, columns3].copy(),
        array(net.conv_in.bias),
        norm([block.norm1 for block in blocks]),
        *inner,
        _stack([(u.conv_1.depthwise.weight * u.conv_1.mask)[:, 0][:, rows7, columns7] for u in units], (f, 28)),
        _stack([unit.conv_1.depthwise.bias for unit in units], (f,)),
        *skip,
        *out,
        norm([block.norm2 for block in blocks]),
        *up,
        *down,
    )


def _head_weights(head, blocks, spatial: np.ndarray) -> HeadWeights:
    c = len(spatial)
    heads = (head.conv_out_mu, head.conv_out_scale, head.conv_out_weight)
    first, second = [block.in_layers[1] for block in blocks], [block.out_layers[1] for block in blocks]
    return HeadWeights(
        spatial,
        _stack([layer.weight for layer in first], (c, c)),
        _stack([layer.bias for layer in first], (c,)),
        _stack([layer.weight for layer in second], (c, c)),
        _stack([layer.bias for layer in second], (c,)),
        np.concatenate([array(h.weight)[:, :, 0, 0] for h in heads]),
        np.concatenate([array(h.bias) for h in heads]),
    )
