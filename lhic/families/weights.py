"""Weights on disk: one safetensors file that says which family and configuration its tensors belong to.

The identity of a model is the hash of its contents (docs/format.md, section 3), not of the file, so a file may be
rewritten by another library without orphaning the streams that name it.  Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from lhic.errors import CheckpointError, UsageError
from lhic.io.atomic import atomic_write
from lhic.stream.varint import NAME_PATTERN

HASH_PREFIX = b"lhic-weights-1\n"
METADATA_KEY = "lhic"


@dataclass(frozen=True)
class Weights:
    """A weights file in memory.

    name : what streams call the model
    family, config : which architecture, and its JSON-able settings
    tensors : name -> numpy array
    info : free JSON-able notes (data, training run); not part of the identity
    """

    name: str
    family: str
    config: dict
    tensors: dict[str, np.ndarray]
    info: dict = field(default_factory=dict)

    @property
    def sha256(self) -> bytes:
        """Identity of the model, 32 bytes."""
        return weights_hash(self.family, self.config, self.tensors)


def weights_hash(family: str, config: dict, tensors: dict[str, np.ndarray]) -> bytes:
    """SHA-256 over family, configuration and tensors.  Format v1: docs/format.md, section 3."""
    digest = hashlib.sha256(HASH_PREFIX)
    digest.update(family.encode() + b"\n")
    digest.update(json.dumps(config, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    for name in sorted(tensors, key=str.encode):
        tensor = np.asarray(tensors[name])
        shape = ",".join(str(n) for n in tensor.shape)
        digest.update(f"{name}\n{tensor.dtype.newbyteorder('=')}\n{shape}\n".encode())
        little_endian = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        digest.update(little_endian.tobytes())
    return digest.digest()


def save_weights(path: str | os.PathLike, weights: Weights, overwrite: bool = False) -> None:
    """Write `weights` to a safetensors file, completely or not at all; an existing one only with `overwrite`.

    Raises
    ------
    UsageError
        The name is not one a stream can carry.
    """
    if not NAME_PATTERN.fullmatch(weights.name):
        raise UsageError(f"{path}: expected a model name of 1..64 of a-z 0-9 . _ -, found {weights.name!r}")
    description = {
        "name": weights.name,
        "family": weights.family,
        "config": weights.config,
        "info": weights.info,
        "sha256": weights.sha256.hex(),
    }
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in weights.tensors.items()}
    data = safetensors.numpy.save(tensors, metadata={METADATA_KEY: json.dumps(description, sort_keys=True)})
    with atomic_write(path, overwrite) as file:
        file.write(data)


def load_weights(path: str | os.PathLike) -> Weights:
    """Read a weights file and check its contents against the hash it carries.

    Raises
    ------
    UsageError
        No such file.
    CheckpointError
        Not a safetensors file of ours, or its contents are damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: expected a weights file (.safetensors), found nothing there")
    description = read_description(path)
    try:
        tensors = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: expected a complete safetensors file, found a damaged one ({error})") from error
    weights = Weights(
        description["name"], description["family"], description["config"], tensors, description.get("info", {})
    )
    if weights.sha256.hex() != description["sha256"]:
        raise CheckpointError(
            f"{path}: expected weights with SHA-256 {description['sha256'][:16]}..., "
            f"found {weights.sha256.hex()[:16]}...: the file is damaged"
        )
    return weights


def read_description(path: str | os.PathLike) -> dict:
    """Name, family, config, info and sha256 (hex) as the file states them, without reading its tensors."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        description = json.loads(metadata[METADATA_KEY])
        found = {key: type(description[key]) for key in ("name", "family", "config", "sha256")}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: expected a safetensors file, found none ({error})") from error
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: expected lhic weights, found no valid '{METADATA_KEY}' metadata") from error
    fits = found == {"name": str, "family": str, "config": dict, "sha256": str}
    if not fits or not NAME_PATTERN.fullmatch(description["name"]):
        raise CheckpointError(f"{path}: expected lhic weights, found '{METADATA_KEY}' metadata of another layout")
    return description
