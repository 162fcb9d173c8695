"""State dictionaries of published networks: read without unpickling anything but tensors, and put into a network."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file

from lhic.errors import CheckpointError, UsageError, message_of

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training code nests a state dictionary."""

PREFIXES = ("module.", "model.")
"""What parallel and lightning wrappers put before every name."""


def read_state_dict(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Tensors by published name, wrappers and prefixes taken off; raises `UsageError`, `CheckpointError`."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: expected a checkpoint (.pth or .safetensors), found nothing there")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
        OSError,
        UnicodeDecodeError,
    ) as error:
        reason = message_of(error)[:120]
        raise CheckpointError(f"{path}: expected a file of tensors, found something else ({reason})") from error
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f"{path}: expected a state dictionary, found {type(state).__name__}")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path}: {key!r}: expected a tensor, found {type(value).__name__}")
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def load_net(kind: type, config: object, tensors: dict, what: str):
    """A float64 network `kind(config)` with these tensors, each checked by name, shape and finiteness."""
    with torch.random.fork_rng(devices=[]):  # loading must not move the caller's random numbers
        net = kind(config)
    expected = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise CheckpointError(
                f"{what}: tensor {key}: the configuration asks for shape {expected.get(key, 'none')}, "
                f"found {found.get(key, 'none')}"
            )
    state = {}
    for key, value in tensors.items():
        value = torch.as_tensor(np.array(value)) if isinstance(value, np.ndarray) else value
        state[key] = value.to(torch.float64)
        if not value.is_floating_point() or not torch.isfinite(state[key]).all():
            raise CheckpointError(f"{what}: tensor {key}: expected finite numbers, found {value.dtype} with others")
        if key.endswith(".mask") and not torch.equal(state[key], net.state_dict()[key].double()):
            raise CheckpointError(f"{what}: tensor {key}: expected the causal mask that the network has, found another")
    net.to(torch.float64).load_state_dict(state)
    return net.eval().requires_grad_(False)
