"""The state of an interrupted training run: one safetensors file with a JSON note, nothing pickled.

Decides what is in the file and that it is complete or not there.  Weights, averaged weights and the
optimiser's two moments are tensors; step, best result, elapsed time and the configuration are the note.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lhic.errors import CheckpointError
from lhic.io.atomic import atomic_write

METADATA_KEY = "lhic-training"


@dataclass(frozen=True)
class TrainingState:
    """What resuming needs.

    tensors : name -> tensor, grouped by prefixes "weights/", "average/", "moment1/", "moment2/", "updates/"
    note : JSON-able
    """

    tensors: dict[str, Tensor]
    note: dict

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Tensors of one group, without its prefix."""
        return {n.removeprefix(f"{prefix}/"): t for n, t in self.tensors.items() if n.startswith(f"{prefix}/")}


def save_state(path: str | os.PathLike, state: TrainingState) -> None:
    """Write a training state, completely or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    data = safetensors.torch.save(tensors, metadata={METADATA_KEY: json.dumps(state.note)})
    with atomic_write(path, overwrite=True) as file:
        file.write(data)


def load_state(path: str | os.PathLike) -> TrainingState:
    """Read a training state.

    Raises
    ------
    CheckpointError
        If the file is damaged or something else.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: expected a training state, found another safetensors file") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: expected a complete training state, found a damaged file ({error})") from error
    return TrainingState(tensors, note)


def optimiser_tensors(optimiser: torch.optim.AdamW, names: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """Both moments and the number of updates of every parameter that has been updated."""
    tensors = {}
    for name, parameter in names.items():
        moments = optimiser.state.get(parameter)
        if moments:
            tensors[f"moment1/{name}"] = moments["exp_avg"]
            tensors[f"moment2/{name}"] = moments["exp_avg_sq"]
            tensors[f"updates/{name}"] = moments["step"]
    return tensors


def restore_optimiser(optimiser: torch.optim.AdamW, names: dict[str, torch.nn.Parameter], state: TrainingState) -> None:
    """Give AdamW its moments and update counts back."""
    first, second, updates = (state.group(prefix) for prefix in ("moment1", "moment2", "updates"))
    for name in first:
        parameter = names[name]
        optimiser.state[parameter] = {
            "step": updates[name],
            "exp_avg": first[name].to(parameter.device),
            "exp_avg_sq": second[name].to(parameter.device),
        }
