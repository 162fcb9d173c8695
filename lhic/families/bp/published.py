"""The authors' checkpoints, as published, turned into one weights file of ours.

Published: a ``config.yml`` and two ``.pth`` state dictionaries (msp and lsp).  Nothing is renamed but for the prefixes
``msp.`` and ``lsp.``; nothing is ever unpickled but tensors.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.parameters import FAMILY
from lhic.families.state_dict import load_net, read_state_dict
from lhic.families.weights import Weights, save_weights
from lhic.io.atomic import check_not_input


def import_published(
    config_yml: str | os.PathLike,
    msp_ckpt: str | os.PathLike,
    lsp_ckpt: str | os.PathLike,
    out_safetensors: str | os.PathLike,
    name: str | None = None,
    overwrite: bool = False,
    **overrides,
) -> Weights:
    """Convert published checkpoints into a weights file.

    Parameters
    ----------
    config_yml : configuration file with the published keys
    msp_ckpt, lsp_ckpt : state dictionaries, ``.pth`` (loaded with ``weights_only=True``) or ``.safetensors``
    out_safetensors : written whole or not at all; another file than the inputs
    name : what streams will call the model; default: the output file's stem
    overwrite : whether `out_safetensors` may replace an existing file
    overrides : settings the published file does not have, e.g. ``param_d=8, max_value=10000`` (the defaults)

    Returns
    -------
    Weights : what was written; tensors float32 as published

    Raises
    ------
    UsageError
        A file does not exist.
    ConfigError
        The configuration lacks keys or has values out of range.
    CheckpointError
        A checkpoint is damaged, holds something else, or does not fit the configuration; the message names the
        first tensor that differs.
    """
    check_not_input(out_safetensors, config_yml, msp_ckpt, lsp_ckpt)
    config = LhicBpConfig.from_yaml(config_yml, **overrides)
    tensors: dict[str, np.ndarray] = {}
    for prefix, kind, path in (("msp", MspNet, msp_ckpt), ("lsp", LspNet, lsp_ckpt)):
        state = read_state_dict(path)
        load_net(kind, config, state, os.fspath(path))
        tensors |= {f"{prefix}.{key}": value.detach().cpu().contiguous().numpy() for key, value in state.items()}
    weights = Weights(
        name or Path(out_safetensors).name.removesuffix(".safetensors"),
        FAMILY,
        config.to_dict(),
        tensors,
        {"source": "published checkpoints", "msp": Path(msp_ckpt).name, "lsp": Path(lsp_ckpt).name},
    )
    save_weights(out_safetensors, weights, overwrite)
    return weights
