"""LHIC-BP conformance: does our network compute what the published one computed?

A vector is four files that share a stem: ``*_config.yml`` (published configuration), ``*_msp.safetensors`` and
``*_lsp.safetensors`` (published parameter names), ``*_io.npz`` (input ``x_in`` and the heads' outputs) and
``*_meta.json`` (`param_d`, `max_value`).  Both forms of the network are compared: all bands at once (training) and
band by band (coding).  Decides nothing about streams: their exactness is tested by coding.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lhic.errors import CheckpointError, UsageError
from lhic.families.bp.config import LhicBpConfig
from lhic.families.bp.network import LspNet, MspNet
from lhic.families.bp.recurrent import recurrent_mixture
from lhic.families.state_dict import load_net, read_state_dict

TOLERANCE = 1e-4
"""Largest absolute difference that conforms."""

OUTPUTS = ("mu", "scale", "weight")
CONFIG_SUFFIX = "_config.yml"


@dataclass(frozen=True)
class Difference:
    """One output of one form of one network; `largest_difference` is absolute, over all its values."""

    vector: str
    net: str
    form: str
    output: str
    n_values: int
    largest_difference: float

    @property
    def conforms(self) -> bool:
        return self.largest_difference <= TOLERANCE  # False for NaN

    def __str__(self) -> str:
        verdict = "conforms" if self.conforms else f"differs by more than {TOLERANCE:g}"
        return (
            f"{self.vector}  {self.net} {self.output:<6}  {self.form:<9}  largest difference "
            f"{self.largest_difference:.2e} of {self.n_values} values  {verdict}"
        )


def run_lhic_bp(folder: str | os.PathLike) -> list[Difference]:
    """Run every vector found in a folder and below.

    Returns
    -------
    one `Difference` per vector, network (msp, lsp), form (training, recurrent) and output (mu, scale, weight)

    Raises
    ------
    UsageError
        The folder does not exist or holds no vector.
    CheckpointError, ConfigError
        A vector is incomplete or contradicts itself.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of conformance vectors, found none")
    configs = sorted(folder.rglob(f"*{CONFIG_SUFFIX}"))
    if not configs:
        raise UsageError(f"{folder}: expected at least one vector (*{CONFIG_SUFFIX}), found none")
    return [row for path in configs for row in _run_vector(path)]


def _run_vector(config_path: Path) -> list[Difference]:
    stem = config_path.name.removesuffix(CONFIG_SUFFIX)
    at = config_path.parent
    meta = _read_meta(at / f"{stem}_meta.json")
    config = LhicBpConfig.from_yaml(config_path, **{key: meta[key] for key in ("param_d", "max_value") if key in meta})
    arrays = _read_arrays(at / f"{stem}_io.npz")
    samples = torch.from_numpy(arrays["x_in"].astype(np.int64))
    rows = []
    for kind, name in ((MspNet, "msp"), (LspNet, "lsp")):
        path = at / f"{stem}_{name}.safetensors"
        net = load_net(kind, config, read_state_dict(path), str(path))
        with torch.inference_mode():
            forms = {"training": net(samples), "recurrent": recurrent_mixture(net, samples)}
        for form, outputs in forms.items():
            for output, found in zip(OUTPUTS, outputs, strict=True):
                expected = arrays[f"{name}_{output}"]
                if expected.shape != tuple(found.shape):
                    raise CheckpointError(
                        f"{at / stem}_io.npz: {name}_{output}: expected shape {tuple(found.shape)}, "
                        f"found {expected.shape}"
                    )
                largest = float(np.abs(found.numpy() - expected.astype(np.float64)).max())
                rows.append(Difference(stem, name, form, output, expected.size, largest))
    return rows


def _read_meta(path: Path) -> dict:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: expected a JSON object, found none ({error})") from error
    if not isinstance(meta, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(meta).__name__}")
    return meta


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    names = ["x_in", *(f"{net}_{output}" for net in ("msp", "lsp") for output in OUTPUTS)]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CheckpointError(f"{path}: expected arrays {', '.join(names)}, found others ({error})") from error
    if arrays["x_in"].ndim != 4 or arrays["x_in"].dtype.kind not in "iu":
        raise CheckpointError(
            f"{path}: x_in: expected integers (tiles, bands, rows, columns), "
            f"found {arrays['x_in'].dtype} {arrays['x_in'].shape}"
        )
    return arrays
