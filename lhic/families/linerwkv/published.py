"""The authors' weights, as published, turned into one weights file of ours.

Published: one ``.pth`` state dictionary a size.  Nothing is renamed; the configuration is that of the shapes.
"""

from __future__ import annotations

import os
from pathlib import Path

from lhic.errors import CheckpointError, ConfigError
from lhic.families.linerwkv.config import LineRwkvConfig
from lhic.families.linerwkv.network import LineRwkv
from lhic.families.linerwkv.parameters import FAMILY
from lhic.families.state_dict import load_net, read_state_dict
from lhic.families.weights import Weights, save_weights
from lhic.io.atomic import check_not_input


def import_linerwkv(
    checkpoint: str | os.PathLike,
    out_safetensors: str | os.PathLike,
    name: str | None = None,
    overwrite: bool = False,
) -> Weights:
    """Convert a published checkpoint into a weights file.

    Parameters
    ----------
    checkpoint : state dictionary, ``.pth`` (loaded with ``weights_only=True``) or ``.safetensors``
    out_safetensors : written whole or not at all; another file than the input
    name : what streams will call the model; default: the output file's stem
    overwrite : whether `out_safetensors` may replace an existing file

    Returns
    -------
    Weights : what was written; tensors float32 as published

    Raises
    ------
    UsageError
        The file does not exist.
    CheckpointError
        It is damaged, holds code, or tensors of another architecture.
    """
    check_not_input(out_safetensors, checkpoint)
    state = read_state_dict(checkpoint)
    try:
        config = LineRwkvConfig.of_tensors({key: tuple(value.shape) for key, value in state.items()})
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error
    load_net(LineRwkv, config, state, os.fspath(checkpoint))
    weights = Weights(
        name or Path(out_safetensors).name.removesuffix(".safetensors"),
        FAMILY,
        config.to_dict(),
        {key: value.detach().cpu().contiguous().numpy() for key, value in state.items()},
        {"source": "published checkpoint", "file": Path(checkpoint).name},
    )
    save_weights(out_safetensors, weights, overwrite)
    return weights
